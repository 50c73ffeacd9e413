import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { AttributeFlag } from "../wire/attribute-flags.ts";
import { WellKnownCommunity } from "../wire/community-text.ts";
import type { PathAttributes } from "../wire/path-attributes.ts";
import { type BestPathConfig, defaultBestPath, stepNames } from "./best-path.ts";
import { NeighborFlag } from "./neighbor-columns.ts";
import { RibFixture, sequence } from "./rib-fixture.ts";

interface Arrival {
  readonly neighbor: number;
  readonly pathId: number;
  readonly attributes: Partial<PathAttributes>;
  readonly nowS: number;
}

const attributes: fc.Arbitrary<Partial<PathAttributes>> = fc.record({
  localPref: fc.constantFrom(undefined, 100, 200),
  med: fc.constantFrom(undefined, 0, 1, 2),
  origin: fc.constantFrom(0, 1),
  asPath: fc.constantFrom(sequence(1), sequence(2), sequence(3, 4), sequence(1, 4)),
  originatorId: fc.constantFrom(undefined, 1, 2),
  clusterList: fc.constantFrom([], [1], [1, 2]),
  communities: fc.constantFrom([], [], [WellKnownCommunity.llgrStale]),
});

/** Up to seven paths of one prefix, each from another (neighbor, path id). */
const arrivals: fc.Arbitrary<Arrival[]> = fc.uniqueArray(
  fc.record({ neighbor: fc.nat(6), pathId: fc.nat(1), attributes, nowS: fc.nat(2) }),
  { minLength: 1, maxLength: 7, selector: ({ neighbor, pathId }) => `${neighbor} ${pathId}` },
);

const config: fc.Arbitrary<BestPathConfig> = fc.record({
  alwaysCompareMed: fc.boolean(),
  missingMedWorst: fc.boolean(),
  ignoreAsPathLength: fc.boolean(),
  preferOldest: fc.boolean(),
  steps: fc.oneof(fc.constant([]), fc.shuffledSubarray([...stepNames])),
});

/** Neighbors 1 to 3 are external, 4 to 6 internal, 0 is the speaker itself. */
function fixture(settings: BestPathConfig): RibFixture {
  const rib = new RibFixture();
  for (let id = 1; id <= 6; id++) {
    rib.neighbors.flags[id] = id <= 3 ? NeighborFlag.external : 0;
    rib.neighbors.routerId[id] = [0, 2, 1, 1, 2, 1, 3][id];
  }
  rib.best.configure(settings);
  return rib;
}

function fill(rib: RibFixture, order: readonly Arrival[]): number {
  const row = rib.prefix("10.0.0.0/8");
  for (const { neighbor, pathId, attributes: values, nowS } of order) {
    rib.announce(neighbor, row, values, { pathId, nowS });
  }
  return row;
}

const names = ({ table }: RibFixture, paths: readonly number[]): string[] =>
  paths.map((path) => `${table.paths.neighbor[path]} ${table.paths.idOf(path)}`);

/** RFC 9494 4.3: a long-lived stale path comes after every other, whatever the steps. */
function assertStaleLast({ table, attributes }: RibFixture, ranked: readonly number[]): void {
  const stale = ranked.map(
    (path) => (attributes.flags[table.paths.attr[path]] & AttributeFlag.llgrStale) !== 0,
  );
  assert.deepEqual(stale, stale.toSorted());
}

suite("BestPath", () => {
  test("the best path and the whole ranking do not depend on the order of arrival, whatever the steps", () => {
    fc.assert(
      fc.property(config, arrivals, fc.infiniteStream(fc.nat()), (settings, paths, random) => {
        const rib = fixture(settings);
        const row = fill(rib, paths);
        const ranked = names(rib, rib.best.rank(rib.table.paths, rib.table.head[row]));
        assert.equal(ranked.length, paths.length);
        assert.deepEqual(names(rib, [rib.table.bestOf(row)]), ranked.slice(0, 1));
        assertStaleLast(rib, rib.best.rank(rib.table.paths, rib.table.head[row]));
        for (let round = 0; round < 4; round++) {
          const shuffled = paths
            .map((path) => ({ path, key: random.next().value as number }))
            .sort((a, b) => a.key - b.key)
            .map(({ path }) => path);
          const other = fixture(settings);
          const otherRow = fill(other, shuffled);
          assert.deepEqual(
            names(other, other.best.rank(other.table.paths, other.table.head[otherRow])),
            ranked,
          );
          assert.deepEqual(names(other, [other.table.bestOf(otherRow)]), ranked.slice(0, 1));
        }
      }),
      { numRuns: 500 },
    );
  });

  test("the ranking is the order in which paths would be chosen one after the other", () => {
    fc.assert(
      fc.property(config, arrivals, (settings, paths) => {
        const rib = fixture(settings);
        const row = fill(rib, paths);
        const { table } = rib;
        const ranked = names(rib, table.ranked(row));
        const chosen: string[] = [];
        for (let best = table.bestOf(row); best !== 0; best = table.bestOf(row)) {
          chosen.push(...names(rib, [best]));
          table.removePath(best);
        }
        assert.deepEqual(ranked, chosen);
      }),
      { numRuns: 300 },
    );
  });

  test("comparison is antisymmetric, and total and transitive among paths of one neighbor AS or with MED compared", () => {
    fc.assert(
      fc.property(config, arrivals, (settings, paths) => {
        const rib = fixture({ ...settings, alwaysCompareMed: true });
        const row = fill(rib, paths);
        const { table, best } = rib;
        const rows: number[] = [];
        for (let path = table.head[row]; path !== 0; path = table.paths.next[path]) rows.push(path);
        const compare = (a: number, b: number): number => Math.sign(best.compare(table.paths, a, b));
        for (const a of rows) {
          for (const b of rows) {
            assert.equal(compare(a, b) + compare(b, a), 0);
            assert.equal(compare(a, b) === 0, a === b);
            for (const c of rows) if (compare(a, b) < 0 && compare(b, c) < 0) assert(compare(a, c) < 0);
          }
        }
      }),
    );
  });

  test("an explanation ends with the step that decides, and reads the same way", () => {
    fc.assert(
      fc.property(config, arrivals, (settings, paths) => {
        const rib = fixture(settings);
        const row = fill(rib, paths);
        const { table, best } = rib;
        const ranked = best.rank(table.paths, table.head[row]);
        for (const path of ranked.slice(1)) {
          const lines = best.explain(table.paths, ranked[0], path);
          const last = lines[lines.length - 1];
          assert.equal(Math.sign(last.order!), -Math.sign(best.compare(table.paths, ranked[0], path)));
          for (const line of lines.slice(0, -1)) assert(!line.order);
        }
      }),
    );
  });

  test("the classic case where MED makes pairwise comparison go in circles", () => {
    const medium = { asPath: sequence(1, 9), med: 1 };
    const paths = [
      { neighbor: 1, pathId: 0, attributes: { asPath: sequence(1, 9), med: 2 }, nowS: 0 },
      { neighbor: 2, pathId: 0, attributes: medium, nowS: 0 },
      { neighbor: 3, pathId: 0, attributes: { asPath: sequence(2, 9) }, nowS: 0 },
    ];
    for (const order of [
      [0, 1, 2],
      [0, 2, 1],
      [1, 0, 2],
      [1, 2, 0],
      [2, 0, 1],
      [2, 1, 0],
    ]) {
      const rib = fixture(defaultBestPath);
      // Router ids: 1 beats 3 beats 2, but 2 beats 1 by MED.
      rib.neighbors.routerId.set([0, 1, 3, 2]);
      const row = fill(
        rib,
        order.map((i) => paths[i]),
      );
      assert.equal(rib.table.paths.neighbor[rib.table.bestOf(row)], 3);
    }
  });
});
