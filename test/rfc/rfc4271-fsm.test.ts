/** RFC 4271 8.2.2, 4.4, 6.4 to 6.7 and 10, driven from outside: bytes, connections and virtual time. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { emptyUpdate, encodeNotification, keepaliveBytes, message, peerOpen, Rig } from "./rig.ts";

const refresh = message(5, Uint8Array.of(0, 1, 0, 1));

/** A rig in OpenSent, OpenConfirm or Established, and its connection. */
function reach(
  state: "OpenSent" | "OpenConfirm" | "Established",
  rig = new Rig().add(),
): { rig: Rig; conn: number } {
  const conn = rig.connect();
  if (state !== "OpenSent") rig.receive(conn, peerOpen());
  if (state === "Established") rig.receive(conn, keepaliveBytes);
  assert.equal(rig.state(), state);
  return { rig, conn };
}

describe("Idle", () => {
  test('"initiates a TCP connection to the other BGP peer ... changes its state to Connect"', () => {
    const rig = new Rig().add();
    assert.deepEqual(
      rig.drain().map((effect) => effect.kind),
      ["tcp.connect"],
    );
    assert.equal(rig.state(), "Connect");
  });
  test("passive: listens, changes to Active, and never connects", () => {
    const rig = new Rig().add({ passive: true }).advance(3_600_000);
    assert.deepEqual([rig.state(), rig.dials()], ["Active", 0]);
    assert.equal(rig.view().status, "waiting for the neighbor to connect");
  });
  test("a neighbor that is shut down refuses with Cease / Connection Rejected (RFC 4486)", () => {
    const rig = new Rig().add({ shutdown: true });
    const conn = rig.accept();
    assert.equal(rig.notification(conn), "6/5");
    assert(rig.isClosed(conn));
    assert.deepEqual(
      [rig.state(), rig.view().status, rig.view().adminDown],
      ["Idle", "administratively down", true],
    );
  });
  test("DampPeerOscillations: the wait before the next start doubles with each failure", () => {
    const rig = new Rig().add();
    let before = 0;
    for (const [low, high] of [
      [750, 1000],
      [1500, 2000],
      [3000, 4000],
      [6000, 8000],
    ]) {
      rig.close(rig.establish());
      assert.equal(rig.state(), "Idle");
      before = rig.nowMs;
      rig.advance(Math.max(0, rig.sessions.nextTimerMs() - rig.nowMs));
      const waited = rig.nowMs - before;
      assert(waited >= low && waited <= high, `${waited} ms`);
    }
  });
  test("an inbound connection during the idle hold waits for its end instead of being lost", () => {
    const rig = new Rig().add();
    rig.close(rig.establish());
    const conn = rig.accept();
    rig.receive(conn, peerOpen(), keepaliveBytes);
    assert.deepEqual([rig.state(), rig.types(conn)], ["Idle", []]);
    rig.advance(1000).receive(conn);
    assert.equal(rig.state(), "Established");
    assert.equal(rig.dials(), 1, "no second connection is made for it to collide with");
  });
});

describe("Connect and Active", () => {
  test('"sends an OPEN message to its peer, sets the HoldTimer to a large value, and changes its state to OpenSent"', () => {
    const { rig, conn } = reach("OpenSent");
    assert.deepEqual(rig.types(conn), [1]);
    rig.advance(239_999);
    assert.equal(rig.state(), "OpenSent");
    rig.advance(1);
    assert.equal(rig.notification(conn), "4/0");
  });
  test("a failed attempt goes on listening", () => {
    const rig = new Rig().add();
    rig.close(rig.dialled(), "ECONNREFUSED");
    assert.equal(rig.state(), "Active");
    assert.match(rig.view().status, /^waiting [45] s before the next attempt \(last: connection refused/);
    rig.receive(rig.accept(), peerOpen(), keepaliveBytes);
    assert.equal(rig.state(), "Established");
  });
  test('8.2.1.1 "ConnectRetryTimer": attempts come at intervals that double, with jitter, to 16 times the base', () => {
    const rig = new Rig().add();
    const times: number[] = [];
    for (let i = 0; i < 8; i++) {
      rig.close(rig.dialled(), "ECONNREFUSED");
      const from = rig.nowMs;
      rig.advance(rig.sessions.nextTimerMs() - rig.nowMs);
      times.push((rig.nowMs - from) / 1000);
    }
    const bases = [5, 10, 20, 40, 80, 80, 80, 80];
    for (const [i, base] of bases.entries())
      assert(times[i] >= base * 0.75 && times[i] <= base, `${i}: ${times[i]}`);
    assert(new Set(times.slice(4)).size > 1, "equal bases still differ");
  });
  test("an attempt that hangs is dropped and made again", () => {
    const rig = new Rig().add();
    const hung = rig.dialled();
    rig.advance(5000);
    assert(rig.isClosed(hung));
    assert.equal(rig.dials(), 2);
    rig.sessions.connected(hung, "192.0.2.1", 1, rig.nowMs);
    assert.equal(rig.state(), "Connect", "the old attempt is nobody's any more");
  });
  test("DelayOpen: OPEN goes out when the timer expires", () => {
    const rig = new Rig().add({ delayOpenMs: 3000 });
    const conn = rig.connect();
    rig.advance(2999);
    assert.deepEqual([rig.types(conn), rig.state()], [[], "Connect"]);
    rig.advance(1);
    assert.deepEqual([rig.types(conn), rig.state()], [[1], "OpenSent"]);
  });
  test("DelayOpen, event 20: their OPEN stops the timer; OPEN and KEEPALIVE go out; OpenConfirm", () => {
    for (const inbound of [false, true]) {
      const rig = new Rig().add({ delayOpenMs: 3000, passive: inbound });
      const conn = inbound ? rig.accept() : rig.connect();
      rig.receive(conn, peerOpen());
      assert.deepEqual([rig.types(conn), rig.state()], [[1, 4], "OpenConfirm"]);
      rig.advance(10_000);
      assert.deepEqual(rig.types(conn), [1, 4], "no second OPEN");
    }
  });
  test("DelayOpen: an error in their OPEN is told (SendNOTIFICATIONwithoutOPEN)", () => {
    const rig = new Rig().add({ delayOpenMs: 3000 });
    const conn = rig.connect();
    rig.receive(conn, peerOpen({ asn: 1 }));
    assert.deepEqual([rig.notification(conn), rig.state()], ["2/2", "Idle"]);
  });
  test("DelayOpen: a connection that fails goes to Active", () => {
    const rig = new Rig().add({ delayOpenMs: 3000 });
    rig.close(rig.connect(), "ECONNRESET");
    assert.equal(rig.state(), "Active");
  });
});

describe("OpenSent", () => {
  test('"If a TcpConnectionFails event is received ... changes its state to Active"', () => {
    const { rig, conn } = reach("OpenSent");
    rig.close(conn, "ECONNRESET");
    assert.equal(rig.state(), "Active");
  });
  test('"sends a KEEPALIVE message, sets a KeepaliveTimer, sets the HoldTimer according to the negotiated value, changes its state to OpenConfirm"', () => {
    const { rig, conn } = reach("OpenConfirm");
    assert.deepEqual(rig.types(conn), [1, 4]);
    rig.advance(30_000);
    assert.deepEqual(rig.types(conn), [1, 4, 4]);
    rig.advance(60_000);
    assert.equal(rig.notification(conn), "4/0");
  });
  test("NOTIFICATION ends it without an answer", () => {
    const { rig, conn } = reach("OpenSent");
    rig.receive(conn, encodeNotification(2, 7));
    assert.deepEqual([rig.state(), rig.types(conn)], ["Idle", [1]]);
    assert.equal(rig.view().lastResetReason, "received OPEN Message Error/Unsupported Capability");
  });
});

describe("Established", () => {
  test('6.5 "If a system does not receive successive KEEPALIVE, UPDATE, and/or NOTIFICATION messages within the period specified in the Hold Time field ... the NOTIFICATION message with the Hold Timer Expired Error Code is sent and the BGP connection is closed"', () => {
    const { rig, conn } = reach("Established");
    rig.advance(89_999);
    assert.equal(rig.state(), "Established");
    rig.advance(1);
    assert.equal(rig.notification(conn), "4/0");
    assert(rig.isClosed(conn));
    assert.deepEqual(rig.calls, ["established", "down"]);
  });
  for (const [name, bytes] of [
    ["KEEPALIVE", keepaliveBytes],
    ["UPDATE", emptyUpdate],
  ] as const) {
    test(`"restarts its HoldTimer" on ${name}`, () => {
      const { rig, conn } = reach("Established");
      for (let i = 0; i < 10; i++) rig.advance(89_000).receive(conn, bytes);
      assert.equal(rig.state(), "Established");
    });
  }
  test("bytes that are no message do not restart it", () => {
    const { rig, conn } = reach("Established");
    rig.advance(80_000).receive(conn, keepaliveBytes.subarray(0, 10)).advance(10_000);
    assert.equal(rig.notification(conn), "4/0");
  });
  test("hold time 0: no KEEPALIVE is sent and nothing expires", () => {
    const rig = new Rig().add();
    const conn = rig.establish(peerOpen({ holdTimeS: 0 }));
    rig.advance(86_400_000);
    assert.deepEqual([rig.types(conn), rig.state()], [[1, 4], "Established"]);
  });
  test('4.4 "KEEPALIVE messages MUST NOT be sent more frequently than one per second"', () => {
    const rig = new Rig().add({ holdTimeS: 3 });
    const conn = rig.establish();
    rig.advance(2900);
    assert(rig.types(conn).length - 2 <= 2);
    assert.equal(rig.types(conn).length - 2, 2);
  });
  test("4.4: UPDATEs that we send stand for KEEPALIVEs", () => {
    const { rig, conn } = reach("Established");
    for (let i = 0; i < 20; i++) {
      rig.advance(10_000).receive(conn, keepaliveBytes);
      rig.sessions.send(1, emptyUpdate, rig.nowMs);
    }
    assert.equal(rig.types(conn).filter((type) => type === 4).length, 1);
    rig.advance(30_000);
    assert.equal(rig.types(conn).filter((type) => type === 4).length, 2);
  });
  test('10 "a random jitter ... multiplied by a random factor ... from 0.75 to 1.0": KEEPALIVEs', () => {
    const { rig, conn } = reach("Established");
    const gaps: number[] = [];
    for (let i = 0, last = rig.nowMs; i < 20; i++) {
      const count = rig.types(conn).length;
      while (rig.types(conn).length === count && rig.state() === "Established")
        rig.advance(100).receive(conn, emptyUpdate);
      gaps.push(rig.nowMs - last);
      last = rig.nowMs;
    }
    for (const gap of gaps) assert(gap >= 22_400 && gap <= 30_100, `${gap}`);
    assert(Math.max(...gaps) - Math.min(...gaps) > 1000, "they differ");
  });
  test('6.4: "the receiver of the message detects an error in that message, the receiver cannot use a NOTIFICATION message to report this error"', () => {
    const { rig, conn } = reach("Established");
    rig.receive(conn, encodeNotification(99, 99, Uint8Array.of(1, 2, 3)));
    assert.deepEqual([rig.state(), rig.types(conn)], ["Idle", [1, 4]]);
    assert(rig.isClosed(conn));
    assert.equal(rig.view().resets[0].text, "received error 99/99");
  });
  test("a lost connection takes the session down at once", () => {
    const { rig, conn } = reach("Established");
    rig.close(conn, "ECONNRESET");
    assert.deepEqual(rig.calls, ["established", "down"]);
    assert.equal(rig.resets[0].text, "connection reset by the neighbor (ECONNRESET)");
  });
  test("what arrived before the end is read before it", () => {
    const { rig, conn } = reach("Established");
    rig.sessions.bytes(conn, emptyUpdate, rig.nowMs);
    rig.sessions.bytes(conn, encodeNotification(6, 4), rig.nowMs);
    rig.close(conn);
    assert.deepEqual(rig.calls, ["established", "update 23", "down"]);
    assert.equal(rig.resets[0].text, "received Cease/Administrative Reset");
  });
  test("an error that the core finds in an UPDATE is sent as it says", () => {
    const { rig, conn } = reach("Established");
    rig.updateResult = () => ({ code: 3, subcode: 1, data: Uint8Array.of(7) });
    rig.receive(conn, emptyUpdate, emptyUpdate);
    assert.equal(rig.notification(conn), "3/1 07");
    assert.deepEqual(rig.calls, ["established", "update 23", "down"]);
  });
});

describe("6.6 and RFC 6608: unexpected messages", () => {
  const cases = [
    ["OpenSent", keepaliveBytes, "5/1 04"],
    ["OpenSent", emptyUpdate, "5/1 02"],
    ["OpenSent", refresh, "5/1 05"],
    ["OpenConfirm", peerOpen(), "5/2 01"],
    ["OpenConfirm", emptyUpdate, "5/2 02"],
    ["OpenConfirm", refresh, "5/2 05"],
    ["Established", peerOpen(), "5/3 01"],
  ] as const;
  for (const [state, bytes, want] of cases) {
    test(`message type ${bytes[18]} in ${state}: ${want}`, () => {
      const { rig, conn } = reach(state);
      rig.receive(conn, bytes);
      assert.deepEqual([rig.notification(conn), rig.state()], [want, "Idle"]);
      assert(rig.isClosed(conn));
    });
  }
  test("an OPEN in Established is unexpected even when it is malformed", () => {
    const { rig, conn } = reach("Established");
    rig.receive(conn, peerOpen({ asn: 1 }));
    assert.equal(rig.notification(conn), "5/3 01");
  });
});

describe("ManualStop and ManualStart", () => {
  for (const state of ["OpenSent", "OpenConfirm", "Established"] as const) {
    test(`8.2.2 ${state}: "sends the NOTIFICATION message with a Cease, ... drops the TCP connection, ... changes its state to Idle"`, () => {
      const { rig, conn } = reach(state);
      rig.sessions.remove(1, rig.nowMs);
      assert.equal(rig.notification(conn), "6/3");
      assert(rig.isClosed(conn));
      assert.equal(rig.sessions.nextTimerMs(), Number.POSITIVE_INFINITY);
    });
  }
  test("Connect: the attempt is given up in silence", () => {
    const rig = new Rig().add();
    rig.sessions.remove(1, rig.nowMs);
    assert(rig.isClosed(rig.dialled()));
    assert.deepEqual(rig.types(), []);
  });
});
