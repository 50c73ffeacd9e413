/** Replays the corpus of the wire targets, and a fixed short run of mutations of it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { seededRandom } from "../../src/base/random.ts";
import { fromHex, toHex } from "../support/wire.ts";
import * as bfd from "./bfd.ts";
import * as bmp from "./bmp.ts";
import * as flowspec from "./flowspec.ts";
import * as framer from "./framer.ts";
import * as mrt from "./mrt.ts";
import * as netlink from "./netlink.ts";
import * as open from "./open.ts";
import * as update from "./update.ts";

/** Over all seeds of a target. */
const mutations = 18_000;

for (const [name, fuzz] of Object.entries({ bfd, bmp, flowspec, framer, mrt, netlink, open, update })) {
  test(`fuzz: ${name} holds over its corpus and mutations of it`, () => {
    const lines = readFileSync(join(import.meta.dirname, "corpus", `${name}.hex`), "utf8")
      .trim()
      .split("\n");
    const random = seededRandom(1);
    const mutationsPerSeed = Math.ceil(mutations / lines.length);
    for (const line of lines) {
      const seed = fromHex(line);
      fuzz.target(seed);
      for (let i = 0; i < mutationsPerSeed; i++) {
        const bytes = fuzz.mutate(seed, random);
        try {
          fuzz.target(bytes);
        } catch (cause) {
          throw new Error(`add this line to corpus/${name}.hex and mend what it breaks: ${toHex(bytes)}`, {
            cause,
          });
        }
      }
    }
  });
}
