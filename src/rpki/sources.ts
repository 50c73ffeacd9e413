/**
 * Where VRPs and ASPAs come from, and which of them count: caches, local files, and the assertions of SLURM. Caches of
 * the lowest preference value that have data count together, as a union; those of a higher value stand by. Files and
 * assertions always count.
 *
 * A source changes as a whole: `begin` gives it a fresh slot (a copy of what it has, for a difference), `take` fills it,
 * `commit` puts it in force at once, `abandon` forgets it. The long walks over all rows are done in `step`.
 */
import { formatIp, readIp4 } from "../base/ip.ts";
import { RouteKey } from "../policy/route-key.ts";
import { ipv4Unicast, ipv6Unicast } from "../wire/family.ts";
import { AspaTable } from "./aspa-table.ts";
import { ChangedSpans } from "./changed-spans.ts";
import { type Pdu, PduType } from "./pdu.ts";
import { compileFilters, type Slurm } from "./slurm.ts";
import { type Slot, type Vrp, type VrpOutcome, VrpTable } from "./vrp-table.ts";

export type SourceKind = "cache" | "file" | "slurm";

/** How much a source has. */
export interface SourceCounts {
  vrps4: number;
  vrps6: number;
  aspas: number;
}

const slotsMax = 32;
const noSlot = -1;

export class Source {
  readonly name: string;
  readonly kind: SourceKind;
  /** Of caches: lower is preferred. */
  preference: number;
  /** What counts now, and what is being filled. */
  live: Slot = noSlot;
  building: Slot = noSlot;
  /** Row to go on copying at; 0 when the slot is ready to be filled. */
  copyFrom = 0;
  counts: SourceCounts = { vrps4: 0, vrps6: 0, aspas: 0 };
  buildingCounts: SourceCounts = { vrps4: 0, vrps6: 0, aspas: 0 };

  constructor(name: string, kind: SourceKind, preference: number) {
    this.name = name;
    this.kind = kind;
    this.preference = preference;
  }

  get hasData(): boolean {
    return this.live !== noSlot;
  }
}

/** What changed since the last time it was taken. */
export interface RpkiChanges {
  readonly spans: ChangedSpans;
  /** VRPs that came into force or went out of it. */
  readonly vrps: number;
  /** Customers of which something else is attested. */
  readonly customers: ReadonlySet<number>;
}

export class RpkiSources {
  readonly vrps = new VrpTable();
  readonly aspas = new AspaTable();
  private readonly byName = new Map<string, Source>();
  /** Slots in use or not yet emptied, as a mask. */
  private taken = 0;
  /** To be emptied by the next sweep; by the one under way. */
  private retired = 0;
  private sweeping = 0;
  private sweepFrom = 0;
  private dirty = false;
  private refilterFrom = 0;
  private nextAspaFilters: ReadonlySet<number> = new Set();
  private aspaFilters: ReadonlySet<number> = new Set();
  private spans = new ChangedSpans();
  private changedVrps = 0;
  private customers = new Set<number>();
  private readonly key = new RouteKey();

  add(name: string, kind: SourceKind, preference = 0): Source {
    const source = new Source(name, kind, preference);
    this.byName.set(name, source);
    return source;
  }

  remove(source: Source): void {
    this.abandon(source);
    this.drop(source);
    this.byName.delete(source.name);
  }

  all(): Source[] {
    return [...this.byName.values()];
  }

  setPreference(source: Source, preference: number): void {
    source.preference = preference;
    this.activate();
  }

  // -------------------------------------------------------------------------------------------------- one source

  /**
   * Gives the source a slot to fill.
   * @param full false: it begins as a copy of what the source has
   * @returns false when no slot is free yet: try again after `step`
   */
  begin(source: Source, full: boolean): boolean {
    this.abandon(source);
    const slot = this.freeSlot();
    if (slot === noSlot) return false;
    this.taken = (this.taken | (1 << slot)) >>> 0;
    source.building = slot;
    source.buildingCounts = { vrps4: 0, vrps6: 0, aspas: 0 };
    if (!full && source.live !== noSlot) {
      source.copyFrom = 1;
      source.buildingCounts = { ...source.counts };
      this.aspas.copy(source.live, slot);
    }
    return true;
  }

  /** True when `take` may be called. */
  isReady(source: Source): boolean {
    return source.building !== noSlot && source.copyFrom === 0;
  }

  /** Takes in a prefix or ASPA PDU that was decoded from `bytes`. */
  take(source: Source, pdu: Pdu, bytes: Uint8Array): VrpOutcome {
    const slot = source.building;
    const counts = source.buildingCounts;
    const step = pdu.announced ? 1 : -1;
    if (pdu.type === PduType.aspa) {
      const before = this.aspas.countOf(slot);
      const outcome = pdu.announced
        ? this.aspas.announce(slot, pdu.asn, readProviders(pdu, bytes))
        : this.aspas.withdraw(slot, pdu.asn);
      counts.aspas += this.aspas.countOf(slot) - before;
      return outcome;
    }
    const is4 = pdu.type === PduType.ipv4Prefix;
    this.key.setNlri(is4 ? ipv4Unicast : ipv6Unicast, bytes, pdu.at, pdu.prefixLength);
    const outcome = pdu.announced
      ? this.vrps.announce(slot, this.key, pdu.maxLength, pdu.asn)
      : this.vrps.withdraw(slot, this.key, pdu.maxLength, pdu.asn);
    if (outcome !== "done") return outcome;
    if (is4) counts.vrps4 += step;
    else counts.vrps6 += step;
    return outcome;
  }

  /** What was filled is what the source has from now on. */
  commit(source: Source): void {
    if (source.building === noSlot) return;
    this.retire(source.live);
    source.live = source.building;
    source.building = noSlot;
    source.counts = source.buildingCounts;
    this.activate();
  }

  /** Forgets what was filled; the source has what it had. */
  abandon(source: Source): void {
    this.retire(source.building);
    source.building = noSlot;
    source.copyFrom = 0;
  }

  /** The source has nothing any more. */
  drop(source: Source): void {
    if (source.live === noSlot) return;
    this.retire(source.live);
    source.live = noSlot;
    source.counts = { vrps4: 0, vrps6: 0, aspas: 0 };
    this.activate();
  }

  private retire(slot: Slot): void {
    if (slot === noSlot) return;
    this.retired = (this.retired | (1 << slot)) >>> 0;
    this.dirty = true;
  }

  private freeSlot(): Slot {
    for (let slot = 0; slot < slotsMax; slot++) if (((this.taken >>> slot) & 1) === 0) return slot;
    return noSlot;
  }

  // ------------------------------------------------------------------------------------------------- all together

  /** The lowest preference value of a cache with data; undefined when none has any. */
  get preferred(): number | undefined {
    let lowest: number | undefined;
    for (const source of this.byName.values()) {
      if (source.kind !== "cache" || !source.hasData) continue;
      if (lowest === undefined || source.preference < lowest) lowest = source.preference;
    }
    return lowest;
  }

  /** True when what the source has counts now. */
  counts(source: Source): boolean {
    return source.hasData && (source.kind !== "cache" || source.preference === this.preferred);
  }

  private activate(): void {
    let active = 0;
    let asserted = 0;
    for (const source of this.byName.values()) {
      if (!this.counts(source)) continue;
      active |= 1 << source.live;
      if (source.kind === "slurm") asserted |= 1 << source.live;
    }
    this.vrps.activate(active, asserted);
    for (const customer of this.aspas.activate(active, asserted, this.aspaFilters))
      this.customers.add(customer);
    this.dirty = true;
  }

  /** New filters of SLURM; they are in force when the walk over all rows is done. */
  setFilters({ prefixFilters, aspaFilters }: Pick<Slurm, "prefixFilters" | "aspaFilters">): void {
    this.vrps.beginFilter(compileFilters(prefixFilters));
    this.nextAspaFilters = new Set(aspaFilters);
    this.refilterFrom = 1;
  }

  get hasWork(): boolean {
    return (
      this.dirty ||
      this.sweepFrom !== 0 ||
      this.refilterFrom !== 0 ||
      this.all().some(({ copyFrom }) => copyFrom !== 0)
    );
  }

  /** Goes on with the walks for about `rows` rows each. @returns what changed, when a sweep came to its end */
  step(rows: number): RpkiChanges | undefined {
    for (const source of this.byName.values()) {
      if (source.copyFrom === 0) continue;
      source.copyFrom = this.vrps.copy(source.live, source.building, source.copyFrom, rows);
    }
    if (this.refilterFrom !== 0) {
      this.refilterFrom = this.vrps.refilter(this.refilterFrom, rows);
      if (this.refilterFrom === 0) {
        this.vrps.applyFilter();
        this.aspaFilters = this.nextAspaFilters;
        this.activate();
      }
    }
    return this.sweep(rows);
  }

  private sweep(rows: number): RpkiChanges | undefined {
    if (this.sweepFrom === 0) {
      if (!this.dirty) return undefined;
      this.dirty = false;
      this.sweepFrom = 1;
      this.sweeping = this.retired;
      this.retired = 0;
    }
    this.sweepFrom = this.vrps.sweep(this.sweepFrom, rows, this.sweeping, (prefix) => {
      this.changedVrps++;
      this.spans.add(prefix);
    });
    if (this.sweepFrom !== 0) return undefined;
    for (let slot = 0; slot < slotsMax; slot++) if ((this.sweeping >>> slot) & 1) this.aspas.clear(slot);
    this.taken = (this.taken & ~this.sweeping) >>> 0;
    this.sweeping = 0;
    const { spans, changedVrps: vrps, customers } = this;
    if (vrps === 0 && customers.size === 0) return undefined;
    this.spans = new ChangedSpans();
    this.changedVrps = 0;
    this.customers = new Set();
    return { spans, vrps, customers };
  }

  /** Names of the sources in a mask of slots, those that count first. */
  namesOf(slots: number): string[] {
    return this.all()
      .filter((source) => source.hasData && ((slots >>> source.live) & 1) === 1)
      .sort((a, b) => Number(this.counts(b)) - Number(this.counts(a)))
      .map(({ name }) => name);
  }

  memoryBytes(): number {
    return this.vrps.memoryBytes();
  }
}

function readProviders({ at, providers }: Pdu, bytes: Uint8Array): Uint32Array {
  const list = new Uint32Array(providers);
  for (let i = 0; i < providers; i++) list[i] = readIp4(bytes, at + i * 4);
  return list;
}

/** The prefix of a VRP as text. */
export function vrpPrefixText({ family, words, length }: Pick<Vrp, "family" | "words" | "length">): string {
  const bytes = new Uint8Array(family.addressBytes);
  for (let i = 0; i < bytes.length; i++) bytes[i] = words[i >>> 2] >>> (24 - (i & 3) * 8);
  return `${formatIp(bytes)}/${length}`;
}
