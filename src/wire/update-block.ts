/** Canonical blocks out of the attributes of an UPDATE (the form is defined in scratch.ts). */
import { mergeAs4Path } from "./attributes/as-path.ts";
import { AttributeType, FlagBit, optionalTransitive } from "./attributes/descriptor.ts";
import { attributeByCode } from "./attributes/registry.ts";
import type { DecodeContext } from "./decode-context.ts";
import { readU16, readU32 } from "./message.ts";
import { asTrans } from "./open.ts";
import type { AttributeBlock, UpdateScratch } from "./scratch.ts";

/**
 * Fills `out.block` and `out.mpBlock` where there are routes for them. The attributes stand at `bytes[at, end)` and
 * were judged; the MP next hop, when there is one, is what `out.work` holds.
 * @param canonical the section as it stands is a canonical block
 * @returns true when a value would be longer than an attribute can be
 */
export function writeBlocks(
  bytes: Uint8Array,
  at: number,
  end: number,
  canonical: boolean,
  context: DecodeContext,
  out: UpdateScratch,
): boolean {
  const nextHopBytes = out.work.at;
  const rewritten = rewriteValues(bytes, context, out);
  if (canonical && !rewritten) {
    point(out.block, bytes, at, end);
    return false;
  }
  const { spans } = out;
  spans.sort();
  for (let slot = 0; slot < spans.count; slot++) if (spans.length[slot] > 0xffff) return true;
  if (out.reach.count > 0) writeBlock(bytes, 0, out, out.block);
  if (out.mpReach.count > 0) writeBlock(bytes, nextHopBytes || noNextHop, out, out.mpBlock);
  return false;
}

function point(block: AttributeBlock, bytes: Uint8Array, start: number, end: number): void {
  block.bytes = bytes;
  block.start = start;
  block.end = end;
}

/** For `writeBlock`: routes that have none, whatever NEXT_HOP says. */
const noNextHop = -1;

/** Writes all kept attributes; with `mpNextHopBytes` the NEXT_HOP is that many bytes at the start of the work buffer. */
function writeBlock(
  bytes: Uint8Array,
  mpNextHopBytes: number,
  out: UpdateScratch,
  block: AttributeBlock,
): void {
  const { spans, work, rewritten } = out;
  const start = rewritten.at;
  let nextHopDue = mpNextHopBytes > 0;
  for (let i = 0; i < spans.count; i++) {
    const slot = spans.order[i];
    const type = spans.type[slot];
    if (spans.dropped[slot] !== 0 || (mpNextHopBytes !== 0 && type === AttributeType.nextHop)) continue;
    if (nextHopDue && type > AttributeType.nextHop) {
      writeNextHop(mpNextHopBytes, out);
      nextHopDue = false;
    }
    const length = spans.length[slot];
    const row = attributeByCode[type];
    const base = row ? row.flags : optionalTransitive;
    const partial =
      row && !row.opaque
        ? base === optionalTransitive
          ? spans.flags[slot] & FlagBit.partial
          : 0
        : FlagBit.partial;
    if (length > 255) {
      rewritten.u8(base | partial | FlagBit.extendedLength);
      rewritten.u8(type);
      rewritten.u16(length);
    } else {
      rewritten.u8(base | partial);
      rewritten.u8(type);
      rewritten.u8(length);
    }
    const valueAt = spans.at[slot];
    rewritten.copy(spans.source[slot] === 0 ? bytes : work.bytes, valueAt, valueAt + length);
  }
  if (nextHopDue) writeNextHop(mpNextHopBytes, out);
  point(block, rewritten.bytes, start, rewritten.at);
}

function writeNextHop(length: number, out: UpdateScratch): void {
  out.rewritten.u8(FlagBit.transitive);
  out.rewritten.u8(AttributeType.nextHop);
  out.rewritten.u8(length);
  out.rewritten.copy(out.work.bytes, 0, length);
}

/** Values that differ from what was sent go to the work buffer. Returns true when there are any. */
function rewriteValues(bytes: Uint8Array, context: DecodeContext, out: UpdateScratch): boolean {
  if (!context.fourOctetAs) widenAsNumbers(bytes, out);
  const { spans } = out;
  const large = spans.find(AttributeType.largeCommunities);
  const rewritten = large >= 0 && spans.length[large] > 12 && dropDuplicates(bytes, large, out);
  return rewritten || !context.fourOctetAs;
}

/** RFC 6793 4.2.3: four-octet AS_PATH and AGGREGATOR out of what a two-octet neighbor sent. */
function widenAsNumbers(bytes: Uint8Array, out: UpdateScratch): void {
  const { spans, work } = out;
  const aggregator = kept(out, AttributeType.aggregator);
  const as4Aggregator = kept(out, AttributeType.as4Aggregator);
  let as4Path = kept(out, AttributeType.as4Path);
  if (aggregator >= 0) {
    const asn = readU16(bytes, spans.at[aggregator]);
    const useAs4 = asn === asTrans && as4Aggregator >= 0;
    // An AGGREGATOR of another AS means that someone in between knew nothing of AS4_*: they are stale.
    if (asn !== asTrans && as4Aggregator >= 0) as4Path = -1;
    const at = work.at;
    work.u32(useAs4 ? readU32(bytes, spans.at[as4Aggregator]) : asn);
    work.u32(readU32(bytes, useAs4 ? spans.at[as4Aggregator] + 4 : spans.at[aggregator] + 2));
    move(out, aggregator, at);
  }
  const asPath = spans.find(AttributeType.asPath);
  if (asPath >= 0) {
    const at = work.at;
    const as4At = as4Path < 0 ? 0 : spans.at[as4Path];
    const as4End = as4Path < 0 ? 0 : as4At + spans.length[as4Path];
    mergeAs4Path(bytes, spans.at[asPath], spans.at[asPath] + spans.length[asPath], as4At, as4End, work);
    move(out, asPath, at);
  }
  drop(out, AttributeType.as4Path);
  drop(out, AttributeType.as4Aggregator);
}

function kept(out: UpdateScratch, type: number): number {
  const slot = out.spans.find(type);
  return slot >= 0 && out.spans.dropped[slot] === 0 ? slot : -1;
}

function drop(out: UpdateScratch, type: number): void {
  const slot = out.spans.find(type);
  if (slot >= 0) out.spans.dropped[slot] = 1;
}

/** The value in `slot` is now `work[at, work.at)`. */
function move(out: UpdateScratch, slot: number, at: number): void {
  out.spans.source[slot] = 1;
  out.spans.at[slot] = at;
  out.spans.length[slot] = out.work.at - at;
}

/** RFC 8092 section 5: duplicate large communities are removed, silently. Returns true when there were any. */
function dropDuplicates(bytes: Uint8Array, slot: number, out: UpdateScratch): boolean {
  const { spans, work } = out;
  const at = spans.at[slot];
  const end = at + spans.length[slot];
  const seen = end - at > 12 * 32 ? new Set<string>() : undefined;
  const workAt = work.at;
  for (let i = at; i < end; i += 12) {
    if (seen) {
      const key = `${readU32(bytes, i)}:${readU32(bytes, i + 4)}:${readU32(bytes, i + 8)}`;
      if (seen.has(key)) continue;
      seen.add(key);
    } else if (occursBefore(bytes, at, i)) {
      continue;
    }
    work.copy(bytes, i, i + 12);
  }
  if (work.at - workAt === end - at) {
    work.at = workAt;
    return false;
  }
  move(out, slot, workAt);
  return true;
}

function occursBefore(bytes: Uint8Array, from: number, at: number): boolean {
  for (let other = from; other < at; other += 12) {
    let i = 0;
    while (i < 12 && bytes[other + i] === bytes[at + i]) i++;
    if (i === 12) return true;
  }
  return false;
}
