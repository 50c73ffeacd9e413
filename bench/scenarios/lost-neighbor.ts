import { setTimeout as delay } from "node:timers/promises";
import { loopTargets, otherTargets, prefixesPerSet, type Scenario, withRig } from "./scenario.ts";

export const lostNeighbor: Scenario = {
  name: "lost-neighbor",
  title:
    "2 feeders x the same 500,000: one is lost and half the prefixes move, then the other and all are withdrawn",
  size: 500_000,
  compared: ["time_s", "cpu_s", "peak_mb"],
  targets: [{ metric: "time_s", of: "bird", most: 0.6 }, ...otherTargets, ...loopTargets],
  run: (adapter, size) => {
    const sets = Math.ceil(size / prefixesPerSet);
    const shape = { feeders: 2, prefixes: size, sets, sinks: 1, overlap: true };
    return withRig(adapter, shape, async (rig) => {
      await rig.feed();
      await rig.converged();
      rig.loopDelay();
      const { table, oracle } = rig;
      const lose = async (feeder: number, after: (number: number) => number) => {
        for (let number = 0; number < table.count; number++) oracle.retarget(number, after(number));
        await delay(100);
        rig.begin();
        rig.feeders[feeder].close();
        return rig.converged();
      };
      const moved = await lose(0, (number) => oracle.announced[1][table.setOfPrefix(number)]);
      const gone = await lose(1, () => 0);
      return {
        time_s: moved.timeS + gone.timeS,
        cpu_s: moved.cpuS + gone.cpuS,
        moved_s: moved.timeS,
        withdrawn_s: gone.timeS,
      };
    });
  },
};
