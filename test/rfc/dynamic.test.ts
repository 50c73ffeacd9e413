/** Dynamic neighbors through a whole core: who comes in, as what, how many, how fast, and when they are forgotten. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { DynamicRangeSpecSchema, NeighborSpecSchema } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import { PeerGroupSpecSchema } from "../../src/gen/cairn/v1/peer_group_service_pb.ts";
import type { MutationOp } from "../../src/state/mutation.ts";
import { CoreRig, Peer } from "./core-rig.ts";

const group = (init: MessageInitShape<typeof PeerGroupSpecSchema> = {}): MutationOp => ({
  op: "put",
  kind: "PeerGroup",
  spec: create(PeerGroupSpecSchema, { name: "g", import: ["accept-all"], export: ["accept-all"], ...init }),
});

const range = (init: MessageInitShape<typeof DynamicRangeSpecSchema> = {}): MutationOp => ({
  op: "put",
  kind: "DynamicRange",
  spec: create(DynamicRangeSpecSchema, {
    ...{ name: "r", prefix: "192.0.2.0/24", peerGroup: "g", remoteAsns: ["65100-65200"] },
    ...init,
  }),
});

function lab(...ops: MutationOp[]): CoreRig {
  const rig = new CoreRig();
  rig.mutate(group(), ...(ops.length > 0 ? ops : [range()]));
  return rig;
}

/** Connects; the NOTIFICATION that comes of it, empty when the session is up. */
function come(rig: CoreRig, address: string, asn = 65100): { peer: Peer; refused: string } {
  const peer = new Peer(rig, address, asn, {});
  try {
    peer.connect();
  } catch (error) {
    if (peer.notification === "") throw error;
  }
  return { peer, refused: peer.notification.split(" ")[0] };
}

const state = (rig: CoreRig, address: string) => rig.view.neighbor(address)?.state;
const counts = (rig: CoreRig) => {
  const { neighbors, established, accepted, refusedLimit, refusedRate } = rig.view.dynamicRange("r")!;
  return [neighbors, established, Number(accepted), Number(refusedLimit), Number(refusedRate)];
};

describe("who comes in", () => {
  test("becomes a neighbor of the group with the AS number of its OPEN; no generation is made", () => {
    const rig = lab();
    const { generation, configHash } = rig.view;
    const { peer } = come(rig, "192.0.2.77", 65123);
    assert.deepEqual(
      [state(rig, "192.0.2.77")?.dynamicRange, state(rig, "192.0.2.77")?.remoteAsn],
      ["r", 65123],
    );
    peer.announce("203.0.113.0/24");
    assert.equal(rig.best("203.0.113.0/24"), "192.0.2.77");
    assert.deepEqual([rig.view.generation, rig.view.configHash], [generation, configHash]);
    assert.deepEqual(rig.view.neighborNames(), ["192.0.2.77"]);
    assert.deepEqual(counts(rig), [1, 1, 1, 0, 0]);
    assert.equal(rig.view.neighbor("192.0.2.77")?.metadata?.managedBy, "dynamic:r");
  });
  test("an AS number that is not in the list: Bad Peer AS; ours is internal where it is allowed", () => {
    const rig = lab(range({ remoteAsns: ["65100", "65001"] }));
    assert.equal(come(rig, "192.0.2.77", 65101).refused, "2/2");
    assert.match(state(rig, "192.0.2.77")!.lastResetReason, /AS 65101 is not one that range r takes/);
    assert.equal(come(rig, "192.0.2.78", 65001).refused, "");
    assert.equal(state(rig, "192.0.2.78")?.sessionType, "internal");
  });
  test("without a list the group's AS number counts", () => {
    const rig = new CoreRig();
    rig.mutate(group({ remoteAsn: 65300 }), range({ remoteAsns: [] }));
    assert.equal(come(rig, "192.0.2.77", 65301).refused, "2/2");
    assert.equal(come(rig, "192.0.2.78", 65300).refused, "");
  });
  test("outside of all ranges: Connection Rejected, and no neighbor", () => {
    const rig = lab();
    assert.equal(come(rig, "198.51.100.1").refused, "6/5");
    assert.deepEqual(rig.view.neighborNames(), []);
  });
  test("the longest prefix, then the one with an interface, then an interface alone", () => {
    const rig = lab(
      range({ name: "wide" }),
      range({ name: "closer", prefix: "192.0.2.64/26" }),
      range({ name: "here", prefix: "192.0.2.64/26", interface: "eth0" }),
      range({ name: "elsewhere", prefix: "192.0.2.64/27", interface: "eth9" }),
      range({ name: "link", prefix: "", interface: "eth0" }),
    );
    const ranges = ["192.0.2.1", "192.0.2.70", "198.51.100.1"].map((address) => {
      come(rig, address);
      return state(rig, address)?.dynamicRange;
    });
    assert.deepEqual(ranges, ["wide", "here", "link"]);
  });
  test("a declared neighbor stays what it is", () => {
    const rig = lab();
    rig.peer("192.0.2.50", { remoteAsn: 65002 });
    assert.deepEqual([state(rig, "192.0.2.50")?.dynamicRange, counts(rig)[0]], ["", 0]);
  });
});

describe("bounds", () => {
  test("one more than max_neighbors: Connection Rejected, counted, one event", () => {
    const rig = lab(range({ maxNeighbors: 3 }));
    const refused = Array.from({ length: 8 }, (_, i) => come(rig, `192.0.2.${10 + i}`).refused);
    assert.deepEqual(refused, ["", "", "", "6/5", "6/5", "6/5", "6/5", "6/5"]);
    assert.deepEqual(counts(rig), [3, 3, 3, 5, 0]);
    assert.equal(rig.topics().filter((topic) => topic === "cairn.bgp.dynamic.refused").length, 1);
  });
  test("accepts_per_second: so many at once, then as many a second; those that come again count", () => {
    const rig = lab(range({ acceptsPerSecond: 4 }));
    const burst = Array.from({ length: 7 }, (_, i) => come(rig, `192.0.2.${10 + i}`).refused);
    assert.deepEqual(burst, ["", "", "", "", "6/5", "6/5", "6/5"]);
    rig.advance(500);
    assert.deepEqual(
      ["192.0.2.10", "192.0.2.30", "192.0.2.31"].map((address) => come(rig, address).refused),
      ["", "", "6/5"],
    );
    assert.equal(counts(rig)[4], 4);
  });
});

describe("the end", () => {
  const linger = durationFromMs(30_000);
  test("after its session a neighbor is kept for linger, with its last words; then it is forgotten", () => {
    const rig = lab(range({ linger }));
    const { peer } = come(rig, "192.0.2.77");
    peer.announce("203.0.113.0/24");
    peer.notify(6, 2);
    rig.advance(1_000);
    assert.match(state(rig, "192.0.2.77")!.lastResetReason, /Administrative Shutdown/);
    assert.equal(Number(state(rig, "192.0.2.77")!.forgottenIn!.seconds), 29);
    rig.advance(28_000);
    assert.deepEqual(rig.view.neighborNames(), ["192.0.2.77"]);
    rig.advance(2_000);
    assert.deepEqual([rig.view.neighborNames(), rig.best("203.0.113.0/24")], [[], undefined]);
    assert.ok(rig.topics().includes("cairn.bgp.dynamic.removed"));
  });
  test("one that comes again in time stays the same neighbor", () => {
    const rig = lab(range({ linger }));
    const { peer } = come(rig, "192.0.2.77");
    peer.notify(6, 4);
    rig.advance(20_000);
    peer.connect();
    rig.advance(60_000);
    assert.deepEqual([state(rig, "192.0.2.77")?.establishedCount, counts(rig)[0]], [2, 1]);
  });
  test("one that never got through is forgotten after ten seconds", () => {
    const rig = lab(range({ linger }));
    come(rig, "192.0.2.77", 99);
    rig.advance(9_000);
    assert.equal(counts(rig)[0], 1);
    rig.advance(2_000);
    assert.equal(counts(rig)[0], 0);
  });
  test("removed by an operator: Peer De-configured, and it may come again", () => {
    const rig = lab();
    const { peer } = come(rig, "192.0.2.77");
    rig.operate({ op: "forget", address: "192.0.2.77" });
    assert.deepEqual([peer.notification.split(" ")[0], rig.view.neighborNames()], ["6/3", []]);
    assert.equal(come(rig, "192.0.2.77").refused, "");
  });
  test("a range that goes takes its neighbors along; one that another range has stays", () => {
    const rig = lab(range(), range({ name: "closer", prefix: "192.0.2.64/26" }));
    const near = come(rig, "192.0.2.70").peer;
    const far = come(rig, "192.0.2.1").peer;
    rig.mutate({ op: "delete", kind: "DynamicRange", name: "closer" });
    assert.deepEqual([near.notification, state(rig, "192.0.2.70")?.dynamicRange], ["", "r"]);
    rig.mutate({ op: "delete", kind: "DynamicRange", name: "r" });
    assert.deepEqual([near.notification, far.notification], ["6/3", "6/3"]);
  });
  test("declared while its session is up, it keeps the session", () => {
    const rig = lab();
    const { peer } = come(rig, "192.0.2.77");
    const spec = { address: "192.0.2.77", remoteAsn: 65100, passive: true, peerGroup: "g" };
    rig.mutate({ op: "put", kind: "Neighbor", spec: create(NeighborSpecSchema, spec) });
    assert.deepEqual([peer.notification, state(rig, "192.0.2.77")?.dynamicRange], ["", ""]);
    rig.mutate({ op: "delete", kind: "DynamicRange", name: "r" });
    assert.equal(peer.notification, "");
  });
  test("a plan tells that neighbors of a range go with it, also when its group goes too", () => {
    const rig = new CoreRig();
    rig.mutate(group({ remoteAsn: 65100 }), range({ remoteAsns: [] }));
    const { peer } = come(rig, "192.0.2.77");
    const ops: MutationOp[] = [
      { op: "delete", kind: "DynamicRange", name: "r" },
      { op: "delete", kind: "PeerGroup", name: "g" },
    ];
    const mutation = { ops, expectedGeneration: 0, dryRun: true, reason: "", requestId: "", principal: "" };
    const options = { routes: true, maxResets: 0, maxWithdrawn: undefined, skipPolicyTests: false };
    const planned = rig.view.plan({ ...mutation, source: "api" }, options);
    assert.ok(planned.ok);
    while (!planned.value.step(100));
    assert.equal(planned.value.result().resets, 1);
    assert.equal(peer.notification, "");
    rig.mutate(...ops);
    assert.deepEqual([peer.notification.split(" ")[0], rig.view.neighborNames()], ["6/3", []]);
  });
  test("a change of the group reaches its neighbors", () => {
    const rig = lab();
    const { peer } = come(rig, "192.0.2.77");
    peer.announce("203.0.113.0/24");
    rig.mutate(group({ import: ["reject-all"] }));
    assert.equal(rig.best("203.0.113.0/24"), undefined);
    assert.equal(peer.notification, "");
  });
});

describe("protection as declared", () => {
  const refusal = (rig: CoreRig, ...ops: MutationOp[]): string[] => {
    const prepared = rig.core.objects.prepare(
      { ops, expectedGeneration: 0, dryRun: true, reason: "", requestId: "", principal: "", source: "api" },
      0,
    );
    return prepared.ok ? [] : prepared.problems.map(({ code, path }) => `${code} ${path}`);
  };
  const neighbor = (init: MessageInitShape<typeof NeighborSpecSchema>): MutationOp => ({
    op: "put",
    kind: "Neighbor",
    spec: create(NeighborSpecSchema, { address: "192.0.2.9", remoteAsn: 65009, ...init }),
  });

  test("what the host cannot do is refused, unless the neighbor is shut down", () => {
    const rig = new CoreRig();
    const abilities = { md5: "no addon", gtsm: "no addon", tcpAo: "no kernel", bfd: "no addon" };
    rig.input({ kind: "host.abilities", abilities });
    const wanted = { password: "p", ttlSecurity: 1 };
    assert.deepEqual(refusal(rig, neighbor(wanted)), [
      "WRONG_STATE Neighbor/192.0.2.9.password",
      "WRONG_STATE Neighbor/192.0.2.9.ttl_security",
    ]);
    assert.deepEqual(refusal(rig, neighbor({ ...wanted, shutdown: true })), []);
    assert.deepEqual(refusal(rig, group({ password: "p" })), ["WRONG_STATE PeerGroup/g.password"]);
  });
  test("what excludes each other is told, wherever each comes from", () => {
    const rig = new CoreRig();
    rig.mutate(group({ multihopTtl: 3, password: "p" }));
    const both = neighbor({ peerGroup: "g", ttlSecurity: 2 });
    assert.deepEqual(refusal(rig, both), ["INVALID Neighbor/192.0.2.9.ttl_security"]);
    assert.deepEqual(refusal(rig, neighbor({ peerGroup: "g", ttlSecurity: 2, multihopTtl: 0 })), []);
    assert.deepEqual(refusal(rig, range({ prefix: "", interface: "eth0" })), [
      "INVALID DynamicRange/r.prefix",
    ]);
  });
  test("a password is in no view, change or event", () => {
    const rig = new CoreRig();
    rig.mutate(group({ password: "hunter22" }), neighbor({ peerGroup: "g" }), range());
    rig.mutate(group({ password: "hunter23" }));
    const shown = JSON.stringify(
      [
        rig.view.neighbor("192.0.2.9")?.spec,
        rig.view.neighbor("192.0.2.9")?.effective,
        rig.view.object("PeerGroup", "g")?.spec,
        rig.view.events(0, undefined, 1000).events,
      ],
      (_, value) => (typeof value === "bigint" ? String(value) : value),
    );
    assert.doesNotMatch(shown, /hunter/);
    assert.match(shown, /\(secret\)/);
    assert.equal(state(rig, "192.0.2.9")?.authentication, "md5");
  });
  test("refused segments show in the status of neighbors that they may be about", () => {
    const rig = new CoreRig();
    rig.mutate(neighbor({ password: "p" }));
    const none = {
      ...{ md5Missing: 0, md5Unexpected: 0, md5Wrong: 0, ttlTooLow: 0 },
      ...{ aoMissing: 0, aoUnknownKey: 0, aoWrong: 0 },
    };
    rig.input({ kind: "host.refusals", counts: none });
    rig.input({ kind: "host.refusals", counts: { ...none, md5Wrong: 3, ttlTooLow: 1 } });
    assert.match(state(rig, "192.0.2.9")!.status, /refused segments with a wrong MD5 signature$/);
    assert.ok(rig.topics().includes("cairn.bgp.segment.refused"));
    rig.advance(61_000);
    assert.doesNotMatch(state(rig, "192.0.2.9")!.status, /MD5/);
  });
});
