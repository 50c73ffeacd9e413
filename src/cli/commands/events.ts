/** events: what happened, and with --follow what is happening. */
import { create } from "@bufbuild/protobuf";
import {
  type Event,
  type EventFilter,
  EventFilterSchema,
  EventSchema,
  EventService,
  Severity,
  WatchEventsResponse_Type,
} from "../../gen/cairn/v1/event_service_pb.ts";
import type { Client } from "../client.ts";
import type { Context } from "../context.ts";
import { usageError } from "../exit.ts";
import { humanTime, safeText } from "../human.ts";
import { writeMessage } from "../message-output.ts";
import { listPages, writeList } from "../paging.ts";
import type { Style } from "../style.ts";
import type { Command, Invocation } from "../tree.ts";

const severities: Readonly<Record<string, Severity>> = {
  info: Severity.INFO,
  warning: Severity.WARNING,
  error: Severity.ERROR,
};

export const eventsCommand: Command = {
  name: "events",
  summary: "What happened, and what is happening",
  details:
    "Without --follow the retained events, oldest first. Event ids rise over restarts: --since ID goes on where you stopped.",
  options: [
    { name: "follow", short: "F", help: "Stay and show events as they happen" },
    {
      name: "topic",
      short: "t",
      value: "P",
      repeat: true,
      help: "Only topics like this; * stands for any rest, as in cairn.bgp.*",
    },
    { name: "since", value: "ID", help: "Only events after this id" },
    { name: "object", value: "KIND/NAME", help: "Only about this object, for example Neighbor/192.0.2.1" },
    {
      name: "severity",
      value: "LEVEL",
      help: "At least info, warning or error",
      from: Object.keys(severities),
    },
    { name: "limit", short: "n", value: "N", help: "Only the last N" },
  ],
  examples: [
    ["cairnctl events -n 20", "the last twenty"],
    ["cairnctl events --follow --topic 'cairn.bgp.*'", "sessions, live"],
    ["cairnctl events --object Neighbor/192.0.2.1", "the life of one neighbor"],
  ],
  run: async (context, invocation) => {
    const since = wholeNumber(invocation, "since");
    const limit = wholeNumber(invocation, "limit");
    if (limit === 0) throw usageError("--limit: ask for at least one event");
    const filter = create(EventFilterSchema, {
      topics: invocation.options("topic").flatMap((text) => text.split(",")),
      object: invocation.option("object") ?? "",
      minSeverity: readSeverity(invocation.option("severity")),
    });
    if (invocation.flag("follow")) return follow(context, filter, since, limit);
    const { listEvents } = EventService.method;
    const fromId = BigInt(since ?? 0);
    const client = await context.client();
    if (limit !== undefined) {
      const events = await newestEvents(client, filter, fromId, limit);
      if (!context.forPeople) {
        if (context.format !== "ndjson") {
          return context.message(listEvents.output, create(listEvents.output, { events }));
        }
        for (const event of events) await context.message(EventSchema, event);
        return;
      }
      for (const event of events) context.out.line(eventLine(event, context.style));
      if (events.length === 0) context.note("no events");
      return;
    }
    if (!context.forPeople) return writeList(context, listEvents, { filter, fromId });
    let count = 0;
    for await (const { events } of listPages(client, listEvents, { filter, fromId })) {
      count += events.length;
      for (const event of events) context.out.line(eventLine(event, context.style));
      await context.out.flowing();
    }
    if (count === 0) context.note("no events");
  },
};

/** The last `limit` events, oldest first. */
async function newestEvents(
  client: Client,
  filter: EventFilter,
  fromId: bigint,
  limit: number,
): Promise<Event[]> {
  const found: Event[] = [];
  const request = { filter, fromId, reverse: true, pageSize: Math.min(limit, 1_000) };
  const pages = listPages(client, EventService.method.listEvents, request);
  for await (const { events } of pages) {
    found.push(...events.slice(0, limit - found.length));
    if (found.length >= limit) break;
  }
  return found.reverse();
}

async function follow(
  context: Context,
  filter: EventFilter,
  since: number | undefined,
  limit: number | undefined,
): Promise<void> {
  const client = await context.client();
  const { out, style } = context;
  const request = { filter, fromId: since === undefined ? undefined : BigInt(since) };
  if (limit !== undefined) {
    const [oldest] = await newestEvents(client, filter, request.fromId ?? 0n, limit);
    if (oldest) request.fromId = oldest.id - 1n;
  }
  const format = context.format === "json" ? "ndjson" : context.format;
  for await (const response of client.stream(EventService.method.watchEvents, request, context.signal)) {
    if (
      response.type === WatchEventsResponse_Type.COMPACTED ||
      response.type === WatchEventsResponse_Type.LAGGED
    ) {
      const why =
        response.type === WatchEventsResponse_Type.LAGGED
          ? "this reader was too slow"
          : "they are no longer retained";
      context.note(style.warn(`events ${response.missedFrom} to ${response.missedTo} are missing: ${why}`));
    }
    for (const event of response.events) {
      if (context.forPeople) out.line(eventLine(event, style));
      else {
        if (format === "yaml") out.line("---");
        await writeMessage(out, format, EventSchema, event);
      }
    }
    await out.flush();
  }
}

/**
 * One event on one line.
 * @param short without date and id, for narrow screens
 */
export function eventLine(event: Event, style: Style, short = false): string {
  const tone =
    event.severity === Severity.ERROR
      ? style.bad
      : event.severity === Severity.WARNING
        ? style.warn
        : undefined;
  const topic = event.topic.replace(/^cairn\./, "");
  const summary = safeText(event.summary);
  const word =
    event.severity === Severity.ERROR ? "ERROR " : event.severity === Severity.WARNING ? "WARN " : "";
  const subject = subjectOf(event);
  const about = subject === "" ? "" : `${style.bold(safeText(subject))}  `;
  const time = humanTime(event.time).slice(short ? -8 : 0);
  const id = short ? "" : `${style.dim(`#${event.id}`)}  `;
  return `${style.dim(time)}  ${id}${style.accent(topic)}  ${about}${tone ? tone(word + summary) : summary}`;
}

/** What the event is about, unless its text says so: the address of a neighbor, KIND/NAME of anything else. */
function subjectOf({ object, summary }: Event): string {
  const name = object.replace(/^Neighbor\//, "");
  return summary.includes(name) ? "" : name;
}

function readSeverity(word: string | undefined): Severity {
  if (word === undefined) return Severity.UNSPECIFIED;
  const severity = severities[word];
  if (severity === undefined)
    throw usageError(`there is no severity "${word}"`, "one of: info, warning, error");
  return severity;
}

function wholeNumber(invocation: Invocation, name: string): number | undefined {
  const text = invocation.option(name);
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw usageError(`--${name}: "${text}" is not a whole number`);
  return Number(text);
}
