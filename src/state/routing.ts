/** The tables of the core and what they share: attribute store, neighbor columns, best path, and scratch space. */
import { AttributeStore } from "../rib/attribute-store.ts";
import { BestPath } from "../rib/best-path.ts";
import { ExportCache } from "../rib/export-cache.ts";
import { RouteHistory } from "../rib/history.ts";
import { NeighborColumns } from "../rib/neighbor-columns.ts";
import { NextHops } from "../rib/next-hops.ts";
import type { PathValidator } from "../rib/path-validator.ts";
import { RouteTable } from "../rib/route-table.ts";
import { UpdateBatch } from "../rib/update-batch.ts";
import { type Family, families } from "../wire/family.ts";
import { UpdateEncoder } from "../wire/update-encode.ts";

export class Routing {
  /** Undefined when every next hop counts as reachable. */
  readonly nextHops: NextHops | undefined;
  readonly attributes: AttributeStore;
  readonly neighbors = new NeighborColumns();
  readonly best: BestPath;
  /** One table per family, by family index. */
  readonly tables: readonly RouteTable[];
  /** The last changes of routes, where Global asks for it. */
  readonly history: RouteHistory;
  readonly exportCache: ExportCache;
  readonly batch: UpdateBatch;
  readonly encoder = new UpdateEncoder();

  /** @param tracksNextHops whether paths wait for their next hops */
  constructor(tracksNextHops = false) {
    this.nextHops = tracksNextHops ? new NextHops() : undefined;
    this.attributes = new AttributeStore(this.nextHops);
    this.best = new BestPath(this.attributes, this.neighbors);
    this.tables = families.map(
      (family) =>
        // Rules have no next hop that could be tracked.
        new RouteTable(
          family,
          this.attributes,
          this.best,
          this.neighbors,
          family.nlri === "flow" ? undefined : this.nextHops,
        ),
    );
    this.history = new RouteHistory(this.attributes, this.neighbors, () => this.tables);
    this.exportCache = new ExportCache(this.attributes);
    this.batch = new UpdateBatch(this.attributes);
  }

  /** States of validation; undefined while nobody can tell any. */
  get validator(): PathValidator | undefined {
    return this.tables[0].validator;
  }

  set validator(validator: PathValidator | undefined) {
    // RPKI and ASPA say nothing of rules.
    for (const table of this.tables) if (!table.rules) table.validator = validator;
  }

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
      this.history.memoryBytes() +
      this.tables.reduce((sum, table) => sum + table.memoryBytes(), 0)
    );
  }
}
