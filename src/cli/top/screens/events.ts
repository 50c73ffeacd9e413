/** Events as they happen, or those of one severity or topic. */
import { create } from "@bufbuild/protobuf";
import {
  type Event,
  type EventFilter,
  EventFilterSchema,
  EventService,
  Severity,
} from "../../../gen/cairn/v1/event_service_pb.ts";
import { eventLine } from "../../commands/events.ts";
import { safeText } from "../../human.ts";
import { plain } from "../../style.ts";
import { problemLines } from "../list-screen.ts";
import { answerOf, clamp, type Scene, type Screen, stepOf } from "../screen.ts";
import { clip, folded } from "../text.ts";
import { ask, type EventsView, type TopView } from "../view.ts";

/** Narrower screens show events without date and id. */
const datedColumns = 100;
const refreshMs = 1_000;
const filteredMax = 300;
const severities = ["all", "warning", "error"] as const;
const least: Readonly<Record<EventsView["severity"], Severity>> = {
  all: Severity.UNSPECIFIED,
  warning: Severity.WARNING,
  error: Severity.ERROR,
};

export const eventsScreen: Screen = {
  name: "events",
  key: "3",
  about: "events as they happen, by severity and topic",
  keys: [
    ["j/k", "scroll"],
    ["v", "severity"],
    ["/", "topic or KIND/NAME"],
    ["G", "newest"],
  ],
  // without conditions the events that are watched anyhow are shown
  want: ({ view: { events } }) => {
    if (!isFiltered(events)) return undefined;
    const filter = filterOf(events);
    return {
      screen: "events",
      key: JSON.stringify(events),
      everyMs: refreshMs,
      ask: async (calls) => {
        const request = { filter, reverse: true, pageSize: filteredMax };
        const response = await calls.call(EventService.method.listEvents, request);
        return response.events.reverse();
      },
    };
  },
  lines: (scene) => {
    const { view, size, style } = scene;
    const { severity, filter } = view.events;
    const answer = isFiltered(view.events) ? answerOf<Event[]>(scene, "events") : undefined;
    const conditions = [
      severity === "all" ? "all events" : severity === "warning" ? "warnings and errors" : "errors",
      filter === "" ? "" : `of ${filter}`,
    ];
    const title = style.bold(safeText(conditions.filter((part) => part !== "").join(" ")));
    const head = [title, ...problemLines(answer?.problem ?? "", scene)];
    const events = eventsOf(scene);
    if (!events) return [...head, style.dim("asking ...")];
    if (events.length === 0) return [...head, isFiltered(view.events) ? "none" : "no events yet"];
    if (view.scroll > 0) head[0] += style.dim("  back in time: G shows the newest");
    const page = eventTail(events, scene, Math.max(1, size.rows - head.length) + view.scroll);
    const rows = Math.min(size.rows - head.length, page.length);
    const end = Math.max(rows, page.length - view.scroll);
    return [...head.map((text) => clip(text, size.columns)), ...page.slice(end - rows, end)];
  },
  press: (scene, key) => {
    const { view, size } = scene;
    const set = (change: Partial<EventsView>): TopView => ({
      ...view,
      scroll: 0,
      events: { ...view.events, ...change },
    });
    if (key.text === "v") {
      const { severity } = view.events;
      return set({ severity: severities[(severities.indexOf(severity) + 1) % severities.length] });
    }
    if (key.text === "/")
      return ask(view, {
        label: "topic or KIND/NAME:",
        text: view.events.filter,
        hint: "such as session, bgp.*.lost, Neighbor/192.0.2.1",
        done: (now, filter) => ({ ...now, scroll: 0, events: { ...now.events, filter: filter.trim() } }),
      });
    const step = stepOf(key, Math.max(1, size.rows - 2));
    if (step === 0) return undefined;
    // the end is shown first: up goes back in time
    const length = eventTail(eventsOf(scene) ?? [], { size, style: plain }, Number.POSITIVE_INFINITY).length;
    return { ...view, scroll: clamp(view.scroll - step, Math.max(0, length - (size.rows - 1))) };
  },
};

/** The last lines of the events, at least so many when there are so many; long ones are folded. */
export function eventTail(
  events: readonly Event[],
  { size, style }: Pick<Scene, "size" | "style">,
  count: number,
): string[] {
  const lines: string[] = [];
  for (let i = events.length - 1; i >= 0 && lines.length < count; i--) {
    const line = eventLine(events[i], style, size.columns < datedColumns);
    lines.unshift(...folded([line], size.columns));
  }
  return lines;
}

function isFiltered({ severity, filter }: EventsView): boolean {
  return severity !== "all" || filter !== "";
}

function filterOf({ severity, filter }: EventsView): EventFilter {
  const isObject = filter.includes("/");
  return create(EventFilterSchema, {
    minSeverity: least[severity],
    object: isObject ? filter : "",
    topics: isObject || filter === "" ? [] : [`*${filter}*`],
  });
}

/** Oldest first; undefined while they are asked for. */
function eventsOf(scene: Pick<Scene, "model" | "view">): readonly Event[] | undefined {
  const { model, view } = scene;
  if (!isFiltered(view.events)) return model.events;
  const answer = answerOf<Event[]>(scene, "events");
  return answer?.key === JSON.stringify(view.events) ? (answer.data ?? []) : undefined;
}
