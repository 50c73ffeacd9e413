/**
 * The compiled, remembering engine against the oracle: random programs, routes and neighbors. Results and inputs are
 * released between visits, so that remembered ids go stale and are reused under the memo's feet.
 *
 * `CAIRN_POLICY_RUNS=10000` for the long form.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { parseIp, parsePrefix } from "../../src/base/ip.ts";
import {
  AsnSetSpecSchema,
  AsPathSetSpecSchema,
  CommunitySetSpecSchema,
  NeighborSetSpecSchema,
  NextHopSetSpecSchema,
  PolicyAction,
  type PolicySpec,
  PolicySpecSchema,
  PrefixSetSpecSchema,
  StatementSchema,
} from "../../src/gen/cairn/v1/policy_service_pb.ts";
import type { PolicyContext } from "../../src/policy/actions.ts";
import { explainChain } from "../../src/policy/explain.ts";
import { FakeAttributeTable } from "../../src/policy/fake-table.ts";
import { PolicyLibrary } from "../../src/policy/library.ts";
import { Program } from "../../src/policy/program.ts";
import { RouteKey, RouteType } from "../../src/policy/route-key.ts";
import { validatePolicy } from "../../src/policy/validate.ts";
import { ipv4Unicast, ipv6Unicast } from "../../src/wire/family.ts";
import type { PathAttributes } from "../../src/wire/path-attributes.ts";
import { emptyAttributes, SegmentType } from "../../src/wire/path-attributes.ts";
import { type OracleContext, type OracleRoute, type OracleSets, runOracle } from "./policy-oracle.ts";

const runs = Number(process.env.CAIRN_POLICY_RUNS ?? 300);

const asn = fc.constantFrom(1, 2, 3, 65_001, 4_200_000_000);
const prefix = fc.constantFrom(
  ...["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.128/25", "192.0.2.0/24"],
  ...["::/0", "2001:db8::/32", "2001:db8:1::/48", "2001:db8:1:2::/64", "fd00::/8"],
);
const rule = fc
  .tuple(prefix, fc.boolean(), fc.boolean())
  .map(([text, ge, le]) => {
    const [, length] = text.split("/").map(Number);
    return {
      prefix: text,
      ge: ge ? Math.min(length + 4, 32) : undefined,
      le: le ? Math.max(length, 32) : undefined,
    };
  })
  .filter(({ ge, prefix: text }) => ge === undefined || ge >= Number(text.split("/")[1]));
const around = fc
  .tuple(prefix, fc.constantFrom(undefined, 0, 8), fc.constantFrom(undefined, 16, 0))
  .map(([text, ge, le]) => {
    const length = Number(text.split("/")[1]);
    const bound = (value: number | undefined) => (value === undefined ? value : Math.min(value, length));
    return { prefix: text, covering: true, ge: bound(ge), le: bound(le) };
  })
  .filter(({ ge, le }) => (ge ?? 0) <= (le ?? 32));
const anyRule = fc.oneof({ weight: 3, arbitrary: rule }, { weight: 1, arbitrary: around });
const exact = fc.constantFrom(
  ...["1:1", "1:100", "1:150", "2:1", "no-export", "1:2:3", "1:2:150", "2:2:3"],
  ...[
    "rt:1:1",
    "rt:2:1",
    "ro:1:1",
    "rt:65000L:1",
    "rt:192.0.2.1:1",
    "rt:4200000000:1",
    ...["own-asn:1", "1:neighbor-asn", "neighbor-asn:2:3", "rt:neighbor-asn:1"],
    "ext:0123456789abcdef",
  ],
);
const wild = fc.constantFrom(
  "1:*",
  "*:1",
  "1:100-199",
  "neighbor-asn:*",
  "*:2:own-asn",
  "*:*",
  "1:2:*",
  "*:2:100-199",
  "rt:*:1",
  "rt:1:*",
  "rt:1-5:1",
  "ro:*:*",
);
const pattern = fc.constantFrom(
  "_1_",
  "^1_",
  "_2$",
  "^$",
  "_65001_",
  "^[0-9]+$",
  "1 2",
  "_3( |$)",
  ".",
  "^1( 1)*$",
  "_neighbor-asn$",
  "^own-asn_",
);
/** Bounds that validation takes: not out of order. */
function ordered<T extends object>(some: T): T {
  const copy = { ...some } as Record<string, unknown>;
  for (const key of Object.keys(copy).filter((name) => name.endsWith("Ge"))) {
    const other = `${key.slice(0, -2)}Le`;
    if ((copy[key] as number) > (copy[other] as number)) copy[other] = undefined;
  }
  return copy as T;
}
const few = <T>(values: fc.Arbitrary<T>) =>
  fc.oneof(
    { weight: 4, arbitrary: fc.constant<T[]>([]) },
    { weight: 1, arbitrary: fc.array(values, { minLength: 1, maxLength: 3 }) },
  );
const maybe = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: undefined, freq: 4 }).map((v) => v);
const rarely = <T>(values: fc.Arbitrary<T>) =>
  fc.tuple(fc.nat(5), values).map(([n, value]) => (n === 0 ? value : undefined));
const setName = fc.constantFrom("a", "b");
const number = fc.constantFrom(0, 1, 2, 3, 100, 200);

const asnRange = fc.constantFrom("1", "2-3", "65000-65010", "4200000000");
const structural = fc.constantFrom(
  "originates 1",
  "passes own-asn",
  "neighbor neighbor-asn",
  "passes 2-3",
  "neighbor 1-2",
  "length 0-2",
  "length 3",
);
const yesNo = fc.boolean();
const conditions = fc.record({
  prefixSets: few(setName),
  asPathSets: few(setName),
  communitySets: few(setName),
  neighborSets: few(setName),
  prefixes: few(anyRule),
  communities: few(fc.oneof(exact, wild)),
  asPaths: few(fc.oneof(pattern, structural)),
  asPathLengthGe: rarely(number),
  asPathLengthLe: rarely(number),
  localPrefGe: rarely(number),
  localPrefLe: rarely(number),
  medGe: rarely(number),
  medLe: rarely(number),
  origins: few(fc.constantFrom(1 as const, 2 as const, 3 as const)),
  nextHops: few(fc.constantFrom("192.0.2.0/24", "192.0.2.1", "2001:db8::/32", "::/0", "0.0.0.0/0")),
  routeTypes: few(fc.constantFrom("local", "internal", "external")),
  families: few(fc.constantFrom("ipv4-unicast", "ipv6-unicast")),
  originAsns: few(asn),
  passesAsns: few(asn),
  neighborAsns: few(asn),
  originAsnSets: few(setName),
  passesAsnSets: few(setName),
  neighborAsnSets: few(setName),
  nextHopSets: few(setName),
  peerGroups: few(setName),
  neighbors: few(fc.constantFrom("192.0.2.0/24", "192.0.2.1", "2001:db8::2")),
  asPathUniqueLengthGe: rarely(number),
  asPathUniqueLengthLe: rarely(number),
  communitiesCountGe: rarely(number),
  communitiesCountLe: rarely(number),
  communitiesAll: few(fc.oneof(exact, wild)),
  isDefault: rarely(yesNo),
  isBogon: rarely(yesNo),
  hasBogonAsn: rarely(yesNo),
  hasAttributes: few(fc.constantFrom("med", "communities", "otc", "99")),
  rpkiStates: few(fc.constantFrom("not-found", "valid")),
  aspaStates: few(fc.constantFrom("unknown", "invalid")),
  tags: few(number),
});
/** Few conditions at a time, else hardly anything matches. */
const sparse = fc.tuple(conditions, fc.infiniteStream(fc.nat(4))).map(([all, dice]) => {
  const kept = Object.entries(all).filter(() => dice.next().value === 0);
  return ordered(Object.fromEntries(kept) as typeof all);
});
const match = fc
  .tuple(sparse, fc.option(sparse, { nil: undefined, freq: 2 }))
  .map(([asked, not]) => ({ ...asked, ...(not ? { not } : {}) }));
const actions = fc
  .record({
    localPref: maybe(number),
    med: maybe(number),
    medRemove: fc.nat(5).map((n) => n === 0),
    origin: fc.constantFrom(0 as const, 0 as const, 1 as const, 3 as const),
    nextHop: maybe(fc.constantFrom("self", "peer", "unchanged", "discard", "192.0.2.9", "2001:db8::9")),
    communitiesReplace: few(exact),
    communitiesAdd: few(exact),
    communitiesRemove: few(fc.oneof(exact, wild)),
    prepend: maybe(
      fc.oneof(
        fc.record({ asn: fc.constantFrom(0, 1, 2), count: fc.integer({ min: 1, max: 3 }) }),
        fc.record({ lastAs: fc.constant(true), count: fc.integer({ min: 1, max: 3 }) }),
      ),
    ),
    localPrefAdd: rarely(fc.constantFrom(1, 50, 4_294_967_295)),
    medSubtract: rarely(fc.constantFrom(1, 50)),
    communitiesReplaceSets: few(setName),
    communitiesAddSets: few(setName),
    communitiesRemoveSets: few(setName),
    communitiesKeep: few(fc.oneof(exact, wild)),
    communitiesKeepSets: few(setName),
    stripPrivateAs: yesNo,
    weight: rarely(number),
    tag: rarely(number),
  })
  .map((set) =>
    set.med === undefined && set.medSubtract === undefined ? set : { ...set, medRemove: false },
  );
const action = fc.constantFrom(0 as const, 0 as const, 1 as const, 2 as const, 3 as const, 4 as const);
const lastAction = fc.constantFrom(0 as const, 0 as const, 1 as const, 2 as const);
const statement = fc
  .record({
    match,
    set: fc.option(actions, { nil: undefined }),
    action,
    // How many policies further on the one is that is called: calls cannot come back.
    call: fc.constantFrom(0, 0, 0, 1, 2),
  })
  .map(({ call, ...s }) => ({ call, spec: create(StatementSchema, s) }));
const policies = fc
  .array(fc.record({ statements: fc.array(statement, { maxLength: 5 }), defaultAction: lastAction }), {
    minLength: 1,
    maxLength: 3,
  })
  .map((list) =>
    list.map((policy, i) => {
      const statements = policy.statements.map(({ call, spec }) => {
        const called = call > 0 && i + call < list.length ? `p${i + call}` : "";
        const set = spec.action === 2 && called === "" ? undefined : spec.set;
        return create(StatementSchema, { ...spec, set, call: called });
      });
      return create(PolicySpecSchema, { ...policy, statements, name: `p${i}` });
    }),
  );

const sets = fc.record({
  prefixes: fc.array(anyRule, { maxLength: 4 }),
  patterns: fc.array(fc.oneof(pattern, structural), { maxLength: 3 }),
  communities: fc.array(fc.oneof(exact, wild), { maxLength: 3 }),
  neighbors: fc.record({
    addresses: few(fc.constantFrom("192.0.2.0/24", "192.0.2.1", "2001:db8::/64")),
    asns: few(asn),
    peerGroups: few(setName),
  }),
  asns: fc.array(asnRange, { maxLength: 3 }),
  nextHops: fc.array(fc.constantFrom("192.0.2.0/24", "198.51.100.1", "2001:db8::/32"), { maxLength: 2 }),
});

const segment = fc.record({
  type: fc.constantFrom(
    SegmentType.sequence,
    SegmentType.sequence,
    SegmentType.set,
    SegmentType.confedSequence,
    SegmentType.confedSet,
  ),
  asns: fc.array(asn, { minLength: 1, maxLength: 3 }),
});
const attributes = fc
  .record({
    origin: fc.nat(2),
    asPath: fc.array(segment, { maxLength: 3 }),
    med: maybe(number),
    localPref: maybe(number),
    nextHop: fc.constantFrom("192.0.2.1", "198.51.100.1", "2001:db8::1").map((text) => parseIp(text)!),
    communities: fc.uniqueArray(fc.constantFrom(0x10001, 0x10064, 0x10096, 0x20001, 0xffffff01), {
      maxLength: 3,
    }),
    extendedCommunities: fc.uniqueArray(
      fc.constantFrom(
        "0002000100000001",
        "0002000200000001",
        "020200000001 0001".replace(" ", ""),
        "0123456789abcdef",
        "0102c00002010001",
      ),
      { maxLength: 3 },
    ),
    largeCommunities: fc.uniqueArray(
      fc.constantFrom([1, 2, 3] as const, [1, 2, 150] as const, [2, 2, 3] as const),
      { maxLength: 2 },
    ),
    otc: rarely(asn),
    unknown: fc.nat(2).map((n) => (n === 0 ? [{ flags: 0xe0, type: 99, value: Uint8Array.of(1) }] : [])),
    local: rarely(fc.record({ weight: maybe(number), tag: fc.constantFrom(1, 2), discard: yesNo })),
  })
  .map((some): PathAttributes => ({ ...emptyAttributes(), ...some }));

const context = fc.record({
  address: fc.constantFrom("192.0.2.1", "198.51.100.7", "2001:db8::2"),
  asn,
  peerGroup: fc.constantFrom("", "a", "b"),
  localAs: fc.constantFrom(65_001, 65_002),
  self4: fc.constantFrom("192.0.2.254", undefined),
  self6: fc.constantFrom("2001:db8::254", undefined),
  direction: fc.constantFrom("import" as const, "export" as const),
});
const route = fc.record({
  prefix,
  type: fc.constantFrom("local" as const, "internal" as const, "external" as const),
});

const world = fc.record({
  policies,
  defaultAction: fc.constantFrom(PolicyAction.ACCEPT, PolicyAction.REJECT),
  /** Policies that are only called. */
  hidden: fc.nat(1),
  sets: fc.tuple(sets, sets),
  attributes: fc.array(attributes, { minLength: 1, maxLength: 4 }),
  context,
  visits: fc.array(fc.tuple(fc.nat(3), route), { minLength: 1, maxLength: 12 }),
});

function libraryOf(
  specs: readonly PolicySpec[],
  [a, b]: readonly SetsOf[],
): { library: PolicyLibrary; oracle: OracleSets } {
  const library = new PolicyLibrary();
  for (const spec of specs) library.put("Policy", spec);
  const named = [
    ["a", a],
    ["b", b],
  ] as const;
  const made = named.map(([name, set]) => {
    const prefixes = create(PrefixSetSpecSchema, { name, prefixes: set.prefixes });
    library.put("PrefixSet", prefixes);
    library.put("AsPathSet", create(AsPathSetSpecSchema, { name, patterns: set.patterns }));
    library.put("CommunitySet", create(CommunitySetSpecSchema, { name, communities: set.communities }));
    library.put("NeighborSet", create(NeighborSetSpecSchema, { name, ...set.neighbors }));
    library.put("AsnSet", create(AsnSetSpecSchema, { name, asns: set.asns }));
    library.put("NextHopSet", create(NextHopSetSpecSchema, { name, addresses: set.nextHops }));
    return [name, prefixes.prefixes] as const;
  });
  const oracle = {
    prefixes: new Map(made),
    asPaths: new Map(named.map(([name, set]) => [name, set.patterns])),
    communities: new Map(named.map(([name, set]) => [name, set.communities])),
    neighbors: new Map(named.map(([name, set]) => [name, set.neighbors])),
    asns: new Map(named.map(([name, set]) => [name, set.asns])),
    nextHops: new Map(named.map(([name, set]) => [name, set.nextHops])),
  };
  return { library, oracle };
}
type SetsOf = typeof sets extends fc.Arbitrary<infer T> ? T : never;

function keyOf({ prefix: text, type }: OracleRoute): RouteKey {
  const parsed = parsePrefix(text);
  assert.ok(typeof parsed !== "string");
  const family = parsed.bytes.length === 4 ? ipv4Unicast : ipv6Unicast;
  const key = new RouteKey().setNlri(family, parsed.bytes, 0, parsed.length);
  key.routeType = RouteType[type];
  return key;
}

function contextOf(from: OracleContext): PolicyContext {
  const bytes = (text: string | undefined) => (text === undefined ? undefined : parseIp(text));
  const neighbor = { address: parseIp(from.address)!, asn: from.asn, peerGroup: from.peerGroup };
  return { neighbor, localAs: from.localAs, self4: bytes(from.self4), self6: bytes(from.self6) };
}

test("programs agree with the oracle, explanations with programs, and nothing leaks", () => {
  fc.assert(
    fc.property(world, (w) => {
      const { library, oracle } = libraryOf(w.policies, w.sets);
      for (const spec of w.policies) {
        assert.deepEqual(
          validatePolicy(spec).filter(({ severity }) => severity !== "warning"),
          [],
        );
      }
      const table = new FakeAttributeTable();
      const asked = w.policies.slice(0, Math.max(1, w.policies.length - w.hidden));
      const names = asked.map((spec) => spec.name);
      const chain = library.chain(names, w.context.direction, w.defaultAction);
      const tiny = { rootsMax: 2, nodesMax: 6, leavesMax: 4 };
      const programs = [
        library.program(names, w.context.direction, table, contextOf(w.context), w.defaultAction),
        new Program(chain, table, contextOf(w.context), tiny),
      ];
      const visit = (which: number, visited: OracleRoute): void => {
        const before = w.attributes[which % w.attributes.length];
        const expected = runOracle(
          asked,
          oracle,
          w.context,
          visited,
          structuredClone(before),
          w.defaultAction,
          w.policies,
        );
        const attr = table.add(before);
        for (const program of programs) {
          const key = keyOf(visited);
          const out = program.evaluate(attr, key);
          const wanted = expected === undefined ? 0 : table.add(expected);
          assert.deepEqual(out && table.attributes(out), wanted && table.attributes(wanted));
          assert.equal(out, wanted);
          const explained = explainChain(program, attr, key);
          assert.equal(explained.accepted, out !== 0);
          if (out === 0) continue;
          assert.equal(table.add(explained.attributes!), out);
          for (let i = 0; i < 3; i++) table.release(out);
        }
        table.release(attr);
      };
      // Inputs are held: what they were given is remembered, but results are let go of each time and go stale.
      const held = w.attributes.map((some) => table.add(some));
      for (let pass = 0; pass < 3; pass++) for (const [which, visited] of w.visits) visit(which, visited);
      // Results are held: all comes from memory.
      const results = w.visits.map(([which, visited]) =>
        programs[0].evaluate(held[which % held.length], keyOf(visited)),
      );
      for (const [which, visited] of w.visits) visit(which, visited);
      for (const id of [...held, ...results]) if (id !== 0) table.release(id);
      // Nothing is held: inputs come and go, and their ids are reused for others.
      for (const [which, visited] of [...w.visits, ...w.visits.toReversed()]) visit(which, visited);
      assert.equal(table.size, 0, "every reference has been given back");
    }),
    { numRuns: runs },
  );
});
