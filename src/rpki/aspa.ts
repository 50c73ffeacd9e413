/**
 * Verification of AS paths with ASPA (draft-ietf-sidrops-aspa-verification): does each hop go from a customer to one of
 * its providers, up to a top, and from there only down again?
 */
import { AspaState } from "../policy/route-key.ts";
import { BgpRole } from "../wire/bgp-role.ts";
import { type AsPathSegment, SegmentType } from "../wire/path-attributes.ts";

/** What is attested of a customer and a would-be provider. */
export const Hop = { noAttestation: 0, provider: 1, notProvider: 2 } as const;
export type Hop = (typeof Hop)[keyof typeof Hop];

/** What verification asks of the attestations. */
export interface HopSource {
  hop(customer: number, provider: number): Hop;
}

/** From whom a route came, as far as verification minds. */
export interface AspaDirection {
  /** From a provider the path may have gone up and down; from anybody else it may only have gone up. */
  readonly downstream: boolean;
  /** AS that must stand first in the path; 0 from a route server, which need not put itself there. */
  readonly firstAsn: number;
}

/**
 * @param role ours on the session (RFC 9234)
 * @returns undefined where verification does not apply: the role is not known
 */
export function directionOf(role: BgpRole | undefined, neighborAsn: number): AspaDirection | undefined {
  if (role === undefined) return undefined;
  return { downstream: role === BgpRole.customer, firstAsn: role === BgpRole.rsClient ? 0 : neighborAsn };
}

/**
 * The AS numbers of a path, the neighbor's first, each once however often it is repeated in a row.
 * @returns undefined for a path with a set in it, which nothing can be said of
 */
export function hopsOf(path: readonly AsPathSegment[]): number[] | undefined {
  const hops: number[] = [];
  for (const { type, asns } of path) {
    if (type === SegmentType.confedSequence || type === SegmentType.confedSet) continue;
    if (type !== SegmentType.sequence) return undefined;
    for (const asn of asns) if (hops[hops.length - 1] !== asn) hops.push(asn);
  }
  return hops;
}

/** The state of a path that came from `direction`. */
export function verifyPath(
  path: readonly AsPathSegment[],
  { downstream, firstAsn }: AspaDirection,
  source: HopSource,
): AspaState {
  const hops = hopsOf(path);
  if (!hops || hops.length === 0) return AspaState.invalid;
  if (firstAsn !== 0 && hops[0] !== firstAsn) return AspaState.invalid;
  const up = ramp(hops.length, (i) => source.hop(hops[hops.length - 1 - i], hops[hops.length - 2 - i]));
  if (!downstream) return stateOf(up.longest, up.shortest, hops.length);
  const down = ramp(hops.length, (i) => source.hop(hops[i], hops[i + 1]));
  return stateOf(up.longest + down.longest, up.shortest + down.shortest, hops.length);
}

/** How many ASes a ramp from one end of the path may have at most, and has for certain. */
function ramp(length: number, hop: (index: number) => Hop): { longest: number; shortest: number } {
  let shortest = length;
  for (let i = 0; i < length - 1; i++) {
    const found = hop(i);
    if (found === Hop.provider) continue;
    shortest = Math.min(shortest, i + 1);
    if (found === Hop.notProvider) return { longest: i + 1, shortest };
  }
  return { longest: length, shortest };
}

function stateOf(longest: number, shortest: number, needed: number): AspaState {
  if (longest < needed) return AspaState.invalid;
  return shortest < needed ? AspaState.unknown : AspaState.valid;
}
