/**
 * What is done to a route after import policy accepted it, whatever policy said: GRACEFUL_SHUTDOWN lowers it (RFC 8326
 * 4.3), BLACKHOLE gets its scope (RFC 7999 3.2), ONLY_TO_CUSTOMER is put on it (RFC 9234 5), LLGR_STALE too (RFC 9494). The communities count as
 * they were received, so that policy cannot take the ground from under them.
 */
import { AttributeFlag } from "../policy/attribute-table.ts";
import type { AttrId, AttributeStore } from "../rib/attribute-store.ts";
import { AttributeType } from "../wire/attributes/descriptor.ts";
import { BgpRole, isFromAbove } from "../wire/bgp-role.ts";
import { decodeBlock, encodeBlock } from "../wire/block.ts";
import { findAttribute, valueAt } from "../wire/block-walk.ts";
import { WellKnownCommunity } from "../wire/community-text.ts";
import { readU32 } from "../wire/message.ts";
import { MessageWriter } from "../wire/message-writer.ts";
import type { PathAttributes } from "../wire/path-attributes.ts";
import { AttributeBlock } from "../wire/scratch.ts";
import type { NeighborConfig } from "./session-port.ts";

/** Bits: what is due for a route. */
const Due = { lowest: 1, noAdvertise: 2, noExport: 4, otc: 8, llgrStale: 16 } as const;

export class ImportFinish {
  private readonly attributes: AttributeStore;
  private readonly block = new AttributeBlock();
  private readonly writer = new MessageWriter(1024);
  // The last result, for the many routes of one attribute set; epochs tell whether it still stands.
  private lastIn: AttrId = 0;
  private lastInEpoch = 0;
  private lastDue = 0;
  private lastAsn = 0;
  private lastOut: AttrId = 0;
  private lastOutEpoch = 0;
  /** What was due for the last route, for `describeDue`. */
  due = 0;

  constructor(attributes: AttributeStore) {
    this.attributes = attributes;
  }

  /**
   * @param receivedFlags `AttributeFlag` bits of the route as received
   * @param attr what policy made of it; its reference passes to the result
   * @param longLived it is kept for a neighbor that is away (RFC 9494)
   */
  run(config: NeighborConfig, receivedFlags: number, attr: AttrId, longLived = false): AttrId {
    const { attributes } = this;
    let due = dueFor(config, receivedFlags, attributes.flags[attr]);
    if (longLived && (attributes.flags[attr] & AttributeFlag.llgrStale) === 0) due |= Due.llgrStale;
    this.due = due;
    if (due === 0) return attr;
    const out = this.finished(attr, due, config.remoteAsn);
    attributes.release(attr);
    return out;
  }

  private finished(attr: AttrId, due: number, asn: number): AttrId {
    const { attributes, block, writer } = this;
    if (
      attr === this.lastIn &&
      attributes.epoch[attr] === this.lastInEpoch &&
      due === this.lastDue &&
      asn === this.lastAsn &&
      attributes.epoch[this.lastOut] === this.lastOutEpoch
    ) {
      attributes.retain(this.lastOut);
      return this.lastOut;
    }
    attributes.block(attr, block);
    const values = decodeBlock(block.bytes, block.start, block.end);
    applyDue(values, due, asn);
    writer.reset();
    encodeBlock(values, writer);
    const out = attributes.intern(writer.bytes, 0, writer.at);
    this.lastIn = attr;
    this.lastInEpoch = attributes.epoch[attr];
    this.lastDue = due;
    this.lastAsn = asn;
    this.lastOut = out;
    this.lastOutEpoch = attributes.epoch[out];
    return out;
  }
}

/** What was done (`ImportFinish.due`), one sentence each, for explanations. */
export function describeDue(due: number, config: NeighborConfig): string[] {
  const told: string[] = [];
  if (due & Due.lowest) told.push("GRACEFUL_SHUTDOWN: local preference 0 (RFC 8326)");
  if (due & Due.noAdvertise) told.push("BLACKHOLE: discard, NO_ADVERTISE added (RFC 7999)");
  if (due & Due.noExport) told.push("BLACKHOLE: discard, NO_EXPORT added (RFC 7999)");
  if (due & Due.llgrStale) told.push("LLGR_STALE put on: the neighbor is away for long (RFC 9494)");
  if (due & Due.otc) told.push(`ONLY_TO_CUSTOMER AS${config.remoteAsn} put on (RFC 9234)`);
  return told;
}

function dueFor(config: NeighborConfig, receivedFlags: number, flags: number): number {
  let due = 0;
  if (receivedFlags & AttributeFlag.gracefulShutdown && config.honorGracefulShutdown) due |= Due.lowest;
  if (receivedFlags & AttributeFlag.blackhole && config.blackhole !== "none") {
    due |= config.blackhole === "no-export" ? Due.noExport : Due.noAdvertise;
  }
  if (config.role !== undefined && isFromAbove(config.role) && (flags & AttributeFlag.hasOtc) === 0) {
    due |= Due.otc;
  }
  return due;
}

function applyDue(attributes: PathAttributes, due: number, asn: number): void {
  if (due & Due.lowest) attributes.localPref = 0;
  if (due & (Due.noAdvertise | Due.noExport)) {
    const scope = due & Due.noExport ? WellKnownCommunity.noExport : WellKnownCommunity.noAdvertise;
    if (!attributes.communities.includes(scope)) attributes.communities = [...attributes.communities, scope];
    const marks = attributes.local ?? { weight: undefined, tag: undefined };
    attributes.local = { ...marks, discard: true };
  }
  if (due & Due.otc) attributes.otc = asn;
  if (due & Due.llgrStale) attributes.communities = [...attributes.communities, WellKnownCommunity.llgrStale];
}

/** RFC 9234 5: from a customer or a client with OTC at all, from a peer with another AS in it. */
export function isLeak(role: BgpRole, remoteAsn: number, otc: number): boolean {
  if (role === BgpRole.provider || role === BgpRole.rs) return true;
  return role === BgpRole.peer && otc !== remoteAsn;
}

/** ONLY_TO_CUSTOMER of a block that has it. */
export function otcOf(block: AttributeBlock): number {
  const at = findAttribute(block.bytes, block.start, block.end, AttributeType.onlyToCustomer);
  return at < 0 ? 0 : readU32(block.bytes, valueAt(block.bytes, at));
}
