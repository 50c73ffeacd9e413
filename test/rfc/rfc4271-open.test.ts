/** RFC 4271 4.2 and 6.2: OPEN, sent and received, with RFC 5492, 6286, 6793, 7607, 8654 and 9072 where they bear on it. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { NeighborConfig } from "../../src/state/session-port.ts";
import type { Capability } from "../../src/wire/capabilities.ts";
import { ipv6Unicast } from "../../src/wire/family.ts";
import { decodeOpen, isWireError, type Open } from "../../src/wire/open.ts";
import { keepaliveBytes, message, patch, peerOpen, Rig } from "./rig.ts";

function ourOpen(change: Partial<NeighborConfig> = {}): Open & { readonly field: number } {
  const rig = new Rig().add(change);
  const conn = rig.connect();
  const { bytes } = rig.sent(conn)[0];
  const open = decodeOpen(bytes, 0, bytes.length);
  assert(!isWireError(open));
  return { ...open, field: (bytes[20] << 8) | bytes[21] };
}

/** How we answer this OPEN: the NOTIFICATION, or "accepted". */
function answer(open: Uint8Array, change: Partial<NeighborConfig> = {}): string {
  const rig = new Rig().add(change);
  const conn = rig.connect();
  rig.receive(conn, open);
  if (rig.state() === "OpenConfirm") {
    assert.deepEqual(rig.types(conn), [1, 4]);
    return "accepted";
  }
  assert.equal(rig.state(), "Idle");
  assert.deepEqual(rig.types(conn), [1, 3]);
  assert(rig.isClosed(conn), "the connection is closed after the NOTIFICATION");
  return rig.notification(conn)!;
}

/** An OPEN with these optional parameter bytes. */
function withParameters(...parameters: number[]): Uint8Array {
  return message(1, Uint8Array.of(4, 0xfd, 0xea, 0, 90, 10, 0, 0, 2, parameters.length, ...parameters));
}

const as4 = [65, 4, 0, 0, 0xfd, 0xea];

describe("RFC 4271 4.2, sent", () => {
  test('"This 1-octet unsigned integer indicates the protocol version number ... 4"', () => {
    assert.equal(ourOpen().version, 4);
  });
  test("My Autonomous System, hold time and identifier are the configured ones", () => {
    const open = ourOpen({ holdTimeS: 30, routerId: 0xc0000201 });
    assert.deepEqual([open.field, open.asn, open.holdTimeS, open.routerId], [65001, 65001, 30, 0xc0000201]);
  });
  test("RFC 6793 9: a four-octet AS number is carried as AS_TRANS and in the capability", () => {
    const open = ourOpen({ localAsn: 4_200_000_000 });
    assert.deepEqual([open.field, open.asn], [23456, 4_200_000_000]);
  });
  test("RFC 5492 and 4760: capabilities for each family, refresh, extended messages, four octets", () => {
    const names = ourOpen({ families: [ipv6Unicast] }).capabilities.map((capability) => capability.kind);
    assert.deepEqual(names, [
      "multiprotocol",
      "route-refresh",
      "enhanced-route-refresh",
      "extended-message",
      "four-octet-as",
      "graceful-restart",
    ]);
    const without = ourOpen({ extendedMessages: false }).capabilities.map((capability) => capability.kind);
    assert(!without.includes("extended-message"));
  });
  test('8: "After a TCP connection is established, the first message sent by each side is an OPEN message"', () => {
    const rig = new Rig().add({ passive: true });
    const conn = rig.accept();
    assert.deepEqual(rig.types(conn), [1]);
  });
});

describe("RFC 4271 4.2, Hold Time", () => {
  const holdTime = (theirs: number, ours: number): readonly [number, number] => {
    const rig = new Rig().add({ holdTimeS: ours });
    rig.establish(peerOpen({ holdTimeS: theirs }));
    return [rig.negotiated!.holdTimeS, rig.negotiated!.keepaliveS];
  };
  test('"a BGP speaker MUST calculate the value of the Hold Timer by using the smaller of its configured Hold Time and the Hold Time received"', () => {
    assert.deepEqual(holdTime(180, 90), [90, 30]);
    assert.deepEqual(holdTime(30, 90), [30, 10]);
  });
  test('"The Hold Time MUST be either zero or at least three seconds"', () => {
    assert.deepEqual(holdTime(0, 90), [0, 0]);
    assert.deepEqual(holdTime(3, 90), [3, 1]);
  });
});

describe("RFC 4271 6.2, received", () => {
  test('"If the version number in the Version field ... is not supported, then the Error Subcode MUST be set to Unsupported Version Number. The Data field is a 2-octet unsigned integer"', () => {
    for (const version of [0, 3, 5, 255]) assert.equal(answer(patch(peerOpen(), 19, version)), "2/1 0004");
  });
  test('"If the Autonomous System field of the OPEN message is unacceptable, then the Error Subcode MUST be set to Bad Peer AS"', () => {
    assert.equal(answer(peerOpen({ asn: 65003 })), "2/2");
  });
  test('"If the Hold Time field of the OPEN message is unacceptable, then the Error Subcode MUST be set to Unacceptable Hold Time. An implementation MUST reject Hold Time values of one or two seconds"', () => {
    assert.match(answer(patch(peerOpen(), 22, 0, 1)), /^2\/6/);
    assert.match(answer(patch(peerOpen(), 22, 0, 2)), /^2\/6/);
    assert.equal(answer(patch(peerOpen(), 22, 0, 0)), "accepted");
    assert.equal(answer(patch(peerOpen(), 22, 0, 3)), "accepted");
  });
  test('"If the BGP Identifier field of the OPEN message is syntactically incorrect, then the Error Subcode MUST be set to Bad BGP Identifier"', () => {
    assert.match(answer(patch(peerOpen(), 24, 0, 0, 0, 0)), /^2\/3/);
  });
  test('"If one of the Optional Parameters in the OPEN message is not recognized, then the Error Subcode MUST be set to Unsupported Optional Parameters"', () => {
    assert.match(answer(withParameters(1, 1, 0)), /^2\/4/);
  });
  test('"If one of the Optional Parameters in the OPEN message is recognized, but is malformed, then the Error Subcode MUST be set to 0 (Unspecific)"', () => {
    assert.match(answer(withParameters(2, 6, ...as4.slice(0, 5))), /^2\/0/);
    assert.match(answer(withParameters(2, 3, 65, 4, 0)), /^2\/0/);
  });
  test("an acceptable OPEN is answered with KEEPALIVE", () => {
    assert.equal(answer(peerOpen()), "accepted");
    assert.equal(answer(withParameters()), "accepted");
  });
});

describe("RFC 6286", () => {
  test("2.1: any non-zero identifier is one, also multicast and 255.255.255.255", () => {
    for (const routerId of [1, 0xe0000001, 0xffffffff])
      assert.equal(answer(peerOpen({ routerId })), "accepted");
  });
  test('2.2: "if the BGP Identifier is zero, or if it is the same as the one of the local BGP speaker and the message is from an internal peer, then the Error Subcode is set to Bad BGP Identifier"', () => {
    const inside = { remoteAsn: 65001 };
    assert.equal(answer(peerOpen({ asn: 65001, routerId: 0x0a000001 }), inside), "2/3");
    assert.equal(answer(peerOpen({ asn: 65001 }), inside), "accepted");
    assert.equal(answer(peerOpen({ routerId: 0x0a000001 })), "accepted");
  });
});

describe("RFC 6793", () => {
  test("4.2.1: a four-octet number behind AS_TRANS is the neighbor's", () => {
    assert.equal(answer(peerOpen({ asn: 4_200_000_000 }), { remoteAsn: 4_200_000_000 }), "accepted");
  });
  test("a neighbor without the capability is a two-octet one", () => {
    const rig = new Rig().add();
    rig.establish(withParameters());
    assert.deepEqual([rig.negotiated!.fourOctetAs, rig.negotiated!.families], [false, 1]);
  });
  test("AS_TRANS alone is nobody", () => {
    assert.equal(answer(patch(withParameters(), 20, 0x5b, 0xa0), { remoteAsn: 23456 }), "2/2");
  });
  test("RFC 7607 2: AS 0 is refused with Bad Peer AS, in either place", () => {
    assert.equal(answer(patch(withParameters(), 20, 0, 0)), "2/2");
    assert.equal(answer(withParameters(2, 6, 65, 4, 0, 0, 0, 0)), "2/2");
  });
  test("field and capability that contradict each other are refused", () => {
    assert.equal(answer(withParameters(2, 6, 65, 4, 0, 0, 0xfd, 0xeb)), "2/2");
  });
});

describe("RFC 5492", () => {
  test('4: "If the speaker does not recognize a capability it MUST ignore it"', () => {
    assert.equal(answer(withParameters(2, 4, 200, 2, 1, 2, 2, 2, 201, 0)), "accepted");
  });
  test("4: several parameters, and the same capability twice, are fine", () => {
    assert.equal(answer(withParameters(2, 6, ...as4, 2, 12, ...as4, ...as4)), "accepted");
  });
  test("3: no family in common ends with Unsupported Capability that lists ours", () => {
    assert.equal(answer(withParameters(2, 6, 1, 4, 0, 2, 0, 1)), "2/7 010400010001");
    assert.equal(answer(withParameters(), { families: [ipv6Unicast] }), "2/7 010400020001");
  });
  test("RFC 9072: extended optional parameters", () => {
    const body = Uint8Array.of(4, 0xfd, 0xea, 0, 90, 10, 0, 0, 2, 255, 255, 0, 9, 2, 0, 6, ...as4);
    assert.equal(answer(message(1, body)), "accepted");
    const many: Capability[] = Array.from({ length: 60 }, (_, i) => ({
      kind: "unknown",
      code: 100 + i,
      value: new Uint8Array(8),
    }));
    assert.equal(
      answer(peerOpen({ capabilities: [...many, { kind: "four-octet-as", asn: 65002 }] })),
      "accepted",
    );
  });
});

describe("RFC 4271 6.2, what the operator sees", () => {
  test("the reason names what was wrong", () => {
    const rig = new Rig().add();
    rig.receive(rig.connect(), peerOpen({ asn: 65003 }));
    assert.equal(
      rig.view().lastResetReason,
      "sent OPEN Message Error/Bad Peer AS: the neighbor is AS 65003, configured is AS 65002",
    );
  });
  test("capabilities of both sides are shown", () => {
    const rig = new Rig().add();
    rig.establish(
      peerOpen({
        capabilities: [
          { kind: "four-octet-as", asn: 65002 },
          { kind: "fqdn", host: "r2", domain: "" },
        ],
      }),
    );
    const rows = rig.view().capabilities.map((each) => {
      const marks = `${each.local ? "L" : ""}${each.remote ? "R" : ""}${each.negotiated ? "N" : ""}`;
      return `${each.name}${each.value && `=${each.value}`} ${marks}`;
    });
    assert.deepEqual(rows, [
      "multiprotocol=ipv4-unicast L",
      "route-refresh L",
      "enhanced-route-refresh L",
      "extended-message L",
      "four-octet-as=65001 LN",
      "graceful-restart=restart time 0 s, notification L",
      "four-octet-as=65002 RN",
      "fqdn=r2 R",
    ]);
  });
  test("KEEPALIVE completes it", () => {
    const rig = new Rig().add();
    const conn = rig.connect();
    rig.receive(conn, peerOpen());
    assert.equal(rig.state(), "OpenConfirm");
    rig.receive(conn, keepaliveBytes);
    assert.equal(rig.state(), "Established");
    assert.equal(rig.view().remoteRouterId, "10.0.0.2");
  });
});
