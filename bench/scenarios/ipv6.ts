import { converge, loopTargets, otherTargets, prefixesPerSet, type Scenario } from "./scenario.ts";

export const ipv6: Scenario = {
  name: "ipv6",
  title: "1 feeder x 200,000 IPv6, 1 sink",
  size: 200_000,
  quickSize: 100_000,
  compared: ["time_s", "cpu_s", "peak_mb"],
  targets: [{ metric: "time_s", of: "bird", most: 0.7 }, ...otherTargets, ...loopTargets],
  run: (adapter, size) =>
    converge(adapter, {
      ...{ feeders: 1, prefixes: size, sets: Math.ceil(size / prefixesPerSet), sinks: 1 },
      ipv6: true,
    }),
};
