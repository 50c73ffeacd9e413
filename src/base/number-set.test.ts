import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NumberSet } from "./number-set.ts";

test("holds what it was made of and nothing else", () => {
  const number = fc.oneof(
    fc.constantFrom(0, 1, 2 ** 31, 2 ** 32 - 1),
    fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  );
  fc.assert(
    fc.property(fc.array(number), fc.array(number), (values, others) => {
      const set = new NumberSet(values);
      const oracle = new Set(values);
      for (const value of [...values, ...others]) assert.equal(set.has(value), oracle.has(value));
    }),
  );
});
