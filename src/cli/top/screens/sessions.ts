/** The first screen: sessions with their rates, totals by family where there is room, the newest events. */
import type { Neighbor } from "../../../gen/cairn/v1/neighbor_service_pb.ts";
import type { RibSummary } from "../../../gen/cairn/v1/rib_service_pb.ts";
import { addressOf, asnOf, familySum, isUp, stateWord } from "../../commands/neighbor-view.ts";
import { humanCount, humanDuration, safeText } from "../../human.ts";
import { stateTone } from "../../style.ts";
import { type Column, renderTable } from "../../table.ts";
import { neighborActions } from "../actions.ts";
import type { Rates } from "../model.ts";
import { flapsOf, selectedNeighbor, shownNeighbors } from "../neighbors.ts";
import { clamp, type Key, type Scene, type Screen, stepOf } from "../screen.ts";
import { clip, folded, rateText, sparkline, windowStart } from "../text.ts";
import { ask, open, sortNames, type TopView } from "../view.ts";
import { eventTail } from "./events.ts";
import { openRib } from "./rib.ts";

/** Narrower screens have short sparklines, and none of what is sent. */
const wideColumns = 160;
const eventLinesMin = 8;
/** Where sessions leave room. */
const eventLinesMax = 20;
const familiesMax = 8;
/** Totals by family are shown when so many lines are left for sessions and events. */
const tallRows = 36;

export const sessionsScreen: Screen = {
  name: "sessions",
  key: "1",
  about: "sessions: state, flaps, routes, update rates; the newest events",
  keys: [
    ["j/k", "select"],
    ["enter", "detail"],
    ["r", "routes"],
    ["a", "actions"],
    ["s", "sort"],
    ["/", "filter"],
  ],
  lines,
  press,
  actions: ({ model, view }) => {
    const neighbor = selectedNeighbor(model, view);
    return neighbor ? neighborActions(neighbor) : [];
  },
};

function lines(scene: Scene): string[] {
  const { model, view, size, style } = scene;
  const endless = !Number.isFinite(size.rows);
  const rows = shownNeighbors(model, view);
  const families = !endless && size.rows >= tallRows ? familyLines(scene) : [];
  const free = size.rows - families.length - rows.length - model.hints.length - 4;
  const eventRoom = endless
    ? 10
    : Math.max(Math.min(Math.floor(size.rows / 3), eventLinesMin), Math.min(free, eventLinesMax));
  const room = size.rows - eventRoom - 1 - families.length;
  const visible = endless ? rows.length : Math.max(1, room - 1);
  const selected = selectedNeighbor(model, view);
  const first = windowStart(selected ? rows.indexOf(selected) : 0, rows.length, visible);
  const shown = rows.slice(first, first + visible);
  const columns = sessionColumns(scene, selected, !endless);
  const out = renderTable(columns, shown, size.columns, style);
  if (rows.length === 0)
    out.push(
      view.filter === ""
        ? "no neighbors: cairnctl neighbor add ADDR --asn N"
        : `no neighbor matches "${view.filter}"`,
    );
  if (!endless) {
    // why a session is down must be readable however narrow the screen is
    const cut = shown.filter((neighbor, i) => !isUp(neighbor) && !out[i + 1].includes(noteOf(neighbor)));
    const why = cut.map((neighbor) => `   ${addressOf(neighbor)}: ${noteOf(neighbor)}`);
    for (const line of [...folded(why, size.columns).map(style.warn), "", ...model.hints.map(style.dim)])
      if (out.length < room) out.push(line);
    while (out.length < room) out.push("");
  }
  out.push(...families);
  const hidden = rows.length - shown.length;
  out.push(style.dim(hidden > 0 ? `-- events -- (${hidden} more neighbors above or below)` : "-- events --"));
  out.push(...eventTail(model.events, scene, eventRoom).slice(-eventRoom));
  return out.map((line) => clip(line, size.columns));
}

function familyLines({ model, size, style }: Scene): string[] {
  const families = model.summary?.families ?? [];
  if (families.length === 0) return [];
  const count = (title: string, value: (row: RibSummary) => bigint): Column<RibSummary> => ({
    title,
    value: (row) => humanCount(value(row)),
    align: "right",
  });
  const columns: Column<RibSummary>[] = [
    { title: "FAMILY", value: ({ family }) => family },
    count("PREFIXES", ({ prefixes }) => prefixes),
    count("PATHS", ({ paths }) => paths),
    count("BEST", ({ bestPaths }) => bestPaths),
    count("REJECTED", ({ rejectedPaths }) => rejectedPaths),
    count("MULTIPATH", ({ multipathPrefixes }) => multipathPrefixes),
  ];
  return [
    style.dim("-- tables --"),
    ...renderTable(columns, families.slice(0, familiesMax), size.columns, style),
    "",
  ];
}

function sessionColumns(
  { model, view, size }: Scene,
  selected: Neighbor | undefined,
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
  const sparkWidth = size.columns >= wideColumns ? 24 : 8;
  const spark = (pick: (rates: Rates) => readonly number[]) => (neighbor: Neighbor) => {
    const samples = model.rates.get(addressOf(neighbor));
    return samples ? sparkline(pick(samples), sparkWidth) : "";
  };
  const columns: Column<Neighbor>[] = [
    { title: title("NEIGHBOR", "address"), value: addressOf },
    { title: "AS", value: (neighbor) => String(asnOf(neighbor) || "-"), align: "right" },
    { title: title("STATE", "state"), value: stateWord, tone: (neighbor) => stateTone(stateWord(neighbor)) },
    {
      title: title("UPTIME", "uptime"),
      value: (neighbor) => (isUp(neighbor) ? humanDuration(neighbor.state?.uptime) : "-"),
      align: "right",
    },
    {
      title: title("FLAPS", "flaps"),
      value: (neighbor) => humanCount(flapsOf(neighbor)),
      tone: (neighbor) => (flapsOf(neighbor) > 0n ? "warn" : "dim"),
      align: "right",
      drop: 3,
    },
    { title: title("RECV", "received"), value: sum("received"), align: "right" },
    { title: "ACC", value: sum("accepted"), align: "right", drop: 6 },
    { title: "ADV", value: sum("advertised"), align: "right", drop: 2 },
    { title: title("IN/s", "updates"), value: rate(({ received }) => received), align: "right", drop: 1 },
    { title: "OUT/s", value: rate(({ sent }) => sent), align: "right", drop: 5 },
    { title: "IN", value: spark(({ received }) => received), tone: () => "accent", drop: 4 },
    ...(size.columns >= wideColumns
      ? [{ title: "OUT", value: spark(({ sent }) => sent), tone: () => "accent" as const, drop: 8 }]
      : []),
    {
      title: "NOTE",
      value: noteOf,
      min: 8,
      drop: 7,
      tone: (neighbor) => (isUp(neighbor) ? "dim" : "warn"),
    },
  ];
  if (!interactive) return columns;
  return [
    { title: "", value: (neighbor) => (neighbor === selected ? ">" : " "), tone: () => "bold" },
    ...columns,
  ];
}

/** Why it is down or what is wrong, or who it is. */
function noteOf(neighbor: Neighbor): string {
  const { spec, effective, state } = neighbor;
  const why = state?.status || (!isUp(neighbor) && state?.lastResetReason);
  return safeText(why || effective?.description || spec?.description || "");
}

function press({ model, view, size }: Omit<Scene, "style">, key: Key): TopView | undefined {
  const selected = selectedNeighbor(model, view);
  const address = selected ? addressOf(selected) : "";
  if (key.name === "escape" || key.name === "backspace") return { ...view, filter: "" };
  if (key.name === "enter") return address === "" ? view : open({ ...view, selected: address }, "neighbor");
  if (key.text === "r") return address === "" ? view : openRib({ ...view, selected: address }, "received");
  if (key.text === "s")
    return { ...view, sort: sortNames[(sortNames.indexOf(view.sort) + 1) % sortNames.length] };
  if (key.text === "/")
    return ask(view, {
      label: "filter:",
      text: view.filter,
      hint: "enter keeps it, esc clears it",
      change: (now, filter) => ({ ...now, filter }),
      done: (now) => now,
    });
  const step = stepOf(key, Math.max(1, size.rows - 4));
  if (step === 0) return undefined;
  const rows = shownNeighbors(model, view);
  const at = rows.findIndex((neighbor) => addressOf(neighbor) === address);
  const next = rows[Math.min(clamp(at + step, rows.length), rows.length - 1)];
  return next ? { ...view, selected: addressOf(next) } : view;
}
