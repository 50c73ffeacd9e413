/**
 * Routes that outlive their session, and the end of them (RFC 4724 4.2, RFC 9494, RFC 7313). That a path is stale is
 * not written down per path: it is of an earlier epoch of its neighbor (rib/route-table.ts), so a session with a million
 * routes is lost in one step. Here is, per neighbor and family, why its stale paths are kept, and until when.
 *
 *   session lost -> restarting --restart time over--> long-lived --time over--> swept
 *                       |                                 |
 *                   session back, F bit --> returned --End-of-RIB or time over--> swept
 *   BoRR -> refreshing --EoRR or time over--> swept
 */
import type { RouteTable } from "../rib/route-table.ts";
import type { Family } from "../wire/family.ts";
import { families } from "../wire/family.ts";
import type { Jobs } from "./jobs.ts";
import { type NeighborRecord, objectOf, type StaleRoutes } from "./neighbor-record.ts";
import type { Routing } from "./routing.ts";
import type { Negotiated } from "./session-port.ts";

export interface RestartsHost {
  readonly routing: Routing;
  readonly jobs: Jobs;
  nowMs(): number;
  /** Runs import again over what is kept of a family: long-lived routes get their community there. */
  reimport(record: NeighborRecord, table: RouteTable): void;
  stateChanged(record: NeighborRecord): void;
  /** Routes of a family were swept. */
  swept(record: NeighborRecord, family: Family): void;
  event(
    topic: string,
    object: string,
    severity: 1 | 2 | 3,
    summary: string,
    facts: Readonly<Record<string, string>>,
  ): void;
}

export class Restarts {
  private readonly host: RestartsHost;
  /** Neighbors with stale routes that somebody waits for. */
  private readonly waiting = new Set<NeighborRecord>();

  constructor(host: RestartsHost) {
    this.host = host;
  }

  /** A session ended: its routes become stale, and are swept unless both sides agreed to keep them. */
  lost(record: NeighborRecord, negotiated: Negotiated, kept: boolean): void {
    for (const family of families) {
      const bit = 1 << family.index;
      if ((negotiated.families & bit) === 0) continue;
      const table = this.host.routing.table(family);
      table.beginEpoch(record.id);
      this.forget(record, family);
      const epoch = table.epoch[record.id];
      if (!kept || (negotiated.restart.kept & bit) === 0 || table.received[record.id] === 0) {
        this.sweep(record, table, epoch);
        continue;
      }
      // RFC 4724 4.2: what was stale already when the session was lost is not kept a second time.
      this.sweep(record, table, epoch - 1);
      this.keep(record, table, negotiated);
    }
  }

  private keep(record: NeighborRecord, table: RouteTable, negotiated: Negotiated): void {
    const { family } = table;
    const { restartTimeS, longLivedS } = negotiated.restart;
    const nowMs = this.host.nowMs();
    const endMs = nowMs + record.config.staleTimeMs;
    const stale: StaleRoutes = {
      phase: "restarting",
      deadlineMs: Math.min(nowMs + restartTimeS * 1000, endMs),
      endMs,
      longLivedMs: longLivedS[family.index] * 1000,
    };
    this.set(record, family, stale);
    const count = table.stale[record.id];
    const summary = `the neighbor restarts: ${count} ${family.name} routes are kept for ${restartTimeS} s`;
    this.tell("helping", record, 1, summary, family, count);
    if (restartTimeS === 0) this.restartTimeOver(record, family, stale);
  }

  /** A session came up: stale routes stay only where the neighbor says that it kept its forwarding state. */
  returned(record: NeighborRecord, negotiated: Negotiated): void {
    const { restart } = negotiated;
    for (const family of families) {
      const stale = record.stale[family.index];
      if (!stale) continue;
      const bit = 1 << family.index;
      const forwarding = stale.phase === "long-lived" ? restart.longLivedForwarding : restart.forwarding;
      if ((restart.kept & forwarding & bit) !== 0) {
        const isLong = stale.phase === "long-lived";
        this.set(record, family, {
          ...stale,
          phase: "returned",
          deadlineMs: isLong ? stale.deadlineMs : stale.endMs,
        });
        continue;
      }
      const why =
        (restart.kept & bit) === 0 ? "does not list the family" : "did not keep its forwarding state";
      this.end(record, family, "dropped", `the neighbor is back and ${why}`, 2);
    }
  }

  /** End-of-RIB: what is still stale will not be announced again. */
  endOfRib(record: NeighborRecord, family: Family): void {
    if (record.stale[family.index]?.phase !== "returned") return;
    this.end(record, family, "finished", "the neighbor has sent all its routes again", 1);
  }

  /** BoRR (RFC 7313 4): the neighbor is about to send all its routes again. */
  beginRefresh(record: NeighborRecord, family: Family): void {
    const { negotiated } = record;
    const table = this.host.routing.table(family);
    const phase = record.stale[family.index]?.phase;
    // Before End-of-RIB of a session with graceful restart it is to be ignored.
    const tooEarly = negotiated?.restart.offered && !record.endOfRibReceived[family.index];
    if (!negotiated?.enhancedRefresh || tooEarly || (phase && phase !== "refreshing")) return;
    // A flood of them: those that came before must have been worked off.
    if (!table.hasEpochs(record.id)) return;
    table.beginEpoch(record.id);
    const endMs = this.host.nowMs() + record.config.staleTimeMs;
    this.set(record, family, { phase: "refreshing", deadlineMs: endMs, endMs, longLivedMs: 0 });
  }

  /** EoRR: what is still stale was not sent again. Without a BoRR it is ignored. */
  endRefresh(record: NeighborRecord, family: Family): void {
    if (record.stale[family.index]?.phase !== "refreshing") return;
    const count = this.host.routing.table(family).stale[record.id];
    if (count === 0) this.forget(record, family);
    else this.end(record, family, "refreshed", "they were not part of the refresh", 1);
    this.host.stateChanged(record);
  }

  /** Drops what is kept for a neighbor, whatever the reason to keep it. @param of by default all families */
  drop(record: NeighborRecord, why: string, of: readonly Family[] = families): void {
    for (const family of of) {
      if (record.stale[family.index]) this.end(record, family, "dropped", why, 1);
    }
  }

  /** Removes all routes of a neighbor that is no longer declared. */
  remove(record: NeighborRecord): void {
    for (const table of this.host.routing.tables) {
      this.forget(record, table.family);
      this.sweep(record, table, Number.POSITIVE_INFINITY);
    }
  }

  /** Carries out what is due. */
  tick(): void {
    const nowMs = this.host.nowMs();
    for (const record of this.waiting) {
      for (const family of families) {
        const stale = record.stale[family.index];
        if (!stale || stale.deadlineMs > nowMs) continue;
        if (stale.phase === "restarting") this.restartTimeOver(record, family, stale);
        else this.end(record, family, "expired", timeOver[stale.phase], 2);
      }
    }
  }

  /** When `tick` is wanted next; Infinity for never. */
  nextMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const record of this.waiting) {
      for (const stale of record.stale) if (stale && stale.deadlineMs < next) next = stale.deadlineMs;
    }
    return next;
  }

  private restartTimeOver(record: NeighborRecord, family: Family, stale: StaleRoutes): void {
    if (stale.longLivedMs === 0) {
      this.end(record, family, "expired", timeOver.restarting, 2);
      return;
    }
    this.set(record, family, {
      ...stale,
      phase: "long-lived",
      deadlineMs: this.host.nowMs() + stale.longLivedMs,
    });
    record.longLived |= 1 << family.index;
    const table = this.host.routing.table(family);
    const count = table.stale[record.id];
    const seconds = stale.longLivedMs / 1000;
    const summary = `the neighbor is still away: ${count} ${family.name} routes are long-lived stale for ${seconds} s`;
    this.tell("long-lived", record, 2, summary, family, count);
    this.host.reimport(record, table);
  }

  private end(record: NeighborRecord, family: Family, topic: string, why: string, severity: 1 | 2): void {
    const table = this.host.routing.table(family);
    const count = table.stale[record.id];
    this.forget(record, family);
    this.sweep(record, table, table.epoch[record.id]);
    const summary = `${count} stale ${family.name} routes are withdrawn: ${why}`;
    this.tell(topic, record, count === 0 ? 1 : severity, summary, family, count);
  }

  private tell(
    topic: string,
    record: NeighborRecord,
    severity: 1 | 2,
    summary: string,
    family: Family,
    count: number,
  ): void {
    const facts = { family: family.name, stale: String(count) };
    this.host.event(`cairn.bgp.restart.${topic}`, objectOf(record), severity, summary, facts);
    this.host.stateChanged(record);
  }

  private set(record: NeighborRecord, family: Family, stale: StaleRoutes): void {
    record.stale[family.index] = stale;
    this.waiting.add(record);
  }

  private forget(record: NeighborRecord, family: Family): void {
    record.stale[family.index] = undefined;
    record.longLived &= ~(1 << family.index);
    if (!record.stale.some((each) => each !== undefined)) this.waiting.delete(record);
  }

  /**
   * Removes in slices what was last announced before an epoch. A walk that is under way goes on, and once more from the
   * start when more is wanted than when it began: whoever asks often does not keep it from its end.
   */
  private sweep(record: NeighborRecord, table: RouteTable, before: number): void {
    const { id } = record;
    const { index } = table.family;
    record.sweepBefore[index] = Math.max(record.sweepBefore[index], before);
    const all = before === Number.POSITIVE_INFINITY;
    if ((all ? table.received : table.stale)[id] === 0) return;
    const key = `sweep ${id} ${index}`;
    if (this.host.jobs.has(key)) {
      record.sweepAgain |= 1 << index;
      return;
    }
    let from = 1;
    this.host.jobs.start({
      key,
      step: (rows) => {
        const wanted = record.sweepBefore[index];
        from = table.sweepNeighbor(id, wanted, from, rows);
        const left = wanted === Number.POSITIVE_INFINITY ? table.received[id] : table.stale[id];
        if (left === 0) return true;
        if (from !== 0) return false;
        if ((record.sweepAgain & (1 << index)) === 0) return true;
        record.sweepAgain &= ~(1 << index);
        from = 1;
        return false;
      },
      done: () => this.host.swept(record, table.family),
    });
  }
}

const timeOver = {
  restarting: "the neighbor did not come back in its restart time",
  "long-lived": "the neighbor did not come back",
  returned: "the neighbor did not send End-of-RIB in time",
  refreshing: "the neighbor did not end its refresh in time",
} as const;
