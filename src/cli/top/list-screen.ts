/** Screens that are a list of objects: search, sort, a selected row, and what more there is to say about it. */
import { humanCount, safeText } from "../human.ts";
import type { Style } from "../style.ts";
import { type Column, renderTable } from "../table.ts";
import type { Action } from "./actions.ts";
import { answerOf, type Calls, type Key, type Scene, type Screen, stepOf } from "./screen.ts";
import { clip, folded, windowStart, wordsOf } from "./text.ts";
import { ask, firstList, type ListView, type ScreenName, type TopView } from "./view.ts";

/** Objects that a list holds at most. */
export const listMax = 500;

export interface ListScreen<Data, Row> {
  readonly name: ScreenName;
  readonly key?: string;
  readonly about: string;
  readonly everyMs: number;
  /** Asks the daemon. @param previous the last answer, for rates. @throws CliError */
  ask(calls: Calls, previous: Data | undefined): Promise<Data>;
  /** Lines above the list. */
  head(data: Data, style: Style): readonly string[];
  rows(data: Data): readonly Row[];
  /** Tells rows apart. */
  id(row: Row): string;
  readonly columns: readonly Column<Row>[];
  /** Said when there are no rows. */
  readonly empty: string;
  /** More about the selected row, where the screen has room. */
  detail?(row: Row, style: Style, columns: number): readonly string[];
  actions?(row: Row): readonly Action[];
}

/** A list as a screen. */
export function listScreen<Data, Row>(list: ListScreen<Data, Row>): Screen {
  const { name, key, about, everyMs } = list;
  const shown = list.columns.filter(({ wide }) => !wide);

  /** Rows that pass the search, in the order asked for. */
  const rowsOf = (scene: Pick<Scene, "model" | "view">): readonly Row[] => {
    const data = answerOf<Data>(scene, name)?.data;
    if (data === undefined) return [];
    const { sort, filter } = viewOf(scene.view);
    const words = wordsOf(filter);
    const rows = list.rows(data).filter((row) => {
      const text = shown
        .map(({ value }) => value(row))
        .join(" ")
        .toLowerCase();
      return words.every((word) => text.includes(word));
    });
    const column = sort === "" ? undefined : shown.find(({ title }) => title === sort);
    return column ? rows.sort((a, b) => compareCells(column.value(a), column.value(b))) : rows;
  };
  const viewOf = (view: TopView): ListView => view.lists[name] ?? firstList;
  const withList = (view: TopView, change: Partial<ListView>): TopView => ({
    ...view,
    lists: { ...view.lists, [name]: { ...viewOf(view), ...change } },
  });
  const selectedAt = (rows: readonly Row[], view: TopView): number => {
    const { selected } = viewOf(view);
    return Math.max(
      0,
      rows.findIndex((row) => list.id(row) === selected),
    );
  };

  return {
    name,
    key,
    about,
    keys: [
      ["j/k", "select"],
      ["/", "search"],
      ["s", "sort"],
      ...(list.actions ? [["a", "actions"] as const] : []),
    ],
    want: () => ({
      screen: name,
      key: name,
      everyMs,
      ask: (calls, previous) => list.ask(calls, previous as Data | undefined),
    }),
    lines: (scene) => {
      const { size, style, view } = scene;
      const answer = answerOf<Data>(scene, name);
      const problem = problemLines(answer?.problem ?? "", scene);
      if (answer?.data === undefined) return problem.length > 0 ? problem : [style.dim("asking ...")];
      const { sort, filter } = viewOf(view);
      const rows = rowsOf(scene);
      const head = [...problem, ...list.head(answer.data, style)].map((line) => clip(line, size.columns));
      if (filter !== "") head.push(style.accent(`search: ${safeText(filter)}`));
      if (rows.length === 0) return [...head, filter === "" ? list.empty : "nothing has these words"];
      const at = selectedAt(rows, view);
      const detail = folded(list.detail?.(rows[at], style, size.columns) ?? [], size.columns);
      // the list keeps at least half of the room, or what it needs
      const room = size.rows - head.length - 1;
      const visible = Number.isFinite(room)
        ? Math.max(3, Math.min(rows.length, Math.max(Math.ceil(room / 2), room - detail.length - 1)))
        : rows.length;
      const first = windowStart(at, rows.length, visible);
      const columns: Column<Row>[] = shown.map((column) =>
        column.title === sort && sort !== "" ? { ...column, title: `${sort}*` } : column,
      );
      columns.unshift({
        title: "",
        value: (row) => (row === rows[at] ? ">" : " "),
        tone: () => "bold",
      });
      const table = renderTable(columns, rows.slice(first, first + visible), size.columns, style);
      const lines = [...head, ...table.map((line) => clip(line, size.columns))];
      if (rows.length > visible) lines[head.length] += style.dim(`  ${at + 1} of ${rows.length}`);
      if (detail.length > 0) lines.push("", ...detail.map((line) => clip(line, size.columns)));
      return lines.map((line) => clip(line, size.columns));
    },
    press: ({ model, view, size }, pressed: Key) => {
      if (pressed.text === "/") {
        return ask(view, {
          label: "search:",
          text: viewOf(view).filter,
          hint: "enter keeps it, esc clears it",
          change: (now, filter) => withList(now, { filter }),
          done: (now) => now,
        });
      }
      if (pressed.text === "s") {
        const titles = ["", ...shown.map(({ title }) => title).filter((title) => title !== "")];
        const next = titles[(titles.indexOf(viewOf(view).sort) + 1) % titles.length];
        return withList(view, { sort: next });
      }
      const step = stepOf(pressed, Math.max(1, size.rows - 4));
      if (step === 0) return undefined;
      const rows = rowsOf({ model, view });
      const at = Math.max(0, Math.min(selectedAt(rows, view) + step, rows.length - 1));
      return rows[at] === undefined ? view : withList(view, { selected: list.id(rows[at]) });
    },
    actions: (scene) => {
      const rows = rowsOf(scene);
      const row = rows[selectedAt(rows, scene.view)];
      return row === undefined ? [] : (list.actions?.(row) ?? []);
    },
  };
}

/** What stands above a list that is not whole. */
export function moreLine(shown: number, total: bigint): string[] {
  return BigInt(shown) < total ? [`${humanCount(shown)} of ${humanCount(total)}`] : [];
}

/** What went wrong with the last question, for the top of a screen. */
export function problemLines(problem: string, { model, style }: Pick<Scene, "model" | "style">): string[] {
  // that there is no connection stands above all screens
  return problem === "" || !model.connected ? [] : [style.bad(safeText(problem))];
}

/** Numbers as numbers, the highest first; anything else as text. */
function compareCells(a: string, b: string): number {
  const left = numberOf(a);
  const right = numberOf(b);
  if (!Number.isNaN(left) && !Number.isNaN(right)) return right - left;
  return a < b ? -1 : a > b ? 1 : 0;
}

function numberOf(cell: string): number {
  const text = cell.replaceAll(",", "");
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
}
