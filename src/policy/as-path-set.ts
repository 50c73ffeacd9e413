/**
 * AS-path sets: structural patterns (`originates 65010`, `passes 64512-65534`, `neighbor 65010`, `length 1-5`), and
 * expressions, which a chain has run for all of its sets in one pass over a path (path-scanner.ts). `own-asn` and `neighbor-asn` may stand in both kinds of pattern (session-asns.ts).
 */
import { assert } from "../base/assert.ts";
import type { AsPathSegment } from "../wire/path-attributes.ts";
import type { PatternError } from "./as-path-regex.ts";
import { checkPattern } from "./as-path-regex.ts";
import { readAsnRange } from "./asn-set.ts";
import { PathScanner } from "./path-scanner.ts";
import { type AsnsRead, anyAsns, asnsReadBy, type SessionAsns, withAsns } from "./session-asns.ts";

/** What a set looks at. Getters, so that only what is asked for is worked out. */
export interface PathView {
  /** As for best path: a set counts one, confederation segments none. */
  readonly pathLength: number;
  /** 0 for none. */
  readonly originAs: number;
  readonly neighborAs: number;
  readonly asPath: readonly AsPathSegment[];
}

/** A compiled AS-path set: a path is in it when a test holds or an expression is found. */
export interface AsPathSet {
  readonly tests: readonly PathTest[];
  /** Those without words, checked, for the scanner of a chain. */
  readonly expressions: readonly string[];
  /** AS numbers that stand in it as words. Until they are filled in, patterns with words hold for nothing. */
  readonly reads: AsnsRead;
  /** The set with the words filled in, as further tests; itself when it has none. */
  bind(asns: SessionAsns): AsPathSet;
}

/** Equal paths give equal answers. */
export type PathTest = (path: PathView) => boolean;

/** What is wrong with an expression or a structural pattern; undefined when nothing is. */
export function checkPathPattern(text: string): PatternError | undefined {
  const pattern = withAsns(text, anyAsns);
  if (!isStructural(pattern)) return checkPattern(pattern);
  const read = readStructural(pattern);
  return typeof read === "string" ? { column: 1, message: read } : undefined;
}

/** Compiles patterns that `checkPathPattern` has passed. */
export function compileAsPathSet(patterns: readonly string[]): AsPathSet {
  const reads = asnsReadBy(patterns);
  const fixed = compileFixed(patterns.filter((pattern) => asnsReadBy([pattern]) === 0));
  if (reads === 0) return fixed;
  const worded = patterns.filter((pattern) => asnsReadBy([pattern]) !== 0);
  return {
    ...fixed,
    reads,
    bind(asns) {
      const { tests, expressions } = compileFixed(worded.map((pattern) => withAsns(pattern, asns)));
      const all = [...fixed.tests, ...tests];
      if (expressions.length > 0) {
        const scanner = new PathScanner();
        const group = scanner.add(expressions);
        all.push(({ asPath }) => scanner.scan(asPath)[group] === 1);
      }
      const bound: AsPathSet = { tests: all, expressions: fixed.expressions, reads: 0, bind: () => bound };
      return bound;
    },
  };
}

function compileFixed(patterns: readonly string[]): AsPathSet {
  const tests = patterns.filter(isStructural).map((pattern) => {
    const read = readStructural(pattern);
    assert(typeof read !== "string", `unchecked pattern: ${pattern}`);
    return read;
  });
  const expressions = patterns.filter((pattern) => !isStructural(pattern));
  const set: AsPathSet = { tests, expressions, reads: 0, bind: () => set };
  return set;
}

/** Expressions are over digits and signs: a letter at the start tells the two apart. */
function isStructural(pattern: string): boolean {
  return /^[a-z]/i.test(pattern);
}

/** The test that a structural pattern stands for, or a sentence that says what is wrong. */
function readStructural(pattern: string): PathTest | string {
  const [word, ...rest] = pattern.trim().split(/ +/);
  const wanted =
    "use originates, passes, neighbor (with an AS number or range) or length (with a number or range)";
  if (rest.length !== 1) return wanted;
  const range = readAsnRange(rest[0]);
  if (typeof range === "string") return word === "length" ? range.replace("an AS number", "a number") : range;
  const inside = (value: number): boolean => value >= range.low && value <= range.high;
  switch (word) {
    case "originates":
      return ({ originAs }) => originAs !== 0 && inside(originAs);
    case "neighbor":
      return ({ neighborAs }) => neighborAs !== 0 && inside(neighborAs);
    case "passes":
      return ({ asPath }) => asPath.some(({ asns }) => asns.some(inside));
    case "length":
      return ({ pathLength }) => inside(pathLength);
    default:
      return `"${word}" is not known here: ${wanted}`;
  }
}
