/**
 * Half an hour of everything at once: one feeder churns, one flaps, watchers take snapshots, others read nothing. What
 * sinks hold must be right at the end, and memory where it was. `CAIRN_SOAK_MINUTES` makes it shorter.
 */
import { setTimeout as delay } from "node:timers/promises";
import { socketOf } from "../daemons/cairn.ts";
import { Churner } from "../load/churner.ts";
import type { Rig } from "../load/rig.ts";
import type { Session } from "../load/session.ts";
import { encodeTable } from "../load/updates.ts";
import { loopTargets, prefixesPerSet, type Scenario, withRig } from "./scenario.ts";
import { snapshot, stalled } from "./watch.ts";

const minutes = Number(process.env.CAIRN_SOAK_MINUTES ?? 30);
const perSecond = 2_000;
/** The feeder that flaps is up and down for so long, each in turn. */
const flapMs = 10_000;
const snapshotMs = 15_000;
const sampleMs = 2_000;
const stalledWatchers = 5;
/** The feeders by number: the first churns, the last flaps. */
const feeders = 3;
const flapping = feeders - 1;

export const soak: Scenario = {
  name: "soak",
  title: `${minutes} minutes: ${perSecond} updates/s, a neighbor that flaps, watchers that read and that do not`,
  size: 100_000,
  byName: true,
  compared: ["growth_mb", "cpu_s", "rss_mb"],
  targets: [{ metric: "growth_mb", plus: 10 }, ...loopTargets],
  can: (adapter) => adapter.name === "cairn",
  run: (adapter, size) => {
    const sets = Math.ceil(size / prefixesPerSet);
    return withRig(adapter, { feeders, prefixes: size, sets, sinks: 2 }, async (rig) => {
      await rig.feed();
      await rig.converged();
      rig.loopDelay();
      const endMs = performance.now() + minutes * 60_000;
      const isOver = (): boolean => performance.now() >= endMs;
      const rssMb: number[] = [];
      const churner = new Churner(rig, size);
      let [flaps, snapshots] = [0, 0];
      rig.begin();
      const begunMs = performance.now();
      const every = async (ms: number, work: () => Promise<void> | void): Promise<void> => {
        while (!isOver()) {
          await work();
          await delay(Math.min(ms, Math.max(0, endMs - performance.now())));
        }
      };
      await Promise.all([
        every(2, () => churner.catchUp(Math.floor(((performance.now() - begunMs) / 1000) * perSecond))),
        every(sampleMs, () => {
          rig.check();
          rssMb.push(rig.daemon.memory().rssMb);
        }),
        every(snapshotMs, async () => {
          const { close } = await snapshot(socketOf(rig.daemon.directory));
          close();
          snapshots++;
        }),
        every(60_000, () => watchIdly(rig, Math.min(55_000, endMs - performance.now()))),
        flapUntil(rig, isOver).then((count) => {
          flaps = count;
        }),
      ]);
      const { cpuS } = await rig.converged();
      // By fifths of the time: the first one fills what has a bound.
      const fifths = [0, 1, 2, 3, 4].map((n) =>
        median(rssMb.slice((rssMb.length * n) / 5, (rssMb.length * (n + 1)) / 5)),
      );
      return {
        growth_mb: fifths[4] - fifths[1],
        ...Object.fromEntries(fifths.map((mb, n) => [`fifth_${n + 1}_mb`, mb])),
        most_mb: Math.max(...rssMb),
        ...{ cpu_s: cpuS, minutes, events: churner.events, flaps, snapshots },
      };
    });
  },
};

/** Watchers that read nothing, for a while. */
async function watchIdly(rig: Rig, ms: number): Promise<void> {
  const stops = Array.from({ length: stalledWatchers }, () => stalled(socketOf(rig.daemon.directory)));
  await delay(Math.max(0, ms));
  for (const stop of stops) stop();
}

/** Ends a session and brings it back with all of its routes, until time is over; then it is up. @returns how often */
async function flapUntil(rig: Rig, isOver: () => boolean): Promise<number> {
  const { table, oracle } = rig;
  const bytes = encodeTable(table, flapping, rig.nextHop(flapping));
  const { prefixes } = table.shape;
  const target = (print: (number: number) => number): void => {
    for (let n = 0, number = flapping * prefixes; n < prefixes; n++, number++)
      oracle.retarget(number, print(number));
  };
  let session: Session = rig.feeders[flapping];
  let flaps = 0;
  while (!isOver()) {
    await delay(flapMs);
    target(() => 0);
    session.close();
    await delay(flapMs);
    target((number) => oracle.announced[flapping][table.setOfPrefix(number)]);
    session = rig.connect(flapping);
    await session.established;
    await session.sendAll(bytes);
    flaps++;
  }
  return flaps;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}
