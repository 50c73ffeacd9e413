/** `npm run profile -- [--prefixes N]`: CPU profile of cairnd during the full-table load, and its most expensive functions. */
import { copyFileSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { blast } from "./blast/blast.ts";
import { root } from "./daemon.ts";

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const { values } = parseArgs({ options: { prefixes: { type: "string", default: "1000000" } } });
const prefixes = Number(values.prefixes);
const out = resolve("cairnd.cpuprofile");
const load = { feeders: 1, prefixes, sets: Math.ceil(prefixes / 10), sinks: 1 };
const env = { CAIRN_NODE_OPTIONS: "--cpu-prof --cpu-prof-interval 500" };
const record = await blast("profile", load, env, (directory) => {
  // The threads of the daemon write profiles of their own; that of the owner is by far the largest.
  const profiles = readdirSync(directory).filter((name) => name.endsWith(".cpuprofile"));
  const largest = profiles
    .map((name) => ({ name, size: readFileSync(join(directory, name)).length }))
    .sort((a, b) => b.size - a.size)[0];
  if (!largest) throw new Error("cairnd left no profile");
  copyFileSync(join(directory, largest.name), out);
});
process.stdout.write(
  `${prefixes} routes in ${record.t_converged.toFixed(2)} s, ${record.cpu_settled.toFixed(2)} s of CPU (profiled)\n`,
);
print(JSON.parse(readFileSync(out, "utf8")) as CpuProfile);
process.stdout.write(`${out}\n`);

/** Self time by function, the most expensive first. */
function print(profile: CpuProfile): void {
  const byId = new Map(profile.nodes.map((node) => [node.id, node.callFrame]));
  const times = new Map<string, number>();
  let sum = 0;
  for (const [i, id] of profile.samples.entries()) {
    const frame = byId.get(id);
    if (!frame || frame.functionName === "(idle)") continue;
    const file = frame.url.replace(`file://${root}/`, "");
    const place = file === "" ? "" : `  ${file}:${frame.lineNumber + 1}`;
    const name = `${frame.functionName || "(anonymous)"}${place}`;
    times.set(name, (times.get(name) ?? 0) + profile.timeDeltas[i]);
    sum += profile.timeDeltas[i];
  }
  const top = [...times].sort((a, b) => b[1] - a[1]).slice(0, 30);
  for (const [name, micros] of top) {
    const share = `${((micros / sum) * 100).toFixed(1)} %`.padStart(7);
    process.stdout.write(`${share} ${(micros / 1000).toFixed(0).padStart(6)} ms  ${name}\n`);
  }
}
