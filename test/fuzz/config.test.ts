/** A fixed short run of mutations of the configuration files that ship with cairn. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { seededRandom } from "../../src/base/random.ts";
import { mutate, target } from "./config.ts";

const folder = join(import.meta.dirname, "../../config");

for (const name of readdirSync(folder).filter((each) => /\.(toml|yaml)$/.test(each))) {
  test(`fuzz: mutations of config/${name}`, () => {
    const seed = new Uint8Array(readFileSync(join(folder, name)));
    const random = seededRandom(1);
    target(seed);
    for (let i = 0; i < 150; i++) target(mutate(seed, random));
  });
}
