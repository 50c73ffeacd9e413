/** Runs cairnctl in this process, with or without a daemon behind a Unix socket. */
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import type { TestContext } from "node:test";
import { runCli } from "../../src/cli/run.ts";
import type { FakeOwner, FakeOwnerOptions } from "../../src/services/testing/fake-owner.ts";
import { onSockets, scratchDirectory } from "../../src/services/testing/harness.ts";

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly stdin?: string;
  /** Pretend a terminal of this width. */
  readonly columns?: number;
  readonly env?: Record<string, string>;
}

/** Runs one command line; `address` becomes CAIRN_ADDR. */
export async function run(address: string, words: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const stdout = collector(options.columns);
  const stderr = collector();
  const code = await runCli(words, {
    stdout: stdout.stream,
    stderr: stderr.stream,
    stdin: Readable.from([options.stdin ?? ""]),
    env: { CAIRN_ADDR: address, ...options.env },
    uid: 1000,
  });
  return { code, out: stdout.text(), err: stderr.text() };
}

/** A daemon with a fake owner, and a runner against it. */
export async function daemon(
  t: TestContext,
  options: FakeOwnerOptions = {},
): Promise<{ owner: FakeOwner; address: string; cli: (line: string, options?: RunOptions) => Promise<Ran> }> {
  const path = join(scratchDirectory(t), "grpc.sock");
  const { owner } = await onSockets(t, [{ kind: "unix", path }], { routes: 50, ...options });
  const address = `unix://${path}`;
  return { owner, address, cli: (line, runOptions) => run(address, split(line), runOptions) };
}

/** Words of a command line; single or double quotes keep blanks. */
export function split(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? match[3]);
}

function collector(columns?: number): {
  stream: Writable & { isTTY?: boolean; columns?: number };
  text: () => string;
} {
  const chunks: Buffer[] = [];
  const stream: Writable & { isTTY?: boolean; columns?: number } = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
  if (columns !== undefined) Object.assign(stream, { isTTY: true, columns, rows: 24 });
  return { stream, text: () => Buffer.concat(chunks).toString() };
}
