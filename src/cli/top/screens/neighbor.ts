/** Everything about one neighbor. */
import { neighborPage } from "../../commands/neighbor-page.ts";
import { addressOf } from "../../commands/neighbor-view.ts";
import { plain } from "../../style.ts";
import { neighborActions } from "../actions.ts";
import { nextNeighbor, selectedNeighbor } from "../neighbors.ts";
import { type Screen, scrollBy } from "../screen.ts";
import { clip, scrolled } from "../text.ts";
import { openRib } from "./rib.ts";

export const neighborScreen: Screen = {
  name: "neighbor",
  about: "everything about the selected neighbor",
  keys: [
    ["j/k", "scroll"],
    ["n/p", "next, previous neighbor"],
    ["r", "routes"],
    ["a", "actions"],
  ],
  lines: ({ model, view, size, style }) => {
    const neighbor = selectedNeighbor(model, view);
    if (!neighbor) return ["no neighbor"];
    const page = neighborPage(neighbor, style, size.columns).map((line) => clip(line, size.columns));
    return scrolled(page, view.scroll, size.rows, style);
  },
  press: ({ model, view, size }, key) => {
    const neighbor = selectedNeighbor(model, view);
    const address = neighbor ? addressOf(neighbor) : "";
    if (key.text === "n" || key.text === "p") {
      const next = nextNeighbor(model, view, address, key.text === "n" ? 1 : -1);
      return { ...view, selected: next, scroll: 0 };
    }
    if (key.text === "r") return openRib({ ...view, selected: address }, "received");
    return scrollBy({ view, size }, key, neighbor ? neighborPage(neighbor, plain, size.columns).length : 0);
  },
  actions: ({ model, view }) => {
    const neighbor = selectedNeighbor(model, view);
    return neighbor ? neighborActions(neighbor) : [];
  },
};
