/** Runs a folder of examples/ as its README has it, with free ports and directories in place of those written there. */
import assert from "node:assert/strict";
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { enableCompileCache } from "node:module";
import net from "node:net";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Daemon, root, run, scratch, until as untilAt } from "../e2e/harness.ts";

/** Compiled code is kept where bin/cairnd keeps it: half the time for each start, and for what is imported from now on. */
export const env = { NODE_COMPILE_CACHE: join(root, "node_modules/.cache/cairn") };
enableCompileCache(env.NODE_COMPILE_CACHE);

export interface Shell {
  readonly command: string;
  readonly out: string;
  readonly err: string;
}

export class Example {
  readonly folder: string;
  readonly bgpPort: number;
  readonly metricsPort: number;
  /** Of the proxy in front of it, or of the BMP collector. */
  readonly otherPort: number;
  readonly daemons = new Map<string, Daemon>();
  readonly copy: string;

  /** Starts a daemon for each of these configurations. */
  static async start(t: TestContext, folder: string, ...names: readonly string[]): Promise<Example> {
    const example = await Example.prepare(t, folder);
    await example.up(t, ...names);
    return example;
  }

  /** A copy of the folder with ports of its own. */
  static async prepare(t: TestContext, folder: string): Promise<Example> {
    return new Example(t, folder, [await freePort(), await freePort(), await freePort()]);
  }

  async up(t: TestContext, ...names: readonly string[]): Promise<void> {
    await Promise.all(names.map((name) => this.daemon(t, name)));
  }

  private constructor(t: TestContext, folder: string, ports: readonly number[]) {
    const top = scratch(t);
    this.folder = folder;
    [this.bgpPort, this.metricsPort, this.otherPort] = ports;
    this.copy = join(top, "examples", folder);
    mkdirSync(join(top, "examples"));
    cpSync(join(root, "examples", folder), this.copy, { recursive: true });
    symlinkSync(join(root, "config"), join(top, "config")); // "../../config" of policy files
  }

  at(name: string): Daemon {
    const daemon = this.daemons.get(name);
    assert.ok(daemon, `${name} was not started`);
    return daemon;
  }

  /** Text of the example with our ports and directories. */
  local(text: string): string {
    return text
      .replaceAll("127.0.0.1:9179", `127.0.0.1:${this.metricsPort}`)
      .replaceAll("11790", String(this.bgpPort))
      .replaceAll("11019", String(this.otherPort))
      .replaceAll("127.0.0.1:50443", `127.0.0.1:${this.otherPort}`)
      .replace(/\/tmp\/([a-z]+)\b/g, (_, name: string) => join(this.copy, name));
  }

  private async daemon(t: TestContext, name: string): Promise<void> {
    const config = this.local(readFileSync(join(this.copy, `${name}.toml`), "utf8"));
    const stateDir = join(this.copy, name);
    this.daemons.set(name, await Daemon.start(t, { wholeFile: true, config, stateDir, env }));
  }

  /** Runs the commands of the README in their order, but for those that start daemons. Each must end with 0. */
  readme(): Promise<Shell[]> {
    return this.run(this.commands());
  }

  async run(commands: readonly string[]): Promise<Shell[]> {
    const done: Shell[] = [];
    for (const command of commands) done.push(await this.shell(command));
    return done;
  }

  /** One command line; cairnctl runs in this process where no shell is needed, which costs a tenth. */
  async shell(command: string): Promise<Shell> {
    const line = this.local(command);
    const plain = /^bin\/cairnctl ([^|<>$;&]*)$/.exec(line);
    const { code, out, err } = plain
      ? await cairnctl(plain[1])
      : await run("sh", ["-c", line], { cwd: root, env });
    assert.equal(code, 0, `${command}\n${out}${err}`);
    return { command, out, err };
  }

  /** Commands of the README, lines that end within a pipe joined. */
  commands(): string[] {
    const page = readFileSync(join(this.copy, "README.md"), "utf8");
    const blocks = [...page.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block);
    const lines = blocks.flatMap((block) =>
      block
        .replace(/\|\n\s*/g, "| ")
        .trim()
        .split("\n"),
    );
    return lines.filter((line) => !/bin\/cairnd | &$/.test(line));
  }
}

/** cairnctl in this process; quotes keep blanks, and a word with an asterisk stands for files. */
async function cairnctl(line: string): Promise<{ code: number; out: string; err: string }> {
  const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].flatMap(([, quoted, bare = ""]) => {
    if (quoted !== undefined) return quoted;
    return bare.includes("*") ? globSync(bare) : bare;
  });
  const { runCli } = await import("../../src/cli/run.ts");
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const texts = Promise.all([text(stdout), text(stderr)]);
  const code = await runCli(words, { stdout, stderr, stdin: Readable.from([]), env: {}, uid: 1000 });
  stdout.end();
  stderr.end();
  const [out, err] = await texts;
  return { code, out, err };
}

/** Waits until `check` is true, asking ten times a second: a daemon that is asked all the time has to answer. */
export async function until<T>(what: string, check: () => T | Promise<T>, ms = 15_000): Promise<T> {
  const patient = async (): Promise<T | false> => {
    const value = await check();
    if (!value) await delay(100);
    return value;
  };
  return await untilAt(what, patient, ms);
}

/** What the command that has these words printed. */
export function printed(done: readonly Shell[], words: string): string {
  const found = done.find(({ command }) => command.includes(words));
  assert.ok(found, `the README has no command with: ${words}`);
  return found.out;
}

/** A port that is free on all of 127.0.0.0/8 now. */
export async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Whether there is a program; `false`, or why the test is skipped. */
export function missing(...programs: readonly string[]): string | false {
  const folders = (process.env.PATH ?? "").split(":").concat("/usr/sbin", "/sbin");
  const absent = programs.filter((name) => !folders.some((folder) => existsSync(join(folder, name))));
  return absent.length > 0 && `not installed here: ${absent.join(", ")}`;
}
