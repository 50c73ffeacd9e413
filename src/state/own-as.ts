/** Our own AS numbers in a received AS_PATH: loops (RFC 4271 9.1.2, RFC 5065 4), and who stands first. */
import { AttributeType } from "../wire/attributes/descriptor.ts";
import { attributeEnd, findAttribute, valueAt } from "../wire/block-walk.ts";
import { readU32 } from "../wire/message.ts";
import { SegmentType } from "../wire/path-attributes.ts";
import type { AttributeBlock } from "../wire/scratch.ts";
import type { NeighborConfig } from "./session-port.ts";

type OwnAses = Pick<NeighborConfig, "localAsn" | "globalAsn" | "confederation">;

/**
 * How often an AS of ours stands in the path, of several the one that does most often. In a confederation our member AS
 * counts in confederation segments, where others cannot mean another AS by it, and the AS of the whole in the others.
 */
export function countOwnAs(block: AttributeBlock, { localAsn, globalAsn, confederation }: OwnAses): number {
  if (!confederation) {
    const local = countAs(block, localAsn, anySegment);
    return localAsn === globalAsn ? local : Math.max(local, countAs(block, globalAsn, anySegment));
  }
  const { memberAsn, identifier } = confederation;
  const inside = countAs(block, memberAsn, confederationSegment);
  const outside = countAs(block, identifier, publicSegment);
  const most = Math.max(inside, outside);
  return localAsn === memberAsn || localAsn === identifier
    ? most
    : Math.max(most, countAs(block, localAsn, publicSegment));
}

/** True when the AS that a path begins in is ours. @param originAs last AS of the path, 0 for none */
export function beginsInOwnAs(originAs: number, { localAsn, globalAsn, confederation }: OwnAses): boolean {
  return (
    originAs !== 0 &&
    (originAs === localAsn || originAs === globalAsn || originAs === confederation?.identifier)
  );
}

/** First AS of the confederation segment that the path starts with; 0 when it starts otherwise. */
export function firstMemberAs(block: AttributeBlock): number {
  const { bytes, start, end } = block;
  const path = findAttribute(bytes, start, end, AttributeType.asPath);
  const at = path < 0 ? end : valueAt(bytes, path);
  const isMembers = path >= 0 && at < attributeEnd(bytes, path) && bytes[at] === SegmentType.confedSequence;
  return isMembers ? readU32(bytes, at + 2) : 0;
}

const publicSegment = 1;
const confederationSegment = 2;
const anySegment = 3;

function countAs({ bytes, start, end }: AttributeBlock, asn: number, segments: number): number {
  const path = findAttribute(bytes, start, end, AttributeType.asPath);
  if (path < 0) return 0;
  const pathEnd = attributeEnd(bytes, path);
  let count = 0;
  for (let at = valueAt(bytes, path); at < pathEnd; ) {
    const kind = bytes[at] >= SegmentType.confedSequence ? confederationSegment : publicSegment;
    const segmentEnd = at + 2 + bytes[at + 1] * 4;
    if ((kind & segments) !== 0) {
      for (let i = at + 2; i < segmentEnd; i += 4) if (readU32(bytes, i) === asn) count++;
    }
    at = segmentEnd;
  }
  return count;
}
