/** The Ink side of top: keys in, frames out. What a frame looks like is in frame.ts. */
import { Box, type Key as InkKey, Text, useApp, useInput } from "ink";
import {
  createElement as h,
  memo,
  type ReactElement,
  useEffect,
  useRef,
  useState,
  useSyncExternalStore,
} from "react";
import type { Style } from "../style.ts";
import type { Action } from "./actions.ts";
import { bodySize, frameLines } from "./frame.ts";
import { pressKey } from "./keys.ts";
import type { TopModel } from "./model.ts";
import type { FrameSize, Key, Want } from "./screen.ts";
import { screenOf } from "./screens.ts";
import type { TopView } from "./view.ts";

export interface AppProps {
  readonly feed: {
    model(): TopModel;
    subscribe(listener: () => void): () => void;
    show(want: Want | undefined): void;
    act(action: Action): void | Promise<void>;
  };
  readonly firstView: TopView;
  readonly style: Style;
  readonly address: string;
  readonly size: () => FrameSize;
  /** Calls back when the terminal changed its size. */
  readonly onResize: (listener: () => void) => () => void;
}

export function App({ feed, firstView, style, address, size, onResize }: AppProps): ReactElement {
  const { exit } = useApp();
  const model = useSyncExternalStore(feed.subscribe, feed.model);
  const [view, setView] = useState(firstView);
  const latest = useRef(view); // keys of one read come before React has rendered the first of them
  const [terminal, setTerminal] = useState(size);
  useEffect(() => onResize(() => setTerminal(size())), [onResize, size]);
  // the last line stays free: a terminal that scrolls would lose the first one
  const frame = { columns: terminal.columns, rows: terminal.rows - 1 };
  const sceneOf = (now: TopModel, seen: TopView) => ({ model: now, view: seen, size: bodySize(frame) });
  useEffect(() => feed.show(screenOf(view.screen).want?.(sceneOf(model, view))));
  useInput((text, inkKey) => {
    // one read may hold several keys when they are typed fast
    const name = nameOf(inkKey);
    const keys = name === undefined ? [...text].map(typedKey) : [{ text: "", name }];
    for (const key of keys) {
      const outcome = pressKey(sceneOf(feed.model(), latest.current), key);
      if (outcome.quit) exit();
      if (outcome.act) void feed.act(outcome.act);
      latest.current = outcome.view;
    }
    setView(latest.current);
  });
  const lines = frameLines(model, view, frame, style, address);
  return h(Box, { flexDirection: "column" }, ...lines.map((text, i) => h(Line, { key: i }, text)));
}

/** A line is laid out again only when it changed. */
const Line = memo(({ children }: { readonly children?: string }) => {
  return h(Text, { wrap: "truncate" }, children || " ");
});

/** A key out of a read that held several. */
function typedKey(character: string): Key {
  if (character === "\r" || character === "\n") return { text: "", name: "enter" };
  if (character === "\x7f" || character === "\b") return { text: "", name: "backspace" };
  if (character === "\t") return { text: "", name: "tab" };
  return { text: character };
}

function nameOf(key: InkKey): Key["name"] {
  if (key.upArrow) return "up";
  if (key.downArrow) return "down";
  if (key.leftArrow) return "left";
  if (key.rightArrow) return "right";
  if (key.pageUp) return "pageUp";
  if (key.pageDown) return "pageDown";
  if (key.return) return "enter";
  if (key.escape) return "escape";
  if (key.tab) return key.shift ? "backTab" : "tab";
  return key.backspace || key.delete ? "backspace" : undefined;
}
