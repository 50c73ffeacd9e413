/** Attribute sets that the generator announces, and fingerprints by which sinks know them again. */

/** What a sink checks of a route, beside its next hop. MED is announced too, but not every daemon passes it on. */
export interface Attributes {
  /** One sequence. */
  readonly path: readonly number[];
  readonly origin: number;
  /** In any order: a community attribute is a set, and some daemons sort it or add in front. */
  readonly communities: readonly number[];
  readonly largeCommunities: readonly (readonly [number, number, number])[];
  readonly med?: number;
}

/** Origin ASes of the sets, one each: no well-known, private or reserved number. */
const firstOriginAs = 200_000;
const transitAses = 500;

/**
 * The attributes of a set: two to six ASes, communities on most, MED and large communities on some. Sets differ at least
 * in their last AS.
 * @param extra further ASes in the path, so that it loses against another feeder's
 */
export function attributesOf(feederAs: number, set: number, extra = 0): Attributes {
  const draw = (n: number): number => mix(mix(0x51ed_270b, set), n) >>> 0;
  const middle = Array.from({ length: (draw(0) % 5) + extra }, (_, i) => 3000 + (draw(10 + i) % transitAses));
  const communities = draw(1) % 10 < 7 ? 1 + (draw(2) % 4) : 0;
  return {
    path: [feederAs, ...middle, firstOriginAs + set],
    origin: draw(3) % 10 === 0 ? 2 : 0,
    communities: Array.from(
      { length: communities },
      (_, i) => 3356 * 65_536 + i * 1000 + (draw(4 + i) % 1000),
    ),
    largeCommunities: draw(8) % 12 === 0 ? [[feederAs, 1, draw(9) % 1000]] : [],
    ...(draw(7) % 5 === 0 ? { med: draw(6) % 1000 } : {}),
  };
}

/** 32 bits over what a sink checks; never 0. */
export function fingerprint({ path, origin, communities, largeCommunities }: Attributes): number {
  let hash: number = seeds.path;
  for (const asn of path) hash = mix(hash, asn);
  let standard = 0;
  for (const value of communities) standard += mix(seeds.communities, value);
  let large = 0;
  for (const [global, first, second] of largeCommunities)
    large += mix(mix(mix(seeds.large, global), first), second);
  return combine(hash, origin, standard, large);
}

/** Where the hashes of the parts begin. Communities of one kind count as the sum of theirs, whatever their order. */
export const seeds = { path: 0x2545_f491, communities: 0x1b87_3593, large: 0x4cf5_ad43 } as const;

export function combine(path: number, origin: number, communities: number, large: number): number {
  const hash = mix(mix(mix(path, origin), communities), large) >>> 0;
  return hash === 0 ? 1 : hash;
}

export function mix(hash: number, value: number): number {
  const next = Math.imul(hash ^ value, 0x9e37_79b1);
  return Math.imul(next ^ (next >>> 15), 0x85eb_ca6b);
}
