/**
 * A kernel's tables for BGP routes, in memory: what is ours by table and metric, foreign routes in the way, refusals. For
 * tests, the simulation and `--dataplane memory`.
 */
import {
  type AddressSize,
  type FibBatch,
  type FibDump,
  type FibOutcome,
  type FibScope,
  FibVerb,
  type FibWay,
  wayText,
} from "./messages.ts";

const errnos = { noEntry: 2, noProcess: 3, busy: 16, exists: 17 } as const;

interface Entry {
  readonly way: FibWay;
  readonly ours: boolean;
}

export class FakeFib {
  /** By table, metric, size and prefix as text. */
  private readonly routes = new Map<string, Entry>();
  /** An errno for a route that is to be refused; 0 lets it through. */
  refuse: (prefix: string, way: FibWay) => number = () => 0;
  writes = 0;
  /** As the writer for Linux: after another hand was noticed nothing is replaced before all is read again. */
  private readonly doubtful = new Set<string>();

  /** Another hand. @param way undefined takes it away */
  set(scope: FibScope, prefix: string, way: FibWay | undefined, ours: boolean): void {
    const key = `${scope.table} ${scope.metric} ${prefix}`;
    for (const size of [4, 16]) this.doubtful.add(`${scope.table} ${scope.metric} ${size}`);
    if (way) this.routes.set(key, { way, ours });
    else this.routes.delete(key);
  }

  /** Routes with our mark in a scope, by prefix. */
  ours(scope: FibScope): Map<string, FibWay> {
    return this.list(scope, true);
  }

  foreign(scope: FibScope): Map<string, FibWay> {
    return this.list(scope, false);
  }

  private list({ table, metric }: FibScope, ours: boolean): Map<string, FibWay> {
    const start = `${table} ${metric} `;
    const found = new Map<string, FibWay>();
    for (const [key, entry] of this.routes) {
      if (entry.ours === ours && key.startsWith(start)) found.set(key.slice(start.length), entry.way);
    }
    return found;
  }

  write(batch: FibBatch): FibOutcome {
    const failed: number[] = [];
    const why: number[] = [];
    for (let row = 0; row < batch.count; row++) {
      const errno = this.writeOne(batch, row);
      this.writes++;
      if (errno === 0) continue;
      failed.push(row);
      why.push(errno);
    }
    return {
      batch: batch.batch,
      failed: new Uint32Array(failed),
      errnos: new Uint8Array(why),
      unsure: false,
      failure: "",
    };
  }

  private writeOne(batch: FibBatch, row: number): number {
    const prefix = prefixOf(batch, row);
    const key = `${batch.table} ${batch.metric} ${prefix}`;
    const there = this.routes.get(key);
    const verb = batch.verbs[row];
    if (verb === FibVerb.delete) {
      if (!there?.ours) return errnos.noProcess;
      this.routes.delete(key);
      return 0;
    }
    const way = batch.ways[batch.wayOf[row]];
    const refused = this.refuse(prefix, way);
    if (refused !== 0) return refused;
    const isDoubtful = this.doubtful.has(`${batch.table} ${batch.metric} ${batch.size}`);
    if (verb === FibVerb.replace && isDoubtful) return errnos.busy;
    if (verb === FibVerb.create && there) return errnos.exists;
    if (verb === FibVerb.replace && !there) return errnos.noEntry;
    this.routes.set(key, { way, ours: true });
    return 0;
  }

  dump(scope: FibScope, size: AddressSize): FibDump {
    this.doubtful.delete(`${scope.table} ${scope.metric} ${size}`);
    const found = [...this.ours(scope)].filter(([prefix]) => prefix.split("/")[0].split(".").length === size);
    const ways: FibWay[] = [];
    const places = new Map<string, number>();
    const addresses = new Uint8Array(found.length * size);
    const lengths = new Uint8Array(found.length);
    const wayOf = new Uint32Array(found.length);
    found.forEach(([prefix, way], i) => {
      const [address, length] = prefix.split("/");
      addresses.set(address.split(".").map(Number), i * size);
      lengths[i] = Number(length);
      const text = wayText(way);
      if (!places.has(text)) places.set(text, ways.push(way) - 1);
      wayOf[i] = places.get(text)!;
    });
    return { ...scope, size, count: found.length, addresses, lengths, wayOf, ways, failure: "" };
  }
}

/** All bytes of the address with dots, and the length: one text for equal prefixes. */
function prefixOf({ addresses, lengths, size }: FibBatch, row: number): string {
  return `${addresses.subarray(row * size, (row + 1) * size).join(".")}/${lengths[row]}`;
}
