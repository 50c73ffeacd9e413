/** A process for crash.test.ts: random valid and invalid transactions, a few at a time, until it is killed. */
import { writeSync } from "node:fs";
import { seededRandom } from "../../src/base/random.ts";
import { ConfigService } from "../../src/gen/cairn/v1/config_service_pb.ts";
import { file, put, remove, World } from "./world.ts";

const [dir, seed] = process.argv.slice(2);
const random = seededRandom(Number(seed));
const pick = (count: number): number => Math.floor(random() * count);
const world = await World.start(dir);
const config = world.client(ConfigService);
const header = '[global]\nasn = 65001\nrouter_id = "192.0.2.1"\n';

function change() {
  const n = pick(6);
  if (pick(4) === 0) return remove("Neighbor", `10.0.0.${n + 1}`);
  const remote_asn = pick(5) === 0 ? 0 : 65002 + pick(9);
  const both = [1, 2].map((i): [string, Record<string, string | number | boolean>] => [
    "Neighbor",
    { address: `10.0.0.${((n + i) % 6) + 1}`, remote_asn, shutdown: true, description: `v${pick(100)}` },
  ]);
  return put(...both);
}

await config.apply(file(header));
for (let i = 0; i < 1_000; i++) {
  await Promise.all(
    Array.from({ length: 3 }, async () => {
      const applied = await config.apply(change()).catch(() => undefined);
      if (applied && applied.changes.length > 0)
        writeSync(1, `${applied.generation} ${applied.configHash}\n`);
    }),
  );
}
await world.stop();
