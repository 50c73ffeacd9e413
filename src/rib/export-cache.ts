/**
 * Results of export by attribute id, shared by all update groups and valid for one batch of one group. Batches do not
 * overlap, so one set of columns serves a thousand groups.
 */
import { grown } from "../base/columns.ts";
import type { AttrId, AttributeStore } from "./attribute-store.ts";

export class ExportCache {
  private readonly attributes: AttributeStore;
  out = new Uint32Array(0);
  gate = new Uint8Array(0);
  source = new Uint16Array(0);
  private batchOf = new Uint32Array(0);
  private batch = 1;
  /** References held until the batch ends. */
  private readonly held: AttrId[] = [];

  constructor(attributes: AttributeStore) {
    this.attributes = attributes;
  }

  has(attr: AttrId, source: number): boolean {
    return attr < this.batchOf.length && this.batchOf[attr] === this.batch && this.source[attr] === source;
  }

  put(attr: AttrId, source: number, out: AttrId, gate: number): void {
    if (attr >= this.batchOf.length) {
      const capacity = this.attributes.localPref.length;
      this.batchOf = grown(this.batchOf, capacity);
      this.out = grown(this.out, capacity);
      this.gate = grown(this.gate, capacity);
      this.source = grown(this.source, capacity);
    }
    this.batchOf[attr] = this.batch;
    this.source[attr] = source;
    this.out[attr] = out;
    this.gate[attr] = gate;
  }

  /** Keeps a reference that the caller got until the batch ends. */
  hold(id: AttrId): AttrId {
    this.held.push(id);
    return id;
  }

  endBatch(): void {
    for (const id of this.held) this.attributes.release(id);
    this.held.length = 0;
    this.batch = (this.batch + 1) >>> 0;
  }

  memoryBytes(): number {
    return this.batchOf.length * 11;
  }
}
