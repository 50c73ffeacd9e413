/**
 * What a FIB takes from a table: for each prefix where its traffic goes. A consumer has a cursor in the table's change
 * list (`Watchers.addCursor`) and asks this for each row that it walks over; a change of a multipath set moves its prefix
 * like a change of the best path.
 */
import { findNextHop } from "../rib/export-rewrite.ts";
import type { RouteTable } from "../rib/route-table.ts";
import { AttributeFlag } from "../wire/attribute-flags.ts";
import { AttributeBlock } from "../wire/scratch.ts";
import type { Routing } from "./routing.ts";

export type Forwarding =
  /** There is no route, or none that may be used: the prefix leaves the FIB. */
  | { readonly kind: "none" }
  /** Packets are dropped (next hop discard, or BLACKHOLE honoured). */
  | { readonly kind: "discard" }
  /** Never empty; that of the best path first. No two are the same. */
  | { readonly kind: "next-hops"; readonly nextHops: readonly WeightedNextHop[] };

/** A next hop as BGP tells it: the consumer resolves it. */
export interface WeightedNextHop {
  /** 4 or 16 bytes, or 32: global and link-local (RFC 2545). A copy. */
  readonly address: Uint8Array;
  /** Number of the neighbor that told it, 0 for an injected route: a link-local address is on its interface. */
  readonly neighbor: number;
  /** Row of the path in the table, at this moment. */
  readonly path: number;
  /** Share of the traffic against the sum of all: 1 to 100, 1 for all when they are equal. */
  readonly weight: number;
}

const none: Forwarding = { kind: "none" };
const discard: Forwarding = { kind: "discard" };
const block = new AttributeBlock();
const place = { at: 0, length: 0 };

/**
 * For this prefix, the set of (next hop, weight).
 * @param prefix row of the prefix in the table
 */
export function forwardingOf({ attributes }: Routing, table: RouteTable, prefix: number): Forwarding {
  const best = table.bestOf(prefix);
  if (best === 0) return none;
  const { paths, multipath } = table;
  if ((attributes.flags[paths.attr[best]] & AttributeFlag.discard) !== 0) return discard;
  const shares = multipath?.has(best) ? multipath.shares(paths, best) : [{ path: best, weight: 1 }];
  const nextHops: WeightedNextHop[] = [];
  for (const { path, weight } of shares) {
    if (weight === 0) continue;
    attributes.block(paths.attr[path], block);
    findNextHop(block, place);
    const address = block.bytes.slice(place.at, place.at + place.length);
    // A route that was injected without a next hop leads nowhere outside of this router.
    if (address.every((byte) => byte === 0)) continue;
    nextHops.push({ address, neighbor: paths.neighbor[path], path, weight });
  }
  return nextHops.length === 0 ? none : { kind: "next-hops", nextHops };
}
