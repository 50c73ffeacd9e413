import { converge, loopTargets, type Scenario } from "./scenario.ts";

export const routeServer: Scenario = {
  name: "route-server",
  title: "route server: 100 neighbors x 1,000, each receives all",
  size: 1000,
  quickSize: 300,
  compared: ["time_s", "cpu_s", "peak_mb"],
  targets: [
    { metric: "time_s", of: "bird", most: 0.15 },
    { metric: "time_s", of: "frr", most: 0.5 },
    ...loopTargets,
  ],
  run: (adapter, size) =>
    converge(adapter, {
      ...{ feeders: 100, prefixes: size, sets: Math.ceil(size / 10), sinks: 0 },
      ...{ feedersReceive: true, routeServer: true },
    }),
};
