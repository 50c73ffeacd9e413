/**
 * From an UPDATE to the tables: decode into scratch, RFC 7606 verdict, loop and origin checks and import policy once
 * per attribute set, then one row per prefix. Hot path: nothing is allocated per route.
 */

import { formatIp } from "../base/ip.ts";
import { AttributeFlag } from "../policy/attribute-table.ts";
import type { Program } from "../policy/program.ts";
import { RouteKey, RouteType } from "../policy/route-key.ts";
import type { AttrId } from "../rib/attribute-store.ts";
import { findNextHop } from "../rib/export-rewrite.ts";
import { RejectReason, reasonMask } from "../rib/path-flags.ts";
import type { RouteTable } from "../rib/route-table.ts";
import { AttributeType } from "../wire/attributes/descriptor.ts";
import { attributeEnd, findAttribute, valueAt } from "../wire/block-walk.ts";
import { type Family, families } from "../wire/family.ts";
import { readU32 } from "../wire/message.ts";
import { AttributeBlock, type NlriList, UpdateScratch } from "../wire/scratch.ts";
import { decodeUpdate } from "../wire/update-decode.ts";
import { Verdict } from "../wire/verdict.ts";
import type { NeighborRecord } from "./neighbor-record.ts";
import type { Routing } from "./routing.ts";
import type { UpdateResult } from "./session-port.ts";

/** What the importer tells the core. */
export interface ImportHost {
  /** Wall-clock seconds, for the age of paths. */
  nowS(): number;
  /** RFC 8212 is in force. */
  requirePolicy(): boolean;
  /** More prefixes than the limit's warning or maximum; `over` tells which. */
  prefixLimit(record: NeighborRecord, family: Family, count: number, over: boolean): void;
  /** A malformed UPDATE was handled without a reset. */
  malformed(record: NeighborRecord, text: string, verdict: Verdict): void;
  endOfRib(record: NeighborRecord, family: Family): void;
}

export class Importer {
  private readonly routing: Routing;
  private readonly host: ImportHost;
  private readonly scratch = new UpdateScratch();
  private readonly key = new RouteKey();
  private readonly block = new AttributeBlock();
  private readonly nextHop = { at: 0, length: 0 };
  private hostAddresses: readonly Uint8Array[] = [];

  constructor(routing: Routing, host: ImportHost) {
    this.routing = routing;
    this.host = host;
  }

  /** Addresses of this host, 4 or 16 bytes each. Routes that are there already are not looked at again. */
  setHostAddresses(addresses: readonly Uint8Array[]): void {
    this.hostAddresses = addresses;
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
    if (scratch.mpWithdrawn.count > 0) this.withdraw(record, bytes, scratch.mpWithdrawn);
    if (scratch.reach.count > 0) {
      if (withdraw) this.withdraw(record, bytes, scratch.reach);
      else this.announce(record, bytes, scratch.reach, scratch.block);
    }
    if (scratch.mpReach.count > 0) {
      if (withdraw) this.withdraw(record, bytes, scratch.mpReach);
      else this.announce(record, bytes, scratch.mpReach, scratch.mpBlock);
    }
    return undefined;
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
    for (let i = 0; i < list.count; i++) {
      const prefix = table.prefixes.find(bytes, at[i], length[i]);
      if (prefix !== 0) table.withdraw(record.id, prefix, pathId[i]);
    }
  }

  private announce(record: NeighborRecord, bytes: Uint8Array, list: NlriList, block: AttributeBlock): void {
    const { attributes } = this.routing;
    const table = this.routing.table(list.family);
    const received = attributes.intern(block.bytes, block.start, block.end);
    let reason = this.check(record, received, block);
    const program = record.importProgram;
    const nowS = this.host.nowS();
    if (reason === RejectReason.none && program?.usesPrefix) {
      this.announceEach(record, table, bytes, list, received, program, nowS);
    } else {
      let attr = received;
      if (reason === RejectReason.none && program) {
        this.key.family = list.family;
        this.key.routeType = record.config.external ? RouteType.external : RouteType.internal;
        const result = program.evaluate(received, this.key);
        if (result === 0) reason = RejectReason.policy;
        else attr = result;
      }
      this.announceAll(record, table, bytes, list, received, attr, reason, nowS);
      if (attr !== received || (reason === RejectReason.none && program)) attributes.release(attr);
    }
    attributes.release(received);
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
    const { at, length, pathId } = list;
    const drop = reason !== RejectReason.none && !record.config.softReconfiguration;
    let added = false;
    for (let i = 0; i < list.count; i++) {
      const prefix = drop
        ? table.prefixes.find(bytes, at[i], length[i])
        : table.prefix(bytes, at[i], length[i]);
      if (drop) {
        if (prefix !== 0) table.withdraw(record.id, prefix, pathId[i]);
      } else if (table.announce(record.id, prefix, pathId[i], received, attr, reason, nowS)) added = true;
    }
    if (added) this.countPrefixes(record, table);
  }

  private announceEach(
    record: NeighborRecord,
    table: RouteTable,
    bytes: Uint8Array,
    list: NlriList,
    received: AttrId,
    program: Program,
    nowS: number,
  ): void {
    const { attributes } = this.routing;
    const { key } = this;
    const { at, length, pathId } = list;
    key.routeType = record.config.external ? RouteType.external : RouteType.internal;
    let added = false;
    for (let i = 0; i < list.count; i++) {
      key.setNlri(list.family, bytes, at[i], length[i]);
      const attr = program.evaluate(received, key);
      if (attr === 0 && !record.config.softReconfiguration) {
        const prefix = table.prefixes.find(bytes, at[i], length[i]);
        if (prefix !== 0) table.withdraw(record.id, prefix, pathId[i]);
        continue;
      }
      const prefix = table.prefix(bytes, at[i], length[i]);
      const reason = attr === 0 ? RejectReason.policy : RejectReason.none;
      if (table.announce(record.id, prefix, pathId[i], received, attr || received, reason, nowS))
        added = true;
      if (attr !== 0) attributes.release(attr);
    }
    if (added) this.countPrefixes(record, table);
  }

  private countPrefixes(record: NeighborRecord, table: RouteTable): void {
    const limit = record.config.prefixLimits[table.family.index];
    if (!limit) return;
    const count = table.received[record.id];
    if (count > limit.max) this.host.prefixLimit(record, table.family, count, true);
    else if (count * 100 > limit.max * limit.warningPercent) {
      this.host.prefixLimit(record, table.family, count, false);
    }
  }

  /** The checks before policy, the same for all prefixes of an attribute set. */
  private check(record: NeighborRecord, attr: AttrId, block: AttributeBlock): RejectReason {
    const { attributes } = this.routing;
    const { config } = record;
    if (countOwnAs(block, config.localAsn, config.globalAsn) > config.allowOwnAs) return RejectReason.ownAs;
    if (config.external) {
      if (
        config.enforceFirstAs &&
        !config.routeServerClient &&
        attributes.neighborAs[attr] !== config.remoteAsn
      ) {
        return RejectReason.firstAs;
      }
    } else {
      const flags = attributes.flags[attr];
      if (flags & AttributeFlag.hasOriginatorId && attributes.originatorId[attr] === config.routerId) {
        return RejectReason.originatorLoop;
      }
      if (flags & AttributeFlag.hasClusterList && hasCluster(block, config.clusterId))
        return RejectReason.clusterLoop;
    }
    if (this.isOwnNextHop(record, block)) return RejectReason.nextHopIsSelf;
    if (config.external && config.importPolicies.length === 0 && this.host.requirePolicy())
      return RejectReason.noPolicy;
    return RejectReason.none;
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
   */
  reimport(record: NeighborRecord, table: RouteTable, from: number, rows: number): number {
    const { attributes } = this.routing;
    const { paths } = table;
    const { key, block } = this;
    const address = new Uint8Array(16);
    const end = Math.min(paths.rows, from + rows);
    const nowS = this.host.nowS();
    key.routeType = record.config.external ? RouteType.external : RouteType.internal;
    for (let path = from; path < end; path++) {
      const received = paths.received[path];
      if (received === 0 || paths.neighbor[path] !== record.id) continue;
      attributes.block(received, block);
      let reason = this.check(record, received, block);
      let attr = received;
      if (reason === RejectReason.none && record.importProgram) {
        const prefix = paths.prefix[path];
        table.prefixes.writeAddress(prefix, address, 0);
        key.setNlri(table.family, address, 0, table.prefixes.length[prefix]);
        attr = record.importProgram.evaluate(received, key);
        if (attr === 0) reason = RejectReason.policy;
      }
      if (reason !== RejectReason.none && !record.config.softReconfiguration) {
        table.removePath(path);
        continue;
      }
      const flags = (paths.flags[path] & ~reasonMask) | reason;
      const kept = attr === 0 ? received : attr;
      if (flags !== paths.flags[path] || kept !== paths.attr[path])
        table.rewrite(path, received, kept, flags, nowS);
      if (attr !== 0 && record.importProgram && reason === RejectReason.none) attributes.release(attr);
    }
    return end < paths.rows ? end : 0;
  }
}

function isLoopback6(bytes: Uint8Array): boolean {
  return bytes.every((byte, i) => byte === (i === 15 ? 1 : 0));
}

/** How often our own AS stands in the AS_PATH. */
function countOwnAs(block: AttributeBlock, localAsn: number, globalAsn: number): number {
  const { bytes, start, end } = block;
  const path = findAttribute(bytes, start, end, AttributeType.asPath);
  if (path < 0) return 0;
  const pathEnd = attributeEnd(bytes, path);
  let count = 0;
  for (let at = valueAt(bytes, path); at < pathEnd; ) {
    const segmentEnd = at + 2 + bytes[at + 1] * 4;
    for (at += 2; at < segmentEnd; at += 4) {
      const asn = readU32(bytes, at);
      if (asn === localAsn || asn === globalAsn) count++;
    }
  }
  return count;
}

function hasCluster(block: AttributeBlock, clusterId: number): boolean {
  const { bytes, start, end } = block;
  const list = findAttribute(bytes, start, end, AttributeType.clusterList);
  if (list < 0) return false;
  const listEnd = attributeEnd(bytes, list);
  for (let at = valueAt(bytes, list); at < listEnd; at += 4)
    if (readU32(bytes, at) === clusterId) return true;
  return false;
}

/** All family indexes of a mask. */
export function familiesOf(mask: number): Family[] {
  return families.filter((family) => (mask & (1 << family.index)) !== 0);
}
