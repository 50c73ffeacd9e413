/** The command line of cairnd. */
import { homedir } from "node:os";
import { join } from "node:path";
import { Command, Option } from "commander";
import { logFormats, logLevels } from "../config/settings.ts";
import type { Dataplane } from "../state/kernel-watch.ts";
import { dataplanes } from "./dataplane.ts";

export type LogLevel = (typeof logLevels)[number];
export type LogFormat = (typeof logFormats)[number];

export interface DaemonOptions {
  /** Configuration file; undefined when none was given. */
  readonly config: string | undefined;
  readonly stateDir: string;
  readonly check: boolean;
  readonly reseed: boolean;
  readonly dataplane: Dataplane;
  readonly logLevel: LogLevel | undefined;
  readonly logFormat: LogFormat | undefined;
}

/** Reads the arguments after the program's name. Prints help or an error and exits (2 for wrong usage) where asked to. */
export function parseOptions(args: readonly string[], version: string): DaemonOptions {
  let config: string | undefined;
  const program = new Command("cairnd")
    .description("The cairn routing daemon. It is driven over gRPC; the file only seeds the first start.")
    .version(version, "-V, --version", "print the version")
    .argument("[config]", "configuration file (.toml, .yaml)", (value: string) => (config = value))
    .option("--state-dir <dir>", "where the database and the API socket live", defaultStateDir())
    .option("--check", "check the configuration file, print every problem, and exit with 0 or 1", false)
    .option("--reseed", "start over from the file, after a backup of the database", false)
    .addOption(
      new Option(
        "--dataplane <kind>",
        "the kernel whose links and routes tell which next hops can be reached: linux, memory (a simulated one), or none (all can)",
      )
        .choices([...dataplanes])
        .default("none"),
    )
    .addOption(new Option("--log-level <level>", "what to log (default: info)").choices([...logLevels]))
    .addOption(
      new Option("--log-format <format>", "how to log (default: pretty on a terminal, else json)").choices([
        ...logFormats,
      ]),
    )
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
  program.parse([...args], { from: "user" });
  const options = program.opts<{
    stateDir: string;
    check: boolean;
    reseed: boolean;
    dataplane: Dataplane;
    logLevel?: LogLevel;
    logFormat?: LogFormat;
  }>();
  return { ...options, config, logLevel: options.logLevel, logFormat: options.logFormat };
}

/** `/var/lib/cairn` for root; else `$XDG_STATE_HOME/cairn`, or `~/.local/state/cairn`. */
export function defaultStateDir(): string {
  if (process.getuid?.() === 0) return "/var/lib/cairn";
  return join(process.env.XDG_STATE_HOME || join(homedir(), ".local", "state"), "cairn");
}
