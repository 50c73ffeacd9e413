/** Random policies, sets, routes and neighbors, small enough to meet each other. */
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { parseIp } from "../../src/base/ip.ts";
import { PolicySpecSchema, StatementSchema } from "../../src/gen/cairn/v1/policy_service_pb.ts";
import type { PathAttributes } from "../../src/wire/path-attributes.ts";
import { emptyAttributes, SegmentType } from "../../src/wire/path-attributes.ts";

export const asn = fc.constantFrom(1, 2, 3, 65_001, 4_200_000_000);
export const prefix = fc.constantFrom(
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
export const setName = fc.constantFrom("a", "b");
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
  hasAttributes: few(fc.constantFrom("med", "communities", "otc", "aigp", "99")),
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
    aigp: rarely(number),
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
export const policies = fc
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

export const sets = fc.record({
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
export const attributes = fc
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

export const context = fc.record({
  address: fc.constantFrom("192.0.2.1", "198.51.100.7", "2001:db8::2"),
  asn,
  peerGroup: fc.constantFrom("", "a", "b"),
  localAs: fc.constantFrom(65_001, 65_002),
  self4: fc.constantFrom("192.0.2.254", undefined),
  self6: fc.constantFrom("2001:db8::254", undefined),
  direction: fc.constantFrom("import" as const, "export" as const),
});
export const route = fc.record({
  prefix,
  type: fc.constantFrom("local" as const, "internal" as const, "external" as const),
});
