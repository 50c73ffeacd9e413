/** All keys, and what the screens are. */
import { filterWords } from "../rib-filter.ts";
import { type Screen, scrollBy } from "../screen.ts";
import { screens } from "../screens.ts";
import { clip, scrolled } from "../text.ts";
import type { TopView } from "../view.ts";

/** Keys that mean the same everywhere. */
const commonKeys: readonly (readonly [string, string])[] = [
  ["tab", "next screen; shift-tab the one before"],
  ["j k, down up", "select, or scroll"],
  ["space b", "a page down, up; g first, G last"],
  ["a", "actions on what is selected; each asks before it is done"],
  ["esc", "back"],
  ["q", "quit"],
];

export const helpScreen: Screen = {
  name: "help",
  about: "this",
  keys: [["j/k", "scroll"]],
  lines: ({ view, size, style }) => {
    const out = pageOf(view).map(([keys, what]) =>
      keys === "" ? style.bold(what) : `${style.accent(keys.padEnd(16))}${what}`,
    );
    return scrolled(
      out.map((line) => clip(line, size.columns)),
      view.scroll,
      size.rows,
      style,
    );
  },
  press: ({ view, size }, key) => scrollBy({ view, size }, key, pageOf(view).length),
};

/** Keys and what they do; headings have no keys. The screen that help was asked on comes first. */
function pageOf({ trail }: TopView): (readonly [string, string])[] {
  const from = screens.find(({ name }) => name === trail.at(-1)) ?? screens[0];
  const own: (readonly [string, string])[] = [["", `here: ${from.about}`], ...from.keys];
  if (from.name === "rib") own.push(["", "conditions, any number of them"], ...filterWords);
  if (from.name === "sessions") {
    own.push(
      ["IN/s OUT/s", "UPDATE messages a second; the blocks show the last samples"],
      ["FLAPS", "ends of established sessions since cairnd started"],
    );
  }
  const opened = screens.flatMap(({ key, about }) => (key === undefined ? [] : [[key, about] as const]));
  return [...own, ["", "everywhere"], ...commonKeys, ["", "screens"], ...opened];
}
