/** history, diff, rollback, blame, export: generations as an operator looks at them. */
import {
  type BlameLine,
  BlameResponseSchema,
  ConfigFormat,
  ConfigService,
  DiffResponseSchema,
  ExportResponseSchema,
  type Generation,
  GetGenerationResponseSchema,
  RollbackResponseSchema,
} from "../../gen/cairn/v1/config_service_pb.ts";
import {
  configFile,
  configFileOption,
  configGates,
  confirmation,
  confirmOptions,
  gateOptions,
  pendingLines,
  pruneOption,
} from "../config-source.ts";
import { exitCode, usageError } from "../exit.ts";
import { humanTime, safeText } from "../human.ts";
import { changeLines, mutationFields, mutationOptions, tellMutation } from "../mutate.ts";
import { listAll, writeList } from "../paging.ts";
import { writeTable } from "../table.ts";
import type { Argument, Command } from "../tree.ts";

const { method } = ConfigService;

function generation(text: string): bigint {
  if (!/^\d{1,18}$/.test(text))
    throw usageError(`"${text}" is not a generation`, "cairnctl history lists them");
  return BigInt(text);
}

export const historyCommand: Command = {
  name: "history",
  summary: "Generations: who changed what, when and why",
  args: [{ name: "GEN", help: "Show the changes of one generation", optional: true }],
  options: [
    { name: "object", value: "KIND/NAME", help: "Only generations that changed this object" },
    { name: "principal", value: "WHO", help: "Only changes by this caller" },
    { name: "lines", short: "n", value: "N", help: "Only the newest N" },
  ],
  examples: [
    ["cairnctl history", "newest first"],
    ["cairnctl history 41", "what generation 41 changed"],
    ["cairnctl history --object Neighbor/192.0.2.1", "all changes of one neighbor"],
  ],
  run: async (context, invocation) => {
    const client = await context.client();
    const { out, style } = context;
    const one = invocation.arg("GEN");
    if (one !== "") {
      const response = await client.call(method.getGeneration, { generation: generation(one) });
      if (!context.forPeople) return context.message(GetGenerationResponseSchema, response);
      const shown = response.generation;
      if (!shown) return;
      out.line(style.bold(`generation ${shown.generation}`));
      out.line(`  ${humanTime(shown.time)}  ${safeText(shown.principal)}  ${safeText(shown.reason)}`);
      out.line(changeLines(shown.changes, context, false).join("\n"));
      return;
    }
    const request = {
      object: invocation.option("object") ?? "",
      principal: invocation.option("principal") ?? "",
    };
    const lines = invocation.option("lines");
    if (lines !== undefined && !/^[1-9]\d{0,3}$/.test(lines))
      throw usageError(`--lines: "${lines}" is not 1 to 9999`);
    if (!context.forPeople && lines === undefined) return writeList(context, method.listGenerations, request);
    const response =
      lines === undefined
        ? await listAll(client, method.listGenerations, request)
        : await client.call(method.listGenerations, { ...request, pageSize: Number(lines) });
    if (!context.forPeople) return context.message(method.listGenerations.output, response);
    if (response.generations.length === 0) return out.line("no generations");
    writeTable<Generation>(
      context,
      [
        { title: "GEN", value: (row) => `${row.generation}${row.pinned ? "*" : ""}`, align: "right" },
        { title: "TIME", value: (row) => humanTime(row.time) },
        { title: "WHO", value: (row) => safeText(row.principal), min: 6 },
        { title: "SOURCE", value: (row) => row.source, drop: 2 },
        { title: "CHANGES", value: (row) => objectsText(row), min: 12 },
        { title: "REASON", value: (row) => safeText(row.reason), min: 8, drop: 1 },
        { title: "NOTE", value: noteText },
      ],
      response.generations,
    );
  },
};

function objectsText(row: Generation): string {
  const more = row.changedObjects - row.objects.length;
  return row.objects.map(safeText).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

function noteText(row: Generation): string {
  const notes = [
    row.pending ? "waits for confirmation" : "",
    row.restores > 0n ? `as ${row.restores}` : "",
    row.pinned ? "pinned" : "",
  ];
  return notes.filter((note) => note !== "").join(", ");
}

export const diffCommand: Command = {
  name: "diff",
  summary: "Differences between generations, or to a file",
  details:
    "With -f: what applying the file would change. With one generation: from it to now. Exit code 3 for changes.",
  args: [
    { name: "FROM", help: "Generation to start from", optional: true },
    { name: "TO", help: "Generation to go to; default: what is in force", optional: true },
  ],
  options: [configFileOption, pruneOption],
  examples: [
    ["cairnctl diff -f router.toml", "does the file differ from what is in force"],
    ["cairnctl diff 41 44", "between two generations"],
    ["cairnctl diff 41", "since generation 41"],
  ],
  run: async (context, invocation) => {
    const from = invocation.arg("FROM");
    const to = invocation.arg("TO");
    const withFile = invocation.option("file") !== undefined;
    if (withFile === (from !== "")) throw usageError("give generations, or a file with -f");
    const client = await context.client();
    const response = await client.call(
      method.diff,
      withFile
        ? { target: { case: "file" as const, value: await configFile(context, invocation) } }
        : {
            from: generation(from),
            target: { case: "to" as const, value: to === "" ? 0n : generation(to) },
          },
    );
    if (!context.forPeople) await context.message(DiffResponseSchema, response);
    else if (response.changes.length === 0) context.out.line("no difference");
    else context.out.line(changeLines(response.changes, context, withFile).join("\n"));
    return response.changes.length > 0 ? exitCode.changes : exitCode.ok;
  },
};

const toArgument: Argument = { name: "GEN", help: "Generation to go back to" };

export const rollbackCommand: Command = {
  name: "rollback",
  summary: "Declares again what an earlier generation declared",
  details: "That is a new generation with its own number; nothing is lost, and it can be rolled back too.",
  args: [toArgument],
  options: [...confirmOptions, ...gateOptions, ...mutationOptions],
  examples: [
    ["cairnctl rollback 41 --dry-run", "what would change"],
    ["cairnctl rollback 41 --reason 'transit lost'", "do it"],
  ],
  run: async (context, invocation) => {
    const client = await context.client();
    const response = await client.call(method.rollback, {
      generation: generation(invocation.arg("GEN")),
      gates: configGates(invocation),
      confirm: confirmation(invocation),
      ...mutationFields(invocation),
    });
    await tellMutation(context, invocation, RollbackResponseSchema, response);
    if (context.forPeople && response.pending)
      context.out.line(pendingLines(response.pending, context).join("\n"));
  },
};

export const blameCommand: Command = {
  name: "blame",
  summary: "Who set each field of an object",
  args: [
    { name: "OBJECT", help: "KIND/NAME, such as Neighbor/192.0.2.1 or Global" },
    { name: "FIELD", help: "Only this field", optional: true },
  ],
  examples: [["cairnctl blame Neighbor/192.0.2.1 hold_time", "who set it, when and why"]],
  run: async (context, invocation) => {
    const [kind, ...rest] = invocation.arg("OBJECT").split("/");
    const client = await context.client();
    const response = await client.call(method.blame, {
      kind,
      name: rest.join("/"),
      field: invocation.arg("FIELD"),
    });
    if (!context.forPeople) return context.message(BlameResponseSchema, response);
    writeTable<BlameLine>(
      context,
      [
        { title: "FIELD", value: (line) => line.path },
        { title: "VALUE", value: (line) => safeText(line.value), min: 10 },
        { title: "GEN", value: (line) => `${line.older ? "<= " : ""}${line.generation}`, align: "right" },
        { title: "TIME", value: (line) => humanTime(line.time), drop: 2 },
        { title: "WHO", value: (line) => safeText(line.principal) },
        { title: "REASON", value: (line) => safeText(line.reason), min: 8, drop: 1 },
      ],
      response.lines,
    );
  },
};

export const exportCommand: Command = {
  name: "export",
  summary: "The configuration as TOML or YAML",
  details:
    "Applied to an empty router, the text gives the same configuration. Secrets are left out and named.",
  args: [{ name: "GEN", help: "A generation; default: what is in force", optional: true }],
  options: [
    { name: "format", value: "FORMAT", help: "toml (default) or yaml", from: ["toml", "yaml"] },
    { name: "kind", value: "KIND", repeat: true, help: "Only objects of this kind" },
  ],
  examples: [
    ["cairnctl export > router.toml", "a file that cairnd can be started with"],
    ["cairnctl export 41 --format yaml", "as it was"],
  ],
  run: async (context, invocation) => {
    const format = invocation.option("format") ?? "toml";
    if (format !== "toml" && format !== "yaml")
      throw usageError(`--format: "${format}" is neither toml nor yaml`);
    const from = invocation.arg("GEN");
    const response = await (await context.client()).call(method.export, {
      generation: from === "" ? 0n : generation(from),
      format: format === "toml" ? ConfigFormat.TOML : ConfigFormat.YAML,
      kinds: [...invocation.options("kind")],
    });
    if (!context.forPeople) return context.message(ExportResponseSchema, response);
    context.out.write(response.content);
    for (const field of response.hidden) context.note(`secret left out: ${safeText(field)}`);
  },
};
