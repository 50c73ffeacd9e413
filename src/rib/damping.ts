/**
 * Route-flap damping (RFC 2439): penalties of routes that come and go. Only routes that have flapped have a row. A
 * penalty is kept as of its last change and decays when it is looked at; a heap says when a suppressed route may be used
 * again and when any other is forgotten, so nothing walks over routes that are quiet.
 *
 *   penalty
 *   suppress ─────────┬─── suppressed from here on
 *               flaps/ \  halves every half-life
 *   reuse    ────────/───\──── used again
 *   forget   ───────/─────\─── forgotten
 */
import { MinHeap } from "../base/heap.ts";
import type { PrefixId } from "./prefix-table.ts";
import type { RouteTable } from "./route-table.ts";

export interface DampingParameters {
  readonly halfLifeMs: number;
  /** Below this penalty a suppressed route is used again. A route is forgotten at half of it, or at 250. */
  readonly reuse: number;
  /** From this penalty on a route is suppressed. */
  readonly suppress: number;
  /** No penalty is higher: a route that is quiet is used again after the longest suppression. */
  readonly ceiling: number;
}

/** What a flap adds, as in RFC 2439 4.4.3 and FRR. An announcement after a withdrawal adds nothing. */
export const flapPenalty = { withdrawal: 1000, change: 500 } as const;

export function penaltyCeiling(reuse: number, halfLifeMs: number, maxSuppressMs: number): number {
  return reuse * 2 ** (maxSuppressMs / halfLifeMs);
}

/** A route that has flapped. */
export interface Flap {
  readonly neighbor: number;
  readonly table: RouteTable;
  readonly prefix: PrefixId;
  /** RFC 7911 path identifier, 0 without. */
  readonly pathId: number;
  readonly parameters: DampingParameters;
  readonly firstMs: number;
  flaps: number;
  suppressed: boolean;
  /** As of `atMs`, monotonic milliseconds. */
  penalty: number;
  atMs: number;
  /** When it is looked at next. */
  dueMs: number;
  gone: boolean;
  /** The next path id of the same neighbor and prefix. */
  next: Flap | undefined;
}

/** What a route's time brought. */
export interface Elapsed {
  readonly flap: Flap;
  /** It was suppressed until now; false when it is forgotten instead. */
  readonly reused: boolean;
}

export class FlapTable {
  private readonly max: number;
  /** By neighbor and family, then by prefix. */
  private readonly rows = new Map<number, Map<PrefixId, Flap>>();
  private readonly heap = new MinHeap<Flap>();
  size = 0;
  suppressed = 0;
  /** Flaps that were not remembered because the table was full. */
  overflow = 0;

  /** @param max routes remembered at most */
  constructor(max: number) {
    this.max = max;
  }

  /**
   * Counts a flap. Of a route that is known its first parameters stay in force until it is forgotten.
   * @returns true when the route is suppressed from now on and was not before
   */
  add(
    neighbor: number,
    table: RouteTable,
    prefix: PrefixId,
    pathId: number,
    amount: number,
    parameters: DampingParameters,
    nowMs: number,
  ): boolean {
    let flap = this.find(neighbor, table, prefix, pathId);
    if (!flap) {
      if (this.size >= this.max) {
        this.overflow++;
        return false;
      }
      flap = this.insert(neighbor, table, prefix, pathId, parameters, nowMs);
    }
    flap.penalty = Math.min(penaltyAt(flap, nowMs) + amount, flap.parameters.ceiling);
    flap.atMs = nowMs;
    flap.flaps++;
    const suppresses = !flap.suppressed && flap.penalty >= flap.parameters.suppress;
    if (suppresses) {
      flap.suppressed = true;
      this.suppressed++;
    }
    this.schedule(flap);
    return suppresses;
  }

  find(neighbor: number, table: RouteTable, prefix: PrefixId, pathId: number): Flap | undefined {
    let flap = this.rows.get(keyOf(neighbor, table))?.get(prefix);
    while (flap && flap.pathId !== pathId) flap = flap.next;
    return flap;
  }

  isSuppressed(neighbor: number, table: RouteTable, prefix: PrefixId, pathId: number): boolean {
    return this.find(neighbor, table, prefix, pathId)?.suppressed ?? false;
  }

  /** The next route whose time has come, if any. It is in use again, or forgotten, when this returns. */
  elapse(nowMs: number): Elapsed | undefined {
    while (this.heap.least <= nowMs) {
      const queuedMs = this.heap.least;
      const flap = this.heap.pop()!;
      // Gone, or queued for an earlier time since.
      if (flap.gone || flap.dueMs < queuedMs) continue;
      const dueMs = dueOf(flap);
      if (dueMs > nowMs) {
        flap.dueMs = dueMs;
        this.heap.push(dueMs, flap);
        continue;
      }
      if (!flap.suppressed) {
        this.remove(flap);
        return { flap, reused: false };
      }
      this.release(flap);
      return { flap, reused: true };
    }
    return undefined;
  }

  /** When `elapse` may have something, monotonic milliseconds; Infinity for never. */
  get nextMs(): number {
    return this.heap.least;
  }

  /** Ends the suppression of a route that is about to be removed. */
  forgive(flap: Flap): void {
    if (!flap.suppressed) return;
    flap.suppressed = false;
    this.suppressed--;
  }

  private release(flap: Flap): void {
    this.forgive(flap);
    flap.dueMs = dueOf(flap);
    this.heap.push(flap.dueMs, flap);
  }

  /** Forgets a route. */
  remove(flap: Flap): void {
    const key = keyOf(flap.neighbor, flap.table);
    const byPrefix = this.rows.get(key)!;
    const first = byPrefix.get(flap.prefix)!;
    if (first !== flap) {
      let before = first;
      while (before.next !== flap) before = before.next!;
      before.next = flap.next;
    } else if (flap.next) byPrefix.set(flap.prefix, flap.next);
    else byPrefix.delete(flap.prefix);
    if (byPrefix.size === 0) this.rows.delete(key);
    flap.gone = true;
    this.size--;
    if (flap.suppressed) this.suppressed--;
    flap.table.unpin(flap.prefix);
  }

  /** Visits the routes of one neighbor and family. */
  *of(neighbor: number, table: RouteTable): Generator<Flap> {
    for (const first of this.rows.get(keyOf(neighbor, table))?.values() ?? []) {
      for (let flap: Flap | undefined = first; flap; flap = flap.next) yield flap;
    }
  }

  /** Visits all routes. */
  *all(): Generator<Flap> {
    for (const byPrefix of this.rows.values())
      for (const first of byPrefix.values())
        for (let flap: Flap | undefined = first; flap; flap = flap.next) yield flap;
  }

  private insert(
    neighbor: number,
    table: RouteTable,
    prefix: PrefixId,
    pathId: number,
    parameters: DampingParameters,
    nowMs: number,
  ): Flap {
    const key = keyOf(neighbor, table);
    let byPrefix = this.rows.get(key);
    if (!byPrefix) {
      byPrefix = new Map();
      this.rows.set(key, byPrefix);
    }
    const flap: Flap = {
      ...{ neighbor, table, prefix, pathId, parameters, firstMs: nowMs, flaps: 0, suppressed: false },
      ...{ penalty: 0, atMs: nowMs, dueMs: Number.POSITIVE_INFINITY, gone: false },
      next: byPrefix.get(prefix),
    };
    byPrefix.set(prefix, flap);
    table.pin(prefix);
    this.size++;
    return flap;
  }

  /** Queues it anew only for an earlier time: for a later one it is put off when its time has come. */
  private schedule(flap: Flap): void {
    const dueMs = dueOf(flap);
    if (dueMs >= flap.dueMs) return;
    flap.dueMs = dueMs;
    this.heap.push(dueMs, flap);
  }
}

export function penaltyAt({ penalty, atMs, parameters }: Flap, nowMs: number): number {
  return penalty * 2 ** (-(nowMs - atMs) / parameters.halfLifeMs);
}

/** When the route is used again, or forgotten, if it stays quiet: whole milliseconds. */
export function dueOf({ penalty, atMs, suppressed, parameters }: Flap): number {
  const { reuse, halfLifeMs } = parameters;
  const below = suppressed ? reuse : forgetBelow(reuse);
  return atMs + Math.max(0, Math.ceil(halfLifeMs * Math.log2(penalty / below)));
}

/** Half of the reuse threshold, but never so much that a single flap would be forgotten at once. */
export function forgetBelow(reuse: number): number {
  return Math.min(reuse, flapPenalty.change) / 2;
}

function keyOf(neighbor: number, { family }: RouteTable): number {
  return neighbor * 256 + family.index;
}
