/** Routes that are announced only when the kernel has confirmed them (suppress_fib_pending), over a kernel that answers when told. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { CoreRig, type Peer, type PeerOptions } from "../../../test/rfc/core-rig.ts";
import { attributesHex, nlriHex } from "../../../test/rfc/wire-text.ts";
import { update } from "../../../test/support/wire.ts";
import { parsePrefix } from "../../base/ip.ts";
import { FakeFib } from "../../dataplane/fib/fake-fib.ts";
import { wayOf } from "../../dataplane/fib/messages.ts";
import { FibTableSpecSchema } from "../../gen/cairn/v1/fib_kinds_pb.ts";
import { AddPath_Send, type NeighborSpecSchema } from "../../gen/cairn/v1/neighbor_service_pb.ts";
import type { Effect } from "../effects.ts";
import { explainAdvertised } from "../explain-export.ts";

const net = "203.0.113.0/24";
const other = "198.51.100.0/24";
const scope = { table: 254, metric: 20 };

class Bench {
  readonly rig = new CoreRig({}, undefined, "memory");
  readonly kernel = new FakeFib();
  readonly pending: Extract<Effect, { kind: "fib.dump" | "fib.write" }>[] = [];
  /** From it routes come. */
  readonly a: Peer;
  /** Another one, farther away. */
  readonly b: Peer;
  /** It hears of what the kernel holds. */
  readonly c: Peer;

  constructor(
    c: MessageInitShape<typeof NeighborSpecSchema> = {},
    spec: MessageInitShape<typeof FibTableSpecSchema> | null = {},
    options: PeerOptions = {},
  ) {
    this.rig.watch = (effect) => {
      if (effect.kind === "fib.dump" || effect.kind === "fib.write") this.pending.push(effect);
    };
    this.links(true);
    if (spec) this.declare(spec);
    this.deliverAll();
    this.a = this.rig.peer("192.0.2.2", { remoteAsn: 65002 });
    this.b = this.rig.peer("192.0.2.3", { remoteAsn: 65003 });
    this.c = this.rig.peer("192.0.2.4", { remoteAsn: 65004, suppressFibPending: true, ...c }, options);
  }

  links(up: boolean): void {
    const [bytes, inside] = ["192.0.2.1/32", "10.0.0.1/32"].map((text) => {
      const parsed = parsePrefix(text);
      assert.ok(typeof parsed !== "string");
      return parsed.bytes;
    });
    const links = [
      { name: "eth0", up, addresses: [{ bytes, length: 24 }] },
      { name: "eth1", up: true, addresses: [{ bytes: inside, length: 24 }] },
    ];
    this.rig.simulate({ links, routes: [] });
  }

  declare(spec: MessageInitShape<typeof FibTableSpecSchema> | undefined): void {
    if (!spec) this.rig.mutate({ op: "delete", kind: "FibTable", name: "f" });
    else
      this.rig.mutate({
        op: "put",
        kind: "FibTable",
        spec: create(FibTableSpecSchema, { name: "f", ...spec }),
      });
  }

  /** The kernel answers all that it was asked. */
  deliverAll(): void {
    for (let left = 100; this.pending.length > 0; left--) {
      assert.ok(left > 0, "the writer does not come to rest");
      const effect = this.pending.shift()!;
      if (effect.kind === "fib.write") {
        this.rig.input({ kind: "fib.written", outcome: this.kernel.write(effect.batch) });
      } else this.rig.input({ kind: "fib.dumped", dump: this.kernel.dump(effect, effect.size) });
    }
  }

  explain(prefix = net): { advertised: boolean; summary: string; failed: string[] } {
    const told = explainAdvertised(this.rig.core, "192.0.2.4", prefix);
    assert.ok(told.ok);
    const { advertised, summary, paths } = told.value;
    const failed = (paths[0]?.gates ?? []).filter(({ passed }) => !passed).map(({ name }) => name);
    return { advertised, summary, failed };
  }
}

suite("suppress_fib_pending", () => {
  test("a route goes out when the kernel has it, and explain says what it waits for", () => {
    const bench = new Bench();
    bench.a.announce([net, other]);
    assert.deepEqual([...bench.c.routes.keys()], []);
    assert.ok(bench.b.has(net), "others do not wait");
    const { advertised, summary, failed } = bench.explain();
    assert.deepEqual({ advertised, failed }, { advertised: false, failed: ["fib-pending"] });
    assert.match(summary, /waits for the FIB/);
    bench.deliverAll();
    assert.deepEqual([...bench.c.routes.keys()].sort(), [other, net]);
    assert.deepEqual(bench.explain().failed, []);
    assert.ok(bench.explain().advertised);
  });

  test("a withdrawal does not wait", () => {
    const bench = new Bench();
    bench.a.announce(net);
    bench.deliverAll();
    bench.a.withdraw(net);
    assert.ok(!bench.c.has(net));
  });

  test("a route that changes stands as it was announced until the kernel follows", () => {
    const bench = new Bench();
    bench.b.announce(net, { path: "65003 65009" });
    bench.deliverAll();
    bench.c.forget();
    bench.a.announce(net);
    assert.deepEqual(bench.c.trail, [], "nothing is withdrawn meanwhile");
    assert.equal(bench.c.route(net).path, "65001 65003 65009");
    const told = bench.explain();
    assert.ok(told.advertised, told.summary);
    assert.match(told.summary, /as before.*waits for the FIB/);
    bench.deliverAll();
    assert.equal(bench.c.route(net).path, "65001 65002");
    assert.deepEqual(bench.c.trail, [`+${net}`]);
  });

  test("a change that the FIB has not looked at yet does not go out", () => {
    const bench = new Bench();
    bench.b.announce(net, { path: "65003 65009" });
    bench.deliverAll();
    bench.c.forget();
    const { fib } = bench.rig.core;
    fib.run = () => {};
    const route = { origin: "igp", path: "65002", nextHop: "192.0.2.2" } as const;
    bench.a.post(update(attributesHex(route, 4), nlriHex(net)));
    for (let turns = 0; turns < 5; turns++) bench.rig.turn(6000);
    assert.equal(bench.rig.best(net), "192.0.2.2");
    assert.deepEqual(bench.c.trail, []);
    // As it is on the prototype.
    Reflect.deleteProperty(fib, "run");
    bench.rig.run();
    assert.deepEqual(bench.c.trail, []);
    bench.deliverAll();
    assert.deepEqual(bench.c.trail, [`+${net}`]);
  });

  test("attributes alone do not wait: packets go the same way", () => {
    const bench = new Bench();
    bench.a.announce(net);
    bench.deliverAll();
    bench.a.announce(net, { path: "65002 65009" });
    assert.equal(bench.c.route(net).path, "65001 65002 65009");
    assert.equal(bench.pending.length, 0);
  });

  test("what the kernel refuses is not announced, and is withdrawn where it was", () => {
    const bench = new Bench();
    bench.b.announce(net, { path: "65003 65009" });
    bench.deliverAll();
    bench.kernel.refuse = () => 28;
    bench.a.announce([net, other]);
    bench.deliverAll();
    assert.deepEqual([...bench.c.routes.keys()], []);
    assert.deepEqual(bench.explain().failed, ["fib"]);
    bench.kernel.refuse = () => 0;
    bench.rig.advance(3000);
    bench.deliverAll();
    assert.deepEqual([...bench.c.routes.keys()].sort(), [other, net]);
  });

  test("a foreign route in its place keeps it back", () => {
    const bench = new Bench();
    const way = wayOf([{ link: 9, gateway: undefined, weight: 1 }]);
    bench.kernel.set(scope, "203.0.113.0/24", way, false);
    bench.a.announce([net, other]);
    bench.deliverAll();
    assert.deepEqual([...bench.c.routes.keys()], [other]);
    bench.kernel.set(scope, "203.0.113.0/24", undefined, false);
    bench.rig.input({ kind: "fib.moved", moved: { table: 254, ours: false } });
    bench.rig.advance(1000);
    bench.deliverAll();
    assert.deepEqual([...bench.c.routes.keys()].sort(), [other, net]);
  });

  test("without a FibTable, or one that takes it, nothing that was learned goes out", () => {
    const bench = new Bench({}, null);
    bench.a.announce(net);
    assert.ok(!bench.c.has(net));
    assert.deepEqual(bench.explain().failed, ["fib"]);
    bench.declare({ neighbors: ["192.0.2.3"] });
    bench.deliverAll();
    assert.ok(!bench.c.has(net));
    bench.declare({});
    bench.deliverAll();
    assert.ok(bench.c.has(net));
    bench.declare(undefined);
    bench.deliverAll();
    assert.ok(!bench.c.has(net));
  });

  test("all FibTables that take it count", () => {
    const bench = new Bench();
    bench.rig.mutate({
      op: "put",
      kind: "FibTable",
      spec: create(FibTableSpecSchema, { name: "g", table: 100 }),
    });
    bench.deliverAll();
    bench.kernel.refuse = () => 0;
    bench.a.announce(net);
    const first = bench.pending.shift()!;
    assert.equal(first.kind, "fib.write");
    if (first.kind === "fib.write") {
      bench.rig.input({ kind: "fib.written", outcome: bench.kernel.write(first.batch) });
    }
    assert.ok(!bench.c.has(net), "one of two holds it");
    bench.deliverAll();
    assert.ok(bench.c.has(net));
  });

  test("routes of our own do not wait", () => {
    const bench = new Bench({}, null);
    bench.rig.inject({ prefix: other, nextHop: "192.0.2.1" });
    assert.ok(bench.c.has(other));
  });

  test("beyond max_routes", () => {
    const bench = new Bench({}, { maxRoutes: 1 });
    bench.a.announce(net);
    bench.deliverAll();
    bench.a.announce(other);
    bench.deliverAll();
    assert.deepEqual([...bench.c.routes.keys()], [net]);
    bench.a.withdraw(net);
    bench.deliverAll();
    bench.declare({ maxRoutes: 2 });
    bench.deliverAll();
    assert.deepEqual([...bench.c.routes.keys()], [other]);
  });

  test("with several paths of a prefix (RFC 7911) all of them wait", () => {
    const addPath = [{ family: "ipv4-unicast", receive: true, send: AddPath_Send.ALL }];
    const bench = new Bench({ addPath }, {}, { addPath: true });
    bench.a.announce(net);
    bench.b.announce(net, { path: "65003 65009" });
    assert.equal(bench.c.routes.size, 0);
    bench.deliverAll();
    assert.equal(bench.c.routes.size, 2);
  });

  test("switched on and off again, the session stays and what is not confirmed goes and comes", () => {
    const bench = new Bench({ suppressFibPending: false }, null);
    bench.a.announce(net);
    assert.ok(bench.c.has(net));
    bench.rig.neighbor({ address: "192.0.2.4", remoteAsn: 65004, suppressFibPending: true });
    assert.ok(bench.c.up && !bench.c.has(net));
    bench.rig.neighbor({ address: "192.0.2.4", remoteAsn: 65004 });
    assert.ok(bench.c.up && bench.c.has(net));
  });

  test("End-of-RIB comes when what there was is in the kernel", () => {
    const bench = new Bench({}, null);
    bench.c.drop();
    bench.rig.advance(5000);
    bench.declare({});
    bench.a.announce(net);
    bench.c.forget();
    bench.c.connect();
    assert.equal(bench.c.endsOfRib, 0);
    bench.deliverAll();
    assert.deepEqual(bench.c.trail, [`+${net}`, "EoR"]);
  });
});
