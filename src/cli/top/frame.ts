/** A frame of top as lines: pure, so that --once, tests and the terminal show the same. */
import { stripVTControlCharacters } from "node:util";
import type { Neighbor } from "../../gen/cairn/v1/neighbor_service_pb.ts";
import { eventLine } from "../commands/events.ts";
import { neighborPage } from "../commands/neighbor-page.ts";
import { addressOf, asnOf, familySum, isUp, stateWord } from "../commands/neighbor-view.ts";
import { communities } from "../commands/route-table.ts";
import { humanBytes, humanCount, humanDuration, safeText } from "../human.ts";
import { type Style, stateTone } from "../style.ts";
import { type Column, displayWidth, renderTable } from "../table.ts";
import type { Rates, TopModel } from "./model.ts";
import { selectedNeighbor, shownNeighbors, type sortNames, type TopView } from "./view.ts";

/** Narrower screens show events without their date. */
const datedColumns = 100;

export interface FrameSize {
  readonly columns: number;
  /** Infinity: as many as there are. */
  readonly rows: number;
}

/** The lines of a frame: exactly size.rows of them, or all when rows has no end. */
export function frameLines(
  model: TopModel,
  view: TopView,
  size: FrameSize,
  style: Style,
  address: string,
): string[] {
  const head = headerLines(model, size, style, address);
  const foot = Number.isFinite(size.rows) ? [footerLine(view, style, size)] : [];
  const room = size.rows - head.length - foot.length;
  const body = screenLines(model, view, { columns: size.columns, rows: room }, style);
  if (!Number.isFinite(size.rows)) return [...head, ...body];
  const filled = body.slice(0, room);
  while (filled.length < room) filled.push("");
  return [...head, ...filled, ...foot];
}

function headerLines(model: TopModel, { columns }: FrameSize, style: Style, address: string): string[] {
  const { health, summary } = model;
  const lines: string[] = [];
  if (health) {
    const word = !model.connected
      ? style.bad("NO CONNECTION")
      : health.healthy
        ? style.good("healthy")
        : style.bad("NOT HEALTHY");
    const name = style.bold(safeText(health.name) || "cairn");
    lines.push(
      fit(
        [
          `${name}  AS ${health.asn}`,
          `id ${health.routerId || "unset"}`,
          word,
          `up ${humanDuration(health.uptime)}`,
          `generation ${health.generation}`,
          `cairnd ${health.version}`,
        ],
        columns,
      ),
    );
  } else {
    lines.push(`${style.bold("cairn top")}  ${safeText(address)}`);
  }
  const up = [...model.neighbors.values()].filter(isUp).length;
  const all = model.neighbors.size;
  const sessions = `${up === all ? style.good(`${up}/${all}`) : style.warn(`${up}/${all}`)} sessions up`;
  const families = (summary?.families ?? []).map(({ family, prefixes, paths }) => {
    return `${family} ${humanCount(prefixes)} routes${paths === prefixes ? "" : `, ${humanCount(paths)} paths`}`;
  });
  const memory = summary ? [`${humanBytes(summary.memoryBytes)} RIB`] : [];
  lines.push(fit([sessions, ...families, ...memory], columns));
  if (!model.connected) {
    lines.push(
      style.bad(clip(health ? `${safeText(model.problem)}; trying again` : safeText(model.problem), columns)),
    );
  } else if (health && !health.healthy) {
    const ill = health.subsystems
      .filter((part) => !part.healthy)
      .map(({ name, detail }) => `${name}: ${detail}`);
    lines.push(style.bad(clip(safeText(ill.join("; ")), columns)));
  } else {
    lines.push(model.notice === "" ? "" : style.warn(model.notice));
  }
  return lines;
}

function screenLines(model: TopModel, view: TopView, size: FrameSize, style: Style): string[] {
  switch (view.screen) {
    case "help":
      return helpLines.map((line) =>
        line.replace(/^(\S+(?: \S+)?)( {2,})/, (_, keys: string, gap: string) => style.accent(keys) + gap),
      );
    case "events":
      return eventScreen(model, view, size, style);
    case "detail": {
      const neighbor = selectedNeighbor(model, view);
      if (!neighbor) return ["no neighbor"];
      return scrolled(neighborPage(neighbor, style, size.columns), view.scroll, size.rows, style);
    }
    case "routes":
      return routeScreen(model, view, size, style);
    case "sessions":
      return sessionScreen(model, view, size, style);
  }
}

function sessionScreen(model: TopModel, view: TopView, size: FrameSize, style: Style): string[] {
  const rows = shownNeighbors(model, view);
  const eventRoom = Number.isFinite(size.rows) ? Math.max(3, Math.min(8, Math.floor(size.rows / 3))) : 10;
  const tableRoom = size.rows - eventRoom - 1;
  const selected = selectedNeighbor(model, view);
  const at = selected ? rows.indexOf(selected) : 0;
  const visible = Number.isFinite(tableRoom) ? Math.max(1, tableRoom - 1) : rows.length;
  const first = Math.max(0, Math.min(at - Math.floor(visible / 2), rows.length - visible));
  const shown = rows.slice(first, first + visible);
  const table = renderTable(
    sessionColumns(model, selected, view, Number.isFinite(size.rows)),
    shown,
    size.columns,
    style,
  );
  const lines = [...table];
  if (rows.length === 0)
    lines.push(
      view.filter === ""
        ? "no neighbors: cairnctl neighbor add ADDR --asn N"
        : `no neighbor matches "${view.filter}"`,
    );
  if (Number.isFinite(tableRoom)) {
    for (const hint of ["", ...model.hints])
      if (lines.length < tableRoom) lines.push(clip(style.dim(hint), size.columns));
    while (lines.length < tableRoom) lines.push("");
  }
  const hidden = rows.length - shown.length;
  lines.push(
    style.dim(hidden > 0 ? `-- events -- (${hidden} more neighbors above or below)` : "-- events --"),
  );
  for (const event of model.events.slice(-eventRoom))
    lines.push(clip(eventLine(event, style, size.columns < datedColumns), size.columns));
  return lines;
}

function sessionColumns(
  model: TopModel,
  selected: Neighbor | undefined,
  view: TopView,
  interactive: boolean,
): Column<Neighbor>[] {
  const rate = (pick: (rates: Rates) => readonly number[]) => (neighbor: Neighbor) => {
    const samples = model.rates.get(addressOf(neighbor));
    const last = samples ? pick(samples).at(-1) : undefined;
    return last === undefined ? "-" : rateText(last);
  };
  const sum = (counter: Parameters<typeof familySum>[1]) => (neighbor: Neighbor) =>
    isUp(neighbor) ? humanCount(familySum(neighbor, counter)) : "-";
  const title = (name: string, sort: (typeof sortNames)[number]) =>
    view.sort === sort && interactive ? `${name}*` : name;
  const columns: Column<Neighbor>[] = [
    { title: title("NEIGHBOR", "address"), value: addressOf },
    { title: "AS", value: (neighbor) => String(asnOf(neighbor) || "-"), align: "right" },
    { title: title("STATE", "state"), value: stateWord, tone: (neighbor) => stateTone(stateWord(neighbor)) },
    {
      title: title("UPTIME", "uptime"),
      value: (neighbor) => (isUp(neighbor) ? humanDuration(neighbor.state?.uptime) : "-"),
      align: "right",
    },
    { title: title("RECV", "received"), value: sum("received"), align: "right" },
    { title: "ACC", value: sum("accepted"), align: "right", drop: 5 },
    { title: "ADV", value: sum("advertised"), align: "right", drop: 1 },
    { title: title("IN/s", "updates"), value: rate(({ received }) => received), align: "right", drop: 2 },
    { title: "OUT/s", value: rate(({ sent }) => sent), align: "right", drop: 3 },
    {
      title: "IN",
      value: (neighbor) => sparkline(model.rates.get(addressOf(neighbor))?.received ?? [], 8),
      tone: () => "accent",
      drop: 4,
    },
    {
      title: "NOTE",
      value: (neighbor) => {
        const { spec, effective, state } = neighbor;
        const why = state?.status || (!isUp(neighbor) && state?.lastResetReason);
        return why || effective?.description || spec?.description || "";
      },
      min: 8,
      drop: 6,
      tone: () => "dim",
    },
  ];
  if (!interactive) return columns;
  return [
    { title: "", value: (neighbor) => (neighbor === selected ? ">" : " "), tone: () => "bold" },
    ...columns,
  ];
}

const sparks = "▁▂▃▄▅▆▇█";

/** The last `width` samples as blocks, the highest of them as a full one. */
export function sparkline(samples: readonly number[], width: number): string {
  const shown = samples.slice(-width);
  const top = Math.max(...shown, 0);
  const blocks = shown.map((sample) =>
    top === 0 ? sparks[0] : sparks[Math.round((sample / top) * (sparks.length - 1))],
  );
  return blocks.join("").padStart(shown.length === 0 ? 0 : width, " ");
}

function rateText(rate: number): string {
  if (rate === 0) return "0";
  return rate < 10 ? rate.toFixed(1) : humanCount(Math.round(rate));
}

function eventScreen(model: TopModel, view: TopView, size: FrameSize, style: Style): string[] {
  if (model.events.length === 0) return ["no events yet"];
  const rows = Number.isFinite(size.rows) ? size.rows : model.events.length;
  const end = Math.max(Math.min(rows, model.events.length), model.events.length - view.scroll);
  return model.events
    .slice(Math.max(0, end - rows), end)
    .map((event) => clip(eventLine(event, style, size.columns < datedColumns), size.columns));
}

function routeScreen(model: TopModel, view: TopView, size: FrameSize, style: Style): string[] {
  const { routes } = model;
  if (!routes || routes.neighbor !== view.selected) return [`asking for the routes of ${view.selected} ...`];
  if (routes.problem !== "") return [style.bad(safeText(routes.problem))];
  const lines = renderTable(
    [
      { title: "PREFIX", value: ({ prefix }) => prefix },
      { title: "NEXT HOP", value: ({ nextHop }) => nextHop },
      { title: "AS PATH", value: ({ asPathText }) => asPathText, min: 12 },
      { title: "COMMUNITIES", value: communities, min: 8, drop: 1 },
    ],
    routes.routes,
    size.columns,
    style,
  );
  const title = `received from ${view.selected}: ${humanCount(routes.routes.length)} of ${humanCount(routes.total)} routes`;
  const more =
    BigInt(routes.routes.length) < routes.total ? `; all: cairnctl rib received ${view.selected}` : "";
  return [
    style.bold(clip(title + more, size.columns)),
    lines[0],
    ...scrolled(lines.slice(1), view.scroll, size.rows - 2, style),
  ];
}

function scrolled(lines: readonly string[], scroll: number, rows: number, style: Style): string[] {
  if (!Number.isFinite(rows) || lines.length <= rows) return [...lines];
  const first = Math.min(scroll, lines.length - rows + 1);
  const shown = lines.slice(first, first + rows - 1);
  const below = lines.length - first - shown.length;
  return [...shown, style.dim(below > 0 ? `-- ${below} more lines: j or space --` : "-- end --")];
}

function footerLine(view: TopView, style: Style, { columns }: FrameSize): string {
  if (view.typing)
    return `${style.accent("filter:")} ${safeText(view.filter)}_   enter keeps it, esc clears it`;
  const hints: Record<TopView["screen"], string> = {
    sessions: "j/k select  enter detail  r routes  e events  s sort  / filter  ? help  q quit",
    detail: "j/k scroll  r routes  esc back  ? help  q quit",
    events: "j/k scroll  e or esc back  q quit",
    routes: "j/k scroll  esc back  q quit",
    help: "? or esc back  q quit",
  };
  const filter =
    view.filter === "" || view.screen !== "sessions" ? "" : `${style.accent(`[${safeText(view.filter)}]`)} `;
  return filter + style.dim(clip(hints[view.screen], columns));
}

const helpLines = [
  "up down j k   select a neighbor, or scroll",
  "space         a page down; g first, G last",
  "enter         everything about the selected neighbor",
  "r             routes received from it",
  "e             events",
  "s             next sort column (marked *): address, state, uptime, received, updates",
  "/             filter by words in address, AS, state, group, description",
  "esc           back; on the first screen: clear the filter",
  "q             quit",
  "",
  "IN/s OUT/s    UPDATE messages a second; the blocks show the last eight samples",
  "sessions      green established, yellow on its way, red down",
];

/** Joins parts by two blanks while they fit. */
function fit(parts: readonly string[], columns: number): string {
  let line = "";
  for (const part of parts) {
    const next = line === "" ? part : `${line}  ${part}`;
    if (displayWidth(next) > columns && line !== "") break;
    line = next;
  }
  return line;
}

/** Cuts a line that may hold colour codes; then without its colours. */
function clip(line: string, columns: number): string {
  if (displayWidth(line) <= columns) return line;
  const bare = stripVTControlCharacters(line);
  return bare.length <= columns ? line : `${bare.slice(0, Math.max(0, columns - 1))}…`;
}
