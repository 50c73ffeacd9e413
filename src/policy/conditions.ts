/**
 * What statements ask. A `Match` compiles to three lists by what they read: the neighbor (one answer per binding), the
 * attributes (one answer per attribute set), and the route itself (one answer per route). They are asked in that
 * order, so that what must be asked anew for each route is asked last. What stands under `not` goes into the same lists
 * with its answer turned round.
 */
import { assert } from "../base/assert.ts";
import type { Match } from "../gen/cairn/v1/policy_service_pb.ts";
import { familyByName } from "../wire/family.ts";
import type { AddressSet } from "./address-set.ts";
import type { AsPathSet } from "./as-path-set.ts";
import type { AsnSet } from "./asn-set.ts";
import { attributeConditions } from "./attribute-conditions.ts";
import { bogonPrefixes } from "./bogons.ts";
import type { CommunitySet } from "./community-set.ts";
import type { Draft } from "./draft.ts";
import type { NeighborIdentity, NeighborSet } from "./neighbor-set.ts";
import { compileNeighborSet } from "./neighbor-set.ts";
import type { PathScanner } from "./path-scanner.ts";
import type { PrefixBounds, PrefixSet } from "./prefix-set.ts";
import { compilePrefixSet } from "./prefix-set.ts";
import type { RouteKey } from "./route-key.ts";
import { aspaStateNames, routeTypeNames, rpkiStateNames } from "./route-key.ts";
import type { AsnsRead, SessionAsns } from "./session-asns.ts";

/** Where compiled sets come from. */
export interface SetSource {
  /** The expressions of all AS-path conditions of the chain. */
  readonly paths: PathScanner;
  prefixSet(name: string): PrefixSet;
  asPathSet(name: string): AsPathSet;
  communitySet(name: string): CommunitySet;
  neighborSet(name: string): NeighborSet;
  asnSet(name: string): AsnSet;
  nextHopSet(name: string): AddressSet;
}

interface Described {
  /** Field of `Match`, for example `prefix_sets`; one under `not` has "not." before it. */
  readonly field: string;
  /** What it wants, for people. */
  readonly text: string;
}

export interface NeighborCondition extends Described {
  holds(neighbor: NeighborIdentity): boolean;
}

export interface AttributeCondition extends Described {
  holds(draft: Draft): boolean;
  /** For a condition that names AS numbers of the session by word: which, and the question once they are known. */
  readonly ofSession?: {
    readonly reads: AsnsRead;
    bind(asns: SessionAsns): (draft: Draft) => boolean;
  };
}

/** Holds when one of the predicates does, or with `negated` when none does. Predicates are numbers in the chain's `PredicateTable`. */
export interface RouteCondition extends Described {
  readonly anyOf: readonly number[];
  readonly negated: boolean;
}

export interface Conditions {
  readonly neighbor: readonly NeighborCondition[];
  readonly attributes: readonly AttributeCondition[];
  readonly route: readonly RouteCondition[];
}

/** A question about the route itself. */
export interface RoutePredicate {
  readonly readsPrefix: boolean;
  /** State of validation that it asks for. */
  readonly readsState?: "rpki" | "aspa";
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
  const asked: Conditions = {
    neighbor: neighborConditions(match, sets),
    attributes: attributeConditions(match, sets),
    route: routeConditions(match, sets, predicates),
  };
  if (!match.not) return asked;
  const unwanted = compileMatch(match.not, sets, predicates);
  const negated = ({ field }: Described): string => `not.${field}`;
  return {
    neighbor: [
      ...asked.neighbor,
      ...unwanted.neighbor.map((condition) => ({
        ...condition,
        field: negated(condition),
        holds: (identity: NeighborIdentity) => !condition.holds(identity),
      })),
    ],
    attributes: [...asked.attributes, ...unwanted.attributes.map(turnedRound)],
    route: [
      ...asked.route,
      ...unwanted.route.map((condition) => ({
        ...condition,
        field: negated(condition),
        negated: !condition.negated,
      })),
    ],
  };
}

function turnedRound(condition: AttributeCondition): AttributeCondition {
  const { field, text, ofSession } = condition;
  const turned = { field: `not.${field}`, text, holds: (draft: Draft) => !condition.holds(draft) };
  if (!ofSession) return turned;
  return {
    ...turned,
    ofSession: {
      reads: ofSession.reads,
      bind(asns) {
        const holds = ofSession.bind(asns);
        return (draft) => !holds(draft);
      },
    },
  };
}

function neighborConditions(match: Match, sets: SetSource): NeighborCondition[] {
  const conditions: NeighborCondition[] = [];
  const compiled = match.neighborSets.map((name) => sets.neighborSet(name));
  if (match.neighbors.length > 0) {
    compiled.push(compileNeighborSet({ addresses: match.neighbors, asns: [], peerGroups: [] }));
  }
  if (compiled.length > 0) {
    conditions.push({
      field: fieldOf("neighbor_sets", match.neighborSets, "neighbors", match.neighbors),
      text: list([...match.neighborSets, ...match.neighbors]),
      holds: (identity) => compiled.some((set) => set.matches(identity)),
    });
  }
  if (match.peerGroups.length > 0) {
    const groups = new Set(match.peerGroups);
    conditions.push({
      field: "peer_groups",
      text: list(match.peerGroups),
      holds: (identity) => identity.peerGroup !== "" && groups.has(identity.peerGroup),
    });
  }
  return conditions;
}

function routeConditions(match: Match, sets: SetSource, predicates: PredicateTable): RouteCondition[] {
  const conditions: RouteCondition[] = [];
  const named = (
    field: string,
    wanted: readonly string[],
    indexOf: (name: string) => number,
    readsPrefix: boolean,
    read: (route: RouteKey) => number,
    readsState?: "rpki" | "aspa",
  ): void => {
    if (wanted.length === 0) return;
    const bits = wanted.reduce((mask, name) => mask | (1 << indexOf(name)), 0);
    const matches = (route: RouteKey): boolean => ((bits >>> read(route)) & 1) === 1;
    const index = predicates.add(`${field} ${bits}`, () => ({
      readsPrefix,
      matches,
      ...(readsState && { readsState }),
    }));
    conditions.push({ field, text: list(wanted), anyOf: [index], negated: false });
  };
  const yesNo = (field: string, wanted: boolean | undefined, predicate: RoutePredicate): void => {
    if (wanted === undefined) return;
    const index = predicates.add(field, () => predicate);
    conditions.push({ field, text: wanted ? "yes" : "no", anyOf: [index], negated: !wanted });
  };
  named("families", match.families, familyIndex, false, (route) => route.family.index);
  named("route_types", match.routeTypes, nameIndex(routeTypeNames), false, (route) => route.routeType);
  // An origin is valid for a prefix; a path is valid for all prefixes that share it.
  named("rpki_states", match.rpkiStates, nameIndex(rpkiStateNames), true, (route) => route.rpki, "rpki");
  named("aspa_states", match.aspaStates, nameIndex(aspaStateNames), false, (route) => route.aspa, "aspa");
  yesNo("is_default", match.isDefault, { readsPrefix: true, matches: (route) => route.length === 0 });
  yesNo("is_bogon", match.isBogon, prefixPredicate(bogonPrefixes));
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
      negated: false,
    });
  }
  return conditions;
}

function prefixPredicate(set: PrefixSet): RoutePredicate {
  return { readsPrefix: true, matches: set.matches };
}

/** A rule as in a file: `10.0.0.0/8 ge 24 le 32`, `10.0.0.0/8-` for what is around it. */
export function formatRule({ prefix, ge, le, covering }: PrefixBounds): string {
  return `${prefix}${covering ? "-" : ""}${ge === undefined ? "" : ` ge ${ge}`}${le === undefined ? "" : ` le ${le}`}`;
}

/** The field to name for a condition that has a set form and an inline form. */
export function fieldOf(
  set: string,
  sets: readonly string[],
  inline: string,
  inlines: readonly unknown[],
): string {
  if (sets.length === 0) return inline;
  return inlines.length === 0 ? set : `${set} or ${inline}`;
}

/** Values for people: the first few. */
export function list(values: readonly (string | number)[]): string {
  return values.length <= 5
    ? values.join(", ")
    : `${values.slice(0, 5).join(", ")} and ${values.length - 5} more`;
}

function familyIndex(name: string): number {
  const family = familyByName(name);
  assert(family, `unchecked family ${name}`);
  return family.index;
}

function nameIndex(names: readonly string[]): (name: string) => number {
  return (name) => {
    const index = names.indexOf(name);
    assert(index >= 0, `unchecked name ${name}`);
    return index;
  };
}
