/**
 * The routes of one family: prefixes, the paths to each, which path is best, and the change list that consumers walk.
 *
 *   prefix row --head--> best path --next--> other path --next--> ...
 *
 * Invariant: when a prefix has an eligible path, the first of its chain is the best one. A change of the best path, or
 * of its attributes, moves the prefix to the tail of the change list. A prefix without paths stays until every cursor
 * has passed it, so that all consumers see it go.
 */
import { assert } from "../base/assert.ts";
import { grown } from "../base/columns.ts";
import { AttributeFlag } from "../policy/attribute-table.ts";
import type { Family } from "../wire/family.ts";
import type { NlriList } from "../wire/scratch.ts";
import type { AttrId, AttributeStore } from "./attribute-store.ts";
import type { BestPath } from "./best-path.ts";
import { after, ChangeList } from "./change-list.ts";
import { FlowTable } from "./flow-table.ts";
import { ChangeCause, type RouteHistory } from "./history.ts";
import { Multipath, type MultipathConfig } from "./multipath.ts";
import type { NeighborColumns } from "./neighbor-columns.ts";
import { NextHopPaths } from "./next-hop-paths.ts";
import { type NextHops, routeKey } from "./next-hops.ts";
import { PathColumns, type PathId } from "./path-columns.ts";
import { epochMask, epochShift, epochs, isAccepted, RejectReason, reasonMask } from "./path-flags.ts";
import { Before, beforeOf, PathJournal } from "./path-journal.ts";
import type { PathValidator, StateOfPath } from "./path-validator.ts";
import { markerLength, type PrefixId, PrefixTable4, PrefixTable16 } from "./prefix-table.ts";

const queuedDead = 1;
/** The row has no path and is kept because somebody remembers it. */
const vacant = 2;

export class RouteTable {
  readonly family: Family;
  readonly prefixes: PrefixTable4 | PrefixTable16 | FlowTable;
  /** The same where they are rules; undefined for prefixes. */
  readonly rules: FlowTable | undefined;
  readonly paths = new PathColumns();
  readonly changes = new ChangeList();
  private readonly attributes: AttributeStore;
  private readonly best: BestPath;
  private readonly neighbors: NeighborColumns;
  private capacity: number;
  /** First path of each prefix. */
  head: Uint32Array;
  private state: Uint8Array;
  /** How many consumers hold a prefix for themselves although it has no path (default-originate). */
  private readonly pins = new Map<PrefixId, number>();
  /** How many changes that are remembered name a prefix; its row stays as long. Undefined while none is. */
  private kept: Uint32Array | undefined;
  /** Where changes are written down; undefined while they are not. */
  private history: RouteHistory | undefined;
  /** Rows without a path that stay because they are remembered. */
  vacantCount = 0;
  /** Rows of the list that is announced. */
  private listed = new Uint32Array(0);
  /** Prefixes that lost their last path, until all cursors have passed them. */
  private dead: PrefixId[] = [];
  private deadHead = 0;
  /** Paths by next hop, where these are tracked. */
  readonly nextHopPaths: NextHopPaths | undefined;
  /** Paths per neighbor: all, and those that import accepted. */
  received = new Uint32Array(64);
  accepted = new Uint32Array(64);
  /** Those that a prefix limit keeps out, before and after policy. */
  overReceived = new Uint32Array(64);
  overAccepted = new Uint32Array(64);
  /** By neighbor: paths that are suppressed because they flap. */
  damped = new Uint32Array(64);
  /** Of the received ones, paths of earlier epochs. */
  stale = new Uint32Array(64);
  /** By neighbor: the present epoch, counted up; a path has it modulo `epochs`. Paths of earlier ones are stale. */
  epoch = new Uint32Array(64);
  /** By neighbor: how many epochs its stale paths may be old. */
  private epochsHeld = new Uint8Array(64);
  /** Prefixes with a best path. */
  bestCount = 0;
  bestPathRuns = 0;
  /** Some consumer looks at paths behind the best one: a change of any eligible path moves its prefix to the tail. */
  followsAllPaths = false;
  /** Which paths are used side by side with the best one; undefined as long as that was never asked for. */
  multipath: Multipath | undefined;
  /** Which paths changed; undefined while nobody asks. */
  journal: PathJournal | undefined;
  /** States of validation; undefined while nobody can tell any. */
  validator: PathValidator | undefined;
  /** Set while best path asks for states: they are noted with each path. */
  stateOf: StateOfPath | undefined;
  /** Latest revision of a prefix that was forgotten: a watch cannot go on from before it. */
  forgottenRevision = 0;

  constructor(
    family: Family,
    attributes: AttributeStore,
    best: BestPath,
    neighbors: NeighborColumns,
    nextHops?: NextHops,
  ) {
    this.family = family;
    this.nextHopPaths = nextHops && new NextHopPaths(nextHops);
    this.prefixes = rowsFor(family);
    this.rules = this.prefixes instanceof FlowTable ? this.prefixes : undefined;
    this.attributes = attributes;
    this.best = best;
    this.neighbors = neighbors;
    this.capacity = this.prefixes.capacity;
    this.head = new Uint32Array(this.capacity);
    this.state = new Uint8Array(this.capacity);
  }

  /** Keeps a journal of paths from now on, or no longer. */
  keepJournal(entriesMax: number): void {
    this.journal = entriesMax === 0 ? undefined : (this.journal ?? new PathJournal(entriesMax));
  }

  /** Sets how many paths are used side by side; every prefix must be selected again when that changes. */
  configureMultipath(config: MultipathConfig): void {
    if (!this.multipath && config.external <= 1 && config.internal <= 1) return;
    this.multipath ??= new Multipath(this.attributes, this.neighbors, this.best);
    this.multipath.configure(config);
  }

  /** Makes room for a neighbor's counters. */
  ensureNeighbor(neighbor: number): void {
    while (neighbor >= this.received.length) {
      this.received = grown(this.received, this.received.length * 2);
      this.accepted = grown(this.accepted, this.accepted.length * 2);
      this.overReceived = grown(this.overReceived, this.overReceived.length * 2);
      this.overAccepted = grown(this.overAccepted, this.overAccepted.length * 2);
      this.damped = grown(this.damped, this.damped.length * 2);
      this.stale = grown(this.stale, this.stale.length * 2);
      this.epoch = grown(this.epoch, this.epoch.length * 2);
      this.epochsHeld = grown(this.epochsHeld, this.epochsHeld.length * 2);
    }
  }

  /** Makes all paths of a neighbor stale, without looking at them: its session was lost, or it sends them all again. */
  beginEpoch(neighbor: number): void {
    if (this.stale[neighbor] === 0) this.epochsHeld[neighbor] = 0;
    if (this.epochsHeld[neighbor] === epochs - 1) {
      // The number of the oldest epoch is about to be used again.
      this.sweepNeighbor(neighbor, this.epoch[neighbor] - epochs + 2, 1, this.paths.rows);
    } else this.epochsHeld[neighbor]++;
    this.epoch[neighbor]++;
    this.stale[neighbor] = this.received[neighbor];
  }

  /** False when another epoch could only begin with a walk over all paths, to sweep the oldest. */
  hasEpochs(neighbor: number): boolean {
    return this.stale[neighbor] === 0 || this.epochsHeld[neighbor] < epochs - 2;
  }

  isStale(path: PathId): boolean {
    return this.staleEpochs(path) !== 0;
  }

  /** How many epochs ago the path was last announced. */
  private staleEpochs(path: PathId): number {
    return (this.epoch[this.paths.neighbor[path]] - this.paths.epochOf(path)) & (epochs - 1);
  }

  /**
   * Row of a prefix, made when it is new. Bits beyond `length` are ignored. Of a rule `length` is its bytes, and the row
   * is 0 when there is no room for it.
   */
  prefix(bytes: Uint8Array, at: number, length: number): PrefixId {
    const id = this.prefixes.intern(bytes, at, length);
    if (this.prefixes.capacity !== this.capacity) this.grow();
    return id;
  }

  /** The best path of a prefix, 0 when it has none. */
  bestOf(prefix: PrefixId): PathId {
    const path = this.head[prefix];
    return path !== 0 && (this.paths.flags[path] & reasonMask) === 0 ? path : 0;
  }

  /**
   * Puts or replaces the path of (neighbor, path id).
   * @param received attribute set as received; @param attr the same after import policy, `received` when rejected
   * @param given why it may not be chosen, 0 when it may
   * @returns true when the path is new to the neighbor (a prefix limit counts these)
   */
  announce(
    neighbor: number,
    prefix: PrefixId,
    pathId: number,
    received: AttrId,
    attr: AttrId,
    given: RejectReason,
    nowS: number,
  ): boolean {
    const { history } = this;
    if (history === undefined) return this.put(neighbor, prefix, pathId, received, attr, given, nowS);
    const known = this.find(neighbor, prefix, pathId);
    history.before(this, prefix, known);
    const isNew = this.put(neighbor, prefix, pathId, received, attr, given, nowS);
    history.after(this, prefix, known || this.find(neighbor, prefix, pathId), ChangeCause.announced);
    return isNew;
  }

  /**
   * The same for all prefixes of a list: what they have in common is done once. Most routes are the first to a prefix that
   * nobody but the best path's followers asks about; these take the short way.
   * @returns true when some path is new to the neighbor
   */
  announceAll(
    neighbor: number,
    bytes: Uint8Array,
    list: NlriList,
    received: AttrId,
    attr: AttrId,
    given: RejectReason,
    nowS: number,
  ): boolean {
    const { count, pathId } = list;
    if (this.listed.length < count) this.listed = new Uint32Array(list.at.length);
    const { listed, attributes } = this;
    this.prefixes.internAll(bytes, list, listed);
    if (this.prefixes.capacity !== this.capacity) this.grow();
    const isShort = given === RejectReason.none && !this.isObserved && !this.mayLeadToItself(attr);
    // References for all of them, taken ahead: those that the short way did not need go back.
    if (isShort) {
      attributes.retain(received, count);
      attributes.retain(attr, count);
    }
    let firsts = 0;
    let added = false;
    for (let i = 0; i < count; i++) {
      const prefix = listed[i];
      if (isShort && this.head[prefix] === 0) {
        this.putFirst(neighbor, prefix, pathId[i], received, attr, nowS);
        firsts++;
      } else if (this.announce(neighbor, prefix, pathId[i], received, attr, given, nowS)) added = true;
    }
    if (!isShort) return added;
    attributes.release(received, count - firsts);
    attributes.release(attr, count - firsts);
    this.received[neighbor] += firsts;
    this.accepted[neighbor] += firsts;
    this.bestCount += firsts;
    this.bestPathRuns += firsts;
    return added || firsts > 0;
  }

  /** Somebody wants to know more of each change than that the best path of a prefix is another one. */
  private get isObserved(): boolean {
    return (
      this.history !== undefined ||
      this.journal !== undefined ||
      this.stateOf !== undefined ||
      this.looksBehind ||
      this.vacantCount > 0
    );
  }

  /** An accepted path to a prefix that has none; the caller counts it, and holds its references on attributes. */
  private putFirst(
    neighbor: number,
    prefix: PrefixId,
    pathId: number,
    received: AttrId,
    attr: AttrId,
    nowS: number,
  ): void {
    const { paths } = this;
    const path = paths.add(prefix, neighbor, pathId);
    paths.setAttributes(path, received, attr);
    paths.flags[path] = (this.epoch[neighbor] & (epochs - 1)) << epochShift;
    paths.time[path] = nowS;
    paths.next[path] = 0;
    this.head[prefix] = path;
    this.nextHopPaths?.add(path, this.attributes.nextHop[attr]);
    this.changes.touch(prefix);
  }

  private put(
    neighbor: number,
    prefix: PrefixId,
    pathId: number,
    received: AttrId,
    attr: AttrId,
    given: RejectReason,
    nowS: number,
  ): boolean {
    const paths = this.paths;
    const reason = this.standing(prefix, attr, given);
    const flags = reason | ((this.epoch[neighbor] & (epochs - 1)) << epochShift);
    const head = this.head[prefix];
    let path = head;
    while (path !== 0 && (paths.neighbor[path] !== neighbor || paths.idOf(path) !== pathId))
      path = paths.next[path];
    if (path === 0) {
      path = paths.add(prefix, neighbor, pathId);
      paths.setAttributes(path, received, attr);
      paths.flags[path] = flags;
      paths.time[path] = nowS;
      this.attributes.retain(received);
      this.attributes.retain(attr);
      if (this.stateOf) paths.setValidation(path, this.stateOf(path));
      this.received[neighbor]++;
      this.insert(prefix, path, head);
      if (isAccepted(reason)) {
        this.accepted[neighbor]++;
        this.nextHopPaths?.add(path, this.attributes.nextHop[attr]);
      }
      if (reason === 0) {
        this.challenge(prefix, path);
        if (this.looksBehind) this.lookBehind(prefix, false);
      } else this.countOver(neighbor, reason, 1);
      this.journal?.note(neighbor, prefix, pathId, Before.nothing, this.changes.revision);
      return true;
    }
    const before = paths.flags[path];
    if (paths.received[path] === received && paths.attr[path] === attr) {
      if (before === flags) return false;
      if (((before ^ flags) & ~epochMask) === 0 && this.neighbors.renamed[neighbor] === 0) {
        paths.flags[path] = flags; // a stale path is confirmed: nobody sees a difference
        this.stale[neighbor]--;
        return false;
      }
    }
    this.replace(path, received, attr, flags, nowS);
    return false;
  }

  /** Gives an existing path new attributes or a new reason, and chooses again. */
  rewrite(
    path: PathId,
    received: AttrId,
    attr: AttrId,
    given: number,
    nowS: number,
    cause: ChangeCause = ChangeCause.evaluated,
  ): void {
    const { history } = this;
    if (history === undefined) {
      this.replace(path, received, attr, given, nowS);
      return;
    }
    const prefix = this.paths.prefix[path];
    history.before(this, prefix, path);
    this.replace(path, received, attr, given, nowS);
    history.after(this, prefix, path, cause);
  }

  private replace(path: PathId, received: AttrId, attr: AttrId, given: number, nowS: number): void {
    const paths = this.paths;
    const prefix = paths.prefix[path];
    const flags = given | this.standing(prefix, attr, (given & reasonMask) as RejectReason);
    const before = paths.flags[path];
    const attrBefore = paths.attr[path];
    const wasEligible = (before & reasonMask) === 0;
    const isEligible = (flags & reasonMask) === 0;
    const wasBest = wasEligible && this.head[prefix] === path;
    const wasAccepted = isAccepted(before);
    const nowAccepted = isAccepted(flags);
    if (this.nextHopPaths && (attr !== attrBefore || wasAccepted !== nowAccepted)) {
      if (wasAccepted) this.nextHopPaths.remove(path, this.attributes.nextHop[attrBefore]);
      if (nowAccepted) this.nextHopPaths.add(path, this.attributes.nextHop[attr]);
    }
    this.attributes.retain(received);
    this.attributes.retain(attr);
    const isOther = paths.received[path] !== received;
    if (isOther || attrBefore !== attr || ((before ^ flags) & ~epochMask) !== 0) paths.time[path] = nowS;
    this.attributes.release(paths.received[path]);
    this.attributes.release(attrBefore);
    paths.setAttributes(path, received, attr);
    paths.flags[path] = flags;
    if (this.stateOf) paths.setValidation(path, this.stateOf(path));
    this.accepted[paths.neighbor[path]] += Number(nowAccepted) - Number(wasAccepted);
    if (((before ^ flags) & reasonMask) !== 0) {
      this.countOver(paths.neighbor[path], before & reasonMask, -1);
      this.countOver(paths.neighbor[path], flags & reasonMask, 1);
    }
    if (((before ^ flags) & epochMask) !== 0) this.stale[paths.neighbor[path]]--;
    const isRenamed = this.neighbors.renamed[paths.neighbor[path]] !== 0;
    if (wasBest) this.choose(prefix, path, attr !== attrBefore || !isEligible || isRenamed);
    else if (isEligible) {
      // A path that changed but is not best can still move MED groups, so choose among all when it was eligible.
      if (wasEligible) this.choose(prefix, this.head[prefix], false);
      else this.challenge(prefix, path);
    } else if (wasEligible) this.choose(prefix, this.head[prefix], false);
    if (this.looksBehind && (wasEligible || isEligible)) {
      this.lookBehind(prefix, attr !== attrBefore && this.multipath?.has(path) === true);
    }
    if (this.journal && (isOther || attr !== attrBefore || wasAccepted !== nowAccepted))
      this.journal.note(
        paths.neighbor[path],
        prefix,
        paths.idOf(path),
        beforeOf(before),
        this.changes.revision,
      );
  }

  /**
   * Chooses again for a path whose next hop is known to be better or worse than before.
   * @param given `RejectReason.nextHop` when it keeps the path from being chosen, else `none`
   */
  settleNextHop(path: PathId, given: RejectReason, nowS: number): void {
    const { flags, received, attr, prefix } = this.paths;
    const reason = this.standing(prefix[path], attr[path], given);
    if ((flags[path] & reasonMask) === reason) {
      if (reason !== RejectReason.none) return;
      this.reselect(prefix[path]);
      // AIGP goes out with the metric to the next hop in it.
      const hasAigp = (this.attributes.flags[attr[path]] & AttributeFlag.hasAigp) !== 0;
      if (hasAigp && this.bestOf(prefix[path]) === path) this.changes.touch(prefix[path]);
      return;
    }
    const settled = (flags[path] & ~reasonMask) | reason;
    this.rewrite(path, received[path], attr[path], settled, nowS, ChangeCause.nextHop);
  }

  /** Notes the states of all paths of a prefix, where best path asks for them. */
  noteStates(prefix: PrefixId): void {
    const { stateOf, paths } = this;
    if (!stateOf) return;
    for (let path = this.head[prefix]; path !== 0; path = paths.next[path])
      paths.setValidation(path, stateOf(path));
  }

  /** A route that leads to its own next hop waits for another way to it. */
  standing(prefix: PrefixId, attr: AttrId, reason: RejectReason): RejectReason {
    const { nextHops, nextHop } = this.attributes;
    if (!nextHops || reason !== RejectReason.none) return reason;
    const leadsToItself = nextHops.leadsToItself(nextHop[attr], routeKey(this.family.index, prefix));
    return leadsToItself ? RejectReason.nextHop : reason;
  }

  /** Whether `standing` has to look at each route with these attributes. */
  private mayLeadToItself(attr: AttrId): boolean {
    const { nextHops, nextHop } = this.attributes;
    return nextHops?.isReachedByRoutes(nextHop[attr]) === true;
  }

  /** The eligible paths of a prefix, best first. */
  ranked(prefix: PrefixId): PathId[] {
    return this.best.rank(this.paths, this.head[prefix]);
  }

  /**
   * Takes back the path of (neighbor, path id).
   * @returns false when there was none
   */
  withdraw(neighbor: number, prefix: PrefixId, pathId: number): boolean {
    const path = this.find(neighbor, prefix, pathId);
    if (path === 0) return false;
    this.removePath(path, ChangeCause.withdrawn);
    return true;
  }

  /** Removes a path row and chooses again. */
  removePath(path: PathId, cause: ChangeCause = ChangeCause.evaluated): void {
    const { history } = this;
    if (history === undefined) {
      this.drop(path);
      return;
    }
    const prefix = this.paths.prefix[path];
    history.before(this, prefix, path);
    this.drop(path);
    history.after(this, prefix, 0, cause);
  }

  private drop(path: PathId): void {
    const paths = this.paths;
    const prefix = paths.prefix[path];
    const neighbor = paths.neighbor[path];
    const wasEligible = paths.eligible(path);
    const wasAccepted = isAccepted(paths.flags[path]);
    if (wasAccepted) this.nextHopPaths?.remove(path, this.attributes.nextHop[paths.attr[path]]);
    if (!wasEligible) this.countOver(neighbor, paths.flags[path] & reasonMask, -1);
    const bestBefore = this.bestOf(prefix);
    const pathId = paths.idOf(path);
    const there = beforeOf(paths.flags[path]);
    const wasUsed = this.multipath?.forget(path) === true;
    if (this.isStale(path)) this.stale[neighbor]--;
    this.unlink(prefix, path);
    this.attributes.release(paths.received[path]);
    this.attributes.release(paths.attr[path]);
    paths.remove(path);
    this.received[neighbor]--;
    if (wasAccepted) this.accepted[neighbor]--;
    if (wasEligible) this.choose(prefix, bestBefore, bestBefore === path);
    if (wasEligible && this.looksBehind) this.lookBehind(prefix, wasUsed);
    if (this.head[prefix] === 0) this.bury(prefix);
    this.journal?.note(neighbor, prefix, pathId, there, this.changes.revision);
  }

  private countOver(neighbor: number, reason: number, change: number): void {
    if (reason === RejectReason.prefixLimit) this.overReceived[neighbor] += change;
    else if (reason === RejectReason.acceptedLimit) this.overAccepted[neighbor] += change;
    else if (reason === RejectReason.damped) this.damped[neighbor] += change;
  }

  /** Row of the path of (neighbor, path id) to a prefix; 0 for none. */
  find(neighbor: number, prefix: PrefixId, pathId: number): PathId {
    const paths = this.paths;
    let path = this.head[prefix];
    while (path !== 0 && (paths.neighbor[path] !== neighbor || paths.idOf(path) !== pathId))
      path = paths.next[path];
    return path;
  }

  /** Chooses the best path of a prefix anew (after a change of the steps or of neighbor columns). */
  reselect(prefix: PrefixId): void {
    const { history } = this;
    if (history === undefined) {
      this.selectAgain(prefix);
      return;
    }
    history.before(this, prefix, 0);
    this.selectAgain(prefix);
    history.after(this, prefix, 0, ChangeCause.selection);
  }

  private selectAgain(prefix: PrefixId): void {
    const wasUsed = this.multipath?.has(this.bestOf(prefix)) === true;
    this.choose(prefix, this.bestOf(prefix), false);
    // The order behind the best path may be another one now, and so may weights.
    this.lookBehind(prefix, wasUsed);
  }

  /** Somebody wants to know of paths behind the best one; most tables have nobody, and pay for this question alone. */
  private get looksBehind(): boolean {
    return this.followsAllPaths || this.multipath !== undefined;
  }

  /**
   * Tells those of an eligible path that came, changed or went who look behind the best one.
   * @param wasUsed it was one of several that are used side by side, and is not what it was
   */
  private lookBehind(prefix: PrefixId, wasUsed: boolean): void {
    const isAnother = this.multipath?.settle(this.paths, this.head[prefix], wasUsed);
    if (isAnother || this.followsAllPaths) this.changes.touch(prefix);
  }

  /** A new eligible path against the present best: only when it wins, or there is none, is anything to be done. */
  private challenge(prefix: PrefixId, path: PathId): void {
    const best = this.bestOf(prefix);
    this.bestPathRuns++;
    if (best === 0) {
      this.bestCount++;
      this.promote(prefix, path);
      this.changes.touch(prefix);
    } else if (best === path) {
      // The path was put at the head of a chain without an eligible one.
      this.bestCount++;
      this.changes.touch(prefix);
    } else if (this.best.compare(this.paths, path, best) < 0) {
      // Winning against the best is not enough when MED groups are in play: choose among all.
      this.choose(prefix, best, false);
    }
  }

  /**
   * Selects among all paths.
   * @param before best path until now (it may be gone already), 0 for none
   * @param changed true when consumers must see the prefix even if the same path is chosen
   */
  private choose(prefix: PrefixId, before: PathId, changed: boolean): void {
    this.bestPathRuns++;
    const wasBest = before !== 0;
    const chosen = this.best.select(this.paths, this.head[prefix]);
    if (chosen !== 0) this.promote(prefix, chosen);
    this.bestCount += Number(chosen !== 0) - Number(wasBest);
    if (changed || chosen !== before) this.changes.touch(prefix);
  }

  private insert(prefix: PrefixId, path: PathId, head: PathId): void {
    const next = this.paths.next;
    if (head === 0) {
      next[path] = 0;
      this.head[prefix] = path;
      if (this.vacantCount > 0) this.setVacant(prefix, false);
    } else {
      next[path] = next[head];
      next[head] = path;
    }
  }

  private unlink(prefix: PrefixId, path: PathId): void {
    const next = this.paths.next;
    if (this.head[prefix] === path) this.head[prefix] = next[path];
    else {
      let at = this.head[prefix];
      while (next[at] !== path) at = next[at];
      next[at] = next[path];
    }
  }

  private promote(prefix: PrefixId, path: PathId): void {
    if (this.head[prefix] === path) return;
    this.unlink(prefix, path);
    this.paths.next[path] = this.head[prefix];
    this.head[prefix] = path;
  }

  /** Keeps a prefix row alive for a consumer although it may have no path. */
  pin(prefix: PrefixId): void {
    this.pins.set(prefix, (this.pins.get(prefix) ?? 0) + 1);
  }

  unpin(prefix: PrefixId): void {
    const left = (this.pins.get(prefix) ?? 0) - 1;
    assert(left >= 0, "unpin without pin");
    if (left > 0) this.pins.set(prefix, left);
    else {
      this.pins.delete(prefix);
      if (this.head[prefix] === 0) {
        this.changes.touch(prefix);
        this.bury(prefix);
      }
    }
  }

  /** Writes changes down from now on, or no longer. */
  remember(history: RouteHistory | undefined): void {
    this.history = history;
    if (history) this.kept ??= new Uint32Array(this.capacity);
  }

  /** Keeps a prefix row what it is, with paths or without, until as many `letGo`. */
  keep(prefix: PrefixId): void {
    this.kept![prefix]++;
  }

  letGo(prefix: PrefixId): void {
    const left = --this.kept![prefix];
    if (left > 0 || this.head[prefix] !== 0) return;
    this.setVacant(prefix, false);
    this.bury(prefix);
  }

  /** The step, counted from 1, by which a path wins over one that it took the place of; 0 when that one is out. */
  stepBetween(prefix: PrefixId, winner: PathId, loser: PathId): number {
    const { paths } = this;
    const isRival = loser !== 0 && winner !== 0 && loser !== winner && paths.prefix[loser] === prefix;
    return isRival && paths.eligible(loser) ? this.best.decidingStep(paths, winner, loser) : 0;
  }

  private isKept(prefix: PrefixId): boolean {
    return this.kept !== undefined && this.kept[prefix] > 0;
  }

  private setVacant(prefix: PrefixId, isVacant: boolean): void {
    if (((this.state[prefix] & vacant) !== 0) === isVacant) return;
    this.state[prefix] ^= vacant;
    this.vacantCount += isVacant ? 1 : -1;
  }

  private bury(prefix: PrefixId): void {
    if (this.pins.has(prefix)) return;
    if (this.isKept(prefix)) {
      this.setVacant(prefix, true);
      return;
    }
    if (!this.changes.has(prefix)) {
      if (!this.journal) {
        this.forget(prefix);
        return;
      }
      // Nobody saw it go but those who read the journal: its row waits for them.
      this.changes.touch(prefix);
    }
    if (this.state[prefix] & queuedDead) return;
    this.state[prefix] |= queuedDead;
    this.dead.push(prefix);
  }

  get hasDead(): boolean {
    return this.deadHead < this.dead.length;
  }

  /**
   * Forgets prefixes without paths that every cursor has passed.
   * @param passed smallest revision that all cursors have passed
   * @param max rows to look at
   * @returns true when there are more that every cursor may have passed
   */
  reap(passed: number, max: number): boolean {
    let isWaiting = false;
    for (let n = 0; n < max && this.deadHead < this.dead.length; n++) {
      const prefix = this.dead[this.deadHead];
      const isDead = this.head[prefix] === 0 && !this.pins.has(prefix) && !this.isKept(prefix);
      isWaiting = isDead && after(this.changes.revisionOf[prefix], passed);
      if (isWaiting) break;
      this.deadHead++;
      this.state[prefix] &= ~queuedDead;
      if (!isDead) continue;
      // Not the revision of the last one forgotten: a prefix may have come back and gone again while it was queued.
      const revision = this.changes.revisionOf[prefix];
      if (after(revision, this.forgottenRevision)) this.forgottenRevision = revision;
      this.changes.remove(prefix);
      this.forget(prefix);
    }
    if (this.deadHead > 4096 && this.deadHead * 2 > this.dead.length) {
      this.dead = this.dead.slice(this.deadHead);
      this.deadHead = 0;
    }
    return !isWaiting && this.hasDead;
  }

  private forget(prefix: PrefixId): void {
    this.prefixes.remove(prefix);
  }

  /**
   * Walks path rows and removes those of a neighbor that were last announced before an epoch; Infinity removes all.
   * @param from row to go on at; @returns the next row, 0 when done
   */
  sweepNeighbor(neighbor: number, before: number, from: PathId, rows: number): PathId {
    const paths = this.paths;
    const keptEpochs = this.epoch[neighbor] - before;
    const end = Math.min(paths.rows, from + rows);
    for (let path = from; path < end; path++) {
      if (paths.neighbor[path] !== neighbor || paths.received[path] === 0) continue;
      if (this.staleEpochs(path) > keptEpochs) this.removePath(path, ChangeCause.swept);
    }
    return end < paths.rows ? end : 0;
  }

  /** A marker row, placed by the caller with the change list's `mark*`. */
  addMarker(): PrefixId {
    const marker = this.prefixes.addMarker();
    if (this.prefixes.capacity !== this.capacity) this.grow();
    return marker;
  }

  removeMarker(marker: PrefixId): void {
    this.changes.remove(marker);
    this.prefixes.removeMarker(marker);
  }

  isMarker(row: number): boolean {
    return this.prefixes.length[row] === markerLength;
  }

  private grow(): void {
    this.capacity = this.prefixes.capacity;
    this.head = grown(this.head, this.capacity);
    this.state = grown(this.state, this.capacity);
    if (this.kept) this.kept = grown(this.kept, this.capacity);
    this.changes.grow(this.capacity);
  }

  memoryBytes(): number {
    return (
      this.prefixes.rows * (5 + 12 + (this.kept ? 4 : 0)) +
      this.prefixes.memoryBytes() +
      this.paths.memoryBytes() +
      (this.nextHopPaths?.memoryBytes() ?? 0) +
      (this.journal?.memoryBytes() ?? 0)
    );
  }
}

function rowsFor(family: Family): PrefixTable4 | PrefixTable16 | FlowTable {
  if (family.nlri === "flow") return new FlowTable(family);
  return family.addressBytes === 4 ? new PrefixTable4() : new PrefixTable16();
}
