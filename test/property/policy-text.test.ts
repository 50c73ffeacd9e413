/** Policies as text: from the model and back nothing is lost, and laying out loses neither comments nor tests. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type Message } from "@bufbuild/protobuf";
import fc from "fast-check";
import {
  AsnSetSpecSchema,
  AsPathSetSpecSchema,
  CommunitySetSpecSchema,
  NeighborSetSpecSchema,
  NextHopSetSpecSchema,
  PolicySpecSchema,
  PolicyTestSchema,
  PrefixSetSpecSchema,
} from "../../src/gen/cairn/v1/policy_service_pb.ts";
import { canonicalisePolicy } from "../../src/policy/canonical.ts";
import { formatObject } from "../../src/policy/text/format.ts";
import { layOut } from "../../src/policy/text/layout.ts";
import { scan } from "../../src/policy/text/lexer.ts";
import { parsePolicyText } from "../../src/policy/text/parse.ts";
import { asn, policies, prefix, setName, sets } from "./policy-arbitraries.ts";

const runs = Number(process.env.CAIRN_POLICY_RUNS ?? 300);

const perhaps = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: undefined });
const community = fc.constantFrom("65000:1", "no-export", "1:2:3", "rt:1:1");
const path = fc.constantFrom("", "65001 65002", "65001 {65003 65004} (65010)");
const outcome = {
  nextHop: fc.constantFrom("", "192.0.2.1", "2001:db8::1"),
  origin: fc.constantFrom(0 as const, 1 as const, 3 as const),
  asPath: perhaps(path),
  localPref: perhaps(fc.nat(300)),
  med: perhaps(fc.nat(300)),
  communities: fc.array(community, { maxLength: 3 }),
  otc: perhaps(asn),
  weight: perhaps(fc.nat(9)),
  tag: perhaps(fc.nat(9)),
  discard: perhaps(fc.boolean()),
};
const given = fc.record({
  ...outcome,
  prefix,
  routeType: fc.constantFrom("", "local", "internal"),
  rpkiState: fc.constantFrom("", "valid"),
  aspaState: fc.constantFrom("", "invalid"),
});
const result = fc.record({ ...outcome, absent: fc.subarray(["med", "communities", "otc"]) });
const by = fc.constantFrom("", "end", "default", "a default", "statement 3", "statement x", "a statement 12");
const policyTest = fc
  .record({
    name: fc.string({ minLength: 1, maxLength: 12 }).filter((name) => !/[\n\r]/.test(name)),
    direction: fc.constantFrom(0 as const, 1 as const, 2 as const),
    chain: fc.array(fc.constantFrom("p0", "p1"), { maxLength: 2 }),
    neighbor: perhaps(
      fc.record({ address: fc.constantFrom("", "192.0.2.7"), asn, peerGroup: setName, localAsn: asn }),
    ),
    cases: fc.array(
      fc.record({ given, expect: fc.constantFrom(1 as const, 2 as const), by, with: perhaps(result) }),
      { maxLength: 3 },
    ),
  })
  .filter(({ direction, chain }) => chain.length === 0 || direction !== 0);

/** Objects of all kinds, by kind. */
const objects = fc
  .tuple(policies, fc.array(policyTest, { maxLength: 2 }), sets)
  .map(([specs, tests, set]) => {
    const [first, ...more] = specs;
    for (const spec of specs) canonicalisePolicy(spec);
    const policy = create(PolicySpecSchema, {
      ...first,
      description: 'say "hello" \\ # no comment',
      tests: tests.map((some) => create(PolicyTestSchema, some)),
    });
    return [
      ["PrefixSet", create(PrefixSetSpecSchema, { name: "a", prefixes: set.prefixes })],
      ["AsPathSet", create(AsPathSetSpecSchema, { name: "a", patterns: set.patterns })],
      ["CommunitySet", create(CommunitySetSpecSchema, { name: "a", communities: set.communities })],
      ["NeighborSet", create(NeighborSetSpecSchema, { name: "a", ...set.neighbors })],
      ["AsnSet", create(AsnSetSpecSchema, { name: "a", asns: set.asns })],
      ["NextHopSet", create(NextHopSetSpecSchema, { name: "a", addresses: set.nextHops })],
      ["Policy", policy],
      ...more.map((spec) => ["Policy", spec] as const),
    ] as (readonly [string, Message])[];
  });

test("a model is written as a text that reads back to the same model and is laid out already", () => {
  fc.assert(
    fc.property(objects, (all) => {
      const texts = all.map(([kind, spec]) => formatObject(kind, spec));
      for (const text of texts) assert.equal(layOut(text), text);
      const parsed = parsePolicyText(texts.join("\n"));
      assert.deepEqual(parsed.errors, []);
      assert.deepEqual(
        parsed.objects.map(({ kind }) => kind),
        all.map(([kind]) => kind),
      );
      parsed.objects.forEach(({ spec }, i) => {
        assert.deepEqual(plain(spec), plain(all[i][1]), texts[i]);
      });
    }),
    { numRuns: runs },
  );
});

test("a text with comments anywhere is laid out once, and means and says the same", () => {
  fc.assert(
    fc.property(objects, fc.infiniteStream(fc.nat(19)), (all, dice) => {
      const text = all.map(([kind, spec]) => formatObject(kind, spec)).join("\n");
      const ragged = withComments(text, dice);
      const once = layOut(ragged);
      assert.deepEqual(parsePolicyText(once).errors, []);
      assert.deepEqual(model(once), model(text));
      assert.deepEqual(comments(once), comments(ragged));
      assert.equal(layOut(once), once);
    }),
    { numRuns: runs },
  );
});

/** The tokens of the text with numbered comments and odd spaces between them. */
function withComments(text: string, dice: Iterator<number>): string {
  let out = "";
  let count = 0;
  for (const { start, end } of scan(text, broken)) {
    const roll = dice.next().value as number;
    out += roll === 0 ? ` # ${count++}\n` : roll === 1 ? `\n\n\n# ${count++}\n\n` : roll < 6 ? "\n" : " ";
    out += text.slice(start, end);
  }
  return out;
}

function broken(start: number, end: number, message: string): void {
  assert.fail(`${start}-${end}: ${message}`);
}

function comments(text: string): string[] {
  return scan(text, broken)
    .filter(({ kind }) => kind === "comment")
    .map((token) => token.text);
}

function model(text: string): unknown[] {
  return parsePolicyText(text).objects.map(({ spec }) => plain(spec));
}

/** Absent and undefined are one. */
function plain(spec: Message): unknown {
  return JSON.parse(JSON.stringify(spec));
}
