/** mrt: dumps of this router, and anybody's MRT files. */
import { toJson } from "@bufbuild/protobuf";
import { ControlService, TriggerMrtDumpResponseSchema } from "../../gen/cairn/v1/control_service_pb.ts";
import {
  GetMrtDumpResponseSchema,
  MrtContent,
  type MrtDump,
  MrtDumpSpecSchema,
  type MrtDumpState,
  MrtService,
  SetMrtDumpResponseSchema,
} from "../../gen/cairn/v1/mrt_service_pb.ts";
import { usageError } from "../exit.ts";
import { humanBytes, humanCount, humanDuration, humanTime, safeText } from "../human.ts";
import { mutationFields, mutationOptions, tellMutation } from "../mutate.ts";
import { deleteVerb } from "../named.ts";
import { listAll, writeList } from "../paging.ts";
import { specFields } from "../spec-fields.ts";
import { clearedFields, clearOption, readSpec, specFromFlags, specOptions } from "../spec-flags.ts";
import type { Style } from "../style.ts";
import { type Column, renderFields, writeTable } from "../table.ts";
import type { Argument, Command } from "../tree.ts";
import { catCommand, replayCommand, statsCommand } from "./mrt-files.ts";

const { method } = MrtService;
const nameArgument: Argument = { name: "NAME", help: "Name of the dump", from: "mrt-dump" };

/** Dumps in a table. */
export const dumpColumns: readonly Column<MrtDump>[] = [
  { title: "DUMP", value: ({ spec }) => spec?.name ?? "" },
  { title: "CONTENT", value: ({ spec }) => contentWord(spec?.content) },
  { title: "LAST FILE", value: ({ state }) => state?.lastFile.split("/").pop() || "none", min: 12 },
  { title: "SIZE", value: ({ state }) => humanBytes(state?.lastBytes ?? 0n), align: "right", drop: 2 },
  {
    title: "NEXT",
    value: ({ state }) => (state?.nextTime ? humanTime(state.nextTime) : "on demand"),
    drop: 1,
  },
  { title: "FAILED", value: ({ state }) => humanCount(state?.failures ?? 0n), align: "right", drop: 3 },
  { title: "DROPPED", value: ({ state }) => humanCount(state?.dropped ?? 0n), align: "right", drop: 4 },
];

const listCommand: Command = {
  name: "list",
  summary: "All dumps, and how they fare",
  examples: [["cairnctl mrt list", "what is written, when the next file is due, what failed"]],
  run: async (context) => {
    if (!context.forPeople) return writeList(context, method.listMrtDumps, {});
    const { mrtDumps } = await listAll(await context.client(), method.listMrtDumps, {});
    if (mrtDumps.length === 0) return context.out.line("no dumps: cairnctl mrt set NAME --path PATTERN");
    writeTable(context, dumpColumns, mrtDumps);
  },
};

const getCommand: Command = {
  name: "get",
  summary: "One dump in full",
  args: [nameArgument],
  examples: [["cairnctl mrt get rib", "settings, the last file, and why the last one failed"]],
  run: async (context, invocation) => {
    const client = await context.client();
    const response = await client.call(method.getMrtDump, { name: invocation.arg("NAME") });
    if (!context.forPeople) return context.message(GetMrtDumpResponseSchema, response);
    const { spec, state } = response.mrtDump ?? {};
    if (!spec) return;
    const { out, style } = context;
    out.line(style.bold(safeText(spec.name)));
    out.line(renderFields(specFields(MrtDumpSpecSchema, spec, ["name"]), style).join("\n"));
    if (!state) return;
    for (const line of dumpStateLines(state, style)) out.line(`  ${line}`);
  },
};

/** How a dump fares, in sentences. */
export function dumpStateLines(state: MrtDumpState, style: Style): string[] {
  const lines: string[] = [];
  if (state.writing !== "") lines.push(`writing ${safeText(state.writing)}`);
  if (state.lastFile !== "") {
    const what = state.lastRoutes > 0n ? `${humanCount(state.lastRoutes)} routes, ` : "";
    const size = `${what}${humanCount(state.lastRecords)} records, ${humanBytes(state.lastBytes)}`;
    lines.push(`last ${safeText(state.lastFile)}: ${size}`);
  }
  if (state.lastError !== "") lines.push(style.bad(`failed: ${safeText(state.lastError)}`));
  const files = `${humanCount(state.files)} files, ${humanCount(state.failures)} failed`;
  const records = `${humanCount(state.records)} records, ${humanCount(state.dropped)} dropped`;
  return [...lines, `${files}; ${records}`];
}

const setCommand: Command = {
  name: "set",
  summary: "Adds a dump, or changes the settings that are named",
  details: "Files are written below the folder mrt of the daemon's state directory.",
  args: [nameArgument],
  options: [...specOptions(MrtDumpSpecSchema, ["name"]), clearOption, ...mutationOptions],
  examples: [
    [
      "cairnctl mrt set rib --path %Y.%m/rib.%Y%m%d.%H%M.gz --interval 8h --max-files 90",
      "the table three times a day",
    ],
    [
      "cairnctl mrt set updates --content updates --path %Y.%m/updates.%Y%m%d.%H%M.gz --max-age 30d",
      "what neighbors send, a file every 5 minutes",
    ],
  ],
  run: async (context, invocation) => {
    const { value, mask } = specFromFlags(MrtDumpSpecSchema, invocation);
    const cleared = clearedFields(MrtDumpSpecSchema, invocation);
    if (mask.length + cleared.length === 0) throw usageError("nothing to set", "name at least one field");
    const client = await context.client();
    const name = invocation.arg("NAME");
    const { mrtDumps } = await listAll(client, method.listMrtDumps, {});
    const known = mrtDumps.find(({ spec }) => spec?.name === name)?.spec;
    const base = known
      ? (toJson(MrtDumpSpecSchema, known, { useProtoFieldName: true }) as Record<string, unknown>)
      : {};
    for (const field of cleared) delete base[field];
    const spec = readSpec(MrtDumpSpecSchema, { ...base, ...value, name });
    const response = await client.call(method.setMrtDump, { spec, ...mutationFields(invocation) });
    await tellMutation(context, invocation, SetMrtDumpResponseSchema, response);
  },
};

const deleteCommand: Command = deleteVerb(method.deleteMrtDump, nameArgument, {
  summary: "Deletes a dump; its files stay",
  examples: [["cairnctl mrt delete rib", ""]],
});

const dumpCommand: Command = {
  name: "dump",
  summary: "Dumps a table now, and waits until the file is complete",
  args: [nameArgument],
  examples: [["cairnctl mrt dump rib --timeout 5m", "whatever its schedule says"]],
  run: async (context, invocation) => {
    const client = await context.client();
    const response = await client.call(ControlService.method.triggerMrtDump, {
      name: invocation.arg("NAME"),
    });
    if (!context.forPeople) return context.message(TriggerMrtDumpResponseSchema, response);
    const { path, routes, bytes, duration } = response;
    const what = `${humanCount(routes)} routes, ${humanBytes(bytes)}, ${humanDuration(duration)}`;
    context.out.line(`${safeText(path)}: ${what}`);
  },
};

export const mrtCommand: Command = {
  name: "mrt",
  summary: "MRT files: dumps of this router, and anybody's files",
  details: "Alone it lists the dumps. cat, stats and replay need no daemon.",
  examples: [...(listCommand.examples ?? []), ...(catCommand.examples ?? [])],
  commands: [
    listCommand,
    getCommand,
    setCommand,
    deleteCommand,
    dumpCommand,
    catCommand,
    statsCommand,
    replayCommand,
  ],
  run: listCommand.run,
};

const contentWords: Readonly<Record<number, string>> = {
  [MrtContent.BEST]: "best",
  [MrtContent.UPDATES]: "updates",
};

function contentWord(content: MrtContent = MrtContent.UNSPECIFIED): string {
  return contentWords[content] ?? "received";
}
