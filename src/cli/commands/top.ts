/** top: the live screen. Ink and React are loaded only here. */
import { usageError } from "../exit.ts";
import type { Command } from "../tree.ts";

export const topCommand: Command = {
  name: "top",
  summary: "Sessions, rates, routes and events on one screen",
  details: "Keys are listed with ?. Without a terminal, or with --once, one frame is printed as plain text.",
  options: [
    { name: "once", help: "Print one frame and exit" },
    { name: "interval", short: "i", value: "SPAN", help: "Time between samples of the rates; default 1s" },
  ],
  examples: [
    ["cairnctl top", "until q"],
    ["cairnctl top --once", "for a report"],
  ],
  run: async (context, invocation) => {
    const { parseSpanMs } = await import("../human.ts");
    const intervalMs = parseSpanMs(invocation.option("interval") ?? "1s");
    if (intervalMs === undefined || intervalMs < 200 || intervalMs > 60_000) {
      throw usageError("--interval is a span from 200ms to 60s");
    }
    const { runTop } = await import("../top/run-top.ts");
    await runTop(context, { once: invocation.flag("once") || !context.isTerminal, intervalMs });
  },
};
