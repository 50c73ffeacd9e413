/**
 * From specs to something that runs. A chain is compiled once for all neighbors that name it (`compileChain`), then
 * bound to what is constant for one of them (`Program`); bindings that cannot differ are one. A policy that is called
 * several times is compiled once.
 */
import { assert } from "../base/assert.ts";
import type { PolicySpec, Statement } from "../gen/cairn/v1/policy_service_pb.ts";
import { PolicyAction } from "../gen/cairn/v1/policy_service_pb.ts";
import type { Actions, Direction } from "./actions.ts";
import { compileActions } from "./actions.ts";
import type { AddressSet } from "./address-set.ts";
import type { AsPathSet } from "./as-path-set.ts";
import type { AsnSet } from "./asn-set.ts";
import type { CommunitySet } from "./community-set.ts";
import type { Conditions, RoutePredicate, SetSource } from "./conditions.ts";
import { compileMatch, PredicateTable } from "./conditions.ts";
import type { NeighborSet } from "./neighbor-set.ts";
import { PathScanner } from "./path-scanner.ts";
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
  asnSet(name: string): AsnSet | undefined;
  nextHopSet(name: string): AddressSet | undefined;
}

export interface CompiledStatement extends Conditions {
  /** Number in the chain. */
  readonly index: number;
  /** Position in its policy, from 0. */
  readonly position: number;
  readonly name: string;
  /** Number of the actions in the chain's table; -1 for none. */
  readonly actions: number;
  /** Policy that is run between the changes and the action. */
  readonly call: CompiledPolicy | undefined;
  readonly action: PolicyAction;
}

export interface CompiledPolicy {
  /** Number in the chain's `policies`. */
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
  /** The policies in the order in which they are asked. */
  readonly order: readonly CompiledPolicy[];
  /** What becomes of a route that none of them decided: accept or reject. */
  readonly defaultAction: PolicyAction;
  /** Every policy inside, called ones too, by index. */
  readonly policies: readonly CompiledPolicy[];
  readonly statementCount: number;
  readonly predicates: readonly RoutePredicate[];
  /** Predicate that tells IPv6 routes; -1 when no action needs it. */
  readonly isIpv6: number;
  readonly actions: readonly Actions[];
  /** Finds what the conditions on AS paths look for. */
  readonly paths: PathScanner;
  /** True when some condition reads the prefix: else routes of one attribute set, family and type fare alike. */
  readonly usesPrefix: boolean;
  /** True when some condition asks for the state of the origin, or of the AS path. */
  readonly readsRpki: boolean;
  readonly readsAspa: boolean;
  /** `KIND/NAME` of every policy and set inside; when one of them changes, the chain must be compiled again. */
  readonly uses: ReadonlySet<string>;
}

/**
 * Compiles the policies called `names`, in this order. All specs have been checked, all they name exists, and no
 * policy calls itself, however far round.
 */
export function compileChain(
  names: readonly string[],
  library: ChainSource,
  direction: Direction,
  defaultAction: PolicyAction = PolicyAction.REJECT,
): Chain {
  const compiler = new ChainCompiler(library, direction);
  const order = names.map((name) => compiler.policy(name));
  const { actions, predicates, policies, statementCount, uses } = compiler;
  const isIpv6 = actions.rows.some((row) => row.readsFamily) ? predicates.addIsIpv6() : -1;
  return {
    names: [...names],
    direction,
    order,
    defaultAction,
    policies,
    statementCount,
    predicates: predicates.rows,
    isIpv6,
    actions: actions.rows,
    paths: compiler.paths,
    usesPrefix: predicates.rows.some((predicate) => predicate.readsPrefix),
    readsRpki: predicates.rows.some((predicate) => predicate.readsState === "rpki"),
    readsAspa: predicates.rows.some((predicate) => predicate.readsState === "aspa"),
    uses,
  };
}

class ChainCompiler {
  readonly uses = new Set<string>();
  readonly paths = new PathScanner();
  readonly predicates = new PredicateTable();
  readonly actions: ActionTable;
  readonly policies: CompiledPolicy[] = [];
  statementCount = 0;
  private readonly library: ChainSource;
  private readonly sets: SetSource;
  private readonly known = new Map<string, CompiledPolicy>();
  private readonly underWay = new Set<string>();

  constructor(library: ChainSource, direction: Direction) {
    this.library = library;
    this.sets = trackedSets(library, this.uses, this.paths);
    this.actions = new ActionTable(direction, this.sets);
  }

  policy(name: string): CompiledPolicy {
    const known = this.known.get(name);
    if (known) return known;
    assert(!this.underWay.has(name), `policy ${name} calls itself`);
    this.underWay.add(name);
    const spec = found(this.library.policy(name), "Policy", name, this.uses);
    const statements = spec.statements.map((statement, position) => this.statement(statement, position));
    this.underWay.delete(name);
    const index = this.policies.length;
    const counters = this.library.counters(name);
    const compiled = { index, name, statements, defaultAction: spec.defaultAction, counters };
    this.policies.push(compiled);
    this.known.set(name, compiled);
    return compiled;
  }

  private statement(statement: Statement, position: number): CompiledStatement {
    return {
      ...compileMatch(statement.match, this.sets, this.predicates),
      index: this.statementCount++,
      position,
      name: statement.name,
      actions: this.actions.add(statement),
      call: statement.call === "" ? undefined : this.policy(statement.call),
      action: statement.action,
    };
  }
}

/** Distinct actions of a chain, so that statements which do the same share remembered results. */
class ActionTable {
  readonly rows: Actions[] = [];
  private readonly direction: Direction;
  private readonly sets: SetSource;
  private readonly known = new Map<string, number>();

  constructor(direction: Direction, sets: SetSource) {
    this.direction = direction;
    this.sets = sets;
  }

  add({ set, action, call }: Statement): number {
    // What a rejecting statement sets is never seen, unless by a policy that it calls; validation says so.
    if (!set || (action === PolicyAction.REJECT && call === "")) return -1;
    const compiled = compileActions(set, this.direction, this.sets);
    let index = this.known.get(compiled.key);
    if (index === undefined) {
      index = this.rows.push(compiled) - 1;
      this.known.set(compiled.key, index);
    }
    return index;
  }
}

function trackedSets(library: ChainSource, uses: Set<string>, paths: PathScanner): SetSource {
  return {
    paths,
    prefixSet: (name) => found(library.prefixSet(name), "PrefixSet", name, uses),
    asPathSet: (name) => found(library.asPathSet(name), "AsPathSet", name, uses),
    communitySet: (name) => found(library.communitySet(name), "CommunitySet", name, uses),
    neighborSet: (name) => found(library.neighborSet(name), "NeighborSet", name, uses),
    asnSet: (name) => found(library.asnSet(name), "AsnSet", name, uses),
    nextHopSet: (name) => found(library.nextHopSet(name), "NextHopSet", name, uses),
  };
}

function found<T>(value: T | undefined, kind: string, name: string, uses: Set<string>): T {
  assert(value !== undefined, `no ${kind}/${name}`);
  uses.add(`${kind}/${name}`);
  return value;
}
