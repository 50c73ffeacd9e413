/** Files on a real disk: names, what a failure leaves, and which files go. */
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import type { MrtOpenEffect } from "../state/effects.ts";
import type { Input } from "../state/inputs.ts";
import { MrtFiles } from "./mrt-files.ts";

type Closed = Extract<Input, { kind: "mrt.closed" }>;

class Disk {
  readonly folder: string;
  readonly files: MrtFiles;
  readonly taken: number[] = [];
  private readonly waiting = new Map<number, (closed: Closed) => void>();
  private next = 1;

  constructor(t: TestContext) {
    this.folder = mkdtempSync(join(tmpdir(), "cairn-mrt-"));
    t.after(() => rmSync(this.folder, { recursive: true, force: true }));
    this.files = new MrtFiles(this.folder, (input) => {
      if (input.kind === "mrt.taken") this.taken.push(input.queued);
      else if (input.kind === "mrt.closed") this.waiting.get(input.file)?.(input);
    });
  }

  open(path: string, more: Partial<MrtOpenEffect> = {}): { file: number; closed: Promise<Closed> } {
    const file = this.next++;
    const { promise, resolve } = Promise.withResolvers<Closed>();
    this.waiting.set(file, resolve);
    const what = { pattern: path, compression: "none", appends: false, maxFiles: 0, maxAgeMs: 0 } as const;
    this.files.apply({ kind: "mrt.open", file, path, ...what, ...more });
    return { file, closed: promise };
  }

  async write(path: string, text: string, more: Partial<MrtOpenEffect> = {}): Promise<Closed> {
    const { file, closed } = this.open(path, more);
    this.files.apply({ kind: "mrt.write", file, bytes: new TextEncoder().encode(text) });
    this.files.apply({ kind: "mrt.close", file, keep: true });
    return closed;
  }

  read(path: string): Buffer {
    return readFileSync(join(this.folder, path));
  }

  list(path = "."): string[] {
    return readdirSync(join(this.folder, path)).sort();
  }
}

test("a file has its name when it is complete, and takes the place of the one before", async (t) => {
  const disk = new Disk(t);
  const { file, closed } = disk.open("2026/rib");
  disk.files.apply({ kind: "mrt.write", file, bytes: Buffer.from("one ") });
  while (disk.taken.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(disk.list("2026"), ["rib.part"]);
  disk.files.apply({ kind: "mrt.write", file, bytes: Buffer.from("two") });
  disk.files.apply({ kind: "mrt.close", file, keep: true });
  const { error, path, bytes } = await closed;
  assert.deepEqual([error, path, bytes], ["", join(disk.folder, "2026/rib"), 7]);
  assert.equal(disk.read("2026/rib").toString(), "one two");
  assert.equal(disk.taken.at(-1), 0);
  await disk.write("2026/rib", "three");
  assert.equal(disk.read("2026/rib").toString(), "three");
  assert.deepEqual(disk.list("2026"), ["rib"]);
});

test("gzip and zstd can be read by anybody", async (t) => {
  const disk = new Disk(t);
  const text = "x".repeat(3_000_000);
  await disk.write("a.gz", text, { compression: "gzip" });
  await disk.write("a.zst", text, { compression: "zstd" });
  assert.equal(gunzipSync(disk.read("a.gz")).toString(), text);
  assert.equal(zstdDecompressSync(disk.read("a.zst")).toString(), text);
});

test("a table that is given up leaves the file of before; files of updates are never put in place of others", async (t) => {
  const disk = new Disk(t);
  await disk.write("rib", "good");
  const { file, closed } = disk.open("rib");
  disk.files.apply({ kind: "mrt.write", file, bytes: Buffer.from("half") });
  disk.files.apply({ kind: "mrt.close", file, keep: false });
  assert.notEqual((await closed).error, "");
  assert.equal(disk.read("rib").toString(), "good");
  await disk.write("u", "first", { appends: true });
  const second = await disk.write("u", "second", { appends: true });
  assert.equal(second.path, join(disk.folder, "u.1"));
  const empty = disk.open("v", { appends: true });
  disk.files.apply({ kind: "mrt.close", file: empty.file, keep: true });
  assert.equal((await empty.closed).error, "");
  assert.deepEqual(disk.list(), ["rib", "u", "u.1"]);
});

test("what a crash left of updates gets its name, what it left of a table goes", async (t) => {
  const disk = new Disk(t);
  writeFileSync(join(disk.folder, "u.part"), "left over");
  writeFileSync(join(disk.folder, "rib.part"), "left over");
  await disk.write("u", "new", { appends: true });
  await disk.write("rib", "new");
  assert.deepEqual(disk.list(), ["rib", "u", "u.1"]);
  assert.equal(disk.read("u").toString(), "left over");
  assert.equal(disk.read("rib").toString(), "new");
});

test("two dumps with one path: the second is refused", async (t) => {
  const disk = new Disk(t);
  const { file, closed } = disk.open("rib");
  assert.match((await disk.open("rib").closed).error, /written by another dump/);
  disk.files.apply({ kind: "mrt.close", file, keep: true });
  assert.equal((await closed).error, "");
});

test("number and age of files are kept, over folders, and nothing else is touched", async (t) => {
  const disk = new Disk(t);
  const pattern = "%Y.%m/rib.%d.gz";
  for (const [folder, name, days] of [
    ["2026.10", "rib.30.gz", 22],
    ["2026.10", "rib.31.gz", 21],
    ["2026.11", "rib.01.gz", 20],
    ["2026.11", "rib.02.gz", 19],
    ["2026.11", "notes.txt", 90],
    ["other", "rib.01.gz", 90],
  ] as const) {
    const path = join(disk.folder, folder, name);
    mkdirSync(join(disk.folder, folder), { recursive: true });
    writeFileSync(path, "");
    const time = Date.now() / 1000 - days * 86_400;
    utimesSync(path, time, time);
  }
  await disk.write("2026.11/rib.21.gz", "x", { pattern, maxFiles: 4 });
  assert.deepEqual(disk.list("2026.10"), ["rib.31.gz"]);
  await disk.write("2026.11/rib.22.gz", "x", { pattern, maxAgeMs: 19.5 * 86_400_000 });
  assert.deepEqual(disk.list("2026.10"), []);
  assert.deepEqual(disk.list("2026.11"), ["notes.txt", "rib.02.gz", "rib.21.gz", "rib.22.gz"]);
  assert.deepEqual(disk.list("other"), ["rib.01.gz"]);
});

test("a folder that cannot be made is an error with its reason", async (t) => {
  const disk = new Disk(t);
  writeFileSync(join(disk.folder, "taken"), "a file");
  assert.match((await disk.write("taken/rib", "x")).error, /EEXIST|ENOTDIR/);
  assert.ok(existsSync(join(disk.folder, "taken")));
});

test("a process that ends completes files of updates and gives up tables", async (t) => {
  const disk = new Disk(t);
  const updates = disk.open("u", { appends: true, compression: "gzip" });
  const table = disk.open("rib");
  for (const { file } of [updates, table])
    disk.files.apply({ kind: "mrt.write", file, bytes: Buffer.from("bytes") });
  await disk.files.close();
  assert.equal((await updates.closed).error, "");
  assert.notEqual((await table.closed).error, "");
  assert.deepEqual(disk.list(), ["u"]);
  assert.equal(gunzipSync(disk.read("u")).toString(), "bytes");
});
