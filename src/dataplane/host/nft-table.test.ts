/** With a program that stands for nft: what it refuses is the object's, and the rest goes on. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { type TestContext, test } from "node:test";
import type { KernelOperation } from "../kernel-port.ts";
import type { NetlinkCalls } from "./netlink-socket.ts";
import { NftTable } from "./nft-table.ts";

/** Lists nothing, takes transactions into a file, and refuses every line with the word `strange` in it. */
const program = (folder: string, refusal: string): string => `#!/bin/sh
[ "$1" = -a ] && { echo "Error: No such file or directory" >&2; exit 1; }
line=$(grep -n strange "$2" | head -1 | cut -d: -f1)
[ -n "$line" ] && { echo "$2:$line:1-9: Error: ${refusal}" >&2; exit 1; }
cat "$2" >> ${folder}/taken
`;

function tableWith(t: TestContext, refusal: string): { table: NftTable; taken: () => string } {
  const folder = mkdtempSync(join(tmpdir(), "cairn-"));
  const before = process.env.PATH;
  process.env.PATH = `${folder}${delimiter}${before}`;
  t.after(() => {
    process.env.PATH = before;
    rmSync(folder, { recursive: true });
  });
  writeFileSync(join(folder, "nft"), program(folder, refusal), { mode: 0o755 });
  const calls = { socket: () => -1 } as unknown as NetlinkCalls;
  const table = new NftTable(calls, { facts: () => undefined, later: () => undefined });
  return { table, taken: () => readFileSync(join(folder, "taken"), "utf8") };
}

function group(name: string, ...rules: string[]): KernelOperation {
  return {
    class: "nft",
    key: `input 500.01000 FirewallRule/${name}`,
    verb: "create",
    facts: { rules },
    before: undefined,
  };
}

test("a rule whose words the kernel lacks fails with a type, and the others take effect", async (t) => {
  const { table, taken } = tableWith(t, "Could not process rule: No such file or directory");
  const outcomes = await table.apply([
    group("a", "counter accept"),
    group("b", "strange counter drop"),
    group("c", "counter drop"),
  ]);
  assert.deepEqual(
    outcomes.map(({ error }) => error),
    ["", "EOPNOTSUPP", ""],
  );
  assert.match(outcomes[1].detail, /^Could not process rule: No such file.*strange counter drop/);
  assert.match(taken(), /FirewallRule\/a/);
  assert.match(taken(), /FirewallRule\/c/);
  assert.doesNotMatch(taken(), /strange/);
});

test("words that nft does not know are the object's mistake", async (t) => {
  const { table } = tableWith(t, "syntax error, unexpected string");
  const [outcome] = await table.apply([group("b", "strange")]);
  assert.equal(outcome.error, "EINVAL");
  assert.match(outcome.detail, /^syntax error, unexpected string: /);
});

test("without nft all of it fails with the same sentence", async (t) => {
  const { table } = tableWith(t, "");
  process.env.PATH = "/nowhere";
  const outcomes = await table.apply([group("a", "counter accept"), group("b", "counter drop")]);
  const missing = { error: "EOPNOTSUPP", detail: "the program nft is not installed" };
  assert.deepEqual(outcomes, [missing, missing]);
});
