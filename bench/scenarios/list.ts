import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, statSync } from "node:fs";
import { join } from "node:path";
import { prefixesPerSet, type Scenario, withRig } from "./scenario.ts";

export const list: Scenario = {
  name: "list",
  title: "all best routes of a full table into a file, by the daemon's own client (cairnctl --json)",
  size: 1_000_000,
  compared: ["time_s", "cpu_s", "grown_mb"],
  targets: [
    { metric: "time_s", of: "gobgp", most: 0.3 },
    { metric: "time_s", of: "bird", most: 1 },
    { metric: "grown_mb", plus: 20 },
    { metric: "loop_p99_ms", plus: 15 },
    { metric: "loop_max_ms", plus: 60 },
  ],
  can: (adapter) => adapter.list !== undefined,
  run: (adapter, size) => {
    const sets = Math.ceil(size / prefixesPerSet);
    return withRig(adapter, { feeders: 1, prefixes: size, sets, sinks: 1 }, async (rig) => {
      await rig.feed();
      await rig.converged();
      const { directory } = rig.daemon;
      const [program, ...words] = adapter.list?.(rig.setup, directory) ?? [];
      const before = rig.daemon.memory();
      const file = join(directory, "routes");
      const out = openSync(file, "w");
      rig.loopDelay();
      rig.begin();
      const begun = performance.now();
      const client = spawn(program, words, { stdio: ["ignore", out, "inherit"] });
      const [status] = await once(client, "exit");
      const timeS = (performance.now() - begun) / 1000;
      closeSync(out);
      if (status !== 0) throw new Error(`${program} ended with ${status}`);
      const { cpuS } = await rig.converged(); // every session is up and every route where it was
      const { peakMb } = rig.daemon.memory();
      return {
        time_s: timeS,
        cpu_s: cpuS,
        grown_mb: peakMb - before.peakMb,
        listed_bytes: statSync(file).size,
      };
    });
  },
};
