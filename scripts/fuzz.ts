/**
 * Runs a fuzz target: mutations of its corpus, kept where they reach code that nothing reached before.
 *
 *   npm run fuzz -- --target open --seconds 60 [--seed N] [--save]    see test/fuzz/targets.ts
 *   npm run fuzz -- --target open --replay [FILE]                     the corpus, or lines of a file, once
 *
 * An input that breaks a target is printed as the line to add to its corpus, and the exit code is 1.
 */
import { appendFileSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { seededRandom } from "../src/base/random.ts";
import { Coverage } from "../test/fuzz/coverage.ts";
import {
  corpusPath,
  type FuzzTarget,
  parseLine,
  printLine,
  readCorpus,
  targets,
} from "../test/fuzz/targets.ts";

/** One input that takes longer is a hang. */
const slowMs = 2_000;
const batchInputs = 256;

const { values } = parseArgs({
  allowPositionals: true,
  options: {
    target: { type: "string", default: "update" },
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    save: { type: "boolean", default: false },
    replay: { type: "string" },
    corpus: { type: "boolean", default: false },
  },
  args: process.argv.slice(2).map((word, i, all) => {
    // `--replay` alone replays the corpus.
    return word === "--replay" && (all[i + 1] ?? "--").startsWith("--") ? "--corpus" : word;
  }),
});
const name = values.target;
const fuzz = targets[name];
if (!fuzz) {
  process.stderr.write(`there is no target ${name}; there are ${Object.keys(targets).join(", ")}\n`);
  process.exit(2);
}

if (values.corpus || values.replay !== undefined) await replay(fuzz, values.replay);
else await search(fuzz, Number(values.seconds), Number(values.seed));
process.exit();

async function replay(target: FuzzTarget, file: string | undefined): Promise<void> {
  const inputs = file
    ? readFileSync(file, "utf8")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => parseLine(target, line))
    : readCorpus(name);
  for (const input of inputs) await attempt(target, input);
  process.stdout.write(`${name}: ${inputs.length} inputs hold\n`);
}

async function search(target: FuzzTarget, seconds: number, seed: number): Promise<void> {
  const random = seededRandom(seed);
  const corpus = readCorpus(name);
  const coverage = new Coverage();
  for (const input of corpus) await attempt(target, input);
  coverage.isNew();
  const started = performance.now();
  let runs = 0;
  let found = 0;
  const isOver = (): boolean => performance.now() - started > seconds * 1000;
  while (!isOver()) {
    const batch: Uint8Array[] = [];
    for (let i = 0; i < batchInputs && !isOver(); i++) {
      const input = target.mutate(corpus[Math.floor(random() * corpus.length)], random);
      batch.push(input);
      await attempt(target, input);
    }
    runs += batch.length;
    if (!coverage.isNew(false)) continue;
    for (const input of batch) {
      if (isOver()) break;
      await attempt(target, input);
      if (!coverage.isNew()) continue;
      corpus.push(input);
      found++;
      if (values.save) appendFileSync(corpusPath(name), `${printLine(target, input)}\n`);
    }
  }
  const perSecond = Math.round(runs / seconds);
  process.stdout.write(
    `${name}: ${runs} inputs (${perSecond}/s), seed ${seed}, ${found} reached new code, ${corpus.length} in the corpus\n`,
  );
}

async function attempt(target: FuzzTarget, input: Uint8Array): Promise<void> {
  const before = performance.now();
  try {
    await target.target(input);
    const tookMs = performance.now() - before;
    if (tookMs > slowMs) throw new Error(`took ${tookMs.toFixed(0)} ms`);
  } catch (error) {
    const text = error instanceof Error ? error.stack : String(error);
    process.stderr.write(
      `${text}\n\n${name} does not hold; mend it and add this line to ${corpusPath(name)}:\n`,
    );
    process.stderr.write(`${printLine(target, input)}\n`);
    process.exit(1);
  }
}
