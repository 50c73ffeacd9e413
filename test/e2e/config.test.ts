/** Bad configuration through the binary: exit codes, places, no stack trace, and never a partial start. */
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Daemon, root, run, scratch } from "./harness.ts";

const good = `[global]
asn = 65001
router_id = "192.0.2.1"
listen = ["127.0.0.1:0"]

[[neighbors]]
address = "192.0.2.2"
remote_asn = 65002
import = ["accept-all"]
`;

interface Case {
  readonly name: string;
  readonly text: string;
  /** Every one of them is in what is printed. */
  readonly says: readonly RegExp[];
  readonly file?: string;
}

const bad: readonly Case[] = [
  { name: "not TOML", text: `${good}\n[[`, says: [/bad\.toml:11:\d+/] },
  {
    name: "cut off inside a string",
    text: good.slice(0, good.indexOf("accept") + 3),
    says: [/bad\.toml:\d+:\d+/],
  },
  {
    name: "unknown key",
    text: good.replace("remote_asn", "remote_ans"),
    says: [/bad\.toml:8:1/, /remote_asn/, /\^/],
  },
  { name: "unknown section", text: `${good}[[neighbours]]\naddress = "::1"\n`, says: [/neighbors/] },
  {
    name: "three mistakes at once",
    text: good.replace("65001", '"x"').replace("192.0.2.1", "0.0.0.0").replace("accept-all", "acept-all"),
    says: [/:2:7/, /:3:13/, /:9:11/, /accept-all/],
  },
  { name: "wrong type", text: good.replace('"192.0.2.2"', "7"), says: [/bad\.toml:7:11/] },
  { name: "the same neighbor twice", text: good + good.slice(good.indexOf("[[")), says: [/192\.0\.2\.2/] },
  { name: "no AS number", text: good.replace("asn = 65001\n", ""), says: [/asn/] },
  {
    name: "an address with a zone",
    text: good.replace('"192.0.2.2"', '"2001:db8::1%eth0"'),
    says: [/:7:11/],
  },
  {
    name: "plaintext off the loopback",
    text: `${good}[[api.tcp]]\nlisten = "0.0.0.0:50051"\nplaintext = true\n`,
    says: [/loopback/],
  },
  { name: "binary", text: "\u0000\u0001\ufffd".repeat(200), says: [/bad\.toml:1:1/] },
  { name: "YAML that is none", file: "bad.yaml", text: "a: [1,\nb: }\n", says: [/bad\.yaml:\d+:\d+/] },
  {
    name: "YAML with an unknown kind",
    file: "bad.yaml",
    text: "apiVersion: net.cairn/v1alpha1\nkind: Nieghbor\nmetadata: { name: x }\nspec: {}\n",
    says: [/Neighbor/],
  },
];

const main = join(root, "src/runtime/main.ts");

for (const [i, { name, text, says, file = "bad.toml" }] of bad.entries()) {
  test(`refused: ${name}`, async (t) => {
    const dir = scratch(t);
    const path = join(dir, file);
    const stateDir = join(dir, "state");
    writeFileSync(path, text);
    const check = i % 2 === 0 ? ["--check"] : [];
    const { code, out, err } = await run(process.execPath, [main, path, ...check, "--state-dir", stateDir]);
    assert.equal(code, 1, out + err);
    for (const each of says) assert.match(err, each);
    assert.doesNotMatch(out + err, /\n\s+at .*\.(ts|js):\d+/, "a stack trace");
    assert.equal(existsSync(stateDir), false, "the state directory was touched");
  });
}

test("--check of a good file, a missing file, and wrong usage", async (t) => {
  const dir = scratch(t);
  const path = join(dir, "good.toml");
  writeFileSync(path, good);
  const cairnd = (...words: string[]): ReturnType<typeof run> =>
    run(process.execPath, [main, ...words, "--state-dir", join(dir, "state")]);
  const fine = await cairnd(path, "--check");
  assert.deepEqual([fine.code, fine.err], [0, ""]);
  assert.match(fine.out, /good, 2 objects/);
  const missing = await cairnd(join(dir, "none.toml"), "--check");
  assert.equal(missing.code, 1);
  assert.match(missing.err, /cannot read .*none\.toml/);
  assert.equal((await cairnd("--check")).code, 1);
  assert.equal((await cairnd("--wrong")).code, 2);
  assert.equal(existsSync(join(dir, "state")), false);
});

test("SIGHUP with a bad file changes nothing; with a good one it applies", async (t) => {
  const daemon = await Daemon.start(t, { config: good, wholeFile: true });
  const file = `${daemon.stateDir}.toml`;
  writeFileSync(file, good.replace("accept-all", "acept-all"));
  daemon.signal("SIGHUP");
  while (!daemon.log.some(({ msg }) => /the file was not applied/.test(msg))) await new Promise(setImmediate);
  assert.equal((await daemon.call("ControlService/GetHealth")).generation, "1");
  writeFileSync(file, good.replace("65002", "65003"));
  daemon.signal("SIGHUP");
  while (!daemon.log.some(({ msg }) => msg === "applied the file")) await new Promise(setImmediate);
  assert.equal((await daemon.neighbor("192.0.2.2")).spec.remoteAsn, 65_003);
  assert.equal((await daemon.call("ControlService/GetHealth")).generation, "2");
  const warned = (): boolean =>
    daemon.log.some(({ msg }) => /no route gets here: statement 1 takes them all/.test(msg));
  assert.equal(warned(), false);
  const all = '{ action = "accept" }';
  writeFileSync(file, `${good}\n[[policies]]\nname = "odd"\nstatements = [${all}, ${all}]\n`);
  daemon.signal("SIGHUP");
  while (!warned()) await new Promise(setImmediate);
});
