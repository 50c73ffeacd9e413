/** RFC 4486 (subcodes of Cease), RFC 9003 (shutdown text), RFC 9687 (send hold) and RFC 2918 (route refresh). */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ipv4Unicast, ipv6Unicast } from "../../src/wire/family.ts";
import { decodeNotification, encodeShutdownMessage } from "../../src/wire/notification.ts";
import { config, emptyUpdate, encodeNotification, keepaliveBytes, message, peerOpen, Rig } from "./rig.ts";

function established(change = {}): { rig: Rig; conn: number } {
  const rig = new Rig().add(change);
  return { rig, conn: rig.establish() };
}

const limitTo = (action: "warn" | "stop" | "restart") =>
  ({ max: 1000, action, restartAfterMs: 60_000, warningPercent: 75 }) as const;

/** RFC 9003 text of the NOTIFICATION that we sent last. */
function textSent(rig: Rig, conn: number): string {
  const { bytes } = rig.sent(conn).findLast((each) => each.type === 3)!;
  return decodeNotification(bytes, 0, bytes.length).shutdownMessage;
}

describe("RFC 4486", () => {
  test("1, Maximum Number of Prefixes Reached: AFI, SAFI and the limit; down until cleared", () => {
    const { rig, conn } = established({ prefixLimits: [limitTo("stop")] });
    rig.sessions.prefixLimitReached(1, ipv4Unicast, limitTo("stop"), rig.nowMs);
    assert.equal(rig.notification(conn), "6/1 000101000003e8");
    assert.equal(rig.view().status, "held down by the ipv4-unicast prefix limit until enabled");
    rig.advance(86_400_000);
    assert.deepEqual([rig.state(), rig.dials()], ["Idle", 1]);
    assert.equal(rig.notification(rig.accept()), "6/5");
    rig.sessions.clearHold(1, rig.nowMs);
    assert.deepEqual([rig.state(), rig.dials()], ["Connect", 2]);
  });
  test("1 with restart: starts again after the time given", () => {
    const { rig } = established();
    rig.sessions.prefixLimitReached(1, ipv4Unicast, limitTo("restart"), rig.nowMs);
    rig.advance(59_000);
    assert.deepEqual(
      [rig.state(), rig.view().status],
      ["Idle", "held down by the ipv4-unicast prefix limit for another 1 s"],
    );
    rig.advance(1000);
    assert.equal(rig.state(), "Connect");
  });
  test("1 with warn: nothing happens to the session", () => {
    const { rig } = established();
    rig.sessions.prefixLimitReached(1, ipv4Unicast, limitTo("warn"), rig.nowMs);
    assert.equal(rig.state(), "Established");
  });
  test("1 from within an UPDATE: the session ends after the core has returned, and no further UPDATE is read", () => {
    const { rig, conn } = established();
    rig.updateResult = () => {
      rig.sessions.prefixLimitReached(1, ipv4Unicast, limitTo("stop"), rig.nowMs);
      assert.deepEqual(rig.calls, ["established", "update 23"], "down is not called beneath the core");
      return undefined;
    };
    rig.receive(conn, emptyUpdate, emptyUpdate);
    assert.deepEqual(rig.calls, ["established", "update 23", "down"]);
    assert.match(rig.notification(conn)!, /^6\/1 /);
  });
  test("2, Administrative Shutdown when shutdown is set; stays down", () => {
    const { rig, conn } = established();
    rig.sessions.update(1, config({ shutdown: true, shutdownMessage: "maintenance" }), rig.nowMs, true);
    assert.match(rig.notification(conn)!, /^6\/2 /);
    rig.advance(3_600_000);
    assert.deepEqual([rig.state(), rig.view().status], ["Idle", "administratively down: maintenance"]);
    rig.sessions.update(1, config(), rig.nowMs, true);
    assert.equal(rig.state(), "Connect");
  });
  test("3, Peer De-configured on removal", () => {
    const { rig, conn } = established();
    rig.sessions.remove(1, rig.nowMs);
    assert.equal(rig.notification(conn), "6/3");
    rig.add();
    assert.equal(rig.state(), "Connect", "the id and the address are free again");
  });
  test("4, Administrative Reset; starts again by itself", () => {
    const { rig, conn } = established();
    rig.sessions.hardReset(1, "new line card", rig.nowMs);
    assert.equal(textSent(rig, conn), "new line card");
    assert.match(rig.notification(conn)!, /^6\/4 /);
    assert.equal(rig.state(), "Connect");
  });
  test("6, Other Configuration Change; starts again with the new settings", () => {
    const { rig, conn } = established();
    rig.sessions.update(1, config({ remoteAsn: 65003 }), rig.nowMs, true);
    assert.equal(rig.notification(conn), "6/6");
    rig.establish(peerOpen({ asn: 65003 }));
  });
  test("a change that needs no reset leaves the session alone", () => {
    const { rig, conn } = established();
    rig.sessions.update(1, config({ holdTimeS: 30, description: "x", passive: true }), rig.nowMs, false);
    assert.deepEqual([rig.state(), rig.notification(conn)], ["Established", undefined]);
  });
});

describe("RFC 9003", () => {
  test("the text goes out as length and UTF-8", () => {
    const { rig, conn } = established();
    rig.sessions.shutdownAll("réseau", false, false, rig.nowMs);
    assert.equal(rig.notification(conn), `6/2 07${Buffer.from("réseau").toString("hex")}`);
    assert.equal(textSent(rig, conn), "réseau");
  });
  test("no text, no data", () => {
    const { rig, conn } = established();
    rig.sessions.shutdownAll("", false, false, rig.nowMs);
    assert.equal(rig.notification(conn), "6/2");
  });
  test("a received text is shown with the reason, in the event and in the list", () => {
    const { rig, conn } = established();
    rig.receive(conn, encodeNotification(6, 2, encodeShutdownMessage("maintenance until 5")));
    const [reset] = rig.view().resets;
    assert.equal(reset.text, 'received Cease/Administrative Shutdown "maintenance until 5"');
    assert.deepEqual(
      [reset.local, reset.code, reset.subcode, reset.shutdownMessage],
      [false, 6, 2, "maintenance until 5"],
    );
    const event = rig.events.find((each) => each.topic === "cairn.bgp.notification.received");
    assert.equal(event?.facts.shutdown_message, "maintenance until 5");
  });
  test("after the end of the daemon nobody is dialled or let in", () => {
    const { rig } = established();
    rig.sessions.shutdownAll("bye", true, false, rig.nowMs);
    rig.advance(3_600_000);
    assert.equal(rig.dials(), 1);
    assert.equal(rig.notification(rig.accept()), "6/5");
    assert(
      rig.log.some((effect) => effect.kind === "tcp.close" && effect.abort),
      "hard does not wait",
    );
  });
});

describe("RFC 9687", () => {
  /** Keeps the neighbor talking while nothing that we send is taken. */
  function stall(rig: Rig, conn: number, seconds: number): void {
    for (let i = 0; i < seconds; i += 10) rig.advance(10_000).receive(conn, keepaliveBytes);
  }
  test('"If the SendHoldTimer_Expires ... sends a NOTIFICATION message with the BGP Error Code Send Hold Timer Expired"', () => {
    const { rig, conn } = established({ sendHoldMs: 480_000 });
    rig.sessions.sent(conn, 0, rig.nowMs);
    rig.sessions.send(1, emptyUpdate, rig.nowMs);
    stall(rig, conn, 470);
    assert.equal(rig.state(), "Established");
    stall(rig, conn, 20);
    assert.equal(rig.notification(conn), "8/0");
    const close = rig.log.find((effect) => effect.kind === "tcp.close");
    assert(close?.kind === "tcp.close" && close.abort, "nothing more will leave");
  });
  test("progress, however slow, restarts it", () => {
    const { rig, conn } = established({ sendHoldMs: 480_000 });
    rig.sessions.send(1, new Uint8Array(1000), rig.nowMs);
    for (let left = 900; left > 500; left -= 100) {
      stall(rig, conn, 400);
      rig.sessions.sent(conn, left, rig.nowMs);
    }
    assert.equal(rig.state(), "Established");
  });
  test("an idle session never expires, and 0 turns it off", () => {
    const idle = established({ sendHoldMs: 480_000 });
    idle.rig.sessions.sent(idle.conn, 0, idle.rig.nowMs);
    for (let i = 0; i < 400; i++) {
      idle.rig.advance(10_000).receive(idle.conn, keepaliveBytes);
      idle.rig.sessions.sent(idle.conn, 0, idle.rig.nowMs);
    }
    assert.equal(idle.rig.state(), "Established");
    const off = established({ sendHoldMs: 0 });
    off.rig.sessions.send(1, emptyUpdate, off.rig.nowMs);
    stall(off.rig, off.conn, 4000);
    assert.equal(off.rig.state(), "Established");
  });
});

describe("RFC 2918", () => {
  const request = (afi: number, subtype = 0): Uint8Array => message(5, Uint8Array.of(0, afi, subtype, 1));
  test("a request for an agreed family reaches the core; others are ignored", () => {
    const { rig, conn } = established();
    rig.receive(conn, request(1), request(2), request(1, 99));
    assert.deepEqual(rig.calls, ["established", "refresh ipv4-unicast"]);
    assert.equal(rig.view().received!.refreshes, 3n);
  });
  test("we send it only for agreed families, and only to who offered it", () => {
    const { rig, conn } = established();
    assert.equal(rig.sessions.refresh(1, ipv4Unicast, rig.nowMs), true);
    assert.equal(rig.sessions.refresh(1, ipv6Unicast, rig.nowMs), false);
    assert.deepEqual([...rig.sent(conn).at(-1)!.bytes.subarray(16)], [0, 23, 5, 0, 1, 0, 1]);
    const plain = new Rig().add();
    plain.establish(peerOpen({ capabilities: [{ kind: "four-octet-as", asn: 65002 }] }));
    assert.equal(plain.sessions.refresh(1, ipv4Unicast, plain.nowMs), false);
  });
});
