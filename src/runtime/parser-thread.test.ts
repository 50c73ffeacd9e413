/** What the thread reads is what would be read here, places of problems included. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { toJson } from "@bufbuild/protobuf";
import { kinds } from "../state/kinds.ts";
import { configText, parserThread, parseSent } from "./config-text.ts";

const head = `[global]\nasn = 65001\nrouter_id = "192.0.2.1"\n`;
const neighbor = (i: number): string =>
  `[[neighbors]]\naddress = "10.0.${i >> 8}.${i & 255}"\nremote_asn = 65002\ndescription = "number ${i}"\n`;
const content = head + Array.from({ length: 400 }, (_, i) => neighbor(i)).join("");
const file = { name: "cairn.toml", content, policyFiles: [] };

type Objects = ReturnType<typeof parseSent>["objects"];
const json = (objects: Objects): unknown =>
  objects.map(({ kind, spec }) => [kind, toJson(kinds.get(kind)!.desc, spec)]);

test("a large file is read by a thread, with the same objects", async () => {
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const { objects, problems, locate } = await configText.parse(file.name, content, []);
  clearInterval(timer);
  assert.ok(turns > 5, "this thread went on meanwhile");
  assert.deepEqual(problems, []);
  assert.equal(objects.length, 401);
  assert.deepEqual(json(objects), json(parseSent(file).objects));
  const paths = ["Neighbor/10.0.1.3.description", "Neighbor/203.0.113.1"];
  assert.deepEqual(await locate(paths), paths.map(parseSent(file).locate));
  assert.equal((await locate(paths))[0]?.line, 3 + 259 * 4 + 4);
});

test("problems of a large file keep their places; the thread goes on afterwards", async () => {
  const wrong = content.replace("remote_asn = 65002", 'remote_asn = "many"');
  const { objects, problems } = await configText.parse("", wrong, []);
  assert.deepEqual(objects, []);
  assert.deepEqual(problems, parseSent({ ...file, name: "", content: wrong }).problems);
  assert.equal((await configText.parse(file.name, content, [])).objects.length, 401);
});

test("a file of this host is read with its report; one that is missing is a sentence", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "cairn-parser-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const path = join(dir, "cairn.toml");
  writeFileSync(path, content);
  const good = await parserThread.load(path);
  assert.equal(good.report, "");
  assert.deepEqual(json(good.objects), json(parseSent(file).objects));
  writeFileSync(path, `${head}nonsense = 1\n`);
  assert.match((await parserThread.load(path)).report, /nonsense/);
  await assert.rejects(parserThread.load(join(dir, "none.toml")), /cannot read/);
});
