/**
 * What follows when VRPs or ASPAs change: just the routes that may have another state are looked at again. Those whose
 * neighbor's import policy asks for states go through it anew, the state that best path compares by is noted, and where
 * an export policy asks, the prefix goes to the tail of the change list. What comes out the same is not announced again.
 *
 * VRPs: a walk over the prefixes, each held against the spans of address space that changed. It is cheap for those
 * outside of them (a binary search, no memory beside the prefix's own columns), so a million prefixes are walked in
 * some ten milliseconds, in slices. ASPAs: a walk over the paths, by attribute set.
 */
import type { RouteKey } from "../policy/route-key.ts";
import type { PathId } from "../rib/path-columns.ts";
import type { RouteTable } from "../rib/route-table.ts";
import type { ChangedSpans } from "../rpki/changed-spans.ts";
import type { RpkiChanges } from "../rpki/sources.ts";
import type { Jobs } from "./jobs.ts";
import type { NeighborRecord } from "./neighbor-record.ts";
import type { Routing } from "./routing.ts";
import type { Validation } from "./validation.ts";

/** What asks for states. */
export interface StateReaders {
  /** Steps of best path. */
  readonly rankOrigins: boolean;
  readonly rankPaths: boolean;
  /** An import policy; an export policy. */
  readonly importOrigins: boolean;
  readonly importPaths: boolean;
  readonly exportOrigins: boolean;
  readonly exportPaths: boolean;
}

export interface RevalidationHost {
  readers(): StateReaders;
  neighbor(id: number): NeighborRecord | undefined;
  /** Runs import again for one path. */
  reimport(record: NeighborRecord, table: RouteTable, path: PathId): void;
  nowMs(): number;
  /** All routes have been looked at. */
  settled(looked: number, ms: number): void;
}

/** A prefix outside of all spans costs this share of what a row of other walks does. */
const rowsPerCheapRow = 8;
/** One that is inside costs about so many rows. */
const rowsPerRoute = 8;

export class Revalidation {
  private readonly routing: Routing;
  private readonly jobs: Jobs;
  private readonly validation: Validation;
  private readonly host: RevalidationHost;
  /** Changes that wait for the walk under way to end, by table. */
  private readonly waiting = new Map<RouteTable, ChangedSpans>();
  private waitingCustomers: Set<number> | undefined;
  private running = 0;
  private startedMs = 0;
  private looked = 0;
  /** Paths looked at since the start. */
  total = 0;
  private readonly chain: PathId[] = [];

  constructor(routing: Routing, jobs: Jobs, validation: Validation, host: RevalidationHost) {
    this.routing = routing;
    this.jobs = jobs;
    this.validation = validation;
    this.host = host;
  }

  get isRunning(): boolean {
    return this.running > 0;
  }

  changed({ spans, customers }: RpkiChanges): void {
    const readers = this.host.readers();
    if (readers.rankOrigins || readers.importOrigins || readers.exportOrigins) {
      for (const table of this.routing.tables) {
        if (!spans.some(table.family.addressBytes)) continue;
        const waiting = this.waiting.get(table);
        if (waiting) waiting.join(spans);
        else if (this.jobs.has(spanKey(table))) this.waiting.set(table, spans);
        else this.walkPrefixes(table, spans);
      }
    }
    const readsPaths = readers.rankPaths || readers.importPaths || readers.exportPaths;
    if (!readsPaths || customers.size === 0) return;
    if (this.waitingCustomers) for (const customer of customers) this.waitingCustomers.add(customer);
    else if (this.walksPaths()) this.waitingCustomers = new Set(customers);
    else this.walkPaths(customers);
  }

  private begin(): void {
    if (this.running++ > 0) return;
    this.startedMs = this.host.nowMs();
    this.looked = 0;
  }

  private end(): void {
    if (--this.running > 0) return;
    this.total += this.looked;
    this.host.settled(this.looked, this.host.nowMs() - this.startedMs);
  }

  private walkPrefixes(table: RouteTable, spans: ChangedSpans): void {
    this.begin();
    const { prefixes } = table;
    let row = 1;
    this.jobs.start({
      key: spanKey(table),
      step: (rows) => {
        const readers = this.host.readers();
        for (let left = rows * rowsPerCheapRow; left > 0 && row < prefixes.rows; left--, row++) {
          if (table.head[row] === 0 || table.isMarker(row)) continue;
          const key: RouteKey = this.validation.keyOf(table, row);
          if (spans.covers(key)) left -= this.prefix(table, row, readers) * rowsPerRoute * rowsPerCheapRow;
        }
        return row >= prefixes.rows;
      },
      done: () => {
        const next = this.waiting.get(table);
        this.waiting.delete(table);
        if (next) this.walkPrefixes(table, next);
        this.end();
      },
    });
  }

  /** Looks at all paths of a prefix again. @returns how many */
  private prefix(table: RouteTable, row: number, readers: StateReaders): number {
    const { chain } = this;
    const { paths } = table;
    chain.length = 0;
    for (let path = table.head[row]; path !== 0; path = paths.next[path]) chain.push(path);
    for (const path of chain) this.path(table, path, readers.importOrigins, false);
    if (readers.exportOrigins && table.head[row] !== 0) table.changes.touch(row);
    return chain.length;
  }

  private path(table: RouteTable, path: PathId, origins: boolean, aspa: boolean): void {
    const { paths } = table;
    this.looked++;
    if (table.stateOf && paths.setValidation(path, table.stateOf(path))) table.reselect(paths.prefix[path]);
    const record = this.host.neighbor(paths.neighbor[path]);
    const chain = record?.importProgram?.chain;
    if (record && ((origins && chain?.readsRpki) || (aspa && chain?.readsAspa)))
      this.host.reimport(record, table, path);
  }

  private walksPaths(): boolean {
    return this.routing.tables.some(({ family }) => this.jobs.has(`${pathKey} ${family.index}`));
  }

  private walkPaths(customers: ReadonlySet<number>): void {
    for (const table of this.routing.tables) {
      this.begin();
      const { paths } = table;
      // By attribute set: 1 names one of the customers, 2 does not. A set that goes meanwhile may leave its number to
      // another one, so the epoch is part of what is remembered.
      const known = new Map<number, number>();
      const names = (attr: number): boolean => {
        const epoch = this.routing.attributes.epoch[attr];
        const answer = known.get(attr);
        if (answer !== undefined && answer >>> 1 === (epoch & 0x3fff_ffff)) return (answer & 1) === 1;
        const found = this.validation.pathOf(attr).some(({ asns }) => asns.some((asn) => customers.has(asn)));
        if (known.size > 1 << 18) known.clear();
        known.set(attr, (epoch & 0x3fff_ffff) * 2 + Number(found));
        return found;
      };
      let path = 1;
      this.jobs.start({
        key: `${pathKey} ${table.family.index}`,
        step: (rows) => {
          const readers = this.host.readers();
          for (let left = rows; left > 0 && path < paths.rows; left--, path++) {
            const attr = paths.received[path];
            if (attr === 0 || !names(attr)) continue;
            left -= rowsPerRoute;
            const prefix = paths.prefix[path];
            this.path(table, path, false, readers.importPaths);
            if (readers.exportPaths && table.head[prefix] !== 0) table.changes.touch(prefix);
          }
          return path >= paths.rows;
        },
        done: () => {
          this.end();
          if (this.walksPaths()) return;
          const next = this.waitingCustomers;
          this.waitingCustomers = undefined;
          if (next) this.walkPaths(next);
        },
      });
    }
  }
}

const pathKey = "aspa";

function spanKey(table: RouteTable): string {
  return `rpki ${table.family.index}`;
}
