/** Micro-benchmark of the UPDATE decoder: `node bench/micro/decode.ts`. Prints nanoseconds per UPDATE and per prefix. */
import { type Prefix, parsePrefix } from "../../src/base/ip.ts";
import { DerivedAttributes, deriveBlock } from "../../src/wire/block.ts";
import type { DecodeContext } from "../../src/wire/decode-context.ts";
import { Frame, Framer } from "../../src/wire/framer.ts";
import { MessageWriter } from "../../src/wire/message-writer.ts";
import { emptyAttributes, SegmentType } from "../../src/wire/path-attributes.ts";
import { UpdateScratch } from "../../src/wire/scratch.ts";
import { decodeUpdate } from "../../src/wire/update-decode.ts";
import { encodeUpdate } from "../../src/wire/update-simple.ts";

const context: DecodeContext = { fourOctetAs: true, addPath: 0, external: true, families: 3 };

for (const family of [4, 6]) {
  for (const fourOctetAs of [true, false]) {
    for (const prefixes of [1, 10, 500]) measure(family, prefixes, fourOctetAs);
  }
}

function measure(family: number, prefixes: number, fourOctetAs: boolean): void {
  const stream = new MessageWriter(1 << 20);
  let updates = 0;
  for (; updates < 1000; updates++) {
    const encoded = encodeUpdate(
      {
        reach: Array.from({ length: prefixes }, (_, i) => prefix(family, updates * prefixes + i)),
        attributes: attributes(family, updates),
      },
      { fourOctetAs, addPath: 0, maxMessageBytes: 65_535 },
    );
    stream.copy(encoded!);
  }
  const { bytes, at: end } = stream;
  const framer = new Framer();
  const out = new UpdateScratch();
  const derived = new DerivedAttributes();
  const session = { ...context, fourOctetAs };
  let best = Number.POSITIVE_INFINITY;
  let sum = 0;
  for (let round = 0; round < 60; round++) {
    const started = process.hrtime.bigint();
    let at = 0;
    while (framer.next(bytes, at, end, 65_535) === Frame.message) {
      decodeUpdate(bytes, framer.start, framer.end, session, out);
      const block = family === 4 ? out.block : out.mpBlock;
      deriveBlock(block.bytes, block.start, block.end, derived);
      sum += out.reach.count + out.mpReach.count + derived.pathLength;
      at = framer.end;
    }
    best = Math.min(best, Number(process.hrtime.bigint() - started));
  }
  const perUpdate = best / updates;
  console.log(
    `IPv${family} ${fourOctetAs ? "4-octet" : "2-octet"} ${String(prefixes).padStart(3)} prefixes: ` +
      `${perUpdate.toFixed(0)} ns per UPDATE, ${(perUpdate / prefixes).toFixed(1)} ns per prefix (check ${sum % 97})`,
  );
}

function prefix(family: number, i: number): Prefix {
  const text =
    family === 4
      ? `${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.0/24`
      : `2001:${(i >> 16).toString(16)}:${(i & 0xffff).toString(16)}::/48`;
  return parsePrefix(text) as Prefix;
}

function attributes(family: number, i: number) {
  return {
    ...emptyAttributes(),
    asPath: [{ type: SegmentType.sequence, asns: [65_001, 3356, 1299, 200_000 + i] }],
    nextHop:
      family === 4
        ? Uint8Array.of(192, 0, 2, 1)
        : Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1),
    med: i,
    communities: [0xfde9_0001, 0xfde9_0002, 0xfde9_0003],
    largeCommunities: [[65_001, 1, i] as const],
  };
}
