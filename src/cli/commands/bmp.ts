/** bmp: collectors that are told of sessions and routes. */
import { toJson } from "@bufbuild/protobuf";
import {
  type BmpCollector,
  BmpCollectorSpecSchema,
  type BmpCollectorState,
  BmpService,
  GetBmpCollectorResponseSchema,
  SetBmpCollectorResponseSchema,
} from "../../gen/cairn/v1/bmp_service_pb.ts";
import { usageError } from "../exit.ts";
import { humanBytes, humanCount, humanTime, safeText } from "../human.ts";
import { mutationFields, mutationOptions, tellMutation } from "../mutate.ts";
import { deleteVerb } from "../named.ts";
import { listAll, writeList } from "../paging.ts";
import { specFields } from "../spec-fields.ts";
import { clearedFields, clearOption, readSpec, specFromFlags, specOptions } from "../spec-flags.ts";
import { type Column, renderFields, writeTable } from "../table.ts";
import type { Argument, Command } from "../tree.ts";

const { method } = BmpService;
const nameArgument: Argument = { name: "NAME", help: "Name of the collector", from: "bmp-collector" };

/** Collectors in a table. */
export const collectorColumns: readonly Column<BmpCollector>[] = [
  { title: "COLLECTOR", value: ({ spec }) => spec?.name ?? "" },
  {
    title: "STATE",
    value: ({ state }) => state?.sessionState ?? "",
    tone: ({ state }) => (state?.sessionState === "monitoring" ? "good" : "bad"),
  },
  {
    title: "SINCE",
    value: ({ state }) => (state?.connectedSince ? humanTime(state.connectedSince) : ""),
    drop: 1,
  },
  { title: "PEERS", value: ({ state }) => humanCount(state?.peers ?? 0), align: "right", drop: 2 },
  { title: "MESSAGES", value: ({ state }) => humanCount(state?.messages ?? 0n), align: "right", drop: 3 },
  { title: "BYTES", value: ({ state }) => humanBytes(state?.bytes ?? 0n), align: "right", drop: 5 },
  { title: "LAG", value: ({ state }) => humanCount(state?.lag ?? 0n), align: "right" },
  { title: "LAPPED", value: ({ state }) => humanCount(state?.lapped ?? 0n), align: "right", drop: 4 },
  { title: "NOTE", value: ({ state }) => state?.lastError ?? "", min: 10, drop: 6 },
];

const listCommand: Command = {
  name: "list",
  summary: "All collectors, and how they fare",
  examples: [["cairnctl bmp list", "state, messages, and how far each is behind"]],
  run: async (context) => {
    if (!context.forPeople) return writeList(context, method.listBmpCollectors, {});
    const { collectors } = await listAll(await context.client(), method.listBmpCollectors, {});
    if (collectors.length === 0)
      return context.out.line("no collectors: cairnctl bmp set NAME --host ADDR --adj-rib-in-pre");
    writeTable(context, collectorColumns, collectors);
  },
};

const getCommand: Command = {
  name: "get",
  summary: "One collector in full",
  args: [nameArgument],
  examples: [["cairnctl bmp get noc", "settings, what it was sent, what went wrong last"]],
  run: async (context, invocation) => {
    const client = await context.client();
    const response = await client.call(method.getBmpCollector, { name: invocation.arg("NAME") });
    if (!context.forPeople) return context.message(GetBmpCollectorResponseSchema, response);
    const { spec, state } = response.collector ?? {};
    if (!spec) return;
    const { out, style } = context;
    out.line(style.bold(safeText(spec.name)));
    out.line(renderFields(specFields(BmpCollectorSpecSchema, spec, ["name"]), style).join("\n"));
    if (!state) return;
    for (const line of collectorStateLines(state)) out.line(`  ${line}`);
    if (state.lastError !== "") out.line(style.bad(`  ${safeText(state.lastError)}`));
  },
};

/** How a collector fares, in sentences. */
export function collectorStateLines(state: BmpCollectorState): string[] {
  const { sessionState, connectedSince, retryTime } = state;
  const since = connectedSince ? ` since ${humanTime(connectedSince)}` : "";
  const next = retryTime ? `; next attempt ${humanTime(retryTime)}` : "";
  const count = humanCount;
  return [
    `${sessionState}${since}${next}; ${count(state.peers)} neighbors up`,
    `${count(state.lag)} changes behind, ${humanBytes(state.queuedBytes)} wait for the connection`,
    `${count(state.connections)} connections, ${count(state.lapped)} given up as too slow`,
    `${count(state.messages)} messages, ${count(state.routeMessages)} with routes; ${humanBytes(state.bytes)}`,
    `${count(state.mirrored)} messages mirrored, ${count(state.mirrorLost)} not; ${count(state.oversize)} routes fit no message`,
  ];
}

const setCommand: Command = {
  name: "set",
  summary: "Adds a collector, or changes the settings that are named",
  details: "What is monitored is told of all neighbors, or of those that --neighbors and --peer-groups name.",
  args: [nameArgument],
  options: [...specOptions(BmpCollectorSpecSchema, ["name"]), clearOption, ...mutationOptions],
  examples: [
    [
      "cairnctl bmp set noc --host 192.0.2.10 --adj-rib-in-pre --loc-rib",
      "what neighbors send, what is best",
    ],
    [
      "cairnctl bmp set far --host bmp.example.net --port 1790 --tls --adj-rib-out-post --statistics-interval 60s",
      "what neighbors are told, over TLS",
    ],
  ],
  run: async (context, invocation) => {
    const { value, mask } = specFromFlags(BmpCollectorSpecSchema, invocation);
    const cleared = clearedFields(BmpCollectorSpecSchema, invocation);
    if (mask.length + cleared.length === 0) throw usageError("nothing to set", "name at least one field");
    const client = await context.client();
    const name = invocation.arg("NAME");
    const { collectors } = await listAll(client, method.listBmpCollectors, {});
    const known = collectors.find(({ spec }) => spec?.name === name)?.spec;
    const base = known
      ? (toJson(BmpCollectorSpecSchema, known, { useProtoFieldName: true }) as Record<string, unknown>)
      : {};
    for (const field of cleared) delete base[field];
    const spec = readSpec(BmpCollectorSpecSchema, { ...base, ...value, name });
    const response = await client.call(method.setBmpCollector, { spec, ...mutationFields(invocation) });
    await tellMutation(context, invocation, SetBmpCollectorResponseSchema, response);
  },
};

const deleteCommand: Command = deleteVerb(method.deleteBmpCollector, nameArgument, {
  summary: "Deletes a collector; it is told so",
  examples: [["cairnctl bmp delete noc", ""]],
});

export const bmpCommand: Command = {
  name: "bmp",
  summary: "BMP: collectors that are told of sessions and routes",
  details: "Alone it lists the collectors.",
  examples: listCommand.examples,
  commands: [listCommand, getCommand, setCommand, deleteCommand],
  run: listCommand.run,
};
