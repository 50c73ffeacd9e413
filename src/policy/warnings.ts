/**
 * What a policy may say but hardly means: statements that no route can reach, conditions that never hold, changes
 * without effect. Only what is certain is told, as problems with severity `warning`.
 */
import { equals, type Message } from "@bufbuild/protobuf";
import { parsePrefix } from "../base/ip.ts";
import type { Problem } from "../base/problem.ts";
import type { GlobalSpec } from "../gen/cairn/v1/global_service_pb.ts";
import type { CommunitySetSpec, Match, PolicySpec, Statement } from "../gen/cairn/v1/policy_service_pb.ts";
import { MatchSchema, PolicyAction } from "../gen/cairn/v1/policy_service_pb.ts";
import { checkCommunity } from "./community-set.ts";
import { AsnsRead, asnsReadBy } from "./session-asns.ts";

/** Finds other objects as they would be; undefined when there is no such object. */
export type SpecLookup = (kind: string, name: string) => Message | undefined;

/** Warnings about a policy that is not wrong. Paths are inside the spec. */
export function policyWarnings(spec: PolicySpec, lookup: SpecLookup): Problem[] {
  const warnings: Problem[] = [];
  const decides = (name: string): boolean => alwaysDecides(lookup("Policy", name) as PolicySpec | undefined);
  pushUnreachable(spec, decides, warnings);
  spec.statements.forEach((statement, i) => {
    const path = `statements[${i}]`;
    if (statement.match) pushNeverHolds(`${path}.match`, statement.match, lookup, warnings);
    pushWithoutEffect(path, statement, lookup, warnings);
    if (statement.call !== "" && takesAway(statement) && decides(statement.call)) {
      warnings.push(
        warning(`${path}.action`, `policy ${statement.call} decides every route, so this action never does`),
      );
    }
  });
  return warnings;
}

function warning(path: string, message: string, fix?: string): Problem {
  return { severity: "warning", code: "SUSPECT", path, message, ...(fix ? { fix } : {}) };
}

/** True when no route comes back undecided from a policy. */
function alwaysDecides(spec: PolicySpec | undefined): boolean {
  if (!spec || spec.defaultAction === PolicyAction.UNSPECIFIED) return false;
  return spec.statements.every(({ action }) => action !== PolicyAction.NEXT_POLICY);
}

function pushUnreachable(spec: PolicySpec, decides: (policy: string) => boolean, warnings: Problem[]): void {
  /** Statements that take all their routes away, while nothing has changed the routes that are left. */
  let takers: { readonly match: Match; readonly position: number }[] = [];
  let all: number | undefined;
  spec.statements.forEach((statement, i) => {
    const { match, call } = statement;
    const path = `statements[${i}]`;
    if (all !== undefined) {
      warnings.push(warning(path, `no route gets here: statement ${all + 1} takes them all`));
      return;
    }
    const same = match && takers.find((taker) => equals(MatchSchema, taker.match, match));
    if (same) {
      const message = `no route matches here: statement ${same.position + 1} takes those already`;
      warnings.push(warning(path, message));
    } else if (takesAway(statement) || (call !== "" && decides(call))) {
      if (asksNothing(match)) all = i;
      else if (match) takers.push({ match, position: i });
    } else if (statement.set || call !== "") takers = [];
  });
}

function takesAway({ action }: Statement): boolean {
  return (
    action === PolicyAction.ACCEPT || action === PolicyAction.REJECT || action === PolicyAction.NEXT_POLICY
  );
}

function asksNothing(match: Match | undefined): boolean {
  if (!match) return true;
  return Object.entries(match).every(
    ([field, value]) =>
      field === "$typeName" || value === undefined || (Array.isArray(value) && value.length === 0),
  );
}

/** Conditions of which one value is enough: names of sets, the kind and list of the sets, inline values. */
const conditionsOverSets = [
  ["prefix_sets", "PrefixSet", "prefixSets", ["prefixes"], ["prefixes"]],
  ["as_path_sets", "AsPathSet", "asPathSets", ["patterns"], ["asPaths"]],
  ["community_sets", "CommunitySet", "communitySets", ["communities"], ["communities"]],
  ["neighbor_sets", "NeighborSet", "neighborSets", ["addresses", "asns", "peerGroups"], ["neighbors"]],
  ["next_hop_sets", "NextHopSet", "nextHopSets", ["addresses"], ["nextHops"]],
  ["origin_asn_sets", "AsnSet", "originAsnSets", ["asns"], ["originAsns"]],
  ["passes_asn_sets", "AsnSet", "passesAsnSets", ["asns"], ["passesAsns"]],
  ["neighbor_asn_sets", "AsnSet", "neighborAsnSets", ["asns"], ["neighborAsns"]],
] as const;

function pushNeverHolds(path: string, match: Match, lookup: SpecLookup, warnings: Problem[]): void {
  const never = (field: string, message: string, fix?: string): void => {
    warnings.push(warning(`${path}.${field}`, `${message}, so the statement never matches`, fix));
  };
  for (const [field, kind, sets, lists, [inline]] of conditionsOverSets) {
    const names: readonly string[] = match[sets];
    if (names.length === 0 || match[inline].length > 0) continue;
    const isEmpty = (name: string): boolean => {
      const spec = lookup(kind, name) as unknown as Record<string, unknown[]> | undefined;
      return spec !== undefined && lists.every((list) => spec[list].length === 0);
    };
    if (names.every(isEmpty)) never(field, `${names.join(", ")} ${names.length === 1 ? "is" : "are"} empty`);
  }
  if (match.isDefault && match.isBogon) never("is_bogon", "the default route is no bogon");
  if (match.isDefault && match.prefixSets.length === 0 && match.prefixes.length > 0) {
    const admitted = match.prefixes.some(({ prefix, covering, ge }) =>
      covering ? (ge ?? 0) === 0 : prefix.endsWith("/0") && (ge ?? 0) === 0,
    );
    if (!admitted) never("prefixes", "none of these is the default route, which is_default asks for");
  }
  const [only] = [...new Set(match.families.map((name) => (name.startsWith("ipv6") ? 16 : 4)))];
  const mixed = match.families.some((name) => (name.startsWith("ipv6") ? 16 : 4) !== only);
  if (only && !mixed && match.prefixSets.length === 0 && match.prefixes.length > 0) {
    const others = match.prefixes.every(({ prefix }) => {
      const parsed = parsePrefix(prefix);
      return typeof parsed !== "string" && parsed.bytes.length !== only;
    });
    if (others) never("prefixes", "none of these is of the families that are asked for");
  }
  if (match.asPathLengthLe === 0) {
    const asns = [...match.originAsns, ...match.neighborAsns];
    const sets = [...match.originAsnSets, ...match.neighborAsnSets];
    if (asns.length + sets.length > 0)
      never("as_path_length_le", "a path of length 0 has no first and last AS");
  }
  if (match.communitiesCountLe === 0) {
    const wanted = [...match.communities, ...match.communitySets, ...match.communitiesAll];
    if (wanted.length > 0) never("communities_count_le", "a route without communities has none of those");
  }
  if (match.not) pushContradictions(path, match, match.not, warnings);
  pushUnfit(path, [...match.communities, ...match.communitiesAll], lookup, warnings);
}

/** Conditions that stand with and without `not`. */
function pushContradictions(path: string, match: Match, not: Match, warnings: Problem[]): void {
  for (const { name, localName } of MatchSchema.fields) {
    if (localName === "not") continue;
    const asked = JSON.stringify(match[localName as keyof Match]);
    const denied = JSON.stringify(not[localName as keyof Match]);
    if (asked === denied && asked !== undefined && asked !== "[]") {
      warnings.push(
        warning(`${path}.not.${name}`, `${name} is asked for and ruled out, so the statement never matches`),
      );
    }
  }
}

/** Standard communities with own-asn where our AS number has four octets. */
function pushUnfit(path: string, texts: readonly string[], lookup: SpecLookup, warnings: Problem[]): void {
  const own = (lookup("Global", "global") as GlobalSpec | undefined)?.asn ?? 0;
  if (own <= 0xffff) return;
  for (const text of texts) {
    const isStandard = text.split(":").length === 2;
    if (!isStandard || (asnsReadBy([text]) & AsnsRead.own) === 0) continue;
    const message = `our AS number ${own} does not fit "${text}", which means nothing here`;
    warnings.push(warning(path, message, "use a large community"));
  }
}

function pushWithoutEffect(
  path: string,
  { match, set }: Statement,
  lookup: SpecLookup,
  warnings: Problem[],
): void {
  if (!set) return;
  const adders = [
    ["communities_add_sets", set.communitiesAddSets],
    ["communities_replace_sets", set.communitiesReplaceSets],
  ] as const;
  for (const [field, names] of adders) {
    names.forEach((name, i) => {
      const spec = lookup("CommunitySet", name) as CommunitySetSpec | undefined;
      const pattern = spec?.communities.find((text) => checkCommunity(text) !== undefined);
      if (pattern === undefined) return;
      const message = `"${pattern}" in ${name} is a pattern, which cannot be set and is passed over`;
      warnings.push(warning(`${path}.set.${field}[${i}]`, message));
    });
  }
  pushUnfit(`${path}.set`, [...set.communitiesAdd, ...set.communitiesReplace], lookup, warnings);
  const hop = set.nextHop ?? "";
  const families = match?.families ?? [];
  const isAddress = hop.includes(":") || hop.includes(".");
  const foreign = (family: string): boolean => family.startsWith("ipv6") !== hop.includes(":");
  if (isAddress && families.length > 0 && families.every(foreign)) {
    const message = `${hop} is no next hop for routes of ${families.join(", ")}, which are left as they are`;
    warnings.push(warning(`${path}.set.next_hop`, message));
  }
}
