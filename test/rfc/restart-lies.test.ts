/**
 * Graceful restart with neighbors that lie, contradict themselves, or forget half of it: each has one outcome, and it
 * can be seen. A whole core in virtual time.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { PrefixLimit_Action } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import type { Capability } from "../../src/wire/capabilities.ts";
import { CoreRig, type Peer, type PeerOptions } from "./core-rig.ts";

type Restart = Extract<Capability, { kind: "graceful-restart" }>;

const address = "192.0.2.2";
const prefixes = Array.from({ length: 10 }, (_, n) => `203.0.113.${n * 16}/28`);
const others = Array.from({ length: 10 }, (_, n) => `198.51.100.${n * 16}/28`);

function restart(change: Partial<Restart> = {}): PeerOptions {
  const families = [{ afi: 1, safi: 1, forwarding: true }];
  const capability: Restart = {
    ...{ kind: "graceful-restart", restarting: false, notification: false, restartTimeS: 60, families },
    ...change,
  };
  return { capabilities: [capability] };
}

function helper(options = restart(), init = {}): { rig: CoreRig; peer: Peer; third: Peer } {
  const rig = new CoreRig();
  const third = rig.peer("192.0.2.3", { remoteAsn: 65003 });
  const peer = rig.peer(address, { idleHoldTime: durationFromMs(0), ...init }, options);
  peer.announce(prefixes);
  peer.endOfRib();
  rig.run();
  assert.equal(third.routes.size, prefixes.length);
  third.forget();
  return { rig, peer, third };
}

const family = (rig: CoreRig) => rig.view.neighbor(address)!.state!.families[0];

const topics = (rig: CoreRig): string[] =>
  rig.topics().flatMap((topic) => (topic.startsWith("cairn.bgp.restart.") ? topic.slice(18) : []));

function back(rig: CoreRig, peer: Peer, options = restart({ restarting: true })): void {
  rig.advance(7_000);
  peer.reconnect(options);
}

describe("the F bit", () => {
  test("set, and nothing was kept: End-of-RIB alone takes all routes back, and the event counts them", () => {
    const { rig, peer, third } = helper();
    peer.drop();
    back(rig, peer);
    assert.deepEqual([family(rig).stalePhase, family(rig).stale], ["returned", 10n]);
    assert.equal(family(rig).forwardingKept, true);
    peer.endOfRib();
    rig.run();
    assert.equal(third.routes.size, 0);
    assert.deepEqual(topics(rig), ["helping", "finished"]);
  });
  test("set without the R bit, as of a neighbor that says that it never restarted: routes stay until End-of-RIB", () => {
    const { rig, peer, third } = helper();
    peer.drop();
    back(rig, peer, restart({ restarting: false }));
    assert.deepEqual([third.trail, family(rig).stalePhase], [[], "returned"]);
  });
  test("R bit in the first OPEN of a session that replaces none: nothing is stale, and it is shown", () => {
    const rig = new CoreRig();
    rig.peer(address, {}, restart({ restarting: true }));
    assert.equal(family(rig).stalePhase, "");
    assert.equal(rig.view.neighbor(address)!.state!.restart!.remoteRestarting, true);
  });
});

describe("the N bit", () => {
  test("in the first OPEN and not in the next: the session that ends counts, and then the other one", () => {
    const { rig, peer, third } = helper(restart({ notification: true }));
    peer.notify(4, 0);
    assert.deepEqual([third.trail, family(rig).stalePhase], [[], "restarting"]);
    back(rig, peer, restart({ restarting: true, notification: false }));
    peer.announce(prefixes);
    peer.endOfRib();
    rig.run();
    assert.equal(rig.view.neighbor(address)!.state!.restart!.notification, false);
    peer.notify(4, 0);
    assert.equal(third.routes.size, 0);
  });
  test("without any family it keeps nothing", () => {
    const { rig, peer, third } = helper(restart({ notification: true, families: [] }));
    peer.notify(4, 0);
    assert.equal(third.routes.size, 0);
    assert.equal(family(rig).restartKept, false);
  });
});

describe("times and End-of-RIB", () => {
  test("restart time 0: nothing is kept for longer than the moment of the loss, and both are events", () => {
    const { rig, peer, third } = helper(restart({ restartTimeS: 0 }));
    peer.drop();
    assert.equal(third.routes.size, 0);
    assert.deepEqual(topics(rig), ["helping", "expired"]);
    assert.equal(family(rig).stalePhase, "");
  });
  test("restart time 4095 is bounded by stale_time", () => {
    const { rig, peer } = helper(restart({ restartTimeS: 4095 }));
    peer.drop();
    assert.equal(family(rig).staleTimeLeft?.seconds, 360n);
  });
  test("End-of-RIB twice: the second one changes nothing", () => {
    const { rig, peer, third } = helper();
    peer.drop();
    back(rig, peer);
    peer.announce(prefixes.slice(0, 4));
    peer.endOfRib();
    rig.run();
    const trail = [...third.trail];
    assert.equal(trail.length, 6);
    peer.announce(prefixes[9]);
    peer.endOfRib();
    peer.endOfRib();
    rig.run();
    assert.deepEqual(third.trail.slice(trail.length), [`+${prefixes[9]}`]);
    assert.deepEqual(topics(rig), ["helping", "finished"]);
  });
  test("routes after End-of-RIB that were stale until then are new ones", () => {
    const { rig, peer, third } = helper();
    peer.drop();
    back(rig, peer);
    peer.endOfRib();
    peer.announce(prefixes);
    rig.run();
    assert.equal(third.routes.size, prefixes.length);
    assert.equal(family(rig).stale, 0n);
  });
  test("withdrawals of routes that are stale take them back at once", () => {
    const { rig, peer, third } = helper();
    peer.drop();
    back(rig, peer);
    peer.withdraw(prefixes[3]);
    rig.run();
    assert.deepEqual(third.trail, [`-${prefixes[3]}`]);
    assert.equal(family(rig).stale, 9n);
  });
});

describe("prefix limits while routes are stale", () => {
  const limited = (action: PrefixLimit_Action, afterPolicy = false) => ({
    prefixLimits: [{ family: "ipv4-unicast", max: 12, action, afterPolicy }],
  });
  for (const afterPolicy of [false, true]) {
    const limit = afterPolicy ? "accepted routes" : "received routes";
    test(`${limit}: a neighbor that comes back with other routes is within its limit`, () => {
      const { rig, peer, third } = helper(restart(), limited(PrefixLimit_Action.STOP, afterPolicy));
      peer.drop();
      back(rig, peer);
      peer.announce(others);
      rig.run();
      assert.equal(family(rig).received, 20n);
      assert.equal(peer.notification, "");
      peer.endOfRib();
      rig.run();
      assert.deepEqual([...third.routes.keys()].sort(), [...others].sort());
    });
    test(`${limit}: one that comes back with more than it may is stopped as ever`, () => {
      const { rig, peer, third } = helper(restart(), limited(PrefixLimit_Action.STOP, afterPolicy));
      peer.drop();
      back(rig, peer);
      peer.announce([...prefixes.slice(0, 3), ...others]);
      rig.run();
      assert.match(peer.notification, /^6\/1/);
      assert.equal(third.routes.size, 0);
    });
  }
  test("drop: what has no place beside stale routes gets it when they are gone", () => {
    const { rig, peer, third } = helper(restart(), limited(PrefixLimit_Action.DROP));
    peer.drop();
    back(rig, peer);
    peer.announce(others);
    rig.run();
    assert.equal(family(rig).overLimit, 8n);
    peer.endOfRib();
    rig.run();
    assert.equal(family(rig).overLimit, 0n);
    assert.deepEqual([...third.routes.keys()].sort(), [...others].sort());
  });
});
