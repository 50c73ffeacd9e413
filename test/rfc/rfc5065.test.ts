/** RFC 5065, confederations: who we are to whom, paths inside and toward the outside, loops, what stays inside. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decodeOpen } from "../../src/wire/open.ts";
import { CoreRig, type Peer } from "./core-rig.ts";

const p = "198.51.100.0/24";
const q = "203.0.113.0/24";
const confederation = { identifier: 100, memberAses: [65002, 65003, 65001] };

interface Cast {
  readonly rig: CoreRig;
  /** Same member AS, two other members, two neighbors outside. */
  readonly inner: Peer;
  readonly member: Peer;
  readonly other: Peer;
  readonly outside: Peer;
  readonly far: Peer;
}

function cast(): Cast {
  const rig = new CoreRig({ confederation });
  return {
    rig,
    inner: rig.peer("10.0.0.5", { remoteAsn: 65001 }),
    member: rig.peer("192.0.2.2", { remoteAsn: 65002 }),
    other: rig.peer("192.0.2.3", { remoteAsn: 65003 }),
    outside: rig.peer("192.0.2.4", { remoteAsn: 200 }),
    far: rig.peer("192.0.2.7", { remoteAsn: 300 }),
  };
}

const asnOf = (peer: Peer): number => {
  const open = decodeOpen(peer.opens.at(-1)!, 0, peer.opens.at(-1)!.length);
  assert.ok("asn" in open);
  return open.asn;
};
const typesOf = (peer: Peer, prefix: string): readonly number[] =>
  peer.updates.filter(({ reach }) => reach.includes(prefix)).at(-1)!.types;

describe("RFC 5065 4", () => {
  test("the member AS inside, the identifier to everybody outside", () => {
    const { inner, member, other, outside, far, rig } = cast();
    assert.deepEqual([inner, member, other, outside, far].map(asnOf), [65001, 65001, 65001, 100, 100]);
    const kind = (peer: Peer) => rig.view.neighbor(peer.address)!.state!.sessionType;
    assert.deepEqual([inner, member, outside].map(kind), ["internal", "confederation", "external"]);
  });
  test("AS_CONFED_SEQUENCE from outside is a malformed path", () => {
    const { rig, outside } = cast();
    outside.announce(p, { path: "200" });
    outside.announce(p, { path: "(65002) 200" });
    assert.equal(rig.best(p), undefined);
    outside.announce(p, { path: "200 [65002]" });
    assert.equal(rig.best(p), undefined);
    assert.ok(outside.up);
  });
  test("a member's path that does not begin with AS_CONFED_SEQUENCE is malformed", () => {
    const { rig, member } = cast();
    for (const path of ["65002 200", "", "[65002] 200", "200 (65002)"]) {
      member.announce(p, { path: "(65002) 200", localPref: 100 });
      assert.equal(rig.best(p), member.address);
      member.announce(p, { path, localPref: 100 });
      assert.equal(rig.best(p), undefined, path);
    }
    assert.ok(member.up);
  });
  test("enforce_first_as asks for the member's AS in front", () => {
    const { rig, member } = cast();
    member.announce(p, { path: "(65003) 200", localPref: 100 });
    assert.match(rig.rejection(member.address, p)!, /first AS/);
  });
});

describe("RFC 5065 4.1", () => {
  test("a) to the same member AS the path is not modified", () => {
    const { inner, member } = cast();
    member.announce(p, { path: "(65002 65007) 200", localPref: 100 });
    assert.equal(inner.route(p).path, "(65002 65007) 200");
  });
  test("b) to another member our member AS goes in front, into the sequence that is there", () => {
    const { member, other, outside } = cast();
    member.announce(p, { path: "(65002 65007) 200", localPref: 100 });
    assert.equal(other.route(p).path, "(65001 65002 65007) 200");
    outside.announce(q, { path: "200 300 400" });
    assert.equal(other.route(q).path, "(65001) 200 300 400");
    assert.equal(other.route(q).segments, 2);
  });
  test("b) a full segment of 255 is not overflowed", () => {
    const { member, other } = cast();
    const full = `65002 ${Array.from({ length: 254 }, (_, i) => 64000 + i).join(" ")}`;
    member.announce(p, { path: `(${full}) 200`, localPref: 100 });
    assert.equal(other.route(p).path, `(65001) (${full}) 200`);
  });
  test("c) to the outside confederation segments go, and the identifier goes in front", () => {
    const { member, outside, far, inner } = cast();
    member.announce(p, { path: "(65002 65007) 300 400", localPref: 100 });
    assert.equal(outside.route(p).path, "100 300 400");
    inner.announce(q, { path: "(65002) (65008) [65009 65010] 300 {400 500}" });
    assert.equal(outside.route(q).path, "100 300 {400 500}");
    member.announce(p, { path: "(65002)", localPref: 100 });
    assert.equal(far.route(p).path, "100");
    assert.equal(far.route(p).segments, 1);
  });
  test("originated: nothing inside, the member AS to members, the identifier outside", () => {
    const { rig, inner, member, outside } = cast();
    rig.inject({ prefix: p });
    assert.deepEqual(
      [inner, member, outside].map((peer) => peer.route(p).path),
      ["", "(65001)", "100"],
    );
  });
  test("a client of our route server outside sees no confederation segments either", () => {
    const { rig, member } = cast();
    const client = rig.peer("192.0.2.9", { remoteAsn: 900, routeServerClient: true });
    member.announce(p, { path: "(65002) 300", localPref: 100 });
    assert.equal(client.route(p).path, "300");
  });
  test("a default route that we originate", () => {
    const { rig } = cast();
    const member = rig.peer("192.0.2.9", { remoteAsn: 65002, defaultOriginate: true });
    assert.deepEqual([member.route("0.0.0.0/0").path, member.route("0.0.0.0/0").localPref], ["(65001)", 100]);
  });
});

describe("RFC 5065 5", () => {
  test("LOCAL_PREF, MED and next hop go through the confederation, ORIGINATOR_ID and CLUSTER_LIST do not", () => {
    const { inner, member, other, outside } = cast();
    const route = { path: "(65002) 200", localPref: 250, med: 7, nextHop: "172.16.0.9" };
    member.announce(p, route);
    assert.deepEqual(
      { ...other.route(p), segments: 0 },
      { origin: "igp", ...route, path: "(65001 65002) 200", segments: 0 },
    );
    assert.deepEqual({ ...inner.route(p), segments: 0 }, { origin: "igp", ...route, segments: 0 });
    assert.deepEqual(typesOf(outside, p), [1, 2, 3]);
    inner.announce(q, { originatorId: "10.0.0.77", clusterList: "10.0.0.78", localPref: 130 });
    assert.deepEqual(typesOf(member, q), [1, 2, 3, 5]);
    assert.equal(member.route(q).localPref, 130);
  });
  test("ORIGINATOR_ID and CLUSTER_LIST of another member AS are dropped", () => {
    const { inner, member } = cast();
    member.announce(p, {
      path: "(65002)",
      localPref: 100,
      originatorId: "10.0.0.1",
      clusterList: "10.0.0.1",
    });
    assert.deepEqual(typesOf(inner, p), [1, 2, 3, 5]);
  });
  test("next_hop_self works toward members", () => {
    const { rig, outside } = cast();
    const member = rig.peer("192.0.2.9", { remoteAsn: 65002, nextHopSelf: true });
    outside.announce(p, { path: "200", nextHop: "192.0.2.4" });
    assert.equal(member.route(p).nextHop, "192.0.2.1");
  });
  test("a member's route goes to the same member AS and the other way, without a reflector", () => {
    const { inner, member } = cast();
    member.announce(p, { path: "(65002)", localPref: 100 });
    inner.announce(q);
    assert.ok(inner.has(p) && member.has(q));
    assert.equal(inner.route(p).originatorId, undefined);
  });
  test("non-transitive extended communities stay inside the confederation", () => {
    const { member, other, outside } = cast();
    member.announce(p, { path: "(65002)", localPref: 100, extended: "4004000a0000000a" });
    assert.equal(other.route(p).extended, "4004000a0000000a");
    assert.equal(outside.route(p).extended, undefined);
  });
  test("no policy is needed toward members (RFC 8212 speaks of other ASes)", () => {
    const { rig, inner } = cast();
    const member = rig.peer("192.0.2.9", { remoteAsn: 65002, import: [], export: [] });
    member.announce(p, { path: "(65002)", localPref: 100 });
    inner.announce(q);
    assert.ok(inner.has(p) && member.has(q));
  });
});

describe("RFC 5065 5.2, well-known communities", () => {
  const cases: readonly (readonly [string, string, readonly boolean[]])[] = [
    ["NO_EXPORT: not beyond the confederation", "65535:65281", [true, true, false]],
    ["NO_EXPORT_SUBCONFED: not beyond the member AS", "65535:65283", [true, false, false]],
    ["NO_ADVERTISE: to nobody", "65535:65282", [false, false, false]],
  ];
  for (const [name, communities, told] of cases) {
    test(name, () => {
      const { inner, member, other, outside, far } = cast();
      member.announce(p, { path: "(65002)", localPref: 100, communities });
      assert.deepEqual([inner.has(p), other.has(p), outside.has(p)], told);
      outside.announce(q, { path: "200", communities });
      assert.deepEqual([inner.has(q), member.has(q), far.has(q)], told);
    });
  }
});

describe("RFC 5065 5.3, loops and the decision", () => {
  test("our member AS in a confederation segment is a loop, and the identifier elsewhere is one", () => {
    const { rig, member, outside, inner } = cast();
    member.announce(p, { path: "(65002 65001) 200", localPref: 100 });
    assert.match(rig.rejection(member.address, p)!, /own AS/);
    outside.announce(p, { path: "200 100 300" });
    assert.match(rig.rejection(outside.address, p)!, /own AS/);
    inner.announce(p, { path: "(65002 65001)" });
    assert.match(rig.rejection(inner.address, p)!, /own AS/);
    assert.equal(rig.best(p), undefined);
  });
  test("what outsiders mean by the number of our member AS is another AS", () => {
    const { rig, outside } = cast();
    outside.announce(p, { path: "200 65001 300" });
    assert.equal(rig.best(p), outside.address);
  });
  test("confederation segments do not count in the length of the path", () => {
    const { rig, member, other } = cast();
    member.announce(p, { path: "(65002 65007 65008 65009) 300", localPref: 100 });
    other.announce(p, { path: "(65003) 200 300", localPref: 100 });
    assert.equal(rig.best(p), member.address);
  });
  test("a route of a member counts as internal", () => {
    const { rig, member, outside } = cast();
    member.announce(p, { path: "(65002) 200", localPref: 100 });
    outside.announce(p, { path: "200" });
    assert.equal(rig.best(p), outside.address);
    // Between internal and member the identifier decides, not the kind.
    for (const [routerId, best] of [
      [1, "10.0.0.6"],
      [0xff00_0000, member.address],
    ] as const) {
      const inner = rig.peer("10.0.0.6", { remoteAsn: 65001 }, { routerId });
      inner.announce(q, { path: "200" });
      member.announce(q, { path: "(65002) 200", localPref: 100 });
      assert.equal(rig.best(q), best);
      inner.notify(6, 4);
      rig.advance(5000);
    }
  });
  test("MED is compared by the first AS beyond the confederation; paths without one are of one neighbor", () => {
    const { rig, member, other } = cast();
    member.announce(p, { path: "(65002) 200", localPref: 100, med: 9 });
    other.announce(p, { path: "(65003) 200", localPref: 100, med: 5 });
    assert.equal(rig.best(p), other.address);
    member.announce(p, { path: "(65002) 300", localPref: 100, med: 9 });
    assert.equal(rig.best(p), member.address);
    member.announce(q, { path: "(65002)", localPref: 100, med: 9 });
    other.announce(q, { path: "(65003)", localPref: 100, med: 5 });
    assert.equal(rig.best(q), other.address);
  });
});

describe("a confederation that comes, changes and goes at run time", () => {
  test("sessions whose OPEN or kind changes are reset, others stay, and the plan says which", () => {
    const rig = new CoreRig();
    const inner = rig.peer("10.0.0.5", { remoteAsn: 65001 });
    const member = rig.peer("192.0.2.2", { remoteAsn: 65002 });
    const outside = rig.peer("192.0.2.4", { remoteAsn: 200 });
    const all = [inner, member, outside];
    rig.global({ confederation });
    assert.deepEqual(
      all.map(({ up }) => up),
      [true, false, false],
    );
    assert.deepEqual(
      all.map(({ notification }) => notification.slice(0, 3)),
      ["", "6/6", "6/6"],
    );
    for (const peer of [member, outside]) {
      rig.advance(5000);
      peer.notification = "";
      peer.connect();
    }
    // Another member that nobody is a neighbor of.
    rig.global({ confederation: { ...confederation, memberAses: [65002, 65009] } });
    assert.deepEqual(
      all.map(({ up }) => up),
      [true, true, true],
    );
    rig.global({ confederation: { ...confederation, identifier: 101 } });
    assert.deepEqual(
      all.map(({ up }) => up),
      [true, true, false],
    );
    outside.notification = "";
    rig.advance(5000);
    outside.connect();
    rig.global({ confederation: { identifier: 101, memberAses: [] } });
    assert.deepEqual(
      all.map(({ up }) => up),
      [true, false, true],
    );
  });
  test("with it come other loops inside: routes are looked at again", () => {
    const rig = new CoreRig();
    const inner = rig.peer("10.0.0.5", { remoteAsn: 65001 });
    inner.announce(p, { path: "200 100" });
    assert.equal(rig.best(p), inner.address);
    rig.global({ confederation });
    assert.ok(inner.up);
    assert.match(rig.rejection(inner.address, p)!, /own AS/);
    rig.global({});
    assert.equal(rig.best(p), inner.address);
  });
});
