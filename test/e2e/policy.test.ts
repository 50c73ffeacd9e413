/** Policy texts through the binaries: checked, laid out, set, shown, and named by configuration files. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { run as runCli } from "../cli/harness.ts";
import { Daemon, root, run, scratch } from "./harness.ts";

const filters = join(root, "config/policies/filters.policy");
const ixp = join(root, "config/policies/ixp.policy");
const head = '[global]\nasn = 65001\nrouter_id = "192.0.2.1"\nlisten = ["127.0.0.1:0"]\n';

test("policy texts: check, fmt, set, show, and a file that names them", async (t) => {
  const daemon = await Daemon.start(t);
  const ctl = (...words: string[]) => runCli(`unix://${daemon.socket}`, words);
  const check = await ctl("policy", "check", ixp, "--with", filters);
  assert.equal(check.code, 0, check.err);
  assert.match(check.out, /33 of 33 cases as expected|"cases":33/);
  assert.equal((await ctl("policy", "fmt", "--check", ixp)).code, 0);

  const dir = scratch(t);
  const ragged = join(dir, "ragged.policy");
  writeFileSync(ragged, "policy p { # why\n if med>=5 then {reject} }\n");
  assert.equal((await ctl("policy", "fmt", "--check", ragged)).code, 3);
  assert.equal((await ctl("policy", "fmt", "-w", ragged)).code, 0);
  assert.equal(readFileSync(ragged, "utf8"), "policy p { # why\n  if med >= 5 then reject;\n}\n");

  const alone = await ctl("policy", "set", "-f", ixp);
  assert.equal(alone.code, 1);
  assert.match(alone.err, /there is no Policy no-bogons/);
  assert.equal((await ctl("policy", "set", "-f", filters)).code, 0);
  assert.equal((await ctl("policy", "set", "-f", ixp)).code, 0);
  const shown = await ctl("policy", "show", "ixp-announce");
  assert.match(
    shown.out,
    /^ {2}not-to-you: if community in \(0:neighbor-asn, own-asn:0:neighbor-asn\) then reject;$/m,
  );
  assert.match(shown.out, /^test "announce only to" \{$/m);

  // A file beside a text, with a test that is to fail after a change of the text.
  mkdirSync(join(dir, "policies"));
  const text =
    "prefix-set ours { 198.51.100.0/24; }\npolicy in { if prefix in ours then accept; default reject; }\n";
  const tested = `${text}test "ours" { given 198.51.100.0/24; expect accept; }\n`;
  const file = join(dir, "router.toml");
  writeFileSync(file, `policy_files = ["policies/in.policy"]\n${head}`);
  writeFileSync(join(dir, "policies/in.policy"), tested);
  const applied = await ctl("apply", "-f", file);
  assert.equal(applied.code, 0, applied.err);
  writeFileSync(join(dir, "policies/in.policy"), tested.replace("198.51.100.0/24;", "192.0.2.0/24;"));
  const refused = await ctl("apply", "-f", file);
  assert.equal(refused.code, 1);
  assert.match(
    refused.err,
    /policies\/in\.policy:3:15: test "ours", 198\.51\.100\.0\/24: it was rejected by policy in, default action/,
  );
  const plan = await ctl("plan", "-f", file);
  assert.equal(plan.code, 1);
  assert.match(plan.out + plan.err, /test "ours"/);
  const checked = await run(process.execPath, [join(root, "src/runtime/main.ts"), file, "--check"]);
  assert.equal(checked.code, 1);
  assert.match(checked.err, /policies\/in\.policy:3:15: error: test "ours"/);
  assert.equal((await ctl("apply", "-f", file, "--skip-policy-tests")).code, 0);
});
