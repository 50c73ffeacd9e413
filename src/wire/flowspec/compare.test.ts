import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { arbitraryFlow } from "../../../test/support/flowspec.ts";
import { fromHex, toHex } from "../../../test/support/wire.ts";
import { prefixContains } from "../../base/ip.ts";
import { compareFlows } from "./compare.ts";
import { type FlowComponent, type FlowFamily, readFlow } from "./nlri.ts";
import { parseFlow } from "./text.ts";

const ip4 = { addressBytes: 4 } as const;
const ip6 = { addressBytes: 16 } as const;

function flowOf(text: string): { flow: Uint8Array; family: FlowFamily } {
  const parsed = parseFlow(text);
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return { flow: parsed.value.flow, family: parsed.value };
}

/** Each comes before all behind it, in both directions. */
function inOrder(...texts: string[]): void {
  const flows = texts.map(flowOf);
  for (let i = 0; i < flows.length; i++) {
    for (let j = 0; j < flows.length; j++) {
      const order = Math.sign(compareFlows(flows[i].flow, flows[j].flow, flows[i].family));
      assert.equal(order, Math.sign(i - j), `${texts[i]} and ${texts[j]}`);
    }
  }
}

describe("RFC 8955 5.1", () => {
  it("the lowest type of component first, and the one that has more of them", () => {
    inOrder(
      "dst 192.0.2.0/24 proto tcp",
      "dst 192.0.2.0/24 port 80",
      "dst 192.0.2.0/24",
      "src 10.0.0.0/8",
      "port 80",
    );
  });

  it("the longer of two prefixes that overlap, else the lower one", () => {
    inOrder(
      "dst 192.0.2.128/25",
      "dst 192.0.2.0/24",
      "dst 192.0.0.0/16",
      "dst 193.0.0.0/24",
      "dst 0.0.0.0/0",
    );
    inOrder("dst 10.0.0.0/13", "dst 10.0.0.0/12", "dst 10.16.0.0/12", "dst 10.0.0.0/9");
  });

  it("other components as memcmp compares them, and the longer one where they are equal so far", () => {
    inOrder("port 80,81", "port 80", "port 81", "port >80", "port 256");
    inOrder("other 0x0e0102", "other 0x0e01", "other 0x0e02");
  });
});

describe("RFC 8956 section 4", () => {
  it("the lower offset first, whatever the prefix", () => {
    inOrder("dst 2001:db8::/32", "dst ::/0", "dst ::/1-8", "dst ::1234:0:0/64-96", "dst ::1234:0:0/65-96");
  });

  it("patterns of one offset as prefixes", () => {
    inOrder("dst ::1:0:0/64-96", "dst ::/64-80", "dst ::1:0:0:0/64-80", "dst ::/64-65");
  });
});

/** Over component objects, by the sentences of the RFCs. */
function naive(a: Uint8Array, b: Uint8Array, family: FlowFamily): number {
  const [left, right] = [readFlow(a, family), readFlow(b, family)];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    if (!left[i]) return 1;
    if (!right[i]) return -1;
    const order = left[i].type - right[i].type || naiveComponents(left[i], right[i], a, b, family, i);
    if (order !== 0) return Math.sign(order);
  }
  return 0;
}

function naiveComponents(
  a: FlowComponent,
  b: FlowComponent,
  aFlow: Uint8Array,
  bFlow: Uint8Array,
  family: FlowFamily,
  i: number,
): number {
  if (a.kind === "prefix" && b.kind === "prefix") {
    if (a.offset !== b.offset) return a.offset - b.offset;
    if (prefixContains(a, b.bytes) && prefixContains(b, a.bytes)) return b.length - a.length;
    if (prefixContains(a, b.bytes) && b.length >= a.length) return b.length - a.length;
    if (prefixContains(b, a.bytes) && a.length >= b.length) return b.length - a.length;
    return toHex(a.bytes) < toHex(b.bytes) ? -1 : 1;
  }
  const [x, y] = [dataOf(aFlow, family, i), dataOf(bFlow, family, i)];
  const common = Math.min(x.length, y.length);
  if (x.slice(0, common) !== y.slice(0, common)) return x.slice(0, common) < y.slice(0, common) ? -1 : 1;
  return y.length - x.length;
}

/** Bytes of the i-th component behind its type, as digits. */
function dataOf(flow: Uint8Array, family: FlowFamily, i: number): string {
  const sizes = readFlow(flow, family).map((component) =>
    component.kind === "prefix"
      ? (family.addressBytes === 4 ? 2 : 3) + Math.ceil((component.length - component.offset) / 8)
      : 1 +
        (component.kind === "unknown"
          ? component.bytes.length
          : component.terms.reduce((sum, { width }) => sum + 1 + width, 0)),
  );
  const from = sizes.slice(0, i).reduce((sum, size) => sum + size, 0);
  return toHex(flow, from + 1, from + sizes[i]);
}

for (const family of [ip4, ip6]) {
  const flows = arbitraryFlow(family.addressBytes);

  it(`${family.addressBytes} bytes: the order is what the RFC says, and total`, () => {
    fc.assert(
      fc.property(flows, flows, (a, b) => {
        const order = compareFlows(a, b, family);
        assert.equal(Math.sign(order), naive(a, b, family));
        assert.equal(Math.sign(compareFlows(b, a, family)), -Math.sign(order) + 0);
        assert.equal(order === 0, toHex(a) === toHex(b));
        assert.equal(compareFlows(a, a.slice(), family), 0);
      }),
      { numRuns: 1000 },
    );
  });

  it(`${family.addressBytes} bytes: the order is transitive`, () => {
    fc.assert(
      fc.property(fc.array(flows, { minLength: 3, maxLength: 8 }), (list) => {
        const sorted = list.toSorted((a, b) => compareFlows(a, b, family));
        for (let i = 0; i < sorted.length; i++) {
          for (let j = i; j < sorted.length; j++) assert.ok(compareFlows(sorted[i], sorted[j], family) <= 0);
        }
      }),
      { numRuns: 300 },
    );
  });
}

it("rules that are equal but for bits that are ignored are the same one", () => {
  assert.equal(compareFlows(fromHex("0114c0a820"), fromHex("0114c0a820"), ip4), 0);
});
