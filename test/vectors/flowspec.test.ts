/** Examples of the FlowSpec RFCs, and order and validity as GoBGP and OpenBGPD test them. */
import assert from "node:assert/strict";
import { compareFlows } from "../../src/wire/flowspec/compare.ts";
import { decodeFlow, type FlowFamily, makeCanonical, unknownTypeOf } from "../../src/wire/flowspec/nlri.ts";
import { formatFlow, parseFlow } from "../../src/wire/flowspec/text.ts";
import { typeByWord } from "../../src/wire/flowspec/words.ts";
import { fromHex, toHex } from "../support/wire.ts";
import { eachRow, Tally, type VectorRow, vectorTest } from "./support.ts";

const ip4 = { addressBytes: 4 } as const;
const ip6 = { addressBytes: 16 } as const;

function familyOf(name: unknown): FlowFamily {
  return name === "ipv6" ? ip6 : ip4;
}

/** What the RFCs say of their examples, in our words. */
const exampleTexts: Readonly<Record<string, string>> = {
  "rfc8955-4.3.1": "dst 192.0.2.0/24 proto tcp port 25",
  "rfc8955-4.3.2": "dst 192.0.2.0/24 src 203.0.113.0/24 port 137-139,8080",
  "rfc8955-4.3.3": "dst 192.0.2.1/32 fragment dont-fragment+first-fragment",
  "rfc8956-3.8.1": "dst ::1234:5678:9a00:0/64-104 src 2001:db8::/32 proto tcp",
};

vectorTest("FlowSpec examples of the RFCs", ["flowspec/rfc-examples.jsonl"], (rows) => {
  eachRow(rows, (row) => {
    const family = familyOf(row.expect.afi);
    const bytes = fromHex(row.hex);
    const decoded = decodeFlow(bytes, 0, bytes.length, family);
    assert.ok(decoded.ok && decoded.next === bytes.length);
    assert.equal(toHex(decoded.flow), toHex(bytes, 1), "it is canonical");
    assert.equal(formatFlow(decoded.flow, family), exampleTexts[row.name]);
  });
});

vectorTest("FlowSpec validity: OpenBGPD", ["flowspec/openbgpd-flowspec-validity.jsonl"], (rows, context) => {
  const tally = new Tally();
  eachRow(rows, (row) => {
    const family = familyOf(row.ctx?.afi);
    const flow = fromHex(row.hex);
    const fault = makeCanonical(flow, family);
    if (row.name === "badand") {
      assert.equal(fault, "");
      return tally.add("finding: RFC 8955 4.2.1.1 ignores AND in the first operator, OpenBGPD refuses it");
    }
    const unknown = fault === "" && unknownTypeOf(flow, family) !== 0;
    if (unknown) tally.add("malformed by RFC 8955 4.2 for an unknown component, which is carried");
    assert.equal(fault === "" && !unknown, row.expect.valid, fault);
    tally.add("agrees");
  });
  tally.tell(context);
});

vectorTest("FlowSpec order: OpenBGPD", ["flowspec/openbgpd-flowspec-order-v4.jsonl"], (rows) => {
  eachRow(rows, (row) => {
    const { a, b } = row as unknown as { a: string; b: string };
    const [first, second] = [fromHex(a), fromHex(b)];
    for (const flow of [first, second]) assert.equal(makeCanonical(flow, ip4), "");
    assert.equal(Math.sign(compareFlows(first, second, ip4)), row.expect.a_vs_b);
    assert.equal(Math.sign(compareFlows(second, first, ip4)), -Number(row.expect.a_vs_b));
  });
});

/** GoBGP separates alternatives by spaces. */
function fromGobgp(text: string): Uint8Array {
  const words: string[] = [];
  for (const word of text.split(" ")) {
    const previous = words.at(-1);
    if (previous !== undefined && !typeByWord.has(previous) && !typeByWord.has(word)) {
      words[words.length - 1] = `${previous},${word}`;
    } else words.push(word);
  }
  const parsed = parseFlow(words.join(" "));
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return parsed.value.flow;
}

vectorTest("FlowSpec order: GoBGP", ["flowspec/gobgp-flowspec-order.jsonl"], (rows: VectorRow[]) => {
  eachRow(rows, (row) => {
    const { a, b } = row as unknown as { a: string; b: string };
    const order = compareFlows(fromGobgp(a), fromGobgp(b), ip4);
    assert.equal(order < 0 ? "a" : "b", row.expect.first);
    assert.notEqual(order, 0);
  });
});
