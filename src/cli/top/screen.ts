/** What a screen of top is: one file in screens/, and one line in screens.ts. */
import type { Client } from "../client.ts";
import type { Style } from "../style.ts";
import type { Action } from "./actions.ts";
import type { Answer, TopModel } from "./model.ts";
import type { ScreenName, TopView } from "./view.ts";

export interface FrameSize {
  readonly columns: number;
  /** Infinity: as many as there are. */
  readonly rows: number;
}

/** A key as Ink tells it, reduced to what top needs. */
export interface Key {
  readonly text: string;
  readonly name?:
    | "up"
    | "down"
    | "left"
    | "right"
    | "pageUp"
    | "pageDown"
    | "enter"
    | "escape"
    | "backspace"
    | "tab"
    | "backTab";
}

/** All that a screen may look at. `size` is the room below the header and above the footer. */
export interface Scene {
  readonly model: TopModel;
  readonly view: TopView;
  readonly size: FrameSize;
  readonly style: Style;
}

/** The calls of a plain client; tests have a fake one. */
export type Calls = Pick<Client, "call">;

/** What a screen wants to be asked of the daemon while it is shown. */
export interface Want {
  readonly screen: ScreenName;
  /** Tells one question from another: a new one is asked at once. */
  readonly key: string;
  /** Time after which it is asked again. */
  readonly everyMs: number;
  /** @param previous the last answer of this screen, whatever the key. @throws CliError */
  ask(calls: Calls, previous: unknown): Promise<unknown>;
}

export interface Screen {
  readonly name: ScreenName;
  /** Digit that opens it; absent for screens that others open. */
  readonly key?: string;
  /** What it shows, for the help. */
  readonly about: string;
  /** Its own keys and what they do, the most useful first: for footer and help. */
  readonly keys: readonly (readonly [keys: string, what: string])[];
  lines(scene: Scene): readonly string[];
  want?(scene: Omit<Scene, "style">): Want | undefined;
  /** The view after one of its keys; undefined when the key is not one of them. */
  press?(scene: Omit<Scene, "style">, key: Key): TopView | undefined;
  /** What can be done to what is selected. */
  actions?(scene: Omit<Scene, "style">): readonly Action[];
}

/** What the daemon answered to a screen, typed; undefined before the first answer. */
export function answerOf<Data>(
  { model, view }: Pick<Scene, "model" | "view">,
  name: ScreenName = view.screen,
): (Answer & { readonly data: Data | undefined }) | undefined {
  return model.answers.get(name) as (Answer & { readonly data: Data | undefined }) | undefined;
}

/** Rows that a key moves by; 0 when it does not move. */
export function stepOf(key: Key, page: number): number {
  if (key.name === "up" || key.text === "k") return -1;
  if (key.name === "down" || key.text === "j") return 1;
  if (key.name === "pageUp" || key.text === "b") return -page;
  if (key.name === "pageDown" || key.text === " ") return page;
  if (key.text === "g") return Number.NEGATIVE_INFINITY;
  return key.text === "G" ? Number.POSITIVE_INFINITY : 0;
}

/** The view after scrolling a page of `total` lines; undefined when the key does not scroll. */
export function scrollBy(
  { view, size }: Pick<Scene, "view" | "size">,
  key: Key,
  total: number,
): TopView | undefined {
  const step = stepOf(key, Math.max(1, size.rows - 1));
  // the last line of a long page says where its end is
  const last = total <= size.rows ? 0 : total - size.rows + 1;
  return step === 0 ? undefined : { ...view, scroll: clamp(Math.min(view.scroll, last) + step, last) };
}

export function clamp(value: number, max: number): number {
  return Math.max(0, Math.min(value, max));
}
