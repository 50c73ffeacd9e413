/**
 * The command tree as data. Parser, help, completions and docs/cli.md all read it; a command's code is loaded when
 * the parser gets there, so that `cairnctl health` does not pay for the rest.
 */
import type { Context } from "./context.ts";

/** Values that completion asks the daemon for, or a fixed list. */
export type ValueSource =
  | "neighbor"
  | "group"
  | "dynamic-range"
  | "keychain"
  | "mrt-dump"
  | "rpki-cache"
  | "bmp-collector"
  | "egress-policy"
  | "policy"
  | "kind"
  | "object"
  | "family"
  | "file"
  | SetSource
  | readonly string[];
export type SetSource =
  | "prefix-set"
  | "aspath-set"
  | "community-set"
  | "neighbor-set"
  | "asn-set"
  | "nexthop-set";

export interface Option {
  /** Without dashes. */
  readonly name: string;
  readonly short?: string;
  readonly aliases?: readonly string[];
  /** Placeholder of its value, such as ADDR; absent for a switch (which also takes =true, =false and --no-NAME). */
  readonly value?: string;
  readonly repeat?: boolean;
  readonly help: string;
  readonly from?: ValueSource;
}

export interface Argument {
  /** In capitals. */
  readonly name: string;
  readonly help: string;
  readonly optional?: boolean;
  readonly repeat?: boolean;
  readonly from?: ValueSource;
}

export interface Command {
  readonly name: string;
  /** One line, no full stop. */
  readonly summary: string;
  /** Paragraphs below the usage line. */
  readonly details?: string;
  readonly args?: readonly Argument[];
  readonly options?: readonly Option[];
  readonly examples?: readonly (readonly [command: string, what: string])[];
  readonly commands?: readonly CommandEntry[];
  readonly hidden?: boolean;
  /** Absent: the command only holds others. Answers the exit code; nothing means 0. */
  readonly run?: (context: Context, invocation: Invocation) => Promise<number | undefined> | Promise<void>;
}

/** A command, or where to load it from. */
export type CommandEntry =
  | Command
  | {
      readonly name: string;
      readonly summary: string;
      readonly hidden?: boolean;
      readonly load: () => Promise<Command>;
    };

/** A parsed command line. */
export class Invocation {
  /** Names from below the root, for example ["neighbor", "add"]. */
  readonly path: readonly string[];
  readonly command: Command;
  readonly #args: ReadonlyMap<string, readonly string[]>;
  readonly #options: ReadonlyMap<string, readonly string[]>;

  constructor(
    path: readonly string[],
    command: Command,
    args: ReadonlyMap<string, readonly string[]>,
    options: ReadonlyMap<string, readonly string[]>,
  ) {
    this.path = path;
    this.command = command;
    this.#args = args;
    this.#options = options;
  }

  /** Value of an argument; the parser has seen to it that one that is not optional is there. */
  arg(name: string): string {
    return this.#args.get(name)?.[0] ?? "";
  }

  args(name: string): readonly string[] {
    return this.#args.get(name) ?? [];
  }

  /** Last value given for an option. */
  option(name: string): string | undefined {
    return this.#options.get(name)?.at(-1);
  }

  options(name: string): readonly string[] {
    return this.#options.get(name) ?? [];
  }

  flag(name: string): boolean {
    return this.option(name) === "true";
  }
}

/** Loads an entry. */
export async function resolveCommand(entry: CommandEntry): Promise<Command> {
  return "load" in entry ? entry.load() : entry;
}
