/**
 * What statements ask. A `Match` compiles to three lists by what they read: the neighbor (one answer per binding), the
 * attributes (one answer per attribute set), and the route itself (one answer per route). They are asked in that
 * order, so that what must be asked anew for each route is asked last.
 */
import { assert } from "../base/assert.ts";
import { prefixContains } from "../base/ip.ts";
import type { Match } from "../gen/cairn/v1/policy_service_pb.ts";
import { familyByName } from "../wire/family.ts";
import type { AsPathSet } from "./as-path-set.ts";
import { compileAsPathSet } from "./as-path-set.ts";
import type { CommunitySet } from "./community-set.ts";
import { compileCommunitySet } from "./community-set.ts";
import type { Draft } from "./draft.ts";
import type { NeighborIdentity, NeighborSet } from "./neighbor-set.ts";
import { parseHostOrPrefix } from "./neighbor-set.ts";
import type { PrefixBounds, PrefixSet } from "./prefix-set.ts";
import { compilePrefixSet } from "./prefix-set.ts";
import type { RouteKey } from "./route-key.ts";
import { routeTypeNames } from "./route-key.ts";

/** Where compiled sets come from. */
export interface SetSource {
  prefixSet(name: string): PrefixSet;
  asPathSet(name: string): AsPathSet;
  communitySet(name: string): CommunitySet;
  neighborSet(name: string): NeighborSet;
}

interface Described {
  /** Field of `Match`, for example `prefix_sets`. */
  readonly field: string;
  /** What it wants, for people. */
  readonly text: string;
}

export interface NeighborCondition extends Described {
  holds(neighbor: NeighborIdentity): boolean;
}

export interface AttributeCondition extends Described {
  holds(draft: Draft): boolean;
}

/** Holds when one of the predicates does. Predicates are numbers in the chain's `PredicateTable`. */
export interface RouteCondition extends Described {
  readonly anyOf: readonly number[];
}

export interface Conditions {
  readonly neighbor: readonly NeighborCondition[];
  readonly attributes: readonly AttributeCondition[];
  readonly route: readonly RouteCondition[];
}

/** A question about the route itself. */
export interface RoutePredicate {
  readonly readsPrefix: boolean;
  matches(route: RouteKey): boolean;
}

/** The distinct route predicates of a chain: a set that ten statements name is asked once per route. */
export class PredicateTable {
  readonly rows: RoutePredicate[] = [];
  private readonly known = new Map<string, number>();

  /** The number of the predicate called `key`, made by `make` when it is new. */
  add(key: string, make: () => RoutePredicate): number {
    let index = this.known.get(key);
    if (index === undefined) {
      index = this.rows.push(make()) - 1;
      this.known.set(key, index);
    }
    return index;
  }

  /** The number of "is this an IPv6 route", which next-hop actions ask. */
  addIsIpv6(): number {
    return this.add("ipv6", () => ({
      readsPrefix: false,
      matches: (route) => route.family.addressBytes === 16,
    }));
  }
}

/** Compiles a checked match. */
export function compileMatch(
  match: Match | undefined,
  sets: SetSource,
  predicates: PredicateTable,
): Conditions {
  if (!match) return { neighbor: [], attributes: [], route: [] };
  const neighbor: NeighborCondition[] = [];
  if (match.neighborSets.length > 0) {
    const compiled = match.neighborSets.map((name) => sets.neighborSet(name));
    neighbor.push({
      field: "neighbor_sets",
      text: list(match.neighborSets),
      holds: (identity) => compiled.some((set) => set.matches(identity)),
    });
  }
  return {
    neighbor,
    attributes: [...numberConditions(match), ...asnConditions(match), ...decodedConditions(match, sets)],
    route: routeConditions(match, sets, predicates),
  };
}

function numberConditions(match: Match): AttributeCondition[] {
  const conditions: AttributeCondition[] = [];
  const bound = (
    field: string,
    limit: number | undefined,
    holds: (draft: Draft, limit: number) => boolean,
  ): void => {
    if (limit !== undefined)
      conditions.push({ field, text: String(limit), holds: (draft) => holds(draft, limit) });
  };
  bound("as_path_length_ge", match.asPathLengthGe, (draft, limit) => draft.pathLength >= limit);
  bound("as_path_length_le", match.asPathLengthLe, (draft, limit) => draft.pathLength <= limit);
  bound("local_pref_ge", match.localPrefGe, (draft, limit) => draft.localPref >= limit);
  bound("local_pref_le", match.localPrefLe, (draft, limit) => draft.localPref <= limit);
  bound("med_ge", match.medGe, (draft, limit) => draft.med >= limit);
  bound("med_le", match.medLe, (draft, limit) => draft.med <= limit);
  return conditions;
}

function asnConditions(match: Match): AttributeCondition[] {
  const conditions: AttributeCondition[] = [];
  const oneOf = (field: string, values: readonly number[], read: (draft: Draft) => number): void => {
    if (values.length === 0) return;
    const wanted = new Set(values);
    conditions.push({ field, text: list(values), holds: (draft) => wanted.has(read(draft)) });
  };
  oneOf("origins", match.origins, (draft) => draft.origin + 1);
  // AS 0 stands for "none" in the columns and can be no member: validation refuses it.
  oneOf("origin_asns", match.originAsns, (draft) => draft.originAs);
  oneOf("neighbor_asns", match.neighborAsns, (draft) => draft.neighborAs);
  if (match.passesAsns.length > 0) {
    const wanted = new Set(match.passesAsns);
    conditions.push({
      field: "passes_asns",
      text: list(match.passesAsns),
      holds: (draft) => draft.attributes.asPath.some(({ asns }) => asns.some((asn) => wanted.has(asn))),
    });
  }
  return conditions;
}

function decodedConditions(match: Match, sets: SetSource): AttributeCondition[] {
  const conditions: AttributeCondition[] = [];
  const paths = match.asPathSets.map((name) => sets.asPathSet(name));
  if (match.asPaths.length > 0) paths.push(compileAsPathSet(match.asPaths));
  if (paths.length > 0) {
    conditions.push({
      field: fieldOf("as_path_sets", match.asPathSets, "as_paths", match.asPaths),
      text: list([...match.asPathSets, ...match.asPaths]),
      holds: (draft) => paths.some((set) => set.matches(draft.pathText)),
    });
  }
  const communities = match.communitySets.map((name) => sets.communitySet(name));
  if (match.communities.length > 0) communities.push(compileCommunitySet(match.communities));
  if (communities.length > 0) {
    conditions.push({
      field: fieldOf("community_sets", match.communitySets, "communities", match.communities),
      text: list([...match.communitySets, ...match.communities]),
      holds: (draft) => communities.some((set) => set.matches(draft.attributes)),
    });
  }
  if (match.nextHops.length > 0) {
    const prefixes = match.nextHops.map(parseHostOrPrefix);
    conditions.push({
      field: "next_hops",
      text: list(match.nextHops),
      holds: (draft) => {
        const { nextHop } = draft.attributes;
        // Of the two addresses of RFC 2545, the global one counts.
        const address = nextHop.length === 32 ? nextHop.subarray(0, 16) : nextHop;
        return prefixes.some((prefix) => prefixContains(prefix, address));
      },
    });
  }
  return conditions;
}

function routeConditions(match: Match, sets: SetSource, predicates: PredicateTable): RouteCondition[] {
  const conditions: RouteCondition[] = [];
  if (match.families.length > 0) {
    const bits = match.families.reduce((mask, name) => mask | (1 << familyIndex(name)), 0);
    const matches = (route: RouteKey): boolean => ((bits >>> route.family.index) & 1) === 1;
    const index = predicates.add(`families ${bits}`, () => ({ readsPrefix: false, matches }));
    conditions.push({ field: "families", text: list(match.families), anyOf: [index] });
  }
  if (match.routeTypes.length > 0) {
    const bits = match.routeTypes.reduce((mask, name) => mask | (1 << routeTypeIndex(name)), 0);
    const matches = (route: RouteKey): boolean => ((bits >>> route.routeType) & 1) === 1;
    const index = predicates.add(`types ${bits}`, () => ({ readsPrefix: false, matches }));
    conditions.push({ field: "route_types", text: list(match.routeTypes), anyOf: [index] });
  }
  const prefixSets = match.prefixSets.map((name) =>
    predicates.add(`set ${name}`, () => prefixPredicate(sets.prefixSet(name))),
  );
  if (match.prefixes.length > 0) {
    const key = `inline ${match.prefixes.map(formatRule).join()}`;
    prefixSets.push(predicates.add(key, () => prefixPredicate(compilePrefixSet(match.prefixes))));
  }
  if (prefixSets.length > 0) {
    const rules = match.prefixes.map(formatRule);
    conditions.push({
      field: fieldOf("prefix_sets", match.prefixSets, "prefixes", rules),
      text: list([...match.prefixSets, ...rules]),
      anyOf: prefixSets,
    });
  }
  return conditions;
}

function prefixPredicate(set: PrefixSet): RoutePredicate {
  return { readsPrefix: true, matches: set.matches };
}

/** A rule as in a file: `10.0.0.0/8 ge 24 le 32`. */
function formatRule({ prefix, ge, le }: PrefixBounds): string {
  return `${prefix}${ge === undefined ? "" : ` ge ${ge}`}${le === undefined ? "" : ` le ${le}`}`;
}

function fieldOf(set: string, sets: readonly string[], inline: string, inlines: readonly unknown[]): string {
  if (sets.length === 0) return inline;
  return inlines.length === 0 ? set : `${set} or ${inline}`;
}

function list(values: readonly (string | number)[]): string {
  return values.length <= 5
    ? values.join(", ")
    : `${values.slice(0, 5).join(", ")} and ${values.length - 5} more`;
}

function familyIndex(name: string): number {
  const family = familyByName(name);
  assert(family, `unchecked family ${name}`);
  return family.index;
}

function routeTypeIndex(name: string): number {
  const index = (routeTypeNames as readonly string[]).indexOf(name);
  assert(index >= 0, `unchecked route type ${name}`);
  return index;
}
