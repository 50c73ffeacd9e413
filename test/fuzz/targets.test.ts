/** Replays the corpora of the text targets, and a fixed short run of mutations of the API's. */
import { test } from "node:test";
import { seededRandom } from "../../src/base/random.ts";
import { printLine, readCorpus, targets } from "./targets.ts";

const mutationsPerSeed = 5;

for (const name of ["config", "api"]) {
  test(`fuzz: ${name} holds over its corpus`, async (t) => {
    const fuzz = targets[name];
    t.after(() => fuzz.end?.());
    const random = seededRandom(1);
    for (const seed of readCorpus(name)) {
      const mutated = Array.from({ length: name === "api" ? mutationsPerSeed : 0 }, () =>
        fuzz.mutate(seed, random),
      );
      for (const input of [seed, ...mutated]) {
        try {
          await fuzz.target(input);
        } catch (cause) {
          throw new Error(
            `add this line to the corpus of ${name} and mend what it breaks: ${printLine(fuzz, input)}`,
            {
              cause,
            },
          );
        }
      }
    }
  });
}
