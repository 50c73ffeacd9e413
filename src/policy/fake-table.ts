/** An attribute table for tests, those of policy texts too: plain, and strict about references. Ids are reused as soon as they are free. */
import { assert } from "../base/assert.ts";
import { DerivedAttributes, decodeBlock, deriveBlock, encodeBlock } from "../wire/block.ts";
import { MessageWriter } from "../wire/message-writer.ts";
import type { PathAttributes } from "../wire/path-attributes.ts";
import { emptyAttributes } from "../wire/path-attributes.ts";
import type { AttributeBlock } from "../wire/scratch.ts";
import type { AttributeTable } from "./attribute-table.ts";

const CAPACITY = 1 << 16;

export class FakeAttributeTable implements AttributeTable {
  readonly localPref = new Uint32Array(CAPACITY);
  readonly med = new Uint32Array(CAPACITY);
  readonly origin = new Uint8Array(CAPACITY);
  readonly pathLength = new Uint16Array(CAPACITY);
  readonly neighborAs = new Uint32Array(CAPACITY);
  readonly originAs = new Uint32Array(CAPACITY);
  readonly flags = new Uint32Array(CAPACITY);
  readonly epoch = new Uint32Array(CAPACITY);
  /** References held by id. */
  readonly references = new Uint32Array(CAPACITY);
  /** Calls of `intern`. */
  interned = 0;
  private readonly blocks: (Uint8Array | undefined)[] = [undefined];
  private readonly ids = new Map<string, number>();
  private readonly free: number[] = [];

  /** The id of these attributes over the empty ones, with one reference. */
  add(attributes: Partial<PathAttributes>): number {
    const writer = new MessageWriter();
    encodeBlock({ ...emptyAttributes(), ...attributes }, writer);
    return this.intern(writer.bytes, 0, writer.at);
  }

  attributes(id: number): PathAttributes {
    const bytes = this.bytesOf(id);
    return decodeBlock(bytes, 0, bytes.length);
  }

  /** Ids in use. */
  get size(): number {
    return this.ids.size;
  }

  block(id: number, out: AttributeBlock): void {
    out.bytes = this.bytesOf(id);
    out.start = 0;
    out.end = out.bytes.length;
  }

  intern(bytes: Uint8Array, start: number, end: number): number {
    this.interned++;
    const block = bytes.slice(start, end);
    const key = block.join();
    let id = this.ids.get(key);
    if (id === undefined) {
      id = this.free.pop() ?? this.blocks.length;
      assert(id < CAPACITY, "the fake table is full");
      this.blocks[id] = block;
      this.ids.set(key, id);
      this.derive(id, block);
    }
    this.references[id]++;
    return id;
  }

  retain(id: number): void {
    this.bytesOf(id);
    this.references[id]++;
  }

  release(id: number): void {
    const block = this.bytesOf(id);
    if (--this.references[id] > 0) return;
    this.ids.delete(block.join());
    this.blocks[id] = undefined;
    this.epoch[id]++;
    this.free.push(id);
  }

  private bytesOf(id: number): Uint8Array {
    const block = this.blocks[id];
    assert(block, `attribute set ${id} is free`);
    return block;
  }

  private derive(id: number, block: Uint8Array): void {
    const derived = new DerivedAttributes();
    deriveBlock(block, 0, block.length, derived);
    this.localPref[id] = derived.localPref;
    this.med[id] = derived.med;
    this.origin[id] = derived.origin;
    this.pathLength[id] = derived.pathLength;
    this.neighborAs[id] = derived.neighborAs;
    this.originAs[id] = derived.originAs;
    this.flags[id] = derived.flags;
  }
}
