/**
 * Fifty writers at once, each reading a list, adding its name and expecting the generation it read. Every success saw
 * exactly its predecessor, so that the list is the order of generations and nothing is lost; who was answered before
 * another one asked comes before it; readers never see anything else than a prefix of the final order.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { ConfigService } from "../../src/gen/cairn/v1/config_service_pb.ts";
import { PolicyService } from "../../src/gen/cairn/v1/policy_service_pb.ts";
import { file, put, stateDir, World } from "./world.ts";

const writers = 50;
const writesEach = Number(process.env.CAIRN_WRITES_EACH ?? 1);

interface Write {
  readonly name: string;
  readonly expected: bigint;
  readonly generation: bigint;
  /** Places in one sequence of all asking and answering. */
  readonly asked: number;
  readonly answered: number;
}

test(`${writers} writers with expected_generation: one total order, as the history has it`, async (t) => {
  let world = await World.start(stateDir(t));
  const config = world.client(ConfigService);
  const policies = world.client(PolicyService);
  const empty = '[global]\nasn = 65001\nrouter_id = "192.0.2.1"\n[[community_sets]]\nname = "log"\n';
  const { generation: first } = await config.apply(file(empty));
  const writes: Write[] = [];
  const reads: string[][] = [];
  let clock = 0;
  let aborted = 0;

  const write = async (name: string): Promise<void> => {
    for (;;) {
      const { communitySet } = await policies.getCommunitySet({ name: "log" });
      const found = communitySet!.spec!.communities;
      const expected = communitySet!.metadata!.generation;
      reads.push(found);
      const request = put(["CommunitySet", { name: "log", communities: [...found, name] }]);
      const asked = ++clock;
      try {
        const { generation } = await config.apply({ ...request, expectedGeneration: expected });
        writes.push({ name, expected, generation, asked, answered: ++clock });
        return;
      } catch (error) {
        assert.match(String(error), /aborted/);
        aborted++;
        await setImmediate();
      }
    }
  };
  await Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      for (let n = 0; n < writesEach; n++) await write(`${writer + 1}:${n}`);
    }),
  );

  writes.sort((a, b) => Number(a.generation - b.generation));
  writes.forEach(({ expected, generation }, i) => {
    assert.equal(generation, first + BigInt(i) + 1n, "no generation without a writer, none with two");
    assert.equal(expected, generation - 1n, "it saw its predecessor");
  });
  for (const [i, later] of writes.entries()) {
    for (const earlier of writes.slice(0, i)) {
      assert.ok(
        earlier.asked < later.answered,
        `${later.name} was answered before ${earlier.name} was asked`,
      );
    }
  }
  const order = writes.map(({ name }) => name);
  for (const found of reads) assert.deepEqual(found, order.slice(0, found.length), "a read is a prefix");
  world = await world.again();
  const { communitySet } = await world.client(PolicyService).getCommunitySet({ name: "log" });
  assert.deepEqual(communitySet?.spec?.communities, order, "nothing is lost, also over a restart");
  const { generations } = await world.client(ConfigService).listGenerations({});
  assert.deepEqual(
    generations.map(({ generation }) => generation).sort((a, b) => Number(a - b)),
    [first, ...writes.map(({ generation }) => generation)],
  );
  assert.ok(aborted >= writers, "writers met each other");
  t.diagnostic(`${writes.length} writes, ${aborted} refused as stale`);
  await world.stop();
});
