/** The trie, the union of sources and the filters of SLURM against the plainest code that can be written for them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatPrefix, maskBytes, type Prefix, parsePrefix, prefixContains } from "../../src/base/ip.ts";
import { RouteKey, rpkiStateNames } from "../../src/policy/route-key.ts";
import { ChangedSpans } from "../../src/rpki/changed-spans.ts";
import { decodePdu, Pdu } from "../../src/rpki/pdu.ts";
import { RpkiSources, vrpPrefixText } from "../../src/rpki/sources.ts";
import { VrpTable } from "../../src/rpki/vrp-table.ts";
import { unicastFamily } from "../../src/wire/family.ts";
import { vrpPdu } from "../support/rtr-cache.ts";

const numRuns = Number(process.env.CAIRN_RUNS ?? 300);

/** Prefixes that meet each other often: few bits differ. */
const prefixes = fc
  .record({
    six: fc.boolean(),
    bits: fc.integer({ min: 0, max: 255 }),
    length: fc.integer({ min: 0, max: 8 }),
    deep: fc.nat(2),
  })
  .map(({ six, bits, length, deep }): Prefix => {
    const size = six ? 16 : 4;
    const bytes = new Uint8Array(size).fill(deep === 0 ? 0 : 0b10110010);
    // The bits stand at the beginning, in the middle and over a word's edge.
    const at = deep === 0 ? 0 : deep === 1 ? 1 : size - 2;
    bytes[at] = bits;
    const all = Math.min(size * 8, at * 8 + length);
    maskBytes(bytes, all);
    return { bytes, length: all };
  });

const vrps = fc
  .record({ prefix: prefixes, more: fc.integer({ min: 0, max: 3 }), asn: fc.integer({ min: 0, max: 3 }) })
  .map(({ prefix, more, asn }) => {
    const maxLength = Math.min(prefix.bytes.length * 8, prefix.length + more);
    return { prefix, maxLength, asn, text: `${formatPrefix(prefix)} ${maxLength} ${asn}` };
  });
type Vrp = typeof vrps extends fc.Arbitrary<infer T> ? T : never;

function keyOf({ bytes, length }: Prefix): RouteKey {
  return new RouteKey().setNlri(unicastFamily(bytes.length), bytes, 0, length);
}

function covers(a: Prefix, b: Prefix): boolean {
  return a.bytes.length === b.bytes.length && a.length <= b.length && prefixContains(a, b.bytes);
}

function naiveState(held: Iterable<Vrp>, prefix: Prefix, origin: number): string {
  let covered = false;
  for (const vrp of held) {
    if (!covers(vrp.prefix, prefix)) continue;
    covered = true;
    if (vrp.asn === origin && origin > 0 && prefix.length <= vrp.maxLength) return "valid";
  }
  return covered ? "invalid" : "not-found";
}

test("the trie says what a list says, through announcements, withdrawals and sweeps", () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ put: vrps }) },
    { weight: 3, arbitrary: fc.record({ drop: vrps }) },
    { weight: 1, arbitrary: fc.constant({ sweep: true }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.array(prefixes, { maxLength: 20 }), (steps, asked) => {
      const table = new VrpTable();
      table.activate(1, 0);
      const held = new Map<string, Vrp>();
      for (const each of steps) {
        if ("put" in each) {
          const outcome = table.announce(0, keyOf(each.put.prefix), each.put.maxLength, each.put.asn);
          assert.equal(outcome, held.has(each.put.text) ? "duplicate" : "done");
          held.set(each.put.text, each.put);
        } else if ("drop" in each) {
          const outcome = table.withdraw(0, keyOf(each.drop.prefix), each.drop.maxLength, each.drop.asn);
          assert.equal(outcome, held.delete(each.drop.text) ? "done" : "unknown");
        } else table.sweep(1, 1000, 0, () => {});
      }
      for (const prefix of [...asked, ...[...held.values()].map((vrp) => vrp.prefix)]) {
        for (const origin of [-1, 0, 1, 2, 3]) {
          const state = rpkiStateNames[table.stateOf(keyOf(prefix), origin)];
          assert.equal(state, naiveState(held.values(), prefix, origin), `${formatPrefix(prefix)} ${origin}`);
        }
        const covering = table.covering(keyOf(prefix), 1000).map((row) => textOf(table, row));
        const naive = [...held.values()].filter((vrp) => covers(vrp.prefix, prefix)).map(({ text }) => text);
        assert.deepEqual(covering.sort(), naive.sort());
      }
      table.sweep(1, 1000, 0, () => {});
      assert.equal(table.count, held.size);
      assert.equal(table.inForce[4] + table.inForce[16], held.size);
      for (const within of [
        ...asked.slice(0, 3),
        parsePrefix("0.0.0.0/0") as Prefix,
        parsePrefix("::/0") as Prefix,
      ])
        assertWalk(table, [...held.values()], within);
    }),
    { numRuns },
  );
});

function textOf(table: VrpTable, row: number): string {
  const vrp = table.read(row);
  return `${vrpPrefixText(vrp)} ${vrp.maxLength} ${vrp.asn}`;
}

/** Lists in pages of any size give all that is inside, in order, each once. */
function assertWalk(table: VrpTable, held: readonly Vrp[], within: Prefix): void {
  const inside = held.filter((vrp) => covers(within, vrp.prefix));
  const naive = inside.map(({ prefix }) => formatPrefix(prefix));
  const seen: string[] = [];
  let after: RouteKey | undefined;
  for (let pages = 0; pages < 1000; pages++) {
    let left = 2;
    const found: number[] = [];
    after = table.walk(
      keyOf(within),
      after,
      (row) => found.push(row),
      () => left-- > 0,
    );
    seen.push(...found.map((row) => vrpPrefixText(table.read(row))));
    if (!after) break;
  }
  assert.deepEqual([...seen].sort(), naive.sort());
  const order = (text: string): string => {
    const { bytes, length } = parsePrefix(text) as Prefix;
    return Buffer.from(bytes).toString("hex") + String(length).padStart(3, "0");
  };
  assert.deepEqual(
    seen,
    [...seen].sort((x, y) => (order(x) < order(y) ? -1 : order(x) > order(y) ? 1 : 0)),
  );
}

const filters = fc.record({ prefix: prefixes, asn: fc.integer({ min: 0, max: 3 }) }, { requiredKeys: [] });

test("sources of several preferences, differences, expiry and SLURM: what is in force is what a list says", () => {
  const action = fc.oneof(
    fc.record({ full: fc.array(vrps, { maxLength: 12 }), of: fc.nat(3) }),
    fc.record({
      put: fc.array(vrps, { maxLength: 4 }),
      drop: fc.array(vrps, { maxLength: 4 }),
      of: fc.nat(3),
    }),
    fc.record({ abandoned: fc.array(vrps, { maxLength: 6 }), of: fc.nat(3) }),
    fc.record({ expire: fc.nat(3) }),
    fc.record({ preference: fc.nat(3), of: fc.nat(2) }),
    fc.record({
      filters: fc.array(
        filters.filter((f) => f.prefix !== undefined || f.asn !== undefined),
        { maxLength: 3 },
      ),
    }),
    fc.record({ asserted: fc.array(vrps, { maxLength: 3 }) }),
  );
  fc.assert(
    fc.property(
      fc.array(action, { maxLength: 25 }),
      fc.array(prefixes, { maxLength: 10 }),
      fc.nat(40),
      (actions, asked, rows) => {
        const sources = new RpkiSources();
        const preferences = [100, 100, 200];
        const caches = preferences.map((each, i) => sources.add(`cache${i}`, "cache", each));
        const all = [...caches, sources.add("file", "file"), sources.add("slurm", "slurm")];
        const held: (Map<string, Vrp> | undefined)[] = all.map(() => undefined);
        let filter: readonly { prefix?: Prefix; asn?: number }[] = [];
        const settle = (): void => {
          while (sources.hasWork) sources.step(rows + 1);
        };
        const fill = (of: number, list: readonly Vrp[], announced: boolean, into: Map<string, Vrp>): void => {
          for (const vrp of list) {
            const bytes = vrpPdu(2, vrp.text, announced);
            const pdu = new Pdu();
            decodePdu(bytes, 0, bytes.length, pdu);
            sources.take(all[of], pdu, bytes);
            if (announced) into.set(vrp.text, vrp);
            else into.delete(vrp.text);
          }
        };
        const begin = (of: number, full: boolean): void => {
          while (!sources.begin(all[of], full)) sources.step(rows + 1);
          while (!sources.isReady(all[of])) sources.step(rows + 1);
        };
        for (const each of actions) {
          if ("full" in each) {
            begin(each.of, true);
            const into = new Map<string, Vrp>();
            fill(each.of, each.full, true, into);
            sources.commit(all[each.of]);
            held[each.of] = into;
          } else if ("put" in each) {
            begin(each.of, false);
            const into = new Map(held[each.of]);
            fill(each.of, each.drop, false, into);
            fill(each.of, each.put, true, into);
            sources.commit(all[each.of]);
            held[each.of] = into;
          } else if ("abandoned" in each) {
            begin(each.of, true);
            fill(each.of, each.abandoned, true, new Map());
            sources.abandon(all[each.of]);
          } else if ("expire" in each) {
            sources.drop(all[each.expire]);
            held[each.expire] = undefined;
          } else if ("preference" in each) {
            preferences[each.of] = each.preference;
            sources.setPreference(all[each.of], each.preference);
          } else if ("filters" in each) {
            filter = each.filters;
            sources.setFilters({ prefixFilters: each.filters, aspaFilters: [] });
            settle();
          } else {
            begin(4, true);
            const into = new Map<string, Vrp>();
            fill(4, each.asserted, true, into);
            sources.commit(all[4]);
            held[4] = into;
          }
          const naive = inForce(held, preferences, filter);
          for (const prefix of [...asked, ...[...naive.values()].map((vrp) => vrp.prefix)].slice(0, 12)) {
            const state = rpkiStateNames[sources.vrps.stateOf(keyOf(prefix), 1)];
            assert.equal(state, naiveState(naive.values(), prefix, 1), formatPrefix(prefix));
          }
        }
        settle();
        const naive = inForce(held, preferences, filter);
        assert.equal(sources.vrps.inForce[4] + sources.vrps.inForce[16], naive.size);
      },
    ),
    { numRuns },
  );
});

/** The union over the best caches that have data and the file, without what is filtered, with what is asserted. */
function inForce(
  held: readonly (Map<string, Vrp> | undefined)[],
  preferences: readonly number[],
  filter: readonly { prefix?: Prefix; asn?: number }[],
): Map<string, Vrp> {
  const best = Math.min(...preferences.filter((_, i) => held[i] !== undefined));
  const all = new Map<string, Vrp>();
  held.slice(0, 4).forEach((vrps, i) => {
    if (vrps && (i === 3 || preferences[i] === best)) for (const [text, vrp] of vrps) all.set(text, vrp);
  });
  for (const [text, vrp] of all) {
    const isOut = filter.some(
      ({ prefix, asn }) => (!prefix || covers(prefix, vrp.prefix)) && (asn === undefined || asn === vrp.asn),
    );
    if (isOut) all.delete(text);
  }
  for (const [text, vrp] of held[4] ?? []) all.set(text, vrp);
  return all;
}

test("spans hold every prefix inside of what was added", () => {
  fc.assert(
    fc.property(
      fc.array(prefixes, { maxLength: 30 }),
      fc.array(prefixes, { maxLength: 30 }),
      (added, asked) => {
        const spans = new ChangedSpans();
        for (const prefix of added) spans.add(keyOf(prefix));
        for (const prefix of [...asked, ...added]) {
          const isInside = added.some((each) => covers(each, prefix));
          if (isInside) assert.equal(spans.covers(keyOf(prefix)), true, formatPrefix(prefix));
          // IPv4 is exact but for prefixes around what changed.
          else if (prefix.bytes.length === 4 && !added.some((each) => covers(prefix, each)))
            assert.equal(spans.covers(keyOf(prefix)), false, formatPrefix(prefix));
        }
      },
    ),
    { numRuns },
  );
});
