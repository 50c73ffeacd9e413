/** RFC 7313, enhanced route refresh: BoRR and EoRR both ways, what is stale afterwards, and how much a flood costs. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Capability } from "../../src/wire/capabilities.ts";
import { encodeRefresh, RefreshSubtype } from "../../src/wire/refresh.ts";
import { CoreRig, type Peer } from "./core-rig.ts";

const enhanced: Capability = { kind: "enhanced-route-refresh" };
const restart: Capability = {
  kind: "graceful-restart",
  restarting: false,
  notification: false,
  restartTimeS: 60,
  families: [{ afi: 1, safi: 1, forwarding: true }],
};
const request = encodeRefresh(1, 1);
const begin = encodeRefresh(1, 1, RefreshSubtype.begin);
const end = encodeRefresh(1, 1, RefreshSubtype.end);
const address = "192.0.2.2";
const prefixes = ["203.0.113.0/24", "198.51.100.0/24"];

function pair(
  capabilities: readonly Capability[] = [enhanced],
  init = {},
): { rig: CoreRig; peer: Peer; third: Peer } {
  const rig = new CoreRig();
  const third = rig.peer("192.0.2.3", { remoteAsn: 65003 });
  const peer = rig.peer(address, init, { capabilities });
  peer.announce(prefixes);
  rig.inject({ prefix: "10.9.0.0/16" });
  rig.run();
  peer.forget();
  third.forget();
  return { rig, peer, third };
}

const family = (rig: CoreRig) => rig.view.neighbor(address)!.state!.families[0];

describe("RFC 7313 4, sending", () => {
  test("a request is answered with BoRR, all routes, EoRR", () => {
    const { peer } = pair();
    peer.send(request);
    assert.deepEqual(peer.trail, ["BoRR", "+10.9.0.0/16", "EoRR"]);
  });
  test("so is a soft reset of an operator", () => {
    const { rig, peer } = pair();
    rig.operate({ op: "soft-reset-out", address, families: [] });
    assert.deepEqual(peer.trail, ["BoRR", "+10.9.0.0/16", "EoRR"]);
  });
  test("a neighbor without the capability, or one for which it is off, gets neither", () => {
    for (const { peer } of [pair([]), pair([enhanced], { enhancedRefresh: false })]) {
      peer.send(request);
      assert.deepEqual(peer.trail, ["+10.9.0.0/16", "EoR"]);
    }
  });
  test("a request before End-of-RIB is answered after it", () => {
    const rig = new CoreRig();
    rig.inject({ prefix: "10.9.0.0/16" });
    const peer = rig.peer(address, {}, { capabilities: [enhanced], early: [request] });
    assert.deepEqual(peer.trail, ["+10.9.0.0/16", "EoR", "BoRR", "+10.9.0.0/16", "EoRR"]);
  });
  test("a thousand requests at once cost two runs", () => {
    const { rig, peer } = pair();
    const flood = Buffer.concat(Array.from({ length: 1000 }, () => request));
    peer.send(new Uint8Array(flood));
    assert.deepEqual(peer.trail, ["BoRR", "+10.9.0.0/16", "EoRR", "BoRR", "+10.9.0.0/16", "EoRR"]);
    const { received, refreshesJoined } = rig.view.neighbor(address)!.state!;
    assert.deepEqual([received!.refreshes, refreshesJoined], [1000n, 998n]);
    const floods = (): number => rig.topics().filter((topic) => topic === "cairn.bgp.refresh.flood").length;
    assert.equal(floods(), 1);
    peer.send(new Uint8Array(flood));
    assert.equal(floods(), 1, "once a minute");
    rig.advance(61_000);
    peer.send(new Uint8Array(flood));
    assert.equal(floods(), 2);
  });
  test("one that asks again when it has got everything is answered each time, and is no flood", () => {
    const { rig, peer } = pair();
    for (let n = 0; n < 50; n++) peer.send(request);
    assert.equal(peer.trail.filter((each) => each === "EoRR").length, 50);
    assert.equal(rig.view.neighbor(address)!.state!.refreshesJoined, 0n);
    assert.ok(!rig.topics().includes("cairn.bgp.refresh.flood"));
  });
});

describe("RFC 7313 4, receiving", () => {
  test("what is not sent again between BoRR and EoRR goes at EoRR; nobody hears of the rest", () => {
    const { rig, peer, third } = pair();
    peer.send(begin);
    assert.deepEqual([family(rig).stale, family(rig).stalePhase], [2n, "refreshing"]);
    peer.announce(prefixes[0]);
    rig.run();
    assert.deepEqual([family(rig).stale, third.trail], [1n, []]);
    peer.send(end);
    assert.deepEqual(third.trail, [`-${prefixes[1]}`]);
    assert.deepEqual([family(rig).stale, family(rig).stalePhase], [0n, ""]);
  });
  test("EoRR without BoRR is ignored", () => {
    const { rig, peer, third } = pair();
    peer.send(end);
    assert.deepEqual([third.trail, family(rig).received], [[], 2n]);
  });
  test("both are ignored when they were not agreed on", () => {
    const { rig, peer, third } = pair([]);
    peer.send(begin, end);
    assert.deepEqual([third.trail, family(rig).stale], [[], 0n]);
    assert.equal(rig.view.neighbor(address)!.state!.sessionState, 6);
  });
  test("no EoRR: what is stale goes after stale_time", () => {
    const { rig, peer, third } = pair([enhanced], { staleTime: durationFromMs(30_000) });
    peer.send(begin);
    peer.announce(prefixes[0]);
    rig.advance(29_000);
    assert.deepEqual(third.trail, []);
    rig.advance(2_000);
    assert.deepEqual(third.trail, [`-${prefixes[1]}`]);
  });
  test("with graceful restart, BoRR before End-of-RIB is ignored", () => {
    const { rig, peer, third } = pair([enhanced, restart]);
    peer.send(begin, end);
    assert.deepEqual([third.trail, family(rig).stale], [[], 0n]);
    peer.endOfRib();
    peer.send(begin);
    assert.equal(family(rig).stale, 2n);
  });
  test("a second BoRR starts the refresh over", () => {
    const { rig, peer, third } = pair();
    peer.send(begin);
    peer.announce(prefixes);
    peer.send(begin);
    assert.equal(family(rig).stale, 2n);
    peer.announce(prefixes[1]);
    peer.send(end);
    assert.deepEqual(third.trail, [`-${prefixes[0]}`]);
  });
  test("a flood of BoRR, or of BoRR and EoRR, loses nothing that is sent, and walks no table each time", () => {
    const { rig, peer, third } = pair();
    peer.send(...Array.from({ length: 500 }, () => begin));
    peer.announce(prefixes);
    peer.send(end);
    rig.run();
    assert.deepEqual(third.trail, []);
    for (let n = 0; n < 50; n++) {
      peer.send(begin);
      peer.announce(prefixes);
      peer.send(end);
    }
    rig.run();
    assert.deepEqual([third.trail, family(rig).received, family(rig).stale], [[], 2n, 0n]);
    const { topics } = { topics: rig.topics().filter((topic) => topic.startsWith("cairn.bgp.restart.")) };
    assert.deepEqual(topics, []);
  });
  test("a session that is lost in the middle of a refresh leaves nothing behind", () => {
    const { rig, peer, third } = pair();
    peer.send(begin);
    peer.drop();
    rig.run();
    assert.equal(third.routes.size, 1);
    assert.deepEqual([family(rig).stale, family(rig).received], [0n, 0n]);
  });
  test("5: BoRR and EoRR of another length are 7/1 with the message", () => {
    const { peer } = pair();
    const long = new Uint8Array([...begin, 0]);
    long[17] = long.length;
    peer.send(long);
    assert.equal(peer.notification, `7/1 ${Buffer.from(long).toString("hex")}`);
  });
  test("5: an unknown subtype is ignored", () => {
    const { rig, peer, third } = pair();
    peer.send(encodeRefresh(1, 1, 7));
    assert.deepEqual([peer.trail, third.trail], [[], []]);
    assert.equal(rig.view.neighbor(address)!.state!.sessionState, 6);
  });
});
