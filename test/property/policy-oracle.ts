/**
 * Policy by the book: a straight reading of docs/policy.md over plain values, with no sets, no sharing and no memory.
 * The engine must agree with it.
 */
import { formatIp, parseIp, parsePrefix, prefixContains } from "../../src/base/ip.ts";
import type { Match, PolicySpec, SetActions } from "../../src/gen/cairn/v1/policy_service_pb.ts";
import { PolicyAction } from "../../src/gen/cairn/v1/policy_service_pb.ts";
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
}

/** The outgoing attributes; undefined when the chain rejects. `attributes` is the oracle's to change. */
export function runOracle(
  chain: readonly PolicySpec[],
  sets: OracleSets,
  context: OracleContext,
  route: OracleRoute,
  attributes: PathAttributes,
): PathAttributes | undefined {
  for (const policy of chain) {
    for (const { match, set, action } of policy.statements) {
      if (match && !matches(match, sets, context, route, attributes)) continue;
      if (set) change(set, context, route, attributes);
      if (action === PolicyAction.ACCEPT) return attributes;
      if (action === PolicyAction.REJECT) return undefined;
    }
    if (policy.defaultAction === PolicyAction.ACCEPT) return attributes;
    if (policy.defaultAction === PolicyAction.REJECT) return undefined;
  }
  return undefined;
}

function matches(
  m: Match,
  sets: OracleSets,
  context: OracleContext,
  route: OracleRoute,
  a: PathAttributes,
): boolean {
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
  const asked: boolean[] = [
    m.prefixSets.length + m.prefixes.length === 0 || rules.some((rule) => underRule(rule, route.prefix)),
    m.asPathSets.length + m.asPaths.length === 0 || paths.some((pattern) => finds(pattern, text)),
    m.communitySets.length + m.communities.length === 0 ||
      wanted.some((pattern) => carried.some((community) => communityMatches(pattern, community))),
    m.neighborSets.length === 0 ||
      m.neighborSets.some((name) => neighborIn(sets.neighbors.get(name)!, context)),
    m.asPathLengthGe === undefined || length >= m.asPathLengthGe,
    m.asPathLengthLe === undefined || length <= m.asPathLengthLe,
    m.localPrefGe === undefined || localPref >= m.localPrefGe,
    m.localPrefLe === undefined || localPref <= m.localPrefLe,
    m.medGe === undefined || med >= m.medGe,
    m.medLe === undefined || med <= m.medLe,
    m.origins.length === 0 || m.origins.some((origin) => origin === a.origin + 1),
    m.nextHops.length === 0 ||
      m.nextHops.some((prefix) => hostIn(prefix, formatIp(a.nextHop, 0, Math.min(16, a.nextHop.length)))),
    m.routeTypes.length === 0 || m.routeTypes.includes(route.type),
    m.families.length === 0 || m.families.includes(isIpv6 ? "ipv6-unicast" : "ipv4-unicast"),
    m.originAsns.length === 0 || (last !== undefined && m.originAsns.includes(last)),
    m.neighborAsns.length === 0 || (first !== undefined && m.neighborAsns.includes(first)),
    m.passesAsns.length === 0 || a.asPath.some(({ asns }) => asns.some((asn) => m.passesAsns.includes(asn))),
  ];
  return asked.every(Boolean);
}

function change(set: SetActions, context: OracleContext, route: OracleRoute, a: PathAttributes): void {
  if (set.localPref !== undefined) a.localPref = set.localPref;
  if (set.med !== undefined) a.med = set.med;
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
  replaceAddRemove(set, a);
  if (!set.prepend) return;
  for (let i = 0; i < set.prepend.count; i++) {
    if (a.asPath[0]?.type !== SegmentType.sequence)
      a.asPath.unshift({ type: SegmentType.sequence, asns: [] });
    a.asPath[0].asns.unshift(set.prepend.asn || context.localAs);
  }
}

function replaceAddRemove(set: SetActions, a: PathAttributes): void {
  const kinds = (texts: readonly string[]) => ({
    standard: texts.map(parseCommunity).filter((value) => value !== undefined),
    extended: texts.map(parseExtendedCommunity).filter((value) => value !== undefined),
    large: texts.map(parseLargeCommunity).filter((value) => value !== undefined),
  });
  const replace = kinds(set.communitiesReplace);
  if (replace.standard.length > 0) a.communities = [];
  if (replace.extended.length > 0) a.extendedCommunities = [];
  if (replace.large.length > 0) a.largeCommunities = [];
  const add = kinds([...set.communitiesReplace, ...set.communitiesAdd]);
  for (const value of add.standard) if (!a.communities.includes(value)) a.communities.push(value);
  for (const value of add.extended)
    if (!a.extendedCommunities.includes(value)) a.extendedCommunities.push(value);
  for (const value of add.large) {
    if (!a.largeCommunities.some((known) => known.join() === value.join())) a.largeCommunities.push(value);
  }
  const kept = (text: string): boolean =>
    !set.communitiesRemove.some((pattern) => communityMatches(pattern, text));
  a.communities = a.communities.filter((value) => kept(formatCommunity(value)));
  a.extendedCommunities = a.extendedCommunities.filter((value) => kept(formatExtendedCommunity(value)));
  a.largeCommunities = a.largeCommunities.filter((value) => kept(formatLargeCommunity(value)));
}

function underRule(rule: Match["prefixes"][number], text: string): boolean {
  const outer = parsePrefix(rule.prefix);
  const inner = parsePrefix(text);
  if (typeof outer === "string" || typeof inner === "string") throw new Error("bad prefix in a test");
  const longest = outer.bytes.length * 8;
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
