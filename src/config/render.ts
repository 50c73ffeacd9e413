/** Problems of a configuration file for people: place, line, caret, sentence, hint. */
import type { ConfigProblem } from "./tree.ts";

/** Longest part of a line that is shown. */
const widthMax = 160;

/**
 * All problems, each as
 * ```
 * cairn.toml:12:13: error: unknown key "hold_tme"
 *   12 | hold_tme = 30
 *      | ^^^^^^^^ did you mean hold_time
 * ```
 * @param colour with ANSI colours
 */
export function renderProblems(problems: readonly ConfigProblem[], colour: boolean): string {
  return problems.map((problem) => renderOne(problem, colour)).join("\n");
}

function renderOne(problem: ConfigProblem, colour: boolean): string {
  const paint = (code: string, part: string): string => (colour ? `\u001b[${code}m${part}\u001b[0m` : part);
  const characters = printable(problem.sourceLine);
  const from = problem.column > widthMax - 40 ? problem.column - 41 : 0;
  const shown = characters.slice(from, from + widthMax);
  const before = shown
    .slice(0, problem.column - 1 - from)
    .map((character) => (character === "\t" ? "\t" : " "));
  const carets = "^".repeat(Math.max(1, Math.min(problem.length, shown.length - before.length)));
  const number = String(problem.line);
  const margin = " ".repeat(number.length);
  const place = `${problem.file}:${problem.line}:${problem.column}:`;
  const isWarning = problem.severity === "warning";
  const [tone, word] = isWarning ? ["1;33", "warning:"] : ["1;31", "error:"];
  return [
    `${paint("1", place)} ${paint(tone, word)} ${printable(problem.message).join("")}`,
    `  ${number} | ${shown.join("")}`,
    `  ${margin} | ${before.join("")}${paint(tone, carets)}${problem.fix ? ` ${paint("36", printable(problem.fix).join(""))}` : ""}`,
    "",
  ].join("\n");
}

/** Characters of a text without those that could steer a terminal. */
function printable(text: string): string[] {
  return [...text].map((character) => (isControl(character) ? "\ufffd" : character));
}

const isControl = (character: string): boolean =>
  (character < " " && character !== "\t") || character === "\u007f";
