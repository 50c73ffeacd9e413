/**
 * The usual update group: one route per prefix. The Adj-RIB-Out is two columns, attributes and source by prefix; what a
 * follower was told is one bit per prefix.
 */
import { assert } from "../base/assert.ts";
import { grown } from "../base/columns.ts";
import type { AttrId } from "./attribute-store.ts";
import { type ChosenPath, ExportGate } from "./export-gates.ts";
import { everybody } from "./update-batch.ts";
import { type GroupParts, type Place, UpdateGroup } from "./update-group.ts";

/** Members behind the front. */
interface Follower extends Place {
  /** Prefixes that were announced from here, one bit each. */
  announced: Uint8Array;
  /** For members that came from another group: what they were told there, until it is compared. */
  readonly baseline: Baseline | undefined;
}

/** A copy of another group's Adj-RIB-Out. It holds a reference on each attribute set. */
interface Baseline {
  readonly donor: UpdateGroup;
  /** How far the donor was when the copy was made. */
  readonly revision: number;
  readonly attr: Uint32Array;
  readonly source: Uint16Array;
}

export class BestGroup extends UpdateGroup<Follower> {
  /**
   * Adj-RIB-Out: attribute set announced, 0 for none, and the member that must not hear of it (`Exporter.withheld`).
   */
  attr: Uint32Array;
  source: Uint16Array;

  constructor(id: number, parts: GroupParts) {
    super(id, parts);
    this.attr = new Uint32Array(this.table.head.length);
    this.source = new Uint16Array(this.table.head.length);
  }

  override announces(prefix: number, neighbor: number): boolean {
    return prefix < this.attr.length && this.attr[prefix] !== 0 && this.source[prefix] !== neighbor;
  }

  override eachRoute(
    prefix: number,
    neighbor: number,
    visit: (attr: AttrId, source: number, pathId: number) => void,
  ): void {
    if (!this.announces(prefix, neighbor)) return;
    const best = this.table.bestOf(prefix);
    // Of a route that we originate the column holds the owner of its next hop.
    const isLocal = best !== 0 && this.table.paths.neighbor[best] === 0;
    visit(this.attr[prefix], isLocal ? 0 : this.source[prefix], 0);
  }

  override held(prefix: number): readonly ChosenPath[] {
    const attr = prefix < this.attr.length ? this.attr[prefix] : 0;
    return attr === 0 ? [] : [{ pathId: 0, attr, source: this.source[prefix] }];
  }

  override memoryBytes(): number {
    return this.rows * 6 + this.followers.length * this.bitmapBytes();
  }

  protected override grow(): void {
    if (this.attr.length >= this.table.head.length) return;
    this.attr = grown(this.attr, this.table.head.length);
    this.source = grown(this.source, this.table.head.length);
    for (const follower of this.followers) {
      follower.announced = grown(follower.announced, this.bitmapBytes());
    }
  }

  protected override evaluate(row: number): void {
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

  /** What goes out for a prefix now; `withheld` of the exporter is the member that must not hear it. */
  private choose(row: number): AttrId {
    const { exporter } = this;
    const attr = this.defaultFor(row);
    if (attr === 0) return exporter.choose(row);
    exporter.withheld = 0;
    return attr;
  }

  private tell(row: number, oldAttr: AttrId, oldSource: number, attr: AttrId, source: number): void {
    const { batch } = this;
    if (attr === 0) batch.withdraw(row, oldSource);
    else if (attr !== oldAttr) batch.announce(row, attr, source);
    else batch.alone(oldSource, row, attr);
    if (oldAttr !== 0 && attr !== 0 && source !== oldSource) batch.alone(source, row, 0);
  }

  protected override repeat(row: number, follower: Follower): void {
    const { announced, baseline, members } = follower;
    const attr = this.attr[row];
    const source = this.source[row];
    let toldSource = everybody;
    if (baseline && row < baseline.attr.length && baseline.attr[row] !== 0) {
      // Members from another group heard this there. It is asked once per row: from now on `announced` knows.
      const before = baseline.attr[row];
      toldSource = baseline.source[row];
      baseline.attr[row] = 0;
      this.attributes.release(before);
      if (before === attr && toldSource === source) return;
    }
    const bit = 1 << (row & 7);
    const wasTold = (announced[row >> 3] & bit) !== 0;
    if (attr !== 0) {
      this.batch.announce(row, attr, source);
      if (wasTold && source !== toldSource && members.includes(source)) this.batch.alone(source, row, 0);
      announced[row >> 3] |= bit;
    } else if (wasTold) {
      this.batch.withdraw(row, toldSource);
      announced[row >> 3] &= ~bit;
    }
  }

  protected override differs(row: number): boolean {
    const attr = this.choose(row);
    const before = row < this.attr.length ? this.attr[row] : 0;
    return attr !== before || (attr !== 0 && this.exporter.withheld !== this.source[row]);
  }

  protected override eachAnnounced(visit: (row: number, attr: AttrId) => void): void {
    const { attr, rows } = this;
    for (let row = 0; row < rows; row++) if (attr[row] !== 0) visit(row, attr[row]);
  }

  protected override untold(place: Place): Follower {
    return Object.assign(place, { announced: new Uint8Array(this.bitmapBytes()), baseline: undefined });
  }

  protected override isUntold(follower: Follower): boolean {
    return !follower.baseline;
  }

  protected override told(place: Place, from: Place, members: readonly number[]): Follower {
    const announced = "announced" in from ? (from as Follower).announced.slice() : undefined;
    const source = members.length === 1 ? members[0] : everybody;
    return Object.assign(place, {
      announced: announced ?? this.announcedBitmap(source),
      baseline: undefined,
    });
  }

  protected override toldBy(place: Place, donor: UpdateGroup, neighbor: number): Follower {
    assert(donor instanceof BestGroup, "a member comes from a group of another class");
    const from = donor.placeOf(neighbor);
    if ("announced" in from) {
      const announced = grown((from as Follower).announced.slice(), this.bitmapBytes());
      return Object.assign(place, { announced, baseline: undefined });
    }
    const announced = donor.announcedBitmap(everybody);
    return Object.assign(place, { announced, baseline: donor.copyColumns() });
  }

  protected override isCopyOf({ fresh, baseline }: Follower, donor: UpdateGroup): boolean {
    return fresh && baseline?.donor === donor && baseline.revision === donor.revision;
  }

  private copyColumns(): Baseline {
    const attr = this.attr.slice(0, this.rows);
    for (let row = 0; row < attr.length; row++) if (attr[row] !== 0) this.attributes.retain(attr[row]);
    return { donor: this, revision: this.revision, attr, source: this.source.slice(0, this.rows) };
  }

  protected override release({ baseline }: Follower): void {
    for (const attr of baseline?.attr ?? []) if (attr !== 0) this.attributes.release(attr);
  }

  protected override releaseAll(): void {
    for (let row = 0; row < this.rows; row++)
      if (this.attr[row] !== 0) this.attributes.release(this.attr[row]);
  }

  /** Rows that may hold something. */
  private get rows(): number {
    return Math.min(this.attr.length, this.table.prefixes.rows);
  }

  private bitmapBytes(): number {
    return this.table.head.length >> 3;
  }

  /** What the front has announced, without the routes of `source`, who was told all but these. */
  private announcedBitmap(source: number): Uint8Array {
    const announced = new Uint8Array(this.bitmapBytes());
    for (let row = 0; row < this.rows; row++) {
      if (this.attr[row] !== 0 && this.source[row] !== source) announced[row >> 3] |= 1 << (row & 7);
    }
    return announced;
  }
}
