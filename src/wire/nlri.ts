/** NLRI of unicast prefixes (RFC 4271 4.3, RFC 7911 3) into columns. */
import type { NlriList } from "./scratch.ts";

/**
 * Reads prefixes from `bytes[at, end)` into `list`, after what it holds.
 * @returns false when they are syntactically incorrect (RFC 7606 5.3): too long, or cut off
 */
export function decodePrefixes(
  bytes: Uint8Array,
  at: number,
  end: number,
  maxBits: number,
  list: NlriList,
): boolean {
  list.reserve(end - at);
  const { at: columnAt, length: columnLength, pathId: columnPathId } = list;
  let count = list.count;
  let next = at;
  while (next < end) {
    const length = bytes[next++];
    if (length > maxBits) return false;
    columnAt[count] = next;
    columnLength[count] = length;
    columnPathId[count++] = 0;
    next += (length + 7) >>> 3;
  }
  if (next !== end) return false;
  list.count = count;
  return true;
}

/** The same with a path identifier before each prefix. */
export function decodePathPrefixes(
  bytes: Uint8Array,
  at: number,
  end: number,
  maxBits: number,
  list: NlriList,
): boolean {
  let next = at;
  while (next < end) {
    if (end - next < 5) return false;
    const pathId =
      ((bytes[next] << 24) | (bytes[next + 1] << 16) | (bytes[next + 2] << 8) | bytes[next + 3]) >>> 0;
    const length = bytes[next + 4];
    next += 5;
    const bytesNeeded = (length + 7) >>> 3;
    if (length > maxBits || next + bytesNeeded > end) return false;
    list.push(next, length, pathId);
    next += bytesNeeded;
  }
  return true;
}
