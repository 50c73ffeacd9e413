import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Artifact, ArtifactName, Observed } from "./artifact.ts";
import { artifactClasses } from "./classes.ts";
import { ruleFacts } from "./netlink/rule-wire.ts";
import { World } from "./testing/world.ts";

const runs = Number(process.env.CAIRN_RUNS ?? 300);

function route(prefix: string, gateway: string, more: Partial<Artifact> = {}): Artifact {
  const facts = { protocol: "cairn", gateway, device: "eth0" };
  return { class: "route", key: `main ${prefix} 0`, facts, adopt: false, repair: true, ...more };
}

function foreign(gateway: string): Observed {
  return { facts: { protocol: "static", gateway, device: "eth0" }, identity: "static" };
}

/** An entry of the kernel that objects ask for and another hand makes as well. */
interface Entry {
  readonly name: ArtifactName;
  asked(variant: 1 | 2, more: Partial<Artifact>): Artifact;
  readonly foreign: Observed;
}

function routeEntry(prefix: string): Entry {
  return {
    name: { class: "route", key: `main ${prefix} 0` },
    asked: (variant, more) => route(prefix, `192.0.2.${variant}`, more),
    foreign: foreign("192.0.2.9"),
  };
}

/** A policy rule, which leads to one table or another. */
function ruleEntry(key: string): Entry {
  const asked = { class: "rule", key, adopt: false, repair: true };
  return {
    name: { class: "rule", key },
    asked: (variant, more) => ({ ...asked, facts: ruleFacts(variant), ...more }),
    foreign: { facts: { protocol: "static", table: 9, suppress: -1 }, identity: "static" },
  };
}

function started(): World {
  const world = new World(artifactClasses);
  world.kernel.set({ class: "link", key: "eth0" }, { facts: {}, identity: "2" });
  world.kernel.set({ class: "sysctl", key: "net.ipv4.ip_forward" }, { facts: { value: "0" }, identity: "" });
  world.start();
  return world;
}

describe("reconciler", () => {
  it("makes what is asked for, says so, and does nothing the second time", () => {
    const world = started();
    world.want("IPv4Route/a", [route("10.0.0.0/8", "192.0.2.1")]);
    world.settle();
    assert.deepEqual(world.states("IPv4Route/a"), ["applied"]);
    assert.deepEqual(world.gatewayOf("main 10.0.0.0/8 0"), "192.0.2.1");
    const { operations } = world.kernel;
    const { persisted } = world;
    world.want("IPv4Route/a", [route("10.0.0.0/8", "192.0.2.1")]);
    world.settle();
    assert.equal(world.kernel.operations, operations);
    assert.equal(world.persisted, persisted);
  });

  it("writes the ledger before it touches the kernel", () => {
    const world = started();
    world.kernel.fault = (operation) => {
      const row = world.durableRow(operation);
      assert.equal(row?.phase, "intended");
      return undefined;
    };
    world.want("IPv4Route/a", [route("10.0.0.0/8", "192.0.2.1")]);
    world.settle();
    assert.deepEqual(world.states("IPv4Route/a"), ["applied"]);
  });

  it("leaves what is not its own alone, and takes it over only when asked", () => {
    const world = started();
    world.kernel.set({ class: "route", key: "main 10.0.0.0/8 0" }, foreign("192.0.2.9"));
    world.want("IPv4Route/a", [route("10.0.0.0/8", "192.0.2.1")]);
    world.settle();
    assert.deepEqual(world.states("IPv4Route/a"), ["conflict"]);
    assert.equal(world.gatewayOf("main 10.0.0.0/8 0"), "192.0.2.9");
    world.want("IPv4Route/a", [route("10.0.0.0/8", "192.0.2.1", { adopt: true })]);
    world.settle();
    assert.deepEqual(world.states("IPv4Route/a"), ["applied"]);
    assert.equal(world.gatewayOf("main 10.0.0.0/8 0"), "192.0.2.1");
  });

  it("goes on by itself when what was in the way is gone", () => {
    const world = started();
    world.kernel.set({ class: "route", key: "main 10.0.0.0/8 0" }, foreign("192.0.2.9"));
    world.want("IPv4Route/a", [route("10.0.0.0/8", "192.0.2.1")]);
    world.settle();
    world.kernel.set({ class: "route", key: "main 10.0.0.0/8 0" }, null);
    world.settle();
    assert.deepEqual(world.states("IPv4Route/a"), ["applied"]);
  });

  it("gives an artifact that two objects ask for to the first by name, and to the other when that one goes", () => {
    const world = started();
    world.want("IPv4Route/b", [route("10.0.0.0/8", "192.0.2.2")]);
    world.want("IPv4Route/a", [route("10.0.0.0/8", "192.0.2.1")]);
    world.settle();
    assert.deepEqual([world.states("IPv4Route/a"), world.states("IPv4Route/b")], [["applied"], ["conflict"]]);
    world.want("IPv4Route/a", []);
    world.settle();
    assert.deepEqual(world.states("IPv4Route/b"), ["applied"]);
    assert.equal(world.gatewayOf("main 10.0.0.0/8 0"), "192.0.2.2");
  });

  it("puts drift right, or only reports it, as the object says", () => {
    const world = started();
    world.want("IPv4Route/a", [route("10.0.0.0/8", "192.0.2.1")]);
    world.want("IPv4Route/b", [route("172.16.0.0/12", "192.0.2.1", { repair: false })]);
    world.settle();
    for (const prefix of ["10.0.0.0/8", "172.16.0.0/12"]) {
      world.kernel.set({ class: "route", key: `main ${prefix} 0` }, null);
    }
    world.settle();
    assert.deepEqual([world.states("IPv4Route/a"), world.states("IPv4Route/b")], [["applied"], ["drifted"]]);
    assert.deepEqual(world.drifts, ["IPv4Route/a repaired", "IPv4Route/b reported"]);
  });

  it("does not fight without a pause, and does not give up", () => {
    const world = started();
    world.want("IPv4Route/a", [route("10.0.0.0/8", "192.0.2.1")]);
    world.settle();
    const before = world.kernel.operations;
    const until = world.nowMs + 30_000;
    while (world.nowMs < until) {
      world.kernel.set({ class: "route", key: "main 10.0.0.0/8 0" }, null);
      world.settle(100);
    }
    const repairs = world.kernel.operations - before;
    assert.ok(repairs >= 20 && repairs <= 24, `${repairs} repairs in 30 s`);
    world.settle(3000);
    assert.deepEqual(world.states("IPv4Route/a"), ["applied"]);
  });

  it("tries again what failed, and says what the kernel said", () => {
    const world = started();
    let failures = 3;
    world.kernel.fault = () => (failures-- > 0 ? "ENOBUFS" : undefined);
    world.want("IPv4Route/a", [route("10.0.0.0/8", "192.0.2.1")]);
    world.settle(100);
    const [{ standing }] = world.reconciler.standing("IPv4Route/a");
    assert.equal(standing.state === "failed" && standing.error, "ENOBUFS");
    world.settle(10_000);
    assert.deepEqual(world.states("IPv4Route/a"), ["applied"]);
  });

  it("says what failed all the while, until it succeeds or another thing is asked for; others are unharmed", () => {
    for (const error of ["EINVAL", "EPERM", "ENOBUFS", "ENOSPC", "ENOMEM", "EOPNOTSUPP", "ENODEV"]) {
      const world = started();
      let refused = "main 10.0.0.0/8 0";
      world.kernel.fault = ({ key }) => (key === refused ? error : undefined);
      world.want("IPv4Route/a", [route("10.0.0.0/8", "192.0.2.1")]);
      world.want("IPv4Route/b", [route("172.16.0.0/12", "192.0.2.1")]);
      world.settle(100);
      for (let i = 0; i < 200; i++) {
        world.run(1);
        world.nowMs += 50;
        assert.deepEqual(
          [world.states("IPv4Route/a"), world.states("IPv4Route/b")],
          [["failed"], ["applied"]],
        );
      }
      const [{ standing }] = world.reconciler.standing("IPv4Route/a");
      assert.equal(standing.state === "failed" && standing.error, error);
      world.want("IPv4Route/a", [route("10.0.0.0/8", "192.0.2.2")]);
      assert.deepEqual(world.states("IPv4Route/a"), ["waiting"]);
      refused = "";
      world.settle(70_000);
      assert.deepEqual(world.states("IPv4Route/a"), ["applied"]);
    }
  });

  it("does nothing before the facts are known", () => {
    const world = new World(artifactClasses);
    world.kernel.set({ class: "link", key: "eth0" }, { facts: {}, identity: "2" });
    world.start("route");
    world.want("IPv4Route/a", [route("10.0.0.0/8", "192.0.2.1")]);
    world.settle();
    assert.deepEqual(world.states("IPv4Route/a"), ["waiting"]);
    world.observeAll("route");
    world.settle();
    assert.deepEqual(world.states("IPv4Route/a"), ["applied"]);
  });

  it("leaves what is there while an object cannot say what it asks for", () => {
    const world = started();
    world.want("IPv4Route/a", [route("10.0.0.0/8", "192.0.2.1")]);
    world.settle();
    world.crash();
    world.want("IPv4Route/a", undefined);
    world.start();
    world.settle();
    assert.equal(world.gatewayOf("main 10.0.0.0/8 0"), "192.0.2.1");
    world.want("IPv4Route/a", []);
    world.settle();
    assert.equal(world.gatewayOf("main 10.0.0.0/8 0"), undefined);
  });

  it("makes a link anew that the kernel does not alter, whatever happens in between", () => {
    const name = { class: "link", key: "vlan5" };
    const vlan = (vlanId: number): Artifact => ({
      ...{ ...name, facts: { kind: "vlan", parent: "eth0", vlanId }, adopt: false, repair: true },
    });
    for (let events = 0; events < 14; events++) {
      const world = started();
      world.want("Interface/v", [vlan(5)]);
      world.settle();
      const before = world.kernel.get(name)!.identity;
      world.want("Interface/v", [vlan(6)]);
      world.run(events);
      world.crash();
      world.want("Interface/v", [vlan(6)]);
      world.start();
      world.settle();
      assert.deepEqual(world.states("Interface/v"), ["applied"], `after ${events} events`);
      const { facts, identity } = world.kernel.get(name)!;
      assert.equal(facts.vlanId, 6);
      assert.notEqual(identity, before);
      assert.equal(world.durableRow(name)?.identity, identity);
      assert.deepEqual(world.drifts, []);
      world.want("Interface/v", []);
      world.settle();
      assert.equal(world.kernel.get(name), undefined);
    }
  });

  it("gives a setting back as it was found", () => {
    const world = started();
    const facts = { value: "1" };
    world.want("Sysctl/f", [
      { class: "sysctl", key: "net.ipv4.ip_forward", facts, adopt: false, repair: true },
    ]);
    world.settle();
    const name = { class: "sysctl", key: "net.ipv4.ip_forward" };
    assert.equal(world.kernel.get(name)?.facts.value, "1");
    world.crash();
    world.start();
    world.settle();
    assert.equal(world.kernel.get(name)?.facts.value, "0");
  });

  /** Objects, another hand in the kernel, refusals, and crashes at every arrow; at the end all must be as declared. */
  it("converges from anything, keeps its hands off what is foreign, and leaves no orphan", () => {
    const entries = [
      ...["10.0.0.0/8", "10.1.0.0/16"].map(routeEntry),
      ...["ip4 6701 fwmark 0x100000/0x7ff00000", "ip6 6702 oif eth0"].map(ruleEntry),
    ];
    const owners = ["IPv4Route/a", "IPv4Route/b", "IPv4Route/c"];
    const entry = fc.constantFrom(...entries);
    const step = fc.oneof(
      fc.record({
        do: fc.constant("want" as const),
        owner: fc.constantFrom(...owners),
        entries: fc.uniqueArray(entry, { maxLength: 3 }),
        variant: fc.constantFrom(1 as const, 2 as const),
        adopt: fc.boolean(),
      }),
      fc.record({ do: fc.constant("foreign" as const), entry, gone: fc.boolean() }),
      fc.record({ do: fc.constant("run" as const), events: fc.integer({ min: 1, max: 6 }) }),
      fc.record({ do: fc.constant("fail" as const), times: fc.integer({ min: 1, max: 4 }) }),
      fc.record({ do: fc.constant("crash" as const) }),
      fc.record({ do: fc.constant("diskFull" as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 40 }), (steps) => {
        const world = started();
        const asks = new Map<string, readonly Artifact[]>();
        // A batch may be under way for what was asked a moment ago.
        const adopted = new Set<string>();
        let failures = 0;
        world.kernel.fault = (operation) => {
          const isForeign = operation.before?.identity === "static";
          assert.ok(
            !isForeign || adopted.has(operation.key),
            `${operation.verb} of a foreign ${operation.key}`,
          );
          return failures-- > 0 ? "ENOBUFS" : undefined;
        };
        for (const each of steps) {
          if (each.do === "want") {
            const { adopt, variant } = each;
            const artifacts = each.entries.map((wanted) => wanted.asked(variant, { adopt }));
            asks.set(each.owner, artifacts);
            if (adopt) for (const { key } of artifacts) adopted.add(key);
            world.want(each.owner, artifacts);
          } else if (each.do === "foreign") {
            world.kernel.set(each.entry.name, each.gone ? null : each.entry.foreign);
          } else if (each.do === "run") world.run(each.events);
          else if (each.do === "fail") failures = each.times;
          else if (each.do === "diskFull") world.failNextWrite();
          else {
            world.crash();
            for (const [owner, artifacts] of asks) world.want(owner, artifacts);
            world.start();
          }
        }
        failures = 0;
        world.settle(300_000);
        for (const { name } of entries) {
          const held = world.kernel.get(name);
          const claims = owners
            .flatMap((owner) => (asks.get(owner) ?? []).map((artifact) => ({ owner, artifact })))
            .filter(({ artifact }) => artifact.key === name.key);
          if (claims.length === 0) {
            assert.notEqual(held?.identity, "cairn", `orphan ${name.key}`);
            continue;
          }
          const [{ owner, artifact }] = claims;
          const { state } = world.reconciler
            .standing(owner)
            .find((one) => one.artifact.key === name.key)!.standing;
          if (held?.identity === "static") {
            assert.equal(state, "conflict");
            assert.ok(!artifact.adopt);
          } else {
            assert.deepEqual(held?.facts, artifact.facts, name.key);
            assert.equal(state, "applied");
          }
        }
        const { operations } = world.kernel;
        world.crash();
        for (const [owner, artifacts] of asks) world.want(owner, artifacts);
        world.start();
        world.settle();
        assert.equal(world.kernel.operations, operations, "a second plan is empty");
      }),
      { numRuns: runs },
    );
  });
});
