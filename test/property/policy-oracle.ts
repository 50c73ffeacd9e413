/**
 * Policy by the book: a straight reading of docs/policy.md over plain values, with no sets, no sharing and no memory.
 * The engine must agree with it.
 */
import { create } from "@bufbuild/protobuf";
import { formatIp, parseIp, parsePrefix, prefixContains } from "../../src/base/ip.ts";
import type { Match, PolicySpec, SetActions } from "../../src/gen/cairn/v1/policy_service_pb.ts";
import { PolicyAction, PrefixRuleSchema } from "../../src/gen/cairn/v1/policy_service_pb.ts";
import { bogonPrefixTexts } from "../../src/policy/bogons.ts";
import { formatAsPath } from "../../src/wire/as-path-text.ts";
import {
  formatCommunity,
  formatExtendedCommunity,
  formatLargeCommunity,
  parseCommunity,
  parseExtendedCommunity,
  parseLargeCommunity,
} from "../../src/wire/community-text.ts";
import type { PathAttributes } from "../../src/wire/path-attributes.ts";
import { SegmentType } from "../../src/wire/path-attributes.ts";

export interface OracleRoute {
  /** Prefix as text. */
  readonly prefix: string;
  readonly type: "local" | "internal" | "external";
}

export interface OracleContext {
  readonly address: string;
  readonly asn: number;
  readonly peerGroup: string;
  readonly localAs: number;
  readonly self4: string | undefined;
  readonly self6: string | undefined;
  readonly direction: "import" | "export";
}

export interface OracleSets {
  readonly prefixes: ReadonlyMap<string, Match["prefixes"]>;
  readonly asPaths: ReadonlyMap<string, readonly string[]>;
  readonly communities: ReadonlyMap<string, readonly string[]>;
  readonly neighbors: ReadonlyMap<string, { addresses: string[]; asns: number[]; peerGroups: string[] }>;
  readonly asns: ReadonlyMap<string, readonly string[]>;
  readonly nextHops: ReadonlyMap<string, readonly string[]>;
}

type Verdict = "accept" | "reject" | undefined;

/** The outgoing attributes; undefined when the chain rejects. `attributes` is the oracle's to change. */
export function runOracle(
  chain: readonly PolicySpec[],
  sets: OracleSets,
  context: OracleContext,
  route: OracleRoute,
  attributes: PathAttributes,
  defaultAction: PolicyAction = PolicyAction.REJECT,
  callable: readonly PolicySpec[] = chain,
): PathAttributes | undefined {
  const texts = fillTexts(chain, sets, context, callable);
  return runFilled(texts.chain, texts.sets, context, route, attributes, defaultAction, texts.callable);
}

interface Texts {
  readonly chain: readonly PolicySpec[];
  readonly sets: OracleSets;
  readonly callable: readonly PolicySpec[];
}

/** What was filled in last, and for whom: many routes are run through the same. */
let lastFilled: (Texts & { readonly from: readonly unknown[] }) | undefined;

function fillTexts(
  chain: readonly PolicySpec[],
  sets: OracleSets,
  context: OracleContext,
  callable: readonly PolicySpec[],
): Texts {
  const from = [chain, sets, context, callable];
  if (!lastFilled?.from.every((each, i) => each === from[i])) {
    const fill = <T>(value: T): T => filled(value, context);
    lastFilled = { from, chain: fill(chain), sets: fillSets(sets, fill), callable: fill(callable) };
  }
  return lastFilled;
}

/** The words own-asn and neighbor-asn as numbers, wherever they stand. */
function filled<T>(value: T, { localAs, asn }: OracleContext): T {
  const text = JSON.stringify(value);
  if (!text.includes("-asn")) return value;
  return JSON.parse(text.replaceAll("own-asn", String(localAs)).replaceAll("neighbor-asn", String(asn))) as T;
}

function fillSets(sets: OracleSets, fill: <T>(value: T) => T): OracleSets {
  return {
    ...sets,
    asPaths: new Map(fill([...sets.asPaths])),
    communities: new Map(fill([...sets.communities])),
  };
}

function runFilled(
  chain: readonly PolicySpec[],
  sets: OracleSets,
  context: OracleContext,
  route: OracleRoute,
  attributes: PathAttributes,
  defaultAction: PolicyAction,
  callable: readonly PolicySpec[],
): PathAttributes | undefined {
  const verdictOf = (action: PolicyAction): Verdict =>
    action === PolicyAction.ACCEPT ? "accept" : action === PolicyAction.REJECT ? "reject" : undefined;
  const run = (policy: PolicySpec): Verdict => {
    for (const { match, set, action, call } of policy.statements) {
      if (match && !matches(match, sets, context, route, attributes)) continue;
      if (set && (action !== PolicyAction.REJECT || call !== "")) {
        change(set, sets, context, route, attributes);
      }
      const called = callable.find(({ name }) => name === call);
      const verdict = (called && run(called)) ?? verdictOf(action);
      if (verdict) return verdict;
      if (action === PolicyAction.NEXT_POLICY) return undefined;
    }
    return verdictOf(policy.defaultAction);
  };
  for (const policy of chain) {
    const verdict = run(policy);
    if (verdict) return verdict === "accept" ? attributes : undefined;
  }
  return defaultAction === PolicyAction.ACCEPT ? attributes : undefined;
}

/** All conditions of the match hold, and none of those under `not`. */
function matches(
  m: Match,
  sets: OracleSets,
  context: OracleContext,
  route: OracleRoute,
  a: PathAttributes,
): boolean {
  const told = answers(m, sets, context, route, a).every((answer) => answer !== false);
  return told && (!m.not || answers(m.not, sets, context, route, a).every((answer) => answer !== true));
}

/** The answer of each condition; undefined for one that is not asked. */
function answers(
  m: Match,
  sets: OracleSets,
  context: OracleContext,
  route: OracleRoute,
  a: PathAttributes,
): (boolean | undefined)[] {
  const isIpv6 = route.prefix.includes(":");
  const hops = a.asPath.filter(({ type }) => type === SegmentType.sequence || type === SegmentType.set);
  const length = hops.reduce((sum, { type, asns }) => sum + (type === SegmentType.set ? 1 : asns.length), 0);
  const first = hops[0]?.type === SegmentType.sequence ? hops[0].asns[0] : undefined;
  const end = hops[hops.length - 1];
  const last = end?.type === SegmentType.sequence ? end.asns[end.asns.length - 1] : undefined;
  const text = formatAsPath(a.asPath);
  const localPref = a.localPref ?? 100;
  const med = a.med ?? 0;
  const rules = [...m.prefixSets.flatMap((name) => sets.prefixes.get(name) ?? []), ...m.prefixes];
  const paths = [...m.asPathSets.flatMap((name) => sets.asPaths.get(name) ?? []), ...m.asPaths];
  const wanted = [...m.communitySets.flatMap((name) => sets.communities.get(name) ?? []), ...m.communities];
  const carried = [
    ...a.communities.map(formatCommunity),
    ...a.extendedCommunities.map(formatExtendedCommunity),
    ...a.largeCommunities.map(formatLargeCommunity),
  ];
  const asns = (names: readonly string[], inline: readonly number[]) => (asn: number | undefined) =>
    asn !== undefined &&
    (inline.includes(asn) || names.some((name) => sets.asns.get(name)!.some((text) => inRange(text, asn))));
  const everyAs = a.asPath.flatMap((segment) => segment.asns);
  const hops6 = [...m.nextHopSets.flatMap((name) => sets.nextHops.get(name) ?? []), ...m.nextHops];
  const when = (wanted: { readonly length: number }, answer: () => boolean) =>
    wanted.length === 0 ? undefined : answer();
  const optional = <T>(wanted: T | undefined, answer: (wanted: T) => boolean) =>
    wanted === undefined ? undefined : answer(wanted);
  const nextHop = formatIp(a.nextHop, 0, Math.min(16, a.nextHop.length));
  const present: Record<string, boolean> = {
    med: a.med !== undefined,
    communities: a.communities.length > 0,
    otc: a.otc !== undefined,
    aigp: a.aigp.length > 0,
    "99": a.unknown.some(({ type }) => type === 99),
  };
  return [
    when([...m.prefixSets, ...m.prefixes], () => rules.some((rule) => underRule(rule, route.prefix))),
    when([...m.asPathSets, ...m.asPaths], () =>
      paths.some((pattern) => holdsForPath(pattern, text, length, first, last, everyAs)),
    ),
    when([...m.communitySets, ...m.communities], () =>
      wanted.some((pattern) => carried.some((community) => communityMatches(pattern, community))),
    ),
    when(
      [...m.neighborSets, ...m.neighbors],
      () =>
        m.neighborSets.some((name) => neighborIn(sets.neighbors.get(name)!, context)) ||
        m.neighbors.some((prefix) => hostIn(prefix, context.address)),
    ),
    when(m.peerGroups, () => m.peerGroups.includes(context.peerGroup)),
    optional(m.asPathLengthGe, (n) => length >= n),
    optional(m.asPathLengthLe, (n) => length <= n),
    optional(m.asPathUniqueLengthGe, (n) => new Set(everyAs).size >= n),
    optional(m.asPathUniqueLengthLe, (n) => new Set(everyAs).size <= n),
    optional(m.communitiesCountGe, (n) => carried.length >= n),
    optional(m.communitiesCountLe, (n) => carried.length <= n),
    optional(m.localPrefGe, (n) => localPref >= n),
    optional(m.localPrefLe, (n) => localPref <= n),
    optional(m.medGe, (n) => med >= n),
    optional(m.medLe, (n) => med <= n),
    when(m.origins, () => m.origins.some((origin) => origin === a.origin + 1)),
    when([...m.nextHopSets, ...m.nextHops], () => hops6.some((prefix) => hostIn(prefix, nextHop))),
    when(m.routeTypes, () => m.routeTypes.includes(route.type)),
    when(m.families, () => m.families.includes(isIpv6 ? "ipv6-unicast" : "ipv4-unicast")),
    when([...m.originAsns, ...m.originAsnSets], () => asns(m.originAsnSets, m.originAsns)(last)),
    when([...m.neighborAsns, ...m.neighborAsnSets], () => asns(m.neighborAsnSets, m.neighborAsns)(first)),
    when([...m.passesAsns, ...m.passesAsnSets], () => everyAs.some(asns(m.passesAsnSets, m.passesAsns))),
    when(m.communitiesAll, () =>
      m.communitiesAll.every((pattern) => carried.some((community) => communityMatches(pattern, community))),
    ),
    optional(m.isDefault, (wanted) => route.prefix.endsWith("/0") === wanted),
    optional(m.isBogon, (wanted) => bogons.some((outer) => underRule(outer, route.prefix)) === wanted),
    optional(m.hasBogonAsn, (wanted) => everyAs.some(isBogonAs) === wanted),
    when(m.hasAttributes, () => m.hasAttributes.some((name) => present[name])),
    when(m.rpkiStates, () => m.rpkiStates.includes("not-found")),
    when(m.aspaStates, () => m.aspaStates.includes("unknown")),
    when(m.tags, () => m.tags.some((tag) => tag === a.local?.tag)),
  ];
}

const bogons = bogonPrefixTexts.map((prefix) =>
  create(PrefixRuleSchema, { prefix, le: prefix.includes(":") ? 128 : 32 }),
);

function isBogonAs(asn: number): boolean {
  return asn === 0 || asn === 23456 || (asn >= 64496 && asn <= 131071) || asn >= 4_200_000_000;
}

function inRange(text: string, value: number): boolean {
  const [low, high] = text.split("-").map(Number);
  return value >= low && value <= (high ?? low);
}

function holdsForPath(
  pattern: string,
  text: string,
  length: number,
  first: number | undefined,
  last: number | undefined,
  everyAs: readonly number[],
): boolean {
  const [word, range] = pattern.split(" ");
  const within = (value: number | undefined) => value !== undefined && inRange(range, value);
  if (word === "originates") return within(last);
  if (word === "neighbor") return within(first);
  if (word === "passes") return everyAs.some(within);
  return word === "length" ? within(length) : finds(pattern, text);
}

function change(
  set: SetActions,
  sets: OracleSets,
  context: OracleContext,
  route: OracleRoute,
  a: PathAttributes,
): void {
  const within = (value: number) => Math.max(0, Math.min(2 ** 32 - 1, value));
  if (set.localPref !== undefined) a.localPref = set.localPref;
  if (set.localPrefAdd) a.localPref = within((a.localPref ?? 100) + set.localPrefAdd);
  if (set.localPrefSubtract) a.localPref = within((a.localPref ?? 100) - set.localPrefSubtract);
  if (set.med !== undefined) a.med = set.med;
  if (set.medAdd) a.med = within((a.med ?? 0) + set.medAdd);
  if (set.medSubtract) a.med = within((a.med ?? 0) - set.medSubtract);
  if (set.medRemove) a.med = undefined;
  if (set.origin !== 0) a.origin = set.origin - 1;
  const isIpv6 = route.prefix.includes(":");
  const self = isIpv6 ? context.self6 : context.self4;
  const named: Record<string, string | undefined> = {
    self,
    peer: context.direction === "export" ? self : context.address,
    unchanged: undefined,
    discard: undefined,
  };
  const hop = set.nextHop === undefined ? undefined : set.nextHop in named ? named[set.nextHop] : set.nextHop;
  if (hop?.includes(":") === isIpv6) a.nextHop = parseIp(hop)!;
  replaceAddRemove(set, sets, a);
  if (set.stripPrivateAs) {
    const isPrivate = (asn: number) => (asn > 64511 && asn < 65535) || (asn > 4199999999 && asn < 4294967295);
    // A private number in a confederation segment is a member's own.
    for (const segment of a.asPath)
      if (segment.type <= SegmentType.sequence) segment.asns = segment.asns.filter((asn) => !isPrivate(asn));
    a.asPath = a.asPath.filter(({ asns }) => asns.length > 0);
  }
  if (set.aigp !== undefined) {
    const metric = set.aigp.toString(16).padStart(16, "0");
    a.aigp = Uint8Array.from(`01000b${metric}`.match(/../g)!, (byte) => Number.parseInt(byte, 16));
  }
  prepend(set, context, a);
  const marks = a.local ?? { weight: undefined, tag: undefined, discard: false };
  const { weight = marks.weight, tag = marks.tag } = set;
  const discard = marks.discard || set.nextHop === "discard";
  if (weight !== undefined || tag !== undefined || discard) a.local = { weight, tag, discard };
}

function prepend(set: SetActions, context: OracleContext, a: PathAttributes): void {
  if (!set.prepend) return;
  const open = a.asPath.find(({ type }) => type === SegmentType.sequence || type === SegmentType.set);
  const last = open?.type === SegmentType.sequence ? open.asns[0] : undefined;
  const asn = set.prepend.lastAs ? last : set.prepend.asn || context.localAs;
  if (asn === undefined) return;
  for (let i = 0; i < set.prepend.count; i++) {
    if (a.asPath[0]?.type !== SegmentType.sequence)
      a.asPath.unshift({ type: SegmentType.sequence, asns: [] });
    a.asPath[0].asns.unshift(asn);
  }
}

function replaceAddRemove(set: SetActions, sets: OracleSets, a: PathAttributes): void {
  const texts = (names: readonly string[]) => names.flatMap((name) => [...sets.communities.get(name)!]);
  const kinds = (texts: readonly string[]) => ({
    standard: texts.map(parseCommunity).filter((value) => value !== undefined),
    extended: texts.map(parseExtendedCommunity).filter((value) => value !== undefined),
    large: texts.map(parseLargeCommunity).filter((value) => value !== undefined),
  });
  const replace = kinds([...set.communitiesReplace, ...texts(set.communitiesReplaceSets)]);
  if (replace.standard.length > 0) a.communities = [];
  if (replace.extended.length > 0) a.extendedCommunities = [];
  if (replace.large.length > 0) a.largeCommunities = [];
  const add = kinds([
    ...[...set.communitiesReplace, ...texts(set.communitiesReplaceSets)],
    ...[...set.communitiesAdd, ...texts(set.communitiesAddSets)],
  ]);
  for (const value of add.standard) if (!a.communities.includes(value)) a.communities.push(value);
  for (const value of add.extended)
    if (!a.extendedCommunities.includes(value)) a.extendedCommunities.push(value);
  for (const value of add.large) {
    if (!a.largeCommunities.some((known) => known.join() === value.join())) a.largeCommunities.push(value);
  }
  const removed = [...set.communitiesRemove, ...texts(set.communitiesRemoveSets)];
  const keeping = set.communitiesKeep.length + set.communitiesKeepSets.length > 0;
  const wanted = [...set.communitiesKeep, ...texts(set.communitiesKeepSets)];
  const kept = (text: string): boolean =>
    !removed.some((pattern) => communityMatches(pattern, text)) &&
    (!keeping || wanted.some((pattern) => communityMatches(pattern, text)));
  a.communities = a.communities.filter((value) => kept(formatCommunity(value)));
  a.extendedCommunities = a.extendedCommunities.filter((value) => kept(formatExtendedCommunity(value)));
  a.largeCommunities = a.largeCommunities.filter((value) => kept(formatLargeCommunity(value)));
}

function underRule(rule: Match["prefixes"][number], text: string): boolean {
  const outer = parsePrefix(rule.prefix);
  const inner = parsePrefix(text);
  if (typeof outer === "string" || typeof inner === "string") throw new Error("bad prefix in a test");
  const longest = outer.bytes.length * 8;
  if (rule.covering) {
    const around = inner.bytes.length === outer.bytes.length && prefixContains(inner, outer.bytes);
    return around && inner.length >= (rule.ge ?? 0) && inner.length <= (rule.le ?? outer.length);
  }
  const exact = rule.ge === undefined && rule.le === undefined;
  const from = exact ? outer.length : (rule.ge ?? outer.length);
  const to = exact ? outer.length : (rule.le ?? longest);
  if (inner.length < outer.length || !prefixContains(outer, inner.bytes)) return false;
  return inner.length >= from && inner.length <= to;
}

function finds(pattern: string, text: string): boolean {
  return new RegExp(pattern.replaceAll("_", "(?:^|$|[ ,{}()[\\]])")).test(text);
}

/** Both as text: parts are equal, `*`, or in a range. */
function communityMatches(pattern: string, community: string): boolean {
  const canonical = parseCommunity(pattern);
  const want = canonical === undefined ? pattern : formatCommunity(canonical);
  if (want === community) return true;
  const value = parseCommunity(community);
  const have = (value === undefined ? community : `${value >>> 16}:${value & 0xffff}`).split(":");
  const parts = want.split(":");
  if (parts.length !== have.length || have[0] === "ext") return false;
  return parts.every((part, i) => {
    if (part === "*" || part === have[i] || `${part}L` === have[i]) return true;
    const [low, high] = part.split("-").map(Number);
    const number = Number(have[i].replace("L", ""));
    return high !== undefined && number >= low && number <= high;
  });
}

function neighborIn(
  set: { addresses: string[]; asns: number[]; peerGroups: string[] },
  context: OracleContext,
): boolean {
  if (set.asns.includes(context.asn) || (context.peerGroup && set.peerGroups.includes(context.peerGroup)))
    return true;
  return set.addresses.some((prefix) => hostIn(prefix, context.address));
}

function hostIn(prefixText: string, address: string): boolean {
  const bytes = parseIp(address);
  const host = parseIp(prefixText);
  if (!bytes) return false;
  if (host) return formatIp(host) === formatIp(bytes);
  const prefix = parsePrefix(prefixText);
  return typeof prefix !== "string" && prefixContains(prefix, bytes);
}
