import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, ebgp, ebgpTwoOctet, fromHex, ibgp, toHex, update } from "../../test/support/wire.ts";
import { formatIp, formatPrefix } from "../base/ip.ts";
import { formatAsPath } from "./as-path-text.ts";
import { decodeBlock } from "./block.ts";
import { ipv4Unicast, ipv6Unicast } from "./family.ts";
import type { AttributeBlock, NlriList, UpdateScratch } from "./scratch.ts";
import { UpdateScratch as Scratch } from "./scratch.ts";
import { decodeUpdate } from "./update-decode.ts";
import { Verdict } from "./verdict.ts";

const origin = "40010100";
const path = "400206 0201 0000fde9";
const nextHop = "400304 c0000201";
const good: string = origin + path + nextHop;
const prefix = "18 0a0102";
const global = "20010db8000000000000000000000001";
const linkLocal = "fe800000000000000000000000000009";

function blockHex(block: AttributeBlock): string {
  return toHex(block.bytes, block.start, block.end);
}

function prefixes(list: NlriList, frame: Uint8Array): string[] {
  return Array.from({ length: list.count }, (_, i) => {
    const bytes = new Uint8Array(list.family.addressBytes);
    bytes.set(frame.subarray(list.at[i], list.at[i] + ((list.length[i] + 7) >> 3)));
    return `${formatPrefix({ bytes, length: list.length[i] })}${list.pathId[i] === 0 ? "" : `#${list.pathId[i]}`}`;
  });
}

function asPathOf(out: UpdateScratch): string {
  assert.equal(out.verdict <= Verdict.discardAttribute, true, out.problems[0]?.text);
  return formatAsPath(decodeBlock(out.block.bytes, out.block.start, out.block.end).asPath);
}

test("a canonical section is used where it stands", () => {
  const bytes = update(`${good}800404 00000005 c00804 fde90001`, `${prefix} 00 20 0a010203`, "08 0b");
  const out = decode(bytes);
  assert.equal(out.verdict, Verdict.ok);
  assert.equal(out.block.bytes, bytes);
  assert.equal(blockHex(out.block), fromHexText(`${good}800404 00000005 c00804 fde90001`));
  assert.deepEqual(prefixes(out.reach, bytes), ["10.1.2.0/24", "0.0.0.0/0", "10.1.2.3/32"]);
  assert.deepEqual(prefixes(out.withdrawn, bytes), ["11.0.0.0/8"]);
});

test("any other section is rewritten: order, flags, extended length, scope", () => {
  const odd = `${nextHop}5002000602010000fde9 c0ff0102 41010100 806301 00 400504 00000064`;
  const out = decode(update(odd, prefix));
  assert.equal(out.verdict, Verdict.ok);
  assert.equal(blockHex(out.block), fromHexText(`${good}e0ff0102`));
});

test("the canonical form of a canonical block is itself", () => {
  const first = decode(update(`${nextHop}${path}${origin}c0ff0102 c02018 ${"00".repeat(24)}`, prefix));
  const hex = blockHex(first.block);
  const again = decode(update(hex, prefix));
  assert.equal(blockHex(again.block), hex);
  assert.equal(again.block.start, 23);
});

test("RFC 8092 5: duplicate large communities are removed, however many", () => {
  const one = "000000010000000200000003";
  const two = "000000010000000200000004";
  const few = decode(update(`${good}c02024 ${one}${two}${one}`, prefix));
  assert.equal(blockHex(few.block), fromHexText(`${good}c02018 ${one}${two}`));
  const many = decode(update(`${good}d020 0258 ${(one + two).repeat(25)}`, prefix));
  assert.equal(blockHex(many.block), fromHexText(`${good}c02018 ${one}${two}`));
});

test("MP_REACH_NLRI: the next hop becomes attribute 3 of its own block", () => {
  const mp = `800e20 0002 01 10 ${global} 00 20 20010db8 28 20010db801`;
  const bytes = update(`${mp}${origin}${path}`);
  const out = decode(bytes);
  assert.equal(out.verdict, Verdict.ok);
  assert.deepEqual(prefixes(out.mpReach, bytes), ["2001:db8::/32", "2001:db8:100::/40"]);
  assert.equal(blockHex(out.mpBlock), fromHexText(`${origin}${path}400310 ${global}`));
});

test("body and MP routes in one message have a block each", () => {
  const mp = `800e1a 0002 01 10 ${global} 00 20 20010db8`;
  const out = decode(update(`${good}${mp}c00804 fde90001`, prefix));
  assert.equal(blockHex(out.block), fromHexText(`${good}c00804 fde90001`));
  assert.equal(blockHex(out.mpBlock), fromHexText(`${origin}${path}400310 ${global}c00804 fde90001`));
});

test("RFC 2545 3: next hops of 32 bytes", () => {
  const cases: [string, string][] = [
    [global + linkLocal, global + linkLocal],
    [global + "00".repeat(16), global],
    [global + global, global],
    ["00".repeat(16) + linkLocal, linkLocal],
    [linkLocal + linkLocal, linkLocal],
  ];
  for (const [sent, kept] of cases) {
    const out = decode(update(`800e2a 0002 01 20 ${sent} 00 20 20010db8 ${origin}${path}`));
    assert.equal(out.verdict, Verdict.ok);
    const { nextHop: bytes } = decodeBlock(out.mpBlock.bytes, out.mpBlock.start, out.mpBlock.end);
    assert.equal(toHex(bytes), kept, formatIp(bytes, 0, 16));
  }
});

test("IPv4 in MP_REACH_NLRI", () => {
  const bytes = update(`800e0d 0001 01 04 c0000201 00 18 0a0102 ${origin}${path}`);
  const out = decode(bytes);
  assert.deepEqual(prefixes(out.mpReach, bytes), ["10.1.2.0/24"]);
  assert.equal(out.mpReach.family, ipv4Unicast);
  assert.equal(blockHex(out.mpBlock), fromHexText(good));
});

test("RFC 7911: path identifiers, per family", () => {
  const context = { ...ebgp, addPath: 1 };
  const mp = "800f07 0002 01 18 200100";
  const bytes = update(good + mp, "00000007 18 0a0102 ffffffff 00", "00000001 08 0b");
  const out = decode(bytes, context);
  assert.deepEqual(prefixes(out.reach, bytes), ["10.1.2.0/24#7", "0.0.0.0/0#4294967295"]);
  assert.deepEqual(prefixes(out.withdrawn, bytes), ["11.0.0.0/8#1"]);
  assert.deepEqual(prefixes(out.mpWithdrawn, bytes), ["2001::/24"]);
  assert.equal(decode(update(good, "00000007"), context).verdict, Verdict.resetSession);
});

test("RFC 4724 2: End-of-RIB in both forms", () => {
  assert.equal(decode(update("")).endOfRib, ipv4Unicast);
  assert.equal(decode(update("800f03 000201")).endOfRib, ipv6Unicast);
  assert.equal(decode(update("900f0003 000201")).endOfRib, ipv6Unicast);
  assert.equal(decode(update("800f03 000180")).endOfRib, undefined);
  assert.equal(decode(update("800f03 000201", "", "08 0b")).endOfRib, undefined);
  assert.equal(decode(update(`${good}800f03 000201`)).endOfRib, undefined);
  assert.equal(decode(update("800f03 000201"), { ...ebgp, families: 1 }).endOfRib, undefined);
});

test("routes of families that were not negotiated are left alone", () => {
  const only6 = { ...ebgp, families: 2 };
  const out = decode(update(good, prefix), only6);
  assert.equal(out.verdict, Verdict.discardAttribute);
  assert.equal(out.reach.count, 0);
  assert.equal(decode(update(""), only6).endOfRib, undefined);
});

test("RFC 6793 4.2.3: AS_PATH and AS4_PATH are merged", () => {
  const cases: [name: string, asPath: string, as4Path: string, expected: string][] = [
    ["no AS4_PATH", "0202 fde9 5ba0", "", "65001 23456"],
    ["as long as AS_PATH", "0202 5ba0 5ba0", "0202 00030d40 00030d41", "200000 200001"],
    ["shorter: leading hops stay", "0203 fde9 5ba0 5ba0", "0202 00030d40 00030d41", "65001 200000 200001"],
    ["longer: ignored", "0201 fde9", "0202 00030d40 00030d41", "65001"],
    [
      "a set counts one",
      "0202 fde9 5ba0 0102 5ba0 5ba0",
      "0201 00030d40 0102 00030d41 00030d42",
      "65001 200000 {200001 200002}",
    ],
    ["a set ahead", "0102 0001 0002 0201 5ba0", "0201 00030d40", "{1 2} 200000"],
    [
      "confederation segments in AS4_PATH are dropped",
      "0202 fde9 5ba0",
      "0301 00000009 0201 00030d40",
      "65001 200000",
    ],
  ];
  for (const [name, asPath, as4Path, expected] of cases) {
    const attribute = (flags: string, type: string, value: string): string =>
      value === "" ? "" : `${flags}${type}${fromHex(value).length.toString(16).padStart(2, "0")}${value}`;
    const hex = origin + attribute("40", "02", asPath) + nextHop + attribute("c0", "11", as4Path);
    const out = decode(update(hex, prefix), ebgpTwoOctet);
    assert.equal(asPathOf(out), expected, name);
    assert.ok(!blockHex(out.block).includes("c011"), name);
  }
});

test("RFC 6793 4.2.3: a merged sequence is one segment", () => {
  const out = decode(
    update(`${origin}400208 0203 fde9 5ba0 5ba0${nextHop}c0110a 0202 00030d40 00030d41`, prefix),
    ebgpTwoOctet,
  );
  assert.equal(blockHex(out.block).slice(8, 8 + 34), fromHexText("40020e 0203 0000fde9 00030d40 00030d41"));
});

test("RFC 6793 4.2.3: AGGREGATOR and AS4_AGGREGATOR", () => {
  const base = `${origin}400204 0201 5ba0${nextHop}`;
  const as4 = "c01106 0201 00030d40 c01208 00030d41 0a000002";
  const trans = decode(update(`${base}c00706 5ba0 0a000001${as4}`, prefix), ebgpTwoOctet);
  const attributes = decodeBlock(trans.block.bytes, trans.block.start, trans.block.end);
  assert.deepEqual(attributes.aggregator, { asn: 200_001, address: 0x0a000002 });
  assert.equal(asPathOf(trans), "200000");
  const stale = decode(update(`${base}c00706 fde9 0a000001${as4}`, prefix), ebgpTwoOctet);
  const other = decodeBlock(stale.block.bytes, stale.block.start, stale.block.end);
  assert.deepEqual(other.aggregator, { asn: 65_001, address: 0x0a000001 });
  assert.equal(asPathOf(stale), "23456");
});

test("internal attributes are kept from an internal neighbor", () => {
  const out = decode(update(`${good}400504 00000064 800904 0a000001 800a08 0a000002 0a000003`, prefix), ibgp);
  const attributes = decodeBlock(out.block.bytes, out.block.start, out.block.end);
  assert.equal(attributes.localPref, 100);
  assert.equal(attributes.originatorId, 0x0a000001);
  assert.deepEqual(attributes.clusterList, [0x0a000002, 0x0a000003]);
});

test("offsets are those of the buffer, wherever the message stands in it", () => {
  const one = update(`${path}${origin}${nextHop}`, prefix);
  const buffer = new Uint8Array(one.length + 100).fill(0xee);
  buffer.set(one, 50);
  const out = new Scratch();
  decodeUpdate(buffer, 50, 50 + one.length, ebgp, out);
  assert.deepEqual(prefixes(out.reach, buffer), ["10.1.2.0/24"]);
  assert.equal(blockHex(out.block), fromHexText(good));
});

test("a two-octet path too long for one attribute is withdrawn, not cut", () => {
  const segments = `02ff ${"0001".repeat(255)}`.repeat(100);
  const length = fromHex(segments).length.toString(16).padStart(4, "0");
  const out = decode(update(`${origin}5002${length}${segments}${nextHop}`, prefix), ebgpTwoOctet);
  assert.equal(out.verdict, Verdict.treatAsWithdraw);
  assert.deepEqual(prefixes(out.reach, update(`${origin}5002${length}${segments}${nextHop}`, prefix)), [
    "10.1.2.0/24",
  ]);
});

function fromHexText(text: string): string {
  return toHex(fromHex(text));
}
