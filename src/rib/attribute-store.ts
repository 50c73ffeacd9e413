/**
 * Interned attribute sets. A set is a canonical block (wire/scratch.ts) stored once and named by a 32-bit id; what
 * best path and policy ask for most is derived once into columns. Tables hold only ids, with a reference count each.
 *
 *   canonical bytes -> hash -> slot -> id -> columns, and the bytes in a chunked arena
 *
 * Ids are reused after the last release; `epoch[id]` changes then, so a memo of (id, epoch) can tell.
 */
import { assert } from "../base/assert.ts";
import { grown, nextCapacity } from "../base/columns.ts";
import { AttributeFlag, type AttributeTable } from "../policy/attribute-table.ts";
import { DerivedAttributes, deriveBlock } from "../wire/block.ts";
import type { AttributeBlock } from "../wire/scratch.ts";
import type { NextHops } from "./next-hops.ts";

/** Names an interned attribute set; 0 is none. */
export type AttrId = number;

/** Arena chunks of 1 MiB: growth never copies, and a block of at most 64 KiB never straddles two. */
const chunkBits = 20;
const chunkBytes = 1 << chunkBits;
/** Blocks are placed in steps of 8 bytes, so that freed space is found again by size class. */
const sizeStep = 8;

export class AttributeStore implements AttributeTable {
  private capacity = 1024;
  private slots = new Int32Array(this.capacity * 2);
  private hash = new Uint32Array(this.capacity);
  private offset = new Uint32Array(this.capacity);
  private size = new Uint16Array(this.capacity);
  private refs = new Uint32Array(this.capacity);
  private readonly chunks: Uint8Array[] = [];
  private chunkUsed = chunkBytes;
  /** Freed arena places by size class (bytes / sizeStep). */
  private readonly freePlaces: (number[] | undefined)[] = [];
  private readonly freeIds: number[] = [];
  private nextId = 1;
  private readonly derived = new DerivedAttributes();

  epoch = new Uint32Array(this.capacity);
  localPref = new Uint32Array(this.capacity);
  med = new Uint32Array(this.capacity);
  origin = new Uint8Array(this.capacity);
  pathLength = new Uint16Array(this.capacity);
  neighborAs = new Uint32Array(this.capacity);
  originAs = new Uint32Array(this.capacity);
  flags = new Uint32Array(this.capacity);
  /** ORIGINATOR_ID, 0 when absent. */
  originatorId = new Uint32Array(this.capacity);
  /** Number of cluster ids, at most 255. */
  clusterLength = new Uint8Array(this.capacity);
  /** Weight that policy set, else 0. */
  weight = new Uint32Array(this.capacity);
  /** `NextHops` id where these are tracked, else 0. */
  nextHop = new Uint32Array(this.capacity);
  readonly nextHops: NextHops | undefined;
  /** Halves of the AIGP metric where `flags` has `hasAigp`; empty until the first one comes. */
  aigpHigh = new Uint32Array(0);
  aigpLow = new Uint32Array(0);

  /** Sets alive. */
  count = 0;

  /** @param nextHops where next hops are interned, when they are tracked */
  constructor(nextHops?: NextHops) {
    this.nextHops = nextHops;
  }

  /** @inheritdoc */
  intern(bytes: Uint8Array, start: number, end: number): AttrId {
    const hash = hashBytes(bytes, start, end);
    const mask = this.slots.length - 1;
    let slot = hash & mask;
    for (let id = this.slots[slot]; id !== 0; id = this.slots[slot]) {
      if (this.hash[id] === hash && this.equals(id, bytes, start, end)) {
        this.refs[id]++;
        return id;
      }
      slot = (slot + 1) & mask;
    }
    return this.add(bytes, start, end, hash, slot);
  }

  private equals(id: AttrId, bytes: Uint8Array, start: number, end: number): boolean {
    const size = this.size[id];
    if (size !== end - start) return false;
    const place = this.offset[id];
    const chunk = this.chunks[place >>> chunkBits];
    const at = place & (chunkBytes - 1);
    for (let i = 0; i < size; i++) if (chunk[at + i] !== bytes[start + i]) return false;
    return true;
  }

  private add(bytes: Uint8Array, start: number, end: number, hash: number, slot: number): AttrId {
    const id = this.freeIds.pop() ?? this.nextId++;
    if (id >= this.capacity) this.grow();
    const size = end - start;
    const place = this.allocate(size);
    const chunk = this.chunks[place >>> chunkBits];
    const at = place & (chunkBytes - 1);
    for (let i = 0; i < size; i++) chunk[at + i] = bytes[start + i];
    this.hash[id] = hash;
    this.offset[id] = place;
    this.size[id] = size;
    this.refs[id] = 1;
    const derived = this.derived;
    deriveBlock(bytes, start, end, derived);
    this.localPref[id] = derived.localPref;
    this.med[id] = derived.med;
    this.origin[id] = derived.origin;
    this.pathLength[id] = derived.pathLength;
    this.neighborAs[id] = derived.neighborAs;
    this.originAs[id] = derived.originAs;
    this.flags[id] = derived.flags;
    this.originatorId[id] = derived.originatorId;
    this.clusterLength[id] = Math.min(255, derived.clusterListLength);
    this.weight[id] = derived.weight;
    if (this.nextHops) {
      this.nextHop[id] = this.nextHops.intern(bytes, start + derived.nextHopAt, derived.nextHopLength);
    }
    if ((derived.flags & AttributeFlag.hasAigp) !== 0) this.setAigp(id);
    this.count++;
    if (this.count * 2 > this.slots.length) this.rehash(this.slots.length * 2);
    else this.slots[slot] = id;
    return id;
  }

  private setAigp(id: AttrId): void {
    if (id >= this.aigpHigh.length) {
      this.aigpHigh = grown(this.aigpHigh, this.capacity);
      this.aigpLow = grown(this.aigpLow, this.capacity);
    }
    this.aigpHigh[id] = this.derived.aigpHigh;
    this.aigpLow[id] = this.derived.aigpLow;
  }

  private allocate(size: number): number {
    const sizeClass = sizeClassOf(size);
    const place = this.freePlaces[sizeClass]?.pop();
    if (place !== undefined) return place;
    const bytes = sizeClass * sizeStep;
    if (this.chunkUsed + bytes > chunkBytes) {
      this.chunks.push(new Uint8Array(chunkBytes));
      this.chunkUsed = 0;
    }
    const at = this.chunkUsed;
    this.chunkUsed += bytes;
    return (((this.chunks.length - 1) << chunkBits) | at) >>> 0;
  }

  /** @param times references taken at once */
  retain(id: AttrId, times = 1): void {
    assert(this.refs[id] > 0, "retain of a freed attribute set");
    this.refs[id] += times;
  }

  /** @param times references given back at once; 0 for none */
  release(id: AttrId, times = 1): void {
    assert(this.refs[id] >= times && this.refs[id] > 0, "release of a freed attribute set");
    if ((this.refs[id] -= times) === 0) this.remove(id);
  }

  private remove(id: AttrId): void {
    const mask = this.slots.length - 1;
    let hole = this.hash[id] & mask;
    while (this.slots[hole] !== id) hole = (hole + 1) & mask;
    // Backward-shift deletion: pull later entries of the run over the hole, so no tombstones are needed.
    for (let at = (hole + 1) & mask; this.slots[at] !== 0; at = (at + 1) & mask) {
      const home = this.hash[this.slots[at]] & mask;
      if (((at - home) & mask) >= ((at - hole) & mask)) {
        this.slots[hole] = this.slots[at];
        hole = at;
      }
    }
    this.slots[hole] = 0;
    const sizeClass = sizeClassOf(this.size[id]);
    (this.freePlaces[sizeClass] ??= []).push(this.offset[id]);
    this.epoch[id]++;
    this.nextHops?.release(this.nextHop[id]);
    this.freeIds.push(id);
    this.count--;
  }

  block(id: AttrId, out: AttributeBlock): void {
    assert(this.refs[id] > 0, "block of a freed attribute set");
    const place = this.offset[id];
    out.bytes = this.chunks[place >>> chunkBits];
    out.start = place & (chunkBytes - 1);
    out.end = out.start + this.size[id];
  }

  /** Bytes of the canonical block. */
  sizeOf(id: AttrId): number {
    return this.size[id];
  }

  /** References held on `id`; 0 when it is free. For tests and assertions. */
  references(id: AttrId): number {
    return this.refs[id];
  }

  /** Bytes in columns, hash and arena. */
  memoryBytes(): number {
    const aigp = this.aigpHigh.byteLength * 2;
    return this.nextId * 54 + aigp + this.slots.byteLength + this.chunks.length * chunkBytes;
  }

  private rehash(slotCount: number): void {
    const slots = new Int32Array(slotCount);
    const mask = slotCount - 1;
    for (let id = 1; id < this.nextId; id++) {
      if (this.refs[id] === 0) continue;
      let slot = this.hash[id] & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = id;
    }
    this.slots = slots;
  }

  private grow(): void {
    this.capacity = nextCapacity(this.capacity);
    const n = this.capacity;
    this.hash = grown(this.hash, n);
    this.offset = grown(this.offset, n);
    this.size = grown(this.size, n);
    this.refs = grown(this.refs, n);
    this.epoch = grown(this.epoch, n);
    this.localPref = grown(this.localPref, n);
    this.med = grown(this.med, n);
    this.origin = grown(this.origin, n);
    this.pathLength = grown(this.pathLength, n);
    this.neighborAs = grown(this.neighborAs, n);
    this.originAs = grown(this.originAs, n);
    this.flags = grown(this.flags, n);
    this.originatorId = grown(this.originatorId, n);
    this.clusterLength = grown(this.clusterLength, n);
    this.weight = grown(this.weight, n);
    this.nextHop = grown(this.nextHop, n);
  }
}

/** Steps that a block takes up; an empty one takes one too, so that each has a place in a chunk. */
function sizeClassOf(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / sizeStep));
}

/** Multiplicative hash over four bytes at a time; blocks are short and differ early or late. */
function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = end - start;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    const word = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    hash = Math.imul(hash ^ word, 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  for (; at < end; at++) hash = Math.imul(hash ^ bytes[at], 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
