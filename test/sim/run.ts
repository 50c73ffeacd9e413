/**
 * Runs seeds of the simulated world on all cores of the machine, or one trace again.
 *
 *   npm run sim -- --seeds 200 --minutes 10 [--from N]     many seeds
 *   npm run sim -- --seed N                                one seed
 *   npm run sim -- --restarts N                            N seeds of each scene of graceful restart
 *   npm run sim -- --replay FILE                           the inputs of a failed run, without network and dice
 *
 * Exit code: 0 all well, 1 something is wrong in what cores did, 2 a world did not come to rest, 3 a core threw, 64
 * usage. The worst of all seeds counts.
 */
import { createReadStream, mkdtempSync, openSync, writeSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import type { FailureKind } from "./failure.ts";
import { replay } from "./replay.ts";
import { runScene, sceneKinds } from "./restart-scenes.ts";
import { decodeEntry, type Entry, encodeEntry } from "./trace.ts";
import { runWorld } from "./world.ts";

interface Report {
  readonly seed: number;
  readonly turns: number;
  readonly virtualMs: number;
  readonly hash: string;
  readonly ms: number;
  readonly failure:
    | { readonly kind: FailureKind; readonly checker: string; readonly text: string }
    | undefined;
}

const exitCodes: Readonly<Record<FailureKind, number>> = { correctness: 1, liveness: 2, crash: 3 };

function runSeed(seed: number, minutes: number): Report {
  const startMs = performance.now();
  const { turns, virtualMs, hash, failure } = runWorld(seed, { minutes });
  return {
    seed,
    turns,
    virtualMs,
    hash,
    ms: performance.now() - startMs,
    failure: failure && { kind: failure.kind, checker: failure.checker, text: failure.message },
  };
}

/** Runs a failing seed again with a trace: the same seed does the same. @returns the trace's path */
function writeTrace(seed: number, minutes: number): string {
  const path = join(mkdtempSync(join(tmpdir(), `cairn-sim-${seed}-`)), "trace.jsonl");
  const file = openSync(path, "w");
  runWorld(seed, { minutes, record: (entry) => void writeSync(file, `${encodeEntry(entry)}\n`) });
  return path;
}

async function runAll(first: number, count: number, minutes: number): Promise<number> {
  const startMs = performance.now();
  const totals = { virtualMs: 0, turns: 0, failures: 0, exit: 0 };
  let next = first;
  const take = (report: Report): void => {
    totals.virtualMs += report.virtualMs;
    totals.turns += report.turns;
    if (!report.failure) return;
    const { kind, checker, text } = report.failure;
    totals.failures++;
    totals.exit = Math.max(totals.exit, exitCodes[kind]);
    const trace = writeTrace(report.seed, minutes);
    const [line] = text.split("\n");
    console.log(`seed ${report.seed}  turn ${report.turns}  ${kind}  ${checker}: ${line}\n  ${trace}`);
  };
  const workers = Array.from({ length: Math.min(count, availableParallelism()) }, async () => {
    const worker = new Worker(new URL(import.meta.url), { workerData: { minutes } });
    await new Promise<void>((done, fail) => {
      const go = (): void => {
        if (next < first + count) worker.postMessage(next++);
        else void worker.terminate().then(() => done());
      };
      worker.on("message", (report: Report) => {
        take(report);
        go();
      });
      worker.on("error", fail);
      go();
    });
  });
  await Promise.all(workers);
  const wallS = (performance.now() - startMs) / 1000;
  console.log(
    `${count} seeds, ${Math.round(totals.virtualMs / 60_000)} virtual minutes, ${totals.turns} turns in ${wallS.toFixed(1)} s: ` +
      (totals.failures === 0 ? "all well" : `${totals.failures} failed`),
  );
  return totals.exit;
}

function runOne(seed: number, minutes: number): number {
  const report = runSeed(seed, minutes);
  console.log(`seed ${seed}  turn ${report.turns}  hash ${report.hash}  ${(report.ms / 1000).toFixed(1)} s`);
  if (!report.failure) return 0;
  const { kind, checker, text } = report.failure;
  console.log(`${kind}  ${checker}: ${text}\n  ${writeTrace(seed, minutes)}`);
  return exitCodes[kind];
}

/** Scenes are short, so one thread plays them. */
function runScenes(first: number, count: number): number {
  let exit = 0;
  for (const kind of sceneKinds) {
    let whole = 0;
    for (let seed = first; seed < first + count; seed++) {
      const { failure, lost } = runScene(kind, seed);
      if (lost === 0) whole++;
      if (!failure) continue;
      exit = Math.max(exit, exitCodes[failure.kind]);
      console.log(
        `${kind}  seed ${seed}  ${failure.kind}  ${failure.checker}: ${failure.message.split("\n")[0]}`,
      );
    }
    console.log(`${kind}: ${count} seeds, the third router lost nothing in ${whole}`);
  }
  return exit;
}

async function runReplay(path: string): Promise<number> {
  const entries: Entry[] = [];
  for await (const line of createInterface({ input: createReadStream(path) }))
    entries.push(decodeEntry(line));
  const result = replay(entries);
  const isSame = result.hash === result.recordedHash;
  console.log(
    `turn ${result.turns}  hash ${result.hash}${isSame ? "" : `, but the trace says ${result.recordedHash}`}`,
  );
  if (result.recordedFailure !== "") console.log(`the run ended with ${result.recordedFailure}`);
  if (result.error) console.log(result.error);
  return isSame ? 0 : 1;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: "50" },
      minutes: { type: "string", default: "10" },
      from: { type: "string", default: "1" },
      seed: { type: "string" },
      replay: { type: "string" },
      restarts: { type: "string" },
    },
  });
  if (values.replay !== undefined) return runReplay(values.replay);
  const numbers = [
    ...[values.seeds, values.minutes, values.from],
    ...[values.seed ?? "1", values.restarts ?? "1"],
  ].map(Number);
  if (numbers.some((number) => !Number.isInteger(number) || number < 1)) {
    console.error("--seeds, --minutes, --from, --seed and --restarts are whole numbers from 1");
    return 64;
  }
  if (values.restarts !== undefined) return runScenes(Number(values.from), Number(values.restarts));
  if (values.seed !== undefined) return runOne(Number(values.seed), Number(values.minutes));
  return runAll(Number(values.from), Number(values.seeds), Number(values.minutes));
}

if (isMainThread) process.exitCode = await main();
else {
  const { minutes } = workerData as { minutes: number };
  parentPort!.on("message", (seed: number) => parentPort!.postMessage(runSeed(seed, minutes)));
}
