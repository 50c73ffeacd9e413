/** What seeds found, each in its smallest form. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { seededRandom } from "../../src/base/random.ts";
import { InjectedPathSchema } from "../../src/gen/cairn/v1/injection_service_pb.ts";
import { Core, emptyState } from "../../src/state/core.ts";
import { CoreView } from "../../src/state/core-view.ts";
import type { MutationOp } from "../../src/state/mutation.ts";
import { RouteBatch } from "../../src/state/route-batch.ts";
import { ipv4Unicast } from "../../src/wire/family.ts";

class Bench {
  readonly core: Core;
  private now = 1000;
  private call = 0;
  seq = 0;

  constructor() {
    const created = Core.create(emptyState, seededRandom(1), this.now, 1e12);
    assert(created.ok);
    this.core = created.value;
  }

  ask(...ops: MutationOp[]): void {
    const base = {
      expectedGeneration: 0,
      dryRun: false,
      reason: "",
      requestId: "",
      principal: "t",
      source: "api",
    };
    this.core.handle({ kind: "mutate", call: ++this.call, mutation: { ops, ...base } }, this.now, 1e12);
  }

  /** One turn. @returns number of replies in it */
  turn(): number {
    this.core.turn(++this.now, 1e12);
    const { list } = this.core.effects;
    const replies = list.filter((effect) => effect.kind === "reply").length;
    for (const effect of list) if (effect.kind === "store.persist") this.seq = effect.seq;
    list.length = 0;
    return replies;
  }

  commit(): void {
    this.core.handle({ kind: "store.committed", seq: this.seq }, this.now, 1e12);
    this.turn();
  }

  fail(seq: number): void {
    this.core.handle({ kind: "store.failed", seq, error: "full" }, this.now, 1e12);
  }

  prefixes(): string[] {
    const listed = new CoreView(this.core).injected("", undefined, undefined, "", 100);
    assert.ok(listed.ok);
    return listed.value.paths.map(({ path }) => `${path!.prefix} ${path!.med ?? "-"}`).sort();
  }
}

const inject = (prefix: string, med?: number): MutationOp => ({
  op: "inject",
  path: create(InjectedPathSchema, { prefix, med }),
});
const retract = (prefix: string): MutationOp => ({ op: "retract", prefix, pathId: 0 });

test("of several operations on one path in a change the last counts", () => {
  const bench = new Bench();
  bench.ask(inject("10.0.0.0/8", 2));
  bench.turn();
  bench.commit();
  bench.ask(inject("10.0.0.0/8", 1), inject("10.0.0.0/8", 2), inject("11.0.0.0/8"), retract("11.0.0.0/8"));
  bench.turn();
  bench.commit();
  assert.deepEqual(bench.prefixes(), ["10.0.0.0/8 2"]);
});

test("a retraction right behind an injection that is not durable yet takes it back", () => {
  const bench = new Bench();
  bench.ask(inject("10.0.0.0/8"));
  bench.ask(retract("10.0.0.0/8"));
  bench.turn();
  bench.commit();
  assert.deepEqual(bench.prefixes(), []);
});

test("an answer that nothing changes waits until what it found is durable", () => {
  const bench = new Bench();
  bench.ask(inject("10.0.0.0/8"));
  bench.turn();
  bench.ask(retract("11.0.0.0/8"), retract("12.0.0.0/8"));
  assert.equal(bench.turn(), 0);
});

test("a change that waits behind a failed write is not taken back with it", () => {
  const bench = new Bench();
  bench.ask(inject("10.0.0.0/8"));
  bench.turn();
  const failed = bench.seq;
  bench.ask(inject("11.0.0.0/8"));
  bench.fail(failed);
  bench.turn();
  bench.commit();
  assert.deepEqual(bench.prefixes(), ["11.0.0.0/8 -"]);
});

test("a watch that resumes before every row of the table hears of withdrawals", () => {
  const bench = new Bench();
  bench.ask(inject("10.0.0.0/8"));
  bench.turn();
  bench.commit();
  const view = new CoreView(bench.core);
  const first = view.watchRoutes(ipv4Unicast, undefined, 0);
  assert(first.ok);
  const told = new RouteBatch();
  const { revision } = first.value.watch.next(told, [], 10);
  assert.equal(told.count, 1);
  // A second reader that lags keeps the row from being forgotten.
  assert(view.watchRoutes(ipv4Unicast, undefined, 0).ok);
  first.value.watch.close();
  bench.ask(retract("10.0.0.0/8"));
  bench.turn();
  bench.commit();
  const again = view.watchRoutes(ipv4Unicast, undefined, revision);
  assert(again.ok);
  const gone: string[] = [];
  again.value.watch.next(new RouteBatch(), gone, 10);
  assert(again.value.compacted || gone.includes("10.0.0.0/8"));
});

test("a connection that is accepted and closed before the next turn is forgotten", () => {
  const { core } = new Bench();
  const local = { localAddress: "192.0.2.1", localPort: 179 };
  core.handle(
    { kind: "tcp.accepted", conn: -1, ...local, remoteAddress: "192.0.2.2", remotePort: 5000 },
    1,
    1e12,
  );
  core.handle({ kind: "tcp.closed", conn: -1, error: "ECONNRESET" }, 1, 1e12);
  core.turn(2, 1e12);
  const engine = Reflect.get(core.sessions, "engine") as { connections: Map<number, unknown> };
  assert.equal(engine.connections.size, 0);
});
