import { setTimeout as delay } from "node:timers/promises";
import { type Scenario, withRig } from "./scenario.ts";

const neighbors = 1000;
const watchedS = 20;

/** Keepalives go out every 30 s and come in as often; the bench does not look at the event loop, which costs CPU. */
export const thousandNeighbors: Scenario = {
  name: "1000-neighbors",
  title: "1,000 neighbors x 100, each receives all, on one core: time until all are up, memory, CPU at rest",
  size: 100,
  compared: ["up_s", "cpu_percent", "time_s", "cpu_s", "rss_mb"],
  targets: [
    { metric: "up_s", plus: 20 },
    { metric: "cpu_percent", plus: 10 },
    { metric: "rss_mb", plus: 300 },
  ],
  run: (adapter, size) => {
    const shape = {
      ...{ feeders: neighbors, prefixes: size, sets: Math.ceil(size / 10), sinks: 1 },
      ...{ holdTimeS: 90, oneCore: true, unwatched: true },
    };
    return withRig(adapter, shape, async (rig) => {
      const { upS } = rig;
      await rig.feed();
      const { timeS, cpuS } = await rig.converged();
      await rig.quiet();
      const before = rig.daemon.cpuS();
      await delay(watchedS * 1000);
      rig.check();
      const percent = ((rig.daemon.cpuS() - before) / watchedS) * 100;
      return { up_s: upS, time_s: timeS, cpu_s: cpuS, cpu_percent: percent };
    });
  },
};
