/** Moments as people write them. */
import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { usageError } from "./exit.ts";
import { parseSpanMs } from "./human.ts";

export const momentHelp = "a time (2026-11-21T12:00:05Z, 12:00:05) or how long ago (90s, 5m, 2h)";

/**
 * Reads a moment: RFC 3339 with its zone, a local date and time, a local time of the last 24 hours, or a span before
 * now. @param nowMs wall-clock milliseconds
 * @throws CliError (usage)
 */
export function parseMoment(option: string, text: string, nowMs: number): Timestamp {
  const ms = momentMs(text.trim(), nowMs);
  if (ms === undefined || Number.isNaN(ms)) throw usageError(`${option}: "${text}" is not ${momentHelp}`);
  return timestampFromMs(Math.floor(ms));
}

function momentMs(text: string, nowMs: number): number | undefined {
  if (text === "now") return nowMs;
  const span = parseSpanMs(text.replace(/ ago$/, ""));
  if (span !== undefined) return nowMs - span;
  const time = /^(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d{1,3})?))?$/.exec(text);
  if (time) {
    const [hours, minutes, seconds] = [time[1], time[2], time[3] ?? "0"].map(Number);
    if (hours > 23 || minutes > 59 || seconds >= 60) return undefined;
    const date = new Date(nowMs);
    date.setHours(hours, minutes, Math.floor(seconds), Math.round((seconds % 1) * 1000));
    if (date.getTime() > nowMs) date.setDate(date.getDate() - 1);
    return date.getTime();
  }
  if (!/^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})?)?$/.test(text))
    return undefined;
  return Date.parse(text.length === 10 ? `${text}T00:00` : text.replace(" ", "T"));
}
