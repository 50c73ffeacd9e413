/** Writes the seeds of the wire targets: `node test/fuzz/wire-corpus.ts`. One file of hexadecimal lines per target. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Prefix, parseIp, parsePrefix } from "../../src/base/ip.ts";
import { withAigpMetric } from "../../src/wire/attributes/aigp.ts";
import { keepaliveBytes } from "../../src/wire/keepalive.ts";
import { encodeNotification, encodeShutdownMessage } from "../../src/wire/notification.ts";
import { encodeOpen } from "../../src/wire/open.ts";
import { emptyAttributes, type PathAttributes, SegmentType } from "../../src/wire/path-attributes.ts";
import { encodeRefresh } from "../../src/wire/refresh.ts";
import { encodeUpdate } from "../../src/wire/update-simple.ts";
import { toHex, update } from "../support/wire.ts";

const rich: PathAttributes = {
  ...emptyAttributes(),
  asPath: [
    { type: SegmentType.sequence, asns: [65_001, 200_000] },
    { type: SegmentType.set, asns: [65_002, 65_003] },
  ],
  nextHop: parseIp("192.0.2.1")!,
  med: 5,
  localPref: 200,
  atomicAggregate: true,
  aggregator: { asn: 200_000, address: 0x0a000001 },
  communities: [0xffff_ff01, 0xfde9_0001],
  originatorId: 0x0a000002,
  clusterList: [1, 2],
  extendedCommunities: ["0002fde800000001"],
  largeCommunities: [
    [65_001, 1, 2],
    [65_001, 1, 3],
  ],
  unknown: [{ flags: 0xe0, type: 99, value: Uint8Array.of(1, 2, 3) }],
};

const inConfederation = {
  ...rich,
  asPath: [{ type: SegmentType.confedSequence, asns: [65_002, 200_000] }, ...rich.asPath],
  aigp: withAigpMetric(new Uint8Array(0), 7n),
};

const reach4 = ["10.0.0.0/8", "10.1.2.0/24", "0.0.0.0/0", "10.1.2.3/32"].map(
  (text) => parsePrefix(text) as Prefix,
);
const reach6 = ["2001:db8::/32", "::/0", "2001:db8::1/128"].map((text) => parsePrefix(text) as Prefix);
const both = Uint8Array.from([...parseIp("2001:db8::1")!, ...parseIp("fe80::1")!]);
const twoOctet = { fourOctetAs: false, addPath: 0, maxMessageBytes: 4096 };
const addPath = { fourOctetAs: true, addPath: 3, maxMessageBytes: 4096 };

const updates: Uint8Array[] = [
  encodeUpdate({ attributes: rich, reach: reach4 })!,
  encodeUpdate({ attributes: rich, reach: reach4 }, twoOctet)!,
  encodeUpdate({ attributes: rich, reach: reach4 }, addPath)!,
  encodeUpdate({ attributes: { ...rich, nextHop: both }, reach: reach6 })!,
  encodeUpdate({ attributes: { ...rich, nextHop: both }, reach: reach6 }, twoOctet)!,
  encodeUpdate({ withdrawn: reach4 })!,
  encodeUpdate({ withdrawn: reach6 })!,
  encodeUpdate({ attributes: inConfederation, reach: reach4 })!,
  update(""),
  update("800f03 000201"),
  update("400304c0000201 5002000602010000fde9 40010100", "18 0a0102", "08 0b"),
];

const opens: Uint8Array[] = [
  encodeOpen({ asn: 65_001, holdTimeS: 90, routerId: 1, capabilities: [] }),
  encodeOpen({
    asn: 200_000,
    holdTimeS: 180,
    routerId: 0x0a000001,
    capabilities: [
      { kind: "multiprotocol", afi: 1, safi: 1 },
      { kind: "route-refresh" },
      { kind: "extended-next-hop", families: [{ afi: 1, safi: 1, nextHopAfi: 2 }] },
      { kind: "role", role: 1 },
      {
        kind: "graceful-restart",
        restarting: false,
        notification: true,
        restartTimeS: 120,
        families: [{ afi: 1, safi: 1, forwarding: true }],
      },
      { kind: "four-octet-as", asn: 200_000 },
      { kind: "add-path", families: [{ afi: 2, safi: 1, mode: 3 }] },
      {
        kind: "long-lived-graceful-restart",
        families: [{ afi: 1, safi: 1, forwarding: true, staleTimeS: 3600 }],
      },
      { kind: "fqdn", host: "rtr", domain: "example.net" },
    ],
  }),
  encodeOpen({
    asn: 65_001,
    holdTimeS: 0,
    routerId: 7,
    capabilities: [
      { kind: "unknown", code: 200, value: new Uint8Array(200) },
      { kind: "unknown", code: 201, value: new Uint8Array(200) },
    ],
  }),
];

const small = [
  keepaliveBytes,
  encodeNotification(6, 2, encodeShutdownMessage("maintenance")),
  encodeRefresh(1, 1),
];
const stream = Uint8Array.from([...opens[1], ...keepaliveBytes, ...updates[0], ...small[1]]);

const folder = join(import.meta.dirname, "corpus");
mkdirSync(folder, { recursive: true });
for (const [name, seeds] of Object.entries({ update: updates, open: opens, framer: [...small, stream] })) {
  writeFileSync(join(folder, `${name}.hex`), `${seeds.map((seed) => toHex(seed)).join("\n")}\n`);
}
