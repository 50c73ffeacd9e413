/**
 * Update groups. Neighbors whose outgoing bytes would be equal share one Adj-RIB-Out: two columns, attributes and
 * source by prefix. A change is put through export once, encoded once, and sent to all members.
 *
 *   change list:  ... p7  p3 [follower] p9  p1 [front] p4  p8   (tail: newest)
 *
 * The front evaluates: it alone runs export and writes the columns. Followers are members that are behind: new ones
 * that get the table for the first time, ones that asked for a refresh, ones whose socket was full. A follower reads
 * the columns and joins the front when both stand at the tail: of a prefix that waits behind the front the columns
 * still tell what members at the front know, and the follower may not. Why not per neighbor: 200 route-server clients
 * would cost 200 times the work and the memory.
 */
import { assert } from "../base/assert.ts";
import { grown } from "../base/columns.ts";
import { parseIp } from "../base/ip.ts";
import type { AttrId, AttributeStore } from "./attribute-store.ts";
import { after } from "./change-list.ts";
import { type Exporter, ExportGate } from "./exporter.ts";
import type { RouteTable } from "./route-table.ts";
import { everybody, type UpdateBatch } from "./update-batch.ts";
import type { UpdateWriter } from "./update-writer.ts";

/** What a group needs of the sessions of its members. */
export interface GroupHost {
  send(neighbor: number, bytes: Uint8Array): void;
  /** Bytes handed over and not yet taken by the neighbor's socket. */
  queuedBytes(neighbor: number): number;
  /** A neighbor has got everything that was in the table when it joined (or asked again). */
  endOfRib(group: UpdateGroup, neighbor: number): void;
  /** The attributes of a prefix fit no message: it is not announced. */
  oversize(group: UpdateGroup, prefix: number): void;
}

/** Members that stand at one place of the change list. */
interface Position {
  marker: number;
  members: number[];
  /** Prefixes that were announced from here, one bit each; undefined for the front, whose columns know. */
  told: Uint8Array | undefined;
  /** Still at the head, nothing looked at: others may join. */
  fresh: boolean;
  /** For members that came from another group: what they were told there, until it is compared. */
  baseline: Baseline | undefined;
}

/** A copy of another group's Adj-RIB-Out. It holds a reference on each attribute set. */
interface Baseline {
  readonly donor: UpdateGroup;
  /** How far the donor was when the copy was made. */
  readonly revision: number;
  readonly attr: Uint32Array;
  readonly source: Uint16Array;
}

/** Bytes that may wait in a member's socket before it falls behind: more when the bytes are shared. */
const queuedAloneMax = 1 << 20;
const queuedSharedMax = 16 << 20;

export class UpdateGroup {
  readonly id: number;
  readonly table: RouteTable;
  readonly exporter: Exporter;
  private readonly attributes: AttributeStore;
  private readonly host: GroupHost;
  private readonly batch: UpdateBatch;
  private readonly writer: UpdateWriter;
  /**
   * Adj-RIB-Out: attribute set announced, 0 for none, and the member that must not hear of it (`Exporter.withheld`).
   */
  attr: Uint32Array;
  source: Uint16Array;
  /** Set when the group was let go. */
  closed = false;
  /** Routes in the Adj-RIB-Out; by source too, as a source does not get its own back. */
  count = 0;
  readonly countBySource = new Map<number, number>();
  private readonly front: Position;
  private readonly followers: Position[] = [];
  /** Members that still wait for End-of-RIB, with the revision that ends their first sync. */
  private readonly awaitingEnd = new Map<number, number>();
  /** Row of the default route when the group originates one. */
  private defaultRow = 0;
  private defaultAttr: AttrId = 0;
  private cost = 0;

  constructor(
    id: number,
    table: RouteTable,
    exporter: Exporter,
    attributes: AttributeStore,
    batch: UpdateBatch,
    writer: UpdateWriter,
    host: GroupHost,
  ) {
    this.id = id;
    this.table = table;
    this.exporter = exporter;
    this.attributes = attributes;
    this.batch = batch;
    this.writer = writer;
    this.host = host;
    this.attr = new Uint32Array(table.head.length);
    this.source = new Uint16Array(table.head.length);
    exporter.fits = (attr) => writer.fits(attr);
    this.front = {
      marker: table.addMarker(),
      members: [],
      told: undefined,
      fresh: true,
      baseline: undefined,
    };
    table.changes.markHead(this.front.marker);
  }

  /** Announces a default route with these attributes (one reference passes to the group) to all members. */
  originateDefault(attr: AttrId): void {
    this.defaultRow = this.table.prefix(new Uint8Array(16), 0, 0);
    this.table.pin(this.defaultRow);
    this.defaultAttr = attr;
    this.table.changes.touch(this.defaultRow);
  }

  /** Lets go of everything. The group must have no members. */
  close(): void {
    assert(this.size === 0, "close of an update group with members");
    this.closed = true;
    for (let row = 0; row < this.attr.length; row++)
      if (this.attr[row] !== 0) this.attributes.release(this.attr[row]);
    if (this.defaultRow !== 0) {
      this.table.unpin(this.defaultRow);
      this.attributes.release(this.defaultAttr);
    }
    this.table.removeMarker(this.front.marker);
  }

  get size(): number {
    return (
      this.front.members.length + this.followers.reduce((sum, follower) => sum + follower.members.length, 0)
    );
  }

  members(): number[] {
    return [...this.front.members, ...this.followers.flatMap((follower) => follower.members)];
  }

  /** Routes announced to a member. */
  advertisedTo(neighbor: number): number {
    return this.count - (this.countBySource.get(neighbor) ?? 0);
  }

  /** True when the Adj-RIB-Out of a member holds the prefix. */
  announces(prefix: number, neighbor: number): boolean {
    return prefix < this.attr.length && this.attr[prefix] !== 0 && this.source[prefix] !== neighbor;
  }

  /** The neighbor that an announced route came from, 0 for one that we originate. */
  sourceOf(prefix: number): number {
    const best = this.table.bestOf(prefix);
    return best !== 0 && this.table.paths.neighbor[best] === 0 ? 0 : this.source[prefix];
  }

  /** Attributes of the default route that the group originates, when the prefix is that; else 0. */
  defaultFor(row: number): AttrId {
    return row !== 0 && row === this.defaultRow ? this.defaultAttr : 0;
  }

  /** What goes out for a prefix now, 0 for nothing; `withheld` of the exporter is the member that must not hear it. */
  private choose(row: number): AttrId {
    const { exporter } = this;
    const attr = this.defaultFor(row);
    if (attr === 0) return exporter.choose(row);
    exporter.withheld = 0;
    return attr;
  }

  /** The UPDATE that announces one prefix with these attributes; undefined when they fit no message. */
  message(row: number, attr: AttrId): Uint8Array | undefined {
    const { writer } = this;
    writer.reset();
    if (!writer.beginReach(attr)) return undefined;
    writer.add(row);
    writer.end();
    return writer.take();
  }

  /** An End-of-RIB message for the members. */
  endOfRib(): Uint8Array {
    return this.writer.endOfRib();
  }

  /** True when everything up to the present has been sent to the member. */
  inSync(neighbor: number): boolean {
    return this.front.members.includes(neighbor) && this.nextRoute(this.front.marker) === 0;
  }

  /** Adds a neighbor that has been told nothing; End-of-RIB follows when it has the table. */
  join(neighbor: number, address: string): void {
    this.addAddress(neighbor, address);
    this.awaitingEnd.set(neighbor, this.table.changes.revision);
    if (this.front.fresh) {
      this.front.members.push(neighbor);
      return;
    }
    let position = this.followers.find((follower) => follower.fresh && !follower.baseline);
    if (!position) {
      position = this.follow(new Uint8Array(this.bitmapBytes()), true);
      this.table.changes.markHead(position.marker);
    }
    position.members.push(neighbor);
  }

  /**
   * Takes a member over from another group of the same table: it hears only what differs. One that was behind there
   * has been told more or less than the columns say, so it hears everything again.
   */
  adopt(neighbor: number, address: string, donor: UpdateGroup): void {
    this.addAddress(neighbor, address);
    if (donor.awaitingEnd.has(neighbor)) this.awaitingEnd.set(neighbor, this.table.changes.revision);
    const { told } = donor.placeOf(neighbor);
    let position = told ? undefined : this.followers.find((follower) => isCopyOf(follower, donor));
    if (!position) {
      position = this.follow(told ? told.slice() : donor.announcedBitmap(everybody), true);
      position.baseline = told ? undefined : donor.copyColumns();
      position.fresh = !told;
      this.table.changes.markHead(position.marker);
    }
    position.members.push(neighbor);
  }

  /** Routes that name the new member's address as next hop go through export again before it hears of them. */
  private addAddress(neighbor: number, address: string): void {
    const { exporter, attr, table } = this;
    exporter.memberAddresses.set(address, neighbor);
    const bytes = parseIp(address);
    if (bytes?.length !== table.family.addressBytes) return;
    const named = new Map<AttrId, boolean>();
    for (let row = 0; row < attr.length; row++) {
      if (attr[row] === 0) continue;
      let names = named.get(attr[row]);
      if (names === undefined) {
        names = exporter.hasNextHop(attr[row], bytes);
        named.set(attr[row], names);
      }
      if (names) table.changes.touch(row);
    }
  }

  /** How far the front has come. */
  get revision(): number {
    return this.table.changes.revisionOf[this.front.marker];
  }

  private copyColumns(): Baseline {
    const attr = this.attr.slice();
    for (let row = 0; row < attr.length; row++) if (attr[row] !== 0) this.attributes.retain(attr[row]);
    return { donor: this, revision: this.revision, attr, source: this.source.slice() };
  }

  leave(neighbor: number, address: string): void {
    this.exporter.memberAddresses.delete(address);
    this.awaitingEnd.delete(neighbor);
    const place = this.placeOf(neighbor);
    place.members.splice(place.members.indexOf(neighbor), 1);
    if (place !== this.front && place.members.length === 0) this.dissolve(place);
  }

  /** Sends a member everything again (ROUTE-REFRESH, soft reset out). */
  resend(neighbor: number): void {
    const place = this.placeOf(neighbor);
    const told = place.told ? place.told.slice() : this.announcedBitmap(neighbor);
    place.members.splice(place.members.indexOf(neighbor), 1);
    if (place !== this.front && place.members.length === 0) this.dissolve(place);
    const position = this.follow(told, false);
    this.table.changes.markHead(position.marker);
    position.members.push(neighbor);
    this.awaitingEnd.set(neighbor, this.table.changes.revision);
  }

  private follow(told: Uint8Array, fresh: boolean): Position {
    const position: Position = {
      marker: this.table.addMarker(),
      members: [],
      told,
      fresh,
      baseline: undefined,
    };
    this.followers.push(position);
    return position;
  }

  private placeOf(neighbor: number): Position {
    if (this.front.members.includes(neighbor)) return this.front;
    const place = this.followers.find((follower) => follower.members.includes(neighbor));
    assert(place, "not a member of the update group");
    return place;
  }

  private dissolve(place: Position): void {
    for (const attr of place.baseline?.attr ?? []) if (attr !== 0) this.attributes.release(attr);
    this.followers.splice(this.followers.indexOf(place), 1);
    this.table.removeMarker(place.marker);
  }

  /** True when `run` could do something now: evaluate, or send to a member with room. */
  hasWork(): boolean {
    return this.frontHasWork() || this.followers.some((follower) => this.canRun(follower)) || this.endsDue();
  }

  private frontHasWork(): boolean {
    return this.nextRoute(this.front.marker) !== 0 && !this.frontWaits();
  }

  /** The front waits for its members' sockets as long as this keeps nobody else waiting. */
  private frontWaits(): boolean {
    const { members } = this.front;
    return (
      members.length > 0 && this.followers.length === 0 && members.every((member) => this.isFull(member))
    );
  }

  private endsDue(): boolean {
    for (const neighbor of this.awaitingEnd.keys()) if (this.isEndDue(neighbor)) return true;
    return false;
  }

  private isEndDue(neighbor: number): boolean {
    if (!this.front.members.includes(neighbor)) return false;
    return !after(this.awaitingEnd.get(neighbor)!, this.revision) || this.nextRoute(this.front.marker) === 0;
  }

  private canRun(follower: Position): boolean {
    return follower.members.some((member) => this.host.queuedBytes(member) <= this.queuedMax(follower));
  }

  private isFull(frontMember: number): boolean {
    return this.host.queuedBytes(frontMember) > this.queuedMax(this.front);
  }

  private queuedMax(place: Position): number {
    return place.members.length > 1 ? queuedSharedMax : queuedAloneMax;
  }

  /** The first row after `from` that is not a marker; 0 at the end. */
  private nextRoute(from: number): number {
    const { next } = this.table.changes;
    let row = next[from];
    while (row !== 0 && this.table.isMarker(row)) row = next[row];
    return row;
  }

  /** The smallest revision that all members have passed: what lies before may be forgotten. */
  passedRevision(): number {
    const { revisionOf } = this.table.changes;
    let passed = revisionOf[this.front.marker];
    for (const follower of this.followers) {
      if (after(passed, revisionOf[follower.marker])) passed = revisionOf[follower.marker];
    }
    return passed;
  }

  /**
   * One bounded step: a batch for the front and one for each follower that has room.
   * @returns what it cost, in prefixes looked at plus members served
   */
  run(): number {
    this.cost = 1;
    if (this.attr.length < this.table.head.length) {
      this.attr = grown(this.attr, this.table.head.length);
      this.source = grown(this.source, this.table.head.length);
    }
    if (!this.frontWaits()) {
      this.detachFull(this.front);
      this.runFront();
    }
    for (const follower of [...this.followers]) {
      if (!this.canRun(follower)) continue;
      if (follower.members.length > 1) this.detachFull(follower);
      this.runFollower(follower);
    }
    this.sendEnds();
    return this.cost;
  }

  /** Members whose sockets are full stay behind at a place of their own. */
  private detachFull(place: Position): void {
    const full = place.members.filter((member) => this.host.queuedBytes(member) > this.queuedMax(place));
    if (full.length === 0) return;
    const told = place.told
      ? place.told.slice()
      : this.announcedBitmap(full.length === 1 ? full[0] : everybody);
    const behind = this.follow(told, false);
    this.table.changes.markAfter(behind.marker, place.marker);
    behind.members.push(...full);
    place.members = place.members.filter((member) => !full.includes(member));
    // The new marker must stand before the one that moves on; both are at the same revision.
    this.table.changes.moveAfter(place.marker, behind.marker);
  }

  private bitmapBytes(): number {
    return this.table.head.length >> 3;
  }

  /** What the front has announced, without the routes of `source`, who was told all but these. */
  private announcedBitmap(source: number): Uint8Array {
    const told = new Uint8Array(this.bitmapBytes());
    for (let row = 0; row < this.attr.length; row++) {
      if (this.attr[row] !== 0 && this.source[row] !== source) told[row >> 3] |= 1 << (row & 7);
    }
    return told;
  }

  private runFront(): void {
    const { changes } = this.table;
    const { next } = changes;
    const { prefixesMax } = this.batch;
    let last = 0;
    let taken = 0;
    for (let row = next[this.front.marker]; row !== 0 && taken < prefixesMax; row = next[row]) {
      last = row;
      if (this.table.isMarker(row)) continue;
      taken++;
      this.evaluate(row);
    }
    this.cost += taken;
    if (last !== 0) changes.moveAfter(this.front.marker, last);
    if (taken > 0) this.front.fresh = false;
    if (!this.batch.empty) this.flush(this.front.members);
    this.exporter.endBatch();
  }

  /** Puts one prefix through export and collects what members at the front must hear. */
  private evaluate(row: number): void {
    const oldAttr = this.attr[row];
    const oldSource = this.source[row];
    const attr = this.choose(row);
    const source = this.exporter.withheld;
    if (attr === 0 && this.exporter.gate === ExportGate.tooLarge) this.host.oversize(this, row);
    if (attr === oldAttr && (source === oldSource || attr === 0)) return;
    if (this.front.members.length > 0) this.tell(row, oldAttr, oldSource, attr, source);
    if (attr !== oldAttr && attr !== 0) this.attributes.retain(attr);
    if (oldAttr !== 0) this.uncount(oldSource);
    if (attr !== 0) this.recount(source);
    this.attr[row] = attr;
    this.source[row] = source;
    if (oldAttr !== 0 && attr !== oldAttr) this.attributes.release(oldAttr);
  }

  private tell(row: number, oldAttr: AttrId, oldSource: number, attr: AttrId, source: number): void {
    const { batch } = this;
    if (attr === 0) batch.withdraw(row, oldSource);
    else if (attr !== oldAttr) batch.announce(row, attr, source);
    else batch.alone(oldSource, row, attr);
    if (oldAttr !== 0 && attr !== 0 && source !== oldSource) batch.alone(source, row, 0);
  }

  private uncount(source: number): void {
    this.count--;
    const left = (this.countBySource.get(source) ?? 0) - 1;
    if (left > 0) this.countBySource.set(source, left);
    else this.countBySource.delete(source);
  }

  private recount(source: number): void {
    this.count++;
    this.countBySource.set(source, (this.countBySource.get(source) ?? 0) + 1);
  }

  private runFollower(follower: Position): void {
    const { changes } = this.table;
    const { next } = changes;
    const { prefixesMax } = this.batch;
    follower.fresh = false;
    const told = this.toldOf(follower);
    let last = 0;
    let taken = 0;
    let row = next[follower.marker];
    for (; row !== 0 && row !== this.front.marker && taken < prefixesMax; row = next[row]) {
      last = row;
      if (this.table.isMarker(row)) continue;
      taken++;
      this.repeat(row, told, follower);
    }
    this.cost += taken;
    if (last !== 0) changes.moveAfter(follower.marker, last);
    if (!this.batch.empty) this.flush(follower.members);
    if (row === this.front.marker && this.nextRoute(row) === 0) {
      this.front.members.push(...follower.members);
      this.dissolve(follower);
    }
  }

  /** What the columns say of a prefix, to members that may have been told something else. */
  private repeat(row: number, told: Uint8Array, follower: Position): void {
    const { baseline, members } = follower;
    const attr = this.attr[row];
    const source = this.source[row];
    let toldSource = everybody;
    if (baseline && row < baseline.attr.length && baseline.attr[row] !== 0) {
      // Members from another group heard this there. It is asked once per row: from now on `told` knows.
      const before = baseline.attr[row];
      toldSource = baseline.source[row];
      baseline.attr[row] = 0;
      this.attributes.release(before);
      if (before === attr && toldSource === source) return;
    }
    const bit = 1 << (row & 7);
    const wasTold = (told[row >> 3] & bit) !== 0;
    if (attr !== 0) {
      this.batch.announce(row, attr, source);
      if (wasTold && source !== toldSource && members.includes(source)) this.batch.alone(source, row, 0);
      told[row >> 3] |= bit;
    } else if (wasTold) {
      this.batch.withdraw(row, toldSource);
      told[row >> 3] &= ~bit;
    }
  }

  private toldOf(follower: Position): Uint8Array {
    let told = follower.told;
    assert(told, "a follower knows what it told");
    if (told.length < this.bitmapBytes()) {
      told = grown(told, this.bitmapBytes());
      follower.told = told;
    }
    return told;
  }

  private flush(members: readonly number[]): void {
    this.cost += members.length;
    this.batch.flush(this.writer, members, (neighbor, bytes) => this.host.send(neighbor, bytes));
  }

  private sendEnds(): void {
    for (const neighbor of this.awaitingEnd.keys()) {
      if (!this.isEndDue(neighbor)) continue;
      this.awaitingEnd.delete(neighbor);
      this.host.endOfRib(this, neighbor);
    }
  }

  /**
   * After a change of policy: moves each prefix whose export would now differ to the tail, where all members see it.
   * @param from row to go on at; @returns next row, 0 when done
   */
  reexport(from: number, rows: number): number {
    const end = Math.min(this.table.prefixes.rows, from + rows);
    for (let row = from; row < end; row++) {
      if (this.table.isMarker(row) || !this.table.changes.has(row)) continue;
      const attr = this.choose(row);
      const before = row < this.attr.length ? this.attr[row] : 0;
      if (attr !== before || (attr !== 0 && this.exporter.withheld !== this.source[row])) {
        this.table.changes.touch(row);
      }
    }
    this.exporter.endBatch();
    return end < this.table.prefixes.rows ? end : 0;
  }

  memoryBytes(): number {
    return this.attr.length * 6 + this.followers.length * this.bitmapBytes();
  }
}

/** True when the position holds what members at the donor's front were told, and nobody was told more since. */
function isCopyOf(position: Position, donor: UpdateGroup): boolean {
  const { baseline } = position;
  return position.fresh && baseline?.donor === donor && baseline.revision === donor.revision;
}
