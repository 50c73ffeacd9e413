/** flowspec: rules about packets (RFC 8955, 8956): what was received, what is used and why, what is announced. */
import {
  AddFlowSpecResponseSchema,
  DeleteFlowSpecResponseSchema,
  InjectedFlowSpecSchema,
  InjectionService,
} from "../../gen/cairn/v1/injection_service_pb.ts";
import { FlowSpecTable, RibService } from "../../gen/cairn/v1/rib_service_pb.ts";
import type { FlowSpecRoute } from "../../gen/cairn/v1/types_pb.ts";
import type { Context } from "../context.ts";
import { usageError } from "../exit.ts";
import { humanDuration } from "../human.ts";
import { mutationFields, mutationOptions, tellMutation } from "../mutate.ts";
import { listPages, writeList } from "../paging.ts";
import { readSpec, specFromFlags, specOptions } from "../spec-flags.ts";
import { type Column, layoutTable, type TableLayout } from "../table.ts";
import type { Command, Invocation, Option } from "../tree.ts";
import { explainPage } from "./explain.ts";
import { advertisedPage, importPage, type PageStyle } from "./explain-routes.ts";
import { installedCommand } from "./flowspec-installed.ts";
import { receiptText, sortCommunities } from "./inject.ts";

const families = ["ipv4", "ipv6"] as const;

const familyOption: Option = {
  name: "family",
  short: "f",
  value: "FAMILY",
  help: "ipv4 or ipv6. Default: that of the addresses in the rule, or ipv4",
  from: families,
};

/** The name that the API has; unknown words pass, the daemon knows them best. */
function familyOf(invocation: Invocation): string {
  const word = invocation.option("family")?.toLowerCase();
  if (word === undefined) return "";
  const short = word.replace(/^(v|ipv)?([46])$/, "ipv$2");
  return (families as readonly string[]).includes(short) ? `${short}-flowspec` : word;
}

/** Options that name a table of a neighbor. */
const tables = {
  received: FlowSpecTable.RECEIVED,
  accepted: FlowSpecTable.ACCEPTED,
  rejected: FlowSpecTable.REJECTED,
  advertised: FlowSpecTable.ADVERTISED,
} as const;

const tableHelp: Readonly<Record<keyof typeof tables, string>> = {
  received: "All that this neighbor sent",
  accepted: "What import accepted of that",
  rejected: "What validation, a check or policy refused of it, and why",
  advertised: "What this neighbor is told",
};

/** Drops stand out; what passes is good. */
function toneOf({ actions, route }: FlowSpecRoute): "bad" | "good" | "warn" | "dim" {
  if (route?.rejectReason) return "dim";
  if (actions.split(" ").includes("drop")) return "bad";
  return actions === "" || actions === "accept" ? "good" : "warn";
}

const columns: readonly Column<FlowSpecRoute>[] = [
  { title: "RULE", value: ({ rule }) => rule },
  { title: "ACTIONS", value: ({ actions }) => actions || "accept", tone: toneOf },
  { title: "FROM", value: ({ route }) => route?.neighbor ?? "" },
  {
    title: "ID",
    value: ({ route }) => (route?.pathId ? String(route.pathId) : ""),
    align: "right",
    wide: true,
  },
  { title: "AS PATH", value: ({ route }) => route?.asPathText ?? "", min: 8, drop: 2 },
  { title: "COMMUNITIES", value: ({ route }) => (route?.communities ?? []).join(" "), wide: true },
  {
    title: "AGE",
    value: ({ route }) => (route?.age ? humanDuration(route.age) : ""),
    align: "right",
    drop: 1,
  },
];

const reasonColumn: Column<FlowSpecRoute> = {
  title: "WHY NOT",
  value: ({ route }) => route?.rejectReason ?? "",
  tone: () => "warn",
};

const listCommand: Command = {
  name: "list",
  summary: "Rules in the order in which packets are held against them",
  details:
    "Without an option the rules in use, each with its best path. A prefix selects rules by their destination. The order is that of " +
    "RFC 8955 5.1.",
  args: [{ name: "PREFIX", help: "Only rules for this destination", optional: true }],
  options: [
    familyOption,
    ...(Object.keys(tables) as (keyof typeof tables)[]).map(
      (name): Option => ({ name, value: "NEIGHBOR", help: tableHelp[name], from: "neighbor" }),
    ),
    { name: "longer", help: "Also rules for destinations inside of PREFIX" },
    { name: "community", value: "TEXT", repeat: true, help: "Only with this community; repeat for several" },
  ],
  examples: [
    ["cairnctl flowspec list", "rules in use"],
    ["cairnctl flowspec list --rejected 192.0.2.1", "what a neighbor sent in vain, and why"],
    ["cairnctl flowspec list 203.0.113.0/24 --longer -f ipv4", "rules for a network"],
  ],
  run: async (context, invocation) => {
    const named = (Object.keys(tables) as (keyof typeof tables)[]).filter(
      (name) => invocation.option(name) !== undefined,
    );
    if (named.length > 1) throw usageError(`--${named[0]} and --${named[1]} are two tables`, "name one");
    const request = {
      family: familyOf(invocation) || familyOfPrefix(invocation.arg("PREFIX")),
      table: named.length === 0 ? FlowSpecTable.BEST : tables[named[0]],
      neighbor: named.length === 0 ? "" : invocation.option(named[0])!,
      ...filterOf(invocation),
    };
    const method = RibService.method.listFlowSpecRoutes;
    if (!context.forPeople) return writeList(context, method, request);
    await showList(context, request, named[0] === "rejected");
  },
};

function familyOfPrefix(prefix: string): string {
  return prefix.includes(":") ? "ipv6-flowspec" : "";
}

function filterOf(invocation: Invocation) {
  const prefix = invocation.arg("PREFIX");
  const longer = invocation.flag("longer");
  const communities = [...invocation.options("community")];
  if (longer && prefix === "") throw usageError("--longer needs a prefix");
  return prefix === "" && communities.length === 0 ? {} : { filter: { prefix, longer, communities } };
}

async function showList(
  context: Context,
  request: Parameters<typeof writeList>[2],
  isRejected: boolean,
): Promise<void> {
  const { out, width, style, format } = context;
  let layout: TableLayout<FlowSpecRoute> | undefined;
  const shown = [
    ...columns.filter(({ wide }) => format === "wide" || !wide),
    ...(isRejected ? [reasonColumn] : []),
  ];
  const pages = listPages(await context.client(), RibService.method.listFlowSpecRoutes, request);
  for await (const { routes } of pages) {
    if (!layout) {
      if (routes.length === 0) return out.line("there are no such rules");
      layout = layoutTable(shown, routes, width, style);
      out.line(layout.header);
    }
    for (const route of routes) out.line(layout.row(route));
    await out.flowing();
  }
}

/** Flags whose schema name is not what people type, and what stands in the argument. */
const handMade = ["family", "rule", "components", "actions", "as_path_text", "communities"];

const ruleArgument = {
  name: "RULE",
  help: 'Such as "dst 203.0.113.0/24 proto udp dst-port 123", quoted or not',
  repeat: true,
} as const;

const addCommand: Command = {
  name: "add",
  summary: "Announces a rule, or replaces the one with the same components and path id",
  details:
    "What stands before the arrow says which packets are meant, what stands behind it what is done with them: accept, drop, rate BYTES, " +
    "rate-packets N, redirect TARGET, mark DSCP, sample and so on; docs/flowspec.md has all of it. The rule survives restarts until " +
    "it is deleted or its --ttl is over.",
  args: [ruleArgument],
  options: [
    familyOption,
    ...specOptions(InjectedFlowSpecSchema, handMade),
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
    ["cairnctl flowspec add 'dst 192.0.2.0/24 proto udp dst-port 123 -> drop'", "drop NTP to a network"],
    [
      "cairnctl flowspec add 'dst 192.0.2.1/32 proto tcp tcp-flags syn -> rate 125000' --ttl 30m --owner ddos",
      "a megabit a second of SYNs, and take it back by itself",
    ],
  ],
  run: async (context, invocation) => {
    const client = await context.client();
    const { value } = specFromFlags(InjectedFlowSpecSchema, invocation, "", handMade);
    const sorted = sortCommunities(invocation.options("community").flatMap((text) => text.split(",")));
    for (const [field, texts] of Object.entries(sorted)) {
      if (texts.length > 0) value[field] = [...((value[field] ?? []) as string[]), ...texts];
    }
    const asPath = invocation.option("as-path");
    const flowSpec = readSpec(InjectedFlowSpecSchema, {
      ...value,
      family: familyOf(invocation),
      rule: invocation.args("RULE").join(" "),
      ...(asPath === undefined ? {} : { as_path_text: asPath }),
    });
    const request = { flowSpec, ...mutationFields(invocation) };
    const response = await client.call(InjectionService.method.addFlowSpec, request);
    const receipt = response.receipt ? receiptText(response.receipt) : "";
    await tellMutation(context, invocation, AddFlowSpecResponseSchema, response, receipt);
  },
};

const deleteCommand: Command = {
  name: "delete",
  summary: "Takes an announced rule back",
  details: "What stands behind an arrow is not looked at.",
  args: [ruleArgument],
  options: [
    familyOption,
    { name: "path-id", value: "N", help: "Path id it was added with" },
    ...mutationOptions,
  ],
  examples: [["cairnctl flowspec delete 'dst 192.0.2.0/24 proto udp dst-port 123'", "withdraw it"]],
  run: async (context, invocation) => {
    const client = await context.client();
    const rule = invocation.args("RULE").join(" ");
    const response = await client.call(InjectionService.method.deleteFlowSpec, {
      ...{ family: familyOf(invocation), rule, pathId: pathIdOf(invocation) },
      ...mutationFields(invocation),
    });
    await tellMutation(context, invocation, DeleteFlowSpecResponseSchema, response, `${rule} is taken back`);
  },
};

function pathIdOf(invocation: Invocation): number {
  const text = invocation.option("path-id") ?? "0";
  if (!/^\d{1,10}$/.test(text)) throw usageError(`--path-id: "${text}" is not a number`);
  return Number(text);
}

const explainCommand: Command = {
  name: "explain",
  summary: "Why a rule is used or not: validation, checks, policy, best path",
  args: [ruleArgument],
  options: [
    familyOption,
    { name: "from", value: "NEIGHBOR", help: "What became of the rule of this neighbor", from: "neighbor" },
    { name: "to", value: "NEIGHBOR", help: "What this neighbor is told, and why", from: "neighbor" },
    { name: "path-id", value: "N", help: "With --from: path id of several" },
    { name: "all", short: "a", help: "Every check on a line of its own" },
  ],
  examples: [
    ["cairnctl flowspec explain 'dst 203.0.113.0/24 proto udp'", "which path is used"],
    [
      "cairnctl flowspec explain 'dst 203.0.113.0/24 proto udp' --from 192.0.2.1",
      "why it came in or did not",
    ],
  ],
  run: async (context, invocation) => {
    const client = await context.client();
    const { method } = RibService;
    const prefix = invocation.args("RULE").join(" ");
    const family =
      familyOf(invocation) ||
      (/(^|\s)(ipv6|[0-9a-f]*:[0-9a-f:]*\S*)(\s|$)/i.test(prefix) ? "ipv6-flowspec" : "ipv4-flowspec");
    const [from, to] = [invocation.option("from"), invocation.option("to")];
    if (from !== undefined && to !== undefined)
      throw usageError("--from and --to are two questions", "name one");
    const { style, width } = context;
    const page: PageStyle = { style, width, allChecks: invocation.flag("all") };
    if (from !== undefined) {
      const request = { neighbor: from, prefix, pathId: pathIdOf(invocation), family };
      const told = await client.call(method.explainImport, request);
      if (!context.forPeople) return context.message(method.explainImport.output, told);
      return context.out.line(importPage(told, page).join("\n"));
    }
    if (to !== undefined) {
      const told = await client.call(method.explainAdvertisedRoute, { neighbor: to, prefix, family });
      if (!context.forPeople) return context.message(method.explainAdvertisedRoute.output, told);
      return context.out.line(advertisedPage(told, page).join("\n"));
    }
    const told = await client.call(method.explainBestPath, { prefix, family });
    if (!context.forPeople) return context.message(method.explainBestPath.output, told);
    context.out.line(explainPage(told, style, width).join("\n"));
  },
};

export const flowspecCommand: Command = {
  name: "flowspec",
  summary: "Rules about packets (RFC 8955, 8956): list, announce, explain",
  details:
    "Neighbors exchange them with the families ipv4-flowspec and ipv6-flowspec; docs/flowspec.md has the grammar.",
  examples: [
    ["cairnctl flowspec list", "rules in use"],
    ["cairnctl flowspec add 'dst 192.0.2.0/24 proto udp dst-port 123 -> drop'", "announce one"],
  ],
  commands: [listCommand, addCommand, deleteCommand, explainCommand, installedCommand],
};
