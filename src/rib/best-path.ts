/**
 * Best path as a table of named steps over integer columns. Each step compares two paths; the first that tells them
 * apart decides. MED is compared only between paths of one neighbor AS unless `alwaysCompareMed`, and pairwise
 * comparison is then not transitive; so the best path is chosen as RFC 4271 9.1.2.2 c asks: per neighbor AS first,
 * then between the winners. The result does not depend on the order of arrival (property test beside this file).
 */
import { assert } from "../base/assert.ts";
import { AttributeFlag } from "../policy/attribute-table.ts";
import { aspaStateNames, rpkiStateNames } from "../policy/route-key.ts";
import { addAigp } from "../wire/attributes/aigp.ts";
import type { AttributeStore } from "./attribute-store.ts";
import { type NeighborColumns, NeighborFlag } from "./neighbor-columns.ts";
import type { PathColumns } from "./path-columns.ts";

interface StepRule {
  readonly name: string;
  /** It only picks one of paths that are equally good: multipath does not ask it. */
  readonly breaksTies?: boolean;
}

/** Steps by number, in the default order. Names are those of the configuration. */
const stepRules = [
  { name: "stale" },
  { name: "rpki" },
  { name: "aspa" },
  { name: "weight" },
  { name: "local-pref" },
  { name: "local-origin" },
  { name: "aigp" },
  { name: "as-path-length" },
  { name: "origin" },
  { name: "med" },
  { name: "external" },
  { name: "igp-metric" },
  { name: "oldest", breaksTies: true },
  { name: "router-id", breaksTies: true },
  { name: "cluster-list-length", breaksTies: true },
  { name: "neighbor-address", breaksTies: true },
  { name: "path-id", breaksTies: true },
] as const satisfies readonly StepRule[];
export type StepName = (typeof stepRules)[number]["name"];
export const stepNames: readonly StepName[] = stepRules.map(({ name }) => name);
const breaksTies = (step: number): boolean => (stepRules[step] as StepRule).breaksTies === true;

/** How good a validation state is, by its number: valid, then what nothing is known of, then invalid. */
const stateRank = [1, 0, 2] as const;

const Step = {
  stale: 0,
  rpki: 1,
  aspa: 2,
  weight: 3,
  localPref: 4,
  localOrigin: 5,
  aigp: 6,
  asPathLength: 7,
  origin: 8,
  med: 9,
  external: 10,
  igpMetric: 11,
  oldest: 12,
  routerId: 13,
  clusterLength: 14,
  neighborAddress: 15,
  pathId: 16,
} as const;

export interface BestPathConfig {
  readonly alwaysCompareMed: boolean;
  readonly missingMedWorst: boolean;
  readonly ignoreAsPathLength: boolean;
  readonly preferOldest: boolean;
  /** The steps rpki and aspa are in the default order. */
  readonly preferRpkiValid?: boolean;
  readonly preferAspaValid?: boolean;
  /** Empty for the default order. `stale` always opens it, the last two steps always close it so that it is total. */
  readonly steps: readonly StepName[];
}

export const defaultBestPath: BestPathConfig = {
  alwaysCompareMed: false,
  missingMedWorst: false,
  ignoreAsPathLength: false,
  preferOldest: false,
  steps: [],
};

/** One line of an explanation: both values as text, and how `b` did against `a`. */
export interface StepComparison {
  readonly step: StepName;
  readonly a: string;
  readonly b: string;
  /** Positive: b is worse; negative: b is better; 0 equal; undefined: the step does not apply to this pair. */
  readonly order: number | undefined;
}

export class BestPath {
  private readonly attributes: AttributeStore;
  private readonly neighbors: NeighborColumns;
  private config: BestPathConfig = defaultBestPath;
  private order: readonly number[] = [];
  /** Those of the steps that do not only break ties. */
  private merits: readonly number[] = [];
  /** Paths under selection, reused. */
  private readonly candidates: number[] = [];

  constructor(attributes: AttributeStore, neighbors: NeighborColumns) {
    this.attributes = attributes;
    this.neighbors = neighbors;
    this.configure(defaultBestPath);
  }

  configure(config: BestPathConfig): void {
    this.config = config;
    const named = config.steps.length > 0 ? config.steps : stepNames;
    const order = named.map((name) => stepNames.indexOf(name));
    assert(!order.includes(-1), "unknown best-path step");
    const wanted = order.filter(
      (step) =>
        !(step === Step.asPathLength && config.ignoreAsPathLength) &&
        !(step === Step.igpMetric && !this.attributes.nextHops && config.steps.length === 0) &&
        !(step === Step.oldest && !config.preferOldest && config.steps.length === 0) &&
        !(step === Step.rpki && !config.preferRpkiValid && config.steps.length === 0) &&
        !(step === Step.aspa && !config.preferAspaValid && config.steps.length === 0),
    );
    const staleAt = wanted.indexOf(Step.stale);
    if (staleAt >= 0) wanted.splice(staleAt, 1);
    wanted.unshift(Step.stale); // RFC 9494 leaves no choice
    for (const last of [Step.neighborAddress, Step.pathId]) {
      const at = wanted.indexOf(last);
      if (at >= 0) wanted.splice(at, 1);
      wanted.push(last);
    }
    this.order = wanted;
    this.merits = wanted.filter((step) => !breaksTies(step));
  }

  /** True when the order has the step. */
  asks(step: StepName): boolean {
    return this.order.includes(stepNames.indexOf(step));
  }

  /**
   * Compares two eligible paths of one prefix.
   * @returns negative when `a` is better, positive when `b` is; 0 only for the same path
   */
  compare(paths: PathColumns, a: number, b: number): number {
    return this.compareBy(this.order, paths, a, b);
  }

  /** Compares without the steps that only break ties: 0 when neither path is better than the other. */
  compareMerit(paths: PathColumns, a: number, b: number): number {
    return this.compareBy(this.merits, paths, a, b);
  }

  /** The first step by which `compareMerit` tells two paths apart; undefined when neither is better. */
  decidingMerit(paths: PathColumns, a: number, b: number): StepName | undefined {
    const step = this.merits.find((merit) => this.step(merit, paths, a, b) !== 0);
    return step === undefined ? undefined : stepNames[step];
  }

  /** The step, counted from 1 in the order of `stepNames`, that tells two paths apart; 0 when none does. */
  decidingStep(paths: PathColumns, a: number, b: number): number {
    const step = this.order.find((each) => this.step(each, paths, a, b) !== 0);
    return step === undefined ? 0 : step + 1;
  }

  private compareBy(steps: readonly number[], paths: PathColumns, a: number, b: number): number {
    for (let i = 0; i < steps.length; i++) {
      const result = this.step(steps[i], paths, a, b);
      if (result !== 0) return result;
    }
    return 0;
  }

  private step(step: number, paths: PathColumns, a: number, b: number): number {
    const attributes = this.attributes;
    const attrA = paths.attr[a];
    const attrB = paths.attr[b];
    switch (step) {
      case Step.stale:
        // RFC 9494 4.3: least preferred. A path that is only stale (RFC 4724) is as good as before.
        return (
          (attributes.flags[attrA] & AttributeFlag.llgrStale) -
          (attributes.flags[attrB] & AttributeFlag.llgrStale)
        );
      case Step.rpki:
        return stateRank[paths.rpkiOf(a)] - stateRank[paths.rpkiOf(b)];
      case Step.aspa:
        return stateRank[paths.aspaOf(a)] - stateRank[paths.aspaOf(b)];
      case Step.weight:
        return attributes.weight[attrB] - attributes.weight[attrA];
      case Step.localPref:
        return attributes.localPref[attrB] - attributes.localPref[attrA];
      case Step.localOrigin:
        return Number(paths.neighbor[a] !== 0) - Number(paths.neighbor[b] !== 0);
      case Step.aigp:
        return this.compareAigp(paths, a, b);
      case Step.asPathLength:
        return attributes.pathLength[attrA] - attributes.pathLength[attrB];
      case Step.origin:
        return attributes.origin[attrA] - attributes.origin[attrB];
      case Step.med:
        return this.comparesMed(attrA, attrB) ? this.medOf(attrA) - this.medOf(attrB) : 0;
      case Step.external:
        return this.internalRank(paths.neighbor[a]) - this.internalRank(paths.neighbor[b]);
      case Step.igpMetric:
        return this.igpMetric(attrA, paths.neighbor[a]) - this.igpMetric(attrB, paths.neighbor[b]);
      case Step.oldest:
        return this.ageRank(paths, a) - this.ageRank(paths, b);
      case Step.routerId:
        return this.idOf(attrA, paths.neighbor[a]) - this.idOf(attrB, paths.neighbor[b]);
      case Step.clusterLength:
        return attributes.clusterLength[attrA] - attributes.clusterLength[attrB];
      case Step.neighborAddress:
        return this.compareAddress(paths.neighbor[a], paths.neighbor[b]);
      default:
        return paths.idOf(a) - paths.idOf(b);
    }
  }

  private comparesMed(attrA: number, attrB: number): boolean {
    return (
      this.config.alwaysCompareMed || this.attributes.neighborAs[attrA] === this.attributes.neighborAs[attrB]
    );
  }

  private medOf(attr: number): number {
    const present = (this.attributes.flags[attr] & AttributeFlag.hasMed) !== 0;
    return present ? this.attributes.med[attr] : this.config.missingMedWorst ? 0x1_0000_0000 : 0;
  }

  /** Metric of our route to the next hop; 0 for our own routes, and where next hops are not tracked. */
  igpMetric(attr: number, neighbor: number): number {
    const { nextHops, nextHop } = this.attributes;
    return nextHops && neighbor !== 0 ? nextHops.metric[nextHop[attr]] : 0;
  }

  /** RFC 7311 4.1: one with the attribute goes before one without, then the shorter way counts. */
  private compareAigp(paths: PathColumns, a: number, b: number): number {
    const { flags } = this.attributes;
    const attrA = paths.attr[a];
    const attrB = paths.attr[b];
    if (((flags[attrA] | flags[attrB]) & AttributeFlag.hasAigp) === 0) return 0;
    if (((flags[attrA] ^ flags[attrB]) & AttributeFlag.hasAigp) !== 0) {
      return (flags[attrB] & AttributeFlag.hasAigp) - (flags[attrA] & AttributeFlag.hasAigp);
    }
    const difference = this.aigpOf(attrA, paths.neighbor[a]) - this.aigpOf(attrB, paths.neighbor[b]);
    return difference < 0n ? -1 : difference > 0n ? 1 : 0;
  }

  /** The metric with that to the next hop; -1 without one. */
  private aigpOf(attr: number, neighbor: number): bigint {
    const { flags, aigpHigh, aigpLow } = this.attributes;
    if ((flags[attr] & AttributeFlag.hasAigp) === 0) return -1n;
    const metric = (BigInt(aigpHigh[attr]) << 32n) | BigInt(aigpLow[attr]);
    return addAigp(metric, this.igpMetric(attr, neighbor));
  }

  private isExternal(neighbor: number): boolean {
    return (this.neighbors.flags[neighbor] & NeighborFlag.external) !== 0;
  }

  /** Age counts between external paths. Others rank behind these, else the order would not be transitive. */
  private ageRank(paths: PathColumns, path: number): number {
    return this.isExternal(paths.neighbor[path]) ? paths.time[path] : 0x1_0000_0000;
  }

  private internalRank(neighbor: number): number {
    return this.isExternal(neighbor) ? 0 : 1;
  }

  /** ORIGINATOR_ID stands for the router id of a reflected route (RFC 4456 9). */
  private idOf(attr: number, neighbor: number): number {
    const originator = this.attributes.flags[attr] & AttributeFlag.hasOriginatorId;
    return originator ? this.attributes.originatorId[attr] : this.neighbors.routerId[neighbor];
  }

  private compareAddress(a: number, b: number): number {
    const address = this.neighbors.address;
    for (let i = 0; i < 4; i++) {
      const difference = address[a * 4 + i] - address[b * 4 + i];
      if (difference !== 0) return difference;
    }
    return 0;
  }

  /**
   * Chooses among the eligible paths of a chain.
   * @param head first path of the chain
   * @returns the best path, or 0 when none is eligible
   */
  select(paths: PathColumns, head: number): number {
    const candidates = this.candidates;
    candidates.length = 0;
    let groups = false;
    const medMatters = !this.config.alwaysCompareMed;
    for (let path = head; path !== 0; path = paths.next[path]) {
      if (!paths.eligible(path)) continue;
      candidates.push(path);
      if (medMatters && (this.attributes.flags[paths.attr[path]] & AttributeFlag.hasMed) !== 0) groups = true;
    }
    if (candidates.length === 0) return 0;
    if (groups && candidates.length > 2) this.keepGroupWinners(paths);
    let best = candidates[0];
    for (let i = 1; i < candidates.length; i++) {
      if (this.compare(paths, candidates[i], best) < 0) best = candidates[i];
    }
    return best;
  }

  /** Leaves in `candidates` the best path of each neighbor AS, as MED is only comparable within one. */
  private keepGroupWinners(paths: PathColumns): void {
    const candidates = this.candidates;
    const groupOf = (path: number): number => this.attributes.neighborAs[paths.attr[path]];
    let winners = 0;
    for (let i = 0; i < candidates.length; i++) {
      const path = candidates[i];
      let w = 0;
      while (w < winners && groupOf(candidates[w]) !== groupOf(path)) w++;
      if (w === winners) candidates[winners++] = path;
      else if (this.compare(paths, path, candidates[w]) < 0) candidates[w] = path;
    }
    candidates.length = winners;
  }

  /**
   * All eligible paths of a chain, best first: the order in which they would be chosen one after the other. Within one
   * neighbor AS the comparison is an order, and between these, where MED plays no part, it is another; so each AS is
   * sorted, and the best of their fronts is taken again and again.
   */
  rank(paths: PathColumns, head: number): number[] {
    const byAs = new Map<number, number[]>();
    for (let path = head; path !== 0; path = paths.next[path]) {
      if (!paths.eligible(path)) continue;
      const as = this.config.alwaysCompareMed ? 0 : this.attributes.neighborAs[paths.attr[path]];
      const list = byAs.get(as);
      if (list) list.push(path);
      else byAs.set(as, [path]);
    }
    // Best last, in each list and among the lists, so that the next one is popped.
    const worstFirst = (a: number, b: number): number => this.compare(paths, b, a);
    const fronts = [...byAs.values()];
    for (const list of fronts) list.sort(worstFirst);
    fronts.sort((a, b) => worstFirst(a[a.length - 1], b[b.length - 1]));
    const ranked: number[] = [];
    for (let list = fronts.pop(); list; list = fronts.pop()) {
      ranked.push(list.pop()!);
      if (list.length === 0) continue;
      const front = list[list.length - 1];
      let from = 0;
      for (let to = fronts.length; from < to; ) {
        const middle = (from + to) >> 1;
        const other = fronts[middle];
        if (worstFirst(other[other.length - 1], front) < 0) from = middle + 1;
        else to = middle;
      }
      fronts.splice(from, 0, list);
    }
    return ranked;
  }

  /** Every step for `b` against the better path `a`, down to the one that decides. */
  explain(paths: PathColumns, a: number, b: number): StepComparison[] {
    const lines: StepComparison[] = [];
    for (const step of this.order) {
      const applies = step !== Step.med || this.comparesMed(paths.attr[a], paths.attr[b]);
      const result = this.step(step, paths, a, b);
      lines.push({
        step: stepNames[step],
        a: this.valueText(step, paths, a),
        b: this.valueText(step, paths, b),
        order: applies ? -result : undefined,
      });
      if (result !== 0) break;
    }
    return lines;
  }

  private valueText(step: number, paths: PathColumns, path: number): string {
    const attr = paths.attr[path];
    const neighbor = paths.neighbor[path];
    switch (step) {
      case Step.stale:
        return this.attributes.flags[attr] & AttributeFlag.llgrStale ? "long-lived stale" : "fresh";
      case Step.rpki:
        return rpkiStateNames[paths.rpkiOf(path)];
      case Step.aspa:
        return aspaStateNames[paths.aspaOf(path)];
      case Step.weight:
        return String(this.attributes.weight[attr]);
      case Step.localPref:
        return String(this.attributes.localPref[attr]);
      case Step.localOrigin:
        return neighbor === 0 ? "local" : "learned";
      case Step.aigp: {
        const total = this.aigpOf(attr, neighbor);
        return total < 0 ? "none" : String(total);
      }
      case Step.asPathLength:
        return String(this.attributes.pathLength[attr]);
      case Step.origin:
        return ["IGP", "EGP", "incomplete"][this.attributes.origin[attr]];
      case Step.med:
        return this.attributes.flags[attr] & AttributeFlag.hasMed
          ? String(this.attributes.med[attr])
          : "none";
      case Step.external:
        return this.isExternal(neighbor) ? "external" : "internal";
      case Step.igpMetric:
        return String(this.igpMetric(attr, neighbor));
      case Step.oldest:
        return String(paths.time[path]);
      case Step.routerId:
        return dotted(this.idOf(attr, neighbor));
      case Step.clusterLength:
        return String(this.attributes.clusterLength[attr]);
      case Step.neighborAddress:
        return this.addressText(neighbor);
      default:
        return String(paths.idOf(path));
    }
  }

  private addressText(neighbor: number): string {
    const words = [0, 1, 2, 3].map((i) => this.neighbors.address[neighbor * 4 + i]);
    if (neighbor === 0) return "local";
    if (words[0] === 0 && words[1] === 0 && words[2] === 0) return dotted(words[3]);
    return words.map((word) => word.toString(16).padStart(8, "0")).join(":");
  }
}

function dotted(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}
