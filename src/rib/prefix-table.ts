/**
 * Prefixes interned to 32-bit row ids, in typed arrays with open addressing: about 14 bytes per IPv4 prefix.
 * Row 0 is never a prefix. A row may also be a marker: a place in the change list that is no prefix.
 */
import { assert } from "../base/assert.ts";
import { grown, nextCapacity } from "../base/columns.ts";
import type { NlriList } from "../wire/scratch.ts";

/** Row of a prefix in its table; 0 is none. */
export type PrefixId = number;

/** `length` of rows that are markers or free. */
export const markerLength = 255;

const initialCapacity = 1024;

/** The part that does not depend on the size of an address. */
export abstract class PrefixTable {
  /** Rows that fit without growing. Tables beside this one grow to the same. */
  capacity = initialCapacity;
  /** Rows below this were in use at some time. */
  rows = 1;
  /** Prefixes alive, without markers. */
  count = 0;
  /** Prefix length in bits, or `markerLength`. */
  length = new Uint8Array(initialCapacity);
  /** Prefixes alive per length, so that a longest match tries only lengths that occur. */
  readonly countByLength = new Uint32Array(129);
  protected slots = new Int32Array(initialCapacity * 2);
  /**
   * After a growth: the smaller slots of before, from which rows move over a few at a time, so that no single prefix
   * pays for all of them. New rows go to `slots`; what is removed leaves `removed` behind, so that nothing behind it is
   * lost. Empty when nothing is left to move.
   */
  protected oldSlots = new Int32Array(0);
  private moved = 0;
  /** Hashes of the list that is interned. */
  protected hashes = new Uint32Array(0);
  private readonly freeRows: number[] = [];

  abstract readonly addressBytes: 4 | 16;
  /** Row of the prefix whose first `length` bits stand at `bytes[at]`; a new one when there is none. */
  abstract intern(bytes: Uint8Array, at: number, length: number): PrefixId;
  /**
   * The rows of all prefixes of a list, in `out[0, list.count)`. A probe of the hash misses the cache; here those of a list
   * are under way at once, and none waits for what is done with the row before.
   */
  internAll(bytes: Uint8Array, { at, length, count }: NlriList, out: Uint32Array): void {
    for (let i = 0; i < count; i++) out[i] = this.intern(bytes, at[i], length[i]);
  }
  /** The same without making one; 0 when there is none. */
  abstract find(bytes: Uint8Array, at: number, length: number): PrefixId;
  /** Writes all 4 or 16 address bytes of a row. */
  abstract writeAddress(id: PrefixId, out: Uint8Array, at: number): void;
  protected abstract hashOf(id: PrefixId): number;
  protected abstract growKeys(capacity: number): void;
  /** Bytes of key columns per row. */
  protected abstract readonly keyBytes: number;

  /** Longest prefix among those with an `accept`ed row that covers the address, at most `maxLength` long; 0 for none. */
  longestMatch(address: Uint8Array, maxLength: number, accept: (id: PrefixId) => boolean): PrefixId {
    for (let length = maxLength; length >= 0; length--) {
      if (this.countByLength[length] === 0) continue;
      const id = this.find(address, 0, length);
      if (id !== 0 && accept(id)) return id;
    }
    return 0;
  }

  /** A row that is a place in the change list, not a prefix. */
  addMarker(): PrefixId {
    const id = this.newRow();
    this.length[id] = markerLength;
    return id;
  }

  removeMarker(id: PrefixId): void {
    assert(this.length[id] === markerLength, "not a marker");
    this.freeRows.push(id);
  }

  /** Forgets a prefix. Its row may be reused at once, so nothing may refer to it any more. */
  remove(id: PrefixId): void {
    assert(this.length[id] !== markerLength, "not a prefix");
    if (!this.removeOld(id)) this.removeSlot(id);
    this.countByLength[this.length[id]]--;
    this.count--;
    this.length[id] = markerLength;
    this.freeRows.push(id);
  }

  /** @returns true when the row stood in the slots of before a growth and had not moved over yet */
  private removeOld(id: PrefixId): boolean {
    const old = this.oldSlots;
    if (old.length === 0) return false;
    const mask = old.length - 1;
    let slot = this.hashOf(id) & mask;
    while (old[slot] !== id && old[slot] !== 0) slot = (slot + 1) & mask;
    // What moved over still stands there as well.
    const isHere = old[slot] === id;
    if (isHere) old[slot] = removed;
    return isHere && slot >= this.moved;
  }

  private removeSlot(id: PrefixId): void {
    const mask = this.slots.length - 1;
    let hole = this.hashOf(id) & mask;
    while (this.slots[hole] !== id) hole = (hole + 1) & mask;
    for (let at = (hole + 1) & mask; this.slots[at] !== 0; at = (at + 1) & mask) {
      const home = this.hashOf(this.slots[at]) & mask;
      if (((at - home) & mask) >= ((at - hole) & mask)) {
        this.slots[hole] = this.slots[at];
        hole = at;
      }
    }
    this.slots[hole] = 0;
  }

  memoryBytes(): number {
    return this.rows * (1 + this.keyBytes) + this.slots.byteLength + this.oldSlots.byteLength;
  }

  /** A row for a new prefix or marker. The slots may be others after it. */
  protected newRow(): PrefixId {
    if (this.count * 2 >= this.slots.length) this.growSlots();
    const free = this.freeRows.pop();
    if (free !== undefined) return free;
    if (this.rows === this.capacity) this.grow();
    return this.rows++;
  }

  protected added(id: PrefixId, length: number): void {
    this.length[id] = length;
    this.countByLength[length]++;
    this.count++;
  }

  private grow(): void {
    const capacity = nextCapacity(this.capacity);
    this.length = grown(this.length, capacity);
    this.growKeys(capacity);
    this.capacity = capacity;
  }

  /** By doubling: a probe goes anywhere, so that slots are memory from the first one. */
  private growSlots(): void {
    this.moveOver(this.oldSlots.length);
    this.oldSlots = this.slots;
    this.moved = 0;
    this.slots = new Int32Array(this.slots.length * 2);
  }

  /** Moves up to `count` of the old slots over. */
  protected moveOver(count: number = movedPerPrefix): void {
    const old = this.oldSlots;
    if (old.length === 0) return;
    const { slots } = this;
    const mask = slots.length - 1;
    const end = Math.min(old.length, this.moved + count);
    for (let from = this.moved; from < end; from++) {
      const id = old[from];
      if (id === 0 || id === removed) continue;
      let slot = this.hashOf(id) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = id;
    }
    this.moved = end;
    if (end === old.length) this.oldSlots = new Int32Array(0);
  }
}

/** In old slots, in place of a row that is gone. No row has this number, so no key of it equals any. */
const removed = -1;

/** Old slots that each new prefix moves over. */
const movedPerPrefix = 64;

/** IPv4 prefixes: keys are an unsigned number and a length. */
export class PrefixTable4 extends PrefixTable {
  override readonly addressBytes = 4;
  protected override readonly keyBytes = 4;
  address = new Uint32Array(initialCapacity);

  override intern(bytes: Uint8Array, at: number, length: number): PrefixId {
    const address = read4(bytes, at, length);
    return this.internKey(address, length, hash4(address, length));
  }

  override internAll(bytes: Uint8Array, { at, length, count }: NlriList, out: Uint32Array): void {
    if (this.hashes.length < count) this.hashes = new Uint32Array(at.length);
    const { slots, oldSlots, hashes } = this;
    const mask = slots.length - 1;
    for (let i = 0; i < count; i++) {
      const hash = hash4(read4(bytes, at[i], length[i]), length[i]);
      hashes[i] = hash;
      out[i] = slots[hash & mask]; // only to have it fetched
    }
    const oldMask = oldSlots.length - 1;
    if (oldMask > 0) for (let i = 0; i < count; i++) out[i] = oldSlots[hashes[i] & oldMask];
    for (let i = 0; i < count; i++)
      out[i] = this.internKey(read4(bytes, at[i], length[i]), length[i], hashes[i]);
  }

  private internKey(address: number, length: number, hash: number): PrefixId {
    const found = this.search(this.slots, address, length, hash);
    if (found !== 0) return found;
    if (this.oldSlots.length > 0) {
      const old = this.search(this.oldSlots, address, length, hash);
      if (old !== 0) return old;
      this.moveOver(movedPerPrefix);
    }
    const id = this.newRow();
    this.address[id] = address;
    const { slots } = this;
    const mask = slots.length - 1;
    let slot = hash & mask;
    while (slots[slot] !== 0) slot = (slot + 1) & mask;
    slots[slot] = id;
    this.added(id, length);
    return id;
  }

  override find(bytes: Uint8Array, at: number, length: number): PrefixId {
    const address = read4(bytes, at, length);
    const hash = hash4(address, length);
    const found = this.search(this.slots, address, length, hash);
    return found !== 0 || this.oldSlots.length === 0
      ? found
      : this.search(this.oldSlots, address, length, hash);
  }

  private search(slots: Int32Array, address: number, length: number, hash: number): PrefixId {
    const mask = slots.length - 1;
    let slot = hash & mask;
    for (let id = slots[slot]; id !== 0; id = slots[slot]) {
      if (this.address[id] === address && this.length[id] === length) return id;
      slot = (slot + 1) & mask;
    }
    return 0;
  }

  override writeAddress(id: PrefixId, out: Uint8Array, at: number): void {
    const address = this.address[id];
    out[at] = address >>> 24;
    out[at + 1] = address >>> 16;
    out[at + 2] = address >>> 8;
    out[at + 3] = address;
  }

  protected override hashOf(id: PrefixId): number {
    return hash4(this.address[id], this.length[id]);
  }

  protected override growKeys(capacity: number): void {
    this.address = grown(this.address, capacity);
  }
}

/** The first `length` bits at `bytes[at]` as an unsigned number; bits beyond are cleared (RFC 4271 4.3). */
function read4(bytes: Uint8Array, at: number, length: number): number {
  let address = 0;
  if (length > 0) address = bytes[at] << 24;
  if (length > 8) address |= bytes[at + 1] << 16;
  if (length > 16) address |= bytes[at + 2] << 8;
  if (length > 24) address |= bytes[at + 3];
  return length === 0 ? 0 : (address & (-1 << (32 - length))) >>> 0;
}

function hash4(address: number, length: number): number {
  let hash = Math.imul(address ^ Math.imul(length, 0x01000193), 0x9e3779b1);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}

/** IPv6 prefixes: keys are four unsigned words and a length. */
export class PrefixTable16 extends PrefixTable {
  override readonly addressBytes = 16;
  protected override readonly keyBytes = 16;
  /** Four words per row, in network order. */
  words = new Uint32Array(initialCapacity * 4);
  private readonly key = new Uint32Array(4);

  override intern(bytes: Uint8Array, at: number, length: number): PrefixId {
    return this.internKey(length, this.readKey(bytes, at, length));
  }

  override internAll(bytes: Uint8Array, { at, length, count }: NlriList, out: Uint32Array): void {
    if (this.hashes.length < count) this.hashes = new Uint32Array(at.length);
    const { slots, oldSlots, hashes } = this;
    const mask = slots.length - 1;
    for (let i = 0; i < count; i++) {
      const hash = this.readKey(bytes, at[i], length[i]);
      hashes[i] = hash;
      out[i] = slots[hash & mask]; // only to have it fetched
    }
    const oldMask = oldSlots.length - 1;
    if (oldMask > 0) for (let i = 0; i < count; i++) out[i] = oldSlots[hashes[i] & oldMask];
    for (let i = 0; i < count; i++) {
      this.readKey(bytes, at[i], length[i]);
      out[i] = this.internKey(length[i], hashes[i]);
    }
  }

  override find(bytes: Uint8Array, at: number, length: number): PrefixId {
    return this.findKey(length, this.readKey(bytes, at, length));
  }

  /** Leaves the words of a prefix in `key`. @returns their hash */
  private readKey(bytes: Uint8Array, at: number, length: number): number {
    const { key } = this;
    for (let word = 0; word < 4; word++) {
      const bits = Math.min(32, Math.max(0, length - word * 32));
      key[word] = bits === 0 ? 0 : read4(bytes, at + word * 4, bits);
    }
    return hash16(key, 0, length);
  }

  private findKey(length: number, hash: number): PrefixId {
    const found = this.search(this.slots, length, hash);
    return found !== 0 || this.oldSlots.length === 0 ? found : this.search(this.oldSlots, length, hash);
  }

  private internKey(length: number, hash: number): PrefixId {
    const found = this.findKey(length, hash);
    if (found !== 0) return found;
    this.moveOver(movedPerPrefix);
    const id = this.newRow();
    for (let word = 0; word < 4; word++) this.words[id * 4 + word] = this.key[word];
    const { slots } = this;
    const mask = slots.length - 1;
    let slot = hash & mask;
    while (slots[slot] !== 0) slot = (slot + 1) & mask;
    slots[slot] = id;
    this.added(id, length);
    return id;
  }

  private search(slots: Int32Array, length: number, hash: number): PrefixId {
    const { key, words } = this;
    const mask = slots.length - 1;
    let slot = hash & mask;
    for (let id = slots[slot]; id !== 0; id = slots[slot]) {
      const w = id * 4;
      if (
        words[w] === key[0] &&
        words[w + 1] === key[1] &&
        words[w + 2] === key[2] &&
        words[w + 3] === key[3] &&
        this.length[id] === length
      ) {
        return id;
      }
      slot = (slot + 1) & mask;
    }
    return 0;
  }

  override writeAddress(id: PrefixId, out: Uint8Array, at: number): void {
    for (let word = 0; word < 4; word++) {
      const value = this.words[id * 4 + word];
      out[at + word * 4] = value >>> 24;
      out[at + word * 4 + 1] = value >>> 16;
      out[at + word * 4 + 2] = value >>> 8;
      out[at + word * 4 + 3] = value;
    }
  }

  protected override hashOf(id: PrefixId): number {
    return hash16(this.words, id * 4, this.length[id]);
  }

  protected override growKeys(capacity: number): void {
    this.words = grown(this.words, capacity * 4);
  }
}

function hash16(words: Uint32Array, at: number, length: number): number {
  let hash = Math.imul(length + 1, 0x01000193);
  for (let word = 0; word < 4; word++) {
    hash = Math.imul(hash ^ words[at + word], 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  hash = Math.imul(hash, 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
