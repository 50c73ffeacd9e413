/**
 * Each prefix of a table stands in one list, the last changed at the tail. A consumer of routes is a cursor: a marker
 * row in the same list. It walks at its own pace and always finds the latest state, so nothing is queued per consumer
 * and nothing is dropped; a prefix that changes again simply moves to the tail.
 *
 * Every move takes the next revision, so the list is sorted by revision. Revisions are 32 bits and wrap; compare them
 * only with `after`, which is right while two live revisions are less than 2^31 changes apart.
 */
import { assert } from "../base/assert.ts";
import { grown } from "../base/columns.ts";

/** True when revision `a` is later than `b`, over the wrap. */
export function after(a: number, b: number): boolean {
  return ((a - b) | 0) > 0;
}

export class ChangeList {
  /** Row 0 is the sentinel: next[0] is the head, previous[0] the tail. */
  next = new Uint32Array(1024);
  private previous = new Uint32Array(1024);
  /** Revision of the last move of each row. */
  revisionOf = new Uint32Array(1024);
  /** Last revision given; 32 bits. */
  revision = 0;
  /** Changes since start, without wrap. */
  changes = 0;

  grow(capacity: number): void {
    this.next = grown(this.next, capacity);
    this.previous = grown(this.previous, capacity);
    this.revisionOf = grown(this.revisionOf, capacity);
  }

  /** Puts a new row, or moves one that is in the list, to the tail with a new revision. */
  touch(row: number): void {
    const last = this.previous[0];
    if (last !== row) {
      if (this.next[row] !== 0) this.unlink(row);
      this.link(row, this.previous[0], 0);
    }
    this.revision = (this.revision + 1) >>> 0;
    this.changes++;
    this.revisionOf[row] = this.revision;
  }

  /** True when the row stands in the list. */
  has(row: number): boolean {
    return this.next[row] !== 0 || this.previous[0] === row;
  }

  remove(row: number): void {
    this.unlink(row);
    this.next[row] = 0;
    this.previous[row] = 0;
  }

  /** Places a marker before everything: its consumer will see the whole table. */
  markHead(marker: number): void {
    this.link(marker, 0, this.next[0]);
    this.revisionOf[marker] =
      this.next[marker] === 0 ? this.revision : (this.revisionOf[this.next[marker]] - 1) >>> 0;
  }

  /** Places a marker after everything: its consumer will see only later changes. */
  markTail(marker: number): void {
    this.link(marker, this.previous[0], 0);
    this.revisionOf[marker] = this.revision;
  }

  /** Places a marker just after `row` (which may be a marker too). */
  markAfter(marker: number, row: number): void {
    this.link(marker, row, this.next[row]);
    this.revisionOf[marker] = this.revisionOf[row];
  }

  /** Moves a marker over the row that follows it. */
  advance(marker: number): void {
    const row = this.next[marker];
    assert(row !== 0, "advance at the end of the list");
    this.unlink(marker);
    this.link(marker, row, this.next[row]);
    this.revisionOf[marker] = this.revisionOf[row];
  }

  /** Moves a marker to just after `row`, which stands behind it in the list. */
  moveAfter(marker: number, row: number): void {
    this.unlink(marker);
    this.markAfter(marker, row);
  }

  private link(row: number, previous: number, next: number): void {
    this.next[row] = next;
    this.previous[row] = previous;
    this.next[previous] = row;
    this.previous[next] = row;
  }

  private unlink(row: number): void {
    const next = this.next[row];
    const previous = this.previous[row];
    this.next[previous] = next;
    this.previous[next] = previous;
  }

  /** The row before `row`; 0 at the head. For resuming a watch from a revision. */
  before(row: number): number {
    return this.previous[row];
  }
}
