import { converge, loopTargets, otherTargets, prefixesPerSet, type Scenario } from "./scenario.ts";

export const overlap: Scenario = {
  name: "overlap",
  title: "10 feeders x 100,000, the same prefixes, each best for a tenth, 2 sinks",
  size: 100_000,
  compared: ["time_s", "cpu_s", "peak_mb"],
  targets: [{ metric: "time_s", of: "bird", most: 0.6 }, ...otherTargets, ...loopTargets],
  run: (adapter, size) =>
    converge(adapter, {
      ...{ feeders: 10, prefixes: size, sets: Math.ceil(size / prefixesPerSet), sinks: 2 },
      overlap: true,
    }),
};
