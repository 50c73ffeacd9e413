/** What readers of the policy language take tokens from, and how they say what is wrong. */
import { create } from "@bufbuild/protobuf";
import { nearestName } from "../../base/problem.ts";
import { type PrefixRule, PrefixRuleSchema } from "../../gen/cairn/v1/policy_service_pb.ts";
import type { Token } from "./lexer.ts";

/** Where the parts of an object stand: offsets by path inside its spec. */
export type Spans = Map<string, { readonly start: number; readonly end: number }>;

/** Ends the reading of what is under way; the error has been told. */
export class SyntaxFault extends Error {}

export class TokenSource {
  at = 0;
  private readonly tokens: readonly Token[];
  readonly error: (start: number, end: number, message: string) => void;

  constructor(tokens: readonly Token[], error: (start: number, end: number, message: string) => void) {
    this.tokens = tokens;
    this.error = error;
  }

  get peek(): Token {
    return this.tokens[Math.min(this.at, this.tokens.length - 1)];
  }

  /** The token before the next one. */
  get last(): Token {
    return this.tokens[Math.max(0, this.at - 1)];
  }

  take(): Token {
    const token = this.peek;
    this.at++;
    return token;
  }

  /** True, and the token is taken, when it is this word or sign. */
  accept(text: string): boolean {
    if (this.peek.kind === "string" || this.peek.kind === "end" || this.peek.text !== text) return false;
    this.at++;
    return true;
  }

  expect(text: string): Token {
    if (this.peek.kind !== "string" && this.peek.kind !== "end" && this.peek.text === text)
      return this.take();
    return this.fail(`here should be "${text}", not ${shown(this.peek)}`);
  }

  word(what: string): Token {
    if (this.peek.kind === "word") return this.take();
    return this.fail(`here should be ${what}, not ${shown(this.peek)}`);
  }

  string(what: string): Token {
    if (this.peek.kind === "string") return this.take();
    return this.fail(`here should be ${what} in quotes, not ${shown(this.peek)}`);
  }

  number(what: string, max = 0xffff_ffff): number {
    const token = this.word(what);
    const value = /^[0-9]{1,10}$/.test(token.text) ? Number(token.text) : Number.NaN;
    if (!(value <= max)) return this.failAt(token, `"${token.text}" is not ${what}, 0 to ${max}`);
    return value;
  }

  /** One of the words; anything else is told with the nearest. */
  oneOf(words: readonly string[], what: string): string {
    const token = this.word(what);
    if (words.includes(token.text)) return token.text;
    const near = nearestName(token.text, words);
    const hint = near ? `did you mean ${near}?` : `known are ${words.join(", ")}`;
    return this.failAt(token, `"${token.text}" is not ${what}: ${hint}`);
  }

  fail(message: string): never {
    return this.failAt(this.peek, message);
  }

  failAt(token: Token, message: string): never {
    this.error(token.start, Math.max(token.end, token.start + 1), message);
    throw new SyntaxFault(message);
  }

  /** Goes on, after a fault, at the first of `words` outside braces, or past the statement under way. */
  skipTo(from: number, words: readonly string[]): void {
    let depth = 0;
    for (let at = from; at < this.at; at++) depth += braces(this.tokens[at]);
    for (; this.peek.kind !== "end"; this.at++) {
      if (depth <= 0 && this.at > from && words.includes(this.peek.text)) return;
      depth += braces(this.peek);
    }
  }

  /** Goes on, after a fault inside a block, past the next `;` or `}` that ends the statement begun at `from`. */
  skipStatement(from: number): void {
    let depth = 0;
    for (let at = from; at < this.at; at++) depth += braces(this.tokens[at]);
    for (; this.peek.kind !== "end"; this.at++) {
      const step = braces(this.peek);
      if (depth <= 0 && step < 0) return; // the end of the block around
      depth += step;
      if (depth <= 0 && (this.peek.text === ";" || step < 0)) {
        this.at++;
        return;
      }
    }
  }
}

function braces(token: Token): number {
  if (token.kind !== "sign") return 0;
  return token.text === "{" ? 1 : token.text === "}" ? -1 : 0;
}

export function shown(token: Token): string {
  return token.kind === "end" ? token.text : `"${token.text}"`;
}

/** `10.0.0.0/8`, `10.0.0.0/8+`, `10.0.0.0/8 ge 24 le 32`, `10.0.0.0/8-`, `10.0.0.0/24- ge 16`. */
export function readPrefixRule(source: TokenSource): PrefixRule {
  const word = source.word("a prefix").text;
  const all = word.endsWith("+");
  const covering = word.endsWith("-");
  const prefix = all || covering ? word.slice(0, -1) : word;
  const rule = create(PrefixRuleSchema, { prefix, covering });
  if (all) rule.le = prefix.includes(":") ? 128 : 32;
  else {
    if (source.accept("ge")) rule.ge = source.number("a prefix length", 128);
    if (source.accept("le")) rule.le = source.number("a prefix length", 128);
  }
  return rule;
}
