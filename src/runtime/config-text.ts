/** Configuration files that clients send. This host's environment and files are none of theirs. */
import { parseConfig } from "../config/config.ts";
import { writeConfig } from "../config/write.ts";
import type { ConfigText } from "../services/context.ts";

/** Stands for any variable while a client's file is read, so that the reader goes on and finds all references. */
const refused = "is filled in by the client";

export const configText: ConfigText = {
  parse(name, content, policyFiles) {
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
  },
  write: writeConfig,
};
