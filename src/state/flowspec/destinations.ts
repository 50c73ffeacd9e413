/**
 * The destinations of the rules of one family that are held against unicast routes, and which neighboring ASes announce
 * parts of each: rule c of RFC 8955 section 6 asks for that, and a table of prefixes by hash cannot be asked.
 *
 *   walk     notes the first AS of the best route of each unicast prefix, and counts it for the destinations around it
 *   cursor   follows the change list from where the first walk began: what changes is counted anew
 *
 * A destination that is new while a walk is under way waits for the next one. The memory is two columns beside the
 * unicast table while there are such rules, and a count per destination and neighboring AS.
 */
import { grown } from "../../base/columns.ts";
import type { AttributeStore } from "../../rib/attribute-store.ts";
import { PrefixTable4, PrefixTable16 } from "../../rib/prefix-table.ts";
import type { RouteTable } from "../../rib/route-table.ts";

export interface Destination {
  readonly id: number;
  readonly bytes: Uint8Array;
  readonly length: number;
  /** Best routes to longer prefixes inside of it, by the first AS of their paths. */
  readonly parts: Map<number, number>;
  /** Which unicast rows are in `parts`: none, those that the walk under way has passed, or all. */
  counted: "none" | "walked" | "all";
  /** Length of the unicast prefix that the last answer rested on; -1 for none. */
  matchLength: number;
}

/** What is told of changes. */
export interface DestinationsHost {
  /** What is known of a destination is another thing now, or is known at last. */
  changed(destination: Destination): void;
  /** The best route to a unicast prefix changed: destinations inside of it may have another best match. */
  moved(address: Uint8Array, length: number): void;
}

export class Destinations {
  private readonly unicast: RouteTable;
  private readonly attributes: AttributeStore;
  private readonly host: DestinationsHost;
  private readonly index: PrefixTable4 | PrefixTable16;
  private readonly byId: (Destination | undefined)[] = [];
  /** By unicast row: whether it had a best route when it was noted last, and the first AS of that. */
  private there = new Uint8Array(0);
  private firstAs = new Uint32Array(0);
  /** Place in the change list of the unicast table; 0 while nothing is followed. */
  private marker = 0;
  /** Where the walk under way is, 0 for none, and for which destinations it counts. */
  private at = 0;
  private walking: Destination[] = [];
  private waiting: Destination[] = [];
  private readonly address: Uint8Array;

  constructor(unicast: RouteTable, attributes: AttributeStore, host: DestinationsHost) {
    this.unicast = unicast;
    this.attributes = attributes;
    this.host = host;
    this.index = unicast.family.addressBytes === 4 ? new PrefixTable4() : new PrefixTable16();
    this.address = new Uint8Array(unicast.family.addressBytes);
  }

  get size(): number {
    return this.index.count;
  }

  /** The destination, which is followed from now on. */
  follow(bytes: Uint8Array, length: number): Destination {
    const known = this.find(bytes, length);
    if (known) return known;
    if (this.marker === 0) {
      this.marker = this.unicast.addMarker();
      this.unicast.changes.markTail(this.marker);
    }
    const id = this.index.intern(bytes, 0, length);
    const destination: Destination = {
      id,
      bytes: bytes.slice(),
      length,
      parts: new Map(),
      counted: "none",
      matchLength: -1,
    };
    this.byId[id] = destination;
    this.waiting.push(destination);
    return destination;
  }

  find(bytes: Uint8Array, length: number): Destination | undefined {
    const id = this.index.find(bytes, 0, length);
    return id === 0 ? undefined : this.byId[id];
  }

  /** Destinations with ids from `from` on, in no order that means anything. @returns the next id; 0 at the end */
  some(from: number, count: number, visit: (destination: Destination) => void): number {
    const end = Math.min(this.byId.length, from + count);
    for (let id = from; id < end; id++) {
      const destination = this.byId[id];
      if (destination) visit(destination);
    }
    return end < this.byId.length ? end : 0;
  }

  forget(destination: Destination): void {
    this.index.remove(destination.id);
    this.byId[destination.id] = undefined;
    if (!this.isReady(destination)) {
      this.walking = this.walking.filter((other) => other !== destination);
      this.waiting = this.waiting.filter((other) => other !== destination);
    }
    if (this.size > 0) return;
    this.unicast.removeMarker(this.marker);
    this.marker = 0;
    this.at = 0;
    this.there = new Uint8Array(0);
    this.firstAs = new Uint32Array(0);
  }

  /** True when what is known of a destination rests on all routes. */
  isReady({ counted }: Destination): boolean {
    return counted === "all";
  }

  /** Whether another AS than this one announces a part of a destination. */
  hasPartOfOther({ parts }: Destination, asn: number): boolean {
    for (const each of parts.keys()) if (each !== asn) return true;
    return false;
  }

  get hasWork(): boolean {
    if (this.marker === 0) return false;
    if (this.waiting.length + this.walking.length > 0) return true;
    const { next } = this.unicast.changes;
    let row = next[this.marker];
    while (row !== 0 && this.unicast.isMarker(row)) row = next[row];
    return row !== 0;
  }

  /** Revision of the unicast table's change list up to which it has read; undefined while it does not. */
  get passed(): number | undefined {
    return this.marker === 0 ? undefined : this.unicast.changes.revisionOf[this.marker];
  }

  /** Goes on for about so many unicast rows. */
  run(rows: number): void {
    if (this.marker === 0) return;
    this.makeRoom();
    this.walk(this.followChanges(rows));
  }

  private makeRoom(): void {
    const { capacity } = this.unicast.prefixes;
    if (this.there.length >= capacity) return;
    this.there = grown(this.there, capacity);
    this.firstAs = grown(this.firstAs, capacity);
  }

  /** @returns how many of the rows are left */
  private followChanges(rows: number): number {
    const { changes, prefixes } = this.unicast;
    let left = rows;
    let last = 0;
    for (let row = changes.next[this.marker]; row !== 0 && left > 0; row = changes.next[row], left--) {
      last = row;
      if (this.unicast.isMarker(row)) continue;
      this.note(row, (destination) => this.host.changed(destination));
      prefixes.writeAddress(row, this.address, 0);
      this.host.moved(this.address, prefixes.length[row]);
    }
    if (last !== 0) changes.moveAfter(this.marker, last);
    return left;
  }

  private walk(rows: number): void {
    const { unicast } = this;
    if (this.at === 0) {
      if (this.waiting.length === 0) return;
      this.walking = this.waiting;
      this.waiting = [];
      this.at = 1;
      for (const destination of this.walking) destination.counted = "walked";
    }
    const end = Math.min(unicast.prefixes.rows, this.at + rows);
    for (; this.at < end; this.at++) {
      const row = this.at;
      if (unicast.isMarker(row)) continue;
      this.note(row, ignored);
      if (this.there[row] === 0) continue;
      this.around(row, (destination) => {
        if (destination.counted === "walked") count(destination, this.firstAs[row], 1);
      });
    }
    if (this.at < unicast.prefixes.rows) return;
    this.at = 0;
    const done = this.walking;
    this.walking = [];
    for (const destination of done) {
      destination.counted = "all";
      this.host.changed(destination);
    }
  }

  /** Notes what is the best route of a row now, and counts it anew where it was counted before. */
  private note(row: number, changed: (destination: Destination) => void): void {
    const { unicast } = this;
    const best = unicast.bestOf(row);
    const wasThere = this.there[row] !== 0;
    const isThere = best !== 0;
    const before = this.firstAs[row];
    const now = isThere ? this.attributes.neighborAs[unicast.paths.received[best]] : 0;
    if (wasThere === isThere && before === now) return;
    this.there[row] = isThere ? 1 : 0;
    this.firstAs[row] = now;
    this.around(row, (destination) => {
      if (destination.counted === "none" || (destination.counted === "walked" && row >= this.at)) return;
      if (wasThere) count(destination, before, -1);
      if (isThere) count(destination, now, 1);
      changed(destination);
    });
  }

  /** Visits the destinations that a unicast prefix is a part of. */
  private around(row: number, visit: (destination: Destination) => void): void {
    const { prefixes } = this.unicast;
    const { countByLength } = this.index;
    prefixes.writeAddress(row, this.address, 0);
    for (let length = prefixes.length[row] - 1; length >= 0; length--) {
      if (countByLength[length] === 0) continue;
      const destination = this.find(this.address, length);
      if (destination) visit(destination);
    }
  }
}

function count({ parts }: Destination, asn: number, change: number): void {
  const now = (parts.get(asn) ?? 0) + change;
  if (now === 0) parts.delete(asn);
  else parts.set(asn, now);
}

function ignored(): void {}
