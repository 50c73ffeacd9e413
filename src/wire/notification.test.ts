import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fromHex, message, toHex } from "../../test/support/wire.ts";
import { keepaliveBytes } from "./keepalive.ts";
import {
  decodeNotification,
  decodeShutdownMessage,
  describeNotification,
  encodeHardReset,
  encodeNotification,
  encodeShutdownMessage,
} from "./notification.ts";
import { isWireError } from "./open.ts";
import { decodeRefresh, encodeRefresh, RefreshSubtype } from "./refresh.ts";

test("golden bytes of the small messages", () => {
  const marker = "ff".repeat(16);
  assert.equal(toHex(keepaliveBytes), `${marker}001304`);
  assert.equal(toHex(encodeNotification(2, 6, fromHex("0001"))), `${marker}00170302060001`);
  assert.equal(toHex(encodeRefresh(2, 1, RefreshSubtype.begin)), `${marker}00170500020101`);
});

test("RFC 9003: shutdown text goes out and comes back", () => {
  const bytes = encodeNotification(6, 2, encodeShutdownMessage("maintenance until 04:00 ☕"));
  const notification = decodeNotification(bytes, 0, bytes.length);
  assert.equal(notification.shutdownMessage, "maintenance until 04:00 ☕");
  assert.equal(
    describeNotification(notification.code, notification.subcode),
    "Cease/Administrative Shutdown",
  );
});

test("RFC 9003: text is cut to 255 bytes at the border of a character", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 400 }), (text) => {
      const data = encodeShutdownMessage(text);
      assert.ok(data.length <= 256);
      if (data.length === 0) return;
      assert.equal(data[0], data.length - 1);
      new TextDecoder("utf-8", { fatal: true }).decode(data.subarray(1));
    }),
  );
  assert.equal(encodeShutdownMessage("ä".repeat(200)).length, 255);
});

test("shutdown text from a peer is safe to show", () => {
  assert.equal(decodeShutdownMessage(fromHex("04 41 ff 1b 42")), "A\ufffd B");
  assert.equal(decodeShutdownMessage(fromHex("ff 41")), "A");
  assert.equal(decodeShutdownMessage(fromHex("00")), "");
  assert.equal(decodeShutdownMessage(new Uint8Array(0)), "");
});

test("RFC 8538: the notification inside a hard reset is what counts", () => {
  const bytes = encodeHardReset(6, 2, encodeShutdownMessage("bye"));
  const notification = decodeNotification(bytes, 0, bytes.length);
  assert.equal(notification.hardReset, true);
  assert.deepEqual([notification.code, notification.subcode], [6, 2]);
  assert.equal(notification.shutdownMessage, "bye");
});

test("data longer than a message is cut", () => {
  assert.equal(encodeNotification(3, 1, new Uint8Array(9000)).length, 4096);
});

test("names fall back to numbers", () => {
  assert.equal(describeNotification(4, 0), "Hold Timer Expired");
  assert.equal(describeNotification(3, 11), "UPDATE Message Error/Malformed AS_PATH");
  assert.equal(describeNotification(6, 77), "Cease/77");
  assert.equal(describeNotification(99, 1), "error 99/1");
});

test("RFC 2918, RFC 7313: route refresh both ways", () => {
  const bytes = encodeRefresh(1, 1, RefreshSubtype.end);
  assert.deepEqual(decodeRefresh(bytes, 0, bytes.length), { afi: 1, safi: 1, subtype: 2 });
  const long = message(5, fromHex("00010101 00"));
  const result = decodeRefresh(long, 0, long.length);
  assert.ok(isWireError(result));
  assert.deepEqual([result.code, result.subcode, toHex(result.data)], [7, 1, toHex(long)]);
  const withFilters = message(5, fromHex("00010001 01400000"));
  assert.deepEqual(decodeRefresh(withFilters, 0, withFilters.length), {
    afi: 1,
    safi: 1,
    subtype: 0,
    filtersAt: 23,
  });
});
