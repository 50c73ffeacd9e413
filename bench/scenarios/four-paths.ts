import { converge, prefixesPerSet, type Scenario } from "./scenario.ts";

export const fourPaths: Scenario = {
  name: "four-paths",
  title: "1,000,000 prefixes with 4 paths each",
  size: 1_000_000,
  compared: ["peak_mb", "rss_mb", "time_s"],
  targets: [{ metric: "peak_mb", plus: 260 }],
  run: (adapter, size) =>
    converge(adapter, {
      ...{ feeders: 4, prefixes: size, sets: Math.ceil(size / prefixesPerSet), sinks: 1 },
      overlap: true,
    }),
};
