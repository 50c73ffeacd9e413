import { converge, loopTargets, prefixesPerSet, type Scenario } from "./scenario.ts";

export const manySinks: Scenario = {
  name: "many-sinks",
  title: "1 feeder x 100,000, 1,000 sinks",
  size: 100_000,
  compared: ["time_s", "cpu_s", "peak_mb"],
  targets: [{ metric: "time_s", of: "bird", most: 0.1 }, { metric: "peak_mb", plus: 500 }, ...loopTargets],
  run: (adapter, size) =>
    converge(adapter, { feeders: 1, prefixes: size, sets: Math.ceil(size / prefixesPerSet), sinks: 1000 }),
};
