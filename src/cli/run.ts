/** One run of cairnctl: parse, find the daemon, do it, tell errors, answer the exit code. */
import type { Readable, Writable } from "node:stream";
import { defaultAddress, parseAddress } from "./address.ts";
import type { Client } from "./client.ts";
import type { Context, Format } from "./context.ts";
import { CliError, exitCode, OutputClosed } from "./exit.ts";
import { helpPage } from "./help.ts";
import { parseSpanMs, safeText } from "./human.ts";
import { Output } from "./output.ts";
import { parseCommandLine } from "./parse.ts";
import { globalOptions, rootCommand } from "./root.ts";
import { coloured, plain, type Style } from "./style.ts";
import type { Invocation } from "./tree.ts";

const timeoutMsDefault = 30_000;

/** What a run takes from its process; tests give their own. */
export interface Surroundings {
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number };
  readonly stderr: Writable & { readonly isTTY?: boolean };
  readonly stdin: Readable;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
}

/** Runs one command line (without the program's name) and answers the exit code. Never throws. */
export async function runCli(words: readonly string[], around: Surroundings): Promise<number> {
  const out = new Output(around.stdout);
  around.stderr.on("error", () => {});
  const interrupt = new AbortController();
  const onInterrupt = () => (interrupt.signal.aborted ? process.exit(130) : interrupt.abort());
  process.on("SIGINT", onInterrupt);
  let client: Client | undefined;
  let jsonErrors = words.some((word) => word === "--json" || word === "json" || word === "ndjson");
  let code: number;
  try {
    const { invocation, help } = await parseCommandLine(rootCommand, expandWords(words));
    const format = chooseFormat(invocation);
    jsonErrors = format === "json" || format === "ndjson";
    const style = chooseStyle(invocation, around);
    const width = around.stdout.isTTY ? (around.stdout.columns ?? 80) : Number.POSITIVE_INFINITY;
    if (help) {
      const page = helpPage(invocation.path, invocation.command, globalOptions, style, Math.min(width, 100));
      out.line(page.join("\n"));
      code = words.length === 0 ? exitCode.usage : exitCode.ok;
    } else {
      const address =
        invocation.option("address") || around.env.CAIRN_ADDR || defaultAddress(around.env, around.uid);
      const context: Context = {
        out,
        style,
        width,
        format,
        address,
        forPeople: format === "table" || format === "wide",
        isTerminal: around.stdout.isTTY === true,
        rows: around.stdout.rows ?? 24,
        stdin: around.stdin,
        env: around.env,
        signal: interrupt.signal,
        note: (text) => void around.stderr.write(`${text}\n`),
        client: async () => (client ??= await connect(address, invocation, around.env)),
        message: async (schema, message) => {
          const { writeMessage } = await import("./message-output.ts");
          await writeMessage(out, format, schema, message);
        },
      };
      code = (await invocation.command.run!(context, invocation)) ?? exitCode.ok;
    }
  } catch (error) {
    code = await tellError(error, out, around, jsonErrors);
  }
  await out.finish();
  client?.close();
  process.off("SIGINT", onInterrupt);
  return code;
}

/** Spellings that people try first: help X, --version, and nothing at all. */
function expandWords(words: readonly string[]): readonly string[] {
  if (words.length === 1 && (words[0] === "--version" || words[0] === "-V")) return ["version"];
  if (words.length === 0) return ["--help"];
  return words[0] === "help" ? [...words.slice(1), "--help"] : words;
}

function chooseFormat(invocation: Invocation): Format {
  if (invocation.flag("json")) return "json";
  const name = invocation.option("output") ?? "table";
  const known: readonly Format[] = ["table", "wide", "json", "yaml", "ndjson"];
  const format = known.find((candidate) => candidate === name);
  if (format) return format;
  throw new CliError(exitCode.usage, "USAGE", `there is no output format "${name}"`, {
    hints: [`one of: ${known.join(", ")}`],
  });
}

function chooseStyle(invocation: Invocation, around: Surroundings): Style {
  const wanted = invocation.option("color");
  if (wanted !== undefined) return wanted === "true" ? coloured : plain;
  const colour = around.stdout.isTTY && !around.env.NO_COLOR && around.env.TERM !== "dumb";
  return colour ? coloured : plain;
}

async function connect(
  address: string,
  invocation: Invocation,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Client> {
  const timeout = invocation.option("timeout");
  const timeoutMs = timeout === undefined ? timeoutMsDefault : parseSpanMs(timeout);
  if (timeoutMs === undefined || timeoutMs <= 0) {
    throw new CliError(exitCode.usage, "USAGE", `--timeout: "${timeout}" is not a span`, {
      hints: ["examples: 5s, 500ms, 2m"],
    });
  }
  const target = parseAddress(address);
  const { Client } = await import("./client.ts");
  return new Client(target, {
    tlsCa: invocation.option("tls-ca") ?? env.CAIRN_TLS_CA,
    tlsCert: invocation.option("tls-cert") ?? env.CAIRN_TLS_CERT,
    tlsKey: invocation.option("tls-key") ?? env.CAIRN_TLS_KEY,
    tokenFile: invocation.option("token-file") ?? env.CAIRN_TOKEN_FILE,
    timeoutMs,
    streamDeadline: timeout !== undefined,
  });
}

async function tellError(error: unknown, out: Output, around: Surroundings, json: boolean): Promise<number> {
  if (error instanceof OutputClosed) return exitCode.ok;
  await out.finish(); // what was printed before the error comes first
  if (!(error instanceof CliError)) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    around.stderr.write(`cairnctl: this is a defect of cairnctl, please report it:\n${text}\n`);
    return exitCode.failed;
  }
  if (json) {
    const { code, message, reason, violations, hints, exit } = error;
    around.stderr.write(`${JSON.stringify({ error: { code, message, reason, violations, hints }, exit })}\n`);
    return error.exit;
  }
  const colour = around.stderr.isTTY && !around.env.NO_COLOR;
  const style = colour ? coloured : plain;
  const lines = [`${style.bad("error:")} ${safeText(errorHeadline(error))}`];
  for (const { field, description } of error.violations) {
    const named = field !== "" && !description.startsWith(field);
    lines.push(`  ${!named ? "" : `${style.bold(safeText(field))}: `}${safeText(description)}`);
  }
  for (const hint of error.hints) lines.push(`  ${safeText(hint)}`);
  around.stderr.write(`${lines.join("\n")}\n`);
  return error.exit;
}

/** With one violation whose text the message repeats, the message alone would say it twice. */
function errorHeadline(error: CliError): string {
  const repeated = error.violations.some(({ description }) => error.message.includes(description));
  if (!repeated) return error.message;
  return error.violations.length === 1 ? "refused:" : `refused, ${error.violations.length} problems:`;
}
