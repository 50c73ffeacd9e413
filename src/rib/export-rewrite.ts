/**
 * What our speaker does to the attributes of a route it announces (RFC 4271 5.1, 9.1.3; RFC 4456 8; RFC 7947 2.2):
 * one pass over a canonical block into another canonical block, without decoding into values.
 *
 *                    external              internal                reflected (internal to internal)   route server
 *   AS_PATH          own AS in front       as it is                as it is                           as it is (export-path.ts)
 *   NEXT_HOP         self or third party   as it is, or self       as it is                           as it is
 *   MED              dropped               kept                    kept                               kept
 *   LOCAL_PREF       dropped               kept, 100 when absent   kept                               dropped
 *   ORIGINATOR_ID    dropped               as it is                added when absent                  dropped
 *   CLUSTER_LIST     dropped               as it is                own cluster id in front            dropped
 *   AIGP             where it is switched on for the neighbor, further away by the interior cost when the next hop changes
 *
 * To another member AS of our confederation (RFC 5065) as to an internal neighbor, but our member AS comes in front of
 * the path, and ORIGINATOR_ID and CLUSTER_LIST stay in the member AS.
 *
 * Local marks (type 0) are dropped everywhere. MED is dropped before export policy runs (`stripMed`), so that a MED which policy sets is sent.
 */
import { AttributeFlag } from "../wire/attribute-flags.ts";
import { addAigp, aigpMetricAt } from "../wire/attributes/aigp.ts";
import { AttributeType, FlagBit } from "../wire/attributes/descriptor.ts";
import { type BgpRole, isToBelow } from "../wire/bgp-role.ts";
import { decodeBlock, encodeBlock } from "../wire/block.ts";
import { attributeEnd, findAttribute, valueAt } from "../wire/block-walk.ts";
import { WellKnownCommunity } from "../wire/community-text.ts";
import { MessageWriter } from "../wire/message-writer.ts";
import type { PathAttributes } from "../wire/path-attributes.ts";
import type { AttributeBlock } from "../wire/scratch.ts";
import {
  changesPath,
  ownAses,
  type PathConfig,
  pathForExport,
  prependsIn,
  writePrepended,
} from "./export-path.ts";
import { writeHeader } from "./write-header.ts";

/** What is the same for all routes that go to one update group. */
export interface RewriteConfig extends PathConfig {
  /** AIGP goes to the neighbor (RFC 7311). */
  readonly aigp: boolean;
  /** RFC 9494 4.6: LLGR_STALE goes with NO_EXPORT and local preference 0. */
  readonly longLived: boolean;
  readonly clusterId: number;
  /** RFC 9234: our role; undefined for none. */
  readonly role: BgpRole | undefined;
  /** RFC 8326: add GRACEFUL_SHUTDOWN, toward internal neighbors with local preference 0. */
  readonly gracefulShutdown: boolean;
}

/** What differs from route to route. */
export interface RewriteRoute {
  /** Next hop to put in place of the route's own: 4 or 16 bytes; undefined keeps it. */
  nextHop: Uint8Array | undefined;
  /** Learned from an internal neighbor and sent to one: we reflect it. */
  reflected: boolean;
  /** Router id of the neighbor that it came from, for ORIGINATOR_ID. */
  sourceRouterId: number;
  /** `AttributeFlag` bits of the block. */
  flags: number;
  /** What AIGP grows by: the cost of the way to the next hop that is replaced; 0 where it is not. */
  interiorCost: number;
  /** MED goes with the rest of the pass; else policy had its say about the route without it. */
  dropsMed: boolean;
}

/** Attributes that were decoded, changed and written again before the pass. */
const prepared = new MessageWriter(1024);

/**
 * Appends the rewritten block to `out`.
 * @param block canonical attributes after export policy
 */
export function rewriteForExport(
  block: AttributeBlock,
  config: RewriteConfig,
  route: RewriteRoute,
  out: MessageWriter,
): void {
  let { bytes, start, end } = block;
  const transparent = config.routeServerClient;
  const isOtherPath = changesPath(config, route.flags);
  // RFC 9234 5: toward a customer, a peer or a client of our route server.
  const marksOtc =
    config.role !== undefined &&
    isToBelow(config.role) &&
    findAttribute(bytes, start, end, AttributeType.onlyToCustomer) < 0;
  const isLastResort = !config.longLived && (route.flags & AttributeFlag.llgrStale) !== 0;
  if (isOtherPath || marksOtc || config.gracefulShutdown || isLastResort) {
    const attributes = decodeBlock(bytes, start, end);
    if (isOtherPath) attributes.asPath = pathForExport(attributes.asPath, config);
    if (marksOtc) attributes.otc = config.localAsn;
    if (config.gracefulShutdown) shutDownGracefully(attributes, config.external);
    if (isLastResort) makeLastResort(attributes);
    prepared.reset();
    encodeBlock(attributes, prepared);
    bytes = prepared.bytes;
    start = 0;
    end = prepared.at;
  }
  const internal = !config.external;
  const prependType = prependsIn(config);
  let wroteLocalPref = false;
  let wroteOriginator = false;
  let wroteCluster = false;
  for (let at = start; at < end; ) {
    const type = bytes[at + 1];
    const value = valueAt(bytes, at);
    const next = attributeEnd(bytes, at);
    const length = next - value;
    if (internal) {
      if (!wroteLocalPref && type >= AttributeType.localPref) {
        if (type > AttributeType.localPref) writeU32(out, 0x40, AttributeType.localPref, 100);
        wroteLocalPref = true;
      }
      if (route.reflected) {
        if (!wroteOriginator && type >= AttributeType.originatorId) {
          if (type > AttributeType.originatorId)
            writeU32(out, 0x80, AttributeType.originatorId, route.sourceRouterId);
          wroteOriginator = true;
        }
        if (!wroteCluster && type >= AttributeType.clusterList) {
          writeClusterList(
            out,
            config.clusterId,
            bytes,
            value,
            type === AttributeType.clusterList ? length : 0,
          );
          wroteCluster = true;
          if (type === AttributeType.clusterList) {
            at = next;
            continue;
          }
        }
      }
    }
    switch (type) {
      case AttributeType.local:
        break;
      case AttributeType.med:
        if (!route.dropsMed) out.copy(bytes, at, next);
        break;
      case AttributeType.asPath:
        if (prependType) writePrepended(out, ownAses(config), prependType, bytes, value, length);
        else out.copy(bytes, at, next);
        break;
      case AttributeType.nextHop:
        if (route.nextHop) writeNextHop(out, route.nextHop);
        else if (length === 32 && !transparent) writeNextHop(out, bytes.subarray(value, value + 16));
        else out.copy(bytes, at, next);
        break;
      case AttributeType.localPref:
        if (internal) out.copy(bytes, at, next);
        break;
      case AttributeType.originatorId:
      case AttributeType.clusterList:
        if (internal && !config.confederationMember) out.copy(bytes, at, next);
        break;
      case AttributeType.aigp:
        if (config.aigp) writeAigp(out, bytes, at, next, route.interiorCost);
        break;
      case AttributeType.extendedCommunities:
        if (config.external && !transparent) writeTransitiveCommunities(out, bytes, at, value, length);
        else out.copy(bytes, at, next);
        break;
      default:
        out.copy(bytes, at, next);
    }
    at = next;
  }
  if (internal && !wroteLocalPref) writeU32(out, 0x40, AttributeType.localPref, 100);
  if (internal && route.reflected) {
    if (!wroteOriginator) writeU32(out, 0x80, AttributeType.originatorId, route.sourceRouterId);
    if (!wroteCluster) writeClusterList(out, config.clusterId, bytes, 0, 0);
  }
}

/** Appends `block` without MULTI_EXIT_DISC. */
export function stripMed(block: AttributeBlock, out: MessageWriter): void {
  const { bytes, start, end } = block;
  for (let at = start; at < end; ) {
    const next = attributeEnd(bytes, at);
    if (bytes[at + 1] !== AttributeType.med) out.copy(bytes, at, next);
    at = next;
  }
}

/** Offset and length of the next hop's value in a block; length 0 when there is none. */
export function findNextHop(block: AttributeBlock, out: { at: number; length: number }): void {
  const { bytes, start, end } = block;
  const at = findAttribute(bytes, start, end, AttributeType.nextHop);
  out.at = at < 0 ? 0 : valueAt(bytes, at);
  out.length = at < 0 ? 0 : attributeEnd(bytes, at) - out.at;
}

function writeU32(out: MessageWriter, flags: number, type: number, value: number): void {
  out.u8(flags);
  out.u8(type);
  out.u8(4);
  out.u32(value);
}

function writeNextHop(out: MessageWriter, nextHop: Uint8Array): void {
  out.u8(0x40);
  out.u8(AttributeType.nextHop);
  out.u8(nextHop.length);
  out.copy(nextHop);
}

/** RFC 7311 3.4.3: the metric grows by what the way to the replaced next hop costs, and no other TLV changes. */
function writeAigp(out: MessageWriter, bytes: Uint8Array, at: number, next: number, cost: number): void {
  const start = out.at;
  out.copy(bytes, at, next);
  const metricAt = aigpMetricAt(out.bytes, valueAt(out.bytes, start), out.at);
  if (cost === 0 || metricAt < 0) return;
  const view = new DataView(out.bytes.buffer, out.bytes.byteOffset);
  view.setBigUint64(metricAt, addAigp(view.getBigUint64(metricAt), cost));
}

function writeClusterList(
  out: MessageWriter,
  own: number,
  bytes: Uint8Array,
  at: number,
  length: number,
): void {
  writeHeader(out, 0x80, AttributeType.clusterList, length + 4);
  out.u32(own);
  out.copy(bytes, at, at + length);
}

/** Extended communities whose type has the non-transitive bit stay inside the AS (RFC 4360 6). */
function writeTransitiveCommunities(
  out: MessageWriter,
  bytes: Uint8Array,
  flagsAt: number,
  at: number,
  length: number,
): void {
  let kept = 0;
  for (let i = 0; i < length; i += 8) if ((bytes[at + i] & 0x40) === 0) kept += 8;
  if (kept === 0) return;
  writeHeader(out, bytes[flagsAt] & ~FlagBit.extendedLength, AttributeType.extendedCommunities, kept);
  for (let i = 0; i < length; i += 8) if ((bytes[at + i] & 0x40) === 0) out.copy(bytes, at + i, at + i + 8);
}

/** RFC 9494 4.6: to a neighbor that does not know what LLGR_STALE means. */
function makeLastResort(attributes: PathAttributes): void {
  const { noExport } = WellKnownCommunity;
  if (!attributes.communities.includes(noExport)) {
    attributes.communities = [...attributes.communities, noExport];
  }
  attributes.localPref = 0;
}

/** RFC 8326 4.1, 4.2. */
function shutDownGracefully(attributes: PathAttributes, external: boolean): void {
  const { gracefulShutdown } = WellKnownCommunity;
  if (!attributes.communities.includes(gracefulShutdown)) {
    attributes.communities = [...attributes.communities, gracefulShutdown];
  }
  if (!external) attributes.localPref = 0;
}
