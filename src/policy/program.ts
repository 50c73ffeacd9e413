/**
 * Evaluation. A program is a chain bound to one context and one attribute table. `evaluate` follows the remembered
 * decision graph (memo.ts); where the graph ends, the interpreter below walks the statements once and extends it. The
 * same interpreter, watched, gives explanations: what is explained is what runs.
 *
 * Chain semantics: statements in order; the first that matches and accepts or rejects decides for the whole chain. One
 * without an action changes the route and goes on; later conditions see the changed route. A statement may call another
 * policy, which decides for the chain too, or goes back undecided; `next policy` leaves the policy it stands in. A
 * policy whose statements do not decide does what its default action says; without one the next policy goes on. A
 * chain that ends undecided does what its own default action says, which is reject unless told otherwise. A chain without policies rejects too: what the absence of policy means (RFC 8212)
 * is for the caller to say.
 */
import { assert } from "../base/assert.ts";
import { PolicyAction } from "../gen/cairn/v1/policy_service_pb.ts";
import type { PathAttributes } from "../wire/path-attributes.ts";
import type { Actions, PolicyContext } from "./actions.ts";
import { asnsOf, NextHopVerdict } from "./actions.ts";
import type { AttributeTable } from "./attribute-table.ts";
import type { Chain, CompiledPolicy, CompiledStatement } from "./compile.ts";
import type { AttributeCondition, RouteCondition } from "./conditions.ts";
import { Draft } from "./draft.ts";
import type { MemoLimits } from "./memo.ts";
import { Memo, memoLimits, REJECTED, UNCHANGED } from "./memo.ts";
import type { RouteKey } from "./route-key.ts";
import { asnsKey } from "./session-asns.ts";
import { TRAIL_START, Trails } from "./trails.ts";

/** Told what the interpreter does, step by step. */
export interface Watcher {
  statement(policy: CompiledPolicy, statement: CompiledStatement): void;
  condition(field: string, text: string, holds: boolean): void;
  /** The statement matched and its actions were made. */
  changed(before: PathAttributes, after: PathAttributes): void;
  /** `statement` is absent for a default action, both are for the end of the chain. */
  decided(accepted: boolean, policy?: CompiledPolicy, statement?: CompiledStatement): void;
  /** The accepted route's attributes fit no message. */
  tooLarge(): void;
  /** So many statements were looked at that the route is rejected. */
  tooLong(statements: number): void;
}

/** Distinct lists of matched statements, and of changes, after which a program starts to remember anew. */
const TRAILS_MAX = 1 << 16;

/** Statements looked at for one route, after which it is rejected: calls of calls could come to any number. */
const STATEMENTS_PER_ROUTE_MAX = 1 << 20;

/** What a policy, or a chain, makes of a route. */
const Decision = { none: 0, accept: 1, reject: 2 } as const;
type Decision = (typeof Decision)[keyof typeof Decision];

/** Where the next reference of the graph is to be written: a root, or a side of a node. */
const Link = { root: 0, yes: 1, no: 2 } as const;

export class Program {
  readonly chain: Chain;
  /** See `Chain.usesPrefix`. */
  readonly usesPrefix: boolean;
  /** What the last `evaluate` that accepted said about the next hop. */
  nextHop: NextHopVerdict = NextHopVerdict.unset;

  /** Whether evaluations add to the hit counters. */
  counting = true;

  private readonly table: AttributeTable;
  private readonly context: PolicyContext;
  /** Trail of a chain that accepts every route as it is; -1 for any other. Such a chain needs no memo. */
  private readonly acceptAllTrail: number;
  private readonly memo: Memo;
  private readonly trails: Trails;
  private readonly draft: Draft;
  /** By statement: whether its conditions on the neighbor hold. */
  private readonly neighborHolds: boolean[] = [];
  /** By statement: its conditions on attributes, with the AS numbers of the session filled in. */
  private readonly attributeConditions: (readonly AttributeCondition[])[] = [];
  private readonly actions: readonly Actions[];
  /** Lists of changes as numbers: (list before, action and family) -> list. 0 is the empty one. */
  private readonly changeLists = new Map<number, number>();
  /** Answers of this walk, by predicate: `2 * stamp + answer`. */
  private readonly answers: Float64Array;
  private stamp = 0;

  // State of the walk under way.
  /** Place of the attribute set in the memo; -1 while a route is only watched, which leaves nothing behind. */
  private place = -1;
  private linkKind: number = Link.root;
  private linkAt = 0;
  private trail = TRAIL_START;
  private changeList = 0;
  private verdict: NextHopVerdict = NextHopVerdict.unset;
  private visited = 0;

  constructor(chain: Chain, table: AttributeTable, context: PolicyContext, limits: MemoLimits = memoLimits) {
    this.chain = chain;
    this.usesPrefix = chain.usesPrefix;
    this.table = table;
    this.context = context;
    this.memo = new Memo(limits);
    this.trails = new Trails(chain);
    this.draft = new Draft(table, chain.paths);
    this.answers = new Float64Array(chain.predicates.length);
    const [first] = chain.order;
    const acceptsAll = first?.statements.length === 0 && first.defaultAction === PolicyAction.ACCEPT;
    this.acceptAllTrail = acceptsAll ? this.trails.defaulted(TRAIL_START, first.index) : -1;
    const asns = asnsOf(context);
    const bound = (condition: AttributeCondition): AttributeCondition =>
      condition.ofSession ? { ...condition, holds: condition.ofSession.bind(asns) } : condition;
    this.actions = chain.actions.map((actions) => actions.bind?.(asns) ?? actions);
    for (const { statements } of chain.policies) {
      for (const { index, neighbor, attributes } of statements) {
        this.neighborHolds[index] = neighbor.every((condition) => condition.holds(context.neighbor));
        this.attributeConditions[index] = attributes.map(bound);
      }
    }
  }

  /**
   * Runs the route through the chain.
   * @param attr the route's attribute set, which the caller holds
   * @returns the outgoing attribute set, retained once for the caller; 0 when the route is rejected
   */
  evaluate(attr: number, route: RouteKey): number {
    const { memo, table } = this;
    if (this.acceptAllTrail >= 0) {
      if (this.counting) this.trails.hits[this.acceptAllTrail]++;
      this.nextHop = NextHopVerdict.unset;
      table.retain(attr);
      return attr;
    }
    const place = memo.find(attr, table.epoch[attr]);
    if (place < 0) return this.miss(attr, route);
    const { predicates } = this.chain;
    let at = memo.root[place];
    while (at > 0) at = predicates[memo.predicate[at]].matches(route) ? memo.yes[at] : memo.no[at];
    if (at === 0) return this.miss(attr, route);
    const leaf = ~at;
    const result = memo.leafResult[leaf];
    let out = 0;
    if (result === UNCHANGED) out = attr;
    else if (result !== REJECTED) {
      out = memo.resultId[result];
      if (out === 0 || table.epoch[out] !== memo.resultEpoch[result]) return this.miss(attr, route);
    }
    if (this.counting) this.trails.hits[memo.leafTrail[leaf]]++;
    this.nextHop = memo.leafNextHop[leaf] as NextHopVerdict;
    if (out !== 0) table.retain(out);
    return out;
  }

  /**
   * Walks the statements for one route and tells `watcher` all about it. Counts nothing, remembers nothing.
   * @returns the attributes of an accepted route, undefined for a rejected one
   */
  watch(attr: number, route: RouteKey, watcher: Watcher): PathAttributes | undefined {
    this.place = -1;
    this.begin(attr);
    if (!this.walk(route, watcher)) return undefined;
    if (this.draft.fits) return this.draft.attributes;
    watcher.tooLarge();
    return undefined;
  }

  /** Every route is accepted as it is: nothing of it is looked at. */
  get acceptsAll(): boolean {
    return this.acceptAllTrail >= 0;
  }

  /** Brings the counters of the policies up to date. */
  foldHits(): void {
    this.trails.fold();
  }

  /** Bytes held in typed arrays by what is remembered. */
  get memoBytes(): number {
    return this.memo.bytes + this.trails.bytes;
  }

  /** The graph has no (living) answer: find it by walking, and put it there. */
  private miss(attr: number, route: RouteKey): number {
    const { memo, trails } = this;
    if (memo.full || trails.count >= TRAILS_MAX || this.changeLists.size >= TRAILS_MAX) this.forget();
    this.place = memo.enter(attr, this.table.epoch[attr]);
    this.linkKind = Link.root;
    this.linkAt = this.place;
    this.begin(attr);
    const accepted = this.walk(route);
    let result = REJECTED;
    let out = 0;
    if (accepted && this.changeList === 0) {
      result = UNCHANGED;
      out = attr;
      this.table.retain(attr);
    } else if (accepted) {
      result = memo.resultRow(this.place, this.changeList);
      out = this.resultOf(result);
      if (out === 0) {
        result = REJECTED;
        this.trail = trails.ended(this.trail);
      }
    }
    if (this.reference() === 0) this.setReference(memo.addLeaf(this.trail, result, this.verdict));
    if (this.counting) trails.hits[this.trail]++;
    this.nextHop = this.verdict;
    return out;
  }

  /** The attribute set of a result row, retained; made from the draft when it is not there. 0: too large. */
  private resultOf(row: number): number {
    const { memo, table } = this;
    const known = memo.resultId[row];
    if (known !== 0 && table.epoch[known] === memo.resultEpoch[row]) {
      table.retain(known);
      return known;
    }
    const id = this.draft.intern();
    memo.resultId[row] = id;
    memo.resultEpoch[row] = id === 0 ? 0 : table.epoch[id];
    return id;
  }

  private forget(): void {
    this.memo.clear();
    this.trails.clear();
    this.changeLists.clear();
  }

  private begin(attr: number): void {
    this.draft.load(attr);
    this.stamp++;
    this.trail = TRAIL_START;
    this.changeList = 0;
    this.verdict = NextHopVerdict.unset;
    this.visited = 0;
  }

  /** The interpreter. @returns whether the route is accepted */
  private walk(route: RouteKey, watcher?: Watcher): boolean {
    const { order, defaultAction } = this.chain;
    for (const policy of order) {
      const decision = this.runPolicy(policy, route, watcher);
      if (decision !== Decision.none) return decision === Decision.accept;
    }
    if (this.place >= 0) this.trail = this.trails.ended(this.trail);
    const accepted = defaultAction === PolicyAction.ACCEPT;
    watcher?.decided(accepted);
    return accepted;
  }

  private runPolicy(policy: CompiledPolicy, route: RouteKey, watcher?: Watcher): Decision {
    const { statements } = policy;
    for (let i = 0; i < statements.length; i++) {
      const statement = statements[i];
      if (++this.visited > STATEMENTS_PER_ROUTE_MAX) {
        watcher?.tooLong(STATEMENTS_PER_ROUTE_MAX);
        return Decision.reject;
      }
      watcher?.statement(policy, statement);
      if (!this.holds(statement, route, watcher)) continue;
      if (this.place >= 0) this.trail = this.trails.matched(this.trail, statement.index);
      if (statement.actions >= 0) this.change(statement.actions, route, watcher);
      if (statement.call) {
        const decision = this.runPolicy(statement.call, route, watcher);
        if (decision !== Decision.none) return decision;
      }
      if (statement.action === PolicyAction.NEXT_POLICY) return Decision.none;
      const decision = decisionOf(statement.action);
      if (decision === Decision.none) continue;
      watcher?.decided(decision === Decision.accept, policy, statement);
      return decision;
    }
    const decision = decisionOf(policy.defaultAction);
    if (decision === Decision.none) return decision;
    if (this.place >= 0) this.trail = this.trails.defaulted(this.trail, policy.index);
    watcher?.decided(decision === Decision.accept, policy);
    return decision;
  }

  private holds(statement: CompiledStatement, route: RouteKey, watcher?: Watcher): boolean {
    if (watcher) {
      for (const { field, text } of statement.neighbor) {
        watcher.condition(field, text, this.neighborHolds[statement.index]);
      }
    }
    if (!this.neighborHolds[statement.index]) return false;
    const conditions = this.attributeConditions[statement.index];
    for (let i = 0; i < conditions.length; i++) {
      const condition = conditions[i];
      const holds = condition.holds(this.draft);
      watcher?.condition(condition.field, condition.text, holds);
      if (!holds) return false;
    }
    for (let i = 0; i < statement.route.length; i++) {
      const condition = statement.route[i];
      const holds = this.holdsForRoute(condition, route);
      watcher?.condition(condition.field, condition.text, holds);
      if (!holds) return false;
    }
    return true;
  }

  private holdsForRoute({ anyOf, negated }: RouteCondition, route: RouteKey): boolean {
    for (let i = 0; i < anyOf.length; i++) if (this.ask(anyOf[i], route)) return !negated;
    return negated;
  }

  private change(index: number, route: RouteKey, watcher?: Watcher): void {
    const { context, draft } = this;
    const actions = this.actions[index];
    const isIpv6 = actions.readsFamily && this.ask(this.chain.isIpv6, route);
    const verdict = actions.nextHop(context, isIpv6);
    if (verdict !== NextHopVerdict.unset) this.verdict = verdict;
    if (!actions.changesAttributes) return;
    const before = watcher && { ...draft.attributes };
    draft.apply((attributes) => actions.apply(attributes, context, isIpv6));
    if (watcher && before) watcher.changed(before, draft.attributes);
    if (this.place < 0) return;
    const key = (this.changeList * this.chain.actions.length + index) * 2 + (isIpv6 ? 1 : 0);
    this.changeList = this.changeLists.get(key) ?? this.changeLists.size + 1;
    this.changeLists.set(key, this.changeList);
  }

  /** The answer of a route predicate, asked at most once per walk, and recorded in the graph while one is built. */
  private ask(predicate: number, route: RouteKey): boolean {
    const known = this.answers[predicate] - this.stamp * 2;
    if (known >= 0) return known === 1;
    const answer = this.chain.predicates[predicate].matches(route);
    this.answers[predicate] = this.stamp * 2 + (answer ? 1 : 0);
    if (this.place >= 0) this.follow(predicate, answer);
    return answer;
  }

  private follow(predicate: number, answer: boolean): void {
    const { memo } = this;
    let node = this.reference();
    if (node === 0) {
      node = memo.addNode(predicate);
      this.setReference(node);
    }
    assert(memo.predicate[node] === predicate, "the walk and the graph ask the same questions");
    this.linkKind = answer ? Link.yes : Link.no;
    this.linkAt = node;
  }

  private reference(): number {
    const { memo, linkKind, linkAt } = this;
    if (linkKind === Link.root) return memo.root[linkAt];
    return linkKind === Link.yes ? memo.yes[linkAt] : memo.no[linkAt];
  }

  private setReference(reference: number): void {
    const { memo, linkKind, linkAt } = this;
    if (linkKind === Link.root) memo.root[linkAt] = reference;
    else if (linkKind === Link.yes) memo.yes[linkAt] = reference;
    else memo.no[linkAt] = reference;
  }
}

function decisionOf(action: PolicyAction): Decision {
  if (action === PolicyAction.ACCEPT) return Decision.accept;
  return action === PolicyAction.REJECT ? Decision.reject : Decision.none;
}

/** What two contexts must agree on for their programs to be one, as text. */
export function contextKey(chain: Chain, context: PolicyContext): string {
  const sets = chain.policies.flatMap(({ statements }) =>
    statements.flatMap(({ neighbor }) =>
      neighbor.map((condition) => (condition.holds(context.neighbor) ? 1 : 0)),
    ),
  );
  const asns = asnsOf(context);
  const named = chain.policies.flatMap(({ statements }) =>
    statements.flatMap(({ attributes }) =>
      attributes.flatMap(({ ofSession }) => (ofSession ? asnsKey(ofSession.reads, asns) : [])),
    ),
  );
  return `${sets.join("")}|${named.join("|")}|${chain.actions.map((actions) => actions.contextKey(context)).join("|")}`;
}
