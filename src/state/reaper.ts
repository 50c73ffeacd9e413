/** Rows of prefixes that are gone are used again once everybody who walks the change list has passed them. */
import type { RouteTable } from "../rib/route-table.ts";
import type { Routing } from "./routing.ts";

/** Prefixes given back per turn: some 2 ms. */
const reapedPerTurn = 2048;

export class Reaper {
  private readonly routing: Routing;
  private readonly passedByAll: (table: RouteTable) => number;
  /** Prefixes that are gone wait only for another turn. */
  hasWork = false;

  /** @param passed the revision of a table's change list up to which all have read */
  constructor(routing: Routing, passed: (table: RouteTable) => number) {
    this.routing = routing;
    this.passedByAll = passed;
  }

  run(): void {
    this.hasWork = false;
    for (const table of this.routing.tables) {
      if (table.hasDead && table.reap(this.passedByAll(table), reapedPerTurn)) this.hasWork = true;
    }
  }
}
