/**
 * Which paths of a table changed, in order, for readers that follow what neighbors send. The change list cannot tell
 * them: it knows prefixes, and moves one only when its best path changes. An entry names a path and says what there
 * was before; what there is now the reader finds in the table. It is a ring: a reader that is a whole ring behind has
 * missed changes and must begin anew. Tables keep one only while somebody reads.
 */
import { assert } from "../base/assert.ts";
import { type Column, grown } from "../base/columns.ts";
import { isAccepted } from "./path-flags.ts";

/** What there was of a path before it changed. */
export const Before = { nothing: 0, received: 1, accepted: 3 } as const;

const capacityMin = 1 << 12;

export class PathJournal {
  private capacity = capacityMin;
  private readonly capacityMax: number;
  private neighbors = new Uint16Array(capacityMin);
  private befores = new Uint8Array(capacityMin);
  private prefixes = new Uint32Array(capacityMin);
  private pathIds = new Uint32Array(capacityMin);
  /** Revision of the table's change list after the change. */
  private revisions = new Uint32Array(capacityMin);
  /** Entries written since it was begun; the next one gets this number. */
  end = 0;
  /** Entries below this are gone. */
  start = 0;

  /** @param entriesMax a power of two */
  constructor(entriesMax: number) {
    this.capacityMax = entriesMax;
  }

  /**
   * Notes that a path changed.
   * @param before what there was of it, one of `Before`; @param revision that of the table's change list by now
   */
  note(neighbor: number, prefix: number, pathId: number, before: number, revision: number): void {
    if (this.end - this.start === this.capacity) {
      if (this.capacity < this.capacityMax) this.grow();
      else this.start++;
    }
    const at = this.end++ & (this.capacity - 1);
    this.neighbors[at] = neighbor;
    this.befores[at] = before;
    this.prefixes[at] = prefix;
    this.pathIds[at] = pathId;
    this.revisions[at] = revision;
  }

  /** Entries below this were read by everybody: their room can be used again. */
  release(read: number): void {
    if (read > this.start) this.start = Math.min(read, this.end);
  }

  private at(entry: number): number {
    assert(entry >= this.start && entry < this.end, "an entry of the journal that is gone");
    return entry & (this.capacity - 1);
  }

  neighborOf(entry: number): number {
    return this.neighbors[this.at(entry)];
  }

  prefixOf(entry: number): number {
    return this.prefixes[entry & (this.capacity - 1)];
  }

  pathIdOf(entry: number): number {
    return this.pathIds[entry & (this.capacity - 1)];
  }

  beforeOf(entry: number): number {
    return this.befores[entry & (this.capacity - 1)];
  }

  /** Prefixes whose last change is at this revision or before may be forgotten, as far as a reader at `entry` goes. */
  passed(entry: number, revision: number): number {
    return entry >= this.end ? revision : (this.revisions[this.at(entry)] - 1) >>> 0;
  }

  /** Entries keep their numbers: each moves to where its number says in the larger ring. */
  private grow(): void {
    const [from, to] = [this.capacity, this.capacity * 2];
    const spread = <T extends Column>(column: T): T => {
      const next = grown(column, to);
      for (let entry = this.start; entry < this.end; entry++)
        next[entry & (to - 1)] = next[entry & (from - 1)];
      return next;
    };
    this.neighbors = spread(this.neighbors);
    this.befores = spread(this.befores);
    this.prefixes = spread(this.prefixes);
    this.pathIds = spread(this.pathIds);
    this.revisions = spread(this.revisions);
    this.capacity = to;
  }

  memoryBytes(): number {
    return this.capacity * 15;
  }
}

/** What there was of a path with these flags. */
export function beforeOf(flags: number): number {
  return isAccepted(flags) ? Before.accepted : Before.received;
}
