import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { arbitraryActions } from "../../../test/support/flowspec.ts";
import { fromHex, toHex } from "../../../test/support/wire.ts";
import { formatActions, parseActions } from "./action-text.ts";
import { decideFlow, decodeActions, encodeActions, type FlowAction } from "./actions.ts";

function actions(text: string): FlowAction[] {
  const problems: never[] = [];
  const parsed = parseActions(text.split(" "), "", problems);
  assert.deepEqual(problems, []);
  return parsed;
}

describe("actions as communities", () => {
  for (const [text, extended, ip6] of [
    ["drop", "8006000000000000", ""],
    ["rate 64500:9600", "8006fbf446160000", ""],
    ["rate-packets 1000", "800c0000447a0000", ""],
    ["sample terminal", "8007000000000003", ""],
    ["terminal", "8007000000000001", ""],
    ["redirect 64500:1", "8008fbf400000001", ""],
    ["redirect 192.0.2.1:1", "8108c00002010001", ""],
    ["redirect 4200000000:1", "8208fa56ea000001", ""],
    ["redirect [2001:db8::1]:7", "", "000d20010db80000000000000000000000010007"],
    ["mark 46", "800900000000002e", ""],
    ["redirect-ip 192.0.2.1", "010cc00002010000", ""],
    ["copy-ip 192.0.2.1", "010cc00002010001", ""],
    ["redirect-ip 2001:db8::1", "", "000c20010db80000000000000000000000010000"],
    ["redirect-next-hop", "0800000000000000", ""],
    ["copy-next-hop", "0800000000000001", ""],
  ]) {
    it(text, () => {
      const communities = encodeActions(actions(text));
      assert.deepEqual(communities.extended, extended === "" ? [] : [extended]);
      assert.equal(toHex(communities.ip6Extended), ip6);
      assert.equal(formatActions(decodeActions(communities.extended, communities.ip6Extended)), text);
    });
  }

  it("are read from any community, and written again", () => {
    fc.assert(
      fc.property(arbitraryActions, (list) => {
        const { extended, ip6Extended } = encodeActions(list);
        const decoded = decodeActions(extended, ip6Extended);
        // Those of IPv6 are in an attribute of their own.
        assert.equal(decoded.length, list.length);
        assert.deepEqual(encodeActions(decoded), { extended, ip6Extended });
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 8 }), (bytes) => {
        const [action] = decodeActions([toHex(bytes)]);
        if (action) assert.deepEqual(decodeActions(encodeActions([action]).extended), [action]);
      }),
    );
  });

  it("ignore what is to be ignored, and other communities (RFC 8955 section 7)", () => {
    assert.equal(formatActions(decodeActions(["8009ffffffffffee"])), "mark 46", "reserved bits");
    assert.equal(formatActions(decodeActions(["8007fffffffffffc"])), "no-action", "unused bits");
    assert.equal(formatActions(decodeActions(["80060000c6161616"])), "drop", "a negative rate is 0");
    assert.equal(formatActions(decodeActions(["80060000ff800000"])), "drop", "so is minus infinity");
    const unreadable = ["800600007fc00000", "800c00007f800000"];
    assert.deepEqual(decodeActions([...unreadable, "0002fde800000001", "8010000000000000"]), []);
    assert.deepEqual(decodeActions([], fromHex("0002".padEnd(40, "0"))), []);
  });
});

it("RFC 8955 7.7: actions that interfere are taken together, in whatever order they are", () => {
  const list = actions(
    "rate 2000 rate 1000 rate-packets 50 mark 46 mark 10 sample redirect 64500:1 copy-next-hop",
  );
  for (const order of [list, list.toReversed()]) {
    const { redirects, ...rest } = decideFlow(order);
    assert.deepEqual(rest, { bytesPerS: 1000, packetsPerS: 50, dscp: 10, sample: true, continues: false });
    assert.equal(redirects.length, 2);
  }
  assert.deepEqual(decideFlow([]), {
    bytesPerS: undefined,
    packetsPerS: undefined,
    dscp: undefined,
    sample: false,
    continues: false,
    redirects: [],
  });
});
