/**
 * The limit on the paths that a neighbor with Add-Path may have to one prefix (`add_path.receive_max`). Whoever is inside
 * stays inside; a path that is kept out comes in when another one of the prefix goes.
 */
import { RejectReason, reasonMask } from "../rib/path-flags.ts";
import type { RouteTable } from "../rib/route-table.ts";
import type { Family } from "../wire/family.ts";
import type { NeighborRecord } from "./neighbor-record.ts";

/** The neighbor may have only so many paths to a prefix of the family. */
export function limitsPaths({ config }: NeighborRecord, family: Family): boolean {
  return config.addPath[family.index]?.receiveMax !== undefined;
}

/**
 * True when a path is one too many. Stale paths do not count: a neighbor that came back with other identifiers is not
 * refused for those that it had before.
 * @param prefix row of the prefix, 0 when it is new
 * @param path row of the path, 0 when it is new
 */
export function isExcess(
  { id, config }: NeighborRecord,
  table: RouteTable,
  prefix: number,
  path: number,
): boolean {
  const max = config.addPath[table.family.index]?.receiveMax;
  if (max === undefined || prefix === 0) return false;
  const { paths } = table;
  let inside = 0;
  for (let other = table.head[prefix]; other !== 0; other = paths.next[other]) {
    if (other === path || paths.neighbor[other] !== id) continue;
    if (!isWaiting(table, other) && !table.isStale(other)) inside++;
  }
  return inside >= max;
}

/** The path of the smallest identifier that waits for room at a prefix; 0 when none does. */
export function waitingPath({ id }: NeighborRecord, table: RouteTable, prefix: number): number {
  const { paths } = table;
  let first = 0;
  for (let path = table.head[prefix]; path !== 0; path = paths.next[path]) {
    if (paths.neighbor[path] !== id || !isWaiting(table, path)) continue;
    if (first === 0 || paths.idOf(path) < paths.idOf(first)) first = path;
  }
  return first;
}

function isWaiting({ paths }: RouteTable, path: number): boolean {
  return (paths.flags[path] & reasonMask) === RejectReason.pathLimit;
}
