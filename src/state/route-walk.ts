/** Walks over tables for lists. A position is a row: rows stay what they are while their route is there. */
import { isAccepted, RejectReason, reasonMask } from "../rib/path-flags.ts";
import type { RouteTable } from "../rib/route-table.ts";
import type { UpdateGroup } from "../rib/update-group.ts";
import type { RouteBatch } from "./route-batch.ts";
import type { PreparedFilter } from "./route-filter.ts";
import type { Routing } from "./routing.ts";
import type { BestCounter, PathChoice, RouteWalk } from "./view.ts";

/** What the walks of one request have in common. */
export interface WalkScope {
  readonly routing: Routing;
  readonly table: RouteTable;
  readonly filter: PreparedFilter;
  /** Wall-clock seconds. */
  nowS(): number;
}

/** Calls `visit` for rows from a position on; the base of all walks. */
export abstract class RowWalk implements RouteWalk {
  protected readonly scope: WalkScope;
  protected row: number;

  constructor(scope: WalkScope, position: string) {
    this.scope = scope;
    this.row = position === "" ? this.first() : Number(position);
  }

  next(out: RouteBatch, max: number, rows: number): boolean {
    const end = Math.min(this.end(), this.row + rows);
    const full = out.count + max;
    while (this.row < end && out.count < full) this.visit(this.row++, out);
    return this.row >= this.end();
  }

  position(): string {
    return String(this.row);
  }

  /** Appends what a row of the prefixes gives to `out`; it may be more than one route. */
  visitPrefix(row: number, out: RouteBatch): void {
    this.visit(row, out);
  }

  abstract total(): number | undefined;
  /** Appends what the row gives to `out`; it may be more than one route. */
  protected abstract visit(row: number, out: RouteBatch): void;
  protected abstract rows(): number;

  /** With an exact prefix there is one row to look at. */
  private first(): number {
    const { exact } = this.scope.filter;
    if (!exact || !this.byPrefix()) return 1;
    return this.scope.table.prefixes.find(exact.bytes, 0, exact.length) || this.rows();
  }

  private end(): number {
    const { exact } = this.scope.filter;
    if (!exact || !this.byPrefix()) return this.rows();
    const row = this.scope.table.prefixes.find(exact.bytes, 0, exact.length);
    return row === 0 ? this.row : row + 1;
  }

  /** Rows are prefixes; else paths. */
  protected abstract byPrefix(): boolean;
}

/** Best paths of the Loc-RIB, with those behind them as asked for. */
export class BestWalk extends RowWalk {
  private readonly choice: PathChoice;

  constructor(scope: WalkScope, position: string, choice: PathChoice) {
    super(scope, position);
    this.choice = choice;
  }

  override total(): number {
    return this.scope.table.bestCount;
  }

  protected override byPrefix(): boolean {
    return true;
  }

  protected override rows(): number {
    return this.scope.table.prefixes.rows;
  }

  protected override visit(row: number, out: RouteBatch): void {
    const { table, filter, routing } = this.scope;
    if (table.isMarker(row)) return;
    const best = table.bestOf(row);
    if (best === 0 || !filter.matchesPrefix(table.prefixes, row)) return;
    const { paths, multipath } = table;
    for (let path = best; path !== 0; path = this.choice === "best" ? 0 : paths.next[path]) {
      if (!paths.eligible(path) || !filter.matchesNeighbor(paths.neighbor[path])) continue;
      if (this.choice === "multipath" && path !== best && !multipath?.has(path)) continue;
      if (!filter.matchesAttributes(paths.attr[path]) || !filter.matchesStates(table, path)) continue;
      out.addPath(routing, table, path, paths.attr[path], this.scope.nowS());
    }
  }
}

export type ReceivedKind = "received" | "accepted" | "rejected";

/** Adj-RIB-In of one neighbor: as received, as accepted, or what was rejected. */
export class ReceivedWalk extends RowWalk {
  private readonly neighbor: number;
  private readonly kind: ReceivedKind;
  private readonly reason: (path: number) => string;

  /** @param reason text of why a path is rejected */
  constructor(
    scope: WalkScope,
    position: string,
    neighbor: number,
    kind: ReceivedKind,
    reason: (path: number) => string,
  ) {
    super(scope, position);
    this.neighbor = neighbor;
    this.kind = kind;
    this.reason = reason;
  }

  override total(): number {
    const { received, accepted } = this.scope.table;
    const { neighbor } = this;
    if (this.kind === "received") return received[neighbor];
    return this.kind === "accepted" ? accepted[neighbor] : received[neighbor] - accepted[neighbor];
  }

  protected override byPrefix(): boolean {
    return this.scope.filter.exact !== undefined;
  }

  protected override rows(): number {
    return this.byPrefix() ? this.scope.table.prefixes.rows : this.scope.table.paths.rows;
  }

  protected override visit(row: number, out: RouteBatch): void {
    if (!this.byPrefix()) this.visitPath(row, out);
    else this.visitPrefix(row, out);
  }

  override visitPrefix(row: number, out: RouteBatch): void {
    const { head, paths } = this.scope.table;
    for (let path = head[row]; path !== 0; path = paths.next[path]) this.visitPath(path, out);
  }

  private visitPath(path: number, out: RouteBatch): void {
    const { table, filter, routing } = this.scope;
    const { paths } = table;
    if (paths.neighbor[path] !== this.neighbor || paths.received[path] === 0) return;
    const reason = paths.flags[path] & reasonMask;
    const accepted = isAccepted(reason);
    if (this.kind === "accepted" && !accepted) return;
    if (this.kind === "rejected" && accepted) return;
    if (!filter.matchesPrefix(table.prefixes, paths.prefix[path])) return;
    const attr = this.kind === "accepted" ? paths.attr[path] : paths.received[path];
    if (!filter.matchesAttributes(attr) || !filter.matchesStates(table, path)) return;
    const words = reason === RejectReason.none ? "" : this.reason(path);
    const { prefix, neighbor } = paths;
    out.addPath(routing, table, path, attr, this.scope.nowS(), prefix[path], neighbor[path], words);
  }
}

/** Adj-RIB-Out of one neighbor, with the attributes that are on the wire. */
export class AdvertisedWalk extends RowWalk {
  private readonly neighbor: number;
  private readonly group: UpdateGroup | undefined;

  constructor(scope: WalkScope, position: string, neighbor: number, group: UpdateGroup | undefined) {
    super(scope, position);
    this.neighbor = neighbor;
    this.group = group;
  }

  override total(): number {
    return this.group?.advertisedTo(this.neighbor) ?? 0;
  }

  protected override byPrefix(): boolean {
    return true;
  }

  protected override rows(): number {
    return this.group ? this.scope.table.prefixes.rows : 1;
  }

  protected override visit(row: number, out: RouteBatch): void {
    const { table, filter, routing } = this.scope;
    const { group } = this;
    if (!group || group.closed || table.isMarker(row) || !group.announces(row, this.neighbor)) return;
    if (!filter.matchesPrefix(table.prefixes, row)) return;
    const { paths } = table;
    group.eachRoute(row, this.neighbor, (attr, source, pathId) => {
      if (!filter.matchesNeighbor(source) || !filter.matchesAttributes(attr)) return;
      // The path it came from may have changed or gone since.
      const path = pathId === 0 ? table.bestOf(row) : pathId;
      const isSame = path !== 0 && paths.prefix[path] === row && paths.neighbor[path] === source;
      if (!filter.matchesStates(table, isSame ? path : 0)) return;
      const nowS = isSame ? this.scope.nowS() : 0;
      out.addPath(routing, table, isSame ? path : 0, attr, nowS, row, source, "", pathId);
    });
  }
}

/** Best paths that a neighbor is not told of, without its own. */
export class WithheldWalk extends RowWalk {
  private readonly neighbor: number;
  private readonly group: UpdateGroup | undefined;

  constructor(scope: WalkScope, position: string, neighbor: number, group: UpdateGroup | undefined) {
    super(scope, position);
    this.neighbor = neighbor;
    this.group = group;
  }

  /** Only a walk to the end tells it. */
  override total(): undefined {
    return undefined;
  }

  protected override byPrefix(): boolean {
    return true;
  }

  protected override rows(): number {
    return this.group ? this.scope.table.prefixes.rows : 1;
  }

  protected override visit(row: number, out: RouteBatch): void {
    const { table, filter, routing } = this.scope;
    const { group, neighbor } = this;
    if (!group || group.closed || table.isMarker(row) || group.announces(row, neighbor)) return;
    const best = table.bestOf(row);
    if (best === 0 || table.paths.neighbor[best] === neighbor) return;
    if (!filter.matchesPrefix(table.prefixes, row) || !filter.matchesAttributes(table.paths.attr[best]))
      return;
    out.addPath(routing, table, best, table.paths.attr[best], this.scope.nowS());
  }
}

/** How many best paths come from each neighbor, over all families. */
export class BestCount implements BestCounter {
  private readonly routing: Routing;
  private family = 0;
  private row = 1;
  /** By family and neighbor id. */
  private readonly byId: Map<number, number>[];

  constructor(routing: Routing) {
    this.routing = routing;
    this.byId = routing.tables.map(() => new Map());
  }

  next(rows: number): boolean {
    const table = this.routing.tables[this.family];
    if (!table) return true;
    const counts = this.byId[this.family];
    const end = Math.min(table.prefixes.rows, this.row + rows);
    for (; this.row < end; this.row++) {
      const best = table.isMarker(this.row) ? 0 : table.bestOf(this.row);
      if (best === 0) continue;
      const neighbor = table.paths.neighbor[best];
      counts.set(neighbor, (counts.get(neighbor) ?? 0) + 1);
    }
    if (this.row < table.prefixes.rows) return false;
    this.family++;
    this.row = 1;
    return this.family === this.routing.tables.length;
  }

  counts(): ReadonlyMap<string, readonly number[]> {
    const byName = new Map<string, number[]>();
    for (const [family, counts] of this.byId.entries()) {
      for (const [id, count] of counts) {
        const name = this.routing.neighbors.text[id];
        const of = byName.get(name) ?? this.byId.map(() => 0);
        of[family] = count;
        byName.set(name, of);
      }
    }
    return byName;
  }
}
