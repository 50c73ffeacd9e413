/**
 * Validated ROA payloads of all sources in one table: a row per (prefix, maximum length, AS), with a bit for each slot
 * that has it. A slot is one whole set of data of a source. A source that sends anew fills a fresh slot, row by row over
 * many turns, and nothing is to be seen of it until `activate` changes the mask of active slots: from one validation to
 * the next the whole set is another one, never half of it.
 *
 *   row:  node (prefix) | AS | maximum length | slots | next row of the prefix
 *   in force  =  (slots & active, unless a filter of SLURM takes it out)  or  (slots & asserted)
 *
 * What a change of the mask did is found out afterwards by `sweep`, in pieces.
 */
import { limits } from "../base/limits.ts";
import { RouteKey, RpkiState } from "../policy/route-key.ts";
import { type Family, ipv4Unicast, ipv6Unicast } from "../wire/family.ts";
import { enlarged } from "./columns.ts";
import { type NodeId, PrefixTrie, root } from "./prefix-trie.ts";

/** Names a VRP; 0 is none. */
export type VrpId = number;

/** Number of a slot, 0 to 31. */
export type Slot = number;

/** What became of an announcement or a withdrawal. */
export type VrpOutcome = "done" | "duplicate" | "unknown" | "full";

/** Origin of a route whose AS_PATH ends with a set: the distinguished value NONE of RFC 6811 2, which nothing matches. */
export const noOrigin = -1;

/** Bits of `marks`: what the last sweep saw in force; taken out by the filters of either generation; IPv6. */
const told = 1;
const filtered = [2, 4] as const;
const isIp6 = 8;

const initialCapacity = 1024;

/** True when SLURM takes a VRP out. */
export type VrpFilter = (prefix: RouteKey, asn: number) => boolean;

export class VrpTable {
  private readonly trie4 = new PrefixTrie(4);
  private readonly trie6 = new PrefixTrie(16);
  private capacity = initialCapacity;
  private node = new Uint32Array(initialCapacity);
  private asn = new Uint32Array(initialCapacity);
  private maxLength = new Uint8Array(initialCapacity);
  private slots = new Uint32Array(initialCapacity);
  private marks = new Uint8Array(initialCapacity);
  /** Next row of the prefix; next free row for a free one. */
  private following = new Uint32Array(initialCapacity);
  private free: VrpId = 0;
  /** Rows below this were in use at some time. */
  rows = 1;
  /** Rows in use, in force or not. */
  count = 0;
  /** VRPs in force as the last sweep saw them, IPv4 and IPv6. */
  readonly inForce: Record<4 | 16, number> = { 4: 0, 16: 0 };
  private active = 0;
  private asserted = 0;
  private filter: VrpFilter | undefined;
  /** Filters of the generation to come; undefined while there is none. */
  private nextFilter: VrpFilter | undefined;
  private generation: 0 | 1 = 0;
  private readonly key = new RouteKey();

  private trie(bytes: 4 | 16): PrefixTrie {
    return bytes === 4 ? this.trie4 : this.trie6;
  }

  // ------------------------------------------------------------------------------------------------------ changes

  /** Puts a VRP into a slot. */
  announce(slot: Slot, route: RouteKey, maxLength: number, asn: number): VrpOutcome {
    const trie = this.trie(route.family.addressBytes);
    const node = trie.insert(route);
    const bit = (1 << slot) >>> 0;
    let length = 0;
    for (let row = trie.head[node]; row !== 0; row = this.following[row]) {
      length++;
      if (this.asn[row] !== asn || this.maxLength[row] !== maxLength) continue;
      if ((this.slots[row] & bit) !== 0) return "duplicate";
      this.slots[row] |= bit;
      return "done";
    }
    if (length >= limits.vrpsPerPrefixMax || this.count >= limits.vrpsMax) {
      trie.prune(node);
      return "full";
    }
    const row = this.newRow();
    this.node[row] = node;
    this.asn[row] = asn;
    this.maxLength[row] = maxLength;
    this.slots[row] = bit;
    let marks = route.family.addressBytes === 16 ? isIp6 : 0;
    if (this.filter?.(route, asn)) marks |= filtered[this.generation];
    if (this.nextFilter?.(route, asn)) marks |= filtered[this.generation ^ 1];
    this.marks[row] = marks;
    this.following[row] = trie.head[node];
    trie.head[node] = row;
    return "done";
  }

  /** Takes a VRP out of a slot. The row stays until the next sweep. */
  withdraw(slot: Slot, route: RouteKey, maxLength: number, asn: number): VrpOutcome {
    const trie = this.trie(route.family.addressBytes);
    const node = trie.find(route);
    const bit = (1 << slot) >>> 0;
    for (let row = node === 0 ? 0 : trie.head[node]; row !== 0; row = this.following[row]) {
      if (this.asn[row] !== asn || this.maxLength[row] !== maxLength) continue;
      if ((this.slots[row] & bit) === 0) return "unknown";
      this.slots[row] = (this.slots[row] & ~bit) >>> 0;
      return "done";
    }
    return "unknown";
  }

  /** Copies one slot to another that is empty, from row `from` on. @returns the row to go on at, 0 when done */
  copy(slot: Slot, to: Slot, from: VrpId, rows: number): VrpId {
    const end = Math.min(this.rows, from + rows);
    const bit = (1 << slot) >>> 0;
    const copied = (1 << to) >>> 0;
    for (let row = from; row < end; row++) if ((this.slots[row] & bit) !== 0) this.slots[row] |= copied;
    return end < this.rows ? end : 0;
  }

  /** From now on these slots count, and of them those in `asserted` whatever filters say. Both are masks. */
  activate(active: number, asserted: number): void {
    this.active = active >>> 0;
    this.asserted = asserted >>> 0;
  }

  /** New filters, to be worked out with `refilter` and put in force with `applyFilter`; undefined takes all out. */
  beginFilter(filter: VrpFilter): void {
    this.nextFilter = filter;
  }

  /** Works out what the new filters take out, from row `from` on. @returns the row to go on at, 0 when done */
  refilter(from: VrpId, rows: number): VrpId {
    const end = Math.min(this.rows, from + rows);
    const bit = filtered[this.generation ^ 1];
    for (let row = from; row < end; row++) {
      if (this.node[row] === 0) continue;
      this.readKey(row);
      const out = this.nextFilter?.(this.key, this.asn[row]) ?? false;
      this.marks[row] = (this.marks[row] & ~bit) | (out ? bit : 0);
    }
    return end < this.rows ? end : 0;
  }

  applyFilter(): void {
    this.filter = this.nextFilter;
    this.nextFilter = undefined;
    this.generation ^= 1;
  }

  /**
   * Tells what is in force now and was not, or the other way round, and lets go of what is in no slot any more.
   * @param retired slots (a mask) that are to be emptied
   * @returns the row to go on at, 0 when done
   */
  sweep(from: VrpId, rows: number, retired: number, changed: (prefix: RouteKey) => void): VrpId {
    const end = Math.min(this.rows, from + rows);
    for (let row = from; row < end; row++) {
      const marks = this.marks[row];
      const was = (marks & told) !== 0;
      const is = this.isInForce(row);
      if (was !== is) {
        this.marks[row] = marks ^ told;
        this.inForce[(marks & isIp6) !== 0 ? 16 : 4] += is ? 1 : -1;
        this.readKey(row);
        changed(this.key);
      }
      const slots = (this.slots[row] & ~retired) >>> 0;
      if (slots !== this.slots[row]) this.slots[row] = slots;
      if (slots === 0 && !is && this.node[row] !== 0) this.remove(row);
    }
    return end < this.rows ? end : 0;
  }

  private remove(row: VrpId): void {
    const trie = this.trie((this.marks[row] & isIp6) !== 0 ? 16 : 4);
    const node = this.node[row];
    if (trie.head[node] === row) trie.head[node] = this.following[row];
    else {
      let at = trie.head[node];
      while (this.following[at] !== row) at = this.following[at];
      this.following[at] = this.following[row];
    }
    if (trie.head[node] === 0) trie.prune(node);
    this.node[row] = 0;
    this.marks[row] = 0;
    this.following[row] = this.free;
    this.free = row;
    this.count--;
  }

  private newRow(): VrpId {
    this.count++;
    const row = this.free;
    if (row !== 0) {
      this.free = this.following[row];
      return row;
    }
    if (this.rows === this.capacity) this.grow();
    return this.rows++;
  }

  private grow(): void {
    this.capacity *= 2;
    this.node = enlarged(this.node, this.capacity);
    this.asn = enlarged(this.asn, this.capacity);
    this.maxLength = enlarged(this.maxLength, this.capacity);
    this.slots = enlarged(this.slots, this.capacity);
    this.marks = enlarged(this.marks, this.capacity);
    this.following = enlarged(this.following, this.capacity);
  }

  // -------------------------------------------------------------------------------------------------------- reads

  private isInForce(row: VrpId): boolean {
    const slots = this.slots[row];
    if ((slots & this.active) === 0) return false;
    return (this.marks[row] & filtered[this.generation]) === 0 || (slots & this.asserted) !== 0;
  }

  /**
   * The state of a route (RFC 6811 2.1): valid when a VRP in force covers it, names its origin and allows its length;
   * invalid when some cover it and none of them does so. AS 0 matches nothing (RFC 6483 4), nor does `noOrigin`.
   */
  stateOf(route: RouteKey, origin: number): RpkiState {
    const trie = route.family.addressBytes === 4 ? this.trie4 : this.trie6;
    const { head } = trie;
    let covered = false;
    for (let node: NodeId = root; node !== 0; node = trie.next(node, route)) {
      for (let row = head[node]; row !== 0; row = this.following[row]) {
        if (!this.isInForce(row)) continue;
        covered = true;
        if (this.asn[row] === origin && origin > 0 && this.maxLength[row] >= route.length)
          return RpkiState.valid;
      }
    }
    return covered ? RpkiState.invalid : RpkiState.notFound;
  }

  /** The VRPs in force that cover a prefix, shortest first, at most `max`. */
  covering(route: RouteKey, max: number): VrpId[] {
    const trie = this.trie(route.family.addressBytes);
    const found: VrpId[] = [];
    for (let node: NodeId = root; node !== 0; node = trie.next(node, route)) {
      for (let row = trie.head[node]; row !== 0; row = this.following[row]) {
        if (found.length < max && this.isInForce(row)) found.push(row);
      }
    }
    return found;
  }

  /**
   * Visits VRPs of a family in the order of their prefixes: those inside `within`, beyond the prefix `after`. All rows
   * of one prefix are visited; then `more` is asked whether to go on.
   * @returns the last prefix visited when there may be more, undefined at the end
   */
  walk(
    within: RouteKey,
    after: RouteKey | undefined,
    visit: (row: VrpId) => void,
    more: () => boolean,
  ): RouteKey | undefined {
    const trie = this.trie(within.family.addressBytes);
    const last = new RouteKey();
    last.family = within.family;
    const ended = trie.walk(within, after, (node) => {
      if (!more()) return false;
      for (let row = trie.head[node]; row !== 0; row = this.following[row]) visit(row);
      trie.read(node, last);
      return true;
    });
    return ended ? undefined : last;
  }

  /** A row as it is now. */
  read(row: VrpId): Vrp {
    const prefix = this.readKey(row);
    return {
      family: prefix.family,
      words: [prefix.w0, prefix.w1, prefix.w2, prefix.w3],
      length: prefix.length,
      maxLength: this.maxLength[row],
      asn: this.asn[row],
      slots: this.slots[row],
      inForce: this.isInForce(row),
      filtered: (this.marks[row] & filtered[this.generation]) !== 0,
    };
  }

  /** True when the row holds a VRP of some slot. */
  isUsed(row: VrpId): boolean {
    return this.node[row] !== 0 && this.slots[row] !== 0;
  }

  /** VRPs in a slot; looks at all rows. */
  countOf(slot: Slot): number {
    const bit = (1 << slot) >>> 0;
    let count = 0;
    for (let row = 1; row < this.rows; row++) if ((this.slots[row] & bit) !== 0) count++;
    return count;
  }

  private readKey(row: VrpId): RouteKey {
    const is6 = (this.marks[row] & isIp6) !== 0;
    this.key.family = is6 ? ipv6Unicast : ipv4Unicast;
    (is6 ? this.trie6 : this.trie4).read(this.node[row], this.key);
    return this.key;
  }

  memoryBytes(): number {
    return this.capacity * 18 + this.trie4.memoryBytes() + this.trie6.memoryBytes();
  }
}

/** A VRP for people. */
export interface Vrp {
  readonly family: Family;
  /** The address as four signed words; IPv4 is the first alone. */
  readonly words: readonly [number, number, number, number];
  readonly length: number;
  readonly maxLength: number;
  /** Origin AS; 0 for none at all. */
  readonly asn: number;
  /** Slots that have it, as a mask. */
  readonly slots: number;
  readonly inForce: boolean;
  /** Taken out by SLURM, unless it is asserted there. */
  readonly filtered: boolean;
}
