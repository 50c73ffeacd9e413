/** What each key does: prompts and questions first, then keys that mean the same everywhere, then the screen's own. */
import type { Action } from "./actions.ts";
import type { Key, Scene } from "./screen.ts";
import { screenOf, tabs } from "./screens.ts";
import { ask, back, open, type Prompt, type TopView } from "./view.ts";

export interface KeyOutcome {
  readonly view: TopView;
  readonly quit?: boolean;
  /** An action that was confirmed. */
  readonly act?: Action;
}

/** The view after a key. */
export function pressKey(scene: Omit<Scene, "style">, key: Key): KeyOutcome {
  const { view } = scene;
  if (view.prompt) return { view: typeText(view, view.prompt, key) };
  if (view.confirm) return confirm(view, view.confirm, key);
  if (view.menu.length > 0) return { view: choose(view, key) };
  if (key.text === "q") return { view, quit: true };
  const screen = screenOf(view.screen);
  const common = commonKey(view, key);
  if (common) return { view: common };
  if (key.text === "a") return { view: { ...view, menu: screen.actions?.(scene) ?? [] } };
  const own = screen.press?.(scene, key);
  if (own) return { view: own };
  return { view: key.name === "escape" || key.name === "backspace" ? back(view) : view };
}

function commonKey(view: TopView, key: Key): TopView | undefined {
  if (key.text === "?") return view.screen === "help" ? back(view) : open(view, "help");
  if (key.text === "e") return view.screen === "events" ? back(view) : open(view, "events");
  const tab = key.text === "" ? undefined : tabs.find((screen) => screen.key === key.text);
  if (tab) return { ...open(view, tab.name), trail: [] };
  if (key.name !== "tab" && key.name !== "backTab") return undefined;
  const at = tabs.findIndex(({ name }) => name === view.screen);
  const step = key.name === "tab" ? 1 : tabs.length - 1;
  return { ...open(view, tabs[at < 0 ? 0 : (at + step) % tabs.length].name), trail: [] };
}

function typeText(view: TopView, prompt: Prompt, key: Key): TopView {
  const leave = { ...view, prompt: undefined };
  if (key.name === "enter") return prompt.done(leave, prompt.text);
  if (key.name === "escape") return prompt.change ? prompt.change(leave, "") : leave;
  const text = textAfter(prompt, key);
  if (text === prompt.text || Buffer.byteLength(text) > prompt.maxBytes) return view;
  const typed = { ...view, prompt: { ...prompt, text } };
  return prompt.change ? prompt.change(typed, text) : typed;
}

function textAfter({ text, choices }: Prompt, key: Key): string {
  if (key.name === "backspace") return [...text].slice(0, -1).join("");
  if (key.name === "up" || key.name === "down") {
    if (choices.length === 0) return text;
    const at = choices.indexOf(text);
    const step = key.name === "down" ? 1 : -1;
    return choices[at < 0 ? 0 : (at + step + choices.length) % choices.length];
  }
  return key.name === undefined ? text + key.text : text;
}

function choose(view: TopView, key: Key): TopView {
  const closed = { ...view, menu: [] };
  const action = view.menu.find((each) => each.key === key.text);
  if (!action) return key.name === "escape" || key.text === "q" || key.text === "a" ? closed : view;
  if (!action.text) return { ...closed, confirm: action };
  return ask(closed, {
    label: `${action.text.label}:`,
    maxBytes: action.text.maxBytes,
    hint: "enter goes on, esc leaves it",
    done: (now, text) => ({ ...now, confirm: withText(action, text) }),
  });
}

/** The action with its text fixed, so that what is confirmed is what is done. */
function withText(action: Action, text: string): Action {
  const told = text === "" ? "" : `, telling it "${text}"`;
  return {
    ...action,
    question: action.question + told,
    run: (calls) => action.run(calls, text),
  };
}

/** Only y does it: enter may be pressed by habit. */
function confirm(view: TopView, action: Action, key: Key): KeyOutcome {
  const closed = { ...view, confirm: undefined };
  if (key.text === "y" || key.text === "Y") return { view: closed, act: action };
  const isNo = key.name === "escape" || key.text === "n" || key.text === "N" || key.text === "q";
  return { view: isNo ? closed : view };
}
