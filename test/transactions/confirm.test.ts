/** Confirmed apply in virtual time, over restarts and failing writes: what is not confirmed does not stay. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { seededRandom } from "../../src/base/random.ts";
import { GlobalSpecSchema } from "../../src/gen/cairn/v1/global_service_pb.ts";
import { type NeighborSpec, NeighborSpecSchema } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import { parseCondition } from "../../src/state/conditions.ts";
import { Core, emptyState } from "../../src/state/core.ts";
import type { ConfirmTerms, Mutation, MutationOp, MutationOutcome } from "../../src/state/mutation.ts";
import type { StoredObject, StoredPending, StoredState, StoreRow } from "../../src/state/rows.ts";
import { CoreRig, Peer } from "../rfc/core-rig.ts";

const global = create(GlobalSpecSchema, { asn: 65001, routerId: "192.0.2.1" });
const neighbor = (description: string): MutationOp => ({
  op: "put",
  kind: "Neighbor",
  spec: create(NeighborSpecSchema, { address: "198.51.100.2", remoteAsn: 65002, description }),
});
const terms: ConfirmTerms = { withinMs: 60_000, conditions: [], holdMs: 5_000, graceMs: 10_000 };

/** A core, and a disk that keeps what it wrote. */
class Router {
  core: Core;
  nowMs = 1_000;
  wallMs = 1_700_000_000_000;
  disk: StoredState = emptyState;
  failing = false;
  private calls = 0;
  readonly outcomes = new Map<number, MutationOutcome>();
  readonly topics: string[] = [];
  private toldSeq = 0;

  constructor() {
    this.core = this.start();
    assert.ok(this.mutate([{ op: "put", kind: "Global", spec: global }, neighbor("old")]).ok);
  }

  private start(): Core {
    const core = Core.create(this.disk, seededRandom(1), this.nowMs, this.wallMs);
    assert.ok(core.ok);
    return core.value;
  }

  /** The process dies and starts again after a while. */
  restart(awayMs: number): void {
    this.wallMs += awayMs;
    this.nowMs = 50_000;
    this.toldSeq = 0;
    this.core = this.start();
  }

  mutate(ops: readonly MutationOp[], more: Partial<Mutation> = {}): MutationOutcome {
    const call = ++this.calls;
    const rest = { expectedGeneration: 0, dryRun: false, reason: "r", requestId: "", principal: "me" };
    this.core.handle(
      { kind: "mutate", call, mutation: { ops, ...rest, source: "api", ...more } },
      this.nowMs,
      this.wallMs,
    );
    this.run();
    const outcome = this.outcomes.get(call);
    assert.ok(outcome);
    return outcome;
  }

  run(): void {
    for (let i = 0; i < 5; i++) {
      this.core.turn(this.nowMs, this.wallMs);
      for (const effect of this.core.effects.list.splice(0)) {
        if (effect.kind === "reply") this.outcomes.set(effect.call, effect.outcome as MutationOutcome);
        if (effect.kind === "store.persist") this.persist(effect.seq, effect.rows);
      }
    }
  }

  private persist(seq: number, rows: readonly StoreRow[]): void {
    assert.ok(seq > this.toldSeq);
    this.toldSeq = seq;
    if (this.failing) {
      this.core.handle({ kind: "store.failed", seq, error: "disk full" }, this.nowMs, this.wallMs);
      return;
    }
    for (const row of rows) this.write(row);
    this.core.handle({ kind: "store.committed", seq }, this.nowMs, this.wallMs);
  }

  private write(row: StoreRow): void {
    if (row.table === "events") for (const { topic } of row.events) this.topics.push(topic);
    if (row.table === "pending") this.disk = withPending(this.disk, row.pending);
    if (row.table !== "generation") return;
    const objects = new Map<string, StoredObject>();
    for (const object of this.disk.objects) objects.set(`${object.kind}/${object.name}`, object);
    for (const object of row.puts) objects.set(`${object.kind}/${object.name}`, object);
    for (const { kind, name } of row.deletes) objects.delete(`${kind}/${name}`);
    this.disk = { ...this.disk, generation: row.generation, hash: row.hash!, objects: [...objects.values()] };
  }

  advance(ms: number): void {
    for (const end = this.nowMs + ms; this.nowMs < end; ) {
      const step = Math.min(end, Math.max(this.nowMs + 1, this.core.nextWakeMs())) - this.nowMs;
      this.nowMs += step;
      this.wallMs += step;
      this.run();
    }
  }

  get description(): string | undefined {
    return (this.core.objects.spec("Neighbor", "198.51.100.2") as NeighborSpec | undefined)?.description;
  }

  get generation(): number {
    return this.core.objects.generation;
  }

  get pending(): number | undefined {
    return this.core.changes.confirmation.pending?.generation;
  }
}

function withPending(disk: StoredState, pending: StoredPending | null): StoredState {
  const { pending: _, ...rest } = disk;
  return pending ? { ...rest, pending } : rest;
}

test("it is taken back when its time is over, as a generation of its own under the old hash", () => {
  const router = new Router();
  const { hash } = router.core.objects;
  assert.ok(router.mutate([neighbor("new")], { confirm: terms }).ok);
  assert.deepEqual([router.description, router.pending], ["new", 2]);
  router.advance(59_999);
  assert.equal(router.description, "new");
  router.advance(1);
  assert.deepEqual([router.description, router.generation, router.pending], ["old", 3, undefined]);
  assert.equal(router.core.objects.hash, hash);
  assert.equal(router.disk.pending, undefined);
  assert.ok(router.topics.includes("cairn.config.change.reverted"));
});

test("while it waits others are told who holds it; routes can be put in; confirm makes it stay", () => {
  const router = new Router();
  router.mutate([neighbor("new")], { confirm: terms, principal: "alice", reason: "trial" });
  const refused = router.mutate([neighbor("other")], { principal: "bob" });
  assert.ok(!refused.ok);
  assert.equal(refused.problems[0].code, "PENDING");
  assert.match(refused.problems[0].message, /generation 2 by alice \(trial\) waits .* until 2023-11-14T/);
  assert.ok(router.mutate([neighbor("other")], { dryRun: true }).ok, "looking is possible");
  assert.ok(router.mutate([neighbor("new")]).ok, "what changes nothing is no change");
  const wrong = router.mutate([{ op: "confirm", generation: 7 }]);
  assert.ok(!wrong.ok && wrong.problems[0].code === "WRONG_STATE");
  assert.ok(router.mutate([{ op: "confirm", generation: 2 }]).ok);
  router.advance(100_000);
  assert.deepEqual([router.description, router.generation, router.pending], ["new", 2, undefined]);
  assert.ok(!router.mutate([{ op: "confirm", generation: 0 }]).ok, "nothing waits any more");
});

test("abort takes it back at once", () => {
  const router = new Router();
  router.mutate([neighbor("new")], { confirm: terms });
  assert.ok(router.mutate([{ op: "abort", generation: 0 }]).ok);
  assert.deepEqual([router.description, router.generation, router.pending], ["old", 3, undefined]);
});

test("conditions that hold long enough confirm it, without anybody", () => {
  const router = new Router();
  router.mutate([neighbor("new")], { confirm: { ...terms, conditions: ["bgp.neighbors == 1"] } });
  router.advance(4_900);
  assert.equal(router.pending, 2);
  router.advance(200);
  assert.deepEqual([router.description, router.generation, router.pending], ["new", 2, undefined]);
  assert.ok(router.topics.includes("cairn.config.change.confirmed"));
});

test("a condition that does not hold takes it back when the grace is over, before the deadline", () => {
  const router = new Router();
  const conditions = ["bgp.neighbors == 1", "neighbor/198.51.100.2.state == established"];
  router.mutate([neighbor("new")], { confirm: { ...terms, conditions } });
  router.advance(9_700);
  assert.equal(router.pending, 2);
  router.advance(600);
  assert.deepEqual([router.description, router.generation, router.pending], ["old", 3, undefined]);
});

test("killed and started before the deadline: what is left of the time counts", () => {
  const router = new Router();
  router.mutate([neighbor("new")], { confirm: terms });
  router.advance(20_000);
  router.restart(10_000);
  assert.deepEqual([router.description, router.pending], ["new", 2]);
  router.advance(29_999);
  assert.equal(router.description, "new");
  router.advance(1);
  assert.deepEqual([router.description, router.generation], ["old", 3]);
});

test("killed and started after the deadline: it is taken back before anything runs, and it is durable", () => {
  const router = new Router();
  router.mutate([neighbor("new")], { confirm: terms });
  router.restart(60_000);
  assert.equal(router.description, "old", "before the first turn");
  router.run();
  assert.deepEqual([router.disk.generation, router.disk.pending, router.pending], [3, undefined, undefined]);
  router.restart(0);
  assert.deepEqual([router.description, router.generation], ["old", 3]);
});

test("started after the deadline with a failing disk: others wait until the revert is written", () => {
  const router = new Router();
  router.mutate([neighbor("new")], { confirm: terms });
  router.failing = true;
  router.restart(60_000);
  router.run();
  assert.deepEqual([router.description, router.disk.generation], ["old", 2]);
  const refused = router.mutate([neighbor("other")]);
  assert.ok(!refused.ok && refused.problems[0].code === "PENDING");
  router.failing = false;
  router.advance(5_000);
  assert.deepEqual([router.disk.generation, router.pending], [3, undefined]);
  assert.ok(router.mutate([neighbor("other")]).ok);
  assert.equal(router.disk.generation, 4);
});

test("a revert that could not be written is tried again", () => {
  const router = new Router();
  router.mutate([neighbor("new")], { confirm: terms });
  router.failing = true;
  router.advance(61_000);
  assert.deepEqual([router.description, router.pending], ["new", 2]);
  router.failing = false;
  router.advance(2_000);
  assert.deepEqual([router.description, router.disk.generation, router.pending], ["old", 3, undefined]);
});

test("a confirmed apply that was never durable leaves nothing pending", () => {
  const router = new Router();
  router.failing = true;
  assert.ok(!router.mutate([neighbor("new")], { confirm: terms }).ok);
  router.failing = false;
  assert.deepEqual([router.description, router.pending, router.generation], ["old", undefined, 1]);
  assert.ok(router.mutate([neighbor("newer")]).ok);
});

test("conditions that do not parse are refused all at once, each with its column", () => {
  const router = new Router();
  const conditions = ["bgp.establishd >= 3", "neighbor/198.51.100.2.state > 3", "", "rib.paths >= x"];
  const outcome = router.mutate([neighbor("new")], { confirm: { ...terms, conditions, withinMs: 10 } });
  assert.ok(!outcome.ok);
  assert.deepEqual(
    outcome.problems.filter(({ path }) => path.includes("conditions")).map(({ message }) => message),
    [
      'column 5: "establishd" is not known here',
      "column 29: neighbor/198.51.100.2.state is not a number",
      "column 1: a subject is missing",
      'column 14: "x" is not a whole number',
    ],
  );
  assert.equal(router.generation, 1);
});

test("subjects of conditions", () => {
  const good = [
    "bgp.established >= 3",
    "rib.ipv4-unicast.prefixes > 0",
    "neighbor/2001:db8::1.ipv6-unicast.accepted > 0",
    "neighbor/198.51.100.2.advertised<=10",
    "neighbor/198.51.100.2.state != Open-Sent",
    " neighbor/198.51.100.2.uptime >= 60 ",
  ];
  for (const text of good) assert.ok(parseCondition(text, "").ok, text);
  const bad = [
    "bgp",
    "neighbor/x y.state == idle",
    "neighbor/198.51.100.2.ipv9-unicast.accepted > 0",
    "a = 1",
  ];
  for (const text of [...bad, "bgp.established => 3", "bgp.established >="])
    assert.ok(!parseCondition(text, "").ok, text);
});

/** A change of objects on a router with sessions that has to be confirmed. */
function applyUntilConfirmed(rig: CoreRig, ops: readonly MutationOp[], conditions: readonly string[]): void {
  const mutation = { ops, expectedGeneration: 0, dryRun: false, reason: "", requestId: "", principal: "me" };
  const confirm = { withinMs: 60_000, conditions, holdMs: 5_000, graceMs: 20_000 };
  rig.input({ kind: "mutate", call: 1, mutation: { ...mutation, source: "api", confirm } });
}

test("a change that ends a session and does not let it come back is taken back, and the session is there again", () => {
  for (const [conditions, afterMs] of [
    [["bgp.established >= 2"], 20_250],
    [["neighbor/192.0.2.2.accepted > 0"], 20_250],
    [[], 60_000],
  ] as const) {
    const rig = new CoreRig();
    const peer = rig.peer("192.0.2.2", { remoteAsn: 65002 });
    const other = rig.peer("192.0.2.3", { remoteAsn: 65003 });
    peer.announce("203.0.113.0/24");
    const { hash } = rig.core.objects;
    const wrong = { address: "192.0.2.2", remoteAsn: 65099, passive: true, import: ["accept-all"] };
    applyUntilConfirmed(
      rig,
      [{ op: "put", kind: "Neighbor", spec: create(NeighborSpecSchema, wrong) }],
      conditions,
    );
    assert.match(peer.notification, /^6\/6/);
    assert.equal(other.has("203.0.113.0/24"), false);
    rig.advance(afterMs - 500);
    assert.notEqual(rig.core.objects.hash, hash, `${conditions}: still waiting`);
    rig.advance(500);
    assert.equal(rig.core.objects.hash, hash, `${conditions}: taken back on time`);
    const again = rig.peer("192.0.2.2", { remoteAsn: 65002 });
    again.announce("203.0.113.0/24");
    assert.ok(other.has("203.0.113.0/24"));
  }
});

test("a change that cuts every session (the way that the operator came) is taken back without anybody", () => {
  const rig = new CoreRig();
  const peers = [65002, 65003, 65004].map((remoteAsn, i) => rig.peer(`192.0.2.${i + 2}`, { remoteAsn }));
  peers[0].announce("203.0.113.0/24");
  const ops = peers.map(({ address }): MutationOp => ({ op: "delete", kind: "Neighbor", name: address }));
  applyUntilConfirmed(rig, ops, ["bgp.established >= 3"]);
  for (const peer of peers) assert.match(peer.notification, /^6\/3/, "de-configured");
  rig.advance(20_250);
  assert.equal(rig.core.neighbors.size, 3);
  rig.advance(10_000);
  for (const { address, asn } of peers) {
    const again = new Peer(rig, address, asn, {});
    again.connect();
    assert.ok(again.up);
  }
  assert.equal([...rig.core.neighbors.all()].filter(({ negotiated }) => negotiated).length, 3);
});
