import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatAsPath, parseAsPath } from "./as-path-text.ts";
import {
  formatCommunity,
  formatExtendedCommunity,
  formatLargeCommunity,
  parseCommunity,
  parseExtendedCommunity,
  parseLargeCommunity,
} from "./community-text.ts";
import { SegmentType } from "./path-attributes.ts";

test("standard communities: numbers and names", () => {
  assert.equal(parseCommunity("65000:1"), 0xfde8_0001);
  assert.equal(parseCommunity("no-export"), 0xffff_ff01);
  assert.equal(parseCommunity("NO-PEER"), 0xffff_ff04);
  assert.equal(formatCommunity(0xffff_029a), "blackhole");
  for (const bad of ["65536:1", "1", "1:2:3", "01:2", "-1:2", "a:b", "", "no-such"]) {
    assert.equal(parseCommunity(bad), undefined, bad);
  }
});

test("standard communities: text and value are one to one", () => {
  fc.assert(fc.property(fc.nat(0xffff_ffff), (value) => parseCommunity(formatCommunity(value)) === value));
});

test("extended communities: golden texts", () => {
  const rows: [string, string][] = [
    ["0002fde800000001", "rt:65000:1"],
    ["0102c00002010001", "rt:192.0.2.1:1"],
    ["0202fa56ea000001", "rt:4200000000:1"],
    ["02020000fde80001", "rt:65000L:1"],
    ["0003fde80000000a", "ro:65000:10"],
    ["4004fde84cee6b28", "lb:65000:125000000"],
    ["0004fde84cee6b28", "lbt:65000:125000000"],
    ["030c000000000008", "ext:030c000000000008"],
  ];
  for (const [digits, text] of rows) {
    assert.equal(formatExtendedCommunity(digits), text);
    assert.equal(parseExtendedCommunity(text), digits);
  }
  assert.equal(parseExtendedCommunity("soo:65000:10"), "0003fde80000000a");
  for (const bad of [
    "rt:65000",
    "rt:a:1",
    "rt:1.2.3.4:65536",
    "rt:4200000000:65536",
    "ext:12",
    "xx:1:2",
    "lb:1:-5",
    "constructor:1:1",
  ]) {
    assert.equal(parseExtendedCommunity(bad), undefined, bad);
  }
});

test("extended communities: text and value are one to one", () => {
  const head = fc.constantFrom("0002", "0003", "0102", "0103", "0202", "0203", "4004", "0000", "430c");
  const tail = fc
    .bigInt({ min: 0n, max: 0xffff_ffff_ffffn })
    .map((value) => value.toString(16).padStart(12, "0"));
  fc.assert(
    fc.property(head, tail, (a, b) => {
      assert.equal(parseExtendedCommunity(formatExtendedCommunity(a + b)), a + b);
    }),
  );
});

test("large communities", () => {
  assert.deepEqual(parseLargeCommunity("4200000000:1:2"), [4_200_000_000, 1, 2]);
  assert.equal(formatLargeCommunity([1, 2, 3]), "1:2:3");
  for (const bad of ["1:2", "1:2:4294967296", "1::2"]) assert.equal(parseLargeCommunity(bad), undefined, bad);
});

test("AS paths: golden texts", () => {
  const text = "65001 65002 {65003 65004} (65010) [65011] 1";
  const path = parseAsPath(text);
  assert.deepEqual(path, [
    { type: SegmentType.sequence, asns: [65_001, 65_002] },
    { type: SegmentType.set, asns: [65_003, 65_004] },
    { type: SegmentType.confedSequence, asns: [65_010] },
    { type: SegmentType.confedSet, asns: [65_011] },
    { type: SegmentType.sequence, asns: [1] },
  ]);
  assert.equal(formatAsPath(path!), text);
  assert.deepEqual(parseAsPath("  "), []);
  assert.deepEqual(parseAsPath("{1,2}"), [{ type: SegmentType.set, asns: [1, 2] }]);
  for (const bad of ["{1", "1}", "{}", "{1)", "1.2", "4294967296", "{1 {2}}", "01"]) {
    assert.equal(parseAsPath(bad), undefined, bad);
  }
});
