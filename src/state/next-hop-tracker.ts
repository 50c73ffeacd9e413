/**
 * Keeps what is known of each next hop in use true, and runs best path again for what depends on one that changed.
 *
 *   kernel's answers, links, best BGP routes --> dirty next hops --> resolved again, a bounded number per turn
 *     --> those that came out otherwise --> their paths, in slices (jobs) --> best path
 *
 * Changes are collected until the turn's end, so five notifications of one link flap are one piece of work. A next hop
 * that keeps changing is looked at less and less often: routes that take the ground from under each other would go
 * round for ever, as fast as they can.
 */

import { addressWords, CoverIndex } from "../base/cover-index.ts";
import { formatIp } from "../base/ip.ts";
import { limits } from "../base/limits.ts";
import { type KernelRoute, type Link, ownBgpProtocol, type RouteAnswer } from "../dataplane/kernel-model.ts";
import type { NextHopId, NextHops } from "../rib/next-hops.ts";
import { PrefixTable4, PrefixTable16 } from "../rib/prefix-table.ts";
import type { RouteTable } from "../rib/route-table.ts";
import type { Effects } from "./effects.ts";
import type { Jobs } from "./jobs.ts";
import { type Facts, NextHopResolver, type Way } from "./next-hop-resolver.ts";
import type { Routing } from "./routing.ts";
import type { SessionHost } from "./session-port.ts";

export interface NextHopTrackerHost {
  readonly routing: Routing;
  readonly jobs: Jobs;
  readonly effects: Effects;
  nowMs(): number;
  /** Wall-clock seconds, for the age of paths. */
  nowS(): number;
  viaDefault(): boolean;
  link(index: number): Link | undefined;
  links(): Iterable<Link>;
  /** A next hop is reached otherwise, even where best path sees no difference. */
  moved(hop: NextHopId): void;
  readonly event: SessionHost["event"];
}

/** A next hop that some path uses. */
export interface TrackedNextHop {
  readonly id: NextHopId;
  readonly address: Uint8Array;
  readonly text: string;
  /** What the kernel does with packets to it; undefined as long as it was not heard. */
  answer: { readonly route: KernelRoute | undefined } | undefined;
  way: Way | undefined;
  /** Next hops that its way depends on. */
  touched: readonly NextHopId[];
  /** When it last came out otherwise, and how often in quick succession. */
  changedMs: number;
  streak: number;
  /** Not to be looked at before this, monotonic milliseconds. */
  notBeforeMs: number;
}

/** So many changes in quick succession are followed at once; each further one waits twice as long as the one before. */
const freeChanges = 4;
const holdBaseMs = 50;
const holdMaxMs = 5_000;
/** Changes further apart than this are not in quick succession. */
const calmMs = 2_000;

export class NextHopTracker {
  private readonly host: NextHopTrackerHost;
  private readonly nextHops: NextHops;
  private readonly resolver: NextHopResolver;
  private readonly tracked = new Map<NextHopId, TrackedNextHop>();
  private readonly dirty = new Set<TrackedNextHop>();
  /** By next hop, those whose way depends on it. */
  private readonly dependants = new Map<NextHopId, Set<TrackedNextHop>>();
  /** By address size: whom a changed prefix covers. */
  private readonly covers = { 4: new CoverIndex(1), 16: new CoverIndex(4) };
  /** By family: this consumer's place in the change list. */
  private readonly markers: readonly number[];
  private readonly words = new Uint32Array(1);
  /** Next hops whose paths are to be looked at, and where the walk is. */
  private readonly walks = new Set<NextHopId>();
  private walkAt = 0;
  /** Counted since the start: next hops that came out otherwise, and paths looked at because of that. */
  changes = 0;
  pathsSettled = 0;

  constructor(host: NextHopTrackerHost) {
    this.host = host;
    this.nextHops = host.routing.nextHops!;
    const facts: Facts = {
      routing: host.routing,
      link: (index) => host.link(index),
      links: () => host.links(),
      answer: (hop) => this.tracked.get(hop)?.answer,
      viaDefault: () => host.viaDefault(),
    };
    this.resolver = new NextHopResolver(facts);
    this.markers = host.routing.tables.map((table) => {
      const marker = table.addMarker();
      table.changes.markTail(marker);
      return marker;
    });
  }

  get size(): number {
    return this.tracked.size;
  }

  all(): IterableIterator<TrackedNextHop> {
    return this.tracked.values();
  }

  /** The next hop with this address of 4 or 16 bytes, if some path uses it. */
  find(address: Uint8Array): TrackedNextHop | undefined {
    return this.tracked.get(this.nextHops.find(address));
  }

  // What happens

  /** The kernel's answers, after a next hop came into use and whenever another answer is given. */
  answered(answers: readonly RouteAnswer[]): void {
    for (const { address, route } of answers) {
      const hop = this.find(address);
      if (!hop) continue;
      hop.answer = { route };
      this.touch(hop);
    }
  }

  /** Routes of ours went out of the kernel, without a notice: what it said of next hops by such routes is asked again. */
  ownRoutesGone(): void {
    const again: Uint8Array[] = [];
    for (const { address, answer } of this.tracked.values()) {
      if (answer?.route?.protocol === ownBgpProtocol) again.push(address);
    }
    if (again.length > 0) this.host.effects.push({ kind: "kernel.watch", watch: again, unwatch: again });
  }

  way(hop: NextHopId): Way | undefined {
    return this.tracked.get(hop)?.way;
  }

  /** All that is in use was looked up, and nothing waits to be looked at again. */
  get settled(): boolean {
    if (this.hasWork || this.walks.size > 0) return false;
    for (const { answer } of this.tracked.values()) if (!answer) return false;
    return true;
  }

  /** Everything may come out otherwise: links changed, or what counts as a route. */
  reconsider(): void {
    for (const hop of this.tracked.values()) this.dirty.add(hop);
  }

  private touch(hop: TrackedNextHop): void {
    this.dirty.add(hop);
    for (const dependant of this.dependants.get(hop.id) ?? []) this.dirty.add(dependant);
  }

  // Work

  /** Does a bounded piece of work. */
  run(): void {
    this.takeMoved();
    this.followChanges();
    this.resolveDirty();
  }

  get hasWork(): boolean {
    if (this.nextHops.moved.length > 0) return true;
    const nowMs = this.host.nowMs();
    for (const hop of this.dirty) if (hop.notBeforeMs <= nowMs) return true;
    return this.host.routing.tables.some((table, i) => nextRoute(table, this.markers[i]) !== 0);
  }

  /** When a next hop that waits is due, monotonic milliseconds; Infinity for never. */
  nextMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const hop of this.dirty) next = Math.min(next, hop.notBeforeMs);
    return next;
  }

  /** Revision up to which this consumer has seen a table. */
  passed(table: RouteTable): number {
    return table.changes.revisionOf[this.markers[table.family.index]];
  }

  /** Begins to look for ways to next hops that came into use, and stops for those that went out of it. */
  private takeMoved(): void {
    const { moved } = this.nextHops;
    if (moved.length === 0) return;
    const watch: Uint8Array[] = [];
    const unwatch: Uint8Array[] = [];
    for (const id of moved) {
      const used = this.nextHops.usesOf(id) > 0;
      const before = this.tracked.get(id);
      const isSame = before !== undefined && used && sameAddress(before.address, this.nextHops.address(id));
      if (isSame) {
        // It went and came back, and what was known of it may be forgotten.
        if (before.way) this.learn(before, before.way);
        continue;
      }
      if (before) {
        this.forget(before);
        unwatch.push(before.address);
      }
      if (!used) continue;
      const address = this.nextHops.address(id);
      const hop: TrackedNextHop = {
        ...{ id, address, text: formatIp(address), answer: undefined, way: undefined, touched: [] },
        ...{ changedMs: Number.NEGATIVE_INFINITY, streak: 0, notBeforeMs: Number.NEGATIVE_INFINITY },
      };
      this.tracked.set(id, hop);
      watch.push(address);
      this.touch(hop);
      this.covers[sizeOf(address)].add(id, addressWords(address));
    }
    moved.length = 0;
    if (watch.length + unwatch.length > 0) this.host.effects.push({ kind: "kernel.watch", watch, unwatch });
  }

  private forget(hop: TrackedNextHop): void {
    this.dependOn(hop, []);
    this.tracked.delete(hop.id);
    this.dirty.delete(hop);
    this.covers[sizeOf(hop.address)].remove(addressWords(hop.address));
    // Whoever led on by it has lost that.
    for (const dependant of this.dependants.get(hop.id) ?? []) this.dirty.add(dependant);
  }

  /** Prefixes that changed may be those that lead to a next hop. */
  private followChanges(): void {
    const { tables } = this.host.routing;
    let left: number = limits.nextHopChangesPerTurn;
    for (let i = 0; i < tables.length && left > 0; i++) {
      const { changes } = tables[i];
      const marker = this.markers[i];
      let row = nextRoute(tables[i], marker);
      if (row === 0) continue;
      let last = 0;
      for (; row !== 0 && left > 0; row = changes.next[row], left--) {
        last = row;
        if (!tables[i].isMarker(row)) this.prefixChanged(tables[i], row);
      }
      changes.moveAfter(marker, last);
    }
  }

  private readonly touchId = (id: NextHopId): void => {
    const hop = this.tracked.get(id);
    if (hop) this.touch(hop);
  };

  private prefixChanged({ prefixes }: RouteTable, row: number): void {
    const length = prefixes.length[row];
    if (prefixes instanceof PrefixTable4) {
      this.words[0] = prefixes.address[row];
      this.covers[4].covered(this.words, 0, length, this.touchId);
    } else if (prefixes instanceof PrefixTable16)
      this.covers[16].covered(prefixes.words, row * 4, length, this.touchId);
  }

  private resolveDirty(): void {
    if (this.dirty.size === 0) return;
    const nowMs = this.host.nowMs();
    const lost: TrackedNextHop[] = [];
    const found: TrackedNextHop[] = [];
    let left: number = limits.nextHopsPerTurn;
    for (const hop of this.dirty) {
      if (hop.notBeforeMs > nowMs) continue;
      if (left-- === 0) break;
      this.dirty.delete(hop);
      const before = hop.way;
      const way = this.resolver.resolve(hop.id);
      this.dependOn(hop, [...this.resolver.touched]);
      hop.way = hop.answer ? way : undefined;
      if (before !== hop.way && !sameExits(before, hop.way)) this.host.moved(hop.id);
      if (!this.learn(hop, way)) continue;
      this.changes++;
      this.hold(hop, nowMs);
      if (before && before.reachable !== way.reachable) (way.reachable ? found : lost).push(hop);
    }
    this.tell(lost, "lost", 2);
    this.tell(found, "found", 1);
  }

  /** Takes over what was found. @returns true when paths have to be looked at again */
  private learn(hop: TrackedNextHop, { reachable, onLink, metric, routes, why }: Way): boolean {
    if (why === "") this.nextHops.why.delete(hop.id);
    else this.nextHops.why.set(hop.id, why);
    if (!this.nextHops.learn(hop.id, reachable, onLink, metric, routes)) return false;
    this.walks.add(hop.id);
    if (!this.host.jobs.has(jobKey)) this.host.jobs.start(this.walkJob());
    return true;
  }

  private hold(hop: TrackedNextHop, nowMs: number): void {
    const waitedMs = hop.streak > freeChanges ? holdMs(hop.streak) : 0;
    hop.streak = nowMs - hop.changedMs < Math.max(calmMs, waitedMs * 2) ? hop.streak + 1 : 0;
    hop.changedMs = nowMs;
    hop.notBeforeMs = hop.streak > freeChanges ? nowMs + holdMs(hop.streak) : nowMs;
  }

  private dependOn(hop: TrackedNextHop, touched: readonly NextHopId[]): void {
    for (const id of hop.touched) {
      const set = this.dependants.get(id);
      set?.delete(hop);
      if (set?.size === 0) this.dependants.delete(id);
    }
    hop.touched = touched;
    for (const id of touched) {
      const set = this.dependants.get(id);
      if (set) set.add(hop);
      else this.dependants.set(id, new Set([hop]));
    }
  }

  private walkJob(): { key: string; step(rows: number): boolean } {
    const nowS = this.host.nowS();
    let current: NextHopId | undefined;
    const step = (rows: number): boolean => {
      // Those of rules (FlowSpec) have no next hops.
      const tables = this.host.routing.tables.filter(({ nextHopPaths }) => nextHopPaths);
      for (let left = rows; left > 0; ) {
        if (current === undefined) {
          [current] = this.walks;
          if (current === undefined) return true;
          this.walks.delete(current);
          this.walkAt = 0;
          tables[0].nextHopPaths!.begin(current);
        }
        const table = tables[this.walkAt];
        const visited = table.nextHopPaths!.walk(left, (path) => this.settle(table, path, nowS));
        left -= visited + 1;
        if (left >= 0) {
          this.walkAt++;
          if (this.walkAt === tables.length) current = undefined;
          else tables[this.walkAt].nextHopPaths!.begin(current);
        }
      }
      return false;
    };
    return { key: jobKey, step };
  }

  private settle(table: RouteTable, path: number, nowS: number): void {
    const { attributes, neighbors } = this.host.routing;
    const { paths } = table;
    const hop = attributes.nextHop[paths.attr[path]];
    this.pathsSettled++;
    table.settleNextHop(path, this.nextHops.verdict(hop, neighbors.flags[paths.neighbor[path]]), nowS);
  }

  private tell(hops: readonly TrackedNextHop[], verb: "lost" | "found", severity: 1 | 2): void {
    for (const { text, way, id } of hops.slice(0, limits.nextHopEventsPerTurn)) {
      const paths = this.nextHops.usesOf(id);
      const how = verb === "lost" ? `cannot be reached any more: ${way!.why}` : "can be reached";
      const facts = { next_hop: text, paths: String(paths), why: way!.why };
      this.host.event(
        `cairn.rib.next_hop.${verb}`,
        "",
        severity,
        `next hop ${text} ${how} (${paths} paths)`,
        facts,
      );
    }
    const rest = hops.length - limits.nextHopEventsPerTurn;
    if (rest <= 0) return;
    const summary = `${rest} more next hops were ${verb}`;
    this.host.event(`cairn.rib.next_hop.${verb}`, "", severity, summary, { count: String(rest) });
  }
}

const jobKey = "next-hops";

/** The first prefix behind a marker, 0 for none: another marker behind it is no work. */
function nextRoute(table: RouteTable, marker: number): number {
  const { next } = table.changes;
  let row = next[marker];
  while (row !== 0 && table.isMarker(row)) row = next[row];
  return row;
}

function holdMs(streak: number): number {
  return Math.min(holdMaxMs, holdBaseMs * 2 ** (streak - freeChanges - 1));
}

function sameExits(a: Way | undefined, b: Way | undefined): boolean {
  if (a?.reachable !== b?.reachable || a?.out.length !== b?.out.length) return false;
  if (!a || !b) return true;
  const same = a.out.every(({ interface: name, gateway, weight }, i) => {
    const other = b.out[i];
    if (name !== other.interface || weight !== other.weight) return false;
    return gateway && other.gateway ? sameAddress(gateway, other.gateway) : gateway === other.gateway;
  });
  return same && a.through.at(-1) === b.through.at(-1);
}

function sizeOf(address: Uint8Array): 4 | 16 {
  return address.length === 4 ? 4 : 16;
}

function sameAddress(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
