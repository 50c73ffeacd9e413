/**
 * The one path by which anything declared changes: check, commit in memory, persist, and only when durable reply and
 * let the consequences happen. If the store fails, what was committed in memory is taken back, newest first, and the
 * callers are told; sessions and routes have not noticed anything.
 */
import { fromJson, type JsonValue, type Message, toJson } from "@bufbuild/protobuf";
import { unreachable } from "../base/assert.ts";
import { formatPrefix, parsePrefix } from "../base/ip.ts";
import { limits } from "../base/limits.ts";
import type { Problem } from "../base/problem.ts";
import {
  type InjectedPath,
  InjectedPathSchema,
  PathReceiptSchema,
} from "../gen/cairn/v1/injection_service_pb.ts";
import { ObjectChangeSchema } from "../gen/cairn/v1/types_pb.ts";
import type { DurableSpecs } from "./durable-specs.ts";
import type { CheckedPath, Injection } from "./injection.ts";
import type { CallId } from "./inputs.ts";
import { kinds } from "./kinds.ts";
import type { Mutation, MutationOp, MutationOutcome } from "./mutation.ts";
import type { ObjectStore, Prepared, Touched } from "./objects.ts";
import type { StoreRow } from "./rows.ts";
import { specText } from "./schema-diff.ts";

/** What a mutation does to injected routes. Of several ops on one path the last counts: the rest are `present`. */
interface InjectionPlan {
  readonly puts: { readonly path: CheckedPath; readonly message: InjectedPath; present: boolean }[];
  /** Canonical prefixes, as the store knows them. */
  readonly drops: { readonly prefix: string; readonly pathId: number }[];
  unchanged: number;
}

interface Parked {
  readonly seq: number;
  readonly call: CallId | undefined;
  readonly mutation: Mutation;
  readonly prepared: Prepared;
  readonly plan: InjectionPlan;
  readonly rows: readonly StoreRow[];
}

export interface ChangesHost {
  persist(rows: readonly StoreRow[]): number;
  reply(call: CallId, outcome: MutationOutcome): void;
  /** Objects changed and are durable: sessions, policies and tables follow. */
  consequences(touched: readonly Touched[]): void;
  receipt(prefix: string, pathId: number, changed: boolean): ReturnType<Injection["receipt"]>;
  event(
    topic: string,
    object: string,
    severity: 1 | 2 | 3,
    summary: string,
    facts: Readonly<Record<string, string>>,
  ): void;
  wallMs(): number;
}

const dayMs = 24 * 3600 * 1000;
const expiryRetryMs = 2_000;

export class Changes {
  private readonly objects: ObjectStore;
  private readonly durable: DurableSpecs;
  private readonly injection: Injection;
  private readonly host: ChangesHost;
  private parked: Parked[] = [];
  /** Outcomes by request id, oldest first. */
  private readonly requests = new Map<string, { digest: string; time: number; outcome: JsonValue }>();
  /** Request ids whose outcome is not durable yet. */
  private readonly running = new Map<string, string>();
  /**
   * Paths that parked changes put or drop, with how many of them. What is in the table says nothing about these: an op
   * on one is always carried out, behind those before it.
   */
  private readonly inFlight = new Map<string, number>();

  constructor(
    objects: ObjectStore,
    durable: DurableSpecs,
    injection: Injection,
    requests: readonly { requestId: string; digest: string; time: number; outcome: JsonValue }[],
    host: ChangesHost,
  ) {
    this.objects = objects;
    this.durable = durable;
    this.injection = injection;
    this.host = host;
    for (const request of requests) this.requests.set(request.requestId, request);
  }

  /** Checks and, unless it is a dry run, carries out a mutation. `call` undefined: nobody waits for the outcome. */
  mutate(call: CallId | undefined, mutation: Mutation): void {
    const refuse = (problems: readonly Problem[]): void => {
      this.postponeExpiry(mutation);
      if (call !== undefined) this.host.reply(call, { ok: false, problems });
    };
    if (this.parked.length >= limits.parkedRepliesMax) {
      refuse([
        { code: "BUSY", path: "", message: "too many changes wait to be made durable", fix: "try again" },
      ]);
      return;
    }
    const digest = mutation.requestId === "" ? "" : digestOf(mutation);
    if (mutation.requestId !== "" && this.repeated(call, mutation, digest, refuse)) return;
    const problems: Problem[] = [];
    const prepared = this.objects.prepare(mutation, this.host.wallMs());
    if (!prepared.ok) problems.push(...prepared.problems);
    const plan = this.plan(mutation, problems);
    if (!prepared.ok || problems.length > 0) {
      refuse(problems);
      return;
    }
    const changesObjects = prepared.value.changes.length > 0;
    const changesRoutes = plan.puts.some((put) => !put.present) || plan.drops.length > 0;
    if (mutation.dryRun || !(changesObjects || changesRoutes)) {
      if (call !== undefined) this.host.reply(call, this.outcome(prepared.value, plan, false));
      return;
    }
    this.carryOut(call, mutation, digest, prepared.value, plan);
  }

  private repeated(
    call: CallId | undefined,
    mutation: Mutation,
    digest: string,
    refuse: (problems: readonly Problem[]) => void,
  ): boolean {
    const { requestId } = mutation;
    const known = this.requests.get(requestId);
    const fresh = known && this.host.wallMs() - known.time < dayMs ? known : undefined;
    const other = fresh ? fresh.digest : this.running.get(requestId);
    if (other === undefined) return false;
    if (other !== digest) {
      const message = `request id "${requestId}" was used for another request`;
      refuse([{ code: "INVALID", path: "request_id", message, fix: "use a new id for a new request" }]);
    } else if (fresh) {
      if (call !== undefined) this.host.reply(call, outcomeOf(fresh.outcome));
    } else
      refuse([
        {
          code: "BUSY",
          path: "request_id",
          message: "the same request is being carried out",
          fix: "try again",
        },
      ]);
    return true;
  }

  private plan(mutation: Mutation, problems: Problem[]): InjectionPlan {
    const plan: InjectionPlan = { puts: [], drops: [], unchanged: 0 };
    /** What takes back what an earlier op of this mutation meant for a path. */
    const undo = new Map<string, () => void>();
    let number = 0;
    for (const op of mutation.ops) {
      if (op.op === "inject") {
        const checked = this.injection.check(op.path, mutation.ops.length === 1 ? "path" : `add[${number}]`);
        number++;
        if (!checked.ok) problems.push(...checked.problems);
        else this.planPut(plan, checked.value, op.path, undo);
      } else if (op.op === "retract") this.planDrop(plan, op, mutation, undo, problems);
    }
    if (this.injection.wouldOverflow(plan.puts.length)) {
      const message = `at most ${limits.injectedMax} routes can be injected`;
      problems.push({ code: "LIMIT", path: "add", message });
    }
    return plan;
  }

  private planPut(
    plan: InjectionPlan,
    path: CheckedPath,
    message: InjectedPath,
    undo: Map<string, () => void>,
  ): void {
    const key = pathKey(formatPrefix({ bytes: path.address, length: path.length }), path.pathId);
    const again = undo.get(key);
    again?.();
    const present = !again && !this.inFlight.has(key) && this.injection.isPresent(path);
    if (present) plan.unchanged++;
    const put = { path, message, present };
    plan.puts.push(put);
    undo.set(key, () => {
      put.present = true;
    });
  }

  private planDrop(
    plan: InjectionPlan,
    op: Extract<MutationOp, { op: "retract" }>,
    mutation: Mutation,
    undo: Map<string, () => void>,
    problems: Problem[],
  ): void {
    const parsed = parsePrefix(op.prefix);
    const drop = { prefix: typeof parsed === "string" ? op.prefix : formatPrefix(parsed), pathId: op.pathId };
    const key = pathKey(drop.prefix, op.pathId);
    const again = undo.get(key);
    again?.();
    if (again || this.inFlight.has(key) || this.injection.has(op.prefix, op.pathId)) {
      plan.drops.push(drop);
      undo.set(key, () => {
        const at = plan.drops.indexOf(drop);
        if (at >= 0) plan.drops.splice(at, 1);
      });
    } else if (mutation.ops.length === 1 && mutation.source !== "expiry") {
      const what = op.pathId === 0 ? op.prefix : `${op.prefix} with path id ${op.pathId}`;
      problems.push({ code: "NOT_FOUND", path: "prefix", message: `no route to ${what} was injected` });
    } else plan.unchanged++;
  }

  private carryOut(
    call: CallId | undefined,
    mutation: Mutation,
    digest: string,
    prepared: Prepared,
    plan: InjectionPlan,
  ): void {
    const wallMs = this.host.wallMs();
    const rows: StoreRow[] = [];
    if (prepared.changes.length > 0) {
      this.objects.commit(prepared);
      this.durable.began(prepared.touched);
      rows.push({
        table: "generation",
        generation: prepared.generation,
        time: wallMs,
        principal: mutation.principal,
        source: mutation.source,
        reason: mutation.reason,
        changes: prepared.changes.map((change) => toJson(ObjectChangeSchema, change)),
        puts: prepared.puts,
        deletes: prepared.deletes,
      });
    }
    const put = plan.puts
      .filter((each) => !each.present)
      .map((each) => this.injection.stored(each.path, each.message, wallMs, mutation.principal));
    if (put.length > 0 || plan.drops.length > 0) rows.push({ table: "injected", put, drop: plan.drops });
    if (mutation.requestId !== "") {
      const outcome = outcomeJson(this.outcome(prepared, plan, true));
      const { requestId, principal } = mutation;
      rows.push({ table: "mutation", requestId, principal, time: wallMs, digest, outcome });
      this.running.set(requestId, digest);
    }
    const seq = this.host.persist(rows);
    const parked = { seq, call, mutation, prepared, plan, rows };
    this.parked.push(parked);
    for (const key of keysOf(parked)) this.inFlight.set(key, (this.inFlight.get(key) ?? 0) + 1);
  }

  /** The paths of a parked change are no longer under way. */
  private landed(parked: Parked): void {
    for (const key of keysOf(parked)) {
      const left = this.inFlight.get(key)! - 1;
      if (left > 0) this.inFlight.set(key, left);
      else this.inFlight.delete(key);
    }
  }

  /** The store made everything up to `seq` durable. */
  committed(seq: number): void {
    let done = 0;
    for (; done < this.parked.length && this.parked[done].seq <= seq; done++) this.finish(this.parked[done]);
    if (done > 0) this.parked = this.parked.slice(done);
  }

  private finish(parked: Parked): void {
    const { mutation, prepared, plan, call } = parked;
    this.landed(parked);
    for (const row of parked.rows) {
      if (row.table === "mutation") {
        this.requests.set(row.requestId, row);
        this.running.delete(row.requestId);
        this.forgetOldRequests();
      }
      if (row.table !== "injected") continue;
      let at = 0;
      for (const each of plan.puts) {
        if (each.present) continue;
        const { created, expires, principal } = row.put[at++];
        this.injection.put(each.path, created, expires, principal);
      }
      for (const { prefix, pathId } of row.drop) this.injection.drop(prefix, pathId);
    }
    if (prepared.changes.length > 0) {
      this.durable.became(prepared.touched);
      this.host.consequences(prepared.touched);
      const who = mutation.reason === "" ? mutation.principal : `${mutation.principal}: ${mutation.reason}`;
      const what = summaryOf(prepared);
      this.host.event(
        "cairn.config.generation.committed",
        "",
        1,
        `generation ${prepared.generation}: ${what} (${who})`,
        {
          generation: String(prepared.generation),
          principal: mutation.principal,
          source: mutation.source,
          reason: mutation.reason,
        },
      );
    }
    if (call !== undefined) this.host.reply(call, this.outcome(prepared, plan, true));
  }

  private forgetOldRequests(): void {
    const oldest = this.host.wallMs() - dayMs;
    for (const [id, { time }] of this.requests) {
      if (time >= oldest && this.requests.size <= limits.parkedRepliesMax * 16) break;
      this.requests.delete(id);
    }
  }

  /** The store could not write rows from `seq` on. */
  failed(seq: number, error: string): void {
    const at = this.parked.findIndex((parked) => parked.seq >= seq);
    if (at < 0) return;
    const lost = this.parked.slice(at);
    this.parked = this.parked.slice(0, at);
    for (const parked of lost.toReversed()) {
      this.landed(parked);
      if (parked.prepared.changes.length > 0) {
        this.objects.revert(parked.prepared);
        this.durable.takenBack(parked.prepared.touched);
      }
      if (parked.mutation.requestId !== "") this.running.delete(parked.mutation.requestId);
      this.postponeExpiry(parked.mutation);
      const message = `the change could not be made durable and was taken back: ${error}`;
      const problem: Problem = {
        code: "STORE_FAILED",
        path: "",
        message,
        fix: "mend the state directory and try again",
      };
      if (parked.call !== undefined) this.host.reply(parked.call, { ok: false, problems: [problem] });
    }
    // What came before may have missed objects that these had changed hands of (a neighbor that left its group).
    const touched = lost.flatMap(({ prepared }) => prepared.touched);
    const asBefore = touched.map((each) => ({ ...each, after: this.durable.spec(each.kind, each.name) }));
    if (asBefore.length > 0) this.host.consequences(asBefore);
  }

  /** Routes whose time is over and that could not be taken back are tried again a little later. */
  private postponeExpiry(mutation: Mutation): void {
    if (mutation.source !== "expiry") return;
    const atMs = this.host.wallMs() + expiryRetryMs;
    for (const op of mutation.ops) {
      if (op.op === "retract") this.injection.expireAt(op.prefix, op.pathId, atMs);
    }
  }

  get waiting(): number {
    return this.parked.length;
  }

  private outcome(prepared: Prepared, plan: InjectionPlan, changed: boolean): MutationOutcome {
    const receipts = plan.puts.map(({ path, message, present }) =>
      this.host.receipt(message.prefix, path.pathId, changed && !present),
    );
    return {
      ok: true,
      generation: prepared.generation,
      changes: prepared.changes,
      receipts,
      unchanged: plan.unchanged,
    };
  }
}

function pathKey(prefix: string, pathId: number): string {
  return `${prefix} ${pathId}`;
}

/** Keys of the paths that a parked change puts or drops. */
function* keysOf(parked: Parked): Generator<string> {
  for (const row of parked.rows) {
    if (row.table !== "injected") continue;
    for (const { prefix, pathId } of row.put) yield pathKey(prefix, pathId);
    for (const { prefix, pathId } of row.drop) yield pathKey(prefix, pathId);
  }
}

function summaryOf(prepared: Prepared): string {
  const names = prepared.touched.slice(0, 3).map(({ kind, name }) => `${kind}/${name}`);
  const more = prepared.touched.length - names.length;
  return names.join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** Text that is equal for equal requests; a request id may be used again only with the same. */
function digestOf(mutation: Mutation): string {
  return JSON.stringify(mutation.ops.map(opDigest));
}

function opDigest(op: MutationOp): JsonValue {
  switch (op.op) {
    case "put":
      return [op.op, op.kind, op.mode ?? "", opText(op.kind, op.spec)];
    case "patch":
      return [op.op, op.kind, op.name, [...op.mask], opText(op.kind, op.spec)];
    case "delete":
      return [op.op, op.kind, op.name];
    case "inject":
      return [op.op, toJson(InjectedPathSchema, op.path)];
    case "retract":
      return [op.op, op.prefix, op.pathId];
    default:
      return unreachable(op);
  }
}

function opText(kind: string, spec: Message): string {
  const desc = kinds.get(kind)?.desc;
  return desc && desc.typeName === spec.$typeName ? specText(desc, spec) : spec.$typeName;
}

function outcomeJson(outcome: MutationOutcome): JsonValue {
  if (!outcome.ok) return { ok: false };
  return {
    ok: true,
    generation: outcome.generation,
    unchanged: outcome.unchanged,
    changes: outcome.changes.map((change) => toJson(ObjectChangeSchema, change)),
    receipts: outcome.receipts.map((receipt) => toJson(PathReceiptSchema, receipt)),
  };
}

function outcomeOf(json: JsonValue): MutationOutcome {
  const value = json as {
    generation: number;
    unchanged: number;
    changes: JsonValue[];
    receipts: JsonValue[];
  };
  return {
    ok: true,
    generation: value.generation,
    unchanged: value.unchanged,
    changes: value.changes.map((change) => fromJson(ObjectChangeSchema, change)),
    receipts: value.receipts.map((receipt) => fromJson(PathReceiptSchema, receipt)),
  };
}
