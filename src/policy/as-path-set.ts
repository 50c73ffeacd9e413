/**
 * AS-path sets: structural patterns (`originates 65010`, `passes 64512-65534`, `neighbor 65010`, `length 1-5`), and
 * expressions, which are one matcher over the path's text. The deterministic automaton is built as texts
 * are met, within a bound on its states; past the bound it starts anew, which costs time linear in the text and
 * nothing else. `own-asn` and `neighbor-asn` may stand in both kinds of pattern (session-asns.ts).
 */
import { assert } from "../base/assert.ts";
import type { AsPathSegment } from "../wire/path-attributes.ts";
import type { Automaton, PatternError } from "./as-path-regex.ts";
import { checkPattern, compilePatterns, Op, SYMBOLS, symbolOf } from "./as-path-regex.ts";
import { readAsnRange } from "./asn-set.ts";
import { type AsnsRead, anyAsns, asnsReadBy, type SessionAsns, withAsns } from "./session-asns.ts";

/** Deterministic states kept at a time. */
const STATES_MAX = 512;

/** `compilePatterns` emits the accepting instruction first. */
const ACCEPT_AT = 0;

/** What a set looks at. Getters, so that only what is asked for is worked out. */
export interface PathView {
  readonly pathText: string;
  /** As for best path: a set counts one, confederation segments none. */
  readonly pathLength: number;
  /** 0 for none. */
  readonly originAs: number;
  readonly neighborAs: number;
  readonly asPath: readonly AsPathSegment[];
}

/** A compiled AS-path set. Equal paths give equal answers; the automaton inside is a cache. */
export interface AsPathSet {
  /** True when one of the patterns holds for the path. */
  holds(path: PathView): boolean;
  /** AS numbers that stand in it as words. Until they are filled in, patterns with words hold for nothing. */
  readonly reads: AsnsRead;
  /** The set with the words filled in; itself when it has none. */
  bind(asns: SessionAsns): AsPathSet;
}

/** A matcher of expressions alone. */
export interface PathMatcher {
  /** True when one of the expressions is found in `text`. */
  matches(text: string): boolean;
}

/** Compiles expressions that `checkPattern` has passed. */
export function compilePathMatcher(expressions: readonly string[]): PathMatcher {
  return new LazyMatcher(compilePatterns(expressions));
}

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
  if (reads === 0) return compileFixed(patterns);
  const fixed = compileFixed(patterns.filter((pattern) => asnsReadBy([pattern]) === 0));
  const worded = patterns.filter((pattern) => asnsReadBy([pattern]) !== 0);
  return {
    ...fixed,
    reads,
    bind(asns) {
      const bound = compileFixed(worded.map((pattern) => withAsns(pattern, asns)));
      const joined: AsPathSet = {
        holds: (path) => fixed.holds(path) || bound.holds(path),
        reads: 0,
        bind: () => joined,
      };
      return joined;
    },
  };
}

function compileFixed(patterns: readonly string[]): AsPathSet {
  const expressions = patterns.filter((pattern) => !isStructural(pattern));
  const matcher = expressions.length > 0 ? compilePathMatcher(expressions) : undefined;
  const tests = patterns.filter(isStructural).map((pattern) => {
    const read = readStructural(pattern);
    assert(typeof read !== "string", `unchecked pattern: ${pattern}`);
    return read;
  });
  const set: AsPathSet = {
    holds: (path) => tests.some((test) => test(path)) || (matcher?.matches(path.pathText) ?? false),
    reads: 0,
    bind: () => set,
  };
  return set;
}

type PathTest = (path: PathView) => boolean;

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

interface State {
  /** Instructions that wait for a symbol or for the end. */
  readonly waiting: Uint32Array;
  /** An expression has been found, whatever follows. */
  readonly accepts: boolean;
  /** An expression is found if the text ends here. */
  readonly acceptsAtEnd: boolean;
}

class LazyMatcher implements PathMatcher {
  private readonly program: Automaton;
  private readonly seen: Uint32Array;
  private stamp = 0;
  private states: State[] = [];
  private readonly known = new Map<string, number>();
  /** Next state by state and symbol; -1 when not yet known. */
  private readonly next = new Int32Array(STATES_MAX * SYMBOLS);
  private start = 0;

  constructor(program: Automaton) {
    this.program = program;
    this.seen = new Uint32Array(program.op.length);
    this.restart();
  }

  matches(text: string): boolean {
    if (text === "") return this.matchesEmpty();
    let state = this.start;
    if (this.states[state].accepts) return true;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      const symbol = code < 128 ? symbolOf[code] : 255;
      if (symbol === 255) return false;
      const known = this.next[state * SYMBOLS + symbol];
      state = known >= 0 ? known : this.step(state, symbol);
      if (this.states[state].accepts) return true;
    }
    return this.states[state].acceptsAtEnd;
  }

  private matchesEmpty(): boolean {
    return this.close(this.program.starts, true, true).includes(ACCEPT_AT);
  }

  private step(from: number, symbol: number): number {
    const { op, x, y, starts } = this.program;
    const moved: number[] = [...starts]; // an expression may begin at any place in the text
    for (const at of this.states[from].waiting) {
      if (op[at] === Op.symbol && ((x[at] >>> symbol) & 1) === 1) moved.push(y[at]);
    }
    const waiting = this.close(moved, false, false);
    if (this.states.length >= STATES_MAX) {
      this.restart();
      return this.intern(waiting);
    }
    const to = this.intern(waiting);
    this.next[from * SYMBOLS + symbol] = to;
    return to;
  }

  private restart(): void {
    this.states = [];
    this.known.clear();
    this.next.fill(-1);
    this.start = this.intern(this.close(this.program.starts, true, false));
  }

  private intern(waiting: number[]): number {
    const key = waiting.join();
    const known = this.known.get(key);
    if (known !== undefined) return known;
    const ended = this.close(waiting, false, true);
    const id = this.states.length;
    this.states.push({
      waiting: Uint32Array.from(waiting),
      accepts: waiting.includes(ACCEPT_AT),
      acceptsAtEnd: ended.includes(ACCEPT_AT),
    });
    this.known.set(key, id);
    return id;
  }

  /** What can be reached from `from` without reading: instructions that wait, and the accepting one; sorted. */
  private close(from: readonly number[], atStart: boolean, atEnd: boolean): number[] {
    const { op, x, y } = this.program;
    const stamp = ++this.stamp;
    const stack = [...from];
    const reached: number[] = [];
    while (stack.length > 0) {
      const at = stack.pop() as number;
      if (this.seen[at] === stamp) continue;
      this.seen[at] = stamp;
      if (op[at] === Op.split) stack.push(x[at], y[at]);
      else if (op[at] === Op.atStart) {
        if (atStart) stack.push(x[at]);
      } else if (op[at] === Op.atEnd && atEnd) stack.push(x[at]);
      else reached.push(at);
    }
    return reached.sort((a, b) => a - b);
  }
}
