/** Rules in UPDATEs, there and back: lengths of one and two bytes, path identifiers, full messages, next hops that are not looked at. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decode, ebgp, toHex, update } from "../../test/support/wire.ts";
import { encodeBlock } from "./block.ts";
import { ipv4Flowspec, ipv6Flowspec } from "./family.ts";
import { MessageWriter } from "./message-writer.ts";
import { emptyAttributes, SegmentType } from "./path-attributes.ts";
import { UpdateEncoder } from "./update-encode.ts";
import { Verdict } from "./verdict.ts";

const context = { ...ebgp, families: 15 };

/** A component that nobody knows fills a rule to any size. */
const rule = fc
  .tuple(fc.integer({ min: 1, max: 600 }), fc.nat(255))
  .map(([size, fill]) => new Uint8Array(size).fill(fill).fill(200, 0, 1));

test("what is sent is what is read, in messages that are no longer than they may be", () => {
  const entry = fc.record({ rule, pathId: fc.nat(0xffff_ffff) });
  fc.assert(
    fc.property(
      fc.array(entry, { minLength: 1, maxLength: 60 }),
      fc.constantFrom(ipv4Flowspec, ipv6Flowspec),
      fc.boolean(),
      fc.boolean(),
      (entries, family, hasPathIds, announces) => {
        const addPath = hasPathIds ? 1 << family.index : 0;
        const encoder = new UpdateEncoder();
        encoder.reset({ fourOctetAs: true, addPath, maxMessageBytes: 4096 });
        const attributes = emptyAttributes();
        attributes.asPath = [{ type: SegmentType.sequence, asns: [65_002] }];
        attributes.nextHop = Uint8Array.of(192, 0, 2, 1);
        const block = new MessageWriter(64);
        encodeBlock(attributes, block);
        if (announces) assert.ok(encoder.beginUpdateMp(family, block.bytes, 0, block.at));
        else encoder.beginWithdrawMp(family);
        for (const each of entries) encoder.flow(each.rule, each.pathId);
        encoder.finish();
        const read: string[] = [];
        const { bytes } = encoder;
        for (let at = 0; at < bytes.length; ) {
          const length = (bytes[at + 16] << 8) | bytes[at + 17];
          assert.ok(length <= 4096);
          const out = decode(bytes.slice(at, at + length), { ...context, addPath });
          assert.equal(out.verdict, Verdict.ok);
          const list = announces ? out.mpReach : out.mpWithdrawn;
          assert.equal(list.family, family);
          for (let i = 0; i < list.count; i++) {
            const text = toHex(list.rules, list.at[i], list.at[i] + list.length[i]);
            read.push(`${list.pathId[i]} ${text}`);
          }
          if (announces)
            assert.ok(!toHex(out.mpBlock.bytes, out.mpBlock.start, out.mpBlock.end).includes("400304"));
          at += length;
        }
        assert.deepEqual(
          read,
          entries.map((each) => `${hasPathIds ? each.pathId : 0} ${toHex(each.rule)}`),
        );
      },
    ),
    { numRuns: 150 },
  );
});

test("a next hop that a rule comes with is not looked at, whatever it is", () => {
  for (const hop of ["00", "04c0000201", "0400000000", "08c0000201c0000202", `10${"00".repeat(16)}`]) {
    const value = `000185${hop}0003038106`;
    const mp = `900e${(value.length / 2).toString(16).padStart(4, "0")}${value}`;
    const out = decode(update(`400101004002060201 0000fdea 400304c0000209${mp}`), context);
    assert.equal(out.verdict, Verdict.ok, hop);
    assert.equal(out.mpReach.count, 1);
    assert.equal(
      toHex(out.mpBlock.bytes, out.mpBlock.start, out.mpBlock.end),
      "400101004002060201 0000fdea".replace(" ", ""),
    );
  }
});

test("nothing that is sent makes the decoder throw or read past the end", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.boolean(),
      fc.constantFrom("0001", "0002"),
      (nlri, hasPathIds, afi) => {
        const value = `${afi}850000${toHex(nlri)}`;
        const mp = `900e${(value.length / 2).toString(16).padStart(4, "0")}${value}`;
        const out = decode(update(`400101004002060201 0000fdea${mp}`), {
          ...context,
          addPath: hasPathIds ? 15 : 0,
        });
        for (let i = 0; i < out.mpReach.count; i++) {
          assert.ok(out.mpReach.at[i] + out.mpReach.length[i] <= out.mpReach.rules.length);
        }
      },
    ),
    { numRuns: 500 },
  );
});
