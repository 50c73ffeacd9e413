/** BMP in a whole core in virtual time: a collector of the test's own rebuilds tables, and they are what the API lists. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { CoreRig } from "../../../test/rfc/core-rig.ts";
import { attributesHex, nlriHex } from "../../../test/rfc/wire-text.ts";
import { BmpCollector, listed } from "../../../test/support/bmp-collector.ts";
import { update } from "../../../test/support/wire.ts";
import { limits } from "../../base/limits.ts";
import { seededRandom } from "../../base/random.ts";
import { BmpType, DownReason, InfoType, MirrorInfo, MirrorType, StatType } from "../../bmp/types.ts";
import { BmpCollectorSpecSchema, type BmpCollectorState } from "../../gen/cairn/v1/bmp_service_pb.ts";
import { GracefulRestart } from "../../gen/cairn/v1/neighbor_service_pb.ts";
import { PolicyAction } from "../../gen/cairn/v1/policy_service_pb.ts";
import type { Capability } from "../../wire/capabilities.ts";
import { ipv4Unicast, ipv6Unicast } from "../../wire/family.ts";
import { encodeShutdownMessage } from "../../wire/notification.ts";
import type { BmpEffect } from "../bmp-inputs.ts";

type Spec = MessageInitShape<typeof BmpCollectorSpecSchema>;

const everything: Spec = { adjRibInPre: true, adjRibInPost: true, adjRibOutPost: true, locRib: true };

/** A rig with collectors, each in the hand of the test. */
class BmpRig extends CoreRig {
  readonly connects: Extract<BmpEffect, { kind: "bmp.connect" }>[] = [];
  readonly closes: Extract<BmpEffect, { kind: "bmp.close" }>[] = [];
  /** Whoever is connected, by connection. */
  readonly collectors = new Map<number, BmpCollector>();
  /** Bytes that a collector has not read; they wait while this is set. */
  stalled = false;
  waiting: { conn: number; bytes: Uint8Array }[] = [];

  constructor() {
    super();
    this.watch = (effect) => {
      if (effect.kind === "bmp.connect") this.connects.push(effect);
      else if (effect.kind === "bmp.close") this.closes.push(effect);
      else if (effect.kind === "bmp.send") {
        this.waiting.push(effect);
        if (!this.stalled) this.read();
      }
    };
  }

  /** All that was sent is read. */
  read(): void {
    for (const { conn, bytes } of this.waiting.splice(0)) {
      this.collectors.get(conn)?.push(bytes);
      this.core.handle({ kind: "bmp.sent", conn, queued: 0 }, this.nowMs, this.wallMs);
    }
  }

  collector(init: Spec = everything): void {
    const spec = create(BmpCollectorSpecSchema, { name: "c", host: "192.0.2.99", ...init });
    this.mutate({ op: "put", kind: "BmpCollector", spec });
  }

  /** The last attempt succeeds. */
  accept(): BmpCollector {
    const { conn } = this.connects.at(-1)!;
    const collector = new BmpCollector();
    this.collectors.set(conn, collector);
    this.input({ kind: "bmp.connected", conn, systemName: "rig", systemDescription: "cairn in a rig" });
    return collector;
  }

  lose(error: string | undefined = "ECONNRESET"): void {
    const { conn } = this.connects.at(-1)!;
    this.collectors.delete(conn);
    this.waiting = [];
    this.input({ kind: "bmp.closed", conn, error });
  }

  state(): BmpCollectorState {
    const state = this.view.bmpCollector("c");
    assert.ok(state);
    return state;
  }

  /** All tables of the collector are those that the API lists. */
  same(collector: BmpCollector, peers: readonly string[], pathIds: readonly string[] = []): void {
    this.run();
    for (const family of [ipv4Unicast, ipv6Unicast]) {
      const isOf = (text: string): boolean => text.includes(":") === (family === ipv6Unicast);
      const of = (table: string[]): string[] =>
        table.filter((line) => isOf(line.split(" ").find((word) => word.includes("/"))!));
      assert.deepEqual(
        of(collector.table("loc", "loc")),
        listed(this.routes({ table: "best", paths: "best" }, family)),
      );
      for (const neighbor of peers) {
        const ids = pathIds.includes(neighbor);
        const pre = this.routes({ table: "received", neighbor, prePolicy: true }, family);
        assert.deepEqual(of(collector.table(neighbor, "pre")), listed(pre, ids), `pre of ${neighbor}`);
        const post = this.routes({ table: "received", neighbor, prePolicy: false }, family);
        assert.deepEqual(of(collector.table(neighbor, "post")), listed(post, ids), `post of ${neighbor}`);
        const out = this.routes({ table: "advertised", neighbor }, family);
        assert.deepEqual(of(collector.table(neighbor, "out")), listed(out, ids), `out of ${neighbor}`);
      }
    }
  }
}

test("a collector that connects is told of everything that is there, with its end", () => {
  const rig = new BmpRig();
  rig.policy({ name: "up", statements: [{ set: { localPref: 700 }, action: PolicyAction.ACCEPT }] });
  rig.peer("192.0.2.2", { import: ["up"] }).announce(["203.0.113.0/24", "198.51.100.0/24"]);
  const second = rig.peer("192.0.2.3", {
    remoteAsn: 65003,
    import: ["reject-all"],
    softReconfiguration: true,
  });
  second.announce("203.0.113.0/24");
  rig.peer("2001:db8::2", { remoteAsn: 65004 }).announce6("2001:db8:5::/48");
  rig.inject({ prefix: "192.0.2.128/25", nextHop: "192.0.2.9" });
  rig.collector();
  assert.equal(rig.connects.length, 1);
  assert.equal(rig.connects[0].port, 11_019);
  const collector = rig.accept();
  rig.same(collector, ["192.0.2.2", "192.0.2.3", "2001:db8::2"]);
  assert.equal(collector.table("192.0.2.3", "pre").length, 1);
  assert.equal(collector.table("192.0.2.3", "post").length, 0);
  assert.match(collector.table("192.0.2.2", "post")[0], /\|700\|/);
  assert.deepEqual([...collector.peers.get("192.0.2.2")!.ends].sort(), ["out 1", "post 1", "pre 1"]);
  assert.deepEqual([...collector.peers.get("2001:db8::2")!.ends].sort(), ["out 2", "post 2", "pre 2"]);
  assert.deepEqual([...collector.peers.get("loc")!.ends].sort(), ["loc 1", "loc 2"]);
  const [{ info }] = collector.ofType(BmpType.initiation);
  const texts = info.map(({ type, value }) => [type, new TextDecoder().decode(value)]);
  assert.deepEqual(texts, [
    [InfoType.systemName, "rig"],
    [InfoType.systemDescription, "cairn in a rig"],
  ]);
  assert.equal(rig.state().sessionState, "monitoring");
  assert.equal(rig.state().peers, 3);
  assert.equal(rig.state().lag, 0n);
});

test("Peer Up has both OPENs as they were on the wire, and the ends of the connection", () => {
  const rig = new BmpRig();
  const peer = rig.peer("192.0.2.2", {}, { routerId: 0x0a0b_0c0d });
  rig.collector();
  const { up } = rig.accept().peers.get("192.0.2.2")!;
  assert.deepEqual(new Uint8Array(up.sentOpen), peer.opens[0]);
  assert.equal(up.peer.asn, 65002);
  assert.equal(up.peer.routerId, 0x0a0b_0c0d);
  assert.equal(up.localPort, 179);
  assert.equal(up.remotePort, 40_001);
  assert.deepEqual([...up.localAddress], [192, 0, 2, 1]);
  assert.equal(up.peer.timeS, 1_700_000_001);
  const loc = rig.collectors.get(1)!.peers.get("loc")!;
  assert.equal(loc.up.peer.asn, 65001);
  assert.deepEqual(
    loc.up.info.map(({ type, value }) => [type, new TextDecoder().decode(value)]),
    [[InfoType.tableName, "global"]],
  );
});

test("sessions that end are told of with their reasons", () => {
  const rig = new BmpRig();
  rig.collector();
  const collector = rig.accept();
  const peer = rig.peer("192.0.2.2", { idleHoldTime: { seconds: 0n } });
  const reasons = (): number[] => collector.downs.splice(0).map(({ reason }) => reason);
  peer.announce("203.0.113.0/24");
  const text = encodeShutdownMessage("back at noon");
  peer.notify(6, 2, text);
  const [{ data }] = collector.downs;
  assert.equal(data.length, 21 + text.length);
  assert.ok(new TextDecoder().decode(data).endsWith("back at noon"));
  assert.deepEqual(reasons(), [DownReason.remoteNotification]);
  assert.equal(collector.peers.has("192.0.2.2"), false);
  peer.connect();
  rig.advance(1000);
  peer.drop();
  assert.deepEqual(reasons(), [DownReason.remoteNoNotification]);
  peer.connect();
  rig.advance(1000);
  rig.operate({ op: "hard-reset", address: "192.0.2.2", message: "maintenance" });
  assert.ok(new TextDecoder().decode(collector.downs[0].data).endsWith("maintenance"));
  assert.deepEqual(reasons(), [DownReason.localNotification]);
});

test("neighbors that are not of interest are not told of; a filter that changes begins anew", () => {
  const rig = new BmpRig();
  rig.peer("192.0.2.2").announce("203.0.113.0/24");
  rig.peer("192.0.2.3", { remoteAsn: 65003 }).announce("198.51.100.0/24");
  rig.collector({ ...everything, locRib: false, neighbors: ["192.0.2.3"] });
  const first = rig.accept();
  assert.deepEqual([...first.peers.keys()], ["192.0.2.3"]);
  rig.collector({ ...everything, locRib: false });
  assert.equal(first.ofType(BmpType.termination).length, 1);
  assert.deepEqual(
    rig.closes.map(({ abort }) => abort),
    [false],
  );
  rig.run();
  assert.deepEqual([...rig.accept().peers.keys()].sort(), ["192.0.2.2", "192.0.2.3"]);
});

test("a neighbor that leaves the group that is monitored is told of as not monitored any more", () => {
  const rig = new BmpRig();
  rig.peer("192.0.2.2").announce("203.0.113.0/24");
  rig.collector({ ...everything, neighbors: ["192.0.2.2"] });
  const collector = rig.accept();
  const { feeds } = rig.core.bmp as unknown as { feeds: { settings: { wants: () => boolean } }[] };
  feeds[0].settings.wants = () => false;
  rig.neighbor({ address: "192.0.2.2", remoteAsn: 65002, description: "moved" });
  assert.deepEqual(
    collector.downs.map(({ reason }) => reason),
    [DownReason.deconfigured],
  );
});

test("policy that changes, soft reset and refresh are seen after policy, and only there", () => {
  const rig = new BmpRig();
  rig.policy({ name: "p", statements: [{ set: { med: 5 }, action: PolicyAction.ACCEPT }] });
  const peer = rig.peer("192.0.2.2", { import: ["p"], softReconfiguration: true });
  peer.announce(["203.0.113.0/24", "198.51.100.0/24"], { path: "65002 65010", communities: "65002:1" });
  rig.collector();
  const collector = rig.accept();
  const before = collector.table("192.0.2.2", "pre");
  rig.policy({ name: "p", statements: [{ set: { med: 9 }, action: PolicyAction.ACCEPT }] });
  rig.same(collector, ["192.0.2.2"]);
  assert.match(collector.table("192.0.2.2", "post")[0], /\|9\|/);
  assert.deepEqual(collector.table("192.0.2.2", "pre"), before);
  rig.policy({ name: "p", statements: [{ action: PolicyAction.REJECT }] });
  rig.same(collector, ["192.0.2.2"]);
  assert.equal(collector.table("192.0.2.2", "post").length, 0);
});

test("statistics come when they are due and count what is there", () => {
  const rig = new BmpRig();
  rig.peer("192.0.2.2").announce(["203.0.113.0/24", "198.51.100.0/24"]);
  rig.peer("192.0.2.3", { remoteAsn: 65003 });
  rig.collector({ ...everything, statisticsInterval: { seconds: 10n } });
  const collector = rig.accept();
  assert.equal(collector.statistics.size, 0);
  rig.advance(10_000);
  const value = (peer: string, type: number): bigint | undefined =>
    collector.statistics.get(peer)?.stats.find((stat) => stat.type === type)?.value;
  assert.equal(value("192.0.2.2", StatType.adjRibIn), 2n);
  assert.equal(value("192.0.2.2", StatType.adjRibInOfFamily), 2n);
  assert.equal(value("192.0.2.3", StatType.adjRibOutPost), 2n);
  assert.equal(value("loc", StatType.locRib), 2n);
});

test("messages are mirrored as they came; a malformed one is marked", () => {
  const rig = new BmpRig();
  const peer = rig.peer("192.0.2.2");
  rig.collector({ mirroring: true });
  const collector = rig.accept();
  assert.equal(collector.routeMessages, 0);
  peer.announce("203.0.113.0/24");
  const [{ tlvs }] = collector.mirrored;
  assert.deepEqual(
    tlvs.map(({ type }) => type),
    [MirrorType.message],
  );
  assert.equal(tlvs[0].value[18], 2);
  // An ORIGIN of two bytes: treated as withdraw.
  peer.announce("203.0.113.0/24", { other: "4001020000", origin: undefined });
  const errored = collector.mirrored.at(-1)!.tlvs;
  assert.deepEqual([...errored[0].value], [0, MirrorInfo.erroredPdu]);
  assert.equal(errored[1].value[18], 2);
  rig.same(collector, []);
});

test("path identifiers are told where they were agreed on", () => {
  const rig = new BmpRig();
  const families = [{ family: "ipv4-unicast", receive: true, send: { all: true } }];
  rig.collector();
  const collector = rig.accept();
  const init = { addPath: [{ family: "ipv4-unicast", receive: true }] };
  const peer = rig.peer("192.0.2.2", init, { addPath: true });
  peer.announce("1 203.0.113.0/24");
  peer.announce("7 203.0.113.0/24", { path: "65002 65010" });
  rig.same(collector, ["192.0.2.2"], ["192.0.2.2"]);
  assert.equal(collector.table("192.0.2.2", "pre").length, 2);
  peer.withdraw("1 203.0.113.0/24");
  rig.same(collector, ["192.0.2.2"], ["192.0.2.2"]);
  assert.ok(families);
});

test("nothing is noted while nobody asks", () => {
  const rig = new BmpRig();
  const [table] = rig.core.routing.tables;
  rig.peer("192.0.2.2").announce("203.0.113.0/24");
  assert.equal(table.journal, undefined);
  rig.collector({ adjRibInPre: true });
  assert.equal(table.journal, undefined);
  rig.accept();
  assert.notEqual(table.journal, undefined);
  rig.lose();
  assert.equal(table.journal, undefined);
  assert.equal(rig.core.bmp.wantsSent, false);
  assert.equal(rig.core.watchers.cursorCount, 0);
});

test("attempts that fail wait twice as long each time, up to the bound", () => {
  const rig = new BmpRig();
  rig.collector({ ...everything, retry: { seconds: 2n }, maxRetry: { seconds: 5n } });
  const waits: number[] = [];
  for (let i = 0; i < 4; i++) {
    const atMs = rig.nowMs;
    const { length } = rig.connects;
    rig.lose("ECONNREFUSED");
    assert.equal(rig.state().lastError, "ECONNREFUSED");
    while (rig.connects.length === length) rig.advance(1000);
    waits.push((rig.nowMs - atMs) / 1000);
  }
  assert.deepEqual(waits, [2, 4, 5, 5]);
  rig.accept();
  assert.equal(rig.state().lastError, "");
  assert.equal(rig.topics().filter((topic) => topic === "cairn.bmp.collector.failed").length, 1);
});

test("one that is a whole journal behind is let go of, and begins anew", () => {
  const rig = new BmpRig();
  rig.collector({ ...everything, retry: { seconds: 1n } });
  rig.accept();
  const peer = rig.peer("192.0.2.2");
  rig.stalled = true;
  const prefixes = nlriHex(Array.from({ length: 900 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`));
  const messages = ["65002 1", "65002 2"].map((path) =>
    update(attributesHex({ origin: "igp", path, nextHop: "192.0.2.2" }, 4), prefixes),
  );
  let most = 0n;
  for (let round = 0; rig.state().lapped === 0n && round < 3000; round++) {
    peer.send(messages[round % 2]);
    const { queuedBytes } = rig.state();
    if (queuedBytes > most) most = queuedBytes;
  }
  assert.equal(rig.state().lapped, 1n);
  // It was told nothing beyond what it had room for: the rest stood in the tables.
  assert.ok(most <= 3n << 20n, `${most} bytes`);
  const [table] = rig.core.routing.tables;
  assert.equal(table.journal, undefined);
  assert.deepEqual(
    rig.closes.map(({ abort }) => abort),
    [true],
  );
  assert.ok(rig.topics().includes("cairn.bmp.collector.lost"));
  rig.stalled = false;
  rig.waiting = [];
  rig.advance(1000);
  rig.same(rig.accept(), ["192.0.2.2"]);
});

test("what is copied for one that is slow has a bound", () => {
  const rig = new BmpRig();
  rig.collector({ ...everything, mirroring: true });
  rig.accept();
  rig.peer("192.0.2.2");
  rig.stalled = true;
  const { id } = rig.core.neighbors.named("192.0.2.2")!;
  const bytes = new Uint8Array(60_000).fill(255);
  bytes.set([60_000 >> 8, 60_000 & 255, 2], 16);
  const half = limits.bmpQueueBytesMax / 2;
  while (rig.state().mirrorLost === 0n) rig.core.bmp.mirror(id, bytes, 0, bytes.length, false);
  assert.ok(rig.state().queuedBytes > half && rig.state().queuedBytes < half + 70_000);
  while (!rig.core.bmp.hasWork) rig.core.bmp.sent(id, bytes);
  assert.ok(rig.state().queuedBytes < limits.bmpQueueBytesMax + 70_000);
  rig.run();
  assert.equal(rig.state().lapped, 1n);
  assert.equal(rig.state().sessionState, "waiting");
});

test("one that reads nothing for a minute and a half is let go of", () => {
  const rig = new BmpRig();
  rig.collector();
  rig.stalled = true;
  rig.accept();
  rig.peer("192.0.2.2").announce("203.0.113.0/24");
  rig.advance(89_000);
  assert.equal(rig.closes.length, 0);
  rig.advance(2_000);
  assert.deepEqual(
    rig.closes.map(({ abort }) => abort),
    [true],
  );
  assert.equal(rig.state().sessionState, "waiting");
});

test("one that talks is let go of", () => {
  const rig = new BmpRig();
  rig.collector();
  rig.accept();
  const { conn } = rig.connects[0];
  rig.input({ kind: "bmp.bytes", conn, count: 100 });
  assert.equal(rig.closes.length, 0);
  rig.input({ kind: "bmp.bytes", conn, count: 1 << 20 });
  assert.equal(rig.closes.length, 1);
  assert.match(rig.state().lastError, /sends data/);
});

test("the daemon says good-bye", () => {
  const rig = new BmpRig();
  rig.peer("192.0.2.2");
  rig.collector();
  const collector = rig.accept();
  rig.operate({ op: "shutdown", message: "", hard: false, graceful: false });
  assert.equal(collector.ofType(BmpType.termination).length, 1);
  assert.ok(!collector.peers.has("loc"));
});

/** A neighbor whose routes may outlive its session. */
const restarts: Capability = {
  ...{ kind: "graceful-restart", restarting: false, notification: false, restartTimeS: 30 },
  families: [{ afi: 1, safi: 1, forwarding: true }],
};

const rounds = Number(process.env.CAIRN_BMP_ROUNDS ?? 4);

for (let seed = 1; seed <= rounds; seed++) {
  test(`under churn and over reconnects the collector has what the API lists (seed ${seed})`, () => {
    const random = seededRandom(seed);
    const any = (below: number): number => Math.floor(random() * below);
    const rig = new BmpRig();
    rig.policy({ name: "half", statements: [{ set: { localPref: 150 }, action: PolicyAction.ACCEPT }] });
    const imports = [["accept-all"], ["half"], ["reject-all"]];
    const addresses = ["192.0.2.2", "192.0.2.3", "192.0.2.4"];
    const peers = addresses.map((address, i) =>
      rig.peer(
        address,
        {
          remoteAsn: 65002 + i,
          softReconfiguration: i !== 1,
          import: imports[i % 2],
          idleHoldTime: { seconds: 0n },
          gracefulRestart: i === 2 ? GracefulRestart.HELPER : GracefulRestart.OFF,
        },
        { capabilities: i === 2 ? [restarts] : [] },
      ),
    );
    rig.collector({ ...everything, retry: { seconds: 1n }, maxRetry: { seconds: 1n } });
    let collector = rig.accept();
    const isUp = (address: string): boolean => rig.core.neighbors.named(address)?.negotiated !== undefined;
    const prefix = (): string => `10.${any(3)}.${any(40)}.0/24`;
    for (let step = 0; step < 250; step++) {
      const at = any(peers.length);
      const peer = peers[at];
      const drawn = random();
      if (!peer.up) peer.connect();
      else if (!isUp(peer.address)) rig.advance(1000);
      else if (drawn < 0.5)
        peer.announce([...new Set(Array.from({ length: 1 + any(12) }, prefix))], {
          path: `${peer.asn} ${65_100 + any(5)}`,
          ...(any(2) === 0 && { communities: "65002:7" }),
        });
      else if (drawn < 0.8) peer.withdraw([...new Set(Array.from({ length: 1 + any(12) }, prefix))]);
      else if (drawn < 0.83) peer.drop();
      else if (drawn < 0.85) peer.notify(6, 4);
      else if (drawn < 0.88)
        rig.neighbor({
          address: peer.address,
          remoteAsn: peer.asn,
          softReconfiguration: at !== 1,
          import: imports[any(3)],
          idleHoldTime: { seconds: 0n },
          gracefulRestart: at === 2 ? GracefulRestart.HELPER : GracefulRestart.OFF,
        });
      else if (drawn < 0.9) rig.inject({ prefix: prefix(), nextHop: "192.0.2.9" });
      else if (drawn < 0.93) rig.stalled = true;
      else if (drawn < 0.97) {
        rig.stalled = false;
        rig.read();
      } else if (rig.state().connectedSince) {
        rig.stalled = false;
        rig.lose();
        rig.advance(1000 + any(3000));
        collector = rig.accept();
      }
      if (step % 10 === 0) {
        rig.stalled = false;
        rig.read();
        rig.same(collector, addresses.filter(isUp));
      }
    }
    assert.ok(collector.routeMessages > 20);
  });
}
