/**
 * One batch of changes for the members of an update group that stand at one place: collected by outgoing attribute
 * set, written as UPDATEs once, and handed to the members as shared bytes.
 *
 * A route is not sent back to its source, so the messages are laid out by source and each member gets everything but
 * the part that came from itself. The few prefixes where one member alone must hear something else go to `single`.
 */
import { assert } from "../base/assert.ts";
import { grown } from "../base/columns.ts";
import type { AttrId, AttributeStore } from "./attribute-store.ts";
import type { UpdateWriter } from "./update-writer.ts";

/** Prefixes in one batch at most: about 2 ms of work, and full messages. */
const batchPrefixesMax = 4096;

/** A run of messages that every member but `source` gets. */
interface Segment {
  readonly source: number;
  readonly start: number;
  readonly end: number;
}

/** What one member alone hears. */
interface Single {
  readonly prefix: number;
  readonly attr: AttrId;
  readonly pathId: number;
}

/** No neighbor: for messages that everybody gets. */
export const everybody = -1;

export class UpdateBatch {
  private readonly prefixesMax: number;
  private readonly attributes: AttributeStore;
  /** Columns of the items collected. */
  private prefix: Uint32Array;
  private pathId: Uint32Array;
  private nextItem: Int32Array;
  private items = 0;
  /** Buckets: items of one (attribute set, source); attribute 0 withdraws. */
  private readonly bucketAttr: number[] = [];
  private readonly bucketSource: number[] = [];
  private readonly bucketFirst: number[] = [];
  private readonly bucketNext: number[] = [];
  private buckets = 0;
  /** Bucket by attribute id, valid where the stamp is that of this batch. */
  private bucketOf = new Uint32Array(1024);
  private stampOf = new Uint32Array(1024);
  private stamp = 1;
  /** First bucket of each source, in order of appearance. */
  private readonly sources = new Map<number, number>();
  private readonly withdrawBucket = new Map<number, number>();
  /** What one member alone hears: prefix and attribute (0 withdraws) by neighbor. */
  private readonly single = new Map<number, Single[]>();

  constructor(attributes: AttributeStore, prefixesMax = batchPrefixesMax) {
    this.attributes = attributes;
    this.prefixesMax = prefixesMax;
    this.prefix = new Uint32Array(prefixesMax);
    this.pathId = new Uint32Array(prefixesMax);
    this.nextItem = new Int32Array(prefixesMax);
  }

  get empty(): boolean {
    return this.items === 0 && this.single.size === 0;
  }

  /** True when it is time to flush, after this many prefixes. With Add-Path a prefix may bring several items. */
  isFull(prefixes: number): boolean {
    return prefixes >= this.prefixesMax || this.items >= this.prefixesMax;
  }

  /** Announces to everybody but `source`. */
  announce(prefix: number, attr: AttrId, source: number, pathId = 0): void {
    if (attr >= this.stampOf.length) {
      const capacity = this.attributes.localPref.length;
      this.stampOf = grown(this.stampOf, capacity);
      this.bucketOf = grown(this.bucketOf, capacity);
    }
    let bucket = this.bucketOf[attr];
    if (this.stampOf[attr] !== this.stamp || this.bucketSource[bucket] !== source) {
      bucket = this.addBucket(attr, source);
      this.stampOf[attr] = this.stamp;
      this.bucketOf[attr] = bucket;
    }
    this.addItem(prefix, bucket, pathId);
  }

  /** Withdraws from everybody but `source` (who never heard of it). */
  withdraw(prefix: number, source: number, pathId = 0): void {
    let bucket = this.withdrawBucket.get(source);
    if (bucket === undefined) {
      bucket = this.addBucket(0, source);
      this.withdrawBucket.set(source, bucket);
    }
    this.addItem(prefix, bucket, pathId);
  }

  /** Announces (or with attr 0 withdraws) to one neighbor, after everything else. */
  alone(neighbor: number, prefix: number, attr: AttrId, pathId = 0): void {
    const list = this.single.get(neighbor);
    if (list) list.push({ prefix, attr, pathId });
    else this.single.set(neighbor, [{ prefix, attr, pathId }]);
  }

  private addBucket(attr: AttrId, source: number): number {
    const bucket = this.buckets++;
    this.bucketAttr[bucket] = attr;
    this.bucketSource[bucket] = source;
    this.bucketFirst[bucket] = -1;
    this.bucketNext[bucket] = this.sources.get(source) ?? -1;
    this.sources.set(source, bucket);
    return bucket;
  }

  private addItem(prefix: number, bucket: number, pathId: number): void {
    const item = this.items++;
    if (item === this.prefix.length) this.grow();
    this.prefix[item] = prefix;
    this.pathId[item] = pathId;
    this.nextItem[item] = this.bucketFirst[bucket];
    this.bucketFirst[bucket] = item;
  }

  private grow(): void {
    const capacity = this.prefix.length * 2;
    this.prefix = grown(this.prefix, capacity);
    this.pathId = grown(this.pathId, capacity);
    this.nextItem = grown(this.nextItem, capacity);
  }

  /**
   * Writes what was collected and hands it out, then is empty again.
   * @param members neighbors that get it; @param send gives bytes (shared, never changed) to one of them
   */
  flush(
    writer: UpdateWriter,
    members: readonly number[],
    send: (neighbor: number, bytes: Uint8Array) => void,
  ): void {
    writer.reset();
    const segments: Segment[] = [];
    for (const [source, first] of this.sources) {
      const start = writer.length;
      for (let bucket = first; bucket >= 0; bucket = this.bucketNext[bucket]) this.write(writer, bucket);
      segments.push({ source, start, end: writer.length });
    }
    if (writer.length > 0) deliver(writer.take(), segments, members, send);
    for (const [neighbor, list] of this.single) {
      if (!members.includes(neighbor)) continue;
      writer.reset();
      writeSingle(writer, list);
      send(neighbor, writer.take());
    }
    this.clear();
  }

  private write(writer: UpdateWriter, bucket: number): void {
    begin(writer, this.bucketAttr[bucket]);
    for (let item = this.bucketFirst[bucket]; item >= 0; item = this.nextItem[item]) {
      writer.add(this.prefix[item], this.pathId[item]);
    }
    writer.end();
  }

  private clear(): void {
    this.items = 0;
    this.buckets = 0;
    this.stamp = (this.stamp + 1) >>> 0;
    this.sources.clear();
    this.withdrawBucket.clear();
    this.single.clear();
  }
}

/** What one member alone hears; neighbors in the list with equal attributes share messages. */
function writeSingle(writer: UpdateWriter, list: readonly Single[]): void {
  let open = -1;
  for (const { prefix, attr, pathId } of list) {
    if (attr !== open) {
      writer.end();
      begin(writer, attr);
      open = attr;
    }
    writer.add(prefix, pathId);
  }
  writer.end();
}

/** Begins announcing with these attributes, or with 0 withdrawing. Export lets nothing through that fits no message. */
function begin(writer: UpdateWriter, attr: AttrId): void {
  if (attr === 0) writer.beginWithdraw();
  else assert(writer.beginReach(attr), "attributes that fit no message");
}

/** Each member gets one piece per run of segments that are not its own. */
function deliver(
  bytes: Uint8Array,
  segments: readonly Segment[],
  members: readonly number[],
  send: (neighbor: number, bytes: Uint8Array) => void,
): void {
  const own = new Set(segments.map((segment) => segment.source));
  for (const member of members) {
    if (!own.has(member)) {
      send(member, bytes);
      continue;
    }
    let start = 0;
    for (const segment of segments) {
      if (segment.source !== member) continue;
      if (segment.start > start) send(member, bytes.subarray(start, segment.start));
      start = segment.end;
    }
    if (start < bytes.length) send(member, bytes.subarray(start));
  }
}
