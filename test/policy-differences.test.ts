import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { policyDifferencesDoc } from "../interop/policy/doc.ts";
import { render } from "../interop/policy/render.ts";
import { daemons, readSituations, received, sent } from "../interop/policy/situation.ts";

const situations = readSituations();

test("docs/policy-differences.md is what the situations say", () => {
  const file = new URL("../docs/policy-differences.md", import.meta.url);
  assert.equal(readFileSync(file, "utf8"), policyDifferencesDoc(), "run: node interop/policy/doc.ts");
});

test("there are sixty situations or more, and at least two daemons are compared in nearly all", () => {
  assert.ok(situations.length >= 60);
  const alone = situations.filter(({ absent }) => daemons.every((name) => name === "cairn" || absent[name]));
  assert.ok(alone.length <= 1, alone.map(({ file }) => file).join());
  assert.ok(situations.every(({ absent }) => absent.cairn === undefined));
});

test("every daemon's configuration can be written", () => {
  for (const daemon of daemons) {
    const text = render(daemon, situations);
    for (const { number, absent } of situations) {
      assert.equal(
        new RegExp(`\\b[sS]${number}\\b`).test(text),
        absent[daemon] === undefined,
        `${daemon}: ${number}`,
      );
    }
  }
});

test("what is expected follows the rules of a session without policy", () => {
  const [byImport, byExport] = (["import", "export"] as const).map(
    (direction) => situations.find((each) => each.direction === direction && each.from === "external")!,
  );
  assert.equal(received(byImport, byImport.feed[0], "reject"), undefined);
  assert.equal(received(byImport, byImport.feed[0], {})?.localPref, 100);
  const route = sent(byExport, byExport.feed[0]);
  const out = received(byExport, byExport.feed[0], {});
  assert.equal(out?.asPath, `65001 ${route.asPath}`);
  assert.deepEqual([out?.nextHop, out?.localPref], ["192.0.2.9", undefined]);
});
