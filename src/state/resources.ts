/**
 * Objects that ask something of the kernel: which artifacts each asks for, whether it waits for something, and how it
 * stands. Whatever a kind looks at while it derives its artifacts is noted, and it is asked again when that changes, so
 * that nobody lists dependencies by hand.
 */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Problem } from "../base/problem.ts";
import {
  type Artifact,
  type ArtifactName,
  type Facts,
  type Observed,
  satisfies,
} from "../dataplane/artifact.ts";
import { artifactClasses, shownFacts } from "../dataplane/classes.ts";
import type { Link } from "../dataplane/kernel-model.ts";
import type { KernelOperation } from "../dataplane/kernel-port.ts";
import type { LedgerRow } from "../dataplane/ledger.ts";
import {
  type LedgerChange,
  type PlannedOperation,
  Reconciler,
  type Standing,
} from "../dataplane/reconciler.ts";
import type { EgressRoutePolicySpec } from "../gen/cairn/v1/egress_service_pb.ts";
import {
  ResourceArtifactSchema,
  ResourcePhase,
  type ResourceStatus,
  ResourceStatusSchema,
} from "../gen/cairn/v1/resource_types_pb.ts";
import type { Selection } from "../resources/egress-route-policy/selection.ts";
import type { FlowRule } from "../resources/flow-spec-filter/rules.ts";
import type { Derivation, HostPort, SpecLookup, Surroundings } from "../resources/kind.ts";
import { resourceKinds } from "../resources/registry.ts";
import { type ClientPath, lockOut } from "./lock-out.ts";
import type { Specs, Touched } from "./objects.ts";
import { objectId } from "./objects-index.ts";
import type { Inputs } from "./part.ts";
import type { SessionHost } from "./session-port.ts";
import type { ResourceCounts } from "./view.ts";

export interface ResourcesHost {
  /** Specs that are durable. */
  readonly specs: Specs;
  /** Names of all objects of a kind. */
  names(kind: string): Iterable<string>;
  /** The link of this name; what is asked before `linksKnown` is asked again. */
  link(ifname: string): Link | undefined;
  links(): Iterable<Link>;
  /** What an EgressRoutePolicy has chosen, or would choose if it were declared so. */
  egress(policy: string, spec: EgressRoutePolicySpec): Selection | undefined;
  /** Best FlowSpec routes, in their order. */
  flowRules(): readonly FlowRule[];
  /** The kernel has told of all its links. */
  linksKnown(): boolean;
  persist(change: LedgerChange): number;
  watch(watch: readonly ArtifactName[], unwatch: readonly ArtifactName[]): void;
  apply(batch: number, operations: readonly KernelOperation[]): void;
  nowMs(): number;
  wallMs(): number;
  /** How an object stands whose kernel state is not in artifacts; undefined for all others. */
  standing(kind: string, name: string): ResourceStanding | undefined;
  readonly event: SessionHost["event"];
}

export interface ResourceStanding {
  readonly phase: ResourcePhase;
  readonly reason: string;
  readonly message: string;
  readonly values: Readonly<Record<string, string>>;
}

interface Resource {
  readonly kind: string;
  readonly name: string;
  derivation: Derivation;
  /** What it looked at: `link NAME`, `egress NAME`, KIND/NAME, all of a kind, `listeners`, or `flow rules`. */
  lookedAt: ReadonlySet<string>;
  phase: ResourcePhase;
  reason: string;
  message: string;
  /** Wall-clock milliseconds of the last change of phase. */
  sinceMs: number;
}

/** Objects that are asked again in one turn at most. */
const derivationsPerTurn = 200;

export class Resources {
  private readonly host: ResourcesHost;
  readonly reconciler: Reconciler;
  private readonly resources = new Map<string, Resource>();
  /** Who looked at what. */
  private readonly watchers = new Map<string, Set<string>>();
  /** Objects to be asked again. */
  private readonly stale = new Set<string>();
  private started = false;
  private listeners: readonly HostPort[] = [];
  /** False: this daemon does not touch the kernel. */
  readonly enabled: boolean;
  readonly inputs: Inputs = {
    "host.listeners": ({ api }) => {
      this.listeners = api;
      this.lookedAtChanged("listeners");
    },
    "dataplane.applied": ({ batch, outcomes }) =>
      this.reconciler.outcomes(batch, outcomes, this.host.nowMs()),
    "dataplane.facts": ({ all, facts }) => {
      if (all !== undefined) this.reconciler.observeAll(all, facts);
      else for (const fact of facts) this.reconciler.observe(fact);
    },
  };

  constructor(rows: Iterable<LedgerRow>, enabled: boolean, host: ResourcesHost) {
    this.host = host;
    this.enabled = enabled;
    this.reconciler = new Reconciler(artifactClasses, rows, {
      persist: (change) => host.persist(change),
      watch: (watch, unwatch) => host.watch(watch, unwatch),
      apply: (batch, operations) => host.apply(batch, operations),
      drifted: (owner, artifact, observed, repaired) => this.drifted(owner, artifact, observed, repaired),
      changed: (owner) => this.judge(owner),
    });
    for (const kind of resourceKinds.keys())
      for (const name of host.names(kind)) this.stale.add(objectId(kind, name));
  }

  /** Objects that a durable change put or deleted. */
  apply(touched: readonly Touched[]): void {
    for (const { kind, name } of touched) {
      const id = objectId(kind, name);
      if (resourceKinds.has(kind)) this.stale.add(id);
      this.lookedAtChanged(id);
      this.lookedAtChanged(everyOf(kind));
    }
  }

  linksChanged(ifnames: Iterable<string>): void {
    for (const ifname of ifnames) this.lookedAtChanged(`link ${ifname}`);
  }

  /** What this EgressRoutePolicy has chosen, or why, is something else than before. */
  egressChanged(policy: string): void {
    this.lookedAtChanged(`egress ${policy}`);
  }

  /** FlowSpec routes were chosen, or are no more. */
  flowRulesChanged(): void {
    this.lookedAtChanged("flow rules");
  }

  private lookedAtChanged(what: string): void {
    for (const id of this.watchers.get(what) ?? []) this.stale.add(id);
  }

  get hasWork(): boolean {
    const isReady = !this.enabled || this.host.linksKnown();
    return (isReady && this.stale.size > 0) || (this.enabled && this.reconciler.hasWork);
  }

  nextMs(): number {
    return this.enabled ? this.reconciler.nextWakeMs() : Number.POSITIVE_INFINITY;
  }

  /** Asks some of the objects that are to be asked, and when all were, takes a step towards what they want. */
  run(): void {
    // Before that, objects would be taken for waiting, and what they have in the kernel be taken away.
    if (this.enabled && !this.host.linksKnown()) return;
    let left = derivationsPerTurn;
    for (const id of this.stale) {
      if (left-- === 0) return;
      this.stale.delete(id);
      this.derive(id);
    }
    if (!this.enabled) return;
    if (!this.started) {
      this.started = true;
      this.reconciler.start();
    }
    this.reconciler.step(this.host.nowMs());
  }

  /** What a change of these objects would do to the kernel, in order. @param spec as it would be afterwards */
  preview(touched: readonly Touched[], spec: SpecLookup): PlannedOperation[] {
    return this.enabled ? this.reconciler.preview(this.instead(touched, spec)) : [];
  }

  /** What objects would ask for after these changes, where that may be something else than now. */
  private instead(touched: readonly Touched[], spec: SpecLookup): Map<string, readonly Artifact[]> {
    const ids = new Set<string>();
    for (const { kind, name } of touched) {
      const id = objectId(kind, name);
      if (resourceKinds.has(kind)) ids.add(id);
      for (const what of [id, everyOf(kind)]) {
        for (const other of this.watchers.get(what) ?? []) ids.add(other);
      }
    }
    const instead = new Map<string, readonly Artifact[]>();
    for (const id of ids) {
      const [kind, name] = partsOf(id);
      const after = spec(kind, name);
      const around = this.around(spec, (of) => namesAfter(this.host.names(of), of, touched, spec));
      instead.set(id, after ? resourceKinds.get(kind)!.derive(after, around).artifacts : []);
    }
    return instead;
  }

  /** What of these changes would cut the connection that they are asked for over. @param objects as they are now */
  lockOut(touched: readonly Touched[], objects: Specs, client: ClientPath): Problem | undefined {
    if (!this.enabled || !touched.some(({ kind }) => resourceKinds.has(kind))) return undefined;
    const instead = this.instead(touched, afterwards(touched, objects));
    return lockOut(this.reconciler.preview(instead), client, [...this.host.links()], {
      before: this.reconciler.wanted("nft", new Map()),
      after: this.reconciler.wanted("nft", instead),
    });
  }

  /** What kinds may look at, as it is. */
  surroundings(): Surroundings {
    return this.around(
      (...object) => this.host.specs.spec(...object),
      (of) => this.host.names(of),
    );
  }

  /** What kinds may look at, with specs and names as they are or as they would be. */
  private around(spec: SpecLookup, names: Surroundings["names"]): Surroundings {
    return {
      spec,
      names,
      link: (ifname) => this.host.link(ifname),
      apiListeners: () => this.listeners,
      flowRules: () => this.host.flowRules(),
      egress: (policy) => {
        const declared = spec("EgressRoutePolicy", policy) as EgressRoutePolicySpec | undefined;
        return declared && this.host.egress(policy, declared);
      },
    };
  }

  private derive(id: string): void {
    const [kind, name] = partsOf(id);
    const before = this.resources.get(id);
    const spec = this.host.specs.spec(kind, name);
    if (!spec) {
      this.resources.delete(id);
      this.watch(id, before?.lookedAt, new Set());
      this.reconciler.want(id, []);
      return;
    }
    const lookedAt = new Set<string>();
    const now = this.surroundings();
    const derivation = resourceKinds.get(kind)!.derive(spec, noting(now, lookedAt));
    this.watch(id, before?.lookedAt, lookedAt);
    const { UNSPECIFIED } = ResourcePhase;
    const fresh = { kind, name, phase: UNSPECIFIED, reason: "", message: "", sinceMs: this.host.wallMs() };
    this.resources.set(id, { ...(before ?? fresh), derivation, lookedAt });
    this.reconciler.want(id, derivation.artifacts);
    this.judge(id);
  }

  private watch(id: string, before: ReadonlySet<string> = new Set(), after: ReadonlySet<string>): void {
    for (const what of before) {
      if (after.has(what)) continue;
      const ids = this.watchers.get(what);
      ids?.delete(id);
      if (ids?.size === 0) this.watchers.delete(what);
    }
    for (const what of after) {
      const ids = this.watchers.get(what);
      if (ids) ids.add(id);
      else this.watchers.set(what, new Set([id]));
    }
  }

  /** An object stands otherwise whose kernel state is not in artifacts. */
  changed(kind: string, name: string): void {
    this.judge(objectId(kind, name));
  }

  /** Brings phase and reason of an object up to date, and tells of a change. */
  private judge(id: string): void {
    const resource = this.resources.get(id);
    if (!resource) return;
    const { phase, reason, message } = this.judged(resource);
    const isNew = resource.phase !== phase || resource.reason !== reason;
    resource.message = message;
    if (!isNew) return;
    const first = resource.phase === ResourcePhase.UNSPECIFIED;
    resource.phase = phase;
    resource.reason = reason;
    resource.sinceMs = this.host.wallMs();
    if (phase === ResourcePhase.PROGRESSING || (first && phase === ResourcePhase.SUPPRESSED)) return;
    const word = phaseWords[phase];
    const severity = phase === ResourcePhase.APPLIED ? 1 : phase === ResourcePhase.FAILED ? 3 : 2;
    const summary = `${id} is ${word}${message === "" ? "" : `: ${message}`}`;
    this.host.event(`cairn.resource.${resource.kind}.${word}`, id, severity, summary, { reason });
  }

  private judged({ kind, name, derivation }: Resource): {
    phase: ResourcePhase;
    reason: string;
    message: string;
  } {
    if (!this.enabled) {
      const message = "this daemon does not touch the kernel (--dataplane none)";
      return { phase: ResourcePhase.SUPPRESSED, reason: "NO_DATAPLANE", message };
    }
    const standing = this.host.standing(kind, name);
    if (standing) return standing;
    let phase: ResourcePhase = ResourcePhase.APPLIED;
    let reason = "";
    let message = "";
    for (const { artifact, standing } of this.reconciler.standing(objectId(kind, name))) {
      const found = judgeStanding(standing);
      if (severities.indexOf(found.phase) <= severities.indexOf(phase)) continue;
      ({ phase, reason } = found);
      message = found.message === "" ? "" : `${artifact.class} ${artifact.key}: ${found.message}`;
    }
    if (derivation.pending && phase !== ResourcePhase.FAILED) {
      return { phase: ResourcePhase.PENDING, ...derivation.pending };
    }
    return { phase, reason, message };
  }

  private drifted(
    owner: string,
    artifact: ArtifactName,
    observed: Observed | undefined,
    repaired: boolean,
  ): void {
    const what = observed ? "was altered" : "was removed";
    const then = repaired ? "it is put right" : "it is left so";
    const summary = `${artifact.class} ${artifact.key} of ${owner} ${what} by somebody else; ${then}`;
    const facts = { class: artifact.class, key: artifact.key, repaired: String(repaired) };
    this.host.event("cairn.dataplane.artifact.drifted", owner, 2, summary, facts);
  }

  /** How an object stands; undefined for one that does not exist or whose kind has no status. */
  status(kind: string, name: string): ResourceStatus | undefined {
    const resource = this.resources.get(objectId(kind, name));
    if (!resource) return undefined;
    const { phase, reason, message, sinceMs, derivation } = resource;
    return create(ResourceStatusSchema, {
      phase,
      reason,
      message,
      since: timestampFromMs(sinceMs),
      values: {
        ...derivation.values,
        ...this.counters(kind, name),
        ...this.host.standing(kind, name)?.values,
      },
      artifacts: this.reconciler.standing(objectId(kind, name)).map(({ artifact, standing }) =>
        create(ResourceArtifactSchema, {
          class: artifact.class,
          key: artifact.key,
          facts: JSON.stringify(shownFacts(artifact)),
          state: standing.state,
          error: standing.state === "failed" ? standing.error : "",
          detail:
            standing.state === "failed"
              ? standing.detail
              : standing.state === "conflict"
                ? standing.with
                : "",
        }),
      ),
    });
  }

  /** How each artifact of an object stands, and what the kernel holds of it, by its key. */
  standings(
    kind: string,
    name: string,
  ): Map<string, { readonly standing: Standing; readonly held: Facts | undefined }> {
    return new Map(
      this.reconciler
        .standing(objectId(kind, name))
        .map(({ artifact, standing }) => [
          artifact.key,
          { standing, held: this.reconciler.held(artifact)?.facts },
        ]),
    );
  }

  /** Packets and bytes that the kernel has counted for the object, where it counts. */
  private counters(kind: string, name: string): Record<string, string> {
    let [packets, bytes, isCounted] = [0, 0, false];
    for (const { artifact } of this.reconciler.standing(objectId(kind, name))) {
      const facts = this.reconciler.held(artifact)?.facts;
      if (typeof facts?.packets !== "number" || typeof facts.bytes !== "number") continue;
      isCounted = true;
      packets += facts.packets;
      bytes += facts.bytes;
    }
    return isCounted ? { packets: String(packets), bytes: String(bytes) } : {};
  }

  /** The kernel was seen to hold all that an object asks for. */
  isInKernel(kind: string, name: string): boolean {
    const id = objectId(kind, name);
    if (this.stale.has(id)) return false;
    return this.reconciler.standing(id).every(({ artifact }) => {
      const held = this.reconciler.held(artifact);
      return held !== undefined && satisfies(held.facts, artifact.facts);
    });
  }

  counts(): ResourceCounts {
    const phases = Object.fromEntries(Object.values(phaseWords).map((word) => [word, 0]));
    for (const { phase } of this.resources.values()) if (phaseWords[phase]) phases[phaseWords[phase]]++;
    return { phases, ...this.reconciler.counts };
  }

  durable(seq: number): void {
    this.reconciler.durable(seq);
  }

  notDurable(seq: number): void {
    this.reconciler.notDurable(seq, this.host.nowMs());
  }
}

/** The same, and whatever is looked at is noted. */
function noting(around: Surroundings, lookedAt: Set<string>): Surroundings {
  return {
    spec: (kind, name) => {
      lookedAt.add(objectId(kind, name));
      return around.spec(kind, name);
    },
    link: (ifname) => {
      lookedAt.add(`link ${ifname}`);
      return around.link(ifname);
    },
    names: (of) => {
      lookedAt.add(everyOf(of));
      return around.names(of);
    },
    apiListeners: () => {
      lookedAt.add("listeners");
      return around.apiListeners();
    },
    egress: (policy) => {
      lookedAt.add(`egress ${policy}`);
      return around.egress(policy);
    },
    flowRules: () => {
      lookedAt.add("flow rules");
      return around.flowRules();
    },
  };
}

/** Specs as they would be after these changes. */
export function afterwards(touched: readonly Touched[], objects: Specs): SpecLookup {
  const after = new Map(touched.map((each) => [objectId(each.kind, each.name), each.after]));
  return (kind, name) => {
    const id = objectId(kind, name);
    return after.has(id) ? after.get(id) : objects.spec(kind, name);
  };
}

/** All objects of a kind, as something to look at. */
function everyOf(kind: string): string {
  return `every ${kind}`;
}

/** Names of the objects of a kind after these changes. */
function namesAfter(
  before: Iterable<string>,
  of: string,
  touched: readonly Touched[],
  spec: SpecLookup,
): string[] {
  const names = new Set(before);
  for (const { kind, name } of touched) {
    if (kind !== of) continue;
    if (spec(kind, name)) names.add(name);
    else names.delete(name);
  }
  return [...names];
}

function partsOf(id: string): [kind: string, name: string] {
  const at = id.indexOf("/");
  return [id.slice(0, at), id.slice(at + 1)];
}

/** Phases from the best to the worst. */
const severities: readonly ResourcePhase[] = [
  ResourcePhase.APPLIED,
  ResourcePhase.PROGRESSING,
  ResourcePhase.DEGRADED,
  ResourcePhase.FAILED,
];

const phaseWords: Readonly<Record<number, string>> = {
  [ResourcePhase.PENDING]: "pending",
  [ResourcePhase.PROGRESSING]: "progressing",
  [ResourcePhase.APPLIED]: "applied",
  [ResourcePhase.DEGRADED]: "degraded",
  [ResourcePhase.FAILED]: "failed",
  [ResourcePhase.SUPPRESSED]: "suppressed",
};

function judgeStanding(standing: Standing): { phase: ResourcePhase; reason: string; message: string } {
  switch (standing.state) {
    case "applied":
    case "skipped":
      return { phase: ResourcePhase.APPLIED, reason: "", message: "" };
    case "waiting":
      return { phase: ResourcePhase.PROGRESSING, reason: "", message: "" };
    case "drifted":
      return { phase: ResourcePhase.DEGRADED, reason: "DRIFTED", message: "somebody else has altered it" };
    case "conflict": {
      const message = `in the way is ${standing.with}`;
      return { phase: ResourcePhase.DEGRADED, reason: "CONFLICT", message };
    }
    default: {
      const { error, detail } = standing;
      const message = detail === "" ? error : `${error}: ${detail}`;
      return { phase: ResourcePhase.FAILED, reason: error, message };
    }
  }
}
