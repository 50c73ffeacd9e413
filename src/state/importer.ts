/**
 * From an UPDATE to the tables: decode into scratch, RFC 7606 verdict, loop and origin checks and import policy once
 * per attribute set, then one row per prefix. Hot path: nothing is allocated per route.
 */
import { formatIp, parseIp } from "../base/ip.ts";
import { isLinkLocalAddress } from "../base/peer-address.ts";
import { explainChain, rejectReason } from "../policy/explain.ts";
import type { Program } from "../policy/program.ts";
import { AspaState, RouteKey, RouteType, RpkiState } from "../policy/route-key.ts";
import type { AttrId } from "../rib/attribute-store.ts";
import { findNextHop } from "../rib/export-rewrite.ts";
import { ChangeCause } from "../rib/history.ts";
import { routeKey } from "../rib/next-hops.ts";
import { isAccepted, RejectReason, reasonMask, rejectReasonText } from "../rib/path-flags.ts";
import type { RouteTable } from "../rib/route-table.ts";
import { AttributeFlag } from "../wire/attribute-flags.ts";
import { decodeBlock } from "../wire/block.ts";
import { WellKnownCommunity } from "../wire/community-text.ts";
import { type Family, families } from "../wire/family.ts";
import { destinationOf } from "../wire/flowspec/nlri.ts";
import { noData } from "../wire/message.ts";
import { AttributeBlock, type NlriList, UpdateScratch } from "../wire/scratch.ts";
import { decodeUpdate } from "../wire/update-decode.ts";
import { Verdict } from "../wire/verdict.ts";
import type { Damping } from "./damping.ts";
import type { FlowValidation } from "./flowspec/flow-validation.ts";
import { neighborFlags } from "./groups.ts";
import { type CheckSubject, importChecks } from "./import-checks.ts";
import { describeDue, ImportFinish } from "./import-finish.ts";
import { ImportLocalAs } from "./import-local-as.ts";
import { decidedBy, gatesInOrder, type ImportStory, tellLocalAs } from "./import-story.ts";
import type { NeighborRecord } from "./neighbor-record.ts";
import type { Inputs } from "./part.ts";
import { isExcess, limitsPaths, waitingPath } from "./path-limit.ts";
import { dropsExcess, hasRoom, isLimit, isOver, limitReason } from "./prefix-excess.ts";
import { keepsRejected } from "./rejected.ts";
import type { Routing } from "./routing.ts";
import type { PrefixLimitConfig, UpdateResult } from "./session-port.ts";

/** What the importer tells the core. */
export interface ImportHost {
  /** Wall-clock seconds, for the age of paths. */
  nowS(): number;
  /** RFC 8212 is in force. */
  requirePolicy(): boolean;
  /** More prefixes than the limit's warning or maximum; `over` tells which, `accepted` whether they passed policy. */
  prefixLimit(record: NeighborRecord, family: Family, count: number, over: boolean, accepted: boolean): void;
  /** Routes that a prefix limit keeps out may come in now. */
  prefixRoom(record: NeighborRecord, family: Family): void;
  /** A malformed UPDATE was handled without a reset. */
  malformed(record: NeighborRecord, text: string, verdict: Verdict): void;
  endOfRib(record: NeighborRecord, family: Family): void;
  /** Which rules may be used. */
  readonly flows: Pick<FlowValidation, "verdict" | "describe">;
  /** Which routes flap. */
  readonly damping: Pick<Damping, "withdrawn" | "changed" | "suppresses" | "describe">;
}

export class Importer {
  private readonly routing: Routing;
  private readonly host: ImportHost;
  private readonly scratch = new UpdateScratch();
  private readonly key = new RouteKey();
  private readonly block = new AttributeBlock();
  private readonly nextHop = { at: 0, length: 0 };
  readonly finish: ImportFinish;
  private readonly localAs: ImportLocalAs;
  private readonly checked: CheckSubject;
  /** Addresses of this host, 4 or 16 bytes each: link-local ones say nothing without the link. */
  private hostAddresses: readonly Uint8Array[] = [];
  readonly inputs: Inputs = {
    // Routes that are there already are not looked at again.
    "host.addresses": ({ addresses }) => {
      this.hostAddresses = addresses
        .map(({ address }) => parseIp(address)!)
        .filter((bytes) => !isLinkLocalAddress(bytes));
    },
  };
  private readonly address = new Uint8Array(16);
  /** A rule found no room (`limits.flowArenaBytesMax`). */
  private isFull = false;
  /** Why the last `decide` refused a path. */
  reason: RejectReason = RejectReason.none;

  constructor(routing: Routing, host: ImportHost) {
    this.routing = routing;
    this.finish = new ImportFinish(routing.attributes);
    this.localAs = new ImportLocalAs(routing.attributes);
    this.checked = {
      attributes: routing.attributes,
      record: undefined as never, // filled before each use
      config: undefined as never,
      attr: 0,
      block: this.block,
      requirePolicy: true,
      namesUs: () => this.isOwnNextHop(this.checked.record, this.checked.block),
    };
    this.host = host;
  }

  /** Takes in one UPDATE. @returns the NOTIFICATION that ends the session, if the message calls for it */
  update(record: NeighborRecord, bytes: Uint8Array, start: number, end: number): UpdateResult | undefined {
    const { scratch } = this;
    decodeUpdate(bytes, start, end, record.decode, scratch);
    if (scratch.verdict !== Verdict.ok) {
      const result = this.faulty(record);
      if (result) return result;
    }
    if (scratch.endOfRib) {
      this.host.endOfRib(record, scratch.endOfRib);
      return undefined;
    }
    const withdraw = scratch.verdict >= Verdict.treatAsWithdraw;
    if (scratch.withdrawn.count > 0) this.withdraw(record, bytes, scratch.withdrawn);
    if (scratch.mpWithdrawn.count > 0)
      this.withdraw(record, nlriOf(scratch.mpWithdrawn, bytes), scratch.mpWithdrawn);
    if (scratch.reach.count > 0) {
      if (withdraw) this.withdraw(record, bytes, scratch.reach);
      else this.announce(record, bytes, scratch.reach, scratch.block);
    }
    if (scratch.mpReach.count > 0) {
      const nlri = nlriOf(scratch.mpReach, bytes);
      if (withdraw) this.withdraw(record, nlri, scratch.mpReach);
      else this.announce(record, nlri, scratch.mpReach, scratch.mpBlock);
    }
    if (!this.isFull) return undefined;
    // A rule that is left out would be one that the neighbor believes to be in force: Cease, Out of Resources.
    this.isFull = false;
    return { code: 6, subcode: 8, data: noData };
  }

  private faulty(record: NeighborRecord): UpdateResult | undefined {
    const { scratch } = this;
    const worst = scratch.problems.find((problem) => problem.verdict === scratch.verdict);
    if (!worst) return undefined;
    const strict = record.config.strictErrors && scratch.verdict > Verdict.ok;
    if (scratch.verdict === Verdict.resetSession || strict) {
      return { code: 3, subcode: worst.subcode, data: worst.data };
    }
    if (scratch.verdict >= Verdict.treatAsWithdraw) record.treatAsWithdraw++;
    else record.attributeDiscard++;
    this.host.malformed(record, worst.text, scratch.verdict);
    return undefined;
  }

  private withdraw(record: NeighborRecord, bytes: Uint8Array, list: NlriList): void {
    const table = this.routing.table(list.family);
    const { at, length, pathId } = list;
    const isDamped = record.config.damping !== undefined && !table.rules;
    for (let i = 0; i < list.count; i++) {
      const prefix = table.prefixes.find(bytes, at[i], length[i]);
      if (prefix === 0) continue;
      if (isDamped) this.withdrawDamped(record, table, prefix, pathId[i]);
      else table.withdraw(record.id, prefix, pathId[i]);
      if (limitsPaths(record, table.family)) this.admit(record, table, prefix);
    }
    if (hasRoom(record, table)) this.host.prefixRoom(record, list.family);
  }

  /** Lets a path in that has waited for another one of its prefix to go. */
  private admit(record: NeighborRecord, table: RouteTable, prefix: number): void {
    const path = waitingPath(record, table, prefix);
    if (path !== 0 && !isExcess(record, table, prefix, path)) this.settle(record, table, path);
  }

  private withdrawDamped(record: NeighborRecord, table: RouteTable, prefix: number, pathId: number): void {
    const path = table.find(record.id, prefix, pathId);
    if (path === 0) return;
    this.host.damping.withdrawn(record, table, path);
    table.removePath(path, ChangeCause.withdrawn);
  }

  private announce(record: NeighborRecord, bytes: Uint8Array, list: NlriList, block: AttributeBlock): void {
    const { attributes } = this.routing;
    const table = this.routing.table(list.family);
    const received = attributes.intern(block.bytes, block.start, block.end);
    let reason = this.check(record, received, block);
    const program = record.importProgram;
    const nowS = this.host.nowS();
    if (table.rules || (reason === RejectReason.none && program?.usesPrefix)) {
      this.announceEach(record, table, bytes, list, received, program, reason, nowS);
    } else {
      let attr = 0;
      if (reason === RejectReason.none) {
        this.key.family = list.family;
        this.key.routeType = record.config.external ? RouteType.external : RouteType.internal;
        attr = this.accept(record, received, program);
        if (attr === 0) reason = RejectReason.policy;
      }
      this.announceAll(record, table, bytes, list, received, attr || received, reason, nowS);
      if (attr !== 0) attributes.release(attr);
    }
    attributes.release(received);
    if (hasRoom(record, table)) this.host.prefixRoom(record, list.family);
  }

  /**
   * Import policy, then what RFC 7999, 8326 and 9234 ask for, on the route in `key`.
   * @returns the attribute set, with one reference; 0 when policy rejects the route
   */
  private accept(
    record: NeighborRecord,
    received: AttrId,
    program: Program | undefined,
    longLived = false,
  ): AttrId {
    const { attributes } = this.routing;
    let attr = this.localAs.run(record.config, received);
    if (program) {
      const asked = attr;
      this.validate(record, program, received);
      attr = program.evaluate(asked, this.key);
      attributes.release(asked);
    }
    return attr === 0 ? 0 : this.finish.run(record.config, attributes.flags[received], attr, longLived);
  }

  /** Fills in the states that policy asks for, of the route in `key` as received. */
  private validate(record: NeighborRecord, { chain }: Program, received: AttrId): void {
    const { validator } = this.routing;
    if (!validator) return;
    if (this.key.family.nlri === "flow") {
      this.key.rpki = RpkiState.notFound;
      this.key.aspa = AspaState.unknown;
      return;
    }
    if (chain.readsRpki) this.key.rpki = validator.origin(this.key, received);
    if (chain.readsAspa) this.key.aspa = validator.path(received, record.id);
  }

  private announceAll(
    record: NeighborRecord,
    table: RouteTable,
    bytes: Uint8Array,
    list: NlriList,
    received: AttrId,
    attr: AttrId,
    reason: RejectReason,
    nowS: number,
  ): void {
    const refused = reason !== RejectReason.none;
    const standing = refused ? reason : this.nextHopVerdict(record, attr, table);
    let added = false;
    if (isJudged(record, table.family)) {
      for (let i = 0; i < list.count; i++)
        if (this.announceJudged(record, table, bytes, list, i, received, attr, reason, nowS)) added = true;
    } else if (refused) added = this.keepRefused(record, table, bytes, list, received, reason, nowS);
    else added = table.announceAll(record.id, bytes, list, received, attr, standing, nowS);
    if (added || record.config.acceptedLimits[table.family.index]) this.countPrefixes(record, table);
  }

  /** Keeps refused routes where these are kept, and forgets what the neighbor said before where they are not. */
  private keepRefused(
    record: NeighborRecord,
    table: RouteTable,
    bytes: Uint8Array,
    { at, length, pathId, count }: NlriList,
    received: AttrId,
    reason: RejectReason,
    nowS: number,
  ): boolean {
    let added = false;
    for (let i = 0; i < count; i++) {
      if (keepsRejected(record, table, false)) {
        const prefix = table.prefix(bytes, at[i], length[i]);
        if (table.announce(record.id, prefix, pathId[i], received, received, reason, nowS)) added = true;
        continue;
      }
      const prefix = table.prefixes.find(bytes, at[i], length[i]);
      if (prefix !== 0) table.withdraw(record.id, prefix, pathId[i]);
    }
    return added;
  }

  /**
   * Where the route itself has a say, by a limit that drops the excess or by damping: it stands, is kept out, or makes
   * room. @returns true when it is new
   */
  private announceJudged(
    record: NeighborRecord,
    table: RouteTable,
    bytes: Uint8Array,
    { at, length, pathId }: NlriList,
    i: number,
    received: AttrId,
    attr: AttrId,
    reason: RejectReason,
    nowS: number,
  ): boolean {
    const { damping } = this.host;
    const { config } = record;
    const known = table.prefixes.find(bytes, at[i], length[i]);
    const path = known === 0 ? 0 : table.find(record.id, known, pathId[i]);
    const was = path === 0 ? undefined : reasonOf(table, path);
    if (config.damping && !table.rules && path !== 0 && table.paths.received[path] !== received)
      damping.changed(record, table, path);
    const isSuppressed = known !== 0 && damping.suppresses(record, table, known, pathId[i]);
    let now = reason === RejectReason.none && isSuppressed ? RejectReason.damped : reason;
    if (isExcess(record, table, known, path)) now = RejectReason.pathLimit;
    const limited = dropsExcess(record, table.family);
    if (limited) now = limitReason(record, table, was, now);
    const wasRejected = was !== undefined && was !== RejectReason.none;
    const isKept =
      now === RejectReason.none ||
      isLookedAtAgain(now) ||
      config.softReconfiguration ||
      (!limited && keepsRejected(record, table, wasRejected));
    if (isKept) {
      const prefix = known || table.prefix(bytes, at[i], length[i]);
      if (prefix === 0) {
        this.isFull = true;
        return false;
      }
      const kept = now === RejectReason.none ? attr : received;
      const standing = now === RejectReason.none ? this.nextHopVerdict(record, attr, table) : now;
      return table.announce(record.id, prefix, pathId[i], received, kept, standing, nowS);
    }
    if (isLimit(now)) record.limitSkipped[table.family.index] = true;
    if (path !== 0) {
      table.removePath(path, ChangeCause.announced);
      this.admit(record, table, known);
    }
    return false;
  }

  private announceEach(
    record: NeighborRecord,
    table: RouteTable,
    bytes: Uint8Array,
    list: NlriList,
    received: AttrId,
    program: Program | undefined,
    given: RejectReason,
    nowS: number,
  ): void {
    const { attributes } = this.routing;
    const { key } = this;
    const { at, length, pathId } = list;
    key.routeType = record.config.external ? RouteType.external : RouteType.internal;
    const judged = isJudged(record, table.family);
    let added = false;
    for (let i = 0; i < list.count; i++) {
      let reason = given;
      if (!table.rules) key.setNlri(list.family, bytes, at[i], length[i]);
      else if (reason === RejectReason.none)
        reason = this.judgeRule(record, table, bytes.subarray(at[i], at[i] + length[i]), received);
      const attr = reason === RejectReason.none ? this.accept(record, received, program) : 0;
      if (attr === 0 && reason === RejectReason.none) reason = RejectReason.policy;
      if (judged) {
        const kept = attr || received;
        if (this.announceJudged(record, table, bytes, list, i, received, kept, reason, nowS)) added = true;
        if (attr !== 0) attributes.release(attr);
        continue;
      }
      if (attr === 0 && !isLookedAtAgain(reason) && !keepsRejected(record, table, false)) {
        const prefix = table.prefixes.find(bytes, at[i], length[i]);
        if (prefix !== 0) table.withdraw(record.id, prefix, pathId[i]);
        continue;
      }
      const prefix = table.prefix(bytes, at[i], length[i]);
      const standing = attr === 0 ? reason : this.nextHopVerdict(record, attr, table);
      if (prefix === 0) this.isFull = true;
      else if (table.announce(record.id, prefix, pathId[i], received, attr || received, standing, nowS))
        added = true;
      if (attr !== 0) attributes.release(attr);
    }
    if (added || record.config.acceptedLimits[table.family.index]) this.countPrefixes(record, table);
  }

  /** Fills the key with the destination of a rule. @returns whether validation lets it be used */
  private judgeRule(
    record: NeighborRecord,
    table: RouteTable,
    rule: Uint8Array,
    received: AttrId,
  ): RejectReason {
    const { family } = table;
    const destination = destinationOf(rule, family);
    this.key.setNlri(family, destination?.bytes ?? this.address, 0, destination?.length ?? 0);
    return this.host.flows.verdict(record, table, rule, received);
  }

  /** Whether an accepted route may be chosen, by what is known of its next hop; rules have none. */
  private nextHopVerdict(record: NeighborRecord, attr: AttrId, table: RouteTable): RejectReason {
    const { nextHops, attributes } = this.routing;
    if (!nextHops || table.rules) return RejectReason.none;
    // By its settings and not its columns: a plan asks with settings that are not in force.
    return nextHops.verdict(attributes.nextHop[attr], neighborFlags(record));
  }

  /** Looks whether limits are near or passed; to be called after routes came in or policy ran again. */
  countPrefixes(record: NeighborRecord, table: RouteTable): void {
    const { index } = table.family;
    const { prefixLimits, acceptedLimits } = record.config;
    const skipped = record.limitSkipped[index];
    const { id, config } = record;
    // Without soft reconfiguration only some refused routes are kept, so none of them counts.
    // Rules that validation refuses are kept all of them, and so count.
    const held = config.softReconfiguration || table.rules ? table.received[id] : table.accepted[id];
    // What is stale counts again when it is announced again: a neighbor that came back with other routes is not punished
    // for those that it had before.
    const stale = table.stale[id];
    this.countOne(record, table.family, prefixLimits[index], held - Math.min(held, stale), skipped, false);
    const standing = table.accepted[id] + table.overAccepted[id];
    const accepted = standing - Math.min(standing, stale);
    this.countOne(record, table.family, acceptedLimits[index], accepted, skipped, true);
  }

  private countOne(
    record: NeighborRecord,
    family: Family,
    limit: PrefixLimitConfig | undefined,
    count: number,
    skipped: boolean,
    accepted: boolean,
  ): void {
    if (!limit) return;
    const over = count > limit.max || (skipped && limit.action === "drop" && count === limit.max);
    if (over || count * 100 > limit.max * limit.warningPercent)
      this.host.prefixLimit(record, family, count, over, accepted);
  }

  /** The checks before policy, the same for all prefixes of an attribute set: the first that refuses. */
  private check(
    record: NeighborRecord,
    attr: AttrId,
    block: AttributeBlock,
    requirePolicy = this.host.requirePolicy(),
  ): RejectReason {
    const subject = this.subject(record, attr, block, requirePolicy);
    for (let i = 0; i < importChecks.length; i++) {
      if (importChecks[i].refuses(subject)) return importChecks[i].reason;
    }
    return RejectReason.none;
  }

  private subject(
    record: NeighborRecord,
    attr: AttrId,
    block: AttributeBlock,
    requirePolicy: boolean,
  ): CheckSubject {
    const { checked } = this;
    checked.record = record;
    checked.config = record.config;
    checked.attr = attr;
    checked.block = block;
    checked.requirePolicy = requirePolicy;
    return checked;
  }

  /**
   * What import makes of a kept path. The decision is made as for a route that comes in; what is told is read from it,
   * and from policy run once more under watch. Nothing is changed, and nothing counted.
   */
  explain(record: NeighborRecord, table: RouteTable, path: number): ImportStory {
    const { attributes } = this.routing;
    const attr = this.decide(record, table, path);
    const { reason } = this;
    const { due } = this.finish;
    const nextHop = reason === RejectReason.nextHop ? nextHopText(this.routing, attr, table, path) : "";
    if (attr !== 0) attributes.release(attr);
    const limited = dropsExcess(record, table.family);
    const order = gatesInOrder.filter(
      (gate) =>
        (limited || !isLimit(gate.reason)) &&
        (limitsPaths(record, table.family) || gate.reason !== RejectReason.pathLimit) &&
        ((record.config.damping !== undefined && !table.rules) || gate.reason !== RejectReason.damped) &&
        (table.rules ? !ofNextHop.has(gate.reason) : gate.reason !== RejectReason.flowValidation) &&
        (this.routing.nextHops !== undefined || gate.reason !== RejectReason.nextHop),
    );
    const last = order.findIndex((gate) => gate.reason === reason);
    const reached = last < 0 ? order : order.slice(0, last + 1);
    const gates = reached.map((gate) => ({ ...gate, passed: gate.reason !== reason }));
    const isAsked = record.importProgram && reached.some((gate) => gate.reason === RejectReason.policy);
    const asked = this.localAs.run(record.config, table.paths.received[path]);
    const policy = isAsked ? explainChain(record.importProgram!, asked, this.key) : undefined;
    attributes.release(asked);
    tellLocalAs(gates, record.config);
    return {
      gates,
      policy,
      decidedBy:
        nextHop ||
        this.dampingText(record, table, path, reason) ||
        this.flowText(record, table, path, reason) ||
        decidedBy(reason, policy),
      accepted: reason === RejectReason.none,
      changes: attr === 0 ? [] : describeDue(due, record.config),
    };
  }

  /** How long a suppressed path will be; empty for any other. */
  private dampingText(record: NeighborRecord, table: RouteTable, path: number, reason: RejectReason): string {
    if (reason !== RejectReason.damped) return "";
    const { prefix } = table.paths;
    const more = this.host.damping.describe(record, table, prefix[path], table.paths.idOf(path));
    return more === "" ? rejectReasonText[reason] : `${rejectReasonText[reason]}: ${more}`;
  }

  /** What validation says of a rule that it refuses; empty for any other path. */
  private flowText(record: NeighborRecord, table: RouteTable, path: number, reason: RejectReason): string {
    if (reason !== RejectReason.flowValidation) return "";
    const { prefix, received } = table.paths;
    const rule = table.rules!.value(prefix[path]).slice();
    return this.host.flows.describe(record, table, rule, received[path]);
  }

  /** Why a kept path is refused, as a text of what decided. */
  refusal(record: NeighborRecord, table: RouteTable, path: number): string {
    const reason = (table.paths.flags[path] & reasonMask) as RejectReason;
    if (reason === RejectReason.nextHop)
      return nextHopText(this.routing, table.paths.attr[path], table, path);
    if (reason === RejectReason.damped) return this.dampingText(record, table, path, reason);
    if (reason === RejectReason.flowValidation) return this.flowText(record, table, path, reason);
    if (reason !== RejectReason.policy || !record.importProgram) return rejectReasonText[reason];
    this.setKey(record, table, table.paths.prefix[path]);
    this.validate(record, record.importProgram, table.paths.received[path]);
    const asked = this.localAs.run(record.config, table.paths.received[path]);
    const text = rejectReason(record.importProgram, asked, this.key) || rejectReasonText[reason];
    this.routing.attributes.release(asked);
    return text;
  }

  /** RFC 4271 5.1.3: a route with ourselves as next hop is not installed, whichever of our addresses it names. */
  private isOwnNextHop(record: NeighborRecord, block: AttributeBlock): boolean {
    findNextHop(block, this.nextHop);
    if (record.negotiated && this.isNextHop(block, record.negotiated.localAddress)) return true;
    for (const own of this.hostAddresses) if (this.isNextHop(block, own)) return !this.isOnThisHost(record);
    return false;
  }

  /** Both speakers run on this host, as in a lab on loopback: its addresses do not tell which of them is meant. */
  private isOnThisHost({ config: { addressBytes: remote } }: NeighborRecord): boolean {
    if (remote.length === 4 ? remote[0] === 127 : isLoopback6(remote)) return true;
    return this.hostAddresses.some((own) => formatIp(own) === formatIp(remote));
  }

  private isNextHop(block: AttributeBlock, own: Uint8Array): boolean {
    const { nextHop } = this;
    if (nextHop.length < own.length) return false;
    for (let i = 0; i < own.length; i++) if (block.bytes[nextHop.at + i] !== own[i]) return false;
    return nextHop.length === own.length || own.length === 16;
  }

  /**
   * Runs the checks and import policy again over the kept routes of a neighbor: all of them with soft reconfiguration,
   * the accepted ones without.
   * @param from path row to go on at; @returns the next row, 0 when done
   * @param limitsOnly only paths that a prefix limit keeps out, or has to keep out now
   */
  reimport(
    record: NeighborRecord,
    table: RouteTable,
    from: number,
    rows: number,
    limitsOnly = false,
  ): number {
    const { paths } = table;
    const end = Math.min(paths.rows, from + rows);
    for (let path = from; path < end; path++) {
      if (paths.received[path] === 0 || paths.neighbor[path] !== record.id) continue;
      if (limitsOnly && !isLimit((paths.flags[path] & reasonMask) as RejectReason) && !isOver(record, table))
        continue;
      this.settle(record, table, path);
    }
    return end < paths.rows ? end : 0;
  }

  /** Runs the checks and import policy again over one kept path. */
  settle(record: NeighborRecord, table: RouteTable, path: number): void {
    const { attributes } = this.routing;
    const { paths } = table;
    const received = paths.received[path];
    const attr = this.runPolicy(record, table, path, this.host.requirePolicy());
    if (isLongLived(record, table, path) && this.refusesLongLived(received, attr)) {
      table.removePath(path);
      if (attr !== 0) attributes.release(attr);
      return;
    }
    const { reason } = this;
    if (isLimit(reason) && !record.config.softReconfiguration) record.limitSkipped[table.family.index] = true;
    const wasRejected = !isAccepted(paths.flags[path]);
    const isKept = isAccepted(reason) || isLookedAtAgain(reason);
    if (!isKept && !keepsRejected(record, table, wasRejected)) {
      table.removePath(path);
      return;
    }
    const flags = (paths.flags[path] & ~reasonMask) | reason;
    const kept = attr === 0 ? received : attr;
    if (flags !== paths.flags[path] || kept !== paths.attr[path])
      table.rewrite(path, received, kept, flags, this.host.nowS());
    if (attr !== 0) attributes.release(attr);
  }

  /** RFC 9494 4.2: routes with NO_LLGR are not kept for long, whoever put it on them. */
  private refusesLongLived(received: AttrId, attr: AttrId): boolean {
    return [received, attr].some((id) => {
      if (id === 0 || (this.routing.attributes.flags[id] & AttributeFlag.hasCommunities) === 0) return false;
      this.routing.attributes.block(id, this.block);
      const { bytes, start, end } = this.block;
      return decodeBlock(bytes, start, end).communities.includes(WellKnownCommunity.noLlgr);
    });
  }

  /**
   * What the checks and import policy make of a kept path, with the settings of `record`; `reason` says why it is
   * refused. Nothing is changed, and nothing counted.
   * @returns the attributes after import, retained for the caller; 0 when it is refused. A path that is accepted and
   * waits for its next hop has attributes, and that as its reason
   */
  decide(
    record: NeighborRecord,
    table: RouteTable,
    path: number,
    requirePolicy = this.host.requirePolicy(),
  ): AttrId {
    const { importProgram: program } = record;
    if (program) program.counting = false;
    const attr = this.runPolicy(record, table, path, requirePolicy);
    if (program) program.counting = true;
    return attr;
  }

  private runPolicy(record: NeighborRecord, table: RouteTable, path: number, requirePolicy: boolean): AttrId {
    const { block } = this;
    const received = table.paths.received[path];
    this.routing.attributes.block(received, block);
    this.setKey(record, table, table.paths.prefix[path]);
    this.reason = this.check(record, received, block, requirePolicy);
    const isStale = table.isStale(path);
    if (!isStale && isExcess(record, table, table.paths.prefix[path], path))
      this.reason = RejectReason.pathLimit;
    if (table.rules && this.reason === RejectReason.none) {
      const rule = table.rules.value(table.paths.prefix[path]).slice();
      this.reason = this.host.flows.verdict(record, table, rule, received);
    }
    if (this.reason !== RejectReason.none) return this.withinLimits(record, table, path, 0);
    const longLived = isLongLived(record, table, path);
    const attr = this.accept(record, received, record.importProgram, longLived);
    if (attr === 0) this.reason = RejectReason.policy;
    else if (this.isSuppressed(record, table, path)) {
      this.reason = RejectReason.damped;
      this.routing.attributes.release(attr);
      return this.withinLimits(record, table, path, 0);
    }
    const limited = this.withinLimits(record, table, path, attr);
    if (limited !== 0)
      this.reason = table.standing(
        table.paths.prefix[path],
        limited,
        this.nextHopVerdict(record, limited, table),
      );
    return limited;
  }

  private isSuppressed(record: NeighborRecord, table: RouteTable, path: number): boolean {
    const { paths } = table;
    return this.host.damping.suppresses(record, table, paths.prefix[path], paths.idOf(path));
  }

  private setKey(record: NeighborRecord, table: RouteTable, prefix: number): void {
    const { key, address } = this;
    table.prefixes.writeAddress(prefix, address, 0);
    key.routeType = record.config.external ? RouteType.external : RouteType.internal;
    key.setNlri(table.family, address, 0, table.prefixes.length[prefix]);
  }

  /** What prefix limits make of a decision; `attr` is given back when they keep the path out. */
  private withinLimits(record: NeighborRecord, table: RouteTable, path: number, attr: AttrId): AttrId {
    if (!dropsExcess(record, table.family)) return attr;
    this.reason = limitReason(record, table, reasonOf(table, path), this.reason);
    if (attr === 0 || this.reason === RejectReason.none) return attr;
    this.routing.attributes.release(attr);
    return 0;
  }
}

/** Why an accepted path may not be chosen all the same. */
export function nextHopText(
  { nextHops, attributes }: Routing,
  attr: AttrId,
  { family, paths }: RouteTable,
  path: number,
): string {
  const key = routeKey(family.index, paths.prefix[path]);
  return nextHops?.refusal(attributes.nextHop[attr], key) ?? "";
}

/** What is there for prefixes alone. */
const ofNextHop: ReadonlySet<RejectReason> = new Set([RejectReason.nextHop, RejectReason.nextHopIsSelf]);

/** Refused for now: the path is kept, for it is looked at again without being sent again. */
function isLookedAtAgain(reason: RejectReason): boolean {
  return reason === RejectReason.damped || reason === RejectReason.flowValidation;
}

/** Where the offsets of a list point into. */
function nlriOf({ family, rules }: NlriList, bytes: Uint8Array): Uint8Array {
  return family.nlri === "flow" ? rules : bytes;
}

/** Why a kept path is refused; a limit counts one that waits for its next hop as accepted. */
function reasonOf(table: RouteTable, path: number): RejectReason {
  const { flags } = table.paths;
  return isAccepted(flags[path]) ? RejectReason.none : ((flags[path] & reasonMask) as RejectReason);
}

/** Each of its routes has to be looked at by itself. */
function isJudged(record: NeighborRecord, family: Family): boolean {
  const isDamped = record.config.damping !== undefined && family.nlri === "prefix";
  return isDamped || dropsExcess(record, family) || limitsPaths(record, family);
}

/** True for a stale path of a neighbor that has been away for longer than its restart time. */
function isLongLived(record: NeighborRecord, table: RouteTable, path: number): boolean {
  return (record.longLived & (1 << table.family.index)) !== 0 && table.isStale(path);
}

function isLoopback6(bytes: Uint8Array): boolean {
  return bytes.every((byte, i) => byte === (i === 15 ? 1 : 0));
}

/** All family indexes of a mask. */
export function familiesOf(mask: number): Family[] {
  return families.filter((family) => (mask & (1 << family.index)) !== 0);
}
