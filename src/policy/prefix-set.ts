/**
 * Prefix sets: does a route's prefix fall under one of many `PREFIX ge N le M` rules?
 *
 * Rows are the distinct prefixes in address order, each with its nearest enclosing row (`parent`) and the lengths
 * that it or any row around it admits (`mask`, a number of an interned bit mask, since few differ). A lookup finds the
 * last row at or before the route by binary search inside one bucket of leading bits, climbs to the first row that
 * holds the route (at most one step per nested length), and tests one bit. 13 bytes per IPv4 rule, 25 per IPv6 rule,
 * beside the buckets.
 */
import { assert } from "../base/assert.ts";
import { parsePrefix } from "../base/ip.ts";
import type { RouteKey } from "./route-key.ts";
import { maskOf } from "./route-key.ts";

/** A rule as `PrefixRule` of the API has it. Neither bound: exactly this prefix, or all that are around it. */
export interface PrefixBounds {
  readonly prefix: string;
  /** Shortest length admitted; with `le` alone, the prefix's own length. */
  readonly ge?: number;
  /** Longest length admitted; with `ge` alone, the longest of the family. */
  readonly le?: number;
  /** The prefixes around this one and itself, instead of those inside it. */
  readonly covering?: boolean;
}

/** A compiled, immutable prefix set. */
export interface PrefixSet {
  /** True when a rule of the route's family covers the route and admits its length. */
  matches(route: RouteKey): boolean;
  /** Bytes held in typed arrays. */
  readonly bytes: number;
  /** Distinct prefixes, over both families. */
  readonly size: number;
}

/** Compiles rules that `validatePrefixSet` has passed. */
export function compilePrefixSet(rules: readonly PrefixBounds[]): PrefixSet {
  const v4: Entry[] = [];
  const v6: Entry[] = [];
  const around = new Set<string>();
  for (const rule of rules) {
    const entry = entryOf(rule);
    const entries = entry.words.length === 1 ? v4 : v6;
    if (rule.covering) pushCovering(entry, entries, around);
    else entries.push(entry);
  }
  const table4 = buildRows(v4, 1);
  const table6 = buildRows(v6, 4);
  return {
    matches: (route) =>
      route.family.addressBytes === 4
        ? admits(table4, find4(table4, route), route)
        : admits(table6, find6(table6, route), route),
    bytes: bytesOf(table4) + bytesOf(table6),
    size: table4.length.length + table6.length.length,
  };
}

/** The inclusive range of lengths that a rule admits, for a prefix of `length` in addresses of `bits` bits. */
export function lengthRange(rule: PrefixBounds, length: number, bits: number): readonly [number, number] {
  if (rule.covering) return [rule.ge ?? 0, rule.le ?? length];
  if (rule.ge === undefined && rule.le === undefined) return [length, length];
  return [rule.ge ?? length, rule.le ?? bits];
}

interface Entry {
  /** One unsigned word for IPv4, four for IPv6. */
  readonly words: readonly number[];
  readonly length: number;
  readonly from: number;
  readonly to: number;
}

/** Each prefix around an entry as an exact one, unless it is in `known`: rules share the short ones. */
function pushCovering({ words, from, to }: Entry, entries: Entry[], known: Set<string>): void {
  for (let length = from; length <= to; length++) {
    const masked = words.map((word, i) => (word & maskOf(Math.min(32, Math.max(0, length - i * 32)))) >>> 0);
    const key = `${masked.join(".")}/${length}`;
    if (known.has(key)) continue;
    known.add(key);
    entries.push({ words: masked, length, from: length, to: length });
  }
}

/** Words of a length mask: bits 0 to 128. */
const MASK_WORDS = 5;

interface Rows {
  readonly words: 1 | 4;
  /** `words` unsigned words per row. */
  readonly key: Uint32Array;
  readonly length: Uint8Array;
  /** Row of the longest other prefix around this one; -1 at the top. */
  readonly parent: Int32Array;
  readonly mask: Uint32Array;
  readonly masks: Uint32Array;
  /** First row whose leading bits are at least the index; the shift turns a first word into those bits. */
  readonly bucket: Uint32Array;
  readonly shift: number;
}

function entryOf(rule: PrefixBounds): Entry {
  const prefix = parsePrefix(rule.prefix);
  assert(typeof prefix !== "string", `unchecked prefix rule: ${prefix}`);
  const view = new DataView(prefix.bytes.buffer, prefix.bytes.byteOffset);
  const words =
    prefix.bytes.length === 4 ? [view.getUint32(0)] : [0, 4, 8, 12].map((at) => view.getUint32(at));
  const [from, to] = lengthRange(rule, prefix.length, prefix.bytes.length * 8);
  return { words, length: prefix.length, from, to };
}

function buildRows(entries: Entry[], words: 1 | 4): Rows {
  entries.sort(compareEntries);
  const starts: number[] = [];
  for (let i = 0; i < entries.length; i++) {
    if (i === 0 || compareEntries(entries[i - 1], entries[i]) !== 0) starts.push(i);
  }
  const count = starts.length;
  const key = new Uint32Array(count * words);
  const length = new Uint8Array(count);
  const parent = new Int32Array(count);
  const mask = new Uint32Array(count);
  const masks: number[] = [];
  const known = new Map<string, number>();
  let around = -1;
  for (let row = 0; row < count; row++) {
    const entry = entries[starts[row]];
    key.set(entry.words, row * words);
    length[row] = entry.length;
    while (around >= 0 && !encloses(entries[starts[around]], entry)) around = parent[around];
    parent[row] = around;
    const at = around < 0 ? -1 : mask[around] * MASK_WORDS;
    const bits = Array.from({ length: MASK_WORDS }, (_, i) => (at < 0 ? 0 : masks[at + i]));
    for (let i = starts[row]; i < (starts[row + 1] ?? entries.length); i++) {
      for (let l = entries[i].from; l <= entries[i].to; l++) bits[l >>> 5] |= 1 << (l & 31);
    }
    const text = bits.join();
    let index = known.get(text);
    if (index === undefined) {
      index = known.size;
      known.set(text, index);
      masks.push(...bits);
    }
    mask[row] = index;
    around = row;
  }
  const bits = Math.min(16, Math.max(1, Math.ceil(Math.log2(count + 1))));
  const bucket = new Uint32Array((1 << bits) + 1).fill(count);
  for (let row = count - 1; row >= 0; row--) bucket[key[row * words] >>> (32 - bits)] = row;
  for (let i = (1 << bits) - 1; i >= 0; i--) bucket[i] = Math.min(bucket[i], bucket[i + 1]);
  return { words, key, length, parent, mask, masks: Uint32Array.from(masks), bucket, shift: 32 - bits };
}

function compareEntries(a: Entry, b: Entry): number {
  for (let i = 0; i < a.words.length; i++) if (a.words[i] !== b.words[i]) return a.words[i] - b.words[i];
  return a.length - b.length;
}

function encloses(outer: Entry, inner: Entry): boolean {
  if (outer.length > inner.length) return false;
  return outer.words.every((word, i) => {
    const bits = Math.min(32, Math.max(0, outer.length - i * 32));
    return ((word ^ inner.words[i]) & maskOf(bits)) === 0;
  });
}

/** The row of the longest prefix that holds the route; -1 when none does. */
function find4(rows: Rows, route: RouteKey): number {
  const { key, length } = rows;
  const address = route.w0 >>> 0;
  let low = rows.bucket[address >>> rows.shift];
  let high = rows.bucket[(address >>> rows.shift) + 1];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (key[middle] < address || (key[middle] === address && length[middle] <= route.length))
      low = middle + 1;
    else high = middle;
  }
  let row = low - 1;
  while (row >= 0) {
    if (length[row] <= route.length && ((key[row] ^ address) & maskOf(length[row])) === 0) break;
    row = rows.parent[row];
  }
  return row;
}

function find6(rows: Rows, route: RouteKey): number {
  const { length } = rows;
  const first = route.w0 >>> 0;
  let low = rows.bucket[first >>> rows.shift];
  let high = rows.bucket[(first >>> rows.shift) + 1];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isAfter6(rows, middle, route)) high = middle;
    else low = middle + 1;
  }
  let row = low - 1;
  while (row >= 0) {
    if (length[row] <= route.length && holds6(rows, row, route)) break;
    row = rows.parent[row];
  }
  return row;
}

function isAfter6(rows: Rows, row: number, route: RouteKey): boolean {
  const at = row * 4;
  const key = rows.key;
  if (key[at] !== route.w0 >>> 0) return key[at] > route.w0 >>> 0;
  if (key[at + 1] !== route.w1 >>> 0) return key[at + 1] > route.w1 >>> 0;
  if (key[at + 2] !== route.w2 >>> 0) return key[at + 2] > route.w2 >>> 0;
  if (key[at + 3] !== route.w3 >>> 0) return key[at + 3] > route.w3 >>> 0;
  return rows.length[row] > route.length;
}

function holds6(rows: Rows, row: number, route: RouteKey): boolean {
  const at = row * 4;
  const key = rows.key;
  const length = rows.length[row];
  if (length <= 32) return ((key[at] ^ route.w0) & maskOf(length)) === 0;
  if ((key[at] ^ route.w0) !== 0) return false;
  if (length <= 64) return ((key[at + 1] ^ route.w1) & maskOf(length - 32)) === 0;
  if ((key[at + 1] ^ route.w1) !== 0) return false;
  if (length <= 96) return ((key[at + 2] ^ route.w2) & maskOf(length - 64)) === 0;
  return (key[at + 2] ^ route.w2) === 0 && ((key[at + 3] ^ route.w3) & maskOf(length - 96)) === 0;
}

function admits(rows: Rows, row: number, route: RouteKey): boolean {
  if (row < 0) return false;
  return ((rows.masks[rows.mask[row] * MASK_WORDS + (route.length >>> 5)] >>> (route.length & 31)) & 1) === 1;
}

function bytesOf(rows: Rows): number {
  const columns = [rows.key, rows.length, rows.parent, rows.mask, rows.masks, rows.bucket];
  return columns.reduce((sum, column) => sum + column.byteLength, 0);
}
