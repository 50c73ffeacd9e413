/** The command tree as a whole: help, docs, completions. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { cliDoc } from "../../scripts/cli-doc.ts";
import { completionScript } from "../../src/cli/completion-script.ts";
import { rootCommand } from "../../src/cli/root.ts";
import { type Command, resolveCommand } from "../../src/cli/tree.ts";
import { daemon, run, split } from "./harness.ts";

async function everyCommand(
  command: Command = rootCommand,
  path: string[] = [],
): Promise<[string[], Command][]> {
  const below = await Promise.all(
    (command.commands ?? []).map(async (entry) =>
      everyCommand(await resolveCommand(entry), [...path, entry.name]),
    ),
  );
  return [[path, command], ...below.flat()];
}

test("every command has a summary, help for each argument and option, and an example", async () => {
  for (const [path, command] of await everyCommand()) {
    const name = path.join(" ");
    assert.match(command.summary, /^[A-Z].*[^.]$/, name);
    for (const { help } of [...(command.args ?? []), ...(command.options ?? [])])
      assert.ok(help.length > 3, name);
    const names = (command.options ?? []).flatMap((option) => [option.name, ...(option.aliases ?? [])]);
    assert.equal(new Set(names).size, names.length, `${name}: an option twice`);
    const shorts = (command.options ?? []).flatMap(({ short }) => short ?? []);
    assert.equal(new Set(shorts).size, shorts.length, `${name}: a short option twice`);
    assert.ok(command.hidden || (command.examples?.length ?? 0) > 0, `${name} has no example`);
    assert.ok(command.run || command.commands, name);
  }
});

test("--help works everywhere, needs no daemon, and exits with 0", async () => {
  for (const [path] of await everyCommand()) {
    const { code, out } = await run("unix:///nonexistent/x", [...path, "--help"]);
    assert.equal(code, 0);
    assert.match(out, /usage: cairnctl/);
    assert.ok(
      out.split("\n").every((line) => !line.endsWith(" ")),
      path.join(" "),
    );
  }
});

test("every example parses", async () => {
  const { parseCommandLine } = await import("../../src/cli/parse.ts");
  for (const [path, command] of await everyCommand()) {
    for (const [example] of command.examples ?? []) {
      const words = split(/cairnctl[^|)>]*/.exec(example)![0]);
      await assert.doesNotReject(
        parseCommandLine(rootCommand, words.slice(1)),
        `${path.join(" ")}: ${example}`,
      );
    }
  }
});

test("docs/cli.md is current", async () => {
  const written = readFileSync(new URL("../../docs/cli.md", import.meta.url), "utf8");
  assert.equal(written, await cliDoc(), "run: node_modules/.bin/node scripts/cli-doc.ts");
});

test("the bash script loads and completes commands, flags, values and addresses with colons", async (t) => {
  const script = await completionScript(rootCommand, "bash");
  const check = spawnSync("bash", ["-n"], { input: script, encoding: "utf8" });
  assert.equal(check.stderr, "");
  assert.equal(check.status, 0);
  const { address } = await daemon(t);
  // the daemon runs in this process, so its answers are given by a stand-in
  const complete = (line: string) => {
    const input = [
      "cairnctl() { printf '%s\\n' 192.0.2.1 2001:db8::5 2001:db8::7; }",
      script,
      `COMP_LINE=${JSON.stringify(line)}; COMP_POINT=\${#COMP_LINE}; _cairnctl; printf '%s\\n' "\${COMPREPLY[@]}"`,
    ].join("\n");
    return spawnSync("bash", [], { input, encoding: "utf8", env: { ...process.env, CAIRN_ADDR: address } })
      .stdout.trim()
      .split("\n");
  };
  assert.deepEqual(complete("cairnctl nei"), ["neighbor"]);
  assert.deepEqual(complete("cairnctl neighbor di"), ["disable"]);
  assert.deepEqual(complete("cairnctl neighbor reset 192.0.2.1 --soft "), ["in", "out"]);
  assert.deepEqual(complete("cairnctl -o "), ["table", "wide", "json", "yaml", "ndjson"]);
  assert.ok(complete("cairnctl neighbor add 1.2.3.4 --hold").includes("--hold-time"));
  assert.deepEqual(complete("cairnctl neighbor enable 192"), ["192.0.2.1"]);
  assert.deepEqual(complete("cairnctl neighbor enable 2001:db8::7"), ["7"]);
  assert.deepEqual(complete("cairnctl rib received 2001:db8::"), ["5", "7"]);
  assert.deepEqual(complete("cairnctl completions f"), ["fish"]);
});

for (const shell of ["zsh", "fish"] as const) {
  test(`the ${shell} script is made${spawnSync(shell, ["--version"]).error ? ` (no ${shell} here to load it)` : " and loads"}`, async () => {
    const script = await completionScript(rootCommand, shell);
    assert.match(script, /neighbor/);
    const check = spawnSync(shell, ["-n"], { input: script, encoding: "utf8" });
    if (!check.error) assert.equal(check.status, 0, check.stderr);
  });
}

test("__complete asks the daemon", async (t) => {
  const { cli } = await daemon(t);
  assert.deepEqual((await cli("__complete neighbor")).out.split("\n").slice(0, 2), [
    "192.0.2.1",
    "192.0.2.2",
  ]);
  assert.match((await cli("__complete family")).out, /ipv4-unicast/);
  assert.match((await cli("__complete group")).out, /transit/);
  assert.match((await cli("__complete policy")).out, /accept-all/);
  assert.match((await cli("__complete prefix-set")).out, /bogons/);
});
