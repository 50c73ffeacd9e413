/** RFC 9494, long-lived graceful restart: when routes become long-lived, what they are worth, whom they are told to. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { GracefulRestart } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import type { Capability } from "../../src/wire/capabilities.ts";
import { decodeOpen } from "../../src/wire/open.ts";
import { CoreRig, type Peer } from "./core-rig.ts";

const address = "192.0.2.2";
const prefix = "203.0.113.0/24";
const other = "198.51.100.0/24";
const stale = "65535:6";
const seconds = (count: number) => durationFromMs(count * 1000);

function capabilities(
  change: { restartTimeS?: number; staleTimeS?: number; forwarding?: boolean; long?: boolean } = {},
): Capability[] {
  const { restartTimeS = 60, staleTimeS = 3600, forwarding = true, long = true } = change;
  const family = { afi: 1, safi: 1, forwarding };
  const list: Capability[] = [
    { kind: "graceful-restart", restarting: false, notification: false, restartTimeS, families: [family] },
  ];
  if (long) {
    list.push({ kind: "long-lived-graceful-restart", families: [{ ...family, staleTimeS }] });
  }
  return list;
}

interface Cast {
  readonly rig: CoreRig;
  readonly peer: Peer;
  /** It knows LLGR_STALE. */
  readonly knows: Peer;
  /** It does not. */
  readonly plain: Peer;
}

function cast(offer = capabilities(), init = {}): Cast {
  const rig = new CoreRig();
  const ready = { longLivedStaleMax: seconds(600) };
  const knows = rig.peer("192.0.2.3", { remoteAsn: 65003, ...ready }, { capabilities: capabilities() });
  const plain = rig.peer("192.0.2.4", { remoteAsn: 65004 });
  const peer = rig.peer(address, { ...ready, ...init }, { capabilities: offer });
  peer.announce(prefix);
  peer.announce(other, { communities: "65535:7" });
  peer.endOfRib();
  rig.run();
  for (const each of [knows, plain]) {
    assert.equal(each.routes.size, 2);
    each.forget();
  }
  return { rig, peer, knows, plain };
}

const family = (rig: CoreRig) => rig.view.neighbor(address)!.state!.families[0];

describe("RFC 9494 3, the capability", () => {
  const ours = (peer: Peer): Capability | undefined => {
    const open = decodeOpen(peer.opens.at(-1)!, 0, peer.opens.at(-1)!.length);
    assert("capabilities" in open);
    return open.capabilities.find((each) => each.kind === "long-lived-graceful-restart");
  };
  test("not sent by default; without families when only the neighbor's routes are kept; with our time when it is asked", () => {
    const rig = new CoreRig();
    assert.equal(ours(rig.peer(address)), undefined);
    const keeps = rig.peer("192.0.2.3", { remoteAsn: 65003, longLivedStaleMax: seconds(5) });
    assert.deepEqual(ours(keeps), { kind: "long-lived-graceful-restart", families: [] });
    const asks = rig.peer("192.0.2.4", {
      remoteAsn: 65004,
      gracefulRestart: GracefulRestart.FULL,
      longLivedStaleTime: seconds(7200),
    });
    assert.deepEqual(ours(asks), {
      kind: "long-lived-graceful-restart",
      families: [{ afi: 1, safi: 1, forwarding: false, staleTimeS: 7200 }],
    });
  });
  test("without capability 64 it is ignored", () => {
    const { rig, peer, knows } = cast(capabilities().slice(1));
    peer.drop();
    assert.equal(knows.routes.size, 0);
    assert.equal(family(rig).longLivedTime, undefined);
  });
});

describe("RFC 9494 4.2, helper", () => {
  test("after the restart time routes are long-lived: LLGR_STALE on them, NO_LLGR ones go, for the smaller of both times", () => {
    const { rig, peer, knows } = cast();
    peer.drop();
    rig.advance(59_000);
    assert.deepEqual(knows.trail, []);
    rig.advance(2_000);
    assert.deepEqual([...knows.routes.keys()], [prefix]);
    assert.deepEqual(knows.route(prefix).communities, stale);
    assert.deepEqual([family(rig).stalePhase, family(rig).stale], ["long-lived", 1n]);
    rig.advance(597_000);
    assert.equal(knows.has(prefix), true);
    rig.advance(5_000);
    assert.equal(knows.has(prefix), false);
  });
  test("the neighbor's time is the smaller one", () => {
    const { rig, peer, knows } = cast(capabilities({ staleTimeS: 30 }));
    peer.drop();
    rig.advance(89_000);
    assert.equal(knows.has(prefix), true);
    rig.advance(2_000);
    assert.equal(knows.has(prefix), false);
  });
  test("a restart time of 0 begins with long-lived at once", () => {
    const { rig, peer, knows } = cast(capabilities({ restartTimeS: 0 }));
    peer.drop();
    assert.equal(family(rig).stalePhase, "long-lived");
    assert.equal(knows.route(prefix).communities, stale);
  });
  test("not when it is not set here", () => {
    const { rig, peer, knows } = cast(capabilities(), { longLivedStaleMax: seconds(0) });
    peer.drop();
    rig.advance(61_000);
    assert.equal(knows.routes.size, 0);
  });
  test("back before the end: what is announced again loses the mark, the rest goes at End-of-RIB", () => {
    const { rig, peer, knows } = cast();
    peer.announce("100.64.0.0/16");
    peer.drop();
    rig.advance(70_000);
    peer.reconnect({});
    assert.equal(knows.route(prefix).communities, stale);
    peer.announce(prefix);
    rig.run();
    assert.equal(knows.route(prefix).communities, undefined);
    assert.equal(knows.route("100.64.0.0/16").communities, stale);
    peer.endOfRib();
    rig.run();
    assert.deepEqual([...knows.routes.keys()], [prefix]);
  });
  test("back, and the F bit of the long-lived capability is clear: all goes", () => {
    const { rig, peer, knows } = cast();
    peer.drop();
    rig.advance(70_000);
    const [restart] = capabilities();
    const [, long] = capabilities({ forwarding: false });
    peer.reconnect({ capabilities: [restart, long] });
    assert.equal(knows.routes.size, 0);
  });
  test("back, and no End-of-RIB comes: the long-lived time goes on", () => {
    const { rig, peer, knows } = cast();
    peer.drop();
    rig.advance(61_000);
    peer.reconnect({});
    rig.advance(590_000);
    assert.equal(knows.has(prefix), true);
    rig.advance(20_000);
    assert.equal(knows.has(prefix), false);
  });
  test("import policy that changes meanwhile keeps the mark", () => {
    const { rig, peer, knows } = cast();
    peer.drop();
    rig.advance(61_000);
    rig.policy({ name: "med", statements: [{ set: { localPref: 250 } }], defaultAction: 1 });
    rig.neighbor({ address, remoteAsn: 65002, longLivedStaleMax: seconds(600), import: ["med"] });
    rig.run();
    assert.equal(knows.route(prefix).communities, stale);
  });
});

describe("RFC 9494 4.6, partial deployment", () => {
  test("long_lived_partial: inside the AS a last resort, with NO_EXPORT and local preference 0; elsewhere as ever", () => {
    const { rig, peer, plain } = cast();
    const inside = rig.peer("10.0.0.5", { remoteAsn: 65001, longLivedPartial: true });
    const other = rig.peer("10.0.0.6", { remoteAsn: 65001 });
    assert.equal(inside.route(prefix).communities, undefined);
    peer.drop();
    rig.advance(61_000);
    assert.deepEqual(
      [inside.route(prefix).communities, inside.route(prefix).localPref],
      [`${stale} 65535:65281`, 0],
    );
    assert.ok(!other.has(prefix) && !plain.has(prefix));
  });
  test("a neighbor that knows LLGR_STALE gets it as it is", () => {
    const { rig, peer } = cast();
    const init = { remoteAsn: 65001, longLivedPartial: true, longLivedStaleMax: seconds(600) };
    const inside = rig.peer("10.0.0.5", init, { capabilities: capabilities() });
    peer.drop();
    rig.advance(61_000);
    assert.deepEqual([inside.route(prefix).communities, inside.route(prefix).localPref], [stale, 100]);
  });
  test("turned on and off while it lasts", () => {
    const { rig, peer } = cast();
    const inside = rig.peer("10.0.0.5", { remoteAsn: 65001 });
    peer.drop();
    rig.advance(61_000);
    assert.equal(inside.has(prefix), false);
    rig.neighbor({ address: "10.0.0.5", remoteAsn: 65001, longLivedPartial: true });
    assert.equal(inside.route(prefix).localPref, 0);
    rig.neighbor({ address: "10.0.0.5", remoteAsn: 65001 });
    assert.equal(inside.has(prefix), false);
    assert.ok(inside.up);
  });
  test("it is for neighbors inside: an external one is refused", () => {
    const rig = new CoreRig();
    assert.throws(
      () => rig.neighbor({ address: "192.0.2.9", remoteAsn: 65009, longLivedPartial: true }),
      /long_lived_partial is for iBGP only/,
    );
  });
});

describe("RFC 9494 4.3 and 4.6, what they are worth", () => {
  test("the least preferred of all: a longer path without the mark wins, also over a local preference", () => {
    const { rig, peer } = cast();
    const third = rig.peer("192.0.2.5", { remoteAsn: 65005 });
    third.announce(prefix, { path: "65005 65006 65007 65008" });
    assert.equal(rig.best(prefix), address);
    peer.drop();
    assert.equal(rig.best(prefix), address);
    rig.advance(61_000);
    assert.equal(rig.best(prefix), "192.0.2.5");
    third.withdraw(prefix);
    rig.run();
    assert.equal(rig.best(prefix), address);
  });
  test("a route that comes with LLGR_STALE is least preferred too", () => {
    const rig = new CoreRig();
    rig.peer(address).announce(prefix, { communities: stale });
    rig.peer("192.0.2.5", { remoteAsn: 65005 }).announce(prefix, { path: "65005 65006 65007" });
    rig.run();
    assert.equal(rig.best(prefix), "192.0.2.5");
  });
  test("it is not announced to who does not offer long-lived graceful restart", () => {
    const { rig, peer, knows, plain } = cast();
    peer.drop();
    rig.advance(61_000);
    assert.equal(knows.has(prefix), true);
    assert.equal(plain.routes.size, 0);
    peer.reconnect({});
    peer.announce(prefix);
    rig.run();
    assert.equal(plain.has(prefix), true);
  });
});
