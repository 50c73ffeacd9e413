/** What holds for every input to the UPDATE decoder. */
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
  toHex,
  update,
} from "../../test/support/wire.ts";
import { decodeBlock, encodeBlock } from "./block.ts";
import type { DecodeContext } from "./decode-context.ts";
import { MessageWriter } from "./message-writer.ts";
import { UpdateScratch } from "./scratch.ts";
import { decodeUpdate } from "./update-decode.ts";
import { encodeUpdate } from "./update-simple.ts";
import { Verdict } from "./verdict.ts";

const contexts: fc.Arbitrary<DecodeContext> = fc.record({
  fourOctetAs: fc.boolean(),
  addPath: fc.nat(3),
  external: fc.boolean(),
  families: fc.constantFrom(1, 2, 3),
});

const messages: fc.Arbitrary<Uint8Array> = fc
  .tuple(
    arbitraryAttributes(arbitraryNextHop4),
    fc.array(arbitraryPrefix(4), { minLength: 1, maxLength: 8 }),
    arbitraryNextHop16,
    fc.array(arbitraryPrefix(16), { minLength: 1, maxLength: 8 }),
    fc.boolean(),
    fc.boolean(),
  )
  .map(([attributes, list4, nextHop16, list6, six, fourOctetAs]) => {
    const context = { fourOctetAs, addPath: 0, maxMessageBytes: 65_535 };
    return six
      ? encodeUpdate({ attributes: { ...attributes, nextHop: nextHop16 }, reach: list6 }, context)!
      : encodeUpdate({ attributes, reach: list4 }, context)!;
  });

/** All that a caller may look at, as text. */
function visible(out: UpdateScratch, origin: number): string {
  const lists = [out.withdrawn, out.reach, out.mpWithdrawn, out.mpReach].map((list) =>
    Array.from(
      { length: list.count },
      (_, i) => `${list.at[i] - origin}/${list.length[i]}#${list.pathId[i]}`,
    ).join(),
  );
  const blocks = [out.block, out.mpBlock].map((block) => toHex(block.bytes, block.start, block.end));
  const problems = out.problems.map((problem) => `${problem.verdict} ${problem.subcode} ${problem.text}`);
  return JSON.stringify([out.verdict, lists, blocks, problems, out.endOfRib?.name]);
}

test("whatever the bytes, there is a verdict, and nothing outside the message matters", () => {
  const flips = fc.array(fc.tuple(fc.nat(2000), fc.nat(255)), { maxLength: 6 });
  fc.assert(
    fc.property(messages, flips, fc.nat(40), contexts, (message, changes, cut, context) => {
      const bytes = message.slice(0, Math.max(23, message.length - cut));
      for (const [at, value] of changes) {
        const place = 19 + (at % (bytes.length - 19));
        bytes[place] = value;
      }
      const alone = visible(decode(bytes, context), 0);
      const out = new UpdateScratch();
      for (const filler of [0, 0x5a, 255]) {
        const buffer = new Uint8Array(bytes.length + 64).fill(filler);
        buffer.set(bytes, 32);
        decodeUpdate(buffer, 32, 32 + bytes.length, context, out);
        assert.equal(visible(out, 32), alone);
      }
    }),
    { numRuns: 1500 },
  );
});

test("prefixes named by the lists lie inside the message", () => {
  fc.assert(
    fc.property(
      messages,
      fc.array(fc.tuple(fc.nat(2000), fc.nat(255))),
      contexts,
      (message, changes, context) => {
        const bytes = message.slice();
        for (const [at, value] of changes) bytes[19 + (at % (bytes.length - 19))] = value;
        const out = decode(bytes, context);
        for (const list of [out.withdrawn, out.reach, out.mpWithdrawn, out.mpReach]) {
          for (let i = 0; i < list.count; i++) {
            assert.ok(list.length[i] <= list.family.addressBytes * 8);
            assert.ok(list.at[i] + ((list.length[i] + 7) >> 3) <= bytes.length);
          }
        }
      },
    ),
    { numRuns: 1000 },
  );
});

test("a block that came out goes in again unchanged, and survives a round trip through values", () => {
  fc.assert(
    fc.property(
      messages,
      fc.array(fc.tuple(fc.nat(2000), fc.nat(255)), { maxLength: 3 }),
      (message, changes) => {
        const bytes = message.slice();
        for (const [at, value] of changes) bytes[19 + (at % (bytes.length - 19))] = value;
        const out = decode(bytes, { ...ebgp, external: false });
        if (out.verdict >= Verdict.treatAsWithdraw) return;
        for (const block of [out.block, out.mpBlock]) {
          if (block.end === block.start) continue;
          const hex = toHex(block.bytes, block.start, block.end);
          const writer = new MessageWriter();
          encodeBlock(decodeBlock(block.bytes, block.start, block.end), writer);
          assert.equal(toHex(writer.take()), hex);
          if (block !== out.block) continue;
          const again = decode(update(hex, "00"), { ...ebgp, external: false });
          assert.equal(toHex(again.block.bytes, again.block.start, again.block.end), hex);
          assert.equal(again.block.start, 23);
        }
      },
    ),
    { numRuns: 1000 },
  );
});
