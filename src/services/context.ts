/** What the handlers of all services share: the owner, bounds on watchers, the log, and who is calling. */
import type { Message, MessageInitShape } from "@bufbuild/protobuf";
import { type ContextKey, type ContextValues, createContextKey } from "@connectrpc/connect";
import type { Problem } from "../base/problem.ts";
import type { LinkCountersSchema } from "../gen/cairn/v1/interface_service_pb.ts";
import type { TranslationTable } from "../state/translation-message.ts";
import type { EventArchive, HistoryArchive, Owner } from "../state/view.ts";
import type { CairnMetrics } from "./metrics.ts";
import type { WatcherSlots } from "./watchers.ts";

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error";

/** Where services write log lines. The shape is that of the core's log effect. */
export type Log = (
  level: Exclude<LogLevel, "trace">,
  message: string,
  fields?: Readonly<Record<string, string | number | boolean>>,
) => void;

/** What went over a link. */
export type LinkCount = MessageInitShape<typeof LinkCountersSchema>;

/** What the process itself offers to the API. */
export interface ProcessControl {
  /** Takes effect at once. Returns the level that was in force. */
  setLogLevel(level: LogLevel): LogLevel;
  /** By name of the link; absent where the daemon does not look at the kernel. */
  linkCounters?(): ReadonlyMap<string, LinkCount>;
}

export interface FilePlace {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly column: number;
  readonly sourceLine: string;
}

/** A problem of a file with its place in the text. */
export interface FileProblem extends Problem, FilePlace {}

/** Where what the paths of problems are about stands; undefined for what stands in no file. */
export type Locate = (paths: readonly string[]) => Promise<readonly (FilePlace | undefined)[]>;

/** What a file declares. */
export interface ParsedFile {
  /** In canonical form; none when there are problems. */
  readonly objects: readonly { readonly kind: string; readonly spec: Message }[];
  readonly problems: readonly FileProblem[];
  readonly locate: Locate;
}

/** Configuration files as text. They come from clients: references to this host's files and environment are refused. */
export interface ConfigText {
  /** The ending of the name tells the language. A large file takes a while, and nothing waits for it. */
  parse(
    name: string,
    content: string,
    policyFiles: readonly { readonly name: string; readonly content: string }[],
  ): Promise<ParsedFile>;
  write(
    objects: Iterable<{ readonly kind: string; readonly spec: Message }>,
    format: "toml" | "yaml",
  ): string;
}

export interface ServiceContext {
  readonly owner: Owner;
  readonly archive: EventArchive;
  readonly history: HistoryArchive;
  readonly configText: ConfigText;
  readonly metrics: CairnMetrics;
  readonly watchers: WatcherSlots;
  readonly log: Log;
  readonly control: ProcessControl;
  /** Flows that the kernel translates; absent where no kernel is looked at. */
  readonly translations?: TranslationTable | undefined;
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
