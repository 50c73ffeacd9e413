import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { GlobalSpecSchema } from "../gen/cairn/v1/global_service_pb.ts";
import { Core } from "../state/core.ts";
import { ObjectStore } from "../state/objects.ts";
import type { StoredObject, StoreRow } from "../state/rows.ts";
import { databaseName, prepareDatabase } from "./database.ts";
import { Journal } from "./journal.ts";
import { migrations } from "./migrations.ts";
import { openSql, sqlErrorText } from "./sqlite.ts";
import { openStore, type Store, StoreError } from "./store.ts";

const root = mkdtempSync(join(tmpdir(), "cairn-store-"));
after(() => rmSync(root, { recursive: true, force: true }));
let dirs = 0;
const newDir = (): string => join(root, `state-${dirs++}`);

/** Persists with `seq` and waits for what becomes of it. */
function persist(store: Store, seq: number, rows: readonly StoreRow[]): Promise<string> {
  return new Promise((resolve) => {
    store.listen({
      committed: (done) => done >= seq && resolve("committed"),
      failed: (_from, error) => resolve(error),
    });
    store.persist(seq, rows);
  });
}

const events = (from: number, count: number): StoreRow => ({
  table: "events",
  events: Array.from({ length: count }, (_, i) => ({
    id: from + i,
    time: from + i,
    topic: "cairn.test",
    object: "Neighbor/192.0.2.1",
    severity: 1,
    summary: `event ${from + i}`,
    facts: { n: String(i) },
    generation: 1,
  })),
});

const generation = (number: number, puts: string[], deletes: string[] = []): StoreRow => ({
  table: "generation",
  generation: number,
  time: number,
  principal: "test",
  source: "api",
  reason: "because",
  changes: [],
  puts: puts.map((name) => ({
    kind: "Policy",
    name,
    spec: { name },
    generation: number,
    created: 1,
    updated: 2,
    managedBy: "api",
  })),
  deletes: deletes.map((name) => ({ kind: "Policy", name })),
});

test("what was persisted is there after a restart", async () => {
  const dir = newDir();
  const first = await openStore(dir);
  assert.equal(first.load(0).generation, 0);
  assert.equal(await persist(first, 1, [generation(1, ["a", "b"]), events(1, 5)]), "committed");
  const request: StoreRow = {
    table: "mutation",
    requestId: "r",
    principal: "p",
    time: 500,
    digest: "d",
    outcome: { ok: true },
  };
  const route = {
    prefix: "192.0.2.0/24",
    pathId: 7,
    path: { prefix: "192.0.2.0/24" },
    created: 1,
    expires: 9,
    principal: "p",
  };
  assert.equal(
    await persist(first, 2, [
      generation(2, ["b"], ["a"]),
      request,
      { table: "injected", put: [route], drop: [] },
    ]),
    "committed",
  );
  await first.close();

  const second = await openStore(dir);
  const state = second.load(1000);
  assert.equal(state.generation, 2);
  assert.deepEqual(
    state.objects.map((object) => [object.name, object.generation, object.spec]),
    [["b", 2, { name: "b" }]],
  );
  assert.deepEqual([...state.injected], [route]);
  assert.equal(state.lastEventId, 5);
  assert.deepEqual(
    state.events.map((event) => event.id),
    [1, 2, 3, 4, 5],
  );
  assert.deepEqual(state.requests, [{ requestId: "r", digest: "d", time: 500, outcome: { ok: true } }]);
  assert.equal(
    second.load(500 + 24 * 3600 * 1000).requests.length,
    0,
    "request ids are forgotten after a day",
  );
  assert.deepEqual(
    (await second.read(1, 0, false, 2)).map((event) => event.id),
    [2n, 3n],
  );
  assert.deepEqual(
    (await second.read(0, 4, true, 10)).map((event) => event.id),
    [3n, 2n, 1n],
  );
  assert.equal((await second.read(4, 0, false, 1))[0].facts.n, "4");
  assert.equal(await second.first(), 1);
  await second.close();
});

test("a second daemon is refused and told who is there", async () => {
  const dir = newDir();
  const store = await openStore(dir);
  await assert.rejects(openStore(dir), (error: Error) => {
    assert.ok(error instanceof StoreError);
    return error.message.includes(`pid ${process.pid}`) && error.message.includes(dir);
  });
  await store.close();
  await (await openStore(dir)).close();
});

test("a locked database refuses the change and is usable again after resume", async () => {
  const dir = newDir();
  const store = await openStore(dir);
  const other = openSql(join(dir, databaseName), 0);
  other.exec("BEGIN IMMEDIATE");
  assert.match(await persist(store, 1, [generation(1, ["a"])]), /holds a lock/);
  store.persist(2, [generation(2, ["b"])]); // builds on what failed: dropped
  other.exec("ROLLBACK");
  other.close();
  store.resume(2);
  assert.equal(await persist(store, 3, [generation(1, ["c"])]), "committed");
  await store.close();
  const again = await openStore(dir);
  assert.deepEqual(
    again.load(0).objects.map((object) => object.name),
    ["c"],
  );
  await again.close();
});

test("a full disk refuses the whole group and the next one is written", async () => {
  const dir = newDir();
  await (await openStore(dir)).close();
  let full = true;
  const journal = new Journal(dir, (step) => {
    if (step === "before-commit" && full)
      throw Object.assign(new Error("database or disk is full"), { code: "SQLITE_FULL" });
  });
  assert.throws(
    () => journal.write([generation(1, ["a"]), generation(2, ["b"])]),
    (error) => /disk of the state directory is full/.test(sqlErrorText(error)),
  );
  full = false;
  journal.write([generation(1, ["c"])]);
  journal.close();
  const again = await openStore(dir);
  const state = again.load(0);
  assert.deepEqual(
    state.objects.map((object) => object.name),
    ["c"],
    "nothing of the failed group stayed",
  );
  assert.equal([...state.injected].length, 0);
  await again.close();
});

test("a damaged database is refused with the path of the last backup", async () => {
  const dir = newDir();
  await (await openStore(dir)).close();
  await (await openStore(dir, { reseed: true })).close();
  const [backup] = readdirSync(join(dir, "backups"));
  writeFileSync(join(dir, databaseName), Buffer.alloc(statSync(join(dir, databaseName)).size, 0x5a));
  await assert.rejects(openStore(dir), (error: Error) => {
    return error instanceof StoreError && error.message.includes("damaged") && error.message.includes(backup);
  });
  writeFileSync(join(dir, databaseName), "");
  await (await openStore(dir)).close();
});

test("a damaged page in the middle is found", async () => {
  const dir = newDir();
  const store = await openStore(dir);
  await persist(store, 1, [events(1, 2000)]);
  await store.close();
  const path = join(dir, databaseName);
  const sql = openSql(path, 0);
  const size = statSync(path).size;
  sql.close();
  const { openSync, writeSync, closeSync } = await import("node:fs");
  const fd = openSync(path, "r+");
  writeSync(fd, Buffer.alloc(4096 * 4, 0xff), 0, 4096 * 4, Math.floor(size / 4096 / 2) * 4096);
  closeSync(fd);
  await assert.rejects(openStore(dir), /damaged.*no backup/s);
});

test("schema migrations run in order after a backup; a newer schema is refused", async () => {
  const dir = newDir();
  const store = await openStore(dir);
  await persist(store, 1, [generation(1, ["a"])]);
  await store.close();
  const newest = migrations[migrations.length - 1].version;
  const next = [
    ...migrations,
    { version: newest + 1, name: "test", sql: "CREATE TABLE extra (x INTEGER) STRICT" },
  ];
  prepareDatabase(dir, next);
  assert.match(readdirSync(join(dir, "backups"))[0], new RegExp(`schema-${newest}\\.db$`));
  await assert.rejects(openStore(dir), new RegExp(`schema version ${newest + 1}.*knows ${newest}`));
  const broken = [
    ...next,
    { version: newest + 2, name: "broken", sql: "CREATE TABLE extra (x INTEGER) STRICT" },
  ];
  assert.throws(() => prepareDatabase(dir, broken), StoreError);
  prepareDatabase(dir, next);
});

const steps = ["before-begin", "after-insert", "before-commit", "after-commit", "before-ack"];

for (const step of steps) {
  test(`kill -9 at ${step} leaves whole generations, and all that were acknowledged`, async () => {
    const dir = newDir();
    for (const nth of [1, 2]) {
      const child = spawnSync(process.execPath, [join(import.meta.dirname, "crash-writer.ts"), dir, "400"], {
        env: { ...process.env, CAIRN_STORE_FAULT: `${step}:${nth}` },
        encoding: "utf8",
      });
      assert.equal(child.signal, "SIGKILL", child.stderr);
      const acked = Math.max(0, ...child.stdout.trim().split("\n").map(Number));
      const store = await openStore(dir);
      const state = store.load(0);
      assert.ok(state.generation >= acked, `${acked} was acknowledged, ${state.generation} is there`);
      const values = [
        ...state.objects.map((object) => object.spec),
        ...[...state.injected].map((route) => route.path),
      ];
      const expected = state.generation === 0 ? [] : [1, 2, 3].map(() => ({ value: state.generation }));
      assert.deepEqual(values, expected, "a mixture of generations");
      assert.equal(state.requests.length, state.generation, "each generation came with its request id");
      await store.close();
    }
  });
}

test("a clean run acknowledges everything", async () => {
  const dir = newDir();
  const child = spawnSync(process.execPath, [join(import.meta.dirname, "crash-writer.ts"), dir, "50"], {
    encoding: "utf8",
  });
  assert.equal(child.status, 0, child.stderr);
  assert.ok(child.stdout.trim().endsWith("50"));
});

test("objects that are not those of the newest generation are told from what was written", async () => {
  const dir = newDir();
  const store = await openStore(dir);
  const objects = declaredGlobal();
  await persist(store, 1, [generationOf(1, objects.hash, objects.puts)]);
  await store.close();
  const start = async (): Promise<string> => {
    const again = await openStore(dir);
    const core = Core.create(again.load(Date.now()), () => 0.5, 0, Date.now());
    const text = core.ok ? "" : again.damaged(core.problems[0].message);
    await again.close();
    return text;
  };
  assert.equal(await start(), "");
  const sql = openSql(join(dir, databaseName), 0);
  sql.exec(`UPDATE objects SET spec = replace(spec, '65001', '65002')`);
  sql.close();
  assert.match(
    await start(),
    /damaged \(its 1 objects are not those of generation 1: .*nothing was changed\. there is no backup/s,
  );
});

/** The rows of a router with nothing but a Global. */
function declaredGlobal(): { hash: string; puts: StoredObject[] } {
  const objects = new ObjectStore();
  const spec = create(GlobalSpecSchema, { asn: 65001, routerId: "192.0.2.1" });
  const rest = {
    expectedGeneration: 0,
    dryRun: false,
    reason: "",
    requestId: "",
    principal: "",
    source: "api",
  };
  const prepared = objects.prepare({ ops: [{ op: "put", kind: "Global", spec }], ...rest }, 1);
  assert.ok(prepared.ok);
  objects.commit(prepared.value);
  return { hash: objects.hash, puts: [...prepared.value.puts] };
}

function generationOf(generation: number, hash: string, puts: readonly StoredObject[]): StoreRow {
  const who = { time: 1, principal: "test", source: "api", reason: "" };
  return { table: "generation", generation, hash, ...who, changes: [], puts, deletes: [] };
}
