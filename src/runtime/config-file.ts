/** The configuration file: read once at start, compared with what the database holds, applied on SIGHUP. */
import { readFileSync } from "node:fs";
import { type Config, parseConfig, renderProblems } from "../config/config.ts";
import type { Mutation } from "../state/mutation.ts";

export interface LoadedFile {
  readonly path: string;
  readonly config: Config;
  /** Every problem with its line and a caret; empty for a good file. */
  readonly report: string;
}

/** Reads and checks a file. @throws Error with a sentence when it cannot be read */
export function loadFile(path: string, colour: boolean): LoadedFile {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new Error(`cannot read ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
  const config = parseConfig({
    text,
    file: path,
    env: (name) => process.env[name],
    readFile: (file) => readFileSync(file, "utf8"),
  });
  return {
    path,
    config,
    report: config.problems.length > 0 ? renderProblems(text, config.problems, colour) : "",
  };
}

/** The file as one transaction that puts everything in it. What the file lacks stays. */
export function fileMutation(file: LoadedFile, reason: string, dryRun = false): Mutation {
  return {
    ops: file.config.objects.map(({ kind, spec }) => ({ op: "put", kind, spec })),
    expectedGeneration: 0,
    dryRun,
    reason,
    requestId: "",
    principal: "cairnd",
    source: "file",
  };
}
