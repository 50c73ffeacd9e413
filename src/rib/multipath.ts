/**
 * Multipath of one table: which paths of a prefix are used side by side with the best one, and in what shares.
 *
 * A path is used when no step of best path that is more than a tie breaker tells it from the best one, when it comes
 * from the same side (external or internal) and the same neighbor AS (internal: with the same AS_PATH) unless that is
 * relaxed, and when its next hop is another one. Of too many the first in the order of best path are taken. So the set
 * does not depend on the order of arrival.
 *
 * Sets are marks on paths, kept up to date by the table: that a set changed is seen where the path changes, and readers
 * find it without choosing again.
 */
import { grown } from "../base/columns.ts";
import { AttributeFlag } from "../policy/attribute-table.ts";
import { AttributeType } from "../wire/attributes/descriptor.ts";
import { attributeEnd, findAttribute, valueAt } from "../wire/block-walk.ts";
import { linkBandwidth } from "../wire/link-bandwidth.ts";
import { AttributeBlock } from "../wire/scratch.ts";
import type { AttrId, AttributeStore } from "./attribute-store.ts";
import type { BestPath, StepName } from "./best-path.ts";
import { type NeighborColumns, NeighborFlag } from "./neighbor-columns.ts";
import type { PathColumns, PathId } from "./path-columns.ts";

/** What link bandwidth communities do to the shares. */
export type BandwidthMode =
  /** Shares by bandwidth when each path has one, else equal ones. */
  | "all"
  | "ignore"
  /** As soon as one path has a bandwidth: those without are not used. */
  | "skip-missing"
  /** As soon as one path has a bandwidth: those without have weight 1. */
  | "default-weight";

export interface MultipathConfig {
  /** Paths that are used at most when the best one is external, and when it is internal; 1 is no multipath. */
  readonly external: number;
  readonly internal: number;
  /** AS paths need only be of equal length. */
  readonly relaxAsPath: boolean;
  readonly bandwidth: BandwidthMode;
}

export const noMultipath: MultipathConfig = {
  external: 1,
  internal: 1,
  relaxAsPath: false,
  bandwidth: "all",
};

/** Why a path is used beside the best one, or is not. */
export type MultipathVerdict =
  | { readonly kind: "used" }
  /** A step of best path tells it from the best one. */
  | { readonly kind: "worse"; readonly step: StepName }
  | { readonly kind: "side" | "neighbor-as" | "as-path" | "nowhere" | "beyond-limit" }
  /** Another path of its neighbor AS has a better MED. */
  | { readonly kind: "med"; readonly other: PathId }
  | { readonly kind: "same-next-hop"; readonly other: PathId };

/** One path of a set with its weight for a FIB: 0 is not used, else 1 to 100. */
export interface PathShare {
  readonly path: PathId;
  readonly weight: number;
}

/** Weights by bandwidth are percents of the sum, as in FRR. */
const wholeWeight = 100;

const used: MultipathVerdict = { kind: "used" };
const member = 1;
const chosenNow = 2;

export class Multipath {
  private readonly attributes: AttributeStore;
  private readonly neighbors: NeighborColumns;
  private readonly best: BestPath;
  private config: MultipathConfig = noMultipath;
  /** By path row: whether it is one of a set of two or more. */
  private marks = new Uint8Array(1024);
  private readonly blocks = [new AttributeBlock(), new AttributeBlock()] as const;
  private readonly candidates: PathId[] = [];
  private readonly chosen: PathId[] = [];
  /** Prefixes that have a set, and the paths in all sets. */
  prefixCount = 0;
  pathCount = 0;

  constructor(attributes: AttributeStore, neighbors: NeighborColumns, best: BestPath) {
    this.attributes = attributes;
    this.neighbors = neighbors;
    this.best = best;
  }

  /** Sets are only right again once every prefix was settled. */
  configure(config: MultipathConfig): void {
    this.config = config;
  }

  /** True when sets can come to be. */
  get isOn(): boolean {
    return this.config.external > 1 || this.config.internal > 1;
  }

  /** True when the path is one of a set, the best one included. */
  has(path: PathId): boolean {
    return (this.marks[path] ?? 0) !== 0;
  }

  /** Lets go of a path that leaves its chain; `settle` must follow. @returns whether it was in the set */
  forget(path: PathId): boolean {
    const was = this.has(path);
    if (was) {
      this.marks[path] = 0;
      this.pathCount--;
    }
    return was;
  }

  /**
   * Brings the set of a prefix up to date after any change of its paths.
   * @param head first path of the chain, the best one if any is eligible
   * @param lost a path of the set has just left the chain
   * @returns true when the set is another one
   */
  settle(paths: PathColumns, head: PathId, lost: boolean): boolean {
    if (!this.isOn && this.pathCount === 0 && !lost) return false;
    if (this.marks.length < paths.next.length) this.marks = grown(this.marks, paths.next.length);
    const { marks } = this;
    const chosen = this.choose(paths, head, undefined);
    for (let i = 0; i < chosen.length; i++) marks[chosen[i]] |= chosenNow;
    let had = lost;
    let changed = lost;
    for (let path = head; path !== 0; path = paths.next[path]) {
      const mark = marks[path];
      if (mark === 0) continue;
      had ||= (mark & member) !== 0;
      changed ||= mark !== (member | chosenNow);
      this.pathCount += (mark >> 1) - (mark & member);
      marks[path] = mark >> 1;
    }
    this.prefixCount += Number(chosen.length > 0) - Number(had);
    return changed;
  }

  /** The set of a prefix by the marks, best first; empty when only the best path is used. */
  members(paths: PathColumns, best: PathId): PathId[] {
    if (!this.has(best)) return [];
    const members: PathId[] = [];
    for (let path = best; path !== 0; path = paths.next[path]) if (this.has(path)) members.push(path);
    return members.sort((a, b) => this.best.compare(paths, a, b));
  }

  /** The set with its weights, best first. Weights are all 1 when they are not by bandwidth. */
  shares(paths: PathColumns, best: PathId): PathShare[] {
    const members = this.members(paths, best);
    const rates = members.map((path) => this.bandwidthOf(paths.attr[path]));
    return weightsOf(rates, this.config.bandwidth).map((weight, i) => ({ path: members[i], weight }));
  }

  /** Weight of a path within its set; 0 when it is in none, or not used for want of a bandwidth. */
  weightOf(paths: PathColumns, best: PathId, path: PathId): number {
    return this.shares(paths, best).find((share) => share.path === path)?.weight ?? 0;
  }

  /** Link bandwidth of an attribute set in bytes per second; 0 for none. */
  bandwidthOf(attr: AttrId): number {
    const [block] = this.blocks;
    this.attributes.block(attr, block);
    return linkBandwidth(block.bytes, block.start, block.end);
  }

  /** What is made of each eligible path beside the best one; empty when multipath is off for the best one. */
  explain(paths: PathColumns, head: PathId): ReadonlyMap<PathId, MultipathVerdict> {
    const told = new Map<PathId, MultipathVerdict>();
    this.choose(paths, head, told);
    return told;
  }

  /** How many paths may be used beside such a best path, itself included. */
  limitFor(paths: PathColumns, best: PathId): number {
    return this.isExternal(paths.neighbor[best]) ? this.config.external : this.config.internal;
  }

  /** The set that a chain has: empty, or the best path and those beside it. Valid until the next call. */
  private choose(
    paths: PathColumns,
    head: PathId,
    told: Map<PathId, MultipathVerdict> | undefined,
  ): readonly PathId[] {
    const { chosen, candidates } = this;
    chosen.length = 0;
    candidates.length = 0;
    if (head === 0 || !paths.eligible(head)) return chosen;
    const limit = this.limitFor(paths, head);
    if (limit <= 1) return chosen;
    for (let path = paths.next[head]; path !== 0; path = paths.next[path]) {
      if (!paths.eligible(path)) continue;
      const verdict = this.against(paths, head, path);
      told?.set(path, verdict);
      if (verdict === used) candidates.push(path);
    }
    if (candidates.length === 0) return chosen;
    if (this.config.relaxAsPath) this.dropByMed(paths, head, told);
    candidates.sort((a, b) => this.best.compare(paths, a, b));
    chosen.push(head);
    for (const path of candidates) {
      const twin = chosen.find((other) => this.hasSameNextHop(paths, other, path));
      if (twin !== undefined) told?.set(path, { kind: "same-next-hop", other: twin });
      else if (chosen.length < limit) chosen.push(path);
      else if (told) told.set(path, { kind: "beyond-limit" });
      else break;
    }
    if (chosen.length === 1) chosen.length = 0;
    return chosen;
  }

  /** What the best path alone has to say of another one. */
  private against(paths: PathColumns, best: PathId, path: PathId): MultipathVerdict {
    const { attributes } = this;
    const step = this.best.decidingMerit(paths, best, path);
    if (step !== undefined) return { kind: "worse", step };
    const [bestFrom, from] = [paths.neighbor[best], paths.neighbor[path]];
    // Steps may be left out of the configured order; these two are never told apart by a FIB.
    if (this.isExternal(bestFrom) !== this.isExternal(from)) return { kind: "side" };
    const [a, b] = [paths.attr[best], paths.attr[path]];
    if (this.leadsNowhere(a) || this.leadsNowhere(b)) return { kind: "nowhere" };
    if (this.config.relaxAsPath) return used;
    if (attributes.neighborAs[a] !== attributes.neighborAs[b]) return { kind: "neighbor-as" };
    if (!this.isExternal(from) && !this.isSame(a, b, AttributeType.asPath)) return { kind: "as-path" };
    return used;
  }

  /**
   * Paths of different neighbor ASes cannot be compared by MED, so a path may equal the best one although another path
   * of its own AS has a better MED: RFC 4271 9.1.2.2 c has it out before.
   */
  private dropByMed(paths: PathColumns, head: PathId, told: Map<PathId, MultipathVerdict> | undefined): void {
    const { candidates } = this;
    const firsts = new Map<number, PathId>();
    const groupOf = (path: PathId): number => this.attributes.neighborAs[paths.attr[path]];
    for (let path = head; path !== 0; path = paths.next[path]) {
      if (!paths.eligible(path)) continue;
      const first = firsts.get(groupOf(path));
      if (first === undefined || this.best.compareMerit(paths, path, first) < 0) {
        firsts.set(groupOf(path), path);
      }
    }
    let left = 0;
    for (const path of candidates) {
      const first = firsts.get(groupOf(path))!;
      if (this.best.compareMerit(paths, first, path) === 0) candidates[left++] = path;
      else told?.set(path, { kind: "med", other: first });
    }
    candidates.length = left;
  }

  /** True for a route that drops its traffic, and for one that was injected without a next hop. */
  private leadsNowhere(attr: AttrId): boolean {
    if ((this.attributes.flags[attr] & AttributeFlag.discard) !== 0) return true;
    const [block] = this.blocks;
    this.attributes.block(attr, block);
    const { bytes, start, end } = block;
    const at = findAttribute(bytes, start, end, AttributeType.nextHop);
    return at < 0 || isZero(bytes, valueAt(bytes, at), attributeEnd(bytes, at));
  }

  private isExternal(neighbor: number): boolean {
    return (this.neighbors.flags[neighbor] & NeighborFlag.external) !== 0;
  }

  /** Link-local next hops are those of a neighbor: another neighbor's are on another link. */
  private hasSameNextHop(paths: PathColumns, a: PathId, b: PathId): boolean {
    if (!this.isSame(paths.attr[a], paths.attr[b], AttributeType.nextHop)) return false;
    if (paths.neighbor[a] === paths.neighbor[b]) return true;
    const [{ bytes, start, end }] = this.blocks;
    const at = findAttribute(bytes, start, end, AttributeType.nextHop);
    if (at < 0) return true;
    const value = valueAt(bytes, at);
    const isLinkLocal = bytes[value] === 0xfe && (bytes[value + 1] & 0xc0) === 0x80;
    return !(attributeEnd(bytes, at) - value >= 16 && isLinkLocal);
  }

  /** True when two sets have the same attribute of a type, or both have none. Leaves both in `blocks`. */
  private isSame(a: AttrId, b: AttrId, type: number): boolean {
    const [first, second] = this.blocks;
    this.attributes.block(a, first);
    if (a === b) return true;
    this.attributes.block(b, second);
    const firstAt = findAttribute(first.bytes, first.start, first.end, type);
    const secondAt = findAttribute(second.bytes, second.start, second.end, type);
    if (firstAt < 0 || secondAt < 0) return firstAt === secondAt;
    const from = valueAt(first.bytes, firstAt);
    const size = attributeEnd(first.bytes, firstAt) - from;
    const other = valueAt(second.bytes, secondAt);
    if (attributeEnd(second.bytes, secondAt) - other !== size) return false;
    for (let i = 0; i < size; i++) if (first.bytes[from + i] !== second.bytes[other + i]) return false;
    return true;
  }

  memoryBytes(): number {
    return this.marks.byteLength;
  }
}

function isZero(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (bytes[at] !== 0) return false;
  return true;
}

/** Weights of a set from its bandwidths in bytes per second, 0 for a path without one. */
export function weightsOf(rates: readonly number[], mode: BandwidthMode): number[] {
  const present = rates.filter((rate) => rate > 0);
  const isWeighted =
    mode === "all" ? present.length === rates.length : mode !== "ignore" && present.length > 0;
  if (!isWeighted) return rates.map(() => 1);
  const sum = present.reduce((total, rate) => total + rate, 0);
  return rates.map((rate) => {
    if (rate === 0) return mode === "skip-missing" ? 0 : 1;
    return Math.max(1, Math.floor((rate * wholeWeight) / sum));
  });
}
