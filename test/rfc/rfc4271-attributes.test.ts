/** RFC 4271 section 5: what becomes of each path attribute between neighbors. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CoreRig, type Peer } from "./core-rig.ts";
import type { RouteText } from "./wire-text.ts";

const p = "198.51.100.0/24";

/** An external source, another external neighbor and two internal ones. */
function four(): { rig: CoreRig; source: Peer; external: Peer; internal: Peer; internal2: Peer } {
  const rig = new CoreRig();
  return {
    rig,
    source: rig.peer("192.0.2.2", { remoteAsn: 65002 }),
    external: rig.peer("192.0.2.3", { remoteAsn: 65003 }),
    internal: rig.peer("10.0.0.5", { remoteAsn: 65001 }),
    internal2: rig.peer("10.0.0.6", { remoteAsn: 65001 }),
  };
}

/** What the external and the internal neighbor get of a route that the source announces. */
function through(route: RouteText): { external: RouteText; internal: RouteText } {
  const { source, external, internal } = four();
  source.announce(p, route);
  return { external: external.route(p), internal: internal.route(p) };
}

describe("5: attributes in general", () => {
  test("mandatory attributes are in every UPDATE with NLRI; each attribute once, in order of its code", () => {
    const { source, external, internal } = four();
    source.announce(p, { med: 1, communities: "65002:1", atomicAggregate: true, other: "c06301aa" });
    const [toExternal] = external.updates;
    const [toInternal] = internal.updates;
    for (const code of [1, 2, 3]) {
      assert.ok(toExternal.types.includes(code) && toInternal.types.includes(code));
    }
    assert.ok(toInternal.types.includes(5));
    for (const { types } of [toExternal, toInternal]) {
      assert.deepEqual(
        [...types],
        [...types].sort((a, b) => a - b),
      );
    }
  });
  test("flags: well-known are transitive only, Partial is 0 unless the attribute is optional transitive", () => {
    const { source, internal } = four();
    source.announce(p, {
      med: 1,
      communities: "65002:1",
      aggregator: "65002 10.9.9.9",
      atomicAggregate: true,
    });
    const want = { 1: 0x40, 2: 0x40, 3: 0x40, 4: 0x80, 5: 0x40, 6: 0x40, 7: 0xc0, 8: 0xc0 };
    assert.deepEqual(internal.updates[0].flags, want);
  });
  test("unknown optional transitive: accepted, passed on with the Partial bit set", () => {
    const { external, internal } = through({ other: "c06302aabb" });
    assert.equal(external.other, "e06302aabb");
    assert.equal(internal.other, "e06302aabb");
  });
  test("the Partial bit, once set, stays", () => {
    const { external } = through({ other: "e06302aabbe00804fdea0001" });
    assert.equal(external.other, "e06302aabb");
    const { source, internal } = four();
    source.announce(p, { other: "e00804fdea0001" });
    assert.equal(internal.updates[0].flags[8], 0xe0);
  });
  test("unknown optional non-transitive: quietly ignored and not passed on", () => {
    const { external, internal } = through({ other: "806302aabb" });
    assert.equal(external.other, undefined);
    assert.equal(internal.other, undefined);
  });
  test("attributes may come in any order", () => {
    const { external } = through({ origin: undefined, other: "40010101" });
    assert.equal(external.origin, "egp");
  });
});

describe("5.1.1 ORIGIN", () => {
  for (const origin of ["igp", "egp", "incomplete"] as const) {
    test(`is not changed by other speakers: ${origin}`, () => {
      const { external, internal } = through({ origin });
      assert.deepEqual([external.origin, internal.origin], [origin, origin]);
    });
  }
});

describe("5.1.2 AS_PATH", () => {
  test("a) to an internal neighbor it is not modified", () => {
    assert.equal(through({ path: "65002 64999 {1 2}" }).internal.path, "65002 64999 {1 2}");
  });
  test("b) to an external neighbor our AS goes in front of the first AS_SEQUENCE", () => {
    const { external } = through({ path: "65002 64999 {1 2}" });
    assert.deepEqual([external.path, external.segments], ["65001 65002 64999 {1 2}", 2]);
  });
  test("b) in front of an AS_SET a new AS_SEQUENCE is made", () => {
    const { rig, source, external } = four();
    rig.neighbor({ address: source.address, remoteAsn: 65002, enforceFirstAs: false });
    source.announce(p, { path: "{65002 64999}" });
    assert.deepEqual([external.route(p).path, external.route(p).segments], ["65001 {65002 64999}", 2]);
  });
  test("b) a segment of 255 is not overflowed: a new one is prepended", () => {
    const long = ["65002", ...Array.from({ length: 254 }, (_, i) => String(1000 + i))].join(" ");
    const { external } = through({ path: long });
    assert.deepEqual([external.path, external.segments], [`65001 ${long}`, 2]);
  });
  test("b) 254 leave room for one", () => {
    const long = ["65002", ...Array.from({ length: 253 }, (_, i) => String(1000 + i))].join(" ");
    assert.equal(through({ path: long }).external.segments, 1);
  });
  test("originated: our AS alone to external neighbors, empty to internal ones", () => {
    const { rig, external, internal } = four();
    rig.inject({ prefix: p });
    assert.equal(external.route(p).path, "65001");
    assert.equal(internal.route(p).path, "");
    assert.ok(internal.updates[0].types.includes(2));
  });
  test("b) an empty path from an internal neighbor becomes our AS", () => {
    const { internal, external } = four();
    internal.announce(p);
    assert.equal(external.route(p).path, "65001");
  });
});

describe("5.1.3 NEXT_HOP", () => {
  test("1) to an internal neighbor, a route that was learned: not modified", () => {
    assert.equal(through({ nextHop: "192.0.2.77" }).internal.nextHop, "192.0.2.77");
  });
  test("1) next_hop_self: our own", () => {
    const rig = new CoreRig();
    const source = rig.peer("192.0.2.2");
    const internal = rig.peer("10.0.0.5", { remoteAsn: 65001, nextHopSelf: true });
    source.announce(p);
    assert.equal(internal.route(p).nextHop, "10.0.0.1");
  });
  test("1) a route that we originate goes to internal neighbors with our own address", () => {
    const { rig, internal } = four();
    rig.inject({ prefix: p });
    assert.equal(internal.route(p).nextHop, "10.0.0.1");
  });
  test("2) one hop away, learned on the same subnet: the third party's address may stay", () => {
    assert.equal(through({}).external.nextHop, "192.0.2.2");
    assert.equal(through({ nextHop: "192.0.2.77" }).external.nextHop, "192.0.2.77");
  });
  test("2) from another subnet: our own address on the session", () => {
    assert.equal(through({ nextHop: "203.0.113.9" }).external.nextHop, "192.0.2.1");
    const { internal, external } = four();
    internal.announce(p);
    assert.equal(external.route(p).nextHop, "192.0.2.1");
  });
  test("third party next hops can be turned off (imperfectly bridged media)", () => {
    const rig = new CoreRig();
    const source = rig.peer("192.0.2.2");
    const external = rig.peer("192.0.2.3", { remoteAsn: 65003, nextHopSelf: true });
    source.announce(p);
    assert.equal(external.route(p).nextHop, "192.0.2.1");
  });
  test("3) more than one hop away: our own address", () => {
    const rig = new CoreRig();
    const source = rig.peer("192.0.2.2");
    const external = rig.peer("192.0.2.3", { remoteAsn: 65003, multihopTtl: 4 });
    source.announce(p);
    assert.equal(external.route(p).nextHop, "192.0.2.1");
  });
  test("a route that we originate is not announced to a neighbor whose address is its next hop", () => {
    const rig = new CoreRig();
    const owner = rig.peer("192.0.2.3", { remoteAsn: 65003 });
    const other = rig.peer("192.0.2.4", { remoteAsn: 65003 });
    rig.inject({ prefix: p, nextHop: "192.0.2.3" });
    assert.equal(owner.has(p), false);
    assert.equal(other.route(p).nextHop, "192.0.2.3");
    const internal = rig.peer("10.0.0.5", { remoteAsn: 65001 });
    const internal2 = rig.peer("10.0.0.6", { remoteAsn: 65001 });
    rig.inject({ prefix: "198.51.101.0/24", nextHop: "10.0.0.5" });
    assert.equal(internal.has("198.51.101.0/24"), false);
    assert.equal(internal2.route("198.51.101.0/24").nextHop, "10.0.0.5");
  });
  test("also when the neighbor comes later, or the next hop changes to its address", () => {
    const rig = new CoreRig();
    const other = rig.peer("192.0.2.4", { remoteAsn: 65003 });
    rig.inject({ prefix: p, nextHop: "192.0.2.3" });
    const owner = rig.peer("192.0.2.3", { remoteAsn: 65003 });
    assert.equal(owner.updates.length, 0);
    rig.inject({ prefix: p, nextHop: "192.0.2.99" });
    assert.equal(owner.route(p).nextHop, "192.0.2.99");
    rig.inject({ prefix: p, nextHop: "192.0.2.3" });
    assert.equal(owner.has(p), false);
    assert.equal(other.route(p).nextHop, "192.0.2.3");
  });
  test("nor when a policy sets it", () => {
    const rig = new CoreRig();
    rig.policy({ name: "third", statements: [{ set: { nextHop: "192.0.2.3" }, action: 1 }] });
    const owner = rig.peer("192.0.2.3", { remoteAsn: 65003, export: ["third"] });
    const other = rig.peer("192.0.2.4", { remoteAsn: 65003, export: ["third"] });
    rig.inject({ prefix: p });
    assert.equal(owner.has(p), false);
    assert.equal(other.route(p).nextHop, "192.0.2.3");
  });
  test("a learned route with a neighbor's address goes to it with our own, in whatever order they come", () => {
    const rig = new CoreRig();
    const source = rig.peer("192.0.2.2");
    const early = rig.peer("192.0.2.3", { remoteAsn: 65003 });
    source.announce(p, { nextHop: "192.0.2.4" });
    assert.equal(early.route(p).nextHop, "192.0.2.4");
    const late = rig.peer("192.0.2.4", { remoteAsn: 65004 });
    assert.equal(late.route(p).nextHop, "192.0.2.1");
    source.announce("198.51.101.0/24", { nextHop: "192.0.2.3" });
    assert.equal(early.route("198.51.101.0/24").nextHop, "192.0.2.1");
    assert.ok(!late.updates.some((update) => update.route.nextHop === "192.0.2.4"));
  });
  test("a route with ourselves as next hop is not installed", () => {
    const { rig, source, external } = four();
    source.announce(p, { nextHop: "192.0.2.1" });
    assert.equal(rig.best(p), undefined);
    assert.equal(external.has(p), false);
    assert.match(rig.rejection(source.address, p)!, /own address/);
  });
  test("but on a session between two speakers of one host (a lab on one host) only the session's own address is ours", () => {
    const rig = new CoreRig();
    const a = rig.peer("127.0.0.2");
    a.announce(p, { nextHop: "10.0.0.1" });
    assert.equal(rig.best(p), a.address);
  });
  test("whichever of our addresses it is", () => {
    const { rig, source } = four();
    source.announce(p, { nextHop: "10.0.0.1" });
    assert.equal(rig.best(p), undefined);
  });
});

describe("5.1.4 MULTI_EXIT_DISC", () => {
  test("from outside it goes to internal neighbors", () =>
    assert.equal(through({ med: 70 }).internal.med, 70));
  test("it is not passed on to other ASes", () => assert.equal(through({ med: 70 }).external.med, undefined));
  test("from inside neither", () => {
    const { internal, external } = four();
    internal.announce(p, { med: 70 });
    assert.equal(external.route(p).med, undefined);
  });
  test("a route that we originate takes its own to external neighbors", () => {
    const { rig, external } = four();
    rig.inject({ prefix: p, med: 70 });
    assert.equal(external.route(p).med, 70);
  });
  test("policy can set it toward external neighbors", () => {
    const rig = new CoreRig();
    rig.policy({ name: "med", statements: [{ set: { med: 5 }, action: 1 }] });
    const source = rig.peer("192.0.2.2");
    const external = rig.peer("192.0.2.3", { remoteAsn: 65003, export: ["med"] });
    source.announce(p, { med: 70 });
    assert.equal(external.route(p).med, 5);
  });
  test("it can be removed on import, before the decision", () => {
    const rig = new CoreRig();
    rig.policy({ name: "no-med", statements: [{ set: { medRemove: true }, action: 1 }] });
    const a = rig.peer("192.0.2.2", { import: ["no-med"] });
    const b = rig.peer("192.0.2.3");
    a.announce(p, { med: 70 });
    b.announce(p, { med: 10 });
    assert.equal(rig.best(p), a.address);
  });
});

describe("5.1.5 LOCAL_PREF", () => {
  test("is in all UPDATEs to internal neighbors", () => {
    assert.equal(through({}).internal.localPref, 100);
    const { rig, internal } = four();
    rig.inject({ prefix: p, localPref: 250 });
    assert.equal(internal.route(p).localPref, 250);
  });
  test("is not sent to external neighbors", () => {
    const { internal, external } = four();
    internal.announce(p, { localPref: 300 });
    assert.equal(external.route(p).localPref, undefined);
  });
  test("from an external neighbor it is ignored", () => {
    const { rig, source, internal } = four();
    const other = rig.peer("192.0.2.9", { remoteAsn: 65009 });
    other.announce(p);
    source.announce(p, { path: "65002 64999", localPref: 1000 });
    assert.equal(rig.best(p), other.address);
    source.announce("198.51.101.0/24", { localPref: 1000 });
    assert.equal(internal.route("198.51.101.0/24").localPref, 100);
  });
  test("the degree of preference of policy is what internal neighbors are told", () => {
    const rig = new CoreRig();
    rig.policy({ name: "high", statements: [{ set: { localPref: 220 }, action: 1 }] });
    const source = rig.peer("192.0.2.2", { import: ["high"] });
    const internal = rig.peer("10.0.0.5", { remoteAsn: 65001 });
    source.announce(p);
    assert.equal(internal.route(p).localPref, 220);
  });
});

describe("5.1.6 ATOMIC_AGGREGATE, 5.1.7 AGGREGATOR", () => {
  test("ATOMIC_AGGREGATE is not removed when the route is passed on", () => {
    const { external, internal } = through({ atomicAggregate: true });
    assert.deepEqual([external.atomicAggregate, internal.atomicAggregate], [true, true]);
  });
  test("NLRI of a route with ATOMIC_AGGREGATE are not made more specific", () => {
    const { source, external } = four();
    source.announce(p, { atomicAggregate: true });
    assert.deepEqual([...external.routes.keys()], [p]);
  });
  test("AGGREGATOR is passed on as it is", () => {
    const { external, internal } = through({ aggregator: "4200000001 10.9.9.9" });
    assert.equal(external.aggregator, "4200000001 10.9.9.9");
    assert.equal(internal.aggregator, "4200000001 10.9.9.9");
  });
});
