/**
 * The last changes of routes: paths that came, changed and went, and best paths that became others. A bounded journal,
 * oldest first; when it is full, the oldest change goes for each new one.
 *
 *   change 1 2 3 ... | kept: first .. next - 1 |
 *                       chunk      chunk     chunk      each some words a change
 *
 * A change holds references on the attribute sets and on the prefix row that it names, so both mean what they meant.
 * Times never go back, even when the clock does: the changes after a moment are the last ones of the journal.
 */
import { assert } from "../base/assert.ts";
import type { AttributeStore } from "./attribute-store.ts";
import type { NeighborColumns } from "./neighbor-columns.ts";
import type { PathId } from "./path-columns.ts";
import { reasonMask } from "./path-flags.ts";
import type { PrefixId } from "./prefix-table.ts";
import type { RouteTable } from "./route-table.ts";

export const ChangeKind = { best: 1, added: 2, changed: 3, withdrawn: 4 } as const;
export type ChangeKind = (typeof ChangeKind)[keyof typeof ChangeKind];

/** What made a change. */
export const ChangeCause = {
  /** The neighbor announced the path, or it was injected. */
  announced: 1,
  /** The neighbor took it back, or it was retracted. */
  withdrawn: 2,
  /** The session ended, or the neighbor did not send the path again (RFC 4724, 7313). */
  swept: 3,
  /** Checks and import policy looked at a path that was there. */
  evaluated: 4,
  /** The next hop of the path became better or worse. */
  nextHop: 5,
  /** How the best path is chosen became another, or something that it rests on. */
  selection: 6,
} as const;
export type ChangeCause = (typeof ChangeCause)[keyof typeof ChangeCause];

/** One change as it is read. Attribute sets are valid as long as the change is kept. */
export interface RouteChange {
  id: number;
  /** Wall-clock milliseconds. */
  timeMs: number;
  kind: ChangeKind;
  cause: ChangeCause;
  family: number;
  prefix: PrefixId;
  /** Names of neighbors; empty where there was (is) no path. */
  neighborBefore: string;
  neighborAfter: string;
  pathIdBefore: number;
  pathIdAfter: number;
  /** 0 where there was (is) no path. */
  attrBefore: number;
  attrAfter: number;
  /** Wall-clock seconds at which the path before had last changed. */
  pathTimeS: number;
  /** `RejectReason` of a path; 0 for best paths. */
  reasonBefore: number;
  reasonAfter: number;
  /** Step of best path, from 1, by which the path after won over the one before; 0 where it had no rival. */
  step: number;
}

/**
 * Words of a change:
 *
 *   0 seconds   1 milliseconds 10, kind 3, cause 3, family 4, step 5   2 prefix   3 neighbors 16 + 16
 *   4, 5 path ids (of a path: reasons 4 + 4, then its id)   6, 7 attribute sets   8 seconds of the path before
 */
const words = 9;
const chunkBits = 13;
const chunkChanges = 1 << chunkBits;
/** Changes that are let go for each new one while there are more than there may be. */
const evictedAtOnce = 4;
/** Names of neighbors are 16 bits. */
const namesMax = 0xffff;

export class RouteHistory {
  /** Number of the oldest change kept, and of the one that comes next. */
  first = 1;
  next = 1;
  /** How many may be kept; 0: nothing is remembered. */
  limit = 0;
  /** Wall-clock milliseconds of the present turn. */
  private nowMs = 0;
  /** Everything later than this is known; undefined while nothing is remembered. Wall-clock milliseconds. */
  private reachMs: number | undefined;
  private readonly attributes: AttributeStore;
  private readonly neighbors: NeighborColumns;
  private readonly tables: () => readonly RouteTable[];
  /** Chunks of the changes from number `base` on. */
  private readonly chunks: Uint32Array[] = [];
  private base = 0;
  private spare: Uint32Array | undefined;
  /** Names of neighbors by slot; slot 0 is no neighbor. A slot is free when no change has it. */
  private readonly names: (string | undefined)[] = [""];
  private readonly nameUses: number[] = [1];
  private readonly slotByName = new Map<string, number>();
  private readonly freeSlots: number[] = [];
  /** Slot that a neighbor had last; its name tells whether it still has it. */
  private readonly slotOf: number[] = [];

  // How things stood before the change that is being made.
  private bestPath: PathId = 0;
  private bestNeighbor = 0;
  private bestId = 0;
  private bestAttr = 0;
  private bestTime = 0;
  private pathNeighbor = 0;
  private pathAttr = 0;
  private pathReason = 0;
  private pathId = 0;
  private pathTime = 0;

  constructor(attributes: AttributeStore, neighbors: NeighborColumns, tables: () => readonly RouteTable[]) {
    this.attributes = attributes;
    this.neighbors = neighbors;
    this.tables = tables;
  }

  /** Sets the clock, wall-clock milliseconds. A clock that is set back stands still here. */
  at(wallMs: number): void {
    if (wallMs > this.nowMs) this.nowMs = wallMs;
  }

  /** Changes kept. */
  get count(): number {
    return this.next - this.first;
  }

  /** From when on everything is known, wall-clock milliseconds; undefined while nothing is remembered. */
  get reachesBackToMs(): number | undefined {
    return this.reachMs;
  }

  /** Sets how many changes are kept. More than that are let go by `trim`. */
  configure(limit: number): void {
    if (limit > 0 && this.limit === 0) {
      // What an earlier time remembered has a gap after it.
      this.reachMs = this.nowMs;
    } else if (limit === 0) this.reachMs = undefined;
    this.limit = limit;
    for (const table of this.tables()) table.remember(limit > 0 ? this : undefined);
  }

  /** Lets go of up to `max` changes too many. @returns true when there are none left to let go */
  trim(max: number): boolean {
    for (let n = 0; n < max && this.count > this.limit; n++) this.evict();
    return this.count <= this.limit;
  }

  /** Notes how a prefix and one of its paths stand, before something is done to them. @param path 0 for none */
  before(table: RouteTable, prefix: PrefixId, path: PathId): void {
    const { paths } = table;
    const best = table.bestOf(prefix);
    this.bestPath = best;
    // The row stays what it is until `after`, though its last path may go.
    table.keep(prefix);
    if (best === 0) this.bestAttr = 0;
    else {
      this.bestNeighbor = paths.neighbor[best];
      this.bestId = paths.idOf(best);
      this.bestTime = paths.time[best];
      this.bestAttr = paths.attr[best];
      this.attributes.retain(this.bestAttr);
    }
    if (path === 0) this.pathAttr = 0;
    else {
      this.pathNeighbor = paths.neighbor[path];
      this.pathId = paths.idOf(path);
      this.pathTime = paths.time[path];
      this.pathReason = paths.flags[path] & reasonMask;
      this.pathAttr = paths.attr[path];
      this.attributes.retain(this.pathAttr);
    }
  }

  /** Writes down what has become of what `before` noted. @param path 0 when it is gone, or there was none */
  after(table: RouteTable, prefix: PrefixId, path: PathId, cause: ChangeCause): void {
    const { paths } = table;
    if (path === 0) {
      if (this.pathAttr !== 0) this.notePath(table, prefix, ChangeKind.withdrawn, cause, 0, 0);
    } else {
      const attr = paths.attr[path];
      const reason = paths.flags[path] & reasonMask;
      if (this.pathAttr === 0) {
        this.pathNeighbor = paths.neighbor[path];
        this.pathId = paths.idOf(path);
        this.pathReason = 0;
        this.pathTime = 0;
        this.notePath(table, prefix, ChangeKind.added, cause, attr, reason);
      } else if (
        attr !== this.pathAttr ||
        reason !== this.pathReason ||
        (cause === ChangeCause.announced && paths.time[path] !== this.pathTime)
      ) {
        this.notePath(table, prefix, ChangeKind.changed, cause, attr, reason);
      } else this.attributes.release(this.pathAttr);
    }
    this.noteBest(table, prefix, cause);
    table.letGo(prefix);
  }

  private noteBest(table: RouteTable, prefix: PrefixId, cause: ChangeCause): void {
    const { paths } = table;
    const best = table.bestOf(prefix);
    const attr = best === 0 ? 0 : paths.attr[best];
    if (best === 0 && this.bestAttr === 0) return;
    if (
      attr === this.bestAttr &&
      paths.neighbor[best] === this.bestNeighbor &&
      paths.idOf(best) === this.bestId &&
      paths.time[best] === this.bestTime
    ) {
      this.attributes.release(attr);
      return;
    }
    const at = this.append(
      ChangeKind.best,
      cause,
      table,
      prefix,
      table.stepBetween(prefix, best, this.bestPath),
    );
    const chunk = this.chunks[this.chunks.length - 1];
    const before = this.bestAttr === 0 ? 0 : this.use(this.bestNeighbor);
    const after = best === 0 ? 0 : this.use(paths.neighbor[best]);
    chunk[at + 3] = before | (after << 16);
    chunk[at + 4] = this.bestAttr === 0 ? 0 : this.bestId;
    chunk[at + 5] = best === 0 ? 0 : paths.idOf(best);
    chunk[at + 6] = this.bestAttr;
    chunk[at + 7] = attr;
    chunk[at + 8] = this.bestAttr === 0 ? 0 : this.bestTime;
    if (attr !== 0) this.attributes.retain(attr);
  }

  private notePath(
    table: RouteTable,
    prefix: PrefixId,
    kind: ChangeKind,
    cause: ChangeCause,
    attr: number,
    reason: number,
  ): void {
    const at = this.append(kind, cause, table, prefix, 0);
    const chunk = this.chunks[this.chunks.length - 1];
    const name = this.use(this.pathNeighbor);
    chunk[at + 3] = name;
    chunk[at + 4] = this.pathReason | (reason << 4);
    chunk[at + 5] = this.pathId;
    chunk[at + 6] = this.pathAttr;
    chunk[at + 7] = attr;
    chunk[at + 8] = this.pathTime;
    if (attr !== 0) this.attributes.retain(attr);
  }

  /** A new change; the attribute set before is already held. @returns where its words start in the last chunk */
  private append(
    kind: ChangeKind,
    cause: ChangeCause,
    table: RouteTable,
    prefix: PrefixId,
    step: number,
  ): number {
    for (let n = 0; n < evictedAtOnce && this.count >= this.limit; n++) this.evict();
    const offset = this.next++ - this.base;
    if (offset >>> chunkBits === this.chunks.length) {
      this.chunks.push(this.spare ?? new Uint32Array(chunkChanges * words));
      this.spare = undefined;
    }
    const at = (offset & (chunkChanges - 1)) * words;
    const chunk = this.chunks[offset >>> chunkBits];
    const seconds = Math.floor(this.nowMs / 1000);
    chunk[at] = seconds;
    chunk[at + 1] =
      (this.nowMs - seconds * 1000) |
      (kind << 10) |
      (cause << 13) |
      (table.family.index << 16) |
      (step << 20);
    chunk[at + 2] = prefix;
    table.keep(prefix);
    return at;
  }

  private evict(): void {
    const number = this.first;
    if (number === this.next) return;
    const chunk = this.chunkOf(number);
    const at = this.placeOf(number);
    const head = chunk[at + 1];
    if (chunk[at + 6] !== 0) this.attributes.release(chunk[at + 6]);
    if (chunk[at + 7] !== 0) this.attributes.release(chunk[at + 7]);
    this.unuse(chunk[at + 3] & 0xffff);
    this.unuse(chunk[at + 3] >>> 16);
    this.tables()[(head >>> 16) & 15].letGo(chunk[at + 2]);
    if (this.reachMs !== undefined) this.reachMs = Math.max(this.reachMs, this.timeOf(number));
    this.first++;
    if (this.first - this.base >= chunkChanges) {
      this.spare = this.chunks.shift();
      this.base += chunkChanges;
    }
    if (this.limit === 0 && this.count === 0) this.giveBack();
  }

  private giveBack(): void {
    this.chunks.length = 0;
    this.spare = undefined;
    this.base = this.next;
  }

  private chunkOf(number: number): Uint32Array {
    return this.chunks[(number - this.base) >>> chunkBits];
  }

  /** Where the words of a change start in its chunk. */
  private placeOf(number: number): number {
    return ((number - this.base) & (chunkChanges - 1)) * words;
  }

  /** Slot of a neighbor's name, used once more. */
  private use(neighbor: number): number {
    const name = this.neighbors.text[neighbor];
    let slot = this.slotOf[neighbor] ?? 0;
    if (slot === 0 || this.names[slot] !== name) {
      slot = this.slotByName.get(name) ?? this.newSlot(name);
      this.slotOf[neighbor] = slot;
    }
    this.nameUses[slot]++;
    return slot;
  }

  private newSlot(name: string): number {
    while (this.freeSlots.length === 0 && this.names.length > namesMax) this.evict();
    const slot = this.freeSlots.pop() ?? this.names.length;
    this.names[slot] = name;
    this.nameUses[slot] = 0;
    this.slotByName.set(name, slot);
    return slot;
  }

  private unuse(slot: number): void {
    if (slot === 0 || --this.nameUses[slot] > 0) return;
    this.slotByName.delete(this.names[slot]!);
    this.names[slot] = undefined;
    this.freeSlots.push(slot);
  }

  private timeOf(number: number): number {
    const chunk = this.chunkOf(number);
    const at = this.placeOf(number);
    return chunk[at] * 1000 + (chunk[at + 1] & 1023);
  }

  /** Number of the first change after a moment; `next` when there is none. */
  firstAfter(timeMs: number): number {
    let low = this.first;
    let high = this.next;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.timeOf(middle) > timeMs) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** True when a kept change is of this kind, family and (unless 0) prefix. Cheaper than reading it. */
  is(number: number, kind: ChangeKind | 0, family: number, prefix: PrefixId): boolean {
    const chunk = this.chunkOf(number);
    const at = this.placeOf(number);
    if (prefix !== 0 && chunk[at + 2] !== prefix) return false;
    const head = chunk[at + 1];
    return ((head >>> 16) & 15) === family && (kind === 0 || ((head >>> 10) & 7) === kind);
  }

  /** Prefix row of a kept change. */
  prefixOf(number: number): PrefixId {
    return this.chunkOf(number)[this.placeOf(number) + 2];
  }

  /** A kept change. */
  read(number: number): RouteChange {
    assert(number >= this.first && number < this.next, "a change that is not kept");
    const chunk = this.chunkOf(number);
    const at = this.placeOf(number);
    const head = chunk[at + 1];
    const kind = ((head >>> 10) & 7) as ChangeKind;
    const isBest = kind === ChangeKind.best;
    const first = this.names[chunk[at + 3] & 0xffff]!;
    const attrBefore = chunk[at + 6];
    const attrAfter = chunk[at + 7];
    const pathId = chunk[at + 5];
    return {
      id: number,
      timeMs: this.timeOf(number),
      kind,
      cause: ((head >>> 13) & 7) as ChangeCause,
      family: (head >>> 16) & 15,
      step: (head >>> 20) & 31,
      prefix: chunk[at + 2],
      neighborBefore: attrBefore === 0 ? "" : first,
      neighborAfter: attrAfter === 0 ? "" : isBest ? this.names[chunk[at + 3] >>> 16]! : first,
      pathIdBefore: isBest ? chunk[at + 4] : pathId,
      pathIdAfter: pathId,
      attrBefore,
      attrAfter,
      pathTimeS: chunk[at + 8],
      reasonBefore: isBest ? 0 : chunk[at + 4] & 15,
      reasonAfter: isBest ? 0 : (chunk[at + 4] >>> 4) & 15,
    };
  }

  /** Bytes of the journal itself, without what it keeps alive elsewhere. */
  memoryBytes(): number {
    const chunks = this.chunks.length + Number(this.spare !== undefined);
    return chunks * chunkChanges * words * Uint32Array.BYTES_PER_ELEMENT;
  }
}
