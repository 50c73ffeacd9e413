/**
 * All BFD sessions of a router: which packet is whose (RFC 5880 6.3, RFC 5881, RFC 5883), who is due, what there is to
 * report. It reads no clock and sends nothing itself: datagrams, time and chance come in, packets go to a port.
 */
import { MinHeap } from "../base/heap.ts";
import type { Random } from "../base/random.ts";
import {
  BfdState,
  type ControlPacket,
  controlBytes,
  type DiscardReason,
  decodeControl,
  discardReasons,
  encodeControl,
} from "./packet.ts";
import {
  type DownCause,
  detectionUs,
  dueMs,
  newSession,
  type Remote,
  type Session,
  type SessionEvent,
  type Settings,
  slowUs,
  step,
  transmitUs,
} from "./session.ts";

/** A session that somebody wants. Everything but the settings stays as it is for its lifetime. */
export interface SessionPlan extends Settings {
  /** Unique and not 0. */
  readonly discriminator: number;
  /** Canonical text without a zone. */
  readonly peer: string;
  /** Undefined: any of ours. */
  readonly local: string | undefined;
  /** Name of the interface that packets leave and come by; undefined for any. */
  readonly interface: string | undefined;
  readonly multihop: boolean;
  /** Packets with a lower TTL are thrown away; 255 with a single hop (RFC 5881 5). */
  readonly minTtl: number;
}

/** How a datagram came. */
export interface Arrival {
  readonly source: string;
  readonly destination: string;
  /** Name of the interface, where the plan of some session names one. */
  readonly interface: string;
  readonly ttl: number;
  readonly multihop: boolean;
}

/** What the owner of a session is told when it changes. */
export interface SessionReport {
  readonly discriminator: number;
  readonly state: BfdState;
  readonly diagnostic: number;
  readonly remote: Remote;
  readonly transmitUs: number;
  readonly detectionUs: number;
  readonly polling: boolean;
  /** Times that it came up, and left Up. */
  readonly ups: number;
  readonly downs: number;
  /** When the state last changed, and when it last left Up; the caller's milliseconds. */
  readonly changedAtMs: number;
  readonly downAtMs: number;
  readonly cause: DownCause | undefined;
  /** What the neighbor's diagnostic was when it last left Up. */
  readonly downRemoteDiagnostic: number;
  /** And its C bit, which is forgotten with the detection time. */
  readonly downRemoteIndependent: boolean;
}

/** Numbers per session in a list of counters: discriminator, packets received, packets sent, packets thrown away. */
export const counterStride = 4;

/** Thrown-away packets of one reason. */
export interface DiscardCount {
  readonly reason: DiscardReason;
  readonly count: number;
  /** Where the last one came from. */
  readonly source: string;
}

class Entry {
  readonly plan: SessionPlan;
  session: Session;
  /** Deadline by which it stands in the heap; an earlier or later one there is stale. */
  queuedMs = Number.POSITIVE_INFINITY;
  ups = 0;
  downs = 0;
  changedAtMs: number;
  downAtMs = 0;
  downRemoteDiagnostic = 0;
  downRemoteIndependent = false;
  received = 0;
  sent = 0;
  discarded = 0;
  counted = 0;
  /** When it is forgotten, after it was taken away. */
  goneAtMs = Number.POSITIVE_INFINITY;

  constructor(plan: SessionPlan, nowMs: number) {
    this.plan = plan;
    this.session = newSession(plan.discriminator, plan, nowMs);
    this.changedAtMs = nowMs;
  }
}

/** Sends one packet; the bytes are used again after the call. */
export type SendPacket = (plan: SessionPlan, bytes: Uint8Array) => void;

export class BfdTable {
  readonly #random: Random;
  readonly #send: SendPacket;
  readonly #byDiscriminator = new Map<number, Entry>();
  /** By hop mode and peer: the few that differ in local address or interface. */
  readonly #byPeer = new Map<string, Entry[]>();
  readonly #heap = new MinHeap<Entry>();
  readonly #changed = new Set<Entry>();
  readonly #discards = new Map<DiscardReason, { count: number; source: string }>();
  #discardsTold = true;
  readonly #out = new Uint8Array(controlBytes);

  constructor(random: Random, send: SendPacket) {
    this.#random = random;
    this.#send = send;
  }

  get size(): number {
    return this.#byDiscriminator.size;
  }

  /** True as long as packets of the session may come or go. */
  has(discriminator: number): boolean {
    return this.#byDiscriminator.has(discriminator);
  }

  /** A new session, or new settings of one. */
  set(plan: SessionPlan, nowMs: number): void {
    const known = this.#byDiscriminator.get(plan.discriminator);
    if (known) {
      const { minTxUs, minRxUs, multiplier, passive } = plan;
      this.#step(known, { kind: "settings", settings: { minTxUs, minRxUs, multiplier, passive } }, nowMs);
      this.#changed.add(known);
      return;
    }
    const entry = new Entry(plan, nowMs);
    this.#byDiscriminator.set(plan.discriminator, entry);
    const key = peerKey(plan.peer, plan.multihop);
    // What still says that it goes away would take the new session down again.
    for (const other of this.#byPeer.get(key) ?? [])
      if (other.goneAtMs !== Number.POSITIVE_INFINITY) this.#forget(other);
    this.#byPeer.set(key, [entry, ...(this.#byPeer.get(key) ?? [])]);
    this.#changed.add(entry);
    this.#queue(entry);
  }

  /** Takes a session away. The neighbor is told that, for as long as it may take to hear it (RFC 5880 6.8.16). */
  remove(discriminator: number, nowMs: number): void {
    const entry = this.#byDiscriminator.get(discriminator);
    if (!entry || entry.goneAtMs !== Number.POSITIVE_INFINITY) return;
    if (entry.session.remote.discriminator === 0) {
      this.#forget(entry);
      return;
    }
    const tellMs = (entry.plan.multiplier * Math.max(slowUs, transmitUs(entry.session))) / 1000;
    entry.goneAtMs = nowMs + tellMs;
    this.#step(entry, { kind: "admin-down" }, nowMs);
    this.#changed.delete(entry);
  }

  /** Tells all neighbors once that BFD goes away; the process ends. */
  close(nowMs: number): void {
    for (const entry of this.#byDiscriminator.values()) {
      if (entry.session.remote.discriminator !== 0) this.#step(entry, { kind: "admin-down" }, nowMs);
      this.#forget(entry);
    }
  }

  /** A datagram of `length` bytes that came to one of BFD's ports. */
  receive(bytes: Uint8Array, length: number, arrival: Arrival, nowMs: number): void {
    // RFC 5881 5: nothing is looked at before, for who is farther away could have sent it.
    if (!arrival.multihop && arrival.ttl !== 255) {
      this.#discard("ttl", arrival, this.#find(arrival));
      return;
    }
    const packet = decodeControl(bytes, length);
    if (typeof packet === "string") {
      this.#discard(packet, arrival, this.#find(arrival));
      return;
    }
    const entry = this.#accept(packet, arrival);
    if (!entry) return;
    entry.received++;
    this.#step(entry, { kind: "packet", packet }, nowMs);
  }

  /** The session of a packet; undefined when the packet is to be thrown away, which is then counted. */
  #accept(packet: ControlPacket, arrival: Arrival): Entry | undefined {
    const { yourDiscriminator } = packet;
    if (yourDiscriminator === 0) {
      const entry = this.#find(arrival);
      if (!entry) return this.#discard("unknown-source", arrival);
      return arrival.ttl < entry.plan.minTtl ? this.#discard("ttl", arrival, entry) : entry;
    }
    const entry = this.#byDiscriminator.get(yourDiscriminator);
    if (!entry) return this.#discard("unknown-discriminator", arrival, this.#find(arrival));
    if (!isFrom(entry.plan, arrival)) return this.#discard("elsewhere", arrival, entry);
    return arrival.ttl < entry.plan.minTtl ? this.#discard("ttl", arrival, entry) : entry;
  }

  #find(arrival: Arrival): Entry | undefined {
    return this.#byPeer
      .get(peerKey(arrival.source, arrival.multihop))
      ?.find(({ plan }) => isFrom(plan, arrival));
  }

  #discard(reason: DiscardReason, { source }: Arrival, entry?: Entry): undefined {
    if (entry) entry.discarded++;
    const known = this.#discards.get(reason);
    if (known) {
      known.count++;
      known.source = source;
    } else this.#discards.set(reason, { count: 1, source });
    this.#discardsTold = false;
  }

  /** Does what is due. Datagrams that have come already are to be handed in before. */
  run(nowMs: number): void {
    while (this.#heap.least <= nowMs) {
      const entry = this.#heap.pop()!;
      const { queuedMs } = entry;
      if (queuedMs > nowMs) continue; // it was queued again for later, or is gone
      entry.queuedMs = Number.POSITIVE_INFINITY;
      if (entry.goneAtMs <= nowMs) this.#forget(entry);
      else this.#step(entry, { kind: "time" }, nowMs);
    }
  }

  /** When `run` is wanted next; Infinity for never. */
  nextMs(): number {
    return this.#heap.least;
  }

  /** Sessions that changed since the last call. */
  takeReports(): SessionReport[] {
    const reports = [...this.#changed].map(reportOf);
    this.#changed.clear();
    return reports;
  }

  /** Counters of the sessions whose counters moved since the last call, `counterStride` numbers each. */
  takeCounters(): Float64Array<ArrayBuffer> {
    const moved = [...this.#byDiscriminator.values()].filter(
      (entry) => entry.counted !== entry.received + entry.sent + entry.discarded,
    );
    const numbers = new Float64Array(moved.length * counterStride);
    for (const [i, entry] of moved.entries()) {
      const { received, sent, discarded } = entry;
      entry.counted = received + sent + discarded;
      numbers.set([entry.plan.discriminator, received, sent, discarded], i * counterStride);
    }
    return numbers;
  }

  /** All reasons for which packets were thrown away; undefined when none was since the last call. */
  takeDiscards(): DiscardCount[] | undefined {
    if (this.#discardsTold) return undefined;
    this.#discardsTold = true;
    return discardReasons.flatMap((reason) => {
      const known = this.#discards.get(reason);
      return known ? [{ reason, ...known }] : [];
    });
  }

  #step(entry: Entry, event: SessionEvent, nowMs: number): void {
    const before = entry.session;
    const [session, packets] = step(before, event, nowMs, this.#random);
    entry.session = session;
    if (session.state !== before.state) {
      entry.changedAtMs = nowMs;
      if (session.state === BfdState.up) entry.ups++;
      if (before.state === BfdState.up) {
        entry.downs++;
        entry.downAtMs = nowMs;
        const { remote } = event.kind === "packet" ? session : before;
        entry.downRemoteDiagnostic = remote.diagnostic;
        entry.downRemoteIndependent = remote.independent;
      }
    }
    if (isNews(before, session) && entry.goneAtMs === Number.POSITIVE_INFINITY) this.#changed.add(entry);
    for (const packet of packets) {
      entry.sent++;
      encodeControl(packet, this.#out);
      this.#send(entry.plan, this.#out);
    }
    this.#queue(entry);
  }

  /** A deadline that moves away is left in the heap: when it comes, it is looked at again. */
  #queue(entry: Entry): void {
    const wantedMs = Math.min(dueMs(entry.session), entry.goneAtMs);
    if (wantedMs === Number.POSITIVE_INFINITY) return;
    if (wantedMs >= entry.queuedMs) return;
    entry.queuedMs = wantedMs;
    this.#heap.push(wantedMs, entry);
  }

  #forget(entry: Entry): void {
    const { plan } = entry;
    this.#byDiscriminator.delete(plan.discriminator);
    this.#changed.delete(entry);
    entry.queuedMs = Number.POSITIVE_INFINITY;
    const key = peerKey(plan.peer, plan.multihop);
    const left = (this.#byPeer.get(key) ?? []).filter((other) => other !== entry);
    if (left.length > 0) this.#byPeer.set(key, left);
    else this.#byPeer.delete(key);
  }
}

function peerKey(peer: string, multihop: boolean): string {
  return `${multihop ? "multi" : "single"} ${peer}`;
}

function isFrom(plan: SessionPlan, arrival: Arrival): boolean {
  return (
    plan.peer === arrival.source &&
    plan.multihop === arrival.multihop &&
    (plan.local === undefined || plan.local === arrival.destination) &&
    (plan.interface === undefined || plan.interface === arrival.interface)
  );
}

/** True when an owner would see a difference. */
function isNews(before: Session, after: Session): boolean {
  if (before.state !== after.state || before.diagnostic !== after.diagnostic) return true;
  if (before.poll !== after.poll || transmitUs(before) !== transmitUs(after)) return true;
  if (detectionUs(before) !== detectionUs(after)) return true;
  const [a, b] = [before.remote, after.remote];
  return (
    a.state !== b.state ||
    a.discriminator !== b.discriminator ||
    a.diagnostic !== b.diagnostic ||
    a.demand !== b.demand ||
    a.independent !== b.independent ||
    a.minTxUs !== b.minTxUs ||
    a.minRxUs !== b.minRxUs ||
    a.multiplier !== b.multiplier
  );
}

function reportOf(entry: Entry): SessionReport {
  const { session, plan } = entry;
  return {
    discriminator: plan.discriminator,
    state: session.state,
    diagnostic: session.diagnostic,
    remote: session.remote,
    transmitUs: transmitUs(session),
    detectionUs: detectionUs(session),
    polling: session.poll !== "none",
    ups: entry.ups,
    downs: entry.downs,
    changedAtMs: entry.changedAtMs,
    downAtMs: entry.downAtMs,
    cause: session.cause,
    downRemoteDiagnostic: entry.downRemoteDiagnostic,
    downRemoteIndependent: entry.downRemoteIndependent,
  };
}
