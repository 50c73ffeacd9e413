/** Fuzz target: any UPDATE gets a verdict; what is kept is canonical, and goes out and comes in again unchanged. */
import assert from "node:assert/strict";
import { DerivedAttributes, decodeBlock, deriveBlock, encodeBlock } from "../../src/wire/block.ts";
import type { DecodeContext } from "../../src/wire/decode-context.ts";
import { families, ipv4Unicast } from "../../src/wire/family.ts";
import { MessageWriter } from "../../src/wire/message-writer.ts";
import { type AttributeBlock, type NlriList, UpdateScratch } from "../../src/wire/scratch.ts";
import { decodeUpdate } from "../../src/wire/update-decode.ts";
import { UpdateEncoder } from "../../src/wire/update-encode.ts";
import { Verdict } from "../../src/wire/verdict.ts";

export { mutate } from "./mutate.ts";

const contexts: readonly DecodeContext[] = [
  { fourOctetAs: true, addPath: 0, external: true, families: 3 },
  { fourOctetAs: false, addPath: 0, external: true, families: 3 },
  { fourOctetAs: true, addPath: 3, external: false, aigp: true, families: 3 },
  { fourOctetAs: true, addPath: 1, external: false, confederation: true, families: 2 },
];

const out = new UpdateScratch();
const again = new UpdateScratch();
const derived = new DerivedAttributes();
const writer = new MessageWriter();
const encoder = new UpdateEncoder();

/** Throws when something that must hold does not. */
export function target(bytes: Uint8Array): void {
  if (bytes.length < 23) return;
  for (const context of contexts) {
    decodeUpdate(bytes, 0, bytes.length, context, out);
    assert.equal(out.problems.length === 0, out.verdict === Verdict.ok);
    for (const list of [out.withdrawn, out.reach, out.mpWithdrawn, out.mpReach]) checkList(list, bytes);
    if (out.verdict >= Verdict.treatAsWithdraw) continue;
    if (out.reach.count > 0) checkBlock(bytes, out.block, out.reach, context);
    if (out.mpReach.count > 0) checkBlock(bytes, out.mpBlock, out.mpReach, context);
  }
}

function checkList(list: NlriList, bytes: Uint8Array): void {
  for (let i = 0; i < list.count; i++) {
    assert.ok(list.length[i] <= list.family.addressBytes * 8);
    assert.ok(list.at[i] + ((list.length[i] + 7) >> 3) <= bytes.length);
  }
}

function checkBlock(bytes: Uint8Array, block: AttributeBlock, list: NlriList, context: DecodeContext): void {
  const original = block.bytes.slice(block.start, block.end);
  deriveBlock(original, 0, original.length, derived);
  assert.ok([4, 16, 32].includes(derived.nextHopLength));
  writer.reset();
  encodeBlock(decodeBlock(original, 0, original.length), writer);
  assert.deepEqual(writer.take(), original);
  for (const fourOctetAs of [true, false]) {
    encoder.reset({ fourOctetAs, addPath: 0, maxMessageBytes: 65_535 });
    const inBody = list.family === ipv4Unicast;
    const begun = inBody
      ? encoder.beginUpdate4(original, 0, original.length)
      : encoder.beginUpdateMp(list.family, original, 0, original.length);
    if (!begun) continue;
    encoder.prefix16(bytes, list.at[0], list.length[0]);
    encoder.finish();
    const sent = encoder.bytes;
    decodeUpdate(
      sent,
      0,
      sent.length,
      { ...context, fourOctetAs, addPath: 0, families: (1 << families.length) - 1 },
      again,
    );
    const back = inBody ? again.block : again.mpBlock;
    // Toward two octets, confederation segments are left out of AS4_PATH and sequences may join: only the verdict counts.
    assert.ok(again.verdict <= Verdict.discardAttribute, again.problems[0]?.text);
    if (fourOctetAs) assert.deepEqual(back.bytes.slice(back.start, back.end), original);
  }
}
