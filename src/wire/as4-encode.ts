/** Attributes as they go to a neighbor that knows only two-octet AS numbers (RFC 6793 4.2.2). */
import { AttributeType, FlagBit, optionalTransitive } from "./attributes/descriptor.ts";
import { attributeEnd, valueAt } from "./block-walk.ts";
import { readU16, readU32 } from "./message.ts";
import type { MessageWriter } from "./message-writer.ts";
import { asTrans } from "./open.ts";
import { SegmentType } from "./path-attributes.ts";

/**
 * Appends the attributes of the canonical block `block[start, end)` except type `without` (0 for none). Unless
 * `fourOctetAs`, AS_PATH and AGGREGATOR are narrowed, with AS_TRANS for what does not fit and then AS4_PATH and
 * AS4_AGGREGATOR beside them.
 */
export function writeNarrowAttributes(
  block: Uint8Array,
  start: number,
  end: number,
  without: number,
  out: MessageWriter,
  fourOctetAs = false,
): void {
  let pathAt = -1;
  let pathEnd = -1;
  let aggregatorAt = -1;
  let aggregatorFlags = 0;
  let as4Due = !fourOctetAs;
  for (let at = start; at < end; ) {
    const flags = block[at];
    const type = block[at + 1];
    const value = valueAt(block, at);
    const valueEnd = attributeEnd(block, at);
    if (as4Due && type > AttributeType.as4Path) {
      writeAs4(block, pathAt, pathEnd, aggregatorAt, aggregatorFlags, out);
      as4Due = false;
    }
    if (!fourOctetAs && type === AttributeType.asPath) {
      if (hasWideAs(block, value, valueEnd)) {
        pathAt = value;
        pathEnd = valueEnd;
      }
      writeNarrowPath(block, value, valueEnd, out);
    } else if (!fourOctetAs && type === AttributeType.aggregator) {
      const asn = readU32(block, value);
      if (asn > 0xffff) {
        aggregatorAt = value;
        aggregatorFlags = flags;
      }
      writeHead(flags, type, 6, out);
      out.u16(asn > 0xffff ? asTrans : asn);
      out.copy(block, value + 4, valueEnd);
    } else if (type !== without) {
      out.copy(block, at, valueEnd);
    }
    at = valueEnd;
  }
  if (as4Due) writeAs4(block, pathAt, pathEnd, aggregatorAt, aggregatorFlags, out);
}

function writeHead(flags: number, type: number, length: number, out: MessageWriter): void {
  const extended = length > 255;
  out.u8(extended ? flags | FlagBit.extendedLength : flags & ~FlagBit.extendedLength);
  out.u8(type);
  if (extended) out.u16(length);
  else out.u8(length);
}

function hasWideAs(block: Uint8Array, at: number, end: number): boolean {
  for (let next = at; next < end; ) {
    const segmentEnd = next + 2 + block[next + 1] * 4;
    for (let i = next + 2; i < segmentEnd; i += 4) if ((block[i] | block[i + 1]) !== 0) return true;
    next = segmentEnd;
  }
  return false;
}

function writeNarrowPath(block: Uint8Array, at: number, end: number, out: MessageWriter): void {
  let length = 0;
  for (let next = at; next < end; next += 2 + block[next + 1] * 4) length += 2 + block[next + 1] * 2;
  writeHead(FlagBit.transitive, AttributeType.asPath, length, out);
  for (let next = at; next < end; ) {
    const segmentEnd = next + 2 + block[next + 1] * 4;
    out.u8(block[next]);
    out.u8(block[next + 1]);
    for (let i = next + 2; i < segmentEnd; i += 4) {
      out.u16((block[i] | block[i + 1]) === 0 ? readU16(block, i + 2) : asTrans);
    }
    next = segmentEnd;
  }
}

/** AS4_PATH without confederation segments, and AS4_AGGREGATOR; each where its start is not -1. */
function writeAs4(
  block: Uint8Array,
  pathAt: number,
  pathEnd: number,
  aggregatorAt: number,
  aggregatorFlags: number,
  out: MessageWriter,
): void {
  if (pathAt >= 0) {
    let length = 0;
    for (let next = pathAt; next < pathEnd; next += 2 + block[next + 1] * 4) {
      if (block[next] <= SegmentType.sequence) length += 2 + block[next + 1] * 4;
    }
    if (length > 0) writeHead(optionalTransitive, AttributeType.as4Path, length, out);
    for (let next = pathAt; next < pathEnd; ) {
      const segmentEnd = next + 2 + block[next + 1] * 4;
      if (block[next] <= SegmentType.sequence) out.copy(block, next, segmentEnd);
      next = segmentEnd;
    }
  }
  if (aggregatorAt >= 0) {
    writeHead(aggregatorFlags, AttributeType.as4Aggregator, 8, out);
    out.copy(block, aggregatorAt, aggregatorAt + 8);
  }
}
