/** Fuzz target: bytes as a configuration file, in both languages: objects or problems with a place, never an exception. */
import assert from "node:assert/strict";
import type { Random } from "../../src/base/random.ts";
import { parseConfig, renderProblems } from "../../src/config/config.ts";

/** Throws when something that must hold does not. */
export function target(bytes: Uint8Array): void {
  const text = new TextDecoder().decode(bytes);
  const lines = text.split("\n").length;
  for (const file of ["fuzz.toml", "fuzz.yaml"]) {
    const config = parseConfig({ text, file, env: () => undefined, readFile: () => "" });
    assert.ok(config.problems.length === 0 || config.objects.length === 0);
    for (const { file: where, line } of config.problems) {
      assert.ok(line >= 1 && (where !== file || line <= lines));
    }
    renderProblems(config.problems, false);
  }
}

/** A copy of `seed` with a few bytes changed, and parts taken out or doubled. */
export function mutate(seed: Uint8Array, random: Random): Uint8Array {
  let bytes = seed.slice();
  for (let i = 1 + Math.floor(random() * 4); i > 0; i--) {
    const at = Math.floor(random() * bytes.length);
    const length = Math.floor(random() * 80);
    const choice = random();
    if (choice < 0.6) bytes[at] = choice < 0.4 ? 32 + Math.floor(random() * 95) : Math.floor(random() * 256);
    else if (choice < 0.8) bytes = Uint8Array.of(...bytes.subarray(0, at), ...bytes.subarray(at + length));
    else bytes = Uint8Array.of(...bytes.subarray(0, at + length), ...bytes.subarray(at));
  }
  return bytes;
}
