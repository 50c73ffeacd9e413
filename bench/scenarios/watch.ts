import http2 from "node:http2";
import net from "node:net";
import { socketOf } from "../daemons/cairn.ts";
import { loopTargets, prefixesPerSet, type Scenario, withRig } from "./scenario.ts";

const slowWatchers = 20;

export const watch: Scenario = {
  name: "watch",
  title: "WatchRoutes snapshot of 1,000,000 to a client that only reads; memory that 20 slow watchers add",
  size: 1_000_000,
  compared: ["time_s", "cpu_s", "grown_mb"],
  targets: [{ metric: "time_s", plus: 2 }, { metric: "grown_mb", plus: 20 }, ...loopTargets],
  can: (adapter) => adapter.name === "cairn",
  run: (adapter, size) => {
    const sets = Math.ceil(size / prefixesPerSet);
    return withRig(adapter, { feeders: 1, prefixes: size, sets, sinks: 1 }, async (rig) => {
      await rig.feed();
      await rig.converged();
      rig.loopDelay();
      rig.begin();
      const begun = performance.now();
      const { bytes, close } = await snapshot(socketOf(rig.daemon.directory));
      const timeS = (performance.now() - begun) / 1000;
      const { cpuS } = await rig.converged();
      close();
      const before = rig.daemon.memory().peakMb;
      const slow = Array.from({ length: slowWatchers }, () => stalled(socketOf(rig.daemon.directory)));
      await rig.converged();
      const grown = rig.daemon.memory().peakMb - before;
      for (const stop of slow) stop();
      return { time_s: timeS, cpu_s: cpuS, grown_mb: grown, snapshot_bytes: bytes };
    });
  },
};

function call(path: string): { client: http2.ClientHttp2Session; stream: http2.ClientHttp2Stream } {
  const client = http2.connect("http://cairn", {
    createConnection: () => net.connect(path),
    settings: { initialWindowSize: 4 << 20 },
  });
  client.once("connect", () => client.setLocalWindowSize(8 << 20));
  client.on("error", () => {}); // told by the stream
  const stream = client.request({
    ":method": "POST",
    ":path": "/cairn.v1.RibService/WatchRoutes",
    ...{ "content-type": "application/grpc", te: "trailers" },
  });
  stream.end(Buffer.alloc(5)); // an empty request: everything
  return { client, stream };
}

/** Reads until the bookmark, a response of type 2: bytes 08 02 at its start. @returns what came */
export async function snapshot(path: string): Promise<{ bytes: number; close: () => void }> {
  const { client, stream } = call(path);
  let bytes = 0;
  const head = Buffer.alloc(7); // of the message under way: flag, length, first field
  let headBytes = 0;
  let left = 0;
  return new Promise((resolve, reject) => {
    stream.on("error", reject);
    stream.on("end", () => reject(new Error("the watch ended before its bookmark")));
    stream.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      for (let at = 0; at < chunk.length; ) {
        if (headBytes < 7) {
          head[headBytes++] = chunk[at++];
          if (headBytes < 7) continue;
          left = head.readUInt32BE(1) - 2;
          if (head[5] === 8 && head[6] === 2) resolve({ bytes, close: () => client.destroy() });
        }
        const step = Math.min(left, chunk.length - at);
        at += step;
        left -= step;
        if (left === 0) headBytes = 0;
      }
    });
  });
}

/** A watcher that reads nothing. @returns what ends it */
export function stalled(path: string): () => void {
  const { client, stream } = call(path);
  stream.on("error", () => {});
  stream.pause();
  return () => client.destroy();
}
