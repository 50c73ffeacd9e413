/**
 * From specs to something that runs. A chain is compiled once for all neighbors that name it (`compileChain`), then
 * bound to what is constant for one of them (`bindChain` in `program.ts`); bindings that cannot differ are one.
 */
import { assert } from "../base/assert.ts";
import type { PolicySpec, Statement } from "../gen/cairn/v1/policy_service_pb.ts";
import { PolicyAction } from "../gen/cairn/v1/policy_service_pb.ts";
import type { Actions, Direction } from "./actions.ts";
import { compileActions } from "./actions.ts";
import type { AsPathSet } from "./as-path-set.ts";
import type { CommunitySet } from "./community-set.ts";
import type { Conditions, RoutePredicate, SetSource } from "./conditions.ts";
import { compileMatch, PredicateTable } from "./conditions.ts";
import type { NeighborSet } from "./neighbor-set.ts";
import type { PrefixSet } from "./prefix-set.ts";

/** Specs and compiled sets by name. Undefined: there is no such object. */
export interface ChainSource {
  policy(name: string): PolicySpec | undefined;
  /** How often each statement of the policy matched, and last its default action decided. Written to. */
  counters(name: string): Float64Array;
  prefixSet(name: string): PrefixSet | undefined;
  asPathSet(name: string): AsPathSet | undefined;
  communitySet(name: string): CommunitySet | undefined;
  neighborSet(name: string): NeighborSet | undefined;
}

export interface CompiledStatement extends Conditions {
  /** Number in the chain. */
  readonly index: number;
  /** Position in its policy, from 0. */
  readonly position: number;
  readonly name: string;
  /** Number of the actions in the chain's table; -1 for none. */
  readonly actions: number;
  readonly action: PolicyAction;
}

export interface CompiledPolicy {
  readonly index: number;
  readonly name: string;
  readonly statements: readonly CompiledStatement[];
  readonly defaultAction: PolicyAction;
  readonly counters: Float64Array;
}

/** A compiled chain, bound to no neighbor yet. Immutable. */
export interface Chain {
  readonly names: readonly string[];
  readonly direction: Direction;
  readonly policies: readonly CompiledPolicy[];
  readonly statementCount: number;
  readonly predicates: readonly RoutePredicate[];
  /** Predicate that tells IPv6 routes; -1 when no action needs it. */
  readonly isIpv6: number;
  readonly actions: readonly Actions[];
  /** True when some condition reads the prefix: else routes of one attribute set, family and type fare alike. */
  readonly usesPrefix: boolean;
  /** `KIND/NAME` of every policy and set inside; when one of them changes, the chain must be compiled again. */
  readonly uses: ReadonlySet<string>;
}

/** Compiles the policies called `names`, in this order. All specs have been checked, and all they name exists. */
export function compileChain(names: readonly string[], library: ChainSource, direction: Direction): Chain {
  const uses = new Set<string>();
  const sets = trackedSets(library, uses);
  const predicates = new PredicateTable();
  const actions = new ActionTable(direction);
  let statementCount = 0;
  const policies = names.map((name, index): CompiledPolicy => {
    const spec = found(library.policy(name), "Policy", name, uses);
    const compileOne = (statement: Statement, position: number): CompiledStatement => ({
      ...compileMatch(statement.match, sets, predicates),
      index: statementCount++,
      position,
      name: statement.name,
      actions: actions.add(statement),
      action: statement.action,
    });
    const statements = spec.statements.map(compileOne);
    return { index, name, statements, defaultAction: spec.defaultAction, counters: library.counters(name) };
  });
  const isIpv6 = actions.rows.some((row) => row.readsFamily) ? predicates.addIsIpv6() : -1;
  return {
    names: [...names],
    direction,
    policies,
    statementCount,
    predicates: predicates.rows,
    isIpv6,
    actions: actions.rows,
    usesPrefix: predicates.rows.some((predicate) => predicate.readsPrefix),
    uses,
  };
}

/** Distinct actions of a chain, so that statements which do the same share remembered results. */
class ActionTable {
  readonly rows: Actions[] = [];
  private readonly direction: Direction;
  private readonly known = new Map<string, number>();

  constructor(direction: Direction) {
    this.direction = direction;
  }

  add({ set, action }: Statement): number {
    // What a rejecting statement sets is never seen; validation says so.
    if (!set || action === PolicyAction.REJECT) return -1;
    const compiled = compileActions(set, this.direction);
    let index = this.known.get(compiled.key);
    if (index === undefined) {
      index = this.rows.push(compiled) - 1;
      this.known.set(compiled.key, index);
    }
    return index;
  }
}

function trackedSets(library: ChainSource, uses: Set<string>): SetSource {
  return {
    prefixSet: (name) => found(library.prefixSet(name), "PrefixSet", name, uses),
    asPathSet: (name) => found(library.asPathSet(name), "AsPathSet", name, uses),
    communitySet: (name) => found(library.communitySet(name), "CommunitySet", name, uses),
    neighborSet: (name) => found(library.neighborSet(name), "NeighborSet", name, uses),
  };
}

function found<T>(value: T | undefined, kind: string, name: string, uses: Set<string>): T {
  assert(value !== undefined, `no ${kind}/${name}`);
  uses.add(`${kind}/${name}`);
  return value;
}
