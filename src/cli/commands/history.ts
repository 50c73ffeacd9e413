/** rib history: what happened to routes. */
import { RibService, type RouteEvent, RouteEvent_Kind } from "../../gen/cairn/v1/rib_service_pb.ts";
import type { Route } from "../../gen/cairn/v1/types_pb.ts";
import type { Context } from "../context.ts";
import { usageError } from "../exit.ts";
import { expandFamily, familyOption } from "../family.ts";
import { safeText } from "../human.ts";
import { momentHelp, parseMoment } from "../moment.ts";
import { listPages, writeList } from "../paging.ts";
import type { Command, Invocation } from "../tree.ts";
import { routeLine } from "./route-table.ts";

const { method } = RibService;

export const historyCommand: Command = {
  name: "history",
  summary: "What happened to routes: paths that came, changed and went, and why another became best",
  details:
    "Newest first. Needs history_changes in Global; it tells what has happened since that was set, as far as it is remembered.\n" +
    "* is a change of the best path; + - ~ are paths that came, went and changed.",
  args: [{ name: "PREFIX", help: "Only of exactly this prefix", optional: true }],
  options: [
    familyOption,
    {
      name: "neighbor",
      value: "ADDR",
      help: "Only what concerns paths from this neighbor",
      from: "neighbor",
    },
    { name: "best", help: "Only changes of the best path" },
    { name: "since", value: "TIME", help: `Only from then on: ${momentHelp}` },
    { name: "until", value: "TIME", help: "Only before then" },
    { name: "limit", short: "n", value: "N", help: "At most so many (100 for people, else all)" },
    { name: "routes", short: "r", help: "Also the routes before and after" },
  ],
  examples: [
    ["cairnctl rib history 198.51.100.0/24", "what happened to a prefix"],
    ["cairnctl rib history --best --since 5m", "best paths that changed in the last five minutes"],
    ["cairnctl rib history 198.51.100.0/24 --routes", "with the routes before and after"],
  ],
  run: async (context, invocation) => {
    const nowMs = Date.now();
    const moment = (name: string) => {
      const text = invocation.option(name);
      return text === undefined ? undefined : parseMoment(`--${name}`, text, nowMs);
    };
    const family = invocation.option("family");
    const limit = limitOf(invocation);
    const request = {
      prefix: invocation.arg("PREFIX"),
      family: family === undefined ? "" : expandFamily(family),
      neighbor: invocation.option("neighbor") ?? "",
      bestOnly: invocation.flag("best"),
      since: moment("since"),
      until: moment("until"),
      ...(limit === undefined ? {} : { pageSize: Math.min(limit, 10_000) }),
    };
    if (!context.forPeople && limit === undefined) return writeList(context, method.listRouteEvents, request);
    if (!context.forPeople) return writeSome(context, request);
    await show(context, invocation, request, limit ?? 100);
  },
};

type Request = Parameters<
  typeof listPages<typeof method.listRouteEvents.input, typeof method.listRouteEvents.output>
>[2];

function limitOf(invocation: Invocation): number | undefined {
  const text = invocation.option("limit");
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,3}$|^10000$/.test(text))
    throw usageError(`--limit: "${text}" is not a number from 1 to 10000`);
  return Number(text);
}

/** The first page as a document. */
async function writeSome(context: Context, request: Request): Promise<void> {
  const client = await context.client();
  await context.message(method.listRouteEvents.output, await client.call(method.listRouteEvents, request));
}

async function show(
  context: Context,
  invocation: Invocation,
  request: Request,
  limit: number,
): Promise<void> {
  const { out, style } = context;
  let left = limit;
  let reach = "";
  const pages = listPages(await context.client(), method.listRouteEvents, { pageSize: limit, ...request });
  for await (const { events, reachesBackTo } of pages) {
    reach = timeText(reachesBackTo);
    for (const event of events.slice(0, left)) {
      const prefix = request.prefix ? "" : `${event.prefix}  `;
      const mark = marks[event.kind] ?? "?";
      const line = safeText(`${timeText(event.time)}  ${mark} ${prefix}${event.text}`);
      out.line(event.kind === RouteEvent_Kind.BEST_PATH ? style.bold(line) : line);
      if (invocation.flag("routes")) for (const text of routesOf(event)) out.line(style.dim(`    ${text}`));
    }
    left -= Math.min(left, events.length);
    await out.flowing();
    if (left === 0) break;
  }
  if (left === limit) out.line("nothing is remembered of that");
  out.line(style.dim(`remembered since ${reach}${left === 0 ? "; older ones were left out: --limit" : ""}`));
}

const marks: Readonly<Record<number, string>> = {
  [RouteEvent_Kind.BEST_PATH]: "*",
  [RouteEvent_Kind.ADDED]: "+",
  [RouteEvent_Kind.CHANGED]: "~",
  [RouteEvent_Kind.WITHDRAWN]: "-",
};

function routesOf({ before, after }: RouteEvent): string[] {
  const shown = (word: string, route: Route | undefined): string[] =>
    route ? [`${word} ${routeLine(route)}`] : [];
  return [...shown("was", before), ...shown("is ", after)];
}

function timeText(time: RouteEvent["time"]): string {
  if (!time) return "";
  return new Date(Number(time.seconds) * 1000 + time.nanos / 1e6).toISOString();
}
