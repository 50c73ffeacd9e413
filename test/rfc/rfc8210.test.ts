/** RFC 8210 and its successor: the router's end of a session with a cache, played against caches that do as they like. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RtrClient, type RtrHost } from "../../src/rpki/client.ts";
import { encodeCacheResponse, encodeEndOfData, encodeSerialNotify, RtrError } from "../../src/rpki/pdu.ts";
import { RpkiSources, vrpPrefixText } from "../../src/rpki/sources.ts";
import { FakeCache, vrpPdu } from "../support/rtr-cache.ts";

const settings = { maxVersion: 2, refreshS: 0, retryS: 0, expireS: 0 };

/** A client and a cache with a wire between them; time moves only by `advance`. */
class Session {
  readonly cache: FakeCache;
  readonly sources = new RpkiSources();
  readonly source = this.sources.add("cache", "cache");
  readonly client: RtrClient;
  readonly news: string[] = [];
  nowMs = 0;
  connected = false;
  /** Connections are refused. */
  down = false;
  /** The cache ends the connection instead of answering. */
  hangsUp = false;
  private readonly toCache: Uint8Array[] = [];
  private connecting = false;

  constructor(cache: FakeCache, change: Partial<typeof settings> = {}) {
    this.cache = cache;
    const host: RtrHost = {
      connect: () => {
        this.connecting = true;
      },
      send: (bytes) => this.toCache.push(bytes),
      disconnect: () => {
        this.connected = false;
      },
      pause: () => {},
      begin: (full) => assert.ok(this.sources.begin(this.source, full)),
      ready: () => {
        while (!this.sources.isReady(this.source)) this.sources.step(10);
        return true;
      },
      take: (pdu, bytes) => this.sources.take(this.source, pdu, bytes),
      commit: () => this.sources.commit(this.source),
      abandon: () => this.sources.abandon(this.source),
      expired: () => this.sources.drop(this.source),
      tell: (what, text) => this.news.push(`${what}: ${text}`),
    };
    this.client = new RtrClient({ ...settings, ...change }, host);
    this.run();
  }

  /** Everything that happens at this instant. */
  run(): void {
    for (let i = 0; i < 100; i++) {
      if (this.client.nextMs() <= this.nowMs) this.client.tick(this.nowMs);
      if (this.connecting) {
        this.connecting = false;
        if (this.down) this.client.closed("ECONNREFUSED", this.nowMs);
        else {
          this.connected = true;
          this.cache.connected();
          this.client.connected(this.nowMs);
        }
      }
      for (const bytes of this.toCache.splice(0)) {
        // Error Reports that go out with the end of the connection arrive all the same.
        const answers = this.cache.receive(bytes);
        if (this.hangsUp && this.connected) {
          this.connected = false;
          this.client.closed(undefined, this.nowMs);
        } else if (this.connected) for (const answer of answers) this.client.bytes(answer);
      }
      while (this.client.hasWork) this.client.pump(3, this.nowMs);
      while (this.sources.hasWork) this.sources.step(100);
    }
  }

  say(...pdus: Uint8Array[]): void {
    for (const pdu of pdus) this.client.bytes(pdu);
    this.run();
  }

  advance(seconds: number): void {
    const until = this.nowMs + seconds * 1000;
    while (this.client.nextMs() <= until) {
      this.nowMs = Math.max(this.nowMs, this.client.nextMs());
      this.run();
    }
    this.nowMs = until;
    this.run();
  }

  close(): void {
    this.connected = false;
    this.client.closed(undefined, this.nowMs);
    this.run();
  }

  get held(): string[] {
    const { vrps, aspas } = this.sources;
    const held: string[] = [];
    for (let row = 1; row < vrps.rows; row++) {
      if (!vrps.isUsed(row)) continue;
      const vrp = vrps.read(row);
      if (vrp.inForce) held.push(`${vrpPrefixText(vrp)} ${vrp.maxLength} ${vrp.asn}`);
    }
    for (const customer of aspas.customers())
      held.push(`aspa ${customer} ${aspas.providersOf(customer)?.join(" ")}`);
    return held.sort();
  }
}

const a = "192.0.2.0/24 28 64496";
const b = "198.51.100.0/24 24 64497";
const c = "2001:db8::/32 48 4200000000";
const aspa = "aspa 64496 64497 64498";

describe("a session as it should be", () => {
  test("8.1: everything at first, then what differs, on Serial Notify and when the refresh interval is over", () => {
    const session = new Session(new FakeCache([a, b, c, aspa]));
    assert.equal(session.client.state, "synchronized");
    assert.deepEqual(session.held, [a, b, c, aspa].sort());
    assert.deepEqual(session.cache.queries, ["reset"]);
    session.cache.change(["203.0.113.0/24 24 0", "aspa 64496 64499"], [b]);
    session.say(session.cache.notify());
    assert.deepEqual(session.held, [a, c, "203.0.113.0/24 24 0", "aspa 64496 64499"].sort());
    assert.equal(session.cache.queries.at(-1), "serial 4711 1");
    session.cache.change([b], ["aspa 64496 64499"]);
    session.advance(3599);
    assert.equal(session.held.includes(b), false);
    session.advance(1);
    assert.deepEqual(session.held, [a, b, c, "203.0.113.0/24 24 0"].sort());
  });
  for (const version of [0, 1]) {
    test(`7: a cache that knows version ${version} says so, and is spoken to in it`, () => {
      const cache = new FakeCache([a, c, aspa]);
      cache.maxVersion = version;
      const session = new Session(cache);
      session.advance(1);
      assert.deepEqual([session.client.version, session.client.state], [version, "synchronized"]);
      assert.deepEqual(session.held, [a, c].sort());
      cache.change([b]);
      session.say(cache.notify());
      assert.deepEqual(session.held, [a, b, c].sort());
      // The next connection begins with what was agreed on, and asks only for what differs.
      session.close();
      session.advance(600);
      assert.equal(cache.queries.at(-1), "serial 4711 2");
    });
  }
  test("7: a cache that answers in a lower version is followed", () => {
    const session = new Session(new FakeCache([a]));
    session.client.reset(session.nowMs);
    session.cache.mute = true;
    session.run();
    session.say(
      encodeCacheResponse(1, 9),
      vrpPdu(1, b, true),
      encodeEndOfData(1, 9, 5, { refreshS: 10, retryS: 10, expireS: 600 }),
    );
    assert.deepEqual([session.client.version, session.held], [1, [b]]);
  });
  test("7: one that hangs up without a word is tried with lower versions", () => {
    const session = new Session(new FakeCache([a]));
    session.client.reset(session.nowMs);
    session.hangsUp = true;
    session.advance(2);
    session.hangsUp = false;
    session.advance(60);
    assert.ok(session.client.version < 2, `version ${session.client.version}`);
    assert.equal(session.client.state, "synchronized");
  });
  test("5.9: serials wrap", () => {
    const cache = new FakeCache([a]);
    cache.serial = 0xffff_ffff;
    const session = new Session(cache);
    cache.change([b]);
    assert.equal(cache.serial, 0);
    session.say(cache.notify());
    assert.deepEqual([session.client.session?.serial, session.held], [0, [a, b].sort()]);
  });
  test("6: intervals of the cache count, within bounds, and those of the operator before them", () => {
    const cache = new FakeCache([a]);
    cache.intervals = { refreshS: 0, retryS: 99_999, expireS: 1 };
    const { client } = new Session(cache);
    assert.deepEqual([client.refreshS, client.retryS, client.expireS], [3600, 7200, 600]);
    cache.intervals = { refreshS: 100, retryS: 200, expireS: 700 };
    const other = new Session(cache, { refreshS: 5, retryS: 0, expireS: 900 }).client;
    assert.deepEqual([other.refreshS, other.retryS, other.expireS], [5, 200, 900]);
  });
});

describe("caches that come and go", () => {
  test("what was said stays until it expires, and comes back with the cache", () => {
    const session = new Session(new FakeCache([a, b]));
    session.down = true;
    session.close();
    session.advance(7100);
    assert.deepEqual(session.held, [a, b].sort());
    session.advance(100);
    assert.deepEqual(session.held, []);
    assert.ok(session.news.some((each) => each.startsWith("expired: ")));
    session.down = false;
    session.advance(600);
    assert.deepEqual(session.held, [a, b].sort());
    assert.equal(session.cache.queries.at(-1), "reset");
  });
  test("8.3: a cache that no longer knows the difference resets; nothing is missing meanwhile", () => {
    const cache = new FakeCache([a, b]);
    const session = new Session(cache);
    cache.change([c], [b]);
    cache.restart(cache.session, cache.serial);
    session.say(encodeSerialNotify(2, cache.session, cache.serial));
    assert.deepEqual(cache.queries.slice(-2), ["serial 4711 1", "reset"]);
    assert.deepEqual(session.held, [a, c].sort());
  });
  test("5.1: a cache that restarted has another session id: all of it is asked for anew", () => {
    const cache = new FakeCache([a, b]);
    const session = new Session(cache);
    cache.restart(99, 1);
    cache.change([c], [a, b]);
    session.close();
    session.advance(600);
    assert.deepEqual(session.held, [c]);
    assert.equal(session.client.session?.id, 99);
  });
  test("a cache that has no data yet is asked again, and what another session said stays", () => {
    const cache = new FakeCache([a]);
    const session = new Session(cache);
    cache.empty = true;
    session.close();
    session.advance(30);
    assert.deepEqual([session.held, session.client.counts.errorsReceived > 0], [[a], true]);
    cache.empty = false;
    session.advance(600);
    assert.equal(session.client.state, "synchronized");
  });
  test("one that takes a query and says nothing is given up after a minute", () => {
    const cache = new FakeCache([a]);
    const session = new Session(cache);
    cache.mute = true;
    session.client.refresh(session.nowMs);
    session.run();
    session.advance(59);
    assert.equal(session.client.state, "querying");
    session.advance(1);
    assert.match(session.client.lastError, /no answer within 60 s/);
    assert.deepEqual(session.held, [a]);
  });
  test("an answer that breaks off changes nothing", () => {
    const cache = new FakeCache([a]);
    const session = new Session(cache);
    cache.mute = true;
    session.client.reset(session.nowMs);
    session.run();
    session.say(cache.begin(), vrpPdu(2, b, true));
    session.close();
    assert.deepEqual(session.held, [a]);
    cache.mute = false;
    session.advance(600);
    assert.deepEqual(session.held, [a]);
  });
});

describe("caches that lie are told so, lose the session, and change nothing", () => {
  const lies: readonly [name: string, code: RtrError, pdus: (cache: FakeCache) => Uint8Array[]][] = [
    [
      "an announcement twice",
      RtrError.duplicateAnnouncement,
      (cache) => [cache.begin(), vrpPdu(2, b, true), vrpPdu(2, b, true), cache.end()],
    ],
    [
      "a withdrawal of what was never announced",
      RtrError.withdrawalOfUnknown,
      (cache) => [cache.begin(), vrpPdu(2, c, false), cache.end()],
    ],
    ["an answer of another session", RtrError.corruptData, () => [encodeCacheResponse(2, 1)]],
    [
      "an End of Data of another session",
      RtrError.corruptData,
      (cache) => [cache.begin(), encodeEndOfData(2, 1, 9, cache.intervals)],
    ],
    [
      "a serial that goes backwards",
      RtrError.corruptData,
      (cache) => [cache.begin(), vrpPdu(2, b, true), cache.end(0xffff_fff0)],
    ],
    ["a PDU of another version", RtrError.unexpectedVersion, () => [encodeCacheResponse(1, 4711)]],
    ["data that nobody asked for", RtrError.corruptData, () => [vrpPdu(2, b, true)]],
    [
      "a prefix longer than its maximum length",
      RtrError.corruptData,
      (cache) => [cache.begin(), vrpPdu(2, "10.0.0.0/24 8 1", true)],
    ],
    ["an unknown PDU", RtrError.unsupportedPdu, () => [Uint8Array.of(2, 200, 0, 0, 0, 0, 0, 8)]],
    ["a length that is wrong", RtrError.corruptData, () => [Uint8Array.of(2, 3, 0, 0, 0, 0, 0, 9, 0)]],
    ["a PDU of four gigabytes", RtrError.corruptData, () => [Uint8Array.of(2, 11, 0, 0, 255, 255, 255, 255)]],
  ];
  for (const [name, code, pdus] of lies) {
    test(name, () => {
      const cache = new FakeCache([a]);
      const session = new Session(cache);
      cache.mute = true;
      session.client.refresh(session.nowMs);
      session.run();
      session.say(...pdus(cache));
      assert.deepEqual(
        session.cache.errors.map((error) => error.code),
        [code],
      );
      assert.equal(session.connected, false);
      assert.deepEqual(session.held, [a]);
      assert.ok(session.news.some((each) => each.startsWith("error: ")));
      cache.mute = false;
      session.advance(600);
      assert.equal(cache.queries.at(-1), "reset");
      assert.deepEqual([session.client.state, session.client.lastError], ["synchronized", ""]);
    });
  }
  test("a Serial Notify of another session ends the session; an older serial is passed over", () => {
    const cache = new FakeCache([a]);
    const session = new Session(cache);
    const { length } = cache.queries;
    session.say(encodeSerialNotify(2, cache.session, 0xffff_ff00));
    assert.deepEqual([cache.queries.length, session.client.state], [length, "synchronized"]);
    session.say(encodeSerialNotify(2, 1, 2));
    assert.deepEqual(
      [session.connected, cache.errors[0].code, session.held],
      [false, RtrError.corruptData, [a]],
    );
  });
  test("5.11: an Error Report is never answered with one", () => {
    const cache = new FakeCache([a]);
    const session = new Session(cache);
    session.say(Uint8Array.of(2, 10, 0, 0, 0, 0, 0, 16, 0, 0, 0, 200, 0, 0, 0, 0));
    assert.deepEqual([cache.errors, session.connected], [[], false]);
  });
});
