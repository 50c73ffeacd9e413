/**
 * The address space whose VRPs changed, as sorted spans that do not overlap. A route may have another state only if its
 * prefix lies inside one. IPv6 is told apart down to 48 bits, which fit a number with room to spare; a VRP beyond that
 * counts as its /48, so that a few routes too many are looked at and none too few.
 */
import { maskOf, type RouteKey } from "../policy/route-key.ts";

/** Spans kept as they come before they are sorted and joined; twice as many as are kept at all. */
const looseMax = 16_384;

/** Spans of one address size. Addresses are the first 32 bits (IPv4) or 48 bits (IPv6) as one number. */
class Spans {
  private starts: number[] = [];
  private ends: number[] = [];
  private sorted = true;

  add(start: number, end: number): void {
    this.starts.push(start);
    this.ends.push(end);
    this.sorted = false;
    if (this.starts.length < looseMax) return;
    this.sort();
    if (this.starts.length <= looseMax / 2) return;
    // So much has changed that looking at everything costs less than telling what need not be looked at.
    this.starts = [0];
    this.ends = [Number.MAX_SAFE_INTEGER];
  }

  /** True when one of the spans holds the address. */
  has(address: number): boolean {
    if (!this.sorted) this.sort();
    let low = 0;
    let high = this.starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.starts[middle] <= address) low = middle + 1;
      else high = middle;
    }
    return low > 0 && address <= this.ends[low - 1];
  }

  /** Adds all of another. */
  join({ starts, ends }: Spans): void {
    for (let i = 0; i < starts.length; i++) this.add(starts[i], ends[i]);
  }

  get size(): number {
    return this.starts.length;
  }

  private sort(): void {
    const { starts, ends } = this;
    const order = Array.from(starts, (_, i) => i).sort((a, b) => starts[a] - starts[b]);
    this.starts = [];
    this.ends = [];
    for (const i of order) {
      const last = this.ends.length - 1;
      if (last >= 0 && starts[i] <= this.ends[last]) this.ends[last] = Math.max(this.ends[last], ends[i]);
      else {
        this.starts.push(starts[i]);
        this.ends.push(ends[i]);
      }
    }
    this.sorted = true;
  }
}

export class ChangedSpans {
  private readonly spans4 = new Spans();
  private readonly spans6 = new Spans();

  /** Adds the space of a prefix. */
  add({ family, length, w0, w1 }: RouteKey): void {
    if (family.addressBytes === 4) {
      const start = (w0 & maskOf(length)) >>> 0;
      this.spans4.add(start, start + 2 ** (32 - length) - 1);
      return;
    }
    const bits = Math.min(48, length);
    const high = (w0 & maskOf(Math.min(32, bits))) >>> 0;
    const low = (w1 & maskOf(Math.max(0, bits - 32))) >>> 0;
    const start = high * 0x1_0000 + (low >>> 16);
    this.spans6.add(start, start + 2 ** (48 - bits) - 1);
  }

  /** True when a route of this prefix may have another state. */
  covers({ family, w0, w1 }: RouteKey): boolean {
    if (family.addressBytes === 4) return this.spans4.has(w0 >>> 0);
    return this.spans6.has((w0 >>> 0) * 0x1_0000 + (w1 >>> 16));
  }

  /** Adds all of another. */
  join(other: ChangedSpans): void {
    this.spans4.join(other.spans4);
    this.spans6.join(other.spans6);
  }

  /** True when there is anything of the address size. */
  some(addressBytes: 4 | 16): boolean {
    return (addressBytes === 4 ? this.spans4 : this.spans6).size > 0;
  }
}
