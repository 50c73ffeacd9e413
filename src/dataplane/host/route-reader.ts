/**
 * Reads the kernel's routes for BGP, for a thread of its own: with a million routes of somebody else in a table a look takes
 * long. Notices of routes, links and addresses only say when to look (ADR 12): after each look all differences are told, so
 * nothing that was lost leaves anything wrong behind.
 */
import { formatIp } from "../../base/ip.ts";
import { type KernelRoute, kernelProtocol } from "../kernel-model.ts";
import {
  AddressFamily,
  askAddresses,
  askRoutes,
  mainTable,
  RouteAttribute,
  RouteGroup,
  RouteMessage,
  readAddress,
  readRoute,
} from "../netlink/route-wire.ts";
import { eachAttribute, type Message, MessageFlag, type NetlinkWriter, read32 } from "../netlink/wire.ts";
import type { RouteNews, RouteScope } from "../redistribute/messages.ts";
import { RouteSelection } from "../redistribute/route-selection.ts";
import { type NetlinkCalls, NetlinkSocket } from "./netlink-socket.ts";

export interface RouteReaderHost {
  news(news: RouteNews): void;
  later(ms: number, call: () => void): void;
  nowMs(): number;
  errnoName(errno: number): string;
}

/** Notices are collected this long before anybody looks. */
const settleMs = 3;
/** A look is followed by a rest of so many times what it took, so that a table that never rests costs a tenth of a processor. */
const restFactor = 9;
const restMaxMs = 2_000;
/** A look that failed or was disturbed is tried again after this. */
const againMs = 50;
/** With more protocols than these the kernel is asked for all routes once, instead of for each of them. */
const protocolsAskedMax = 3;

export class RouteReader {
  private readonly host: RouteReaderHost;
  private notices: NetlinkSocket | undefined;
  private requests: NetlinkSocket | undefined;
  private scopes: readonly RouteScope[] = [];
  private readonly selections = new Map<number, RouteSelection>();
  private readonly stale = new Set<number>();
  private readonly failures = new Map<number, string>();
  private looking = false;
  private settling = false;
  private closed = false;
  private restUntilMs = 0;

  constructor(host: RouteReaderHost) {
    this.host = host;
  }

  /** @returns the errno (negative) of the call that failed, 0 for none */
  open(calls: NetlinkCalls): number {
    const { link, ip4Address, ip6Address, ip4Route, ip6Route, nextHop } = RouteGroup;
    const overrun = (): void => this.allStale();
    const groups = [link, ip4Address, ip6Address, ip4Route, ip6Route, nextHop];
    const notices = NetlinkSocket.open(calls, groups, {
      message: (bytes, message) => this.noticed(bytes, message),
      overrun,
      rest: (call) => this.host.later(settleMs, call),
    });
    if (typeof notices === "number") return notices;
    const requests = NetlinkSocket.open(calls, [], { message: () => undefined, overrun });
    if (typeof requests === "number") {
      notices.close();
      return requests;
    }
    this.notices = notices;
    this.requests = requests;
    return 0;
  }

  close(): void {
    this.closed = true;
    this.notices?.close();
    this.requests?.close();
  }

  /** Tells of these scopes from now on, all of them. */
  watch(scopes: readonly RouteScope[]): void {
    const before = new Map(this.scopes.map((scope) => [scope.id, JSON.stringify(scope)]));
    this.scopes = scopes;
    for (const id of [...this.selections.keys()])
      if (!scopes.some((scope) => scope.id === id)) this.selections.delete(id);
    for (const scope of scopes) {
      const known = this.selections.get(scope.id);
      if (known && before.get(scope.id) === JSON.stringify(scope)) continue;
      if (known) known.configure(scope);
      else this.selections.set(scope.id, new RouteSelection(scope));
      this.stale.add(scope.id);
    }
    this.lookSoon();
  }

  /** Looks at everything without a notice. */
  check(): void {
    this.allStale();
  }

  private allStale(): void {
    for (const { id } of this.scopes) this.stale.add(id);
    this.lookSoon();
  }

  private noticed(bytes: Uint8Array, { type, at, end }: Message): void {
    if (this.scopes.length === 0) return;
    if (type !== RouteMessage.newRoute && type !== RouteMessage.delRoute) {
      this.allStale();
      return;
    }
    if (at + 12 > end) return;
    let table: number = bytes[at + 4];
    eachAttribute(bytes, at + 12, end, (attribute, from, to) => {
      if (attribute === RouteAttribute.table && to - from === 4) table = read32(bytes, from);
    });
    const protocol = bytes[at + 5];
    for (const scope of this.scopes) {
      if (scope.table !== table) continue;
      // One of another protocol may have taken the place of one of ours (NLM_F_REPLACE), which is not told.
      const isOther = scope.protocols.length > 0 && !scope.protocols.includes(protocol);
      if (isOther && type === RouteMessage.delRoute) continue;
      this.stale.add(scope.id);
    }
    this.lookSoon();
  }

  private lookSoon(): void {
    if (this.settling || this.looking || this.closed || this.stale.size === 0) return;
    this.settling = true;
    this.host.later(Math.max(settleMs, this.restUntilMs - this.host.nowMs()), () => {
      this.settling = false;
      if (!this.closed) void this.look();
    });
  }

  private async look(): Promise<void> {
    this.looking = true;
    const startedMs = this.host.nowMs();
    const stale = this.scopes.filter(({ id }) => this.stale.delete(id));
    this.stale.clear();
    let restMs = 0;
    for (const scope of stale) {
      const found = await this.read(scope);
      if (this.closed) return;
      const selection = this.selections.get(scope.id);
      if (!selection || !this.scopes.includes(scope)) continue;
      if (typeof found === "string") {
        this.stale.add(scope.id);
        restMs = againMs;
        if (found !== "") this.fail(scope.id, found);
        continue;
      }
      const wasFailed = this.failures.delete(scope.id);
      const news = selection.update(found);
      if (news) this.host.news(news);
      else if (wasFailed) this.host.news({ ...nothing(scope.id), over: selection.over });
    }
    const tookMs = this.host.nowMs() - startedMs;
    this.restUntilMs = this.host.nowMs() + Math.max(restMs, Math.min(restMaxMs, tookMs * restFactor));
    this.looking = false;
    this.lookSoon();
  }

  private fail(scope: number, failure: string): void {
    if (this.failures.get(scope) === failure) return;
    this.failures.set(scope, failure);
    this.host.news({ ...nothing(scope), failure });
  }

  /** @returns why not; empty when the table changed while it was read */
  private async read(scope: RouteScope): Promise<KernelRoute[] | string> {
    const { ip4, ip6 } = AddressFamily;
    const families = [...(scope.ipv4 ? [ip4] : []), ...(scope.ipv6 ? [ip6] : [])];
    const isFew = scope.protocols.length > 0 && scope.protocols.length <= protocolsAskedMax;
    const protocols = isFew ? scope.protocols : [0];
    const routes: KernelRoute[] = [];
    for (const family of families) {
      for (const protocol of protocols) {
        const failure = await this.dump(family, scope.table, protocol, routes);
        if (failure !== undefined) return failure;
      }
    }
    const failure = scope.ipv4 && isConnected(scope) ? await this.hosts(routes) : undefined;
    return failure ?? routes;
  }

  /**
   * IPv4 addresses with a prefix of their own (/32), such as those of lo and dummy links: FRR and BIRD count them as
   * connected, and Linux has a route for them only among its local ones.
   */
  private async hosts(routes: KernelRoute[]): Promise<string | undefined> {
    const single = new Set<string>();
    const failure = await this.ask(askAddresses, (bytes, { type, at, end }) => {
      const found = type === RouteMessage.newAddress && readAddress(bytes, at, end);
      if (found && found.address.length === 4 && found.length === 32) single.add(formatIp(found.address));
    });
    if (failure !== undefined || single.size === 0) return failure;
    const own: KernelRoute[] = [];
    const again = await this.dump(AddressFamily.ip4, localTable, kernelProtocol, own);
    for (const route of own) {
      const { bytes, length } = route.destination;
      if (route.type === "local" && length === 32 && single.has(formatIp(bytes)))
        routes.push({ ...route, table: mainTable, type: "unicast" });
    }
    return again;
  }

  private dump(
    family: number,
    table: number,
    protocol: number,
    routes: KernelRoute[],
  ): Promise<string | undefined> {
    return this.ask(
      (out, sequence) => askRoutes(out, sequence, family, table, protocol),
      (bytes, { type, at, end }) => {
        const route = type === RouteMessage.newRoute && readRoute(bytes, at, end);
        if (route) routes.push(route);
      },
    );
  }

  /** A dump. @returns why it is not whole; empty when the table changed while it was read */
  private ask(
    write: (out: NetlinkWriter, sequence: number) => void,
    message: (bytes: Uint8Array, message: Message) => void,
  ): Promise<string | undefined> {
    return new Promise((resolve) => {
      let isWhole = true;
      if (!this.requests) return resolve("");
      this.requests.request({
        isDump: true,
        write,
        message: (bytes, each) => {
          if ((each.flags & MessageFlag.dumpInterrupted) !== 0) isWhole = false;
          message(bytes, each);
        },
        done: ({ errno }) => {
          // A table that was never used is not there.
          if (errno === 0 || errno === noEntry) resolve(isWhole ? undefined : "");
          else resolve(`routes cannot be read from the kernel: ${this.host.errnoName(errno)}`);
        },
      });
    });
  }
}

const noEntry = 2;
const localTable = 255;

/** It takes what the kernel makes of addresses. */
function isConnected({ table, protocols }: RouteScope): boolean {
  return table === mainTable && protocols.includes(kernelProtocol);
}

function nothing(scope: number): RouteNews {
  return { scope, all: false, changed: [], gone: [], over: 0, failure: "" };
}
