/**
 * Neighbors as the core sees them: numbers, records, what a commit means for each, and what follows when a session
 * comes up or goes down. Sessions themselves are in sessions.ts, routes in the tables.
 */
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import type { StepName } from "../rib/best-path.ts";
import type { RouteTable } from "../rib/route-table.ts";
import { type Family, families } from "../wire/family.ts";
import type { Effects } from "./effects.ts";
import { type Groups, neighborFlags } from "./groups.ts";
import { familiesOf, type Importer } from "./importer.ts";
import type { Jobs } from "./jobs.ts";
import { type NeighborRecord, newNeighborRecord } from "./neighbor-record.ts";
import type { ObjectStore, Specs, Touched } from "./objects.ts";
import type { Policies } from "./policies.ts";
import { hasRoom } from "./prefix-excess.ts";
import {
  bestPathChanged,
  compareConfigs,
  type GlobalConfig,
  resolveGlobal,
  resolveNeighbor,
} from "./resolve.ts";
import type { Routing } from "./routing.ts";
import type { Negotiated, NeighborConfig, NeighborId } from "./session-port.ts";
import type { Sessions } from "./sessions.ts";
import { missingPolicies, withoutPolicyText } from "./sessions-text.ts";

export interface NeighborsParts {
  readonly objects: ObjectStore;
  /** What neighbors are resolved from. */
  readonly durable: Specs;
  readonly routing: Routing;
  readonly policies: Policies;
  readonly groups: Groups;
  readonly importer: Importer;
  readonly jobs: Jobs;
  readonly sessions: Sessions;
  readonly effects: Effects;
  nowMs(): number;
  stateChanged(record: NeighborRecord): void;
}

/** A neighbor whose routes over a limit were not kept is asked for them at most this often. */
const skippedAskMs = 30_000;

export class Neighbors {
  private readonly parts: NeighborsParts;
  private readonly byId: (NeighborRecord | undefined)[] = [];
  private readonly byName = new Map<string, NeighborRecord>();
  /** Numbers of neighbors that are gone with all their routes. */
  private readonly freeIds: NeighborId[] = [];
  private nextId = 1;
  global: GlobalConfig | undefined;

  constructor(parts: NeighborsParts) {
    this.parts = parts;
    this.global = resolveGlobal(parts.durable);
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
    this.applyBestPath();
    for (const entry of this.parts.objects.entries("Neighbor")) this.resolve(entry.name, new Set());
  }

  // What a commit means

  /** Carries out what follows from changed objects. */
  apply(touched: readonly Touched[]): void {
    const { objects, durable, policies } = this.parts;
    const names = new Set<string>();
    const before = this.global;
    let policyTouched = false;
    for (const { kind, name } of touched) {
      if (kind === "Neighbor") names.add(name);
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
    const reexport = new Set<NeighborRecord>();
    for (const name of names) this.resolve(name, reexport);
    if (policyTouched) {
      for (const record of this.byName.values()) {
        this.rebindImport(record);
        reexport.add(record);
      }
    }
    if (this.global && (!before || bestPathChanged(before, this.global))) this.reselectAll();
    if (before && this.global && before.requirePolicy !== this.global.requirePolicy) {
      for (const record of this.byName.values()) {
        this.reimport(record);
        reexport.add(record);
      }
    }
    this.reexport(reexport);
  }

  /** Brings one neighbor to what is declared now: new, changed or gone. */
  private resolve(name: string, reexport: Set<NeighborRecord>): void {
    const config = resolveNeighbor(this.parts.durable, name);
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
    this.byId[id] = record;
    this.byName.set(config.address, record);
    routing.ensureNeighbor(id);
    routing.neighbors.setAddress(id, config.addressBytes);
    routing.neighbors.flags[id] = neighborFlags(record);
    record.importProgram = policies.bindImport(record);
    sessions.add(id, config, this.parts.nowMs());
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
    record.config = config;
    routing.neighbors.flags[record.id] = neighborFlags(record);
    sessions.update(record.id, config, this.parts.nowMs(), change.reset);
    if (change.policy && !change.reset) {
      if (!this.rebindImport(record)) this.reimport(record);
      reexport.add(record);
    }
    if (change.fields.includes("prefix_limits") && !change.reset) {
      for (const family of families) this.settleLimits(record, family, true);
    }
    if (change.refresh && !change.reset) this.askAgain(record, familiesOf(record.negotiated?.families ?? 0));
    this.parts.stateChanged(record);
  }

  private remove(record: NeighborRecord): void {
    record.removed = true;
    this.parts.sessions.remove(record.id, this.parts.nowMs());
    this.byName.delete(record.config.address);
    this.byId[record.id] = undefined;
    this.sweep(record, true);
    this.freeIds.push(record.id);
    this.parts.stateChanged(record);
  }

  // Sessions

  established(id: NeighborId, negotiated: Negotiated): void {
    const record = this.get(id);
    const { routing, groups } = this.parts;
    record.negotiated = negotiated;
    record.decode = {
      fourOctetAs: negotiated.fourOctetAs,
      addPath: negotiated.addPathReceive,
      external: record.config.external,
      families: negotiated.families,
    };
    record.endOfRibReceived.fill(false);
    record.endOfRibSent.fill(false);
    record.limitWarned.fill(false);
    record.acceptedWarned.fill(false);
    record.limitSkipped.fill(false);
    routing.neighbors.routerId[id] = negotiated.remoteRouterId;
    record.importProgram = this.parts.policies.bindImport(record);
    for (const family of familiesOf(negotiated.families)) groups.join(record, family, this.requirePolicy);
    if (record.config.external && this.requirePolicy) this.warnWithoutPolicy(record);
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

  down(id: NeighborId): void {
    const record = this.byId[id];
    if (!record) return;
    for (const family of familiesOf(record.negotiated?.families ?? 0))
      this.parts.groups.leave(record, family);
    record.negotiated = undefined;
    const { neighbors, tables } = this.parts.routing;
    neighbors.epoch[id] = (neighbors.epoch[id] + 1) & 3;
    const isSweeping = tables.some((table) => this.parts.jobs.has(sweepKey(record, table)));
    record.sessionsUnswept = isSweeping ? record.sessionsUnswept + 1 : 1;
    if (record.sessionsUnswept < 3) this.sweep(record, false);
    // Before an epoch comes round again: what its last session left must not pass for new.
    else for (const table of tables) table.sweepNeighbor(id, false, 1, table.paths.rows);
  }

  /** Removes the routes of a neighbor (those of earlier sessions, or all) in slices. */
  private sweep(record: NeighborRecord, all: boolean): void {
    for (const table of this.parts.routing.tables) {
      if (table.received[record.id] === 0) continue;
      let from = 1;
      this.parts.jobs.start({
        key: sweepKey(record, table),
        step: (rows) => {
          from = table.sweepNeighbor(record.id, all, from, rows);
          return from === 0 || table.received[record.id] === 0;
        },
        done: () => {
          if (!record.removed) this.settleLimits(record, table.family, false);
        },
      });
    }
  }

  /**
   * Lets in what a prefix limit keeps out and has room now, and keeps out what is too much.
   * @param changed the limit itself is another one
   */
  settleLimits(record: NeighborRecord, family: Family, changed: boolean): void {
    const { routing, importer, jobs } = this.parts;
    const table = routing.table(family);
    if (!changed && !hasRoom(record, table)) return;
    if (record.limitSkipped[family.index]) this.askForSkipped(record, family);
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
    if (nowMs - record.limitAskedMs < skippedAskMs) return;
    record.limitAskedMs = nowMs;
    record.limitSkipped[family.index] = false;
    this.askAgain(record, [family]);
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
    const again = this.parts.groups.settle(records, (id) => this.get(id), this.requirePolicy);
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

  private applyBestPath(): void {
    if (!this.global) return;
    const { steps, ...options } = this.global.bestPath;
    this.parts.routing.best.configure({ ...options, steps: steps as StepName[] });
  }

  /** Chooses all best paths anew after a change of the steps. */
  private reselectAll(): void {
    this.applyBestPath();
    for (const table of this.parts.routing.tables) {
      let row = 1;
      this.parts.jobs.start({
        key: `select ${table.family.index}`,
        step: (rows) => {
          const end = Math.min(table.prefixes.rows, row + rows);
          for (; row < end; row++) if (!table.isMarker(row) && table.head[row] !== 0) table.reselect(row);
          return row === table.prefixes.rows;
        },
      });
    }
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

function sweepKey(record: NeighborRecord, table: RouteTable): string {
  return `sweep ${record.id} ${table.family.index}`;
}
