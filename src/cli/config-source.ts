/** What the commands over whole configurations share: the file, gates, confirmation, and how a pending change is told. */
import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type ConfigFile,
  ConfigFileSchema,
  type ConfigGates,
  ConfigGatesSchema,
  type ConfirmOptions,
  ConfirmOptionsSchema,
  type Pending,
} from "../gen/cairn/v1/config_service_pb.ts";
import type { Context } from "./context.ts";
import { CliError, exitCode, usageError } from "./exit.ts";
import { humanSeconds, humanTime, parseSpanMs, safeText } from "./human.ts";
import { policyFilesOf } from "./policy-files.ts";
import { readText } from "./read-file.ts";
import type { Invocation, Option } from "./tree.ts";

export const configFileOption: Option = {
  name: "file",
  short: "f",
  value: "FILE",
  help: "Configuration file, TOML or YAML by its ending; - reads standard input as TOML",
  from: "file",
};

export const pruneOption: Option = {
  name: "prune",
  help: "Also delete what a file declared earlier and this one lacks; objects of the API stay",
};

export const skipTestsOption: Option = {
  name: "skip-policy-tests",
  help: "Go on although policy tests fail",
};

export const gateOptions: readonly Option[] = [
  { name: "max-resets", value: "N", help: "Refuse when more than N sessions would be reset" },
  { name: "max-withdrawn", value: "N", help: "Refuse when neighbors would lose more than N routes" },
  skipTestsOption,
];

export const confirmOptions: readonly Option[] = [
  {
    name: "confirm-within",
    value: "SPAN",
    help: "Take the change back unless it is confirmed in time, such as 5m",
  },
  {
    name: "health",
    value: "CONDITION",
    repeat: true,
    help: 'Condition that must hold, such as "bgp.established >= 3"; all of them confirm by themselves',
  },
  { name: "hold-for", value: "SPAN", help: "How long the conditions must hold" },
  { name: "grace", value: "SPAN", help: "How long after the change a condition may be broken" },
];

/** The file named by `-f`. @throws CliError when it is missing or cannot be read */
export async function configFile(context: Context, invocation: Invocation): Promise<ConfigFile> {
  const file = invocation.option("file");
  if (file === undefined) throw usageError("which file?", "-f FILE, or -f - for standard input");
  const content = withVariables(await readText(context, file), context.env);
  return create(ConfigFileSchema, {
    name: file === "-" ? "stdin.toml" : file,
    content,
    prune: invocation.flag("prune"),
    policyFiles: await policyFilesOf(context, file, content),
  });
}

/**
 * The text with each `${NAME}` replaced by the caller's environment variable, as the daemon does with its own start-up
 * file: it does not read its environment for a client. `$${` stays for the parser. @throws CliError
 */
export function withVariables(text: string, env: Readonly<Record<string, string | undefined>>): string {
  const missing = new Set<string>();
  const filled = text.replace(/(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g, (whole, name: string) => {
    const value = env[name];
    if (value === undefined) missing.add(name);
    return value === undefined
      ? whole
      : JSON.stringify(value)
          .slice(1, -1)
          .replaceAll("$" + "{", () => "$$" + "{");
  });
  if (missing.size > 0) {
    const names = [...missing].join(", ");
    throw new CliError(exitCode.failed, "VARIABLE", `the file names variables that are not set: ${names}`);
  }
  return filled;
}

/** The gates given, if any. @throws CliError (usage) */
export function configGates(invocation: Invocation): ConfigGates | undefined {
  const resets = count(invocation, "max-resets");
  const withdrawn = count(invocation, "max-withdrawn");
  const skipPolicyTests = invocation.flag("skip-policy-tests");
  if (resets === undefined && withdrawn === undefined && !skipPolicyTests) return undefined;
  return create(ConfigGatesSchema, {
    skipPolicyTests,
    maxResets: resets,
    maxWithdrawn: withdrawn === undefined ? undefined : BigInt(withdrawn),
  });
}

function count(invocation: Invocation, name: string): number | undefined {
  const text = invocation.option(name);
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text)) throw usageError(`--${name}: "${text}" is not a number`);
  return Number(text);
}

/** What is asked for confirmation, if anything. @throws CliError (usage) */
export function confirmation(invocation: Invocation): ConfirmOptions | undefined {
  const within = span(invocation, "confirm-within");
  const conditions = invocation.options("health");
  if (within === undefined) {
    if (conditions.length > 0 || invocation.option("hold-for") !== undefined) {
      throw usageError("health conditions need a time", "--confirm-within 5m");
    }
    return undefined;
  }
  return create(ConfirmOptionsSchema, {
    confirmWithin: durationFromMs(within),
    conditions: conditions.map((expression) => ({ expression })),
    holdFor: optionalSpan(invocation, "hold-for"),
    grace: optionalSpan(invocation, "grace"),
  });
}

function optionalSpan(invocation: Invocation, name: string): ReturnType<typeof durationFromMs> | undefined {
  const ms = span(invocation, name);
  return ms === undefined ? undefined : durationFromMs(ms);
}

function span(invocation: Invocation, name: string): number | undefined {
  const text = invocation.option(name);
  if (text === undefined) return undefined;
  const ms = parseSpanMs(text);
  if (ms === undefined) throw usageError(`--${name}: "${text}" is not a span`, "write 90s, 5m or 1h");
  return ms;
}

/** Tells of a change that waits for its confirmation. */
export function pendingLines(pending: Pending, { style }: Context): string[] {
  const { deadline, confirmsAt } = pending;
  const left = deadline ? Math.max(0, (timestampMs(deadline) - Date.now()) / 1000) : 0;
  const lines = [
    style.warn(
      `generation ${pending.generation} is taken back to ${pending.revertTo} in ${humanSeconds(Math.round(left))} ` +
        `(${humanTime(deadline)}) unless it is confirmed`,
    ),
  ];
  for (const { expression, holds, value } of pending.conditions) {
    const word = holds ? style.good("holds ") : style.bad("broken");
    lines.push(`  ${word} ${safeText(expression)}  ${style.dim(safeText(value))}`);
  }
  if (confirmsAt) lines.push(`  confirms by itself at ${humanTime(confirmsAt)} if the conditions hold`);
  lines.push(style.dim("  cairnctl confirm keeps it, cairnctl abort takes it back now"));
  return lines;
}
