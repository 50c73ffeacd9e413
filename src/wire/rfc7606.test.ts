/** The error handling of RFC 7606 (and of RFC 6793, 7607, 8092, 9234 by its rules), one row per case. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, ebgp, ebgpTwoOctet, ibgp, update } from "../../test/support/wire.ts";
import { decodeBlock } from "./block.ts";
import type { DecodeContext } from "./decode-context.ts";
import type { PathAttributes } from "./path-attributes.ts";
import { Verdict } from "./verdict.ts";

const origin = "40010100";
const path = "400206 0201 0000fde9";
const path2 = "400204 0201 fde9";
const nextHop = "400304 c0000201";
const good: string = origin + path + nextHop;
const prefix = "18 0a0102";
const mpGood = "800e1a 0002 01 10 20010db8000000000000000000000001 00 20 20010db8";

interface Row {
  name: string;
  attributes: string;
  verdict: Verdict;
  /** UPDATE Message Error subcode of the worst problem. */
  subcode?: number;
  context?: DecodeContext;
  reach?: string;
  withdrawn?: string;
  /** What must hold for the attributes that are left. */
  kept?: (attributes: PathAttributes) => boolean;
}

const { ok, discardAttribute: discard, treatAsWithdraw: withdraw, resetSession: reset } = Verdict;

const rows: Row[] = [
  // 3(c): flags
  { name: "3(c) ORIGIN optional", attributes: `c0010100${path}${nextHop}`, verdict: withdraw, subcode: 4 },
  { name: "3(c) ORIGIN partial", attributes: `60010100${path}${nextHop}`, verdict: withdraw, subcode: 4 },
  {
    name: "3(c) AS_PATH optional",
    attributes: `${origin}c00206 0201 0000fde9${nextHop}`,
    verdict: withdraw,
    subcode: 4,
  },
  {
    name: "3(c) NEXT_HOP optional",
    attributes: `${origin}${path}c00304 c0000201`,
    verdict: withdraw,
    subcode: 4,
  },
  { name: "3(c) MED transitive", attributes: `${good}c00404 00000001`, verdict: withdraw, subcode: 4 },
  {
    name: "3(c) COMMUNITIES not transitive",
    attributes: `${good}800804 00010001`,
    verdict: withdraw,
    subcode: 4,
  },
  {
    name: "3(c) large communities not optional",
    attributes: `${good}40200c ${"00".repeat(12)}`,
    verdict: withdraw,
    subcode: 4,
  },
  { name: "unused flag bits are ignored", attributes: `4f010100${path}${nextHop}`, verdict: ok },
  {
    name: "Partial is kept on optional transitive",
    attributes: `${good}e00804 00010001`,
    verdict: ok,
    kept: (a) => a.partial.join() === "8",
  },
  // 3(d): mandatory
  { name: "3(d) ORIGIN missing", attributes: path + nextHop, verdict: withdraw, subcode: 3 },
  { name: "3(d) AS_PATH missing", attributes: origin + nextHop, verdict: withdraw, subcode: 3 },
  { name: "3(d) NEXT_HOP missing", attributes: origin + path, verdict: withdraw, subcode: 3 },
  { name: "3(d) nothing but NLRI", attributes: "", verdict: withdraw, subcode: 3 },
  { name: "NEXT_HOP is not needed for MP_REACH", attributes: mpGood + origin + path, reach: "", verdict: ok },
  { name: "withdrawals need no attributes", attributes: "", reach: "", withdrawn: prefix, verdict: ok },
  // 3(g): duplicates
  {
    name: "3(g) MED twice",
    attributes: `${good}800404 00000001 800404 00000002`,
    verdict: discard,
    subcode: 1,
    kept: (a) => a.med === 1,
  },
  { name: "3(g) second ORIGIN malformed", attributes: `${good}40010109`, verdict: discard, subcode: 1 },
  {
    name: "3(g) MP_REACH twice",
    attributes: mpGood + mpGood + origin + path,
    reach: "",
    verdict: reset,
    subcode: 1,
  },
  {
    name: "3(g) MP_UNREACH twice",
    attributes: "800f03 000201 800f03 000201",
    reach: "",
    verdict: reset,
    subcode: 1,
  },
  // 3(h): the most severe wins
  {
    name: "3(h) discard and withdraw",
    attributes: `${good}c00701 00 800401 00`,
    verdict: withdraw,
    subcode: 5,
  },
  // 4: lengths
  { name: "4 one byte left over", attributes: `${good}40`, verdict: withdraw, subcode: 1 },
  { name: "4 two bytes left over", attributes: `${good}4004`, verdict: withdraw, subcode: 1 },
  { name: "4 extended length cut off", attributes: `${good}500800`, verdict: withdraw, subcode: 1 },
  { name: "4 length runs over", attributes: `${good}c00808 00010001`, verdict: withdraw, subcode: 1 },
  { name: "4 length runs over, MP_REACH", attributes: `${good}800eff 00020110`, verdict: reset, subcode: 1 },
  // 5.2: no routes to withdraw
  {
    name: "5.2 malformed and no NLRI",
    attributes: `40010109${path}${nextHop}`,
    reach: "",
    verdict: reset,
    subcode: 6,
  },
  {
    name: "5.2 malformed and only withdrawals",
    attributes: "40010109",
    reach: "",
    withdrawn: prefix,
    verdict: reset,
    subcode: 6,
  },
  {
    name: "5.2 discarded and no NLRI",
    attributes: `${good}c00701 00`,
    reach: "",
    verdict: discard,
    subcode: 5,
  },
  // 5.3: NLRI
  { name: "5.3 prefix too long", attributes: good, reach: "21 0a01020300", verdict: reset, subcode: 10 },
  { name: "5.3 prefix cut off", attributes: good, reach: "18 0a01", verdict: reset, subcode: 10 },
  {
    name: "5.3 withdrawn prefix too long",
    attributes: "",
    reach: "",
    withdrawn: "ff 00",
    verdict: reset,
    subcode: 10,
  },
  {
    name: "5.3 MP prefix too long",
    attributes: `800e17 0002 01 10 20010db8000000000000000000000001 00 81 00 ${origin}${path}`,
    reach: "",
    verdict: reset,
    subcode: 9,
  },
  {
    name: "5.3 MP_UNREACH prefix cut off",
    attributes: "800f05 000201 40 20",
    reach: "",
    verdict: reset,
    subcode: 9,
  },
  {
    name: "5.3 MP_REACH shorter than 5",
    attributes: `800e04 00020100 ${origin}${path}`,
    reach: "",
    verdict: reset,
    subcode: 9,
  },
  { name: "5.3 MP_UNREACH shorter than 3", attributes: "800f02 0002", reach: "", verdict: reset, subcode: 9 },
  {
    name: "5.3 MP_REACH with wrong flags",
    attributes: `c00e1a ${mpGood.slice(6)}${origin}${path}`,
    reach: "",
    verdict: reset,
    subcode: 4,
  },
  // 7.1 ORIGIN
  { name: "7.1 ORIGIN of 0 bytes", attributes: `400100${path}${nextHop}`, verdict: withdraw, subcode: 5 },
  { name: "7.1 ORIGIN of 2 bytes", attributes: `4001020000${path}${nextHop}`, verdict: withdraw, subcode: 5 },
  { name: "7.1 ORIGIN 3", attributes: `40010103${path}${nextHop}`, verdict: withdraw, subcode: 6 },
  // 7.2 AS_PATH
  { name: "7.2 empty AS_PATH", attributes: `${origin}400200${nextHop}`, verdict: ok },
  {
    name: "7.2 segment type 0",
    attributes: `${origin}400206 0001 0000fde9${nextHop}`,
    verdict: withdraw,
    subcode: 11,
  },
  {
    name: "7.2 segment type 5",
    attributes: `${origin}400206 0501 0000fde9${nextHop}`,
    verdict: withdraw,
    subcode: 11,
  },
  {
    name: "7.2 segment of length 0",
    attributes: `${origin}400202 0200${nextHop}`,
    verdict: withdraw,
    subcode: 11,
  },
  {
    name: "7.2 segment overrun",
    attributes: `${origin}400206 0202 0000fde9${nextHop}`,
    verdict: withdraw,
    subcode: 11,
  },
  {
    name: "7.2 one byte left",
    attributes: `${origin}400207 0201 0000fde9 02${nextHop}`,
    verdict: withdraw,
    subcode: 11,
  },
  {
    name: "RFC 5065 5: confederation segment from eBGP",
    attributes: `${origin}400206 0301 0000fde9${nextHop}`,
    verdict: withdraw,
    subcode: 11,
  },
  {
    name: "RFC 5065: confederation segment from iBGP",
    attributes: `${origin}400206 0301 0000fde9${nextHop}`,
    context: ibgp,
    verdict: ok,
  },
  {
    name: "RFC 7607 2: AS 0 in AS_PATH",
    attributes: `${origin}400206 0201 00000000${nextHop}`,
    verdict: withdraw,
    subcode: 11,
  },
  // 7.3 NEXT_HOP
  {
    name: "7.3 NEXT_HOP of 3 bytes",
    attributes: `${origin}${path}400303 c00002`,
    verdict: withdraw,
    subcode: 5,
  },
  {
    name: "7.3 NEXT_HOP of 16 bytes",
    attributes: `${origin}${path}400310 ${"20".repeat(16)}`,
    verdict: withdraw,
    subcode: 5,
  },
  {
    name: "6.3 NEXT_HOP 0.0.0.0",
    attributes: `${origin}${path}400304 00000000`,
    verdict: withdraw,
    subcode: 8,
  },
  {
    name: "6.3 NEXT_HOP loopback",
    attributes: `${origin}${path}400304 7f000001`,
    verdict: withdraw,
    subcode: 8,
  },
  {
    name: "6.3 NEXT_HOP multicast",
    attributes: `${origin}${path}400304 e0000001`,
    verdict: withdraw,
    subcode: 8,
  },
  {
    name: "6.3 NEXT_HOP class E",
    attributes: `${origin}${path}400304 f0000001`,
    verdict: withdraw,
    subcode: 8,
  },
  {
    name: "RFC 4760 3: NEXT_HOP without body NLRI is ignored",
    attributes: `${mpGood}${origin}${path}400304 00000000`,
    reach: "",
    verdict: ok,
  },
  // 7.4 MED, 7.5 LOCAL_PREF
  { name: "7.4 MED of 3 bytes", attributes: `${good}800403 000001`, verdict: withdraw, subcode: 5 },
  {
    name: "7.5 LOCAL_PREF from eBGP",
    attributes: `${good}400504 00000064`,
    verdict: ok,
    kept: (a) => a.localPref === undefined,
  },
  {
    name: "7.5 malformed LOCAL_PREF from eBGP",
    attributes: `${good}400503 000064`,
    verdict: ok,
    kept: (a) => a.localPref === undefined,
  },
  {
    name: "7.5 malformed LOCAL_PREF from iBGP",
    attributes: `${good}400503 000064`,
    context: ibgp,
    verdict: withdraw,
    subcode: 5,
  },
  // 7.6 ATOMIC_AGGREGATE, 7.7 AGGREGATOR
  {
    name: "7.6 ATOMIC_AGGREGATE of 1 byte",
    attributes: `${good}40060100`,
    verdict: discard,
    subcode: 5,
    kept: (a) => !a.atomicAggregate,
  },
  {
    name: "7.7 AGGREGATOR of 6 bytes",
    attributes: `${good}c00706 fde90a000001`,
    verdict: discard,
    subcode: 5,
    kept: (a) => a.aggregator === undefined,
  },
  {
    name: "7.7 AGGREGATOR of 8 bytes, two-octet peer",
    attributes: `${origin}${path2}${nextHop}c00708 0000fde90a000001`,
    context: ebgpTwoOctet,
    verdict: discard,
    subcode: 5,
  },
  {
    name: "RFC 7607 2: AS 0 in AGGREGATOR",
    attributes: `${good}c00708 00000000 0a000001`,
    verdict: discard,
    subcode: 9,
  },
  // 7.8 COMMUNITIES
  { name: "7.8 COMMUNITIES of 0 bytes", attributes: `${good}c00800`, verdict: withdraw, subcode: 5 },
  {
    name: "7.8 COMMUNITIES of 5 bytes",
    attributes: `${good}c00805 0001000100`,
    verdict: withdraw,
    subcode: 5,
  },
  // 7.9 ORIGINATOR_ID, 7.10 CLUSTER_LIST
  {
    name: "7.9 ORIGINATOR_ID from eBGP",
    attributes: `${good}800904 0a000001`,
    verdict: ok,
    kept: (a) => a.originatorId === undefined,
  },
  {
    name: "7.9 ORIGINATOR_ID of 3 bytes from iBGP",
    attributes: `${good}800903 0a0000`,
    context: ibgp,
    verdict: withdraw,
    subcode: 5,
  },
  {
    name: "7.10 malformed CLUSTER_LIST from eBGP",
    attributes: `${good}800a03 0a0000`,
    verdict: ok,
    kept: (a) => a.clusterList.length === 0,
  },
  {
    name: "7.10 CLUSTER_LIST of 0 bytes from iBGP",
    attributes: `${good}800a00`,
    context: ibgp,
    verdict: withdraw,
    subcode: 5,
  },
  // 7.11 MP_REACH
  {
    name: "7.11 next hop of 9 bytes",
    attributes: `800e0f 0002 01 09 20010db80000000000 00 00 ${origin}${path}`,
    reach: "",
    verdict: reset,
    subcode: 9,
  },
  {
    name: "7.11 next hop beyond the end",
    attributes: `800e06 0002 01 10 2001 ${origin}${path}`,
    reach: "",
    verdict: reset,
    subcode: 9,
  },
  {
    name: "7.11 unspecified next hop",
    attributes: `800e1a 0002 01 10 ${"00".repeat(16)} 00 20 20010db8 ${origin}${path}`,
    reach: "",
    verdict: withdraw,
    subcode: 8,
  },
  {
    name: "7.11 loopback next hop",
    attributes: `800e1a 0002 01 10 ${"00".repeat(15)}01 00 20 20010db8 ${origin}${path}`,
    reach: "",
    verdict: withdraw,
    subcode: 8,
  },
  {
    name: "7.11 multicast next hop",
    attributes: `800e1a 0002 01 10 ff02${"00".repeat(14)} 00 20 20010db8 ${origin}${path}`,
    reach: "",
    verdict: withdraw,
    subcode: 8,
  },
  {
    name: "a family that was not negotiated is left alone",
    attributes: `800e0a 0001 80 04 0a000001 00 00 ${origin}${path}`,
    reach: "",
    verdict: discard,
    subcode: 9,
  },
  // 7.14, 7.15 and later RFCs
  {
    name: "7.14 extended communities of 9 bytes",
    attributes: `${good}c01009 ${"00".repeat(9)}`,
    verdict: withdraw,
    subcode: 5,
  },
  {
    name: "7.15 IPv6 extended communities of 21 bytes",
    attributes: `${good}c01915 ${"00".repeat(21)}`,
    verdict: withdraw,
    subcode: 5,
  },
  {
    name: "RFC 8092 6: large communities of 13 bytes",
    attributes: `${good}c0200d ${"00".repeat(13)}`,
    verdict: withdraw,
    subcode: 5,
  },
  { name: "RFC 9234 5: OTC of 3 bytes", attributes: `${good}c02303 0000fd`, verdict: withdraw, subcode: 5 },
  // RFC 6793 6
  {
    name: "RFC 6793 3: AS4_PATH from a four-octet peer",
    attributes: `${good}c01106 0001 00000001`,
    verdict: ok,
  },
  {
    name: "RFC 6793 6: malformed AS4_PATH",
    attributes: `${origin}${path2}${nextHop}c01106 0001 00000001`,
    context: ebgpTwoOctet,
    verdict: discard,
    subcode: 9,
  },
  {
    name: "RFC 6793 6: malformed AS4_AGGREGATOR",
    attributes: `${origin}${path2}${nextHop}c01204 00000001`,
    context: ebgpTwoOctet,
    verdict: discard,
    subcode: 5,
  },
  // Unknown attributes, RFC 4271 5
  {
    name: "unknown optional transitive",
    attributes: `${good}c06301 07`,
    verdict: ok,
    kept: (a) => a.unknown[0].flags === 0xe0 && a.unknown[0].type === 99,
  },
  {
    name: "unknown optional non-transitive",
    attributes: `${good}806301 07`,
    verdict: ok,
    kept: (a) => a.unknown.length === 0,
  },
  { name: "unknown well-known", attributes: `${good}406301 07`, verdict: withdraw, subcode: 2 },
];

for (const row of rows) {
  test(row.name, () => {
    const out = decode(update(row.attributes, row.reach ?? prefix, row.withdrawn), row.context ?? ebgp);
    const texts = out.problems.map((problem) => problem.text).join("; ");
    assert.equal(out.verdict, row.verdict, texts);
    const worst = out.problems.find((problem) => problem.verdict === out.verdict);
    assert.equal(worst?.subcode, row.subcode, texts);
    assert.equal(out.problems.length === 0, row.verdict === ok);
    if (out.verdict >= withdraw || out.reach.count === 0) return;
    const attributes = decodeBlock(out.block.bytes, out.block.start, out.block.end);
    assert.ok(row.kept?.(attributes) ?? true, JSON.stringify(attributes));
  });
}

test("4271 6.3: lengths beyond the message end the session", () => {
  const bytes = update(good, prefix);
  bytes[20] = 200;
  assert.equal(decode(bytes).verdict, reset);
  const other = update(good, prefix);
  other[22] = 200;
  assert.equal(decode(other).verdict, reset);
});

test("the data of a problem is the attribute that caused it", () => {
  const out = decode(update(`40010103${path}${nextHop}`, prefix));
  assert.deepEqual(Array.from(out.problems[0].data), [0x40, 1, 1, 3]);
  const missing = decode(update(origin + nextHop, prefix));
  assert.deepEqual(Array.from(missing.problems[0].data), [2]);
});

test("problems are bounded, the worst is always told", () => {
  const twice = "800404 00000001".repeat(40);
  const out = decode(update(`${good}${twice}40010109 4001`, prefix));
  assert.ok(out.problems.length <= 17);
  assert.equal(out.problems.at(-1)?.verdict, withdraw);
});
