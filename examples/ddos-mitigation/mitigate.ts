/**
 * Turns measurements into blackholes. Reads lines of DESTINATION PACKETS_PER_SECOND, as a flow collector can print them,
 * and announces each destination above the threshold to the edge as a blackhole that ends by itself:
 *
 *   detector | mitigate.ts unix:///tmp/mitigator/grpc.sock --threshold 100000 --hold 600 --max 20
 *
 * While a destination stays above the threshold, its blackhole is prolonged. When this program dies, no blackhole outlives
 * its hold time; when it starts again, it finds those that are there.
 */
import net from "node:net";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { InjectionService } from "../../src/gen/cairn/v1/injection_service_pb.ts";

/** By which our routes are told from those of others. */
const owner = "mitigate";

const refusals = new Set([Code.InvalidArgument, Code.FailedPrecondition, Code.ResourceExhausted]);

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    threshold: { type: "string", default: "100000" },
    hold: { type: "string", default: "600" },
    max: { type: "string", default: "20" },
  },
});
const thresholdPps = Number(values.threshold);
const holdS = Number(values.hold);
const max = Number(values.max);
const socket = positionals[0]?.replace(/^unix:\/\//, "");
if (!socket || !(thresholdPps > 0 && holdS > 0 && max > 0)) {
  console.error(
    "usage: mitigate.ts unix:///PATH [--threshold PPS] [--hold SECONDS] [--max BLACKHOLES] < MEASUREMENTS",
  );
  process.exit(2);
}

const api = createClient(
  InjectionService,
  createGrpcTransport({
    baseUrl: "http://cairn", // any name: it is a Unix socket
    defaultTimeoutMs: 5_000,
    nodeOptions: { createConnection: () => net.connect(socket) },
  }),
);

try {
  for await (const line of createInterface({ input: process.stdin })) await take(line);
} catch (error) {
  console.error(`giving up: ${ConnectError.from(error).message}`);
  process.exitCode = 1;
}

async function take(line: string): Promise<void> {
  const [destination = "", pps = ""] = line.trim().split(/\s+/);
  if (!net.isIP(destination) || !(Number(pps) >= 0)) {
    if (line.trim() !== "") console.error(`not a measurement: ${line}`);
    return;
  }
  if (Number(pps) < thresholdPps) return;
  const prefix = `${destination}/${net.isIPv6(destination) ? 128 : 32}`;
  const { paths } = await api.listInjected({ owner, pageSize: max + 1 });
  const known = paths.some(({ path }) => path?.prefix === prefix);
  if (!known && paths.length >= max) {
    console.error(
      `${prefix}: ${pps} packets/s, and ${max} blackholes are there already; a person should look`,
    );
    return;
  }
  try {
    await api.addPath({
      path: { prefix, communities: ["blackhole"], owner, ttl: { seconds: BigInt(holdS) } },
      reason: `${pps} packets/s`,
    });
  } catch (error) {
    const { code, message } = ConnectError.from(error);
    if (!refusals.has(code)) throw error; // a daemon that does not answer ends the program
    console.error(`${prefix}: ${message}`);
    return;
  }
  const edges = await advertisedTo(prefix);
  const what = `${prefix}: ${pps} packets/s, ${known ? "prolonged" : "blackholed"}`;
  if (edges.length > 0) console.log(`${what} at ${edges.join(", ")}`);
  else
    console.error(`${prefix}: accepted, but no edge gets it; ask cairnctl rib ${prefix} --explain --to EDGE`);
}

/** Neighbors that were told of our path within two seconds: it is not on the wire yet when AddPath answers. */
async function advertisedTo(prefix: string): Promise<readonly string[]> {
  for (let tries = 0; ; tries++) {
    const { paths } = await api.listInjected({ owner, pageSize: 1, filter: { prefix } });
    const edges = paths[0]?.receipt?.advertisedTo ?? [];
    if (edges.length > 0 || tries === 10) return edges;
    await setTimeout(200);
  }
}
