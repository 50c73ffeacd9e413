/** Runs all micro-benchmarks, each in a process of its own: `npm run bench:micro`. */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";

const own = "run.ts";
for (const name of readdirSync(import.meta.dirname).filter((each) => each.endsWith(".ts") && each !== own)) {
  process.stdout.write(`\n${name}\n`);
  const { status } = spawnSync(process.execPath, [join(import.meta.dirname, name)], { stdio: "inherit" });
  if (status !== 0) process.exitCode = 1;
}
