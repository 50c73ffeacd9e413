import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checksum, type Echo, encodeEcho, isEchoReply } from "./echo.ts";

const token = Uint8Array.from({ length: 16 }, (_, i) => i * 7);
const four: Echo = { version: 4, identifier: 0xbeef, sequence: 3, token };
const six: Echo = { ...four, version: 6 };

/** What comes back: the request with another type, as routers send it. */
function replyTo(echo: Echo): Uint8Array {
  const bytes = encodeEcho(echo);
  bytes[0] = echo.version === 4 ? 0 : 129;
  return bytes;
}

function withHeader(bytes: Uint8Array, words: number): Uint8Array {
  const whole = new Uint8Array(words * 4 + bytes.length);
  whole[0] = 0x40 | words;
  whole.set(bytes, words * 4);
  return whole;
}

describe("ICMP echo", () => {
  it("has a checksum that sums up to 0", () => {
    assert.equal(checksum(encodeEcho(four)), 0);
    assert.equal(checksum(Uint8Array.of(0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7)), 0x220d); // RFC 1071 3
  });

  it("knows its own answer, with the header of IPv4 of any length and without", () => {
    for (const words of [5, 15]) {
      const bytes = withHeader(replyTo(four), words);
      assert.ok(isEchoReply(bytes, bytes.length, four, true, false));
      assert.ok(!isEchoReply(bytes, bytes.length - 1, four, true, false));
    }
    assert.ok(isEchoReply(replyTo(six), 24, six, false, false));
  });

  it("takes no request, no other sequence, identifier or bytes", () => {
    assert.ok(!isEchoReply(encodeEcho(four), 24, four, false, false));
    assert.ok(!isEchoReply(replyTo({ ...four, sequence: 4 }), 24, four, false, false));
    assert.ok(!isEchoReply(replyTo({ ...four, identifier: 1 }), 24, four, false, false));
    assert.ok(isEchoReply(replyTo({ ...four, identifier: 1 }), 24, four, false, true));
    for (let at = 8; at < 24; at++) {
      const bytes = replyTo(four);
      bytes[at] ^= 1;
      assert.ok(!isEchoReply(bytes, 24, four, false, true));
    }
  });
});
