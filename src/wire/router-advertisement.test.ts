import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeRouterAdvertisement, isRouterAdvertisement } from "./router-advertisement.ts";

test("ours offers nothing, and is one", () => {
  const bytes = encodeRouterAdvertisement();
  assert.equal(Buffer.from(bytes).toString("hex"), "86000000000000000000000000000000");
  assert.ok(isRouterAdvertisement(bytes, bytes.length, 255, true));
});

test("what RFC 4861 6.1.2 tells to discard is none", () => {
  const bytes = encodeRouterAdvertisement();
  const isOne = (change: Partial<{ hop: number; local: boolean; length: number }>, more: number[] = []) => {
    const whole = Uint8Array.of(...bytes, ...more);
    return isRouterAdvertisement(
      whole,
      change.length ?? whole.length,
      change.hop ?? 255,
      change.local ?? true,
    );
  };
  assert.equal(isOne({}), true);
  assert.equal(isOne({ hop: 254 }), false, "from beyond the link");
  assert.equal(isOne({ local: false }), false, "not from a link-local address");
  assert.equal(isOne({ length: 15 }), false, "too short");
  assert.equal(isOne({}, [1, 1, 0, 0, 0, 0, 0, 0]), true, "with an option");
  assert.equal(isOne({}, [1, 0, 0, 0, 0, 0, 0, 0]), false, "an option of no length");
  assert.equal(isOne({}, [1, 2, 0, 0, 0, 0, 0, 0]), false, "an option that is cut off");
  assert.equal(isOne({}, [1]), false, "half of an option's header");
  bytes[1] = 1;
  assert.equal(isOne({}), false, "another code");
  bytes[0] = 133;
  bytes[1] = 0;
  assert.equal(isOne({}), false, "a solicitation");
});
