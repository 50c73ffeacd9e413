import { setTimeout as delay } from "node:timers/promises";
import { Churner } from "../load/churner.ts";
import { loopTargets, prefixesPerSet, type Scenario, withRig } from "./scenario.ts";

const perSecond = 10_000;
const seconds = 10;

export const churn: Scenario = {
  name: "churn",
  title: "10,000 updates/s for 10 s on 500,000 routes: changed, withdrawn, announced again; feeder to sink",
  size: 500_000,
  compared: ["p99_ms", "cpu_s", "p50_ms"],
  targets: [{ metric: "p99_ms", of: "bird", most: 0.5 }, { metric: "p99_ms", plus: 10 }, ...loopTargets],
  run: (adapter, size) => {
    const sets = Math.ceil(size / prefixesPerSet);
    return withRig(adapter, { feeders: 1, prefixes: size, sets, sinks: 1 }, async (rig) => {
      await rig.feed();
      await rig.converged();
      rig.loopDelay();
      const { table } = rig;
      const [sink] = rig.sinks;
      const sentMs = new Float64Array(table.count);
      const latencies: number[] = [];
      sink.onRight = (number) => {
        if (sentMs[number] === 0) return;
        latencies.push(performance.now() - sentMs[number]);
        sentMs[number] = 0;
      };
      const churner = new Churner(rig, table.count, (number) => {
        sentMs[number] = performance.now();
      });
      rig.begin();
      const begun = performance.now();
      const total = perSecond * seconds;
      while (churner.events < total) {
        churner.catchUp(Math.min(total, Math.floor(((performance.now() - begun) / 1000) * perSecond)));
        await delay(1);
      }
      const { cpuS } = await rig.converged();
      latencies.sort((a, b) => a - b);
      const quantile = (part: number): number => latencies[Math.floor((latencies.length - 1) * part)];
      return {
        p99_ms: quantile(0.99),
        p50_ms: quantile(0.5),
        max_ms: quantile(1),
        events: latencies.length,
        cpu_s: cpuS,
      };
    });
  },
};
