/**
 * The life of dynamic neighbors: taken in when they connect from a range, told their AS number by their OPEN, kept
 * while they have a connection, forgotten after a while without one. Who they are is in dynamic.ts.
 */
import type { DynamicRangeState } from "../gen/cairn/v1/neighbor_service_pb.ts";
import type { Dynamic, Member } from "./dynamic.ts";
import type { Inputs } from "./part.ts";
import type { StrangerVerdict } from "./session-port.ts";

/** One event about refusals per range in this time. */
const refusalQuietMs = 60_000;

export interface DynamicHost {
  /** Brings the neighbor of this address to what it is declared to be now. @returns false when there is none then */
  settle(address: string): boolean;
  /** It has a connection, or is held down. */
  isActive(address: string): boolean;
  isEstablished(address: string): boolean;
  event(
    topic: string,
    object: string,
    severity: 1 | 2 | 3,
    summary: string,
    facts: Readonly<Record<string, string>>,
  ): void;
  nowMs(): number;
  wallMs(): number;
}

export class DynamicNeighbors {
  readonly dynamic: Dynamic;
  private readonly host: DynamicHost;
  /** Interface by address of this host. */
  private interfaces = new Map<string, string>();
  readonly inputs: Inputs = {
    "host.addresses": ({ addresses }) => {
      this.interfaces = new Map(addresses.map((each) => [each.address, each.interface]));
    },
  };
  /** Members whose session changed since the last look. */
  private readonly changed = new Set<string>();
  private readonly refusedAtMs = new Map<string, number>();
  /** The earliest time at which a member is to be forgotten. */
  private dueMs = Number.POSITIVE_INFINITY;

  constructor(dynamic: Dynamic, host: DynamicHost) {
    this.dynamic = dynamic;
    this.host = host;
  }

  /** A connection from an address that is no declared neighbor, come in at `localAddress`. */
  stranger(address: string, localAddress: string): StrangerVerdict {
    const nowMs = this.host.nowMs();
    const zone = address.split("%")[1] ?? this.interfaces.get(localAddress) ?? "";
    const admission = this.dynamic.admit(address, zone, nowMs, this.host.wallMs());
    if (admission.kind === "stranger") return { kind: "unknown" };
    if (admission.kind === "refused") {
      this.tellRefused(address, admission.range, admission.why);
      return admission;
    }
    const { member, isNew } = admission;
    if (!isNew) return { kind: "neighbor" };
    this.dynamic.add(member);
    if (!this.host.settle(address)) {
      this.dynamic.remove(address);
      return { kind: "refused", range: member.range.name, why: "there are too many neighbors" };
    }
    const facts = { range: member.range.name, peer_group: member.range.peerGroup, interface: zone };
    this.host.event("cairn.bgp.dynamic.added", `Neighbor/${address}`, 1, `came in by ${facts.range}`, facts);
    this.touched(address);
    return { kind: "neighbor" };
  }

  /** Why a member may not have this AS number; undefined when it may. */
  identify(member: Member, asn: number): string | undefined {
    if (!this.dynamic.allows(member, asn))
      return `AS ${asn} is not one that range ${member.range.name} takes`;
    member.asn = asn;
    return undefined;
  }

  established(address: string): void {
    const member = this.dynamic.member(address);
    if (member) member.wasUp = true;
  }

  /** The session of this address changed in some way. */
  touched(address: string): void {
    if (this.dynamic.member(address)) this.changed.add(address);
  }

  /** An operator removes a member. @returns false when there is none of this address */
  remove(address: string, why: string): boolean {
    const member = this.dynamic.member(address);
    if (!member) return false;
    this.dynamic.remove(address);
    this.changed.delete(address);
    this.host.settle(address);
    const facts = { range: member.range.name, reason: why };
    this.host.event("cairn.bgp.dynamic.removed", `Neighbor/${address}`, 1, `forgotten: ${why}`, facts);
    return true;
  }

  /** Forgets those whose time is over. */
  tick(): void {
    const nowMs = this.host.nowMs();
    for (const address of this.changed) this.look(address, nowMs);
    this.changed.clear();
    if (nowMs < this.dueMs) return;
    for (const address of [...this.dynamic.addresses()]) {
      const member = this.dynamic.member(address)!;
      if (member.forgetAtMs > nowMs) continue;
      // A connection that waits for the end of an idle hold comes and goes without a word: look again later.
      if (this.host.isActive(address)) member.forgetAtMs = this.dynamic.lingers(member, nowMs) + 1;
      else this.remove(address, "it has no session any more");
    }
    this.dueMs = Number.POSITIVE_INFINITY;
    for (const address of this.dynamic.addresses()) {
      this.dueMs = Math.min(this.dueMs, this.dynamic.member(address)!.forgetAtMs);
    }
  }

  /** When `tick` is wanted next, monotonic milliseconds. */
  nextMs(): number {
    return this.changed.size > 0 ? this.host.nowMs() : this.dueMs;
  }

  rangeState(name: string): DynamicRangeState | undefined {
    return this.dynamic.state(name, (address) => this.host.isEstablished(address));
  }

  private look(address: string, nowMs: number): void {
    const member = this.dynamic.member(address);
    if (!member) return;
    if (this.host.isActive(address)) member.forgetAtMs = Number.POSITIVE_INFINITY;
    else if (member.forgetAtMs === Number.POSITIVE_INFINITY)
      member.forgetAtMs = this.dynamic.lingers(member, nowMs);
    this.dueMs = Math.min(this.dueMs, member.forgetAtMs);
  }

  private tellRefused(address: string, range: string, why: string): void {
    const nowMs = this.host.nowMs();
    if (nowMs - (this.refusedAtMs.get(range) ?? Number.NEGATIVE_INFINITY) < refusalQuietMs) return;
    this.refusedAtMs.set(range, nowMs);
    const summary = `refused a connection from ${address}: ${why}`;
    this.host.event("cairn.bgp.dynamic.refused", `DynamicRange/${range}`, 2, summary, {
      address,
      reason: why,
    });
  }
}
