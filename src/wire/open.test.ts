import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fromHex, message, toHex } from "../../test/support/wire.ts";
import { type Capability, describeCapability } from "./capabilities.ts";
import { decodeOpen, encodeOpen, isWireError, type Open } from "./open.ts";

const everyCapability: Capability[] = [
  { kind: "multiprotocol", afi: 1, safi: 1 },
  { kind: "multiprotocol", afi: 2, safi: 1 },
  { kind: "route-refresh" },
  { kind: "extended-next-hop", families: [{ afi: 1, safi: 1, nextHopAfi: 2 }] },
  { kind: "extended-message" },
  { kind: "role", role: 3 },
  {
    kind: "graceful-restart",
    restarting: true,
    notification: true,
    restartTimeS: 120,
    families: [{ afi: 1, safi: 1, forwarding: true }],
  },
  { kind: "four-octet-as", asn: 4_200_000_001 },
  { kind: "add-path", families: [{ afi: 1, safi: 1, mode: 3 }] },
  { kind: "enhanced-route-refresh" },
  {
    kind: "long-lived-graceful-restart",
    families: [{ afi: 2, safi: 1, forwarding: false, staleTimeS: 86_400 }],
  },
  { kind: "fqdn", host: "rtr1", domain: "example.net" },
  { kind: "unknown", code: 200, value: Uint8Array.of(1, 2, 3) },
];

const sample = { asn: 4_200_000_001, holdTimeS: 90, routerId: 0x0a000001, capabilities: everyCapability };

function open(hexAfterVersion: string, version = "04"): Open | string {
  const bytes = message(1, fromHex(version + hexAfterVersion));
  const result = decodeOpen(bytes, 0, bytes.length);
  return isWireError(result) ? `${result.code}/${result.subcode} ${toHex(result.data)}`.trim() : result;
}

test("golden bytes: AS_TRANS, one parameter for all capabilities", () => {
  const bytes = encodeOpen({
    asn: 4_200_000_001,
    holdTimeS: 90,
    routerId: 0x0a000001,
    capabilities: [
      { kind: "multiprotocol", afi: 1, safi: 1 },
      { kind: "four-octet-as", asn: 4_200_000_001 },
    ],
  });
  const expected =
    "ff".repeat(16) +
    "002b01" +
    "04" +
    "5ba0" +
    "005a" +
    "0a000001" +
    "0e" +
    "020c" +
    "010400010001" +
    "4104fa56ea01";
  assert.equal(toHex(bytes), expected);
});

test("every capability comes back as it was sent", () => {
  const bytes = encodeOpen(sample);
  assert.deepEqual(decodeOpen(bytes, 0, bytes.length), { version: 4, ...sample });
});

test("RFC 9072: more than 255 bytes of capabilities take the extended form", () => {
  const capabilities: Capability[] = Array.from({ length: 3 }, (_, i) => ({
    kind: "unknown" as const,
    code: 200 + i,
    value: new Uint8Array(120).fill(i),
  }));
  const bytes = encodeOpen({ ...sample, asn: 65_001, capabilities });
  assert.equal(toHex(bytes, 28, 35), "ffff" + "0171" + "02" + "016e");
  assert.deepEqual(decodeOpen(bytes, 0, bytes.length), { version: 4, ...sample, asn: 65_001, capabilities });
});

test("RFC 9072 2: the extended form is understood for short parameters too", () => {
  const result = open("fde9 005a 0a000001 ff ff 0009 02 0006 010400010001");
  assert.deepEqual((result as Open).capabilities, [{ kind: "multiprotocol", afi: 1, safi: 1 }]);
});

test("several parameters, several of the same capability", () => {
  const result = open("fde9 005a 0a000001 0c 0204 02004600 0204 02000600");
  assert.deepEqual(
    (result as Open).capabilities.map((capability) => capability.kind),
    ["route-refresh", "enhanced-route-refresh", "route-refresh", "extended-message"],
  );
});

test("RFC 4271 6.2: what is wrong and the data that says so", () => {
  const cases: [string, string, string?][] = [
    ["fde9 005a 0a000001 00", "2/1 0004", "03"],
    ["0000 005a 0a000001 00", "2/2"],
    ["fde9 005a 00000000 00", "2/3 00000000"],
    ["fde9 0001 0a000001 00", "2/6 0001"],
    ["fde9 0002 0a000001 00", "2/6 0002"],
    ["fde9 005a 0a000001 04 0102aabb", "2/4 0102aabb"],
    ["fde9 005a 0a000001 02 02", "2/0"],
    ["fde9 005a 0a000001 02 0205", "2/0 0205"],
    ["fde9 005a 0a000001 06 0204 4103 fde9", "2/0 4103fde9"],
    ["fde9 005a 0a000001 08 0206 4104 00000000", "2/2"],
    ["fde9 005a 0a000001 00 00", "2/0"],
    ["fde9 005a 0a000001 ff ff 0002", "2/0"],
  ];
  for (const [hex, expected, version] of cases) assert.equal(open(hex, version), expected, hex);
});

test("hold time 0 and 3 are fine", () => {
  assert.equal((open("fde9 0000 0a000001 00") as Open).holdTimeS, 0);
  assert.equal((open("fde9 0003 0a000001 00") as Open).holdTimeS, 3);
});

test("capabilities have names and values for people", () => {
  const text = everyCapability.map((capability) => {
    const { name, value } = describeCapability(capability);
    return value === "" ? name : `${name}: ${value}`;
  });
  assert.deepEqual(text, [
    "multiprotocol: ipv4-unicast",
    "multiprotocol: ipv6-unicast",
    "route-refresh",
    "extended-next-hop: ipv4-unicast via AFI 2",
    "extended-message",
    "role: customer",
    "graceful-restart: restart time 120 s, restarting, notification, ipv4-unicast (forwarding kept)",
    "four-octet-as: 4200000001",
    "add-path: ipv4-unicast send and receive",
    "enhanced-route-refresh",
    "long-lived-graceful-restart: ipv6-unicast 86400 s",
    "fqdn: rtr1.example.net",
    "unknown-200: 010203",
  ]);
});

test("any change of bytes gives an OPEN or an error, never a throw or a read past the end", () => {
  const good = encodeOpen(sample);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(good.length - 20), fc.nat(255))),
      fc.nat(good.length - 19),
      (flips, cut) => {
        const bytes = good.slice();
        for (const [at, value] of flips) bytes[19 + at] = value;
        const end = good.length - cut;
        // What follows must not matter.
        const padded = bytes.slice();
        padded.fill(255, end);
        assert.deepEqual(decodeOpen(padded, 0, end), decodeOpen(bytes.slice(0, end), 0, end));
      },
    ),
  );
});
