/** How much each client address asks for. */
import { TokenBucket } from "../rate.ts";

export class ClientRates {
  private readonly perS: number;
  private readonly max: number;
  private readonly nowMs: () => number;
  /** The one that asked last stands last. */
  private readonly buckets = new Map<string, TokenBucket>();

  /** @param max addresses that are remembered; @param nowMs a monotonic clock, milliseconds */
  constructor(perS: number, max: number, nowMs: () => number) {
    this.perS = perS;
    this.max = max;
    this.nowMs = nowMs;
  }

  /** False when this address has asked too often. */
  take(address: string): boolean {
    const bucket = this.buckets.get(address) ?? new TokenBucket(this.perS, this.nowMs);
    this.buckets.delete(address);
    this.buckets.set(address, bucket);
    if (this.buckets.size > this.max) this.buckets.delete(this.buckets.keys().next().value!);
    return bucket.take();
  }
}
