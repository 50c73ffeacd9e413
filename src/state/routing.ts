/** The tables of the core and what they share: attribute store, neighbor columns, best path, and scratch space. */
import { AttributeStore } from "../rib/attribute-store.ts";
import { BestPath } from "../rib/best-path.ts";
import { ExportCache } from "../rib/export-cache.ts";
import { NeighborColumns } from "../rib/neighbor-columns.ts";
import { RouteTable } from "../rib/route-table.ts";
import { UpdateBatch } from "../rib/update-batch.ts";
import { type Family, families } from "../wire/family.ts";
import { UpdateEncoder } from "../wire/update-encode.ts";

export class Routing {
  readonly attributes = new AttributeStore();
  readonly neighbors = new NeighborColumns();
  readonly best = new BestPath(this.attributes, this.neighbors);
  /** One table per family, by family index. */
  readonly tables: readonly RouteTable[] = families.map(
    (family) => new RouteTable(family, this.attributes, this.best, this.neighbors),
  );
  readonly exportCache = new ExportCache(this.attributes);
  readonly batch = new UpdateBatch(this.attributes);
  readonly encoder = new UpdateEncoder();

  table(family: Family): RouteTable {
    return this.tables[family.index];
  }

  ensureNeighbor(neighbor: number): void {
    this.neighbors.ensure(neighbor);
    for (const table of this.tables) table.ensureNeighbor(neighbor);
  }

  /** Paths of a neighbor over all families. */
  pathsOf(neighbor: number): number {
    return this.tables.reduce((sum, table) => sum + (table.received[neighbor] ?? 0), 0);
  }

  memoryBytes(): number {
    return (
      this.attributes.memoryBytes() +
      this.exportCache.memoryBytes() +
      this.tables.reduce((sum, table) => sum + table.memoryBytes(), 0)
    );
  }
}
