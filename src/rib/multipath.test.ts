import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { parseExtendedCommunity } from "../wire/community-text.ts";
import type { PathAttributes } from "../wire/path-attributes.ts";
import { type BestPathConfig, defaultBestPath, stepNames } from "./best-path.ts";
import { type BandwidthMode, type MultipathConfig, noMultipath, weightsOf } from "./multipath.ts";
import { NeighborFlag } from "./neighbor-columns.ts";
import { RejectReason } from "./path-flags.ts";
import { RibFixture, sequence } from "./rib-fixture.ts";

const four: MultipathConfig = { ...noMultipath, external: 4, internal: 4 };
const row0 = "10.0.0.0/8";

/** Neighbors 1 to 4 are external, 5 to 8 internal. */
function fixture(config: MultipathConfig, best: Partial<BestPathConfig> = {}): RibFixture {
  const rib = new RibFixture();
  for (let id = 5; id <= 8; id++) rib.neighbors.flags[id] = 0;
  rib.best.configure({ ...defaultBestPath, ...best });
  rib.table.configureMultipath(config);
  return rib;
}

const via = (last: number, asPath = [65010]): Partial<PathAttributes> => ({
  nextHop: Uint8Array.of(192, 0, 2, last),
  asPath: sequence(...asPath),
});

/** Neighbors (and path ids) of the set, best first. */
function membersOf({ table }: RibFixture, row: number): string[] {
  const { paths } = table;
  const name = (path: number): string =>
    `${paths.neighbor[path]}${paths.idOf(path) ? `/${paths.idOf(path)}` : ""}`;
  return table.multipath!.members(paths, table.bestOf(row)).map(name);
}

function kindOf({ table }: RibFixture, row: number, neighbor: number): string {
  const path = table.find(neighbor, row, 0);
  const verdict = table.multipath!.explain(table.paths, table.head[row]).get(path);
  return verdict?.kind === "worse" ? `worse by ${verdict.step}` : (verdict?.kind ?? "");
}

suite("Multipath", () => {
  test("equal paths of one neighbor AS are used side by side, others are not", () => {
    const rib = fixture(four);
    const row = rib.prefix(row0);
    rib.announce(2, row, via(2));
    assert.deepEqual(membersOf(rib, row), [], "one path is no set");
    rib.announce(1, row, via(1));
    rib.announce(3, row, via(3, [65020]));
    rib.announce(4, row, via(4, [65010, 65020]));
    assert.deepEqual(membersOf(rib, row), ["1", "2"]);
    assert.equal(kindOf(rib, row, 2), "used");
    assert.equal(kindOf(rib, row, 3), "neighbor-as");
    assert.equal(kindOf(rib, row, 4), "worse by as-path-length");
    rib.table.withdraw(1, row, 0);
    assert.deepEqual(membersOf(rib, row), []);
    assert.deepEqual([rib.table.multipath!.prefixCount, rib.table.multipath!.pathCount], [0, 0]);
  });

  test("relaxed, the AS paths need only be of equal length", () => {
    const rib = fixture({ ...four, relaxAsPath: true });
    const row = rib.prefix(row0);
    rib.announce(1, row, via(1, [65010, 65030]));
    rib.announce(2, row, via(2, [65020, 65040]));
    rib.announce(3, row, via(3, [65020]));
    assert.deepEqual(membersOf(rib, row), []);
    rib.table.withdraw(3, row, 0);
    assert.deepEqual(membersOf(rib, row), ["1", "2"]);
  });

  test("internal paths have the same AS_PATH, and external ones are never mixed in", () => {
    const rib = fixture({ ...four, internal: 2 });
    const row = rib.prefix(row0);
    rib.announce(5, row, via(5, [65010, 65030]));
    rib.announce(6, row, via(6, [65010, 65030]));
    rib.announce(7, row, via(7, [65010, 65040]));
    assert.deepEqual(membersOf(rib, row), ["5", "6"]);
    assert.equal(kindOf(rib, row, 7), "as-path");
    rib.announce(8, row, via(8, [65010, 65030]));
    assert.equal(kindOf(rib, row, 8), "beyond-limit");
    rib.announce(1, row, via(1, [65010, 65030]));
    assert.deepEqual(membersOf(rib, row), []);
    assert.equal(kindOf(rib, row, 5), "worse by external");

    const unordered = fixture(four, { steps: ["local-pref"] });
    const same = unordered.prefix(row0);
    unordered.announce(1, same, via(1));
    unordered.announce(5, same, via(5));
    assert.equal(kindOf(unordered, same, 5), "side", "whatever the steps");
  });

  test("several paths of one neighbor count; the same next hop counts once", () => {
    const rib = fixture(four);
    const row = rib.prefix(row0);
    rib.announce(1, row, via(1), { pathId: 7 });
    rib.announce(1, row, via(2), { pathId: 8 });
    rib.announce(2, row, via(2), { pathId: 0 });
    assert.deepEqual(membersOf(rib, row), ["1/7", "1/8"]);
    assert.equal(kindOf(rib, row, 2), "same-next-hop");
  });

  test("one link-local address is a next hop of its own on each neighbor's link", () => {
    const rib = fixture(four);
    const row = rib.prefix(row0);
    const linkLocal = { ...via(1), nextHop: Uint8Array.of(0xfe, 0x80, ...new Array<number>(13).fill(0), 1) };
    rib.announce(1, row, linkLocal, { pathId: 1 });
    rib.announce(1, row, linkLocal, { pathId: 2 });
    rib.announce(2, row, linkLocal);
    assert.deepEqual(membersOf(rib, row), ["1/1", "2"]);
  });

  test("a path whose neighbor AS has one with a better MED is not used, as it would never be best", () => {
    const rib = fixture({ ...four, relaxAsPath: true });
    const row = rib.prefix(row0);
    rib.announce(1, row, via(1, [65010]));
    rib.announce(2, row, { ...via(2, [65020]), med: 50 });
    assert.deepEqual(membersOf(rib, row), ["1", "2"]);
    rib.announce(3, row, { ...via(3, [65020]), med: 10 });
    assert.deepEqual(membersOf(rib, row), ["1", "3"]);
    assert.equal(kindOf(rib, row, 2), "med");
  });

  test("a change of the set moves the prefix to the tail of the change list, any other does not", () => {
    const rib = fixture(four);
    const { table } = rib;
    const row = rib.prefix(row0);
    const changes = (work: () => void): boolean => {
      const before = table.changes.revisionOf[row];
      work();
      return table.changes.revisionOf[row] !== before;
    };
    const lb = (rate: number) => ({ extendedCommunities: [parseExtendedCommunity(`lb:65010:${rate}`)!] });
    rib.announce(1, row, via(1));
    assert.ok(
      changes(() => rib.announce(2, row, via(2))),
      "a path joins",
    );
    assert.ok(!changes(() => rib.announce(3, row, via(3, [65020]))), "another one is of no use");
    assert.ok(!changes(() => rib.announce(2, row, via(2))), "the same again");
    assert.ok(
      changes(() => rib.announce(2, row, { ...via(2), ...lb(1000) })),
      "another bandwidth",
    );
    assert.ok(
      changes(() => rib.announce(2, row, { ...via(9), ...lb(1000) })),
      "another next hop",
    );
    assert.ok(!changes(() => table.withdraw(3, row, 0)), "the useless one goes");
    assert.ok(
      changes(() => rib.announce(2, row, via(2), { reason: RejectReason.policy })),
      "rejected",
    );
    assert.ok(
      changes(() => rib.announce(2, row, via(2))),
      "accepted again",
    );
    assert.ok(
      changes(() => table.withdraw(2, row, 0)),
      "a used one goes",
    );
    assert.ok(!changes(() => table.reselect(row)), "nothing to weigh");
  });

  test("a change of the settings is carried out prefix by prefix", () => {
    const rib = fixture(noMultipath);
    assert.equal(rib.table.multipath, undefined, "nothing is kept as long as it is off");
    const row = rib.prefix(row0);
    rib.announce(1, row, via(1));
    rib.announce(2, row, via(2));
    rib.table.configureMultipath(four);
    rib.table.reselect(row);
    assert.deepEqual(membersOf(rib, row), ["1", "2"]);
    const revision = rib.table.changes.revisionOf[row];
    rib.table.configureMultipath({ ...four, bandwidth: "ignore" });
    rib.table.reselect(row);
    assert.notEqual(rib.table.changes.revisionOf[row], revision, "weights may be others now");
    rib.table.configureMultipath(noMultipath);
    rib.table.reselect(row);
    assert.deepEqual(membersOf(rib, row), []);
    assert.equal(rib.table.multipath!.prefixCount, 0);
  });

  test("the set is what an oracle says, bounded, and does not depend on the order of arrival", () => {
    fc.assert(
      fc.property(
        multipathConfig,
        bestConfig,
        churn,
        fc.infiniteStream(fc.nat()),
        (config, best, events, random) => {
          const rib = fixture(config, best);
          const row = rib.prefix(row0);
          const present = new Map<string, Arrival>();
          for (const event of events) {
            const before = rib.table.multipath && shareTexts(rib, row);
            const revision = rib.table.changes.revisionOf[row];
            apply(rib, row, event);
            const key = `${event.neighbor} ${event.pathId}`;
            if (event.attributes) present.set(key, event);
            else present.delete(key);
            if (!rib.table.multipath) continue;
            const now = shareTexts(rib, row);
            if (before && before.join() !== now.join()) {
              assert.notEqual(rib.table.changes.revisionOf[row], revision, "nobody was told of another set");
            }
            assert.deepEqual(membersOf(rib, row), oracle(rib, row, config, best));
          }
          if (!rib.table.multipath) return;
          const { multipath, paths } = rib.table;
          const members = multipath.members(paths, rib.table.bestOf(row));
          assert.equal(multipath.pathCount, members.length);
          assert.equal(multipath.prefixCount, Number(members.length > 0));
          if (members.length > 0) assert.ok(members.length <= multipath.limitFor(paths, members[0]));
          for (const path of members) assert.equal(rib.best.compareMerit(paths, members[0], path), 0);

          const again = fixture(config, best);
          const otherRow = again.prefix(row0);
          for (const event of shuffled([...present.values()], random)) apply(again, otherRow, event);
          assert.deepEqual(membersOf(again, otherRow), membersOf(rib, row));
        },
      ),
      { numRuns: Number(process.env.CAIRN_PROPERTY_RUNS ?? 300) },
    );
  });
});

suite("weightsOf", () => {
  const modes: readonly BandwidthMode[] = ["all", "ignore", "skip-missing", "default-weight"];
  const table: readonly [rates: number[], expected: number[][]][] = [
    [
      [100, 300],
      [
        [25, 75],
        [1, 1],
        [25, 75],
        [25, 75],
      ],
    ],
    [
      [100, 0, 300],
      [
        [1, 1, 1],
        [1, 1, 1],
        [25, 0, 75],
        [25, 1, 75],
      ],
    ],
    [
      [0, 0],
      [
        [1, 1],
        [1, 1],
        [1, 1],
        [1, 1],
      ],
    ],
    [
      [1, 1_000_000],
      [
        [1, 99],
        [1, 1],
        [1, 99],
        [1, 99],
      ],
    ],
    [
      [1, 1, 1],
      [
        [33, 33, 33],
        [1, 1, 1],
        [33, 33, 33],
        [33, 33, 33],
      ],
    ],
    [[], [[], [], [], []]],
  ];
  for (const [rates, expected] of table) {
    test(`of ${rates.join(", ") || "nothing"}`, () => {
      assert.deepEqual(
        modes.map((mode) => weightsOf(rates, mode)),
        expected,
      );
    });
  }

  test("a weight fits a FIB: 0 only where a bandwidth is missing and missed, else 1 to 100", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 0xffff_ffff }), { maxLength: 64 }),
        fc.constantFrom(...modes),
        (rates, mode) => {
          weightsOf(rates, mode).forEach((weight, i) => {
            assert.ok(Number.isInteger(weight) && weight <= 100);
            const isSkipped = mode === "skip-missing" && rates[i] === 0 && rates.some((rate) => rate > 0);
            assert.equal(weight === 0, isSkipped);
          });
        },
      ),
    );
  });

  test("shares read both forms of the community", () => {
    const rib = fixture(four);
    const row = rib.prefix(row0);
    rib.announce(1, row, { ...via(1), extendedCommunities: ["0002fde800000001", "4004fde84b189680"] });
    rib.announce(2, row, { ...via(2), extendedCommunities: ["0004fde84bbebc20"] });
    const { multipath, paths } = rib.table;
    const shares = multipath!.shares(paths, rib.table.bestOf(row)).map(({ weight }) => weight);
    assert.deepEqual(shares, [28, 71], "10 and 25 million bytes per second");
    rib.announce(2, row, { ...via(2), extendedCommunities: ["0004fde8ff800000"] });
    assert.deepEqual(
      multipath!.shares(paths, rib.table.bestOf(row)).map(({ weight }) => weight),
      [1, 1],
      "minus infinity is no bandwidth",
    );
  });
});

interface Arrival {
  readonly neighbor: number;
  readonly pathId: number;
  /** Undefined: withdrawn. */
  readonly attributes: Partial<PathAttributes> | undefined;
  readonly isRejected: boolean;
  readonly nowS: number;
}

const attributesArbitrary: fc.Arbitrary<Partial<PathAttributes>> = fc.record({
  localPref: fc.constantFrom(undefined, undefined, 200),
  med: fc.constantFrom(undefined, undefined, 1, 2),
  asPath: fc.constantFrom(sequence(1), sequence(1), sequence(2), sequence(3, 4), sequence(1, 4)),
  nextHop: fc.nat(4).map((last) => Uint8Array.of(192, 0, 2, last)),
  clusterList: fc.constantFrom([], [1]),
  extendedCommunities: fc.constantFrom([], ["4004fde84b189680"], ["0004fde84bbebc20"]),
});

const churn: fc.Arbitrary<Arrival[]> = fc.array(
  fc.record({
    neighbor: fc.integer({ min: 1, max: 8 }),
    pathId: fc.nat(1),
    attributes: fc.option(attributesArbitrary, { nil: undefined, freq: 4 }),
    isRejected: fc.nat(9).map((n) => n === 0),
    nowS: fc.nat(2),
  }),
  { minLength: 2, maxLength: 16 },
);

const multipathConfig: fc.Arbitrary<MultipathConfig> = fc.record({
  external: fc.constantFrom(1, 2, 4),
  internal: fc.constantFrom(1, 2, 4),
  relaxAsPath: fc.boolean(),
  bandwidth: fc.constantFrom<BandwidthMode>("all", "ignore", "skip-missing", "default-weight"),
});

const bestConfig: fc.Arbitrary<Partial<BestPathConfig>> = fc.record({
  alwaysCompareMed: fc.boolean(),
  // Age is told in the order of arrival here, so it may not decide.
  steps: fc.constantFrom(
    [],
    stepNames.filter((name) => name !== "external" && name !== "oldest"),
    ["router-id", "local-pref", "med"] as const,
  ),
});

function apply(
  rib: RibFixture,
  row: number,
  { neighbor, pathId, attributes, isRejected, nowS }: Arrival,
): void {
  if (!attributes) rib.table.withdraw(neighbor, row, pathId);
  else
    rib.announce(neighbor, row, attributes, { pathId, nowS, reason: isRejected ? RejectReason.policy : 0 });
}

function shareTexts({ table }: RibFixture, row: number): string[] {
  const { multipath, paths } = table;
  return multipath!.shares(paths, table.bestOf(row)).map(({ path, weight }) => `${path} ${weight}`);
}

/** The definition, spelled out over attribute values. */
function oracle(
  rib: RibFixture,
  row: number,
  config: MultipathConfig,
  best: Partial<BestPathConfig>,
): string[] {
  const { paths } = rib.table;
  const named = (path: number): string =>
    `${paths.neighbor[path]}${paths.idOf(path) ? `/${paths.idOf(path)}` : ""}`;
  const ranked = rib.best.rank(paths, rib.table.head[row]);
  if (ranked.length === 0) return [];
  const values = new Map(ranked.map((path) => [path, rib.attributesOf(paths.attr[path])]));
  const external = (path: number): boolean =>
    (rib.neighbors.flags[paths.neighbor[path]] & NeighborFlag.external) !== 0;
  const [first] = ranked;
  const a = values.get(first)!;
  const asked = best.steps && best.steps.length > 0 ? best.steps : stepNames;
  const firstAs = (path: number): number => values.get(path)!.asPath[0]?.asns[0] ?? 0;
  const med = (path: number): number => values.get(path)!.med ?? 0;
  const equals = (p: number, q: number): boolean => {
    const [x, y] = [values.get(p)!, values.get(q)!];
    const length = (path: PathAttributes): number =>
      path.asPath.reduce((sum, { asns }) => sum + asns.length, 0);
    const compares = best.alwaysCompareMed || firstAs(p) === firstAs(q);
    return (
      (!asked.includes("local-pref") || (x.localPref ?? 100) === (y.localPref ?? 100)) &&
      (!asked.includes("as-path-length") || length(x) === length(y)) &&
      (!asked.includes("origin") || x.origin === y.origin) &&
      (!asked.includes("med") || !compares || med(p) === med(q)) &&
      external(p) === external(q)
    );
  };
  const fits = ranked.slice(1).filter((path) => {
    if (!equals(first, path)) return false;
    const b = values.get(path)!;
    if (!config.relaxAsPath) {
      if (firstAs(first) !== firstAs(path)) return false;
      if (!external(path) && JSON.stringify(a.asPath) !== JSON.stringify(b.asPath)) return false;
    }
    // Nothing of its own AS is better.
    return (
      !config.relaxAsPath ||
      !ranked.some((q) => firstAs(q) === firstAs(path) && rib.best.compareMerit(paths, q, path) < 0)
    );
  });
  const set = [first];
  const hops = new Set([a.nextHop.join()]);
  const order = fits.sort((p, q) => rib.best.compare(paths, p, q));
  for (const path of order) {
    const hop = values.get(path)!.nextHop.join();
    if (hops.has(hop)) continue;
    hops.add(hop);
    set.push(path);
  }
  const limit = external(first) ? config.external : config.internal;
  const taken = set.slice(0, limit);
  return taken.length > 1 ? taken.map(named) : [];
}

function shuffled<T>(list: T[], random: Iterable<number>): T[] {
  const numbers = random[Symbol.iterator]();
  for (let i = list.length - 1; i > 0; i--) {
    const j = (numbers.next().value as number) % (i + 1);
    [list[i], list[j]] = [list[j], list[i]];
  }
  return list;
}
