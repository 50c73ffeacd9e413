import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type DampingParameters,
  type Flap,
  FlapTable,
  flapPenalty,
  forgetBelow,
  penaltyAt,
  penaltyCeiling,
} from "./damping.ts";
import { RibFixture } from "./rib-fixture.ts";

const minute = 60_000;
/** What RFC 7196 recommends. */
const recommended: DampingParameters = {
  halfLifeMs: 15 * minute,
  reuse: 750,
  suppress: 6000,
  ceiling: penaltyCeiling(750, 15 * minute, 60 * minute),
};

function lab(max = 1000) {
  const { table } = new RibFixture();
  const row = (n: number) => table.prefix(Uint8Array.of(10, 0, n, 0), 0, 24);
  return { table, row, flaps: new FlapTable(max) };
}

test("RFC 7196 values: six withdrawals in a row are needed, and an hour of quiet is always enough", () => {
  const { table, row, flaps } = lab();
  assert.equal(recommended.ceiling, 12_000);
  const add = (nowMs: number) => flaps.add(1, table, row(1), 0, flapPenalty.withdrawal, recommended, nowMs);
  assert.deepEqual(
    [0, 0, 0, 0, 0, 0].map((at) => add(at)),
    [false, false, false, false, false, true],
  );
  for (let i = 0; i < 100; i++) assert.equal(add(0), false, "it is suppressed already");
  const flap = flaps.find(1, table, row(1), 0)!;
  assert.equal(flap.penalty, 12_000);
  assert.equal(penaltyAt(flap, 15 * minute), 6000);
  assert.equal(flaps.elapse(60 * minute - 1), undefined);
  assert.deepEqual(flaps.elapse(60 * minute), { flap, reused: true });
  assert.equal(flaps.isSuppressed(1, table, row(1), 0), false);
  const forgottenMs = Math.ceil(60 * minute + 15 * minute * Math.log2(3));
  assert.equal(flaps.elapse(forgottenMs - 2), undefined);
  assert.deepEqual(flaps.elapse(forgottenMs), { flap, reused: false }, "at 250 it is forgotten");
  assert.equal(flaps.size, 0);
  assert.equal(flaps.nextMs, Number.POSITIVE_INFINITY);
});

test("paths of a prefix are apart, the table is bounded, and what is removed lets go of its prefix", () => {
  const { table, row, flaps } = lab(2);
  const add = (n: number, pathId: number) => flaps.add(1, table, row(n), pathId, 7000, recommended, 0);
  assert.equal(add(1, 7), true);
  assert.equal(add(1, 8), true);
  assert.equal(add(2, 0), false, "there is no room for it");
  assert.equal(flaps.overflow, 1);
  assert.deepEqual([flaps.size, flaps.suppressed], [2, 2]);
  assert.equal(flaps.isSuppressed(1, table, row(1), 7), true);
  assert.equal(flaps.isSuppressed(1, table, row(1), 9), false);
  assert.equal(flaps.isSuppressed(2, table, row(1), 7), false);
  const [first, second] = [...flaps.of(1, table)];
  flaps.remove(first);
  assert.deepEqual([...flaps.all()], [second]);
  flaps.remove(second);
  assert.deepEqual([flaps.size, flaps.suppressed, [...flaps.all()].length], [0, 0, 0]);
});

/** Everything that happened to a route, looked at from the beginning each time. */
class Model {
  readonly parameters: DampingParameters;
  private readonly events: { readonly atMs: number; readonly amount: number }[] = [];

  constructor(parameters: DampingParameters) {
    this.parameters = parameters;
  }

  add(atMs: number, amount: number): void {
    this.events.push({ atMs, amount });
  }

  /** Penalty, and whether it is suppressed and remembered, at a time. */
  at(nowMs: number): { penalty: number; suppressed: boolean; known: boolean } {
    const { halfLifeMs, reuse, suppress, ceiling } = this.parameters;
    let [penalty, suppressed, known, atMs] = [0, false, false, 0];
    const pass = (toMs: number): void => {
      const before = penalty;
      const fromMs = atMs;
      const below = (limit: number): boolean =>
        toMs >= fromMs + Math.ceil(halfLifeMs * Math.log2(before / limit));
      penalty = before * 0.5 ** ((toMs - fromMs) / halfLifeMs);
      atMs = toMs;
      if (known && suppressed && below(reuse)) suppressed = false;
      if (known && !suppressed && below(forgetBelow(reuse))) [penalty, known] = [0, false];
    };
    for (const event of this.events) {
      if (event.atMs > nowMs) break;
      pass(event.atMs);
      penalty = Math.min(ceiling, penalty + event.amount);
      known = true;
      if (penalty >= suppress) suppressed = true;
    }
    pass(nowMs);
    return { penalty, suppressed, known };
  }
}

const runs = Number(process.env.CAIRN_DAMPING_RUNS ?? 200);

test("penalties, suppression and reuse are those of a model that adds everything up anew", () => {
  const arbitraryParameters = fc
    .record({
      halfLifeMs: fc.integer({ min: 1000, max: 45 * minute }),
      reuse: fc.integer({ min: 100, max: 3000 }),
      above: fc.integer({ min: 1, max: 5000 }),
      halves: fc.double({ min: 0.1, max: 5, noNaN: true }),
    })
    .map(({ halfLifeMs, reuse, above, halves }) => {
      const suppress = reuse + above;
      return { halfLifeMs, reuse, suppress, ceiling: suppress * 2 ** halves };
    });
  const step = fc.record({
    route: fc.nat(3),
    amount: fc.constantFrom(flapPenalty.withdrawal, flapPenalty.change),
    /** Parts of a half-life until the next one. */
    wait: fc.oneof(
      fc.constant(0),
      fc.double({ min: 0, max: 0.2, noNaN: true }),
      fc.double({ min: 0, max: 8, noNaN: true }),
    ),
  });
  fc.assert(
    fc.property(arbitraryParameters, fc.array(step, { maxLength: 60 }), (parameters, steps) => {
      const { table, row, flaps } = lab();
      const models = [0, 1, 2, 3].map(() => new Model(parameters));
      const find = (n: number): Flap | undefined => flaps.find(1, table, row(n >> 1), n & 1);
      let nowMs = 0;
      for (const { route, amount, wait } of steps) {
        const was = models[route].at(nowMs).suppressed;
        const suppresses = flaps.add(1, table, row(route >> 1), route & 1, amount, parameters, nowMs);
        models[route].add(nowMs, amount);
        assert.equal(suppresses, !was && models[route].at(nowMs).suppressed);
        nowMs += Math.round(wait * parameters.halfLifeMs);
        while (flaps.elapse(nowMs));
        for (const [n, model] of models.entries()) {
          const wanted = model.at(nowMs);
          const found = find(n);
          assert.equal(found !== undefined, wanted.known, `route ${n} is remembered`);
          assert.equal(found?.suppressed ?? false, wanted.suppressed, `route ${n} is suppressed`);
          if (found)
            assert.ok(Math.abs(penaltyAt(found, nowMs) - wanted.penalty) < 1e-6 * wanted.penalty + 1e-9);
        }
        const known = models.map((model) => model.at(nowMs)).filter((each) => each.known);
        assert.equal(flaps.size, known.length);
        assert.equal(flaps.suppressed, known.filter(({ suppressed }) => suppressed).length);
      }
    }),
    { numRuns: runs },
  );
});
