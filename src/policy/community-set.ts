/**
 * Community sets over all three kinds. Texts are those of `wire/community-text.ts`, where a number may also be `*` or
 * a range `100-199`: `65000:*`, `65000:100-199`, `65000:1:*`, `rt:*:100`. Exact texts are hashed.
 *
 * An extended `rt` or `ro` pattern with an AS number matches the two-octet and the four-octet form of that number, for
 * neighbors choose the form by habit; `rt:65000L:1` asks for the four-octet form only. A part may be `own-asn` or
 * `neighbor-asn` (session-asns.ts).
 */
import { assert } from "../base/assert.ts";
import { parseIp4 } from "../base/ip.ts";
import { NumberSet } from "../base/number-set.ts";
import { parseCommunity, parseExtendedCommunity, parseLargeCommunity } from "../wire/community-text.ts";
import type { PathAttributes } from "../wire/path-attributes.ts";
import { type AsnsRead, anyAsns, asnsReadBy, type SessionAsns, withAsns } from "./session-asns.ts";

/** Exact communities by kind, as an action sets them. */
export interface CommunityValues {
  readonly standard: readonly number[];
  readonly extended: readonly string[];
  readonly large: readonly (readonly [number, number, number])[];
}

/** A compiled, immutable community set. */
export interface CommunitySet {
  hasStandard(value: number): boolean;
  /** @param digits 16 hexadecimal digits in lower case */
  hasExtended(digits: string): boolean;
  hasLarge(parts: readonly [number, number, number]): boolean;
  /** True when the route carries one community of the set. */
  matches(attributes: PathAttributes): boolean;
  /** The communities that stand in it as they are, not as patterns: what can be set. */
  readonly values: CommunityValues;
  /** AS numbers that stand in it as words. Until they are filled in, texts with words match nothing. */
  readonly reads: AsnsRead;
  /** The set with the words filled in; itself when it has none. */
  bind(asns: SessionAsns): CommunitySet;
}

/** What is wrong with the text of a community pattern; undefined when nothing is. */
export function checkCommunityPattern(text: string): string | undefined {
  const pattern = readPattern(withAsns(text, anyAsns));
  return typeof pattern === "string" ? pattern.replace(withAsns(text, anyAsns), text) : undefined;
}

/** What is wrong with the text of one community; undefined when nothing is. */
export function checkCommunity(text: string): string | undefined {
  if (isCommunity(withAsns(text, anyAsns))) return undefined;
  return checkCommunityPattern(text) === undefined
    ? `"${text}" is a pattern, and only one community can be set`
    : `"${text}" is not a community`;
}

function isCommunity(text: string): boolean {
  return (
    parseCommunity(text) !== undefined ||
    parseLargeCommunity(text) !== undefined ||
    parseExtendedCommunity(text) !== undefined
  );
}

/** Exact texts with the words in them filled in; those that fit no community are left out. */
export function boundCommunities(texts: readonly string[], asns: SessionAsns): string[] {
  return texts.map((text) => withAsns(text, asns)).filter(isCommunity);
}

/** The values of checked exact texts without words, each once. */
export function compileCommunityValues(texts: readonly string[]): CommunityValues {
  const standard = new Set<number>();
  const extended = new Set<string>();
  const large = new Map<string, readonly [number, number, number]>();
  for (const text of texts) {
    const value = parseCommunity(text);
    const parts = parseLargeCommunity(text);
    const digits = parseExtendedCommunity(text);
    assert(value !== undefined || parts || digits, `unchecked community ${text}`);
    if (value !== undefined) standard.add(value);
    else if (parts) large.set(parts.join(":"), parts);
    else if (digits) extended.add(digits);
  }
  return { standard: [...standard], extended: [...extended], large: [...large.values()] };
}

/** Compiles patterns that `checkCommunityPattern` has passed. */
export function compileCommunitySet(texts: readonly string[]): CommunitySet {
  const reads = asnsReadBy(texts);
  if (reads === 0) return compileFixed(texts);
  const fixed = compileFixed(texts.filter((text) => asnsReadBy([text]) === 0));
  const worded = texts.filter((text) => asnsReadBy([text]) !== 0);
  return {
    ...fixed,
    reads,
    bind(asns) {
      const fill = (some: readonly string[]): string[] =>
        some.map((text) => withAsns(text, asns)).filter((text) => typeof readPattern(text) !== "string");
      const bound = joinSets(fixed, compileFixed(fill(worded)));
      // Values are set in the order in which they stand in the set. Most sets are only matched, so nobody asks.
      let values: CommunityValues | undefined;
      return Object.defineProperty(bound, "values", {
        get: () => (values ??= compileFixed(fill(texts)).values),
      });
    },
  };
}

function joinSets(a: CommunitySet, b: CommunitySet): CommunitySet {
  const joined: CommunitySet = {
    hasStandard: (value) => a.hasStandard(value) || b.hasStandard(value),
    hasExtended: (digits) => a.hasExtended(digits) || b.hasExtended(digits),
    hasLarge: (parts) => a.hasLarge(parts) || b.hasLarge(parts),
    matches: (attributes) => a.matches(attributes) || b.matches(attributes),
    values: joinValues([a.values, b.values]),
    reads: 0,
    bind: () => joined,
  };
  return joined;
}

/** Each value once, in order of appearance. */
export function joinValues(all: readonly CommunityValues[]): CommunityValues {
  const large = new Map(all.flatMap((values) => values.large).map((parts) => [parts.join(":"), parts]));
  return {
    standard: [...new Set(all.flatMap((values) => values.standard))],
    extended: [...new Set(all.flatMap((values) => values.extended))],
    large: [...large.values()],
  };
}

function compileFixed(texts: readonly string[]): CommunitySet {
  const exactValues: number[] = [];
  const exactLarge = new Set<string>();
  const exactExtended = new Set<string>();
  const standard: Ranges[] = [];
  const large: Ranges[] = [];
  const extended: ExtendedPattern[] = [];
  for (const text of texts) {
    const pattern = readPattern(text);
    assert(typeof pattern !== "string", `unchecked community pattern: ${text}`);
    if (pattern.kind === "digits") exactExtended.add(pattern.digits);
    else if (pattern.kind === "extended") extended.push(pattern);
    else if (pattern.kind === "large") {
      if (isExact(pattern.ranges)) exactLarge.add(pattern.ranges.map((range) => range.low).join(":"));
      else large.push(pattern.ranges);
    } else if (isExact(pattern.ranges))
      exactValues.push(pattern.ranges[0].low * 65_536 + pattern.ranges[1].low);
    else standard.push(pattern.ranges);
  }
  const exact = new NumberSet(exactValues);
  const hasStandard = (value: number): boolean => exact.has(value) || inRanges(standard, value);
  const hasLarge = (parts: readonly [number, number, number]): boolean =>
    (exactLarge.size > 0 && exactLarge.has(parts.join(":"))) ||
    large.some((ranges) => ranges.every((range, i) => inRange(range, parts[i])));
  const hasExtended = (digits: string): boolean =>
    exactExtended.has(digits) || extended.some((pattern) => matchesExtended(pattern, digits));
  const set: CommunitySet = {
    hasStandard,
    hasLarge,
    hasExtended,
    values: compileCommunityValues(texts.filter(isCommunity)),
    matches({ communities, largeCommunities, extendedCommunities }) {
      for (let i = 0; i < communities.length; i++) {
        if (exact.has(communities[i]) || inRanges(standard, communities[i])) return true;
      }
      return largeCommunities.some(hasLarge) || extendedCommunities.some(hasExtended);
    },
    reads: 0,
    bind: () => set,
  };
  return set;
}

function inRanges(all: readonly Ranges[], value: number): boolean {
  for (let i = 0; i < all.length; i++) {
    const [high, low] = all[i];
    if (inRange(high, value >>> 16) && inRange(low, value & 0xffff)) return true;
  }
  return false;
}

interface Range {
  readonly low: number;
  readonly high: number;
}
type Ranges = readonly Range[];

interface ExtendedPattern {
  readonly kind: "extended";
  /** 2 route target, 3 route origin (RFC 4360 4, 5). */
  readonly subtype: number;
  /** Forms admitted: type 0 two-octet AS, 1 IPv4 address, 2 four-octet AS. */
  readonly types: readonly number[];
  readonly global: Range;
  readonly local: Range;
}

type Pattern =
  | { readonly kind: "standard" | "large"; readonly ranges: Ranges }
  | { readonly kind: "digits"; readonly digits: string }
  | ExtendedPattern;

const subtypes = new Map([
  ["rt", 2],
  ["ro", 3],
  ["soo", 3],
]);

/** The pattern, or a sentence that says what is wrong. */
function readPattern(text: string): Pattern | string {
  const named = parseCommunity(text);
  if (named !== undefined)
    return { kind: "standard", ranges: [exactly(named >>> 16), exactly(named & 0xffff)] };
  const parts = text.toLowerCase().split(":");
  const subtype = subtypes.get(parts[0]);
  if (subtype !== undefined && parts.length === 3) return readExtended(text, subtype, parts[1], parts[2]);
  const digits = parseExtendedCommunity(text);
  if (digits) return { kind: "digits", digits };
  if (parts.length !== 2 && parts.length !== 3) return `"${text}" is not a community or a pattern of one`;
  const max = parts.length === 2 ? 0xffff : 0xffff_ffff;
  const ranges: Range[] = [];
  for (const part of parts) {
    const range = readRange(part, max);
    if (typeof range === "string") return `"${text}": ${range}`;
    ranges.push(range);
  }
  return { kind: parts.length === 2 ? "standard" : "large", ranges };
}

function readExtended(
  text: string,
  subtype: number,
  globalText: string,
  localText: string,
): Pattern | string {
  const local = readRange(localText, 0xffff_ffff);
  if (typeof local === "string") return `"${text}": ${local}`;
  const address = parseIp4(globalText);
  if (address !== undefined)
    return { kind: "extended", subtype, types: [1], global: exactly(address), local };
  if (globalText === "*") return { kind: "extended", subtype, types: [0, 1, 2], global: anything, local };
  const wide = globalText.endsWith("l");
  const global = readRange(wide ? globalText.slice(0, -1) : globalText, 0xffff_ffff);
  if (typeof global === "string") return `"${text}": ${global}`;
  return { kind: "extended", subtype, types: wide ? [2] : [0, 2], global, local };
}

function matchesExtended(pattern: ExtendedPattern, digits: string): boolean {
  const type = Number.parseInt(digits.slice(0, 2), 16);
  if (!pattern.types.includes(type) || Number.parseInt(digits.slice(2, 4), 16) !== pattern.subtype)
    return false;
  const split = type === 0 ? 8 : 12;
  return (
    inRange(pattern.global, Number.parseInt(digits.slice(4, split), 16)) &&
    inRange(pattern.local, Number.parseInt(digits.slice(split), 16))
  );
}

/** A number, a range or `*`; or a sentence that says what is wrong. */
function readRange(text: string, max: number): Range | string {
  if (text === "*") return { low: 0, high: max };
  const match = /^(0|[1-9][0-9]{0,9})(?:-(0|[1-9][0-9]{0,9}))?$/.exec(text);
  if (!match) return `"${text}" is not a number, a range or *`;
  const low = Number(match[1]);
  const high = Number(match[2] ?? match[1]);
  if (high > max) return `"${text}" is above ${max}`;
  return low > high ? `"${text}" is a range from high to low` : { low, high };
}

const anything: Range = { low: 0, high: 0xffff_ffff };

function exactly(value: number): Range {
  return { low: value, high: value };
}

function isExact(ranges: Ranges): boolean {
  return ranges.every((range) => range.low === range.high);
}

function inRange(range: Range, value: number): boolean {
  return value >= range.low && value <= range.high;
}
