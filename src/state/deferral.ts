/**
 * After a restart of ours: routes of a family are announced only once the neighbors that keep ours have sent theirs
 * again (RFC 4724 4.1), so that nobody is told of half a table. Best paths are chosen as ever; what waits is everything
 * behind the tables.
 */
import type { RestartAgreement } from "../fsm/graceful-restart.ts";
import { type Family, families } from "../wire/family.ts";
import type { NeighborRecord } from "./neighbor-record.ts";
import type { StoredRestart } from "./rows.ts";
import type { Negotiated } from "./session-port.ts";

export interface DeferralHost {
  nowMs(): number;
  /** Routes of the family go out from now on. `waitedFor` neighbors were not heard of in time. */
  selected(family: Family, waitedFor: readonly NeighborRecord[]): void;
  /** Nothing is deferred any more. */
  finished(): void;
}

export class Deferral {
  private readonly host: DeferralHost;
  /** By family index: neighbors whose End-of-RIB is awaited. */
  private readonly awaited: Set<NeighborRecord>[] = families.map(() => new Set());
  /** Families that are deferred, bit `family.index`. */
  mask = 0;
  /** Neighbors that were not there by then have dropped our routes: they need not be waited for. */
  private windowMs = Number.POSITIVE_INFINITY;
  private deadlineMs = Number.POSITIVE_INFINITY;

  constructor(host: DeferralHost) {
    this.host = host;
  }

  /**
   * Defers every family that a neighbor keeps for us.
   * @param records neighbors; those without `gracefulRestart` full do not count
   * @param deferralMs Selection_Deferral_Timer
   * @returns whether anything is deferred
   */
  start(records: Iterable<NeighborRecord>, deferralMs: number): boolean {
    const nowMs = this.host.nowMs();
    let windowS = 0;
    for (const record of records) {
      const { config } = record;
      if (config.gracefulRestart !== "full" || config.shutdown) continue;
      windowS = Math.max(windowS, config.restartTimeS);
      for (const family of config.families) {
        this.awaited[family.index].add(record);
        this.mask |= 1 << family.index;
      }
    }
    if (this.mask === 0) return false;
    this.deadlineMs = nowMs + deferralMs;
    this.windowMs = nowMs + windowS * 1000;
    return true;
  }

  isDeferred(family: Family): boolean {
    return (this.mask & (1 << family.index)) !== 0;
  }

  /** A session came up. Neighbors that know no graceful restart, or restart themselves, are not waited for. */
  established(record: NeighborRecord, { families: negotiated, restart }: Negotiated): void {
    if (this.mask === 0) return;
    for (const family of families) {
      const isNegotiated = (negotiated & (1 << family.index)) !== 0;
      if (!isNegotiated || !sendsEndOfRib(restart)) this.heard(record, family);
    }
  }

  /** A session was lost, or a neighbor's settings changed. */
  changed(record: NeighborRecord): void {
    if (this.mask === 0) return;
    const { config } = record;
    const isAway = !record.negotiated && this.host.nowMs() >= this.windowMs;
    const counts = config.gracefulRestart === "full" && !config.shutdown && !record.removed && !isAway;
    for (const family of families) {
      if (!counts || !config.families.includes(family)) this.heard(record, family);
    }
  }

  /** End-of-RIB of a neighbor, or there is no reason to wait for it. */
  heard(record: NeighborRecord, family: Family): void {
    if (!this.isDeferred(family)) return;
    const awaited = this.awaited[family.index];
    awaited.delete(record);
    if (awaited.size === 0) this.select(family);
  }

  tick(): void {
    if (this.mask === 0) return;
    const nowMs = this.host.nowMs();
    if (nowMs >= this.deadlineMs) for (const family of families) this.select(family);
    if (nowMs < this.windowMs) return;
    for (const awaited of this.awaited) for (const record of [...awaited]) this.changed(record);
    this.windowMs = Math.max(this.windowMs, nowMs);
  }

  /** When `tick` is wanted next; Infinity for never. */
  nextMs(): number {
    if (this.mask === 0) return Number.POSITIVE_INFINITY;
    return this.windowMs > this.host.nowMs() ? Math.min(this.windowMs, this.deadlineMs) : this.deadlineMs;
  }

  private select(family: Family): void {
    if (!this.isDeferred(family)) return;
    const awaited = this.awaited[family.index];
    const missing = [...awaited];
    awaited.clear();
    this.mask &= ~(1 << family.index);
    this.host.selected(family, missing);
    if (this.mask === 0) this.host.finished();
  }
}

function sendsEndOfRib({ offered, remoteRestarting }: RestartAgreement): boolean {
  return offered && !remoteRestarting;
}

/**
 * True when neighbors may still keep routes of an earlier run. One that ended with a Cease has told them to drop these;
 * after a planned restart it is known since when they wait; after a crash it is not.
 */
export function isRestart(
  restart: StoredRestart | undefined,
  records: Iterable<NeighborRecord>,
  wallMs: number,
): boolean {
  if (!restart) return true;
  if (restart.kind === "ended") return false;
  let longestMs = 0;
  for (const { config } of records) {
    if (config.gracefulRestart !== "full") continue;
    longestMs = Math.max(longestMs, (config.restartTimeS + config.longLivedStaleS) * 1000);
  }
  return wallMs - restart.time < longestMs;
}
