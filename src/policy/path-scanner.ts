/**
 * Expressions over AS paths, run as lazily built deterministic automata. A scanner holds all expressions of a chain in
 * groups (those of one condition) and finds every group in one pass over a path, so that fifty conditions cost little
 * more than one.
 *
 * Automata are built as paths are met, within a bound on their states; past the bound one starts anew, which costs time
 * linear in the path and nothing else. One that does so again and again holds groups that do not go well together: it
 * is divided, down to single groups.
 */
import { grown } from "../base/columns.ts";
import type { AsPathSegment } from "../wire/path-attributes.ts";
import { SegmentType } from "../wire/path-attributes.ts";
import type { Automaton } from "./as-path-regex.ts";
import { compilePatterns, Op, SYMBOLS, symbolOf } from "./as-path-regex.ts";

/** Deterministic states that an automaton keeps at a time. */
const STATES_MAX = 4096;
/** Fresh starts after which an automaton of several groups is divided. */
const RESTARTS_MAX = 4;

/** A matcher of expressions alone. */
export interface PathMatcher {
  /** True when one of the expressions is found in `text`. */
  matches(text: string): boolean;
  /** Characters read and instructions looked at so far: what matching costs, told without a clock. */
  readonly steps: number;
}

/** Compiles expressions that `checkPattern` has passed. */
export function compilePathMatcher(expressions: readonly string[]): PathMatcher {
  const scanner = new PathScanner();
  const group = scanner.add(expressions);
  return {
    matches: (text) => scanner.scanText(text)[group] === 1,
    get steps() {
      return scanner.steps;
    },
  };
}

export class PathScanner {
  private readonly groups: (readonly string[])[] = [];
  private readonly known = new Map<string, number>();
  private machines: Machine[] | undefined;
  private found: Uint8Array = new Uint8Array(0);
  /** Symbols of the path under way. */
  private symbols: Uint8Array = new Uint8Array(256);

  /** See `PathMatcher.steps`; of the automata that are in use. */
  get steps(): number {
    return this.machines?.reduce((sum, { steps }) => sum + steps, 0) ?? 0;
  }

  /** The number of this group of expressions, which `checkPattern` has passed. No more after the first scan. */
  add(expressions: readonly string[]): number {
    const key = expressions.join("\n");
    let group = this.known.get(key);
    if (group === undefined) {
      group = this.groups.push(expressions) - 1;
      this.known.set(key, group);
    }
    return group;
  }

  /** @returns by group: 1 when one of its expressions is found in the path. Valid until the next scan */
  scan(path: readonly AsPathSegment[]): Uint8Array {
    return this.run(this.write(path));
  }

  /** The same for a path as text; what no path is made of is in no path. */
  scanText(text: string): Uint8Array {
    this.reserve(text.length);
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      const symbol = code < 128 ? symbolOf[code] : 255;
      if (symbol === 255) return this.found.fill(0);
      this.symbols[i] = symbol;
    }
    return this.run(text.length);
  }

  private run(length: number): Uint8Array {
    if (!this.machines) {
      this.found = new Uint8Array(this.groups.length);
      this.machines = [new Machine(this.groups, [...this.groups.keys()])];
    } else this.found.fill(0);
    for (const machine of this.machines) machine.run(this.symbols, length, this.found);
    if (this.machines.some(isOverworked)) this.machines = this.machines.flatMap((each) => this.divided(each));
    return this.found;
  }

  private divided(machine: Machine): Machine[] {
    if (!isOverworked(machine)) return [machine];
    const middle = machine.groups.length >> 1;
    const halves = [machine.groups.slice(0, middle), machine.groups.slice(middle)];
    return halves.map((groups) => new Machine(this.groups, groups));
  }

  /** Writes the symbols of a path, as `formatAsPath` writes its text. @returns their number */
  private write(path: readonly AsPathSegment[]): number {
    let at = 0;
    for (const { type, asns } of path) {
      this.reserve(at + asns.length * 11 + 3);
      const { symbols } = this;
      if (at > 0) symbols[at++] = space;
      const brackets = bracketsOf[type];
      if (brackets) symbols[at++] = brackets[0];
      for (let i = 0; i < asns.length; i++) {
        if (i > 0) symbols[at++] = space;
        const end = at + digitsOf(asns[i]);
        // The symbol of a digit is its value.
        for (let rest = asns[i], place = end - 1; place >= at; place--) {
          const tenth = Math.floor(rest / 10);
          symbols[place] = rest - tenth * 10;
          rest = tenth;
        }
        at = end;
      }
      if (brackets) symbols[at++] = brackets[1];
    }
    return at;
  }

  private reserve(length: number): void {
    if (length > this.symbols.length) this.symbols = grown(this.symbols, length * 2);
  }
}

const space = symbolOf[" ".charCodeAt(0)];

const bracketsOf: Readonly<Record<SegmentType, readonly [number, number] | undefined>> = {
  [SegmentType.sequence]: undefined,
  [SegmentType.set]: symbolsOf("{}"),
  [SegmentType.confedSequence]: symbolsOf("()"),
  [SegmentType.confedSet]: symbolsOf("[]"),
};

function symbolsOf(pair: string): readonly [number, number] {
  return [symbolOf[pair.charCodeAt(0)], symbolOf[pair.charCodeAt(1)]];
}

function digitsOf(asn: number): number {
  let digits = 1;
  for (let bound = 10; bound <= asn; bound *= 10) digits++;
  return digits;
}

function isOverworked({ restarts, groups }: Machine): boolean {
  return restarts > RESTARTS_MAX && groups.length > 1;
}

interface State {
  /** Instructions that wait for a symbol or for the end. */
  readonly waiting: Uint32Array;
  /** Groups of which an expression has been found, whatever follows. */
  readonly found: readonly number[];
  /** Groups of which one is found if the path ends here. */
  readonly foundAtEnd: readonly number[];
}

class Machine {
  readonly groups: readonly number[];
  restarts = 0;
  steps = 0;
  private readonly program: Automaton;
  private readonly seen: Uint32Array;
  private stamp = 0;
  private states: State[] = [];
  /** By state: 1 when its `found` is not empty. */
  private finds: Uint8Array = new Uint8Array(64);
  private readonly known = new Map<string, number>();
  /** Next state by state and symbol; -1 when not yet known. */
  private next = new Int32Array(64 * SYMBOLS).fill(-1);
  private start = 0;
  /** Found in an empty path, where beginning and end are one. */
  private readonly foundInEmpty: readonly number[];

  constructor(all: readonly (readonly string[])[], groups: readonly number[]) {
    this.groups = groups;
    this.program = compilePatterns(groups.map((group) => all[group]));
    this.seen = new Uint32Array(this.program.op.length);
    this.foundInEmpty = this.groupsIn(this.close(this.program.starts, true, true));
    this.begin();
  }

  run(symbols: Uint8Array, length: number, found: Uint8Array): void {
    if (length === 0) {
      mark(this.foundInEmpty, found);
      return;
    }
    this.steps += length;
    let state = this.start;
    if (this.finds[state] === 1) mark(this.states[state].found, found);
    for (let i = 0; i < length; i++) {
      const known = this.next[state * SYMBOLS + symbols[i]];
      state = known >= 0 ? known : this.step(state, symbols[i]);
      if (this.finds[state] === 1) mark(this.states[state].found, found);
    }
    mark(this.states[state].foundAtEnd, found);
  }

  private step(from: number, symbol: number): number {
    const { op, x, y, starts } = this.program;
    const moved: number[] = [...starts]; // an expression may begin at any place in the path
    for (const at of this.states[from].waiting) {
      if (op[at] === Op.symbol && ((x[at] >>> symbol) & 1) === 1) moved.push(y[at]);
    }
    const waiting = this.close(moved, false, false);
    if (this.states.length >= STATES_MAX) {
      this.restarts++;
      this.begin();
      return this.intern(waiting);
    }
    const to = this.intern(waiting);
    this.next[from * SYMBOLS + symbol] = to;
    return to;
  }

  private begin(): void {
    this.states = [];
    this.known.clear();
    this.next.fill(-1);
    this.start = this.intern(this.close(this.program.starts, true, false));
  }

  private intern(waiting: number[]): number {
    const key = waiting.join();
    const known = this.known.get(key);
    if (known !== undefined) return known;
    const id = this.states.length;
    if (id === this.finds.length) {
      this.finds = grown(this.finds, id * 2);
      this.next = grown(this.next, id * 2 * SYMBOLS).fill(-1, id * SYMBOLS);
    }
    const found = this.groupsIn(waiting);
    const foundAtEnd = this.groupsIn(this.close(waiting, false, true));
    this.states.push({ waiting: Uint32Array.from(waiting), found, foundAtEnd });
    this.finds[id] = found.length > 0 ? 1 : 0;
    this.known.set(key, id);
    return id;
  }

  private groupsIn(reached: readonly number[]): number[] {
    const { op, x } = this.program;
    return reached.filter((at) => op[at] === Op.accept).map((at) => this.groups[x[at]]);
  }

  /** What can be reached from `from` without reading: instructions that wait, and those that accept; sorted. */
  private close(from: readonly number[], atStart: boolean, atEnd: boolean): number[] {
    const { op, x, y } = this.program;
    const stamp = ++this.stamp;
    const stack = [...from];
    const reached: number[] = [];
    while (stack.length > 0) {
      const at = stack.pop() as number;
      this.steps++;
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

function mark(groups: readonly number[], found: Uint8Array): void {
  for (let i = 0; i < groups.length; i++) found[groups[i]] = 1;
}
