/** rib add, delete, load, injected: routes that are announced through the API. */
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  AddPathResponseSchema,
  DeletePathResponseSchema,
  type Injected,
  type InjectedPath,
  InjectedPathSchema,
  InjectionService,
  type InjectPathsRequestSchema,
  type PathKey,
  PathKeySchema,
  type PathReceipt,
} from "../../gen/cairn/v1/injection_service_pb.ts";
import type { Context } from "../context.ts";
import { CliError, exitCode, usageError } from "../exit.ts";
import { expandFamily, familyOption } from "../family.ts";
import { humanCount, humanTime, safeText } from "../human.ts";
import { readMessage } from "../message-input.ts";
import { mutationFields, mutationOptions, tellMutation } from "../mutate.ts";
import { listPages, writeList } from "../paging.ts";
import { readSpec, specFromFlags, specOptions } from "../spec-flags.ts";
import { type Column, layoutTable, type TableLayout } from "../table.ts";
import type { Command, Invocation } from "../tree.ts";

const { method } = InjectionService;
const batchPaths = 1_000;

/** Flags whose schema name is not what people type. */
const handMade = ["prefix", "as_path", "as_path_text", "communities"];

export const addCommand: Command = {
  name: "add",
  summary: "Announces a route, or replaces the one with the same prefix and path id",
  details: "It survives restarts until it is deleted or its --ttl is over.",
  args: [{ name: "PREFIX", help: "What to announce" }],
  options: [
    ...specOptions(InjectedPathSchema, handMade),
    {
      name: "community",
      short: "c",
      aliases: ["communities"],
      value: "C",
      repeat: true,
      help: "A standard, extended or large community",
    },
    { name: "as-path", value: '"ASN ..."', help: 'AS path, such as "65001 65002 {65003}"' },
    ...mutationOptions,
  ],
  examples: [
    ["cairnctl rib add 192.0.2.0/24 --next-hop 198.51.100.1 -c 65001:100", "announce"],
    ["cairnctl rib add 192.0.2.66/32 -c blackhole --ttl 30m --owner ddos", "and take back by itself"],
  ],
  run: async (context, invocation) => {
    const client = await context.client();
    const path = pathFromFlags(invocation);
    const response = await client.call(method.addPath, { path, ...mutationFields(invocation) });
    const receipt = response.receipt ? receiptText(response.receipt) : "";
    await tellMutation(context, invocation, AddPathResponseSchema, response, receipt);
  },
};

function pathFromFlags(invocation: Invocation): InjectedPath {
  const { value } = specFromFlags(InjectedPathSchema, invocation, "", handMade);
  const sorted = sortCommunities(invocation.options("community").flatMap((text) => text.split(",")));
  for (const [field, texts] of Object.entries(sorted)) {
    const given = (value[field] ?? []) as string[];
    if (texts.length > 0) value[field] = [...given, ...texts];
  }
  const asPath = invocation.option("as-path");
  return readSpec(InjectedPathSchema, {
    ...value,
    prefix: invocation.arg("PREFIX"),
    ...(asPath === undefined ? {} : { as_path_text: asPath }),
  });
}

/** Puts community texts into the fields of their kinds: three numbers are large, a word before a colon extended. */
export function sortCommunities(texts: readonly string[]): Record<string, string[]> {
  const sorted: Record<string, string[]> = {
    communities: [],
    extended_communities: [],
    large_communities: [],
  };
  for (const text of texts) {
    if (/^\d+:\d+:\d+$/.test(text)) sorted.large_communities.push(text);
    else if (/^[a-z][a-z0-9-]*:/i.test(text)) sorted.extended_communities.push(text);
    else sorted.communities.push(text);
  }
  return sorted;
}

/** What became of an injected path, in a sentence. */
export function receiptText({ accepted, selected, advertisedTo, changed }: PathReceipt): string {
  const stages = [
    changed ? "" : "it was there already",
    accepted ? "accepted" : "not accepted",
    selected ? "best path" : "not the best path",
    advertisedTo.length === 0 ? "advertised to nobody yet" : `advertised to ${advertisedTo.join(", ")}`,
  ];
  return safeText(stages.filter((stage) => stage !== "").join("; "));
}

export const deleteCommand: Command = {
  name: "delete",
  summary: "Takes an announced route back",
  args: [{ name: "PREFIX", help: "What to take back" }],
  options: [{ name: "path-id", value: "N", help: "Path id it was added with" }, ...mutationOptions],
  examples: [["cairnctl rib delete 192.0.2.0/24", "withdraw"]],
  run: async (context, invocation) => {
    const client = await context.client();
    const { prefix, pathId } = readSpec(PathKeySchema, {
      prefix: invocation.arg("PREFIX"),
      path_id: invocation.option("path-id") ?? "0",
    });
    const response = await client.call(method.deletePath, { prefix, pathId, ...mutationFields(invocation) });
    await tellMutation(context, invocation, DeletePathResponseSchema, response, `${prefix} is taken back`);
  },
};

export const loadCommand: Command = {
  name: "load",
  summary: "Announces many routes from a file or standard input",
  details:
    "A line is a path in JSON (the fields of rib add), or text: PREFIX [next-hop ADDR] [as-path ASN,ASN...] [community C]... [local-pref N] [med N] [owner T].\n" +
    'Text that begins with "-" takes a prefix back: -192.0.2.0/24. Empty lines and # comments are passed over.\n' +
    `Batches of ${batchPaths} are applied as a whole; the first refused batch ends the load.`,
  args: [{ name: "FILE", help: "File, or - for standard input", from: "file" }],
  options: [
    { name: "owner", value: "TEXT", help: "Owner of paths that name none" },
    { name: "reason", value: "TEXT", help: "Why; kept with the generation" },
  ],
  examples: [
    [
      "cairnctl rib injected -o ndjson | jq -c .path | cairnctl -s OTHER rib load -",
      "copy them to another router",
    ],
  ],
  run: async (context, invocation) => {
    const client = await context.client();
    const progress = { line: 0 };
    const requests = batches(context, invocation, progress);
    const response = await client.upload(method.injectPaths, requests);
    if (!context.forPeople) return context.message(method.injectPaths.output, response);
    const { added, deleted, unchanged } = response;
    context.out.line(
      `${humanCount(added)} added, ${humanCount(deleted)} deleted, ${humanCount(unchanged)} unchanged`,
    );
  },
};

async function* batches(
  context: Context,
  invocation: Invocation,
  progress: { line: number },
): AsyncGenerator<MessageInitShape<typeof InjectPathsRequestSchema>> {
  const file = invocation.arg("FILE");
  const input = file === "-" ? context.stdin : createReadStream(file);
  const failed = new Promise<never>((_, reject) => {
    input.once("error", (error) => reject(new CliError(exitCode.failed, "FILE", error.message)));
  });
  failed.catch(() => {});
  const owner = invocation.option("owner");
  const reason = invocation.option("reason") ?? "";
  let add: InjectedPath[] = [];
  let remove: PathKey[] = [];
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })[Symbol.asyncIterator]();
  for (;;) {
    const next = await Promise.race([lines.next(), failed]);
    if (next.done) break;
    progress.line++;
    const line = next.value.trim();
    if (line === "" || line.startsWith("#")) continue;
    const read = readLine(line, `${file}:${progress.line}`);
    if ("delete" in read) remove.push(read.delete);
    else
      add.push(owner !== undefined && read.add.owner === "" ? Object.assign(read.add, { owner }) : read.add);
    if (add.length + remove.length >= batchPaths) {
      yield { add, delete: remove, reason };
      add = [];
      remove = [];
    }
  }
  if (add.length + remove.length > 0) yield { add, delete: remove, reason };
}

const lineKeys: Readonly<Record<string, string>> = {
  "next-hop": "next_hop",
  nexthop: "next_hop",
  via: "next_hop",
  "as-path": "as_path_text",
  "local-pref": "local_pref",
  med: "med",
  owner: "owner",
  origin: "origin",
  ttl: "ttl",
  "path-id": "path_id",
};

/** One line of a load file. @throws CliError (usage) that names the place */
export function readLine(line: string, where: string): { add: InjectedPath } | { delete: PathKey } {
  if (line.startsWith("{")) {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (error) {
      throw usageError(`${where}: ${(error as Error).message}`);
    }
    return { add: readMessage(InjectedPathSchema, value, where) };
  }
  if (line.startsWith("-")) return { delete: create(PathKeySchema, { prefix: line.slice(1).trim() }) };
  const words = line.split(/\s+/);
  const value: Record<string, unknown> = { prefix: words[0] };
  const communities: string[] = [];
  for (let i = 1; i < words.length; i += 2) {
    const text = words[i + 1];
    if (text === undefined) throw usageError(`${where}: ${words[i]} has no value`);
    if (words[i] === "community") communities.push(text);
    else if (words[i] === "as-path") value.as_path_text = text.replaceAll(",", " ");
    else if (lineKeys[words[i]]) value[lineKeys[words[i]]] = text;
    else
      throw usageError(
        `${where}: "${words[i]}" is no attribute`,
        `known: community, ${Object.keys(lineKeys).join(", ")}`,
      );
  }
  return { add: readMessage(InjectedPathSchema, { ...value, ...sortCommunities(communities) }, where) };
}

const injectedColumns: readonly Column<Injected>[] = [
  { title: "PREFIX", value: ({ path, flowSpec }) => path?.prefix ?? flowSpec?.rule ?? "" },
  {
    title: "ID",
    value: ({ path, flowSpec }) => String(path?.pathId || flowSpec?.pathId || ""),
    align: "right",
    wide: true,
  },
  { title: "NEXT HOP", value: ({ path }) => (path ? path.nextHop || "self" : "") },
  { title: "AS PATH", value: ({ path, flowSpec }) => (path ?? flowSpec)?.asPathText ?? "", min: 8, drop: 3 },
  { title: "OWNER", value: ({ path, flowSpec }) => (path ?? flowSpec)?.owner ?? "" },
  { title: "BY", value: ({ principal }) => principal, wide: true },
  {
    title: "BEST",
    value: ({ receipt }) => (receipt?.selected ? "yes" : "no"),
    tone: ({ receipt }) => (receipt?.selected ? "good" : "warn"),
  },
  {
    title: "SENT TO",
    value: ({ receipt }) => `${receipt?.advertisedTo.length ?? 0} neighbors`,
    drop: 1,
  },
  { title: "SINCE", value: ({ created }) => humanTime(created), drop: 2 },
  { title: "EXPIRES", value: ({ expires }) => (expires ? humanTime(expires) : "never") },
];

export const injectedCommand: Command = {
  name: "injected",
  summary: "Routes that were announced through the API",
  args: [{ name: "PREFIX", help: "Only this prefix", optional: true }],
  options: [
    familyOption,
    { name: "owner", value: "TEXT", help: "Only those of this owner" },
    { name: "longer", help: "Also everything inside PREFIX" },
    { name: "community", value: "TEXT", repeat: true, help: "Only with this community; repeat for several" },
    { name: "next-hop", value: "ADDR", help: "Only with this next hop" },
  ],
  examples: [
    ["cairnctl rib injected --owner ddos", "what that program announces"],
    ["cairnctl rib injected 198.51.100.0/24 --longer", "inside one prefix"],
  ],
  run: async (context, invocation) => {
    const family = invocation.option("family");
    const request = {
      owner: invocation.option("owner") ?? "",
      family: family === undefined ? "" : expandFamily(family),
      filter: {
        prefix: invocation.arg("PREFIX"),
        longer: invocation.flag("longer"),
        communities: [...invocation.options("community")],
        nextHop: invocation.option("next-hop") ?? "",
      },
    };
    if (!context.forPeople) return writeList(context, method.listInjected, request);
    const { out, width, style, format } = context;
    let layout: TableLayout<Injected> | undefined;
    for await (const { paths } of listPages(await context.client(), method.listInjected, request)) {
      if (!layout) {
        if (paths.length === 0)
          return out.line("nothing is injected: cairnctl rib add PREFIX --next-hop ADDR");
        const columns = injectedColumns.filter(({ wide }) => format === "wide" || !wide);
        layout = layoutTable(columns, paths, width, style);
        out.line(layout.header);
      }
      for (const path of paths) out.line(layout.row(path));
      await out.flowing();
    }
  },
};
