/**
 * The best routes as they were at an earlier moment. The journal is read from that moment on: the first change of a
 * prefix tells what its best path was before; a prefix that did not change has the one of now.
 *
 *   journal   | ... before ... | moment | first change of a | ... | first change of b | ... now
 *
 * Changes that come while the table is walked are read too before rows are told, so what is told stays that moment.
 */
import { create } from "@bufbuild/protobuf";
import { grown } from "../base/columns.ts";
import type { Prefix } from "../base/ip.ts";
import type { Problem, Result } from "../base/problem.ts";
import { type LookupRouteResponse, LookupRouteResponseSchema } from "../gen/cairn/v1/rib_service_pb.ts";
import { ChangeKind, type RouteHistory } from "../rib/history.ts";
import type { RouteTable } from "../rib/route-table.ts";
import { RouteBatch } from "./route-batch.ts";
import type { PreparedFilter } from "./route-filter.ts";
import { beyondHistory, type PastPath } from "./route-history.ts";
import { prefixText } from "./route-message.ts";
import type { WalkScope } from "./route-walk.ts";
import type { Routing } from "./routing.ts";
import type { PastLookup, RouteWalk } from "./view.ts";

/** The best path of each prefix at a moment. */
class PastBest {
  /** Wall-clock milliseconds. */
  private readonly timeMs: number;
  private readonly routing: Routing;
  private readonly table: RouteTable;
  private readonly history: RouteHistory;
  /** Number of the first change after the moment, and of the next one to read. */
  private readonly base: number;
  private next: number;
  /** By prefix row: the first change after the moment, counted from `base` and 1; 0 for none. */
  private changes: Uint32Array;

  constructor(routing: Routing, table: RouteTable, timeMs: number) {
    this.timeMs = timeMs;
    this.routing = routing;
    this.table = table;
    this.history = routing.history;
    this.base = this.history.firstAfter(timeMs);
    this.next = this.base;
    this.changes = new Uint32Array(table.head.length);
  }

  /** Wall-clock seconds of the moment. */
  get timeS(): number {
    return Math.floor(this.timeMs / 1000);
  }

  /** Why the moment cannot be told of any more: the journal went on, and what was needed is gone. */
  problem(wallMs: number): Problem | undefined {
    return beyondHistory(this.history, this.timeMs, Math.max(wallMs, this.timeMs), "at");
  }

  /** Reads up to `max` changes. @returns true when all there are have been read */
  catchUp(max: number): boolean {
    const { history, table, base } = this;
    if (this.changes.length < table.head.length) this.changes = grown(this.changes, table.head.length);
    if (this.next < history.first) return true;
    const end = Math.min(history.next, this.next + max);
    for (; this.next < end; this.next++) {
      if (!history.is(this.next, ChangeKind.best, table.family.index, 0)) continue;
      const prefix = history.prefixOf(this.next);
      if (this.changes[prefix] === 0) this.changes[prefix] = this.next - base + 1;
    }
    return this.next === history.next;
  }

  /** The best path that a prefix had; undefined for none. All changes must have been read. */
  of(row: number): PastPath | undefined {
    const { table } = this;
    const change = this.changes[row];
    if (change !== 0) {
      const { attrBefore, neighborBefore, pathIdBefore, pathTimeS } = this.history.read(
        this.base + change - 1,
      );
      if (attrBefore === 0) return undefined;
      const path = { attr: attrBefore, neighbor: neighborBefore, pathId: pathIdBefore, timeS: pathTimeS };
      return { ...path, isBest: true, reason: 0 };
    }
    const best = table.bestOf(row);
    if (best === 0) return undefined;
    const { paths } = table;
    const neighbor = this.routing.neighbors.text[paths.neighbor[best]];
    const path = { attr: paths.attr[best], neighbor, pathId: paths.idOf(best), timeS: paths.time[best] };
    return { ...path, isBest: true, reason: 0 };
  }
}

/** The best routes at a moment, as a list. */
export class PastWalk implements RouteWalk {
  private readonly scope: WalkScope;
  private readonly past: PastBest;
  private row: number;

  constructor(scope: WalkScope, position: string, timeMs: number) {
    this.scope = scope;
    this.past = new PastBest(scope.routing, scope.table, timeMs);
    this.row = position === "" ? 1 : Number(position);
  }

  get problem(): Problem | undefined {
    return this.past.problem(this.scope.nowS() * 1000);
  }

  next(out: RouteBatch, max: number, rows: number): boolean {
    if (!this.past.catchUp(rows) || this.problem) return false;
    const { table } = this.scope;
    const { exact } = this.scope.filter;
    if (exact) {
      const row = table.prefixes.find(exact.bytes, 0, exact.length);
      if (row !== 0) this.visit(row, out);
      return true;
    }
    const end = Math.min(table.prefixes.rows, this.row + rows);
    const full = out.count + max;
    while (this.row < end && out.count < full) this.visit(this.row++, out);
    return this.row >= table.prefixes.rows;
  }

  private visit(row: number, out: RouteBatch): void {
    const { table, filter, routing } = this.scope;
    if (table.isMarker(row)) return;
    const path = this.past.of(row);
    if (path && selects(filter, table, row, path)) out.addPast(routing, table, row, path, this.past.timeS);
  }

  position(): string {
    return String(this.row);
  }

  /** Only a walk to the end tells it. */
  total(): undefined {
    return undefined;
  }
}

function selects(filter: PreparedFilter, table: RouteTable, row: number, path: PastPath): boolean {
  if (!filter.matchesPrefix(table.prefixes, row)) return false;
  if (filter.neighbor !== "" && filter.neighbor !== path.neighbor) return false;
  return filter.matchesAttributes(path.attr);
}

/** A longest match at a moment. */
export class PastMatch implements PastLookup {
  private readonly routing: Routing;
  private readonly table: RouteTable;
  private readonly target: Prefix;
  private readonly past: PastBest;
  private readonly wallMs: () => number;

  constructor(routing: Routing, table: RouteTable, target: Prefix, timeMs: number, wallMs: () => number) {
    this.routing = routing;
    this.table = table;
    this.target = target;
    this.past = new PastBest(routing, table, timeMs);
    this.wallMs = wallMs;
  }

  next(changes: number): Result<LookupRouteResponse> | undefined {
    if (!this.past.catchUp(changes)) return undefined;
    const problem = this.past.problem(this.wallMs());
    if (problem) return { ok: false, problems: [problem] };
    const { routing, table, past, target } = this;
    const row = table.prefixes.longestMatch(target.bytes, target.length, (id) => past.of(id) !== undefined);
    const path = row === 0 ? undefined : past.of(row);
    if (!path) return { ok: true, value: create(LookupRouteResponseSchema) };
    const batch = new RouteBatch();
    batch.addPast(routing, table, row, path, past.timeS);
    const prefix = prefixText(table.prefixes, row);
    return { ok: true, value: create(LookupRouteResponseSchema, { prefix, routes: batch.routes() }) };
  }
}
