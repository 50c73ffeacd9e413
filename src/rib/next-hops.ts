/**
 * Next hops interned to ids, with what is known of each: whether it can be reached, whether it is on a link of ours, and
 * its metric. The attribute store holds one reference per attribute set; a next hop is *used* while some path that
 * import accepted has it, and only then does anybody look for a way to it (state/next-hop-tracker.ts).
 *
 *   attribute set --nextHop column--> id --columns--> reachable, on-link, metric
 *
 * Of a global address that is followed by a link-local one the global one counts.
 */
import { grown } from "../base/columns.ts";
import { formatIp } from "../base/ip.ts";
import { NeighborFlag } from "./neighbor-columns.ts";
import { RejectReason } from "./path-flags.ts";
import { PrefixTable4, PrefixTable16 } from "./prefix-table.ts";

/** Names a next hop; 0 is none. Even for IPv4, odd for IPv6. Reused once no attribute set has it. */
export type NextHopId = number;

const Known = { reachable: 1, onLink: 2, byRoutes: 4 } as const;

/** Names a prefix over all tables: its row and the index of its family. */
export type RouteKey = number;

export function routeKey(family: number, row: number): RouteKey {
  return row * 16 + family;
}

export class NextHops {
  private readonly four = new PrefixTable4();
  private readonly sixteen = new PrefixTable16();
  private capacity = 64;
  /** Attribute sets that have it. */
  private references = new Uint32Array(this.capacity);
  /** Paths that use it, over all tables. */
  private uses = new Uint32Array(this.capacity);
  private known = new Uint8Array(this.capacity);
  /** Metric of the route to it (RFC 4271 9.1.2.2 e); 0 while it cannot be reached. */
  metric = new Uint32Array(this.capacity);
  /** Why it cannot be reached, one clause each, for those of which that is known. */
  readonly why = new Map<NextHopId, string>();
  /** For those that routes of ours lead to, which: these cannot have it as their own next hop. */
  private readonly routes = new Map<NextHopId, ReadonlySet<RouteKey>>();
  /** Ids that came into use or went out of it since this was emptied; an id may be there several times. */
  readonly moved: NextHopId[] = [];

  /**
   * @param length bytes of the next hop at `bytes[at]`: 4, 16 or 32, or 0 for none
   * @returns its id with one reference
   */
  intern(bytes: Uint8Array, at: number, length: number): NextHopId {
    if (length === 0 || isUnspecified(bytes, at, length)) return 0;
    const id =
      length === 4 ? this.four.intern(bytes, at, 32) * 2 : this.sixteen.intern(bytes, at, 128) * 2 + 1;
    if (id >= this.capacity) this.grow(id);
    this.references[id]++;
    return id;
  }

  retain(id: NextHopId): void {
    if (id !== 0) this.references[id]++;
  }

  release(id: NextHopId): void {
    if (id === 0 || --this.references[id] > 0) return;
    this.table(id).remove(id >> 1);
    this.known[id] = 0;
    this.metric[id] = 0;
    this.why.delete(id);
    this.routes.delete(id);
  }

  /** Id of an address of 4 or 16 bytes; 0 when nothing has it. */
  find(address: Uint8Array): NextHopId {
    if (address.length === 4) return this.four.find(address, 0, 32) * 2;
    const row = this.sixteen.find(address, 0, 128);
    return row === 0 ? 0 : row * 2 + 1;
  }

  /** A path begins to use it. */
  use(id: NextHopId): void {
    if (this.uses[id]++ === 0) this.moved.push(id);
  }

  unuse(id: NextHopId): void {
    if (--this.uses[id] === 0) this.moved.push(id);
  }

  /** Paths that use it; also those that it keeps from being chosen. */
  usesOf(id: NextHopId): number {
    return this.uses[id] ?? 0;
  }

  address(id: NextHopId): Uint8Array {
    const bytes = new Uint8Array((id & 1) === 0 ? 4 : 16);
    this.table(id).writeAddress(id >> 1, bytes, 0);
    return bytes;
  }

  /**
   * Notes what was found out.
   * @param routes those of ours that lead to it
   * @returns true when best paths may differ for it
   */
  learn(
    id: NextHopId,
    reachable: boolean,
    onLink: boolean,
    metric: number,
    routes: ReadonlySet<RouteKey>,
  ): boolean {
    const known =
      (reachable ? Known.reachable : 0) |
      (onLink ? Known.onLink : 0) |
      (routes.size > 0 ? Known.byRoutes : 0);
    const isSame = this.known[id] === known && this.metric[id] === metric;
    if (isSame && (routes.size === 0 || sameKeys(routes, this.routes.get(id)))) return false;
    if (routes.size === 0) this.routes.delete(id);
    else this.routes.set(id, routes);
    this.known[id] = known;
    this.metric[id] = metric;
    return true;
  }

  isReachable(id: NextHopId): boolean {
    return (this.known[id] & Known.reachable) !== 0;
  }

  /**
   * Whether a path with this next hop may be chosen. Our own routes always may.
   * @param neighborFlags `NeighborFlag` bits of the neighbor that it came from
   */
  verdict(id: NextHopId, neighborFlags: number): RejectReason {
    if (id === 0 || (neighborFlags & NeighborFlag.local) !== 0) return RejectReason.none;
    const needed =
      (neighborFlags & NeighborFlag.connected) !== 0 ? Known.reachable | Known.onLink : Known.reachable;
    return (this.known[id] & needed) === needed ? RejectReason.none : RejectReason.nextHop;
  }

  /** Whether routes of ours lead to it. */
  isReachedByRoutes(id: NextHopId): boolean {
    return (this.known[id] & Known.byRoutes) !== 0;
  }

  /** Whether a route leads to its own next hop: it cannot be resolved by itself (RFC 4271 9.1.2.1). */
  leadsToItself(id: NextHopId, route: RouteKey): boolean {
    return this.isReachedByRoutes(id) && this.routes.get(id)!.has(route);
  }

  /** What `verdict` means, or that a route leads to itself, as a clause for people. */
  refusal(id: NextHopId, route: RouteKey): string {
    const address = formatIp(this.address(id));
    if (this.leadsToItself(id, route)) return `next hop ${address} is reached by this route itself`;
    if (this.isReachable(id)) {
      return `next hop ${address} is not on a link of ours, as that of a neighbor one hop away must be`;
    }
    return `next hop ${address} cannot be reached: ${this.why.get(id) ?? "not looked up yet"}`;
  }

  memoryBytes(): number {
    return this.capacity * 13 + this.four.memoryBytes() + this.sixteen.memoryBytes();
  }

  private table(id: NextHopId): PrefixTable4 | PrefixTable16 {
    return (id & 1) === 0 ? this.four : this.sixteen;
  }

  private grow(id: NextHopId): void {
    while (id >= this.capacity) this.capacity *= 2;
    this.references = grown(this.references, this.capacity);
    this.uses = grown(this.uses, this.capacity);
    this.known = grown(this.known, this.capacity);
    this.metric = grown(this.metric, this.capacity);
  }
}

function sameKeys(a: ReadonlySet<RouteKey>, b: ReadonlySet<RouteKey> | undefined): boolean {
  if (b?.size !== a.size) return false;
  for (const key of a) if (!b.has(key)) return false;
  return true;
}

function isUnspecified(bytes: Uint8Array, at: number, length: number): boolean {
  const end = at + Math.min(length, 16);
  for (let i = at; i < end; i++) if (bytes[i] !== 0) return false;
  return true;
}
