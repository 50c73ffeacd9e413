/** Routes of FIB tables as the API shows them. */
import { create } from "@bufbuild/protobuf";
import { formatIp, formatPrefix, type Prefix, parsePrefix } from "../../base/ip.ts";
import { errnoText } from "../../dataplane/fib/errno.ts";
import { discardWay, type FibWay, wayText } from "../../dataplane/fib/messages.ts";
import {
  type BlackholeDiscard,
  BlackholeDiscardSchema,
  type FibHop,
  FibHopSchema,
  type FibRoute,
  FibRouteSchema,
  FibState,
} from "../../gen/cairn/v1/rib_service_pb.ts";
import { AttributeFlag } from "../../policy/attribute-table.ts";
import { type Family, families } from "../../wire/family.ts";
import type { Core } from "../core.ts";
import { prefixText } from "../route-message.ts";
import { Errno, type FibFamily } from "./fib-family.ts";
import type { FibTable } from "./fib-table.ts";

export interface FibQuery {
  /** Object; empty for all. */
  readonly name: string;
  /** Canonical text; empty for all. */
  readonly prefix: string;
  readonly faulty: boolean;
}

export interface FibPage {
  readonly routes: FibRoute[];
  /** Empty when there are no more. */
  readonly position: string;
  readonly total: number;
}

/** Rows looked at for one page at most, so that a filter which matches little holds nobody up. */
const rowsPerPage = 50_000;
const discardText = wayText(discardWay);

/** One page; the place is TABLE.FAMILY.ROW. A page may be short while there is more. */
export function fibPage(core: Core, query: FibQuery, position: string, max: number): FibPage {
  const tables = [...core.fib.all()]
    .filter(([name]) => query.name === "" || name === query.name)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const all = tables.flatMap(([name, fib]) => fib.families.map((family) => ({ name, fib, family })));
  const routes: FibRoute[] = [];
  const prefix = query.prefix === "" ? undefined : (parsePrefix(query.prefix) as Prefix);
  const isFiltered = prefix !== undefined || query.faulty;
  const total = isFiltered ? 0 : all.reduce((sum, { family }) => sum + family.prefixes.count, 0);
  let [at, row] = position === "" ? [0, 1] : position.split(".").map(Number);
  for (let left = rowsPerPage; at < all.length; at++, row = 1) {
    const { name, fib, family } = all[at];
    const { prefixes } = family;
    if (prefix) {
      const { bytes, length } = prefix;
      if (bytes.length !== family.size) continue;
      row = prefixes.find(bytes, 0, length);
      if (row !== 0) routes.push(routeOf(name, fib, family, row));
      continue;
    }
    for (; row < prefixes.rows; row++, left--) {
      if (left === 0 || routes.length === max) return { routes, position: `${at}.${row}`, total };
      if (!family.isRow(row)) continue;
      const route = routeOf(name, fib, family, row);
      if (!query.faulty || route.state !== FibState.INSTALLED) routes.push(route);
    }
  }
  return { routes, position: "", total };
}

function routeOf(name: string, fib: FibTable, family: FibFamily, row: number): FibRoute {
  const { prefixes } = family;
  const bytes = new Uint8Array(family.size);
  prefixes.writeAddress(row, bytes, 0);
  const { needed, installed, errno, over } = family.stateAt(row);
  const recipe = family.recipeAt(row);
  const way = fib.ways.get(needed);
  const held = needed === installed ? undefined : fib.ways.get(installed);
  return create(FibRouteSchema, {
    fibTable: name,
    table: fib.scope.table,
    family: family.family.name,
    prefix: formatPrefix({ bytes, length: prefixes.length[row] }),
    state: stateOf(needed, installed, errno, over, recipe),
    hops: way ? hopsOf(way, fib) : [],
    discard: way !== undefined && wayText(way) === discardText,
    kernelHops: held ? hopsOf(held, fib) : [],
    error: errno === 0 ? "" : errnoText(errno),
  });
}

function stateOf(needed: number, installed: number, errno: number, over: boolean, recipe: number): FibState {
  if (over) return FibState.OVER_LIMIT;
  if (errno === Errno.exists) return FibState.CONFLICT;
  if (errno !== 0) return FibState.REFUSED;
  if (needed !== installed) return FibState.PENDING;
  return recipe !== 0 && needed === 0 ? FibState.WAITING : FibState.INSTALLED;
}

function hopsOf({ hops }: FibWay, fib: FibTable): FibHop[] {
  return hops.map(({ link, gateway, weight }) =>
    create(FibHopSchema, {
      gateway: gateway ? formatIp(gateway) : "",
      interface: fib.linkName(link),
      weight,
    }),
  );
}

/** Prefixes whose packets are to be dropped; the place is FAMILY.ROW, and a page may be short while there is more. */
export function discardPage(
  core: Core,
  family: Family | undefined,
  position: string,
  max: number,
): { readonly discards: BlackholeDiscard[]; readonly position: string } {
  const { routing } = core;
  const { attributes } = routing;
  const tables = (family ? [family] : families).map((each) => routing.table(each));
  const discards: BlackholeDiscard[] = [];
  let [at, row] = position === "" ? [0, 1] : position.split(".").map(Number);
  for (let left = rowsPerPage * 4; at < tables.length; at++, row = 1) {
    const table = tables[at];
    for (; row < table.prefixes.rows; row++, left--) {
      if (left === 0 || discards.length === max) return { discards, position: `${at}.${row}` };
      if (table.isMarker(row)) continue;
      const best = table.bestOf(row);
      const attr = best === 0 ? 0 : table.paths.attr[best];
      if (best === 0 || (attributes.flags[attr] & AttributeFlag.discard) === 0) continue;
      const neighbor = core.neighbors.find(table.paths.neighbor[best]);
      const bytes = new Uint8Array(table.prefixes.addressBytes);
      table.prefixes.writeAddress(row, bytes, 0);
      discards.push(
        create(BlackholeDiscardSchema, {
          prefix: prefixText(table.prefixes, row),
          neighbor: neighbor?.config.address ?? "",
          fibTables: holders(core, table.family, bytes, table.prefixes.length[row]),
        }),
      );
    }
  }
  return { discards, position: "" };
}

/** FibTables that drop the prefix in the kernel. */
function holders(core: Core, of: Family, bytes: Uint8Array, length: number): string[] {
  const names: string[] = [];
  for (const [name, fib] of core.fib.all()) {
    const family = fib.families.find((each) => each.family === of);
    const row = family?.prefixes.find(bytes, 0, length) ?? 0;
    const way = row === 0 ? undefined : fib.ways.get(family!.stateAt(row).installed);
    if (way && wayText(way) === discardText) names.push(name);
  }
  return names.sort();
}
