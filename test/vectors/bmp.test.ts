/** BMP of routers: each message reads as NetGauze's parser reads it. */
import assert from "node:assert/strict";
import { formatIp, formatIp4 } from "../../src/base/ip.ts";
import { decodeBmp } from "../../src/bmp/decode.ts";
import { type BmpMessage, BmpType, type PeerHeader, PeerType } from "../../src/bmp/types.ts";
import { fromHex } from "../support/wire.ts";
import { eachRow, type VectorRow, vectorTest } from "./support.ts";

interface PeerText {
  readonly peer_type: Readonly<Record<string, Readonly<Record<string, boolean>>>> | string;
  readonly address: string | null;
  readonly peer_as: number;
  readonly bgp_id: string;
  readonly timestamp: string | null;
}

const messageNames: Readonly<Record<number, string>> = {
  [BmpType.routeMonitoring]: "RouteMonitoring",
  [BmpType.statistics]: "StatisticsReport",
  [BmpType.peerDown]: "PeerDownNotification",
  [BmpType.peerUp]: "PeerUpNotification",
  [BmpType.initiation]: "Initiation",
  [BmpType.termination]: "Termination",
  [BmpType.routeMirroring]: "RouteMirroring",
};

const peerNames: Readonly<Record<number, string>> = {
  [PeerType.global]: "GlobalInstancePeer",
  [PeerType.rd]: "RdInstancePeer",
  [PeerType.local]: "LocalInstancePeer",
  [PeerType.locRib]: "LocRibInstancePeer",
};

vectorTest("BMP messages of routers", ["bmp"], (rows, context) => {
  const messages = rows.filter(({ kind }) => kind === "bmp-message");
  let read = 0;
  eachRow(messages, (row) => {
    const bytes = fromHex(row.hex);
    const message = decodeBmp(bytes, 0, bytes.length);
    const expected = expectedOf(row);
    if (!expected) {
      // What the other parser does not read either is told as a fault, or read: never thrown.
      return;
    }
    if (message.type === "fault") assert.fail(message.text);
    read++;
    const [name, fields] = expected;
    assert.equal(messageNames[message.type], name);
    check(message, fields);
  });
  assert.ok(read > 1000, `${read} messages`);
  context.diagnostic(`${read} messages of ${messages.length}`);
});

/** Name and fields of version 3; undefined where the parser gave up. */
function expectedOf({ expect }: VectorRow): [string, Record<string, unknown>] | undefined {
  const { V3 } = (expect.netgauze ?? {}) as { V3?: Record<string, Record<string, unknown>> };
  return V3 && (Object.entries(V3)[0] as [string, Record<string, unknown>]);
}

function check(message: BmpMessage, fields: Record<string, unknown>): void {
  if ("peer" in message) checkPeer(message.peer, fields.peer_header as PeerText);
  if (message.type === BmpType.peerUp) {
    const local = fields.local_address as string | null;
    if (local !== null && message.peer.type !== PeerType.locRib)
      assert.equal(formatIp(message.localAddress), local);
    assert.deepEqual(
      [message.localPort, message.remotePort],
      [fields.local_port ?? 0, fields.remote_port ?? 0],
    );
  } else if (message.type === BmpType.statistics) {
    const counters = fields.counters as unknown[];
    assert.equal(message.stats.length + message.unknown.length, counters.length);
  }
}

function checkPeer(peer: PeerHeader, text: PeerText): void {
  const { peer_type: type } = text;
  const [name, flags] = typeof type === "string" ? [type, {}] : Object.entries(type)[0];
  assert.equal(peerNames[peer.type], name);
  assert.equal(peer.asn, text.peer_as);
  assert.equal(formatIp4(peer.routerId), text.bgp_id);
  if (text.address !== null) assert.equal(formatIp(peer.address), text.address);
  if (text.timestamp !== null) {
    const stamp = `${new Date(peer.timeS * 1000).toISOString().slice(0, 19)}.${String(peer.micros).padStart(6, "0")}`;
    const [whole, fraction = ""] = text.timestamp.replace(/Z$/, "").split(".");
    assert.equal(stamp, `${whole}.${fraction.padEnd(6, "0").slice(0, 6)}`);
  }
  for (const [flag, bit] of [
    ["ipv6", 0x80],
    ["post_policy", 0x40],
    ["asn2", 0x20],
    ["adj_rib_out", 0x10],
    ["filtered", 0x80],
  ] as const) {
    if (flags[flag] !== undefined) assert.equal((peer.flags & bit) !== 0, flags[flag], flag);
  }
}
