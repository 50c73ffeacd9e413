import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { maskBytes, parseIp, prefixContains } from "../../base/ip.ts";
import { eachOverlap, type PlacedAddress } from "./overlap.ts";

const place = (
  name: string,
  address: string,
  device: string,
  more: Partial<PlacedAddress> = {},
): PlacedAddress => ({
  ...{ name, address, device, domain: "", allowOverlap: false },
  ...more,
});

function pairs(addresses: readonly PlacedAddress[]): string[] {
  const found: string[] = [];
  eachOverlap(addresses, (a, b) => void found.push([a.name, b.name].sort().join(" ")));
  return found.sort();
}

describe("addresses that overlap", () => {
  it("are found on different links of one domain, unless one of them allows it", () => {
    const a = place("a", "10.0.0.1/8", "eth0");
    assert.deepEqual(pairs([a, place("b", "10.1.0.1/16", "eth1")]), ["a b"]);
    assert.deepEqual(pairs([a, place("b", "10.1.0.1/16", "eth0")]), []);
    assert.deepEqual(pairs([a, place("b", "10.1.0.1/16", "eth1", { domain: "red" })]), []);
    assert.deepEqual(pairs([a, place("b", "10.1.0.1/16", "eth1", { allowOverlap: true })]), []);
    assert.deepEqual(pairs([a, place("b", "11.0.0.1/8", "eth1")]), []);
  });

  it("are no link-local ones: every link has its own", () => {
    assert.deepEqual(pairs([place("a", "fe80::1/64", "eth0"), place("b", "fe80::2/64", "eth1")]), []);
    assert.deepEqual(pairs([place("a", "2001:db8::1/64", "eth0"), place("b", "2001:db8::2/127", "eth1")]), [
      "a b",
    ]);
  });

  it("are the ones that a comparison of all with all finds", () => {
    const address = fc
      .tuple(fc.constantFrom(10, 11), fc.nat(3), fc.nat(3), fc.integer({ min: 6, max: 32 }))
      .map(([a, b, c, length]) => `${a}.${b}.0.${c}/${length}`);
    const placed = fc.record({
      address,
      device: fc.constantFrom("eth0", "eth1", "eth2"),
      domain: fc.constantFrom("", "red"),
      allowOverlap: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(placed, { maxLength: 30 }), (list) => {
        const all = list.map((each, i) => ({ ...each, name: `n${String(i).padStart(2, "0")}` }));
        const expected: string[] = [];
        all.forEach((one, i) => {
          for (const other of all.slice(i + 1))
            if (overlaps(one, other)) expected.push(`${one.name} ${other.name}`);
        });
        assert.deepEqual(pairs(all), expected.sort());
      }),
    );
  });
});

function overlaps(a: PlacedAddress, b: PlacedAddress): boolean {
  if (a.device === b.device || a.domain !== b.domain || a.allowOverlap || b.allowOverlap) return false;
  const prefix = ({ address }: PlacedAddress): { bytes: Uint8Array; length: number } => {
    const [host, length] = address.split("/");
    const bytes = parseIp(host)!.slice();
    maskBytes(bytes, Number(length));
    return { bytes, length: Number(length) };
  };
  const [p, q] = [prefix(a), prefix(b)];
  return p.length <= q.length ? prefixContains(p, q.bytes) : prefixContains(q, p.bytes);
}
