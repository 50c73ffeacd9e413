/**
 * Canonical attribute blocks (scratch.ts) to values and back, and the columns that the attribute store derives from
 * them. All of these trust their input: blocks come from the decoder or from `encodeBlock`.
 */
import { AttributeFlag } from "./attribute-flags.ts";
import { aigpMetricAt } from "./attributes/aigp.ts";
import { pathHops } from "./attributes/as-path.ts";
import { AttributeType, FlagBit, optionalTransitive } from "./attributes/descriptor.ts";
import { LocalBit } from "./attributes/local.ts";
import { attributeByCode, attributeRows } from "./attributes/registry.ts";
import { WellKnownCommunity } from "./community-text.ts";
import { readU16, readU32 } from "./message.ts";
import type { MessageWriter } from "./message-writer.ts";
import { emptyAttributes, type PathAttributes, type RawAttribute, SegmentType } from "./path-attributes.ts";

/** The attributes of the canonical block `bytes[start, end)`. */
export function decodeBlock(bytes: Uint8Array, start: number, end: number): PathAttributes {
  const attributes = emptyAttributes();
  for (let at = start; at < end; ) {
    const flags = bytes[at];
    const type = bytes[at + 1];
    const extended = (flags & FlagBit.extendedLength) !== 0;
    const valueAt = at + (extended ? 4 : 3);
    const valueEnd = valueAt + (extended ? readU16(bytes, at + 2) : bytes[at + 2]);
    const row = attributeByCode[type];
    if (row?.read) {
      row.read(bytes, valueAt, valueEnd, attributes);
      if ((flags & FlagBit.partial) !== 0) attributes.partial.push(type);
    } else {
      attributes.unknown.push({
        flags: flags & ~FlagBit.extendedLength & 0xff,
        type,
        value: bytes.slice(valueAt, valueEnd),
      });
    }
    at = valueEnd;
  }
  return attributes;
}

/**
 * Appends the canonical block of `attributes` to `out`. Large communities lose their duplicates; unknown attributes
 * that repeat a type, or have a type that is known, are left out.
 */
export function encodeBlock(attributes: PathAttributes, out: MessageWriter): void {
  const unknown = writable(attributes.unknown);
  let next = 0;
  for (const row of attributeRows) {
    while (next < unknown.length && unknown[next].type < row.code) writeRaw(unknown, next++, out);
    if (!row.write || !row.present?.(attributes)) continue;
    const partial =
      row.flags === optionalTransitive && attributes.partial.includes(row.code) ? FlagBit.partial : 0;
    const start = out.at;
    out.u8(row.flags | partial);
    out.u8(row.code);
    out.u8(0);
    if (row.code === AttributeType.largeCommunities) row.write(withoutDuplicates(attributes), out);
    else row.write(attributes, out);
    patchLength(out, start);
  }
  while (next < unknown.length) writeRaw(unknown, next++, out);
}

function writable(unknown: readonly RawAttribute[]): readonly RawAttribute[] {
  if (unknown.length === 0) return unknown;
  return unknown
    .filter(({ type }) => !attributeByCode[type] || attributeByCode[type].opaque)
    .sort((a, b) => a.type - b.type);
}

function writeRaw(unknown: readonly RawAttribute[], index: number, out: MessageWriter): void {
  const { flags, type, value } = unknown[index];
  if (index > 0 && unknown[index - 1].type === type) return;
  const start = out.at;
  out.u8(flags & (optionalTransitive | FlagBit.partial));
  out.u8(type);
  out.u8(0);
  out.copy(value);
  patchLength(out, start);
}

/** Fills in the length of the attribute that starts at `start`, with the Extended Length bit where it is needed. */
function patchLength(out: MessageWriter, start: number): void {
  const length = out.at - start - 3;
  if (length <= 255) {
    out.patchU8(start + 2, length);
    return;
  }
  out.u8(0);
  out.bytes.copyWithin(start + 4, start + 3, out.at - 1);
  out.patchU8(start, out.bytes[start] | FlagBit.extendedLength);
  out.patchU16(start + 2, length);
}

function withoutDuplicates(attributes: PathAttributes): PathAttributes {
  if (attributes.largeCommunities.length < 2) return attributes;
  const seen = new Set<string>();
  const largeCommunities = attributes.largeCommunities.filter((parts) => {
    const key = parts.join(":");
    return !seen.has(key) && seen.add(key);
  });
  return { ...attributes, largeCommunities };
}

/** What the attribute store keeps in columns per attribute set. Reused. */
export class DerivedAttributes {
  origin = 0;
  /** 100 when the attribute is absent. */
  localPref = 100;
  /** 0 when absent. */
  med = 0;
  /** A set counts one, confederation segments none; at most 65535. */
  pathLength = 0;
  /** First AS of the path beyond confederation segments; 0 for an empty path or one that starts with a set. */
  neighborAs = 0;
  /** Last AS of the path; 0 for an empty path or one that ends with a set. */
  originAs = 0;
  /** `AttributeFlag` bits. */
  flags = 0;
  /** Offset of the next hop relative to the start of the block, and its length: 0, 4, 16 or 32. */
  nextHopAt = 0;
  nextHopLength = 0;
  originatorId = 0;
  /** Entries of CLUSTER_LIST. */
  clusterListLength = 0;
  /** Local mark; 0 when unset. */
  weight = 0;
  /** The two halves of the AIGP metric (RFC 7311), when `flags` has `hasAigp`. */
  aigpHigh = 0;
  aigpLow = 0;
}

/** Derives all columns from the canonical block `bytes[start, end)` in one pass, without allocation. */
export function deriveBlock(bytes: Uint8Array, start: number, end: number, out: DerivedAttributes): void {
  out.origin = 0;
  out.localPref = 100;
  out.med = 0;
  out.pathLength = 0;
  out.neighborAs = 0;
  out.originAs = 0;
  out.nextHopAt = 0;
  out.nextHopLength = 0;
  out.originatorId = 0;
  out.clusterListLength = 0;
  out.weight = 0;
  let flags = 0;
  for (let at = start; at < end; ) {
    const extended = (bytes[at] & FlagBit.extendedLength) !== 0;
    const valueAt = at + (extended ? 4 : 3);
    const valueEnd = valueAt + (extended ? readU16(bytes, at + 2) : bytes[at + 2]);
    switch (bytes[at + 1]) {
      case AttributeType.origin:
        out.origin = bytes[valueAt];
        break;
      case AttributeType.asPath:
        flags |= derivePath(bytes, valueAt, valueEnd, out);
        break;
      case AttributeType.nextHop:
        out.nextHopAt = valueAt - start;
        out.nextHopLength = valueEnd - valueAt;
        break;
      case AttributeType.med:
        out.med = readU32(bytes, valueAt);
        flags |= AttributeFlag.hasMed;
        break;
      case AttributeType.localPref:
        out.localPref = readU32(bytes, valueAt);
        flags |= AttributeFlag.hasLocalPref;
        break;
      case AttributeType.atomicAggregate:
        flags |= AttributeFlag.atomicAggregate;
        break;
      case AttributeType.aggregator:
        break;
      case AttributeType.communities:
        flags |= AttributeFlag.hasCommunities | wellKnownFlags(bytes, valueAt, valueEnd);
        break;
      case AttributeType.originatorId:
        out.originatorId = readU32(bytes, valueAt);
        flags |= AttributeFlag.hasOriginatorId;
        break;
      case AttributeType.clusterList:
        out.clusterListLength = (valueEnd - valueAt) >>> 2;
        flags |= AttributeFlag.hasClusterList;
        break;
      case AttributeType.aigp: {
        const metric = aigpMetricAt(bytes, valueAt, valueEnd);
        if (metric < 0) break;
        flags |= AttributeFlag.hasAigp;
        out.aigpHigh = readU32(bytes, metric);
        out.aigpLow = readU32(bytes, metric + 4);
        break;
      }
      case AttributeType.extendedCommunities:
      case AttributeType.largeCommunities:
        break;
      case AttributeType.onlyToCustomer:
        flags |= AttributeFlag.hasOtc;
        break;
      case AttributeType.local:
        if (bytes[valueAt] & LocalBit.weight) out.weight = readU32(bytes, valueAt + 1);
        if (bytes[valueAt] & LocalBit.discard) flags |= AttributeFlag.discard;
        break;
      default:
        flags |= AttributeFlag.hasUnknown;
    }
    at = valueEnd;
  }
  out.flags = flags;
}

/** @returns `AttributeFlag` bits */
function derivePath(bytes: Uint8Array, at: number, end: number, out: DerivedAttributes): number {
  let flags = 0;
  out.pathLength = Math.min(pathHops(bytes, at, end, 4), 0xffff);
  let first = true;
  let last: number = SegmentType.sequence;
  for (let next = at; next < end; ) {
    const type = bytes[next];
    last = type;
    const count = bytes[next + 1];
    const segmentEnd = next + 2 + count * 4;
    if (type === SegmentType.sequence) {
      if (first) out.neighborAs = readU32(bytes, next + 2);
      out.originAs = readU32(bytes, segmentEnd - 4);
      first = false;
    } else if (type === SegmentType.set) {
      out.originAs = 0;
      first = false;
    } else {
      flags = AttributeFlag.hasConfederation;
    }
    next = segmentEnd;
  }
  if (last === SegmentType.set) flags |= AttributeFlag.endsWithSet;
  else if (last !== SegmentType.sequence) flags |= AttributeFlag.endsWithConfederation;
  return flags;
}

function wellKnownFlags(bytes: Uint8Array, at: number, end: number): number {
  let flags = 0;
  for (let i = at; i < end; i += 4) {
    if (bytes[i] !== 0xff || bytes[i + 1] !== 0xff) continue;
    switch (readU32(bytes, i)) {
      case WellKnownCommunity.noExport:
        flags |= AttributeFlag.noExport;
        break;
      case WellKnownCommunity.noAdvertise:
        flags |= AttributeFlag.noAdvertise;
        break;
      case WellKnownCommunity.noExportSubconfed:
        flags |= AttributeFlag.noExportSubconfed;
        break;
      case WellKnownCommunity.noPeer:
        flags |= AttributeFlag.noPeer;
        break;
      case WellKnownCommunity.gracefulShutdown:
        flags |= AttributeFlag.gracefulShutdown;
        break;
      case WellKnownCommunity.blackhole:
        flags |= AttributeFlag.blackhole;
        break;
      case WellKnownCommunity.llgrStale:
        flags |= AttributeFlag.llgrStale;
        break;
    }
  }
  return flags;
}
