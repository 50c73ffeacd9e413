/** The table of README.md names tests that exist. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const root = new URL("../../", import.meta.url);
const table = readFileSync(new URL("test/rfc/README.md", root), "utf8");

test("every proof in README.md is a test that is there", () => {
  const missing: string[] = [];
  const texts = new Map<string, string>();
  const proofs = [...table.matchAll(/`([\w./-]+)` «([^»]+)»/g)];
  for (const [, file, name] of proofs) {
    const path = file.includes("/") ? file : `test/rfc/${file}.test.ts`;
    if (!texts.has(path)) texts.set(path, readFileSync(new URL(path, root), "utf8"));
    if (!texts.get(path)!.includes(name)) missing.push(`${file}: ${name}`);
  }
  assert.ok(proofs.length > 150, `${proofs.length} proofs`);
  assert.deepEqual(missing, []);
});

test("every row that applies has a proof", () => {
  const bare = table
    .split("\n")
    .filter((line) => /^\| \d/.test(line))
    .filter((line) => {
      const cells = line.split("|").map((cell) => cell.trim());
      return cells.at(-2) === "" && !line.includes("**open**") && !/\| no: /.test(line);
    });
  assert.deepEqual(bare, []);
});
