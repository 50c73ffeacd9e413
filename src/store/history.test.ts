/** Generations and the audit on disk: going back, folding, pins, the chain, and a database of schema version 1. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import type { StoredAudit, StoredObject, StoredUndo, StoreRow } from "../state/rows.ts";
import type { HistoryComparison, HistoryObjects } from "../state/view.ts";
import { databaseName, loadState, prepareDatabase } from "./database.ts";
import { Journal } from "./journal.ts";
import { migrations } from "./migrations.ts";
import { openSql } from "./sqlite.ts";

const root = mkdtempSync(join(tmpdir(), "cairn-history-"));
after(() => rmSync(root, { recursive: true, force: true }));
let dirs = 0;

type Objects = Map<string, StoredObject>;

/** A journal and, by generation, everything that was declared then. */
class World {
  readonly dir = join(root, `state-${dirs++}`);
  readonly journal: Journal;
  readonly states: Objects[] = [new Map()];

  constructor(count = 1000, ageMs = Number.MAX_SAFE_INTEGER) {
    mkdirSync(this.dir);
    prepareDatabase(this.dir);
    this.journal = new Journal(this.dir, () => {}, { count, ageMs });
  }

  /** One generation: values for names, undefined deletes. */
  commit(change: Readonly<Record<string, number | undefined>>): void {
    const before = this.states[this.states.length - 1];
    const now = new Map(before);
    const generation = this.states.length;
    const puts: StoredObject[] = [];
    const undo: StoredUndo[] = [];
    const deletes: { kind: string; name: string }[] = [];
    for (const [name, value] of Object.entries(change)) {
      const old = before.get(name);
      if (value === undefined && !old) continue;
      undo.push({ kind: "Policy", name, before: old ?? null });
      if (value === undefined) {
        now.delete(name);
        deletes.push({ kind: "Policy", name });
        continue;
      }
      const object = { kind: "Policy", name, spec: { value }, generation, created: 1, updated: generation };
      now.set(name, { ...object, managedBy: "test" });
      puts.push({ ...object, managedBy: "test" });
    }
    this.states.push(now);
    this.journal.write([generationRow(generation, puts, deletes, undo)]);
  }

  pin(generation: number, pinned: boolean): void {
    this.journal.write([{ table: "pin", generation, pinned }]);
  }

  objectsAt(generation: number): Record<string, unknown> | undefined {
    const answer = this.journal.history.answer({ ask: "objects", generation }) as HistoryObjects | undefined;
    return answer && Object.fromEntries(answer.objects.map(({ name, spec }) => [name, spec]));
  }

  expected(generation: number): Record<string, unknown> {
    return Object.fromEntries([...this.states[generation]].map(([name, { spec }]) => [name, spec]));
  }
}

function generationRow(
  generation: number,
  puts: StoredObject[],
  deletes: { kind: string; name: string }[],
  undo: StoredUndo[],
): StoreRow {
  const changes = undo.map(({ kind, name }) => ({ kind, name }));
  const who = { time: generation * 1000, principal: "test", source: "api", reason: "" };
  return {
    table: "generation",
    generation,
    parent: generation - 1,
    hash: `h${generation}`,
    restores: 0,
    ...who,
    changes,
    puts,
    deletes,
    undo,
  };
}

const change = fc.dictionary(
  fc.constantFrom("a", "b", "c", "d"),
  fc.option(fc.integer({ min: 0, max: 9 }), { nil: undefined }),
  { minKeys: 1, maxKeys: 3 },
);

test("every retained generation is told as it was, whatever was folded and pinned", () => {
  fc.assert(
    fc.property(
      // Long enough that generations are let go: that is looked at once in 64.
      fc.array(change, { minLength: 70, maxLength: 200, size: "max" }),
      fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 5 }),
      fc.integer({ min: 1, max: 60 }),
      (changes, pins, count) => {
        const world = new World(count);
        try {
          changes.forEach((each, i) => {
            world.commit(each);
            if (pins.includes(i + 1)) world.pin(i + 1, true);
          });
          const newest = changes.length;
          let told = 0;
          for (let generation = 1; generation <= newest; generation++) {
            const objects = world.objectsAt(generation);
            const wanted = generation > newest - count || pins.includes(generation);
            assert.ok(objects || !wanted, `generation ${generation} of ${newest} should be retained`);
            if (!objects) continue;
            told++;
            assert.deepEqual(objects, world.expected(generation), `generation ${generation}`);
          }
          assert.ok(told < newest || newest < count + 64 + pins.length, "none was let go");
          assert.ok(told <= count + 64 + pins.length, `${told} are retained`);
        } finally {
          world.journal.close();
        }
      },
    ),
    { numRuns: Number(process.env.CAIRN_RUNS ?? 12) },
  );
});

test("a generation in pieces is written as one that comes whole", () => {
  const [whole, pieces] = [new World(), new World()];
  const row = generationRow(
    1,
    ["a", "b"].map((name) => stored(name, 1)),
    [],
    ["a", "b"].map((name) => ({ kind: "Policy", name, before: null })),
  );
  assert.ok(row.table === "generation");
  whole.journal.write([row]);
  const { changes, puts, undo = [], ...rest } = row;
  const piece = (i: number) => ({
    changes: JSON.stringify((changes as unknown[]).slice(i, i + 1)),
    objects: JSON.stringify({ puts: [puts[i]], deletes: [], undo: [undo[i]] }),
  });
  pieces.journal.write([{ ...rest, changes: [], puts: [], deletes: [], pieces: [piece(0), piece(1)] }]);
  for (const ask of [
    { ask: "objects", generation: 1 },
    { ask: "compare", from: 1, to: 1 },
  ] as const)
    assert.deepEqual(pieces.journal.history.answer(ask), whole.journal.history.answer(ask));
  assert.deepEqual(pieces.objectsAt(1), { a: { value: 1 }, b: { value: 1 } });
});

function stored(name: string, value: number): StoredObject {
  return { kind: "Policy", name, spec: { value }, generation: 1, created: 1, updated: 1, managedBy: "test" };
}

test("two generations compared say what differs, in both directions", () => {
  const world = new World();
  world.commit({ a: 1, b: 1 });
  world.commit({ a: 2 });
  world.commit({ c: 1 });
  world.commit({ a: 1, b: undefined });
  const compare = (from: number, to: number): unknown[] => {
    const answer = world.journal.history.answer({ ask: "compare", from, to }) as HistoryComparison;
    assert.equal(answer.newest, 4);
    return answer.differences.map(({ name, from: a, to: b }) => [name, a?.spec ?? null, b?.spec ?? null]);
  };
  assert.deepEqual(compare(1, 2), [["a", { value: 1 }, { value: 2 }]]);
  assert.deepEqual(compare(2, 1), [["a", { value: 2 }, { value: 1 }]]);
  assert.deepEqual(compare(1, 4), [
    ["b", { value: 1 }, null],
    ["c", null, { value: 1 }],
  ]);
  assert.deepEqual(compare(3, 3), []);
  assert.equal(world.journal.history.answer({ ask: "compare", from: 1, to: 5 }), undefined);
  world.journal.close();
});

const attempt = (n: number): StoredAudit => ({
  time: n,
  principal: n % 2 ? "odd" : "even",
  address: "unix",
  method: "cairn.v1.ConfigService/Apply",
  reason: `reason ${n}`,
  requestId: "",
  accepted: n % 3 > 0,
  code: n % 3 > 0 ? "" : "INVALID",
  detail: "",
  generation: n,
});

test("audit rows are chained; a row that is changed, put in or missing is found", () => {
  const world = new World();
  for (let n = 1; n <= 50; n++) world.journal.write([{ table: "audit", entries: [attempt(n)] }]);
  const ask = (from: number) => world.journal.history.answer({ ask: "verify", from, max: 20 });
  const first = ask(0) as { next: number; brokenAt: number };
  assert.deepEqual([first.next, first.brokenAt], [21, 0]);
  world.journal.close();
  const verify = (): number => {
    const journal = new Journal(world.dir, () => {});
    let broken = 0;
    for (let from = 0, going = true; going; ) {
      const step = journal.history.answer({ ask: "verify", from, max: 20 }) as {
        next: number;
        brokenAt: number;
      };
      broken ||= step.brokenAt;
      from = step.next;
      going = from !== 0;
    }
    journal.close();
    return broken;
  };
  assert.equal(verify(), 0);
  const tamper = (text: string): void => {
    const sql = openSql(join(world.dir, databaseName), 100);
    sql.exec(text);
    sql.close();
  };
  tamper("UPDATE audit SET reason = 'nothing to see' WHERE id = 30");
  assert.equal(verify(), 30);
  tamper("UPDATE audit SET reason = 'reason 30' WHERE id = 30");
  assert.equal(verify(), 0);
  const copied =
    "time, principal, address, method, reason, request_id, accepted, code, detail, generation, hash";
  tamper(`INSERT INTO audit (id, ${copied}) SELECT 51, ${copied} FROM audit WHERE id = 50`);
  assert.equal(verify(), 51);
  tamper("DELETE FROM audit WHERE id = 51");
  tamper("DELETE FROM audit WHERE id = 33");
  assert.equal(verify(), 33);
});

test("a database of schema version 1 is migrated after a backup, and its newest generation can be gone back to", () => {
  const dir = join(root, `state-${dirs++}`);
  mkdirSync(dir);
  prepareDatabase(dir, migrations.slice(0, 1));
  const sql = openSql(join(dir, databaseName), 100);
  sql.exec(`
    INSERT INTO generations VALUES
      (1, 1000, 'cairnd', 'file', 'first start', '[{"kind":"Policy","name":"a"}]'),
      (2, 2000, 'unix:0', 'api', 'more', '[{"kind":"Policy","name":"b"}]');
    INSERT INTO objects VALUES
      ('Policy', 'a', '{"value":1}', 1, 1000, 1000, 'file'),
      ('Policy', 'b', '{"value":2}', 2, 2000, 2000, 'api');
    INSERT INTO events VALUES (7, 2000, 'cairn.config.generation.committed', '', 1, 's', '{}', 2);
    INSERT INTO mutations VALUES ('r', 'unix:0', 2000, 'd', '{"ok":true}');
    INSERT INTO injected VALUES ('192.0.2.0/24', 0, '{}', 1, 0, 'p');
  `);
  sql.close();
  prepareDatabase(dir);
  assert.match(readdirSync(join(dir, "backups"))[0], /schema-1\.db$/);
  const state = loadState(dir, 3000);
  assert.equal([...state.injected].length, 1);
  assert.deepEqual([state.generation, state.objects.length, state.lastEventId], [2, 2, 7]);
  assert.deepEqual([state.hash, state.pending], [undefined, undefined]);
  const journal = new Journal(dir, () => {});
  const object = {
    kind: "Policy",
    name: "a",
    spec: { value: 3 },
    generation: 3,
    created: 1000,
    updated: 3000,
  };
  const before = { ...object, spec: { value: 1 }, generation: 1, updated: 1000, managedBy: "file" };
  journal.write([
    generationRow(3, [{ ...object, managedBy: "api" }], [], [{ kind: "Policy", name: "a", before }]),
  ]);
  const at = (generation: number): unknown =>
    (journal.history.answer({ ask: "objects", generation }) as HistoryObjects | undefined)?.objects
      .map(({ name, spec }) => [name, spec])
      .sort();
  assert.deepEqual(at(2), [
    ["a", { value: 1 }],
    ["b", { value: 2 }],
  ]);
  assert.deepEqual(at(3), [
    ["a", { value: 3 }],
    ["b", { value: 2 }],
  ]);
  assert.equal(at(1), undefined, "what generation 1 declared was never noted");
  const listed = journal.history.answer({
    ask: "generations",
    query: { before: 0, max: 10, principal: "" },
  }) as { generation: number; parent: number }[];
  assert.deepEqual(
    listed.map(({ generation, parent }) => [generation, parent]),
    [
      [3, 2],
      [2, 1],
      [1, 0],
    ],
  );
  journal.close();
});
