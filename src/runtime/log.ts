/** Logs: JSON lines through pino, or one readable line each on a terminal. Both go to standard error. */
import { styleText } from "node:util";
import { destination, type Logger, pino } from "pino";
import type { LogFormat, LogLevel } from "./options.ts";

type Fields = Readonly<Record<string, string | number | boolean>>;

export class Log {
  private level: LogLevel;
  private readonly json: Logger | undefined;
  private readonly colour: boolean;

  constructor(level: LogLevel, format: LogFormat) {
    this.level = level;
    this.json =
      format === "json"
        ? pino({ base: undefined, level, timestamp: pino.stdTimeFunctions.isoTime }, destination(2))
        : undefined;
    this.colour = process.stderr.isTTY && !process.env.NO_COLOR;
  }

  /** @returns the level that was in force */
  setLevel(level: LogLevel): LogLevel {
    const before = this.level;
    this.level = level;
    if (this.json) this.json.level = level;
    return before;
  }

  write(level: LogLevel, message: string, fields: Fields = {}): void {
    if (this.json) this.json[level](fields, message);
    else if (severity[level] >= severity[this.level])
      process.stderr.write(`${this.pretty(level, message, fields)}\n`);
  }

  private pretty(level: LogLevel, message: string, fields: Fields): string {
    const time = new Date().toISOString().slice(11, 23);
    const text = Object.entries(fields)
      .filter(([name, value]) => value !== "" && name !== "topic")
      .map(([name, value]) => `${name}=${value}`)
      .join(" ");
    const word = level.toUpperCase().padEnd(5);
    if (!this.colour) return `${time} ${word} ${message}${text && `  ${text}`}`;
    const tint = ({ error: "red", warn: "yellow", info: "green" } as const)[level as "error"] ?? "gray";
    return `${styleText("dim", time)} ${styleText(tint, word)} ${message}${text && `  ${styleText("dim", text)}`}`;
  }
}

const severity: Readonly<Record<LogLevel, number>> = { trace: 0, debug: 1, info: 2, warn: 3, error: 4 };
