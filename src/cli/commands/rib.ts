/** rib: looking up, listing, explaining; the commands that announce are in inject.ts. */
import {
  create,
  type DescMessage,
  type DescMethodServerStreaming,
  type MessageInitShape,
} from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { parseIp, parsePrefix } from "../../base/ip.ts";
import {
  GetRibSummaryResponseSchema,
  RibService,
  type RibSummary,
  WatchRoutesResponse_Type,
  WatchRoutesResponseSchema,
} from "../../gen/cairn/v1/rib_service_pb.ts";
import { type Route, type RouteFilter, RouteFilterSchema } from "../../gen/cairn/v1/types_pb.ts";
import type { Context } from "../context.ts";
import { usageError } from "../exit.ts";
import { expandFamily, familyOption } from "../family.ts";
import { humanBytes, humanCount, safeText } from "../human.ts";
import { eachElement, jsonTranscoder } from "../json-transcode.ts";
import { writeMessage } from "../message-output.ts";
import { momentHelp, parseMoment } from "../moment.ts";
import { listPages, writeList } from "../paging.ts";
import { renderTable, wrapText } from "../table.ts";
import type { Argument, Command, Invocation, Option } from "../tree.ts";
import { dampenedCommand } from "./dampened.ts";
import { explainPage } from "./explain.ts";
import { advertisedPage, importPage, type PageStyle } from "./explain-routes.ts";
import { historyCommand } from "./history.ts";
import { addCommand, deleteCommand, injectedCommand, loadCommand } from "./inject.ts";
import { RouteTable, routeLine } from "./route-table.ts";

const { method } = RibService;

const filterOptions: readonly Option[] = [
  familyOption,
  { name: "longer", short: "l", help: "With a PREFIX: everything inside it" },
  { name: "origin-asn", value: "ASN", help: "Only paths that end with this AS" },
  {
    name: "community",
    short: "c",
    value: "C",
    repeat: true,
    help: "Only with this community (standard, extended or large); repeat for all of several",
  },
  { name: "as-path", value: "RE", help: "Only AS paths that match, where _ is any boundary: _65010$" },
  { name: "next-hop", value: "ADDR", help: "Only with this next hop" },
  {
    name: "rpki",
    value: "STATE",
    help: "Only origins in this state: valid, invalid, not-found",
    from: ["valid", "invalid", "not-found"],
  },
  {
    name: "aspa",
    value: "STATE",
    help: "Only AS paths in this state: valid, invalid, unknown",
    from: ["valid", "invalid", "unknown"],
  },
];

const neighborFilter: Option = {
  name: "neighbor",
  value: "ADDR",
  help: 'Only from this neighbor; "local" for injected routes',
  from: "neighbor",
};

const neighborArgument: Argument = { name: "NEIGHBOR", help: "Address of the neighbor", from: "neighbor" };
const prefixArgument: Argument = {
  name: "PREFIX",
  help: "Only this prefix, or with --longer those inside it",
  optional: true,
};

const receivedCommand: Command = {
  name: "received",
  summary: "Adj-RIB-In: what a neighbor sent",
  details: "As received, before import policy; with --post as import policy left it, accepted routes only.",
  args: [neighborArgument, prefixArgument],
  options: [
    ...filterOptions,
    { name: "post", help: "After import policy" },
    { name: "explain", help: "With a PREFIX: what import made of it, step by step" },
    { name: "path-id", value: "N", help: "With --explain: the path of this id" },
    { name: "all", short: "a", help: "With --explain: also what each check that was passed looked at" },
  ],
  examples: [
    ["cairnctl rib received 192.0.2.1", "all of it"],
    ["cairnctl rib received 192.0.2.1 10.0.0.0/8 --longer --post", "what policy made of a part"],
    ["cairnctl rib received 192.0.2.1 10.1.0.0/16 --explain", "and why"],
  ],
  run: async (context, invocation) => {
    if (invocation.flag("explain")) return explainReceived(context, invocation);
    const request = {
      ...tableRequest(invocation, "PREFIX"),
      neighbor: invocation.arg("NEIGHBOR"),
      prePolicy: !invocation.flag("post"),
    };
    if (isDocument(context)) return writeList(context, method.listReceivedRoutes, request);
    await streamRoutes(context, method.streamReceivedRoutes, request, "received");
  },
};

const advertisedCommand: Command = {
  name: "advertised",
  summary: "Adj-RIB-Out: what a neighbor is sent, as it sees it",
  args: [neighborArgument, prefixArgument],
  options: filterOptions,
  examples: [["cairnctl rib advertised 192.0.2.1", "after export policy"]],
  run: async (context, invocation) => {
    const request = { ...tableRequest(invocation, "PREFIX"), neighbor: invocation.arg("NEIGHBOR") };
    if (isDocument(context)) return writeList(context, method.listAdvertisedRoutes, request);
    await streamRoutes(context, method.streamAdvertisedRoutes, request, "advertised");
  },
};

const rejectedCommand: Command = {
  name: "rejected",
  summary: "Routes of a neighbor that were refused, and why",
  args: [neighborArgument, prefixArgument],
  options: filterOptions,
  examples: [["cairnctl rib rejected 192.0.2.1", "with the reason for each"]],
  run: async (context, invocation) => {
    const request = { ...tableRequest(invocation, "PREFIX"), neighbor: invocation.arg("NEIGHBOR") };
    if (!context.forPeople) return writeList(context, method.listRejectedRoutes, request);
    const table = new RouteTable(context, "rejected");
    for await (const { routes } of listPages(await context.client(), method.listRejectedRoutes, request)) {
      for (const route of routes) table.add(route);
      await context.out.flowing();
    }
    table.end();
  },
};

const summaryCommand: Command = {
  name: "summary",
  summary: "Sizes of the tables and their memory",
  examples: [["cairnctl rib summary", "prefixes and paths per family"]],
  run: async (context) => {
    const client = await context.client();
    const summary = await client.call(method.getRibSummary, {});
    if (!context.forPeople) return context.message(GetRibSummaryResponseSchema, summary);
    const { out, style, width } = context;
    const lines = renderTable<RibSummary>(
      [
        { title: "FAMILY", value: ({ family }) => family },
        { title: "PREFIXES", value: ({ prefixes }) => humanCount(prefixes), align: "right" },
        { title: "PATHS", value: ({ paths }) => humanCount(paths), align: "right" },
        { title: "BEST", value: ({ bestPaths }) => humanCount(bestPaths), align: "right", drop: 3 },
        {
          title: "REJECTED",
          value: ({ rejectedPaths }) => humanCount(rejectedPaths),
          align: "right",
          drop: 2,
        },
        {
          title: "MULTIPATH",
          value: ({ multipathPrefixes }) => (multipathPrefixes === 0n ? "" : humanCount(multipathPrefixes)),
          align: "right",
          drop: 1,
        },
      ],
      summary.families,
      width,
      style,
    );
    out.line(lines.join("\n"));
    const groups = `${summary.updateGroups} update group${summary.updateGroups === 1 ? "" : "s"}`;
    const tail =
      `${humanCount(summary.attributeSets)} attribute sets, ${humanBytes(summary.memoryBytes)} of memory, ` +
      `${humanCount(summary.bestPathRuns)} best-path runs, ${groups}`;
    for (const line of wrapText(tail, width)) out.line(style.dim(line));
  },
};

const watchCommand: Command = {
  name: "watch",
  summary: "Best paths as they change",
  details:
    "First the table as it is (unless --changes), then each change. + is a new or changed best path, - a prefix that lost its last one.",
  args: [prefixArgument],
  options: [...filterOptions, neighborFilter, { name: "changes", help: "Leave out the table at the start" }],
  examples: [["cairnctl rib watch --changes", "only what changes from now on"]],
  run: async (context, invocation) => {
    const client = await context.client();
    const { out, style } = context;
    const onlyChanges = invocation.flag("changes");
    const request = tableRequest(invocation, "PREFIX");
    const format = context.format === "json" ? "ndjson" : context.format;
    for await (const response of client.stream(method.watchRoutes, request, context.signal)) {
      if (onlyChanges && response.type === WatchRoutesResponse_Type.SNAPSHOT) continue;
      if (!context.forPeople) {
        if (format === "yaml") out.line("---");
        await writeMessage(out, format, WatchRoutesResponseSchema, response);
      } else if (response.type === WatchRoutesResponse_Type.BOOKMARK) {
        out.line(style.dim(onlyChanges ? "-- changes --" : "-- the table is complete; changes follow --"));
      } else {
        for (const route of response.updated) out.line(`${style.good("+")} ${routeLine(route)}`);
        for (const prefix of response.withdrawn) out.line(`${style.bad("-")} ${safeText(prefix)}`);
      }
      await out.flush();
    }
  },
};

export const ribCommand: Command = {
  name: "rib",
  summary: "Routes: look up, list, explain, announce",
  details:
    "Alone: the best paths of the table. With an IP address: the longest match, with all paths. With a PREFIX: all paths to exactly it.\n" +
    "In the table > is the best path, = one that is used beside it, with its weight; AS paths end in i (IGP), e (EGP) or ? (incomplete).",
  args: [{ name: "TARGET", help: "IP address or prefix", optional: true }],
  options: [
    ...filterOptions,
    neighborFilter,
    {
      name: "all",
      short: "a",
      help: "Also paths that are not best; with --explain --to, what each check looked at",
    },
    { name: "multipath", short: "m", help: "Also paths that are used side by side with the best" },
    { name: "at", value: "TIME", help: `The best routes as they were: ${momentHelp}` },
    { name: "explain", help: "With a PREFIX or address: why its best path was chosen" },
    {
      name: "to",
      value: "NEIGHBOR",
      help: "With --explain: what this neighbor is told of it, or why nothing",
      from: "neighbor",
    },
  ],
  examples: [
    ["cairnctl rib 198.51.100.7", "which route does this address take"],
    ["cairnctl rib 198.51.100.0/24 --explain", "and why"],
    ["cairnctl rib 198.51.100.0/24 --explain --to 192.0.2.1", "why a neighbor gets it, or not"],
    ["cairnctl rib --community 65000:100 --origin-asn 65010", "search"],
    ["cairnctl rib 198.51.100.7 --at 12:00:05", "which route it took then"],
    ["cairnctl rib -f ipv6 --json | jq -r '.routes[].prefix'", "in a script"],
  ],
  commands: [
    receivedCommand,
    advertisedCommand,
    rejectedCommand,
    dampenedCommand,
    summaryCommand,
    watchCommand,
    historyCommand,
    addCommand,
    deleteCommand,
    loadCommand,
    injectedCommand,
  ],
  run: ribRun,
};

async function ribRun(context: Context, invocation: Invocation): Promise<void> {
  const target = invocation.arg("TARGET");
  const to = invocation.option("to");
  if (to !== undefined && !invocation.flag("explain")) {
    throw usageError("--to goes with --explain", "cairnctl rib 198.51.100.0/24 --explain --to 192.0.2.1");
  }
  const time = invocation.option("at");
  const at = time === undefined ? undefined : parseMoment("--at", time, Date.now());
  const unfit = ["explain", "all", "multipath"].find((name) => at && invocation.flag(name));
  if (unfit)
    throw usageError(`--${unfit} does not go with --at`, "of earlier times the best routes are remembered");
  if (invocation.flag("explain")) return explain(context, invocation, target, to);
  if (target !== "" && parseIp(target)) return lookup(context, target, invocation, at);
  const { family, filter } = tableRequest(invocation, "TARGET");
  const exact = target !== "" && !invocation.flag("longer");
  const allPaths = !at && (exact || invocation.flag("all"));
  const request = { family, filter, allPaths, multipath: invocation.flag("multipath"), at };
  if (isDocument(context)) return writeList(context, method.listBestRoutes, request);
  const count = await streamRoutes(context, method.streamBestRoutes, request, "best");
  if (count > 0 || !exact || !context.forPeople) return;
  const client = await context.client();
  const covering = await client.call(method.lookupRoute, { target, at });
  context.out.line(
    covering.prefix === "" || covering.prefix === target
      ? `no route to ${target}, and none that covers it`
      : `no route to exactly ${target}; ${covering.prefix} covers it: cairnctl rib ${covering.prefix}`,
  );
}

async function lookup(
  context: Context,
  target: string,
  invocation: Invocation,
  at: Timestamp | undefined,
): Promise<void> {
  const unfit = [...filterOptions.map(({ name }) => name), "neighbor"].filter(
    (name) => invocation.option(name) !== undefined,
  );
  if (unfit.length > 0 && !unfit.every((name) => name === "family")) {
    throw usageError(
      `--${unfit[0]} does not go with an address`,
      `for the route that ${target} takes, leave it out`,
    );
  }
  const client = await context.client();
  const response = await client.call(method.lookupRoute, { target, at });
  if (!context.forPeople) return context.message(method.lookupRoute.output, response);
  if (response.prefix === "") {
    context.out.line(`no route to ${target}`);
    return;
  }
  context.out.line(`${target} ${at ? "was" : "is"} routed by ${context.style.bold(response.prefix)}`);
  const table = new RouteTable(context, "lookup");
  for (const route of response.routes) table.add(route);
  table.end();
}

async function explainReceived(context: Context, invocation: Invocation): Promise<void> {
  const prefix = invocation.arg("PREFIX");
  if (prefix === "") {
    throw usageError("--explain needs a prefix", "cairnctl rib received 192.0.2.1 10.1.0.0/16 --explain");
  }
  checkPrefix(prefix);
  const client = await context.client();
  const response = await client.call(method.explainImport, {
    neighbor: invocation.arg("NEIGHBOR"),
    prefix,
    pathId: Number(invocation.option("path-id") ?? 0),
  });
  if (!context.forPeople) return context.message(method.explainImport.output, response);
  context.out.line(importPage(response, pageStyle(context, invocation)).join("\n"));
}

async function explain(
  context: Context,
  invocation: Invocation,
  target: string,
  to: string | undefined,
): Promise<void> {
  if (target === "") throw usageError("--explain needs a prefix", "cairnctl rib 198.51.100.0/24 --explain");
  const client = await context.client();
  let prefix = target;
  if (parseIp(target)) {
    prefix = (await client.call(method.lookupRoute, { target })).prefix;
    if (prefix === "") return context.out.line(`no route to ${target}`);
  }
  if (to !== undefined) {
    const told = await client.call(method.explainAdvertisedRoute, { neighbor: to, prefix });
    if (!context.forPeople) return context.message(method.explainAdvertisedRoute.output, told);
    return context.out.line(advertisedPage(told, pageStyle(context, invocation)).join("\n"));
  }
  const response = await client.call(method.explainBestPath, { prefix });
  if (!context.forPeople) return context.message(method.explainBestPath.output, response);
  context.out.line(explainPage(response, context.style, context.width).join("\n"));
}

function pageStyle({ style, width }: Context, invocation: Invocation): PageStyle {
  return { style, width, allChecks: invocation.flag("all") };
}

/** Streams a table for people, or as ndjson. Answers how many routes came. */
async function streamRoutes<I extends DescMessage, O extends DescMessage>(
  context: Context,
  stream: DescMethodServerStreaming<I, O>,
  request: MessageInitShape<I>,
  form: "best" | "received" | "advertised",
): Promise<number> {
  const client = await context.client();
  const { out } = context;
  const items = stream.output.fields[0];
  if (context.format === "ndjson" && items.message) {
    const transcode = jsonTranscoder(items.message);
    let count = 0;
    for await (const bytes of client.streamRaw(stream, request, context.signal)) {
      eachElement(bytes, items.number, (from, to) => {
        transcode(bytes, from, to, out.buffer);
        out.buffer.text("\n");
        count++;
      });
      await out.flowing();
    }
    return count;
  }
  const table = new RouteTable(context, form);
  for await (const batch of client.stream(stream, request, context.signal)) {
    for (const route of (batch as unknown as { routes: Route[] }).routes) table.add(route);
    await out.flowing();
  }
  return table.end();
}

function isDocument(context: Context): boolean {
  return context.format === "json" || context.format === "yaml";
}

/** Family and filter from the options and the named argument. @throws CliError (usage) */
function tableRequest(invocation: Invocation, argument: string): { family: string; filter: RouteFilter } {
  const prefix = invocation.arg(argument);
  if (prefix !== "") checkPrefix(prefix);
  if (prefix === "" && invocation.flag("longer"))
    throw usageError("--longer needs a prefix", "cairnctl rib 10.0.0.0/8 --longer");
  const origin = invocation.option("origin-asn")?.replace(/^AS/i, "");
  if (origin !== undefined && !(/^\d{1,10}$/.test(origin) && Number(origin) <= 0xffff_ffff)) {
    throw usageError(`--origin-asn: "${origin}" is not an AS number`);
  }
  const asFamily = invocation.option("family");
  const family =
    asFamily === undefined ? (prefix.includes(":") ? "ipv6-unicast" : "") : expandFamily(asFamily);
  const filter = create(RouteFilterSchema, {
    prefix,
    longer: invocation.flag("longer"),
    originAsn: origin === undefined ? undefined : Number(origin),
    communities: invocation.options("community").flatMap((text) => text.split(",")),
    asPath: invocation.option("as-path") ?? "",
    neighbor: invocation.option("neighbor") ?? "",
    nextHop: invocation.option("next-hop") ?? "",
    rpkiState: invocation.option("rpki") ?? "",
    aspaState: invocation.option("aspa") ?? "",
  });
  return { family, filter };
}

function checkPrefix(text: string): void {
  if (!text.includes("/") && !parseIp(text))
    throw usageError(`"${text}" is neither an IP address nor a prefix`);
  const parsed = parsePrefix(text);
  if (typeof parsed === "string")
    throw usageError(parsed, "an address without /LENGTH looks up the longest match");
}
