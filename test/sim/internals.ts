/** What the checkers look at behind private doors, in one place, so that the core need not open them for tests. */
import type { RouteTable } from "../../src/rib/route-table.ts";
import type { UpdateGroup } from "../../src/rib/update-group.ts";
import type { Core } from "../../src/state/core.ts";
import type { Connection } from "../../src/state/sessions-connection.ts";

/** TCP connections that the core knows of, by id. */
export function connectionsOf(core: Core): ReadonlyMap<number, Connection> {
  const engine = Reflect.get(core.sessions, "engine") as { connections: ReadonlyMap<number, Connection> };
  return engine.connections;
}

/** Ids of attribute sets below this were in use at some time. */
export function attributeIds(core: Core): number {
  return Reflect.get(core.routing.attributes, "nextId") as number;
}

/** References that a group holds beside its columns. */
export function heldByGroup(group: UpdateGroup): number[] {
  const baselines = followersOf(group).flatMap(({ baseline }) => [...(baseline?.attr ?? [])]);
  return [Reflect.get(group, "defaultAttr") as number, ...baselines];
}

export function followersOf(group: UpdateGroup): readonly { baseline?: { attr: Uint32Array } }[] {
  return Reflect.get(group, "followers") as readonly { baseline?: { attr: Uint32Array } }[];
}

/** A prefix without paths that somebody still wants, or that will be forgotten when all cursors have passed it. */
export function isAwaited(table: RouteTable, row: number): boolean {
  const pins = Reflect.get(table, "pins") as ReadonlyMap<number, number>;
  const state = Reflect.get(table, "state") as Uint8Array;
  return pins.has(row) || (state[row] & 1) !== 0;
}

/** Watchers' cursors in the change list of a table. */
export function cursorsOf(core: Core, table: RouteTable): number {
  const cursors = Reflect.get(core.watchers, "cursors") as ReadonlySet<{ table: RouteTable }>;
  return [...cursors].filter((cursor) => cursor.table === table).length;
}
