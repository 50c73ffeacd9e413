/** Every `*.txt` beside this file is acted out and must come out as it is written. `--rewrite` writes it anew. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { perform } from "./runner.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const rewrite = process.argv.includes("--rewrite");

for (const file of readdirSync(here).filter((name) => name.endsWith(".txt"))) {
  test(file.replace(".txt", "").replaceAll("-", " "), () => {
    const written = readFileSync(`${here}${file}`, "utf8");
    const performed = perform(written);
    if (rewrite) writeFileSync(`${here}${file}`, performed);
    else assert.equal(performed, written);
  });
}
