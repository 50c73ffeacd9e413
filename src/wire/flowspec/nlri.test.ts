import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { arbitraryFlow } from "../../../test/support/flowspec.ts";
import { fromHex, toHex } from "../../../test/support/wire.ts";
import { formatPrefix } from "../../base/ip.ts";
import { MessageWriter } from "../message-writer.ts";
import { Verdict } from "../verdict.ts";
import {
  decodeFlow,
  destinationOf,
  encodeFlow,
  flowBytesMax,
  flowNlriBytes,
  makeCanonical,
  readFlow,
  unknownTypeOf,
  writeFlow,
} from "./nlri.ts";

const ip4 = { addressBytes: 4 } as const;
const ip6 = { addressBytes: 16 } as const;

/** What is wrong with the value of an NLRI; empty when nothing is. */
function faultOf(text: string, family: typeof ip4 | typeof ip6 = ip4): string {
  return makeCanonical(fromHex(text), family);
}

function canonical(text: string, family: typeof ip4 | typeof ip6 = ip4): string {
  const flow = fromHex(text);
  assert.equal(makeCanonical(flow, family), "");
  return toHex(flow);
}

describe("the length (RFC 8955 4.1)", () => {
  it("takes one byte below 240 and two from there on", () => {
    for (const [bytes, head] of [
      [3, "03"],
      [239, "ef"],
      [240, "f0f0"],
      [flowBytesMax, "ffff"],
    ] as const) {
      // Ports of one byte, and one of two where the number of bytes is even.
      const terms =
        bytes % 2 === 1 ? "0001".repeat((bytes - 3) / 2) : `110001${"0001".repeat((bytes - 6) / 2)}`;
      const out = new MessageWriter();
      const flow = fromHex(`04${terms}8101`);
      assert.equal(flow.length, bytes);
      encodeFlow(flow, out);
      const nlri = out.take();
      assert.equal(toHex(nlri).slice(0, head.length), head);
      assert.equal(nlri.length, flowNlriBytes(flow));
      const decoded = decodeFlow(nlri, 0, nlri.length, ip4);
      assert.ok(decoded.ok);
      assert.deepEqual(decoded.flow, flow);
      assert.equal(decoded.next, nlri.length);
    }
  });

  it("that runs past the end leaves nothing to be found behind it", () => {
    for (const text of ["", "f0", "05", "05 0118c000", "ffff 038106"]) {
      const bytes = fromHex(text.replaceAll(" ", ""));
      const decoded = decodeFlow(bytes, 0, bytes.length, ip4);
      assert.ok(!decoded.ok && decoded.verdict === Verdict.resetSession, text);
    }
  });

  it("is where the next one begins, also behind one that is malformed (RFC 8955 section 10)", () => {
    const bytes = fromHex("030581010301810600");
    const decoded = decodeFlow(bytes, 0, bytes.length, ip4);
    assert.ok(decoded.ok && decoded.next === 4);
    const second = decodeFlow(bytes, 4, bytes.length, ip4);
    assert.ok(
      !second.ok && second.verdict === Verdict.treatAsWithdraw && second.next === 8,
      JSON.stringify(second),
    );
  });
});

describe("components", () => {
  it("ascend, and occur once (RFC 8955 4.2)", () => {
    assert.equal(faultOf("01000200038000"), "");
    assert.equal(faultOf("02000100"), "component 1 stands behind component 2");
    assert.equal(faultOf("038106038111"), "component 3 occurs twice");
    assert.equal(faultOf("00"), "a component has type 0");
    assert.equal(faultOf(""), "a flow specification has no components");
  });

  it("have prefixes inside of the address, and whole", () => {
    assert.equal(faultOf("0120c0000201"), "");
    assert.equal(faultOf("0121c000020100"), "a prefix length is 33");
    assert.equal(faultOf("0118c000"), "a component is cut off");
    assert.equal(faultOf("01"), "a component is cut off");
    assert.equal(faultOf("018100", ip6), "a prefix length is 129");
    assert.equal(faultOf("010000", ip6), "", "::/0");
    assert.equal(faultOf("014040", ip6), "a prefix of length 64 has offset 64");
    assert.equal(faultOf("010001", ip6), "a prefix of length 0 has offset 1");
  });

  it("of one or two bytes are no longer (RFC 8955 4.2.2.9, 4.2.2.11, 4.2.2.12)", () => {
    assert.equal(faultOf("09900010"), "");
    assert.equal(faultOf("09a000000010"), "component 9 has a value of 4 bytes");
    assert.equal(faultOf("0b91002e"), "component 11 has a value of 2 bytes");
    assert.equal(faultOf("0c900002"), "component 12 has a value of 2 bytes");
    assert.equal(faultOf("04b10000000000000050"), "", "ports may take eight");
  });

  it("lose the bits that are to be ignored", () => {
    assert.equal(canonical("0114c0a82f"), "0114c0a820", "behind the prefix");
    assert.equal(canonical("01130ac0a8", ip6), "01130ac080", "behind a pattern");
    assert.equal(canonical("04c950"), "048150", "AND of the first operator, and the reserved bit of numbers");
    assert.equal(canonical("09cd02"), "098102", "reserved bits of bitmasks");
    assert.equal(canonical("0c80f5"), "0c8005", "reserved bits of fragment");
    assert.equal(canonical("0c80f5", ip6), "0c8004", "in IPv6 also dont-fragment (RFC 8956 3.6)");
    assert.equal(canonical("0b81ee"), "0b812e", "of DSCP all but six");
  });

  it("that are unknown are carried from there on as they came", () => {
    const flow = fromHex("0118c000020effffff");
    assert.equal(makeCanonical(flow, ip4), "");
    assert.equal(unknownTypeOf(flow, ip4), 14);
    assert.deepEqual(readFlow(flow, ip4).at(-1), { kind: "unknown", type: 14, bytes: fromHex("ffffff") });
    assert.equal(faultOf("0d81"), "", "flow labels are of IPv6");
    assert.equal(unknownTypeOf(fromHex("0d8105"), ip4), 13);
    assert.equal(unknownTypeOf(fromHex("0d8105"), ip6), 0);
    assert.equal(faultOf("0d81", ip6), "a component is cut off");
  });
});

describe("the destination", () => {
  it("is there when the rule has one", () => {
    assert.equal(formatPrefix(destinationOf(fromHex("0118c000020381060481"), ip4)!), "192.0.2.0/24");
    assert.equal(destinationOf(fromHex("0218c00002"), ip4), undefined);
    assert.equal(formatPrefix(destinationOf(fromHex("01200020010db8"), ip6)!), "2001:db8::/32");
  });

  it("does not begin behind an offset (RFC 8956 section 5)", () => {
    assert.equal(destinationOf(fromHex("016840123456789a"), ip6), undefined);
  });
});

it("RFC 8956 3.8.2: a pattern is shifted when its offset is not at a byte", () => {
  const flow = fromHex("0168412468acf134");
  const [component] = readFlow(flow, ip6);
  assert.ok(component.kind === "prefix");
  assert.deepEqual([component.offset, component.length], [65, 104]);
  assert.equal(toHex(component.bytes), "0000000000000000123456789a000000");
  assert.deepEqual(writeFlow([component], ip6), flow);
});

it("components make the same rule again, whatever order they are in", () => {
  for (const family of [ip4, ip6]) {
    fc.assert(
      fc.property(arbitraryFlow(family.addressBytes), (flow) => {
        const components = readFlow(flow, family);
        assert.deepEqual(writeFlow(components.toReversed(), family), flow);
        const again = flow.slice();
        assert.equal(makeCanonical(again, family), "");
        assert.deepEqual(again, flow);
      }),
    );
  }
});

it("a rule that no length can say is not written", () => {
  const terms = Array.from({ length: 2048 }, () => ({ and: false, op: 1, value: 1n, width: 1 as const }));
  assert.equal(writeFlow([{ kind: "numeric", type: 4, terms }], ip4), undefined);
});
