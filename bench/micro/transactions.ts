/**
 * Transactions on this machine: time to a durable answer on a quiet router, changes per second from 64 clients through
 * group commit, and the time to plan one changed neighbor among 1,000. `node bench/micro/transactions.ts`
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigService } from "../../src/gen/cairn/v1/config_service_pb.ts";
import { file, put, World } from "../../test/transactions/world.ts";

const neighbors = 1_000;
const clients = 64;
const perClient = 100;

const dir = mkdtempSync(join(tmpdir(), "cairn-bench-"));
const world = await World.start(dir);
const config = world.client(ConfigService);
const address = (n: number): string => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`;
const tables = Array.from(
  { length: neighbors },
  (_, n) => `[[neighbors]]\naddress = "${address(n + 1)}"\nremote_asn = 65002\nshutdown = true\n`,
);
await config.apply(file(`[global]\nasn = 65001\nrouter_id = "192.0.2.1"\n${tables.join("")}`));

function describe(n: number, description: string) {
  return put(["Neighbor", { address: address(n), remote_asn: 65002, shutdown: true, description }]);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return performance.now() - from;
}

function quantile(times: number[], q: number): string {
  const sorted = times.toSorted((a, b) => a - b);
  return `${sorted[Math.floor(q * (sorted.length - 1))].toFixed(2)} ms`;
}

const acks: number[] = [];
for (let i = 0; i < 300; i++) acks.push(await timed(() => config.apply(describe(1, `ack ${i}`))));
console.log(`durable answer        p50 ${quantile(acks, 0.5)}   p99 ${quantile(acks, 0.99)}`);

const plans: number[] = [];
for (let i = 0; i < 100; i++) plans.push(await timed(() => config.plan(describe(2, `plan ${i}`))));
console.log(`plan, 1 of ${neighbors}       p50 ${quantile(plans, 0.5)}   p99 ${quantile(plans, 0.99)}`);

const took = await timed(() =>
  Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      for (let i = 0; i < perClient; i++) await config.apply(describe(client + 3, `load ${i}`));
    }),
  ),
);
const rate = Math.round((clients * perClient * 1000) / took);
console.log(`${clients} clients            ${rate} transactions/s`);
const again = await timed(async () => void (await world.again()).loop.view.generation);
console.log(`close and start again ${again.toFixed(0)} ms with ${clients * perClient + 301} generations`);
await World.stopAll();
rmSync(dir, { recursive: true, force: true });
process.exit(0);
