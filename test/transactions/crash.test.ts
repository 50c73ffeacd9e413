/**
 * kill -9 at every step of a write: a child applies transactions through the API and prints the generation and hash of
 * each that was acknowledged; whatever is found afterwards is whole, has the hash noted with its generation, and is no
 * older than the last acknowledgement. `CAIRN_CRASH_RUNS` kills per step, default 3.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { ConfigService } from "../../src/gen/cairn/v1/config_service_pb.ts";
import { stateDir, World } from "./world.ts";

const runs = Number(process.env.CAIRN_CRASH_RUNS ?? 3);

for (const step of ["before-begin", "after-insert", "before-commit", "after-commit", "before-ack"]) {
  test(`kill -9 at ${step}: the state is that of a whole generation, none acknowledged is lost`, async (t) => {
    const dir = stateDir(t);
    for (let run = 1; run <= runs; run++) {
      const writer = join(import.meta.dirname, "crash-writer.ts");
      const child = spawnSync(process.execPath, [writer, dir, String(run)], {
        env: { ...process.env, CAIRN_STORE_FAULT: `${step}:${run * 7}` },
        encoding: "utf8",
        timeout: 30_000,
      });
      assert.equal(child.signal, "SIGKILL", child.stderr);
      const lines = child.stdout
        .trim()
        .split("\n")
        .filter((line) => line !== "");
      const [generation = "0", hash] = lines.at(-1)?.split(" ") ?? [];
      const world = await World.start(dir);
      const { view } = world.loop;
      assert.ok(view.generation >= Number(generation), `${generation} was acknowledged`);
      const config = world.client(ConfigService);
      if (view.generation > 0) {
        const found = await config.getGeneration({});
        assert.equal(found.generation?.configHash, view.configHash, "objects and generation agree");
      }
      if (view.generation === Number(generation) && hash) assert.equal(view.configHash, hash);
      const { chain } = await config.listAudit({ verify: true });
      assert.equal(chain?.intact, true);
      await world.stop();
    }
  });
}
