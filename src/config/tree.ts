/**
 * A configuration file as a tree that knows where everything stands in the text. TOML and YAML both become this, so
 * what follows (decode.ts, settings.ts) is written once.
 */
import type { Problem } from "../base/problem.ts";

/** Offsets into the text, in UTF-16 units; `end` is exclusive. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export type Scalar = string | number | bigint | boolean | null;

export type TreeNode =
  | { readonly type: "scalar"; readonly value: Scalar; readonly span: Span }
  /** A value that no setting takes, such as a TOML date. */
  | { readonly type: "other"; readonly what: string; readonly span: Span }
  | { readonly type: "list"; readonly items: TreeNode[]; readonly span: Span }
  | MapNode;

export interface MapNode {
  readonly type: "map";
  readonly entries: MapEntry[];
  /** Where the table is named or begins. */
  readonly span: Span;
}

export interface MapEntry {
  readonly key: string;
  readonly keySpan: Span;
  readonly value: TreeNode;
}

/** A place in a file. Lines and columns count from 1; columns count characters. */
export interface ConfigPlace {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Characters to underline, at least one. */
  readonly length: number;
  /** The line itself. */
  readonly sourceLine: string;
}

export interface ConfigProblem extends Problem, ConfigPlace {}

/** What the text may refer to. */
export interface ConfigContext {
  readonly text: string;
  readonly file: string;
  /** Value of an environment variable. */
  readonly env: (name: string) => string | undefined;
  /** Content of a file named by a `file:` secret, or by `policy_files`; throws when it cannot be read. */
  readonly readFile: (path: string, what: "secret" | "policy") => string;
}

/** Collects problems and gives each its line and column. */
export class ProblemList {
  readonly problems: ConfigProblem[] = [];
  readonly #context: ConfigContext;
  readonly #lineStarts: number[] = [0];
  readonly #places = new Set<number>();

  constructor(context: ConfigContext) {
    this.#context = context;
    const { text } = context;
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) this.#lineStarts.push(at + 1);
  }

  add(span: Span, problem: Problem): void {
    this.#places.add(span.start);
    this.problems.push({ ...problem, ...this.placeOf(span) });
  }

  placeOf(span: Span): ConfigPlace {
    const { text, file } = this.#context;
    const start = Math.min(Math.max(span.start, 0), text.length);
    let low = 0;
    let high = this.#lineStarts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#lineStarts[middle] <= start) low = middle;
      else high = middle - 1;
    }
    const lineStart = this.#lineStarts[low];
    const lineEnd = low + 1 < this.#lineStarts.length ? this.#lineStarts[low + 1] - 1 : text.length;
    const column = [...text.slice(lineStart, start)].length + 1;
    const length = Math.max(1, [...text.slice(start, Math.min(Math.max(span.end, start), lineEnd))].length);
    const sourceLine = text.slice(lineStart, lineEnd).replace(/\r$/, "");
    return { file, line: low + 1, column, length, sourceLine };
  }

  /** True when a problem was told of a value that begins here. */
  has(span: Span): boolean {
    return this.#places.has(span.start);
  }

  /** In the order of the text. */
  sorted(): ConfigProblem[] {
    return this.problems.sort((a, b) => a.line - b.line || a.column - b.column);
  }
}

/** The entry called `key`, if the map has it. */
export function entryOf(map: MapNode, key: string): MapEntry | undefined {
  return map.entries.find((entry) => entry.key === key);
}

/** What a node is, for messages such as "must be a list, not a text". */
export function nodeKind(node: TreeNode): string {
  if (node.type === "list") return "a list";
  if (node.type === "map") return "a table";
  if (node.type === "other") return node.what;
  if (node.value === null) return "empty";
  if (typeof node.value === "string") return "a text";
  return typeof node.value === "boolean" ? "true or false" : "a number";
}

/**
 * Replaces `${NAME}` by environment variables; `$${` stands for `${` itself.
 * @returns the text, or the name of the first variable that is not set
 */
export function substitute(text: string, env: ConfigContext["env"]): { text: string } | { missing: string } {
  let missing: string | undefined;
  const replaced = text.replace(/\$?\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g, (whole, name: string) => {
    if (whole.startsWith("$$")) return whole.slice(1);
    const value = env(name);
    if (value === undefined) missing ??= name;
    return value ?? "";
  });
  return missing === undefined ? { text: replaced } : { missing };
}
