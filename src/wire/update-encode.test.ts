import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  arbitraryAttributes,
  arbitraryNextHop4,
  arbitraryNextHop16,
  arbitraryPrefix,
  decode,
  ebgp,
  fromHex,
  ibgp,
  toHex,
} from "../../test/support/wire.ts";
import { formatPrefix, type Prefix, parseIp, parsePrefix } from "../base/ip.ts";
import { decodeBlock, encodeBlock } from "./block.ts";
import { families, ipv4Unicast, ipv6Unicast, prefixFamilies } from "./family.ts";
import { Frame, Framer } from "./framer.ts";
import { MessageWriter } from "./message-writer.ts";
import { emptyAttributes, type PathAttributes, SegmentType } from "./path-attributes.ts";
import type { NlriList } from "./scratch.ts";
import { type EncodeContext, UpdateEncoder } from "./update-encode.ts";
import { encodeUpdate } from "./update-simple.ts";
import { Verdict } from "./verdict.ts";

const plain: EncodeContext = { fourOctetAs: true, addPath: 0, maxMessageBytes: 4096 };
const marker: string = "ff".repeat(16);

const simple: PathAttributes = {
  ...emptyAttributes(),
  asPath: [{ type: SegmentType.sequence, asns: [65_001] }],
  nextHop: Uint8Array.of(192, 0, 2, 1),
};

function blockOf(attributes: PathAttributes): MessageWriter {
  const out = new MessageWriter();
  encodeBlock(attributes, out);
  return out;
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  assert.ok(typeof parsed !== "string", String(parsed));
  return parsed;
}

/** The messages in `bytes`, each of which must pass the framer. */
function messagesOf(bytes: Uint8Array, maxMessageBytes = 4096): Uint8Array[] {
  const framer = new Framer();
  const messages: Uint8Array[] = [];
  let at = 0;
  while (framer.next(bytes, at, bytes.length, maxMessageBytes) === Frame.message) {
    messages.push(bytes.slice(framer.start, framer.end));
    at = framer.end;
  }
  assert.equal(at, bytes.length);
  return messages;
}

function prefixesOf(list: NlriList, frame: Uint8Array): string[] {
  return Array.from({ length: list.count }, (_, i) => {
    const bytes = new Uint8Array(list.family.addressBytes);
    bytes.set(frame.subarray(list.at[i], list.at[i] + ((list.length[i] + 7) >> 3)));
    return `${formatPrefix({ bytes, length: list.length[i] })}#${list.pathId[i]}`;
  });
}

test("golden bytes: IPv4 in the body", () => {
  const bytes = encodeUpdate({ attributes: simple, reach: [prefix("10.1.2.0/24"), prefix("0.0.0.0/0")] });
  const attributes = "40010100" + "4002060201" + "0000fde9" + "400304c0000201";
  assert.equal(toHex(bytes!), `${marker}0030 02 0000 0014 ${attributes} 180a0102 00`.replaceAll(" ", ""));
});

test("golden bytes: IPv6 with MP_REACH_NLRI first", () => {
  const nextHop = parseIp("2001:db8::1")!;
  const bytes = encodeUpdate({
    attributes: { ...simple, nextHop, med: 7 },
    reach: [prefix("2001:db8::/32")],
  });
  const mp = `900e001a 0002 01 10 ${toHex(nextHop)} 00 2020010db8`;
  const rest = "40010100 40020602010000fde9 80040400000007";
  assert.equal(toHex(bytes!), `${marker}0049 02 0000 0032 ${mp} ${rest}`.replaceAll(" ", ""));
});

test("golden bytes: withdrawals", () => {
  const bytes = encodeUpdate({ withdrawn: [prefix("10.0.0.0/8"), prefix("2001:db8::/32")] });
  const body = `${marker}0019 02 0002 080a 0000`;
  const mp = `${marker}0023 02 0000 000c 900f0008 0002 01 2020010db8`;
  assert.equal(toHex(bytes!), (body + mp).replaceAll(" ", ""));
});

test("golden bytes: End-of-RIB", () => {
  const encoder = new UpdateEncoder();
  encoder.reset(plain);
  encoder.endOfRib(ipv4Unicast);
  encoder.endOfRib(ipv6Unicast);
  assert.equal(toHex(encoder.bytes), `${marker}00170200000000${marker}001d0200000006800f03000201`);
  for (const [i, bytes] of messagesOf(encoder.bytes).entries())
    assert.equal(decode(bytes).endOfRib, families[i]);
});

test("golden bytes: RFC 6793 4.2.2, what a two-octet neighbor gets", () => {
  const attributes: PathAttributes = {
    ...simple,
    asPath: [
      { type: SegmentType.confedSequence, asns: [65_010] },
      { type: SegmentType.sequence, asns: [65_001, 200_000] },
    ],
    aggregator: { asn: 200_000, address: 0x0a000001 },
    largeCommunities: [[1, 2, 3]],
  };
  const bytes = encodeUpdate({ attributes, reach: [prefix("10.0.0.0/8")] }, { ...plain, fourOctetAs: false });
  const expected = [
    "40010100",
    "40020a 0301 fdf2 0202 fde9 5ba0",
    "400304 c0000201",
    "c00706 5ba0 0a000001",
    "c0110a 0202 0000fde9 00030d40",
    "c01208 00030d40 0a000001",
    "c0200c 000000010000000200000003",
  ].join("");
  assert.equal(toHex(bytes!).slice(46, -4), toHex(fromHex(expected)));
});

test("RFC 6793 4.2.2: no AS4_PATH when every AS fits", () => {
  const bytes = encodeUpdate(
    { attributes: simple, reach: [prefix("10.0.0.0/8")] },
    { ...plain, fourOctetAs: false },
  );
  assert.equal(toHex(bytes!).slice(46, -4), "400101004002040201fde9400304c0000201");
});

test("a full message is followed by another with the same attributes, and none exceeds the limit", () => {
  for (const maxMessageBytes of [4096, 65_535]) {
    for (const family of prefixFamilies) {
      const encoder = new UpdateEncoder();
      encoder.reset({ ...plain, maxMessageBytes });
      const nextHop = family === ipv4Unicast ? simple.nextHop : parseIp("2001:db8::1")!;
      const block = blockOf({ ...simple, nextHop });
      const begun =
        family === ipv4Unicast
          ? encoder.beginUpdate4(block.bytes, 0, block.at)
          : encoder.beginUpdateMp(family, block.bytes, 0, block.at);
      assert.ok(begun);
      for (let i = 0; i < 20_000; i++) {
        if (family === ipv4Unicast) encoder.prefix4((0x0a000000 + i * 256) >>> 0, 24);
        else encoder.prefixWords(0x20010db8, i << 8, 0, 0, 56);
      }
      encoder.finish();
      const messages = messagesOf(encoder.bytes, maxMessageBytes);
      assert.equal(messages.length, encoder.messages);
      let seen = 0;
      for (const [i, bytes] of messages.entries()) {
        const out = decode(bytes);
        assert.equal(out.verdict, Verdict.ok);
        if (i < messages.length - 1) assert.ok(bytes.length > maxMessageBytes - 9);
        seen += out.reach.count + out.mpReach.count;
        const decoded = family === ipv4Unicast ? out.block : out.mpBlock;
        assert.equal(toHex(decoded.bytes, decoded.start, decoded.end), toHex(block.take()));
      }
      assert.equal(seen, 20_000);
    }
  }
});

test("withdrawals are packed too", () => {
  const encoder = new UpdateEncoder();
  encoder.reset(plain);
  encoder.beginWithdraw4();
  for (let i = 0; i < 3000; i++) encoder.prefix4(0x0a000000 + i, 32);
  encoder.finish();
  encoder.beginWithdrawMp(ipv6Unicast);
  for (let i = 0; i < 3000; i++) encoder.prefixWords(0x20010db8, 0, 0, i, 128);
  encoder.finish();
  let seen = 0;
  for (const bytes of messagesOf(encoder.bytes)) {
    const out = decode(bytes);
    assert.equal(out.verdict, Verdict.ok);
    seen += out.withdrawn.count + out.mpWithdrawn.count;
  }
  assert.equal(seen, 6000);
});

test("attributes that leave no room for a prefix are refused", () => {
  const encoder = new UpdateEncoder();
  encoder.reset(plain);
  const communities = (count: number): PathAttributes => ({
    ...simple,
    communities: Array.from({ length: count }, (_, i) => i),
  });
  // 19 + 4 header, 20 for the simple ones, 4 head, 5 prefix: 4044 bytes are left.
  const fits = blockOf(communities(1011));
  assert.ok(encoder.beginUpdate4(fits.bytes, 0, fits.at));
  encoder.prefix4(0x0a000001, 32);
  encoder.finish();
  assert.equal(encoder.bytes.length, 4096);
  const tooBig = blockOf(communities(1012));
  assert.equal(encoder.beginUpdate4(tooBig.bytes, 0, tooBig.at), false);
  const nextHop = parseIp("2001:db8::1")!;
  const mp = blockOf({ ...communities(1012), nextHop });
  assert.equal(encoder.beginUpdateMp(ipv6Unicast, mp.bytes, 0, mp.at), false);
  encoder.finish();
  assert.equal(encoder.messages, 1);
  assert.equal(encodeUpdate({ attributes: communities(2000), reach: [prefix("10.0.0.0/8")] }), undefined);
});

test("a message without prefixes is taken back", () => {
  const encoder = new UpdateEncoder();
  encoder.reset(plain);
  const block = blockOf(simple);
  encoder.beginUpdate4(block.bytes, 0, block.at);
  encoder.finish();
  encoder.beginWithdraw4();
  encoder.finish();
  assert.equal(encoder.bytes.length, 0);
  assert.equal(encoder.messages, 0);
});

test("RFC 7911: path identifiers go out", () => {
  const context = { ...plain, addPath: 3 };
  const reach = [
    { ...prefix("10.0.0.0/8"), pathId: 7 },
    { ...prefix("10.0.0.0/8"), pathId: 4_294_967_295 },
  ];
  const [bytes] = messagesOf(encodeUpdate({ attributes: simple, reach }, context)!);
  const out = decode(bytes, { ...ebgp, addPath: 1 });
  assert.deepEqual(prefixesOf(out.reach, bytes), ["10.0.0.0/8#7", "10.0.0.0/8#4294967295"]);
});

test("what is encoded decodes to the same, to neighbors of both kinds", () => {
  const update = fc.oneof(
    fc.record({
      family: fc.constant(ipv4Unicast),
      attributes: arbitraryAttributes(arbitraryNextHop4),
      list: fc.array(arbitraryPrefix(4), { minLength: 1 }),
    }),
    fc.record({
      family: fc.constant(ipv6Unicast),
      attributes: arbitraryAttributes(arbitraryNextHop16),
      list: fc.array(arbitraryPrefix(16), { minLength: 1 }),
    }),
  );
  fc.assert(
    fc.property(
      update,
      fc.boolean(),
      fc.boolean(),
      ({ family, attributes, list }, fourOctetAs, withPathIds) => {
        const addPath = withPathIds ? 3 : 0;
        const context = { fourOctetAs, addPath, maxMessageBytes: 4096 };
        const reach = list.map((entry, i) => ({ ...entry, pathId: withPathIds ? i + 1 : 0 }));
        const bytes = encodeUpdate({ attributes, reach, withdrawn: reach }, context);
        assert.ok(bytes);
        const seen: string[] = [];
        const gone: string[] = [];
        for (const frame of messagesOf(bytes)) {
          const out = decode(frame, { ...ibgp, fourOctetAs, addPath });
          assert.equal(out.verdict, Verdict.ok, out.problems[0]?.text);
          seen.push(...prefixesOf(family === ipv4Unicast ? out.reach : out.mpReach, frame));
          gone.push(...prefixesOf(family === ipv4Unicast ? out.withdrawn : out.mpWithdrawn, frame));
          const block = family === ipv4Unicast ? out.block : out.mpBlock;
          if (out.reach.count + out.mpReach.count === 0) continue;
          assert.deepEqual(
            mergedSequences(decodeBlock(block.bytes, block.start, block.end)),
            mergedSequences(attributes),
          );
        }
        const expected = reach.map((entry) => `${formatPrefix(entry)}#${entry.pathId}`);
        assert.deepEqual(seen, expected);
        assert.deepEqual(gone, expected);
      },
    ),
    { numRuns: 300 },
  );
});

/** Neighboring sequences as one: merging AS_PATH and AS4_PATH may join them. */
function mergedSequences(attributes: PathAttributes): PathAttributes {
  const asPath: PathAttributes["asPath"] = [];
  for (const { type, asns } of attributes.asPath) {
    const last = asPath[asPath.length - 1];
    if (last && last.type === SegmentType.sequence && type === SegmentType.sequence) last.asns.push(...asns);
    else asPath.push({ type, asns: [...asns] });
  }
  return { ...attributes, asPath };
}
