/** RFC 4271 4.1 and 6.1: message header errors, in every state that reads. Each test names the sentence it holds us to. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { keepaliveBytes, message, patch, peerOpen, Rig } from "./rig.ts";

const v4Only = [
  { kind: "multiprotocol", afi: 1, safi: 1 },
  { kind: "four-octet-as", asn: 65002 },
] as const;

/** The neighbor sends `bytes` on an Established session. */
function afterEstablished(bytes: Uint8Array, open = peerOpen()): string | undefined {
  const rig = new Rig().add();
  const conn = rig.establish(open);
  rig.receive(conn, bytes);
  if (rig.state() !== "Established") assert(rig.isClosed(conn));
  return rig.notification(conn);
}

/** The neighbor sends `bytes` instead of its OPEN. */
function inOpenSent(bytes: Uint8Array): string | undefined {
  const rig = new Rig().add();
  const conn = rig.connect();
  rig.receive(conn, bytes);
  assert.equal(rig.state(), "Idle");
  assert(rig.isClosed(conn));
  return rig.notification(conn);
}

describe("RFC 4271 4.1", () => {
  test('"The value of the Length field MUST always be at least 19 and no greater than 4096"', () => {
    assert.equal(inOpenSent(message(4, new Uint8Array(0), 18)), "1/2 0012");
    assert.equal(inOpenSent(message(1, new Uint8Array(10), 4097)), "1/2 1001");
    assert.equal(
      afterEstablished(message(2, new Uint8Array(4), 4097), peerOpen({ capabilities: v4Only })),
      "1/2 1001",
    );
  });
  test("RFC 8654: 65535 bytes are fine once both offered extended messages", () => {
    const body = new Uint8Array(60_000);
    const rig = new Rig().add();
    rig.receive(rig.establish(), message(2, body));
    assert.deepEqual(rig.calls, ["established", "update 60019"]);
  });
  test("RFC 8654 4: OPEN and KEEPALIVE keep to 4096", () => {
    assert.equal(inOpenSent(message(1, new Uint8Array(5000))), "1/2 139b");
    // To the byte: 4,097 are too long, 4,096 fail for what is in them.
    assert.equal(inOpenSent(message(1, new Uint8Array(4078))), "1/2 1001");
    assert.match(inOpenSent(message(1, new Uint8Array(4077)))!, /^2\//);
    for (const bytes of [4097, 65_535]) {
      const rig = new Rig().add();
      const conn = rig.establish();
      rig.receive(conn, message(4, new Uint8Array(bytes - 19)));
      assert.match(rig.notification(conn) ?? "", /^1\/2/);
    }
  });
});

describe("RFC 4271 6.1", () => {
  test('"All errors detected while processing the Message Header MUST be indicated by sending the NOTIFICATION message with the Error Code Message Header Error"', () => {
    for (const bytes of [
      message(9, new Uint8Array(0)),
      patch(keepaliveBytes, 0, 0),
      message(4, Uint8Array.of(1)),
    ]) {
      assert.match(inOpenSent(bytes)!, /^1\//);
      assert.match(afterEstablished(bytes)!, /^1\//);
    }
  });
  test('"If the Marker field of the message header is not as expected ... the Error Subcode MUST be set to Connection Not Synchronized"', () => {
    for (let at = 0; at < 16; at++) assert.equal(inOpenSent(patch(keepaliveBytes, at, 254)), "1/1");
  });
  test('"if the Length field of an OPEN message is less than the minimum length of the OPEN message ... Bad Message Length"', () => {
    assert.equal(inOpenSent(message(1, new Uint8Array(9))), "1/2 001c");
  });
  test('"if the Length field of an UPDATE message is less than the minimum length of the UPDATE message"', () => {
    assert.equal(afterEstablished(message(2, new Uint8Array(3))), "1/2 0016");
  });
  test('"if the Length field of a KEEPALIVE message is not equal to 19"', () => {
    assert.equal(afterEstablished(message(4, Uint8Array.of(0))), "1/2 0014");
  });
  test('"if the Length field of a NOTIFICATION message is less than the minimum length of the NOTIFICATION message"', () => {
    assert.equal(afterEstablished(message(3, Uint8Array.of(6))), "1/2 0014");
  });
  test('"the Data field MUST contain the erroneous Length field"', () => {
    assert.equal(inOpenSent(message(4, new Uint8Array(0), 0xffff)), "1/2 ffff");
  });
  test('"If the Type field of the message header is not recognized, then the Error Subcode MUST be set to Bad Message Type. The Data field MUST contain the erroneous Type field"', () => {
    for (const type of [0, 6, 128, 255]) {
      assert.equal(inOpenSent(message(type, new Uint8Array(4))), `1/3 ${type.toString(16).padStart(2, "0")}`);
    }
  });
});

test("a header error is found before the message is complete", () => {
  const rig = new Rig().add();
  const conn = rig.connect();
  rig.receive(conn, message(1, new Uint8Array(0), 5000).subarray(0, 19));
  assert.equal(rig.notification(conn), "1/2 1388");
});

test("messages may arrive byte by byte", () => {
  const rig = new Rig().add();
  const conn = rig.connect();
  const bytes = Buffer.concat([peerOpen(), keepaliveBytes]);
  for (const byte of bytes) rig.receive(conn, Uint8Array.of(byte));
  assert.equal(rig.state(), "Established");
});
