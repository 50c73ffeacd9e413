/** What is written reads back to the same objects, in both languages. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { equals } from "@bufbuild/protobuf";
import { kinds } from "../state/kinds.ts";
import { ObjectStore } from "../state/objects.ts";
import { type Config, parseConfig } from "./config.ts";
import { writeConfig } from "./write.ts";

const folder = join(import.meta.dirname, "../../config");

function parse(text: string, file: string): Config {
  const readFile = (path: string, what: string): string =>
    what === "policy" ? readFileSync(join(folder, path), "utf8") : "secret";
  const config = parseConfig({ text, file, env: (name) => `env-${name}`, readFile });
  assert.deepEqual(config.problems, [], `${file}\n${text}`);
  return config;
}

function hashOf({ objects }: Config): string {
  const store = new ObjectStore();
  const ops = objects.map(({ kind, spec }) => ({ op: "put" as const, kind, spec }));
  const base = { expectedGeneration: 0, dryRun: false, reason: "", requestId: "", principal: "" };
  const prepared = store.prepare({ ...base, ops, source: "file" }, 0);
  assert.ok(prepared.ok);
  const hash = store.hashAfter(prepared.value);
  store.commit(prepared.value);
  assert.equal(store.hash, hash);
  return hash;
}

for (const file of ["full.toml", "minimal.toml", "route-server.yaml"]) {
  test(`${file} -> TOML and YAML -> the same objects and the same hash`, () => {
    const config = parse(readFileSync(join(folder, file), "utf8"), file);
    for (const format of ["toml", "yaml"] as const) {
      const text = writeConfig(config.objects, format);
      const again = parse(text, `export.${format}`);
      assert.equal(again.objects.length, config.objects.length);
      again.objects.forEach(({ kind, spec }, i) => {
        assert.equal(kind, config.objects[i].kind);
        assert.ok(equals(kinds.get(kind)!.desc, spec, config.objects[i].spec), `${kind} ${text}`);
      });
      assert.equal(hashOf(again), hashOf(config));
    }
  });
}

test("texts that look like references, quotes and control characters survive", () => {
  const toml = `
[global]
asn = 65001
router_id = "192.0.2.1"
[[neighbors]]
address = "198.51.100.2"
remote_asn = 65002
description = "costs $\${HOME} \\"x\\" \\\\ \\u0007 \\u007F é \\U0001F600 # no comment: [a]"
`;
  const config = parse(toml, "a.toml");
  for (const format of ["toml", "yaml"] as const) {
    assert.equal(hashOf(parse(writeConfig(config.objects, format), `a.${format}`)), hashOf(config));
  }
});
