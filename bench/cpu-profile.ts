/** CPU profiles that the daemon leaves in its directory (`--cpu-prof`), and their most expensive functions. */
import { copyFileSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { root } from "./daemon.ts";

/** Environment under which cairnd writes profiles at its end. */
export const profiledEnv = { CAIRN_NODE_OPTIONS: "--cpu-prof --cpu-prof-interval 500" };

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** Keeps the largest profile in a directory, which is the owner's: other threads write profiles of their own. */
export function keepProfile(directory: string): string {
  const size = (name: string): number => statSync(join(directory, name)).size;
  const profiles = readdirSync(directory).filter((name) => name.endsWith(".cpuprofile"));
  const [largest] = profiles.sort((a, b) => size(b) - size(a));
  if (!largest) throw new Error("cairnd left no profile");
  const out = resolve("cairnd.cpuprofile");
  copyFileSync(join(directory, largest), out);
  return out;
}

/** Self time by function, the most expensive first. */
export function printProfile(file: string): void {
  const profile = JSON.parse(readFileSync(file, "utf8")) as CpuProfile;
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
