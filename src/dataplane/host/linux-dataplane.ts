/**
 * Carries operations out in Linux, and tells what it holds: links, their settings and addresses as the observer of links
 * sees them, routes with our mark, and the sysctls that somebody asks for. Facts are always told before the outcomes of
 * what caused them: after each batch everything is looked at again.
 */
import type { ArtifactName } from "../artifact.ts";
import { linkFacts, routeFact } from "../artifact-facts.ts";
import { artifactClasses } from "../classes.ts";
import { type KernelRoute, type Link, ownProtocol } from "../kernel-model.ts";
import type { KernelFact, KernelOperation, KernelOutcome } from "../kernel-port.ts";
import type { DataplaneNews } from "../memory-dataplane.ts";
import { AddressFamily, askRoutes, RouteMessage, readRoute } from "../netlink/route-wire.ts";
import {
  writeAddress,
  writeLink,
  writeLinkDelete,
  writeLinkSetting,
  writeRoute,
} from "../netlink/route-write.ts";
import { MessageFlag, type NetlinkWriter } from "../netlink/wire.ts";
import { type NetlinkCalls, NetlinkSocket } from "./netlink-socket.ts";
import { NftTable } from "./nft-table.ts";
import type { KernelObserver } from "./observer.ts";
import { readSysctl, writeSysctl } from "./sysctls.ts";

export interface LinuxDataplaneHost extends Pick<DataplaneNews, "facts" | "applied"> {
  later(ms: number, call: () => void): void;
  /** Name of an errno. */
  errnoName(errno: number): string;
}

/** Changes of routes are collected this long before they are looked at. */
const settleMs = 3;
/** What stands in the way of a route of ours is looked for again this long after another route went. */
const collisionMs = 500;
/** A dump that failed is asked for again after this long. */
const againMs = 50;
/** How often sysctls are looked at. */
const sysctlPollMs = 500;

export class LinuxDataplane {
  private readonly host: LinuxDataplaneHost;
  private readonly observer: KernelObserver;
  private socket: NetlinkSocket | undefined;
  private nft: NftTable | undefined;
  private readonly indexes = new Map<string, number>();
  private readonly names = new Map<number, string>();
  /** What was told, as JSON, by class and key. */
  private readonly told = new Map<string, Map<string, string>>();
  private readonly sysctls = new Map<string, string>();
  /** Routes that were in the way of one of ours: until they are gone their keys are of interest. */
  private readonly collisions = new Set<string>();
  private routesStale = false;
  private looks: Promise<void> = Promise.resolve();
  private polling = false;
  private closed = false;
  private started = false;

  constructor(observer: KernelObserver, host: LinuxDataplaneHost) {
    this.observer = observer;
    this.host = host;
  }

  /** @returns the errno (negative) of the call that failed, 0 for none */
  open(calls: NetlinkCalls): number {
    const socket = NetlinkSocket.open(calls, [], { message: () => undefined, overrun: () => undefined });
    if (typeof socket === "number") return socket;
    this.socket = socket;
    this.nft = new NftTable(calls, this.host);
    return 0;
  }

  close(): void {
    this.closed = true;
    this.socket?.close();
    this.nft?.close();
  }

  /** All links, as the observer sees them now. The first time everything is told. */
  linksSeen(links: readonly Link[]): void {
    this.indexes.clear();
    this.names.clear();
    for (const { name, index } of links) {
      this.indexes.set(name, index);
      this.names.set(index, name);
    }
    if (!this.started) {
      this.started = true;
      for (const { name } of artifactClasses) {
        if (name !== "route")
          this.tellAll(
            name,
            linkFacts(links).filter((fact) => fact.class === name),
          );
      }
      void this.lookAtRoutes(true);
      return;
    }
    const facts = linkFacts(links);
    for (const name of ["link", "link-setting", "address"]) {
      this.tellChanges(
        name,
        facts.filter((fact) => fact.class === name),
      );
    }
    // IPv4 routes go with their link in silence.
    this.routesMoved(settleMs);
  }

  /** A route came, went or changed. */
  routeNoticed(gone: boolean, protocol: number): void {
    if (protocol === ownProtocol) this.routesMoved(settleMs);
    else if (gone && this.collisions.size > 0) this.routesMoved(collisionMs);
  }

  private routesMoved(afterMs: number): void {
    if (this.routesStale || !this.started) return;
    this.routesStale = true;
    this.host.later(afterMs, () => {
      this.routesStale = false;
      if (!this.closed) void this.lookAtRoutes(false);
    });
  }

  watch(watch: readonly ArtifactName[], unwatch: readonly ArtifactName[]): void {
    const isNft = ({ class: name }: ArtifactName): boolean => name === "nft";
    this.nft?.watch(watch.filter(isNft), unwatch.filter(isNft));
    for (const { class: name, key } of unwatch) if (name === "sysctl") this.sysctls.delete(key);
    const settings = watch.filter(({ class: name }) => name === "sysctl");
    const facts = settings.map(({ class: name, key }): KernelFact => {
      const observed = readSysctl(key);
      this.sysctls.set(key, JSON.stringify(observed));
      return { class: name, key, observed };
    });
    if (facts.length > 0) this.host.facts(undefined, facts);
    this.pollSysctls();
  }

  private pollSysctls(): void {
    if (this.polling || this.sysctls.size === 0 || this.closed) return;
    this.polling = true;
    this.host.later(sysctlPollMs, () => {
      this.polling = false;
      if (this.closed) return;
      const changed: KernelFact[] = [];
      for (const [key, told] of this.sysctls) {
        const observed = readSysctl(key);
        const text = JSON.stringify(observed);
        if (text === told) continue;
        this.sysctls.set(key, text);
        changed.push({ class: "sysctl", key, observed });
      }
      if (changed.length > 0) this.host.facts(undefined, changed);
      this.pollSysctls();
    });
  }

  /** Operations in order; the kernel gets those of one kind together. */
  async apply(batch: number, operations: readonly KernelOperation[]): Promise<void> {
    const outcomes: KernelOutcome[] = [];
    for (let at = 0; at < operations.length; ) {
      let end = at + 1;
      while (end < operations.length && operations[end].class === operations[at].class) end++;
      const part = operations.slice(at, end);
      outcomes.push(
        ...(part[0].class === "nft" && this.nft
          ? await this.nft.apply(part)
          : await Promise.all(part.map((operation) => this.carryOut(operation)))),
      );
      // What follows may stand on a link that was just made.
      if (part[0].class === "link") await this.lookAtLinks();
      at = end;
    }
    await this.lookAtLinks();
    await this.lookAtRoutes(false);
    if (!this.closed) this.host.applied(batch, outcomes);
  }

  private carryOut(operation: KernelOperation): KernelOutcome | Promise<KernelOutcome> {
    const { class: name, key, verb, facts } = operation;
    const space = key.indexOf(" ");
    const index = this.indexes.get(space < 0 ? key : key.slice(0, space));
    const noDevice: KernelOutcome = { error: "ENODEV", detail: "" };
    switch (name) {
      case "sysctl": {
        const error = writeSysctl(key, String(facts.value));
        const observed = readSysctl(key);
        this.sysctls.set(key, JSON.stringify(observed));
        return { error, detail: error === "" ? "" : permission(error), observed };
      }
      case "link":
        if (verb === "delete") {
          if (index === undefined) return { error: "ENOENT", detail: "" };
          if (operation.before && operation.before.identity !== String(index)) return takenOver;
          return this.send((out, sequence) => writeLinkDelete(out, sequence, index));
        }
        if (verb === "update") return this.remake(operation, index);
        return this.make(operation);
      case "link-setting":
        if (index === undefined) return noDevice;
        if (
          key.slice(space + 1) === "master" &&
          facts.value !== "" &&
          !this.indexes.has(String(facts.value))
        ) {
          return noDevice;
        }
        return this.send((out, sequence) =>
          writeLinkSetting(out, sequence, index, key.slice(space + 1), facts.value ?? "", this.indexOf),
        );
      case "address":
        if (index === undefined) return verb === "delete" ? { error: "ENOENT", detail: "" } : noDevice;
        return this.send((out, sequence) => writeAddress(out, sequence, verb, index, key.slice(space + 1)));
      default:
        return this.carryOutRoute(operation);
    }
  }

  private make({ key, facts }: KernelOperation): Promise<KernelOutcome> | KernelOutcome {
    const parent = facts.parent === undefined ? 0 : this.indexes.get(String(facts.parent));
    if (parent === undefined) return { error: "ENODEV", detail: `link ${String(facts.parent)} is not there` };
    return this.send((out, sequence) => writeLink(out, sequence, key, facts, parent));
  }

  /** The kernel changes no link's kind or parent. */
  private async remake(operation: KernelOperation, index: number | undefined): Promise<KernelOutcome> {
    if (index === undefined) return { error: "ENOENT", detail: "", observed: null };
    if (operation.before && operation.before.identity !== String(index)) return takenOver;
    const gone = await this.send((out, sequence) => writeLinkDelete(out, sequence, index));
    return gone.error === "" ? this.make(operation) : gone;
  }

  private async carryOutRoute({ key, verb, facts }: KernelOperation): Promise<KernelOutcome> {
    const outcome = await this.send((out, sequence) =>
      writeRoute(out, sequence, verb, key, facts, this.indexOf),
    );
    if (verb === "create" && outcome.error === "EEXIST") {
      this.collisions.add(key);
      // Whose it is does not matter, only that it is not ours.
      return { ...outcome, observed: { facts: {}, identity: "other" } };
    }
    // RTM_DELROUTE says ESRCH where others say ENOENT.
    if (outcome.error === "ESRCH") return { ...outcome, error: "ENOENT" };
    return outcome;
  }

  private readonly indexOf = (name: string): number | undefined => this.indexes.get(name);

  private send(write: (out: NetlinkWriter, sequence: number) => void): Promise<KernelOutcome> {
    return new Promise((resolve) => {
      this.socket?.request({
        isDump: false,
        write,
        message: () => undefined,
        done: ({ errno, text }) => {
          const error = errno === 0 ? "" : this.host.errnoName(errno);
          resolve({ error, detail: text !== "" ? text : permission(error) });
        },
      });
    });
  }

  private lookAtLinks(): Promise<void> {
    return new Promise((resolve) => this.observer.look(resolve));
  }

  /** Looks at the routes with our mark, and at those that stand in the way of one. */
  private lookAtRoutes(isFirst: boolean): Promise<void> {
    // One after the other: of two at a time the older one could be told last.
    this.looks = this.looks.then(() => this.lookOnce(isFirst));
    return this.looks;
  }

  private async lookOnce(isFirst: boolean): Promise<void> {
    const facts: KernelFact[] = [];
    for (const family of [AddressFamily.ip4, AddressFamily.ip6]) {
      for (const route of await this.dump(family, ownProtocol)) facts.push(routeFact(route, this.nameOf));
    }
    if (this.collisions.size > 0) await this.lookAtCollisions(facts);
    if (this.closed) return;
    if (isFirst) this.tellAll("route", facts);
    else this.tellChanges("route", facts);
  }

  private async lookAtCollisions(facts: KernelFact[]): Promise<void> {
    const left = new Set<string>();
    for (const family of [AddressFamily.ip4, AddressFamily.ip6]) {
      for (const route of await this.dump(family, 0)) {
        const fact = routeFact(route, this.nameOf);
        if (!this.collisions.has(fact.key) || route.protocol === ownProtocol) continue;
        left.add(fact.key);
        facts.push(fact);
      }
    }
    for (const key of this.collisions) if (!left.has(key)) this.collisions.delete(key);
  }

  private readonly nameOf = (index: number): string => this.names.get(index) ?? "";

  /** Routes of a mark, or all. What a dump that failed or was disturbed lacks is not gone: it is asked for again. */
  private dump(family: number, protocol: number): Promise<KernelRoute[]> {
    return new Promise((resolve) => {
      const routes: KernelRoute[] = [];
      let isWhole = true;
      this.socket?.request({
        isDump: true,
        write: (out, sequence) => askRoutes(out, sequence, family, 0, protocol),
        message: (bytes, { type, flags, at, end }) => {
          if ((flags & MessageFlag.dumpInterrupted) !== 0) isWhole = false;
          const route = type === RouteMessage.newRoute && readRoute(bytes, at, end);
          if (route && (protocol === 0 || route.protocol === protocol)) routes.push(route);
        },
        done: ({ errno }) => {
          if ((errno === 0 && isWhole) || this.closed) resolve(routes);
          else this.host.later(againMs, () => resolve(this.dump(family, protocol)));
        },
      });
    });
  }

  private tellAll(name: string, facts: readonly KernelFact[]): void {
    this.told.set(name, new Map(facts.map(({ key, observed }) => [key, JSON.stringify(observed)])));
    this.host.facts(name, facts);
  }

  private tellChanges(name: string, facts: readonly KernelFact[]): void {
    const before = this.told.get(name) ?? new Map<string, string>();
    const now = new Map<string, string>();
    const changed: KernelFact[] = [];
    for (const fact of facts) {
      const text = JSON.stringify(fact.observed);
      now.set(fact.key, text);
      if (before.get(fact.key) !== text) changed.push(fact);
    }
    for (const key of before.keys()) if (!now.has(key)) changed.push({ class: name, key, observed: null });
    this.told.set(name, now);
    if (changed.length > 0) this.host.facts(undefined, changed);
  }
}

const takenOver: KernelOutcome = { error: "ENOENT", detail: "another link has taken its place" };

function permission(error: string): string {
  return error === "EPERM" || error === "EACCES" ? "cairnd needs the capability CAP_NET_ADMIN" : "";
}
