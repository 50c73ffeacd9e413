/** Writes docs/cli.md from the command tree: node scripts/cli-doc.ts (with --check: only says whether it is current). */
import { readFileSync, writeFileSync } from "node:fs";
import { optionText, usageLines } from "../src/cli/help.ts";
import { globalOptions, rootCommand } from "../src/cli/root.ts";
import { type Command, type Option, resolveCommand } from "../src/cli/tree.ts";

const file = new URL("../docs/cli.md", import.meta.url);

/** The whole page. */
export async function cliDoc(): Promise<string> {
  const lines = [
    "# cairnctl",
    "",
    "<!-- Written by scripts/cli-doc.ts from the command tree in src/cli; do not edit. -->",
    "",
    `${rootCommand.summary}. ${rootCommand.details}`,
    "",
    "Options of every command:",
    "",
    ...optionTable(globalOptions),
    ...(await section(rootCommand, [])),
  ];
  return `${lines.join("\n")}\n`;
}

async function section(command: Command, path: readonly string[]): Promise<string[]> {
  const lines: string[] = [];
  if (path.length > 0) {
    lines.push(
      "",
      `${"#".repeat(Math.min(path.length + 1, 4))} cairnctl ${path.join(" ")}`,
      "",
      `${command.summary}.`,
    );
    lines.push("", "```", ...usageLines(path, command), "```");
    if (command.details) lines.push("", ...command.details.split("\n").map(escapeText));
    if (command.args?.length) {
      lines.push("", "| argument | |", "|---|---|");
      for (const { name, help } of command.args) lines.push(`| \`${name}\` | ${escapeText(help)} |`);
    }
    if (command.options?.length) lines.push("", ...optionTable(command.options));
    if (command.examples?.length) {
      lines.push("", "```sh");
      for (const [example, what] of command.examples)
        lines.push(what === "" ? example : `${example}   # ${what}`);
      lines.push("```");
    }
  }
  for (const entry of command.commands ?? []) {
    if (!entry.hidden) lines.push(...(await section(await resolveCommand(entry), [...path, entry.name])));
  }
  return lines;
}

function optionTable(options: readonly Option[]): string[] {
  const rows = options.map(
    (option) => `| \`${optionText(option).replaceAll("|", "\\|")}\` | ${escapeText(option.help)} |`,
  );
  return ["| option | |", "|---|---|", ...rows];
}

function escapeText(text: string): string {
  return text.replace(/[|<>*_]/g, "\\$&");
}

if (import.meta.main) {
  const text = await cliDoc();
  if (process.argv.includes("--check")) {
    const current = readFileSync(file, "utf8") === text;
    if (!current) console.error("docs/cli.md is not current: node_modules/.bin/node scripts/cli-doc.ts");
    process.exitCode = current ? 0 : 1;
  } else {
    writeFileSync(file, text);
  }
}
