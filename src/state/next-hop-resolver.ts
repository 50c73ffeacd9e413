/**
 * How a next hop is reached, from three facts: what the kernel does with packets to it, which links are up, and which
 * BGP routes are best. The more specific of the kernel's route and ours wins; a BGP route leads on to its own next hop.
 *
 *   next hop 192.0.2.9 -> BGP 192.0.2.0/24 by 10.0.0.2 -> kernel 10.0.0.0/30 on eth1
 *
 * A route never helps to reach its own next hop, at any remove: it is passed over for a less specific one. So the answer
 * does not depend on whether the paths that hang on it are in use, and cannot chase its own tail. Nothing is remembered:
 * the answer follows from the facts alone, in whichever order next hops are asked for.
 */
import { formatIp, formatPrefix, maskBytes, prefixContains } from "../base/ip.ts";
import { limits } from "../base/limits.ts";
import {
  type KernelRoute,
  kernelProtocol,
  type Link,
  ownBgpProtocol,
  protocolName,
} from "../dataplane/kernel-model.ts";
import { AttributeFlag } from "../policy/attribute-table.ts";
import { type NextHopId, type RouteKey, routeKey } from "../rib/next-hops.ts";
import { unicastFamily } from "../wire/family.ts";
import { isLinkLocal } from "../wire/next-hop.ts";
import { prefixText } from "./route-message.ts";
import type { Routing } from "./routing.ts";

/** Where packets to a next hop leave. */
export interface WayOut {
  readonly interface: string;
  /** Undefined: the next hop is on the link itself. */
  readonly gateway: Uint8Array | undefined;
  /** Share of the traffic against the sum of all. */
  readonly weight: number;
}

export interface Way {
  readonly reachable: boolean;
  /** On a link of ours, without a gateway between. */
  readonly onLink: boolean;
  /** Metric of the kernel's route that it ends with; 0 for a link of ours. */
  readonly metric: number;
  readonly out: readonly WayOut[];
  /** Route that leads to it, and who made it (`bgp` for ours); both empty when there is none. */
  readonly prefix: string;
  readonly protocol: string;
  /** Next hops of BGP routes on the way, nearest to the destination first. */
  readonly through: readonly string[];
  /** These routes, by `routeKey`. */
  readonly routes: ReadonlySet<RouteKey>;
  /** Why it cannot be reached, a clause; empty when it can. */
  readonly why: string;
}

/** The facts that a way is found from. */
export interface Facts {
  readonly routing: Routing;
  link(index: number): Link | undefined;
  links(): Iterable<Link>;
  /** What the kernel does with packets to a next hop; undefined as long as it was not heard. */
  answer(hop: NextHopId): { readonly route: KernelRoute | undefined } | undefined;
  /** Whether a default route is good enough. */
  viaDefault(): boolean;
}

export class NextHopResolver {
  private readonly facts: Facts;
  /** Next hops that the last `resolve` looked at beside the one asked for: it may come out otherwise when they do. */
  readonly touched = new Set<NextHopId>();
  private readonly underWay = new Set<NextHopId>();
  private left = 0;

  constructor(facts: Facts) {
    this.facts = facts;
  }

  resolve(hop: NextHopId): Way {
    this.touched.clear();
    this.underWay.clear();
    this.left = limits.nextHopLookupsMax;
    return this.attempt(hop);
  }

  private attempt(hop: NextHopId): Way {
    const { nextHops } = this.facts.routing;
    const address = nextHops!.address(hop);
    if (address.length === 16 && isLinkLocal(address, 0)) return this.linkLocal();
    const answer = this.facts.answer(hop);
    if (!answer) return unreachable("not looked up yet");
    const { route } = answer;
    if (route?.protocol === ownBgpProtocol) return this.byOwn(hop, address, route);
    const kernel = route ? this.byKernel(route) : unreachable("no route");
    // A route that discards stands in the way of less specific ones; one that is not in use does not.
    const counts = kernel.reachable || (route !== undefined && discards(route));
    const bgp = this.byBgp(hop, address, counts ? route!.destination.length : -1);
    return bgp ?? kernel;
  }

  /**
   * The kernel's answer is a route that BGP put there (FibTable), which hides what it would say without us. That must
   * not hold itself up: a link's own prefix and the Loc-RIB come first.
   */
  private byOwn(hop: NextHopId, address: Uint8Array, route: KernelRoute): Way {
    let connected: Way | undefined;
    let longest = -1;
    for (const { up, name, addresses } of this.facts.links()) {
      for (const { address: own, length } of up ? addresses : []) {
        const prefix = { bytes: own.slice(), length };
        maskBytes(prefix.bytes, length);
        if (length <= longest || own.length !== address.length || !prefixContains(prefix, address)) continue;
        longest = length;
        const out = [{ interface: name, gateway: undefined, weight: 1 }];
        const protocol = protocolName(kernelProtocol);
        connected = { ...found, onLink: true, out, prefix: formatPrefix(prefix), protocol };
      }
    }
    return this.byBgp(hop, address, longest) ?? connected ?? this.byKernel(route);
  }

  /** Ours to reach as long as some link that is up speaks IPv6; which of them, only its neighbor could say. */
  private linkLocal(): Way {
    const out: WayOut[] = [];
    for (const { up, loopback, name, addresses } of this.facts.links()) {
      const speaks = addresses.some(({ address }) => address.length === 16 && isLinkLocal(address, 0));
      if (up && !loopback && speaks) out.push({ interface: name, gateway: undefined, weight: 1 });
    }
    if (out.length === 0) return unreachable("it is link-local, and no link with IPv6 is up");
    return { ...found, onLink: true, out, prefix: "fe80::/10", protocol: protocolName(kernelProtocol) };
  }

  private byKernel(route: KernelRoute): Way {
    const prefix = formatPrefix(route.destination);
    const protocol = protocolName(route.protocol);
    const lost = (why: string): Way => ({ ...unreachable(why), prefix, protocol });
    if (route.type === "local") return lost("it is an address of this host");
    if (discards(route)) return lost(`the route ${prefix} is of type ${route.type}`);
    if (route.type !== "unicast") return lost(`it is a ${route.type} address`);
    if (route.destination.length === 0 && !this.facts.viaDefault()) {
      return lost("only the default route leads to it (resolve_via_default)");
    }
    const out: WayOut[] = [];
    let onLink = false;
    let down = "";
    for (const { link: index, gateway, weight, dead } of route.hops) {
      const link = this.facts.link(index);
      if (link?.up && !dead) out.push({ interface: link.name, gateway, weight });
      else down = link?.name ?? `with index ${index}`;
      if (link?.up && !dead && !gateway) onLink = true;
    }
    if (out.length === 0) return lost(`the route ${prefix} leaves by a link that is down (${down})`);
    // What follows from an address has no metric of its own, though IPv6 gives it 256.
    const metric = route.protocol === kernelProtocol && onLink ? 0 : route.metric;
    return { ...found, onLink, metric, out, prefix, protocol };
  }

  /** The most specific of our best routes that leads on, longer than `shorter` bits. */
  private byBgp(hop: NextHopId, address: Uint8Array, shorter: number): Way | undefined {
    const { routing } = this.facts;
    const { attributes } = routing;
    if (this.underWay.size >= limits.nextHopDepthMax) return undefined;
    const table = routing.table(unicastFamily(address.length));
    const { prefixes, paths } = table;
    this.underWay.add(hop);
    let way: Way | undefined;
    const least = this.facts.viaDefault() ? 0 : 1;
    for (let length = address.length * 8; length > shorter && length >= least && !way; length--) {
      if (prefixes.countByLength[length] === 0) continue;
      const row = prefixes.find(address, 0, length);
      const best = row === 0 ? 0 : table.bestOf(row);
      if (best === 0) continue;
      const prefix = prefixText(prefixes, row);
      if ((attributes.flags[paths.attr[best]] & AttributeFlag.discard) !== 0) {
        way = { ...unreachable(`the BGP route ${prefix} discards`), prefix, protocol: "bgp" };
        break;
      }
      const next = attributes.nextHop[paths.attr[best]];
      if (next === 0 || this.underWay.has(next) || this.left-- <= 0) continue;
      this.touched.add(next);
      const on = this.attempt(next);
      if (!on.reachable) continue;
      const through = [formatIp(routing.nextHops!.address(next)), ...on.through];
      const routes = new Set([routeKey(table.family.index, row), ...on.routes]);
      way = { ...on, onLink: false, prefix, protocol: "bgp", through, routes };
    }
    this.underWay.delete(hop);
    return way;
  }
}

function discards({ type }: KernelRoute): boolean {
  return type === "blackhole" || type === "unreachable" || type === "prohibit";
}

const found: Way = {
  reachable: true,
  onLink: false,
  metric: 0,
  out: [],
  prefix: "",
  protocol: "",
  through: [],
  routes: new Set(),
  why: "",
};

function unreachable(why: string): Way {
  return { ...found, reachable: false, why };
}
