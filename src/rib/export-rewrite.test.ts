import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { decodeBlock, encodeBlock } from "../wire/block.ts";
import { MessageWriter } from "../wire/message-writer.ts";
import { emptyAttributes, type PathAttributes, SegmentType } from "../wire/path-attributes.ts";
import { AttributeBlock } from "../wire/scratch.ts";
import { type RewriteConfig, type RewriteRoute, rewriteForExport, stripMed } from "./export-rewrite.ts";
import { sequence } from "./rib-fixture.ts";

const config: RewriteConfig = {
  external: true,
  routeServerClient: false,
  localAsn: 65000,
  globalAsn: 65000,
  confederationMember: false,
  localAsReplaces: false,
  overriddenAsn: 0,
  aigp: false,
  longLived: true,
  removePrivateAs: "none",
  clusterId: 0x0a00_0001,
  role: undefined,
  gracefulShutdown: false,
};
const internal: RewriteConfig = { ...config, external: false };
const asIs: RewriteRoute = {
  nextHop: undefined,
  reflected: false,
  sourceRouterId: 77,
  flags: 0,
  interiorCost: 0,
  dropsMed: false,
};

function blockOf(attributes: Partial<PathAttributes>): AttributeBlock {
  const writer = new MessageWriter();
  encodeBlock({ ...emptyAttributes(), nextHop: Uint8Array.of(192, 0, 2, 1), ...attributes }, writer);
  return Object.assign(new AttributeBlock(), { bytes: writer.take(), start: 0, end: writer.at });
}

function rewritten(
  attributes: Partial<PathAttributes>,
  settings: RewriteConfig,
  route: Partial<RewriteRoute> = {},
): PathAttributes {
  const out = new MessageWriter();
  rewriteForExport(blockOf(attributes), settings, { ...asIs, ...route }, out);
  const result = decodeBlock(out.bytes, 0, out.at);
  const again = new MessageWriter();
  encodeBlock(result, again);
  assert.deepEqual(out.take(), again.take(), "the result is a canonical block");
  return result;
}

const u32 = fc.nat(0xffff_ffff);
const maybe = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(of, { nil: undefined });
const attributes: fc.Arbitrary<Partial<PathAttributes>> = fc.record({
  asPath: fc.array(
    fc.record(
      {
        type: fc.constantFrom(SegmentType.sequence, SegmentType.set),
        asns: fc.oneof(
          fc.array(u32, { minLength: 1, maxLength: 4 }),
          fc.array(u32, { minLength: 253, maxLength: 255 }),
        ),
      },
      { noNullPrototype: true },
    ),
    { maxLength: 3 },
  ),
  med: maybe(u32),
  localPref: maybe(u32),
  originatorId: maybe(u32),
  clusterList: fc.oneof(fc.array(u32, { maxLength: 3 }), fc.array(u32, { minLength: 62, maxLength: 65 })),
  communities: fc.array(u32, { maxLength: 3 }),
});

suite("rewriteForExport", () => {
  test("to an external neighbor: own AS in front, nothing that is internal to the AS", () => {
    fc.assert(
      fc.property(attributes, fc.boolean(), (given, hasLocalAs) => {
        const localAsn = hasLocalAs ? 65001 : 65000;
        const own = hasLocalAs ? [65001, 65000] : [65000];
        const result = rewritten(given, { ...config, localAsn }, { nextHop: Uint8Array.of(10, 0, 0, 1) });
        const path = given.asPath!;
        const joins = path[0]?.type === SegmentType.sequence && path[0].asns.length + own.length <= 255;
        assert.deepEqual(
          result.asPath,
          joins
            ? [{ type: SegmentType.sequence, asns: [...own, ...path[0].asns] }, ...path.slice(1)]
            : [{ type: SegmentType.sequence, asns: own }, ...path],
        );
        assert.deepEqual(result.nextHop, Uint8Array.of(10, 0, 0, 1));
        assert.deepEqual(
          [result.localPref, result.originatorId, result.clusterList],
          [undefined, undefined, []],
        );
        assert.equal(result.med, given.med);
        assert.deepEqual(result.communities, given.communities);
      }),
    );
  });

  test("to a route-server client: path, next hop and MED as they are (RFC 7947 2.2)", () => {
    fc.assert(
      fc.property(attributes, (given) => {
        const result = rewritten(given, { ...config, routeServerClient: true });
        assert.deepEqual(result.asPath, given.asPath);
        assert.deepEqual(result.nextHop, Uint8Array.of(192, 0, 2, 1));
        assert.equal(result.med, given.med);
        assert.equal(result.localPref, undefined);
      }),
    );
  });

  test("to an internal neighbor: as it is, with a local preference; reflected: ORIGINATOR_ID and CLUSTER_LIST", () => {
    fc.assert(
      fc.property(attributes, fc.boolean(), (given, reflected) => {
        const result = rewritten(given, internal, { reflected });
        assert.deepEqual(result.asPath, given.asPath);
        assert.equal(result.med, given.med);
        assert.equal(result.localPref, given.localPref ?? 100);
        assert.equal(result.originatorId, given.originatorId ?? (reflected ? 77 : undefined));
        assert.deepEqual(result.clusterList, [
          ...(reflected ? [internal.clusterId] : []),
          ...given.clusterList!,
        ]);
      }),
    );
  });

  test("non-transitive extended communities stay inside the AS (RFC 4360 6)", () => {
    const stays = Uint8Array.of(0x43, 0, 0, 0, 0, 0, 0, 0);
    const goes = Uint8Array.of(0, 2, 0xfc, 0, 0, 0, 0, 1);
    const join = (...list: Uint8Array[]): PathAttributes["extendedCommunities"] =>
      decodeBlock(
        Uint8Array.from([0xc0, 16, list.length * 8, ...list.flatMap((bytes) => [...bytes])]),
        0,
        3 + list.length * 8,
      ).extendedCommunities;
    const given = { extendedCommunities: join(stays, goes) };
    assert.deepEqual(rewritten(given, config).extendedCommunities, join(goes));
    assert.deepEqual(rewritten({ extendedCommunities: join(stays) }, config).extendedCommunities, join());
    assert.deepEqual(rewritten(given, internal).extendedCommunities, given.extendedCommunities);
  });

  test("private AS numbers (RFC 6996) are removed or replaced as asked", () => {
    const result = (mode: RewriteConfig["removePrivateAs"], ...asns: number[]): readonly number[] =>
      rewritten(
        { asPath: sequence(...asns) },
        { ...config, localAsn: 100, globalAsn: 100, removePrivateAs: mode },
      ).asPath[0].asns;
    assert.deepEqual(result("remove", 64512, 65534), [100]);
    assert.deepEqual(result("remove", 64512, 200), [100, 64512, 200]);
    assert.deepEqual(result("all", 64512, 200, 4200000000), [100, 200]);
    assert.deepEqual(result("replace", 64512, 200), [100, 100, 200]);
    assert.deepEqual(result("all", 64511, 65535, 4199999999), [100, 64511, 65535, 4199999999]);
  });

  test("stripMed takes out the MED and nothing else", () => {
    fc.assert(
      fc.property(attributes, (given) => {
        const out = new MessageWriter();
        stripMed(blockOf(given), out);
        assert.deepEqual(
          decodeBlock(out.bytes, 0, out.at),
          decodeBlock(
            blockOf({ ...given, med: undefined }).bytes,
            0,
            blockOf({ ...given, med: undefined }).end,
          ),
        );
      }),
    );
  });

  test("dropsMed is stripMed before the pass", () => {
    const settings = fc.record({
      external: fc.boolean(),
      gracefulShutdown: fc.boolean(),
      removePrivateAs: fc.constantFrom("none" as const, "all" as const),
    });
    fc.assert(
      fc.property(attributes, settings, (given, some) => {
        const all = { ...config, ...some };
        const apart = rewritten({ ...given, med: undefined }, all);
        assert.deepEqual(rewritten(given, all, { dropsMed: true }), apart);
      }),
    );
  });
});
