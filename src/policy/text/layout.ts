/**
 * The canonical look of a policy text. It is laid out token by token, so that nothing is lost: comments stay where
 * they are (one inside a condition or a list moves before its statement), tests stay, and so does the order of things.
 * What is written from the model (format.ts) goes through here too; a text that was laid out once stays as it is.
 */
import { scan, type Token } from "./lexer.ts";

/** Longest line, where a token alone is not longer. */
const widthMax = 100;

/** The text of a good policy file in its canonical look, with a newline at the end. */
export function layOut(text: string): string {
  const reader = new PieceReader(text);
  const { pieces, rest } = reader.block();
  const lines: string[] = [];
  pieces.forEach((piece, i) => {
    const body = topLines(piece);
    if (i > 0 && body[0] !== "") lines.push("");
    lines.push(...body);
  });
  if (pieces.length > 0 && rest.length > 0) lines.push("");
  lines.push(...rest.flatMap(({ text: comment, blank }, i) => (blank && i > 0 ? ["", comment] : [comment])));
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

interface Comment {
  readonly text: string;
  /** A blank line stands before it. */
  readonly blank: boolean;
}

/** What ends in `;` or in a block. */
interface Piece {
  readonly leading: readonly Comment[];
  /** A blank line stands before its first word. */
  readonly blank: boolean;
  /** Words before `;` or `{`, strings with their quotes. */
  readonly head: readonly string[];
  readonly block: Block | undefined;
  /** Comment on the line on which it ends. */
  trailing: string;
}

interface Block {
  /** Comment on the line of the opening brace. */
  readonly opening: string;
  readonly pieces: readonly Piece[];
  /** Comments after the last piece. */
  readonly rest: readonly Comment[];
}

class PieceReader {
  private readonly text: string;
  private readonly tokens: readonly Token[];
  private at = 0;

  constructor(text: string) {
    this.text = text;
    this.tokens = scan(text, () => {});
  }

  /** Pieces up to the brace that closes the block, or the end of the text. */
  block(): Block {
    const pieces: Piece[] = [];
    let pending: Comment[] = [];
    let opening = "";
    for (const first = this.at; ; ) {
      const token = this.tokens[this.at];
      if (token.kind === "end" || isSign(token, "}")) return { opening, pieces, rest: pending };
      if (token.kind === "comment") {
        const last = pieces[pieces.length - 1];
        const joins = pending.length === 0 && this.newlinesBefore() === 0;
        if (joins && this.at === first && first > 0) opening = token.text;
        else if (joins && last && last.trailing === "") last.trailing = token.text;
        else pending.push({ text: token.text, blank: this.newlinesBefore() > 1 });
        this.at++;
      } else if (isSign(token, ";")) this.at++;
      else {
        pieces.push(this.piece(pending));
        pending = [];
      }
    }
  }

  private piece(pending: readonly Comment[]): Piece {
    const blank = this.newlinesBefore() > 1;
    const inside: Comment[] = [];
    const head: string[] = [];
    let block: Block | undefined;
    for (;;) {
      const token = this.tokens[this.at];
      if (token.kind === "end" || isSign(token, "}")) break;
      this.at++;
      if (isSign(token, ";")) break;
      if (isSign(token, "{")) {
        block = this.block();
        this.at++;
        break;
      }
      if (token.kind !== "comment") head.push(this.text.slice(token.start, token.end));
      else inside.push({ text: token.text, blank: blank && inside.length === 0 });
    }
    const leading = [...pending, ...inside];
    return { leading, blank: blank && inside.length === 0, head, block, trailing: "" };
  }

  /** Line ends between the token before and the next one. */
  private newlinesBefore(): number {
    const from = this.at === 0 ? 0 : this.tokens[this.at - 1].end;
    return this.text.slice(from, this.tokens[this.at].start).split("\n").length - 1;
  }
}

function isSign(token: Token, sign: string): boolean {
  return token.kind === "sign" && token.text === sign;
}

/** A set, a policy or a test. */
function topLines(piece: Piece): string[] {
  const { head, block, trailing } = piece;
  const end = trailing === "" ? "" : ` ${trailing}`;
  if (!block) return [...leadingLines(piece), `${spaced(head)};${end}`];
  const inner = innerLines(block, head[0]).map(indented);
  return [...leadingLines(piece), `${spaced(head)} {${commented(block.opening)}`, ...inner, `}${end}`];
}

function leadingLines({ leading, blank }: Piece): string[] {
  const lines = leading.flatMap(({ text, blank: before }, i) => (before && i > 0 ? ["", text] : [text]));
  return blank && leading.length > 0 ? [...lines, ""] : lines;
}

/** The lines of a block; blank lines of the source between its pieces stay, one at a time. */
function innerLines({ pieces, rest }: Block, outer: string): string[] {
  const lines: string[] = [];
  const gap = (wanted: boolean | undefined): void => {
    if (wanted && lines.length > 0) lines.push("");
  };
  for (let i = 0; i < pieces.length; i++) {
    const piece = pieces[i];
    gap(piece.leading[0]?.blank ?? piece.blank);
    lines.push(...leadingLines(piece));
    const next = pieces[i + 1];
    if (piece.head[0] === "given" && next?.head[0] === "expect") {
      lines.push(...caseLines(piece, next));
      i++;
    } else lines.push(...(outer === "policy" ? statementLines(piece) : plainLines(piece)));
  }
  for (const { text, blank } of rest) {
    gap(blank);
    lines.push(text);
  }
  return lines;
}

/** A route of a test and its outcome: on one line where that fits. */
function caseLines(given: Piece, expect: Piece): string[] {
  const line = `${spaced(given.head)}; ${spaced(expect.head)};`;
  if (given.trailing === "" && expect.leading.length === 0 && line.length <= widthMax - 2) {
    return [line + commented(expect.trailing)];
  }
  return [
    ...plainLines(given),
    ...[...expect.leading.map(({ text }) => text), ...plainLines(expect)].map(indented),
  ];
}

function plainLines({ head, block, trailing }: Piece): string[] {
  const ends = `;${commented(trailing)}`;
  if (!block) return wrapped(head, ends);
  const inner = innerLines(block, "").map(indented);
  return [`${spaced(head)} {${commented(block.opening)}`, ...inner, `}${commented(trailing)}`];
}

/** `[NAME:] [if CONDITIONS then] ACTION;`, with braces where one line does not hold it. */
function statementLines(piece: Piece): string[] {
  const { head, block, trailing } = piece;
  const then = thenOf(head);
  if (!block && then < 0) return plainLines(piece);
  const conditions = block ? head : head.slice(0, then + 1);
  const actions = block
    ? block.pieces
    : [{ ...piece, head: head.slice(then + 1), leading: [], trailing: "" }];
  const quiet = block ? block.opening === "" && block.rest.length === 0 : true;
  if (quiet && actions.every(isQuiet)) {
    const texts = actions.map((action) => `${spaced(action.head)};`);
    const start = conditions.length === 0 ? "" : `${spaced(conditions)} `;
    const line =
      texts.length === 1 ? start + texts[0] : `${start}{ ${texts.join(" ")}${texts.length === 0 ? "" : " "}}`;
    if (line.length <= widthMax - 2) return [line + commented(trailing)];
  }
  const inner = block ? innerLines(block, "") : actions.flatMap(plainLines);
  const opening = `${conditions.length === 0 ? "" : " "}{${commented(block?.opening ?? "")}`;
  return [...conditionLines(conditions, opening), ...inner.map(indented), `}${commented(trailing)}`];
}

/** Where the conditions end; a set may be called "then" too. -1: there are none. */
function thenOf(head: readonly string[]): number {
  const before = ["in", "(", ",", "set", "originates", "passes", "neighbor", "all", "call", "add"];
  return head.findIndex((token, i) => token === "then" && !before.includes(head[i - 1]));
}

function isQuiet({ leading, trailing, block }: Piece): boolean {
  return leading.length === 0 && trailing === "" && !block;
}

/** One line, or one for each condition. */
function conditionLines(head: readonly string[], end: string): string[] {
  const line = spaced(head) + end;
  if (line.length <= widthMax - 2) return [line];
  const conditions: string[][] = [[]];
  for (const token of head) {
    if (token === "and") conditions.push([]);
    conditions[conditions.length - 1].push(token);
  }
  return conditions.flatMap((tokens, i) => {
    const lines = wrapped(tokens, i === conditions.length - 1 ? end : "");
    return i === 0 ? lines : lines.map((text) => `    ${text}`);
  });
}

/** The tokens on one line, or on several of which all but the first are set in. */
function wrapped(tokens: readonly string[], end: string): string[] {
  const lines: string[] = [];
  let from = 0;
  for (let to = 1; to <= tokens.length; to++) {
    const margin = from === 0 ? 0 : 4;
    const line = spaced(tokens.slice(from, to));
    const canBreak = to - 1 > from && spaceBetween(tokens[to - 2], tokens[to - 1]) !== "";
    if (margin + line.length + (to === tokens.length ? 1 : 0) > widthMax - 8 && canBreak) {
      lines.push(" ".repeat(margin) + spaced(tokens.slice(from, to - 1)));
      from = to - 1;
    }
  }
  lines.push(" ".repeat(from === 0 ? 0 : 4) + spaced(tokens.slice(from)) + end);
  return lines;
}

function commented(comment: string): string {
  return comment === "" ? "" : ` ${comment}`;
}

function indented(line: string): string {
  return line === "" ? "" : `  ${line}`;
}

function spaced(tokens: readonly string[]): string {
  let line = "";
  tokens.forEach((token, i) => {
    line += (i === 0 ? "" : spaceBetween(tokens[i - 1], token)) + token;
  });
  return line;
}

function spaceBetween(before: string, after: string): "" | " " {
  return before === "(" || after === ")" || after === "," ? "" : " ";
}
