/** Families added to and taken from a neighbor whose session is up, alone and with graceful restart (RFC 4760, 4724, 8538). */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Capability } from "../../src/wire/capabilities.ts";
import { CoreRig, type Peer } from "./core-rig.ts";

const address = "192.0.2.2";
const v4 = "203.0.113.0/24";
const v6 = "2001:db8:113::/48";
const both = ["ipv4-unicast", "ipv6-unicast"];

const restart: Capability = {
  ...{ kind: "graceful-restart", restarting: false, notification: true, restartTimeS: 60 },
  families: [
    { afi: 1, safi: 1, forwarding: true },
    { afi: 2, safi: 1, forwarding: true },
  ],
};

/** A neighbor with these families of two that it offers itself, and one that hears of all. */
function pair(families: readonly string[], kept: boolean): { rig: CoreRig; peer: Peer; third: Peer } {
  const rig = new CoreRig();
  const third = rig.peer("192.0.2.3", { remoteAsn: 65003, families: both });
  const init = { families: [...families], idleHoldTime: durationFromMs(0) };
  const peer = rig.peer(address, init, { afis: [1, 2], capabilities: kept ? [restart] : [] });
  announce(rig, peer, families);
  return { rig, peer, third };
}

function announce(rig: CoreRig, peer: Peer, families: readonly string[]): void {
  if (families.includes("ipv4-unicast")) peer.announce(v4);
  if (families.includes("ipv6-unicast")) peer.announce6(v6, { nextHop: "2001:db8::2" });
  peer.endOfRib();
  peer.withdraw6([]);
  rig.run();
}

function change(rig: CoreRig, families: readonly string[]): void {
  rig.neighbor({ address, remoteAsn: 65002, families: [...families], idleHoldTime: durationFromMs(0) });
}

const shown = (rig: CoreRig): string[] =>
  rig.view.neighbor(address)!.state!.families.map((each) => `${each.family} ${each.received}`);

for (const kept of [false, true]) {
  describe(kept ? "with graceful restart and the N bit" : "without graceful restart", () => {
    test("a family is added: the session is reset with Cease / Other Configuration Change and comes back with both", () => {
      const { rig, peer, third } = pair(["ipv4-unicast"], kept);
      third.forget();
      change(rig, both);
      assert.match(peer.notification, /^6\/6/);
      assert.equal(
        third.has(v4),
        kept,
        "routes of the family that stays outlive the reset only when both sides keep them",
      );
      peer.notification = "";
      rig.advance(7_000);
      peer.connect();
      announce(rig, peer, both);
      assert.deepEqual(shown(rig), ["ipv4-unicast 1", "ipv6-unicast 1"]);
      assert.equal(third.has(v4) && third.has(v6), true);
      if (kept) assert.deepEqual(third.trail, [`+${v6}`], "nobody hears of the family that stayed");
    });
    test("a family is taken away: its routes go at once, those of the other one as agreed", () => {
      const { rig, peer, third } = pair(both, kept);
      third.forget();
      change(rig, ["ipv4-unicast"]);
      assert.match(peer.notification, /^6\/6/);
      assert.equal(third.has(v6), false);
      assert.equal(third.has(v4), kept);
      peer.notification = "";
      rig.advance(7_000);
      peer.connect();
      announce(rig, peer, ["ipv4-unicast"]);
      assert.deepEqual(shown(rig), ["ipv4-unicast 1"]);
      if (kept) assert.deepEqual(third.trail, [`-${v6}`]);
      assert.equal(third.has(v6), false);
      assert.equal(rig.routes({ table: "best", paths: "best" }, rig.core.routing.tables[1].family).length, 0);
    });
    test("taken away and given back: as before, and nothing is left over", () => {
      const { rig, peer, third } = pair(both, kept);
      change(rig, ["ipv4-unicast"]);
      change(rig, both);
      peer.notification = "";
      rig.advance(7_000);
      peer.connect();
      announce(rig, peer, both);
      assert.deepEqual(shown(rig), ["ipv4-unicast 1", "ipv6-unicast 1"]);
      assert.equal(third.has(v4) && third.has(v6), true);
      rig.advance(400_000);
      assert.equal(third.has(v4) && third.has(v6), true);
      assert.deepEqual(
        rig.view.neighbor(address)!.state!.families.map(({ stale }) => stale),
        [0n, 0n],
      );
    });
  });
}
