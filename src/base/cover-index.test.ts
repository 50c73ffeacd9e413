import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { addressWords, CoverIndex } from "./cover-index.ts";
import { maskBytes, prefixContains } from "./ip.ts";

describe("CoverIndex", () => {
  for (const bytes of [4, 16] as const) {
    test(`finds what a scan finds, whatever came and went (${bytes} bytes)`, () => {
      // Few different bytes, so that addresses share prefixes and repeat.
      const address = fc.uint8Array({ minLength: bytes, maxLength: bytes, max: 3 });
      const step = fc.record({ address, add: fc.boolean(), length: fc.nat(bytes * 8) });
      fc.assert(
        fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
          const index = new CoverIndex(bytes === 4 ? 1 : 4);
          const there = new Map<string, { id: number; address: Uint8Array }>();
          steps.forEach(({ address, add, length }, id) => {
            const key = address.join();
            if (!add) {
              index.remove(addressWords(address));
              there.delete(key);
            } else if (!there.has(key)) {
              index.add(id, addressWords(address));
              there.set(key, { id, address });
            }
            const prefix = address.slice();
            maskBytes(prefix, length);
            const found: number[] = [];
            index.covered(addressWords(prefix), 0, length, (each) => found.push(each));
            const wanted = [...there.values()].filter((each) =>
              prefixContains({ bytes: prefix, length }, each.address),
            );
            assert.deepEqual(
              found.sort((a, b) => a - b),
              wanted.map((each) => each.id).sort((a, b) => a - b),
            );
          });
        }),
        { numRuns: 150 },
      );
    });
  }
});
