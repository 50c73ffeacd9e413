/** Help pages from the command tree. */

import type { Style } from "./style.ts";
import { renderFields, wrapText } from "./table.ts";
import type { Argument, Command, Option } from "./tree.ts";

/** The page for `command` as lines. */
export function helpPage(
  path: readonly string[],
  command: Command,
  globalOptions: readonly Option[],
  style: Style,
  width: number,
): string[] {
  const lines = [
    `${command.summary}.`,
    "",
    ...usageLines(path, command).map((line) => `${style.bold("usage:")} ${line}`),
  ];
  const heading = (text: string) => lines.push("", style.bold(text));
  const list = (rows: readonly (readonly [string, string])[]) => lines.push(...describe(rows, width));
  if (command.details)
    lines.push("", ...command.details.split("\n").flatMap((line) => wrapText(line, width)));
  if (command.args?.length) {
    heading("arguments");
    list(command.args.map((argument) => [argument.name, argument.help]));
  }
  const shown = (command.commands ?? []).filter(({ hidden }) => !hidden);
  if (shown.length > 0) {
    heading("commands");
    list(shown.map(({ name, summary }) => [name, summary]));
  }
  const own = command.options === globalOptions ? [] : (command.options ?? []);
  if (own.length > 0) {
    heading("options");
    list(own.map((option) => [optionText(option), option.help]));
  }
  if (command.options === globalOptions) {
    heading("options of every command");
    list(globalOptions.map((option) => [optionText(option), option.help]));
  }
  if (command.examples?.length) {
    heading("examples");
    lines.push(...renderFields(command.examples, { ...style, dim: (text) => text }));
  }
  if (command.options !== globalOptions)
    lines.push("", style.dim("options of every command: cairnctl --help"));
  return lines;
}

/** "cairnctl neighbor add ADDR [options]", one line per form. */
export function usageLines(path: readonly string[], command: Command): string[] {
  const head = ["cairnctl", ...path].join(" ");
  const args = (command.args ?? []).map(argumentText);
  const lines: string[] = [];
  if (command.run) lines.push([head, ...args, ...(command.options?.length ? ["[options]"] : [])].join(" "));
  if (command.commands?.length) lines.push(`${head} COMMAND ...`);
  return lines;
}

/** "-f, --family FAMILY ...". */
export function optionText(option: Option): string {
  const short = option.short ? `-${option.short}, ` : "";
  const value = option.value ? ` ${option.value}` : "";
  return `${short}--${option.name}${value}${option.repeat ? " ..." : ""}`;
}

function argumentText(argument: Argument): string {
  const name = argument.repeat ? `${argument.name}...` : argument.name;
  return argument.optional ? `[${name}]` : name;
}

function describe(rows: readonly (readonly [string, string])[], width: number): string[] {
  const left = Math.min(Math.max(...rows.map(([name]) => name.length)), 30);
  return rows.flatMap(([name, text]) => {
    const wrapped = wrapText(text, Math.max(30, Math.min(width, 110) - left - 4));
    const lines = wrapped.map((line, i) => `  ${(i === 0 ? name : "").padEnd(left)}  ${line}`);
    return name.length > left
      ? [`  ${name}`, ...wrapped.map((line) => `  ${"".padEnd(left)}  ${line}`)]
      : lines;
  });
}
