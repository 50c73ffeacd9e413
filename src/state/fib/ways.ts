/** Ways interned to ids, so that a route's is one number and equal ways are equal numbers. */
import { grown } from "../../base/columns.ts";
import { type FibWay, wayText } from "../../dataplane/fib/messages.ts";

/** Names a way; 0 is none. Reused once nothing refers to it. */
export type WayId = number;

export class Ways {
  private readonly byText = new Map<string, WayId>();
  private readonly ways: (FibWay | undefined)[] = [undefined];
  private references = new Uint32Array(64);
  private readonly free: WayId[] = [];

  get size(): number {
    return this.byText.size;
  }

  get(id: WayId): FibWay | undefined {
    return this.ways[id];
  }

  /** @returns its id with one more reference */
  intern(way: FibWay): WayId {
    const text = wayText(way);
    let id = this.byText.get(text);
    if (id === undefined) {
      id = this.free.pop() ?? this.ways.length;
      if (id >= this.references.length) this.references = grown(this.references, id * 2);
      this.byText.set(text, id);
      this.ways[id] = way;
    }
    this.references[id]++;
    return id;
  }

  retain(id: WayId): void {
    if (id !== 0) this.references[id]++;
  }

  release(id: WayId): void {
    if (id === 0 || --this.references[id] > 0) return;
    this.byText.delete(wayText(this.ways[id]!));
    this.ways[id] = undefined;
    this.free.push(id);
  }
}
