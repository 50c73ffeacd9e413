/** Source of randomness handed to the core: numbers in [0, 1). The simulator gives a seeded one. */
export type Random = () => number;

/**
 * Small seeded generator (mulberry32). Not for secrets; for jitter, simulation and tests.
 * @param seed any 32-bit integer; equal seeds give equal sequences
 */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
