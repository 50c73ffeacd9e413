/** BMP messages: byte for byte where the RFCs draw them, and back from any bytes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MessageWriter } from "../wire/message-writer.ts";
import { BmpReader, decodeBmp } from "./decode.ts";
import {
  encodePeer,
  globalPeer,
  locRibPeer,
  textTlv,
  writeInitiation,
  writeMirror,
  writeMirrorLost,
  writePeerDown,
  writePeerUp,
  writeRoute,
  writeStatistics,
  writeTermination,
} from "./encode.ts";
import {
  type BmpMessage,
  BmpType,
  DownReason,
  InfoType,
  MirrorInfo,
  MirrorType,
  PeerFlag,
  PeerType,
  StatType,
  TerminationReason,
  TerminationType,
} from "./types.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** What `write` wrote, and the message that it is. */
function written(write: (out: MessageWriter) => void): { bytes: Uint8Array; message: BmpMessage } {
  const out = new MessageWriter(8);
  write(out);
  const bytes = out.take();
  const message = decodeBmp(bytes, 0, bytes.length);
  if (message.type === "fault") assert.fail(message.text);
  return { bytes, message };
}

/** A BGP message of a type around some bytes. */
function bgp(type: number, body: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(19 + body.length).fill(255, 0, 16);
  bytes.set([bytes.length >> 8, bytes.length & 255, type, ...body], 16);
  return bytes;
}

const peer4 = globalPeer(Uint8Array.of(192, 0, 2, 1), 65_536, 0x0a00_0001);

test("the per-peer header stands as RFC 7854 4.2 draws it", () => {
  const update = bgp(2, [0, 0, 0, 0]);
  const { bytes } = written((out) =>
    writeRoute(out, peer4, PeerFlag.postPolicy, 7, update, 0, update.length),
  );
  assert.equal(
    hex(bytes),
    "03" + // version
      "00000047" + // length
      "00" + // Route Monitoring
      "0040" + // global instance, L
      "0000000000000000" + // distinguisher
      "000000000000000000000000c0000201" +
      "00010000" + // AS
      "0a000001" + // BGP identifier
      "0000000700000000" + // time
      hex(update),
  );
});

test("a peer of IPv6 has V, a Loc-RIB neither address nor V", () => {
  const address = Uint8Array.from({ length: 16 }, (_, i) => i);
  const report = (peer: Uint8Array): BmpMessage =>
    written((out) => writeStatistics(out, peer, 1, 2, [])).message;
  const six = report(globalPeer(address, 1, 2));
  assert.ok("peer" in six);
  assert.deepEqual([six.peer.flags, hex(six.peer.address)], [PeerFlag.ip6, hex(address)]);
  assert.deepEqual([six.peer.timeS, six.peer.micros], [1, 2]);
  const loc = report(locRibPeer(65_001, 9));
  assert.ok("peer" in loc);
  assert.deepEqual([loc.peer.type, loc.peer.flags, loc.peer.asn, loc.peer.routerId], [3, 0, 65_001, 9]);
  assert.equal(hex(loc.peer.address), "00000000");
});

test("Peer Up holds both OPENs and what follows them", () => {
  const [sentOpen, receivedOpen] = [bgp(1, [4, 1]), bgp(1, [4, 2, 3])];
  const up = {
    ...{
      localAddress: Uint8Array.of(10, 0, 0, 1),
      localPort: 179,
      remotePort: 40_000,
      sentOpen,
      receivedOpen,
    },
    info: [textTlv(InfoType.tableName, "global")],
  };
  const { message } = written((out) => writePeerUp(out, peer4, 1, 0, up));
  assert.ok(message.type === BmpType.peerUp);
  assert.equal(hex(message.localAddress), "0a000001");
  assert.deepEqual([message.localPort, message.remotePort], [179, 40_000]);
  assert.deepEqual([hex(message.sentOpen), hex(message.receivedOpen)], [hex(sentOpen), hex(receivedOpen)]);
  assert.deepEqual(
    message.info.map(({ type, value }) => [type, hex(value)]),
    [[3, "676c6f62616c"]],
  );
});

test("Peer Down tells each reason with what belongs to it", () => {
  const notification = bgp(3, [6, 2, 1, 65]);
  const downs = [
    { reason: DownReason.localNotification, notification },
    { reason: DownReason.localNoNotification, fsmEvent: 10 },
    { reason: DownReason.remoteNotification, notification },
    { reason: DownReason.remoteNoNotification },
    { reason: DownReason.deconfigured },
    { reason: DownReason.locRib, info: [textTlv(InfoType.tableName, "global")] },
  ] as const;
  for (const down of downs) {
    const { message } = written((out) => writePeerDown(out, peer4, 1, 0, down));
    assert.ok(message.type === BmpType.peerDown);
    assert.equal(message.reason, down.reason);
    if ("notification" in down) assert.equal(hex(message.data), hex(notification));
    if ("fsmEvent" in down) assert.equal(message.fsmEvent, 10);
    if ("info" in down) assert.equal(message.info[0].type, InfoType.tableName);
  }
});

test("counters have 32 bits, gauges 64, those of a family its code before", () => {
  const stats = [
    { type: StatType.rejectedByPolicy, afi: 0, safi: 0, value: 0xffff_fffen },
    { type: StatType.adjRibIn, afi: 0, safi: 0, value: 0x1_0000_0001n },
    { type: StatType.adjRibOutPostOfFamily, afi: 2, safi: 1, value: 5n },
  ];
  const { bytes, message } = written((out) => writeStatistics(out, peer4, 1, 0, stats));
  assert.ok(message.type === BmpType.statistics);
  assert.deepEqual(message.stats, stats);
  assert.equal(
    hex(bytes.subarray(48)),
    "00000003" + "00000004fffffffe" + "000700080000000100000001" + "0011000b0002010000000000000005",
  );
});

test("Initiation, Termination and mirrored messages", () => {
  const { message: begin } = written((out) => writeInitiation(out, [textTlv(InfoType.systemName, "r1")]));
  assert.ok(begin.type === BmpType.initiation);
  assert.deepEqual(
    begin.info.map(({ type, value }) => [type, hex(value)]),
    [[2, "7231"]],
  );
  const { message: end } = written((out) => writeTermination(out, TerminationReason.administrative, "bye"));
  assert.ok(end.type === BmpType.termination);
  assert.deepEqual(
    end.info.map(({ type, value }) => [type, hex(value)]),
    [
      [TerminationType.reason, "0000"],
      [TerminationType.text, "627965"],
    ],
  );
  const pdu = bgp(4, []);
  const { message: mirror } = written((out) => writeMirror(out, peer4, 0, 1, 0, pdu, 0, pdu.length, true));
  assert.ok(mirror.type === BmpType.routeMirroring);
  assert.deepEqual(
    mirror.tlvs.map(({ type, value }) => [type, hex(value)]),
    [
      [MirrorType.information, `000${MirrorInfo.erroredPdu}`],
      [MirrorType.message, hex(pdu)],
    ],
  );
  const { message: lost } = written((out) => writeMirrorLost(out, peer4, 1, 0));
  assert.ok(lost.type === BmpType.routeMirroring);
  assert.deepEqual(
    lost.tlvs.map(({ value }) => hex(value)),
    [`000${MirrorInfo.messagesLost}`],
  );
});

test("what is cut off, too long or of another version is told as a fault", () => {
  const update = bgp(2, [0, 0, 0, 0]);
  const { bytes } = written((out) => writeRoute(out, peer4, 0, 7, update, 0, update.length));
  for (let end = 0; end < bytes.length; end++) {
    const short = bytes.slice(0, end);
    if (end > 5) short.set([0, 0, 0, end], 1);
    assert.equal(decodeBmp(short, 0, end).type, "fault", `${end} bytes`);
  }
  assert.equal(decodeBmp(Uint8Array.of(4, ...bytes.subarray(1)), 0, bytes.length).type, "fault");
  assert.equal(new BmpReader().push(Uint8Array.of(3, 255, 255, 255, 255, 0))[0].type, "fault");
});

test("any message is what it was, in whatever pieces it comes", () => {
  const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
  const header = fc
    .record({
      type: fc.constantFrom(PeerType.global, PeerType.rd, PeerType.local),
      distinguisher: fc.uint8Array({ minLength: 8, maxLength: 8 }),
      address: fc.oneof(
        fc.uint8Array({ minLength: 4, maxLength: 4 }),
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
      ),
      ...{ asn: u32, routerId: u32, timeS: u32, micros: fc.integer({ min: 0, max: 999_999 }) },
    })
    .map((peer) => ({ ...peer, flags: peer.address.length === 16 ? PeerFlag.ip6 : 0 }));
  const body = fc.uint8Array({ maxLength: 60 }).map((bytes) => bgp(2, [...bytes]));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(header, body, fc.boolean()), { maxLength: 5 }),
      fc.nat(40),
      (all, piece) => {
        const out = new MessageWriter(8);
        for (const [peer, update, mirrored] of all) {
          const { timeS, micros } = peer;
          const bytes = encodePeer(peer);
          if (mirrored) writeMirror(out, bytes, 0, timeS, micros, update, 0, update.length, false);
          else writeRoute(out, bytes, PeerFlag.adjRibOut, timeS, update, 0, update.length);
        }
        const stream = out.take();
        const reader = new BmpReader();
        const read: unknown[] = [];
        for (let at = 0; at < stream.length; at += piece + 1) {
          for (const message of reader.push(stream.subarray(at, at + piece + 1))) {
            if (message.type === BmpType.routeMonitoring) read.push([message.peer, message.update]);
            else if (message.type === BmpType.routeMirroring)
              read.push([message.peer, message.tlvs[0].value]);
          }
        }
        const expected = all.map(([peer, update, mirrored]) => {
          const flags = peer.flags | (mirrored ? 0 : PeerFlag.adjRibOut);
          return [{ ...peer, flags, micros: mirrored ? peer.micros : 0 }, update];
        });
        assert.deepEqual(read, expected);
        assert.equal(reader.waitingBytes, 0);
      },
    ),
    { numRuns: 150 },
  );
});
