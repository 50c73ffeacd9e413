/**
 * `npm run bench:transactions -- [--only commits,plan,start,large] [--objects 200,10000] [--each 200] [--profile]`
 *
 * Transactions on the real daemon: cairnd in a process of its own, clients in this one, gRPC over the Unix socket. What
 * the figures mean: docs/performance.md.
 */
import { parseArgs } from "node:util";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ApplyRequestSchema } from "../../src/gen/cairn/v1/config_service_pb.ts";
import { ControlService } from "../../src/gen/cairn/v1/control_service_pb.ts";
import { keepProfile, printProfile, profiledEnv } from "../cpu-profile.ts";
import { CairnDaemon, dutAs, type StartOptions } from "../daemon.ts";
import { GrpcClient } from "./grpc.ts";
import { apply, commits, declare, declared, fileOf, neighbor, plan, put, quantile } from "./load.ts";
import { writeState } from "./state.ts";

const { values: options } = parseArgs({
  options: {
    only: { type: "string", default: "commits,plan,start,large" },
    objects: { type: "string", default: "200,10000" },
    each: { type: "string", default: "200" },
    profile: { type: "boolean", default: false },
  },
});
const many = 10_000;

const parts: Readonly<Record<string, () => Promise<void>>> = {
  commits: async () => {
    for (const count of options.objects.split(",")) await commitsWith(Number(count));
  },
  plan: planOfOne,
  start: async () => {
    await startWith(many, 1_000_000, true);
    await startWith(many, 1_000_000, false);
  },
  large: async () => {
    await large(`Apply of ${many} objects`, { source: put(declared(many)) });
    const content = `[global]\nasn = ${dutAs}\nrouter_id = "10.99.0.1"\n${fileOf(declared(many))}`;
    await large(`file of ${many} objects`, {
      source: { source: { case: "file", value: { name: "large.toml", content } } },
    });
  },
};

for (const name of options.only.split(",")) await parts[name]();
process.exit(0);

/** One client, then 64, on a daemon with so many objects. */
async function commitsWith(objects: number): Promise<void> {
  await onDaemon({}, async (daemon) => {
    await declare(daemon, declared(objects));
    await commits(daemon, 8, 100);
    const quiet = await commits(daemon, 1, 300);
    print(
      `${objects} objects, 1 client`,
      `p50 ${quantile(quiet.times, 0.5)}  p99 ${quantile(quiet.times, 0.99)}`,
    );
    const cpu = daemon.cpuByThread();
    const flushes = await flushCount(daemon);
    const { times, tookS } = await commits(daemon, 64, Number(options.each));
    const after = daemon.cpuByThread();
    const flushed = (await flushCount(daemon)) - flushes;
    const perCommit = (seconds: number): string => `${((seconds * 1e6) / times.length).toFixed(0)} us`;
    print(
      `${objects} objects, 64 clients`,
      `${Math.round(times.length / tookS)} tx/s  p50 ${quantile(times, 0.5)}  p99 ${quantile(times, 0.99)}`,
    );
    print(
      "",
      `CPU per transaction: owner ${perCommit(after.owner - cpu.owner)}, all threads ` +
        `${perCommit(after.all - cpu.all)}; ${(flushed / times.length).toFixed(3)} flushes`,
    );
  });
}

/** A plan for one of 1,000 neighbors. */
async function planOfOne(): Promise<void> {
  await onDaemon({}, async (daemon) => {
    await declare(
      daemon,
      Array.from({ length: 1000 }, (_, i) => neighbor(i + 1)),
    );
    const client = await GrpcClient.connect(daemon.socket);
    const times: number[] = [];
    for (let i = 0; i < 120; i++) {
      const from = performance.now();
      await client.call(plan, { source: put([neighbor(2, `plan ${i}`)]) });
      if (i >= 20) times.push(performance.now() - from);
    }
    client.close();
    print("plan, 1 of 1000 neighbors", `p50 ${quantile(times, 0.5)}  p99 ${quantile(times, 0.99)}`);
  });
}

/** From the start of the process until the API answers. */
async function startWith(objects: number, events: number, clean: boolean): Promise<void> {
  const life = { objects: declared(objects), events, clean };
  const prepare = (dir: string, port: number): void => writeState(dir, port, life);
  await onDaemon({ prepare }, async (daemon) => {
    const { owner, all } = daemon.cpuByThread();
    const after = clean ? "clean end" : "kill -9";
    print(
      `start after ${after}`,
      `${daemon.readyS.toFixed(2)} s with ${objects} objects and ${events} events; ` +
        `CPU owner ${owner.toFixed(2)} s, all threads ${all.toFixed(2)} s`,
    );
  });
}

/** One large request, and how long another client waits for GetHealth meanwhile. */
async function large(what: string, request: MessageInitShape<typeof ApplyRequestSchema>): Promise<void> {
  await onDaemon({}, async (daemon) => {
    const client = await GrpcClient.connect(daemon.socket);
    const other = await GrpcClient.connect(daemon.socket);
    for (let i = 0; i < 50; i++) await other.call(ControlService.method.getHealth, {});
    let running = true;
    const from = performance.now();
    const done = client.call(apply, request).finally(() => {
      running = false;
    });
    const waits: number[] = [];
    while (running) {
      const asked = performance.now();
      await other.call(ControlService.method.getHealth, {});
      waits.push(performance.now() - asked);
    }
    await done;
    const took = performance.now() - from;
    client.close();
    other.close();
    const worst = waits.toSorted((a, b) => b - a).slice(0, 5);
    print(what, `${took.toFixed(0)} ms; GetHealth meanwhile p50 ${quantile(waits, 0.5)}`);
    print("", `the five longest: ${worst.map((ms) => ms.toFixed(0)).join(", ")} ms`);
  });
}

async function onDaemon(
  start: Pick<StartOptions, "prepare">,
  work: (daemon: CairnDaemon) => Promise<void>,
): Promise<void> {
  const daemon = await CairnDaemon.start([], { ...start, ...(options.profile ? { env: profiledEnv } : {}) });
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
