/**
 * Random objects of all kinds, exported as TOML and as YAML: either file applied to a database that was started over
 * gives the same hash, and so do both to a router that has them already. `CAIRN_ROUND_TRIPS` sets, default 2.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../src/base/random.ts";
import { ConfigFormat, ConfigService } from "../../src/gen/cairn/v1/config_service_pb.ts";
import { presentOf, requestOf, validTransaction } from "./random.ts";
import { file, stateDir, World } from "./world.ts";

const sets = Number(process.env.CAIRN_ROUND_TRIPS ?? 2);
const global = { kind: "Global", spec: { asn: 65001, router_id: "10.0.0.1" } };

test(`${sets} sets of random objects: export, start over, apply: the same hash, in both languages`, async (t) => {
  const random = seededRandom(5);
  const dir = stateDir(t);
  let world = await World.start(dir);
  await world.client(ConfigService).apply(requestOf({ put: [global], delete: [] }));
  let objects = 0;
  for (let set = 0; set < sets; set++) {
    const config = world.client(ConfigService);
    for (let i = 0; i < 12; i++) {
      const { put, delete: gone } = validTransaction(
        random,
        presentOf((kind) => world.loop.view.objects(kind)),
      );
      // What an export hides, no other router can have from it.
      await config.apply(requestOf({ put: put.filter(({ kind }) => kind !== "Keychain"), delete: gone }));
    }
    const present = presentOf((kind) => world.loop.view.objects(kind));
    objects += ["Neighbor", "PeerGroup", "Policy", "PrefixSet", "AsnSet"].reduce(
      (sum, kind) => sum + present.names(kind).length,
      0,
    );
    const { configHash } = world.loop.view;
    const toml = (await config.export({ format: ConfigFormat.TOML })).content;
    const yaml = (await config.export({ format: ConfigFormat.YAML })).content;
    for (const [name, content] of [
      ["cairn.toml", toml],
      ["cairn.yaml", yaml],
    ] as const) {
      const same = await world.client(ConfigService).apply(file(content, true, name));
      assert.deepEqual([same.configHash, same.changes], [configHash, []], `${name} where its objects are`);
      await world.stop();
      world = await World.start(dir, { reseed: true });
      assert.equal(world.loop.view.generation, 0, "the database starts over");
      const seeded = await world.client(ConfigService).apply(file(content, false, name));
      assert.equal(seeded.configHash, configHash, content);
      const other = name === "cairn.toml" ? file(yaml, true, "x.yaml") : file(toml, true, "x.toml");
      const plan = await world.client(ConfigService).plan(other);
      assert.deepEqual(plan.changes, [], "the other language says the same");
    }
  }
  t.diagnostic(`${objects} objects`);
  await world.stop();
});
