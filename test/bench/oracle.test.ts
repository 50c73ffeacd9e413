/** The oracle of the bench notices what it is there for. A route server's messages are the feeder's own. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Oracle, Sink } from "../../bench/load/sink.ts";
import { Table } from "../../bench/load/table.ts";
import { encodeOne, encodeTable, encodeWithdrawal } from "../../bench/load/updates.ts";
import { peerAddress } from "../../bench/namespace.ts";
import { type RunRecord, ratiosOf, regressions, table as report } from "../../bench/report.ts";
import { twoFeeders } from "../../bench/scenarios/feeders.ts";
import { parseIp } from "../../src/base/ip.ts";

const prefixes = 500;

const tables = [false, true].map((ipv6) => new Table({ feeders: 1, prefixes, sets: 50, ipv6 }));

function world(ipv6: boolean) {
  const table = tables[Number(ipv6)];
  const nextHop = parseIp(peerAddress(0, ipv6)) as Uint8Array;
  const sink = new Sink(new Oracle(table, 2, true), 1);
  return { table, nextHop, sink, messages: split(encodeTable(table, 0, nextHop)) };
}

function split(stream: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at < stream.length; at += stream.readUInt16BE(at + 16)) {
    messages.push(Buffer.from(stream.subarray(at, at + stream.readUInt16BE(at + 16))));
  }
  return messages;
}

/** What all sinks read into, as sockets do. */
const lent = Buffer.alloc(4096);

function receive(sink: Sink, messages: readonly Buffer[]): Sink {
  for (const message of messages) sink.update(lent, 0, message.copy(lent));
  return sink;
}

for (const ipv6 of [false, true]) {
  const family = ipv6 ? "IPv6" : "IPv4";

  test(`${family}: a sink that was told everything is complete, and not without the last message`, () => {
    const { sink, messages } = world(ipv6);
    receive(sink, messages.slice(0, -1));
    assert.equal(sink.complete, false);
    receive(sink, messages.slice(-1));
    assert.deepEqual([sink.complete, sink.fault, sink.announcements], [true, "", prefixes]);
  });

  test(`${family}: a changed byte anywhere in attributes or prefixes is noticed`, () => {
    const { messages } = world(ipv6);
    const [first] = messages;
    for (let at = 23; at < first.length; at++) {
      const { sink } = world(ipv6);
      const broken = Buffer.from(first);
      broken[at] ^= 1;
      try {
        receive(sink, [broken, ...messages.slice(1)]);
      } catch {
        continue; // lengths that lead nowhere
      }
      const harmless = isFlagOrMed(first, at);
      assert.ok(harmless || sink.fault !== "" || !sink.complete, `byte ${at} of ${first.toString("hex")}`);
    }
  });

  test(`${family}: withdrawn routes are missing, unknown prefixes and foreign attributes are faults`, () => {
    const { table, nextHop, sink, messages } = world(ipv6);
    receive(sink, [...messages, encodeWithdrawal(table, 7)]);
    assert.deepEqual([sink.missing, sink.fault], [1, ""]);
    receive(sink, [encodeOne(table, 7, table.attributes(0, table.setOfPrefix(7)), nextHop)]);
    assert.deepEqual([sink.missing, sink.fault], [0, ""]);
    const other = new Table({ feeders: 1, prefixes: prefixes + 1, sets: 50, ipv6 });
    receive(sink, [encodeOne(other, 0, table.attributes(0, 0), nextHop)]);
    assert.match(sink.fault, /nobody announced/);
    const again = world(ipv6);
    const wrong = { ...table.attributes(0, 0), communities: [1] };
    receive(again.sink, [encodeOne(table, 0, wrong, nextHop)]);
    assert.match(again.sink.fault, /attributes that nobody announced/);
  });
}

/** Attribute flags and MED are not checked: daemons may differ in them. */
function isFlagOrMed(message: Buffer, wanted: number): boolean {
  const end = 23 + message.readUInt16BE(21);
  for (let at = 23; at < end; ) {
    const extended = (message[at] & 0x10) !== 0;
    const next = extended ? at + 4 + message.readUInt16BE(at + 2) : at + 3 + message[at + 2];
    if (wanted === at || (wanted < next && wanted >= at && message[at + 1] === 4)) return true;
    // Of MP_REACH_NLRI: family, the reserved byte, and all of the next hop but its last four bytes.
    if (message[at + 1] === 14 && wanted < at + 20 && wanted >= at) return true;
    if (message[at + 1] === 14 && wanted === at + 24) return true;
    at = next;
  }
  return false;
}

test("many sinks share what one of them has read; what differs for one of them is noticed there", () => {
  const { table, messages } = world(false);
  const oracle = new Oracle(table, 20, true);
  const sinks = Array.from({ length: 10 }, (_, n) => new Sink(oracle, n + 1));
  for (const sink of sinks.slice(0, 8)) receive(sink, messages);
  const broken = messages.map((message) => Buffer.from(message));
  broken[3][broken[3].length - 2] ^= 1;
  receive(sinks[8], broken);
  receive(sinks[9], messages.slice(1));
  assert.deepEqual(
    sinks.map(({ complete }) => complete),
    sinks.map((_, n) => n < 8),
  );
  assert.deepEqual(
    sinks.map(({ fault }) => fault !== ""),
    sinks.map((_, n) => n === 8),
  );
});

test("overlapping feeders: only the shortest path is right, the others may be seen on the way", () => {
  const table = new Table({ feeders: 3, prefixes, sets: 50, overlap: true });
  const sink = new Sink(new Oracle(table, 4, true), 3);
  const all = [2, 1, 0].map((n) =>
    split(encodeTable(table, n, parseIp(peerAddress(n, false)) as Uint8Array)),
  );
  receive(sink, all.flat());
  assert.deepEqual([sink.fault, sink.complete], ["", false]);
  for (let set = 0; set < 50; set++) {
    const best = table.bestFeeder(set);
    for (let feeder = 0; feeder < 3; feeder++) {
      const longer = table.attributes(feeder, set).path.length - table.attributes(best, set).path.length;
      if (feeder !== best) assert.ok(longer > 0, `set ${set}`);
    }
    const hop = parseIp(peerAddress(best, false)) as Uint8Array;
    for (let place = table.setStart[set]; place < table.setStart[set + 1]; place++) {
      receive(sink, [encodeOne(table, place, table.attributes(best, set), hop)]);
    }
  }
  assert.deepEqual([sink.fault, sink.complete], ["", true]);
});

test("ratios, targets and regressions", () => {
  const run = (daemon: string, time_s: number, ok = true): RunRecord => ({
    ...{
      scenario: twoFeeders.name,
      daemon,
      size: twoFeeders.size,
      ok,
      error: ok ? "" : "one route is missing",
    },
    metrics: ok ? { time_s, cpu_s: daemon === "bird" ? time_s + 1 : time_s, peak_mb: 50 } : {},
  });
  const records = [run("bird", 1), run("bird", 3), run("bird", 2), run("cairn", 1), run("cairn", 9, false)];
  const text = report(records, [twoFeeders], "bird");
  assert.match(text, /\| cairn +\| 1 of 2 \| 1\.00 +\| 0\.50/);
  assert.match(text, /met {4}time_s at most 0\.8 x bird: 1\.00 \(0\.500 x\)/);
  const ratios = ratiosOf(records, [twoFeeders], "bird");
  assert.deepEqual(ratios, { [twoFeeders.name]: { cpu_s: 0.5 } }, "the best rounds of those that were good");
  const busy = records.map((each) => ({ ...each, metrics: { ...each.metrics, foreign_cores: 1 } }));
  assert.match(report(busy, [twoFeeders], "bird"), /busy {3}time_s at most/);
  assert.deepEqual(ratiosOf(records.slice(3), [twoFeeders], "bird"), {}, "nothing without the reference");
  assert.deepEqual(regressions(ratios, { [twoFeeders.name]: { cpu_s: 0.41 } }, 0.25), []);
  assert.equal(regressions(ratios, { [twoFeeders.name]: { cpu_s: 0.39 } }, 0.25).length, 1);
});
