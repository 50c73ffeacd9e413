/** What the API says of a session: why the last ones ended, timers, capabilities of both sides. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SessionTimer } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import { encodeNotification, keepaliveBytes, peerOpen, Rig } from "./rig.ts";

describe("the last ten resets", () => {
  test("tell who, why, with what data, and how long the session had lived", () => {
    const rig = new Rig().add();
    const conn = rig.establish();
    rig.advance(12_000);
    rig.receive(conn, encodeNotification(3, 5, Uint8Array.of(0x40, 1, 1, 9)));
    const [reset] = rig.view().resets;
    assert.equal(reset.local, false);
    assert.deepEqual([reset.code, reset.subcode, reset.attempts], [3, 5, 0]);
    assert.deepEqual([...reset.data], [0x40, 1, 1, 9]);
    assert.equal(reset.uptime?.seconds, 12n);
    assert.equal(reset.transportError, "");
    assert.equal(Number(reset.time?.seconds) * 1000, rig.nowMs);
  });
  test("a transport error keeps its name", () => {
    const rig = new Rig().add();
    rig.close(rig.establish(), "ECONNRESET");
    const [reset] = rig.view().resets;
    assert.equal(reset.transportError, "ECONNRESET");
    assert.deepEqual([reset.code, reset.subcode, reset.data.length], [0, 0, 0]);
    const lost = rig.events.find(({ topic }) => topic === "cairn.bgp.session.lost");
    assert.equal(lost?.facts.transport_error, "ECONNRESET");
    assert.equal(lost?.facts.uptime_s, "0");
  });
  test("data is kept to a bound, whatever the neighbor sends", () => {
    const rig = new Rig().add();
    const conn = rig.establish();
    rig.receive(conn, encodeNotification(3, 1, new Uint8Array(4000).fill(7)));
    assert.equal(rig.view().resets[0].data.length, 256);
  });
  test("there are ten at most, the newest first", () => {
    const rig = new Rig().add();
    for (let n = 1; n <= 12; n++) {
      rig.receive(rig.establish(), encodeNotification(6, 4, Uint8Array.of(2, 0x41, 0x40 + n)));
      rig.advance(300_000);
    }
    const texts = rig.view().resets.map(({ shutdownMessage }) => shutdownMessage);
    assert.deepEqual(texts, ["AL", "AK", "AJ", "AI", "AH", "AG", "AF", "AE", "AD", "AC"]);
    assert.deepEqual(
      rig.view().ends.map(({ local, code, count }) => [local, code, count]),
      [[false, 6, 12n]],
    );
  });
  test("attempts that fail alike are one entry and wash nothing out", () => {
    const rig = new Rig().add();
    const conn = rig.establish();
    rig.advance(5000);
    rig.receive(conn, encodeNotification(4, 0));
    for (let n = 0; n < 15; n++) {
      rig.advance(300_000);
      rig.receive(rig.connect(), peerOpen({ asn: 65009 }));
    }
    const { resets } = rig.view();
    assert.equal(resets.length, 2);
    assert.deepEqual([resets[0].code, resets[0].subcode, resets[0].attempts], [2, 2, 15]);
    assert.equal(resets[0].uptime, undefined);
    assert.deepEqual([resets[1].code, resets[1].attempts, resets[1].uptime?.seconds], [4, 0, 5n]);
    rig.advance(300_000).establish();
    rig.close(rig.dialled());
    assert.deepEqual(
      rig.view().resets.map(({ attempts }) => attempts),
      [0, 15, 0],
    );
  });
});

describe("timers", () => {
  const timersOf = (rig: Rig): Map<string, SessionTimer> =>
    new Map(rig.view().timers.map((timer) => [timer.name, timer]));
  const seconds = (duration: { seconds: bigint } | undefined): number | undefined =>
    duration && Number(duration.seconds);

  test("before the neighbor's OPEN the large hold timer runs", () => {
    const rig = new Rig().add();
    rig.connect();
    rig.advance(10_000);
    const hold = timersOf(rig).get("hold")!;
    assert.deepEqual([hold.configured, hold.inForce, hold.left].map(seconds), [90, 240, 230]);
    assert.equal(timersOf(rig).get("keepalive")!.left, undefined);
  });
  test("established: what was agreed on is in force, and what arrives starts hold again", () => {
    const rig = new Rig().add();
    const conn = rig.establish(peerOpen({ holdTimeS: 30 }));
    rig.advance(4000);
    rig.receive(conn, keepaliveBytes);
    rig.advance(2000);
    const timers = timersOf(rig);
    const hold = timers.get("hold")!;
    assert.deepEqual([hold.configured, hold.inForce, hold.left].map(seconds), [90, 30, 28]);
    const keepalive = timers.get("keepalive")!;
    assert.deepEqual([keepalive.configured, keepalive.inForce].map(seconds), [undefined, 10]);
    assert.ok(seconds(keepalive.left)! < 10);
    assert.equal(timers.get("connect-retry")!.inForce, undefined);
    assert.equal(seconds(timers.get("stable")!.left), 54);
  });
  test("what waits for the kernel makes the send hold timer run", () => {
    const rig = new Rig().add({ sendHoldMs: 480_000 });
    const conn = rig.establish();
    rig.sessions.sent(conn, 0, rig.nowMs);
    rig.advance(3000);
    assert.equal(timersOf(rig).get("send-hold")!.left, undefined);
    rig.sessions.send(1, keepaliveBytes, rig.nowMs);
    rig.advance(2000);
    const { inForce, left } = timersOf(rig).get("send-hold")!;
    assert.deepEqual([inForce, left].map(seconds), [480, 478]);
  });
  test("down: connect retry with its back-off", () => {
    const rig = new Rig().add();
    rig.close(rig.dialled(), "ECONNREFUSED");
    const { configured, inForce, left } = timersOf(rig).get("connect-retry")!;
    assert.equal(seconds(configured), 5);
    assert.equal(seconds(inForce), 5);
    assert.ok(left);
  });
});
