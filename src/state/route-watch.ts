/** A reader of best-path changes with a cursor of its own in the change list. */
import { after } from "../rib/change-list.ts";
import type { RouteTable } from "../rib/route-table.ts";
import type { RouteBatch } from "./route-batch.ts";
import type { PreparedFilter } from "./route-filter.ts";
import { prefixText } from "./route-message.ts";
import type { Routing } from "./routing.ts";
import type { RouteWatch } from "./view.ts";
import type { RouteCursor, Watchers } from "./watchers.ts";

/** Rows looked at per call, so that a filter that matches little does not hold the loop. */
const rowsPerCall = 8192;

export class TableWatch implements RouteWatch {
  private readonly routing: Routing;
  private readonly table: RouteTable;
  private readonly filter: PreparedFilter;
  private readonly watchers: Watchers;
  private readonly cursor: RouteCursor;
  private readonly base: number;
  private readonly nowS: () => number;
  /** Rows last changed before this were never told as present, so their absence is not told either. */
  private readonly startRevision: number;

  /**
   * @param base what the API's revisions start from in this run of the daemon
   * @param resume where to go on; undefined for the whole table
   */
  constructor(
    routing: Routing,
    table: RouteTable,
    filter: PreparedFilter,
    watchers: Watchers,
    base: number,
    resume: ResumePoint | undefined,
    nowS: () => number,
  ) {
    this.routing = routing;
    this.table = table;
    this.filter = filter;
    this.watchers = watchers;
    this.base = base;
    this.nowS = nowS;
    const marker = table.addMarker();
    if (!resume || resume.row === 0) table.changes.markHead(marker);
    else table.changes.markAfter(marker, resume.row);
    this.startRevision = resume?.revision ?? table.changes.revision;
    this.cursor = { table, marker, onChange: undefined };
    watchers.addCursor(this.cursor);
  }

  get onChange(): (() => void) | undefined {
    return this.cursor.onChange;
  }

  set onChange(listener: (() => void) | undefined) {
    this.cursor.onChange = listener;
  }

  next(updated: RouteBatch, withdrawn: string[], max: number): { caughtUp: boolean; revision: number } {
    const { table, filter, routing } = this;
    const { changes, paths } = table;
    let last = 0;
    let row = changes.next[this.cursor.marker];
    for (
      let n = 0;
      row !== 0 && n < rowsPerCall && updated.count + withdrawn.length < max;
      row = changes.next[row], n++
    ) {
      last = row;
      if (table.isMarker(row) || !filter.matchesPrefix(table.prefixes, row) || !this.isExact(row)) continue;
      const best = table.bestOf(row);
      if (
        best !== 0 &&
        filter.matchesNeighbor(paths.neighbor[best]) &&
        filter.matchesAttributes(paths.attr[best]) &&
        filter.matchesStates(table, best)
      ) {
        updated.addPath(routing, table, best, paths.attr[best], this.nowS());
      } else if (after(changes.revisionOf[row], this.startRevision)) {
        withdrawn.push(prefixText(table.prefixes, row));
      }
    }
    if (last !== 0) changes.moveAfter(this.cursor.marker, last);
    const behind = (changes.revision - changes.revisionOf[this.cursor.marker]) >>> 0;
    return { caughtUp: row === 0, revision: this.base + changes.changes - (row === 0 ? 0 : behind) };
  }

  private isExact(row: number): boolean {
    const { exact } = this.filter;
    return !exact || this.table.prefixes.find(exact.bytes, 0, exact.length) === row;
  }

  close(): void {
    this.cursor.onChange = undefined;
    this.watchers.removeCursor(this.cursor);
  }
}

/** Where a watch goes on: after this row, 0 for the head of the list. Everything up to the revision was told. */
export interface ResumePoint {
  readonly row: number;
  readonly revision: number;
}

/**
 * The place from which a watch goes on that has seen everything up to a revision.
 * @returns undefined when prefixes were forgotten since (or the revision is of another run): start anew
 */
export function resumePoint(table: RouteTable, base: number, revision: number): ResumePoint | undefined {
  const { changes } = table;
  const seen = revision - base;
  if (seen < 0 || seen > changes.changes || changes.changes - seen > 0x7fff_ffff) return undefined;
  const target = seen >>> 0;
  if (after(table.forgottenRevision, target)) return undefined;
  let row = changes.before(0);
  while (row !== 0 && (table.isMarker(row) || after(changes.revisionOf[row], target)))
    row = changes.before(row);
  return { row, revision: target };
}
