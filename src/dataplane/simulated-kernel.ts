/**
 * A kernel without one: links, routes, and what would be done with packets to an address, as Linux does it. Tests, the
 * simulation and `--dataplane memory` put links and routes in; whoever watches addresses is told what became of them.
 */
import { formatIp, maskBytes, type Prefix, prefixContains } from "../base/ip.ts";
import {
  type KernelRoute,
  kernelProtocol,
  type Link,
  type RouteAnswer,
  type RouteType,
} from "./kernel-model.ts";

/** Links and routes as they are put in. */
export interface SimulatedKernel {
  readonly links: readonly SimulatedLink[];
  readonly routes: readonly SimulatedRoute[];
}

export interface SimulatedLink {
  readonly name: string;
  readonly up: boolean;
  /** Each gives a route to its prefix as long as the link is up. */
  readonly addresses: readonly Prefix[];
}

export interface SimulatedRoute {
  readonly destination: Prefix;
  readonly metric: number;
  readonly type: RouteType;
  /** Name of the link; empty: that on which the gateway is. */
  readonly link: string;
  readonly gateway: Uint8Array | undefined;
}

/** What observers of a kernel, real or simulated, tell. */
export interface KernelNews {
  links(changed: readonly Link[], gone: readonly number[]): void;
  routes(answers: readonly RouteAnswer[]): void;
}

interface Watched {
  readonly address: Uint8Array;
  /** The answer that was told, as text. */
  told: string;
}

const mainTable = 254;
const staticProtocol = 4;

export class KernelSimulator {
  private readonly news: KernelNews;
  private readonly indexes = new Map<string, number>();
  private links: readonly Link[] = [];
  private routes: readonly KernelRoute[] = [];
  private readonly watched = new Map<string, Watched>();

  constructor(news: KernelNews) {
    this.news = news;
  }

  /** Tells of the addresses from now on, and no longer of the others. */
  watch(watch: readonly Uint8Array[], unwatch: readonly Uint8Array[]): void {
    for (const address of unwatch) this.watched.delete(formatIp(address));
    const added = watch.map((address) => ({ address, told: "nothing" }));
    for (const entry of added) this.watched.set(formatIp(entry.address), entry);
    this.tellRoutes(added);
  }

  /** Links and routes are these from now on. A link keeps its index as long as its name is there. */
  replace({ links, routes }: SimulatedKernel): void {
    const before = this.links;
    this.links = links.map((link) => this.linkOf(link));
    this.routes = [...this.links.flatMap(connected), ...routes.flatMap((route) => this.routeOf(route))];
    const known = new Map(before.map((link) => [link.index, text(link)]));
    const changed = this.links.filter((link) => known.get(link.index) !== text(link));
    const gone = before.filter(({ index }) => !this.links.some((link) => link.index === index));
    for (const { name } of gone) this.indexes.delete(name);
    this.news.links(
      changed,
      gone.map(({ index }) => index),
    );
    this.tellRoutes(this.watched.values());
  }

  /** All routes. */
  all(): readonly KernelRoute[] {
    return this.routes;
  }

  link(name: string): Link | undefined {
    return this.links.find((each) => each.name === name);
  }

  /** The route that packets to an address take: longest match, then the lowest metric. */
  lookup(address: Uint8Array): KernelRoute | undefined {
    let best: KernelRoute | undefined;
    for (const route of this.routes) {
      if (!prefixContains(route.destination, address)) continue;
      const longer = route.destination.length - (best?.destination.length ?? -1);
      if (longer > 0 || (longer === 0 && route.metric < best!.metric)) best = route;
    }
    return best;
  }

  private tellRoutes(entries: Iterable<Watched>): void {
    const answers: RouteAnswer[] = [];
    for (const entry of entries) {
      const route = this.lookup(entry.address);
      const told = text(route);
      if (told === entry.told) continue;
      entry.told = told;
      answers.push({ address: entry.address, route });
    }
    if (answers.length > 0) this.news.routes(answers);
  }

  private linkOf({ name, up, addresses }: SimulatedLink): Link {
    let index = this.indexes.get(name);
    if (index === undefined) {
      index = 1;
      while ([...this.indexes.values()].includes(index)) index++;
      this.indexes.set(name, index);
    }
    return {
      ...{ index, name, enabled: up, up, loopback: name === "lo", operState: up ? "up" : "down" },
      ...{ mtu: 1500, mac: "", kind: "simulated", master: 0, parent: 0, data: {}, vlans: undefined },
      addresses: addresses.map(({ bytes, length }) => ({ address: bytes, length })),
    };
  }

  private routeOf({ destination, metric, type, link: name, gateway }: SimulatedRoute): KernelRoute[] {
    const base = {
      destination,
      table: mainTable,
      protocol: staticProtocol,
      metric,
      type,
      nextHopObject: 0,
      source: undefined,
    };
    if (type !== "unicast") return [{ ...base, hops: [] }];
    const link = this.links.find((each) =>
      name === "" ? gateway !== undefined && onLink(each, gateway) : each.name === name,
    );
    // As Linux does it, a route goes with its link.
    if (!link?.up) return [];
    return [{ ...base, hops: [{ link: link.index, gateway, weight: 1, dead: false }] }];
  }
}

function connected({ index, up, addresses }: Link): KernelRoute[] {
  if (!up) return [];
  return addresses.flatMap(({ address, length }) => {
    const bytes = address.slice();
    maskBytes(bytes, length);
    const base = {
      table: mainTable,
      protocol: kernelProtocol,
      metric: 0,
      nextHopObject: 0,
      source: undefined,
    };
    const hops = [{ link: index, gateway: undefined, weight: 1, dead: false }];
    const self: KernelRoute = {
      ...base,
      ...{ destination: { bytes: address, length: address.length * 8 }, type: "local", hops },
    };
    return length === address.length * 8
      ? [self]
      : [self, { ...base, destination: { bytes, length }, type: "unicast", hops }];
  });
}

function onLink({ addresses }: Link, gateway: Uint8Array): boolean {
  return addresses.some(({ address, length }) => {
    const bytes = address.slice();
    maskBytes(bytes, length);
    return prefixContains({ bytes, length }, gateway);
  });
}

/** One text for equal values. */
function text(value: unknown): string {
  return JSON.stringify(value, (_, part) => (part instanceof Uint8Array ? formatIp(part) : part)) ?? "none";
}
