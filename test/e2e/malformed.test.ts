/**
 * Malformed messages against the real daemon: the right NOTIFICATION bytes for each class of RFC 4271 section 6, and
 * for RFC 7606 a session that stays, with what happened counted and told.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { keepaliveBytes } from "../../src/wire/keepalive.ts";
import { fromHex, message, update } from "../support/wire.ts";
import { Daemon, neighborToml, until } from "./harness.ts";
import { Speaker } from "./speaker.ts";

/** A message with bytes replaced. */
function patched(bytes: Uint8Array, at: number, ...values: number[]): Uint8Array {
  const copy = bytes.slice();
  copy.set(values, at);
  return copy;
}

interface Case {
  readonly name: string;
  /** When it is sent: instead of the OPEN, after the daemon's OPEN was answered, or when established. */
  readonly at: "start" | "open-sent" | "established";
  bytes(speaker: Speaker): Uint8Array;
  /** `code/subcode data`. */
  readonly answer: string;
  readonly keys?: string;
}

const origin = "40010100";
const path = "40020602010000fdea";
const nextHop = "4003040a000002";
const good = origin + path + nextHop;

const cases: readonly Case[] = [
  // Message header errors (6.1).
  { name: "marker is not all ones", at: "start", bytes: (s) => patched(s.open, 3, 0), answer: "1/1" },
  { name: "length below 19", at: "start", bytes: (s) => patched(s.open, 16, 0, 18), answer: "1/2 0012" },
  { name: "length above 4096", at: "start", bytes: (s) => patched(s.open, 16, 16, 1), answer: "1/2 1001" },
  { name: "OPEN below 29", at: "start", bytes: () => message(1, new Uint8Array(9)), answer: "1/2 001c" },
  { name: "unknown type", at: "start", bytes: () => message(9, new Uint8Array(4)), answer: "1/3 09" },
  {
    name: "KEEPALIVE of 20 bytes",
    at: "established",
    bytes: () => message(4, new Uint8Array(1)),
    answer: "1/2 0014",
  },
  {
    name: "UPDATE below 23",
    at: "established",
    bytes: () => message(2, new Uint8Array(3)),
    answer: "1/2 0016",
  },
  // OPEN message errors (6.2).
  { name: "version 3", at: "start", bytes: (s) => patched(s.open, 19, 3), answer: "2/1 0004" },
  {
    name: "wrong AS number",
    at: "start",
    bytes: (s) => new Speaker_({ ...s.options, asn: 65_099 }).open,
    answer: "2/2",
  },
  {
    name: "identifier 0.0.0.0",
    at: "start",
    bytes: (s) => patched(s.open, 24, 0, 0, 0, 0),
    answer: "2/3 00000000",
  },
  {
    name: "unsupported optional parameter",
    at: "start",
    bytes: (s) => patched(s.open, 29, 1),
    answer: "2/4 010e010400010001020041040000fdea",
  },
  { name: "hold time 2", at: "start", bytes: (s) => patched(s.open, 22, 0, 2), answer: "2/6 0002" },
  {
    name: "parameters run past the end",
    at: "start",
    bytes: (s) => patched(s.open, 28, 40),
    answer: "2/0",
  },
  // UPDATE message errors (6.3) that RFC 7606 leaves as session resets.
  {
    name: "attributes run past the message",
    at: "established",
    bytes: () => patched(update(good, "18 0a0102"), 21, 1, 0),
    answer: "3/1",
  },
  {
    name: "withdrawn routes run past the message",
    at: "established",
    bytes: () => message(2, fromHex("00ff 0000")),
    answer: "3/1",
  },
  {
    name: "prefix length 33",
    at: "established",
    bytes: () => update(good, "21 0a01020304"),
    answer: "3/10",
  },
  {
    name: "MP_REACH_NLRI twice",
    at: "established",
    bytes: () =>
      update(
        `${origin}${path}800e0d00010104 0a000002 00 18 0a0102 800e0d00010104 0a000002 00 18 0a0103`.replaceAll(
          " ",
          "",
        ),
      ),
    answer: "3/1",
  },
  {
    name: "malformed AS_PATH where the operator wants errors to be strict",
    at: "established",
    bytes: () => update(`${origin}40020403020000${nextHop}`, "18 0a0102"),
    keys: "strict_errors = true",
    answer: "3/11 40020403020000",
  },
  // FSM errors (6.6, RFC 6608): a message that the state has no place for.
  {
    name: "KEEPALIVE in OpenSent",
    at: "start",
    bytes: () => keepaliveBytes,
    answer: "5/1 04",
  },
  {
    name: "UPDATE in OpenConfirm",
    at: "open-sent",
    bytes: () => update(good, "18 0a0102"),
    answer: "5/2 02",
  },
  { name: "OPEN in Established", at: "established", bytes: (s) => s.open, answer: "5/3 01" },
];

/** An OPEN of other options, without a connection. */
class Speaker_ {
  readonly open: Uint8Array;
  constructor(options: Speaker["options"]) {
    this.open = Object.getOwnPropertyDescriptor(Speaker.prototype, "open")!.get!.call({ options });
  }
}

test("each class of malformed message gets its NOTIFICATION", async (t) => {
  const toml = cases.map(({ keys }, i) => neighborToml(`127.0.1.${i + 1}`, 65_002, keys)).join("\n");
  const daemon = await Daemon.start(t, { config: toml });
  for (const [i, each] of cases.entries()) {
    await t.test(each.name, async (t) => {
      const speaker = await Speaker.connect(t, { local: `127.0.1.${i + 1}`, port: daemon.bgpPort });
      await speaker.next(1);
      if (each.at === "established") await speaker.handshake();
      if (each.at === "open-sent") speaker.send(speaker.open);
      speaker.send(each.bytes(speaker));
      assert.equal(await speaker.notification(), each.answer);
      const [code, subcode] = each.answer.split(/[/ ]/).map(Number);
      const reset = await until("the reset to be shown", async () => {
        return (await daemon.neighbor(`127.0.1.${i + 1}`)).state.resets?.[0];
      });
      assert.deepEqual([reset.local, reset.code, reset.subcode ?? 0], [true, code, subcode]);
    });
  }
  await t.test("the daemon lives and logged no bug", async () => {
    assert.equal((await daemon.call("ControlService/GetHealth")).healthy, true);
    assert.deepEqual(
      daemon.log.filter((line) => line.level >= 50),
      [],
    );
  });
});

interface Row {
  readonly name: string;
  readonly attributes: string;
  /** What becomes of 10.1.2.0/24, which stood in the table before. */
  readonly route: "gone" | "kept";
  readonly event: RegExp;
}

const lenient: readonly Row[] = [
  { name: "ORIGIN of 7", attributes: `40010107${path}${nextHop}`, route: "gone", event: /ORIGIN/ },
  { name: "ORIGIN of two bytes", attributes: `4001020000${path}${nextHop}`, route: "gone", event: /ORIGIN/ },
  {
    name: "AS_PATH with segment type 9",
    attributes: `${origin}400206 0901 0000fdea${nextHop}`.replaceAll(" ", ""),
    route: "gone",
    event: /AS_PATH/,
  },
  {
    name: "NEXT_HOP of 3 bytes",
    attributes: `${origin}${path}4003030a0000`,
    route: "gone",
    event: /NEXT_HOP/,
  },
  { name: "NEXT_HOP missing", attributes: `${origin}${path}`, route: "gone", event: /NEXT_HOP/ },
  { name: "MED of 3 bytes", attributes: `${good}800403000001`, route: "gone", event: /MULTI_EXIT_DISC|MED/ },
  { name: "COMMUNITIES of 5 bytes", attributes: `${good}c0080500010001ff`, route: "gone", event: /COMMUNIT/ },
  { name: "LOCAL_PREF from eBGP", attributes: `${good}40050400000064`, route: "kept", event: /LOCAL_PREF/ },
  {
    name: "ATOMIC_AGGREGATE with a value",
    attributes: `${good}40060101`,
    route: "kept",
    event: /ATOMIC_AGGREGATE/,
  },
  {
    name: "AGGREGATOR of 5 bytes",
    attributes: `${good}c007050000000001`,
    route: "kept",
    event: /AGGREGATOR/,
  },
];

test("RFC 7606: the session stays, and what happened is counted and told", async (t) => {
  const daemon = await Daemon.start(t, { config: neighborToml("127.0.0.2", 65_002) });
  const speaker = await Speaker.establish(t, { local: "127.0.0.2", port: daemon.bgpPort });
  let withdrawn = 0;
  let discarded = 0;
  for (const row of lenient) {
    await t.test(row.name, async () => {
      speaker.send(update(good, "18 0a0102"));
      await until("the good route", async () => (await daemon.best()).length === 1);
      speaker.send(update(row.attributes, "18 0a0102"));
      if (row.route === "gone") withdrawn++;
      else discarded++;
      const silent = row.name === "LOCAL_PREF from eBGP";
      if (silent) discarded--;
      const state = await until("the counters", async () => {
        const { state } = await daemon.neighbor("127.0.0.2");
        const counts = [Number(state.treatAsWithdraw ?? 0), Number(state.attributeDiscard ?? 0)];
        return counts[0] === withdrawn && counts[1] === discarded ? state : undefined;
      });
      assert.equal(state.sessionState, "SESSION_STATE_ESTABLISHED");
      assert.deepEqual(await daemon.best(), row.route === "gone" ? [] : ["10.1.2.0/24"]);
      if (silent) return;
      const { events } = await daemon.call("EventService/ListEvents", {
        filter: { topics: ["cairn.bgp.update.malformed"] },
        reverse: true,
        pageSize: 1,
      });
      assert.match(events[0].summary, row.event);
      assert.equal(events[0].object, "Neighbor/127.0.0.2");
    });
  }
  assert.equal(speaker.closed, false);
});

test("one byte at a time", async (t: TestContext) => {
  const daemon = await Daemon.start(t, { config: neighborToml("127.0.0.2", 65_002) });
  const speaker = await Speaker.connect(t, { local: "127.0.0.2", port: daemon.bgpPort });
  const bytes = Buffer.concat([speaker.open, keepaliveBytes, update(good, "18 0a0102"), keepaliveBytes]);
  for (const byte of bytes) {
    speaker.send(Uint8Array.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until("the route", async () => (await daemon.best()).join() === "10.1.2.0/24");
  const { state } = await daemon.neighbor("127.0.0.2");
  assert.deepEqual(
    [state.received.opens, state.received.keepalives, state.received.updates].map(Number),
    [1, 2, 1],
  );
});
