/** The policy files that a configuration file names: the daemon reads no files for a client, so they are sent along. */
import path from "node:path";
import type { Context } from "./context.ts";
import { readText } from "./read-file.ts";

/** @throws CliError when one cannot be read */
export async function policyFilesOf(
  context: Context,
  file: string,
  content: string,
): Promise<{ name: string; content: string }[]> {
  const around = file === "-" ? "." : path.dirname(file);
  const names = await namesIn(file, content);
  return Promise.all(
    names.map(async (name) => ({ name, content: await readText(context, path.resolve(around, name)) })),
  );
}

/** What `policy_files` holds. A file that cannot be parsed names none: the daemon says what is wrong with it. */
async function namesIn(file: string, content: string): Promise<string[]> {
  if (!content.includes("policy_files")) return [];
  const documents: unknown[] = [];
  try {
    if (/\.ya?ml$/i.test(file)) {
      const { parseAllDocuments } = await import("yaml");
      for (const document of parseAllDocuments(content)) {
        documents.push("toJS" in document ? document.toJS({ maxAliasCount: 100 }) : undefined);
      }
    } else {
      const { getStaticTOMLValue, parseTOML } = await import("toml-eslint-parser");
      documents.push(getStaticTOMLValue(parseTOML(content, { tomlVersion: "1.0" })));
    }
  } catch {
    return [];
  }
  const names = documents.flatMap((document) => {
    const named = (document as { policy_files?: unknown } | null)?.policy_files;
    return Array.isArray(named) ? named : [];
  });
  return [...new Set(names.filter((name) => typeof name === "string"))];
}
