/** RFC 4724, graceful restart: the capability, the helper, the restarting speaker. A whole core in virtual time. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { DynamicRangeSpecSchema, GracefulRestart } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import { PeerGroupSpecSchema } from "../../src/gen/cairn/v1/peer_group_service_pb.ts";
import type { Capability } from "../../src/wire/capabilities.ts";
import { decodeOpen } from "../../src/wire/open.ts";
import { CoreRig, Peer, type PeerOptions } from "./core-rig.ts";

type Restart = Extract<Capability, { kind: "graceful-restart" }>;

const v4 = { afi: 1, safi: 1 } as const;
const address = "192.0.2.2";
const observer = "192.0.2.3";
const prefixes = ["203.0.113.0/24", "198.51.100.0/24"];

/** The neighbor's capability: IPv4 kept over a restart of 60 s. */
function restart(change: Partial<Restart> = {}): PeerOptions {
  const families = [{ ...v4, forwarding: true }];
  const capability: Restart = {
    kind: "graceful-restart",
    restarting: false,
    notification: false,
    restartTimeS: 60,
    families,
    ...change,
  };
  return { capabilities: [capability] };
}

/** A neighbor with two routes, and one that hears of them. */
function helper(options: PeerOptions = restart(), init = {}): { rig: CoreRig; peer: Peer; third: Peer } {
  const rig = new CoreRig();
  const third = rig.peer(observer, { remoteAsn: 65003 });
  const peer = rig.peer(address, { idleHoldTime: durationFromMs(0), ...init }, options);
  peer.announce(prefixes);
  peer.endOfRib();
  rig.run();
  assert.deepEqual([...third.routes.keys()].sort(), [...prefixes].sort());
  third.forget();
  return { rig, peer, third };
}

function family(rig: CoreRig, of = address) {
  return rig.view.neighbor(of)!.state!.families[0];
}

/** It is back after the idle hold of oscillating sessions. */
function back(rig: CoreRig, peer: Peer, options: Partial<PeerOptions> = restart({ restarting: true })): void {
  rig.advance(7_000);
  peer.reconnect(options);
}

const topics = (rig: CoreRig): string[] =>
  rig
    .topics()
    .filter((topic) => topic.startsWith("cairn.bgp.restart."))
    .map((topic) => topic.slice("cairn.bgp.restart.".length));

describe("RFC 4724 3, the capability", () => {
  const ours = (rig: CoreRig, peer: Peer): Restart => {
    const open = decodeOpen(peer.opens.at(-1)!, 0, peer.opens.at(-1)!.length);
    assert("capabilities" in open, JSON.stringify(rig.topics()));
    return open.capabilities.find((each) => each.kind === "graceful-restart") as Restart;
  };
  test("helper: no families, so that nothing of ours is kept; full: all of them, with the restart time", () => {
    const rig = new CoreRig();
    const plain = rig.peer(address);
    assert.deepEqual(ours(rig, plain), {
      ...{ kind: "graceful-restart", restarting: false, notification: true, restartTimeS: 0, families: [] },
    });
    const full = rig.peer(observer, {
      remoteAsn: 65003,
      gracefulRestart: GracefulRestart.FULL,
      restartTime: durationFromMs(77_000),
    });
    const { restarting, restartTimeS, families } = ours(rig, full);
    assert.deepEqual(
      { restarting, restartTimeS, families },
      {
        restarting: false,
        restartTimeS: 77,
        families: [{ ...v4, forwarding: false }],
      },
    );
  });
  test("off: it is not sent, and the neighbor's routes go with the session", () => {
    const { rig, peer, third } = helper(restart(), { gracefulRestart: GracefulRestart.OFF });
    assert.equal(ours(rig, peer), undefined);
    peer.drop();
    assert.equal(third.routes.size, 0);
  });
  test("of several instances only the last counts; of several entries for a family too", () => {
    const several: PeerOptions = {
      capabilities: [
        ...restart({ restartTimeS: 5 }).capabilities!,
        ...restart({
          restartTimeS: 9,
          families: [
            { ...v4, forwarding: true },
            { ...v4, forwarding: false },
          ],
        }).capabilities!,
      ],
    };
    const { rig } = helper(several);
    const { state } = rig.view.neighbor(address)!;
    assert.equal(state!.restart!.restartTime!.seconds, 9n);
    assert.deepEqual([family(rig).restartKept, family(rig).forwardingKept], [true, false]);
  });
  test("families that the session does not have, and ones we do not know, are ignored", () => {
    const families = [
      { afi: 2, safi: 1, forwarding: true },
      { afi: 25, safi: 65, forwarding: true },
    ];
    const { rig, peer, third } = helper(restart({ families }));
    assert.equal(family(rig).restartKept, false);
    peer.drop();
    assert.equal(third.routes.size, 0);
  });
  test("without the capability routes go with the session", () => {
    const { peer, third } = helper({});
    peer.drop();
    assert.equal(third.routes.size, 0);
  });
});

describe("RFC 4724 4.2, receiving speaker", () => {
  test("the TCP session ends: routes stay, marked stale, and nobody hears of it", () => {
    const { rig, peer, third } = helper();
    peer.drop();
    assert.deepEqual(third.trail, []);
    const { stale, stalePhase, staleTimeLeft } = family(rig);
    assert.deepEqual([stale, stalePhase, staleTimeLeft?.seconds], [2n, "restarting", 60n]);
    assert.deepEqual(topics(rig), ["helping"]);
  });
  test("it comes back in time, keeps forwarding, sends one route again and End-of-RIB: the other one goes then", () => {
    const { rig, peer, third } = helper();
    peer.drop();
    rig.advance(59_000);
    peer.reconnect(restart({ restarting: true }));
    assert.equal(family(rig).stalePhase, "returned");
    peer.announce(prefixes[0]);
    rig.run();
    assert.deepEqual([family(rig).stale, third.trail], [1n, []]);
    peer.endOfRib();
    rig.run();
    assert.deepEqual(third.trail, [`-${prefixes[1]}`]);
    assert.deepEqual([family(rig).stale, family(rig).stalePhase], [0n, ""]);
    assert.deepEqual(topics(rig), ["helping", "finished"]);
  });
  test("our routes and End-of-RIB are sent to it at once, without waiting for its own", () => {
    const { rig, peer } = helper();
    rig.inject({ prefix: "10.9.0.0/16" });
    peer.drop();
    peer.forget();
    back(rig, peer);
    assert.deepEqual(peer.trail, ["+10.9.0.0/16", "EoR"]);
  });
  test("it does not come back: routes go when its restart time is over, not before", () => {
    const { rig, peer, third } = helper();
    peer.drop();
    rig.advance(59_900);
    assert.deepEqual(third.trail, []);
    rig.advance(200);
    assert.equal(third.routes.size, 0);
    assert.deepEqual(topics(rig), ["helping", "expired"]);
  });
  for (const [what, options] of [
    ["forwarding bit clear", restart({ restarting: true, families: [{ ...v4, forwarding: false }] })],
    ["family missing", restart({ restarting: true, families: [] })],
    ["capability missing", {}],
  ] as const) {
    test(`it comes back with ${what}: stale routes go at once`, () => {
      const { rig, peer, third } = helper();
      peer.drop();
      back(rig, peer, { capabilities: [], ...options });
      assert.equal(third.routes.size, 0);
      assert.deepEqual(topics(rig), ["helping", "dropped"]);
      peer.announce(prefixes[0]);
      rig.run();
      assert.deepEqual([...third.routes.keys()], [prefixes[0]]);
    });
  }
  test("no End-of-RIB: stale routes go when stale_time is over", () => {
    const { rig, peer, third } = helper(restart(), { staleTime: durationFromMs(100_000) });
    peer.drop();
    rig.advance(50_000);
    peer.reconnect(restart({ restarting: true }));
    peer.announce(prefixes[1]);
    rig.advance(49_000);
    assert.equal(third.routes.size, 2);
    rig.advance(1_500);
    assert.deepEqual([...third.routes.keys()], [prefixes[1]]);
    assert.deepEqual(topics(rig), ["helping", "expired"]);
  });
  test("stale_time is also the bound of a longer restart time", () => {
    const { rig, peer, third } = helper(restart({ restartTimeS: 4000 }), {
      staleTime: durationFromMs(10_000),
    });
    peer.drop();
    rig.advance(9_900);
    assert.equal(third.routes.size, 2);
    rig.advance(200);
    assert.equal(third.routes.size, 0);
  });
  test("lost again before End-of-RIB: what was stale goes, what came since is kept", () => {
    const { rig, peer, third } = helper();
    peer.drop();
    back(rig, peer);
    peer.announce(prefixes[0]);
    peer.drop();
    assert.deepEqual([...third.routes.keys()], [prefixes[0]]);
    assert.equal(family(rig).stale, 1n);
    back(rig, peer);
    peer.endOfRib();
    rig.run();
    assert.equal(third.routes.size, 0);
  });
  test("nine restarts in a row, each with one route less: no route outlives its second", () => {
    const { rig, peer, third } = helper();
    const many = Array.from({ length: 10 }, (_, i) => `100.64.${i}.0/24`);
    peer.announce(many);
    for (let n = 1; n < 10; n++) {
      peer.drop();
      back(rig, peer);
      peer.announce(many.slice(n));
      rig.run();
      const left = [...third.routes.keys()].filter((each) => each.startsWith("100.64."));
      assert.deepEqual(left.sort(), many.slice(n - 1).sort(), `restart ${n}`);
    }
  });
  test("it connects again while its old session still looks up: the new one replaces it, routes stay, no NOTIFICATION", () => {
    const { rig, peer, third } = helper();
    peer.vanish();
    const before = peer.notification;
    peer.reconnect(restart({ restarting: true }));
    assert.equal(peer.notification, before);
    assert.deepEqual(third.trail, []);
    assert.equal(rig.view.neighbor(address)!.state!.establishedCount, 2);
    assert.equal(family(rig).stalePhase, "returned");
    assert.deepEqual(peer.lastWords, []);
  });
  test("a NOTIFICATION ends it: routes go, as ever", () => {
    const { peer, third } = helper();
    peer.notify(6, 4);
    assert.equal(third.routes.size, 0);
  });
  test("a route that is stale is still the best one, and shown as stale", () => {
    const { rig, peer } = helper();
    rig.peer("192.0.2.4", { remoteAsn: 65004 }).announce(prefixes[0], { path: "65004 65009" });
    peer.drop();
    assert.equal(rig.best(prefixes[0]), address);
    assert.equal(rig.shown(address, prefixes[0]).stale, true);
  });
  test("import policy still counts for stale routes", () => {
    const { rig, peer, third } = helper();
    peer.drop();
    rig.neighbor({ address, remoteAsn: 65002, import: ["reject-all"] });
    rig.run();
    assert.equal(third.routes.size, 0);
  });
  test("the operator turns graceful restart off, shuts down or resets: stale routes go", () => {
    for (const change of [{ gracefulRestart: GracefulRestart.OFF }, { shutdown: true }]) {
      const { rig, peer, third } = helper();
      peer.drop();
      rig.neighbor({ address, remoteAsn: 65002, ...change });
      rig.run();
      assert.equal(third.routes.size, 0, JSON.stringify(change));
    }
    const { rig, peer, third } = helper();
    peer.drop();
    rig.operate({ op: "hard-reset", address, message: "" });
    assert.equal(third.routes.size, 0);
  });
  test("another AS number of the neighbor: stale routes go", () => {
    const { rig, peer, third } = helper();
    peer.drop();
    rig.neighbor({ address, remoteAsn: 65009 });
    rig.run();
    assert.equal(third.routes.size, 0);
  });
  test("a dynamic neighbor is not forgotten while its routes are kept, and is when they are gone", () => {
    const rig = new CoreRig();
    const third = rig.peer(observer, { remoteAsn: 65003 });
    const group = { name: "g", remoteAsn: 65002, import: ["accept-all"], export: ["accept-all"] };
    rig.mutate({ op: "put", kind: "PeerGroup", spec: create(PeerGroupSpecSchema, group) });
    const range = { name: "r", prefix: "192.0.2.0/29", peerGroup: "g" };
    rig.mutate({ op: "put", kind: "DynamicRange", spec: create(DynamicRangeSpecSchema, range) });
    const peer = new Peer(rig, address, 65002, restart({ restartTimeS: 300 }));
    peer.connect();
    peer.announce(prefixes);
    rig.run();
    peer.drop();
    rig.advance(290_000);
    assert.equal(third.routes.size, 2);
    rig.advance(11_000);
    assert.equal(third.routes.size, 0);
    rig.advance(300_000);
    assert.equal(rig.view.neighbor(address), undefined);
  });
  test("a neighbor that is removed while it restarts leaves nothing", () => {
    const { rig, peer, third } = helper();
    peer.drop();
    rig.mutate({ op: "delete", kind: "Neighbor", name: address });
    rig.run();
    assert.equal(third.routes.size, 0);
    assert.equal(rig.core.nextWakeMs() > rig.nowMs + 1000, true);
  });
});

describe("RFC 4724 4.1, restarting speaker", () => {
  const full = { gracefulRestart: GracefulRestart.FULL, preserveForwarding: true } as const;

  /** cairn with two neighbors in full and a route of its own, ended and started again. */
  function restarted(
    end: "crash" | "planned" | "shutdown",
    options: PeerOptions = restart(),
  ): { rig: CoreRig; a: Peer; b: Peer; before: { a: Peer; b: Peer } } {
    const rig = new CoreRig();
    const a = rig.peer(address, full, options);
    const b = rig.peer(observer, { ...full, remoteAsn: 65003 }, options);
    rig.run();
    if (end !== "crash")
      rig.operate({ op: "shutdown", message: "", hard: false, graceful: end === "planned" });
    const next = new CoreRig({}, rig.stored());
    return { rig: next, a: next.played(a), b: next.played(b), before: { a, b } };
  }
  const capability = (peer: Peer): Restart => {
    const open = decodeOpen(peer.opens.at(-1)!, 0, peer.opens.at(-1)!.length);
    assert("capabilities" in open);
    return open.capabilities.find((each) => each.kind === "graceful-restart") as Restart;
  };

  test("a planned restart ends sessions without a NOTIFICATION, others with Cease", () => {
    const { before } = restarted("planned");
    assert.deepEqual([before.a.notification, before.a.up], ["", false]);
    assert.equal(restarted("planned", {}).before.a.notification, "6/2");
    assert.equal(restarted("shutdown").before.a.notification, "6/2");
  });
  for (const end of ["crash", "planned"] as const) {
    test(`after a ${end}: R bit, F bit as configured; no routes before each neighbor sent End-of-RIB, then routes and End-of-RIB`, () => {
      const { rig, a, b } = restarted(end);
      a.connect();
      b.connect();
      const { restarting, families } = capability(a);
      assert.deepEqual(
        { restarting, families },
        { restarting: true, families: [{ ...v4, forwarding: true }] },
      );
      a.announce("203.0.113.0/24");
      a.endOfRib();
      rig.run();
      assert.deepEqual([a.trail, b.trail], [[], []]);
      assert.equal(family(rig, address).deferred, true);
      b.endOfRib();
      rig.run();
      assert.deepEqual(b.trail, ["+203.0.113.0/24", "EoR"]);
      assert.deepEqual(a.trail, ["EoR"]);
      assert.equal(family(rig, address).deferred, false);
      a.drop();
      back(rig, a, {});
      assert.equal(capability(a).restarting, false);
    });
  }
  test("a shutdown that told neighbors to drop everything is no restart", () => {
    const { rig, a } = restarted("shutdown");
    a.connect();
    assert.equal(capability(a).restarting, false);
    assert.deepEqual(a.trail, ["EoR"]);
    assert.deepEqual(topics(rig), []);
  });
  test("without preserve_forwarding the F bit is 0 after a restart, and 1 for a session of this run", () => {
    const rig = new CoreRig();
    const peer = rig.peer(address, { gracefulRestart: GracefulRestart.FULL }, restart());
    assert.equal(capability(peer).families[0].forwarding, false);
    peer.drop();
    back(rig, peer, {});
    assert.equal(capability(peer).families[0].forwarding, true);
  });
  test("a neighbor that restarts too (R bit), or knows no graceful restart, is not waited for", () => {
    for (const options of [restart({ restarting: true }), { capabilities: [] }]) {
      const { rig, a, b } = restarted("crash");
      a.reconnect(options);
      b.connect();
      b.endOfRib();
      rig.run();
      assert.deepEqual(a.trail, ["EoR"]);
    }
  });
  test("a neighbor that is not there when its restart time is over is not waited for; one that is there is, until the timer", () => {
    const { rig, a } = restarted("crash");
    a.connect();
    rig.advance(121_000);
    assert.deepEqual(a.trail, []);
    rig.advance(238_000);
    assert.deepEqual(a.trail, []);
    rig.advance(2_000);
    assert.deepEqual(a.trail, ["EoR"]);
    assert.deepEqual(topics(rig), ["deferred", "selected"]);
    const other = restarted("crash");
    other.a.connect();
    other.a.endOfRib();
    other.rig.advance(119_000);
    assert.deepEqual(other.a.trail, []);
    other.rig.advance(2_000);
    assert.deepEqual(other.a.trail, ["EoR"]);
  });
  test("neighbors that are removed or shut down are not waited for", () => {
    const { rig, a } = restarted("crash");
    a.connect();
    a.endOfRib();
    rig.mutate({ op: "delete", kind: "Neighbor", name: observer });
    rig.run();
    assert.deepEqual(a.trail, ["EoR"]);
  });
  test("a planned restart that took longer than neighbors wait is an ordinary start", () => {
    const rig = new CoreRig();
    rig.peer(address, full, restart());
    rig.operate({ op: "shutdown", message: "", hard: false, graceful: true });
    const stored = rig.stored();
    const late = new CoreRig(
      {},
      { ...stored, restart: { ...stored.restart!, time: stored.restart!.time - 121_000 } },
    );
    assert.deepEqual(topics(late), []);
  });
});
