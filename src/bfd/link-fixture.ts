/** Two routers with a link between them that loses, delays and cuts, in virtual time. */
import { type Random, seededRandom } from "../base/random.ts";
import { type ControlPacket, decodeControl } from "./packet.ts";
import type { SessionReport } from "./table.ts";
import { type Arrival, BfdTable, type SessionPlan } from "./table.ts";

export const settings = { minTxUs: 300_000, minRxUs: 300_000, multiplier: 3, passive: false };

export function planOf(discriminator: number, peer: string, more: Partial<SessionPlan> = {}): SessionPlan {
  const common = { local: undefined, interface: undefined, multihop: false, minTtl: 255 };
  return { ...settings, ...common, discriminator, peer, ...more };
}

interface Flying {
  readonly atMs: number;
  readonly to: number;
  readonly bytes: Uint8Array;
  readonly from: string;
}

export const addresses = ["192.0.2.1", "192.0.2.2"] as const;

/** Side 0 has discriminator 1 and side 1 discriminator 2. */
export class Link {
  nowMs = 0;
  /** Share of packets that are lost, by sender. */
  readonly loss: [number, number] = [0, 0];
  delayMs = 1;
  cut = false;
  readonly tables: [BfdTable, BfdTable];
  /** Every packet with its sender. */
  readonly sent: { readonly side: number; readonly atMs: number; readonly packet: ControlPacket }[] = [];
  readonly reports: [SessionReport | undefined, SessionReport | undefined] = [undefined, undefined];
  private readonly random: Random;
  private flying: Flying[] = [];

  constructor(seed: number, plans: readonly [Partial<SessionPlan>, Partial<SessionPlan>] = [{}, {}]) {
    this.random = seededRandom(seed);
    const table = (side: number): BfdTable =>
      new BfdTable(this.random, (_plan, bytes) => this.transmit(side, bytes.slice()));
    this.tables = [table(0), table(1)];
    for (const side of [0, 1]) this.set(side, plans[side]);
  }

  set(side: number, more: Partial<SessionPlan> = {}): void {
    this.tables[side].set(planOf(side + 1, addresses[1 - side], more), this.nowMs);
    this.read();
  }

  private transmit(side: number, bytes: Uint8Array): void {
    const packet = decodeControl(bytes, bytes.length);
    if (typeof packet === "string") throw new Error(`we sent what is to be thrown away: ${packet}`);
    this.sent.push({ side, atMs: this.nowMs, packet });
    if (this.cut || this.random() < this.loss[side]) return;
    this.flying.push({ atMs: this.nowMs + this.delayMs, to: 1 - side, bytes, from: addresses[side] });
  }

  /** Hands a packet to a side, as if it had come over the link. */
  inject(to: number, bytes: Uint8Array, more: Partial<Arrival> = {}): void {
    const arrival = { source: addresses[1 - to], destination: addresses[to], interface: "", ttl: 255 };
    this.tables[to].receive(bytes, bytes.length, { ...arrival, multihop: false, ...more }, this.nowMs);
    this.read();
  }

  /** Lets time pass; `look` is called after each step. */
  run(ms: number, look: () => void = () => {}): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      const arrivesMs = Math.min(...this.flying.map(({ atMs }) => atMs));
      const nextMs = Math.min(arrivesMs, this.tables[0].nextMs(), this.tables[1].nextMs());
      if (nextMs > endMs) break;
      this.nowMs = Math.max(this.nowMs, nextMs);
      const arrived = this.flying.filter(({ atMs }) => atMs <= this.nowMs);
      this.flying = this.flying.filter(({ atMs }) => atMs > this.nowMs);
      for (const { to, bytes, from } of arrived) if (!this.cut) this.inject(to, bytes, { source: from });
      for (const table of this.tables) table.run(this.nowMs);
      this.read();
      look();
    }
    this.nowMs = endMs;
  }

  private read(): void {
    for (const side of [0, 1]) {
      for (const report of this.tables?.[side].takeReports() ?? []) this.reports[side] = report;
    }
  }

  /** States of both sides. */
  get states(): [number, number] {
    return [this.reports[0]!.state, this.reports[1]!.state];
  }
}
