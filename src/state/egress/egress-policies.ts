/**
 * All EgressRoutePolicy objects: what each sees of its candidates, and what it has chosen. The choice itself is a function
 * (resources/egress-route-policy/selection.ts); this asks it whenever links, health, declarations or time may have another
 * answer, remembers the answer on disk, and tells those who look at it. A restart goes on with the old choice until
 * something speaks against it: flows notice nothing.
 */
import type { Fact } from "../../dataplane/artifact.ts";
import type { Link } from "../../dataplane/kernel-model.ts";
import type { LedgerRow } from "../../dataplane/ledger.ts";
import type { LedgerChange } from "../../dataplane/reconciler.ts";
import {
  type EgressCandidate,
  EgressMode,
  type EgressRoutePolicySpec,
} from "../../gen/cairn/v1/egress_service_pb.ts";
import {
  type Member,
  nothingChosen,
  type Selection,
  type SelectionRules,
  type Sight,
  select,
} from "../../resources/egress-route-policy/selection.ts";
import { ipVersionOf, linkSight } from "../../resources/egress-route-policy/ways.ts";
import type { HealthSource } from "../health/health.ts";
import type { Specs, Touched } from "../objects.ts";
import { objectId } from "../objects-index.ts";
import { durationMs } from "../schema.ts";
import type { SessionHost } from "../session-port.ts";

export interface EgressHost {
  /** Specs that are durable. */
  readonly specs: Specs;
  names(kind: string): Iterable<string>;
  link(ifname: string): Link | undefined;
  /** The kernel has told of all its links. */
  linksKnown(): boolean;
  readonly health: HealthSource;
  persist(change: LedgerChange): number;
  /** The selection of this policy is another one. */
  changed(name: string): void;
  /** The kernel holds all that the policy asks for. */
  isInKernel(name: string): boolean;
  nowMs(): number;
  wallMs(): number;
  readonly event: SessionHost["event"];
}

/** A change of what is chosen. */
export interface Transition {
  /** Wall-clock milliseconds. */
  readonly timeMs: number;
  readonly from: readonly string[];
  readonly to: readonly string[];
  readonly reason: string;
  /** Monotonic milliseconds of the decision. */
  readonly decidedMs: number;
  /** From the decision until the kernel was seen to hold what follows from it. */
  appliedAfterMs: number | undefined;
}

export interface Policy {
  readonly selection: Selection;
  /** The newest last. */
  readonly history: readonly Transition[];
  /** Since the start. */
  readonly transitions: number;
}

/** Class of the ledger's rows. */
export const egressClass = "egress";

const kind = "EgressRoutePolicy";
/** Transitions that are remembered of a policy. */
const historyMax = 64;
const defaults = { weight: 100, priority: 100, upDelayMs: 10_000 } as const;

interface Entry extends Policy {
  selection: Selection;
  /** The declaration that was looked at. */
  spec: EgressRoutePolicySpec | undefined;
  history: Transition[];
  transitions: number;
}

export class EgressPolicies {
  private readonly host: EgressHost;
  /** False: this daemon does not touch the kernel. */
  private readonly enabled: boolean;
  private readonly entries = new Map<string, Entry>();
  /** Policies to be looked at. */
  private readonly stale = new Set<string>();
  /** Policies whose last transition the kernel has not been seen to hold. */
  private readonly underWay = new Set<string>();

  /** @param rows of `egressClass`, as the last run left them */
  constructor(rows: Iterable<LedgerRow>, enabled: boolean, host: EgressHost) {
    this.host = host;
    this.enabled = enabled;
    if (!enabled) return;
    for (const row of rows) {
      const selection = remembered(row, host.nowMs(), host.wallMs());
      this.entries.set(row.key, { selection, spec: undefined, history: [], transitions: 0 });
      this.stale.add(row.key);
    }
    this.lookAtAll();
    host.health.onChange(() => this.lookAtAll());
  }

  private lookAtAll(): void {
    for (const name of this.host.names(kind)) this.stale.add(name);
  }

  apply(touched: readonly Touched[]): void {
    for (const each of touched) {
      if (each.kind === kind) this.stale.add(each.name);
      else if (each.kind === "Interface") this.lookAtAll();
    }
  }

  linksChanged(): void {
    this.lookAtAll();
  }

  get hasWork(): boolean {
    return this.enabled && this.stale.size > 0 && this.host.linksKnown();
  }

  /** When time alone may have another answer, monotonic milliseconds. */
  nextMs(): number {
    if (!this.enabled || !this.host.linksKnown()) return Number.POSITIVE_INFINITY;
    let next = Number.POSITIVE_INFINITY;
    for (const { selection } of this.entries.values()) next = Math.min(next, selection.nextMs);
    return next;
  }

  run(): void {
    if (!this.enabled || !this.host.linksKnown()) return;
    const nowMs = this.host.nowMs();
    for (const name of this.underWay) this.seeApplied(name, nowMs);
    for (const [name, { selection }] of this.entries) if (selection.nextMs <= nowMs) this.stale.add(name);
    for (const name of this.stale) this.look(name);
    this.stale.clear();
  }

  private look(name: string): void {
    const spec = this.host.specs.spec(kind, name) as EgressRoutePolicySpec | undefined;
    const before = this.entries.get(name);
    if (!spec) {
      if (!before) return;
      this.entries.delete(name);
      this.underWay.delete(name);
      this.host.persist({ put: [], drop: [{ class: egressClass, key: name }] });
      this.host.changed(name);
      return;
    }
    const entry = before ?? { selection: nothingChosen, spec, history: [], transitions: 0 };
    entry.spec = spec;
    this.entries.set(name, entry);
    this.settle(name, entry, this.selectionOf(spec, entry.selection, entry.selection.pinned));
  }

  /** What is chosen by a declaration; the one in force or one that is only thought of. */
  selection(name: string, spec: EgressRoutePolicySpec): Selection | undefined {
    const entry = this.entries.get(name);
    if (!this.enabled || !this.host.linksKnown()) return entry?.selection;
    if (entry?.spec === spec) return entry.selection;
    return this.selectionOf(spec, entry?.selection ?? nothingChosen, entry?.selection.pinned ?? "");
  }

  /** How it stands with a policy that has been looked at. */
  named(name: string): Policy | undefined {
    return this.entries.get(name);
  }

  /**
   * New flows take this candidate as long as it can be used; empty: what ranks highest.
   * @returns false when the policy has no such candidate
   */
  pin(name: string, candidate: string): boolean {
    const spec = this.host.specs.spec(kind, name) as EgressRoutePolicySpec | undefined;
    if (!spec) return false;
    if (candidate !== "" && !spec.candidates.some((each) => each.name === candidate)) return false;
    const entry = this.entries.get(name) ?? { selection: nothingChosen, spec, history: [], transitions: 0 };
    this.entries.set(name, entry);
    if (entry.selection.pinned === candidate) return true;
    const how = candidate === "" ? "is no longer pinned" : `is pinned to ${candidate}`;
    const verb = candidate === "" ? "unpinned" : "pinned";
    this.host.event(`cairn.egress.${verb}`, objectId(kind, name), 1, `${name} ${how}`, { candidate });
    this.settle(name, entry, this.selectionOf(spec, entry.selection, candidate));
    return true;
  }

  private selectionOf(spec: EgressRoutePolicySpec, before: Selection, pinned: string): Selection {
    const sights = new Map(spec.candidates.map((each) => [each.name, this.sightOf(spec, each)]));
    return select(before, rulesOf(spec), sights, pinned, this.host.nowMs());
  }

  private sightOf(spec: EgressRoutePolicySpec, candidate: EgressCandidate): Sight {
    const around = {
      spec: (...object: [string, string]) => this.host.specs.spec(...object),
      link: (ifname: string) => this.host.link(ifname),
    };
    const sight = linkSight(candidate, ipVersionOf(spec), around);
    if (sight.ready === "no" || candidate.healthCheck === "") return sight;
    const { health, why } = this.host.health.healthOf(candidate.healthCheck);
    if (health === "healthy") return sight;
    if (health === "unhealthy") return { ready: "no", why: `${candidate.healthCheck} is unhealthy: ${why}` };
    return { ready: "unknown", why: `${candidate.healthCheck} does not know yet` };
  }

  /** Takes a selection for what is in force. */
  private settle(name: string, entry: Entry, now: Selection): void {
    const before = entry.selection;
    entry.selection = now;
    const isOther = before.chosen.join(" ") !== now.chosen.join(" ");
    if (isOther) this.moved(name, entry, before, now);
    if (!isOther && textOf(before) === textOf(now)) return;
    const facts = storedFacts(now, this.host.nowMs(), this.host.wallMs());
    const owner = objectId(kind, name);
    const row = { class: egressClass, key: name, owner, phase: "confirmed", facts, identity: "" } as const;
    this.host.persist({ put: [row], drop: [] });
    this.host.changed(name);
  }

  private moved(name: string, entry: Entry, before: Selection, now: Selection): void {
    const decidedMs = this.host.nowMs();
    const from = before.chosen;
    const to = now.chosen;
    entry.history.push({
      ...{ timeMs: this.host.wallMs(), from, to, reason: now.reason, decidedMs },
      appliedAfterMs: undefined,
    });
    if (entry.history.length > historyMax) entry.history.shift();
    entry.transitions++;
    this.underWay.add(name);
    const [left, taken] = [from.join(", ") || "nothing", to.join(", ") || "nothing"];
    const summary = `${name}: new flows take ${taken} instead of ${left}: ${now.reason}`;
    const facts = { from: from.join(" "), to: to.join(" "), reason: now.reason };
    this.host.event("cairn.egress.selected", objectId(kind, name), to.length === 0 ? 3 : 1, summary, facts);
  }

  private seeApplied(name: string, nowMs: number): void {
    if (!this.host.isInKernel(name)) return;
    this.underWay.delete(name);
    for (const transition of this.entries.get(name)?.history ?? []) {
      transition.appliedAfterMs ??= nowMs - transition.decidedMs;
    }
  }
}

/** The part of a declaration that the choice depends on. */
export function rulesOf({
  mode,
  candidates,
  upDelay,
  downDelay,
  dwell,
}: EgressRoutePolicySpec): SelectionRules {
  return {
    mode: mode === EgressMode.HASH ? "hash" : mode === EgressMode.PRIORITY ? "priority" : "highest-weight",
    candidates: candidates.map(({ name, weight, priority }) => ({
      name,
      weight: weight ?? defaults.weight,
      priority: priority ?? defaults.priority,
    })),
    upDelayMs: upDelay ? durationMs(upDelay) : defaults.upDelayMs,
    downDelayMs: durationMs(downDelay),
    dwellMs: durationMs(dwell),
  };
}

/** What others see, and what is remembered. */
function textOf({ chosen, reason, pinned, members }: Selection): string {
  return JSON.stringify([chosen, reason, pinned, usableOf(members)]);
}

function usableOf(members: ReadonlyMap<string, Member>): string[] {
  return [...members].filter(([, { usable }]) => usable).map(([name]) => name);
}

function storedFacts(
  { chosen, pinned, members, sinceMs, reason }: Selection,
  nowMs: number,
  wallMs: number,
): Record<string, Fact> {
  const since = Number.isFinite(sinceMs) ? wallMs - (nowMs - sinceMs) : 0;
  return { chosen, usable: usableOf(members), pinned, since, reason };
}

function remembered({ facts }: LedgerRow, nowMs: number, wallMs: number): Selection {
  const names = (fact: Fact | undefined): string[] => (Array.isArray(fact) ? fact.map(String) : []);
  const member: Member = { usable: true, ready: "unknown", why: "nobody has looked since the restart" };
  return {
    ...nothingChosen,
    chosen: names(facts.chosen),
    reason: String(facts.reason ?? ""),
    sinceMs: nowMs - Math.max(0, wallMs - Number(facts.since ?? 0)),
    pinned: String(facts.pinned ?? ""),
    members: new Map(names(facts.usable).map((name) => [name, member])),
  };
}
