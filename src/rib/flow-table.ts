/**
 * FlowSpec rules interned to rows (RFC 8955, 8956), beside the tables of prefixes: the key of a rule is its NLRI value,
 * the bytes after the length. What reads a row as a prefix (policy, filters) sees the destination of the rule.
 *
 *   arena   | rule a ....|rule b ..|(free)....|rule c |      blocks of 16 bytes, freed ones in a list per size
 *   order   head -> a -> c -> b                               skip list in the order of RFC 8955 5.1
 *
 * In that order rules stand by destination, more specific first, and those without one at the end: so all rules inside
 * of a prefix stand side by side, and one structure serves lists and the validation of what a unicast route changes.
 */
import { assert } from "../base/assert.ts";
import { grown } from "../base/columns.ts";
import { limits } from "../base/limits.ts";
import type { Family } from "../wire/family.ts";
import { compareFlows } from "../wire/flowspec/compare.ts";
import { flowBytesMax } from "../wire/flowspec/nlri.ts";
import { markerLength, type PrefixId, PrefixTable } from "./prefix-table.ts";

/** Arena bytes are given out in such blocks. */
const blockShift = 4;
const initialRows = 1024;
/** Levels of the skip list; a quarter of the rows of one stand in the next. */
const levels = 8;
/** Sizes in blocks that a rule can have. */
const sizes = (flowBytesMax >> blockShift) + 2;

export class FlowTable extends PrefixTable {
  override readonly addressBytes: 4 | 16;
  protected override readonly keyBytes = 10 + levels * 4;
  readonly family: Family;
  private arena = new Uint8Array(1 << 16);
  /** Block after the last one that was ever given out; block 0 is none. */
  private end = 1;
  /** First free place of each size in blocks; a free place holds the block of the next one. */
  private readonly free = new Uint32Array(sizes);
  /** Bytes of the rules that are there. */
  ruleBytes = 0;
  /** By row: first block, bytes, hash, and the next rows in order, level by level. Row 0 is the head of the order. */
  private block = new Uint32Array(initialRows);
  private size = new Uint16Array(initialRows);
  private hash = new Uint32Array(initialRows);
  private next = new Uint32Array(initialRows * levels);
  /** Of the last search, per level: the last row before the place. */
  private readonly before = new Uint32Array(levels);

  constructor(family: Family) {
    super();
    this.family = family;
    this.addressBytes = family.addressBytes;
  }

  /**
   * Row of the canonical rule `bytes[at, at + length)`; a new row when there is none, and 0 when rules take up
   * `limits.flowArenaBytesMax` already.
   */
  override intern(bytes: Uint8Array, at: number, length: number): PrefixId {
    const hash = hashBytes(bytes, at, length);
    const found = this.lookUp(bytes, at, length, hash);
    if (found !== 0) return found;
    const place = this.take(length);
    if (place === 0) return 0;
    this.moveOver();
    const id = this.newRow();
    this.arena.set(bytes.subarray(at, at + length), place << blockShift);
    this.block[id] = place;
    this.size[id] = length;
    this.hash[id] = hash;
    this.ruleBytes += length;
    const { slots } = this;
    const mask = slots.length - 1;
    let slot = hash & mask;
    while (slots[slot] !== 0) slot = (slot + 1) & mask;
    slots[slot] = id;
    this.added(id, Math.max(0, this.destinationBits(id)));
    this.enterOrder(id);
    return id;
  }

  override find(bytes: Uint8Array, at: number, length: number): PrefixId {
    return this.lookUp(bytes, at, length, hashBytes(bytes, at, length));
  }

  private lookUp(bytes: Uint8Array, at: number, length: number, hash: number): PrefixId {
    const found = this.search(this.slots, bytes, at, length, hash);
    return found !== 0 || this.oldSlots.length === 0
      ? found
      : this.search(this.oldSlots, bytes, at, length, hash);
  }

  private search(slots: Int32Array, bytes: Uint8Array, at: number, length: number, hash: number): PrefixId {
    const mask = slots.length - 1;
    let slot = hash & mask;
    for (let id = slots[slot]; id !== 0; id = slots[slot]) {
      // A slot that was given up holds -1, which is no row.
      if (id > 0 && this.hash[id] === hash && this.size[id] === length && this.isAt(id, bytes, at)) return id;
      slot = (slot + 1) & mask;
    }
    return 0;
  }

  private isAt(id: PrefixId, bytes: Uint8Array, at: number): boolean {
    const { arena } = this;
    const from = this.block[id] << blockShift;
    const length = this.size[id];
    for (let i = 0; i < length; i++) if (arena[from + i] !== bytes[at + i]) return false;
    return true;
  }

  override remove(id: PrefixId): void {
    this.leaveOrder(id);
    super.remove(id);
    this.give(this.block[id], this.size[id]);
    this.ruleBytes -= this.size[id];
  }

  /** The NLRI value of a rule: a view, valid until the table changes. */
  value(id: PrefixId): Uint8Array {
    const from = this.block[id] << blockShift;
    return this.arena.subarray(from, from + this.size[id]);
  }

  /** Bytes of a rule's NLRI value. */
  valueBytes(id: PrefixId): number {
    return this.size[id];
  }

  /** True when the rule names a destination that routes can be held against: a prefix that begins at the first bit. */
  hasDestination(id: PrefixId): boolean {
    return this.length[id] !== markerLength && this.destinationBits(id) >= 0;
  }

  /** The destination prefix of a rule; all zero when it has none. */
  override writeAddress(id: PrefixId, out: Uint8Array, at: number): void {
    const bits = Math.max(0, this.destinationBits(id));
    const from = (this.block[id] << blockShift) + this.patternAt;
    const bytes = (bits + 7) >> 3;
    for (let i = 0; i < this.addressBytes; i++) out[at + i] = i < bytes ? this.arena[from + i] : 0;
    if ((bits & 7) !== 0) out[at + bytes - 1] &= 0xff00 >> (bits & 7);
  }

  /** Where the pattern of the first component begins: after type and length, and the offset of RFC 8956 3.1. */
  private get patternAt(): number {
    return this.addressBytes === 4 ? 2 : 3;
  }

  /** Length of the destination prefix, which is always the first component; -1 for none. */
  private destinationBits(id: PrefixId): number {
    const { arena } = this;
    const from = this.block[id] << blockShift;
    if (this.size[id] < this.patternAt || arena[from] !== 1) return -1;
    if (this.addressBytes === 16 && arena[from + 2] !== 0) return -1;
    return arena[from + 1];
  }

  // ---------------------------------------------------------------------------------------------------- order

  /** The first rule in the order of RFC 8955 5.1, or the one after `id`; 0 for none. */
  following(id: PrefixId): PrefixId {
    return this.next[id * levels];
  }

  /** The first rule that comes after one with this value, which need not be there; 0 for none. */
  after(value: Uint8Array): PrefixId {
    const at = this.seek((id) => this.compare(id, value) <= 0);
    return this.next[at * levels];
  }

  /** The first rule whose destination is this prefix or comes after it in order; 0 for none. */
  fromDestination(address: Uint8Array, length: number): PrefixId {
    const at = this.seek((id) => this.compareDestination(id, address, length) < 0);
    return this.next[at * levels];
  }

  /** The first of the rules whose destinations are inside of a prefix, which stand side by side; 0 for none. */
  firstInside(address: Uint8Array, length: number): PrefixId {
    const at = this.seek(
      (id) => !this.isInside(id, address, length) && this.compareDestination(id, address, length) < 0,
    );
    const first = this.next[at * levels];
    return first !== 0 && this.isInside(first, address, length) ? first : 0;
  }

  /** True when the rule's destination is the prefix or inside of it. */
  isInside(id: PrefixId, address: Uint8Array, length: number): boolean {
    return this.hasDestination(id) && this.length[id] >= length && this.differs(id, address, length) === 0;
  }

  private enterOrder(id: PrefixId): void {
    const value = this.value(id);
    this.seek((other) => this.compare(other, value) < 0);
    const { next, before } = this;
    const height = heightOf(this.hash[id]);
    for (let level = 0; level < height; level++) {
      next[id * levels + level] = next[before[level] * levels + level];
      next[before[level] * levels + level] = id;
    }
  }

  private leaveOrder(id: PrefixId): void {
    const value = this.value(id);
    this.seek((other) => this.compare(other, value) < 0);
    const { next, before } = this;
    assert(next[before[0] * levels] === id, "a rule is not at its place");
    const height = heightOf(this.hash[id]);
    for (let level = 0; level < height; level++) {
      next[before[level] * levels + level] = next[id * levels + level];
    }
  }

  /** Notes in `before` the last rows for which `isBefore` holds. @returns that of the lowest level */
  private seek(isBefore: (id: PrefixId) => boolean): PrefixId {
    const { next, before } = this;
    let at = 0;
    for (let level = levels - 1; level >= 0; level--) {
      for (let to = next[at * levels + level]; to !== 0 && isBefore(to); to = next[at * levels + level])
        at = to;
      before[level] = at;
    }
    return at;
  }

  private compare(id: PrefixId, value: Uint8Array): number {
    return compareFlows(this.value(id), value, this.family);
  }

  private compareDestination(id: PrefixId, address: Uint8Array, length: number): number {
    if (!this.hasDestination(id)) return 1;
    const own = this.length[id];
    return this.differs(id, address, Math.min(own, length)) || length - own;
  }

  /** Compares the first `bits` bits of a rule's destination with an address. */
  private differs(id: PrefixId, address: Uint8Array, bits: number): number {
    const { arena } = this;
    const from = (this.block[id] << blockShift) + this.patternAt;
    for (let i = 0; i * 8 < bits; i++) {
      const mask = bits - i * 8 >= 8 ? 255 : (0xff00 >> (bits - i * 8)) & 255;
      const difference = (arena[from + i] & mask) - (address[i] & mask);
      if (difference !== 0) return difference;
    }
    return 0;
  }

  // ---------------------------------------------------------------------------------------------------- arena

  /** True when a rule of so many bytes has room. */
  hasRoomFor(bytes: number): boolean {
    const blocks = blocksFor(bytes);
    return this.free[blocks] !== 0 || (this.end + blocks) << blockShift <= limits.flowArenaBytesMax;
  }

  /** @returns the first block of a place for so many bytes; 0 when there is none */
  private take(bytes: number): number {
    const blocks = blocksFor(bytes);
    const freed = this.free[blocks];
    if (freed !== 0) {
      this.free[blocks] = new DataView(this.arena.buffer).getUint32(freed << blockShift);
      return freed;
    }
    const end = this.end + blocks;
    if (end << blockShift > limits.flowArenaBytesMax) return 0;
    let capacity = this.arena.length;
    while (end << blockShift > capacity) capacity *= 2;
    if (capacity !== this.arena.length) this.arena = grown(this.arena, capacity);
    const place = this.end;
    this.end = end;
    return place;
  }

  private give(place: number, bytes: number): void {
    const blocks = blocksFor(bytes);
    new DataView(this.arena.buffer).setUint32(place << blockShift, this.free[blocks]);
    this.free[blocks] = place;
  }

  override memoryBytes(): number {
    return super.memoryBytes() + this.arena.byteLength;
  }

  protected override hashOf(id: PrefixId): number {
    return this.hash[id];
  }

  protected override growKeys(capacity: number): void {
    this.block = grown(this.block, capacity);
    this.size = grown(this.size, capacity);
    this.hash = grown(this.hash, capacity);
    this.next = grown(this.next, capacity * levels);
  }
}

function blocksFor(bytes: number): number {
  return Math.max(1, (bytes + (1 << blockShift) - 1) >> blockShift);
}

/** Levels that a row stands in: by its hash, so that the same rules always make the same list. */
function heightOf(hash: number): number {
  return Math.min(levels, 1 + (Math.clz32(Math.imul(hash, 0x9e3779b1)) >> 1));
}

function hashBytes(bytes: Uint8Array, at: number, length: number): number {
  let hash = Math.imul(length + 1, 0x01000193);
  for (let i = at; i < at + length; i++) hash = Math.imul(hash ^ bytes[i], 0x01000193);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
