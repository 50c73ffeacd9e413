import { makeFilter, targets } from "../load/filter.ts";
import type { Metrics } from "../load/rig.ts";
import { loopTargets, prefixesPerSet, type Scenario, withRig } from "./scenario.ts";

const setEntries = 10_000;

export const policy: Scenario = {
  name: "policy",
  title: "what a 50-statement import policy with a 10,000-entry prefix set adds to a full table of 1,000,000",
  size: 1_000_000,
  quickSize: 100_000,
  sizes: [30_000, 100_000, 300_000, 1_000_000],
  compared: ["added_s", "added_cpu_s", "time_s", "cpu_s"],
  targets: [
    { metric: "added_s", of: "bird", most: 0.5 },
    { metric: "added_cpu_s", of: "bird", most: 0.5 },
    ...loopTargets,
  ],
  can: (adapter) => adapter.name === "bird" || adapter.name === "cairn",
  run: async (adapter, size) => {
    const shape = { feeders: 1, prefixes: size, sets: Math.ceil(size / prefixesPerSet), sinks: 1 };
    const plain = await withRig(adapter, shape, async (rig): Promise<Metrics> => {
      const fed = rig.feed();
      const { timeS, cpuS } = await rig.converged();
      await fed;
      return { time_s: timeS, cpu_s: cpuS };
    });
    const entries = Math.min(setEntries, size / 20);
    const filtered = {
      ...shape,
      filter: (table: Parameters<typeof makeFilter>[0]) => makeFilter(table, entries, 1),
    };
    return withRig(adapter, filtered, async (rig) => {
      if (rig.setup.filter) rig.expect(targets(rig.table, rig.setup.filter));
      const fed = rig.feed();
      const { timeS, cpuS } = await rig.converged();
      await fed;
      return {
        time_s: timeS,
        cpu_s: cpuS,
        plain_s: plain.time_s,
        plain_cpu_s: plain.cpu_s,
        added_s: timeS - plain.time_s,
        added_cpu_s: cpuS - plain.cpu_s,
      };
    });
  },
};
