/**
 * Deadlines of all sessions in one binary heap of owners. An owner keeps its few deadlines itself and stands in the
 * heap by the earliest, so setting a timer costs O(log n) and asking for the next one O(1).
 */
import { assert } from "../base/assert.ts";

export class TimerOwner {
  /** By timer number, monotonic milliseconds; Infinity when not running. */
  readonly deadlinesMs: Float64Array;
  dueMs = Number.POSITIVE_INFINITY;
  /** Position in the heap, -1 when no timer runs. */
  heapAt = -1;

  constructor(timers: number) {
    this.deadlinesMs = new Float64Array(timers).fill(Number.POSITIVE_INFINITY);
  }
}

export class TimerHeap<Owner extends TimerOwner> {
  private readonly owners: Owner[] = [];

  get size(): number {
    return this.owners.length;
  }

  /** Earliest deadline over all owners; Infinity when there is none. */
  nextMs(): number {
    return this.owners.length === 0 ? Number.POSITIVE_INFINITY : this.owners[0].dueMs;
  }

  /** Sets one timer of `owner`; Infinity stops it. */
  set(owner: Owner, timer: number, deadlineMs: number): void {
    owner.deadlinesMs[timer] = deadlineMs;
    let dueMs = Number.POSITIVE_INFINITY;
    for (const each of owner.deadlinesMs) if (each < dueMs) dueMs = each;
    if (dueMs === owner.dueMs) return;
    const earlier = dueMs < owner.dueMs;
    owner.dueMs = dueMs;
    if (dueMs === Number.POSITIVE_INFINITY) this.remove(owner);
    else if (owner.heapAt < 0) this.insert(owner);
    else if (earlier) this.up(owner.heapAt);
    else this.down(owner.heapAt);
  }

  /** Stops all timers of `owner`. */
  clear(owner: Owner): void {
    owner.deadlinesMs.fill(Number.POSITIVE_INFINITY);
    owner.dueMs = Number.POSITIVE_INFINITY;
    if (owner.heapAt >= 0) this.remove(owner);
  }

  /** The owner whose timer is due first at `nowMs`, if any. It stays in the heap until that timer is set anew. */
  due(nowMs: number): Owner | undefined {
    const first = this.owners[0];
    return first && first.dueMs <= nowMs ? first : undefined;
  }

  private insert(owner: Owner): void {
    owner.heapAt = this.owners.length;
    this.owners.push(owner);
    this.up(owner.heapAt);
  }

  private remove(owner: Owner): void {
    const at = owner.heapAt;
    assert(this.owners[at] === owner);
    owner.heapAt = -1;
    const last = this.owners.pop()!;
    if (last === owner) return;
    this.place(last, at);
    this.up(at);
    this.down(last.heapAt);
  }

  private up(from: number): void {
    let at = from;
    const owner = this.owners[at];
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.owners[parent].dueMs <= owner.dueMs) break;
      this.place(this.owners[parent], at);
      at = parent;
    }
    this.place(owner, at);
  }

  private down(from: number): void {
    let at = from;
    const owner = this.owners[at];
    for (;;) {
      let child = at * 2 + 1;
      if (child >= this.owners.length) break;
      if (child + 1 < this.owners.length && this.owners[child + 1].dueMs < this.owners[child].dueMs) child++;
      if (owner.dueMs <= this.owners[child].dueMs) break;
      this.place(this.owners[child], at);
      at = child;
    }
    this.place(owner, at);
  }

  private place(owner: Owner, at: number): void {
    this.owners[at] = owner;
    owner.heapAt = at;
  }
}
