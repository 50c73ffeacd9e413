import { converge, loopTargets, otherTargets, prefixesPerSet, type Scenario } from "./scenario.ts";

export const fullTable: Scenario = {
  name: "full-table",
  title: "full table: 1 feeder x 1,000,000 IPv4, 100,000 attribute sets, 1 sink",
  size: 1_000_000,
  quickSize: 300_000,
  sizes: [10_000, 30_000, 100_000, 300_000, 1_000_000],
  compared: ["time_s", "cpu_s", "peak_mb"],
  targets: [
    { metric: "time_s", of: "bird", most: 0.7 },
    { metric: "cpu_s", of: "bird", most: 0.9 },
    { metric: "peak_mb", of: "bird", most: 1, plus: 60 },
    ...otherTargets,
    ...loopTargets,
  ],
  run: (adapter, size) =>
    converge(adapter, { feeders: 1, prefixes: size, sets: Math.ceil(size / prefixesPerSet), sinks: 1 }),
};
