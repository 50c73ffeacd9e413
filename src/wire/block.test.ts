import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  arbitraryAttributes,
  arbitraryNextHop4,
  arbitraryNextHop16,
  fromHex,
  toHex,
} from "../../test/support/wire.ts";
import { AttributeFlag } from "./attribute-flags.ts";
import { describeAttributes } from "./attribute-text.ts";
import { withAigpMetric } from "./attributes/aigp.ts";
import { DerivedAttributes, decodeBlock, deriveBlock, encodeBlock } from "./block.ts";
import { MessageWriter } from "./message-writer.ts";
import { emptyAttributes, type PathAttributes, SegmentType } from "./path-attributes.ts";

function encode(attributes: PathAttributes): Uint8Array {
  const out = new MessageWriter(8);
  encodeBlock(attributes, out);
  return out.take();
}

function derive(attributes: Partial<PathAttributes>): DerivedAttributes {
  const bytes = encode({ ...emptyAttributes(), ...attributes });
  const out = new DerivedAttributes();
  deriveBlock(bytes, 0, bytes.length, out);
  return out;
}

test("a block decodes to what was encoded", () => {
  const nextHop = fc.oneof(arbitraryNextHop4, arbitraryNextHop16);
  fc.assert(
    fc.property(arbitraryAttributes(nextHop), (attributes) => {
      const bytes = encode(attributes);
      assert.deepEqual(decodeBlock(bytes, 0, bytes.length), attributes);
    }),
  );
});

test("golden bytes: sorted, extended length only where needed", () => {
  const bytes = encode({
    ...emptyAttributes(),
    asPath: [{ type: SegmentType.set, asns: [1] }],
    nextHop: Uint8Array.of(192, 0, 2, 1),
    unknown: [
      { flags: 0xf0, type: 200, value: Uint8Array.of(1) },
      { flags: 0xe0, type: 25, value: new Uint8Array(20) },
      { flags: 0xe0, type: 200, value: Uint8Array.of(2) },
      { flags: 0x40, type: 5, value: Uint8Array.of(9) },
    ],
    communities: Array.from({ length: 64 }, () => 0),
    partial: [8],
  });
  const expected = `40010100 400206010100000001 400304c0000201 f0080100${"00".repeat(256)} e01914${"00".repeat(20)} e0c80101`;
  assert.equal(toHex(bytes), toHex(fromHex(expected)));
});

test("sequences longer than 255 are split, duplicates of large communities dropped", () => {
  const asns = Array.from({ length: 300 }, (_, i) => i + 1);
  const bytes = encode({
    ...emptyAttributes(),
    asPath: [{ type: SegmentType.sequence, asns }],
    largeCommunities: [
      [1, 2, 3],
      [1, 2, 3],
    ],
  });
  const decoded = decodeBlock(bytes, 0, bytes.length);
  assert.deepEqual(
    decoded.asPath.map((segment) => segment.asns.length),
    [255, 45],
  );
  assert.deepEqual(decoded.largeCommunities, [[1, 2, 3]]);
});

test("columns of an empty and of a full set", () => {
  const empty = derive({});
  assert.deepEqual(
    [empty.origin, empty.localPref, empty.med, empty.pathLength, empty.flags],
    [0, 100, 0, 0, 0],
  );
  const full = derive({
    origin: 2,
    asPath: [{ type: SegmentType.confedSequence, asns: [65_002] }],
    aigp: withAigpMetric(new Uint8Array(0), 0x1_0000_0002n),
    nextHop: Uint8Array.of(192, 0, 2, 1),
    localPref: 4_000_000_000,
    med: 7,
    atomicAggregate: true,
    aggregator: { asn: 1, address: 1 },
    originatorId: 0xc0000201,
    clusterList: [1, 2, 3],
    communities: [0xffff_ff01, 0xffff_ff02, 0xffff_ff03, 0xffff_ff04, 0xffff_0000, 0xffff_029a, 0xffff_0006],
    extendedCommunities: ["0002fde800000001"],
    unknown: [{ flags: 0xe0, type: 99, value: new Uint8Array(0) }],
    otc: 65_001,
    local: { weight: 9, tag: undefined, discard: true },
  });
  const everyFlag = Object.values<number>(AttributeFlag).reduce((all, bit) => all | bit);
  // A path ends in one kind of segment.
  assert.equal(full.flags, everyFlag & ~AttributeFlag.endsWithSet);
  assert.deepEqual([full.aigpHigh, full.aigpLow], [1, 2]);
  assert.deepEqual([full.origin, full.localPref, full.med], [2, 4_000_000_000, 7]);
  assert.deepEqual([full.originatorId, full.clusterListLength], [0xc0000201, 3]);
  assert.equal(full.weight, 9);
  const localBytes = 3 + 9;
  assert.deepEqual([full.nextHopAt, full.nextHopLength], [localBytes + 4 + 9 + 3, 4]);
});

test("attributes have names and texts for people", () => {
  const text = describeAttributes({
    ...emptyAttributes(),
    asPath: [{ type: SegmentType.sequence, asns: [65_001, 65_002] }],
    nextHop: fromHex("20010db8000000000000000000000001 fe800000000000000000000000000001"),
    med: 5,
    localPref: 100,
    atomicAggregate: true,
    aggregator: { asn: 65_001, address: 0x0a000001 },
    communities: [0xffff_ff01],
    originatorId: 0x0a000002,
    clusterList: [1, 2],
    extendedCommunities: ["0002fde800000001"],
    largeCommunities: [[1, 2, 3]],
    unknown: [{ flags: 0xe0, type: 25, value: Uint8Array.of(10) }],
  }).map(({ name, value }) => `${name} ${value}`.trimEnd());
  assert.deepEqual(text, [
    "ORIGIN igp",
    "AS_PATH 65001 65002",
    "NEXT_HOP 2001:db8::1 fe80::1",
    "MULTI_EXIT_DISC 5",
    "LOCAL_PREF 100",
    "ATOMIC_AGGREGATE",
    "AGGREGATOR 65001 10.0.0.1",
    "COMMUNITIES no-export",
    "ORIGINATOR_ID 10.0.0.2",
    "CLUSTER_LIST 0.0.0.1 0.0.0.2",
    "EXTENDED_COMMUNITIES rt:65000:1",
    "IPV6_EXTENDED_COMMUNITIES 0a",
    "LARGE_COMMUNITY 1:2:3",
  ]);
});

test("RFC 4271 9.1.2.2, RFC 5065 5.3: length and ends of a path", () => {
  const { sequence, set, confedSequence, confedSet } = SegmentType;
  const cases: [asPath: PathAttributes["asPath"], length: number, neighborAs: number, originAs: number][] = [
    [[], 0, 0, 0],
    [[{ type: sequence, asns: [1, 2, 3] }], 3, 1, 3],
    [
      [
        { type: sequence, asns: [1, 2] },
        { type: set, asns: [3, 4] },
      ],
      3,
      1,
      0,
    ],
    [
      [
        { type: set, asns: [3, 4] },
        { type: sequence, asns: [5] },
      ],
      2,
      0,
      5,
    ],
    [
      [
        { type: confedSequence, asns: [9, 8] },
        { type: sequence, asns: [1, 2] },
      ],
      2,
      1,
      2,
    ],
    [[{ type: confedSet, asns: [9, 8] }], 0, 0, 0],
  ];
  for (const [asPath, length, neighborAs, originAs] of cases) {
    const out = derive({ asPath });
    assert.deepEqual([out.pathLength, out.neighborAs, out.originAs], [length, neighborAs, originAs]);
  }
});
