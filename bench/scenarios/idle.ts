import { setTimeout as delay } from "node:timers/promises";
import { type Scenario, withRig } from "./scenario.ts";

const seconds = 5;

export const idle: Scenario = {
  name: "idle",
  title: "no routes: time to listen, memory, CPU in percent of a core",
  size: 1,
  compared: ["idle_mb", "cpu_percent", "listen_s"],
  targets: [
    { metric: "rss_mb", plus: 90 },
    { metric: "cpu_percent", plus: 0.5 },
    { metric: "listen_s", plus: 0.6 },
  ],
  run: (adapter) =>
    withRig(adapter, { feeders: 1, prefixes: 1, sets: 1, sinks: 1, unwatched: true }, async (rig) => {
      await delay(2000);
      rig.begin();
      const before = rig.daemon.cpuS();
      await delay(seconds * 1000);
      return { cpu_percent: ((rig.daemon.cpuS() - before) / seconds) * 100 };
    }),
};
