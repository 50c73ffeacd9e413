/** Configuration files that clients send. This host's environment and files are none of theirs. */
import { parseConfig } from "../config/config.ts";
import { writeConfig } from "../config/write.ts";
import type { ConfigText } from "../services/context.ts";

/** Stands for any variable while a client's file is read, so that the reader goes on and finds all references. */
const refused = "is filled in by the client";

export const configText: ConfigText = {
  parse(name, content) {
    const file = name === "" ? "configuration.toml" : name;
    const { objects, problems } = parseConfig({
      text: content,
      file,
      env: () => undefined,
      readFile: () => {
        throw new Error(`what stands for it ${refused}`);
      },
    });
    const lines = problems.length > 0 ? content.split("\n") : [];
    return {
      objects,
      problems: problems.map((problem) => {
        const variable = /^the environment variable (\S+) is not set$/.exec(problem.message)?.[1];
        const sourceLine = (lines[problem.line - 1] ?? "").slice(0, 400);
        const message = variable === undefined ? problem.message : `\${${variable}} ${refused}`;
        return { ...problem, message, sourceLine };
      }),
    };
  },
  write: writeConfig,
};
