/** The Ink side of top: keys in, frames out. What a frame looks like is in frame.ts. */
import { Box, type Key as InkKey, Text, useApp, useInput } from "ink";
import {
  createElement as h,
  type ReactElement,
  useEffect,
  useRef,
  useState,
  useSyncExternalStore,
} from "react";
import type { Style } from "../style.ts";
import { type FrameSize, frameLines } from "./frame.ts";
import type { TopModel } from "./model.ts";
import { firstView, type Key, pressKey } from "./view.ts";

export interface AppProps {
  readonly feed: {
    model(): TopModel;
    subscribe(listener: () => void): () => void;
    loadRoutes(neighbor: string): void | Promise<void>;
  };
  readonly style: Style;
  readonly address: string;
  readonly size: () => FrameSize;
  /** Calls back when the terminal changed its size. */
  readonly onResize: (listener: () => void) => () => void;
}

export function App({ feed, style, address, size, onResize }: AppProps): ReactElement {
  const { exit } = useApp();
  const model = useSyncExternalStore(feed.subscribe, feed.model);
  const [view, setView] = useState(firstView);
  const latest = useRef(view); // keys of one read come before React has rendered the first of them
  const [frame, setFrame] = useState(size);
  useEffect(() => onResize(() => setFrame(size())), [onResize, size]);
  useInput((text, inkKey) => {
    // one read may hold several keys when they are typed fast
    const keys = nameOf(inkKey) === undefined ? [...text].map(typedKey) : [toKey(text, inkKey)];
    for (const key of keys) {
      const outcome = pressKey(feed.model(), latest.current, key, Math.max(1, frame.rows - 6));
      if (outcome.quit) exit();
      if (outcome.loadRoutes) void feed.loadRoutes(outcome.loadRoutes);
      latest.current = outcome.view;
    }
    setView(latest.current);
  });
  // the last line stays free: a terminal that scrolls would lose the first one
  const lines = frameLines(model, view, { columns: frame.columns, rows: frame.rows - 1 }, style, address);
  return h(
    Box,
    { flexDirection: "column" },
    ...lines.map((line, i) => h(Text, { key: i, wrap: "truncate" }, line === "" ? " " : line)),
  );
}

function toKey(text: string, key: InkKey): Key {
  return { text: nameOf(key) === undefined ? text : "", name: nameOf(key) };
}

/** A key out of a read that held several. */
function typedKey(character: string): Key {
  if (character === "\r" || character === "\n") return { text: "", name: "enter" };
  if (character === "\x7f" || character === "\b") return { text: "", name: "backspace" };
  return { text: character };
}

function nameOf(key: InkKey): Key["name"] {
  if (key.upArrow) return "up";
  if (key.downArrow) return "down";
  if (key.pageUp) return "pageUp";
  if (key.pageDown) return "pageDown";
  if (key.return) return "enter";
  if (key.escape) return "escape";
  return key.backspace || key.delete ? "backspace" : undefined;
}
