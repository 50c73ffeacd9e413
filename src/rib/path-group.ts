/**
 * An update group whose members get several routes per prefix (RFC 7911). The path identifier on the wire is the row of
 * the path in the table: it stays what it is while ranks change, for as long as the path is there.
 *
 * What a follower was told of a prefix is found without a copy of the Adj-RIB-Out: as long as the front has not changed
 * the prefix since the follower passed it, the Adj-RIB-Out says it; before the front changes it, it is saved.
 */
import { assert } from "../base/assert.ts";
import { grown } from "../base/columns.ts";
import type { AttrId } from "./attribute-store.ts";
import type { ChosenPath } from "./export-gates.ts";
import { PathOut } from "./path-out.ts";
import { type GroupParts, type Place, UpdateGroup } from "./update-group.ts";

/** Members behind the front. */
interface Follower extends Place {
  /** Prefixes of which they were told what the front has told, one bit each. */
  passed: Uint8Array;
  /** What they were told of prefixes that the front has changed since. References are held. */
  readonly saved: Map<number, readonly ChosenPath[]>;
  /** They hear again what they know. */
  readonly again: boolean;
  /** What members that came from another group were told there, of prefixes not passed yet. */
  readonly baseline: PathOut | undefined;
  /** The group that the baseline is a copy of, and how far that was. */
  readonly donor: UpdateGroup | undefined;
  readonly donorRevision: number;
}

const nothing: readonly ChosenPath[] = [];

export class PathGroup extends UpdateGroup<Follower> {
  private readonly out: PathOut;

  constructor(id: number, parts: GroupParts) {
    super(id, parts);
    this.out = new PathOut(this.attributes, this.table.head.length);
  }

  override announces(prefix: number, neighbor: number): boolean {
    const { out } = this;
    for (let entry = out.first(prefix); entry !== 0; entry = out.next[entry]) {
      if (out.source[entry] !== neighbor) return true;
    }
    return false;
  }

  override eachRoute(
    prefix: number,
    neighbor: number,
    visit: (attr: AttrId, source: number, pathId: number) => void,
  ): void {
    const { out, table } = this;
    for (let entry = out.first(prefix); entry !== 0; entry = out.next[entry]) {
      const pathId = out.pathId[entry];
      // Of a route that we originate the column holds the owner of its next hop.
      const isLocal = table.paths.prefix[pathId] === prefix && table.paths.neighbor[pathId] === 0;
      if (out.source[entry] !== neighbor) visit(out.attr[entry], isLocal ? 0 : out.source[entry], pathId);
    }
  }

  override held(prefix: number): readonly ChosenPath[] {
    return this.out.read(prefix);
  }

  override memoryBytes(): number {
    return this.out.memoryBytes() + this.followers.length * this.bitmapBytes();
  }

  protected override grow(): void {
    const rows = this.table.head.length;
    if (this.out.head.length >= rows) return;
    this.out.ensureRows(rows);
    for (const follower of this.followers) follower.passed = grown(follower.passed, this.bitmapBytes());
  }

  /** What goes out for a prefix now. The ids are held until `endBatch` of the exporter. */
  private chosen(row: number): readonly ChosenPath[] {
    const attr = this.defaultFor(row);
    return attr === 0 ? this.exporter.chooseAll(row) : [{ pathId: 0, attr, source: 0 }];
  }

  protected override evaluate(row: number): void {
    const { out, front, exporter } = this;
    const now = this.chosen(row);
    if (exporter.isTooLarge) this.host.oversize(this, row);
    if (this.isTold(row, now)) return;
    const before = out.read(row);
    for (const follower of this.followers) this.save(follower, row, before);
    if (front.members.length > 0) this.tell(row, before, now, false, front.members);
    for (const { source } of before) this.uncount(source);
    for (const { source } of now) this.recount(source);
    out.replace(row, now);
  }

  /** True when the Adj-RIB-Out holds these routes of the prefix and no others. */
  private isTold(row: number, paths: readonly ChosenPath[]): boolean {
    const { out } = this;
    let count = 0;
    for (let entry = out.first(row); entry !== 0; entry = out.next[entry]) count++;
    return (
      count === paths.length &&
      paths.every(({ pathId, attr, source }) => {
        const entry = out.find(row, pathId);
        return entry !== 0 && out.attr[entry] === attr && out.source[entry] === source;
      })
    );
  }

  private save(follower: Follower, row: number, before: readonly ChosenPath[]): void {
    if (!hasBit(follower.passed, row) || follower.saved.has(row)) return;
    for (const { attr } of before) this.attributes.retain(attr);
    follower.saved.set(row, before);
  }

  private tell(
    row: number,
    before: readonly ChosenPath[],
    now: readonly ChosenPath[],
    again: boolean,
    members: readonly number[],
  ): void {
    const { batch } = this;
    for (const { pathId, source } of before) {
      if (!now.some((path) => path.pathId === pathId)) batch.withdraw(row, source, pathId);
    }
    for (const { pathId, attr, source } of now) {
      const known = before.find((path) => path.pathId === pathId);
      if (again || known?.attr !== attr) batch.announce(row, attr, source, pathId);
      else if (known.source !== source) batch.alone(known.source, row, attr, pathId);
      // The identifier came to another source's path: that source gets no news, only the old route back.
      if (known && known.source !== source && members.includes(source)) batch.alone(source, row, 0, pathId);
    }
  }

  protected override repeat(row: number, follower: Follower): void {
    this.tell(row, this.toldOf(follower, row), this.out.read(row), follower.again, follower.members);
    this.forget(follower, row);
    follower.passed[row >> 3] |= 1 << (row & 7);
  }

  /** What the members of a follower know of a prefix. */
  private toldOf({ saved, passed, baseline }: Follower, row: number): readonly ChosenPath[] {
    return saved.get(row) ?? (hasBit(passed, row) ? this.out : baseline)?.read(row) ?? nothing;
  }

  private forget({ saved }: Follower, row: number): void {
    for (const { attr } of saved.get(row) ?? nothing) this.attributes.release(attr);
    saved.delete(row);
  }

  protected override differs(row: number): boolean {
    return !this.isTold(row, this.chosen(row));
  }

  protected override eachAnnounced(visit: (row: number, attr: AttrId) => void): void {
    this.out.each(visit);
  }

  protected override untold(place: Place): Follower {
    return this.follower(place, new Uint8Array(this.bitmapBytes()), false, undefined);
  }

  protected override isUntold({ again, baseline }: Follower): boolean {
    return !again && !baseline;
  }

  protected override told(place: Place, from: Place, _members: readonly number[], again: boolean): Follower {
    if (!("passed" in from)) {
      return this.follower(place, new Uint8Array(this.bitmapBytes()).fill(0xff), again, undefined);
    }
    const { passed, saved, baseline, again: repeats } = from as Follower;
    const follower = this.follower(place, passed.slice(), again || repeats, baseline?.copy());
    for (const [row, paths] of saved) {
      for (const { attr } of paths) this.attributes.retain(attr);
      follower.saved.set(row, paths);
    }
    return follower;
  }

  protected override toldBy(place: Place, donor: UpdateGroup, neighbor: number): Follower {
    assert(donor instanceof PathGroup, "a member comes from a group of another class");
    const from = donor.placeOf(neighbor);
    const isBehind = "passed" in from;
    const baseline = isBehind ? donor.toldAsOut(from as Follower) : donor.out.copy();
    const again = isBehind && (from as Follower).again;
    return this.follower(place, new Uint8Array(this.bitmapBytes()), again, baseline, donor);
  }

  /** What a follower knows, as an Adj-RIB-Out. */
  private toldAsOut(follower: Follower): PathOut {
    const rows = this.table.head.length;
    const told = new PathOut(this.attributes, rows);
    for (let row = 0; row < rows; row++) {
      const paths = this.toldOf(follower, row);
      if (paths.length > 0) told.replace(row, paths);
    }
    return told;
  }

  private follower(
    place: Place,
    passed: Uint8Array,
    again: boolean,
    baseline: PathOut | undefined,
    donor?: UpdateGroup,
  ): Follower {
    const saved = new Map<number, readonly ChosenPath[]>();
    return Object.assign(place, {
      passed,
      saved,
      again,
      baseline,
      donor,
      donorRevision: donor?.revision ?? 0,
    });
  }

  protected override isCopyOf({ fresh, donor, donorRevision }: Follower, group: UpdateGroup): boolean {
    return fresh && donor === group && donorRevision === group.revision;
  }

  protected override release(follower: Follower): void {
    for (const row of [...follower.saved.keys()]) this.forget(follower, row);
    follower.baseline?.releaseAll();
  }

  protected override releaseAll(): void {
    this.out.releaseAll();
  }

  private bitmapBytes(): number {
    return this.table.head.length >> 3;
  }
}

function hasBit(bits: Uint8Array, row: number): boolean {
  return ((bits[row >> 3] ?? 0) & (1 << (row & 7))) !== 0;
}
