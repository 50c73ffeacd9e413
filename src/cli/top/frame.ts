/** A frame of top as lines: pure, so that --once, tests and the terminal show the same. */
import { isUp } from "../commands/neighbor-view.ts";
import { humanBytes, humanCount, humanDuration, safeText } from "../human.ts";
import type { Style } from "../style.ts";
import { displayWidth, wrapText } from "../table.ts";
import type { TopModel } from "./model.ts";
import type { FrameSize } from "./screen.ts";
import { screenOf, tabs } from "./screens.ts";
import { clip, fit } from "./text.ts";
import type { TopView } from "./view.ts";

/** The lines of a frame: exactly size.rows of them, or all when rows has no end. */
export function frameLines(
  model: TopModel,
  view: TopView,
  size: FrameSize,
  style: Style,
  address: string,
): string[] {
  const head = headerLines(model, view, size, style, address);
  const bottom = bottomLines(view, size, style);
  const body = screenOf(view.screen).lines({ model, view, size: bodySize(size), style });
  if (!Number.isFinite(size.rows)) return [...head, ...body];
  const room = Math.max(0, size.rows - head.length - bottom.length);
  const filled = body.slice(0, room);
  while (filled.length < room) filled.push("");
  return [...head, ...filled, ...bottom].slice(0, size.rows);
}

/** Identity, totals, tabs or a message; the keys at the bottom. */
const linesAround = 4;

/** The room that a screen has in a frame, however many lines a menu takes of it for the moment. */
export function bodySize({ columns, rows }: FrameSize): FrameSize {
  return { columns, rows: Math.max(1, rows - linesAround) };
}

function headerLines(
  model: TopModel,
  view: TopView,
  { columns, rows }: FrameSize,
  style: Style,
  address: string,
): string[] {
  const tabs = Number.isFinite(rows) ? tabLine(view, columns, style) : "";
  return [
    identityLine(model, columns, style, address),
    totalsLine(model, columns, style),
    messageLine(model, tabs, columns, style),
  ];
}

/** The tabs and what there is to say, or only that where it needs the room: nothing below must move for it. */
function messageLine(model: TopModel, tabs: string, columns: number, style: Style): string {
  const message = messageOf(model);
  if (!message) return tabs;
  const text = safeText(message.text);
  const room = columns - displayWidth(tabs) - 3;
  if (tabs !== "" && displayWidth(text) <= room) return `${tabs}   ${style[message.tone](text)}`;
  return style[message.tone](clip(text, columns));
}

function identityLine(
  { health, connected }: TopModel,
  columns: number,
  style: Style,
  address: string,
): string {
  if (!health) return clip(`${style.bold("cairn top")}  ${safeText(address)}`, columns);
  const word = !connected
    ? style.bad("NO CONNECTION")
    : health.healthy
      ? style.good("healthy")
      : style.bad("NOT HEALTHY");
  const parts = [
    `${style.bold(safeText(health.name) || "cairn")}  AS ${health.asn}`,
    `id ${health.routerId || "unset"}`,
    word,
    `up ${humanDuration(health.uptime)}`,
    `generation ${health.generation}`,
    `cairnd ${health.version}`,
  ];
  return fit(parts, columns);
}

function totalsLine(model: TopModel, columns: number, style: Style): string {
  const { summary } = model;
  const up = [...model.neighbors.values()].filter(isUp).length;
  const all = model.neighbors.size;
  const sessions = `${up === all ? style.good(`${up}/${all}`) : style.warn(`${up}/${all}`)} sessions up`;
  const families = (short: boolean) =>
    (summary?.families ?? []).map(({ family, prefixes, paths }) => {
      if (short) return `${family} ${humanCount(prefixes)}/${humanCount(paths)}`;
      const more = paths === prefixes ? "" : `, ${humanCount(paths)} paths`;
      return `${family} ${humanCount(prefixes)} routes${more}`;
    });
  const memory = summary ? [`${humanBytes(summary.memoryBytes)} RIB`] : [];
  // every family must be seen; where that needs room, prefixes and paths have no words
  const long = [sessions, ...families(false)];
  const isShort = displayWidth(long.join("  ")) > columns;
  return fit([...(isShort ? [sessions, ...families(true)] : long), ...memory], columns);
}

/** What the operator must know before anything else; undefined when there is nothing. */
function messageOf(
  model: TopModel,
): { readonly tone: "good" | "warn" | "bad"; readonly text: string } | undefined {
  const { health, problem, outcome } = model;
  if (outcome) return { tone: outcome.ok ? "good" : "bad", text: outcome.text };
  if (!model.connected) return { tone: "bad", text: health ? `${problem}; trying again` : problem };
  if (model.slowS > 0) return { tone: "warn", text: `cairnd has not answered for ${model.slowS} s; waiting` };
  if (health && !health.healthy) {
    const ill = health.subsystems.filter(({ healthy }) => !healthy);
    return { tone: "bad", text: ill.map(({ name, detail }) => `${name}: ${detail}`).join("; ") };
  }
  return model.notice === "" ? undefined : { tone: "warn", text: model.notice };
}

function tabLine({ screen }: TopView, columns: number, style: Style): string {
  const parts = tabs.map(({ key, name }) => {
    const text = `${key} ${name}`;
    return name === screen ? style.bold(`[${text}]`) : style.dim(text);
  });
  const own = tabs.some(({ name }) => name === screen) ? [] : [style.bold(`[${screen}]`)];
  return fitTight([...own, ...parts], columns);
}

/** As many parts as fit, one blank between them. */
function fitTight(parts: readonly string[], columns: number): string {
  let line = "";
  for (const part of parts) {
    const next = line === "" ? part : `${line} ${part}`;
    if (displayWidth(next) > columns) break;
    line = next;
  }
  return line;
}

/** The line at the bottom: keys, or what is being asked; a menu takes as many lines as it has. */
function bottomLines(view: TopView, { columns, rows }: FrameSize, style: Style): string[] {
  if (!Number.isFinite(rows)) return [];
  const { prompt, confirm, menu } = view;
  if (prompt) {
    // the end of a long text is what is being typed
    const room = Math.max(10, columns - displayWidth(prompt.label) - 2);
    const text = safeText(prompt.text);
    const shown = text.length < room ? text : `…${text.slice(text.length - room + 2)}`;
    const line = `${style.accent(prompt.label)} ${shown}_`;
    const hint = style.dim(clip(safeText(prompt.hint), columns));
    return displayWidth(`${line}   ${hint}`) <= columns ? [`${line}   ${hint}`] : [hint, line];
  }
  if (confirm) {
    const tone = confirm.harmful ? style.bad : style.warn;
    const question = `${safeText(confirm.question)}?  y does it, n or esc does not`;
    return ["", ...wrapText(question, columns).map((line) => tone(clip(line, columns)))];
  }
  if (menu.length > 0) {
    const lines = menu.map(({ key, label, harmful }) => {
      return `  ${style.accent(key)}  ${harmful ? style.warn(label) : label}`;
    });
    return [style.bold("actions"), ...lines, style.dim("a key chooses, esc closes")].map((line) =>
      clip(line, columns),
    );
  }
  return [footerLine(view, columns, style)];
}

function footerLine(view: TopView, columns: number, style: Style): string {
  const filter = view.screen === "sessions" && view.filter !== "" ? `[${safeText(view.filter)}]` : "";
  const keys = screenOf(view.screen).keys.map(([key, what]) => `${key} ${what}`);
  const isFirst = view.screen === "sessions" && view.trail.length === 0;
  const last = [...(isFirst ? [] : ["esc back"]), "? help", "q quit"];
  const room = columns - displayWidth(filter) - displayWidth(last.join("  ")) - 4;
  const line = [fit(keys, room), ...last].join("  ");
  return filter === "" ? style.dim(line) : `${style.accent(filter)} ${style.dim(line)}`;
}
