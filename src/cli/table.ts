/** Tables that fit the terminal: columns shrink, then go, before a line is allowed to break. */
import stringWidth from "string-width";
import type { Context } from "./context.ts";
import { safeText } from "./human.ts";
import type { Style } from "./style.ts";

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
  readonly align?: "right";
  /** May be cut down to this many cells, with an ellipsis. Absent: never cut. */
  readonly min?: number;
  /** Left out when the table is still too wide; the highest number goes first. Absent: never. */
  readonly drop?: number;
  /** Only in the wide form. */
  readonly wide?: boolean;
  readonly tone?: (row: Row) => keyof Style | undefined;
}

/** A table whose widths are fixed, so that any number of rows can follow. */
export interface TableLayout<Row> {
  readonly header: string;
  row(row: Row): string;
}

/**
 * Fixes the columns and their widths by `sample` rows.
 * @param width cells a line may take; Infinity when the output is no terminal
 */
export function layoutTable<Row>(
  columns: readonly Column<Row>[],
  sample: readonly Row[],
  width: number,
  style: Style,
): TableLayout<Row> {
  let shown = columns.map((column) => {
    let natural = displayWidth(column.title);
    for (const row of sample) natural = Math.max(natural, displayWidth(safeText(column.value(row))));
    return { column, width: natural };
  });
  for (;;) {
    shrink(shown, width);
    if (totalWidth(shown) <= width) break;
    const goes = shown.reduce((best, next) =>
      (next.column.drop ?? 0) > (best.column.drop ?? 0) ? next : best,
    );
    if (!goes.column.drop) break;
    shown = shown.filter((other) => other !== goes);
  }
  const line = (texts: readonly string[], paint: (text: string, index: number) => string) => {
    let out = "";
    let owed = 0; // spaces before the next cell: trailing blanks are never written
    for (let i = 0; i < shown.length; i++) {
      const cut = cutText(
        texts[i],
        shown[i].column.min === undefined ? Number.POSITIVE_INFINITY : shown[i].width,
      );
      const pad = Math.max(0, shown[i].width - displayWidth(cut));
      const right = shown[i].column.align === "right";
      if (cut === "") {
        owed += pad + 2;
        continue;
      }
      out += `${" ".repeat(owed + (right ? pad : 0))}${paint(cut, i)}`;
      owed = 2 + (right ? 0 : pad);
    }
    return out;
  };
  return {
    header: line(
      shown.map(({ column }) => column.title),
      (text) => style.dim(text),
    ),
    row: (row) =>
      line(
        shown.map(({ column }) => safeText(column.value(row))),
        (text, i) => {
          const tone = shown[i].column.tone?.(row);
          return tone ? style[tone](text) : text;
        },
      ),
  };
}

/** A whole table as lines. */
export function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width: number,
  style: Style,
  wide = false,
): string[] {
  const shown = wide ? columns : columns.filter((column) => !column.wide);
  const table = layoutTable(shown, rows, width, style);
  return [table.header, ...rows.map((row) => table.row(row))];
}

interface Shown {
  readonly column: Column<never>;
  width: number;
}

function totalWidth(shown: readonly { readonly width: number }[]): number {
  return shown.reduce((sum, { width }) => sum + width + 2, -2);
}

/** Takes cells away from the widest column that may give some, one by one, until the table fits or none may. */
function shrink(
  shown: readonly { column: Pick<Shown["column"], "min">; width: number }[],
  width: number,
): void {
  let over = totalWidth(shown) - width;
  while (over > 0) {
    let widest: (typeof shown)[number] | undefined;
    for (const candidate of shown) {
      const { min } = candidate.column;
      if (min !== undefined && candidate.width > min && candidate.width > (widest?.width ?? 0))
        widest = candidate;
    }
    if (!widest) return;
    widest.width--;
    over--;
  }
}

/** Cells that `text` takes on a terminal. */
export function displayWidth(text: string): number {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || code > 0x7e) return stringWidth(text);
  }
  return text.length;
}

/** `text` in at most `width` cells, with an ellipsis where something was cut. */
export function cutText(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  if (width < 1) return "";
  let out = "";
  let used = 0;
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    const cells = displayWidth(segment);
    if (used + cells > width - 1) break;
    out += segment;
    used += cells;
  }
  return `${out}…`;
}

/** "label   value" lines, labels aligned; entries with an empty value are left out. */
export function renderFields(
  fields: readonly (readonly [string, string])[],
  style: Style,
  indent = "  ",
): string[] {
  const present = fields.filter(([, value]) => value !== "");
  const width = Math.max(0, ...present.map(([label]) => label.length));
  return present.map(([label, value]) => `${indent}${style.dim(label.padEnd(width))}  ${value}`);
}

/** Breaks text into lines of at most `width` cells between words. */
export function wrapText(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

/** Writes a table as wide as the terminal, or with all its columns where wide output was asked for. */
export function writeTable<Row>(
  context: Context,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
): void {
  const { out, style, width, format } = context;
  out.line(renderTable(columns, rows, width, style, format === "wide").join("\n"));
}
