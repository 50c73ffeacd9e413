/** Large changes: spread over turns by work units, whole in the end, overtaken by others and not for ever. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type Message } from "@bufbuild/protobuf";
import { limits } from "../base/limits.ts";
import { GlobalSpecSchema } from "../gen/cairn/v1/global_service_pb.ts";
import { NeighborSpecSchema } from "../gen/cairn/v1/neighbor_service_pb.ts";
import { Core, emptyState } from "./core.ts";
import type { Mutation, MutationOp, MutationOutcome } from "./mutation.ts";
import { objectsOf, type StoreRow } from "./rows.ts";

/** Steps of a large change in one turn with this budget (core.ts counts 60 microseconds for a step). */
const budget = 6000;
const stepsPerTurn = 100;

class Rig {
  readonly core: Core;
  readonly outcomes = new Map<number, MutationOutcome>();
  /** Calls in the order of their replies. */
  readonly replied: number[] = [];
  readonly written: StoreRow[][] = [];
  private unacked: number[] = [];
  private nowMs = 0;
  private call = 0;

  constructor() {
    const core = Core.create(emptyState, () => 0.5, 0, 1_700_000_000_000);
    assert.ok(core.ok);
    this.core = core.value;
    this.send([{ op: "put", kind: "Global", spec: globalSpec }]);
    this.settle();
  }

  send(ops: readonly MutationOp[], more: Partial<Mutation> = {}): number {
    const rest = { expectedGeneration: 0, dryRun: false, reason: "", requestId: "", principal: "test" };
    const mutation = { ops, ...rest, source: "api", ...more };
    this.input({ kind: "mutate", call: ++this.call, mutation });
    return this.call;
  }

  private input(input: Parameters<Core["handle"]>[0]): void {
    this.core.handle(input, this.nowMs, 1_700_000_000_000 + this.nowMs);
  }

  turn(): void {
    this.nowMs++;
    this.core.turn(this.nowMs, 1_700_000_000_000 + this.nowMs, budget);
    for (const effect of this.core.effects.list) {
      if (effect.kind === "reply") {
        this.outcomes.set(effect.call, effect.outcome as MutationOutcome);
        this.replied.push(effect.call);
      }
      if (effect.kind !== "store.persist") continue;
      this.written.push([...effect.rows]);
      this.unacked.push(effect.seq);
    }
    this.core.effects.list.length = 0;
  }

  acknowledge(): void {
    const seq = this.unacked[this.unacked.length - 1];
    this.unacked = [];
    if (seq !== undefined) this.input({ kind: "store.committed", seq });
  }

  fail(): void {
    const [seq] = this.unacked;
    this.unacked = [];
    this.input({ kind: "store.failed", seq, error: "the disk is full" });
  }

  /** Until nothing is to be done. @returns turns that it took */
  settle(): number {
    for (let turns = 1; ; turns++) {
      this.turn();
      if (this.unacked.length > 0) this.acknowledge();
      else if (!this.core.hasWork()) return turns;
      assert.ok(turns < 100_000, "it never ends");
    }
  }

  /** Turns until the predicate holds. */
  until(holds: () => boolean): number {
    for (let turns = 1; ; turns++) {
      this.turn();
      if (holds()) return turns;
      assert.ok(turns < 100_000, "it never comes");
    }
  }
}

const globalSpec: Message = create(GlobalSpecSchema, { asn: 65001, routerId: "192.0.2.1" });

function neighbor(n: number, description = ""): MutationOp {
  const address = `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`;
  const spec = create(NeighborSpecSchema, { address, remoteAsn: 65002, shutdown: true, description });
  return { op: "put", kind: "Neighbor", spec };
}

const many = (count: number, description = ""): MutationOp[] =>
  Array.from({ length: count }, (_, i) => neighbor(i + 1, description));

const accepted = (outcome: MutationOutcome | undefined): Extract<MutationOutcome, { ok: true }> => {
  assert.ok(outcome?.ok, JSON.stringify(outcome));
  return outcome;
};

test("a change of 2,000 objects takes no more than its share of a turn, and others are answered meanwhile", () => {
  const rig = new Rig();
  const count = 2000;
  const { generation } = rig.core.objects;
  const large = rig.send(many(count));
  const look = rig.send([neighbor(1)], { dryRun: true });
  let sinceWritten = rig.written.length;
  const turns = rig.until(() => rig.written.length > sinceWritten);
  assert.equal(rig.replied.at(-1), look, "what is only looked at does not wait");
  // Each object is drafted, compared, checked, described and put into words.
  assert.ok(turns >= (5 * count) / stepsPerTurn, `${turns} turns`);
  assert.equal(rig.core.objects.generation, generation + 1);
  assert.equal(rig.core.neighbors.size, 0, "nothing follows before it is durable");
  rig.acknowledge();
  const sizes: number[] = [];
  sinceWritten = rig.until(() => {
    sizes.push(rig.core.neighbors.size);
    return rig.outcomes.has(large);
  });
  assert.equal(rig.core.neighbors.size, count, "the reply comes when everything is as declared");
  for (let i = 1; i < sizes.length; i++) assert.ok(sizes[i] - sizes[i - 1] <= stepsPerTurn, `${sizes}`);
  assert.ok(sinceWritten >= (count - limits.wholeTurnNeighbors) / stepsPerTurn);
  assert.equal(accepted(rig.outcomes.get(large)).changes.length, count);
});

test("spread over turns it is the same as at once", () => {
  const [whole, spread] = [new Rig(), new Rig()];
  for (let from = 0; from < 600; from += limits.wholeTurnOps) {
    whole.send(many(600).slice(from, from + limits.wholeTurnOps));
    whole.settle();
  }
  const call = spread.send(many(600));
  spread.settle();
  assert.equal(accepted(spread.outcomes.get(call)).hash, whole.core.objects.hash);
  const rowsOf = (rig: Rig): string[] =>
    rig.written
      .flat()
      .flatMap((row) => (row.table === "generation" ? [...objectsOf(row)] : []))
      .flatMap(({ puts, undo }) => [
        ...puts.map(({ name, spec }) => [name, spec]),
        ...undo!.map((u) => u.before),
      ])
      .map((row) => JSON.stringify(row))
      .sort();
  assert.deepEqual(rowsOf(spread), rowsOf(whole));
});

test("who comes between is not held up, and after a few times waits for the large one", () => {
  const rig = new Rig();
  const large = rig.send(many(1000));
  const small: number[] = [];
  for (let i = 0; i <= limits.preparationRestartsMax; i++) {
    rig.turn();
    small.push(rig.send([neighbor(5000 + i)]));
    rig.turn();
    rig.acknowledge();
  }
  rig.settle();
  const last = small.pop()!;
  assert.deepEqual(rig.replied.slice(1), [...small, large, last]);
  for (const call of [...small, large, last]) accepted(rig.outcomes.get(call));
  const generations = [large, last].map((call) => accepted(rig.outcomes.get(call)).generation);
  assert.deepEqual(generations, [rig.core.objects.generation - 1, rig.core.objects.generation]);
});

test("a large change that expects a generation is refused when another one came between", () => {
  const rig = new Rig();
  const large = rig.send(many(1000), { expectedGeneration: rig.core.objects.generation });
  rig.turn();
  rig.send([neighbor(5000)]);
  rig.settle();
  const outcome = rig.outcomes.get(large);
  assert.ok(outcome && !outcome.ok);
  assert.equal(outcome.problems[0].code, "STALE_GENERATION");
  assert.equal(rig.core.objects.count("Neighbor"), 1);
});

test("the request id of a large change holds from its beginning; a refused one gives it free", () => {
  const rig = new Rig();
  const first = rig.send(many(300), { requestId: "a" });
  const again = rig.send(many(300), { requestId: "a" });
  rig.settle();
  const outcome = rig.outcomes.get(again);
  assert.ok(outcome && !outcome.ok);
  assert.equal(outcome.problems[0].code, "BUSY");
  const { generation } = accepted(rig.outcomes.get(first));
  const third = rig.send(many(300), { requestId: "a" });
  rig.settle();
  assert.equal(accepted(rig.outcomes.get(third)).generation, generation);
  const wrong = [...many(300, "x"), neighbor(1)];
  const refused = rig.send(wrong, { requestId: "b" });
  rig.settle();
  assert.equal(rig.outcomes.get(refused)?.ok, false);
  const mended = rig.send(many(300, "x"), { requestId: "b" });
  rig.settle();
  assert.equal(accepted(rig.outcomes.get(mended)).changes.length, 300);
});

test("a large change that cannot be written is taken back as a whole", () => {
  const rig = new Rig();
  const { hash } = rig.core.objects;
  const large = rig.send(many(1000));
  rig.until(() => rig.core.objects.count("Neighbor") === 1000);
  rig.fail();
  rig.settle();
  assert.equal(rig.core.objects.hash, hash);
  assert.equal(rig.core.neighbors.size, 0);
  const outcome = rig.outcomes.get(large);
  assert.ok(outcome && !outcome.ok);
  assert.equal(outcome.problems[0].code, "STORE_FAILED");
});
