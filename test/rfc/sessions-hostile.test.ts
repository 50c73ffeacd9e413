/** Peers and strangers that flood, stall or come from nowhere: memory stays bounded, others are unharmed. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { limits } from "../../src/base/limits.ts";
import { ipv4Unicast } from "../../src/wire/family.ts";
import { emptyUpdate, encodeNotification, keepaliveBytes, peerOpen, Rig } from "./rig.ts";

const fiveSeconds = { max: 1, action: "restart", restartAfterMs: 5_000, warningPercent: 75 } as const;

describe("unknown inbound address", () => {
  test("Cease / Connection Rejected, and a log line with the command that would add it", () => {
    const rig = new Rig().add();
    const conn = rig.accept("198.51.100.7");
    assert.equal(rig.notification(conn), "6/5");
    assert(rig.isClosed(conn));
    const line = rig.log.find((effect) => effect.kind === "log");
    assert(line?.kind === "log" && line.level === "warn");
    assert.match(line.message, /cairnctl neighbor add 198\.51\.100\.7 --asn N$/);
    assert.deepEqual(rig.topics("connection"), ["connection.refused"]);
  });
  test("is mentioned once per minute, with the number left out", () => {
    const rig = new Rig().add();
    for (let i = 0; i < 1000; i++) rig.accept("198.51.100.7");
    assert.equal(rig.topics("connection").length, 1);
    rig.advance(60_000).accept("198.51.100.7");
    const refused = rig.events.filter((event) => event.topic === "cairn.bgp.connection.refused");
    assert.deepEqual([refused.length, refused[1].facts.more], [2, "999"]);
  });
  test("ten thousand sources cause a few hundred events", () => {
    const rig = new Rig().add();
    for (let i = 0; i < 10_000; i++) rig.accept(`10.0.${i >> 8}.${i & 255}`);
    assert(rig.topics("connection").length <= 300);
  });
});

describe("floods", () => {
  test("a neighbor that opens 1,000 connections leaves a few, and its session", () => {
    const rig = new Rig().add();
    const up = rig.establish();
    const conns = Array.from({ length: 1000 }, () => rig.accept());
    const open = conns.filter((conn) => !rig.isClosed(conn));
    assert.equal(open.length, limits.pendingConnectionsPerSourceMax);
    assert.deepEqual(open, conns.slice(-open.length), "the newest are the likeliest to be alive");
    assert.equal(rig.state(), "Established");
    rig.receive(up, keepaliveBytes, emptyUpdate);
    assert.deepEqual(rig.calls, ["established", "update 23"]);
    assert(rig.events.length < 40, `${rig.events.length} events`);
    rig.receive(conns.at(-1)!, peerOpen(), keepaliveBytes);
    assert.equal(rig.view().establishedCount, 2, "and a restart is still noticed");
  });
  test("connections without OPEN are bounded over all neighbors", () => {
    const rig = new Rig();
    const count = 100;
    for (let i = 1; i <= count; i++) rig.add({ address: `10.1.0.${i}`, passive: true }, i);
    rig.advance(10_000);
    for (let i = 1; i <= count; i++) for (let j = 0; j < 9; j++) rig.accept(`10.1.0.${i}`);
    const accepted = count * 9;
    const closed = rig.log.concat(rig.drain()).filter((effect) => effect.kind === "tcp.close").length;
    assert(accepted - closed <= limits.pendingConnectionsMax + count, `${accepted - closed} are open`);
  });
  test("an inbox that fills up pauses its socket, and goes on at half", () => {
    const rig = new Rig().add();
    const conn = rig.establish();
    rig.drain();
    const chunk = Buffer.concat(Array.from({ length: 2000 }, () => emptyUpdate));
    for (let i = 0; i < 8; i++) rig.sessions.bytes(conn, chunk, rig.nowMs);
    const pauses = (): boolean[] => rig.drain().flatMap((e) => (e.kind === "tcp.pause" ? [e.paused] : []));
    assert.deepEqual(pauses(), [true]);
    assert.equal(rig.view().inQueueBytes, BigInt(chunk.length * 8));
    while (rig.sessions.hasWork()) rig.sessions.pump(rig.nowMs, 10_000);
    assert.deepEqual(pauses(), [false]);
    assert.equal(rig.view().received!.updates, 16_000n);
  });
  test("reading is round robin: a flood does not hold up another neighbor's KEEPALIVE", () => {
    const rig = new Rig().add().add({ address: "192.0.2.3" }, 2);
    const flood = rig.log.concat(rig.drain());
    const [first, second] = flood.flatMap((effect) => (effect.kind === "tcp.connect" ? [effect.conn] : []));
    for (const conn of [first, second]) {
      rig.sessions.connected(conn, "192.0.2.1", 4000, rig.nowMs);
      rig.receive(conn, peerOpen());
    }
    rig.receive(first, keepaliveBytes);
    rig.sessions.bytes(first, Buffer.concat(Array.from({ length: 10_000 }, () => emptyUpdate)), rig.nowMs);
    rig.sessions.bytes(second, keepaliveBytes, rig.nowMs);
    rig.sessions.pump(rig.nowMs, 70_000);
    assert.equal(rig.state(2), "Established");
    assert(rig.sessions.hasWork());
  });
});

describe("a busy core", () => {
  test("the hold timer looks at what has arrived, not at what was processed", () => {
    const rig = new Rig().add();
    const conn = rig.establish();
    rig.advance(80_000);
    rig.sessions.bytes(conn, keepaliveBytes, rig.nowMs);
    rig.advance(20_000);
    assert.equal(rig.state(), "Established", "a KEEPALIVE is waiting in the inbox");
    rig.receive(conn).advance(89_000);
    assert.equal(rig.state(), "Established");
    rig.advance(2_000);
    assert.equal(rig.notification(conn), "4/0");
  });
  test("a session whose socket we paused does not expire", () => {
    const rig = new Rig().add();
    const conn = rig.establish();
    rig.sessions.bytes(conn, Buffer.concat(Array.from({ length: 20_000 }, () => emptyUpdate)), rig.nowMs);
    rig.advance(300_000);
    assert.equal(rig.state(), "Established");
  });
});

describe("a slow reader", () => {
  test("room is bounded, comes back at half, and KEEPALIVEs go out regardless", () => {
    const rig = new Rig().add();
    const conn = rig.establish();
    rig.sessions.sent(conn, 0, rig.nowMs);
    assert.equal(rig.sessions.room(1), limits.connOutboxBytesMax);
    const block = Buffer.concat(Array.from({ length: 2000 }, () => emptyUpdate));
    let sent = 0;
    while (rig.sessions.room(1) > 0) {
      rig.sessions.send(1, block, rig.nowMs);
      sent += block.length;
    }
    assert(sent < limits.connOutboxBytesMax + block.length * 1.01);
    assert.equal(rig.view().outQueueBytes, BigInt(sent));
    rig.sessions.sent(conn, limits.connOutboxBytesMax / 2, rig.nowMs);
    assert(!rig.calls.includes("writable"));
    const before = rig.types(conn).length;
    rig.advance(31_000);
    assert(rig.types(conn).slice(before).includes(4));
    rig.sessions.sent(conn, 0, rig.nowMs);
    assert.equal(rig.calls.filter((call) => call === "writable").length, 1);
    assert.equal(rig.sessions.room(1), limits.connOutboxBytesMax);
    assert.equal(rig.view().sent!.updates, BigInt(sent / emptyUpdate.length));
  });
});

describe("many neighbors", () => {
  test("they do not all connect in one instant", () => {
    const rig = new Rig();
    for (let i = 1; i <= 1000; i++) rig.add({ address: `10.${i >> 8}.${i & 255}.1` }, i);
    const atOnce = rig.dials();
    assert(atOnce <= 16, `${atOnce} at once`);
    const times: number[] = [];
    while (times.length < 1000 - atOnce) {
      rig.advance(10);
      times.push(...rig.drain().flatMap((effect) => (effect.kind === "tcp.connect" ? [rig.nowMs] : [])));
    }
    const most = Math.max(
      ...Map.groupBy(times, (time) => time)
        .values()
        .map((group) => group.length),
    );
    assert(most < 50, `${most} within ten milliseconds`);
  });
});

test("whatever bytes and connections come, nothing throws, and up and down alternate", () => {
  const bytes = fc.oneof(
    fc.constantFrom(
      peerOpen(),
      keepaliveBytes,
      emptyUpdate,
      encodeNotification(6, 4),
      peerOpen({ routerId: 1 }),
    ),
    fc.uint8Array({ maxLength: 60 }),
  );
  const action = fc.oneof(
    fc.record({ do: fc.constant("bytes" as const), conn: fc.nat(5), bytes }),
    fc.record({ do: fc.constantFrom("accept" as const, "connect" as const) }),
    fc.record({ do: fc.constant("close" as const), conn: fc.nat(5) }),
    fc.record({ do: fc.constant("advance" as const), ms: fc.integer({ min: 1, max: 100_000 }) }),
    fc.record({ do: fc.constantFrom("reset" as const, "limit" as const, "clear" as const) }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), fc.integer(), (actions, seed) => {
      const rig = new Rig(seed).add();
      const conns: number[] = [rig.dialled()];
      for (const each of actions) {
        const conn = "conn" in each ? conns.at(-1 - (each.conn % conns.length))! : 0;
        if (each.do === "bytes") rig.receive(conn, each.bytes);
        else if (each.do === "close") rig.close(conn, "ECONNRESET");
        else if (each.do === "accept") conns.push(rig.accept());
        else if (each.do === "connect") conns.push(rig.connect());
        else if (each.do === "advance") rig.advance(each.ms);
        else if (each.do === "reset") rig.sessions.hardReset(1, "", rig.nowMs);
        else if (each.do === "limit") rig.sessions.prefixLimitReached(1, ipv4Unicast, fiveSeconds, rig.nowMs);
        else rig.sessions.clearHold(1, rig.nowMs);
        rig.view();
      }
      const ups = rig.calls.filter((call) => call === "established" || call === "down");
      for (const [i, call] of ups.entries()) assert.equal(call, i % 2 === 0 ? "established" : "down");
      assert.equal(rig.state() === "Established", ups.length % 2 === 1);
    }),
    { numRuns: 300 },
  );
});
