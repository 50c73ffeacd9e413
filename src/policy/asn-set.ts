/** Sets of AS numbers: single ones and ranges, as sorted disjoint ranges. */
import { assert } from "../base/assert.ts";

/** A compiled, immutable set. */
export interface AsnSet {
  has(asn: number): boolean;
}

interface Range {
  low: number;
  high: number;
}

/** What is wrong with the text of an AS number or range; undefined when nothing is. */
export function checkAsnRange(text: string): string | undefined {
  const range = readAsnRange(text);
  return typeof range === "string" ? range : undefined;
}

/** `65000`, `64512-65534`; a sentence when the text is neither. */
export function readAsnRange(text: string): { readonly low: number; readonly high: number } | string {
  const match = /^(?:AS)?(0|[1-9][0-9]{0,9})(?:-(0|[1-9][0-9]{0,9}))?$/i.exec(text);
  if (!match) return `"${text}" is not an AS number or a range of them`;
  const low = Number(match[1]);
  const high = Number(match[2] ?? match[1]);
  if (high > 0xffff_ffff || low > 0xffff_ffff) return `"${text}" is above 4294967295`;
  return low > high ? `"${text}" is a range from high to low` : { low, high };
}

/** Compiles texts that `checkAsnRange` has passed. */
export function compileAsnSet(texts: readonly string[]): AsnSet {
  const sorted = texts.map(parse).sort((a, b) => a.low - b.low);
  const ranges: Range[] = [];
  for (const { low, high } of sorted) {
    const last = ranges[ranges.length - 1];
    if (last && low <= last.high + 1) last.high = Math.max(last.high, high);
    else ranges.push({ low, high });
  }
  const lows = Float64Array.from(ranges, ({ low }) => low);
  const highs = Float64Array.from(ranges, ({ high }) => high);
  return {
    has(asn) {
      let from = 0;
      let to = lows.length;
      while (from < to) {
        const middle = (from + to) >>> 1;
        if (lows[middle] <= asn) from = middle + 1;
        else to = middle;
      }
      return from > 0 && asn <= highs[from - 1];
    },
  };
}

function parse(text: string): Range {
  const range = readAsnRange(text);
  assert(typeof range !== "string", `unchecked AS number: ${text}`);
  return { ...range };
}
