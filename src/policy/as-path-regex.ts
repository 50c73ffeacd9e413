/**
 * Regular expressions over the text of an AS path, matched in time linear in the text. An expression becomes a
 * Thompson automaton, which `path-scanner.ts` runs as a lazily built deterministic one: no expression can backtrack.
 *
 * Syntax: characters of an AS path as `formatAsPath` writes it (digits, space, brackets of all kinds), `.` any of them,
 * `[0-9]` and `[^ ]` classes, `* + ?`, `|`, `( )`, `^` and `$` for the ends of the path, `_` for a boundary: a space,
 * comma or bracket, or either end. `\` before a character takes it literally; braces are always literal.
 */

/** Characters that a path's text is made of; the position of a character is its symbol. */
const ALPHABET = "0123456789 ,{}()[]";
export const SYMBOLS = ALPHABET.length;
const ANY = (1 << SYMBOLS) - 1;
const BOUNDARY = maskOfCharacters(" ,{}()[]");

/** Longest expression in characters, and deepest nesting of groups. */
export const PATTERN_LENGTH_MAX = 1000;
const DEPTH_MAX = 50;

/** Symbol of each character code below 128; 255 for those that no path holds. */
export const symbolOf: Uint8Array = new Uint8Array(128).fill(255);
for (let i = 0; i < SYMBOLS; i++) symbolOf[ALPHABET.charCodeAt(i)] = i;

export const Op = { symbol: 0, split: 1, atStart: 2, atEnd: 3, accept: 4 } as const;

/** A Thompson automaton: instruction `i` is `op[i]` with operands. Symbol: class in `x`, next in `y`. Accept: group in `x`. */
export interface Automaton {
  readonly op: readonly number[];
  readonly x: readonly number[];
  readonly y: readonly number[];
  /** Entry of each expression. */
  readonly starts: readonly number[];
}

export interface PatternError {
  /** Counted from 1. */
  readonly column: number;
  readonly message: string;
}

/** Where `pattern` is wrong; undefined when it is a good expression. */
export function checkPattern(pattern: string): PatternError | undefined {
  const node = new Parser(pattern).parse();
  return "message" in node ? node : undefined;
}

/**
 * One automaton for groups of patterns, which must be good ones. It accepts for a group what any pattern of it does: the
 * accepting instructions come first, one for each group.
 */
export function compilePatterns(groups: readonly (readonly string[])[]): Automaton {
  const op: number[] = [];
  const x: number[] = [];
  const y: number[] = [];
  const emit = (code: number, a: number, b: number): number => {
    x.push(a);
    y.push(b);
    return op.push(code) - 1;
  };
  // Built from the end: each piece is told what follows it, so no jump has to be patched but that of a loop.
  const build = (node: Node, next: number): number => {
    switch (node.kind) {
      case "symbol":
        return emit(Op.symbol, node.mask, next);
      case "start":
        return emit(Op.atStart, next, 0);
      case "end":
        return emit(Op.atEnd, next, 0);
      case "boundary": {
        const ends = emit(Op.split, emit(Op.atStart, next, 0), emit(Op.atEnd, next, 0));
        return emit(Op.split, emit(Op.symbol, BOUNDARY, next), ends);
      }
      case "sequence":
        return node.items.reduceRight((after, item) => build(item, after), next);
      case "choice":
        return node.items
          .map((item) => build(item, next))
          .reduceRight((rest, item) => emit(Op.split, item, rest));
      case "optional":
        return emit(Op.split, build(node.item, next), next);
      case "loop": {
        const split = emit(Op.split, 0, next);
        x[split] = build(node.item, split);
        return node.atLeastOnce ? x[split] : split;
      }
    }
  };
  const accepts = groups.map((_, group) => emit(Op.accept, group, 0));
  const starts = groups.flatMap((patterns, group) =>
    patterns.map((pattern) => {
      const node = new Parser(pattern).parse();
      if ("message" in node) throw new RangeError(`unchecked pattern ${pattern}: ${node.message}`);
      return build(node, accepts[group]);
    }),
  );
  return { op, x, y, starts };
}

type Node =
  | { readonly kind: "symbol"; readonly mask: number }
  | { readonly kind: "start" | "end" | "boundary" }
  | { readonly kind: "sequence" | "choice"; readonly items: readonly Node[] }
  | { readonly kind: "optional"; readonly item: Node }
  | { readonly kind: "loop"; readonly item: Node; readonly atLeastOnce: boolean };

class Parser {
  private readonly text: string;
  private at = 0;
  private depth = 0;
  private error: PatternError | undefined;

  constructor(text: string) {
    this.text = text;
  }

  parse(): Node | PatternError {
    if (this.text.length > PATTERN_LENGTH_MAX) {
      return { column: PATTERN_LENGTH_MAX + 1, message: `longer than ${PATTERN_LENGTH_MAX} characters` };
    }
    if (this.text === "") return { column: 1, message: "the expression is empty" };
    const node = this.choice();
    if (!this.error && this.at < this.text.length) this.fail("a ) without its (");
    return this.error ?? node;
  }

  private choice(): Node {
    const items = [this.sequence()];
    while (!this.error && this.text[this.at] === "|") {
      this.at++;
      items.push(this.sequence());
    }
    return items.length === 1 ? items[0] : { kind: "choice", items };
  }

  private sequence(): Node {
    const items: Node[] = [];
    while (
      !this.error &&
      this.at < this.text.length &&
      this.text[this.at] !== "|" &&
      this.text[this.at] !== ")"
    ) {
      items.push(this.repeated());
    }
    return { kind: "sequence", items };
  }

  private repeated(): Node {
    const item = this.atom();
    const sign = this.text[this.at];
    if (this.error || (sign !== "*" && sign !== "+" && sign !== "?")) return item;
    this.at++;
    if (/^[*+?]/.test(this.text.slice(this.at, this.at + 1)))
      this.fail(`"${this.text[this.at]}" repeats a repetition`);
    return sign === "?" ? { kind: "optional", item } : { kind: "loop", item, atLeastOnce: sign === "+" };
  }

  private atom(): Node {
    const character = this.text[this.at++];
    switch (character) {
      case "^":
        return { kind: "start" };
      case "$":
        return { kind: "end" };
      case "_":
        return { kind: "boundary" };
      case ".":
        return { kind: "symbol", mask: ANY };
      case "[":
        return { kind: "symbol", mask: this.bracket() };
      case "(":
        return this.group();
      case "\\":
        return { kind: "symbol", mask: this.literal(this.at++) };
      case "*":
      case "+":
      case "?":
        this.at--;
        return this.fail(`nothing before "${character}" to repeat`);
      default:
        return { kind: "symbol", mask: this.literal(this.at - 1) };
    }
  }

  private group(): Node {
    const open = this.at - 1;
    if (++this.depth > DEPTH_MAX) return this.fail(`more than ${DEPTH_MAX} nested groups`, open);
    const node = this.choice();
    this.depth--;
    if (!this.error && this.text[this.at] !== ")") return this.fail("a ( that is not closed", open);
    this.at++;
    return node;
  }

  /** The class after `[`: characters and ranges of digits, until `]`. */
  private bracket(): number {
    const open = this.at - 1;
    const negated = this.text[this.at] === "^";
    if (negated) this.at++;
    let mask = 0;
    for (let first = true; first || this.text[this.at] !== "]"; first = false) {
      if (this.at >= this.text.length) {
        this.fail("a [ that is not closed", open);
        return 0;
      }
      if (first && this.text[this.at] === "]") {
        this.fail("an empty class");
        return 0;
      }
      if (this.text[this.at] === "\\") this.at++;
      const from = this.at++;
      mask |= this.literal(from);
      if (this.text[this.at] === "-" && this.at + 1 < this.text.length && this.text[this.at + 1] !== "]") {
        const to = this.at + 1;
        this.at += 2;
        mask |= this.range(from, to);
      }
      if (this.error) return 0;
    }
    this.at++;
    return negated ? ANY & ~mask : mask;
  }

  private range(from: number, to: number): number {
    const low = this.text.charCodeAt(from) - 48;
    const high = this.text.charCodeAt(to) - 48;
    if (low < 0 || low > 9 || high < 0 || high > 9 || low > high) {
      this.fail(`"${this.text[from]}-${this.text[to]}" is not a range of digits`, from);
      return 0;
    }
    return (2 << high) - (1 << low);
  }

  private literal(at: number): number {
    if (at >= this.text.length) {
      this.fail("the expression ends in a backslash", at - 1);
      return 0;
    }
    const code = this.text.charCodeAt(at);
    const symbol = code < 128 ? symbolOf[code] : 255;
    if (symbol !== 255) return 1 << symbol;
    this.fail(`"${this.text[at]}" never stands in an AS path`, at);
    return 0;
  }

  private fail(message: string, at = this.at): Node {
    this.error ??= { column: at + 1, message };
    this.at = this.text.length;
    return { kind: "sequence", items: [] };
  }
}

function maskOfCharacters(characters: string): number {
  let mask = 0;
  for (const character of characters) mask |= 1 << ALPHABET.indexOf(character);
  return mask;
}
