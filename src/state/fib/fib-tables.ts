/**
 * All FibTables: which sets of kernel routes are ours, what is under way to the kernel, and how each object stands.
 *
 *   declared -> ledger on disk -> dump -> (selection deferral is over) -> batches, one at a time -> answers
 *
 * A set of routes is ours by table, metric and protocol mark. The ledger names the sets, not the routes: it is on disk
 * before the first of them is written, and forgets a set when the last of its routes is gone.
 */
import { formatPrefix } from "../../base/ip.ts";
import { limits } from "../../base/limits.ts";
import { errnoMeaning, errnoText } from "../../dataplane/fib/errno.ts";
import {
  type FibDump,
  type FibMoved,
  type FibOutcome,
  type FibScope,
  FibVerb,
} from "../../dataplane/fib/messages.ts";
import { ownBgpProtocol } from "../../dataplane/kernel-model.ts";
import type { LedgerRow } from "../../dataplane/ledger.ts";
import { mainTable } from "../../dataplane/netlink/route-wire.ts";
import type { LedgerChange } from "../../dataplane/reconciler.ts";
import type { FibTableSpec } from "../../gen/cairn/v1/fib_kinds_pb.ts";
import { ResourcePhase } from "../../gen/cairn/v1/resource_types_pb.ts";
import { Installed, type InstalledRoutes } from "../../rib/installed-routes.ts";
import type { PrefixId } from "../../rib/prefix-table.ts";
import type { RouteTable } from "../../rib/route-table.ts";
import type { Effects } from "../effects.ts";
import type { Groups } from "../groups.ts";
import type { Specs, Touched } from "../objects.ts";
import type { Inputs } from "../part.ts";
import { libraryKinds } from "../policies.ts";
import type { ResourceStanding } from "../resources.ts";
import type { SessionHost } from "../session-port.ts";
import type { FibCounts as FibSummary } from "../view.ts";
import type { FibCounts, FibFamily } from "./fib-family.ts";
import { FibTable, type FibTableHost } from "./fib-table.ts";

export interface FibTablesHost extends FibTableHost {
  readonly groups: Pick<Groups, "installed">;
  readonly specs: Specs;
  readonly effects: Effects;
  names(kind: string): Iterable<string>;
  /** The kernel has told of all its links. */
  linksKnown(): boolean;
  /** Routes of the family come in after a restart, and are not chosen yet. */
  isDeferred(family: FibFamily): boolean;
  /** Nothing is on its way that best paths wait for. */
  isSettled(): boolean;
  persist(change: LedgerChange): number;
  /** Routes were taken out of the kernel. */
  removed(): void;
  /** An object stands otherwise. */
  changed(name: string): void;
  nowMs(): number;
  readonly event: SessionHost["event"];
}

/** Class of the ledger's rows. */
export const fibClass = "fib";

const kind = "FibTable";
const retryFirstMs = 1_000;
const retryMaxMs = 60_000;
/** What another hand did is looked at this long after it was noticed, and links that moved. */
const settleMs = 50;
/** Dumps of a table are at least so far apart. */
const dumpRestMs = 250;
const dumpRestFactor = 2;
/** All is looked at this often even when nothing was noticed. */
const checkMs = 600_000;
/** After a restart, longest wait for next hops that nobody answers for. */
const settledMaxMs = 10_000;
/** How objects stand is looked at this often while routes move. */
const judgeMs = 200;

export class FibTables implements InstalledRoutes {
  private readonly host: FibTablesHost;
  readonly enabled: boolean;
  readonly inputs: Inputs = {
    "fib.dumped": ({ dump }) => this.dumped(dump),
    "fib.written": ({ outcome }) => this.written(outcome),
    "fib.moved": ({ moved }) => this.moved(moved),
  };
  private readonly byKey = new Map<string, FibTable>();
  /** By object. */
  private readonly byName = new Map<string, FibTable>();
  /** Objects whose set of routes belongs to another one. */
  private readonly blocked = new Map<string, string>();
  private underWay:
    | {
        readonly what: "batch" | "dump";
        readonly table: FibTable;
        readonly index: number;
        readonly atMs: number;
        readonly removes: boolean;
      }
    | undefined;
  private batch = 0;
  private turn = 0;
  private watched = "";
  private judgeAtMs = Number.POSITIVE_INFINITY;
  private readonly told = new Map<string, string>();
  /** After a restart, next hops are no longer waited for then. */
  private settleByMs = 0;
  /** Counted since the start. */
  readonly counts = { writes: 0, failures: 0, batches: 0, dumps: 0, drifts: 0 };

  constructor(rows: Iterable<LedgerRow>, enabled: boolean, host: FibTablesHost) {
    this.host = host;
    this.enabled = enabled;
    host.groups.installed = this;
    if (!enabled) return;
    for (const { key } of rows) {
      const [table, metric] = key.split(" ").map(Number);
      const fib = this.make({ table, metric });
      fib.durable = true;
      fib.configure("", undefined);
    }
    this.configure();
  }

  /** By object. */
  all(): IterableIterator<[string, FibTable]> {
    return this.byName.entries();
  }

  named(name: string): FibTable | undefined {
    return this.byName.get(name);
  }

  get size(): number {
    return this.byKey.size;
  }

  // What is announced only when the kernel holds it

  stateOf(table: RouteTable, prefix: PrefixId): Installed {
    let state: Installed = Installed.none;
    const { index } = table.family;
    for (const { families } of this.byName.values()) {
      const family = families[index];
      if (!family?.follows) continue;
      const one = family.stateOf(prefix);
      if (one === Installed.refused) return one;
      if (one === Installed.pending || (one === Installed.yes && state === Installed.none)) state = one;
    }
    return state;
  }

  isBarrier(table: RouteTable, marker: number): boolean {
    const { index } = table.family;
    for (const { families } of this.byName.values()) if (families[index]?.standsAt(marker)) return true;
    return false;
  }

  isCaughtUp({ family: { index } }: RouteTable): boolean {
    for (const { families, caughtUp } of this.byName.values()) {
      if (families[index]?.follows && !caughtUp[index]) return false;
    }
    return true;
  }

  // What is declared

  apply(touched: readonly Touched[]): void {
    if (!this.enabled) return;
    if (touched.some((each) => each.kind === kind)) this.configure();
    if (this.byName.size === 0) return;
    const isConcerned = touched.some(
      ({ kind: other }) =>
        libraryKinds.some((each) => each === other) ||
        ["Neighbor", "PeerGroup", "DynamicRange", "Global"].includes(other),
    );
    if (isConcerned) for (const table of this.byName.values()) table.reconsider();
  }

  /** The first object in the order of names has a set of routes that several ask for. */
  private configure(): void {
    const owners = new Map<string, { readonly name: string; readonly spec: FibTableSpec }>();
    this.blocked.clear();
    for (const name of [...this.host.names(kind)].sort()) {
      const spec = this.host.specs.spec(kind, name) as FibTableSpec | undefined;
      if (!spec) continue;
      const key = `${spec.table ?? mainTable} ${spec.metric ?? 20}`;
      const owner = owners.get(key);
      if (owner) this.blocked.set(name, owner.name);
      else owners.set(key, { name, spec });
    }
    this.byName.clear();
    for (const [key, { name, spec }] of owners) {
      const [table, metric] = key.split(" ").map(Number);
      const fib = this.byKey.get(key) ?? this.make({ table, metric });
      if (!fib.durable && fib.persisting === 0) {
        const row: LedgerRow = {
          class: fibClass,
          key,
          owner: `${kind}/${name}`,
          phase: "intended",
          facts: {},
          identity: "",
        };
        fib.persisting = this.host.persist({ put: [row], drop: [] });
      }
      fib.configure(name, spec);
      this.byName.set(name, fib);
    }
    for (const [key, fib] of this.byKey) if (!owners.has(key) && !fib.leaves) fib.configure("", undefined);
    this.watch();
    this.judgeSoon();
  }

  private make(scope: FibScope): FibTable {
    const fib = new FibTable(scope, this.host);
    this.byKey.set(fib.key, fib);
    return fib;
  }

  private watch(): void {
    const scopes = [...this.byKey.values()].map(({ scope }) => scope);
    const text = JSON.stringify(scopes);
    if (text === this.watched || (scopes.length === 0 && this.watched === "")) return;
    this.watched = text;
    this.host.effects.push({ kind: "fib.watch", scopes });
  }

  // What happens

  durable(seq: number): void {
    for (const fib of this.byKey.values()) {
      if (fib.persisting === 0 || fib.persisting > seq) continue;
      fib.durable = true;
      fib.persisting = 0;
    }
  }

  /** The ledger could not be written: it is tried again, and nothing goes to the kernel before. */
  notDurable(seq: number): void {
    let isLost = false;
    for (const fib of this.byKey.values()) {
      if (fib.persisting < seq || fib.persisting === 0) continue;
      fib.persisting = 0;
      isLost = true;
    }
    if (isLost) this.configure();
  }

  /** A next hop is reached otherwise. */
  hopMoved(hop: number): void {
    for (const fib of this.byKey.values()) fib.moved(hop);
  }

  /** IPv4 routes go with a link or an address without a word. */
  linksChanged(): void {
    for (const fib of this.byKey.values()) {
      fib.moved();
      this.ask(fib, settleMs);
    }
  }

  /** Another hand has been at a table. */
  private moved({ table, ours }: FibMoved): void {
    for (const fib of this.byKey.values()) {
      if (fib.scope.table !== table) continue;
      if (ours) {
        fib.drifts.fill(true);
        this.ask(fib, settleMs);
      } else if (fib.families.some(({ counts }) => counts.conflicts > 0)) {
        fib.retryAtMs = Math.min(fib.retryAtMs, this.host.nowMs() + settleMs);
      }
    }
  }

  private ask(fib: FibTable, afterMs: number): void {
    const atMs = this.host.nowMs() + afterMs;
    fib.staleAtMs.forEach((before, i) => {
      fib.staleAtMs[i] = Math.min(before, Math.max(atMs, fib.restUntilMs[i]));
    });
  }

  private written(outcome: FibOutcome): void {
    const { underWay } = this;
    if (underWay?.what !== "batch" || outcome.batch !== this.batch) return;
    this.underWay = undefined;
    const { table: fib, index } = underWay;
    const family = fib.families[index];
    this.counts.failures += outcome.failed.length;
    fib.failure = outcome.failure;
    if (family.written(outcome)) this.ask(fib, dumpRestMs);
    if (underWay.removes) this.host.removed();
    if (fib.families.some(({ hasFailed }) => hasFailed)) {
      if (fib.retryAtMs === Number.POSITIVE_INFINITY) {
        fib.retryMs = Math.min(retryMaxMs, Math.max(retryFirstMs, fib.retryMs * 2));
        fib.retryAtMs = this.host.nowMs() + fib.retryMs;
      }
    } else fib.retryMs = 0;
    this.judgeSoon();
  }

  private dumped(dump: FibDump): void {
    const { underWay } = this;
    if (underWay?.what !== "dump") return;
    this.underWay = undefined;
    const { table: fib, index, atMs } = underWay;
    const nowMs = this.host.nowMs();
    fib.failure = dump.failure;
    fib.restUntilMs[index] = nowMs + Math.max(dumpRestMs, (nowMs - atMs) * dumpRestFactor);
    const nextMs = nowMs + (dump.failure === "" ? checkMs : retryFirstMs);
    fib.staleAtMs[index] = Math.min(fib.staleAtMs[index], nextMs);
    if (dump.failure === "") fib.families[index].dumped(dump);
    this.judgeSoon();
  }

  // Work

  get hasWork(): boolean {
    if (!this.enabled) return false;
    if (this.host.nowMs() >= this.judgeAtMs) return true;
    for (const fib of this.byKey.values()) {
      if (fib.families.some(({ isBusy }) => isBusy)) return true;
      if (fib.retryAtMs <= this.host.nowMs()) return true;
      if (fib.leaves && this.isGone(fib)) return true;
    }
    return !this.underWay && this.next() !== undefined;
  }

  nextMs(): number {
    const nowMs = this.host.nowMs();
    let next = this.judgeAtMs;
    for (const fib of this.byKey.values()) {
      const waits = this.isWaiting(fib) ? [this.settleByMs] : [];
      // What is due and cannot be done yet waits for an input and not for a time.
      for (const atMs of [fib.retryAtMs, ...fib.staleAtMs, ...waits])
        if (atMs > nowMs) next = Math.min(next, atMs);
    }
    return next;
  }

  run(): void {
    if (!this.enabled) return;
    const nowMs = this.host.nowMs();
    for (const fib of this.byKey.values()) {
      fib.families.forEach((family, i) => {
        if (family.run(limits.fibRowsPerTurn)) this.dumpTaken(fib, i, family);
        if (this.settleByMs === 0 || this.isDeferred(fib, i)) this.settleByMs = nowMs + settledMaxMs;
        if (!fib.caughtUp[i]) fib.caughtUp[i] = this.hasCaughtUp(fib, i);
      });
      if (fib.retryAtMs <= nowMs) {
        fib.retryAtMs = Number.POSITIVE_INFINITY;
        for (const family of fib.families) if (family.hasFailed) family.sweep();
      }
      if (fib.leaves && this.isGone(fib)) this.forget(fib);
    }
    if (!this.underWay) this.send();
    if (nowMs >= this.judgeAtMs) this.judge();
  }

  /** What a dump said was taken over: differences that nothing of ours explains are another hand's. */
  private dumpTaken(fib: FibTable, index: number, family: FibFamily): void {
    const isFirst = !fib.known[index];
    const { surprises, surprise } = family;
    family.surprises = 0;
    fib.known[index] = true;
    const isNoticed = fib.drifts[index];
    fib.drifts[index] = false;
    if (isFirst || surprises === 0 || !isNoticed) return;
    this.counts.drifts += surprises;
    const bytes = new Uint8Array(family.size);
    if (family.isRow(surprise)) family.prefixes.writeAddress(surprise, bytes, 0);
    const prefix = formatPrefix({
      bytes,
      length: family.isRow(surprise) ? family.prefixes.length[surprise] : 0,
    });
    const summary = `${surprises} routes of FibTable/${fib.name} were altered by somebody else, such as ${prefix}; they are put right`;
    const facts = { table: String(fib.scope.table), routes: String(surprises), prefix };
    this.host.event("cairn.dataplane.fib.drifted", `${kind}/${fib.name}`, 2, summary, facts);
  }

  private isGone(fib: FibTable): boolean {
    return (
      fib.known.every(Boolean) && !fib.drifts.some(Boolean) && fib.isEmpty && this.underWay?.table !== fib
    );
  }

  private forget(fib: FibTable): void {
    this.byKey.delete(fib.key);
    if (fib.durable || fib.persisting !== 0) {
      this.host.persist({ put: [], drop: [{ class: fibClass, key: fib.key }] });
    }
    this.watch();
  }

  /** What is to be asked or told the kernel now. */
  private next(): { readonly fib: FibTable; readonly index: number; readonly isDump: boolean } | undefined {
    const nowMs = this.host.nowMs();
    if (!this.host.linksKnown()) return undefined;
    const all = [...this.byKey.values()].flatMap((fib) => fib.families.map((_, index) => ({ fib, index })));
    for (let i = 0; i < all.length; i++) {
      const { fib, index } = all[(this.turn + i) % all.length];
      if (fib.staleAtMs[index] <= nowMs) return { fib, index, isDump: true };
      const family = fib.families[index];
      if (family.hasQueued && this.mayWrite(fib, index)) return { fib, index, isDump: false };
    }
    return undefined;
  }

  private mayWrite(fib: FibTable, index: number): boolean {
    if (!fib.known[index] || !fib.durable || fib.families[index].isTaking) return false;
    if (fib.begun[index] || fib.caughtUp[index]) return true;
    if (this.isDeferred(fib, index)) return false;
    // The first time, what is there from an earlier run goes unless it is wanted: all must be known of what is.
    if (fib.families[index].counts.installed === 0) return true;
    return !fib.families[index].isBehind && (this.host.isSettled() || this.host.nowMs() >= this.settleByMs);
  }

  private hasCaughtUp(fib: FibTable, index: number): boolean {
    const { isBusy, hasQueued } = fib.families[index];
    if (!fib.known[index] || isBusy || hasQueued || this.underWay?.table === fib) return false;
    return !this.isDeferred(fib, index) && (this.host.isSettled() || this.host.nowMs() >= this.settleByMs);
  }

  private isDeferred(fib: FibTable, index: number): boolean {
    return !fib.leaves && this.host.isDeferred(fib.families[index]);
  }

  private isWaiting(fib: FibTable): boolean {
    return fib.families.some((family, i) => !fib.caughtUp[i] || (family.hasQueued && !fib.begun[i]));
  }

  private send(): void {
    const next = this.next();
    if (!next) return;
    const { fib, index, isDump } = next;
    this.turn++;
    const atMs = this.host.nowMs();
    if (isDump) {
      this.counts.dumps++;
      fib.staleAtMs[index] = Number.POSITIVE_INFINITY;
      this.underWay = { what: "dump", table: fib, index, atMs, removes: false };
      this.host.effects.push({ kind: "fib.dump", ...fib.scope, size: fib.families[index].size });
      return;
    }
    fib.begun[index] = true;
    const batch = fib.families[index].take(this.batch + 1, limits.fibBatchRows, fib.scope);
    if (!batch) return;
    this.batch++;
    this.counts.batches++;
    this.counts.writes += batch.count;
    const removes = batch.verbs.subarray(0, batch.count).includes(FibVerb.delete);
    this.underWay = { what: "batch", table: fib, index, atMs, removes };
    this.host.effects.push({ kind: "fib.write", batch });
  }

  // How objects stand

  private judgeSoon(): void {
    if (this.judgeAtMs === Number.POSITIVE_INFINITY) this.judgeAtMs = this.host.nowMs() + judgeMs;
  }

  private judge(): void {
    this.judgeAtMs = Number.POSITIVE_INFINITY;
    for (const name of [...this.byName.keys(), ...this.blocked.keys()]) {
      const text = JSON.stringify(this.standing(name));
      if (this.told.get(name) === text) continue;
      this.told.set(name, text);
      this.host.changed(name);
    }
    for (const name of this.told.keys())
      if (!this.byName.has(name) && !this.blocked.has(name)) this.told.delete(name);
    const { PROGRESSING } = ResourcePhase;
    if ([...this.byName.keys()].some((name) => this.standing(name)?.phase === PROGRESSING)) this.judgeSoon();
  }

  /** Of all tables together; undefined when there is none. */
  summary(): FibSummary | undefined {
    if (this.byKey.size === 0) return undefined;
    const routes = { wanted: 0, installed: 0, refused: 0, conflicts: 0, over_limit: 0, waiting: 0 };
    for (const fib of this.byKey.values()) {
      const { overLimit, ...counts } = countsOf(fib);
      routes.over_limit += overLimit;
      for (const [name, count] of Object.entries(counts)) routes[name as keyof typeof counts] += count;
    }
    const { writes, failures, dumps, drifts } = this.counts;
    return { routes, writes, failures, dumps, drifts };
  }

  /** How an object stands; undefined for one that is not there. */
  standing(name: string): ResourceStanding | undefined {
    const other = this.blocked.get(name);
    if (other !== undefined) {
      const message = `its table and metric are those of ${kind}/${other}`;
      return { phase: ResourcePhase.DEGRADED, reason: "CONFLICT", message, values: {} };
    }
    const fib = this.byName.get(name);
    if (!fib) return undefined;
    const sum = countsOf(fib);
    const values = {
      table: String(fib.scope.table),
      metric: String(fib.scope.metric),
      protocol: String(ownBgpProtocol),
      wanted: String(sum.wanted),
      installed: String(sum.installed),
      refused: String(sum.refused),
      conflicts: String(sum.conflicts),
      over_limit: String(sum.overLimit),
      waiting: String(sum.waiting),
    };
    return { ...this.phaseOf(fib, sum), values };
  }

  private phaseOf(fib: FibTable, sum: ReturnType<typeof countsOf>): Omit<ResourceStanding, "values"> {
    const { APPLIED, PROGRESSING, DEGRADED, FAILED } = ResourcePhase;
    if (fib.failure !== "") return { phase: FAILED, reason: "UNAVAILABLE", message: fib.failure };
    if (sum.refused > 0) {
      const errno = mostFrequentRefusal(fib);
      const why = errnoMeaning(errno);
      const message = `the kernel refuses ${sum.refused} routes${why && `: ${why}`} (cairnctl fib --faulty); tried again`;
      return { phase: sum.installed === 0 ? FAILED : DEGRADED, reason: errnoText(errno), message };
    }
    if (sum.overLimit > 0) {
      const message = `${sum.overLimit} routes are beyond max_routes and are not installed`;
      return { phase: DEGRADED, reason: "MAX_ROUTES", message };
    }
    if (sum.conflicts > 0) {
      const message = `${sum.conflicts} prefixes have a route of somebody else with this metric`;
      return { phase: DEGRADED, reason: "CONFLICT", message };
    }
    const isDone =
      fib.known.every(Boolean) && fib.families.every(({ isBusy, hasQueued }) => !isBusy && !hasQueued);
    if (isDone && this.underWay?.table !== fib) return { phase: APPLIED, reason: "", message: "" };
    const isHeld = fib.families.some((family) => this.host.isDeferred(family));
    const message = isHeld ? "held until routes are chosen after the restart" : "";
    return { phase: PROGRESSING, reason: isHeld ? "DEFERRED" : "", message };
  }
}

function mostFrequentRefusal(fib: FibTable): number {
  let errno = 0;
  let most = 0;
  for (const { refusals } of fib.families) {
    for (const [each, count] of refusals) if (count > most) [errno, most] = [each, count];
  }
  return errno;
}

function countsOf(fib: FibTable): FibCounts & { waiting: number } {
  const sum = { wanted: 0, installed: 0, refused: 0, conflicts: 0, overLimit: 0, waiting: 0 };
  for (const { counts } of fib.families) {
    sum.wanted += counts.wanted;
    sum.installed += counts.installed;
    sum.refused += counts.refused;
    sum.conflicts += counts.conflicts;
    sum.overLimit += counts.overLimit;
  }
  for (const id of fib.recipes.ids()) {
    if (fib.recipes.way[id] === 0) sum.waiting += fib.recipes.references[id];
  }
  return sum;
}
