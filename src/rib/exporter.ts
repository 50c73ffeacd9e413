/**
 * From a best path to the attributes that an update group announces for it: the gates in order, export policy, then
 * our own rewriting. Work is done once per attribute set and batch, not once per route. Whoever wants to know what goes
 * out asks here: groups that announce, explanations, and plans and trials with a configuration that is not in force.
 */
import { formatIp } from "../base/ip.ts";
import { NextHopVerdict } from "../policy/actions.ts";
import { AttributeFlag } from "../policy/attribute-table.ts";
import { type Explanation, explainChain } from "../policy/explain.ts";
import type { Program } from "../policy/program.ts";
import { RouteKey, RouteType } from "../policy/route-key.ts";
import { decodeBlock } from "../wire/block.ts";
import { MessageWriter } from "../wire/message-writer.ts";
import { isLinkLocal } from "../wire/next-hop.ts";
import { AttributeBlock } from "../wire/scratch.ts";
import type { AttrId, AttributeStore } from "./attribute-store.ts";
import type { ExportCache } from "./export-cache.ts";
import {
  type ChosenPath,
  type ExportConfig,
  ExportGate,
  type ExportStory,
  exportGates,
  type Gate,
  gatesInOrder,
  isNoInternal,
  type PathStory,
} from "./export-gates.ts";
import { exportNotes } from "./export-notes.ts";
import { findNextHop, type RewriteRoute, rewriteForExport, stripMed } from "./export-rewrite.ts";
import { Installed } from "./installed-routes.ts";
import { type NeighborColumns, NeighborFlag } from "./neighbor-columns.ts";
import { type PrefixId, PrefixTable4, PrefixTable16 } from "./prefix-table.ts";
import type { RouteTable } from "./route-table.ts";

export class Exporter {
  config: ExportConfig;
  /** Gate that refused the last route asked for. */
  gate: ExportGate = ExportGate.none;
  /** Path that the last `choose` chose, 0 for none. */
  path = 0;
  /** Member that must not hear of the last route offered: its source, or the owner of a next hop of ours; 0 for none. */
  withheld = 0;
  /** Whether attributes that `chooseAll` looked at last fit no message. */
  isTooLarge = false;
  /** Whether policy counts what is asked of it: not where nothing is announced. */
  counting = true;
  /** Whether attributes fit a message of the sessions that this is for, together with a rule of so many bytes. */
  fits: (attr: AttrId, ruleBytes?: number) => boolean = () => true;
  private readonly table: RouteTable;
  private readonly attributes: AttributeStore;
  private readonly neighbors: NeighborColumns;
  private readonly key = new RouteKey();
  private readonly block = new AttributeBlock();
  private readonly writer = new MessageWriter(1024);
  private readonly found = { at: 0, length: 0 };
  private readonly address = new Uint8Array(16);
  /** Attributes of the route that was rewritten last, before that; held until the batch ends. */
  private afterPolicy: AttrId = 0;
  private readonly rewriteRoute: RewriteRoute = {
    nextHop: undefined,
    reflected: false,
    sourceRouterId: 0,
    flags: 0,
    interiorCost: 0,
    dropsMed: false,
  };
  private readonly cache: ExportCache;
  // What the last `choose` of this batch came to where routes of equal attributes and source come to the same.
  private lastAttr: AttrId = 0;
  private lastSource = 0;
  private lastOut: AttrId = 0;
  private lastGate: ExportGate = ExportGate.none;
  private lastWithheld = 0;
  /** Members of the group by address: none of the addresses is announced to its owner as a next hop. */
  readonly memberAddresses = new Map<string, number>();

  constructor(
    table: RouteTable,
    attributes: AttributeStore,
    neighbors: NeighborColumns,
    cache: ExportCache,
    config: ExportConfig,
  ) {
    this.table = table;
    this.cache = cache;
    this.attributes = attributes;
    this.neighbors = neighbors;
    this.config = config;
  }

  /** Ends a batch: cached results are let go. Call after every bounded run of `evaluate`. */
  endBatch(): void {
    this.lastAttr = 0;
    this.cache.endBatch();
  }

  /**
   * What goes out for a prefix: the attributes of its best path, 0 for none; `gate`, `path` and `withheld` tell more.
   * A group of one neighbor that wants its own choice gets the first path in rank that may go to it (RFC 7947 2.3).
   * The id is held until `endBatch`; who keeps it longer retains it.
   */
  choose(row: PrefixId): AttrId {
    const { table } = this;
    const best = table.bestOf(row);
    if (best === 0) {
      this.gate = ExportGate.noBest;
      this.path = 0;
      this.withheld = 0;
      return 0;
    }
    const { paths } = table;
    if (paths.attr[best] === this.lastAttr && paths.neighbor[best] === this.lastSource) {
      this.path = best;
      this.gate = this.lastGate;
      this.withheld = this.lastWithheld;
      return this.lastOut;
    }
    const attr = this.offerPath(best);
    if (!this.asksEach) this.remember(paths.attr[best], paths.neighbor[best], attr);
    if (attr !== 0 || this.config.perClient === 0) return attr;
    for (const path of this.candidates(row)) {
      const other = path === best ? 0 : this.offerPath(path);
      if (other !== 0) return other;
    }
    return 0;
  }

  /** Routes with equal attributes from one neighbor may come to something else each. */
  private get asksEach(): boolean {
    if (this.table.rules) return true;
    const { program, perClient, outboundFilter, installed } = this.config;
    const asksPolicy = program?.usesPrefix === true;
    return asksPolicy || perClient !== 0 || outboundFilter !== undefined || installed !== undefined;
  }

  /** Prefixes with the same attributes mostly stand side by side: the next one is answered at once. */
  private remember(attr: AttrId, source: number, out: AttrId): void {
    this.lastAttr = attr;
    this.lastSource = source;
    this.lastOut = out;
    this.lastGate = this.gate;
    this.lastWithheld = this.withheld;
  }

  /** The paths of a prefix that are offered, one after the other, until enough may go. */
  candidates(row: PrefixId): readonly number[] {
    const best = this.table.bestOf(row);
    if (best === 0) return [];
    return this.looksBehindBest ? this.table.ranked(row) : [best];
  }

  /** True when paths behind the best one may go out. */
  get looksBehindBest(): boolean {
    return this.config.perClient !== 0 || this.config.addPath !== undefined;
  }

  /**
   * All that goes out for a prefix: with Add-Path the first paths in rank that may go, else one at most. The ids are
   * held until `endBatch`; who keeps them longer retains them.
   */
  chooseAll(row: PrefixId): readonly ChosenPath[] {
    const { paths } = this.table;
    const candidates = this.candidates(row).map((path) => {
      return { pathId: path, attr: paths.attr[path], source: paths.neighbor[path] };
    });
    return this.chooseAmong(row, candidates);
  }

  /** The same for paths that need not be in the table, best first; without Add-Path their path ids are not told. */
  chooseAmong(row: PrefixId, ranked: readonly ChosenPath[]): readonly ChosenPath[] {
    const { addPath } = this.config;
    const max = addPath?.max ?? 1;
    const offered = this.looksBehindBest ? ranked : ranked.slice(0, 1);
    const seen = addPath?.choice === "perNeighborAs" ? new Set<number>() : undefined;
    const chosen: ChosenPath[] = [];
    this.isTooLarge = false;
    for (const { pathId, attr, source } of offered) {
      if (chosen.length === max) break;
      const neighborAs = this.attributes.neighborAs[attr];
      if (seen?.has(neighborAs)) continue;
      const out = this.offer(attr, source, row);
      if (this.gate === ExportGate.tooLarge) this.isTooLarge = true;
      if (out === 0) continue;
      seen?.add(neighborAs);
      this.path = pathId;
      chosen.push({ pathId: addPath ? pathId : 0, attr: out, source: this.withheld });
    }
    return chosen;
  }

  private offerPath(path: number): AttrId {
    const { paths } = this.table;
    this.path = path;
    return this.offer(paths.attr[path], paths.neighbor[path], paths.prefix[path]);
  }

  /**
   * Attributes to announce for a route that need not be in the table: its attributes after import, where it came from,
   * its prefix. 0 for none.
   */
  offer(attr: AttrId, source: number, prefix: PrefixId): AttrId {
    const given = this.isFiltered(prefix) || this.isKept(prefix) ? 0 : this.evaluate(attr, source, prefix);
    const out = given !== 0 && this.table.rules ? this.withRule(given, prefix) : given;
    this.withheld = out === 0 ? 0 : this.withheldFrom(source, out);
    const { perClient } = this.config;
    if (perClient === 0 || this.withheld !== perClient) return out;
    this.gate = source === perClient ? ExportGate.splitHorizon : ExportGate.neighborNextHop;
    this.withheld = 0;
    return 0;
  }

  /** The attributes, when a message holds them and the rule; that they fit alone is known. */
  private withRule(attr: AttrId, rule: PrefixId): AttrId {
    if (this.fits(attr, this.table.rules!.valueBytes(rule))) return attr;
    this.gate = ExportGate.tooLarge;
    return 0;
  }

  /** True when the neighbor of the group does not want to hear of a prefix. */
  private isFiltered(prefix: PrefixId): boolean {
    const { outboundFilter } = this.config;
    if (outboundFilter === undefined) return false;
    const { prefixes, family } = this.table;
    prefixes.writeAddress(prefix, this.address, 0);
    if (outboundFilter.permits(this.address, family.addressBytes, prefixes.length[prefix])) return false;
    this.gate = ExportGate.outboundFilter;
    return true;
  }

  /** True when the kernel has not confirmed a prefix, where that is waited for; `gate` tells more. */
  private isKept(prefix: PrefixId): boolean {
    const gate = this.fibGate(prefix);
    if (gate === ExportGate.none) return false;
    this.gate = gate;
    return true;
  }

  /** True when what was announced of a prefix stands until the kernel has answered. */
  isPending(prefix: PrefixId): boolean {
    return this.fibGate(prefix) === ExportGate.fibPending;
  }

  private fibGate(prefix: PrefixId): ExportGate {
    const { installed } = this.config;
    if (installed === undefined) return ExportGate.none;
    const { table, neighbors } = this;
    const best = table.bestOf(prefix);
    // Our own routes do not come from where packets would have to go.
    if (best === 0 || (neighbors.flags[table.paths.neighbor[best]] & NeighborFlag.local) !== 0) {
      return ExportGate.none;
    }
    const state = installed.stateOf(table, prefix);
    if (state === Installed.yes) return ExportGate.none;
    return state === Installed.pending ? ExportGate.fibPending : ExportGate.notInFib;
  }

  /** The member that must not hear of a route that goes out to the others; 0 for none. */
  private withheldFrom(source: number, out: AttrId): number {
    return source === 0 ? this.nextHopOwner(out) : source;
  }

  private evaluate(attr: AttrId, source: number, prefix: PrefixId): AttrId {
    const { cache } = this;
    if (this.config.program?.usesPrefix) return this.compute(attr, source, prefix);
    if (cache.has(attr, source)) {
      this.gate = cache.gate[attr] as ExportGate;
      return cache.out[attr];
    }
    const out = this.compute(attr, source, prefix);
    cache.put(attr, source, out, this.gate);
    return out;
  }

  /** The first gate that refuses a path before policy. */
  private gateOf(attr: AttrId, sourceFlags: number): ExportGate {
    const flags = this.attributes.flags[attr];
    for (let i = 0; i < exportGates.length; i++) {
      if (exportGates[i].refuses(this.config, flags, sourceFlags)) return exportGates[i].gate;
    }
    return ExportGate.none;
  }

  /**
   * What happens to a prefix on its way to a member. The decision is made as for announcing it; what is told is read
   * from it, and from policy run once more under watch. Nothing is counted. Call `endBatch` when done with `out`.
   * @param storiesMax paths that are told of; the one that goes is always among them
   */
  explain(row: PrefixId, member: number, storiesMax: number): ExportStory {
    const { counting } = this;
    this.counting = false;
    const { addPath } = this.config;
    const routes = this.chooseAll(row).filter(({ source }) => source !== member);
    const goes = new Set(addPath ? routes.map(({ pathId }) => pathId) : routes.map(() => this.path));
    const tried = [...this.candidates(row)];
    if (!addPath && routes.length > 0) tried.length = tried.indexOf(this.path) + 1;
    const told = tried.length > storiesMax ? [...tried.slice(0, storiesMax - 1), tried.at(-1)!] : tried;
    const paths = told.map((each) => this.pathStory(each, member, goes.has(each)));
    this.counting = counting;
    return { routes, goes, paths, tried: tried.length };
  }

  private pathStory(path: number, member: number, goes: boolean): PathStory {
    const { paths } = this.table;
    const attr = paths.attr[path];
    const source = paths.neighbor[path];
    const prefix = paths.prefix[path];
    const given = this.isFiltered(prefix) || this.isKept(prefix) ? 0 : this.compute(attr, source, prefix);
    const out = given !== 0 && this.table.rules ? this.withRule(given, prefix) : given;
    let { gate } = this;
    if (source === member) gate = ExportGate.splitHorizon;
    else if (out !== 0 && this.withheldFrom(source, out) === member) gate = ExportGate.neighborNextHop;
    else if (out !== 0 && !goes) gate = ExportGate.beyondAddPath;
    const last = gatesInOrder.findIndex((rule) => rule.gate === gate);
    const reached = last < 0 ? gatesInOrder : gatesInOrder.slice(0, last + 1);
    const gates = reached.map((rule) => ({ ...rule, passed: rule.gate !== gate }));
    if (goes) gates.push(...this.notes());
    const { program } = this.config;
    let policy: Explanation | undefined;
    if (program && reached.some((rule) => rule.gate === ExportGate.policy)) {
      const sourceFlags = this.neighbors.flags[source];
      const asked = this.withoutMed(attr, sourceFlags);
      this.setKey(prefix, sourceFlags);
      this.validate(program, attr, source);
      policy = explainChain(program, asked, this.key);
    }
    return { path, gates, policy };
  }

  /** What was done to the attributes of the last route, as gates that it passed. */
  private notes(): (Gate & { passed: boolean })[] {
    const { attributes, afterPolicy, block } = this;
    attributes.block(afterPolicy, block);
    const { asPath } = decodeBlock(block.bytes, block.start, block.end);
    const notes = exportNotes(this.config, attributes.flags[afterPolicy], asPath);
    return notes.map(({ name, text }) => ({ name, passes: text, gate: ExportGate.none, passed: true }));
  }

  private compute(attr: AttrId, source: number, prefix: number): AttrId {
    const { config } = this;
    const sourceFlags = this.neighbors.flags[source];
    this.gate = this.gateOf(attr, sourceFlags);
    if (this.gate !== ExportGate.none) return 0;
    const { rewriteRoute } = this;
    const { program } = config;
    // Policy that looks at nothing need not see the route without MED: it falls out in the rewriting.
    rewriteRoute.dropsMed = (program === undefined || program.acceptsAll) && this.dropsMed(attr, sourceFlags);
    let current = rewriteRoute.dropsMed ? attr : this.withoutMed(attr, sourceFlags);
    let policyNextHop: NextHopVerdict = NextHopVerdict.unset;
    if (program !== undefined) {
      this.setKey(prefix, sourceFlags);
      this.validate(program, attr, source);
      program.counting = this.counting;
      const result = program.evaluate(current, this.key);
      if (result === 0) {
        this.gate = ExportGate.policy;
        return 0;
      }
      policyNextHop = program.nextHop;
      current = this.cache.hold(result);
    }
    rewriteRoute.interiorCost = this.interiorCost(attr, source);
    return this.rewrite(current, policyNextHop, source, sourceFlags);
  }

  /** What AIGP grows by when the next hop of a route is replaced (RFC 7311 3.4.3); never 0 for one that was learned. */
  private interiorCost(attr: AttrId, source: number): number {
    const { nextHops, nextHop } = this.attributes;
    return source === 0 ? 0 : Math.max(1, nextHops?.metric[nextHop[attr]] ?? 0);
  }

  /** What a neighbor said of its own AS with MED does not go on to another AS (RFC 4271 5.1.4). */
  private dropsMed(attr: AttrId, sourceFlags: number): boolean {
    const { config, attributes } = this;
    const learned = (sourceFlags & NeighborFlag.local) === 0;
    const goes = config.external && !config.routeServerClient && learned;
    return goes && (attributes.flags[attr] & AttributeFlag.hasMed) !== 0;
  }

  private withoutMed(attr: AttrId, sourceFlags: number): AttrId {
    const { attributes } = this;
    if (!this.dropsMed(attr, sourceFlags)) return attr;
    attributes.block(attr, this.block);
    this.writer.reset();
    stripMed(this.block, this.writer);
    return this.cache.hold(attributes.intern(this.writer.bytes, 0, this.writer.at));
  }

  private rewrite(attr: AttrId, policyNextHop: NextHopVerdict, source: number, sourceFlags: number): AttrId {
    const { config, attributes, rewriteRoute } = this;
    const local = (sourceFlags & NeighborFlag.local) !== 0;
    attributes.block(attr, this.block);
    rewriteRoute.reflected =
      !config.external && !config.confederationMember && (sourceFlags & isNoInternal) === 0;
    rewriteRoute.flags = attributes.flags[attr];
    this.afterPolicy = attr;
    rewriteRoute.sourceRouterId = this.neighbors.routerId[source];
    const hasNextHop = this.table.family.nlri === "prefix";
    const nextHop = hasNextHop
      ? this.nextHop(policyNextHop, rewriteRoute.reflected, local, source)
      : undefined;
    if (nextHop === "none") {
      this.gate = ExportGate.noNextHop;
      return 0;
    }
    rewriteRoute.nextHop = nextHop;
    if (nextHop === undefined && policyNextHop !== NextHopVerdict.set) rewriteRoute.interiorCost = 0;
    this.writer.reset();
    rewriteForExport(this.block, config, rewriteRoute, this.writer);
    const out = this.cache.hold(attributes.intern(this.writer.bytes, 0, this.writer.at));
    if (this.fits(out)) return out;
    this.gate = ExportGate.tooLarge;
    return 0;
  }

  /**
   * Next hop to announce (RFC 4271 5.1.3). `this.block` holds the attributes after policy.
   * @returns bytes to write, undefined to keep what is there, or "none" when there is no usable one
   */
  private nextHop(
    byPolicy: NextHopVerdict,
    reflected: boolean,
    local: boolean,
    source: number,
  ): Uint8Array | undefined | "none" {
    const { config, found } = this;
    findNextHop(this.block, found);
    const has = found.length > 0 && !isZero(this.block.bytes, found.at, found.length);
    const own = config.selfNextHop ?? "none";
    if (!has) return own;
    if (byPolicy === NextHopVerdict.set || byPolicy === NextHopVerdict.unchanged) return undefined;
    if (config.routeServerClient) return undefined;
    // RFC 2545 3: a link-local address alone means nothing beyond the link that it came from.
    if (isLinkLocalAlone(this.block.bytes, found.at, found.length)) return own;
    const isIp6 = firstAddressBytes(found.length) === 16;
    if (isIp6 && this.table.family.addressBytes === 4 && !config.extendedNextHop) return own;
    if (!config.external) return config.nextHopSelf && !reflected ? own : undefined;
    if (local) return undefined;
    return !config.nextHopSelf && this.isOnLink() && !this.isOtherMember(source) ? undefined : own;
  }

  /**
   * The member whose address is the next hop in `attr`, 0 for none. A route that we originate is not announced to it
   * (RFC 4271 5.1.3); others keep the next hop that was asked for.
   */
  private nextHopOwner(attr: AttrId): number {
    if (this.memberAddresses.size === 0) return 0;
    this.attributes.block(attr, this.block);
    findNextHop(this.block, this.found);
    return this.memberAddresses.get(this.foundText()) ?? 0;
  }

  /** True when the next hop in `attr` is this address of the family. */
  hasNextHop(attr: AttrId, address: Uint8Array): boolean {
    this.attributes.block(attr, this.block);
    findNextHop(this.block, this.found);
    if (firstAddressBytes(this.found.length) !== address.length) return false;
    for (let i = 0; i < address.length; i++) {
      if (this.block.bytes[this.found.at + i] !== address[i]) return false;
    }
    return true;
  }

  /** True when the found next hop lies in the subnet that we share with the neighbors of the group. */
  private isOnLink(): boolean {
    const { selfNextHop, onLinkBits } = this.config;
    const { at, length } = this.found;
    if (!selfNextHop || onLinkBits === 0 || length < selfNextHop.length) return false;
    for (let bit = 0; bit < onLinkBits; bit += 8) {
      const mask = onLinkBits - bit >= 8 ? 255 : (0xff00 >> (onLinkBits - bit)) & 255;
      if (((this.block.bytes[at + (bit >> 3)] ^ selfNextHop[bit >> 3]) & mask) !== 0) return false;
    }
    return true;
  }

  /** True when the found next hop is a member of the group other than the source (RFC 4271 5.1.3). */
  private isOtherMember(source: number): boolean {
    const text = this.foundText();
    return this.memberAddresses.has(text) && text !== this.neighbors.text[source];
  }

  private foundText(): string {
    const { at, length } = this.found;
    return length === 0 ? "" : formatIp(this.block.bytes, at, firstAddressBytes(length));
  }

  /** Fills in the states that policy asks for, of the route in `key` as import left it. */
  private validate({ chain }: Program, attr: AttrId, source: number): void {
    const { validator } = this.table;
    if (!validator) return;
    if (chain.readsRpki) this.key.rpki = validator.origin(this.key, attr);
    if (chain.readsAspa) this.key.aspa = validator.path(attr, source);
  }

  private setKey(prefix: number, sourceFlags: number): void {
    const { key } = this;
    const prefixes = this.table.prefixes;
    key.family = this.table.family;
    key.length = prefixes.length[prefix];
    key.routeType =
      sourceFlags & NeighborFlag.local
        ? RouteType.local
        : sourceFlags & NeighborFlag.external
          ? RouteType.external
          : RouteType.internal;
    if (prefixes instanceof PrefixTable4) key.w0 = prefixes.address[prefix] | 0;
    else if (prefixes instanceof PrefixTable16) {
      const at = prefix * 4;
      key.w0 = prefixes.words[at] | 0;
      key.w1 = prefixes.words[at + 1] | 0;
      key.w2 = prefixes.words[at + 2] | 0;
      key.w3 = prefixes.words[at + 3] | 0;
    } else {
      prefixes.writeAddress(prefix, this.address, 0);
      key.setNlri(key.family, this.address, 0, key.length);
    }
  }
}

/** Bytes of the first address of a next hop that is 4, 16 or (with a link-local one) 32 bytes long. */
function firstAddressBytes(length: number): number {
  return Math.min(length, 16);
}

function isLinkLocalAlone(bytes: Uint8Array, at: number, length: number): boolean {
  return length === 16 && isLinkLocal(bytes, at);
}

function isZero(bytes: Uint8Array, at: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (bytes[at + i] !== 0) return false;
  return true;
}
