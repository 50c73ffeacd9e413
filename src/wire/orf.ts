/** Outbound route filters by prefix inside ROUTE-REFRESH (RFC 5291 section 4, RFC 5292). */
import { maskBytes } from "../base/ip.ts";
import type { Family } from "./family.ts";
import { MessageType, readU16, readU32 } from "./message.ts";
import { MessageWriter } from "./message-writer.ts";

/** Type of the address prefix filter (RFC 5292 section 3), the only one that is read. */
export const prefixFilterType = 64;

const WhenToRefresh = { immediate: 1, defer: 2 } as const;
/** FRR sends REMOVE-ALL with both bits set. */
const Action = { add: 0, remove: 1, removeAll: 2, removeAllOfFrr: 3 } as const;

/** One entry of a filter. The lowest sequence that matches a route decides about it. */
export interface FilterEntry {
  readonly sequence: number;
  readonly deny: boolean;
  /** 4 or 16 bytes, host bits zero. */
  readonly bytes: Uint8Array;
  readonly length: number;
  /** Lengths of routes that it is for, inclusive. */
  readonly minLength: number;
  readonly maxLength: number;
}

/** What an entry on the wire asks for. `reset`: it has a value that nobody knows, and the whole filter is to go (RFC 5291 6). */
export type FilterChange =
  | { readonly kind: "add" | "remove"; readonly entry: FilterEntry }
  | { readonly kind: "removeAll" }
  | { readonly kind: "reset"; readonly why: string };

export interface FilterRequest {
  /** The routes are wanted now, and not only with a later request. */
  readonly immediate: boolean;
  readonly changes: readonly FilterChange[];
}

/**
 * Reads `bytes[at, end)`, what stands after the fixed part of ROUTE-REFRESH. Filters of other types are passed over. What
 * cannot be read resets the filter: entries of which some are missing would let through what the neighbor does not want.
 */
export function decodeFilters(bytes: Uint8Array, at: number, end: number, family: Family): FilterRequest {
  const when = bytes[at];
  const changes: FilterChange[] = [];
  const immediate = when !== WhenToRefresh.defer;
  if (when !== WhenToRefresh.immediate && when !== WhenToRefresh.defer) {
    return { immediate, changes: [reset(`when-to-refresh ${when}`)] };
  }
  let next = at + 1;
  while (next < end) {
    const from = next + 3;
    if (from > end) return { immediate, changes: [...changes, reset("a filter is cut off")] };
    next = from + readU16(bytes, from - 2);
    if (next > end) return { immediate, changes: [...changes, reset("a filter is cut off")] };
    if (bytes[from - 3] === prefixFilterType) readEntries(bytes, from, next, family, changes);
  }
  return { immediate, changes };
}

function reset(why: string): FilterChange {
  return { kind: "reset", why };
}

function readEntries(
  bytes: Uint8Array,
  from: number,
  end: number,
  family: Family,
  changes: FilterChange[],
): void {
  for (let at = from; at < end; ) {
    const action = bytes[at] >> 6;
    if (action === Action.removeAll || action === Action.removeAllOfFrr) {
      changes.push({ kind: "removeAll" });
      at++;
      continue;
    }
    const octets = (bytes[at + 7] + 7) >> 3;
    if (at + 8 > end || at + 8 + octets > end) {
      changes.push(reset("an entry is cut off"));
      return;
    }
    const entry = readEntry(bytes, at, octets, family);
    if (typeof entry === "string") {
      changes.push(reset(entry));
      return;
    }
    changes.push({ kind: action === Action.add ? "add" : "remove", entry });
    at += 8 + octets;
  }
}

/** @returns a sentence on what is wrong with it */
function readEntry(bytes: Uint8Array, at: number, octets: number, family: Family): FilterEntry | string {
  const [min, max, length] = bytes.subarray(at + 5, at + 8);
  const bits = family.addressBytes * 8;
  if (length > bits || max > bits) return `prefix length ${Math.max(length, max)} is more than ${bits}`;
  // RFC 5292 3: each bound that is given is above the one before it; 0 is none.
  if ((min !== 0 && min < length) || (max !== 0 && max < Math.max(length, min))) {
    return `lengths ${min} to ${max} do not go with a prefix of ${length}`;
  }
  const prefix = new Uint8Array(family.addressBytes);
  prefix.set(bytes.subarray(at + 8, at + 8 + octets));
  maskBytes(prefix, length);
  const exact = min === 0 && max === 0;
  return {
    sequence: readU32(bytes, at + 1),
    deny: (bytes[at] & 0x20) !== 0,
    bytes: prefix,
    length,
    minLength: min === 0 ? length : min,
    maxLength: exact ? length : max === 0 ? bits : max,
  };
}

/**
 * ROUTE-REFRESH messages that send a whole filter. Only the last one asks for the routes, so that a filter of several
 * messages is in force as a whole.
 * @param replaces the neighbor has one: a message of its own removes it, as FRR looks at nothing behind REMOVE-ALL
 */
export function encodeFilter(
  family: Family,
  entries: readonly FilterEntry[],
  replaces: boolean,
  maxMessageBytes: number,
): Uint8Array[] {
  const messages = replaces ? [filterMessage(family, false, (out) => out.u8(Action.removeAll << 6))] : [];
  let at = 0;
  do {
    const entryBytes = 8 + family.addressBytes;
    const end = at + Math.floor((maxMessageBytes - filterHeaderBytes) / entryBytes);
    const part = entries.slice(at, end);
    at = end;
    const write = (out: MessageWriter): void => {
      for (const entry of part) writeEntry(entry, out);
    };
    messages.push(filterMessage(family, at >= entries.length, write));
  } while (at < entries.length);
  return messages;
}

/** Up to the first entry. */
const filterHeaderBytes = 27;

function filterMessage(family: Family, immediate: boolean, write: (out: MessageWriter) => void): Uint8Array {
  const out = new MessageWriter(64);
  const start = out.beginMessage(MessageType.routeRefresh);
  out.u16(family.afi);
  out.u8(0);
  out.u8(family.safi);
  out.u8(immediate ? WhenToRefresh.immediate : WhenToRefresh.defer);
  out.u8(prefixFilterType);
  const lengthAt = out.at;
  out.u16(0);
  write(out);
  out.patchU16(lengthAt, out.at - lengthAt - 2);
  out.endMessage(start);
  return out.take();
}

function writeEntry(
  { sequence, deny, bytes, length, minLength, maxLength }: FilterEntry,
  out: MessageWriter,
): void {
  const exact = minLength === length && maxLength === length;
  out.u8((Action.add << 6) | (deny ? 0x20 : 0));
  out.u32(sequence);
  out.u8(exact || minLength === length ? 0 : minLength);
  out.u8(exact ? 0 : maxLength);
  out.u8(length);
  out.copy(bytes, 0, (length + 7) >> 3);
}
