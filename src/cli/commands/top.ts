/** top: the live screen. Ink and React are loaded only here. */
import { usageError } from "../exit.ts";
import type { Command } from "../tree.ts";

/** Screens that show something without more being chosen. */
const screenNames = [
  "sessions",
  "rib",
  "events",
  "policy",
  "rpki",
  "bfd",
  "mrt",
  "bmp",
  "objects",
  "damped",
] as const;

export const topCommand: Command = {
  name: "top",
  summary: "The live screen: sessions, routes and why they are so, events, RPKI, BFD, dumps, actions",
  details: "Keys are listed with ?. Without a terminal, or with --once, one frame is printed as plain text.",
  options: [
    { name: "once", help: "Print one frame and exit" },
    {
      name: "screen",
      value: "NAME",
      help: "Screen to start with, or to print with --once",
      from: screenNames,
    },
    { name: "interval", short: "i", value: "SPAN", help: "Time between samples of the rates; default 1s" },
  ],
  examples: [
    ["cairnctl top", "until q"],
    ["cairnctl top --once", "for a report"],
    ["cairnctl top --once --screen rpki", "any of the screens"],
  ],
  run: async (context, invocation) => {
    const { parseSpanMs } = await import("../human.ts");
    const intervalMs = parseSpanMs(invocation.option("interval") ?? "1s");
    if (intervalMs === undefined || intervalMs < 200 || intervalMs > 60_000) {
      throw usageError("--interval is a span from 200ms to 60s");
    }
    const screen = screenNames.find((name) => name === (invocation.option("screen") ?? "sessions"));
    if (!screen) throw usageError(`--screen is one of: ${screenNames.join(", ")}`);
    const { runTop } = await import("../top/run-top.ts");
    await runTop(context, { once: invocation.flag("once") || !context.isTerminal, intervalMs, screen });
  },
};
