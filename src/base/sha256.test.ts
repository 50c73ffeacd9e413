import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { digestText, sha256 } from "./sha256.ts";

const text = (input: string): string => digestText(sha256(new TextEncoder().encode(input)));

test("the vectors of FIPS 180-4", () => {
  assert.equal(text(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  assert.equal(text("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  assert.equal(
    text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
  );
});

test("the same as the platform's, for any length around the block borders", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      assert.equal(digestText(sha256(bytes)), createHash("sha256").update(bytes).digest("hex"));
    }),
    { numRuns: 500 },
  );
});
