/**
 * One family of one FibTable: what the kernel is to hold, what it holds, and what is to be done about the difference.
 *
 *   table's change list -> recipe of each prefix -> its way -> differs from what the kernel holds? -> queue -> batch
 *   kernel's dump --------------------------------> what the kernel holds ---^
 *
 * Columns by row of a prefix table of its own: what the kernel holds outlives the routes that asked for it, and after a
 * restart is there before them. All that is remembered of the kernel is what it said last; a dump puts that right.
 */
import { grown } from "../../base/columns.ts";
import {
  type AddressSize,
  type FibBatch,
  type FibColumns,
  type FibDump,
  type FibOutcome,
  type FibScope,
  FibVerb,
  type FibWay,
} from "../../dataplane/fib/messages.ts";
import { Installed } from "../../rib/installed-routes.ts";
import { markerLength, PrefixTable4, PrefixTable16 } from "../../rib/prefix-table.ts";
import type { RouteTable } from "../../rib/route-table.ts";
import type { Family } from "../../wire/family.ts";
import type { RouteCursor, Watchers } from "../watchers.ts";
import type { RecipeId, Recipes } from "./recipes.ts";
import type { WayId, Ways } from "./ways.ts";

/** Linux errno numbers that mean more than "no". */
export const Errno = { noEntry: 2, noProcess: 3, busy: 16, exists: 17 } as const;

const Mark = {
  queued: 1,
  /** In the batch under way. */
  underWay: 2,
  /** The dump that is being taken over has it. */
  seen: 4,
  /** Wanted, but beyond max_routes. */
  over: 8,
  /** Who announces what the kernel holds may have heard that it does not hold it. */
  doubted: 16,
} as const;

export interface FibFamilyHost {
  readonly table: RouteTable;
  readonly watchers: Watchers;
  readonly recipes: Recipes;
  readonly ways: Ways;
  /** What this table takes of a prefix of the Loc-RIB; 0 for nothing. */
  recipeOf(prefix: number): RecipeId;
  /** How many more routes may be held; negative when there are too many. */
  room(): number;
  /** Somebody announces only what the kernel holds. */
  isAwaited(): boolean;
}

/** Counts of routes. */
export interface FibCounts {
  wanted: number;
  installed: number;
  refused: number;
  conflicts: number;
  overLimit: number;
}

export class FibFamily {
  readonly family: Family;
  readonly size: AddressSize;
  readonly prefixes: PrefixTable4 | PrefixTable16;
  readonly counts: FibCounts = { wanted: 0, installed: 0, refused: 0, conflicts: 0, overLimit: 0 };
  /** Refused routes by errno. */
  readonly refusals = new Map<number, number>();
  private readonly host: FibFamilyHost;
  private capacity = 1024;
  private recipe = new Uint32Array(this.capacity);
  /** Way that the kernel holds; 0 for no route of ours. */
  private installed = new Uint32Array(this.capacity);
  private marks = new Uint8Array(this.capacity);
  /** Why the kernel refused the last attempt; 0 when it did not. */
  private errno = new Uint8Array(this.capacity);
  private cursor: RouteCursor | undefined;
  /** Rows to look at, from `head` on. */
  private queue: number[] = [];
  private head = 0;
  private underWay: { readonly rows: Uint32Array; readonly ways: Uint32Array } | undefined;
  /** Where the walk over all rows is; 0 when there is none. */
  private sweepAt = 0;
  private dump: { readonly columns: FibDump; at: number; readonly ways: readonly WayId[] } | undefined;
  /** Routes that a dump showed to be other than they were believed to be. */
  surprises = 0;
  /** One of these, for people. */
  surprise = 0;
  private readonly address = new Uint8Array(16);
  /** Prefixes of the Loc-RIB that stand otherwise than was said of them. */
  private readonly news: number[] = [];

  constructor(host: FibFamilyHost) {
    this.host = host;
    this.family = host.table.family;
    this.prefixes = host.table.prefixes.addressBytes === 4 ? new PrefixTable4() : new PrefixTable16();
    this.size = this.prefixes.addressBytes;
  }

  // What is wanted

  /** Begins to take routes of the Loc-RIB, or looks at all of them again. */
  follow(): void {
    const { table, watchers } = this.host;
    if (!this.cursor) {
      this.cursor = { table, marker: table.addMarker(), onChange: undefined };
      watchers.addCursor(this.cursor);
    } else table.changes.remove(this.cursor.marker);
    table.changes.markHead(this.cursor.marker);
  }

  /** Wants nothing any more: what there is goes. */
  leave(): void {
    if (this.cursor) this.host.watchers.removeCursor(this.cursor);
    this.cursor = undefined;
    this.sweep();
  }

  get follows(): boolean {
    return this.cursor !== undefined;
  }

  /** True for its place in the change list of the Loc-RIB. */
  standsAt(marker: number): boolean {
    return this.cursor?.marker === marker;
  }

  /** Routes of the Loc-RIB changed that were not looked at. */
  get isBehind(): boolean {
    if (!this.cursor) return false;
    const { table } = this.host;
    let row = table.changes.next[this.cursor.marker];
    while (row !== 0 && table.isMarker(row)) row = table.changes.next[row];
    return row !== 0;
  }

  /** Looks at up to `max` changes. */
  walk(max: number): void {
    if (!this.isBehind) return;
    const { table } = this.host;
    const { changes } = table;
    const { marker } = this.cursor!;
    let last = 0;
    let row = changes.next[marker];
    for (let left = max; row !== 0 && left > 0; row = changes.next[row], left--) {
      last = row;
      if (!table.isMarker(row)) this.look(row);
    }
    changes.moveAfter(marker, last);
  }

  private look(prefix: number): void {
    const recipe = this.host.recipeOf(prefix);
    const { prefixes } = this.host.table;
    prefixes.writeAddress(prefix, this.address, 0);
    const length = prefixes.length[prefix];
    const row =
      recipe === 0
        ? this.prefixes.find(this.address, 0, length)
        : this.prefixes.intern(this.address, 0, length);
    if (row === 0) return;
    this.fit();
    this.want(row, recipe);
  }

  private want(row: number, recipe: RecipeId): void {
    const before = this.recipe[row];
    if (before !== recipe) {
      const { recipes } = this.host;
      recipes.retain(recipe);
      this.recipe[row] = recipe;
      recipes.release(before);
      if (before === 0) {
        this.marks[row] |= Mark.doubted;
        this.admit(row);
      } else if (recipe === 0) {
        this.dismiss(row);
        this.tell(row);
      }
    }
    this.settle(row);
  }

  private admit(row: number): void {
    if (this.host.room() > 0) {
      this.marks[row] &= ~Mark.over;
      this.counts.wanted++;
    } else if ((this.marks[row] & Mark.over) === 0) {
      this.marks[row] |= Mark.over;
      this.counts.overLimit++;
      this.tell(row);
    }
  }

  private dismiss(row: number): void {
    if ((this.marks[row] & Mark.over) !== 0) this.counts.overLimit--;
    else this.counts.wanted--;
    this.marks[row] &= ~Mark.over;
  }

  /** Way that the kernel is to have; 0 for none. */
  private needed(row: number): WayId {
    return (this.marks[row] & Mark.over) !== 0 ? 0 : this.host.recipes.way[this.recipe[row]];
  }

  /** Queues a row that is not as it should be, and forgets one of which nothing is left. */
  private settle(row: number): void {
    if ((this.marks[row] & (Mark.queued | Mark.underWay)) !== 0) return;
    if (this.needed(row) !== this.installed[row]) {
      this.marks[row] |= Mark.queued;
      this.queue.push(row);
      return;
    }
    this.setErrno(row, 0);
    if ((this.marks[row] & Mark.doubted) !== 0 && this.installed[row] !== 0) this.tell(row);
    if (this.recipe[row] !== 0 || this.installed[row] !== 0) return;
    this.marks[row] = 0;
    this.prefixes.remove(row);
  }

  /** Looks at all rows again, in slices. */
  sweep(): void {
    this.sweepAt = 1;
  }

  private sweepSome(max: number): void {
    const end = Math.min(this.prefixes.rows, this.sweepAt + max);
    for (let row = this.sweepAt; row < end; row++) {
      if (!this.isRow(row)) continue;
      if (!this.cursor && this.recipe[row] !== 0) this.want(row, 0);
      else {
        const isOver = (this.marks[row] & Mark.over) !== 0;
        if (isOver && this.host.room() > 0) {
          this.counts.overLimit--;
          this.admit(row);
        } else if (!isOver && this.recipe[row] !== 0 && this.host.room() < 0) {
          this.counts.wanted--;
          this.admit(row);
        }
        this.settle(row);
      }
    }
    this.sweepAt = end < this.prefixes.rows ? end : 0;
  }

  /** Work inside of the core is left. */
  get isBusy(): boolean {
    return this.isBehind || this.sweepAt !== 0 || this.dump !== undefined;
  }

  /** A dump is being taken over: nothing is written meanwhile. */
  get isTaking(): boolean {
    return this.dump !== undefined;
  }

  /** Something differs from what the kernel holds. */
  get hasQueued(): boolean {
    return this.head < this.queue.length;
  }

  /** Nothing of ours is there or on its way. */
  get isEmpty(): boolean {
    return !this.isBusy && !this.hasQueued && !this.underWay && this.prefixes.count === 0;
  }

  /** Does a bounded piece of work. @returns true when a dump was taken over to its end */
  run(max: number): boolean {
    const isTaken = this.dump !== undefined && this.takeDump(max);
    if (this.sweepAt !== 0) this.sweepSome(max * 4);
    this.walk(max);
    this.touchNews();
    return isTaken;
  }

  /** Notes that the prefix stands otherwise, for those who announce only what the kernel holds. */
  private tell(row: number): void {
    this.marks[row] &= ~Mark.doubted;
    if (!this.host.isAwaited()) return;
    this.prefixes.writeAddress(row, this.address, 0);
    const prefix = this.host.table.prefixes.find(this.address, 0, this.prefixes.length[row]);
    if (prefix !== 0) this.news.push(prefix);
  }

  /** Moves them in the change list, which nobody walks at this moment. */
  private touchNews(): void {
    const { changes } = this.host.table;
    for (const prefix of this.news) if (changes.has(prefix)) changes.touch(prefix);
    this.news.length = 0;
  }

  // To the kernel

  /** The next changes, at most `max`; undefined when there are none. They are under way until `written`. */
  take(batch: number, max: number, scope: FibScope): FibBatch | undefined {
    if (this.underWay || this.dump) return undefined;
    const { size } = this;
    const room = Math.min(max, this.queue.length - this.head);
    const rows = new Uint32Array(room);
    const targets = new Uint32Array(room);
    const verbs = new Uint8Array(room);
    const addresses = new Uint8Array(room * size);
    const lengths = new Uint8Array(room);
    const wayOf = new Uint32Array(room);
    const ways: FibWay[] = [];
    const places = new Map<WayId, number>();
    let count = 0;
    while (count < room && this.head < this.queue.length) {
      const row = this.queue[this.head++];
      this.marks[row] &= ~Mark.queued;
      const target = this.needed(row);
      const held = this.installed[row];
      if (target === held) {
        this.settle(row);
        continue;
      }
      this.marks[row] |= Mark.underWay;
      rows[count] = row;
      targets[count] = target;
      this.host.ways.retain(target);
      verbs[count] = target === 0 ? FibVerb.delete : held === 0 ? FibVerb.create : FibVerb.replace;
      this.prefixes.writeAddress(row, addresses, count * size);
      lengths[count] = this.prefixes.length[row];
      if (target !== 0) {
        let place = places.get(target);
        if (place === undefined) {
          place = ways.push(this.host.ways.get(target)!) - 1;
          places.set(target, place);
        }
        wayOf[count] = place;
      }
      count++;
    }
    if (this.head === this.queue.length) {
      this.queue = [];
      this.head = 0;
    }
    if (count === 0) return undefined;
    this.underWay = { rows: rows.subarray(0, count), ways: targets };
    const { table, metric } = scope;
    return { batch, table, metric, size, count, verbs, addresses, lengths, wayOf, ways };
  }

  /** The kernel's answer. @returns true when it holds something else than was believed: it has to be asked for all */
  written({ failed, errnos, unsure }: FibOutcome): boolean {
    const { rows, ways } = this.underWay!;
    this.underWay = undefined;
    let doubtful = unsure;
    let next = 0;
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i];
      const way = ways[i];
      this.marks[row] &= ~Mark.underWay;
      const errno = next < failed.length && failed[next] === i ? errnos[next++] : 0;
      // What was to go is gone already.
      const isDone = errno === 0 || (way === 0 && (errno === Errno.noProcess || errno === Errno.noEntry));
      if (isDone) {
        this.hold(row, way);
        this.setErrno(row, 0);
        this.settle(row);
      } else if (errno === Errno.noEntry && this.installed[row] !== 0) {
        // What was to be replaced is not there: made anew.
        this.hold(row, 0);
        this.settle(row);
      } else if (errno === Errno.busy && this.installed[row] !== 0) {
        // Another hand was noticed: the dump that follows says what there is.
        doubtful = true;
      } else {
        if (errno === Errno.exists && this.errno[row] === 0) doubtful = true;
        this.setErrno(row, errno);
        // It may be wanted otherwise by now.
        if (this.needed(row) !== way) this.settle(row);
      }
      this.host.ways.release(way);
    }
    this.touchNews();
    return doubtful;
  }

  private hold(row: number, way: WayId): void {
    const before = this.installed[row];
    if (before === way) return;
    this.host.ways.retain(way);
    this.installed[row] = way;
    this.host.ways.release(before);
    // Still wanted, but nowhere to go: it does not come back by itself.
    if (way === 0 && this.recipe[row] !== 0 && this.needed(row) === 0) this.tell(row);
    this.counts.installed += Number(way !== 0) - Number(before !== 0);
  }

  private setErrno(row: number, errno: number): void {
    const before = this.errno[row];
    if (before === errno) return;
    this.errno[row] = errno;
    this.count(before, -1);
    this.count(errno, 1);
    if (before === 0) this.tell(row);
  }

  private count(errno: number, by: number): void {
    if (errno === Errno.exists) this.counts.conflicts += by;
    else if (errno !== 0) {
      this.counts.refused += by;
      this.refusals.set(errno, (this.refusals.get(errno) ?? 0) + by);
    }
  }

  /** Some were refused. */
  get hasFailed(): boolean {
    return this.counts.refused + this.counts.conflicts > 0;
  }

  // From the kernel

  /** All that the kernel holds of ours, asked for while nothing was under way. */
  dumped(columns: FibDump): void {
    this.surprises = 0;
    this.surprise = 0;
    const ways = columns.ways.map((way) => this.host.ways.intern(way));
    this.dump = { columns, at: 0, ways };
  }

  private takeDump(max: number): boolean {
    const { columns, ways } = this.dump!;
    const end = Math.min(columns.count, this.dump!.at + max);
    for (let i = this.dump!.at; i < end; i++) this.found(columns, ways, i);
    this.dump!.at = end;
    if (end < columns.count) return false;
    this.dump = undefined;
    for (const way of ways) this.host.ways.release(way);
    // Bounded like a sweep, but in one piece: half of it would be taken for the whole.
    for (let row = 1; row < this.prefixes.rows; row++) {
      if (!this.isRow(row)) continue;
      if ((this.marks[row] & Mark.seen) === 0 && this.installed[row] !== 0) {
        this.noteSurprise(row);
        this.hold(row, 0);
      }
      this.marks[row] &= ~Mark.seen;
    }
    this.sweep();
    return true;
  }

  private found(columns: FibColumns, ways: readonly WayId[], at: number): void {
    const row = this.prefixes.intern(columns.addresses, at * this.size, columns.lengths[at]);
    this.fit();
    const way = ways[columns.wayOf[at]];
    this.marks[row] |= Mark.seen;
    if (this.installed[row] === way) return;
    this.noteSurprise(row);
    this.hold(row, way);
  }

  private noteSurprise(row: number): void {
    if (this.surprises++ === 0) this.surprise = row;
  }

  // Seen from outside

  isRow(row: number): boolean {
    return this.prefixes.length[row] !== markerLength;
  }

  recipeAt(row: number): RecipeId {
    return this.recipe[row];
  }

  /** How a prefix of the Loc-RIB stands; whoever announces by it hears of it when that changes. */
  stateOf(prefix: number): Installed {
    const { prefixes } = this.host.table;
    prefixes.writeAddress(prefix, this.address, 0);
    const row = this.prefixes.find(this.address, 0, prefixes.length[prefix]);
    if (row === 0) return Installed.none;
    const needed = this.needed(row);
    const held = this.installed[row];
    if (needed !== 0 && needed === held) return Installed.yes;
    this.marks[row] |= Mark.doubted;
    if (this.recipe[row] === 0) return Installed.none;
    const isRefused = (this.marks[row] & Mark.over) !== 0 || this.errno[row] !== 0;
    return isRefused || (needed === 0 && held === 0) ? Installed.refused : Installed.pending;
  }

  stateAt(row: number): { needed: WayId; installed: WayId; errno: number; over: boolean } {
    return {
      needed: this.needed(row),
      installed: this.installed[row],
      errno: this.errno[row],
      over: (this.marks[row] & Mark.over) !== 0,
    };
  }

  memoryBytes(): number {
    return this.capacity * 10 + this.prefixes.memoryBytes();
  }

  private fit(): void {
    if (this.prefixes.capacity <= this.capacity) return;
    this.capacity = this.prefixes.capacity;
    this.recipe = grown(this.recipe, this.capacity);
    this.installed = grown(this.installed, this.capacity);
    this.marks = grown(this.marks, this.capacity);
    this.errno = grown(this.errno, this.capacity);
  }
}
