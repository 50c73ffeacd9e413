/** Binary min-heap of items with a numeric key, for deadlines that are rarely taken back. */
export class MinHeap<T> {
  private readonly keys: number[] = [];
  private readonly items: T[] = [];

  get size(): number {
    return this.keys.length;
  }

  /** The smallest key; Infinity when empty. */
  get least(): number {
    return this.keys.length === 0 ? Number.POSITIVE_INFINITY : this.keys[0];
  }

  push(key: number, item: T): void {
    let at = this.keys.length;
    this.keys.push(key);
    this.items.push(item);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.keys[parent] <= key) break;
      this.move(parent, at);
      at = parent;
    }
    this.keys[at] = key;
    this.items[at] = item;
  }

  /** Removes and gives the item with the smallest key; undefined when empty. */
  pop(): T | undefined {
    const top = this.items[0];
    const key = this.keys.pop();
    const item = this.items.pop();
    if (key === undefined || this.keys.length === 0) return top;
    const size = this.keys.length;
    let at = 0;
    for (let child = 1; child < size; child = at * 2 + 1) {
      if (child + 1 < size && this.keys[child + 1] < this.keys[child]) child++;
      if (this.keys[child] >= key) break;
      this.move(child, at);
      at = child;
    }
    this.keys[at] = key;
    this.items[at] = item as T;
    return top;
  }

  private move(from: number, to: number): void {
    this.keys[to] = this.keys[from];
    this.items[to] = this.items[from];
  }
}
