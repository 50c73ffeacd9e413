/**
 * Update groups. Neighbors whose outgoing bytes would be equal share one Adj-RIB-Out. A change is put through export
 * once, encoded once, and sent to all members.
 *
 *   change list:  ... p7  p3 [follower] p9  p1 [front] p4  p8   (tail: newest)
 *
 * The front evaluates: it alone runs export and writes the Adj-RIB-Out. Followers are members that are behind: new ones
 * that get the table for the first time, ones that asked for a refresh, ones whose socket was full. A follower reads
 * the Adj-RIB-Out and joins the front when both stand at the tail: of a prefix that waits behind the front it still
 * tells what members at the front know, and the follower may not. Why not per neighbor: 200 route-server clients would
 * cost 200 times the work and the memory.
 *
 * This is what all groups have in common: who the members are and where they stand. What is held per prefix is that of
 * `BestGroup` (one route) and `PathGroup` (several, RFC 7911).
 */
import { assert } from "../base/assert.ts";
import { grown } from "../base/columns.ts";
import { parseIp } from "../base/ip.ts";
import type { AttrId, AttributeStore } from "./attribute-store.ts";
import { after } from "./change-list.ts";
import type { ChosenPath } from "./export-gates.ts";
import type { Exporter } from "./exporter.ts";
import type { RouteTable } from "./route-table.ts";
import type { UpdateBatch } from "./update-batch.ts";
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

/** What groups work with. */
export interface GroupParts {
  readonly table: RouteTable;
  readonly exporter: Exporter;
  readonly attributes: AttributeStore;
  readonly batch: UpdateBatch;
  readonly writer: UpdateWriter;
  readonly host: GroupHost;
}

/** Members that stand at one place of the change list. */
export interface Place {
  readonly marker: number;
  members: number[];
  /** Still at the head, nothing looked at: others may join. */
  fresh: boolean;
}

/** Bytes that may wait in a member's socket before it falls behind: more when the bytes are shared. */
const queuedAloneMax = 1 << 20;
const queuedSharedMax = 16 << 20;

export abstract class UpdateGroup<Follower extends Place = Place> {
  readonly id: number;
  readonly table: RouteTable;
  readonly exporter: Exporter;
  protected readonly attributes: AttributeStore;
  protected readonly host: GroupHost;
  protected readonly batch: UpdateBatch;
  protected readonly writer: UpdateWriter;
  /** Set when the group was let go. */
  closed = false;
  /** Routes in the Adj-RIB-Out; by source too, as a source does not get its own back. */
  count = 0;
  private countBySource = new Uint32Array(0);
  protected readonly front: Place;
  protected readonly followers: Follower[] = [];
  /** Members that still wait for End-of-RIB, with the revision that ends their first sync. */
  protected readonly awaitingEnd = new Map<number, number>();
  /** Row of the default route when the group originates one. */
  private defaultRow = 0;
  private defaultAttr: AttrId = 0;
  private cost = 0;

  constructor(id: number, { table, exporter, attributes, batch, writer, host }: GroupParts) {
    this.id = id;
    this.table = table;
    this.exporter = exporter;
    this.attributes = attributes;
    this.batch = batch;
    this.writer = writer;
    this.host = host;
    exporter.fits = (attr, ruleBytes) => writer.fits(attr, ruleBytes);
    this.front = { marker: table.addMarker(), members: [], fresh: true };
    table.changes.markHead(this.front.marker);
  }

  // ------------------------------------------------------------------------------- what is held per prefix

  /** True when the Adj-RIB-Out of a member holds the prefix. */
  abstract announces(prefix: number, neighbor: number): boolean;
  /**
   * Visits what the Adj-RIB-Out of a member holds of a prefix: attributes, the neighbor that the route came from (0 for
   * one that we originate), and its path identifier (0 without Add-Path).
   */
  abstract eachRoute(
    prefix: number,
    neighbor: number,
    visit: (attr: AttrId, source: number, pathId: number) => void,
  ): void;
  /** What it holds of a prefix, whoever may hear of it. */
  abstract held(prefix: number): readonly ChosenPath[];
  abstract memoryBytes(): number;
  /** Lets the columns follow the table's growth. */
  protected abstract grow(): void;
  /** Puts one prefix through export and collects what members at the front must hear. */
  protected abstract evaluate(row: number): void;
  /** Collects what the Adj-RIB-Out says of a prefix, for members that may have been told something else. */
  protected abstract repeat(row: number, follower: Follower): void;
  /** True when export of a prefix would now end differently. */
  protected abstract differs(row: number): boolean;
  /** Visits the Adj-RIB-Out. */
  protected abstract eachAnnounced(visit: (row: number, attr: AttrId) => void): void;
  /** What members know that were told nothing. */
  protected abstract untold(place: Place): Follower;
  /** What `members` know, who stood at `from`. With `again` they are to hear all of it once more. */
  protected abstract told(place: Place, from: Place, members: readonly number[], again: boolean): Follower;
  /** What a member of another group knows. */
  protected abstract toldBy(place: Place, donor: UpdateGroup, neighbor: number): Follower;
  /** Lets go of what a follower holds. */
  protected abstract release(follower: Follower): void;
  /** Lets go of the Adj-RIB-Out. */
  protected abstract releaseAll(): void;

  // ------------------------------------------------------------------------------------------------ members

  /** Announces a default route with these attributes (one reference passes to the group) to all members. */
  originateDefault(attr: AttrId): void {
    this.defaultRow = this.table.prefix(new Uint8Array(16), 0, 0);
    this.table.pin(this.defaultRow);
    this.defaultAttr = attr;
    this.table.changes.touch(this.defaultRow);
  }

  /** Attributes of the default route that the group originates, when the prefix is that; else 0. */
  defaultFor(row: number): AttrId {
    return row !== 0 && row === this.defaultRow ? this.defaultAttr : 0;
  }

  /** Lets go of everything. The group must have no members. */
  close(): void {
    assert(this.size === 0, "close of an update group with members");
    this.closed = true;
    this.releaseAll();
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
    return this.count - (this.countBySource[neighbor] ?? 0);
  }

  /** The UPDATE that announces one prefix with these attributes; undefined when they fit no message. */
  message(row: number, attr: AttrId, pathId = 0): Uint8Array | undefined {
    const { writer } = this;
    writer.reset();
    if (!writer.beginReach(attr)) return undefined;
    writer.add(row, pathId);
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
    let follower = this.followers.find((each) => each.fresh && this.isUntold(each));
    if (!follower) {
      follower = this.untold(this.newPlace(true));
      this.followers.push(follower);
    }
    follower.members.push(neighbor);
  }

  protected abstract isUntold(follower: Follower): boolean;

  /**
   * Takes a member over from another group of the same table and class: it hears only what differs. One that was
   * behind there may hear everything again.
   */
  adopt(neighbor: number, address: string, donor: UpdateGroup): void {
    this.addAddress(neighbor, address);
    if (donor.awaitingEnd.has(neighbor)) this.awaitingEnd.set(neighbor, this.table.changes.revision);
    let follower = donor.isAtFront(neighbor)
      ? this.followers.find((each) => this.isCopyOf(each, donor))
      : undefined;
    if (!follower) {
      follower = this.toldBy(this.newPlace(donor.isAtFront(neighbor)), donor, neighbor);
      this.followers.push(follower);
    }
    follower.members.push(neighbor);
  }

  /** True when a follower holds what members at the donor's front were told, and nobody was told more since. */
  protected abstract isCopyOf(follower: Follower, donor: UpdateGroup): boolean;

  /** True for a member that was told all that was announced; one that is behind may not have been. */
  isAtFront(neighbor: number): boolean {
    return this.front.members.includes(neighbor);
  }

  /** Routes that name the new member's address as next hop go through export again before it hears of them. */
  private addAddress(neighbor: number, address: string): void {
    const { exporter, table } = this;
    exporter.memberAddresses.set(address, neighbor);
    const bytes = parseIp(address);
    if (!bytes) return;
    const named = new Map<AttrId, boolean>();
    this.eachAnnounced((row, attr) => {
      let names = named.get(attr);
      if (names === undefined) {
        names = exporter.hasNextHop(attr, bytes);
        named.set(attr, names);
      }
      if (names) table.changes.touch(row);
    });
  }

  leave(neighbor: number, address: string): void {
    this.exporter.memberAddresses.delete(address);
    this.awaitingEnd.delete(neighbor);
    this.remove(neighbor, this.placeOf(neighbor));
  }

  /** Sends a member everything again (ROUTE-REFRESH, soft reset out). */
  resend(neighbor: number): void {
    const from = this.placeOf(neighbor);
    const follower = this.told(this.newPlace(false), from, [neighbor], true);
    this.remove(neighbor, from);
    this.followers.push(follower);
    follower.members.push(neighbor);
    this.awaitingEnd.set(neighbor, this.table.changes.revision);
  }

  private remove(neighbor: number, from: Place): void {
    from.members.splice(from.members.indexOf(neighbor), 1);
    if (from !== this.front && from.members.length === 0) this.dissolve(from as Follower);
  }

  private newPlace(fresh: boolean): Place {
    const marker = this.table.addMarker();
    this.table.changes.markHead(marker);
    return { marker, members: [], fresh };
  }

  protected placeOf(neighbor: number): Place {
    if (this.isAtFront(neighbor)) return this.front;
    const place = this.followers.find((follower) => follower.members.includes(neighbor));
    assert(place, "not a member of the update group");
    return place;
  }

  private dissolve(follower: Follower): void {
    this.release(follower);
    this.followers.splice(this.followers.indexOf(follower), 1);
    this.table.removeMarker(follower.marker);
  }

  // ------------------------------------------------------------------------------------------------ running

  /** True when `run` could do something now: evaluate, or send to a member with room. */
  hasWork(): boolean {
    return this.frontHasWork() || this.followers.some((follower) => this.canRun(follower)) || this.endsDue();
  }

  private frontHasWork(): boolean {
    return this.nextForFront() !== 0 && !this.frontWaits();
  }

  /** What the front evaluates next; 0 when there is nothing, or somebody else has to look at it first. */
  private nextForFront(): number {
    const { next } = this.table.changes;
    let row = next[this.front.marker];
    while (row !== 0 && this.table.isMarker(row)) {
      if (this.isBarrier(row)) return 0;
      row = next[row];
    }
    return row;
  }

  private isBarrier(row: number): boolean {
    const { installed } = this.exporter.config;
    return installed !== undefined && this.table.isMarker(row) && installed.isBarrier(this.table, row);
  }

  /** True when the Adj-RIB-Out keeps what it has of a prefix until the kernel has answered; it is touched then. */
  private staysAsTold(row: number): boolean {
    return this.defaultFor(row) === 0 && this.exporter.isPending(row);
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
    if (!this.isAtFront(neighbor)) return false;
    const { installed } = this.exporter.config;
    // After a restart the neighbor drops at End-of-RIB what it has not heard by then.
    if (installed && !installed.isCaughtUp(this.table)) return false;
    return !after(this.awaitingEnd.get(neighbor)!, this.revision) || this.nextRoute(this.front.marker) === 0;
  }

  private canRun(follower: Place): boolean {
    return follower.members.some((member) => this.host.queuedBytes(member) <= queuedMax(follower));
  }

  private isFull(frontMember: number): boolean {
    return this.host.queuedBytes(frontMember) > queuedMax(this.front);
  }

  /** How far the front has come. */
  get revision(): number {
    return this.table.changes.revisionOf[this.front.marker];
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
    this.grow();
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
  private detachFull(place: Place): void {
    const full = place.members.filter((member) => this.host.queuedBytes(member) > queuedMax(place));
    if (full.length === 0) return;
    const behind = this.told(this.newPlace(false), place, full, false);
    this.followers.push(behind);
    this.table.changes.moveAfter(behind.marker, place.marker);
    behind.members.push(...full);
    place.members = place.members.filter((member) => !full.includes(member));
    // The new marker must stand before the one that moves on; both are at the same revision.
    this.table.changes.moveAfter(place.marker, behind.marker);
  }

  private runFront(): void {
    const { changes } = this.table;
    const { next } = changes;
    let last = 0;
    let taken = 0;
    for (let row = next[this.front.marker]; row !== 0 && !this.batch.isFull(taken); row = next[row]) {
      if (this.isBarrier(row)) break;
      last = row;
      if (this.table.isMarker(row)) continue;
      taken++;
      if (!this.staysAsTold(row)) this.evaluate(row);
    }
    this.cost += taken;
    if (last !== 0) changes.moveAfter(this.front.marker, last);
    if (taken > 0) this.front.fresh = false;
    if (!this.batch.empty) this.flush(this.front.members);
    this.exporter.endBatch();
  }

  private runFollower(follower: Follower): void {
    const { changes } = this.table;
    const { next } = changes;
    follower.fresh = false;
    let last = 0;
    let taken = 0;
    let row = next[follower.marker];
    for (; row !== 0 && row !== this.front.marker && !this.batch.isFull(taken); row = next[row]) {
      last = row;
      if (this.table.isMarker(row)) continue;
      taken++;
      this.repeat(row, follower);
    }
    this.cost += taken;
    if (last !== 0) changes.moveAfter(follower.marker, last);
    if (!this.batch.empty) this.flush(follower.members);
    if (row === this.front.marker && this.nextRoute(row) === 0) {
      this.front.members.push(...follower.members);
      this.dissolve(follower);
    }
  }

  protected uncount(source: number): void {
    this.count--;
    this.countBySource[source]--;
  }

  protected recount(source: number): void {
    this.count++;
    if (source >= this.countBySource.length)
      this.countBySource = grown(this.countBySource, Math.max(16, source * 2));
    this.countBySource[source]++;
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
      if (!this.staysAsTold(row) && this.differs(row)) this.table.changes.touch(row);
    }
    this.exporter.endBatch();
    return end < this.table.prefixes.rows ? end : 0;
  }
}

function queuedMax(place: Place): number {
  return place.members.length > 1 ? queuedSharedMax : queuedAloneMax;
}
