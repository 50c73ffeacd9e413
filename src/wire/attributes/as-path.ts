/** AS_PATH and AS4_PATH (RFC 4271 4.3 and 5.1.2, RFC 5065, RFC 6793, RFC 7606 7.2, RFC 7607). */
import { formatAsPath } from "../as-path-text.ts";
import type { DecodeContext } from "../decode-context.ts";
import { readU16, readU32 } from "../message.ts";
import type { MessageWriter } from "../message-writer.ts";
import { type AsPathSegment, SegmentType } from "../path-attributes.ts";
import {
  type AttributeDescriptor,
  type AttributeFault,
  AttributeType,
  discardFault,
  optionalTransitive,
  wellKnown,
  withdrawFault,
} from "./descriptor.ts";

export const asPath: AttributeDescriptor = {
  code: AttributeType.asPath,
  name: "AS_PATH",
  flags: wellKnown,
  check(bytes, at, end, context: DecodeContext) {
    const found = checkSegments(bytes, at, end, context.fourOctetAs ? 4 : 2, !context.external);
    // RFC 5065 4: the neighbor put its member AS in front.
    const lacks = context.confederation === true && (at === end || bytes[at] !== SegmentType.confedSequence);
    return found === Segments.good && lacks ? withoutMemberAs : withdrawFaults[found];
  },
  read(bytes, at, end, into) {
    into.asPath = readSegments(bytes, at, end);
  },
  present: () => true,
  write: (from, out) => writeSegments(from.asPath, out),
  format: (from) => formatAsPath(from.asPath),
};

/** From a two-octet neighbor only; merged into AS_PATH by the decoder. A malformed one is dropped (RFC 6793 6). */
export const as4Path: AttributeDescriptor = {
  code: AttributeType.as4Path,
  name: "AS4_PATH",
  flags: optionalTransitive,
  check(bytes, at, end) {
    if (at === end) return emptyAs4Path;
    return discardFaults[checkSegments(bytes, at, end, 4, true)];
  },
};

/** What `checkSegments` found. */
const Segments = { good: 0, cut: 1, unknownType: 2, empty: 3, confederation: 4, asZero: 5 } as const;
type Segments = (typeof Segments)[keyof typeof Segments];

/** One pass over segments in `[at, end)` with AS numbers of `asBytes`. */
function checkSegments(
  bytes: Uint8Array,
  at: number,
  end: number,
  asBytes: 2 | 4,
  confederations: boolean,
): Segments {
  let next = at;
  while (next < end) {
    if (end - next < 2) return Segments.cut;
    const type = bytes[next];
    const count = bytes[next + 1];
    const segmentEnd = next + 2 + count * asBytes;
    if (type === 0 || type > SegmentType.confedSet) return Segments.unknownType;
    if (count === 0) return Segments.empty;
    if (segmentEnd > end) return Segments.cut;
    if (type >= SegmentType.confedSequence && !confederations) return Segments.confederation;
    if (asBytes === 4) {
      for (let i = next + 2; i < segmentEnd; i += 4) {
        if ((bytes[i] | bytes[i + 1] | bytes[i + 2] | bytes[i + 3]) === 0) return Segments.asZero;
      }
    } else {
      for (let i = next + 2; i < segmentEnd; i += 2) {
        if ((bytes[i] | bytes[i + 1]) === 0) return Segments.asZero;
      }
    }
    next = segmentEnd;
  }
  return Segments.good;
}

const segmentsText = [
  "",
  "a segment is cut off",
  "a segment has an unknown type",
  "a segment is empty",
  "a confederation segment from a neighbor outside the confederation",
  "AS number 0",
];

const withdrawFaults: readonly (AttributeFault | undefined)[] = segmentsText.map((text) =>
  text === "" ? undefined : withdrawFault(11, text),
);
const discardFaults: readonly (AttributeFault | undefined)[] = segmentsText.map((text) =>
  text === "" ? undefined : discardFault(9, text),
);
const withoutMemberAs = withdrawFault(
  11,
  "the path of a confederation member begins with no AS_CONFED_SEQUENCE",
);
const emptyAs4Path = discardFault(9, "the path is empty");

/** Segments of a checked four-octet path. */
export function readSegments(bytes: Uint8Array, at: number, end: number): AsPathSegment[] {
  const segments: AsPathSegment[] = [];
  for (let next = at; next < end; ) {
    const type = bytes[next] as SegmentType;
    const asns: number[] = [];
    const segmentEnd = next + 2 + bytes[next + 1] * 4;
    for (let i = next + 2; i < segmentEnd; i += 4) asns.push(readU32(bytes, i));
    segments.push({ type, asns });
    next = segmentEnd;
  }
  return segments;
}

/** Writes segments with four octets per AS; those longer than 255 are split, empty ones left out. */
export function writeSegments(segments: readonly AsPathSegment[], out: MessageWriter): void {
  for (const { type, asns } of segments) {
    for (let from = 0; from < asns.length; from += 255) {
      const count = Math.min(255, asns.length - from);
      out.u8(type);
      out.u8(count);
      for (let i = from; i < from + count; i++) out.u32(asns[i]);
    }
  }
}

/** Length of a path for comparison: a set counts one, confederation segments none (RFC 4271 9.1.2.2, RFC 5065 5.3). */
export function pathHops(bytes: Uint8Array, at: number, end: number, asBytes: 2 | 4): number {
  let hops = 0;
  for (let next = at; next < end; next += 2 + bytes[next + 1] * asBytes) {
    const type = bytes[next];
    if (type === SegmentType.sequence) hops += bytes[next + 1];
    else if (type === SegmentType.set) hops++;
  }
  return hops;
}

/**
 * Appends to `out` the four-octet form of a checked two-octet AS_PATH. With an AS4_PATH (`as4At < as4End`, checked)
 * the two are merged by RFC 6793 4.2.3: the last hops come from AS4_PATH, as many as it has, the leading ones from
 * AS_PATH; an AS4_PATH with more hops than AS_PATH is ignored, and so are confederation segments in it.
 */
export function mergeAs4Path(
  bytes: Uint8Array,
  at: number,
  end: number,
  as4At: number,
  as4End: number,
  out: MessageWriter,
): void {
  const as4Hops = pathHops(bytes, as4At, as4End, 4);
  const hops = pathHops(bytes, at, end, 2);
  if (as4Hops === 0 || as4Hops > hops) {
    widen(bytes, at, end, Number.POSITIVE_INFINITY, out);
    return;
  }
  const openAt = widen(bytes, at, end, hops - as4Hops, out);
  let joinAt = openAt;
  for (let next = as4At; next < as4End; ) {
    const type = bytes[next];
    const count = bytes[next + 1];
    const segmentEnd = next + 2 + count * 4;
    if (type === SegmentType.sequence || type === SegmentType.set) {
      // A sequence that was split between the two attributes becomes one again.
      if (joinAt >= 0 && type === SegmentType.sequence && out.bytes[joinAt + 1] + count <= 255) {
        out.patchU8(joinAt + 1, out.bytes[joinAt + 1] + count);
        out.copy(bytes, next + 2, segmentEnd);
      } else {
        out.copy(bytes, next, segmentEnd);
      }
      joinAt = -1;
    }
    next = segmentEnd;
  }
}

/**
 * Appends the first `hops` hops of a two-octet path, widened, with the confederation segments among them.
 * @returns where the last segment starts in `out` when it is a sequence, else -1
 */
function widen(bytes: Uint8Array, at: number, end: number, hops: number, out: MessageWriter): number {
  let left = hops;
  let last = -1;
  for (let next = at; next < end; ) {
    const type = bytes[next];
    const count = bytes[next + 1];
    const counted = type === SegmentType.sequence ? count : type === SegmentType.set ? 1 : 0;
    if (counted > 0 && left === 0) break;
    const take = type === SegmentType.sequence ? Math.min(count, left) : count;
    last = type === SegmentType.sequence ? out.at : -1;
    out.u8(type);
    out.u8(take);
    for (let i = 0; i < take; i++) {
      out.u16(0);
      out.u16(readU16(bytes, next + 2 + i * 2));
    }
    left -= Math.min(counted, left);
    next += 2 + count * 2;
  }
  return last;
}
