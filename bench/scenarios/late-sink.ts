import { loopTargets, prefixesPerSet, type Scenario, withRig } from "./scenario.ts";

export const lateSink: Scenario = {
  name: "late-sink",
  title: "a sink that comes late to a full table: from its connection until it has all",
  size: 1_000_000,
  compared: ["time_s", "cpu_s", "peak_mb"],
  targets: [{ metric: "time_s", of: "bird", most: 0.1 }, ...loopTargets],
  run: (adapter, size) => {
    const sets = Math.ceil(size / prefixesPerSet);
    return withRig(adapter, { feeders: 1, prefixes: size, sets, sinks: 1, late: 1 }, async (rig) => {
      await rig.feed();
      await rig.converged();
      rig.loopDelay();
      rig.begin();
      rig.connect(2);
      const { timeS, cpuS } = await rig.converged();
      return { time_s: timeS, cpu_s: cpuS };
    });
  },
};
