/** NLRI of prefixes (RFC 4271 4.3, RFC 7911 3) and of rules (RFC 8955 4) into columns. */
import type { Family } from "./family.ts";
import { makeCanonical } from "./flowspec/nlri.ts";
import { readU16, readU32 } from "./message.ts";
import type { NlriList } from "./scratch.ts";
import { Verdict } from "./verdict.ts";

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

/** What is wrong with NLRI, and what follows from it. */
export interface NlriFault {
  readonly verdict: Verdict;
  readonly text: string;
}

/**
 * Reads rules into `list.rules`, in canonical form. One that is malformed is left out: its length says where it ends, so
 * nothing else of the message is in doubt (RFC 7606 3 j).
 * @returns what is wrong: only lengths that do not fit end the session
 */
export function decodeFlows(
  bytes: Uint8Array,
  at: number,
  end: number,
  family: Family,
  hasPathIds: boolean,
  list: NlriList,
): NlriFault | undefined {
  if (list.rules.length < end - at) list.rules = new Uint8Array(Math.max(4096, end - at));
  const { rules } = list;
  let fault: NlriFault | undefined;
  let to = 0;
  for (let next = at; next < end; ) {
    const from = next + (hasPathIds ? 4 : 0);
    const isLong = bytes[from] >= 0xf0;
    const value = from + (isLong ? 2 : 1);
    const length = isLong ? readU16(bytes, from) & 0x0fff : bytes[from];
    next = value + length;
    if (value > end || next > end) return { verdict: Verdict.resetSession, text: "a rule is cut off" };
    rules.set(bytes.subarray(value, next), to);
    const text = makeCanonical(rules.subarray(to, to + length), family);
    if (text !== "") {
      fault ??= { verdict: Verdict.treatAsWithdraw, text };
      continue;
    }
    list.push(to, length, hasPathIds ? readU32(bytes, from - 4) : 0);
    to += length;
  }
  return fault;
}
