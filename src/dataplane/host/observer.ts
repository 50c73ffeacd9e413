/**
 * Watches the kernel's links, and the routes to the addresses that somebody asked for. The kernel's table is not copied:
 * a million routes of another daemon cost one look at each change, whether it concerns an address that is watched.
 *
 * Notifications only say that something is to be looked at again: links and addresses as a whole, routes one address at
 * a time (RTM_GETROUTE with fibmatch). So a notification that never came (IPv4 routes go with their link in silence), or
 * that was lost, leaves nothing wrong behind that the next look does not mend.
 */
import { addressWords, CoverIndex } from "../../base/cover-index.ts";
import { formatIp } from "../../base/ip.ts";
import type { KernelRoute, Link, LinkAddress, RouteAnswer, RouteType } from "../kernel-model.ts";
import { askBridgePorts, readBridgePort } from "../netlink/bridge-vlans.ts";
import { withoutBgpRoutes } from "../netlink/route-filter.ts";
import {
  askAddresses,
  askLinks,
  askRouteTo,
  type LinkFacts,
  RouteGroup,
  RouteMessage,
  readAddress,
  readDestination,
  readLink,
  readRoute,
} from "../netlink/route-wire.ts";
import { type Message, MessageFlag } from "../netlink/wire.ts";
import type { KernelNews } from "../simulated-kernel.ts";
import { type NetlinkCalls, NetlinkSocket } from "./netlink-socket.ts";

export interface ObserverHost extends KernelNews {
  /** A route came, went or changed. @param protocol who it belongs to (RTPROT) */
  routeNoticed?(gone: boolean, protocol: number): void;
  /** A policy rule came or went. */
  ruleNoticed?(): void;
  /** Calls back once after so many milliseconds. */
  later(ms: number, call: () => void): void;
  nowMs(): number;
}

/** Notifications are collected this long before anything is looked at. */
const settleMs = 3;
/** Notifications are read this far apart: the buffer holds what comes in a second of a flood. */
const restMs = 2;
/** Links are looked at again after at least so many times what the last look took. */
const restFactor = 10;
const restMaxMs = 1_000;

/** Counted since the start. */
export interface ObserverCounts {
  notifications: number;
  /** Times that the kernel dropped notifications because they were not read fast enough. */
  overruns: number;
  /** Looks at all links, and questions for the route to an address. */
  linkDumps: number;
  routeLookups: number;
  failures: number;
}

interface Watched {
  readonly id: number;
  readonly address: Uint8Array;
  /** The answer that was told, as text; empty before the first. */
  told: string;
  asked: boolean;
}

export class KernelObserver {
  readonly counts: ObserverCounts = {
    notifications: 0,
    overruns: 0,
    linkDumps: 0,
    routeLookups: 0,
    failures: 0,
  };
  private readonly host: ObserverHost;
  private notices: NetlinkSocket | undefined;
  private requests: NetlinkSocket | undefined;
  private readonly watched = new Map<string, Watched>();
  private readonly covers = { 4: new CoverIndex(1), 16: new CoverIndex(4) };
  private readonly byId = new Map<number, Watched>();
  private nextId = 1;
  private toldLinks = new Map<number, string>();
  private toldAnyLinks = false;
  private linksStale = true;
  private readonly routesStale = new Set<Watched>();
  private settling = false;
  private dumping = false;
  /** Who waits for the next look at the links. */
  private lookers: (() => void)[] = [];
  private restUntilMs = 0;

  constructor(host: ObserverHost) {
    this.host = host;
  }

  /** Begins to watch. @returns the errno (negative) of the call that failed, 0 for none */
  open(calls: NetlinkCalls): number {
    const groups = Object.values(RouteGroup);
    const overrun = (): void => {
      this.counts.overruns++;
      this.lookAgain();
    };
    const notices = NetlinkSocket.open(calls, groups, {
      message: (bytes, message) => this.notified(bytes, message),
      overrun,
      rest: (call) => this.host.later(restMs, call),
      // There may be a million of them, and who writes them tells what of it concerns a next hop.
      filter: withoutBgpRoutes(),
    });
    if (typeof notices === "number") return notices;
    this.notices = notices;
    const requests = NetlinkSocket.open(calls, [], { message: () => undefined, overrun });
    if (typeof requests === "number") {
      notices.close();
      return requests;
    }
    this.requests = requests;
    this.lookAtLinks();
    return 0;
  }

  close(): void {
    this.notices?.close();
    this.requests?.close();
    this.notices = undefined;
    this.requests = undefined;
  }

  /** Tells of the routes to these addresses from now on, and no longer of the others. */
  watch(watch: readonly Uint8Array[], unwatch: readonly Uint8Array[]): void {
    for (const address of unwatch) {
      const entry = this.watched.get(formatIp(address));
      if (!entry) continue;
      this.watched.delete(formatIp(address));
      this.byId.delete(entry.id);
      this.covers[sizeOf(address)].remove(addressWords(address));
      this.routesStale.delete(entry);
    }
    for (const address of watch) {
      const entry: Watched = { id: this.nextId++, address, told: "", asked: false };
      this.watched.set(formatIp(address), entry);
      this.byId.set(entry.id, entry);
      this.covers[sizeOf(address)].add(entry.id, addressWords(address));
      this.routesStale.add(entry);
    }
    // Links are told before the routes over them.
    if (this.toldAnyLinks) this.askRoutes();
  }

  private notified(bytes: Uint8Array, { type, at, end }: Message): void {
    this.counts.notifications++;
    switch (type) {
      case RouteMessage.newRoute:
      case RouteMessage.delRoute:
        this.host.routeNoticed?.(type === RouteMessage.delRoute, bytes[at + 5]);
        this.routeChanged(bytes, at, end);
        return;
      case RouteMessage.newRule:
      case RouteMessage.delRule:
      case RouteMessage.newNextHop:
      case RouteMessage.delNextHop:
        if (type <= RouteMessage.delRule) this.host.ruleNoticed?.();
        for (const entry of this.watched.values()) this.routesStale.add(entry);
        this.settleSoon();
        return;
      default:
        this.lookAgain();
    }
  }

  /** Everything is looked at again: links, and then the routes, which go and come with them. */
  private lookAgain(): void {
    this.linksStale = true;
    this.settleSoon();
  }

  /** Calls back when all links were looked at, and told, after this moment. */
  look(done: () => void): void {
    this.lookers.push(done);
    if (!this.dumping) this.lookAtLinks();
  }

  private routeChanged(bytes: Uint8Array, at: number, end: number): void {
    if (this.watched.size === 0) return;
    const destination = readDestination(bytes, at, end);
    if (!destination) return;
    const { bytes: prefix, length } = destination;
    this.covers[sizeOf(prefix)].covered(addressWords(prefix), 0, length, this.routeStale);
  }

  private readonly routeStale = (id: number): void => {
    this.routesStale.add(this.byId.get(id)!);
    this.settleSoon();
  };

  private settleSoon(): void {
    if (this.settling) return;
    this.settling = true;
    const waitMs = this.linksStale ? Math.max(settleMs, this.restUntilMs - this.host.nowMs()) : settleMs;
    this.host.later(waitMs, () => {
      this.settling = false;
      if (this.linksStale) this.lookAtLinks();
      else this.askRoutes();
    });
  }

  private lookAtLinks(): void {
    if (!this.requests || this.dumping) return;
    this.dumping = true;
    this.linksStale = false;
    this.counts.linkDumps++;
    const served = this.lookers;
    this.lookers = [];
    const startedMs = this.host.nowMs();
    const links: LinkFacts[] = [];
    const addresses = new Map<number, LinkAddress[]>();
    const vlans = new Map<number, readonly string[]>();
    let isWhole = true;
    // The last of them ends the look.
    let left = 2;
    const note = ({ flags }: Message): void => {
      if ((flags & MessageFlag.dumpInterrupted) !== 0) isWhole = false;
    };
    const answered = (errno: number): void => {
      if (errno !== 0) isWhole = false;
      if (--left > 0) return;
      this.dumping = false;
      const tookMs = this.host.nowMs() - startedMs;
      this.restUntilMs = this.host.nowMs() + Math.min(restMaxMs, tookMs * restFactor);
      if (isWhole) {
        this.linksSeen(assembled(links, addresses, vlans), served);
        return;
      }
      this.counts.failures++;
      this.lookers.push(...served);
      this.lookAgain();
    };
    const askPorts = (): void =>
      this.requests?.request({
        isDump: true,
        write: askBridgePorts,
        message: (bytes, message) => {
          note(message);
          const port =
            message.type === RouteMessage.newLink && readBridgePort(bytes, message.at, message.end);
          if (port) vlans.set(port.index, port.vlans);
        },
        done: ({ errno }) => answered(errno),
      });
    this.requests.request({
      isDump: true,
      write: askLinks,
      message: (bytes, message) => {
        note(message);
        const link = message.type === RouteMessage.newLink && readLink(bytes, message.at, message.end);
        if (link) links.push(link);
      },
      done: ({ errno }) => {
        if (errno === 0 && links.some(filtersVlans)) {
          left++;
          askPorts();
        }
        answered(errno);
      },
    });
    this.requests.request({
      isDump: true,
      write: askAddresses,
      message: (bytes, message) => {
        note(message);
        const found = message.type === RouteMessage.newAddress && readAddress(bytes, message.at, message.end);
        if (!found) return;
        const { link, address, length } = found;
        const list = addresses.get(link);
        if (list) list.push({ address, length });
        else addresses.set(link, [{ address, length }]);
      },
      done: ({ errno }) => answered(errno),
    });
  }

  private linksSeen(links: readonly Link[], served: readonly (() => void)[]): void {
    this.tellLinks(links);
    for (const done of served) done();
    for (const entry of this.watched.values()) this.routesStale.add(entry);
    this.askRoutes();
    if (this.lookers.length > 0) this.lookAtLinks();
    else if (this.linksStale) this.settleSoon();
  }

  private tellLinks(links: readonly Link[]): void {
    const told = new Map(links.map((link) => [link.index, textOf(link)]));
    const changed = links.filter(({ index }) => this.toldLinks.get(index) !== told.get(index));
    const gone = [...this.toldLinks.keys()].filter((index) => !told.has(index));
    this.toldLinks = told;
    if (this.toldAnyLinks && changed.length + gone.length === 0) return;
    this.toldAnyLinks = true;
    this.host.links(changed, gone);
  }

  private askRoutes(): void {
    const { requests } = this;
    if (!requests) return;
    let left = 0;
    const answers: RouteAnswer[] = [];
    const asked = [...this.routesStale].filter((entry) => !entry.asked);
    for (const entry of asked) {
      this.routesStale.delete(entry);
      entry.asked = true;
      left++;
      this.counts.routeLookups++;
      let route: KernelRoute | undefined;
      requests.request({
        isDump: false,
        write: (out, sequence) => askRouteTo(out, sequence, entry.address),
        message: (bytes, { type, at, end }) => {
          if (type === RouteMessage.newRoute) route = readRoute(bytes, at, end);
        },
        done: ({ errno }) => {
          entry.asked = false;
          this.answered(entry, errno, route, answers);
          if (--left === 0 && answers.length > 0) this.host.routes(answers);
          if (left === 0 && this.routesStale.size > 0) this.settleSoon();
        },
      });
    }
  }

  private answered(
    entry: Watched,
    errno: number,
    route: KernelRoute | undefined,
    answers: RouteAnswer[],
  ): void {
    if (this.watched.get(formatIp(entry.address)) !== entry) return;
    if (errno !== 0 && !(errno in refusals)) {
      // The kernel could not answer now; what was told stands until it does.
      this.counts.failures++;
      this.routesStale.add(entry);
      return;
    }
    const found = errno === 0 ? route : refused(entry.address, errno);
    const told = found ? textOf(found) : "none";
    if (told === entry.told) return;
    entry.told = told;
    answers.push({ address: entry.address, route: found });
  }
}

function filtersVlans({ kind, data }: LinkFacts): boolean {
  return kind === "bridge" && data.vlanFiltering === true;
}

/** Links with what came in messages of its own. VLANs are told where they mean something. */
function assembled(
  links: readonly LinkFacts[],
  addresses: ReadonlyMap<number, readonly LinkAddress[]>,
  vlans: ReadonlyMap<number, readonly string[]>,
): Link[] {
  const filtering = new Set(links.filter(filtersVlans).map(({ index }) => index));
  return links.map((link) => {
    const isFiltered = filtering.has(link.index) || filtering.has(link.master);
    return {
      ...link,
      vlans: isFiltered ? (vlans.get(link.index) ?? []) : undefined,
      addresses: addresses.get(link.index) ?? [],
    };
  });
}

function sizeOf(address: Uint8Array): 4 | 16 {
  return address.length === 4 ? 4 : 16;
}

/** What an error stands for: IPv4 does not tell of the route that refuses. Undefined: there is none. */
const refusals: Readonly<Record<number, RouteType | undefined>> = {
  101: undefined, // ENETUNREACH
  113: "unreachable", // EHOSTUNREACH
  13: "prohibit", // EACCES
  22: "blackhole", // EINVAL
};

function refused(address: Uint8Array, errno: number): KernelRoute | undefined {
  const type = refusals[errno];
  if (!type) return undefined;
  // Its length is not told: as the shortest it stands in the way of no other route.
  const destination = { bytes: new Uint8Array(address.length), length: 0 };
  return {
    destination,
    table: 0,
    protocol: 0,
    metric: 0,
    type,
    hops: [],
    nextHopObject: 0,
    source: undefined,
  };
}

/** One text for equal values. */
function textOf(value: unknown): string {
  return JSON.stringify(value, (_, part) => (part instanceof Uint8Array ? formatIp(part) : part));
}
