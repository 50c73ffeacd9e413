/** The event log over the API and a real store: catching up from far behind, and being told when that is too far. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { limits } from "../../src/base/limits.ts";
import { ConfigService } from "../../src/gen/cairn/v1/config_service_pb.ts";
import { EventService, WatchEventsResponse_Type as Type } from "../../src/gen/cairn/v1/event_service_pb.ts";
import { databaseName } from "../../src/store/database.ts";
import { openSql } from "../../src/store/sqlite.ts";
import { base, file, put, stateDir, World } from "./world.ts";

const many = 100_000;

test(`a consumer that was away for ${many} events catches up without loss, also over a restart`, async (t) => {
  let world = await World.start(stateDir(t));
  await world.client(ConfigService).apply(file(base));
  const { last: seen } = world.loop.view.eventRange();
  await makeEvents(world, many);
  const { last } = world.loop.view.eventRange();
  assert.ok(last - seen >= many);
  assert.ok(limits.eventRingMax < many, "they do not all fit into memory");
  assert.deepEqual(await follow(world, seen), {
    first: seen + 1,
    last,
    count: last - seen,
    gaps: 0,
    compacted: 0,
  });
  world = await world.again();
  const behind = last - 70_000;
  const again = world.loop.view.eventRange().last;
  const found = await follow(world, behind);
  assert.deepEqual(found, { first: behind + 1, last: again, count: again - behind, gaps: 0, compacted: 0 });
  await world.stop();
});

test("a consumer whose events are gone is told COMPACTED and gets all that there are", async (t) => {
  const dir = stateDir(t);
  let world = await World.start(dir);
  await world.client(ConfigService).apply(file(base));
  await makeEvents(world, limits.eventRingMax + 5_000);
  await world.stop();
  // What retention does when there are too many.
  const sql = openSql(join(dir, databaseName), 1000);
  sql.exec("DELETE FROM events WHERE id <= 3000");
  sql.close();
  world = await World.start(dir);
  const { last } = world.loop.view.eventRange();
  const found = await follow(world, 10);
  assert.deepEqual(found, { first: 3001, last, count: last - 3000, gaps: 0, compacted: 1 });
  await world.stop();
});

test("each generation has its event in the same transaction: neither is seen without the other", async (t) => {
  const dir = stateDir(t);
  const world = await World.start(dir);
  const config = world.client(ConfigService);
  await config.apply(file(base));
  const other = openSql(join(dir, databaseName), 1000);
  const newest = other.prepare(
    "SELECT (SELECT max(generation) FROM generations) AS generation," +
      " (SELECT max(generation) FROM events WHERE topic = 'cairn.config.generation.committed') AS told",
  );
  let looked = 0;
  const writing = (async () => {
    for (let i = 0; i < 60; i++) await config.apply(put(["AsnSet", { name: "s", asns: [String(i + 1)] }]));
  })();
  for (let done = false; !done; ) {
    done = await Promise.race([writing.then(() => true), setImmediate(false)]);
    const row = newest.get()!;
    assert.equal(row.generation, row.told);
    looked++;
  }
  assert.equal(newest.get()!.told, 61);
  assert.ok(looked > 30, `${looked} times`);
  other.close();
  await world.stop();
});

async function makeEvents(world: World, count: number): Promise<void> {
  const { core } = world.loop;
  for (let n = 0; n < count; ) {
    for (let i = 0; i < 2_000 && n < count; i++, n++) {
      core.event("cairn.test.happened", "", 1, `number ${n}`, { n: String(n) });
    }
    world.loop.post({ kind: "host.addresses", addresses: [] }); // a turn, so that they are written
    await setImmediate();
    await world.rest();
  }
  await world.client(ConfigService).apply(put(["AsnSet", { name: `after-${count}` }]));
}

/** What a watch from this id on brings until its bookmark. */
async function follow(world: World, fromId: number) {
  const found = { first: 0, last: fromId, count: 0, gaps: 0, compacted: 0 };
  const stop = new AbortController();
  const watch = world.client(EventService).watchEvents({ fromId: BigInt(fromId) }, { signal: stop.signal });
  for await (const { type, events } of watch) {
    if (type === Type.COMPACTED) found.compacted++;
    for (const { id } of events) {
      if (found.first === 0) found.first = Number(id);
      else if (Number(id) !== found.last + 1) found.gaps++;
      found.last = Number(id);
      found.count++;
    }
    if (type === Type.BOOKMARK) break;
  }
  stop.abort();
  return found;
}
