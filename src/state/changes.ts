/**
 * The one path by which anything declared changes: check, commit in memory, persist, and only when durable reply and
 * let the consequences happen. If the store fails, what was committed in memory is taken back, newest first, and the
 * callers are told; sessions and routes have not noticed anything.
 *
 * A change can wait for its confirmation (confirmation.ts): it is in force, its undo is durable with it, and while it
 * waits no other change of objects is taken. Taking it back is a change like any other.
 */
import { toJson } from "@bufbuild/protobuf";
import { limits } from "../base/limits.ts";
import { formatProblem, type Problem, type Result } from "../base/problem.ts";
import type { PathReceipt } from "../gen/cairn/v1/injection_service_pb.ts";
import { ObjectChangeSchema } from "../gen/cairn/v1/types_pb.ts";
import type { ConditionHost } from "./conditions.ts";
import { Confirmation, checkTerms } from "./confirmation.ts";
import type { DurableSpecs } from "./durable-specs.ts";
import type { Injection } from "./injection.ts";
import { type InjectionPlan, InjectionPlanner } from "./injection-plan.ts";
import type { CallId } from "./inputs.ts";
import type { ClientPath } from "./lock-out.ts";
import type { ConfirmTerms, Mutation, MutationOutcome } from "./mutation.ts";
import type { ObjectStore, Prepared, Touched } from "./objects.ts";
import { storedOf } from "./objects-read.ts";
import { microsPerStep } from "./part.ts";
import type { Preparation } from "./preparation.ts";
import { digestOf, outcomeJson, RequestLog } from "./request-log.ts";
import { storedName } from "./route-name.ts";
import type { StoredAudit, StoredEvent, StoredPending, StoredState, StoredUndo, StoreRow } from "./rows.ts";

/** What becomes of the pending change when this one is durable. */
type Settles = "begins" | "confirms" | "reverts" | undefined;

interface Parked {
  readonly seq: number;
  readonly call: CallId | undefined;
  readonly mutation: Mutation;
  readonly prepared: Prepared;
  readonly plan: InjectionPlan;
  readonly rows: readonly StoreRow[];
  readonly hash: string;
  readonly settles: Settles;
  readonly event: StoredEvent | undefined;
  /** Carried out before the router ran: already in force, and to be written again when writing fails. */
  readonly atStart: boolean;
}

/** A change that is being checked. */
interface Large {
  readonly call: CallId | undefined;
  readonly mutation: Mutation;
  readonly digest: string;
  readonly preparation: Preparation;
}

/** An event before it has a number. */
type NewEvent = Pick<StoredEvent, "topic" | "object" | "severity" | "summary" | "facts">;

export interface ChangesHost {
  persist(rows: readonly StoreRow[]): number;
  reply(call: CallId, outcome: MutationOutcome): void;
  /**
   * Objects changed and are durable: sessions, policies and tables follow, those of a large change over several turns.
   * @param done called when they have; at once for a small change
   */
  consequences(touched: readonly Touched[], done: () => void): void;
  /** Policy tests that fail when these objects have changed. */
  failedTests(touched: readonly Touched[]): Problem[];
  /** What of these changes would cut the connection that they were asked for over. */
  lockOut(touched: readonly Touched[], client: ClientPath): Problem | undefined;
  receipt(prefix: string, pathId: number, changed: boolean): ReturnType<Injection["receipt"]>;
  /** Gives an event its number and holds it back until it is durable together with the change that it tells of. */
  holdEvent(event: NewEvent): StoredEvent;
  /** It is durable, or nothing came of it: then `instead` takes its place. */
  releaseEvent(event: StoredEvent, instead?: NewEvent): void;
  audit(entry: StoredAudit): void;
  nowMs(): number;
  wallMs(): number;
}

export interface ChangesParts {
  readonly objects: ObjectStore;
  readonly durable: DurableSpecs;
  readonly injection: Injection;
  readonly conditions: ConditionHost;
  readonly requests: StoredState["requests"];
  readonly pending: StoredPending | undefined;
  /** The pending change was overdue at start and is taken back already; this is how. */
  readonly revertedAtStart: Prepared | undefined;
}

const startRetryMs = 1_000;
const noPlan: InjectionPlan = { puts: [], drops: [], unchanged: 0 };

export class Changes {
  private readonly objects: ObjectStore;
  private readonly durableSpecs: DurableSpecs;
  private readonly injection: Injection;
  private readonly planner: InjectionPlanner;
  private readonly host: ChangesHost;
  private readonly requests: RequestLog;
  readonly confirmation: Confirmation;
  private parked: Parked[] = [];
  /** Large changes that are checked over several turns, one after the other. */
  private readonly large: Large[] = [];
  /** Changes that wait for a large one that others overtook too often. */
  private held: { readonly call: CallId | undefined; readonly mutation: Mutation }[] = [];
  /** The revert of the start that could not be written yet, and when to try again. */
  private startRevert: { readonly parked: Parked; readonly atMs: number } | undefined;
  /** Counts for the metrics: changes carried out and refused, by code. */
  commits = 0;
  readonly refusals = new Map<string, number>();

  constructor(parts: ChangesParts, host: ChangesHost) {
    this.objects = parts.objects;
    this.durableSpecs = parts.durable;
    this.injection = parts.injection;
    this.planner = new InjectionPlanner(parts.injection);
    this.requests = new RequestLog(parts.requests);
    this.confirmation = new Confirmation(parts.conditions);
    this.host = host;
    if (parts.pending) this.resume(parts.pending, parts.revertedAtStart);
  }

  /** A change waited for its confirmation when the last run ended. */
  private resume(pending: StoredPending, reverted: Prepared | undefined): void {
    this.confirmation.begin(pending);
    if (!reverted) {
      this.confirmation.arm(this.host.nowMs(), this.host.wallMs());
      return;
    }
    this.confirmation.settling("reverting");
    const until = new Date(pending.deadline).toISOString();
    this.park(undefined, revertOf(pending, `it was not confirmed until ${until}`), "", reverted, noPlan, {
      settles: "reverts",
      atStart: true,
    });
  }

  /** Receipts of a repeated request: what was changed then, and the stages as they are now. */
  private receiptsNow(receipts: readonly PathReceipt[]): PathReceipt[] {
    return receipts.map(({ prefix, pathId, changed }) => this.host.receipt(prefix, pathId, changed));
  }

  /** Checks and, unless it is a dry run, carries out a mutation. `call` undefined: nobody waits for the outcome. */
  mutate(call: CallId | undefined, mutation: Mutation): void {
    if (this.waiting >= limits.parkedRepliesMax) {
      const message = "too many changes wait to be made durable";
      this.refuse(call, mutation, [{ code: "BUSY", path: "", message, fix: "try again" }]);
      return;
    }
    const digest = mutation.requestId === "" ? "" : digestOf(mutation);
    if (digest !== "") {
      const known = this.requests.lookup(mutation.requestId, digest, this.host.wallMs());
      if (known) {
        if (!known.ok) this.refuse(call, mutation, known.problems);
        else if (call !== undefined)
          this.host.reply(call, { ...known, receipts: this.receiptsNow(known.receipts) });
        return;
      }
    }
    if (this.isOvertaken && changesObjects(mutation)) {
      this.held.push({ call, mutation });
      return;
    }
    const [first] = mutation.ops;
    if (first?.op === "confirm" || first?.op === "abort") this.settle(call, mutation, first, digest);
    else if (first?.op === "pin") this.pin(call, mutation, first, digest);
    else this.change(call, mutation, digest);
  }

  private change(call: CallId | undefined, mutation: Mutation, digest: string): void {
    const preparation = this.objects.preparation(mutation, this.host.wallMs());
    const change = { call, mutation, digest, preparation };
    if (mutation.ops.length <= limits.wholeTurnOps) {
      this.decide(change, preparation.finish());
      return;
    }
    if (digest !== "") this.requests.begin(mutation.requestId, digest);
    this.large.push(change);
  }

  /** Goes on with a large change, an object at a time. */
  run(micros: number): void {
    const [first] = this.large;
    if (!first) return;
    if (!first.preparation.step(Math.max(1, Math.floor(micros / microsPerStep)))) return;
    this.large.shift();
    // Should nothing come of it, the id may be used again; `park` notes it anew.
    if (first.digest !== "") this.requests.cancel(first.mutation.requestId);
    this.decide(first, first.preparation.result());
    const { held } = this;
    this.held = [];
    for (const { call, mutation } of held) this.mutate(call, mutation);
  }

  /** A large change was overtaken so often that others have to wait for it now. */
  private get isOvertaken(): boolean {
    const [first] = this.large;
    return first !== undefined && first.preparation.restarts >= limits.preparationRestartsMax;
  }

  get hasWork(): boolean {
    return this.large.length > 0;
  }

  private decide({ call, mutation, digest }: Large, checked: Result<Prepared>): void {
    const problems: Problem[] = mutation.confirm ? checkTerms(mutation.confirm) : [];
    const prepared = this.tested(mutation, checked);
    if (!prepared.ok) problems.push(...prepared.problems);
    const plan = this.planner.plan(mutation, problems);
    const changesObjects = prepared.ok && prepared.value.changes.length > 0;
    const held = changesObjects && !mutation.dryRun ? this.confirmation.refusal() : undefined;
    if (held) problems.push(held);
    if (changesObjects && mutation.client && !mutation.confirm && !mutation.dryRun) {
      const cut = this.host.lockOut(prepared.value.touched, mutation.client);
      if (cut) problems.push(cut);
    }
    if (!prepared.ok || problems.length > 0) {
      this.refuse(call, mutation, problems);
      return;
    }
    const changesRoutes = plan.puts.some((put) => !put.present) || plan.drops.length > 0;
    if (mutation.dryRun || !(changesObjects || changesRoutes)) {
      const hash = changesObjects ? this.objects.hashAfter(prepared.value) : this.objects.hash;
      this.answerUnchanged(call, mutation, prepared.value, plan, hash);
      return;
    }
    const settles = mutation.confirm && changesObjects ? "begins" : undefined;
    this.park(call, mutation, digest, prepared.value, plan, { settles });
  }

  /** The policy tests as part of the check. */
  private tested(mutation: Mutation, prepared: Result<Prepared>): Result<Prepared> {
    if (!prepared.ok) return prepared;
    const underWay = this.parked.flatMap((parked) => parked.prepared.touched);
    const failed = this.host.failedTests([...underWay, ...prepared.value.touched]);
    if (failed.length === 0) return prepared;
    if (!mutation.skipPolicyTests) return { ok: false, problems: failed };
    const told = failed.map((problem) => ({ ...problem, severity: "warning" as const }));
    return {
      ok: true,
      value: { ...prepared.value, warnings: [...(prepared.value.warnings ?? []), ...told] },
    };
  }

  /** Nothing changes; but what it found may be on its way to disk, and then the answer waits for that. */
  private answerUnchanged(
    call: CallId | undefined,
    mutation: Mutation,
    prepared: Prepared,
    plan: InjectionPlan,
    hash: string,
  ): void {
    if (!mutation.dryRun) this.audit(mutation, "nothing to change");
    if (call === undefined) return;
    const last = this.parked[this.parked.length - 1];
    if (mutation.dryRun || !last) this.host.reply(call, this.outcome(prepared, plan, hash));
    else this.parked.push({ ...asked(call, mutation, prepared, plan), seq: last.seq, hash });
  }

  private refuse(call: CallId | undefined, mutation: Mutation, problems: readonly Problem[]): void {
    const { code } = problems[0];
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1);
    if (!mutation.dryRun) {
      const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : "";
      this.audit(mutation, formatProblem(problems[0]) + more, code);
    }
    if (call !== undefined) this.host.reply(call, { ok: false, problems });
  }

  private audit(mutation: Mutation, detail: string, code = ""): void {
    const entry = this.auditEntry(mutation, detail, code);
    if (entry) this.host.audit(entry);
  }

  private auditEntry(mutation: Mutation, detail: string, code: string): StoredAudit | undefined {
    if (mutation.source === "expiry") return undefined;
    return {
      time: this.host.wallMs(),
      principal: mutation.principal,
      address: mutation.address ?? "",
      method: mutation.method ?? mutation.source,
      reason: mutation.reason,
      requestId: mutation.requestId,
      accepted: code === "",
      code,
      detail,
      generation: this.objects.generation,
    };
  }

  // Confirmation

  private settle(
    call: CallId | undefined,
    mutation: Mutation,
    { op, generation }: { readonly op: "confirm" | "abort"; readonly generation: number },
    digest: string,
  ): void {
    const { pending, isArmed } = this.confirmation;
    if (!pending || (generation !== 0 && generation !== pending.generation)) {
      const message = pending
        ? `generation ${pending.generation} waits for its confirmation, not ${generation}`
        : "no change waits for its confirmation";
      this.refuse(call, mutation, [{ code: "WRONG_STATE", path: "generation", message }]);
      return;
    }
    if (!isArmed) {
      const message = `generation ${pending.generation} is being settled`;
      this.refuse(call, mutation, [{ code: "BUSY", path: "", message, fix: "try again" }]);
      return;
    }
    if (op === "confirm") {
      this.confirmation.settling("confirming");
      this.park(call, mutation, digest, unchanged(this.objects), noPlan, { settles: "confirms" });
      return;
    }
    const prepared = this.objects.prepareUndo(pending.undo, this.host.wallMs());
    if (!prepared.ok) {
      this.refuse(call, mutation, prepared.problems);
      return;
    }
    this.confirmation.settling("reverting");
    const revert = { ...mutation, source: "revert", restores: pending.revertTo };
    this.park(call, revert, digest, prepared.value, noPlan, { settles: "reverts" });
  }

  private pin(
    call: CallId | undefined,
    mutation: Mutation,
    op: { readonly generation: number; readonly pinned: boolean },
    digest: string,
  ): void {
    const { generation, pinned } = op;
    const rows: StoreRow[] = [{ table: "pin", generation, pinned }];
    this.park(call, mutation, digest, unchanged(this.objects), noPlan, { rows });
  }

  /** Carries out what time has made due: conditions that held or broke, a deadline, a write that failed at start. */
  tick(): void {
    const nowMs = this.host.nowMs();
    if (this.startRevert && nowMs >= this.startRevert.atMs) {
      const { parked } = this.startRevert;
      this.startRevert = undefined;
      this.parked.push({ ...parked, seq: this.host.persist(parked.rows) });
    }
    const due = this.confirmation.due(nowMs);
    const { pending } = this.confirmation;
    if (!due || !pending) return;
    const { generation } = pending;
    if ("confirm" in due) this.mutate(undefined, ownMutation({ op: "confirm", generation }, due.confirm));
    else this.mutate(undefined, ownMutation({ op: "abort", generation }, due.revert));
    // What could not even begin (a full queue, an unreadable undo) is tried again, not in each turn.
    if (this.confirmation.isArmed) this.confirmation.unsettled(nowMs);
  }

  nextMs(): number {
    return Math.min(this.startRevert?.atMs ?? Number.POSITIVE_INFINITY, this.confirmation.nextWakeMs());
  }

  // The way to disk and back

  private park(
    call: CallId | undefined,
    mutation: Mutation,
    digest: string,
    prepared: Prepared,
    plan: InjectionPlan,
    more: { readonly settles?: Settles; readonly atStart?: boolean; readonly rows?: readonly StoreRow[] },
  ): void {
    const { settles, atStart = false } = more;
    const wallMs = this.host.wallMs();
    const rows: StoreRow[] = [...(more.rows ?? [])];
    const changesObjects = prepared.changes.length > 0;
    if (changesObjects) {
      if (!atStart) {
        this.objects.commit(prepared);
        this.durableSpecs.began(prepared.touched);
      }
      rows.push(this.generationRow(mutation, prepared, wallMs));
    }
    const put = plan.puts
      .filter((each) => !each.present)
      .map((each) => this.injection.stored(each.path, each.message, wallMs, mutation.principal));
    if (put.length > 0 || plan.drops.length > 0) rows.push({ table: "injected", put, drop: plan.drops });
    const event = this.eventOf(mutation, prepared, settles);
    if (settles === "begins") {
      const pending = pendingOf(mutation, mutation.confirm!, prepared, wallMs);
      this.confirmation.begin(pending);
      rows.push({ table: "pending", pending });
    } else if (settles) rows.push({ table: "pending", pending: null });
    const { hash } = this.objects;
    if (digest !== "") {
      const outcome = outcomeJson(this.outcome(prepared, plan, hash));
      const { requestId, principal } = mutation;
      rows.push({ table: "mutation", requestId, principal, time: wallMs, digest, outcome });
      this.requests.begin(requestId, digest);
    }
    const entry = this.auditEntry(mutation, summaryOf(prepared, put.length, plan.drops.length, settles), "");
    if (entry) rows.push({ table: "audit", entries: [entry] });
    const held = event && this.host.holdEvent(event);
    if (held) rows.push({ table: "events", events: [held] });
    // What was done at start is a fact already: nobody has to wait for the disk to hear of it.
    if (held && atStart) this.host.releaseEvent(held);
    const seq = this.host.persist(rows);
    const waits = atStart ? undefined : held;
    this.parked.push({ seq, call, mutation, prepared, plan, rows, hash, settles, event: waits, atStart });
    this.planner.began(rows);
  }

  private generationRow(mutation: Mutation, prepared: Prepared, time: number): StoreRow {
    const { pieces, puts, deletes } = prepared;
    const rows = pieces
      ? { changes: [], puts: [], deletes: [], pieces }
      : {
          changes: prepared.changes.map((change) => toJson(ObjectChangeSchema, change)),
          puts,
          deletes,
          undo: undoOf(prepared),
        };
    return {
      table: "generation",
      generation: prepared.generation,
      parent: prepared.base,
      time,
      principal: mutation.principal,
      source: mutation.source,
      reason: mutation.reason,
      hash: this.objects.hash,
      restores: mutation.restores ?? 0,
      ...rows,
    };
  }

  private eventOf(mutation: Mutation, prepared: Prepared, settles: Settles): NewEvent | undefined {
    const { principal, source, reason } = mutation;
    const { generation } = prepared;
    const facts = { generation: String(generation), principal, source, reason };
    const who = reason === "" ? principal : `${principal}: ${reason}`;
    const event = (topic: string, severity: number, summary: string): NewEvent => {
      return { topic: `cairn.config.${topic}`, object: "", severity, summary, facts };
    };
    const { pending } = this.confirmation;
    if (settles === "confirms")
      return event("change.confirmed", 1, `generation ${pending?.generation} is confirmed (${who})`);
    if (settles === "reverts") {
      const summary = `generation ${pending?.generation} was taken back by generation ${generation} (${who})`;
      return event("change.reverted", 2, summary);
    }
    if (prepared.changes.length === 0) return undefined;
    const waits =
      settles === "begins" ? `, to be confirmed within ${mutation.confirm!.withinMs / 1000} s` : "";
    const summary = `generation ${generation}: ${namesOf(prepared)} (${who})${waits}`;
    return event("generation.committed", 1, summary);
  }

  /** The store made everything up to `seq` durable. */
  durable(seq: number): void {
    let done = 0;
    for (; done < this.parked.length && this.parked[done].seq <= seq; done++) this.finish(this.parked[done]);
    if (done > 0) this.parked = this.parked.slice(done);
  }

  private finish(parked: Parked): void {
    const { prepared, plan, call, event } = parked;
    const wallMs = this.host.wallMs();
    this.planner.landed(parked.rows);
    if (parked.rows.length > 0) this.commits++;
    for (const row of parked.rows) {
      if (row.table === "mutation") this.requests.end(row, wallMs);
      if (row.table !== "injected") continue;
      let at = 0;
      for (const each of plan.puts) {
        if (each.present) continue;
        const { created, expires, principal } = row.put[at++];
        this.injection.put(each.path, created, expires, principal);
      }
      for (const { prefix, pathId } of row.drop) this.injection.drop(prefix, pathId);
    }
    const done = (): void => {
      if (parked.settles === "begins") this.confirmation.arm(this.host.nowMs(), this.host.wallMs());
      else if (parked.settles) this.confirmation.end();
      if (event) this.host.releaseEvent(event);
      if (call !== undefined) this.host.reply(call, this.outcome(prepared, plan, parked.hash));
    };
    if (prepared.changes.length > 0 && !parked.atStart) {
      this.durableSpecs.became(prepared.touched);
      this.host.consequences(prepared.touched, done);
    } else done();
  }

  /** The store could not write rows from `seq` on. */
  notDurable(seq: number, error: string): void {
    const at = this.parked.findIndex((parked) => parked.seq >= seq);
    if (at < 0) return;
    const lost = this.parked.slice(at);
    this.parked = this.parked.slice(0, at);
    for (const parked of lost.toReversed()) this.lose(parked, error);
    // What came before may have missed objects that these had changed hands of (a neighbor that left its group).
    const touched = lost.flatMap(({ prepared, atStart }) => (atStart ? [] : prepared.touched));
    const asBefore = touched.map((each) => ({
      ...each,
      after: this.durableSpecs.spec(each.kind, each.name),
    }));
    if (asBefore.length > 0) this.host.consequences(asBefore, () => {});
  }

  private lose(parked: Parked, error: string): void {
    const { mutation, prepared, settles, event, rows } = parked;
    if (parked.atStart) {
      this.startRevert = { parked, atMs: this.host.nowMs() + startRetryMs };
      return;
    }
    this.planner.landed(rows);
    if (prepared.changes.length > 0) {
      this.objects.revert(prepared);
      this.durableSpecs.takenBack(prepared.touched);
    }
    if (mutation.requestId !== "") this.requests.cancel(mutation.requestId);
    if (settles === "begins") this.confirmation.end();
    else if (settles) this.confirmation.unsettled(this.host.nowMs());
    const message = `the change could not be made durable and was taken back: ${error}`;
    if (event) {
      const summary = `generation ${prepared.generation} by ${mutation.principal}: ${message}`;
      const topic = "cairn.config.change.failed";
      this.host.releaseEvent(event, { ...event, topic, severity: 3, summary });
    }
    const fix = "mend the state directory and try again";
    this.refuse(parked.call, mutation, [{ code: "STORE_FAILED", path: "", message, fix }]);
  }

  get waiting(): number {
    return this.parked.length + this.large.length + this.held.length;
  }

  private outcome(prepared: Prepared, plan: InjectionPlan, hash: string): MutationOutcome {
    const receipts = plan.puts.map(({ path, message, present }) => {
      const name = "prefix" in message ? message.prefix : storedName({ ...path, bytes: path.address });
      return this.host.receipt(name, path.pathId, !present);
    });
    return {
      ok: true,
      generation: prepared.generation,
      changes: prepared.changes,
      receipts,
      unchanged: plan.unchanged,
      hash,
      warnings: prepared.warnings ?? [],
    };
  }
}

/** A request that waits for an answer and writes nothing. */
function asked(
  call: CallId,
  mutation: Mutation,
  prepared: Prepared,
  plan: InjectionPlan,
): Omit<Parked, "seq" | "hash"> {
  const nothing = { rows: [], settles: undefined, event: undefined, atStart: false };
  return { call, mutation, prepared, plan, ...nothing };
}

function changesObjects({ ops, dryRun }: Mutation): boolean {
  return !dryRun && ops.some(({ op }) => op === "put" || op === "patch" || op === "delete");
}

/** A transaction that changes no object. */
function unchanged({ generation }: ObjectStore): Prepared {
  return { base: generation, generation, changes: [], puts: [], deletes: [], touched: [], swaps: [] };
}

/** What the objects were before the change. */
function undoOf(prepared: Prepared): StoredUndo[] {
  return prepared.touched.map(({ kind, name }, i) => {
    const { before } = prepared.swaps[i];
    return { kind, name, before: before ? storedOf(before) : null };
  });
}

function pendingOf(
  mutation: Mutation,
  terms: ConfirmTerms,
  prepared: Prepared,
  wallMs: number,
): StoredPending {
  const { withinMs, holdMs, graceMs, conditions } = terms;
  return {
    generation: prepared.generation,
    revertTo: prepared.base,
    since: wallMs,
    deadline: wallMs + withinMs,
    withinMs,
    holdMs,
    graceMs,
    conditions,
    principal: mutation.principal,
    reason: mutation.reason,
    undo: undoOf(prepared),
  };
}

/** Something that cairn does by itself. */
function ownMutation(op: Mutation["ops"][number], reason: string): Mutation {
  return {
    ops: [op],
    expectedGeneration: 0,
    dryRun: false,
    reason,
    requestId: "",
    principal: "cairnd",
    source: "api",
    method: "confirmation",
  };
}

function revertOf({ generation, revertTo }: StoredPending, reason: string): Mutation {
  const own = ownMutation({ op: "abort", generation }, reason);
  return { ...own, source: "revert", restores: revertTo };
}

function namesOf(prepared: Prepared): string {
  const names = prepared.touched.slice(0, 3).map(({ kind, name }) => `${kind}/${name}`);
  const more = prepared.touched.length - names.length;
  return names.join(", ") + (more > 0 ? ` and ${more} more` : "");
}

function summaryOf(prepared: Prepared, puts: number, drops: number, settles: Settles): string {
  const parts = [
    ...(prepared.changes.length > 0 ? [namesOf(prepared)] : []),
    ...(puts > 0 ? [`${routesOf(puts)} injected`] : []),
    ...(drops > 0 ? [`${routesOf(drops)} taken back`] : []),
    ...(settles === "begins" ? ["to be confirmed"] : []),
    ...(settles === "confirms" ? ["confirmed"] : []),
    ...(settles === "reverts" ? ["taken back"] : []),
  ];
  return parts.join("; ");
}

function routesOf(count: number): string {
  return count === 1 ? "1 route" : `${count} routes`;
}
