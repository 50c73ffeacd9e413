/** Words, signs and strings of the policy language, with their places. */

export interface Token {
  readonly kind: "word" | "string" | "sign" | "comment" | "end";
  /** Text; of a string what stands between the quotes, escapes resolved. */
  readonly text: string;
  /** Offset of the first character, and past the last. */
  readonly start: number;
  readonly end: number;
}

export interface TextError {
  /** From 1. */
  readonly line: number;
  readonly column: number;
  readonly message: string;
  /** Offsets, for carets. */
  readonly start: number;
  readonly end: number;
}

const pattern = /\s+|#[^\n]*|"((?:[^"\\\n]|\\.)*)"|>=|<=|[=(){},;]|[A-Za-z0-9_.\-:/*+]+/gy;

export type TellError = (start: number, end: number, message: string) => void;

/** The tokens of `text` without its comments, ended by one of kind `end`. What begins no token is told to `error`. */
export function tokenize(text: string, error: TellError): Token[] {
  return scan(text, error).filter(({ kind }) => kind !== "comment");
}

/** The same with comments; their text goes from `#` to the end of the line. */
export function scan(text: string, error: TellError): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (!match) {
      const isString = text[at] === '"';
      const newline = text.indexOf("\n", at);
      const end = isString ? (newline < 0 ? text.length : newline) : at + 1;
      error(at, end, isString ? "a text without its closing quote" : `"${text[at]}" is not known here`);
      at = end;
      continue;
    }
    const [whole, inside] = match;
    const place = { start: at, end: at + whole.length };
    at = place.end;
    if (inside !== undefined) {
      tokens.push({ kind: "string", text: inside.replace(/\\(.)/g, "$1"), ...place });
    } else if (whole.startsWith("#")) {
      tokens.push({ kind: "comment", text: whole.trimEnd(), ...place });
    } else if (/^\s/.test(whole)) {
      // Blank.
    } else if (/^[A-Za-z0-9_.\-:/*+]/.test(whole)) tokens.push({ kind: "word", text: whole, ...place });
    else tokens.push({ kind: "sign", text: whole, ...place });
  }
  tokens.push({ kind: "end", text: "the end of the text", start: text.length, end: text.length });
  return tokens;
}

/** A string literal with this content. */
export function quote(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

/** Line and column, from 1, of an offset. */
export function placeOf(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset);
  const line = before.split("\n").length;
  return { line, column: offset - before.lastIndexOf("\n") };
}

/** An error as people read it: where, what, the line, and carets under what is wrong. */
export function renderError(text: string, file: string, error: TextError): string {
  const line = text.split("\n")[error.line - 1] ?? "";
  const width = Math.max(1, Math.min(error.end - error.start, line.length - error.column + 1));
  const margin = String(error.line).length;
  return [
    `${file}:${error.line}:${error.column}: ${error.message}`,
    `${String(error.line)} | ${line}`,
    `${" ".repeat(margin)} | ${" ".repeat(error.column - 1)}${"^".repeat(width)}`,
  ].join("\n");
}
