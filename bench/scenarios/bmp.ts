import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { call, socketOf } from "../daemons/cairn.ts";
import type { Adapter } from "../daemons/daemon.ts";
import { loopTargets, prefixesPerSet, type Scenario, withRig } from "./scenario.ts";

/** What is monitored; undefined: no collector. */
type Monitored = Readonly<Record<string, boolean>> | undefined;

const pre = { adj_rib_in_pre: true };
const everything = { ...pre, adj_rib_in_post: true, adj_rib_out_post: true, loc_rib: true };

export const bmp: Scenario = {
  name: "bmp",
  title:
    "full table with a BMP collector that is told of it before policy, of all four RIBs, and without one",
  size: 1_000_000,
  compared: ["off_cpu_s", "pre_cpu_s", "all_cpu_s", "pre_extra_percent", "all_extra_percent"],
  targets: [{ metric: "pre_extra_percent", plus: 15 }, ...loopTargets],
  can: (adapter) => adapter.name === "cairn",
  run: async (adapter, size) => {
    const off: number[] = [];
    const [onPre, onAll]: number[][] = [[], []];
    let last: Load | undefined;
    // In turn, so that what else the machine does meets all alike.
    for (let round = 0; round < 2; round++) {
      off.push((await load(adapter, size, undefined)).cpu_s);
      onPre.push((await load(adapter, size, pre)).cpu_s);
      last = await load(adapter, size, everything);
      onAll.push(last.cpu_s);
    }
    const [offS, preS, allS] = [off, onPre, onAll].map((all) => Math.min(...all));
    return {
      ...last,
      ...{ off_cpu_s: offS, pre_cpu_s: preS, all_cpu_s: allS },
      pre_extra_percent: (preS / offS - 1) * 100,
      all_extra_percent: (allS / offS - 1) * 100,
    };
  },
};

type Load = Readonly<Record<string, number>> & { readonly cpu_s: number };

/** Loads a table, and waits until the collector has all of it. */
async function load(adapter: Adapter, size: number, monitored: Monitored): Promise<Load> {
  let bytes = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("data", (data) => {
      bytes += data.length;
    });
    socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  try {
    const shape = { feeders: 1, prefixes: size, sets: Math.ceil(size / prefixesPerSet), sinks: 1 };
    const metrics = await withRig(adapter, shape, async (rig) => {
      const socket = socketOf(rig.daemon.directory);
      if (monitored)
        await call(socket, "BmpService/SetBmpCollector", {
          spec: { name: "bench", host: "127.0.0.1", port, ...monitored },
        });
      while (monitored && sockets.size === 0) await delay(20);
      await rig.feed();
      await rig.converged();
      while (monitored && !(await isComplete(socket))) await delay(50);
      const { timeS, cpuS } = await rig.converged();
      return { time_s: timeS, cpu_s: cpuS, collector_bytes: bytes };
    });
    return metrics as Load;
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

async function isComplete(socket: string): Promise<boolean> {
  const answer = await call(socket, "BmpService/GetBmpCollector", { name: "bench" });
  const { state } = (answer as { collector: { state: Record<string, string> } }).collector;
  if (Number(state.lapped ?? 0) > 0) throw new Error("the collector was lapped");
  return (
    state.sessionState === "monitoring" &&
    Number(state.lag ?? 0) === 0 &&
    Number(state.queuedBytes ?? 0) === 0
  );
}
