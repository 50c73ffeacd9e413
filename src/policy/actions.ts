/** What statements do to a route. Each list of actions compiles to changes with all constants and texts resolved. */

import { toJsonString } from "@bufbuild/protobuf";
import { parseIp } from "../base/ip.ts";
import type { SetActions } from "../gen/cairn/v1/policy_service_pb.ts";
import { SetActionsSchema } from "../gen/cairn/v1/policy_service_pb.ts";
import { withAigpMetric } from "../wire/attributes/aigp.ts";
import type { LocalMarks, PathAttributes } from "../wire/path-attributes.ts";
import { SegmentType } from "../wire/path-attributes.ts";
import { withoutPrivateAs } from "../wire/private-as.ts";
import type { CommunitySet, CommunityValues } from "./community-set.ts";
import {
  boundCommunities,
  compileCommunitySet,
  compileCommunityValues,
  joinValues,
} from "./community-set.ts";
import { LOCAL_PREF_DEFAULT, MED_DEFAULT, neighborAs } from "./draft.ts";
import type { NeighborIdentity } from "./neighbor-set.ts";
import { type AsnsRead, anyAsns, asnsKey, asnsReadBy, type SessionAsns } from "./session-asns.ts";

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

/** The AS numbers that patterns may name by word. */
export function asnsOf({ localAs, neighbor }: PolicyContext): SessionAsns {
  return { own: localAs, neighbor: neighbor.asn };
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
  /** The same with the AS numbers of the session filled in; absent when none are named by word. */
  readonly bind?: (asns: SessionAsns) => Actions;
}

type Step = (attributes: PathAttributes, context: PolicyContext, isIpv6: boolean) => void;

/** Where actions find the community sets that they name. */
export interface CommunitySource {
  communitySet(name: string): CommunitySet;
}

/** Compiles checked actions. */
export function compileActions(set: SetActions, direction: Direction, sets: CommunitySource): Actions {
  const reads = asnsReadByActions(set, sets);
  const actions = actionsFor(set, direction, sets, anyAsns);
  if (reads === 0) return actions;
  return {
    ...actions,
    contextKey: (context) => `${actions.contextKey(context)};${asnsKey(reads, asnsOf(context))}`,
    bind: (asns) => actionsFor(set, direction, sets, asns),
  };
}

function asnsReadByActions(set: SetActions, sets: CommunitySource): AsnsRead {
  const texts = [set.communitiesReplace, set.communitiesAdd, set.communitiesRemove, set.communitiesKeep];
  const names = [
    ...[...set.communitiesReplaceSets, ...set.communitiesAddSets],
    ...[...set.communitiesRemoveSets, ...set.communitiesKeepSets],
  ];
  return names.reduce((reads, name) => reads | sets.communitySet(name).reads, asnsReadBy(texts.flat()));
}

function actionsFor(
  set: SetActions,
  direction: Direction,
  sets: CommunitySource,
  asns: SessionAsns,
): Actions {
  const steps: Step[] = [];
  const { origin } = set;
  pushNumberSteps(set, steps);
  if (origin !== 0) steps.push((attributes) => (attributes.origin = origin - 1));
  const hop = nextHopSource(set.nextHop, direction);
  if (hop) {
    steps.push((attributes, context, isIpv6) => {
      const address = hop(context, isIpv6);
      if (address) attributes.nextHop = address;
    });
  }
  pushCommunitySteps(set, sets, asns, steps);
  if (set.stripPrivateAs) {
    steps.push((attributes) => (attributes.asPath = withoutPrivateAs(attributes.asPath)));
  }
  const verdict = nextHopVerdict(set.nextHop);
  const { prepend } = set;
  if (prepend) {
    const { asn, lastAs, count } = prepend;
    steps.push((attributes, context) => {
      const added = lastAs ? neighborAs(attributes) : asn === 0 ? context.localAs : asn;
      if (added !== 0) prependAs(attributes, added, count);
    });
  }
  pushMarkSteps(set, steps);
  return {
    key: toJsonString(SetActionsSchema, set),
    // An address of the other family is no next hop for the route, so nothing was said about it.
    nextHop: (context, isIpv6) => (hop && !hop(context, isIpv6) ? NextHopVerdict.unset : verdict),
    readsFamily: hop !== undefined,
    changesAttributes: steps.length > 0,
    contextKey: (context) => {
      const own = prepend?.asn === 0 && !prepend.lastAs ? String(context.localAs) : "";
      return hop ? `${own};${hop(context, false) ?? ""};${hop(context, true) ?? ""}` : own;
    },
    apply: (attributes, context, isIpv6) => {
      for (const step of steps) step(attributes, context, isIpv6);
    },
  };
}

const U32_MAX = 0xffff_ffff;

function pushNumberSteps(set: SetActions, steps: Step[]): void {
  const { localPref, med } = set;
  const clamped = (value: number): number => Math.min(U32_MAX, Math.max(0, value));
  const prefShift = (set.localPrefAdd ?? 0) - (set.localPrefSubtract ?? 0);
  const medShift = (set.medAdd ?? 0) - (set.medSubtract ?? 0);
  if (localPref !== undefined) steps.push((attributes) => (attributes.localPref = localPref));
  if (prefShift !== 0) {
    steps.push((attributes) => {
      attributes.localPref = clamped((attributes.localPref ?? LOCAL_PREF_DEFAULT) + prefShift);
    });
  }
  if (med !== undefined) steps.push((attributes) => (attributes.med = med));
  if (medShift !== 0) {
    steps.push((attributes) => (attributes.med = clamped((attributes.med ?? MED_DEFAULT) + medShift)));
  }
  const { aigp } = set;
  if (aigp !== undefined) {
    steps.push((attributes) => (attributes.aigp = withAigpMetric(attributes.aigp, BigInt(aigp))));
  }
  if (set.medRemove) steps.push((attributes) => (attributes.med = undefined));
}

const noMarks: LocalMarks = { weight: undefined, tag: undefined, discard: false };

function pushMarkSteps(set: SetActions, steps: Step[]): void {
  const { weight, tag } = set;
  const mark = (some: Partial<LocalMarks>): void => {
    steps.push((attributes) => (attributes.local = { ...noMarks, ...attributes.local, ...some }));
  };
  if (weight !== undefined) mark({ weight });
  if (tag !== undefined) mark({ tag });
  if (set.nextHop === "discard") mark({ discard: true });
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

function pushCommunitySteps(
  set: SetActions,
  source: CommunitySource,
  asns: SessionAsns,
  steps: Step[],
): void {
  const named = (name: string): CommunitySet => source.communitySet(name).bind(asns);
  const valuesOf = (texts: readonly string[], names: readonly string[]): CommunityValues =>
    joinValues([
      compileCommunityValues(boundCommunities(texts, asns)),
      ...names.map((name) => named(name).values),
    ]);
  const setsOf = (texts: readonly string[], names: readonly string[]): CommunitySet[] => [
    ...(texts.length > 0 ? [compileCommunitySet(texts).bind(asns)] : []),
    ...names.map(named),
  ];
  if (set.communitiesReplace.length + set.communitiesReplaceSets.length > 0) {
    const values = valuesOf(set.communitiesReplace, set.communitiesReplaceSets);
    steps.push((attributes) => replaceCommunities(attributes, values));
  }
  if (set.communitiesAdd.length + set.communitiesAddSets.length > 0) {
    const values = valuesOf(set.communitiesAdd, set.communitiesAddSets);
    steps.push((attributes) => addCommunities(attributes, values));
  }
  const unwanted = setsOf(set.communitiesRemove, set.communitiesRemoveSets);
  if (unwanted.length > 0) steps.push((attributes) => keepCommunities(attributes, unwanted, false));
  const wanted = setsOf(set.communitiesKeep, set.communitiesKeepSets);
  if (wanted.length > 0) steps.push((attributes) => keepCommunities(attributes, wanted, true));
}

/** Replaces all communities of each kind that `values` has some of. */
function replaceCommunities(attributes: PathAttributes, values: CommunityValues): void {
  if (values.standard.length > 0) attributes.communities = [...values.standard];
  if (values.extended.length > 0) attributes.extendedCommunities = [...values.extended];
  if (values.large.length > 0) attributes.largeCommunities = [...values.large];
}

/** Appends those of `values` that are not there yet. */
function addCommunities(attributes: PathAttributes, values: CommunityValues): void {
  attributes.communities = extended(attributes.communities, values.standard, isSame);
  attributes.extendedCommunities = extended(attributes.extendedCommunities, values.extended, isSame);
  attributes.largeCommunities = extended(attributes.largeCommunities, values.large, isSameLarge);
}

function isSame(a: number | string, b: number | string): boolean {
  return a === b;
}

function isSameLarge(a: readonly number[], b: readonly number[]): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2];
}

/** `known` and those of `added` that are not in it: a list of its own when there are any. */
function extended<T>(known: T[], added: readonly T[], same: (a: T, b: T) => boolean): T[] {
  let all = known;
  for (let i = 0; i < added.length; i++) {
    let at = 0;
    while (at < known.length && !same(known[at], added[i])) at++;
    if (at < known.length) continue;
    if (all === known) all = known.slice();
    all.push(added[i]);
  }
  return all;
}

/** Keeps the communities that are in one of the sets, or with `inside` false those that are in none. */
function keepCommunities(attributes: PathAttributes, sets: readonly CommunitySet[], inside: boolean): void {
  attributes.communities = attributes.communities.filter(
    (value) => sets.some((set) => set.hasStandard(value)) === inside,
  );
  attributes.extendedCommunities = attributes.extendedCommunities.filter(
    (digits) => sets.some((set) => set.hasExtended(digits)) === inside,
  );
  attributes.largeCommunities = attributes.largeCommunities.filter(
    (parts) => sets.some((set) => set.hasLarge(parts)) === inside,
  );
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
