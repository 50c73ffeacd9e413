/**
 * A process for crash.test.ts: random valid and invalid transactions until it is killed. What it is about to do and
 * what was acknowledged goes to standard output, line by line:
 *
 *   try GENERATION HASH     of the state that the next valid transaction leads to
 *   done GENERATION HASH
 *   refused SORT            an invalid transaction, while the valid one was under way
 *   WRONG text              an invalid one was taken, or a valid one refused
 */
import { writeSync } from "node:fs";
import { seededRandom } from "../../src/base/random.ts";
import { ConfigService } from "../../src/gen/cairn/v1/config_service_pb.ts";
import { faults, presentOf, requestOf, validTransaction } from "./random.ts";
import { failure, World } from "./world.ts";

const [dir, seed, at = ""] = process.argv.slice(2);
const random = seededRandom(Number(seed));
const world = await World.start(dir);
const { core, view } = world.loop;
const config = world.client(ConfigService);
const say = (line: string): unknown => writeSync(1, `${line}\n`);

killWhileCarryingOut(at);
const sorts = Object.keys(faults);
const global = { kind: "Global", spec: { asn: 65001, router_id: "10.0.0.1" } };
for (let i = 0; i < 1_000; i++) {
  const present = presentOf((kind) => view.objects(kind));
  const isFirst = view.generation === 0;
  const request = requestOf(isFirst ? { put: [global], delete: [] } : validTransaction(random, present));
  const planned = await config.plan({ ...request, skipRoutes: true });
  if (planned.changes.length === 0) continue;
  say(`try ${planned.generation + 1n} ${planned.configHash}`);
  const sort = sorts[Math.floor(random() * sorts.length)];
  const invalid = faults[sort](
    sort === "delete what is referenced" ? { put: [], delete: [] } : validTransaction(random, present),
    random,
    present,
  );
  const applying = config.apply(request).then(
    ({ generation, configHash }) => say(`done ${generation} ${configHash}`),
    (error: unknown) => say(`WRONG valid: ${error}`),
  );
  await Promise.all([
    applying,
    invalid &&
      failure(config.apply(requestOf(invalid)))
        .then(() => say(`refused ${sort}`))
        .catch(() => say(`WRONG taken: ${sort}`)),
  ]);
}
await world.stop();

/** Ends the process at the Nth time that a change comes to this step between durable and answered. */
function killWhileCarryingOut(setting: string): void {
  const [step, count] = setting.split(":");
  let left = Number(count);
  const reached = (): void => {
    if (--left === 0) process.kill(process.pid, "SIGKILL");
  };
  const { changes, neighbors } = core;
  if (step === "told") {
    const durable = changes.durable.bind(changes);
    changes.durable = (seq) => {
      reached();
      durable(seq);
    };
  } else if (step === "consequences") {
    const carryOut = neighbors.carryOut.bind(neighbors);
    neighbors.carryOut = (touched, ...more) => {
      // In the middle: one object has had its consequences, the others not.
      carryOut(touched.slice(0, 1), ...more);
      reached();
      carryOut(touched, ...more);
    };
  } else if (step === "answer") {
    const turn = core.turn.bind(core);
    core.turn = (...args) => {
      turn(...args);
      if (core.effects.list.some(({ kind }) => kind === "reply")) reached();
    };
  }
}
