/** Records of an MRT file, whatever it is compressed with: gzip, zstd, bzip2 (by the program), or not at all. */
import { type ChildProcess, spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import type { Readable, Transform } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { type MrtFault, MrtReader } from "../../mrt/reader.ts";
import type { Context } from "../context.ts";
import { CliError, exitCode } from "../exit.ts";

const chunkBytes = 1 << 18;

/** What reading came to. */
export interface ReadOutcome {
  readonly reader: MrtReader;
  /** Why it ended before the end of the file; undefined for a whole file. */
  readonly fault: MrtFault | undefined;
}

/**
 * Calls `visit` for each record. `-` is standard input.
 * @param visit answers false to stop
 * @throws CliError when the file cannot be opened
 */
export async function readMrt(
  context: Context,
  file: string,
  visit: (reader: MrtReader) => boolean | undefined | Promise<boolean | undefined>,
): Promise<ReadOutcome> {
  const reader = new MrtReader();
  const source: Readable =
    file === "-" ? context.stdin : createReadStream(file, { highWaterMark: chunkBytes });
  let opened = false;
  try {
    for await (const chunk of plain(source)) {
      opened = true;
      reader.push(chunk);
      while (reader.next()) {
        const answer = visit(reader);
        if ((answer instanceof Promise ? await answer : answer) === false)
          return { reader, fault: undefined };
      }
      if (reader.fatal || context.signal.aborted) break;
    }
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    if (error instanceof CliError) throw error;
    if (!opened && ["ENOENT", "EACCES", "EISDIR"].includes(code ?? "")) {
      throw new CliError(exitCode.failed, "FILE", message);
    }
    const cut = reader.end();
    return {
      reader,
      fault: { offset: cut?.offset ?? 0, text: `the file cannot be decompressed: ${message}` },
    };
  } finally {
    source.destroy();
  }
  return { reader, fault: context.signal.aborted ? undefined : reader.end() };
}

/** The bytes without compression, which the first of them tell. */
async function* plain(source: Readable): AsyncGenerator<Uint8Array> {
  const chunks = source[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const first = await chunks.next();
  if (first.done) return;
  const head = first.value;
  const rest = (async function* (): AsyncGenerator<Buffer> {
    yield head;
    for (let next = await chunks.next(); !next.done; next = await chunks.next()) yield next.value;
  })();
  const starts = (...bytes: number[]): boolean => bytes.every((byte, i) => head[i] === byte);
  if (starts(0x1f, 0x8b)) yield* through(rest, createGunzip({ chunkSize: chunkBytes }));
  else if (starts(0x28, 0xb5, 0x2f, 0xfd))
    yield* through(rest, createZstdDecompress({ chunkSize: chunkBytes }));
  else if (starts(0x42, 0x5a, 0x68)) yield* bunzip2(rest);
  else yield* rest;
}

async function* through(from: AsyncIterable<Buffer>, by: Transform): AsyncGenerator<Buffer> {
  const feeding = feed(from, by).catch((error: Error) => by.destroy(error));
  yield* by as AsyncIterable<Buffer>;
  await feeding;
}

async function feed(from: AsyncIterable<Buffer>, into: NodeJS.WritableStream): Promise<void> {
  for await (const chunk of from) {
    if (into.write(chunk)) continue;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        into.off("drain", go).off("close", go);
        resolve();
      };
      into.on("drain", go).on("close", go);
    });
  }
  into.end();
}

/** Node has no bzip2, which Route Views compresses with: the program does it. */
async function* bunzip2(from: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const program: ChildProcess = spawn("bzip2", ["-dc"], { stdio: ["pipe", "pipe", "pipe"] });
  let said = "";
  program.stderr?.on("data", (text: Buffer) => (said += text.toString().slice(0, 1000)));
  const ended = new Promise<number>((resolve, reject) => {
    program.on("error", () =>
      reject(
        new CliError(
          exitCode.failed,
          "FILE",
          "this file is compressed with bzip2, and there is no program bzip2",
          {
            hints: ["apt-get install bzip2"],
          },
        ),
      ),
    );
    program.on("close", (code) => resolve(code ?? 1));
  });
  ended.catch(() => {});
  program.stdin?.on("error", () => {}); // its end tells
  const feeding = feed(from, program.stdin!).catch(() => {});
  try {
    yield* program.stdout as AsyncIterable<Buffer>;
    const code = await ended;
    if (code !== 0) throw new Error(said.trim() || `bzip2 ended with ${code}`);
    await feeding;
  } finally {
    program.kill();
  }
}
