/** `npm run demo -- --once`, as the README has it, and what is left when the demo is killed. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

const root = join(import.meta.dirname, "..");
const limitMs = 60_000;

function demo(): { child: ChildProcess; output: () => string; ended: Promise<number | null> } {
  const child = spawn(process.execPath, ["scripts/demo.ts", "--once"], { cwd: root });
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  return { child, output: () => Buffer.concat(chunks).toString(), ended };
}

function directoryOf(output: string): string {
  const found = /on loopback, in (\S+)/.exec(output);
  assert.ok(found, output);
  return found[1];
}

test("the demo fills the tables, prints them and leaves nothing", { timeout: limitMs }, async () => {
  const { output, ended } = demo();
  assert.equal(await ended, 0, output());
  const text = output();
  assert.match(text, /^(49|50),\d{3} routes of 5 neighbors are here after \d+\.\d s$/m);
  assert.match(text, /^7 neighbors: 6 established, 1 not$/m);
  for (const family of ["ipv4-unicast", "ipv6-unicast"])
    assert.match(text, new RegExp(`^${family} +\\d`, "m"));
  assert.match(text, /candidates; the path from 127\.0\.0\.\d+ wins by /);
  assert.match(text, /^10\.20\.0\.0\/16 .*policy bogons, statement 1/m);
  assert.match(text, /^45\.10\.20\.0\/22 .*64500 64504 i/m);
  assert.match(text, /bgp\.session\.established/);
  assert.equal(text.match(/^ {2}bin\/cairnctl .* # /gm)?.length, 5);
  assert.equal(existsSync(directoryOf(text)), false, "the state directory is gone");
});

test("killing the demo ends cairnd and the speakers", { timeout: limitMs }, async () => {
  const { child, output, ended } = demo();
  while (!output().includes("is ready")) await sleep(50);
  const port = Number(/BGP on 127\.0\.0\.1:(\d+)/.exec(output())![1]);
  child.kill("SIGKILL");
  await ended;
  const directory = directoryOf(output());
  while (existsSync(directory)) await sleep(50); // cairnd removes it when it ends
  await assert.rejects(fetch(`http://127.0.0.1:${port}`), "nobody listens any more");
});
