/**
 * Path attributes as they stand in MRT files. More is let pass than on a session: a reader is to show what somebody
 * received, even where the receiver had to refuse it. What cannot be understood at all is kept raw and named.
 */
import { mergeAs4Path, readSegments } from "../wire/attributes/as-path.ts";
import { AttributeType, FlagBit } from "../wire/attributes/descriptor.ts";
import { attributeByCode, attributeName } from "../wire/attributes/registry.ts";
import type { DecodeContext } from "../wire/decode-context.ts";
import { readU16, readU32 } from "../wire/message.ts";
import { MessageWriter } from "../wire/message-writer.ts";
import { asTrans } from "../wire/open.ts";
import { emptyAttributes, type PathAttributes } from "../wire/path-attributes.ts";

/** MP_REACH_NLRI or MP_UNREACH_NLRI. Of a RIB entry there is only the next hop (RFC 6396 4.3.4). */
export interface MpNlri {
  readonly afi: number;
  readonly safi: number;
  readonly nextHop: Uint8Array;
  readonly nlri: Uint8Array;
}

export interface MrtAttributes {
  /** The next hop is that of MP_REACH_NLRI when there is one. */
  readonly attributes: PathAttributes;
  /** NEXT_HOP of the body, which MP_REACH_NLRI does not hide. */
  readonly bodyNextHop: Uint8Array;
  readonly reach: MpNlri | undefined;
  readonly unreach: MpNlri | undefined;
  /** What could not be understood, a sentence each. */
  readonly faults: readonly string[];
}

const lenient: DecodeContext = { fourOctetAs: true, addPath: 0, external: false, aigp: true, families: 0xff };
const none = new Uint8Array(0);

/** `origin` of attributes without ORIGIN. */
export const noOrigin = 255;

/**
 * Reads the attribute section `bytes[at, end)`.
 * @param inRib MP_REACH_NLRI may be cut down to its next hop
 */
export function readAttributes(
  bytes: Uint8Array,
  at: number,
  end: number,
  fourOctetAs: boolean,
  inRib: boolean,
): MrtAttributes {
  const into = emptyAttributes();
  into.origin = noOrigin;
  const faults: string[] = [];
  let reach: MpNlri | undefined;
  let unreach: MpNlri | undefined;
  let path: readonly [number, number] | undefined;
  let as4Path: readonly [number, number] | undefined;
  let as4Aggregator: number | undefined;
  for (let next = at; next < end; ) {
    const flags = bytes[next];
    const type = bytes[next + 1];
    const extended = (flags & FlagBit.extendedLength) !== 0;
    const valueAt = next + (extended ? 4 : 3);
    const valueEnd =
      valueAt <= end ? valueAt + (extended ? readU16(bytes, next + 2) : bytes[next + 2]) : end + 1;
    if (valueEnd > end) {
      faults.push("the attributes run past their end");
      break;
    }
    next = valueEnd;
    const wrong = (): void => {
      faults.push(`${attributeName(type)} cannot be read`);
      into.unknown.push({
        flags: flags & ~FlagBit.extendedLength,
        type,
        value: bytes.slice(valueAt, valueEnd),
      });
    };
    switch (type) {
      case AttributeType.nextHop:
        into.nextHop = bytes.slice(valueAt, valueEnd);
        if (into.nextHop.length !== 4 && into.nextHop.length !== 16) wrong();
        break;
      case AttributeType.asPath:
        if (segmentsFit(bytes, valueAt, valueEnd, fourOctetAs ? 4 : 2)) path = [valueAt, valueEnd];
        else wrong();
        break;
      case AttributeType.as4Path:
        if (segmentsFit(bytes, valueAt, valueEnd, 4)) as4Path = [valueAt, valueEnd];
        else wrong();
        break;
      case AttributeType.aggregator: {
        // By its length: old OpenBGPD wrote the long form into TABLE_DUMP.
        const long = valueEnd - valueAt === 8;
        if (!long && valueEnd - valueAt !== 6) wrong();
        else {
          const asn = long ? readU32(bytes, valueAt) : readU16(bytes, valueAt);
          into.aggregator = { asn, address: readU32(bytes, valueEnd - 4) };
        }
        break;
      }
      case AttributeType.as4Aggregator:
        if (valueEnd - valueAt === 8) as4Aggregator = valueAt;
        else wrong();
        break;
      case AttributeType.mpReach:
        reach = readReach(bytes, valueAt, valueEnd, inRib);
        if (!reach) wrong();
        break;
      case AttributeType.mpUnreach:
        if (valueEnd - valueAt < 3) wrong();
        else {
          const nlri = bytes.subarray(valueAt + 3, valueEnd);
          unreach = { afi: readU16(bytes, valueAt), safi: bytes[valueAt + 2], nextHop: none, nlri };
        }
        break;
      default: {
        const row = type === AttributeType.local ? undefined : attributeByCode[type];
        if (!row?.read) {
          const value = bytes.slice(valueAt, valueEnd);
          into.unknown.push({ flags: flags & ~FlagBit.extendedLength, type, value });
        } else if (row.check(bytes, valueAt, valueEnd, lenient)) wrong();
        else row.read(bytes, valueAt, valueEnd, into);
      }
    }
  }
  const bodyNextHop = into.nextHop;
  if (reach) into.nextHop = reach.nextHop.slice();
  if (path) into.asPath = readPath(bytes, path, fourOctetAs ? undefined : as4Path, fourOctetAs);
  if (!fourOctetAs && into.aggregator?.asn === asTrans && as4Aggregator !== undefined) {
    into.aggregator = { asn: readU32(bytes, as4Aggregator), address: readU32(bytes, as4Aggregator + 4) };
  }
  return { attributes: into, bodyNextHop, reach, unreach, faults };
}

const widened = new MessageWriter(1024);

function readPath(
  bytes: Uint8Array,
  [at, end]: readonly [number, number],
  as4: readonly [number, number] | undefined,
  fourOctetAs: boolean,
): PathAttributes["asPath"] {
  if (fourOctetAs) return readSegments(bytes, at, end);
  widened.reset();
  mergeAs4Path(bytes, at, end, as4?.[0] ?? 0, as4?.[1] ?? 0, widened);
  return readSegments(widened.bytes, 0, widened.at);
}

/** Segments of known types that end where the attribute does. */
function segmentsFit(bytes: Uint8Array, at: number, end: number, asBytes: 2 | 4): boolean {
  let next = at;
  while (next + 2 <= end && bytes[next] >= 1 && bytes[next] <= 4) next += 2 + bytes[next + 1] * asBytes;
  return next === end;
}

/** @param inRib a value that begins with its own length less one is the next hop alone, by RFC 6396 4.3.4 */
function readReach(bytes: Uint8Array, at: number, end: number, inRib: boolean): MpNlri | undefined {
  if (inRib && end > at && bytes[at] === end - at - 1) {
    return { afi: 0, safi: 0, nextHop: bytes.subarray(at + 1, end), nlri: none };
  }
  if (end - at < 5) return undefined;
  const nextHopEnd = at + 4 + bytes[at + 3];
  if (nextHopEnd + 1 > end) return undefined;
  return {
    afi: readU16(bytes, at),
    safi: bytes[at + 2],
    nextHop: bytes.subarray(at + 4, nextHopEnd),
    nlri: bytes.subarray(nextHopEnd + 1, end),
  };
}
