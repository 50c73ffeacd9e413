/** What the operator looks at: screen, selection, sorting, filter; and what each key does to it. */

import { parseIp } from "../../base/ip.ts";
import type { Neighbor } from "../../gen/cairn/v1/neighbor_service_pb.ts";
import { addressOf, asnOf, familySum, isUp, stateWord } from "../commands/neighbor-view.ts";
import { secondsOf } from "../human.ts";
import type { TopModel } from "./model.ts";

export type Screen = "sessions" | "detail" | "events" | "routes" | "help";

export interface TopView {
  readonly screen: Screen;
  /** Address of the selected neighbor: the selection follows it, not the row. */
  readonly selected: string;
  readonly sort: SortName;
  readonly filter: string;
  /** The filter is being typed. */
  readonly typing: boolean;
  /** First line shown on pages that are longer than the screen. */
  readonly scroll: number;
}

export const firstView: TopView = {
  screen: "sessions",
  selected: "",
  sort: "address",
  filter: "",
  typing: false,
  scroll: 0,
};

const sorts = {
  address: (a: Neighbor, b: Neighbor) => compareAddress(addressOf(a), addressOf(b)),
  state: (a: Neighbor, b: Neighbor) => Number(isUp(a)) - Number(isUp(b)) || sorts.address(a, b),
  uptime: (a: Neighbor, b: Neighbor) =>
    secondsOf(a.state?.uptime) - secondsOf(b.state?.uptime) || sorts.address(a, b),
  received: (a: Neighbor, b: Neighbor) =>
    Number(familySum(b, "received") - familySum(a, "received")) || sorts.address(a, b),
  updates: (a: Neighbor, b: Neighbor) => sorts.address(a, b),
};

export type SortName = keyof typeof sorts;
export const sortNames = Object.keys(sorts) as readonly SortName[];

/** Neighbors that pass the filter, in the chosen order. */
export function shownNeighbors(model: TopModel, view: TopView): Neighbor[] {
  const words = view.filter
    .toLowerCase()
    .split(" ")
    .filter((word) => word !== "");
  const shown = [...model.neighbors.values()].filter((neighbor) => {
    const text = [
      addressOf(neighbor),
      asnOf(neighbor),
      stateWord(neighbor),
      neighbor.spec?.peerGroup,
      neighbor.spec?.description,
    ]
      .join(" ")
      .toLowerCase();
    return words.every((word) => text.includes(word));
  });
  if (view.sort !== "updates") return shown.sort(sorts[view.sort]);
  const rate = (neighbor: Neighbor) => {
    const rates = model.rates.get(addressOf(neighbor));
    return (rates?.received.at(-1) ?? 0) + (rates?.sent.at(-1) ?? 0);
  };
  return shown.sort((a, b) => rate(b) - rate(a) || sorts.address(a, b));
}

/** The selected neighbor; the first one while none was selected, or when it is gone. */
export function selectedNeighbor(model: TopModel, view: TopView): Neighbor | undefined {
  return model.neighbors.get(view.selected) ?? shownNeighbors(model, view)[0];
}

/** A key as Ink tells it, reduced to what top needs. */
export interface Key {
  readonly text: string;
  readonly name?: "up" | "down" | "pageUp" | "pageDown" | "enter" | "escape" | "backspace";
}

export type KeyOutcome = { readonly view: TopView; readonly quit?: boolean; readonly loadRoutes?: string };

/** What a key does. `page` is the number of lines a page key moves. */
export function pressKey(model: TopModel, view: TopView, key: Key, page: number): KeyOutcome {
  if (view.typing) return { view: typeFilter(view, key) };
  if (key.text === "q") return { view, quit: true };
  if (key.text === "?")
    return { view: { ...view, screen: view.screen === "help" ? "sessions" : "help", scroll: 0 } };
  if (key.text === "e")
    return { view: { ...view, screen: view.screen === "events" ? "sessions" : "events", scroll: 0 } };
  if (key.name === "escape" || key.name === "backspace") {
    if (view.screen === "sessions") return { view: { ...view, filter: "" } };
    return { view: { ...view, screen: view.screen === "routes" ? "detail" : "sessions", scroll: 0 } };
  }
  const selected = selectedNeighbor(model, view);
  const address = selected ? addressOf(selected) : "";
  if (key.text === "r" && address !== "" && view.screen !== "routes") {
    return { view: { ...view, selected: address, screen: "routes", scroll: 0 }, loadRoutes: address };
  }
  const step = stepOf(key, page);
  if (step !== 0) return { view: move(model, view, address, step) };
  if (view.screen !== "sessions") return { view };
  if (key.name === "enter" && address !== "")
    return { view: { ...view, selected: address, screen: "detail", scroll: 0 } };
  if (key.text === "s")
    return { view: { ...view, sort: sortNames[(sortNames.indexOf(view.sort) + 1) % sortNames.length] } };
  if (key.text === "/") return { view: { ...view, typing: true } };
  return { view };
}

function typeFilter(view: TopView, key: Key): TopView {
  if (key.name === "enter") return { ...view, typing: false };
  if (key.name === "escape") return { ...view, typing: false, filter: "" };
  if (key.name === "backspace") return { ...view, filter: view.filter.slice(0, -1) };
  return key.name === undefined ? { ...view, filter: (view.filter + key.text).slice(0, 60) } : view;
}

function stepOf(key: Key, page: number): number {
  if (key.name === "up" || key.text === "k") return -1;
  if (key.name === "down" || key.text === "j") return 1;
  if (key.name === "pageUp") return -page;
  if (key.name === "pageDown" || key.text === " ") return page;
  if (key.text === "g") return Number.NEGATIVE_INFINITY;
  return key.text === "G" ? Number.POSITIVE_INFINITY : 0;
}

function move(model: TopModel, view: TopView, address: string, step: number): TopView {
  // events show their end first: there up goes back in time
  if (view.screen === "events") return { ...view, scroll: clamp(view.scroll - step, model.events.length) };
  if (view.screen !== "sessions") return { ...view, scroll: clamp(view.scroll + step, 100_000) };
  const rows = shownNeighbors(model, view);
  const at = rows.findIndex((neighbor) => addressOf(neighbor) === address);
  const next = rows[Math.min(clamp(at + step, rows.length), rows.length - 1)];
  return next ? { ...view, selected: addressOf(next) } : view;
}

function clamp(value: number, max: number): number {
  return Math.max(0, Math.min(value, max));
}

function compareAddress(a: string, b: string): number {
  const left = parseIp(a);
  const right = parseIp(b);
  if (!left || !right) return a < b ? -1 : 1;
  return left.length - right.length || Buffer.compare(left, right);
}
