/** Input files of commands: JSON or YAML, or standard input for "-". */
import { readFileSync, writeFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import type { Context } from "./context.ts";
import { CliError, exitCode, usageError } from "./exit.ts";
import type { Option } from "./tree.ts";

export const fileOption: Option = {
  name: "file",
  short: "f",
  value: "FILE",
  help: "Read it from a JSON or YAML file; - reads standard input",
  from: "file",
};

/** One JSON or YAML document as an object. @throws CliError */
export async function readDocument(context: Context, file: string): Promise<Record<string, unknown>> {
  const source = await readText(context, file);
  const { parseDocument } = await import("yaml");
  const document = parseDocument(source, { prettyErrors: true });
  if (document.errors.length > 0) {
    throw new CliError(exitCode.usage, "USAGE", `${file} cannot be read:`, {
      violations: document.errors.map(({ message }) => ({ field: "", description: message.trimEnd() })),
    });
  }
  const value: unknown = document.toJS({ maxAliasCount: 100 });
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw usageError(
      `${file} does not hold an object`,
      "write name: ... and the fields of the spec below it",
    );
  }
  const object = value as Record<string, unknown>;
  // what `get -o yaml` prints can be fed back
  const inner = ["policy", "peerGroup", "prefixSet", "asPathSet", "communitySet", "neighborSet"].find(
    (key) => key in object,
  );
  const outer = (inner ? object[inner] : object) as Record<string, unknown>;
  return (typeof outer.spec === "object" && outer.spec !== null ? outer.spec : outer) as Record<
    string,
    unknown
  >;
}

/** The text of a file, or of standard input for "-". @throws CliError */
export async function readText(context: Context, file: string): Promise<string> {
  if (file === "-") return text(context.stdin);
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new CliError(exitCode.failed, "FILE", (error as Error).message);
  }
}

/** Replaces the text of a file. @throws CliError */
export function writeText(file: string, content: string): void {
  try {
    writeFileSync(file, content);
  } catch (error) {
    throw new CliError(exitCode.failed, "FILE", (error as Error).message);
  }
}
