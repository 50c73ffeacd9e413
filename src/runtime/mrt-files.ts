/**
 * Writes MRT files: compression and the disk are the work of Node's thread pool, so the owner's thread only hands bytes
 * over. A file is written under a name that ends with `.part` and renamed when all of it is on disk; what could not be
 * completed of a table goes away, and the file of before stays.
 */
import { createWriteStream, type WriteStream } from "node:fs";
import { access, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { finished } from "node:stream/promises";
import { createGzip, createZstdCompress, type Gzip, type ZstdCompress } from "node:zlib";
import { nameParts } from "../mrt/file-name.ts";
import type { Effect, MrtOpenEffect } from "../state/effects.ts";
import type { Input } from "../state/inputs.ts";

type MrtEffect = Extract<Effect, { kind: `mrt.${string}` }>;
type Closed = Extract<Input, { kind: "mrt.closed" }>;

/** Fast enough for a core that reads a full table; the next levels cost half as much again for a few percent. */
const gzipLevel = 1;
const chunkBytes = 1 << 18;
/** Files of one second that are told apart by a number. */
const sameNameMax = 1000;

export class MrtFiles {
  private readonly folder: string;
  private readonly post: (input: Input) => void;
  private readonly files = new Map<number, MrtFile>();
  /** Partial files that are in use: two dumps with one path must not write into each other. */
  private readonly busy = new Set<string>();

  /** @param folder below which all files are */
  constructor(folder: string, post: (input: Input) => void) {
    this.folder = folder;
    this.post = post;
  }

  apply(effect: MrtEffect): void {
    if (effect.kind === "mrt.open") {
      const file = new MrtFile(effect, this.folder, this.busy, this.post);
      this.files.set(effect.file, file);
      void file.done.then((closed) => {
        this.files.delete(effect.file);
        this.post(closed);
      });
      return;
    }
    const file = this.files.get(effect.file);
    if (effect.kind === "mrt.write") file?.write(effect.bytes);
    else file?.close(effect.keep);
  }

  /** Waits until the files that are to be completed are. */
  async close(): Promise<void> {
    const files = [...this.files.values()];
    for (const file of files) file.close(file.appends);
    await Promise.all(files.map(({ done }) => done));
  }
}

class MrtFile {
  readonly appends: boolean;
  /** Resolves when the file has its name, or is given up. */
  readonly done: Promise<Closed>;
  private readonly effect: MrtOpenEffect;
  private readonly folder: string;
  private readonly post: (input: Input) => void;
  private waiting: Uint8Array[] = [];
  private queued = 0;
  private ended = false;
  private keep = true;
  private wake: () => void = () => {};

  constructor(effect: MrtOpenEffect, folder: string, busy: Set<string>, post: (input: Input) => void) {
    this.effect = effect;
    this.appends = effect.appends;
    this.folder = folder;
    this.post = post;
    this.done = this.run(busy);
  }

  write(bytes: Uint8Array): void {
    this.waiting.push(bytes);
    this.queued += bytes.length;
    this.wake();
  }

  close(keep: boolean): void {
    if (this.ended) return;
    this.ended = true;
    this.keep = keep;
    this.wake();
  }

  private async run(busy: Set<string>): Promise<Closed> {
    const { file, path } = this.effect;
    const target = join(this.folder, path);
    const part = `${target}.part`;
    const closed = { kind: "mrt.closed", file, path: target, bytes: 0, error: "" } as const;
    if (busy.has(part)) {
      return { ...closed, error: `${path} is being written by another dump` };
    }
    busy.add(part);
    try {
      await mkdir(dirname(target), { recursive: true });
      await settleLeftOvers(this.folder, this.effect, (path) => path !== part && busy.has(path));
      const written = await this.fill(part);
      const { keep } = this;
      if (!keep || (this.appends && written === 0)) {
        await rm(part, { force: true });
        return keep ? closed : { ...closed, error: "it was given up" };
      }
      const name = this.appends ? await freeName(target) : target;
      const { size } = await stat(part);
      await rename(part, name);
      await syncFolder(dirname(target));
      await prune(this.folder, this.effect, name);
      return { ...closed, path: name, bytes: size };
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      await this.giveUp(part, target);
      return { ...closed, error: text };
    } finally {
      busy.delete(part);
    }
  }

  /** What there is of updates is worth keeping; of a table it is not. */
  private async giveUp(part: string, target: string): Promise<void> {
    try {
      if (this.appends) await keepLeftOver(part, target);
      else await rm(part, { force: true });
    } catch {
      // The disk is in no state to do even that; the next file of this name takes its place.
    }
  }

  /** Writes until the file is closed. @returns bytes before compression */
  private async fill(part: string): Promise<number> {
    const out = createWriteStream(part, { mode: 0o644, flush: true, highWaterMark: chunkBytes * 4 });
    const squeeze = compressor(this.effect.compression);
    const first: Gzip | ZstdCompress | WriteStream = squeeze ?? out;
    const failed = Promise.withResolvers<never>();
    failed.promise.catch(() => {});
    out.on("error", failed.reject);
    squeeze?.on("error", failed.reject);
    squeeze?.pipe(out);
    let written = 0;
    try {
      for (;;) {
        const bytes = this.waiting.shift();
        if (!bytes) {
          if (this.ended) break;
          const { promise, resolve } = Promise.withResolvers<void>();
          this.wake = resolve;
          await Promise.race([promise, failed.promise]);
          continue;
        }
        const { promise, resolve } = Promise.withResolvers<void>();
        // Called when the bytes are compressed and there is room for more.
        first.write(bytes, () => resolve());
        await Promise.race([promise, failed.promise]);
        written += bytes.length;
        this.queued -= bytes.length;
        this.post({ kind: "mrt.taken", file: this.effect.file, queued: this.queued, bytes });
      }
      first.end();
      await Promise.race([finished(out), failed.promise]);
      return written;
    } catch (error) {
      squeeze?.destroy();
      out.destroy();
      this.waiting = [];
      throw error;
    }
  }
}

function compressor(how: MrtOpenEffect["compression"]): Gzip | ZstdCompress | undefined {
  if (how === "gzip") return createGzip({ level: gzipLevel, chunkSize: chunkBytes });
  return how === "zstd" ? createZstdCompress({ chunkSize: chunkBytes }) : undefined;
}

/** What a crash or a full disk left of a file of updates gets its name: tools read it up to where it ends. */
async function keepLeftOver(part: string, target: string): Promise<void> {
  const left = await stat(part).catch(() => undefined);
  if (!left) return;
  if (left.size === 0) await rm(part);
  else await rename(part, await freeName(target));
}

/** The name, or with a number behind it when there is such a file. */
async function freeName(target: string): Promise<string> {
  for (let number = 0; number < sameNameMax; number++) {
    const name = number === 0 ? target : `${target}.${number}`;
    const isThere = await access(name).then(
      () => true,
      () => false,
    );
    if (!isThere) return name;
  }
  throw new Error(`there are ${sameNameMax} files of the name ${target}`);
}

/** Parts that an earlier run of the daemon left, of this file and of others of its kind. */
async function settleLeftOvers(
  folder: string,
  { pattern, appends }: MrtOpenEffect,
  isBusy: (path: string) => boolean,
): Promise<void> {
  const found: { path: string; time: number }[] = [];
  await collect(folder, nameParts(`${pattern}.part`), found);
  for (const { path } of found) {
    if (isBusy(path)) continue;
    if (appends) await keepLeftOver(path, path.slice(0, -".part".length));
    else await rm(path, { force: true });
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Removes what is beyond the number or the age of files to be kept; never the one that was just written. */
async function prune(
  folder: string,
  { pattern, maxFiles, maxAgeMs }: MrtOpenEffect,
  newest: string,
): Promise<void> {
  if (maxFiles === 0 && maxAgeMs === 0) return;
  const found: { path: string; time: number }[] = [];
  await collect(folder, nameParts(pattern), found);
  found.sort((a, b) => b.time - a.time);
  const oldest = maxAgeMs === 0 ? Number.NEGATIVE_INFINITY : Date.now() - maxAgeMs;
  const beyond = (at: number): boolean => maxFiles > 0 && at >= maxFiles;
  for (const [at, { path, time }] of found.entries()) {
    if (path !== newest && (beyond(at) || time < oldest)) await rm(path, { force: true });
  }
}

async function collect(
  folder: string,
  [part, ...rest]: readonly RegExp[],
  into: { path: string; time: number }[],
): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (!part.test(entry.name)) continue;
    const path = join(folder, entry.name);
    if (rest.length > 0) {
      if (entry.isDirectory()) await collect(path, rest, into);
    } else if (entry.isFile()) into.push({ path, time: (await stat(path)).mtimeMs });
  }
}
