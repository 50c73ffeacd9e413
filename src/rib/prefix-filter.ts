/**
 * A neighbor's filter by prefix (RFC 5292): entries by sequence, the lowest that matches decides, and what none matches
 * is denied. A filter without entries lets everything pass.
 *
 * A route is looked up once per length that some entry's prefix has, at most 33 or 129 times, however many entries there are.
 */
import { assert } from "../base/assert.ts";
import type { FilterEntry } from "../wire/orf.ts";

export class PrefixFilter {
  private readonly max: number;
  private readonly bySequence = new Map<number, FilterEntry>();
  /** By length of the entry's prefix, then by its bits as text. */
  private index: ReadonlyMap<number, ReadonlyMap<string, readonly FilterEntry[]>> | undefined;
  private readonly masked = new Uint8Array(16);

  /** @param max entries held at most */
  constructor(max: number) {
    this.max = max;
  }

  get size(): number {
    return this.bySequence.size;
  }

  /** Puts an entry, in place of one with its sequence. @returns false when there is no room for it */
  add(entry: FilterEntry): boolean {
    if (!this.bySequence.has(entry.sequence) && this.bySequence.size >= this.max) return false;
    this.bySequence.set(entry.sequence, entry);
    this.index = undefined;
    return true;
  }

  /** Takes out an entry that is equal in all parts; without one nothing happens. */
  remove(entry: FilterEntry): void {
    const held = this.bySequence.get(entry.sequence);
    if (!held || !isSame(held, entry)) return;
    this.bySequence.delete(entry.sequence);
    this.index = undefined;
  }

  clear(): void {
    this.bySequence.clear();
    this.index = undefined;
  }

  /** By sequence. */
  entries(): FilterEntry[] {
    return [...this.bySequence.values()].sort((a, b) => a.sequence - b.sequence);
  }

  /** Takes the entries of another one, in place of its own. */
  assign(other: PrefixFilter): void {
    this.clear();
    for (const entry of other.bySequence.values()) this.add(entry);
  }

  copy(): PrefixFilter {
    const copy = new PrefixFilter(this.max);
    copy.assign(this);
    return copy;
  }

  /** @param address the route's 4 or 16 bytes, from the start of the array */
  permits(address: Uint8Array, addressBytes: number, length: number): boolean {
    if (this.bySequence.size === 0) return true;
    const decides = this.match(address, addressBytes, length);
    return decides !== undefined && !decides.deny;
  }

  /** The entry that decides about a route; undefined when none matches. */
  match(address: Uint8Array, addressBytes: number, length: number): FilterEntry | undefined {
    this.index ??= this.indexed();
    let best: FilterEntry | undefined;
    for (const [entryLength, byBits] of this.index) {
      if (entryLength > length) continue;
      for (const entry of byBits.get(this.bits(address, addressBytes, entryLength)) ?? []) {
        if (length < entry.minLength || length > entry.maxLength) continue;
        if (!best || entry.sequence < best.sequence) best = entry;
      }
    }
    return best;
  }

  private indexed(): Map<number, Map<string, FilterEntry[]>> {
    const index = new Map<number, Map<string, FilterEntry[]>>();
    for (const entry of this.bySequence.values()) {
      let byBits = index.get(entry.length);
      if (!byBits) {
        byBits = new Map();
        index.set(entry.length, byBits);
      }
      const bits = this.bits(entry.bytes, entry.bytes.length, entry.length);
      const same = byBits.get(bits);
      if (same) same.push(entry);
      else byBits.set(bits, [entry]);
    }
    return index;
  }

  /** The first `length` bits, as a text that is equal for equal bits. */
  private bits(address: Uint8Array, addressBytes: number, length: number): string {
    assert(addressBytes <= 16);
    const { masked } = this;
    let text = "";
    for (let i = 0; i < addressBytes && i * 8 < length; i++) {
      const keep = Math.min(8, length - i * 8);
      masked[i] = address[i] & ((0xff00 >>> keep) & 255);
      text += String.fromCharCode(masked[i]);
    }
    return text;
  }
}

function isSame(a: FilterEntry, b: FilterEntry): boolean {
  return (
    a.deny === b.deny &&
    a.length === b.length &&
    a.minLength === b.minLength &&
    a.maxLength === b.maxLength &&
    a.bytes.every((byte, i) => byte === b.bytes[i])
  );
}
