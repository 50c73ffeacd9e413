/** Configuration files that clients send. This host's environment and files are none of theirs. */
import { parseConfig } from "../config/config.ts";
import { writeConfig } from "../config/write.ts";
import type { ConfigText, FilePlace, ParsedFile } from "../services/context.ts";
import { ParserThread } from "./parser-thread.ts";

/** A file as it is sent. */
export interface SentFile {
  readonly name: string;
  readonly content: string;
  readonly policyFiles: readonly { readonly name: string; readonly content: string }[];
}

type Placed = Pick<ParsedFile, "objects" | "problems"> & { locate(path: string): FilePlace | undefined };

/** Stands for any variable while a client's file is read, so that the reader goes on and finds all references. */
const refused = "is filled in by the client";
/** A longer file would hold up the owner for more than a turn: some hundred objects. */
const hereCharactersMax = 8_192;

/** For files that are large, or of this host. */
export const parserThread: ParserThread = new ParserThread();

export const configText: ConfigText = {
  async parse(name, content, policyFiles) {
    const file = { name, content, policyFiles };
    const length = policyFiles.reduce((sum, each) => sum + each.content.length, content.length);
    if (length > hereCharactersMax) return parserThread.parse(file);
    const { locate, ...parsed } = parseSent(file);
    return { ...parsed, locate: (paths) => Promise.resolve(paths.map(locate)) };
  },
  write: writeConfig,
};

/** Reads a file that a client sent, at once. */
export function parseSent({ name, content, policyFiles }: SentFile): Placed {
  const file = name === "" ? "configuration.toml" : name;
  const sent = new Map(policyFiles.map((each) => [each.name, each.content]));
  const { objects, problems, locate } = parseConfig({
    text: content,
    file,
    env: () => undefined,
    readFile: (path, what) => {
      if (what === "secret") throw new Error(`what stands for it ${refused}`);
      const text = sent.get(path);
      if (text === undefined) throw new Error("the client sends it along in policy_files");
      return text;
    },
  });
  return {
    objects,
    locate,
    problems: problems.map((problem) => {
      const variable = /^the environment variable (\S+) is not set$/.exec(problem.message)?.[1];
      const sourceLine = problem.sourceLine.slice(0, 400);
      const message = variable === undefined ? problem.message : `\${${variable}} ${refused}`;
      return { ...problem, message, sourceLine };
    }),
  };
}
