/**
 * Carries operations out in Linux, and tells what it holds: links, their settings and addresses as the observer of links
 * sees them, routes with our mark, and the sysctls and WireGuard keys that somebody asks for. Facts are always told before the outcomes of
 * what caused them: after each batch everything is looked at again.
 */
import { type ArtifactName, artifactText, type Fact, type Observed } from "../artifact.ts";
import { linkFacts, routeFact } from "../artifact-facts.ts";
import { artifactClasses } from "../classes.ts";
import { type KernelRoute, type Link, ownProtocol } from "../kernel-model.ts";
import type { KernelFact, KernelOperation, KernelOutcome } from "../kernel-port.ts";
import type { DataplaneNews } from "../memory-dataplane.ts";
import { vlansPerMessage, writePortVlans } from "../netlink/bridge-vlans.ts";
import { linkChanges } from "../netlink/link-kinds.ts";
import { AddressFamily, askRoutes, RouteMessage, readRoute } from "../netlink/route-wire.ts";
import {
  writeAddress,
  writeLink,
  writeLinkChange,
  writeLinkDelete,
  writeLinkSetting,
  writeRoute,
} from "../netlink/route-write.ts";
import { MessageFlag, type NetlinkWriter } from "../netlink/wire.ts";
import { type NetlinkCalls, NetlinkSocket } from "./netlink-socket.ts";
import { NftTable } from "./nft-table.ts";
import type { KernelObserver } from "./observer.ts";
import { RuleTable } from "./rule-table.ts";
import { readSysctl, writeSysctl } from "./sysctls.ts";
import { WireGuardLinks } from "./wireguard.ts";

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
/** Classes that are looked at as a whole. */
const lookedAt: ReadonlySet<string> = new Set(["link", "link-setting", "address", "route", "rule"]);
/** How often settings are looked at that tell of no change: sysctls, keys and peers of WireGuard. */
const pollMs = 500;

/**
 * Everything of ours is read anew within so long, class by class, and told as a whole: a notice that was lost, or a belief
 * that is wrong, heals by itself. (Rules of nftables are read with their counters anyway.)
 */
export const fullCheckMs = 300_000;

/** A setting that is looked at again and again. */
interface Polled {
  readonly name: ArtifactName;
  /** What was told, as JSON; undefined: nothing yet. */
  told: string | undefined;
  /** Begins and ends of writes to it: what was read before the last one is old, and odd while one is under way. */
  writes: number;
}

export class LinuxDataplane {
  private readonly host: LinuxDataplaneHost;
  private readonly observer: KernelObserver;
  private socket: NetlinkSocket | undefined;
  private nft: NftTable | undefined;
  private wireGuard: WireGuardLinks | undefined;
  private readonly indexes = new Map<string, number>();
  private readonly names = new Map<number, string>();
  private readonly links = new Map<string, Link>();
  /** What was told, as JSON, by class and key. */
  private readonly told = new Map<string, Map<string, string>>();
  private readonly polled = new Map<string, Polled>();
  private readonly rules: RuleTable;
  /** Routes that were in the way of one of ours: until they are gone their keys are of interest. */
  private readonly collisions = new Set<string>();
  private routesStale = false;
  private rulesStale = false;
  private looks: Promise<void> = Promise.resolve();
  private polling = false;
  private closed = false;
  private started = false;

  constructor(observer: KernelObserver, host: LinuxDataplaneHost) {
    this.observer = observer;
    this.host = host;
    this.rules = new RuleTable({
      send: (write) => this.send(write),
      socket: () => this.socket,
      later: (ms, call) => host.later(ms, call),
      isClosed: () => this.closed,
    });
  }

  /** @returns the errno (negative) of the call that failed, 0 for none */
  open(calls: NetlinkCalls): number {
    const socket = NetlinkSocket.open(calls, [], { message: () => undefined, overrun: () => undefined });
    if (typeof socket === "number") return socket;
    this.socket = socket;
    this.nft = new NftTable(calls, this.host);
    this.wireGuard = new WireGuardLinks(calls, this.host);
    return 0;
  }

  close(): void {
    this.closed = true;
    this.socket?.close();
    this.nft?.close();
    this.wireGuard?.close();
  }

  /** All links, as the observer sees them now. The first time everything is told. */
  linksSeen(links: readonly Link[]): void {
    this.indexes.clear();
    this.names.clear();
    this.links.clear();
    for (const link of links) {
      this.indexes.set(link.name, link.index);
      this.names.set(link.index, link.name);
      this.links.set(link.name, link);
    }
    if (!this.started) {
      this.started = true;
      for (const { name } of artifactClasses) {
        if (name !== "route" && name !== "rule")
          this.tellAll(
            name,
            linkFacts(links).filter((fact) => fact.class === name),
          );
      }
      void this.lookAtRoutes(true);
      void this.lookAtRules(true);
      this.nft?.start();
      this.checkSlowly(0);
      return;
    }
    const facts = linkFacts(links);
    for (const name of linkClasses) {
      this.tellChanges(
        name,
        facts.filter((fact) => fact.class === name),
      );
    }
    // IPv4 routes go with their link in silence.
    this.routesMoved(settleMs);
  }

  /** One part of all that is ours after the other, spread over time. */
  private checkSlowly(part: number): void {
    const parts = [
      async (): Promise<void> => {
        await this.lookAtLinks();
        const facts = linkFacts([...this.links.values()]);
        for (const name of linkClasses)
          this.tellAll(
            name,
            facts.filter((fact) => fact.class === name),
          );
      },
      () => this.lookAtRoutes(true),
      () => this.lookAtRules(true),
    ];
    this.host.later(fullCheckMs / parts.length, async () => {
      if (this.closed) return;
      await parts[part]();
      this.checkSlowly((part + 1) % parts.length);
    });
  }

  /** A route came, went or changed. */
  routeNoticed(gone: boolean, protocol: number): void {
    if (protocol === ownProtocol) this.routesMoved(settleMs);
    else if (gone && this.collisions.size > 0) this.routesMoved(collisionMs);
  }

  /** A policy rule came or went. */
  ruleNoticed(): void {
    if (this.rulesStale || !this.started) return;
    this.rulesStale = true;
    this.host.later(settleMs, () => {
      this.rulesStale = false;
      if (!this.closed) void this.lookAtRules(false);
    });
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
    for (const name of unwatch) this.polled.delete(artifactText(name));
    const settings = watch.filter(({ class: name }) => name === "sysctl" || name === "wireguard");
    for (const name of settings) this.polled.set(artifactText(name), { name, told: undefined, writes: 0 });
    void this.lookAtSettings(settings);
    this.poll();
  }

  private poll(): void {
    if (this.polling || this.polled.size === 0 || this.closed) return;
    this.polling = true;
    this.host.later(pollMs, async () => {
      if (!this.closed) await this.lookAtSettings([...this.polled.values()].map(({ name }) => name));
      this.polling = false;
      this.poll();
    });
  }

  private async lookAtSettings(names: readonly ArtifactName[]): Promise<void> {
    const changed: KernelFact[] = [];
    for (const name of names) {
      const text = artifactText(name);
      const writes = this.polled.get(text)?.writes;
      const observed =
        name.class === "sysctl" ? readSysctl(name.key) : ((await this.wireGuard?.read(name.key)) ?? null);
      const entry = this.polled.get(text);
      // Given up or written to meanwhile.
      if (!entry || entry.writes !== writes || entry.writes % 2 === 1) continue;
      const now = JSON.stringify(observed);
      if (entry.told === now) continue;
      entry.told = now;
      changed.push({ ...name, observed });
    }
    if (changed.length > 0 && !this.closed) this.host.facts(undefined, changed);
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
    if (operations.some(({ class: name }) => name === "rule")) await this.lookAtRules(false);
    if (this.closed) return;
    this.tellAgain(operations);
    this.host.applied(batch, outcomes);
  }

  /**
   * Tells what is held under these names, also where it looks as it did before the batch: another hand may have undone
   * an operation before anybody looked, and then there is no change to be told.
   */
  private tellAgain(names: readonly ArtifactName[]): void {
    const facts: KernelFact[] = [];
    for (const { class: name, key } of names) {
      if (!lookedAt.has(name)) continue;
      const text = this.told.get(name)?.get(key);
      facts.push({ class: name, key, observed: text === undefined ? null : JSON.parse(text) });
    }
    if (facts.length > 0) this.host.facts(undefined, facts);
  }

  private carryOut(operation: KernelOperation): Sent {
    const { class: name, key, verb, facts } = operation;
    const space = key.indexOf(" ");
    const index = this.indexes.get(space < 0 ? key : key.slice(0, space));
    const noDevice: KernelOutcome = { error: "ENODEV", detail: "" };
    switch (name) {
      case "sysctl": {
        this.writing(operation);
        const error = writeSysctl(key, String(facts.value));
        const detail = error === "" ? "" : permission(error);
        return this.written(operation, { error, detail, observed: readSysctl(key) });
      }
      case "wireguard":
        if (index === undefined || !this.wireGuard) return noDevice;
        this.writing(operation);
        return this.wireGuard.apply(operation).then((outcome) => this.written(operation, outcome));
      case "link":
        if (verb === "delete") {
          if (index === undefined) return { error: "ENOENT", detail: "" };
          if (operation.before && operation.before.identity !== String(index)) return takenOver;
          return this.send((out, sequence) => writeLinkDelete(out, sequence, index));
        }
        return verb === "update" ? this.alter(operation, index) : this.make(operation);
      case "link-setting":
        if (index === undefined) return noDevice;
        return this.set(operation, index, key.slice(space + 1));
      case "address":
        if (index === undefined) return verb === "delete" ? { error: "ENOENT", detail: "" } : noDevice;
        return this.send((out, sequence) => writeAddress(out, sequence, verb, index, key.slice(space + 1)));
      case "rule":
        return this.rules.carryOut(operation);
      default:
        return this.carryOutRoute(operation);
    }
  }

  private make({ key, facts }: KernelOperation): Sent {
    const parent = facts.parent === undefined ? 0 : this.indexes.get(String(facts.parent));
    if (parent === undefined) return { error: "ENODEV", detail: `link ${String(facts.parent)} is not there` };
    return this.send((out, sequence) => writeLink(out, sequence, key, facts, parent));
  }

  /** What the kernel alters on a link that is there; for all else a link is made anew. */
  private alter({ before, facts }: KernelOperation, index: number | undefined): Sent {
    if (index === undefined) return { error: "ENOENT", detail: "", observed: null };
    if (before && before.identity !== String(index)) return takenOver;
    const only = linkChanges(before?.facts ?? {}, facts);
    return this.send((out, sequence) => writeLinkChange(out, sequence, index, facts, only));
  }

  private set({ key, before, facts }: KernelOperation, index: number, property: string): Sent {
    const value = facts.value ?? "";
    const write = (of: string, to: Fact): Promise<KernelOutcome> =>
      this.send((out, sequence) => writeLinkSetting(out, sequence, index, of, to, this.indexOf));
    if (property === "vlans") return this.setVlans(key.split(" ")[0], index, before, value);
    if (property !== "master" || value === "") return write(property, value);
    const master = this.links.get(String(value));
    if (!master) return { error: "ENODEV", detail: `link ${String(value)} is not there` };
    // A bond takes no link that is up, and sets it up itself.
    return master.kind === "bond"
      ? write("admin", "down").then((down) => (down.error === "" ? write(property, value) : down))
      : write(property, value);
  }

  /** VLANs that are to go, then those that are to come: a port has one PVID at most. */
  private async setVlans(
    name: string,
    index: number,
    before: Observed | undefined,
    value: Fact,
  ): Promise<KernelOutcome> {
    const texts = (fact: Fact | undefined): string[] => (Array.isArray(fact) ? fact.map(String) : []);
    const [held, asked] = [texts(before?.facts.value), texts(value)];
    const isBridge = this.links.get(name)?.kind === "bridge";
    for (const [verb, vlans] of [
      ["remove", held.filter((each) => !asked.includes(each))],
      ["add", asked.filter((each) => !held.includes(each))],
    ] as const) {
      for (let at = 0; at < vlans.length; at += vlansPerMessage) {
        const part = vlans.slice(at, at + vlansPerMessage);
        const outcome = await this.send((out, sequence) =>
          writePortVlans(out, sequence, verb, index, isBridge, part),
        );
        if (outcome.error !== "") return outcome;
      }
    }
    return { error: "", detail: "" };
  }

  /** What is read of a polled setting from now on may be half of what is written. */
  private writing(name: ArtifactName): void {
    const entry = this.polled.get(artifactText(name));
    if (entry) entry.writes++;
  }

  /** Notes what a polled setting holds since it was written. */
  private written(name: ArtifactName, outcome: KernelOutcome): KernelOutcome {
    const entry = this.polled.get(artifactText(name));
    if (!entry) return outcome;
    entry.writes += 1 + ((entry.writes + 1) % 2);
    entry.told = outcome.observed === undefined ? undefined : JSON.stringify(outcome.observed);
    return outcome;
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

  private lookAtRules(isFirst: boolean): Promise<void> {
    this.looks = this.looks.then(async () => {
      const facts = await this.rules.look();
      if (this.closed) return;
      if (isFirst) this.tellAll("rule", facts);
      else this.tellChanges("rule", facts);
    });
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

/** Classes that are told with the links. */
const linkClasses = ["link", "link-setting", "address"];

/** An outcome, now or when the kernel has answered. */
type Sent = KernelOutcome | Promise<KernelOutcome>;

const takenOver: KernelOutcome = { error: "ENOENT", detail: "another link has taken its place" };

function permission(error: string): string {
  return error === "EPERM" || error === "EACCES" ? "cairnd needs the capability CAP_NET_ADMIN" : "";
}
