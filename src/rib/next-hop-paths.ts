/**
 * Which paths of a table hang on which next hop: a doubly linked list per next hop, so that a change of one next hop
 * looks at its paths and no others. Paths that a check or policy refuses are in no list.
 *
 * One walk at a time goes along a list. What joins meanwhile joins at the head, behind the walk, and was judged with
 * what is known now; what leaves takes the walk's place along.
 */
import { grown, nextCapacity } from "../base/columns.ts";
import type { NextHopId, NextHops } from "./next-hops.ts";
import type { PathId } from "./path-columns.ts";

export class NextHopPaths {
  private readonly nextHops: NextHops;
  private next = new Uint32Array(1024);
  private previous = new Uint32Array(1024);
  private head = new Uint32Array(64);
  private at: PathId = 0;

  constructor(nextHops: NextHops) {
    this.nextHops = nextHops;
  }

  add(path: PathId, hop: NextHopId): void {
    if (hop === 0) return;
    if (path >= this.next.length) this.growPaths(path);
    if (hop >= this.head.length) this.growHops(hop);
    const first = this.head[hop];
    this.next[path] = first;
    this.previous[path] = 0;
    if (first !== 0) this.previous[first] = path;
    this.head[hop] = path;
    this.nextHops.use(hop);
  }

  remove(path: PathId, hop: NextHopId): void {
    if (hop === 0) return;
    const next = this.next[path];
    const previous = this.previous[path];
    if (previous === 0) this.head[hop] = next;
    else this.next[previous] = next;
    if (next !== 0) this.previous[next] = previous;
    if (this.at === path) this.at = next;
    this.nextHops.unuse(hop);
  }

  /** Starts a walk along the paths of a next hop; a walk under way ends. */
  begin(hop: NextHopId): void {
    this.at = this.head[hop] ?? 0;
  }

  /** Visits up to `max` more paths. @returns how many; fewer than `max` at the end */
  walk(max: number, visit: (path: PathId) => void): number {
    let count = 0;
    for (; count < max && this.at !== 0; count++) {
      const path = this.at;
      visit(path);
      if (this.at === path) this.at = this.next[path];
    }
    return count;
  }

  memoryBytes(): number {
    return this.next.byteLength * 2 + this.head.byteLength;
  }

  private growPaths(path: PathId): void {
    let capacity = this.next.length;
    while (path >= capacity) capacity = nextCapacity(capacity);
    this.next = grown(this.next, capacity);
    this.previous = grown(this.previous, capacity);
  }

  private growHops(hop: NextHopId): void {
    let capacity = this.head.length;
    while (hop >= capacity) capacity *= 2;
    this.head = grown(this.head, capacity);
  }
}
