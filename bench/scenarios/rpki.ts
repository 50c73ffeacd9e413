/** Validation of origins: half a million VRPs are loaded, then some change under a full table. */
import { setTimeout as delay } from "node:timers/promises";
import { call, socketOf } from "../daemons/cairn.ts";
import type { Metrics, Rig } from "../load/rig.ts";
import { BenchCache, encodeVrps, type Vrp } from "../load/rtr-cache.ts";
import type { Table } from "../load/table.ts";
import { daemonAddress4 } from "../namespace.ts";
import { prefixesPerSet, type Scenario, withRig } from "./scenario.ts";

const port = 8282;
const vrps = 500_000;
const changed = 1_000;

export const rpki: Scenario = {
  name: "rpki",
  title:
    "500,000 VRPs loaded, then 1,000 changed over 1,000,000 routes: the 1,000 that are invalid now withdrawn",
  size: 1_000_000,
  compared: ["time_s", "cpu_s", "peak_mb"],
  targets: [
    { metric: "time_s", plus: 1 },
    { metric: "load_s", plus: 2 },
    { metric: "vrps_mb", plus: 60 },
    { metric: "loop_p99_ms", plus: 15 },
  ],
  can: ({ name }) => name === "cairn",
  async run(adapter, size) {
    const cache = await BenchCache.listen(daemonAddress4, port);
    const shape = { feeders: 1, prefixes: size, sets: Math.ceil(size / prefixesPerSet), sinks: 1 };
    try {
      return await withRig(adapter, { ...shape, rpki: { host: daemonAddress4, port } }, async (rig) => {
        const loaded = await load(rig, cache, Math.min(vrps, size / 2));
        await rig.feed();
        const fed = await rig.converged();
        rig.loopDelay();
        const { timeS, cpuS } = await change(rig, cache);
        return { time_s: timeS, cpu_s: cpuS, feed_s: fed.timeS, feed_cpu_s: fed.cpuS, ...loaded };
      });
    } finally {
      cache.close();
    }
  },
};

/** The cache says all it has. @returns time until all of it is in force, and what it takes of memory */
async function load(rig: Rig, cache: BenchCache, count: number): Promise<Metrics> {
  await cache.reset;
  const { table, daemon } = rig;
  const all = encodeVrps(
    Array.from({ length: count }, (_, number) => vrpOf(table, number)),
    true,
  );
  const socket = socketOf(daemon.directory);
  await call(socket, "RpkiService/GetRpkiSummary"); // the API's own memory is not that of VRPs
  const before = daemon.memory().rssMb;
  const cpuBefore = daemon.cpuS();
  const startedMs = performance.now();
  cache.answer(all);
  for (;;) {
    const { ipv4Vrps = "0" } = (await call(socket, "RpkiService/GetRpkiSummary")) as { ipv4Vrps?: string };
    if (Number(ipv4Vrps) === count) break;
    if (performance.now() - startedMs > 60_000) throw new Error(`only ${ipv4Vrps} VRPs after a minute`);
    await delay(100);
  }
  const load_s = (performance.now() - startedMs) / 1000;
  await delay(2000);
  const { loop_max_ms = 0 } = { loop_max_ms: rig.loopDelay()?.maxMs };
  return {
    load_s,
    load_cpu_s: daemon.cpuS() - cpuBefore,
    load_loop_max_ms: loop_max_ms,
    vrps_mb: daemon.memory().rssMb - before,
  };
}

/** The origins of the first prefixes lose their VRPs to others: their routes are to be withdrawn. */
async function change(rig: Rig, cache: BenchCache): ReturnType<Rig["converged"]> {
  const { table, oracle } = rig;
  const own = Array.from({ length: changed }, (_, number) => vrpOf(table, number));
  const difference = Buffer.concat([
    encodeVrps(own, false),
    encodeVrps(
      own.map((vrp) => ({ ...vrp, asn: 1 })),
      true,
    ),
  ]);
  for (let number = 0; number < changed; number++) oracle.retarget(number, 0);
  await delay(100);
  rig.begin();
  cache.change(difference);
  return rig.converged();
}

/** The VRP that makes a prefix of the table valid. */
function vrpOf(table: Table, number: number): Vrp {
  const key = table.key[number];
  const address = Uint8Array.of(key >>> 16, key >>> 8, key, 0);
  const { path } = table.attributes(table.feederOf(number), table.setOfPrefix(number));
  return { address, length: table.length[number], asn: path[path.length - 1] };
}
