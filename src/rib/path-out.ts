/** An Adj-RIB-Out with several routes per prefix (RFC 7911): chains of entries, in columns. Row 0 of the entries is none. */
import { grown, nextCapacity } from "../base/columns.ts";
import type { AttrId, AttributeStore } from "./attribute-store.ts";
import type { ChosenPath } from "./export-gates.ts";

export class PathOut {
  private readonly attributes: AttributeStore;
  private capacity = 64;
  /** First entry of each prefix. */
  head: Uint32Array;
  next = new Uint32Array(this.capacity);
  pathId = new Uint32Array(this.capacity);
  attr = new Uint32Array(this.capacity);
  source = new Uint16Array(this.capacity);
  private freeHead = 0;
  private used = 1;

  /** @param rows prefix rows */
  constructor(attributes: AttributeStore, rows: number) {
    this.attributes = attributes;
    this.head = new Uint32Array(rows);
  }

  ensureRows(rows: number): void {
    if (this.head.length < rows) this.head = grown(this.head, rows);
  }

  /** First entry of a prefix, 0 for none. */
  first(row: number): number {
    return row < this.head.length ? this.head[row] : 0;
  }

  /** Entry of a path identifier, 0 for none. */
  find(row: number, pathId: number): number {
    let entry = this.first(row);
    while (entry !== 0 && this.pathId[entry] !== pathId) entry = this.next[entry];
    return entry;
  }

  /** The entries of a prefix as values. They hold no references. */
  read(row: number): ChosenPath[] {
    const told: ChosenPath[] = [];
    for (let entry = this.first(row); entry !== 0; entry = this.next[entry]) {
      told.push({ pathId: this.pathId[entry], attr: this.attr[entry], source: this.source[entry] });
    }
    return told;
  }

  /** Puts other entries in the place of those that a prefix has; a reference on each attribute set is taken. */
  replace(row: number, paths: readonly ChosenPath[]): void {
    for (const { attr } of paths) this.attributes.retain(attr);
    let entry = this.head[row];
    while (entry !== 0) {
      const next = this.next[entry];
      this.attributes.release(this.attr[entry]);
      this.attr[entry] = 0;
      this.next[entry] = this.freeHead;
      this.freeHead = entry;
      entry = next;
    }
    this.head[row] = 0;
    for (let i = paths.length - 1; i >= 0; i--) this.push(row, paths[i]);
  }

  private push(row: number, { pathId, attr, source }: ChosenPath): void {
    let entry = this.freeHead;
    if (entry !== 0) this.freeHead = this.next[entry];
    else {
      if (this.used === this.capacity) this.grow();
      entry = this.used++;
    }
    this.pathId[entry] = pathId;
    this.attr[entry] = attr;
    this.source[entry] = source;
    this.next[entry] = this.head[row];
    this.head[row] = entry;
  }

  /** A copy with references of its own. */
  copy(): PathOut {
    const copy = new PathOut(this.attributes, 0);
    copy.head = this.head.slice();
    copy.next = this.next.slice();
    copy.pathId = this.pathId.slice();
    copy.attr = this.attr.slice();
    copy.source = this.source.slice();
    copy.capacity = this.capacity;
    copy.used = this.used;
    copy.freeHead = this.freeHead;
    for (let entry = 1; entry < this.used; entry++) {
      if (this.attr[entry] !== 0) this.attributes.retain(this.attr[entry]);
    }
    return copy;
  }

  /** Visits all entries. */
  each(visit: (row: number, attr: AttrId) => void): void {
    for (let row = 0; row < this.head.length; row++) {
      for (let entry = this.head[row]; entry !== 0; entry = this.next[entry]) visit(row, this.attr[entry]);
    }
  }

  /** Lets go of all references. */
  releaseAll(): void {
    for (let entry = 1; entry < this.used; entry++) {
      if (this.attr[entry] !== 0) this.attributes.release(this.attr[entry]);
    }
    this.used = 1;
    this.freeHead = 0;
    this.head.fill(0);
  }

  private grow(): void {
    this.capacity = nextCapacity(this.capacity);
    this.next = grown(this.next, this.capacity);
    this.pathId = grown(this.pathId, this.capacity);
    this.attr = grown(this.attr, this.capacity);
    this.source = grown(this.source, this.capacity);
  }

  memoryBytes(): number {
    return this.head.byteLength + this.capacity * 14;
  }
}
