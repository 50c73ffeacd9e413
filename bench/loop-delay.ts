/**
 * Loaded into cairnd by the bench (`--import`): how late its event loop runs. SIGUSR2 writes what was seen since the
 * last one to a file in the working directory.
 */
import { renameSync, writeFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { isMainThread } from "node:worker_threads";

const resolutionMs = 2;

if (isMainThread) {
  const monitor = monitorEventLoopDelay({ resolution: resolutionMs });
  monitor.enable();
  process.on("SIGUSR2", () => {
    const late = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - resolutionMs);
    const seen = { p99Ms: late(monitor.percentile(99)), maxMs: late(monitor.max) };
    monitor.reset();
    writeFileSync("loop-delay.new", JSON.stringify(seen));
    renameSync("loop-delay.new", "loop-delay.json"); // whole, or not yet there
  });
}
