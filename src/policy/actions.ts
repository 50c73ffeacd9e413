/** What statements do to a route. Each list of actions compiles to changes with all constants and texts resolved. */
import { parseIp } from "../base/ip.ts";
import type { SetActions } from "../gen/cairn/v1/policy_service_pb.ts";
import type { PathAttributes } from "../wire/path-attributes.ts";
import { SegmentType } from "../wire/path-attributes.ts";
import type { CommunitySet, CommunityValues } from "./community-set.ts";
import { compileCommunitySet, compileCommunityValues } from "./community-set.ts";
import type { NeighborIdentity } from "./neighbor-set.ts";

/** Whether policy runs on what a neighbor sent us or on what we are to send it. */
export type Direction = "import" | "export";

/** What is constant while a program runs for one neighbor (on import) or one group of equal targets (on export). */
export interface PolicyContext {
  /** The neighbor: source on import, target on export. */
  readonly neighbor: NeighborIdentity;
  /** AS number that we use towards it. */
  readonly localAs: number;
  /** Our address for `next_hop = self` of IPv4 routes: 4 bytes. */
  readonly self4?: Uint8Array;
  /** The same for IPv6 routes: 16 bytes, or 32 with a link-local address (RFC 2545). */
  readonly self6?: Uint8Array;
}

/** What policy said about the next hop, for the export code, which else puts in its own. */
export const NextHopVerdict = {
  /** Nothing: the session's rules apply. */
  unset: 0,
  /** The next hop in the outgoing attributes was put there by policy. */
  set: 1,
  /** Send what the route came with. */
  unchanged: 2,
  /** Traffic is to be dropped. */
  discard: 3,
} as const;
export type NextHopVerdict = (typeof NextHopVerdict)[keyof typeof NextHopVerdict];

/** A compiled `SetActions`. */
export interface Actions {
  /** Equal texts, equal effects in one context. */
  readonly key: string;
  nextHop(context: PolicyContext, isIpv6: boolean): NextHopVerdict;
  /** The effect depends on the route's family, which is not always to be seen from attributes. */
  readonly readsFamily: boolean;
  /** False when only the next-hop verdict counts. */
  readonly changesAttributes: boolean;
  /** What they read of the context, beside the key: routes of neighbors that agree on this are changed alike. */
  contextKey(context: PolicyContext): string;
  /** Makes all changes, in the order of the fields of `SetActions`. Arrays are replaced, never written to. */
  apply(attributes: PathAttributes, context: PolicyContext, isIpv6: boolean): void;
}

type Step = (attributes: PathAttributes, context: PolicyContext, isIpv6: boolean) => void;

/** Compiles checked actions. */
export function compileActions(set: SetActions, direction: Direction): Actions {
  const steps: Step[] = [];
  const { localPref, med, origin } = set;
  if (localPref !== undefined) steps.push((attributes) => (attributes.localPref = localPref));
  if (med !== undefined) steps.push((attributes) => (attributes.med = med));
  if (set.medRemove) steps.push((attributes) => (attributes.med = undefined));
  if (origin !== 0) steps.push((attributes) => (attributes.origin = origin - 1));
  const hop = nextHopSource(set.nextHop, direction);
  if (hop) {
    steps.push((attributes, context, isIpv6) => {
      const address = hop(context, isIpv6);
      if (address) attributes.nextHop = address;
    });
  }
  pushCommunitySteps(set, steps);
  const verdict = nextHopVerdict(set.nextHop);
  const { prepend } = set;
  if (prepend) {
    const { asn, count } = prepend;
    steps.push((attributes, context) => prependAs(attributes, asn === 0 ? context.localAs : asn, count));
  }
  return {
    key: keyOf(set),
    // An address of the other family is no next hop for the route, so nothing was said about it.
    nextHop: (context, isIpv6) => (hop && !hop(context, isIpv6) ? NextHopVerdict.unset : verdict),
    readsFamily: hop !== undefined,
    changesAttributes: steps.length > 0,
    contextKey: (context) => {
      const own = prepend?.asn === 0 ? String(context.localAs) : "";
      return hop ? `${own};${hop(context, false) ?? ""};${hop(context, true) ?? ""}` : own;
    },
    apply: (attributes, context, isIpv6) => {
      for (const step of steps) step(attributes, context, isIpv6);
    },
  };
}

/** The next hop to put in, for the family of the route; undefined leaves the route as it is. */
type NextHopSource = (context: PolicyContext, isIpv6: boolean) => Uint8Array | undefined;

function nextHopSource(text: string | undefined, direction: Direction): NextHopSource | undefined {
  const self: NextHopSource = (context, isIpv6) => (isIpv6 ? context.self6 : context.self4);
  const ofFamily = (address: Uint8Array | undefined, isIpv6: boolean): Uint8Array | undefined =>
    address?.length === (isIpv6 ? 16 : 4) ? address : undefined;
  switch (text) {
    case undefined:
    case "":
    case "unchanged":
    case "discard":
      return undefined;
    case "self":
      return self;
    case "peer":
      // A neighbor must not be sent its own address (RFC 4271 5.1.3): the peering address of an export is ours.
      return direction === "export" ? self : (context, isIpv6) => ofFamily(context.neighbor.address, isIpv6);
    default: {
      const address = parseIp(text);
      return (_, isIpv6) => ofFamily(address, isIpv6);
    }
  }
}

function nextHopVerdict(text: string | undefined): NextHopVerdict {
  if (!text) return NextHopVerdict.unset;
  if (text === "unchanged") return NextHopVerdict.unchanged;
  return text === "discard" ? NextHopVerdict.discard : NextHopVerdict.set;
}

function pushCommunitySteps(set: SetActions, steps: Step[]): void {
  if (set.communitiesReplace.length > 0) {
    const values = compileCommunityValues(set.communitiesReplace);
    steps.push((attributes) => replaceCommunities(attributes, values));
  }
  if (set.communitiesAdd.length > 0) {
    const values = compileCommunityValues(set.communitiesAdd);
    steps.push((attributes) => addCommunities(attributes, values));
  }
  if (set.communitiesRemove.length > 0) {
    const patterns = compileCommunitySet(set.communitiesRemove);
    steps.push((attributes) => removeCommunities(attributes, patterns));
  }
}

/** Replaces all communities of each kind that `values` has some of. */
function replaceCommunities(attributes: PathAttributes, values: CommunityValues): void {
  if (values.standard.length > 0) attributes.communities = [...values.standard];
  if (values.extended.length > 0) attributes.extendedCommunities = [...values.extended];
  if (values.large.length > 0) attributes.largeCommunities = [...values.large];
}

/** Appends those of `values` that are not there yet. */
function addCommunities(attributes: PathAttributes, values: CommunityValues): void {
  const { communities, extendedCommunities, largeCommunities } = attributes;
  const standard = values.standard.filter((value) => !communities.includes(value));
  const extended = values.extended.filter((digits) => !extendedCommunities.includes(digits));
  const large = values.large.filter(
    (added) => !largeCommunities.some((known) => known.every((part, i) => part === added[i])),
  );
  if (standard.length > 0) attributes.communities = [...communities, ...standard];
  if (extended.length > 0) attributes.extendedCommunities = [...extendedCommunities, ...extended];
  if (large.length > 0) attributes.largeCommunities = [...largeCommunities, ...large];
}

function removeCommunities(attributes: PathAttributes, set: CommunitySet): void {
  attributes.communities = attributes.communities.filter((value) => !set.hasStandard(value));
  attributes.extendedCommunities = attributes.extendedCommunities.filter(
    (digits) => !set.hasExtended(digits),
  );
  attributes.largeCommunities = attributes.largeCommunities.filter((parts) => !set.hasLarge(parts));
}

/** A segment counts its ASes in one byte (RFC 4271 4.3). */
const SEGMENT_ASNS_MAX = 255;

/** Puts `asn` in front of the path `count` times; a new AS_SEQUENCE is begun where the first segment has no room. */
export function prependAs(attributes: PathAttributes, asn: number, count: number): void {
  const added = new Array<number>(count).fill(asn);
  const first = attributes.asPath[0];
  if (first?.type === SegmentType.sequence && first.asns.length + count <= SEGMENT_ASNS_MAX) {
    const merged = { type: first.type, asns: [...added, ...first.asns] };
    attributes.asPath = [merged, ...attributes.asPath.slice(1)];
  } else {
    attributes.asPath = [{ type: SegmentType.sequence, asns: added }, ...attributes.asPath];
  }
}

function keyOf(set: SetActions): string {
  const {
    localPref,
    med,
    medRemove,
    origin,
    nextHop,
    communitiesReplace,
    communitiesAdd,
    communitiesRemove,
  } = set;
  const { asn, count } = set.prepend ?? { asn: 0, count: 0 };
  const lists = [communitiesReplace, communitiesAdd, communitiesRemove];
  return JSON.stringify([
    localPref ?? null,
    med ?? null,
    medRemove,
    origin,
    nextHop ?? null,
    lists,
    asn,
    count,
  ]);
}
