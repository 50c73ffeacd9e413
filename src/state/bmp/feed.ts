/**
 * What one connected collector is told, from its first message to the end of the connection:
 *
 *   Adj-RIB-In    a walk over the paths of a table, once; then its journal of changed paths, read at our own pace
 *   Adj-RIB-Out   a walk over what update groups hold for each neighbor, once; UPDATEs are copied as they are sent
 *   Loc-RIB       cursors in the change lists (loc-rib-feed.ts)
 *   sessions, statistics, mirrored messages: written as they come
 *
 * What is read waits while the connection has enough to send, and what is copied has a bound: a collector that is too
 * slow for that, or a whole journal behind, has missed something, and is to be connected to anew.
 */
import { limits } from "../../base/limits.ts";
import {
  type PeerBytes,
  type PeerDown,
  writeInitiation,
  writeMirror,
  writeMirrorLost,
  writePeerDown,
  writePeerUp,
  writeRoute,
  writeStatistics,
  writeTermination,
} from "../../bmp/encode.ts";
import { DownReason, type InfoTlv } from "../../bmp/types.ts";
import { isAccepted } from "../../rib/path-flags.ts";
import { Before } from "../../rib/path-journal.ts";
import type { RouteTable } from "../../rib/route-table.ts";
import { type Family, families } from "../../wire/family.ts";
import { MessageType, readU16 } from "../../wire/message.ts";
import { MessageWriter } from "../../wire/message-writer.ts";
import type { NeighborRecord } from "../neighbor-record.ts";
import type { Neighbors } from "../neighbors.ts";
import type { Routing } from "../routing.ts";
import type { SessionOpening } from "../session-port.ts";
import type { Watchers } from "../watchers.ts";
import { LocRibFeed, tableName } from "./loc-rib-feed.ts";
import {
  type MonitoredPeer,
  type MonitoredRibs,
  monitoredPeer,
  peerUpOf,
  type Runs,
} from "./monitored-peer.ts";
import { RouteRun, type RouteSink } from "./route-run.ts";
import { locRibStatistics, peerStatistics } from "./statistics.ts";

export interface FeedHost {
  readonly routing: Routing;
  readonly neighbors: Neighbors;
  readonly watchers: Watchers;
  /** What opened a neighbor's session. */
  opening(neighbor: number): SessionOpening | undefined;
  nowMs(): number;
  wallMs(): number;
  send(bytes: Uint8Array): void;
}

export interface FeedSettings extends MonitoredRibs {
  readonly locRib: boolean;
  readonly mirroring: boolean;
  /** True for neighbors that are told of. */
  wants(record: NeighborRecord): boolean;
}

/** Counters that outlive a connection. */
export interface FeedTally {
  messages: number;
  routeMessages: number;
  bytes: number;
  mirrored: number;
  mirrorLost: number;
  oversize: number;
}

/** Where the Adj-RIB-In of one family is read. */
interface InPlace {
  readonly table: RouteTable;
  /** Next entry of the journal. */
  entry: number;
  /** Next path row of the walk; 0 while there is none. */
  row: number;
  /** Peers whose walk begins when the present one is over. */
  waiting: MonitoredPeer[];
  /** Peers whose End-of-RIB came; told when the journal was read up to there. */
  ends: { readonly peer: MonitoredPeer; readonly entry: number }[];
}

/** An Adj-RIB-Out that is replayed. */
interface OutWalk {
  readonly peer: MonitoredPeer;
  readonly family: Family;
  row: number;
}

/** While so much waits for the connection, tables are not read. */
const highWaterBytes = 1 << 20;
/** Bytes are handed to the shell in pieces of about this size. */
const pieceBytes = 1 << 16;
/** Routes between two looks at how much waits. */
const routesPerPiece = 1024;

export class Feed implements RouteSink {
  readonly settings: FeedSettings;
  /** Something was missed: the connection is of no use any more. */
  lapped = false;
  /** Bytes that the shell has and the kernel has not. */
  queued = 0;
  private readonly host: FeedHost;
  private readonly tally: FeedTally;
  private out = new MessageWriter(pieceBytes);
  private readonly runs: Runs;
  private readonly peers: (MonitoredPeer | undefined)[] = [];
  private readonly places: readonly InPlace[];
  private readonly outWalks: OutWalk[] = [];
  private locRib: LocRibFeed | undefined;
  private readonly locRibRun: RouteRun;
  /** Neighbors that the collector was told are up. */
  peerCount = 0;

  constructor(host: FeedHost, settings: FeedSettings, tally: FeedTally) {
    this.host = host;
    this.settings = settings;
    this.tally = tally;
    const { attributes, tables } = host.routing;
    const run = (): RouteRun => new RouteRun(attributes);
    this.runs = { received: run(), accepted: run(), sent: run() };
    this.locRibRun = run();
    this.places = tables.map((table) => ({
      ...{ table, entry: table.journal?.end ?? 0, row: 0 },
      ...{ waiting: [], ends: [] },
    }));
  }

  /** Says who we are, and of whom there is something to tell. */
  start(info: readonly InfoTlv[]): void {
    writeInitiation(this.out, info);
    this.tally.messages++;
    const { routing, neighbors, watchers } = this.host;
    const { global } = neighbors;
    if (this.settings.locRib && global) {
      this.locRib = new LocRibFeed(routing, watchers, this.locRibRun, global);
      const { timeS, micros } = this.stamp();
      writePeerUp(this.out, this.locRib.peer, timeS, micros, LocRibFeed.peerUp(global));
      this.tally.messages++;
    }
    for (const record of neighbors.all()) this.up(record, true);
  }

  /** Ends what can be ended in order. */
  terminate(reason: number, text: string): void {
    const { timeS, micros } = this.stamp();
    if (this.locRib) {
      const down: PeerDown = { reason: DownReason.locRib, info: tableName };
      writePeerDown(this.out, this.locRib.peer, timeS, micros, down);
      this.tally.messages++;
    }
    writeTermination(this.out, reason, text);
    this.tally.messages++;
    this.flush();
  }

  /** Lets go of what it holds in tables. */
  close(): void {
    this.locRib?.close();
    this.locRib = undefined;
  }

  // Sessions

  /**
   * A neighbor's session is up.
   * @param before it was so before we could tell: its routes have to be replayed
   */
  up(record: NeighborRecord, before: boolean): void {
    const { negotiated } = record;
    const opening = this.host.opening(record.id);
    if (!negotiated || !opening || this.peers[record.id] || !this.settings.wants(record)) return;
    const peer = monitoredPeer(record, negotiated, this.host.routing, this.runs);
    this.peers[record.id] = peer;
    this.peerCount++;
    const upMs = this.host.wallMs() - (this.host.nowMs() - opening.establishedAtMs);
    const { timeS, micros } = stampOf(upMs);
    writePeerUp(this.out, peer.header, timeS, micros, peerUpOf(record, negotiated, opening));
    this.tally.messages++;
    for (const family of families) {
      if (!peer.streams[family.index]) continue;
      const place = this.places[family.index];
      // What it sent in a session before may still be there (RFC 4724).
      if (this.readsPaths && (before || place.table.received[record.id] > 0)) this.walk(place, peer);
      if (this.settings.out && before) this.outWalks.push({ peer, family, row: 1 });
    }
  }

  down(record: NeighborRecord, down: PeerDown): void {
    const peer = this.peers[record.id];
    if (!peer) return;
    this.peers[record.id] = undefined;
    this.peerCount--;
    const { timeS, micros } = this.stamp();
    writePeerDown(this.out, peer.header, timeS, micros, down);
    this.tally.messages++;
  }

  /** Which neighbors are told of may be others now. */
  settle(): void {
    for (const record of this.host.neighbors.all()) {
      if (this.settings.wants(record)) this.up(record, true);
      else this.down(record, { reason: DownReason.deconfigured });
    }
  }

  private isKnown(peer: MonitoredPeer): boolean {
    return this.peers[peer.record.id] === peer;
  }

  private get readsPaths(): boolean {
    return this.settings.pre || this.settings.post;
  }

  private walk(place: InPlace, peer: MonitoredPeer): void {
    place.waiting.push(peer);
    if (place.row === 0) this.beginWalk(place);
  }

  private beginWalk(place: InPlace): void {
    for (const peer of place.waiting) peer.walking[place.table.family.index] = true;
    place.row = place.waiting.length > 0 ? 1 : 0;
    this.walkers[place.table.family.index] = place.waiting;
    place.waiting = [];
  }

  /** Peers of the present walk, by family index. */
  private readonly walkers: MonitoredPeer[][] = families.map(() => []);

  /** A neighbor has sent all its routes. */
  endOfRib(record: NeighborRecord, family: Family): void {
    const peer = this.peers[record.id];
    if (!peer || !this.readsPaths) return;
    const { ends, table } = this.places[family.index];
    ends.push({ peer, entry: table.journal?.end ?? 0 });
  }

  // What is copied

  /** UPDATEs that were sent to a neighbor, whole ones. */
  sent(neighbor: number, bytes: Uint8Array): void {
    const peer = this.peers[neighbor];
    if (!peer || !this.settings.out) return;
    const { timeS } = this.stamp();
    for (let from = 0; from < bytes.length; ) {
      const to = from + readU16(bytes, from + 16);
      if (bytes[from + 18] === MessageType.update)
        this.route(peer.header, peer.outFlags, timeS, bytes, from, to);
      from = to;
    }
    if (this.waitingBytes > limits.bmpQueueBytesMax) this.lapped = true;
  }

  /** A message that came from a neighbor, `bytes[start, end)`. */
  mirror(neighbor: number, bytes: Uint8Array, start: number, end: number, errored: boolean): void {
    const peer = this.peers[neighbor];
    if (!peer || !this.settings.mirroring) return;
    const { timeS, micros } = this.stamp();
    if (this.waitingBytes > limits.bmpQueueBytesMax / 2) {
      peer.mirrorLost = true;
      this.tally.mirrorLost++;
      return;
    }
    if (peer.mirrorLost) {
      writeMirrorLost(this.out, peer.header, timeS, micros);
      this.tally.messages++;
      peer.mirrorLost = false;
    }
    writeMirror(this.out, peer.header, 0, timeS, micros, bytes, start, end, errored);
    this.tally.mirrored++;
    this.tally.messages++;
  }

  /** Reports how much there is of everything. */
  report(): void {
    const { routing } = this.host;
    const { timeS, micros } = this.stamp();
    if (this.locRib) {
      writeStatistics(this.out, this.locRib.peer, timeS, micros, locRibStatistics(routing));
      this.tally.messages++;
    }
    for (const peer of this.peers) {
      if (!peer) continue;
      writeStatistics(this.out, peer.header, timeS, micros, peerStatistics(routing, peer.record));
      this.tally.messages++;
    }
  }

  route(peer: PeerBytes, flags: number, timeS: number, bytes: Uint8Array, from: number, to: number): void {
    writeRoute(this.out, peer, flags, timeS, bytes, from, to);
    this.tally.messages++;
    this.tally.routeMessages++;
  }

  oversize(): void {
    this.tally.oversize++;
  }

  // What is read

  /** Bytes on their way to the collector. */
  get waitingBytes(): number {
    return this.queued + this.out.at;
  }

  private get hasRoom(): boolean {
    return this.waitingBytes < highWaterBytes;
  }

  get hasWork(): boolean {
    if (this.lapped || !this.hasRoom) return false;
    return this.placesHaveWork() || this.locRib?.hasWork === true || this.nextOutWalk() !== undefined;
  }

  private placesHaveWork(): boolean {
    for (let i = 0; i < this.places.length; i++) {
      const { table, entry, row, ends } = this.places[i];
      if (row !== 0 || ends.length > 0 || (table.journal !== undefined && entry < table.journal.end))
        return true;
    }
    return false;
  }

  /** All that was there when the connection came up has been told. */
  get isComplete(): boolean {
    return (
      this.places.every(({ row }) => row === 0) &&
      this.outWalks.length === 0 &&
      (this.locRib?.isComplete ?? true)
    );
  }

  /** What is left to be told. */
  get lag(): number {
    let sum = this.locRib?.lag ?? 0;
    for (const { table, entry, row } of this.places) {
      if (table.journal) sum += table.journal.end - entry;
      if (row !== 0) sum += table.paths.rows - row;
    }
    for (const { family, row } of this.outWalks) sum += this.host.routing.table(family).prefixes.rows - row;
    return sum;
  }

  /** The next entry of a table's journal that was not read; undefined when nothing of it is wanted. */
  entryOf(table: RouteTable): number | undefined {
    return this.readsPaths ? this.places[table.family.index].entry : undefined;
  }

  /** Goes on for about so many routes. */
  run(routes: number): void {
    this.lookForLap();
    let left = routes;
    while (left > 0 && this.hasWork) {
      const max = Math.min(left, routesPerPiece);
      let looked = 1;
      for (const place of this.places) {
        looked += this.readJournal(place, max);
        looked += this.stepWalk(place, max);
      }
      if (this.locRib?.hasWork) {
        const { timeS } = this.stamp();
        const { peer } = this.locRib;
        looked += this.locRib.step(max, this, timeS, (end) => this.route(peer, 0, timeS, end, 0, end.length));
        this.locRibRun.flush(this);
      }
      looked += this.stepOutWalk(max);
      left -= looked;
      if (this.out.at >= pieceBytes) this.flush();
    }
  }

  /** Hands over what was written. */
  flush(): void {
    const { out } = this;
    if (out.at === 0) return;
    // A large buffer goes as it is; of a small one it is cheaper to copy what is in it.
    const isLarge = out.at >= out.bytes.length / 2;
    const bytes = isLarge ? out.bytes.subarray(0, out.at) : out.take();
    if (isLarge || out.bytes.length > pieceBytes * 4) this.out = new MessageWriter(pieceBytes);
    else out.reset();
    this.queued += bytes.length;
    this.tally.bytes += bytes.length;
    this.host.send(bytes);
  }

  /** Looked for also while there is no room: there is no use in waiting for it. */
  private lookForLap(): void {
    if (!this.readsPaths) return;
    for (const { table, entry } of this.places)
      if (table.journal && entry < table.journal.start) this.lapped = true;
  }

  private readJournal(place: InPlace, max: number): number {
    const { table, ends } = place;
    const { journal } = table;
    if (!journal || !this.readsPaths) return 0;
    const first = place.entry;
    const stop = Math.min(journal.end, first + max);
    const { timeS } = this.stamp();
    for (let entry = first; entry < stop; entry++) {
      const neighbor = journal.neighborOf(entry);
      const peer = this.peers[neighbor];
      if (!peer) continue;
      const prefix = journal.prefixOf(entry);
      const pathId = journal.pathIdOf(entry);
      const path = table.find(neighbor, prefix, pathId);
      this.tell(peer, table, path, prefix, pathId, journal.beforeOf(entry), timeS);
    }
    place.entry = stop;
    this.flushPaths();
    while (ends.length > 0 && ends[0].entry <= stop) {
      const { peer } = ends.shift()!;
      if (this.isKnown(peer) && !peer.walking[table.family.index]) this.tellEnd(peer, table.family);
    }
    return stop - first;
  }

  private stepWalk(place: InPlace, max: number): number {
    const { table, row } = place;
    if (row === 0) return 0;
    const { paths, family } = table;
    const stop = Math.min(paths.rows, row + max);
    const { timeS } = this.stamp();
    for (let path = row; path < stop; path++) {
      if (paths.received[path] === 0) continue;
      const peer = this.peers[paths.neighbor[path]];
      if (peer?.walking[family.index])
        this.tell(peer, table, path, paths.prefix[path], paths.idOf(path), Before.nothing, timeS);
    }
    this.flushPaths();
    place.row = stop;
    if (stop < paths.rows) return stop - row;
    for (const peer of this.walkers[family.index]) {
      peer.walking[family.index] = false;
      if (this.isKnown(peer)) this.tellEnd(peer, family);
    }
    this.beginWalk(place);
    return stop - row;
  }

  private flushPaths(): void {
    this.runs.received.flush(this);
    this.runs.accepted.flush(this);
  }

  /**
   * Tells what there is of a path now.
   * @param path 0 when it is gone; @param before what there was of it when last it was told
   */
  private tell(
    peer: MonitoredPeer,
    { family, paths }: RouteTable,
    path: number,
    prefix: number,
    pathId: number,
    before: number,
    nowS: number,
  ): void {
    const streams = peer.streams[family.index];
    if (!streams) return;
    const { pre, post } = this.settings;
    const { received: first, accepted: second } = this.runs;
    if (path === 0) {
      const goesPost = post && before === Before.accepted;
      if (pre && before !== Before.nothing) {
        first.add(this, goesPost ? streams.both : streams.pre, 0, nowS, prefix, pathId);
      } else if (goesPost) second.add(this, streams.post, 0, nowS, prefix, pathId);
      return;
    }
    const received = paths.received[path];
    const attr = paths.attr[path];
    const timeS = paths.time[path];
    const isIn = isAccepted(paths.flags[path]);
    if (pre && post && isIn && attr === received) {
      first.add(this, streams.both, received, timeS, prefix, pathId);
      return;
    }
    if (pre) first.add(this, streams.pre, received, timeS, prefix, pathId);
    if (!post) return;
    if (isIn) second.add(this, streams.post, attr, timeS, prefix, pathId);
    else if (before === Before.accepted) second.add(this, streams.post, 0, nowS, prefix, pathId);
  }

  private tellEnd(peer: MonitoredPeer, family: Family): void {
    const streams = peer.streams[family.index];
    if (!streams) return;
    const end = streams.pre.writer.endOfRib();
    const { timeS } = this.stamp();
    const { pre, post } = this.settings;
    for (const flags of [...(pre ? streams.pre.flags : []), ...(post ? streams.post.flags : [])])
      this.route(peer.header, flags, timeS, end, 0, end.length);
  }

  /** The first walk whose neighbor was told all that its group holds; those behind wait until it was. */
  private nextOutWalk(): OutWalk | undefined {
    for (let i = 0; i < this.outWalks.length; i++) {
      const walk = this.outWalks[i];
      const { peer, family } = walk;
      const group = peer.record.groups[family.index];
      if (!this.isKnown(peer) || !group) this.outWalks.splice(i--, 1);
      else if (group.isAtFront(peer.record.id)) return walk;
    }
    return undefined;
  }

  private stepOutWalk(max: number): number {
    const walk = this.nextOutWalk();
    if (!walk) return 0;
    const { peer, family, row } = walk;
    const { id } = peer.record;
    const group = peer.record.groups[family.index]!;
    const { rows } = this.host.routing.table(family).prefixes;
    const { out } = peer.streams[family.index]!;
    const stop = Math.min(rows, row + max);
    const { timeS } = this.stamp();
    for (let prefix = row; prefix < stop; prefix++) {
      if (!group.announces(prefix, id)) continue;
      group.eachRoute(prefix, id, (attr, _source, pathId) => {
        this.runs.sent.add(this, out, attr, timeS, prefix, pathId);
      });
    }
    this.runs.sent.flush(this);
    walk.row = stop;
    if (stop < rows) return stop - row;
    this.outWalks.splice(this.outWalks.indexOf(walk), 1);
    if (peer.record.endOfRibSent[family.index]) {
      const end = out.writer.endOfRib();
      this.route(peer.header, peer.outFlags, timeS, end, 0, end.length);
    }
    return stop - row;
  }

  private stamp(): { readonly timeS: number; readonly micros: number } {
    return stampOf(this.host.wallMs());
  }
}

function stampOf(wallMs: number): { readonly timeS: number; readonly micros: number } {
  const timeS = Math.floor(wallMs / 1000);
  return { timeS, micros: Math.floor((wallMs - timeS * 1000) * 1000) };
}
