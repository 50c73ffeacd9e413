/**
 * `npm run bench -- [--quick] [--scenario NAME,...] [--daemons bird,frr] [--reps N] [--size N] [--sweep] [--check]
 * [--baseline] [--table FILE,...] [--plot FILE,...] [--mrt FILE]`
 *
 * Measures cairn beside the daemons that are installed, in turn, so that a busy machine is busy for all of them.
 * Results go to bench/results as JSON lines and plots, a table to standard output. How to read it: docs/performance.md.
 */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Adapter, Setup } from "./daemons/daemon.ts";
import { installed, reference } from "./daemons/index.ts";
import { setMrtFile } from "./load/mrt.ts";
import { enterNamespace, whyNoNamespace } from "./namespace.ts";
import { plots } from "./plot.ts";
import { type Ratios, type RunRecord, ratiosOf, regressions, table } from "./report.ts";
import { scenarios } from "./scenarios/index.ts";
import type { Scenario } from "./scenarios/scenario.ts";

/** A ratio may be worse than the baseline by this much before `--check` fails. */
const tolerance = 0.25;
const baselineFile = join(import.meta.dirname, "baseline.json");

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    scenario: { type: "string" },
    daemons: { type: "string" },
    reps: { type: "string" },
    size: { type: "string" },
    sweep: { type: "boolean", default: false },
    check: { type: "boolean", default: false },
    baseline: { type: "boolean", default: false },
    table: { type: "string" },
    plot: { type: "string" },
    mrt: { type: "string" },
  },
});

setMrtFile(options.mrt);
if (options.table) show(read(options.table));
else if (options.plot) draw(read(options.plot), process.cwd());
else {
  const why = whyNoNamespace();
  if (why === "") {
    enterNamespace();
    await measure();
  } else process.stderr.write(`nothing was measured: ${why}\n`);
}

async function measure(): Promise<void> {
  const chosen = scenarios.filter(({ name, quickSize, sizes, byName }) => {
    if (options.scenario) return options.scenario.split(",").includes(name);
    if (options.sweep) return sizes !== undefined;
    return byName !== true && (!options.quick || quickSize !== undefined);
  });
  const reps = Number(options.reps ?? (options.quick ? 3 : options.sweep ? 1 : 5));
  const wanted = options.daemons?.split(",") ?? (options.quick ? [reference] : undefined);
  const daemons = installed().filter(({ name }) => name === "cairn" || !wanted || wanted.includes(name));
  const startedAt = new Date().toISOString();
  const load = loadavg()[0];
  process.stderr.write(
    `${daemons.map(({ name }) => name).join(", ")}; ${cpus().length} cores, load ${load.toFixed(1)}\n`,
  );
  if (load > 0.5 * cpus().length)
    process.stderr.write("the machine is busy: trust CPU seconds and ratios, not times\n");
  const results = join(import.meta.dirname, "results");
  mkdirSync(results, { recursive: true });
  const file = join(results, `${startedAt.replaceAll(":", "").slice(0, 17)}.jsonl`);

  const records: RunRecord[] = [];
  await warmUp(daemons);
  for (let rep = 0; rep < reps; rep++) {
    for (const scenario of chosen) {
      for (const size of sizesOf(scenario)) {
        for (const adapter of daemons) {
          if (!suits(scenario, adapter)) continue;
          const record = { startedAt, load, ...(await runOne(scenario, adapter, size)) };
          records.push(record);
          appendFileSync(file, `${JSON.stringify(record)}\n`);
          tell(record);
        }
      }
    }
  }
  show(records);
  if (options.sweep) draw(records, results);
  process.stdout.write(`${file}\n`);
  finish(records);
}

/** The first start after a change fills cairn's compile cache, and the generator's own code is compiled: not measured. */
async function warmUp(daemons: readonly Adapter[]): Promise<void> {
  const scenario = scenarios.find(({ name }) => name === "2x10k") as Scenario;
  const adapter = daemons.find(({ name }) => name === "cairn") as Adapter;
  const { ok, error } = await runOne(scenario, adapter, scenario.size);
  if (!ok) process.stderr.write(`the run to warm up failed: ${error}\n`);
}

function sizesOf({ size, quickSize, sizes }: Scenario): readonly number[] {
  if (options.size) return [Number(options.size)];
  if (options.sweep) return sizes ?? [size];
  return [options.quick ? (quickSize ?? size) : size];
}

function suits(scenario: Scenario, adapter: Adapter): boolean {
  const setup: Setup = { peers: [], ipv6: false, routeServer: false, holdTimeS: 240 };
  return (scenario.can?.(adapter) ?? true) && (adapter.can?.(setup) ?? true);
}

async function runOne(scenario: Scenario, adapter: Adapter, size: number): Promise<RunRecord> {
  const run = { scenario: scenario.name, daemon: adapter.name, size };
  try {
    return { ...run, ok: true, error: "", metrics: await scenario.run(adapter, size) };
  } catch (error) {
    return { ...run, ok: false, error: error instanceof Error ? error.message : String(error), metrics: {} };
  }
}

function tell({ scenario, daemon, size, ok, error, metrics }: RunRecord): void {
  const { compared } = scenarios.find(({ name }) => name === scenario) as Scenario;
  const told = compared.map((name) => `${name} ${metrics[name]?.toFixed(3)}`).join("  ");
  process.stderr.write(`${scenario} ${size} ${daemon}: ${ok ? told : `FAILED: ${error}`}\n`);
}

function show(records: readonly RunRecord[]): void {
  process.stdout.write(`${table(records, scenarios, reference)}\n`);
}

/** Records of earlier runs. @param files names with commas between them */
function read(files: string): RunRecord[] {
  const lines = files.split(",").flatMap((file) => readFileSync(file, "utf8").trim().split("\n"));
  return lines.map((line) => JSON.parse(line) as RunRecord);
}

/** Lines over size, one file for each scenario and metric. */
function draw(records: readonly RunRecord[], directory: string): void {
  for (const { name, svg } of plots(records)) {
    const path = join(directory, `${name}.svg`);
    writeFileSync(path, svg);
    process.stdout.write(`${path}\n`);
  }
}

/** Compares with the baseline, or writes it; a failed run fails the whole. */
function finish(records: readonly RunRecord[]): void {
  const ratios = ratiosOf(records, scenarios, reference);
  const failed = records.filter(({ daemon, ok }) => daemon === "cairn" && !ok);
  for (const { scenario, error } of failed) process.stderr.write(`cairn failed ${scenario}: ${error}\n`);
  if (failed.length > 0) process.exitCode = 1;
  const machine = cpus()[0]?.model ?? "unknown";
  if (options.baseline) writeFileSync(baselineFile, `${JSON.stringify({ machine, ratios }, undefined, 2)}\n`);
  if (!options.check && !options.quick) return;
  if (options.baseline) return;
  if (Object.keys(ratios).length === 0) {
    process.stderr.write(`nothing to check: ${reference} did not run\n`);
    return;
  }
  const baseline = JSON.parse(readFileSync(baselineFile, "utf8")) as {
    readonly machine: string;
    readonly ratios: Record<string, Ratios>;
  };
  if (baseline.machine !== machine) {
    // Caches and clocks weigh differently on the two daemons: another processor has ratios of its own.
    process.stderr.write(
      `not held against the baseline: it is of a ${baseline.machine}, this is a ${machine}\n`,
    );
    return;
  }
  const worse = regressions(ratios, baseline.ratios, tolerance);
  for (const line of worse) process.stderr.write(`worse than the baseline: ${line}\n`);
  if (worse.length > 0) process.exitCode = 1;
}
