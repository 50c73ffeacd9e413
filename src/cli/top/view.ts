/** What the operator looks at: which screen, what is selected, and what is being asked of the operator. */
import type { Action } from "./actions.ts";

export type ScreenName =
  | "sessions"
  | "rib"
  | "events"
  | "policy"
  | "rpki"
  | "bfd"
  | "mrt"
  | "bmp"
  | "objects"
  | "damped"
  | "neighbor"
  | "explain"
  | "help";

export const sortNames = ["address", "state", "uptime", "received", "updates", "flaps"] as const;
export type SortName = (typeof sortNames)[number];

export const ribTables = ["best", "received", "accepted", "rejected", "advertised", "lookup"] as const;
export type RibTable = (typeof ribTables)[number];

export interface RibView {
  readonly table: RibTable;
  readonly family: string;
  /** Conditions as typed, see rib-filter.ts. */
  readonly filter: string;
  /** Address or prefix of the longest match. */
  readonly target: string;
  /** Page tokens from the first page to this one; empty on the first page. */
  readonly pages: readonly string[];
  /** Selected row of the page; too high a one means the last. */
  readonly row: number;
}

export interface ExplainView {
  readonly question: "best" | "import" | "advertised";
  readonly prefix: string;
  /** Neighbor that the route came from, and its path identifier. */
  readonly from: string;
  readonly pathId: number;
  /** Neighbor that it may be told to. */
  readonly to: string;
}

/** How the rows of a list screen are looked at. */
export interface ListView {
  /** Id of the selected row: the selection follows it. */
  readonly selected: string;
  /** Title of the column by which rows are sorted; empty for the order in which they come. */
  readonly sort: string;
  readonly filter: string;
}

/** A line that is being typed. */
export interface Prompt {
  readonly label: string;
  readonly text: string;
  /** UTF-8 bytes at most. */
  readonly maxBytes: number;
  /** What up and down put in its place. */
  readonly choices: readonly string[];
  /** What enter and esc do, for the line at the bottom. */
  readonly hint: string;
  /** The view while the text is typed. */
  readonly change?: (view: TopView, text: string) => TopView;
  /** The view once it is typed. */
  readonly done: (view: TopView, text: string) => TopView;
}

export interface TopView {
  readonly screen: ScreenName;
  /** Screens that esc leads back to; the last one first. */
  readonly trail: readonly ScreenName[];
  /** Address of the selected neighbor: the selection follows it, not the row. */
  readonly selected: string;
  readonly sort: SortName;
  readonly filter: string;
  /** First line shown on pages that are longer than the screen. */
  readonly scroll: number;
  readonly lists: Readonly<Partial<Record<ScreenName, ListView>>>;
  readonly rib: RibView;
  readonly explain: ExplainView;
  readonly events: EventsView;
  readonly prompt: Prompt | undefined;
  /** Actions to choose from. */
  readonly menu: readonly Action[];
  /** The action that waits for y. */
  readonly confirm: Action | undefined;
}

export interface EventsView {
  readonly severity: "all" | "warning" | "error";
  /** Topic with * for any rest, part of one, or KIND/NAME. */
  readonly filter: string;
}

export const firstList: ListView = { selected: "", sort: "", filter: "" };

export const firstView: TopView = {
  screen: "sessions",
  trail: [],
  selected: "",
  sort: "address",
  filter: "",
  scroll: 0,
  lists: {},
  rib: { table: "best", family: "", filter: "", target: "", pages: [], row: 0 },
  explain: { question: "best", prefix: "", from: "", pathId: 0, to: "" },
  events: { severity: "all", filter: "" },
  prompt: undefined,
  menu: [],
  confirm: undefined,
};

const trailMax = 8;

/** Opens a screen; esc leads back. */
export function open(view: TopView, screen: ScreenName): TopView {
  if (view.screen === screen) return view;
  const trail = [...view.trail, view.screen].slice(-trailMax);
  return { ...view, screen, trail, scroll: 0, menu: [], confirm: undefined };
}

/** One step back; at the end of the trail the sessions. */
export function back(view: TopView): TopView {
  const screen = view.trail.at(-1) ?? "sessions";
  return { ...view, screen, trail: view.trail.slice(0, -1), scroll: 0 };
}

/** Asks for a line of text. */
export function ask(view: TopView, prompt: Partial<Prompt> & Pick<Prompt, "label" | "done">): TopView {
  const base = { text: "", maxBytes: 120, choices: [], hint: "enter takes it, esc leaves it" };
  return { ...view, prompt: { ...base, ...prompt } };
}
