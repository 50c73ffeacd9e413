/**
 * `npm run bench -- [--quick] [--scenario S2,S4] [--daemons bird,frr] [--reps N] [--check] [--baseline]`
 *
 * Measures cairn beside the daemons that are installed, in turn, so that a busy machine is busy for all of them.
 * Results go to bench/results/*.jsonl, a table to standard output. How to read it: docs/performance.md.
 */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { blast, idle, type Load } from "./blast/blast.ts";
import { type Ratios, type RunRecord, ratiosOf, reference, regressions, table } from "./report.ts";
import { installedDaemons, runShared, whyNotShared } from "./shared.ts";

/** Loads of our own generator. The names are those of ../shared/bench; feeders of S3 do not flap here. */
const loads: Readonly<Record<string, Load>> = {
  S1: { feeders: 10, prefixes: 1000, sets: 100, sinks: 1 },
  S2: { feeders: 2, prefixes: 10_000, sets: 1000, sinks: 1 },
  S3: { feeders: 2, prefixes: 100_000, sets: 10_000, sinks: 1 },
  S4: { feeders: 1, prefixes: 1_000_000, sets: 100_000, sinks: 1 },
};

/** A ratio may be worse than the baseline by this much before `--check` fails. */
const tolerance = 0.25;
const baselineFile = join(import.meta.dirname, "baseline.json");

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    scenario: { type: "string" },
    daemons: { type: "string" },
    reps: { type: "string" },
    "max-foreign": { type: "string", default: "0" },
    check: { type: "boolean", default: false },
    baseline: { type: "boolean", default: false },
  },
});

const scenarios = (options.scenario ?? (options.quick ? "S2,S4" : "S1,S2,S3,S4")).split(",");
const reps = Number(options.reps ?? (options.quick ? 1 : 3));
const others = options.daemons?.split(",") ?? (options.quick ? [reference] : installedDaemons());
const daemons = [...others.filter((name) => installedDaemons().includes(name)), "cairn"];

const startedAt = new Date().toISOString();
const load = loadavg()[0];
process.stderr.write(`${daemons.join(", ")}; ${cpus().length} cores, load ${load.toFixed(1)}\n`);
if (load > 0.5 * cpus().length)
  process.stderr.write("the machine is busy: trust CPU seconds and ratios, not times\n");

const records: RunRecord[] = [];
// The first start after a change fills the compile cache; it is not measured.
await idle();
for (let rep = 0; rep < reps; rep++) {
  records.push(await idle());
  for (const scenario of scenarios) if (loads[scenario]) records.push(await blast(scenario, loads[scenario]));
}
const whyNot = whyNotShared();
if (whyNot === "") records.push(...runShared(scenarios, daemons, reps, Number(options["max-foreign"])));
else process.stderr.write(`only cairn, with our own generator: ${whyNot}\n`);

const results = join(import.meta.dirname, "results");
mkdirSync(results, { recursive: true });
const file = join(results, `${startedAt.replaceAll(":", "").slice(0, 17)}.jsonl`);
for (const record of records) appendFileSync(file, `${JSON.stringify({ startedAt, load, ...record })}\n`);

process.stdout.write(
  `${table(records)}\n\n* our own generator on loopback, with GetHealth and a 3-second hold time beside it\n${file}\n`,
);
finish();

/** Compares with the baseline, or writes it; a failed run fails the whole. */
function finish(): void {
  const ratios = ratiosOf(records);
  const failed = records.filter((record) => record.dut === "cairn" && !record.ok);
  for (const { scenario, error } of failed) process.stderr.write(`cairn failed ${scenario}: ${error}\n`);
  if (failed.length > 0) process.exitCode = 1;
  if (options.baseline) writeFileSync(baselineFile, `${JSON.stringify(ratios, undefined, 2)}\n`);
  if (!options.check) return;
  if (Object.keys(ratios).length === 0) {
    process.stderr.write(`nothing to check: ${reference} did not run\n`);
    return;
  }
  const baseline = JSON.parse(readFileSync(baselineFile, "utf8")) as Record<string, Ratios>;
  const worse = regressions(ratios, baseline, tolerance);
  for (const line of worse) process.stderr.write(`worse than the baseline: ${line}\n`);
  if (worse.length > 0) process.exitCode = 1;
}
