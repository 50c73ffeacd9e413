/**
 * Damping of routes that flap, as import and the API see it. What a flap is (as in FRR): a route that stood is withdrawn,
 * or comes with other attributes than those it stood with. The loss of a session is none, nor is what a sweep removes.
 * Penalties are in src/rib/damping.ts.
 */
import { limits } from "../base/limits.ts";
import { dueOf, type Flap, FlapTable, flapPenalty, penaltyAt } from "../rib/damping.ts";
import { isAccepted, RejectReason, reasonMask } from "../rib/path-flags.ts";
import type { RouteTable } from "../rib/route-table.ts";
import { type NeighborRecord, objectOf } from "./neighbor-record.ts";
import type { Routing } from "./routing.ts";
import { secondsText } from "./sessions-text.ts";

export interface DampingHost {
  readonly routing: Routing;
  nowMs(): number;
  /** The neighbor with this number; undefined when it is gone. */
  record(id: number): NeighborRecord | undefined;
  /** Looks at a path again that was suppressed. */
  settle(record: NeighborRecord, table: RouteTable, path: number): void;
  prefixText(table: RouteTable, prefix: number): string;
  event(
    topic: string,
    object: string,
    severity: 1 | 2 | 3,
    summary: string,
    facts: Readonly<Record<string, string>>,
  ): void;
}

/** For an importer whose neighbors have no damping. */
export const noDamping: Pick<Damping, "withdrawn" | "changed" | "suppresses" | "describe"> = {
  withdrawn: () => {},
  changed: () => {},
  suppresses: () => false,
  describe: () => "",
};

/** Routes that are used again, or forgotten, per turn. */
const elapsedPerTurn = 512;
/** Events about single routes per minute; the rest is counted in the next one. */
const eventsPerMinute = 60;

export class Damping {
  private readonly host: DampingHost;
  readonly flaps = new FlapTable(limits.flapsMax);
  /** Routes suppressed, and used again, since the start. */
  suppressions = 0;
  reuses = 0;
  private eventsFromMs = Number.NEGATIVE_INFINITY;
  private events = 0;
  private unsaid = 0;

  constructor(host: DampingHost) {
    this.host = host;
  }

  /** A path that is about to be withdrawn. */
  withdrawn(record: NeighborRecord, table: RouteTable, path: number): void {
    this.flap(record, table, path, flapPenalty.withdrawal);
  }

  /** A path that is about to get other attributes. */
  changed(record: NeighborRecord, table: RouteTable, path: number): void {
    this.flap(record, table, path, flapPenalty.change);
  }

  private flap(record: NeighborRecord, table: RouteTable, path: number, amount: number): void {
    const { paths } = table;
    const flags = paths.flags[path];
    const { damping } = record.config;
    // What import refuses does not reach anybody, so its coming and going harms nobody.
    if (!damping || !(isAccepted(flags) || (flags & reasonMask) === RejectReason.damped)) return;
    const prefix = paths.prefix[path];
    const nowMs = this.host.nowMs();
    const pathId = paths.idOf(path);
    if (!this.flaps.add(record.id, table, prefix, pathId, amount, damping, nowMs)) return;
    this.suppressions++;
    const text = this.host.prefixText(table, prefix);
    this.tell("suppressed", record, text, `${text} is suppressed: it has flapped too often`);
  }

  /** True when a path to a prefix is not to be used now. */
  suppresses(record: NeighborRecord, table: RouteTable, prefix: number, pathId: number): boolean {
    return record.config.damping !== undefined && this.flaps.isSuppressed(record.id, table, prefix, pathId);
  }

  /** Penalty and time of a suppressed path, in words. */
  describe(record: NeighborRecord, table: RouteTable, prefix: number, pathId: number): string {
    const flap = this.flaps.find(record.id, table, prefix, pathId);
    if (!flap) return "";
    const nowMs = this.host.nowMs();
    const penalty = Math.round(penaltyAt(flap, nowMs));
    const { reuse } = flap.parameters;
    return `penalty ${penalty}, used again below ${reuse} in ${secondsText(timeLeftMs(flap, nowMs))}`;
  }

  /** Lets go of those whose time has come. */
  tick(): void {
    const nowMs = this.host.nowMs();
    for (let n = 0; n < elapsedPerTurn; n++) {
      const elapsed = this.flaps.elapse(nowMs);
      if (!elapsed) return;
      if (elapsed.reused) this.reuse(elapsed.flap);
    }
  }

  /** When `tick` is wanted next, monotonic milliseconds. */
  nextMs(): number {
    return this.flaps.nextMs;
  }

  private reuse({ neighbor, table, prefix, pathId }: Flap): void {
    const record = this.host.record(neighbor);
    if (!record) return;
    this.reuses++;
    this.settle(record, table, prefix, pathId);
    const text = this.host.prefixText(table, prefix);
    this.tell("reused", record, text, `${text} is used again: it has been quiet`);
  }

  private settle(record: NeighborRecord, table: RouteTable, prefix: number, pathId: number): void {
    const path = table.find(record.id, prefix, pathId);
    if (path !== 0) this.host.settle(record, table, path);
  }

  /**
   * Forgets flaps; what was suppressed is used again. Without a record those of all neighbors.
   * @param concerns which prefixes; all when absent
   */
  clear(
    record: NeighborRecord | undefined,
    concerns: (table: RouteTable, prefix: number) => boolean = () => true,
  ): void {
    for (const flap of this.list(record)) {
      const { table, prefix, pathId } = flap;
      if (!concerns(table, prefix)) continue;
      const owner = flap.suppressed ? this.host.record(flap.neighbor) : undefined;
      this.flaps.forgive(flap);
      if (owner) this.settle(owner, table, prefix, pathId);
      // Last: it lets go of the row of a prefix without paths.
      this.flaps.remove(flap);
    }
  }

  /** What is remembered of one neighbor, or of all. */
  list(record: NeighborRecord | undefined): Flap[] {
    if (!record) return [...this.flaps.all()];
    return this.host.routing.tables.flatMap((table) => [...this.flaps.of(record.id, table)]);
  }

  /** At most so many events a minute: a neighbor that flaps as a whole must not wash out the event log. */
  private tell(verb: string, record: NeighborRecord, prefix: string, summary: string): void {
    const nowMs = this.host.nowMs();
    if (nowMs - this.eventsFromMs >= 60_000) {
      this.eventsFromMs = nowMs;
      this.events = 0;
    }
    if (++this.events > eventsPerMinute) {
      this.unsaid++;
      return;
    }
    const facts = { prefix, more: String(this.unsaid) };
    this.unsaid = 0;
    this.host.event(`cairn.bgp.route.${verb}`, objectOf(record), verb === "reused" ? 1 : 2, summary, facts);
  }
}

/** Until a suppressed route is used again, or any other is forgotten, when nothing comes between: whole milliseconds. */
export function timeLeftMs(flap: Flap, nowMs: number): number {
  return Math.max(0, Math.ceil(dueOf(flap) - nowMs));
}
