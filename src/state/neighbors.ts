/**
 * Neighbors as the core sees them: numbers, records, what a commit means for each, and what follows when a session
 * comes up or goes down. Sessions themselves are in sessions.ts, routes in the tables.
 */
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { parsePeer } from "../base/peer-address.ts";
import type { RouteTable } from "../rib/route-table.ts";
import { type Family, families } from "../wire/family.ts";
import type { Bfd } from "./bfd.ts";
import type { Damping } from "./damping.ts";
import type { Discovery } from "./discovery.ts";
import type { Dynamic } from "./dynamic.ts";
import type { Effects } from "./effects.ts";
import { type Groups, neighborFlags } from "./groups.ts";
import { familiesOf, type Importer } from "./importer.ts";
import type { Jobs } from "./jobs.ts";
import { type NeighborRecord, newNeighborRecord } from "./neighbor-record.ts";
import type { ObjectStore, Specs, Touched } from "./objects.ts";
import type { OutboundFilters } from "./outbound-filters.ts";
import { microsPerStep } from "./part.ts";
import type { Policies } from "./policies.ts";
import { hasRoom } from "./prefix-excess.ts";
import {
  compareConfigs,
  type GlobalConfig,
  groupProtection,
  type Learned,
  resolveGlobal,
  resolveNeighbor,
} from "./resolve.ts";
import { Restarts, type RestartsHost } from "./restarts.ts";
import { keepHistory } from "./route-history.ts";
import type { Routing } from "./routing.ts";
import { Selection } from "./selection.ts";
import type { SessionKeys } from "./session-keys.ts";
import type { Negotiated, NeighborConfig, NeighborId } from "./session-port.ts";
import type { Sessions } from "./sessions.ts";
import { missingPolicies, withoutPolicyText } from "./sessions-text.ts";

export interface NeighborsParts {
  readonly objects: ObjectStore;
  /** What neighbors are resolved from, dynamic ones included. */
  readonly durable: Specs;
  readonly dynamic: Dynamic;
  readonly keys: SessionKeys;
  readonly routing: Routing;
  readonly policies: Policies;
  readonly groups: Groups;
  readonly outboundFilters: OutboundFilters;
  readonly damping: Damping;
  readonly discovery: Discovery;
  readonly importer: Importer;
  readonly jobs: Jobs;
  readonly sessions: Sessions;
  readonly bfd: Bfd;
  readonly effects: Effects;
  nowMs(): number;
  stateChanged(record: NeighborRecord): void;
  readonly event: RestartsHost["event"];
}

/** A neighbor whose routes over a limit were not kept is asked for them at most this often. */
const skippedAskMs = 30_000;

/** Settings that make routes of an earlier session those of somebody else. */
const identityFields: ReadonlySet<string> = new Set(["remote_asn", "local_asn", "global.asn"]);

export class Neighbors {
  private readonly parts: NeighborsParts;
  private readonly byId: (NeighborRecord | undefined)[] = [];
  /** How many neighbors ask for which lowest TTL, by IP version: listeners take what all agree to. */
  private readonly minTtls: Readonly<Record<4 | 6, Map<number, number>>> = { 4: new Map(), 6: new Map() };
  private readonly byName = new Map<string, NeighborRecord>();
  /** Numbers of neighbors that are gone with all their routes. */
  private readonly freeIds: NeighborId[] = [];
  private nextId = 1;
  /** What follows from durable changes and is not carried out yet, oldest first. */
  private readonly underWay: { readonly steps: Generator<undefined, void>; readonly done: () => void }[] = [];
  private readonly askLater = new Set<NeighborRecord>();
  global: GlobalConfig | undefined;
  /** Some neighbor counts differently for export since groups were last settled. */
  private flagsChanged = false;
  readonly restarts: Restarts;
  private readonly selection: Selection;

  constructor(parts: NeighborsParts) {
    this.parts = parts;
    const { routing, jobs, nowMs, event } = parts;
    this.selection = new Selection(routing, jobs);
    this.restarts = new Restarts({
      ...{ routing, jobs, nowMs, event },
      reimport: (record, table) => this.reimportTable(record, table),
      stateChanged: (record) => parts.stateChanged(record),
      swept: (record, family) => {
        if (!record.removed) this.settleLimits(record, family, false);
        parts.stateChanged(record);
      },
    });
    this.global = resolveGlobal(parts.durable);
  }

  /** The neighbor with this number; undefined for us, and for one that is gone. */
  find(id: NeighborId): NeighborRecord | undefined {
    return this.byId[id];
  }

  get(id: NeighborId): NeighborRecord {
    const record = this.byId[id];
    assert(record, "no such neighbor");
    return record;
  }

  named(address: string): NeighborRecord | undefined {
    return this.byName.get(address);
  }

  all(): IterableIterator<NeighborRecord> {
    return this.byName.values();
  }

  get size(): number {
    return this.byName.size;
  }

  get requirePolicy(): boolean {
    return this.global?.requirePolicy ?? true;
  }

  /** Takes everything that is declared at start. */
  start(): void {
    if (this.global) this.selection.start(this.global);
    keepHistory(this.parts.routing, this.parts.jobs, this.global?.historyChanges ?? 0);
    for (const entry of this.parts.objects.entries("Neighbor")) this.resolve(entry.name, new Set());
    this.protect();
  }

  // What a commit means

  /**
   * Carries out what follows from changed objects, over several turns when many neighbors may notice. Changes are
   * carried out one after the other.
   * @param done called when everything is as declared
   */
  carryOut(touched: readonly Touched[], done: () => void): void {
    this.underWay.push({ steps: this.applying(touched), done });
    if (this.underWay.length === 1) this.carryOn(limits.wholeTurnNeighbors);
  }

  get hasWork(): boolean {
    return this.underWay.length > 0;
  }

  run(micros: number): void {
    this.carryOn(micros / microsPerStep);
  }

  /** Goes on with changes for so many steps, each the work of one neighbor. */
  private carryOn(steps: number): void {
    for (let left = steps; left > 0; left--) {
      const [first] = this.underWay;
      if (!first) return;
      if (!first.steps.next().done) continue;
      this.underWay.shift();
      first.done();
    }
  }

  private *applying(touched: readonly Touched[]): Generator<undefined, void> {
    const { objects, durable, policies } = this.parts;
    const names = new Set<string>();
    const before = this.global;
    let policyTouched = false;
    for (const name of this.refreshDynamic(touched)) names.add(name);
    for (const { kind, name } of touched) {
      if (kind === "Neighbor") names.add(name);
      else if (kind === "DynamicRange" || kind === "MrtDump" || kind === "BmpCollector") continue;
      else if (kind === "Keychain") for (const user of this.keychainUsers(name)) names.add(user);
      else if (kind === "Global") {
        this.global = resolveGlobal(durable);
        for (const record of this.byName.values()) names.add(record.config.address);
        for (const entry of objects.entries("Neighbor")) names.add(entry.name);
      } else if (kind === "PeerGroup") {
        for (const referrer of objects.referrers("PeerGroup", name)) {
          if (referrer.kind === "Neighbor") names.add(referrer.name);
        }
        policyTouched = true;
      } else policyTouched = true;
    }
    if (policyTouched) policies.refresh(touched);
    const sets = touched.filter(({ kind }) => kind === "PrefixSet").map(({ name }) => name);
    if (sets.length > 0) this.parts.outboundFilters.setsChanged(this.byName.values(), new Set(sets));
    const reexport = new Set<NeighborRecord>();
    for (const name of names) {
      this.resolve(name, reexport);
      yield;
    }
    if (policyTouched) {
      for (const record of this.byName.values()) {
        this.rebindImport(record);
        reexport.add(record);
        yield;
      }
    }
    if (this.global) this.selection.change(before, this.global);
    keepHistory(this.parts.routing, this.parts.jobs, this.global?.historyChanges ?? 0);
    if (before && this.global && before.requirePolicy !== this.global.requirePolicy) {
      for (const record of this.byName.values()) {
        this.reimport(record);
        reexport.add(record);
        yield;
      }
    }
    // Neighbors may have gone since they were looked at.
    for (const record of reexport) if (record.removed) reexport.delete(record);
    this.reexport(reexport);
    this.protect();
  }

  /** @returns dynamic neighbors that may have other settings now, or be gone */
  private refreshDynamic(touched: readonly Touched[]): string[] {
    const { dynamic } = this.parts;
    const concerns = ({ kind, name }: Touched): boolean =>
      kind === "DynamicRange" ||
      kind === "PeerGroup" ||
      kind === "Keychain" ||
      (kind === "Neighbor" && dynamic.member(name) !== undefined);
    return touched.some(concerns) ? dynamic.refresh() : [];
  }

  /** Declared neighbors that use a keychain, by themselves or by their group. */
  private keychainUsers(name: string): string[] {
    const { objects } = this.parts;
    return objects
      .referrers("Keychain", name)
      .flatMap((user) => (user.kind === "PeerGroup" ? objects.referrers("PeerGroup", user.name) : [user]))
      .filter(({ kind }) => kind === "Neighbor")
      .map((user) => user.name);
  }

  /** Tells the shell where neighbors are to be found. */
  private discover(): void {
    const records = [...this.byName.values()].filter(({ config }) => config.unnumbered && !config.shutdown);
    this.parts.discovery.watch(records.map(({ config }) => config.interface));
  }

  /** Tells the shell what listeners need: keys of ranges, and TTLs that all neighbors of a family agree to. */
  private protect(): void {
    this.discover();
    const { dynamic, durable, keys } = this.parts;
    const ranges = dynamic.allRanges().map((range) => ({
      range,
      secrets: groupProtection(durable, range.peerGroup),
    }));
    keys.setRanges(ranges);
    for (const family of [4, 6] as const) {
      const bytes = family === 4 ? 4 : 16;
      const minTtls = [...this.minTtls[family].keys()];
      for (const { range, secrets } of ranges)
        if (!range.prefix || range.prefix.bytes.length === bytes) minTtls.push(secrets.minTtl);
      keys.setListenTtl(family, minTtls);
    }
  }

  /** Notes that a neighbor with this configuration came (1) or went (-1). */
  private countTtl({ addressBytes, minTtl }: NeighborConfig, change: 1 | -1): void {
    const counts = this.minTtls[addressBytes.length === 4 ? 4 : 6];
    const count = (counts.get(minTtl) ?? 0) + change;
    if (count > 0) counts.set(minTtl, count);
    else counts.delete(minTtl);
  }

  /** Brings a dynamic neighbor to what it is now. @returns false when there is none of this address */
  settle(address: string): boolean {
    const reexport = new Set<NeighborRecord>();
    this.resolve(address, reexport);
    this.reexport(reexport);
    return this.byName.has(address);
  }

  /** A dynamic neighbor told its AS number, which its settings follow from now on. */
  identified(id: NeighborId): NeighborConfig {
    const record = this.get(id);
    this.countTtl(record.config, -1);
    record.config = this.configOf(record.config.address)!;
    this.countTtl(record.config, 1);
    this.parts.routing.neighbors.flags[id] = neighborFlags(record);
    this.parts.bfd.settle(record);
    return record.config;
  }

  /** Something is known now of an interface or its other end, or not any more; without a name of all. */
  linkChanged(zone: string | undefined): void {
    for (const record of this.byName.values()) {
      if (zone === undefined ? record.config.interface === "" : record.config.interface !== zone) continue;
      const config = this.configOf(record.config.address);
      const { remote, obstacle } = record.config;
      if (!config || (config.remote === remote && config.obstacle === obstacle)) continue;
      this.move(record, config);
      this.parts.sessions.update(record.id, config, this.parts.nowMs(), false);
      this.parts.stateChanged(record);
    }
  }

  /** A neighbor that is named by its interface is at an address that is known now. */
  located(id: NeighborId): NeighborConfig {
    const record = this.get(id);
    this.move(record, this.configOf(record.config.address)!);
    return record.config;
  }

  private move(record: NeighborRecord, config: NeighborConfig): void {
    const { keys, routing, bfd } = this.parts;
    const { remote, addressBytes } = record.config;
    record.config = config;
    if (remote === config.remote) return;
    if (remote !== "" && !config.dynamic) keys.setNeighbor(addressBytes, undefined);
    if (config.remote !== "" && !config.dynamic) keys.setNeighbor(config.addressBytes, config);
    routing.neighbors.setAddress(record.id, config.addressBytes, config.address);
    bfd.settle(record);
  }

  /** The sessions over an interface end with it. */
  linkLost(zone: string): void {
    for (const record of this.byName.values())
      if (record.config.interface === zone) this.parts.sessions.linkDown(record.id, this.parts.nowMs());
  }

  /** What an address works with as things are declared now; undefined when it is no neighbor. */
  configOf(name: string): NeighborConfig | undefined {
    const { zone = "" } = parsePeer(name) ?? {};
    const { discovery, durable } = this.parts;
    const resolved = resolveNeighbor(durable, name, this.learned(name));
    const config = resolved && { ...resolved, obstacle: discovery.obstacle(zone, resolved.unnumbered) };
    const member = this.parts.dynamic.member(name);
    return config && member ? { ...config, dynamic: { range: member.range.name } } : config;
  }

  /** What is known of a neighbor beyond what is declared. */
  learned(name: string): Learned {
    const { zone = "", bytes } = parsePeer(name) ?? {};
    const record = this.byName.get(name);
    return {
      asn: record?.learnedAsn ?? 0,
      address: bytes ? undefined : this.parts.discovery.address(zone),
      refusesLocalAs: record?.refusesLocalAs ?? false,
    };
  }

  /** The neighbor refused the AS of our last OPEN: the other one is next (local_as_dual_as). */
  swapLocalAs(id: NeighborId): NeighborConfig {
    const record = this.get(id);
    record.refusesLocalAs = !record.refusesLocalAs;
    return this.identified(id);
  }

  /** Brings one neighbor to what is declared now: new, changed or gone. */
  private resolve(name: string, reexport: Set<NeighborRecord>): void {
    const config = this.configOf(name);
    const record = this.byName.get(name);
    if (!record) {
      if (config) this.add(config);
    } else if (!config) this.remove(record);
    else this.update(record, config, reexport);
  }

  private add(config: NeighborConfig): void {
    const { routing, policies, sessions, effects } = this.parts;
    const id = this.newId();
    if (id === undefined) {
      effects.log("error", "too many neighbors", { neighbor: config.address, max: limits.neighborsMax });
      return;
    }
    const record = newNeighborRecord(id, config);
    this.countTtl(config, 1);
    this.byId[id] = record;
    this.byName.set(config.address, record);
    if (!config.dynamic && config.remote !== "") this.parts.keys.setNeighbor(config.addressBytes, config);
    routing.ensureNeighbor(id);
    routing.neighbors.setAddress(id, config.addressBytes, config.address);
    routing.neighbors.flags[id] = neighborFlags(record);
    record.importProgram = policies.bindImport(record);
    this.parts.bfd.settle(record);
    sessions.add(id, config, this.parts.nowMs(), this.parts.bfd.get(config.address)?.gate);
    this.parts.stateChanged(record);
  }

  private newId(): NeighborId | undefined {
    const reusable = this.freeIds.findIndex((id) => this.parts.routing.pathsOf(id) === 0);
    if (this.freeIds.length > 256 && reusable >= 0) return this.freeIds.splice(reusable, 1)[0];
    if (this.nextId < limits.neighborsMax) return this.nextId++;
    return reusable >= 0 ? this.freeIds.splice(reusable, 1)[0] : undefined;
  }

  private update(record: NeighborRecord, config: NeighborConfig, reexport: Set<NeighborRecord>): void {
    const { sessions, routing } = this.parts;
    const change = compareConfigs(record.config, config);
    this.countTtl(record.config, -1);
    this.countTtl(config, 1);
    record.config = config;
    const flags = neighborFlags(record);
    if (flags !== routing.neighbors.flags[record.id] && !change.reset) this.flagsChanged = true;
    routing.neighbors.flags[record.id] = flags;
    if (!config.dynamic && config.remote !== "") this.parts.keys.setNeighbor(config.addressBytes, config);
    this.parts.bfd.settle(record);
    sessions.update(record.id, config, this.parts.nowMs(), change.reset);
    if (config.shutdown) this.restarts.drop(record, "the neighbor was shut down");
    else if (change.fields.some((field) => identityFields.has(field)))
      this.restarts.drop(record, "it is another neighbor now");
    else if (config.gracefulRestart === "off") this.restarts.drop(record, "graceful restart was turned off");
    else {
      const gone = families.filter((family) => !config.families.includes(family));
      this.restarts.drop(record, "the family was taken away", gone);
    }
    if (change.policy && !change.reset) {
      if (!this.rebindImport(record)) this.reimport(record);
      reexport.add(record);
    }
    if (change.fields.includes("prefix_limits") && !change.reset) {
      for (const family of families) this.settleLimits(record, family, true);
    }
    // As in FRR, other thresholds begin with nothing remembered.
    if (change.fields.includes("damping")) this.parts.damping.clear(record);
    if (change.refresh && !change.reset) this.askAgain(record, familiesOf(record.negotiated?.families ?? 0));
    this.parts.stateChanged(record);
  }

  private remove(record: NeighborRecord): void {
    record.removed = true;
    this.parts.bfd.settle(record);
    this.countTtl(record.config, -1);
    this.parts.sessions.remove(record.id, this.parts.nowMs());
    if (!record.config.dynamic && record.config.remote !== "")
      this.parts.keys.setNeighbor(record.config.addressBytes, undefined);
    this.byName.delete(record.config.address);
    this.byId[record.id] = undefined;
    this.parts.damping.clear(record);
    this.restarts.remove(record);
    this.freeIds.push(record.id);
    this.parts.stateChanged(record);
  }

  // Sessions

  established(id: NeighborId, negotiated: Negotiated): void {
    const record = this.get(id);
    const { routing } = this.parts;
    record.negotiated = negotiated;
    record.decode = {
      fourOctetAs: negotiated.fourOctetAs,
      addPath: negotiated.addPathReceive,
      extendedNextHop: negotiated.extendedNextHop,
      external: record.config.external,
      confederation: record.config.confederationMember,
      aigp: record.config.aigpReceive,
      families: negotiated.families,
    };
    record.endOfRibReceived.fill(false);
    record.endOfRibSent.fill(false);
    record.limitWarned.fill(false);
    record.acceptedWarned.fill(false);
    record.limitSkipped.fill(false);
    const { routerId, renamed } = routing.neighbors;
    renamed[id] = Number(routerId[id] !== negotiated.remoteRouterId);
    routerId[id] = negotiated.remoteRouterId;
    record.refreshing = 0;
    record.refreshAgain = 0;
    this.restarts.returned(record, negotiated);
    record.importProgram = this.parts.policies.bindImport(record);
    const waiting = this.parts.outboundFilters.established(record, negotiated);
    for (const family of familiesOf(negotiated.families & ~waiting)) this.join(record, family);
    if (record.config.external && this.requirePolicy) this.warnWithoutPolicy(record);
  }

  /** Announces to an Established neighbor from now on. */
  join(record: NeighborRecord, family: Family): void {
    this.parts.groups.join(record, family, this.requirePolicy);
  }

  private warnWithoutPolicy(record: NeighborRecord): void {
    const { config } = record;
    const missing = missingPolicies(config);
    if (missing.length === 0) return;
    this.parts.effects.log("warn", withoutPolicyText(missing), {
      neighbor: config.address,
      fix: `cairnctl neighbor set ${config.address} ${missing.map((word) => `--${word} accept-all`).join(" ")}`,
    });
  }

  /** @param kept the session ended in a way that lets its routes outlive it */
  down(id: NeighborId, kept: boolean): void {
    const record = this.byId[id];
    if (!record?.negotiated) return;
    const { negotiated } = record;
    for (const family of familiesOf(negotiated.families)) this.parts.groups.leave(record, family);
    record.negotiated = undefined;
    record.outboundFilters.fill(undefined);
    this.restarts.lost(record, negotiated, kept);
  }

  /**
   * Lets in what a prefix limit keeps out and has room now, and keeps out what is too much.
   * @param changed the limit itself is another one
   */
  settleLimits(record: NeighborRecord, family: Family, changed: boolean): void {
    const { routing, importer, jobs } = this.parts;
    const table = routing.table(family);
    if (!changed && !hasRoom(record, table)) return;
    if (record.limitSkipped[family.index]) {
      this.askForSkipped(record, family);
      if (!changed && table.overReceived[record.id] + table.overAccepted[record.id] === 0) return;
    }
    const key = `limit ${record.id} ${family.index}`;
    if (table.received[record.id] === 0 || (!changed && jobs.has(key))) return;
    let from = 1;
    jobs.start({
      key,
      step: (rows) => {
        if (record.removed) return true;
        from = importer.reimport(record, table, from, rows, true);
        return from === 0;
      },
      done: () => {
        if (record.removed) return;
        if (record.negotiated) importer.countPrefixes(record, table);
        this.parts.stateChanged(record);
        // Room that came up behind the walk.
        if (!record.limitSkipped[family.index]) this.settleLimits(record, family, false);
      },
    });
  }

  /** Routes that were not kept have to be sent again; not more often than every half minute. */
  private askForSkipped(record: NeighborRecord, family: Family): void {
    const nowMs = this.parts.nowMs();
    if (nowMs - record.limitAskedMs < skippedAskMs) {
      this.askLater.add(record);
      return;
    }
    record.limitAskedMs = nowMs;
    record.limitSkipped[family.index] = false;
    this.askAgain(record, [family]);
  }

  /** Asks those that could not be asked at once. */
  tick(): void {
    for (const record of this.askLater) {
      if (this.parts.nowMs() - record.limitAskedMs < skippedAskMs) continue;
      this.askLater.delete(record);
      if (record.removed || !record.negotiated) continue;
      for (const family of families) this.settleLimits(record, family, false);
    }
  }

  /** When `tick` is wanted next, monotonic milliseconds. */
  nextMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { limitAskedMs } of this.askLater) next = Math.min(next, limitAskedMs + skippedAskMs);
    return next;
  }

  // Policy

  /** Takes the import policy as it is now; when it differs, runs the neighbor's routes through it. */
  private rebindImport(record: NeighborRecord): boolean {
    const program = this.parts.policies.bindImport(record);
    if (program === record.importProgram) return false;
    record.importProgram = program;
    this.reimport(record);
    return true;
  }

  /** Runs import again over what is kept; where rejected routes are not kept, asks the neighbor for all of them. */
  reimport(record: NeighborRecord, only: readonly Family[] = families): void {
    for (const family of only) this.reimportTable(record, this.parts.routing.table(family));
    if (record.config.softReconfiguration) return;
    const negotiated = familiesOf(record.negotiated?.families ?? 0);
    this.askAgain(
      record,
      negotiated.filter((family) => only.includes(family)),
    );
  }

  private reimportTable(record: NeighborRecord, table: RouteTable): void {
    if (table.received[record.id] === 0) return;
    let from = 1;
    this.parts.jobs.start({
      key: `import ${record.id} ${table.family.index}`,
      step: (rows) => {
        if (record.removed) return true;
        from = this.parts.importer.reimport(record, table, from, rows);
        return from === 0;
      },
      done: () => {
        if (record.negotiated) this.parts.importer.countPrefixes(record, table);
        this.settleLimits(record, table.family, false);
        this.parts.stateChanged(record);
      },
    });
  }

  /** Puts neighbors into the groups they now belong to, and runs the export of these groups again. */
  private reexport(records: ReadonlySet<NeighborRecord>): void {
    const { groups } = this.parts;
    const again = groups.settle(records, (id) => this.get(id), this.requirePolicy);
    if (this.flagsChanged) for (const group of groups.all()) again.add(group);
    this.flagsChanged = false;
    for (const group of again) {
      let from = 1;
      this.parts.jobs.start({
        key: `export ${group.id}`,
        step: (rows) => {
          if (group.closed) return true;
          from = group.reexport(from, rows);
          return from === 0;
        },
      });
    }
  }

  /** Sends ROUTE-REFRESH. @returns families in which the neighbor did not offer it */
  askAgain(record: NeighborRecord, wanted: readonly Family[]): Family[] {
    return wanted.filter((family) => !this.parts.sessions.refresh(record.id, family, this.parts.nowMs()));
  }

  /** Address of a number; empty when the neighbor is gone. */
  addressOf(id: NeighborId): string {
    return this.byId[id]?.config.address ?? "";
  }

  /** Addresses of the neighbors that a prefix is announced to. */
  advertisedTo(family: Family, prefix: number): string[] {
    const told: string[] = [];
    for (const record of this.byName.values()) {
      const group = record.groups[family.index];
      if (group?.announces(prefix, record.id)) told.push(record.config.address);
    }
    return told;
  }
}
