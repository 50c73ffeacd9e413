/**
 * AS-path sets: several expressions as one matcher over the path's text. The deterministic automaton is built as texts
 * are met, within a bound on its states; past the bound it starts anew, which costs time linear in the text and
 * nothing else.
 */
import type { Automaton } from "./as-path-regex.ts";
import { compilePatterns, Op, SYMBOLS, symbolOf } from "./as-path-regex.ts";

/** Deterministic states kept at a time. */
const STATES_MAX = 512;

/** `compilePatterns` emits the accepting instruction first. */
const ACCEPT_AT = 0;

/** A compiled AS-path set. Equal texts give equal answers; the automaton inside is a cache. */
export interface AsPathSet {
  /** True when one of the expressions is found in `text`. */
  matches(text: string): boolean;
}

/** Compiles expressions that `checkPattern` has passed. */
export function compileAsPathSet(patterns: readonly string[]): AsPathSet {
  return new LazyMatcher(compilePatterns(patterns));
}

interface State {
  /** Instructions that wait for a symbol or for the end. */
  readonly waiting: Uint32Array;
  /** An expression has been found, whatever follows. */
  readonly accepts: boolean;
  /** An expression is found if the text ends here. */
  readonly acceptsAtEnd: boolean;
}

class LazyMatcher implements AsPathSet {
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
