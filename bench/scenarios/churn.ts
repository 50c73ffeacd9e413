import { setTimeout as delay } from "node:timers/promises";
import { fingerprint } from "../load/attributes.ts";
import { encodeOne, encodeWithdrawal } from "../load/updates.ts";
import { loopTargets, prefixesPerSet, type Scenario, withRig } from "./scenario.ts";

const perSecond = 10_000;
const seconds = 10;
/** A withdrawn prefix comes back after so many events. */
const absentFor = 301;

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
      const { table, oracle } = rig;
      const [sink] = rig.sinks;
      const nextHop = rig.nextHop(0);
      const sentMs = new Float64Array(table.count);
      const latencies: number[] = [];
      sink.onRight = (number) => {
        if (sentMs[number] === 0) return;
        latencies.push(performance.now() - sentMs[number]);
        sentMs[number] = 0;
      };
      const withdrawn: number[] = [];
      let fresh = 0;
      // One third each: another attribute set, gone, and back with a set of its own.
      const next = (event: number): Buffer => {
        const kind = event % 3;
        const back = kind === 2 && event >= absentFor * 3 ? withdrawn.shift() : undefined;
        const number = back ?? (fresh = (fresh + 7919) % table.count);
        sentMs[number] = performance.now();
        if (kind === 1) {
          withdrawn.push(number);
          oracle.retarget(number, 0);
          return encodeWithdrawal(table, number);
        }
        const attributes = { ...table.attributes(0, table.setOfPrefix(number)), communities: [event] };
        const print = fingerprint(attributes);
        oracle.passing.add(print);
        oracle.retarget(number, print);
        return encodeOne(table, number, attributes, nextHop);
      };
      rig.begin();
      const begun = performance.now();
      const total = perSecond * seconds;
      for (let event = 0; event < total; ) {
        const due = Math.min(total, Math.floor(((performance.now() - begun) / 1000) * perSecond));
        if (due > event) {
          const batch: Buffer[] = [];
          for (; event < due; event++) batch.push(next(event));
          rig.feeders[0].send(Buffer.concat(batch));
        }
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
