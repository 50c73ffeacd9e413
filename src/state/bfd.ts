/**
 * BFD for neighbors: who wants a session, what its thread has said of it, and what follows for BGP (RFC 5882). Packets
 * and their timers are not here but in src/bfd, in a thread of their own.
 *
 *   down from up        the BGP session ends at once with Cease / BFD Down (RFC 9384)
 *   down, AdminDown     nothing: the neighbor took BFD away, which says nothing of the path (RFC 5882 3.2)
 *   strict, not up      no BGP session comes up
 */
import { assert } from "../base/assert.ts";
import { formatIp, parseIp, prefixContains } from "../base/ip.ts";
import type { Random } from "../base/random.ts";
import { BfdState, diagnosticText } from "../bfd/packet.ts";
import { counterStride, type DiscardCount, type SessionPlan, type SessionReport } from "../bfd/table.ts";
import type { Effects } from "./effects.ts";
import type { BfdNewsInput, HostAddress } from "./inputs.ts";
import { type NeighborRecord, objectOf } from "./neighbor-record.ts";
import type { Inputs } from "./part.ts";
import type { BfdConfig, NeighborConfig, SessionHost } from "./session-port.ts";

export interface BfdHost {
  readonly effects: Effects;
  readonly random: Random;
  readonly event: SessionHost["event"];
  nowMs(): number;
  /** `why` keeps the neighbor's session from coming up; empty lets it. */
  gate(record: NeighborRecord, why: string): void;
  /**
   * The path to the neighbor is dead.
   * @param keep its routes may outlive the session
   */
  down(record: NeighborRecord, why: string, keep: boolean): void;
  /** Routes of a neighbor that restarts are not kept any longer. */
  drop(record: NeighborRecord, why: string): void;
  stateChanged(record: NeighborRecord): void;
}

/** A session of a neighbor. */
export interface BfdEntry {
  readonly record: NeighborRecord;
  plan: SessionPlan;
  config: BfdConfig;
  /** Undefined before the thread has said anything. */
  report: SessionReport | undefined;
  received: number;
  sent: number;
  discarded: number;
  /** What keeps it from running; empty when nothing does. */
  failure: string;
  /** Since when it is up, monotonic milliseconds. */
  upFromMs: number;
  /** Last told to the host. */
  gate: string;
}

export class Bfd {
  private readonly host: BfdHost;
  private readonly entries = new Map<string, BfdEntry>();
  private readonly byDiscriminator = new Map<number, BfdEntry>();
  /** Strict neighbors whose BFD has to stay up for a while yet. */
  private readonly holding = new Set<BfdEntry>();
  /** Single hop or multihop follows from them where nobody says. */
  private addresses: readonly HostAddress[] = [];
  readonly inputs: Inputs = {
    "host.addresses": ({ addresses }) => {
      this.addresses = addresses;
      for (const { record } of this.entries.values()) this.settle(record);
    },
    "bfd.news": (input) => this.news(input),
  };
  discards: readonly DiscardCount[] = [];

  constructor(host: BfdHost) {
    this.host = host;
  }

  get(address: string): BfdEntry | undefined {
    return this.entries.get(address);
  }

  names(): IterableIterator<string> {
    return this.entries.keys();
  }

  /** Brings the session of a neighbor to what is declared now. */
  settle(record: NeighborRecord): void {
    const { config } = record;
    const known = this.entries.get(config.address);
    if (!config.bfd || config.shutdown || config.remote === "" || record.removed) {
      if (known) this.end(known);
      return;
    }
    const wanted = this.planOf(config, config.bfd, known?.plan.discriminator ?? 0);
    if (known && sameSession(known.plan, wanted)) {
      known.config = config.bfd;
      if (JSON.stringify(known.plan) !== JSON.stringify(wanted)) {
        known.plan = wanted;
        this.host.effects.push({ kind: "bfd.set", plan: wanted });
      }
      this.decide(known);
      return;
    }
    if (known) this.forget(known);
    const plan = { ...wanted, discriminator: this.newDiscriminator() };
    this.begin(record, config.bfd, plan, known?.gate ?? "");
  }

  private begin(record: NeighborRecord, config: BfdConfig, plan: SessionPlan, gate: string): void {
    const counts = { received: 0, sent: 0, discarded: 0 };
    const entry: BfdEntry = {
      record,
      plan,
      config,
      ...counts,
      report: undefined,
      failure: "",
      upFromMs: 0,
      gate,
    };
    this.entries.set(record.config.address, entry);
    this.byDiscriminator.set(plan.discriminator, entry);
    this.host.effects.push({ kind: "bfd.set", plan });
    this.decide(entry);
  }

  private end(entry: BfdEntry): void {
    this.forget(entry);
    if (entry.gate !== "" && !entry.record.removed) this.host.gate(entry.record, "");
  }

  private forget(entry: BfdEntry): void {
    const { discriminator } = entry.plan;
    this.entries.delete(entry.record.config.address);
    this.byDiscriminator.delete(discriminator);
    this.holding.delete(entry);
    this.host.effects.push({ kind: "bfd.remove", discriminator });
  }

  /** Not guessable: it is what tells our packets from those of somebody else. */
  private newDiscriminator(): number {
    for (;;) {
      const discriminator = 1 + Math.floor(this.host.random() * 0xffff_ffff);
      if (!this.byDiscriminator.has(discriminator)) return discriminator;
    }
  }

  private planOf(config: NeighborConfig, bfd: BfdConfig, discriminator: number): SessionPlan {
    const { minTxUs, minRxUs, multiplier, passive } = bfd;
    const multihop = bfd.multihop ?? this.isFar(config);
    return {
      ...{ minTxUs, minRxUs, multiplier, passive, discriminator, multihop },
      peer: formatIp(config.addressBytes),
      local: config.localAddress,
      interface: config.interface === "" ? undefined : config.interface,
      minTtl: multihop ? bfd.minTtl : 255,
    };
  }

  /** More than one hop away, as far as the settings of the BGP session and our links tell. */
  private isFar({ interface: zone, minTtl, ttl, addressBytes }: NeighborConfig): boolean {
    if (zone !== "") return false;
    if (minTtl > 0) return minTtl < 255;
    if (ttl > 0) return ttl > 1;
    return !this.addresses.some(({ address, length }) => {
      const bytes = parseIp(address);
      return bytes !== undefined && prefixContains({ bytes, length }, addressBytes);
    });
  }

  /** What the thread says. */
  news({ reports, counters, discards, failures }: BfdNewsInput): void {
    if (discards) this.discards = discards;
    for (let at = 0; at + counterStride <= counters.length; at += counterStride) {
      const entry = this.byDiscriminator.get(counters[at]);
      if (!entry) continue;
      entry.received = counters[at + 1];
      entry.sent = counters[at + 2];
      entry.discarded = counters[at + 3];
    }
    for (const [discriminator, text] of failures) {
      const entry = this.byDiscriminator.get(discriminator);
      if (!entry || entry.failure === text) continue;
      entry.failure = text;
      if (text !== "") this.tell(entry, "failed", 3, `BFD does not run: ${text}`, { reason: text });
      this.decide(entry);
      this.host.stateChanged(entry.record);
    }
    for (const report of reports) {
      const entry = this.byDiscriminator.get(report.discriminator);
      if (entry) this.reported(entry, report);
    }
  }

  private reported(entry: BfdEntry, report: SessionReport): void {
    const before = entry.report;
    entry.report = report;
    // A thread that was started anew counts from 0.
    const wentDown = report.downs > (before?.downs ?? 0);
    const isUp = report.state === BfdState.up;
    const wasUp = before?.state === BfdState.up && !wentDown;
    if (isUp && !wasUp) entry.upFromMs = this.host.nowMs();
    if (wentDown) this.wentDown(entry, report);
    if (isUp && !wasUp) {
      const facts = { transmit_us: String(report.transmitUs), detection_us: String(report.detectionUs) };
      this.tell(entry, "up", 1, "BFD is up", facts);
    }
    this.decide(entry);
    if (before?.state !== report.state || wentDown) this.host.stateChanged(entry.record);
  }

  private wentDown(entry: BfdEntry, report: SessionReport): void {
    const { record, config } = entry;
    const why = downReason(report);
    const isTold = report.cause === "neighbor-admin-down" || report.cause === "admin-down";
    const facts = { reason: why, cause: report.cause ?? "", detection_us: String(report.detectionUs) };
    this.tell(entry, "down", isTold ? 1 : 2, `BFD is down: ${why}`, facts);
    if (isTold) return;
    const isIndependent = report.downRemoteIndependent;
    // RFC 5882 4.3: BFD that shares the fate of a control plane which restarts says nothing of the forwarding plane.
    if (record.negotiated) this.host.down(record, why, config.checkControlPlane && !isIndependent);
    else if (isIndependent) this.host.drop(record, `BFD is down: ${why}`);
  }

  private tell(
    { record, plan }: BfdEntry,
    topic: string,
    severity: 1 | 2 | 3,
    summary: string,
    facts: Readonly<Record<string, string>>,
  ): void {
    const about = { peer: plan.peer, multihop: String(plan.multihop), ...facts };
    this.host.event(`cairn.bfd.session.${topic}`, objectOf(record), severity, summary, about);
  }

  /** Whether BGP may come up. */
  private decide(entry: BfdEntry): void {
    const why = this.obstacle(entry);
    if (why === entry.gate) return;
    entry.gate = why;
    this.host.gate(entry.record, why);
  }

  private obstacle(entry: BfdEntry): string {
    this.holding.delete(entry);
    const { config, report, failure } = entry;
    if (!config.strict) return "";
    if (report?.state === BfdState.up) {
      if (this.host.nowMs() >= entry.upFromMs + config.holdOffMs) return "";
      this.holding.add(entry);
      return "waiting for BFD to stay up";
    }
    if (report && report.remote.discriminator !== 0 && report.remote.state === BfdState.adminDown) return "";
    return failure === "" ? "waiting for BFD" : `waiting for BFD, which does not run: ${failure}`;
  }

  /** Lets those come up whose time is over. */
  tick(): void {
    for (const entry of [...this.holding]) this.decide(entry);
  }

  /** When `tick` is wanted next, monotonic milliseconds; Infinity for never. */
  nextMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { upFromMs, config } of this.holding) next = Math.min(next, upFromMs + config.holdOffMs);
    return next;
  }
}

/** Why a session last left Up: one sentence. */
export function downReason(report: SessionReport): string {
  switch (report.cause) {
    case "neighbor-down":
      return report.downRemoteDiagnostic === 0
        ? "neighbor signaled session down"
        : `neighbor signaled session down: ${diagnosticText(report.downRemoteDiagnostic)}`;
    case "neighbor-admin-down":
      return "the neighbor took BFD away (AdminDown)";
    case "admin-down":
      return "administratively down";
    case "detection-time":
      return "control detection time expired";
    default:
      assert(report.cause === undefined);
      return "";
  }
}

/** True when the session can go on with other settings. */
function sameSession(a: SessionPlan, b: SessionPlan): boolean {
  return (
    a.peer === b.peer &&
    a.local === b.local &&
    a.interface === b.interface &&
    a.multihop === b.multihop &&
    a.minTtl === b.minTtl
  );
}
