/**
 * The collectors that are declared: connecting to them, again and again; what each has to be told is its feed's to know
 * (feed.ts). Nothing is noted anywhere while none is connected.
 */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { limits } from "../../base/limits.ts";
import { textTlv } from "../../bmp/encode.ts";
import { DownReason, InfoType, TerminationReason } from "../../bmp/types.ts";
import {
  type BmpCollectorSpec,
  BmpCollectorSpecSchema,
  type BmpCollectorState,
  BmpCollectorStateSchema,
} from "../../gen/cairn/v1/bmp_service_pb.ts";
import { after } from "../../rib/change-list.ts";
import type { RouteTable } from "../../rib/route-table.ts";
import type { Family } from "../../wire/family.ts";
import { clientTls } from "../client-tls.ts";
import type { Effects } from "../effects.ts";
import { retryDefaultMs } from "../kinds/bmp-collector.ts";
import type { NeighborRecord } from "../neighbor-record.ts";
import type { Neighbors } from "../neighbors.ts";
import type { Touched } from "../objects.ts";
import type { Inputs } from "../part.ts";
import type { Routing } from "../routing.ts";
import type { DeclaredObjects } from "../rpki.ts";
import { durationMs } from "../schema.ts";
import type { ResetInfo, SessionHost, SessionOpening } from "../session-port.ts";
import type { Sessions } from "../sessions.ts";
import type { Watchers } from "../watchers.ts";
import { Feed, type FeedSettings, type FeedTally } from "./feed.ts";

export interface CollectorsHost {
  readonly objects: DeclaredObjects;
  readonly routing: Routing;
  readonly neighbors: Neighbors;
  readonly sessions: Sessions;
  readonly watchers: Watchers;
  readonly effects: Effects;
  nowMs(): number;
  wallMs(): number;
  readonly event: SessionHost["event"];
}

/** One declared collector. */
interface Collector {
  readonly name: string;
  spec: BmpCollectorSpec;
  /** Connection in use or under way; 0 for none. */
  conn: number;
  /** Set while it is connected. */
  feed: Feed | undefined;
  /** Failures in a row, and when to try again, monotonic milliseconds. */
  failures: number;
  retryAtMs: number;
  /** When the connection came up, wall clock; when it last took bytes, and when statistics are due, monotonic. */
  connectedMs: number;
  progressMs: number;
  reportAtMs: number;
  /** What the collector knows us by. */
  identity: string;
  /** It has all that was there. */
  complete: boolean;
  /** Bytes that it sent, which it should not. */
  heard: number;
  lastError: string;
  connections: number;
  lapped: number;
  readonly tally: FeedTally;
}

/** RFC 7854 3.2: a collector says nothing. What it says all the same is not read for ever. */
const heardMax = 1 << 16;
/** One that takes nothing for so long, with bytes waiting, is not there. */
const stallMs = 90_000;
/** Several routes a microsecond, as many of them share a message. */
const routesPerMicro = 2;
const defaultPort = 11_019;

export class Collectors {
  private readonly host: CollectorsHost;
  readonly arrivals: Inputs = {
    "bmp.connected": ({ conn, systemName, systemDescription }) => {
      const collector = this.byConn.get(conn);
      if (collector) this.connected(collector, systemName, systemDescription);
    },
    "bmp.sent": ({ conn, queued }) => {
      const collector = this.byConn.get(conn);
      if (!collector?.feed) return;
      if (queued < collector.feed.queued || queued === 0) collector.progressMs = this.host.nowMs();
      collector.feed.queued = queued;
    },
    "bmp.bytes": ({ conn, count }) => {
      const collector = this.byConn.get(conn);
      if (!collector) return;
      collector.heard += count;
      if (collector.heard > heardMax)
        this.lose(collector, "it sends data, which a collector never does", true);
    },
    "bmp.closed": ({ conn, error }) => {
      const collector = this.byConn.get(conn);
      if (collector) this.lose(collector, error ?? "the collector closed the connection", false);
    },
  };
  private readonly byName = new Map<string, Collector>();
  private readonly byConn = new Map<number, Collector>();
  private nextConn = 1;
  /** Those that are connected. */
  private feeds: Feed[] = [];
  /** Somebody wants copies of what is sent to neighbors, or of what comes from them. */
  wantsSent = false;
  wantsMirror = false;
  private isEnding = false;

  constructor(host: CollectorsHost) {
    this.host = host;
  }

  // ------------------------------------------------------------------------------------------------- what is declared

  start(): void {
    const declared = new Map(
      this.host.objects.entries("BmpCollector").map(({ name, spec }) => [name, spec as BmpCollectorSpec]),
    );
    for (const [name, collector] of this.byName) {
      const spec = declared.get(name);
      if (!spec) this.remove(collector);
      else this.configure(collector, spec);
    }
    for (const [name, spec] of declared) if (!this.byName.has(name)) this.add(name, spec);
  }

  /** Takes over what a commit changed. */
  apply(touched: readonly Touched[]): void {
    if (touched.some(({ kind }) => kind === "BmpCollector")) this.start();
    if (touched.some(({ kind }) => kind === "Global")) this.globalChanged();
    const filters = ["Neighbor", "PeerGroup", "DynamicRange"];
    if (touched.some(({ kind }) => filters.includes(kind))) for (const feed of this.feeds) feed.settle();
  }

  private add(name: string, spec: BmpCollectorSpec): void {
    if (this.byName.size >= limits.bmpCollectorsMax) {
      const summary = `BMP collector ${name} is not used: there are ${limits.bmpCollectorsMax} already`;
      this.host.event("cairn.bmp.collector.error", `BmpCollector/${name}`, 2, summary, {});
      return;
    }
    const retryAtMs = spec.shutdown ? Number.POSITIVE_INFINITY : this.host.nowMs();
    this.byName.set(name, {
      ...{ name, spec, conn: 0, feed: undefined, failures: 0, retryAtMs },
      ...{ connectedMs: 0, progressMs: 0, reportAtMs: 0, identity: "", complete: false, heard: 0 },
      ...{ lastError: "", connections: 0, lapped: 0 },
      tally: { messages: 0, routeMessages: 0, bytes: 0, mirrored: 0, mirrorLost: 0, oversize: 0 },
    });
  }

  private configure(collector: Collector, spec: BmpCollectorSpec): void {
    const isSame = connectionKey(collector.spec) === connectionKey(spec);
    const intervalMs = durationMs(collector.spec.statisticsInterval);
    collector.spec = spec;
    if (durationMs(spec.statisticsInterval) !== intervalMs) this.scheduleReport(collector);
    if (!isSame) this.renew(collector, "the settings changed");
  }

  private remove(collector: Collector): void {
    this.disconnect(collector, "the collector is not declared any more");
    this.byName.delete(collector.name);
  }

  /** What is said of ourselves and of our Loc-RIB is said once in a connection. */
  private globalChanged(): void {
    for (const collector of this.byName.values())
      if (collector.feed && collector.identity !== this.identity) this.renew(collector, "we changed");
  }

  private get identity(): string {
    const { global } = this.host.neighbors;
    return JSON.stringify([global?.asn, global?.routerId, global?.name]);
  }

  /** Begins a new connection at once. */
  private renew(collector: Collector, why: string): void {
    this.disconnect(collector, why);
    collector.failures = 0;
    collector.retryAtMs = collector.spec.shutdown ? Number.POSITIVE_INFINITY : this.host.nowMs();
  }

  /** Tells the collector that it is over, and lets the connection end when that is out. */
  private disconnect(collector: Collector, why: string): void {
    collector.feed?.terminate(TerminationReason.administrative, why);
    this.drop(collector, false);
  }

  private drop(collector: Collector, abort: boolean): void {
    const { conn, feed } = collector;
    if (conn === 0) return;
    this.host.effects.push({ kind: "bmp.close", conn, abort });
    this.forget(collector, feed);
  }

  private forget(collector: Collector, feed: Feed | undefined): void {
    this.byConn.delete(collector.conn);
    collector.conn = 0;
    feed?.close();
    collector.feed = undefined;
    collector.complete = false;
    this.feeds = this.feeds.filter((each) => each !== feed);
    this.settleTables();
  }

  /** Has tables and sessions tell what somebody asks for, and no more. */
  private settleTables(): void {
    const reads = this.feeds.some(({ settings }) => settings.pre || settings.post);
    for (const table of this.host.routing.tables) table.keepJournal(reads ? limits.bmpJournalMax : 0);
    this.wantsSent = this.feeds.some(({ settings }) => settings.out);
    this.wantsMirror = this.feeds.some(({ settings }) => settings.mirroring);
    this.host.sessions.setMirror(
      this.wantsMirror
        ? (neighbor, bytes, start, end) => this.mirror(neighbor, bytes, start, end, false)
        : undefined,
    );
  }

  /** The daemon ends. */
  end(): void {
    this.isEnding = true;
    for (const collector of this.byName.values()) this.disconnect(collector, "the daemon ends");
  }

  // ----------------------------------------------------------------------------------------------------- connections

  private connect(collector: Collector): void {
    const { spec } = collector;
    collector.retryAtMs = Number.POSITIVE_INFINITY;
    collector.conn = this.nextConn++;
    this.byConn.set(collector.conn, collector);
    this.host.effects.push({
      kind: "bmp.connect",
      conn: collector.conn,
      host: spec.host,
      port: spec.port ?? defaultPort,
      localAddress: spec.localAddress,
      tls: clientTls(spec),
    });
  }

  private connected(collector: Collector, systemName: string, systemDescription: string): void {
    const { host } = this;
    const { conn, name } = collector;
    collector.connections++;
    collector.connectedMs = host.wallMs();
    collector.progressMs = host.nowMs();
    collector.heard = 0;
    collector.identity = this.identity;
    const settings = settingsOf(collector.spec);
    if (settings.pre || settings.post)
      for (const table of host.routing.tables) table.keepJournal(limits.bmpJournalMax);
    const feed = new Feed(
      {
        routing: host.routing,
        neighbors: host.neighbors,
        watchers: host.watchers,
        opening: (neighbor): SessionOpening | undefined => host.sessions.opening(neighbor),
        nowMs: () => host.nowMs(),
        wallMs: () => host.wallMs(),
        send: (bytes) => host.effects.push({ kind: "bmp.send", conn, bytes }),
      },
      settings,
      collector.tally,
    );
    collector.feed = feed;
    this.feeds.push(feed);
    this.settleTables();
    this.scheduleReport(collector);
    const ownName = host.neighbors.global?.name;
    feed.start([
      textTlv(InfoType.systemName, ownName || systemName),
      textTlv(InfoType.systemDescription, systemDescription),
    ]);
    host.event(
      "cairn.bmp.collector.connected",
      `BmpCollector/${name}`,
      1,
      `BMP collector ${name}: connected`,
      {},
    );
  }

  /** A connection that ended, or has to. */
  private lose(collector: Collector, why: string, abort: boolean): void {
    const { feed, name, spec } = collector;
    const isNews = feed !== undefined || collector.lastError !== why;
    collector.lastError = why;
    if (abort) this.drop(collector, true);
    else this.forget(collector, feed);
    const first = durationMs(spec.retry) || retryDefaultMs.first;
    const longest = durationMs(spec.maxRetry) || retryDefaultMs.longest;
    const waitMs = Math.min(longest, first * 2 ** Math.min(20, collector.failures++));
    collector.retryAtMs = this.host.nowMs() + waitMs;
    if (!isNews) return;
    const what = feed ? "lost" : "failed";
    const summary = `BMP collector ${name}: ${why}`;
    this.host.event(`cairn.bmp.collector.${what}`, `BmpCollector/${name}`, 2, summary, { error: why });
  }

  private scheduleReport(collector: Collector): void {
    const intervalMs = durationMs(collector.spec.statisticsInterval);
    collector.reportAtMs = intervalMs === 0 ? Number.POSITIVE_INFINITY : this.host.nowMs() + intervalMs;
  }

  // ----------------------------------------------------------------------------------------------------------- turns

  /** What is due: attempts, statistics, collectors that stand still. */
  tick(): void {
    const nowMs = this.host.nowMs();
    for (const collector of this.byName.values()) {
      const { feed } = collector;
      if (collector.conn === 0 && nowMs >= collector.retryAtMs && !this.isEnding) this.connect(collector);
      if (!feed) continue;
      if (feed.lapped) this.lapped(collector);
      else if (feed.queued > 0 && nowMs - collector.progressMs >= stallMs)
        this.lose(collector, "it takes no data", true);
      else if (nowMs >= collector.reportAtMs) {
        feed.report();
        feed.flush();
        this.scheduleReport(collector);
      }
    }
  }

  private lapped(collector: Collector): void {
    collector.lapped++;
    this.lose(collector, "it is too slow: changes of routes were missed", true);
  }

  nextMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { conn, feed, retryAtMs, reportAtMs, progressMs } of this.byName.values()) {
      if (conn === 0 && !this.isEnding) next = Math.min(next, retryAtMs);
      if (!feed) continue;
      next = Math.min(next, reportAtMs);
      if (feed.queued > 0) next = Math.min(next, progressMs + stallMs);
    }
    return next;
  }

  get hasWork(): boolean {
    return this.feeds.some((feed) => feed.hasWork || feed.lapped);
  }

  run(micros: number): void {
    if (this.feeds.length === 0) return;
    const routes = micros * routesPerMicro;
    for (const feed of this.feeds) {
      feed.run(routes / this.feeds.length);
      feed.flush();
    }
    for (const collector of this.byName.values()) this.settleComplete(collector);
    for (const table of this.host.routing.tables) {
      if (!table.journal) continue;
      let read = table.journal.end;
      for (const feed of this.feeds) read = Math.min(read, feed.entryOf(table) ?? read);
      table.journal.release(read);
    }
  }

  private settleComplete(collector: Collector): void {
    const { feed, name } = collector;
    if (!feed || collector.complete || !feed.isComplete) return;
    collector.complete = true;
    collector.failures = 0;
    collector.lastError = "";
    const summary = `BMP collector ${name}: it was told of all that there is`;
    this.host.event("cairn.bmp.collector.replayed", `BmpCollector/${name}`, 1, summary, {});
  }

  /** The smallest revision of a table's change list that readers of its journal have passed. */
  passed({ journal, changes, family }: RouteTable): number | undefined {
    if (!journal) return undefined;
    let least = changes.revision;
    for (const feed of this.feeds) {
      const entry = feed.entryOf(this.host.routing.table(family));
      if (entry === undefined || entry < journal.start) continue;
      const read = journal.passed(entry, changes.revision);
      if (after(least, read)) least = read;
    }
    return least;
  }

  // -------------------------------------------------------------------------------------------- what the core tells

  established(record: NeighborRecord): void {
    for (const feed of this.feeds) feed.up(record, false);
  }

  down(record: NeighborRecord, reset: ResetInfo, notification: Uint8Array | undefined): void {
    for (const feed of this.feeds) {
      if (notification) {
        const reason = reset.local ? DownReason.localNotification : DownReason.remoteNotification;
        feed.down(record, { reason, notification });
      } else if (reset.local) feed.down(record, { reason: DownReason.localNoNotification, fsmEvent: 0 });
      else feed.down(record, { reason: DownReason.remoteNoNotification });
    }
  }

  /** A neighbor has sent all its routes. */
  endOfRib(record: NeighborRecord, family: Family): void {
    for (const feed of this.feeds) feed.endOfRib(record, family);
  }

  /** UPDATEs that were sent to a neighbor. */
  sent(neighbor: number, bytes: Uint8Array): void {
    for (const feed of this.feeds) feed.sent(neighbor, bytes);
  }

  /** A message that came from a neighbor. */
  mirror(neighbor: number, bytes: Uint8Array, start: number, end: number, errored: boolean): void {
    for (const feed of this.feeds) feed.mirror(neighbor, bytes, start, end, errored);
  }

  // ------------------------------------------------------------------------------------------------------------- API

  state(name: string): BmpCollectorState | undefined {
    const collector = this.byName.get(name);
    if (!collector) return undefined;
    const { spec, conn, feed, complete, tally, retryAtMs } = collector;
    const phase = feed ? (complete ? "monitoring" : "replaying") : conn !== 0 ? "connecting" : "waiting";
    const waitsMs = retryAtMs - this.host.nowMs();
    const retries = conn === 0 && Number.isFinite(waitsMs);
    return create(BmpCollectorStateSchema, {
      sessionState: spec.shutdown ? "shutdown" : phase,
      connectedSince: feed ? timestampFromMs(Math.floor(collector.connectedMs)) : undefined,
      retryTime: retries ? timestampFromMs(Math.ceil(this.host.wallMs() + Math.max(0, waitsMs))) : undefined,
      lastError: collector.lastError,
      peers: feed?.peerCount ?? 0,
      lag: BigInt(feed?.lag ?? 0),
      queuedBytes: BigInt(feed?.waitingBytes ?? 0),
      connections: BigInt(collector.connections),
      lapped: BigInt(collector.lapped),
      messages: BigInt(tally.messages),
      bytes: BigInt(tally.bytes),
      routeMessages: BigInt(tally.routeMessages),
      mirrored: BigInt(tally.mirrored),
      mirrorLost: BigInt(tally.mirrorLost),
      oversize: BigInt(tally.oversize),
    });
  }
}

function settingsOf(spec: BmpCollectorSpec): FeedSettings {
  const addresses = new Set(spec.neighbors);
  const groups = new Set(spec.peerGroups);
  const isOfAll = addresses.size + groups.size === 0;
  return {
    pre: spec.adjRibInPre,
    post: spec.adjRibInPost,
    out: spec.adjRibOutPost,
    locRib: spec.locRib,
    mirroring: spec.mirroring,
    wants: ({ config }) => isOfAll || addresses.has(config.address) || groups.has(config.peerGroup),
  };
}

/** What a new connection is needed for. */
function connectionKey(spec: BmpCollectorSpec): string {
  const free: ReadonlySet<string> = new Set(["description", "retry", "maxRetry", "statisticsInterval"]);
  const fields = BmpCollectorSpecSchema.fields.filter(({ localName }) => !free.has(localName));
  return JSON.stringify(
    fields.map(({ localName }) => spec[localName as keyof BmpCollectorSpec]) as unknown[],
  );
}
