/** The configuration file: read once at start, compared with what the database holds, applied on SIGHUP. */
import { readFileSync } from "node:fs";
import nodePath from "node:path";
import { type Config, parseConfig, renderProblems } from "../config/config.ts";
import { type ObjectChange, ObjectChange_Action } from "../gen/cairn/v1/types_pb.ts";
import { pruneOps } from "../services/config-source.ts";
import type { Mutation } from "../state/mutation.ts";
import type { CoreView } from "../state/view.ts";

export interface LoadedFile {
  readonly path: string;
  readonly config: Config;
  /** Every problem with its line and a caret; empty for a good file. */
  readonly report: string;
  /** What is allowed but looks wrong, in the same form. */
  readonly warnings: string;
}

/** Reads and checks a file with the policy files that it names, and runs their tests. @throws Error with a sentence when it cannot be read */
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
    readFile: (file, what) => {
      return readFileSync(what === "policy" ? nodePath.resolve(nodePath.dirname(path), file) : file, "utf8");
    },
  });
  const wrong = [...config.problems, ...config.failedTests];
  return {
    path,
    config,
    report: renderProblems(wrong, colour),
    warnings: renderProblems(config.warnings, colour),
  };
}

/**
 * The file as one transaction: puts of everything in it, and deletes of what a file declared earlier and this one
 * lacks. What the API declared stays.
 */
export function fileMutation(
  objects: Config["objects"],
  view: CoreView,
  reason: string,
  dryRun = false,
): Mutation {
  return {
    ops: [
      ...objects.map(({ kind, spec }) => ({ op: "put", kind, spec }) as const),
      ...pruneOps(view, objects, "file"),
    ],
    expectedGeneration: 0,
    dryRun,
    reason,
    requestId: "",
    principal: "cairnd",
    source: "file",
    method: reason,
  };
}

/** `Neighbor/192.0.2.1 (changed), Policy/a (missing)` and so on; long lists are counted. */
export function describeChanges(changes: readonly ObjectChange[]): string {
  const words: Readonly<Record<number, string>> = {
    [ObjectChange_Action.CREATE]: "only in the file",
    [ObjectChange_Action.UPDATE]: "differs",
    [ObjectChange_Action.DELETE]: "only in the database",
  };
  const named = changes.slice(0, namedMax).map(({ kind, name, action, fields }) => {
    const paths =
      action === ObjectChange_Action.UPDATE ? `: ${fields.map(({ path }) => path).join(", ")}` : "";
    return `${kind}/${name} (${words[action]}${paths})`;
  });
  const more = changes.length - named.length;
  return named.join("; ") + (more > 0 ? `; and ${more} more` : "");
}

const namedMax = 20;
