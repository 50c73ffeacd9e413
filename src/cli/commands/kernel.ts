/** nexthop and link: what cairn knows of the host's kernel, and the ways that it offers. */
import {
  InterfaceService,
  type Link,
  ListLinksResponseSchema,
  WatchLinksResponse_Type,
  WatchLinksResponseSchema,
} from "../../gen/cairn/v1/interface_service_pb.ts";
import { ListNextHopsResponseSchema, type NextHop, RibService } from "../../gen/cairn/v1/rib_service_pb.ts";
import type { Context } from "../context.ts";
import { CliError, exitCode } from "../exit.ts";
import { humanBytes, humanCount, safeText } from "../human.ts";
import { writeMessage } from "../message-output.ts";
import { listAll, writeList } from "../paging.ts";
import type { Style } from "../style.ts";
import { type Column, renderFields, writeTable } from "../table.ts";
import type { Command } from "../tree.ts";

const untracked =
  "next hops are not tracked: all of them count as reachable (start cairnd with --dataplane linux)";

export const nextHopCommand: Command = {
  name: "nexthop",
  summary: "Next hops of accepted routes: reachable or not, and how",
  details: "Without ADDR all next hops in a table; with it everything about one.",
  args: [{ name: "ADDR", help: "Address of the next hop", optional: true }],
  options: [{ name: "unreachable", help: "Only those that cannot be reached" }],
  examples: [
    ["cairnctl nexthop", "all of them"],
    ["cairnctl nexthop --unreachable", "whose routes wait"],
    ["cairnctl nexthop 192.0.2.1", "one in full"],
  ],
  run: async (context, invocation) => {
    const client = await context.client();
    const address = invocation.arg("ADDR");
    const unreachable = invocation.flag("unreachable");
    const request = { address, unreachable };
    if (!context.forPeople && address === "")
      return writeList(context, RibService.method.listNextHops, request);
    if (address !== "") {
      const response = await client.call(RibService.method.listNextHops, request);
      if (!context.forPeople) return context.message(ListNextHopsResponseSchema, response);
      if (!response.tracked) return context.out.line(untracked);
      const [hop] = response.nextHops;
      if (!hop)
        throw new CliError(exitCode.failed, "NOT_FOUND", `no accepted route has the next hop ${address}`);
      return context.out.line(renderFields(fieldsOf(hop, context.style), context.style).join("\n"));
    }
    const { nextHops, tracked } = await listAll(client, RibService.method.listNextHops, request);
    if (!tracked) return context.out.line(untracked);
    if (nextHops.length === 0) return context.out.line("no next hops");
    writeTable(context, nextHopColumns, nextHops);
  },
};

const nextHopColumns: readonly Column<NextHop>[] = [
  { title: "NEXT HOP", value: ({ address }) => address },
  {
    title: "STATE",
    value: ({ reachable }) => stateWord(reachable),
    tone: ({ reachable }) => (reachable ? "good" : "bad"),
  },
  { title: "METRIC", value: ({ reachable, metric }) => (reachable ? String(metric) : "-"), align: "right" },
  { title: "PATHS", value: ({ paths }) => humanCount(paths), align: "right" },
  { title: "BY", value: ({ protocol, prefix }) => `${protocol} ${prefix}`.trim() || "-", min: 10, drop: 2 },
  { title: "VIA", value: (hop) => (hop.reachable ? exits(hop) : hop.reason), min: 12, drop: 1 },
];

function stateWord(reachable: boolean): string {
  return reachable ? "reachable" : "unreachable";
}

function exits({ exits: all, through }: NextHop): string {
  const ways = all.map(({ interface: name, gateway }) => (gateway === "" ? name : `${gateway} ${name}`));
  return [...through, ways.join(", ")].join(" > ");
}

function fieldsOf(hop: NextHop, style: Style): [string, string][] {
  const { reachable } = hop;
  const state = reachable ? style.good(stateWord(true)) : style.bad(stateWord(false));
  const fields: [string, string][] = [
    ["next hop", hop.address],
    ["state", state],
  ];
  if (!reachable) fields.push(["reason", safeText(hop.reason)]);
  if (hop.prefix !== "") fields.push(["route", `${hop.prefix} (${hop.protocol})`]);
  if (hop.through.length > 0) fields.push(["through", hop.through.join(" > ")]);
  for (const { interface: name, gateway } of hop.exits) {
    fields.push(["leaves by", safeText(gateway === "" ? `${name}, on the link` : `${name}, to ${gateway}`)]);
  }
  if (reachable) fields.push(["metric", String(hop.metric)]);
  fields.push(["paths", humanCount(hop.paths)]);
  if (hop.held) fields.push(["held", "it changed too often of late and is looked at again later"]);
  return fields;
}

export const linkCommand: Command = {
  name: "link",
  summary: "Links of the host: state, addresses, MTU, what went over them",
  args: [{ name: "NAME", help: "Name of the link", optional: true }],
  options: [{ name: "watch", short: "w", help: "Stay, and tell each change" }],
  examples: [
    ["cairnctl link", "all links"],
    ["cairnctl link eth0", "one of them"],
    ["cairnctl link --watch", "a line when one comes, goes or changes"],
  ],
  run: async (context, invocation) => {
    const name = invocation.arg("NAME");
    const client = await context.client();
    if (invocation.flag("watch")) return watch(context, name);
    const response = await client.call(InterfaceService.method.listLinks, { name });
    if (!context.forPeople) return context.message(ListLinksResponseSchema, response);
    if (!response.observed)
      return context.out.line("links are not looked at: start cairnd with --dataplane linux");
    if (name !== "" && response.links.length === 0)
      throw new CliError(exitCode.failed, "NOT_FOUND", `there is no link ${name}`);
    writeTable(context, linkColumns, response.links);
  },
};

const linkColumns: readonly Column<Link>[] = [
  { title: "LINK", value: ({ name }) => name },
  {
    title: "STATE",
    value: ({ enabled, up, state }) => (!enabled ? "disabled" : up ? "up" : `down (${state})`),
    tone: ({ up }) => (up ? "good" : "bad"),
  },
  { title: "MTU", value: ({ mtu }) => String(mtu), align: "right", drop: 2 },
  { title: "KIND", value: ({ kind }) => kind || "-", drop: 3 },
  { title: "MASTER", value: ({ master }) => master || "-", drop: 5 },
  { title: "MAC", value: ({ mac }) => mac || "-", drop: 4, wide: true },
  { title: "ADDRESSES", value: ({ addresses }) => addresses.join(", ") || "-", min: 16, drop: 1 },
  { title: "RX", value: ({ counters }) => bytesOf(counters?.rxBytes), align: "right", drop: 6, wide: true },
  { title: "TX", value: ({ counters }) => bytesOf(counters?.txBytes), align: "right", drop: 6, wide: true },
];

function bytesOf(bytes: bigint | undefined): string {
  return bytes === undefined ? "-" : humanBytes(Number(bytes));
}

/** One line per change, after the links that there are. */
async function watch(context: Context, name: string): Promise<void> {
  const client = await context.client();
  const { out, style } = context;
  const format = context.format === "json" ? "ndjson" : context.format;
  for await (const response of client.stream(InterfaceService.method.watchLinks, { name }, context.signal)) {
    const { type, link, observed } = response;
    if (!context.forPeople) {
      if (format === "yaml") out.line("---");
      await writeMessage(out, format, WatchLinksResponseSchema, response);
    } else if (link) {
      const { enabled, up, state, mtu, addresses } = link;
      const isGone = type === WatchLinksResponse_Type.DELETED;
      const word = isGone ? "gone" : !enabled ? "disabled" : up ? "up" : `down (${state})`;
      const tone = up && !isGone ? style.good(word) : style.bad(word);
      out.line(`${safeText(link.name)} ${tone} mtu ${mtu} ${addresses.join(", ")}`.trimEnd());
    } else if (!observed) out.line("links are not looked at: start cairnd with --dataplane linux");
    await out.flush();
  }
}
