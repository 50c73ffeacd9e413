/**
 * What a prepared transaction means for each neighbor: what it would work with, and whether its session, its routes or
 * its advertisements would notice. Pure reading; the same comparisons decide when the change is carried out.
 */
import type { Message } from "@bufbuild/protobuf";
import type { Core } from "./core.ts";
import { neighborFlags } from "./groups.ts";
import { type NeighborRecord, newNeighborRecord } from "./neighbor-record.ts";
import type { Specs, Touched } from "./objects.ts";
import { objectId } from "./objects-index.ts";
import type { Policies } from "./policies.ts";
import {
  bestPathChanged,
  type ConfigChange,
  compareConfigs,
  type GlobalConfig,
  resolveGlobal,
  resolveNeighbor,
} from "./resolve.ts";
import type { NeighborConfig } from "./session-port.ts";

/** One neighbor that would notice something, or whose settings change. */
export interface NeighborPlan {
  readonly address: string;
  /** Absent for one that is added. */
  readonly record: NeighborRecord | undefined;
  /** The record as it would be, with its new settings; absent for one that is removed. */
  readonly after: NeighborRecord | undefined;
  readonly change: ConfigChange;
  /** An established session would end. */
  readonly resets: boolean;
  readonly reimport: boolean;
  readonly reexport: boolean;
  readonly refresh: boolean;
}

/** Declared objects as a transaction would leave them. */
export class CandidateSpecs implements Specs {
  private readonly base: Specs;
  private readonly touched = new Map<string, Message | undefined>();

  constructor(base: Specs, touched: readonly Touched[]) {
    this.base = base;
    for (const { kind, name, after } of touched) this.touched.set(objectId(kind, name), after);
  }

  spec(kind: string, name: string): Message | undefined {
    const id = objectId(kind, name);
    return this.touched.has(id) ? this.touched.get(id) : this.base.spec(kind, name);
  }
}

const noChange: ConfigChange = { fields: [], impact: 0, reset: false, refresh: false, policy: false };

/** Names of neighbors whose settings may differ, as neighbors.ts finds them on a commit. */
export function affectedNeighbors(core: Core, touched: readonly Touched[]): string[] {
  const names = new Set<string>();
  for (const { kind, name } of touched) {
    if (kind === "Neighbor") names.add(name);
    else if (kind === "Global") for (const entry of core.objects.entries("Neighbor")) names.add(entry.name);
    else if (kind === "PeerGroup") {
      for (const referrer of core.objects.referrers("PeerGroup", name))
        if (referrer.kind === "Neighbor") names.add(referrer.name);
    }
    if (kind === "Global" || kind === "PeerGroup" || kind === "DynamicRange")
      for (const address of core.dynamic.dynamic.addresses()) names.add(address);
  }
  return [...names];
}

/** Kinds whose changes leave policies alone. */
const nonPolicyKinds: readonly string[] = [
  "Neighbor",
  "Global",
  "DynamicRange",
  "Keychain",
  "MrtDump",
  "BmpCollector",
];

/** What the parts of a plan share. */
export class PlanScope {
  readonly core: Core;
  readonly specs: Specs;
  /** Policies as they would be. */
  readonly policies: Policies;
  readonly global: GlobalConfig | undefined;
  readonly globalBefore: GlobalConfig | undefined;
  readonly bestPathChanges: boolean;
  readonly requirePolicy: boolean;
  /** Whether anything but Neighbor and Global is touched, so that policies may differ. */
  readonly policyTouched: boolean;
  private readonly ids: ReadonlySet<string>;
  private readonly restsCache = new Map<string, boolean>();

  constructor(core: Core, touched: readonly Touched[]) {
    this.core = core;
    this.specs = core.dynamic.dynamic.over(new CandidateSpecs(core.objects, touched));
    this.ids = new Set(touched.map(({ kind, name }) => objectId(kind, name)));
    this.policyTouched = touched.some(({ kind }) => !nonPolicyKinds.includes(kind));
    this.policies = this.policyTouched ? core.policies.fork(touched) : core.policies;
    this.global = resolveGlobal(this.specs);
    this.globalBefore = core.neighbors.global;
    this.bestPathChanges =
      this.global !== undefined &&
      this.globalBefore !== undefined &&
      bestPathChanged(this.globalBefore, this.global);
    this.requirePolicy = this.global?.requirePolicy ?? true;
  }

  /** Policies to bind a chain with: the running ones as long as they are the same, so that programs are too. */
  policiesFor(names: readonly string[], direction: "import" | "export"): Policies {
    return this.restsOnTouched(names, direction) ? this.policies : this.core.policies;
  }

  restsOnTouched(names: readonly string[], direction: "import" | "export"): boolean {
    if (!this.policyTouched || names.length === 0) return false;
    const key = `${direction} ${names.join(" ")}`;
    let rests = this.restsCache.get(key);
    if (rests === undefined) {
      rests = this.core.policies.rests(names, direction, this.ids);
      this.restsCache.set(key, rests);
    }
    return rests;
  }

  /** The plan of one neighbor; undefined when it would notice nothing. */
  neighbor(address: string): NeighborPlan | undefined {
    const record = this.core.neighbors.named(address);
    const config = resolveNeighbor(this.specs, address, this.core.neighbors.learned(address));
    if (!record || !config) {
      if (!record && !config) return undefined;
      const after = record ? undefined : shadow(undefined, config!);
      const resets = record?.negotiated !== undefined;
      const nothing = { reimport: false, reexport: false, refresh: false };
      return { address, record, after, change: noChange, resets, ...nothing };
    }
    const change = compareConfigs(record.config, config);
    const after = shadow(record, config);
    after.importProgram = this.policiesFor(config.importPolicies, "import").bindImport(after);
    const endsByHand = config.shutdown && !record.config.shutdown;
    const requireChanges = this.requirePolicy !== (this.globalBefore?.requirePolicy ?? true);
    const resets = record.negotiated !== undefined && (change.reset || endsByHand);
    const running = record.negotiated !== undefined && !resets;
    const import_ =
      change.policy ||
      requireChanges ||
      after.importProgram !== record.importProgram ||
      this.restsOnTouched(config.importPolicies, "import");
    const export_ = change.policy || requireChanges || this.restsOnTouched(config.exportPolicies, "export");
    const plan = {
      address,
      record,
      after,
      change,
      resets,
      reimport: running && import_,
      reexport: running && export_,
      refresh: running && (change.refresh || (import_ && !config.softReconfiguration)),
    };
    const noticed = plan.resets || plan.reimport || plan.reexport || plan.refresh;
    return noticed || change.fields.length > 0 ? plan : undefined;
  }
}

/** A record with other settings. It shares id, session facts and groups with the one that runs. */
function shadow(record: NeighborRecord | undefined, config: NeighborConfig): NeighborRecord {
  const base = record ?? newNeighborRecord(0, config);
  const { external, confederationMember: confederation, aigpReceive: aigp } = config;
  return { ...base, config, decode: { ...base.decode, external, confederation, aigp } };
}

/** True when best path or export of others would see the neighbor differently. */
export function flagsChange({ record, after }: NeighborPlan): boolean {
  return record !== undefined && after !== undefined && neighborFlags(record) !== neighborFlags(after);
}
