/**
 * Which of the kernel's routes BGP is told of, and what changed since the last look. Of several routes to a prefix the
 * kernel uses the one with the lowest metric that leads somewhere. What is told once has its place before what comes
 * later, so that at the bound routes do not take each other's places.
 */
import { formatIp, formatPrefix } from "../../base/ip.ts";
import { type KernelRoute, ownBgpProtocol, ownProtocol, type RouteType } from "../kernel-model.ts";
import type { RouteNews, RouteScope } from "./messages.ts";

/** What a route may do with packets: send them on, or drop them here. */
const taken: ReadonlySet<RouteType> = new Set(["unicast", "blackhole", "unreachable", "prohibit"]);

export class RouteSelection {
  private scope: RouteScope;
  /** Text of each route that was told, by prefix. */
  private told = new Map<string, string>();
  /** Routes that the last look left out. */
  over = 0;
  private isFirst = true;

  constructor(scope: RouteScope) {
    this.scope = scope;
  }

  /** Other routes are of interest from the next look on. */
  configure(scope: RouteScope): void {
    this.scope = scope;
  }

  /**
   * @param routes all routes of the table, or at least those that the scope may take
   * @returns undefined when nothing is different
   */
  update(routes: Iterable<KernelRoute>): RouteNews | undefined {
    const best = new Map<string, KernelRoute>();
    for (const route of routes) {
      if (!isTaken(route, this.scope)) continue;
      const prefix = formatPrefix(route.destination);
      const other = best.get(prefix);
      if (!other || route.metric < other.metric) best.set(prefix, route);
    }
    const over = this.bound(best);
    const changed: KernelRoute[] = [];
    const told = new Map<string, string>();
    for (const [prefix, route] of best) {
      const text = textOf(route);
      told.set(prefix, text);
      if (this.isFirst || this.told.get(prefix) !== text) changed.push(route);
    }
    const gone = [...this.told.keys()].filter((prefix) => !told.has(prefix));
    const isSame = !this.isFirst && changed.length + gone.length === 0 && over === this.over;
    const all = this.isFirst;
    this.told = told;
    this.over = over;
    this.isFirst = false;
    return isSame ? undefined : { scope: this.scope.id, all, changed, gone, over, failure: "" };
  }

  /** Leaves out what is too much. @returns how many */
  private bound(best: Map<string, KernelRoute>): number {
    let over = best.size - this.scope.max;
    if (over <= 0) return 0;
    const left = over;
    // The last of the new ones first, then the last of the old ones.
    const prefixes = [...best.keys()];
    const later = [
      ...prefixes.filter((prefix) => this.told.has(prefix)),
      ...prefixes.filter((prefix) => !this.told.has(prefix)),
    ];
    for (; over > 0; over--) best.delete(later.pop()!);
    return left;
  }
}

/** True for a route that a scope takes. */
export function isTaken(route: KernelRoute, scope: RouteScope): boolean {
  const { destination, table, protocol, type, hops, nextHopObject } = route;
  if (table !== scope.table || protocol === ownProtocol || protocol === ownBgpProtocol) return false;
  if (scope.protocols.length > 0 && !scope.protocols.includes(protocol)) return false;
  if (!taken.has(type)) return false;
  const { bytes, length } = destination;
  if (!(bytes.length === 4 ? scope.ipv4 : scope.ipv6)) return false;
  if (length === 0 && !scope.defaultRoute) return false;
  if (length > 0 && isBound(bytes)) return false;
  // One whose links are down leads nowhere, although the kernel still has it.
  return type !== "unicast" || nextHopObject !== 0 || hops.some(({ dead }) => !dead);
}

/** Loopback, link-local and multicast: these mean nothing to others. */
function isBound(bytes: Uint8Array): boolean {
  if (bytes.length === 4)
    return bytes[0] === 127 || bytes[0] >= 224 || (bytes[0] === 169 && bytes[1] === 254);
  if (bytes[0] === 0xff || (bytes[0] === 0xfe && (bytes[1] & 0xc0) === 0x80)) return true;
  return bytes.every((byte, i) => byte === (i === 15 ? 1 : 0));
}

/** One text for equal routes. */
function textOf({ protocol, metric, type, hops, nextHopObject }: KernelRoute): string {
  const ways = hops.map(
    ({ link, gateway, weight, dead }) =>
      `${gateway ? formatIp(gateway) : ""}@${link}*${weight}${dead ? "!" : ""}`,
  );
  return `${protocol} ${metric} ${type} ${nextHopObject} ${ways.join(" ")}`;
}
