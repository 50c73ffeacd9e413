/**
 * All health checks: which run, what is under way, and how each stands. What a check decides is in check.ts; this sends
 * its probes, follows links and declared objects, and tells of changes.
 */
import type { Random } from "../../base/random.ts";
import type { Link } from "../../dataplane/kernel-model.ts";
import type { ProbePlan } from "../../dataplane/probe/messages.ts";
import type { HealthCheckSpec } from "../../gen/cairn/v1/health_kinds_pb.ts";
import type { InterfaceSpec } from "../../gen/cairn/v1/link_kinds_pb.ts";
import { ResourcePhase } from "../../gen/cairn/v1/resource_types_pb.ts";
import { jitterOf, probesOf, timesOf } from "../../resources/health-check/kind.ts";
import type { Effects } from "../effects.ts";
import type { Specs, Touched } from "../objects.ts";
import type { Inputs } from "../part.ts";
import type { ResourceStanding } from "../resources.ts";
import type { SessionHost } from "../session-port.ts";
import {
  type Check,
  type CheckEvent,
  type CheckSettings,
  dueMs,
  newCheck,
  type RoundEnd,
  step,
  type Trouble,
} from "./check.ts";
import type { Health, HealthListener, HealthSource, HealthState } from "./health.ts";

const kind = "HealthCheck";

export interface HealthChecksHost {
  /** Specs that are durable. */
  readonly specs: Specs;
  names(kind: string): Iterable<string>;
  readonly effects: Effects;
  readonly random: Random;
  link(ifname: string): Link | undefined;
  /** The kernel has told of all its links. */
  linksKnown(): boolean;
  /** The object stands otherwise than before. */
  changed(name: string): void;
  nowMs(): number;
  wallMs(): number;
  readonly event: SessionHost["event"];
}

/** A check that is declared. */
interface Entry {
  readonly name: string;
  /** What its probes are; empty as long as its link is not there. */
  readonly probes: readonly ProbePlan[];
  /** One text for equal probes. */
  readonly text: string;
  readonly device: string;
  check: Check;
  /** Numbers of the probes under way. */
  readonly underWay: Set<number>;
  readonly rounds: Record<RoundEnd, number>;
  /** Times that it became healthy or unhealthy. */
  changes: number;
  /** Wall-clock milliseconds. */
  changedAtMs: number;
  /** End of the last round; 0 before the first. */
  lastAtMs: number;
}

/** A check for metrics. */
export interface HealthSummary {
  readonly name: string;
  readonly health: Health;
  readonly latencyMs: number | undefined;
  readonly rounds: Readonly<Record<RoundEnd, number>>;
  readonly changes: number;
}

const waiting: Trouble = { reason: "", message: "links are not known yet" };

export class HealthChecks implements HealthSource {
  private readonly host: HealthChecksHost;
  /** False: this daemon does not touch the kernel. */
  readonly enabled: boolean;
  private readonly entries = new Map<string, Entry>();
  private readonly probes = new Map<number, { readonly entry: Entry; round: number; target: number }>();
  private readonly listeners: HealthListener[] = [];
  private nextProbe = 1;
  /** When the first of them wants the time; may be too early. */
  private dueAtMs = Number.POSITIVE_INFINITY;
  readonly inputs: Inputs = {
    "health.answered": ({ probe, answer }) => {
      const asked = this.probes.get(probe);
      if (!asked) return;
      this.probes.delete(probe);
      asked.entry.underWay.delete(probe);
      const { entry, round, target } = asked;
      this.step(entry, { kind: "answer", round, target, answer });
    },
  };

  constructor(enabled: boolean, host: HealthChecksHost) {
    this.enabled = enabled;
    this.host = host;
  }

  /** Takes up what was declared in an earlier run. Nothing is known of any of it. */
  start(): void {
    this.configure();
  }

  healthOf(name: string): HealthState {
    const entry = this.entries.get(name);
    if (!entry) return { health: "unknown", sinceMs: 0, why: `there is no ${kind}/${name}` };
    const { health, sinceMs } = entry.check;
    return { health, sinceMs, why: health === "healthy" ? "" : whyOf(entry.check) };
  }

  onChange(listener: HealthListener): void {
    this.listeners.push(listener);
  }

  apply(touched: readonly Touched[]): void {
    if (touched.some((each) => each.kind === kind || each.kind === "Interface")) this.configure();
  }

  linksChanged(): void {
    for (const entry of this.entries.values()) this.follow(entry);
  }

  private configure(): void {
    if (!this.enabled) return;
    const left = new Set(this.entries.keys());
    for (const name of this.host.names(kind)) {
      const spec = this.host.specs.spec(kind, name) as HealthCheckSpec | undefined;
      if (!spec) continue;
      left.delete(name);
      this.settle(name, spec);
    }
    for (const name of left) this.remove(this.entries.get(name)!);
  }

  private settle(name: string, spec: HealthCheckSpec): void {
    const device = this.deviceOf(spec.interface);
    const probes = probesOf(spec, device);
    const settings = settingsOf(spec);
    const text = JSON.stringify([probes, settings.quorum, spec.shutdown]);
    const known = this.entries.get(name);
    if (known?.text === text) {
      this.step(known, { kind: "settings", settings });
      return;
    }
    // Something else is probed: what was known says nothing of it.
    const why = spec.shutdown ? { reason: "SHUTDOWN", message: "it is shut down" } : waiting;
    const nowMs = this.host.nowMs();
    const entry: Entry = {
      ...{ name, text, device },
      probes: spec.shutdown ? [] : probes,
      check: newCheck(settings, why, nowMs),
      underWay: new Set(),
      rounds: { passed: 0, failed: 0, blocked: 0 },
      changes: 0,
      changedAtMs: this.host.wallMs(),
      lastAtMs: 0,
    };
    if (known) this.forget(known);
    this.entries.set(name, entry);
    this.follow(entry);
    const before = known?.check.health ?? "unknown";
    if (before !== "unknown" && entry.check.health === "unknown") this.tell(entry, before);
  }

  /** Name of the link in the kernel. */
  private deviceOf(name: string): string {
    if (name === "") return "";
    const spec = this.host.specs.spec("Interface", name) as InterfaceSpec | undefined;
    return spec?.ifname || name;
  }

  private remove(entry: Entry): void {
    this.forget(entry);
    this.entries.delete(entry.name);
    if (entry.check.health !== "unknown") this.notify(entry.name);
  }

  /** Answers that are under way are of no interest any more. */
  private forget(entry: Entry): void {
    if (entry.underWay.size === 0) return;
    this.host.effects.push({ kind: "health.cancel", probes: [...entry.underWay] });
    for (const probe of entry.underWay) this.probes.delete(probe);
    entry.underWay.clear();
  }

  /** Runs or rests as its link is there or not. */
  private follow(entry: Entry): void {
    if (!this.host.linksKnown() || entry.probes.length === 0) return;
    const { device } = entry;
    const link = device === "" ? undefined : this.host.link(device);
    if (device === "" || link?.up) {
      this.step(entry, { kind: "start" });
      return;
    }
    // What is bound to a link that is down reaches nothing: no need to wait until probes have failed.
    const why = link
      ? { reason: "LINK_DOWN", message: `link ${device} is down` }
      : { reason: "DEVICE_MISSING", message: `link ${device} is not there` };
    if (entry.check.stopped?.reason === why.reason) return;
    this.step(entry, { kind: "stop", health: link ? "unhealthy" : "unknown", why });
  }

  tick(): void {
    const nowMs = this.host.nowMs();
    if (nowMs < this.dueAtMs) return;
    this.dueAtMs = Number.POSITIVE_INFINITY;
    for (const entry of this.entries.values()) {
      if (dueMs(entry.check) <= nowMs) this.step(entry, { kind: "time" });
      else this.dueAtMs = Math.min(this.dueAtMs, dueMs(entry.check));
    }
  }

  nextMs(): number {
    return this.dueAtMs;
  }

  private step(entry: Entry, event: CheckEvent): void {
    const before = entry.check;
    const { check, actions, ended } = step(before, event, this.host.nowMs(), this.host.random);
    entry.check = check;
    for (const { kind: action, round } of actions) {
      if (action === "cancel") this.forget(entry);
      else this.send(entry, round);
    }
    if (ended) {
      entry.rounds[ended]++;
      entry.lastAtMs = this.host.wallMs();
    }
    this.dueAtMs = Math.min(this.dueAtMs, dueMs(check));
    if (check.health !== before.health) this.tell(entry, before.health);
    else if (check.stopped !== before.stopped || ended) this.host.changed(entry.name);
  }

  private send(entry: Entry, round: number): void {
    entry.probes.forEach((plan, target) => {
      const probe = this.nextProbe++;
      this.probes.set(probe, { entry, round, target });
      entry.underWay.add(probe);
      this.host.effects.push({ kind: "health.probe", probe, plan });
    });
  }

  private tell(entry: Entry, before: Health): void {
    const { name, check } = entry;
    entry.changes++;
    entry.changedAtMs = this.host.wallMs();
    const why = whyOf(check);
    const latency = check.latencyMs === undefined ? "" : check.latencyMs.toFixed(1);
    const summary =
      check.health === "healthy"
        ? `${kind}/${name} is healthy: ${answeredWithin(check)}`
        : `${kind}/${name} is ${check.health}: ${why}`;
    const facts = { before, reason: troubleOf(check)?.reason ?? "", latency_ms: latency };
    const severity = check.health === "healthy" ? 1 : 2;
    this.host.event(`cairn.health.check.${check.health}`, `${kind}/${name}`, severity, summary, facts);
    this.host.changed(name);
    this.notify(name);
  }

  private notify(name: string): void {
    for (const listener of this.listeners) listener(name, this.healthOf(name));
  }

  /** How an object stands; undefined for one that is not there, and where nothing is probed. */
  standing(name: string): ResourceStanding | undefined {
    const entry = this.entries.get(name);
    if (!entry) return undefined;
    return { ...phaseOf(entry.check), values: valuesOf(entry) };
  }

  *summaries(): Generator<HealthSummary> {
    for (const { name, check, rounds, changes } of this.entries.values())
      yield { name, health: check.health, latencyMs: check.latencyMs, rounds, changes };
  }
}

function settingsOf(spec: HealthCheckSpec): CheckSettings {
  return {
    ...timesOf(spec),
    rise: spec.rise ?? 1,
    fall: spec.fall ?? 3,
    jitter: jitterOf(spec),
    targets: spec.targets.length,
    quorum: spec.quorum ?? 1,
  };
}

function troubleOf({ stopped, trouble }: Check): Trouble | undefined {
  return stopped ?? trouble;
}

function answeredWithin({ latencyMs }: Check): string {
  return `answered within ${latencyMs?.toFixed(1)} ms`;
}

function whyOf(check: Check): string {
  return troubleOf(check)?.message ?? "no probe has ended yet";
}

/** Phases of docs/health-checks.md. */
function phaseOf(check: Check): Omit<ResourceStanding, "values"> {
  const { APPLIED, DEGRADED, PENDING, PROGRESSING, FAILED } = ResourcePhase;
  const { health, stopped, blocks, trouble } = check;
  const why = troubleOf(check) ?? { reason: "", message: "" };
  if (health === "healthy") return { phase: APPLIED, reason: "", message: answeredWithin(check) };
  if (health === "unhealthy") return { phase: DEGRADED, ...why };
  if (stopped) return { phase: stopped === waiting ? PROGRESSING : PENDING, ...stopped };
  if (blocks > 0) return { phase: FAILED, ...why };
  return { phase: PROGRESSING, reason: "UNKNOWN", message: trouble?.message ?? "no probe has ended yet" };
}

function valuesOf({ check, rounds, changes, changedAtMs, lastAtMs, device }: Entry): Record<string, string> {
  const { health, passes, failures, latencyMs, trouble, blocks } = check;
  return {
    state: health,
    last_change: new Date(changedAtMs).toISOString(),
    in_a_row: String(passes || failures || blocks),
    passed: String(rounds.passed),
    failed: String(rounds.failed),
    blocked: String(rounds.blocked),
    changes: String(changes),
    ...(device !== "" && { device }),
    ...(lastAtMs > 0 && { last_probe: new Date(lastAtMs).toISOString() }),
    ...(latencyMs !== undefined && { latency_ms: latencyMs.toFixed(1) }),
    ...(trouble && { last_error: trouble.message }),
  };
}
