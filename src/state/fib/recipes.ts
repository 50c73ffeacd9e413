/**
 * What BGP says of a prefix, a *recipe*: discard, or next hops with weights. A recipe stands for all the prefixes that
 * have it, and knows the way that it comes to at present; when a next hop's resolution changes, its few recipes are
 * made again, and not its many routes.
 *
 *   prefix -> recipe {192.0.2.1, 192.0.2.2 twice} -> way {via 10.0.0.1 on eth0, via 10.0.1.1 on eth1 twice}
 */
import { grown } from "../../base/columns.ts";
import { parseIp } from "../../base/ip.ts";
import { discardWay, type FibHop, type FibWay, wayOf } from "../../dataplane/fib/messages.ts";
import type { Link } from "../../dataplane/kernel-model.ts";
import type { NextHopId, NextHops } from "../../rib/next-hops.ts";
import { isLinkLocal } from "../../wire/next-hop.ts";
import type { Way } from "../next-hop-resolver.ts";
import type { Ways } from "./ways.ts";

/** Names a recipe; 0 is none. Reused once nothing refers to it. */
export type RecipeId = number;

export interface RecipeHop {
  readonly hop: NextHopId;
  /** Interface of a link-local next hop; empty for any other. */
  readonly zone: string;
  readonly weight: number;
}

export interface RecipesHost {
  readonly nextHops: NextHops;
  /** How a next hop is reached; undefined as long as that is not known. */
  way(hop: NextHopId): Way | undefined;
  link(name: string): Link | undefined;
}

export class Recipes {
  private readonly host: RecipesHost;
  private readonly ways: Ways;
  private readonly byText = new Map<string, RecipeId>();
  /** Of one next hop that is not link-local: by far the most, found without making a text. */
  private readonly single = new Map<NextHopId, RecipeId>();
  private readonly byHop = new Map<NextHopId, Set<RecipeId>>();
  private readonly hops: (readonly RecipeHop[] | undefined)[] = [undefined];
  private readonly texts: string[] = [""];
  private readonly free: RecipeId[] = [];
  /** Rows that have it. */
  references = new Uint32Array(64);
  /** The way that it comes to at present; 0 while there is none. */
  way: Uint32Array = new Uint32Array(64);

  constructor(ways: Ways, host: RecipesHost) {
    this.ways = ways;
    this.host = host;
  }

  /** All there are. */
  ids(): Iterable<RecipeId> {
    return this.byText.values();
  }

  hopsOf(id: RecipeId): readonly RecipeHop[] {
    return this.hops[id] ?? [];
  }

  /** The recipe of a single next hop that is not link-local. It has no reference more than before. */
  ofHop(hop: NextHopId): RecipeId {
    return this.single.get(hop) ?? this.of([{ hop, zone: "", weight: 1 }]);
  }

  /** @param hops none: packets are to be dropped */
  of(hops: readonly RecipeHop[]): RecipeId {
    const text = hops.map(({ hop, zone, weight }) => `${hop}%${zone}*${weight}`).join(" ");
    return this.byText.get(text) ?? this.make(text, hops);
  }

  private make(text: string, hops: readonly RecipeHop[]): RecipeId {
    const id = this.free.pop() ?? this.hops.length;
    if (id >= this.way.length) {
      this.way = grown(this.way, id * 2);
      this.references = grown(this.references, id * 2);
    }
    this.byText.set(text, id);
    this.texts[id] = text;
    this.hops[id] = hops;
    const [first] = hops;
    if (hops.length === 1 && first.zone === "") this.single.set(first.hop, id);
    for (const { hop } of hops) {
      this.host.nextHops.retain(hop);
      const set = this.byHop.get(hop);
      if (set) set.add(id);
      else this.byHop.set(hop, new Set([id]));
    }
    this.resolve(id);
    return id;
  }

  retain(id: RecipeId): void {
    if (id !== 0) this.references[id]++;
  }

  release(id: RecipeId): void {
    if (id === 0 || --this.references[id] > 0) return;
    const hops = this.hops[id]!;
    for (const { hop } of hops) {
      const set = this.byHop.get(hop);
      set?.delete(id);
      if (set?.size === 0) this.byHop.delete(hop);
      this.host.nextHops.release(hop);
    }
    const [first] = hops;
    if (hops.length === 1 && first.zone === "") this.single.delete(first.hop);
    this.byText.delete(this.texts[id]);
    this.ways.release(this.way[id]);
    this.way[id] = 0;
    this.hops[id] = undefined;
    this.free.push(id);
  }

  /** A next hop is reached otherwise. @returns true when some recipe comes to another way */
  hopMoved(hop: NextHopId): boolean {
    let moved = false;
    for (const id of this.byHop.get(hop) ?? []) moved = this.resolve(id) || moved;
    return moved;
  }

  /** Links have other indexes, or are up or down. @returns true when some recipe comes to another way */
  allMoved(): boolean {
    let moved = false;
    for (const id of this.byText.values()) moved = this.resolve(id) || moved;
    return moved;
  }

  private resolve(id: RecipeId): boolean {
    const way = this.resolved(this.hops[id]!);
    const before = this.way[id];
    this.way[id] = way ? this.ways.intern(way) : 0;
    this.ways.release(before);
    return this.way[id] !== before;
  }

  private resolved(hops: readonly RecipeHop[]): FibWay | undefined {
    if (hops.length === 0) return discardWay;
    const sets: { readonly out: readonly FibHop[]; readonly weight: number }[] = [];
    for (const hop of hops) {
      const out = this.outOf(hop);
      // One of several that leads nowhere leaves the traffic to the others.
      if (out.length > 0) sets.push({ out, weight: hop.weight });
    }
    if (sets.length === 0) return undefined;
    // A next hop that is itself reached by several ways shares its part among them.
    const sums = sets.map(({ out }) => out.reduce((sum, { weight }) => sum + weight, 0));
    const whole = sums.reduce((product, sum) => lcm(product, sum), 1);
    return wayOf(
      sets.flatMap(({ out, weight }, i) =>
        out.map((hop) => ({ ...hop, weight: (hop.weight * weight * whole) / sums[i] })),
      ),
    );
  }

  private outOf({ hop, zone }: RecipeHop): FibHop[] {
    const address = this.host.nextHops.address(hop);
    if (address.length === 16 && isLinkLocal(address, 0)) {
      const link = zone === "" ? undefined : this.host.link(zone);
      return link?.up ? [{ link: link.index, gateway: address, weight: 1 }] : [];
    }
    const way = this.host.way(hop);
    if (!way?.reachable) return [];
    const last = way.through.length > 0 ? parseIp(way.through.at(-1)!)! : address;
    const out: FibHop[] = [];
    for (const exit of way.out) {
      const link = this.host.link(exit.interface);
      if (link) out.push({ link: link.index, gateway: exit.gateway ?? last, weight: exit.weight });
    }
    return out;
  }
}

function lcm(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return (a / x) * b;
}
