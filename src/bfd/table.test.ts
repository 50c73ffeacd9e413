import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { addresses, Link, planOf, settings } from "./link-fixture.ts";
import { BfdState, type ControlPacket, encodeControl } from "./packet.ts";
import { counterStride } from "./table.ts";

const { adminDown, down, init, up } = BfdState;
const runs = Number(process.env.CAIRN_BFD_RUNS ?? 150);

function bytesOf(packet: Partial<ControlPacket>): Uint8Array {
  const bytes = new Uint8Array(24);
  encodeControl(
    {
      diagnostic: 0,
      state: down,
      poll: false,
      final: false,
      independent: false,
      demand: false,
      multiplier: 3,
      myDiscriminator: 2,
      yourDiscriminator: 1,
      desiredMinTxUs: 300_000,
      requiredMinRxUs: 300_000,
      requiredMinEchoRxUs: 0,
      ...packet,
    },
    bytes,
  );
  return bytes;
}

function comeUp(link: Link): void {
  link.run(4000);
  assert.deepEqual(link.states, [up, up]);
}

test("a session comes up by three ways, at the slow rate, and then speaks as fast as both want", () => {
  const link = new Link(1, [{}, { minTxUs: 100_000, minRxUs: 500_000, multiplier: 5 }]);
  comeUp(link);
  const before = link.sent.filter(({ packet }) => packet.state !== up);
  assert.ok(
    before.every(({ packet }) => packet.desiredMinTxUs === 1_000_000),
    "6.8.3: a second while not up",
  );
  assert.deepEqual([...new Set(before.map(({ packet }) => packet.state))].sort(), [down, init]);
  const [ours, theirs] = link.reports;
  assert.equal(ours!.transmitUs, 500_000, "our 300 ms, their wish of 500 ms");
  assert.equal(ours!.detectionUs, 5 * 300_000, "their multiplier, our wish of 300 ms over their 100 ms");
  assert.equal(theirs!.transmitUs, 300_000);
  assert.equal(theirs!.detectionUs, 3 * 500_000);
  assert.equal(ours!.polling || theirs!.polling, false, "the Poll Sequences have ended");
});

test("6.8.7: jitter takes off up to a quarter, and at least a tenth with a multiplier of 1", () => {
  for (const [multiplier, most] of [
    [3, 1],
    [1, 0.9],
  ]) {
    const link = new Link(7, [{ multiplier }, { minTxUs: 250_000, minRxUs: 250_000 }]);
    comeUp(link);
    const from = link.sent.length;
    link.run(60_000);
    const times = link.sent.slice(from).filter(({ side, packet }) => side === 0 && !packet.final);
    const gaps = times.slice(1).map(({ atMs }, i) => atMs - times[i].atMs);
    assert.ok(Math.min(...gaps) >= 300 * 0.75 && Math.max(...gaps) <= 300 * most, `${multiplier}`);
    assert.ok(Math.max(...gaps) - Math.min(...gaps) > 20, "they differ");
    assert.deepEqual(link.states, [up, up]);
  }
});

test("a cut link is noticed by both sides within the detection time, and mended by itself", () => {
  const link = new Link(2);
  comeUp(link);
  const cutMs = link.nowMs;
  link.cut = true;
  link.run(1000);
  assert.deepEqual(link.states, [down, down]);
  for (const report of link.reports) {
    assert.equal(report!.cause, "detection-time");
    assert.equal(report!.diagnostic, 1);
    assert.ok(report!.downAtMs - cutMs <= 900 && report!.downAtMs - cutMs >= 900 - 301);
    assert.equal(report!.remote.discriminator, 0, "6.8.1: forgotten with the detection time");
  }
  link.cut = false;
  comeUp(link);
  assert.deepEqual([link.reports[0]!.ups, link.reports[0]!.downs], [2, 1]);
});

test("one side that is taken away says so, and the other is not told that the path is down", () => {
  const link = new Link(3);
  comeUp(link);
  link.tables[1].remove(2, link.nowMs);
  link.run(10);
  assert.deepEqual(link.reports[0]!.cause, "neighbor-admin-down");
  assert.equal(link.reports[0]!.diagnostic, 3);
  assert.equal(link.reports[0]!.remote.state, adminDown);
  const last = link.sent.findLast(({ side }) => side === 1)!.packet;
  assert.deepEqual([last.state, last.diagnostic], [adminDown, 7]);
  const from = link.nowMs;
  link.run(10_000);
  const told = link.sent.filter(({ side, atMs }) => side === 1 && atMs > from);
  assert.ok(told.length >= 3 && told.length <= 4, `6.8.16: told for a detection time, ${told.length}`);
  assert.equal(link.tables[1].size, 0);
});

test("a session that is wanted again at once is not taken down by the last words of the one before", () => {
  const link = new Link(15);
  comeUp(link);
  link.tables[1].remove(2, link.nowMs);
  link.run(100);
  link.tables[1].set(planOf(3, addresses[0]), link.nowMs);
  link.run(5000);
  assert.deepEqual([link.reports[0]!.state, link.reports[0]!.downs], [up, 1]);
  assert.equal(link.reports[1]!.discriminator, 3);
  assert.deepEqual([link.reports[1]!.state, link.reports[1]!.downs], [up, 0]);
});

test("the end of the process is told once to each neighbor", () => {
  const link = new Link(4);
  comeUp(link);
  const from = link.sent.length;
  link.tables[1].close(link.nowMs);
  link.run(5000);
  const told = link.sent.slice(from).filter(({ side }) => side === 1);
  assert.deepEqual(
    told.map(({ packet }) => packet.state),
    [adminDown],
  );
});

test("a neighbor that restarted is noticed by its Down", () => {
  const link = new Link(5);
  comeUp(link);
  link.inject(0, bytesOf({ state: down, diagnostic: 1, myDiscriminator: 9 }));
  assert.equal(link.reports[0]!.cause, "neighbor-down");
  assert.equal(link.reports[0]!.downRemoteDiagnostic, 1);
});

test("a passive side waits until it hears something", () => {
  const link = new Link(6, [{ passive: true }, { passive: true }]);
  link.run(10_000);
  assert.equal(link.sent.length, 0);
  link.set(1, { passive: false });
  comeUp(link);
  link.cut = true;
  link.run(5000);
  const from = link.sent.length;
  link.run(10_000);
  assert.ok(
    link.sent.slice(from).every(({ side }) => side === 1),
    "and is silent again when it is alone",
  );
});

test("6.8.3: longer intervals wait for the Poll Sequence, in both directions", () => {
  const link = new Link(8);
  comeUp(link);
  link.cut = true;
  link.set(0, { minTxUs: 900_000 });
  assert.equal(link.reports[0]!.transmitUs, 300_000, "the neighbor does not know yet");
  assert.equal(link.reports[0]!.polling, true);
  link.cut = false;
  link.run(700);
  assert.equal(link.reports[0]!.transmitUs, 900_000);
  assert.equal(link.reports[1]!.detectionUs, 2_700_000);
  link.set(0, { minTxUs: 900_000, minRxUs: 50_000 });
  assert.equal(link.reports[0]!.detectionUs, 900_000, "the neighbor still sends every 300 ms");
  link.set(1, { minTxUs: 50_000 });
  link.run(3000);
  assert.equal(link.reports[0]!.detectionUs, 150_000);
  assert.equal(link.reports[1]!.transmitUs, 50_000);
  assert.deepEqual([link.reports[0]!.downs, link.reports[1]!.downs], [0, 0]);
});

test("an answer to a poll from before the last change does not end the next", () => {
  const link = new Link(9);
  comeUp(link);
  link.set(0, { minTxUs: 600_000 });
  link.set(0, { minTxUs: 900_000 });
  link.inject(0, bytesOf({ state: up, final: true }));
  assert.equal(link.reports[0]!.polling, true);
  assert.equal(link.reports[0]!.transmitUs, 300_000);
  link.inject(0, bytesOf({ state: up, final: true }));
  assert.equal(link.reports[0]!.transmitUs, 900_000);
});

test("each poll is answered at once with F, whatever else is silent", () => {
  const link = new Link(10);
  comeUp(link);
  const from = link.sent.length;
  link.inject(0, bytesOf({ state: up, poll: true, demand: true }));
  const [{ packet }] = link.sent.slice(from);
  assert.deepEqual([packet.final, packet.poll, link.sent.length - from], [true, false, 1]);
});

test("a neighbor in demand mode hears nothing but polls while Up; one with Required Min RX 0 nothing at all", () => {
  for (const wish of [{ demand: true }, { requiredMinRxUs: 0 }]) {
    const link = new Link(11);
    comeUp(link);
    link.cut = true;
    link.inject(0, bytesOf({ state: up, ...wish }));
    const from = link.sent.filter(({ side }) => side === 0).length;
    link.run(800);
    assert.equal(link.sent.filter(({ side }) => side === 0).length, from);
    link.inject(0, bytesOf({ state: up }));
    link.run(400);
    assert.ok(link.sent.filter(({ side }) => side === 0).length > from, "it speaks again");
  }
});

test("what is not for a session is counted by reason, with its source", () => {
  const link = new Link(12, [{ multihop: false }, {}]);
  comeUp(link);
  link.inject(0, bytesOf({ state: up }), { ttl: 254 });
  link.inject(0, bytesOf({ state: up, yourDiscriminator: 77 }));
  link.inject(0, bytesOf({ state: up }), { source: "203.0.113.9" });
  link.inject(0, bytesOf({ yourDiscriminator: 0 }), { source: "203.0.113.8" });
  link.inject(0, bytesOf({ yourDiscriminator: 0, state: up }));
  link.inject(0, bytesOf({}).subarray(0, 20));
  link.inject(0, bytesOf({ state: down }), { multihop: true, ttl: 255 });
  assert.deepEqual(link.states, [up, up]);
  assert.deepEqual(link.tables[0].takeDiscards(), [
    { reason: "length", count: 1, source: addresses[1] },
    { reason: "state", count: 1, source: addresses[1] },
    { reason: "ttl", count: 1, source: addresses[1] },
    { reason: "unknown-discriminator", count: 1, source: addresses[1] },
    { reason: "unknown-source", count: 1, source: "203.0.113.8" },
    { reason: "elsewhere", count: 2, source: addresses[1] },
  ]);
  assert.equal(link.tables[0].takeDiscards(), undefined, "nothing new");
  const counters = link.tables[0].takeCounters();
  assert.equal(counters.length, counterStride);
  assert.equal(counters[3], 6, "those that could be told to a session");
});

test("multihop takes what comes with the lowest TTL, and not less", () => {
  const link = new Link(13, [{ multihop: true, minTtl: 250 }, {}]);
  link.inject(0, bytesOf({ yourDiscriminator: 0 }), { multihop: true, ttl: 249 });
  assert.equal(link.reports[0]!.state, down);
  link.inject(0, bytesOf({ yourDiscriminator: 0 }), { multihop: true, ttl: 250 });
  assert.equal(link.reports[0]!.state, init);
});

test("sessions to one peer are told apart by local address and interface", () => {
  const link = new Link(14);
  const [table] = link.tables;
  table.set(planOf(10, "fe80::1", { interface: "eth1" }), 0);
  table.set(planOf(11, "fe80::1", { interface: "eth2" }), 0);
  table.takeReports();
  const bytes = bytesOf({ yourDiscriminator: 0 });
  link.tables[0].receive(
    bytes,
    24,
    { source: "fe80::1", destination: "fe80::2", interface: "eth2", ttl: 255, multihop: false },
    0,
  );
  assert.deepEqual(
    table.takeReports().map(({ discriminator }) => discriminator),
    [11],
  );
});

test("property: after the link died, nobody believes in it for longer than the detection time", () => {
  const interval = fc.integer({ min: 10_000, max: 2_000_000 });
  const side = fc.record({
    minTxUs: interval,
    minRxUs: interval,
    multiplier: fc.integer({ min: 1, max: 10 }),
    passive: fc.boolean(),
  });
  const weather = fc.record({
    seed: fc.integer(),
    plans: fc.tuple(side, side),
    loss: fc.tuple(
      fc.double({ min: 0, max: 0.4, noNaN: true }),
      fc.double({ min: 0, max: 0.4, noNaN: true }),
    ),
    delayMs: fc.integer({ min: 0, max: 40 }),
    change: side,
  });
  fc.assert(
    fc.property(weather, ({ seed, plans, loss, delayMs, change }) => {
      const link = new Link(seed, plans);
      link.loss.splice(0, 2, ...loss);
      link.delayMs = delayMs;
      link.run(20_000);
      link.set(0, change);
      link.run(5_000);
      // In flight packets do not arrive any more: from here on nothing is heard.
      link.cut = true;
      const cutMs = link.nowMs;
      const detectionMs = link.reports.map((report) => report!.detectionUs / 1000);
      const states = link.states;
      link.run(Math.max(...detectionMs) + 1, () => {
        for (const each of [0, 1]) {
          if (link.nowMs - cutMs > detectionMs[each]) assert.notEqual(link.states[each], up);
        }
      });
      assert.ok(link.states.every((state) => state !== up && state !== init));
      for (const each of [0, 1])
        if (states[each] === up) assert.equal(link.reports[each]!.cause, "detection-time");
      // Without loss both come up again, and agree on the intervals.
      link.cut = false;
      link.loss.fill(0);
      link.run(90_000);
      const bothPassive = change.passive && plans[1].passive;
      assert.deepEqual(link.states, bothPassive ? [down, down] : [up, up]);
      if (bothPassive) return;
      const [a, b] = link.reports;
      assert.equal(a!.transmitUs, Math.max(change.minTxUs, plans[1].minRxUs));
      assert.equal(b!.transmitUs, Math.max(plans[1].minTxUs, change.minRxUs));
      assert.equal(a!.detectionUs, plans[1].multiplier * b!.transmitUs);
      assert.equal(b!.detectionUs, change.multiplier * a!.transmitUs);
    }),
    { numRuns: runs },
  );
});

test("property: without loss a session never goes down, whatever is changed while it is up", () => {
  const interval = fc.integer({ min: 10_000, max: 1_500_000 });
  const change = fc.record({
    side: fc.constantFrom(0, 1),
    settings: fc.record({ minTxUs: interval, minRxUs: interval, multiplier: fc.integer({ min: 2, max: 5 }) }),
    waitMs: fc.integer({ min: 0, max: 3000 }),
  });
  fc.assert(
    fc.property(fc.integer(), fc.array(change, { maxLength: 12 }), (seed, changes) => {
      const link = new Link(seed);
      comeUp(link);
      for (const { side, settings: wanted, waitMs } of changes) {
        link.set(side, { ...settings, ...wanted });
        link.run(waitMs);
      }
      link.run(20_000);
      assert.deepEqual([link.reports[0]!.downs, link.reports[1]!.downs], [0, 0]);
      assert.deepEqual([link.reports[0]!.polling, link.reports[1]!.polling], [false, false]);
    }),
    { numRuns: runs },
  );
});
