/** Conditions on a number as the values that meet them: sorted intervals, inclusive, with gaps between them. */
import { BitmaskOp, type FlowTerm, NumericOp } from "../../wire/flowspec/nlri.ts";

export type Interval = readonly [first: number, last: number];

/** The values from 0 to `max` that meet the terms of a numeric component. */
export function numericValues(terms: readonly FlowTerm[], max: number): Interval[] {
  return alternatives(terms, (term) => valuesOfTerm(term, max));
}

/** The values from 0 to `max` that meet the terms of a bitmask component. @param max at most 16 bits */
export function bitmaskValues(terms: readonly FlowTerm[], max: number): Interval[] {
  const found: Interval[] = [];
  for (let value = 0; value <= max; value++) {
    if (meetsBitmask(terms, value)) found.push([value, value]);
  }
  return joined(found);
}

/** Whether bits meet the terms of a bitmask component (RFC 8955 4.2.1.2). */
export function meetsBitmask(terms: readonly FlowTerm[], bits: number): boolean {
  let any = false;
  let all = true;
  terms.forEach((term, i) => {
    if (i > 0 && !term.and) {
      any ||= all;
      all = true;
    }
    const mask = Number(term.value);
    const isMet = (term.op & BitmaskOp.match) !== 0 ? (bits & mask) === mask : (bits & mask) !== 0;
    all &&= isMet !== ((term.op & BitmaskOp.not) !== 0);
  });
  return any || all;
}

export function intersection(a: readonly Interval[], b: readonly Interval[]): Interval[] {
  const found: Interval[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const first = Math.max(a[i][0], b[j][0]);
    const last = Math.min(a[i][1], b[j][1]);
    if (first <= last) found.push([first, last]);
    if (a[i][1] < b[j][1]) i++;
    else j++;
  }
  return found;
}

/** All values from 0 to `max` that are in none. */
export function complement(intervals: readonly Interval[], max: number): Interval[] {
  const found: Interval[] = [];
  let next = 0;
  for (const [first, last] of intervals) {
    if (first > next) found.push([next, first - 1]);
    next = last + 1;
  }
  if (next <= max) found.push([next, max]);
  return found;
}

export function isAll(intervals: readonly Interval[], max: number): boolean {
  return intervals.length === 1 && intervals[0][0] === 0 && intervals[0][1] === max;
}

/** Alternatives of terms that hold together. */
function alternatives(
  terms: readonly FlowTerm[],
  values: (term: FlowTerm) => readonly Interval[],
): Interval[] {
  const found: Interval[] = [];
  let all: readonly Interval[] = [];
  terms.forEach((term, i) => {
    if (i > 0 && term.and) {
      all = intersection(all, values(term));
      return;
    }
    found.push(...all);
    all = values(term);
  });
  return joined([...found, ...all]);
}

function valuesOfTerm({ op, value }: FlowTerm, max: number): Interval[] {
  const found: Interval[] = [];
  // Values that no number of this size reaches are all above it.
  const at = value > BigInt(max) ? max + 1 : Number(value);
  if ((op & NumericOp.less) !== 0 && at > 0) found.push([0, at - 1]);
  if ((op & NumericOp.equal) !== 0 && at <= max) found.push([at, at]);
  if ((op & NumericOp.greater) !== 0 && at < max) found.push([at + 1, max]);
  return joined(found);
}

/** Sorted, with those that touch made into one. */
function joined(intervals: readonly Interval[]): Interval[] {
  const found: [number, number][] = [];
  for (const [first, last] of [...intervals].sort((a, b) => a[0] - b[0])) {
    const before = found.at(-1);
    if (before && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else found.push([first, last]);
  }
  return found;
}
