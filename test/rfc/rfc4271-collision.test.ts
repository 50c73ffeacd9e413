/** RFC 4271 6.8 with two live connections, RFC 6286 2.3, and neighbors that restart. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { emptyUpdate, encodeNotification, keepaliveBytes, peerOpen, Rig } from "./rig.ts";

const lower = peerOpen({ routerId: 0x0a000000 });
const higher = peerOpen({ routerId: 0x0a000009 });

/** An outbound and an inbound connection, both waiting for an OPEN. */
function crossed(rig = new Rig().add()): { rig: Rig; out: number; into: number } {
  const out = rig.dialled();
  const into = rig.accept();
  rig.connect();
  assert.deepEqual([rig.types(out), rig.types(into)], [[1], [1]], "both sent their OPEN");
  return { rig, out, into };
}

describe("RFC 4271 6.8", () => {
  for (const first of ["out", "into"] as const) {
    test(`"the connection initiated by the BGP speaker with the higher-valued BGP Identifier is retained", OPEN read ${first} first`, () => {
      for (const [open, keep] of [
        [lower, "out"],
        [higher, "into"],
      ] as const) {
        const pair = crossed();
        const { rig } = pair;
        const second = first === "out" ? "into" : "out";
        rig.receive(pair[first], open);
        assert(!rig.isClosed(pair.out) && !rig.isClosed(pair.into), "nothing is decided on one OPEN");
        rig.receive(pair[second], open);
        const gone = keep === "out" ? "into" : "out";
        assert.equal(rig.notification(pair[gone]), "6/7");
        assert(rig.isClosed(pair[gone]));
        assert.equal(rig.notification(pair[keep]), undefined);
        rig.receive(pair[keep], keepaliveBytes);
        assert.equal(rig.state(), "Established");
        assert.deepEqual(rig.calls, ["established"]);
      }
    });
  }
  test('"Closing the BGP connection (that results from the collision resolution procedure) is accomplished by sending the NOTIFICATION message with the Error Code Cease"', () => {
    const { rig, out, into } = crossed();
    rig.receive(out, lower).receive(into, lower);
    assert.equal(rig.notification(into), "6/7");
  });
  test("identifiers are compared as 4-octet unsigned integers", () => {
    const { rig, out, into } = crossed();
    const open = peerOpen({ routerId: 0xf0000000 });
    rig.receive(out, open).receive(into, open);
    assert(rig.isClosed(out) && !rig.isClosed(into));
  });
  test("RFC 6286 2.3: with equal identifiers the connection of the larger AS stays", () => {
    const same = peerOpen({ routerId: 0x0a000001 });
    const { rig, out, into } = crossed();
    rig.receive(out, same).receive(into, same);
    assert(rig.isClosed(out) && !rig.isClosed(into), "65002 is larger than 65001");
  });
  test("a candidate that only listens to itself never ends the other", () => {
    const { rig, out, into } = crossed();
    rig.receive(into, peerOpen({ asn: 64999 }));
    assert.equal(rig.notification(into), "2/2");
    rig.receive(out, lower, keepaliveBytes);
    assert.equal(rig.state(), "Established");
  });
  test("the loser's resolution is no failure: no idle hold, no reset in the list", () => {
    const { rig, out, into } = crossed();
    rig.receive(out, higher).receive(into, higher, keepaliveBytes);
    assert.equal(rig.state(), "Established");
    assert.equal(rig.view().resets.length, 0);
    rig.advance(1000);
    assert.equal(rig.dials(), 1);
  });
  test("one Established, the other crossed it and would lose: closed at its OPEN", () => {
    const { rig, out, into } = crossed();
    rig.receive(out, lower, keepaliveBytes);
    rig.receive(into, lower);
    assert.equal(rig.notification(into), "6/7");
    assert.deepEqual(rig.calls, ["established"]);
  });
  test("one Established, the other crossed it and would win: it must have its KEEPALIVE first", () => {
    const { rig, out, into } = crossed();
    rig.receive(out, higher, keepaliveBytes);
    rig.receive(into, higher);
    assert(!rig.isClosed(out), "a neighbor that prefers Established would close the other one now");
    rig.receive(into, keepaliveBytes);
    assert.equal(rig.notification(out), "6/7");
    assert.deepEqual(rig.calls, ["established", "down", "established"]);
  });
  test("an inbound session that is up ends the attempt under way", () => {
    const rig = new Rig().add();
    const out = rig.dialled();
    rig.receive(rig.accept(), peerOpen(), keepaliveBytes);
    assert.equal(rig.state(), "Established");
    assert(rig.isClosed(out));
    rig.advance(60_000);
    assert.equal(rig.dials(), 1);
  });
  test("the candidate goes on when our own connection dies", () => {
    const { rig, out, into } = crossed();
    rig.receive(into, higher).close(out, "ECONNRESET").receive(into, keepaliveBytes);
    assert.equal(rig.state(), "Established");
  });
});

describe("a neighbor that restarts (RFC 4724 5 in spirit)", () => {
  test("replaces its old session at once, whatever the identifiers say", () => {
    for (const open of [lower, higher]) {
      const rig = new Rig().add();
      const old = rig.establish(open);
      const fresh = rig.accept();
      rig.receive(fresh, open);
      assert.equal(rig.state(), "Established", "the old session stays until the new one is complete");
      rig.receive(fresh, keepaliveBytes);
      assert.equal(rig.notification(old), "6/7");
      assert(rig.isClosed(old));
      assert.deepEqual(rig.calls, ["established", "down", "established"]);
      assert.equal(rig.view().establishedCount, 2);
    }
  });
  test("again and again, on either side's connection", () => {
    const rig = new Rig().add();
    rig.establish();
    for (let i = 0; i < 5; i++) rig.receive(rig.accept(), peerOpen(), keepaliveBytes);
    assert.equal(rig.view().establishedCount, 6);
    assert.equal(rig.state(), "Established");
  });
  test("counters stay with the neighbor", () => {
    const rig = new Rig().add();
    rig.receive(rig.establish(), emptyUpdate, emptyUpdate);
    rig.receive(rig.accept(), peerOpen(), keepaliveBytes, emptyUpdate);
    const { received, establishedCount } = rig.view();
    assert.deepEqual([received!.updates, received!.opens, establishedCount], [3n, 2n, 2]);
  });
  test("a stray connection does not end a healthy session", () => {
    const rig = new Rig().add();
    const up = rig.establish();
    const silent = rig.accept();
    const wrong = rig.accept();
    rig.receive(wrong, peerOpen({ asn: 64999 }));
    const refusing = rig.accept();
    rig.receive(refusing, peerOpen(), encodeNotification(6, 7));
    for (let i = 0; i < 10; i++) rig.advance(30_000).receive(up, keepaliveBytes);
    assert.equal(rig.notification(silent), "4/0", "the silent one runs into the large hold timer");
    assert.equal(rig.state(), "Established");
    assert.deepEqual(rig.calls, ["established"]);
  });
});

describe("defects known from elsewhere", () => {
  test("a second inbound connection does not displace the first unread", () => {
    const rig = new Rig().add();
    const first = rig.accept();
    const second = rig.accept();
    rig.receive(first, lower);
    rig.receive(second, lower);
    assert.equal(rig.notification(first), "6/7", "the neighbor opened the newer one later");
    rig.receive(second, keepaliveBytes);
    assert.equal(rig.state(), "Established");
  });
  test("both ends in one rig agree when everything crosses", () => {
    for (const open of [lower, higher]) {
      const { rig, out, into } = crossed();
      rig.sessions.bytes(out, open, rig.nowMs);
      rig.sessions.bytes(into, open, rig.nowMs);
      rig.sessions.bytes(out, keepaliveBytes, rig.nowMs);
      rig.sessions.bytes(into, keepaliveBytes, rig.nowMs);
      rig.receive(out);
      assert.equal(rig.state(), "Established");
      assert.notEqual(rig.isClosed(out), rig.isClosed(into), "exactly one is left");
    }
  });
});
