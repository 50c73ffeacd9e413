/** Lines that fit the screen. */
import { stripVTControlCharacters } from "node:util";
import { humanCount } from "../human.ts";
import type { Style } from "../style.ts";
import { displayWidth, wrapText } from "../table.ts";

const sparks = "▁▂▃▄▅▆▇█";

/** The last `width` samples as blocks, the highest of them as a full one. */
export function sparkline(samples: readonly number[], width: number): string {
  const shown = samples.slice(-width);
  const top = Math.max(...shown, 0);
  const blocks = shown.map((sample) =>
    top === 0 ? sparks[0] : sparks[Math.round((sample / top) * (sparks.length - 1))],
  );
  return blocks.join("").padStart(shown.length === 0 ? 0 : width, " ");
}

/** A rate a second: with a tenth while it is small. */
export function rateText(rate: number): string {
  if (rate === 0) return "0";
  return rate < 10 ? rate.toFixed(1) : humanCount(Math.round(rate));
}

/** Joins parts by two blanks while they fit. */
export function fit(parts: readonly string[], columns: number): string {
  let line = "";
  for (const part of parts) {
    const next = line === "" ? part : `${line}  ${part}`;
    if (displayWidth(next) > columns && line !== "") break;
    line = next;
  }
  return line;
}

/** Cuts a line that may hold colour codes; then without its colours. */
export function clip(line: string, columns: number): string {
  if (displayWidth(line) <= columns) return line;
  const bare = stripVTControlCharacters(line);
  return bare.length <= columns ? line : `${bare.slice(0, Math.max(0, columns - 1))}…`;
}

/** Lines that are too long go on below, further in; without their colours. */
export function folded(lines: readonly string[], columns: number): string[] {
  return lines.flatMap((line) => {
    if (displayWidth(line) <= columns) return [line];
    const bare = stripVTControlCharacters(line);
    const indent = " ".repeat(Math.min(bare.length - bare.trimStart().length + 4, columns >> 1));
    const [first, ...rest] = wrapText(bare.trimStart(), columns - indent.length);
    return [indent.slice(4) + first, ...rest.map((text) => clip(indent + text, columns))];
  });
}

/** The part of a long page that `scroll` leads to, with a last line that says what is below. */
export function scrolled(lines: readonly string[], scroll: number, rows: number, style: Style): string[] {
  if (!Number.isFinite(rows) || lines.length <= rows) return [...lines];
  const first = Math.min(scroll, lines.length - rows + 1);
  const shown = lines.slice(first, first + rows - 1);
  const below = lines.length - first - shown.length;
  return [...shown, style.dim(below > 0 ? `-- ${humanCount(below)} more lines: j or space --` : "-- end --")];
}

/** First row to show so that row `at` is in view, in the middle while there are rows on both sides. */
export function windowStart(at: number, rows: number, visible: number): number {
  if (!Number.isFinite(visible)) return 0;
  return Math.max(0, Math.min(at - Math.floor(visible / 2), rows - visible));
}

/** Words that must all be in a row for it to be shown. */
export function wordsOf(filter: string): string[] {
  return filter
    .toLowerCase()
    .split(" ")
    .filter((word) => word !== "");
}
