/** RFC 8538: NOTIFICATIONs that leave routes in place, and the hard reset that does not. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { GracefulRestart } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import type { Capability } from "../../src/wire/capabilities.ts";
import { CoreRig, type Peer } from "./core-rig.ts";

const address = "192.0.2.2";
const prefix = "203.0.113.0/24";

function pair(notification = true, init = {}): { rig: CoreRig; peer: Peer; third: Peer } {
  const capability: Capability = {
    kind: "graceful-restart",
    restarting: false,
    notification,
    restartTimeS: 60,
    families: [{ afi: 1, safi: 1, forwarding: true }],
  };
  const rig = new CoreRig();
  const third = rig.peer("192.0.2.3", { remoteAsn: 65003 });
  const peer = rig.peer(address, init, { capabilities: [capability] });
  peer.announce(prefix);
  rig.run();
  return { rig, peer, third };
}

describe("RFC 8538 4, received", () => {
  test("with the N bit on both sides a NOTIFICATION leaves routes in place", () => {
    for (const [code, subcode] of [
      [4, 0],
      [6, 4],
      [6, 2],
      [3, 1],
    ]) {
      const { rig, peer, third } = pair();
      peer.notify(code, subcode);
      assert.equal(third.has(prefix), true, `${code}/${subcode}`);
      assert.equal(rig.view.neighbor(address)!.state!.restart!.notification, true);
    }
  });
  test("without it, on either side, routes go", () => {
    for (const { peer, third } of [pair(false), pair(true, { notificationRestart: false })]) {
      peer.notify(4, 0);
      assert.equal(third.has(prefix), false);
    }
  });
  test("a hard reset always ends it; what stands inside is shown", () => {
    const { rig, peer, third } = pair();
    peer.notify(6, 9, Uint8Array.of(6, 2, 2, 104, 105));
    assert.equal(third.has(prefix), false);
    const [reset] = rig.view.neighbor(address)!.state!.resets;
    assert.deepEqual([reset.code, reset.subcode, reset.shutdownMessage], [6, 2, "hi"]);
    assert.match(reset.text, /Administrative Shutdown "hi" as Hard Reset/);
  });
  test("a hard reset without content is one too", () => {
    const { peer, third } = pair();
    peer.notify(6, 9);
    assert.equal(third.has(prefix), false);
  });
});

describe("RFC 8538 3 and 4, sent", () => {
  test("an error of the neighbor: the NOTIFICATION goes out as ever, and its routes stay", () => {
    const { peer, third } = pair();
    peer.send(new Uint8Array(19).fill(0));
    assert.equal(peer.notification.split(" ")[0], "1/1");
    assert.equal(third.has(prefix), true);
  });
  test("the hold timer runs out: routes stay", () => {
    const { rig, peer, third } = pair();
    peer.mute = true;
    rig.advance(91_000);
    assert.equal(peer.notification, "4/0");
    assert.equal(third.has(prefix), true);
    rig.advance(61_000);
    assert.equal(third.has(prefix), false);
  });
  for (const [what, inner, act] of [
    ["shutdown", "0602", (rig: CoreRig) => rig.neighbor({ address, remoteAsn: 65002, shutdown: true })],
    ["hard reset", "0604", (rig: CoreRig) => rig.operate({ op: "hard-reset", address, message: "" })],
    ["removal", "0603", (rig: CoreRig) => rig.mutate({ op: "delete", kind: "Neighbor", name: address })],
    [
      "the end of the daemon",
      "0602",
      (rig: CoreRig) => rig.operate({ op: "shutdown", message: "", hard: false, graceful: false }),
    ],
  ] as const) {
    test(`${what}: a hard reset with the code inside, and the neighbor's routes go`, () => {
      const { rig, peer, third } = pair();
      act(rig);
      assert.equal(peer.notification, `6/9 ${inner}`);
      if (third.up) assert.equal(third.has(prefix), false);
    });
  }
  test("a prefix limit too", () => {
    const limit = { family: "ipv4-unicast", max: 1 };
    const { rig, peer, third } = pair(true, { prefixLimits: [limit] });
    peer.announce("198.51.100.0/24");
    rig.run();
    assert.match(peer.notification, /^6\/9 0601/);
    assert.equal(third.has(prefix), false);
  });
  test("without the N bit of the neighbor the code goes out as it is", () => {
    const { rig, peer } = pair(false);
    rig.operate({ op: "hard-reset", address, message: "" });
    assert.equal(peer.notification, "6/4");
  });
  test("a planned restart: Cease that is no hard reset, with the text", () => {
    const { rig, peer } = pair(true, { gracefulRestart: GracefulRestart.FULL });
    rig.operate({ op: "shutdown", message: "hi", hard: false, graceful: true });
    assert.equal(peer.notification, "6/4 026869");
  });
  test("a change of settings that needs a new session is no hard reset", () => {
    const { rig, peer, third } = pair();
    rig.neighbor({ address, remoteAsn: 65002, extendedMessages: false });
    assert.equal(peer.notification, "6/6");
    assert.equal(third.has(prefix), true);
  });
});
