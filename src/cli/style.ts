/** Colours by meaning. Without colour every function hands its text back. */
import { styleText } from "node:util";

type Paint = (text: string) => string;

export interface Style {
  readonly dim: Paint;
  readonly bold: Paint;
  readonly good: Paint;
  readonly warn: Paint;
  readonly bad: Paint;
  readonly accent: Paint;
}

export const plain: Style = { dim: same, bold: same, good: same, warn: same, bad: same, accent: same };

export const coloured: Style = {
  dim: paint("dim"),
  bold: paint("bold"),
  good: paint("green"),
  warn: paint("yellow"),
  bad: paint("red"),
  accent: paint("cyan"),
};

function same(text: string): string {
  return text;
}

function paint(format: Parameters<typeof styleText>[0]): Paint {
  return (text) => (text === "" ? text : styleText(format, text, { validateStream: false }));
}

/** Colour of a session state's word. */
export function stateTone(state: string): "good" | "warn" | "bad" {
  if (state === "established") return "good";
  return state === "idle" || state === "down" || state === "admin-down" ? "bad" : "warn";
}
