/**
 * kill -9 at every step of a write and of what follows: a child applies random transactions through the API, valid ones
 * with an invalid one beside each, and says what it is about to do and what was acknowledged. What is found afterwards
 * is the generation that was acknowledged last or the one under way, hash for hash; never a mixture.
 * `CAIRN_CRASH_RUNS` kills per step, default 1; 9 make more than 500 valid and 500 invalid transactions.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { ConfigService } from "../../src/gen/cairn/v1/config_service_pb.ts";
import { stateDir, World } from "./world.ts";

const runs = Number(process.env.CAIRN_CRASH_RUNS ?? 1);
const persisting = ["before-begin", "after-insert", "before-commit", "after-commit", "before-ack"];
const carryingOut = ["told", "consequences", "answer"];
const counts = { valid: 0, invalid: 0, kills: 0 };

for (const [i, step] of [...persisting, ...carryingOut].entries()) {
  test(`kill -9 at ${step}: a whole generation, none acknowledged is lost`, async (t) => {
    const dir = stateDir(t);
    let last = { generation: 0n, hash: "" };
    for (let run = 1; run <= runs; run++) {
      const said = killedAt(dir, step, i * 1000 + run, 3 + ((run * 5 + i) % (runs > 1 ? 20 : 6)));
      assert.deepEqual(
        said.filter(({ word }) => word === "WRONG"),
        [],
      );
      counts.valid += said.filter(({ word }) => word === "try").length;
      counts.invalid += said.filter(({ word }) => word === "refused").length;
      counts.kills++;
      const acknowledged = said.findLast(({ word }) => word === "done") ?? { ...last, word: "done" };
      const underWay =
        said.at(-1)?.word === "try" ? said.at(-1) : said.findLast(({ word }) => word === "try");
      last = await whatIsThere(dir);
      const possible = [acknowledged, underWay].filter(
        (state) => state && state.generation >= acknowledged.generation,
      );
      assert.ok(
        possible.some((state) => state!.generation === last.generation && state!.hash === last.hash),
        `generation ${last.generation} ${last.hash} is none of ${JSON.stringify(possible.map((s) => [String(s!.generation), s!.hash]))}`,
      );
    }
  });
}

test("transactions, kills", (t: TestContext) => {
  t.diagnostic(`${counts.valid} valid and ${counts.invalid} invalid transactions, ${counts.kills} kills`);
  assert.ok(counts.invalid >= counts.kills && counts.valid >= counts.kills);
});

interface Said {
  readonly word: string;
  readonly generation: bigint;
  readonly hash: string;
}

function killedAt(dir: string, step: string, seed: number, time: number): Said[] {
  const writer = join(import.meta.dirname, "crash-writer.ts");
  const at = `${step}:${time}`;
  const child = spawnSync(
    process.execPath,
    [writer, dir, String(seed), carryingOut.includes(step) ? at : ""],
    {
      env: { ...process.env, CAIRN_STORE_FAULT: persisting.includes(step) ? at : "" },
      encoding: "utf8",
      timeout: 60_000,
    },
  );
  assert.equal(child.signal, "SIGKILL", child.stderr);
  const lines = child.stdout.split("\n").filter((line) => line !== "");
  return lines.map((line) => {
    const [word, generation, hash] = line.split(" ");
    const isState = word === "try" || word === "done";
    return { word, generation: isState ? BigInt(generation) : 0n, hash: isState ? hash : line };
  });
}

/** The state that the next start finds; objects, generation, events and audit agree. */
async function whatIsThere(dir: string): Promise<{ generation: bigint; hash: string }> {
  const world = await World.start(dir);
  const { view } = world.loop;
  const config = world.client(ConfigService);
  if (view.generation > 0) {
    const { generation } = await config.getGeneration({});
    assert.equal(generation?.configHash, view.configHash, "objects and generation agree");
    assert.equal(generation?.generation, BigInt(view.generation));
  }
  const { chain } = await config.listAudit({ verify: true });
  assert.equal(chain?.intact, true);
  const hash = view.generation === 0 ? "" : view.configHash;
  const found = { generation: BigInt(view.generation), hash };
  await world.stop();
  return found;
}
