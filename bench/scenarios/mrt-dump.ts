import { setTimeout as delay } from "node:timers/promises";
import { call, socketOf } from "../daemons/cairn.ts";
import { loopTargets, prefixesPerSet, type Scenario, withRig } from "./scenario.ts";

const paths = 4;
/** How long the loop is looked at before the dump. */
const restMs = 4000;

export const mrtDump: Scenario = {
  name: "mrt-dump",
  title: "MRT dump (gzip) of 1,000,000 prefixes with 4 paths each, as received; 500,000 paths a second",
  size: 1_000_000,
  compared: ["time_s", "cpu_s", "paths_per_s", "grown_mb"],
  targets: [{ metric: "time_s", plus: 8 }, { metric: "grown_mb", plus: 60 }, ...loopTargets],
  can: (adapter) => adapter.name === "cairn",
  run: (adapter, size) => {
    const sets = Math.ceil(size / prefixesPerSet);
    const shape = { feeders: paths, prefixes: size, sets, sinks: 1, overlap: true };
    return withRig(adapter, shape, async (rig) => {
      await rig.feed();
      await rig.converged();
      const socket = socketOf(rig.daemon.directory);
      await call(socket, "MrtService/SetMrtDump", { spec: { name: "bench", path: "rib.gz" } });
      const before = rig.daemon.memory().peakMb;
      rig.loopDelay();
      await delay(restMs);
      const atRest = rig.loopDelay();
      rig.begin();
      const begun = performance.now();
      const answer = await call(socket, "ControlService/TriggerMrtDump", { name: "bench" });
      const timeS = (performance.now() - begun) / 1000;
      const { cpuS } = await rig.converged(); // every session is up and every route where it was
      const { routes, bytes } = answer as { routes: string; bytes: string };
      if (Number(routes) !== size * paths) throw new Error(`${routes} routes instead of ${size * paths}`);
      const grown = rig.daemon.memory().peakMb - before;
      return {
        time_s: timeS,
        cpu_s: cpuS,
        paths_per_s: Number(routes) / timeS,
        grown_mb: grown,
        // On a busy machine the loop is late at rest too.
        ...(atRest ? { rest_loop_p99_ms: atRest.p99Ms } : {}),
        file_bytes: Number(bytes),
      };
    });
  },
};
