import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { base64Text, base64Value } from "./base64.ts";

describe("base64", () => {
  it("writes what others write, and reads it back", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
        const text = base64Text(bytes);
        assert.equal(text, Buffer.from(bytes).toString("base64"));
        assert.deepEqual(base64Value(text), new Uint8Array(bytes));
      }),
    );
  });

  it("takes no second text for the same bytes", () => {
    for (const text of ["A", "AA", "AAA", "AB==", "AAB=", "AA==AAAA", "A-A_", "AA= ", "===="]) {
      assert.equal(base64Value(text), undefined, text);
    }
  });
});
