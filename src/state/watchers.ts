/** Who wants to know when something changed: watches of routes (cursors), of events and of neighbors (versions). */
import { limits } from "../base/limits.ts";
import { after } from "../rib/change-list.ts";
import type { RouteTable } from "../rib/route-table.ts";
import { prefixText } from "./route-message.ts";
import type { Routing } from "./routing.ts";

/** A cursor in a table's change list that belongs to a reader outside the core. */
export interface RouteCursor {
  readonly table: RouteTable;
  readonly marker: number;
  onChange: (() => void) | undefined;
}

/** What somebody may wait for a change of. */
export type WatchTopic = "events" | "neighbors" | "links";

export class Watchers {
  private readonly listeners: Readonly<Record<WatchTopic, Set<() => void>>> = {
    events: new Set(),
    neighbors: new Set(),
    links: new Set(),
  };
  private readonly cursors = new Set<RouteCursor>();
  /** Change counts of the tables at the end of the last turn. */
  private readonly changesSeen: number[];
  private readonly routing: Routing;
  /** Version of the last change of each neighbor, by address; in order of change. */
  private readonly neighborVersions = new Map<string, number>();
  neighborVersion = 0;
  /** Version of the newest change that is no longer known. */
  private forgottenVersion = 0;
  private eventsDirty = false;
  private neighborsDirty = false;
  private linksDirty = false;

  constructor(routing: Routing) {
    this.routing = routing;
    this.changesSeen = routing.tables.map(() => 0);
  }

  subscribe(topic: WatchTopic, listener: () => void): () => void {
    this.listeners[topic].add(listener);
    return () => this.listeners[topic].delete(listener);
  }

  eventsChanged(): void {
    this.eventsDirty = true;
  }

  /** As a part of the core: links of the kernel came, went or are otherwise than before. */
  linksChanged(): void {
    this.linksDirty = true;
  }

  neighborChanged(address: string): void {
    if (address === "") return;
    this.neighborVersions.delete(address);
    // Neighbors that are gone stay known for a while, so that watchers hear of it.
    if (this.neighborVersions.size >= limits.neighborsMax * 2) {
      const [oldest, version] = this.neighborVersions.entries().next().value!;
      this.neighborVersions.delete(oldest);
      this.forgottenVersion = version;
    }
    this.neighborVersions.set(address, ++this.neighborVersion);
    this.neighborsDirty = true;
  }

  /**
   * Addresses whose last change is after `version`, newest first; undefined when that is not known any more, or when
   * the version is none of this run.
   */
  neighborsSince(version: number): string[] | undefined {
    if (version < this.forgottenVersion || version > this.neighborVersion) return undefined;
    const names: string[] = [];
    for (const [name, at] of [...this.neighborVersions].reverse()) {
      if (at <= version) break;
      names.push(name);
    }
    return names;
  }

  addCursor(cursor: RouteCursor): void {
    this.cursors.add(cursor);
  }

  removeCursor(cursor: RouteCursor): void {
    if (this.cursors.delete(cursor)) cursor.table.removeMarker(cursor.marker);
  }

  get cursorCount(): number {
    return this.cursors.size;
  }

  /** The smallest revision that all cursors of a table have passed; undefined without cursors. */
  passed(table: RouteTable): number | undefined {
    let least: number | undefined;
    for (const cursor of this.cursors) {
      if (cursor.table !== table) continue;
      const revision = table.changes.revisionOf[cursor.marker];
      if (least === undefined || after(least, revision)) least = revision;
    }
    return least;
  }

  /** Tells everybody once what changed in this turn. */
  endTurn(): void {
    if (this.eventsDirty) for (const listener of [...this.listeners.events]) listener();
    if (this.neighborsDirty) for (const listener of [...this.listeners.neighbors]) listener();
    if (this.linksDirty) for (const listener of [...this.listeners.links]) listener();
    this.eventsDirty = false;
    this.neighborsDirty = false;
    this.linksDirty = false;
    this.routing.tables.forEach((table, i) => {
      if (this.changesSeen[i] === table.changes.changes) return;
      this.changesSeen[i] = table.changes.changes;
      for (const cursor of this.cursors) if (cursor.table === table) cursor.onChange?.();
    });
  }

  prefixText(table: RouteTable, prefix: number): string {
    return prefixText(table.prefixes, prefix);
  }
}
