/** What a command may use: output, colours, the client. Made once per run by main. */
import type { Readable } from "node:stream";
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { Client } from "./client.ts";
import type { Output } from "./output.ts";
import type { Style } from "./style.ts";

export type Format = "table" | "wide" | "json" | "yaml" | "ndjson";

export interface Context {
  readonly out: Output;
  /** A line on stderr, for people: notes that are not the answer. */
  note(text: string): void;
  readonly style: Style;
  /** Cells in a line; Infinity when the output is no terminal. */
  readonly width: number;
  readonly format: Format;
  /** True for table and wide. */
  readonly forPeople: boolean;
  readonly isTerminal: boolean;
  /** Rows of the terminal. */
  readonly rows: number;
  readonly stdin: Readable;
  readonly address: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborts at the first Ctrl-C. */
  readonly signal: AbortSignal;
  /** The client to the daemon, made at the first call. */
  client(): Promise<Client>;
  /** Writes a message as json, yaml or ndjson. */
  message<D extends DescMessage>(schema: D, message: MessageShape<D>): Promise<void>;
}
