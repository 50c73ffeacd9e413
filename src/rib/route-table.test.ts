import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { WellKnownCommunity } from "../wire/community-text.ts";
import type { PathAttributes } from "../wire/path-attributes.ts";
import { NlriList } from "../wire/scratch.ts";
import { after } from "./change-list.ts";
import { RouteHistory } from "./history.ts";
import { noMultipath } from "./multipath.ts";
import { NeighborFlag } from "./neighbor-columns.ts";
import { epochs, RejectReason } from "./path-flags.ts";
import { RibFixture, sequence } from "./rib-fixture.ts";

interface ModelPath {
  readonly neighbor: number;
  readonly pathId: number;
  readonly attributes: Partial<PathAttributes>;
  readonly rejected: boolean;
  readonly epoch: number;
}

/** Neighbors 1 to 4: 3 and 4 are internal, 2 has the smallest router id. */
const routerIds = [0, 4, 1, 3, 2];
const { llgrStale } = WellKnownCommunity;
const isExternal = (neighbor: number): boolean => neighbor < 3;

/** RFC 4271 9.1.2.2 word for word: a set of routes from which each step removes some. */
function bestByTheText(paths: readonly ModelPath[]): ModelPath | undefined {
  let left = paths.filter((path) => !path.rejected);
  const keepLeast = (of: (path: ModelPath) => number): void => {
    const least = Math.min(...left.map(of));
    left = left.filter((path) => of(path) === least);
  };
  const asns = (path: ModelPath): readonly number[] => path.attributes.asPath?.[0]?.asns ?? [];
  keepLeast((path) => (path.attributes.communities?.includes(llgrStale) ? 1 : 0)); // RFC 9494 4.3
  keepLeast((path) => -(path.attributes.localPref ?? 100));
  keepLeast((path) => asns(path).length);
  keepLeast((path) => path.attributes.origin ?? 0);
  const med = (path: ModelPath): number => path.attributes.med ?? 0;
  left = left.filter((m) => !left.some((n) => (asns(m)[0] ?? 0) === (asns(n)[0] ?? 0) && med(n) < med(m)));
  keepLeast((path) => (isExternal(path.neighbor) ? 0 : 1));
  keepLeast((path) => routerIds[path.neighbor]);
  keepLeast((path) => path.neighbor);
  keepLeast((path) => path.pathId);
  return left[0];
}

const attributes: fc.Arbitrary<Partial<PathAttributes>> = fc.record({
  localPref: fc.constantFrom(undefined, 100, 200),
  med: fc.constantFrom(undefined, 1, 2),
  origin: fc.constantFrom(0, 2),
  communities: fc.constantFrom([], [], [llgrStale]),
  asPath: fc.constantFrom(sequence(100, 1), sequence(200, 1), sequence(300, 1), sequence(100), sequence()),
});

const neighbor = fc.integer({ min: 1, max: 4 });
const prefix = fc.integer({ min: 1, max: 3 });
const pathId = fc.nat(1);
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      what: fc.constant("announce" as const),
      neighbor,
      prefix,
      pathId,
      attributes,
      rejected: fc.nat(4).map((n) => n === 0),
    }),
  },
  { weight: 4, arbitrary: fc.record({ what: fc.constant("withdraw" as const), neighbor, prefix, pathId }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant("reject" as const), neighbor, prefix, pathId }) },
  {
    weight: 1,
    arbitrary: fc.record({
      what: fc.constantFrom("restart" as const, "sweep" as const),
      neighbor,
      kept: fc.nat(2),
    }),
  },
  { weight: 2, arbitrary: fc.record({ what: fc.constantFrom("pass" as const, "reap" as const) }) },
);

suite("RouteTable", () => {
  test("against plain objects: best path, counters, what moved to the tail, what is forgotten when", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100, size: "max" }), (steps) => {
        const rib = new RibFixture();
        const { table, neighbors } = rib;
        for (let id = 1; id <= 4; id++) {
          neighbors.flags[id] = isExternal(id) ? NeighborFlag.external : 0;
          neighbors.routerId[id] = routerIds[id];
        }
        const model = new Map<number, ModelPath[]>();
        const cursor = table.addMarker();
        table.changes.markTail(cursor);
        const address = (number: number): Uint8Array => Uint8Array.of(10, number, 0, 0);
        const rowOf = (number: number): number => table.prefixes.find(address(number), 0, 16);

        for (const each of steps) {
          const before = [1, 2, 3].map((number) => snapshot(rib, rowOf(number)));
          const revision = table.changes.revision;
          if (each.what === "announce") {
            const { what: _, prefix: number, ...path } = each;
            const list = model.get(number) ?? [];
            model.set(number, list);
            const at = list.findIndex((p) => p.neighbor === path.neighbor && p.pathId === path.pathId);
            list.splice(at < 0 ? list.length : at, 1, { ...path, epoch: table.epoch[path.neighbor] });
            const isNew = rib.announce(path.neighbor, table.prefix(address(number), 0, 16), path.attributes, {
              pathId: path.pathId,
              reason: path.rejected ? RejectReason.policy : RejectReason.none,
            });
            assert.equal(isNew, at < 0);
          } else if (each.what === "withdraw") {
            const had = drop(
              model,
              each.prefix,
              (p) => p.neighbor === each.neighbor && p.pathId === each.pathId,
            );
            assert.equal(table.withdraw(each.neighbor, rowOf(each.prefix), each.pathId), had);
          } else if (each.what === "reject") {
            // Import policy was changed: the path is kept, but may no longer be chosen.
            const path = table.find(each.neighbor, rowOf(each.prefix), each.pathId);
            if (path === 0) continue;
            const { paths } = table;
            table.rewrite(
              path,
              paths.received[path],
              paths.received[path],
              paths.flags[path] | RejectReason.policy,
              1,
            );
            const list = model.get(each.prefix)!;
            const at = list.findIndex((p) => p.neighbor === each.neighbor && p.pathId === each.pathId);
            list[at] = { ...list[at], rejected: true };
          } else if (each.what === "restart") {
            table.beginEpoch(each.neighbor);
            // Numbers of epochs come round: what is older is swept before.
            const oldest = table.epoch[each.neighbor] - epochs;
            for (const number of model.keys()) {
              drop(model, number, (p) => p.neighbor === each.neighbor && p.epoch <= oldest);
            }
          } else if (each.what === "sweep") {
            const epoch = table.epoch[each.neighbor] - each.kept;
            for (let from = 1; from !== 0; ) from = table.sweepNeighbor(each.neighbor, epoch, from, 3);
            for (const number of model.keys()) {
              drop(model, number, (p) => p.neighbor === each.neighbor && p.epoch < epoch);
            }
          } else if (each.what === "pass") {
            const tail = table.changes.before(0);
            if (tail !== cursor) table.changes.moveAfter(cursor, tail);
          } else {
            const { next } = table.changes;
            const unseen: number[] = [];
            for (let row = next[cursor]; row !== 0; row = next[row]) unseen.push(row);
            table.reap(table.changes.revisionOf[cursor], 100);
            for (const row of unseen)
              assert(table.changes.has(row) && !table.isMarker(row), "forgotten unseen");
          }
          checkCounters(rib, model);
          for (const number of [1, 2, 3]) {
            const row = rowOf(number);
            const now = snapshot(rib, row);
            const best = bestByTheText(model.get(number) ?? []);
            const path = table.bestOf(row);
            assert.deepEqual(
              path === 0 ? undefined : [table.paths.neighbor[path], table.paths.idOf(path)],
              best && [best.neighbor, best.pathId],
            );
            if (now !== before[number - 1] && row !== 0) {
              assert(
                after(table.changes.revisionOf[row], revision),
                "a change of the best path moves the prefix",
              );
            }
          }
        }
        for (let id = 1; id <= 4; id++)
          table.sweepNeighbor(id, Number.POSITIVE_INFINITY, 1, table.paths.rows);
        table.removeMarker(cursor);
        table.reap(table.changes.revision, 100);
        assert.equal(rib.attributes.count, 0, "no reference is left");
        assert.deepEqual([table.prefixes.count, table.paths.count, table.bestCount], [0, 0, 0]);
        assert.equal(table.changes.next[0], 0);
      }),
      { numRuns: Number(process.env.CAIRN_RUNS ?? 300) },
    );
  });

  test("a watch cannot go on from before the latest prefix that was forgotten", () => {
    const rib = new RibFixture();
    const { table } = rib;
    const [p, q] = [rib.prefix("10.1.0.0/16"), rib.prefix("10.2.0.0/16")];
    const announce = (row: number): boolean => rib.announce(1, row, { asPath: sequence(1) });
    announce(p);
    table.withdraw(1, p, 0);
    announce(p);
    announce(q);
    table.withdraw(1, q, 0);
    table.withdraw(1, p, 0);
    const last = table.changes.revision;
    table.reap(last, 10);
    assert.equal(table.prefixes.count, 0);
    assert.equal(table.forgottenRevision, last);
  });

  test("a pinned prefix outlives its paths, and everybody sees it go", () => {
    const rib = new RibFixture();
    const { table } = rib;
    const row = rib.prefix("0.0.0.0/0");
    table.pin(row);
    table.pin(row);
    rib.announce(1, row, {});
    table.withdraw(1, row, 0);
    table.unpin(row);
    table.reap(table.changes.revision, 10);
    assert.equal(table.prefixes.count, 1);
    const { revision } = table.changes;
    table.unpin(row);
    assert(after(table.changes.revisionOf[row], revision));
    table.reap(revision, 10);
    assert.equal(table.prefixes.count, 1, "not before everybody has passed it");
    table.reap(table.changes.revision, 10);
    assert.equal(table.prefixes.count, 0);
  });
});

suite("announceAll", () => {
  const lists = fc.array(
    fc.record({
      neighbor: fc.integer({ min: 1, max: 3 }),
      set: fc.nat(3),
      after: fc.nat(3),
      reason: fc.constantFrom(
        0,
        0,
        0,
        RejectReason.policy,
        RejectReason.nextHop,
      ) as fc.Arbitrary<RejectReason>,
      prefixes: fc.array(fc.tuple(fc.nat(5), fc.nat(1)), { maxLength: 6 }),
      withdrawn: fc.array(fc.nat(5), { maxLength: 3 }),
      observer: fc.constantFrom("none", "none", "none", "journal", "allPaths", "history", "multipath"),
      refresh: fc.boolean(),
    }),
    { maxLength: 12 },
  );

  test("a list is what its routes are one by one, whoever looks on", () => {
    fc.assert(
      fc.property(lists, (steps) => {
        const worlds = [new RibFixture(), new RibFixture()];
        const told = steps.map((step) => worlds.map((rib, i) => carryOut(rib, step, i === 0)));
        for (const [together, apart] of told) assert.deepEqual(together, apart);
      }),
    );
  });

  type Step = typeof lists extends fc.Arbitrary<(infer T)[]> ? T : never;

  /** One step; everything that can be seen of the table after it. */
  function carryOut(rib: RibFixture, step: Step, together: boolean): unknown {
    const { table, attributes, neighbors } = rib;
    table.followsAllPaths = step.observer === "allPaths";
    table.keepJournal(step.observer === "journal" ? 64 : 0);
    if (step.observer === "multipath") table.configureMultipath({ ...noMultipath, external: 4 });
    table.remember(undefined);
    if (step.observer === "history") {
      const history = new RouteHistory(attributes, neighbors, () => [table]);
      history.configure(100);
      history.at(7000);
    }
    if (step.refresh && table.hasEpochs(step.neighbor)) table.beginEpoch(step.neighbor);
    const received = rib.intern({ asPath: sequence(100, step.set) });
    const attr =
      step.reason === RejectReason.policy ? received : rib.intern({ asPath: sequence(100, step.after) });
    const bytes = Uint8Array.from({ length: 6 }, (_, i) => 10 + i);
    const list = new NlriList();
    for (const [at, pathId] of step.prefixes) list.push(at, 8, pathId);
    let added = false;
    if (together) added = table.announceAll(step.neighbor, bytes, list, received, attr, step.reason, 7);
    else {
      for (const [at, pathId] of step.prefixes) {
        const row = table.prefix(bytes, at, 8);
        if (table.announce(step.neighbor, row, pathId, received, attr, step.reason, 7)) added = true;
      }
    }
    attributes.release(received);
    if (step.reason !== RejectReason.policy) attributes.release(attr);
    for (const at of step.withdrawn) {
      const row = table.prefixes.find(bytes, at, 8);
      if (row !== 0) table.withdraw(step.neighbor, row, 0);
    }
    const rows = Array.from(bytes, (_, at) => table.prefixes.find(bytes, at, 8));
    const chains = rows.map((row) => {
      const chain: string[] = [];
      for (let path = table.head[row]; row !== 0 && path !== 0; path = table.paths.next[path]) {
        const { neighbor, received: before, attr: after, flags, time } = table.paths;
        chain.push(
          [
            path,
            neighbor[path],
            table.paths.idOf(path),
            before[path],
            after[path],
            flags[path],
            time[path],
          ].join(),
        );
      }
      return chain;
    });
    const { bestCount, bestPathRuns, vacantCount } = table;
    const counts = [table.received, table.accepted, table.stale].map((column) => [...column.subarray(0, 4)]);
    const references = Array.from({ length: 12 }, (_, id) => attributes.references(id));
    return [added, rows, chains, bestCount, bestPathRuns, vacantCount, counts, references, rib.changed()];
  }
});

/** What consumers of a prefix see. */
function snapshot({ table }: RibFixture, row: number): string {
  const path = table.bestOf(row);
  return path === 0
    ? ""
    : `${table.paths.neighbor[path]} ${table.paths.idOf(path)} ${table.paths.attr[path]}`;
}

function drop(model: Map<number, ModelPath[]>, prefix: number, which: (path: ModelPath) => boolean): boolean {
  const list = model.get(prefix) ?? [];
  const kept = list.filter((path) => !which(path));
  model.set(prefix, kept);
  return kept.length < list.length;
}

function checkCounters({ table }: RibFixture, model: ReadonlyMap<number, readonly ModelPath[]>): void {
  const all = [...model.values()].flat();
  for (let id = 1; id <= 4; id++) {
    const own = all.filter((path) => path.neighbor === id);
    assert.equal(table.received[id], own.length);
    assert.equal(table.accepted[id], own.filter((path) => !path.rejected).length);
    assert.equal(table.stale[id], own.filter((path) => path.epoch !== table.epoch[id]).length);
  }
  assert.equal(table.paths.count, all.length);
  assert.equal(
    table.bestCount,
    [...model.values()].filter((paths) => paths.some((path) => !path.rejected)).length,
  );
}
