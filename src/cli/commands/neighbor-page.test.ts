import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  GracefulRestart,
  NeighborSchema,
  type NeighborStateSchema,
  SessionState,
} from "../../gen/cairn/v1/neighbor_service_pb.ts";
import { plain } from "../style.ts";
import { neighborPage } from "./neighbor-page.ts";

const seconds = (count: number) => durationFromMs(count * 1000);
const family = { received: 1_234_567n, accepted: 1_234_000n, rejected: 567n, advertised: 900_000n };

const state: MessageInitShape<typeof NeighborStateSchema> = {
  sessionState: SessionState.ESTABLISHED,
  uptime: seconds(90_000),
  sessionType: "external",
  localAddress: "2001:db8:1234:5678:9abc:def0:1234:5678",
  localPort: 41_234,
  localAsn: 4_200_000_000,
  remoteAddress: "2001:db8:1234:5678:9abc:def0:1234:5679",
  remotePort: 179,
  remoteAsn: 4_200_000_001,
  remoteRouterId: "198.51.100.200",
  families: ["ipv4-unicast", "ipv6-unicast"].map((name) => ({
    ...{ ...family, family: name, limit: 2_000_000n, overLimit: 12n, inSync: true, addPathReceive: true },
    ...{ restartKept: true, longLivedTime: seconds(86_400), forwardingKept: true, endOfRibReceived: true },
  })),
  timers: [
    { name: "hold", configured: seconds(90), inForce: seconds(30), left: seconds(21) },
    { name: "start" },
  ],
  received: { opens: 1n, updates: 123_456_789n, keepalives: 12_345n, bytes: 123_456_789_012n },
  sent: { opens: 1n, updates: 1n, keepalives: 12_345n, bytes: 300_000n },
  restart: {
    ...{ offered: true, remoteRestarting: true, localRestarting: true, notification: true },
    restartTime: seconds(120),
  },
  capabilities: [
    { code: 1, name: "multiprotocol", value: "ipv4-unicast", local: true, remote: true, negotiated: true },
    { code: 1, name: "multiprotocol", value: "ipv6-unicast", local: true, negotiated: false },
    { code: 65, name: "four-octet-as", value: "4200000000", local: true, negotiated: true },
    {
      ...{ code: 64, name: "graceful-restart", local: true, negotiated: true },
      value:
        "restart time 120 s, notification, ipv4-unicast (forwarding kept), ipv6-unicast (forwarding kept)",
    },
    { code: 65, name: "four-octet-as", value: "4200000001", remote: true, negotiated: true },
    { code: 64, name: "graceful-restart", value: "restart time 5 s", remote: true, negotiated: true },
    { code: 77, name: "unknown-77", value: "00".repeat(60), remote: true },
  ],
  resets: [
    {
      ...{ time: timestampFromMs(1_700_000_000_000), local: false, code: 6, subcode: 2, uptime: seconds(65) },
      text: `received Cease/Administrative Shutdown "${"maintenance of a fibre ".repeat(8)}"`,
      shutdownMessage: "maintenance of a fibre ".repeat(8),
    },
    {
      ...{ time: timestampFromMs(1_699_999_000_000), local: true, code: 2, subcode: 2, attempts: 15 },
      ...{ text: "sent OPEN Message Error/Bad Peer AS", data: Uint8Array.of(0xfe, 0x0d) },
    },
  ],
};

const neighbor = create(NeighborSchema, {
  spec: { address: "2001:db8::2", gracefulRestart: GracefulRestart.FULL },
  effective: {
    ...{ address: "2001:db8::2", gracefulRestart: GracefulRestart.FULL, passive: false, port: 179 },
    ...{ holdTime: seconds(90), families: ["ipv4-unicast", "ipv6-unicast"] },
  },
  state,
});

const page = (width: number): string => neighborPage(neighbor, plain, width).join("\n");

test("at 80 columns nothing is wider, and no sentence is cut", () => {
  const text = page(80);
  for (const line of text.split("\n")) {
    // a word that is longer than a line, such as bytes in hexadecimal, stays in one piece
    if (!/[0-9a-f]{80}/.test(line)) assert.ok(line.length <= 80, line);
    assert.ok(!line.includes("…"), line);
  }
  const words = text.replaceAll(/\s+/g, " ");
  assert.ok(words.includes("maintenance of a fibre ".repeat(8).trim()), "the shutdown text is whole");
  assert.ok(words.includes("ipv4-unicast (forwarding kept), ipv6-unicast (forwarding kept)"));
});

test("each capability says what was sent, received and is in use; both values of one stand together", () => {
  const lines = page(80).split("\n");
  const after = (start: string): string[] => {
    const at = lines.findIndex((line) => line.trimStart().startsWith(start));
    assert.ok(at >= 0, `${start} is there`);
    return lines.slice(at, at + 3);
  };
  assert.match(after("multiprotocol ipv4-unicast")[0], /yes +yes +yes$/);
  assert.match(after("multiprotocol ipv6-unicast")[0], /yes +- +-$/);
  assert.match(after("four-octet-as").join(" "), /yes +yes +yes +sent: 4200000000; received: 4200000001/);
  assert.match(after("unknown-77").join(" "), /- +yes +- +received: +0{120}/);
  assert.equal(lines.filter((line) => line.includes("graceful-restart")).length, 1);
});

test("resets tell code, life of the session, attempts and data", () => {
  const text = page(80);
  assert.match(text, /neighbor +6\/2 +1m 5s\n/);
  assert.match(text, /us +2\/2 +never up, 15 attempts\n +sent OPEN Message Error\/Bad Peer AS, data fe0d/);
});

test("timers that are off and have no setting are left out; settings that are inherited share a paragraph", () => {
  const text = page(80);
  assert.match(text, /hold +1m 30s +30s +21s\n/);
  assert.doesNotMatch(text, /\n +start/);
  assert.match(text, /\n {2}graceful restart +full\n/);
  assert.match(text, /inherited or default: port 179; passive no; hold time 1m 30s; families/);
});

test("as wide as it gets when the output is no terminal", () => {
  const lines = page(Number.POSITIVE_INFINITY).split("\n");
  assert.ok(lines.some((line) => line.includes("ipv6-unicast (forwarding kept)") && line.length > 80));
});
