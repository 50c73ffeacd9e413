/** Neighbors that flood, stall, reset, open too many connections or never read; and everyone else unharmed. */
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { fromHex, message, update } from "../support/wire.ts";
import { Daemon, finallyDo, type Json, neighborToml, until } from "./harness.ts";
import { announcement, defaults, flood, ipv6Unicast, Speaker } from "./speaker.ts";

/** Two neighbors that must stay as they are: one with a route and a full table, one with a hold time of 3 s. */
async function bystander(t: TestContext, daemon: Daemon): Promise<Speaker> {
  const port = daemon.bgpPort;
  const quick = new Worker(new URL("./bystander.ts", import.meta.url), {
    workerData: { port, local: "127.0.0.8", asn: 65_008 },
  });
  finallyDo(t, () => quick.terminate());
  const speaker = await Speaker.establish(t, { local: "127.0.0.9", port, asn: 65_009 });
  speaker.announce(["203.0.113.0/24"]);
  await until("its route", async () => (await daemon.best()).includes("203.0.113.0/24"));
  await until("the quick one", async () => {
    return (await daemon.neighbor("127.0.0.8")).state.sessionState === "SESSION_STATE_ESTABLISHED";
  });
  return speaker;
}

const bystanderToml =
  neighborToml("127.0.0.9", 65_009) +
  neighborToml("127.0.0.8", 65_008, 'hold_time = 3\nexport = ["reject-all"]');

async function unharmed(daemon: Daemon, speaker: Speaker): Promise<void> {
  assert.equal(speaker.closed, false, "the bystander lost its connection");
  for (const address of ["127.0.0.8", "127.0.0.9"]) {
    const { state } = await daemon.neighbor(address);
    assert.equal(state.sessionState, "SESSION_STATE_ESTABLISHED", `${address}: ${state.lastResetReason}`);
    assert.equal(state.establishedCount, 1);
  }
  const { routes } = await daemon.call("RibService/ListReceivedRoutes", { neighbor: "127.0.0.9" });
  assert.deepEqual(
    routes.map((route: { prefix: string }) => route.prefix),
    ["203.0.113.0/24"],
  );
}

test("300,000 prefixes, junk and duplicates: the API answers and a 3-second neighbor stays up", async (t) => {
  const daemon = await Daemon.start(t, { config: neighborToml("127.0.0.2", 65_002) + bystanderToml });
  const other = await bystander(t, daemon);
  const feeder = await Speaker.establish(t, { local: "127.0.0.2", port: daemon.bgpPort });
  const attributes = defaults(65_002);
  const table = flood(300_000, 100, attributes);
  const again = flood(200_000, 100, attributes);
  const junk = update("40010107 40020602010000fdea 4003040a000002".replaceAll(" ", ""), "18 0a0102");
  const started = performance.now();
  // The first 200,000 once more, and 2,000 UPDATEs that RFC 7606 takes as withdrawals.
  feeder.send(table, ...Array.from({ length: 2_000 }, () => junk), again);
  // In a thread of its own: this one is busy with reading what the daemon sends.
  const prober = new Worker(new URL("./prober.ts", import.meta.url), { workerData: daemon.socket });
  finallyDo(t, () => prober.terminate());
  const done = async (): Promise<boolean> => {
    const { state } = await daemon.neighbor("127.0.0.2");
    return Number(state.received.updates) === 3_000 + 2_000 + 2_000;
  };
  await until("all UPDATEs", done, 30_000);
  const loadMs = performance.now() - started;
  assert.equal(Number((await daemon.neighbor("127.0.0.2")).state.families[0].accepted), 300_000);
  await other.until("300,000 routes", () => other.routes.size === 300_000, 60_000);
  await unharmed(daemon, other);
  const answered = once(prober, "message");
  prober.postMessage("report");
  const [took] = (await answered) as [number[]];
  took.sort((a, b) => a - b);
  const p99 = took[Math.floor(took.length * 0.99)];
  t.diagnostic(
    `read in ${loadMs.toFixed(0)} ms; ${took.length} GetHealth: median ${took[took.length >> 1].toFixed(1)} ms, ` +
      `p99 ${p99.toFixed(1)} ms; RSS ${daemon.rssMb().toFixed(0)} MB`,
  );
  assert.ok(p99 < 500, `p99 of GetHealth is ${p99} ms`);
  assert.equal(Number((await daemon.neighbor("127.0.0.2")).state.treatAsWithdraw), 2_000);
  const { totalSize } = await daemon.call("EventService/ListEvents", {
    filter: { topics: ["cairn.bgp.update.malformed"] },
  });
  assert.ok(Number(totalSize) <= 200, `${totalSize} events about one neighbor's junk`);
  // Everything goes when the feeder goes, and the bystander hears of it.
  feeder.socket.resetAndDestroy();
  await other.until("no routes of the feeder", () => other.routes.size === 0, 60_000);
  await unharmed(daemon, other);
  assert.deepEqual(await daemon.best(), ["203.0.113.0/24"]);
});

test("1,000 connections at once: bounded, and the neighbor itself still gets in", async (t) => {
  const daemon = await Daemon.start(t, { config: neighborToml("127.0.0.2", 65_002) + bystanderToml });
  const other = await bystander(t, daemon);
  const before = daemon.rssMb();
  const sockets: net.Socket[] = [];
  finallyDo(t, () => {
    for (const socket of sockets) socket.destroy();
  });
  let closed = 0;
  for (let i = 0; i < 1_000; i++) {
    // Half of them from the neighbor's address, silent; half from addresses that nobody configured.
    const localAddress = i % 2 === 0 ? "127.0.0.2" : `127.0.2.${1 + (i % 250)}`;
    const socket = net.connect({ host: "127.0.0.1", port: daemon.bgpPort, localAddress });
    socket.on("error", () => {});
    socket.on("close", () => closed++);
    socket.resume();
    sockets.push(socket);
  }
  await until("all but a few to be refused", () => closed >= 985, 10_000);
  const growth = daemon.rssMb() - before;
  assert.ok(growth < 64, `RSS grew by ${growth.toFixed(0)} MB`);
  const speaker = await Speaker.establish(t, { local: "127.0.0.2", port: daemon.bgpPort });
  speaker.announce(["198.51.100.0/24"]);
  await other.sees(["198.51.100.0/24"]);
  await unharmed(daemon, other);
});

test("an unknown address is closed, with the command that would add it in the log", async (t) => {
  const daemon = await Daemon.start(t);
  const speaker = await Speaker.connect(t, { local: "127.0.0.77", port: daemon.bgpPort });
  assert.equal(await speaker.notification(), "6/5");
  const line = await until("the log line", () => daemon.log.find(({ command }) => command !== undefined));
  assert.equal(line.command, "cairnctl neighbor add 127.0.0.77 --asn N");
  const { code, err } = await daemon.ctl("neighbor", "add", "127.0.0.77", "--asn", "65002");
  assert.equal(code, 0, err);
  await Speaker.establish(t, { local: "127.0.0.77", port: daemon.bgpPort });
});

test("a neighbor that stalls inside a message, and one that resets inside a message", async (t) => {
  const config = neighborToml("127.0.0.2", 65_002, "hold_time = 3") + bystanderToml;
  const daemon = await Daemon.start(t, { config });
  const other = await bystander(t, daemon);
  const half = announcement(["198.51.100.0/24"], defaults(65_002)).subarray(0, 30);
  const stalling = await Speaker.establish(t, { local: "127.0.0.2", port: daemon.bgpPort, holdTimeS: 3 });
  stalling.autoKeepalive = false;
  stalling.send(half);
  assert.equal(await stalling.notification(), "4/0", "the hold timer counts whole messages");
  const resetting = await Speaker.establish(t, { local: "127.0.0.2", port: daemon.bgpPort });
  resetting.send(half);
  await delay(20);
  resetting.socket.resetAndDestroy();
  const state = await until("the end of the session", async () => {
    const { state } = await daemon.neighbor("127.0.0.2");
    return state.sessionState !== "SESSION_STATE_ESTABLISHED" && state.resets?.length === 2
      ? state
      : undefined;
  });
  assert.match(state.lastResetReason, /reset/i);
  assert.equal(state.resets[1].code, 4);
  await unharmed(daemon, other);
});

test("a neighbor that never reads: memory bounded, then Send Hold Timer Expired", async (t) => {
  const config =
    neighborToml("127.0.0.2", 65_002) +
    neighborToml("127.0.0.3", 65_003, "send_hold_time = 3") +
    bystanderToml;
  // One UPDATE each, some 26 MB on the wire for each neighbor.
  const communities = Array.from({ length: 90 }, (_, i) => 0xfdea_0000 + i);
  const routes = 60_000;
  const wire = flood(routes, 1, { ...defaults(65_002), communities });
  const daemon = await Daemon.start(t, { config });
  const other = await bystander(t, daemon);
  const deaf = await Speaker.establish(t, { local: "127.0.0.3", port: daemon.bgpPort, asn: 65_003 });
  deaf.socket.pause();
  const feeder = await Speaker.establish(t, { local: "127.0.0.2", port: daemon.bgpPort });
  const keepalives = setInterval(() => deaf.keepalive(), 500);
  finallyDo(t, () => clearInterval(keepalives));
  feeder.send(wire);
  let queued = 0;
  let rssMb = 0;
  const ended = async (): Promise<Json | undefined> => {
    const { state } = await daemon.neighbor("127.0.0.3");
    queued = Math.max(queued, Number(state.outQueueBytes ?? 0));
    rssMb = Math.max(rssMb, daemon.rssMb());
    return state.resets?.[0];
  };
  const reset = await until("the send hold timer", ended, 15_000);
  t.diagnostic(`RSS at most ${rssMb.toFixed(0)} MB, ${queued} bytes queued`);
  assert.ok(queued > 1 << 20 && queued < 18 << 20, `${queued} bytes were queued`);
  await other.until("all routes at the bystander", () => other.routes.size === routes, 60_000);
  assert.deepEqual([reset.local, reset.code, reset.subcode ?? 0], [true, 8, 0], reset.text);
  await unharmed(daemon, other);
  assert.equal(other.routes.size, routes);
});

test("two live connections: one survives, by the identifiers", async (t) => {
  // The daemon connects to us too: a listener at the neighbor's address.
  const server = net.createServer().listen(0, "127.0.0.2");
  await new Promise((resolve) => server.once("listening", resolve));
  finallyDo(t, () => server.close());
  const { port } = server.address() as net.AddressInfo;
  for (const [routerId, survivor] of [
    [0x0a00_0002, "daemon's"],
    [0xdf00_0002, "ours"],
  ] as const) {
    await t.test(`${survivor} stays with identifier ${routerId.toString(16)}`, async (t) => {
      const config = neighborToml("127.0.0.2", 65_002, `port = ${port}`).replace("passive = true\n", "");
      const incoming = new Promise<net.Socket>((resolve) => server.once("connection", resolve));
      const daemon = await Daemon.start(t, { config });
      const options = { local: "127.0.0.2", port: daemon.bgpPort, routerId };
      const theirs = new Speaker(t, options, await incoming);
      await theirs.next(1);
      const ours = await Speaker.connect(t, options);
      await ours.next(1);
      theirs.send(theirs.open);
      await theirs.next(4);
      ours.send(ours.open);
      // 192.0.2.1 is the daemon's identifier: the higher one's connection stays (RFC 4271 6.8).
      const [stays, goes] = survivor === "ours" ? [ours, theirs] : [theirs, ours];
      assert.equal(await goes.notification(), "6/7");
      await stays.next(4);
      stays.keepalive();
      await until("the session", async () => {
        return (await daemon.neighbor("127.0.0.2")).state.sessionState === "SESSION_STATE_ESTABLISHED";
      });
      assert.equal(stays.closed, false);
      stays.announce(["198.51.100.0/24"]);
      await until("its route", async () => (await daemon.best()).join() === "198.51.100.0/24");
    });
  }
});

test("the hold timer expires: NOTIFICATION 4, routes gone", async (t) => {
  const daemon = await Daemon.start(t, { config: neighborToml("127.0.0.2", 65_002) });
  const speaker = await Speaker.establish(t, { local: "127.0.0.2", port: daemon.bgpPort, holdTimeS: 3 });
  speaker.autoKeepalive = false;
  speaker.announce(["198.51.100.0/24"]);
  await until("its route", async () => (await daemon.best()).length === 1);
  const started = performance.now();
  assert.equal(await speaker.notification(), "4/0");
  const tookMs = performance.now() - started;
  assert.ok(tookMs > 2_500 && tookMs < 3_500, `after ${tookMs} ms`);
  assert.deepEqual(await daemon.best(), []);
});

test("a two-octet-only neighbor: AS_TRANS, AS4_PATH and AS4_AGGREGATOR both ways", async (t) => {
  const config = neighborToml("127.0.0.2", 65_002) + neighborToml("127.0.0.3", 200_000);
  const daemon = await Daemon.start(t, { config });
  const old = await Speaker.establish(t, { local: "127.0.0.2", port: daemon.bgpPort, bare: true });
  const wide = await Speaker.establish(t, { local: "127.0.0.3", port: daemon.bgpPort, asn: 200_000 });
  wide.announce(["198.51.100.0/24"], { aggregator: { asn: 200_000, address: 0x0a00_0003 } });
  await old.sees(["198.51.100.0/24"]);
  const raw = Buffer.from(old.messages.findLast(({ type }) => type === 2)!.bytes).toString("hex");
  assert.ok(raw.includes("400206" + "0202fde95ba0"), "AS_PATH 65001 AS_TRANS in two octets");
  assert.match(raw, /c0110a02020000fde900030d40/, "AS4_PATH 65001 200000");
  assert.match(raw, /c007065ba00a000003/, "AGGREGATOR AS_TRANS");
  assert.match(raw, /c01208|e01208/, "AS4_AGGREGATOR");
  // And back: an AS_PATH of 65002 AS_TRANS with AS4_PATH 200001 is 65002 200001.
  old.send(
    update(
      "40010100 400206 0202fdea5ba0 4003040a000002 c01106 020100030d41".replaceAll(" ", ""),
      "18 cb0071",
    ),
  );
  await wide.sees(["203.0.113.0/24"]);
  assert.deepEqual(wide.routes.get("203.0.113.0/24")?.asPath, [65_001, 65_002, 200_001]);
});

test("an attribute set too big for a message is withdrawn, with an event; extended messages carry it", async (t) => {
  const config =
    neighborToml("127.0.0.2", 65_002) +
    neighborToml("127.0.0.3", 65_003) +
    neighborToml("127.0.0.4", 65_004, "extended_messages = false") +
    neighborToml("127.0.0.5", 65_005);
  const daemon = await Daemon.start(t, { config });
  const extended = [{ kind: "extended-message" }] as const;
  const port = daemon.bgpPort;
  const sender = await Speaker.establish(t, { local: "127.0.0.2", port, capabilities: extended });
  const small = await Speaker.establish(t, { local: "127.0.0.3", port, asn: 65_003 });
  const off = await Speaker.establish(t, { local: "127.0.0.4", port, asn: 65_004, capabilities: extended });
  const large = await Speaker.establish(t, {
    ...{ local: "127.0.0.5", port, asn: 65_005, capabilities: extended },
  });
  assert.ok(!off.remoteOpen.capabilities.some(({ kind }) => kind === "extended-message"));
  sender.announce(["198.51.100.0/24"]);
  for (const each of [small, off, large]) await each.sees(["198.51.100.0/24"]);
  const unknown = [{ flags: 0xc0, type: 99, value: new Uint8Array(8_000).fill(7) }];
  const huge = message(
    2,
    fromHex(
      `0000${(4 + 9 + 7 + 8_004).toString(16).padStart(4, "0")}40010100${"40020602010000fdea"}4003040a000002d063` +
        `${(8_000).toString(16).padStart(4, "0")}${"07".repeat(8_000)}18c63364`,
    ),
  );
  sender.send(huge);
  await large.until("the long attribute", () => {
    const route = large.routes.get("198.51.100.0/24");
    return route?.attributes.unknown[0]?.value.length === unknown[0].value.length;
  });
  await small.sees([]);
  await off.sees([]);
  assert.deepEqual(small.withdrawn, ["198.51.100.0/24"], "withdrawn once");
  const { events } = await daemon.call("EventService/ListEvents", {
    filter: { topics: ["cairn.bgp.route.oversize"] },
  });
  assert.ok(events.length >= 1);
  assert.match(events[0].summary, /198\.51\.100\.0\/24 is not announced .*fit no message/);
  const { routes } = await daemon.call("RibService/ListAdvertisedRoutes", { neighbor: "127.0.0.3" });
  assert.deepEqual(routes ?? [], [], "what is listed as advertised is what the neighbor has");
  sender.announce(["198.51.100.0/24"]);
  for (const each of [small, off, large]) await each.sees(["198.51.100.0/24"]);
  // Without the capability a message above 4096 bytes is a header error.
  small.send(huge);
  assert.equal(await small.notification(), `1/2 ${Buffer.from(huge.subarray(16, 18)).toString("hex")}`);
});

test("IPv4 and IPv6 over a session on ::1", async (t) => {
  const keys = 'families = ["ipv4-unicast", "ipv6-unicast"]';
  const daemon = await Daemon.start(t, {
    config: neighborToml("::1", 65_002, keys) + neighborToml("127.0.0.3", 65_003, keys),
    listen: ["127.0.0.1:0", "[::1]:0"],
  });
  const [port4, port6] = daemon.bgpPorts;
  const six = await Speaker.establish(t, { local: "::1", port: port6, capabilities: [ipv6Unicast] });
  const four = await Speaker.establish(t, {
    ...{ local: "127.0.0.3", port: port4, asn: 65_003, capabilities: [ipv6Unicast] },
  });
  const nextHop = Uint8Array.from([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
  six.announce(["2001:db8:1::/48"], { nextHop });
  six.announce(["198.51.100.0/24"]);
  await until("both families", async () => (await daemon.best("ipv6-unicast")).length === 1);
  await four.until("IPv4", () => four.routes.has("198.51.100.0/24"));
  assert.deepEqual(await daemon.best(), ["198.51.100.0/24"]);
  six.withdraw(["2001:db8:1::/48", "198.51.100.0/24"]);
  await until("both gone", async () => (await daemon.best("ipv6-unicast")).length === 0);
  assert.deepEqual(await daemon.best(), []);
});
