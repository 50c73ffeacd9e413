/** RFC 4456: route reflection. The router is 10.0.0.1, which is also its cluster id. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CoreRig } from "./core-rig.ts";

const p = "198.51.100.0/24";
const inside = { remoteAsn: 65001 };
const client = { remoteAsn: 65001, routeReflectorClient: true };

function reflector() {
  const rig = new CoreRig();
  return {
    rig,
    client1: rig.peer("10.0.0.5", client),
    client2: rig.peer("10.0.0.6", client),
    other1: rig.peer("10.0.0.7", inside),
    other2: rig.peer("10.0.0.8", inside),
    external: rig.peer("192.0.2.2"),
  };
}

describe("6: to whom", () => {
  test("1) a route from a non-client goes to all clients, not to non-clients", () => {
    const { client1, client2, other1, other2, external } = reflector();
    other1.announce(p);
    assert.deepEqual(
      [client1, client2, other1, other2, external].map((peer) => peer.has(p)),
      [true, true, false, false, true],
    );
  });
  test("2) a route from a client goes to all non-clients and to the other clients", () => {
    const { client1, client2, other1, other2, external } = reflector();
    client1.announce(p);
    assert.deepEqual(
      [client1, client2, other1, other2, external].map((peer) => peer.has(p)),
      [false, true, true, true, true],
    );
  });
  test("3) a route from an external neighbor goes to all clients and non-clients", () => {
    const { client1, client2, other1, other2, external } = reflector();
    external.announce(p);
    assert.deepEqual(
      [client1, client2, other1, other2, external].map((peer) => peer.has(p)),
      [true, true, true, true, false],
    );
  });
});

describe("8: loops", () => {
  test("ORIGINATOR_ID is the identifier of the originator, set by the first reflector", () => {
    const { client1, other1 } = reflector();
    client1.announce(p);
    assert.equal(other1.route(p).originatorId, "10.1.0.5");
    assert.equal(other1.updates[0].flags[9], 0x80);
  });
  test("ORIGINATOR_ID that is there is not replaced", () => {
    const { client1, other1 } = reflector();
    client1.announce(p, { originatorId: "10.9.9.9" });
    assert.equal(other1.route(p).originatorId, "10.9.9.9");
  });
  test("our own ORIGINATOR_ID: ignored", () => {
    const { rig, client1 } = reflector();
    client1.announce(p, { originatorId: "10.0.0.1" });
    assert.equal(rig.best(p), undefined);
    assert.match(rig.rejection(client1.address, p)!, /ORIGINATOR_ID/);
  });
  test("CLUSTER_LIST: our CLUSTER_ID is prepended, or a new list made", () => {
    const { client1, other1 } = reflector();
    client1.announce(p);
    assert.equal(other1.route(p).clusterList, "10.0.0.1");
    client1.announce(p, { clusterList: "10.8.8.8 10.7.7.7" });
    assert.equal(other1.route(p).clusterList, "10.0.0.1 10.8.8.8 10.7.7.7");
    assert.equal(other1.updates.at(-1)?.flags[10], 0x80);
  });
  test("a CLUSTER_LIST of more than 255 bytes takes the extended length", () => {
    const { client1, other1 } = reflector();
    const list = Array.from({ length: 64 }, (_, i) => `10.8.8.${i}`).join(" ");
    client1.announce(p, { clusterList: list });
    assert.equal(other1.route(p).clusterList, `10.0.0.1 ${list}`);
  });
  test("our own CLUSTER_ID in CLUSTER_LIST: ignored", () => {
    const { rig, other1 } = reflector();
    other1.announce(p, { clusterList: "10.8.8.8 10.0.0.1" });
    assert.equal(rig.best(p), undefined);
    assert.match(rig.rejection(other1.address, p)!, /CLUSTER_LIST/);
  });
  test("a CLUSTER_ID of its own is used in both directions", () => {
    const rig = new CoreRig({ clusterId: "10.77.0.1" });
    const client1 = rig.peer("10.0.0.5", client);
    const other1 = rig.peer("10.0.0.7", inside);
    client1.announce(p);
    assert.equal(other1.route(p).clusterList, "10.77.0.1");
    client1.announce(p, { clusterList: "10.77.0.1" });
    assert.equal(rig.best(p), undefined);
  });
  test("neither leaves the AS, and neither counts from an external neighbor", () => {
    const { rig, client1, external, other1 } = reflector();
    client1.announce(p, { originatorId: "10.9.9.9", clusterList: "10.8.8.8" });
    assert.equal(external.route(p).originatorId, undefined);
    assert.equal(external.route(p).clusterList, undefined);
    external.announce("203.0.113.0/24", { originatorId: "10.0.0.1", clusterList: "10.0.0.1" });
    assert.equal(rig.best("203.0.113.0/24"), external.address);
    assert.equal(other1.route("203.0.113.0/24").originatorId, undefined);
    assert.equal(other1.route("203.0.113.0/24").clusterList, undefined);
  });
  test("a route from outside is not reflected: no ORIGINATOR_ID", () => {
    const { external, client1 } = reflector();
    external.announce(p);
    assert.equal(client1.route(p).originatorId, undefined);
  });
});

describe("9: decision", () => {
  test("ORIGINATOR_ID stands for the BGP Identifier", () => {
    const { rig, client1, client2 } = reflector();
    client1.announce(p, { originatorId: "10.99.0.1" });
    client2.announce(p);
    assert.equal(rig.best(p), client2.address);
  });
  test("then the shorter CLUSTER_LIST, none counting 0", () => {
    const { rig, client1, client2 } = reflector();
    client1.announce(p, { originatorId: "10.5.0.1", clusterList: "10.8.8.8" });
    client2.announce(p, { originatorId: "10.5.0.1" });
    assert.equal(rig.best(p), client2.address);
  });
});

describe("10: attributes of a reflected route", () => {
  test("NEXT_HOP, AS_PATH, LOCAL_PREF and MED are not modified, next_hop_self or not", () => {
    const rig = new CoreRig();
    const client1 = rig.peer("10.0.0.5", client);
    const other1 = rig.peer("10.0.0.7", { ...inside, nextHopSelf: true });
    client1.announce(p, { path: "7 8", nextHop: "10.66.0.1", localPref: 77, med: 9 });
    const { path, nextHop, localPref, med } = other1.route(p);
    assert.deepEqual(
      { path, nextHop, localPref, med },
      { path: "7 8", nextHop: "10.66.0.1", localPref: 77, med: 9 },
    );
  });
});
