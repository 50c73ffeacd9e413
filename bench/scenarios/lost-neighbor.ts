/** A feeder goes whose routes are best for half of the prefixes; the other one has them all. */
import { setTimeout as delay } from "node:timers/promises";
import type { Adapter } from "../daemons/daemon.ts";
import type { Metrics, Rig } from "../load/rig.ts";
import { loopTargets, otherTargets, prefixesPerSet, type Scenario, withRig } from "./scenario.ts";

export const lostNeighbor: Scenario = {
  name: "lost-neighbor",
  title:
    "2 feeders x the same 500,000: one is lost and half the prefixes move, then the other and all are withdrawn",
  size: 500_000,
  compared: ["time_s", "cpu_s", "peak_mb"],
  targets: [{ metric: "time_s", of: "bird", most: 0.6 }, ...otherTargets, ...loopTargets],
  run: (adapter, size) =>
    withFeeders(adapter, size, 1, async (rig) => {
      const moved = await loseFirst(rig);
      const gone = await lose(rig, 1, () => 0);
      return {
        time_s: moved.timeS + gone.timeS,
        cpu_s: moved.cpuS + gone.cpuS,
        moved_s: moved.timeS,
        withdrawn_s: gone.timeS,
      };
    }),
};

export const lostBest: Scenario = {
  name: "lost-best",
  title: "2 feeders x the same 1,000,000: one is lost, 500,000 prefixes move, 10 sinks are told",
  size: 1_000_000,
  compared: ["time_s", "cpu_s", "peak_mb"],
  targets: [{ metric: "time_s", of: "bird", most: 1 }, ...otherTargets, ...loopTargets],
  run: (adapter, size) =>
    withFeeders(adapter, size, 10, async (rig) => {
      const { timeS, cpuS } = await loseFirst(rig);
      return { time_s: timeS, cpu_s: cpuS };
    }),
};

function withFeeders(
  adapter: Adapter,
  prefixes: number,
  sinks: number,
  work: (rig: Rig) => Promise<Metrics>,
): Promise<Metrics> {
  const sets = Math.ceil(prefixes / prefixesPerSet);
  return withRig(adapter, { feeders: 2, prefixes, sets, sinks, overlap: true }, async (rig) => {
    await rig.feed();
    await rig.converged();
    rig.loopDelay();
    return work(rig);
  });
}

type Converged = ReturnType<Rig["converged"]>;

function loseFirst(rig: Rig): Converged {
  const { table, oracle } = rig;
  return lose(rig, 0, (number) => oracle.announced[1][table.setOfPrefix(number)]);
}

/** @param after what sinks must have of a prefix once the feeder is gone, 0 for nothing */
async function lose(rig: Rig, feeder: number, after: (number: number) => number): Converged {
  for (let number = 0; number < rig.table.count; number++) rig.oracle.retarget(number, after(number));
  await delay(100);
  rig.begin();
  rig.feeders[feeder].close();
  return rig.converged();
}
