/**
 * `npm run bench:transactions -- [--only commits,plan,start,large] [--profile]`
 *
 * Transactions on the real daemon: cairnd in a process of its own, clients in this one, gRPC over the Unix socket. What
 * the figures mean: docs/performance.md.
 */
import { parseArgs } from "node:util";
import { ControlService } from "../../src/gen/cairn/v1/control_service_pb.ts";
import { keepProfile, printProfile, profiledEnv } from "../cpu-profile.ts";
import { CairnDaemon } from "../daemon.ts";
import { GrpcClient } from "./grpc.ts";
import { commits, declare, declared, quantile } from "./load.ts";

const { values: options } = parseArgs({
  options: {
    only: { type: "string", default: "commits" },
    profile: { type: "boolean", default: false },
    each: { type: "string", default: "200" },
  },
});

const parts: Readonly<Record<string, () => Promise<void>>> = {
  commits: async () => {
    await commitsWith(200);
    await commitsWith(10_000);
  },
};

for (const name of options.only.split(",")) await parts[name]();
process.exit(0);

/** One client, then 64, on a daemon with so many objects. */
async function commitsWith(objects: number): Promise<void> {
  const each = Number(options.each);
  await onDaemon(async (daemon) => {
    await declare(daemon, declared(objects));
    await commits(daemon, 8, 100);
    const quiet = await commits(daemon, 1, 300);
    print(
      `${objects} objects, 1 client`,
      `p50 ${quantile(quiet.times, 0.5)}  p99 ${quantile(quiet.times, 0.99)}`,
    );
    const cpu = daemon.cpuByThread();
    const flushes = await flushCount(daemon);
    const { times, tookS } = await commits(daemon, 64, each);
    const after = daemon.cpuByThread();
    const perCommit = (seconds: number): string => `${((seconds * 1e6) / times.length).toFixed(0)} us`;
    print(
      `${objects} objects, 64 clients`,
      `${Math.round(times.length / tookS)} tx/s  p50 ${quantile(times, 0.5)}  p99 ${quantile(times, 0.99)}`,
    );
    print(
      "",
      `CPU per transaction: owner ${perCommit(after.owner - cpu.owner)}, all threads ${perCommit(after.all - cpu.all)}; ` +
        `${(((await flushCount(daemon)) - flushes) / times.length).toFixed(3)} flushes`,
    );
  });
}

async function onDaemon(work: (daemon: CairnDaemon) => Promise<void>): Promise<void> {
  const daemon = await CairnDaemon.start([], options.profile ? { env: profiledEnv } : {});
  let profile = "";
  try {
    await work(daemon);
  } finally {
    await daemon.stop((directory) => {
      if (options.profile) profile = keepProfile(directory);
    });
  }
  if (profile !== "") printProfile(profile);
}

async function flushCount(daemon: CairnDaemon): Promise<number> {
  const client = await GrpcClient.connect(daemon.socket);
  const { text } = await client.call(ControlService.method.getMetrics, {});
  client.close();
  return Number(/^cairn_store_flushes_total (\d+)/m.exec(text)?.[1]);
}

function print(what: string, figures: string): void {
  process.stdout.write(`${what.padEnd(28)}${figures}\n`);
}
