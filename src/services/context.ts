/** What the handlers of all services share: the owner, bounds on watchers, the log, and who is calling. */
import { type ContextKey, type ContextValues, createContextKey } from "@connectrpc/connect";
import type { EventArchive, Owner } from "../state/view.ts";
import type { CairnMetrics } from "./metrics.ts";
import type { WatcherSlots } from "./watchers.ts";

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error";

/** Where services write log lines. The shape is that of the core's log effect. */
export type Log = (
  level: Exclude<LogLevel, "trace">,
  message: string,
  fields?: Readonly<Record<string, string | number | boolean>>,
) => void;

/** What the process itself offers to the API. */
export interface ProcessControl {
  /** Takes effect at once. Returns the level that was in force. */
  setLogLevel(level: LogLevel): LogLevel;
}

export interface ServiceContext {
  readonly owner: Owner;
  readonly archive: EventArchive;
  readonly metrics: CairnMetrics;
  readonly watchers: WatcherSlots;
  readonly log: Log;
  readonly control: ProcessControl;
  /** Version of the program. */
  readonly version: string;
}

/** Who makes a call, as the listener found out. */
export interface Caller {
  /** Name for the record, for example `unix:1000`, `cert:ops.example`, `token:ci`. */
  readonly principal: string;
}

/** Calls that come through no listener (tests in the same process) are made by `in-process`. */
export const callerKey: ContextKey<Caller> = createContextKey<Caller>(
  { principal: "in-process" },
  { description: "caller" },
);

export function principalOf(context: { readonly values: ContextValues }): string {
  return context.values.get(callerKey).principal;
}
