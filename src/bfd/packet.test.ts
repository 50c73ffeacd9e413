import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { type BfdState, type ControlPacket, decodeControl, encodeControl } from "./packet.ts";

const up: ControlPacket = {
  diagnostic: 0,
  state: 3,
  poll: true,
  final: false,
  independent: false,
  demand: false,
  multiplier: 3,
  myDiscriminator: 1,
  yourDiscriminator: 2,
  desiredMinTxUs: 300_000,
  requiredMinRxUs: 300_000,
  requiredMinEchoRxUs: 0,
};

function bytesOf(packet: ControlPacket, ...changes: readonly [at: number, byte: number][]): Uint8Array {
  const bytes = new Uint8Array(24);
  encodeControl(packet, bytes);
  for (const [at, byte] of changes) bytes[at] = byte;
  return bytes;
}

const decode = (bytes: Uint8Array) => decodeControl(bytes, bytes.length);

test("what is encoded is decoded", () => {
  const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
  const packets = fc.record({
    diagnostic: fc.integer({ min: 0, max: 31 }),
    state: fc.constantFrom<BfdState>(0, 1, 2, 3),
    poll: fc.boolean(),
    final: fc.boolean(),
    independent: fc.boolean(),
    demand: fc.boolean(),
    multiplier: fc.integer({ min: 1, max: 255 }),
    myDiscriminator: fc.integer({ min: 1, max: 0xffff_ffff }),
    yourDiscriminator: fc.integer({ min: 1, max: 0xffff_ffff }),
    desiredMinTxUs: u32,
    requiredMinRxUs: u32,
    requiredMinEchoRxUs: u32,
  });
  fc.assert(fc.property(packets, (packet) => assert.deepEqual(decode(bytesOf(packet)), { ...packet })));
});

test("RFC 5880 6.8.6: what is thrown away, and why", () => {
  assert.equal(decode(bytesOf(up).subarray(0, 23)), "length", "shorter than a packet");
  assert.equal(decode(bytesOf(up, [3, 23])), "length", "says that it is shorter than a packet");
  assert.equal(decode(bytesOf(up, [3, 25])), "length", "says that it is longer than the datagram");
  assert.equal(decode(bytesOf(up, [1, 0xc4])), "length", "authentication without room for it");
  assert.equal(decode(bytesOf(up, [0, 0])), "version", "version 0");
  assert.equal(decode(bytesOf(up, [0, 0x40])), "version", "version 2");
  assert.equal(decode(bytesOf(up, [2, 0])), "multiplier");
  assert.equal(decode(bytesOf(up, [1, 0xc1])), "multipoint");
  assert.equal(decode(bytesOf({ ...up, myDiscriminator: 0 })), "my-discriminator");
  assert.equal(decode(bytesOf({ ...up, yourDiscriminator: 0 })), "state", "Up, and does not know us");
  assert.equal(decode(bytesOf({ ...up, yourDiscriminator: 0, state: 2 })), "state", "Init, and does not");
  for (const state of [0, 1] as const) {
    assert.equal(typeof decode(bytesOf({ ...up, yourDiscriminator: 0, state })), "object");
  }
  const longer = new Uint8Array(40);
  longer.set(bytesOf(up, [1, 0xc4], [3, 28]));
  assert.equal(decode(longer), "authentication", "no session uses authentication");
  longer.set(bytesOf(up));
  assert.deepEqual(decode(longer), up, "what follows the packet is not looked at");
});

const vectors = "/work/shared/vectors/bfd";
const missing = existsSync(vectors) ? false : `${vectors} is not here`;

interface Vector {
  readonly name: string;
  readonly hex: string;
  readonly expect: { readonly tshark: Record<string, string | Record<string, string>> };
}

test("captures of other implementations are read as tshark reads them", { skip: missing }, () => {
  let read = 0;
  const refused = new Map<string, number>();
  for (const file of readdirSync(vectors).filter((name) => name.endsWith(".jsonl"))) {
    for (const line of readFileSync(join(vectors, file), "utf8").trim().split("\n")) {
      const { name, hex, expect } = JSON.parse(line) as Vector;
      const told = expect.tshark;
      const flags = told["bfd.flags_tree"] as Record<string, string>;
      const packet = decode(Uint8Array.from(Buffer.from(hex, "hex")));
      if (typeof packet === "string") {
        refused.set(packet, (refused.get(packet) ?? 0) + 1);
        assert.equal(packet === "authentication", flags["bfd.flags.a"] === "1", `${name}: ${packet}`);
        continue;
      }
      read++;
      const number = (key: string): number => Number(told[`bfd.${key}`]);
      const flag = (key: string): boolean => flags[`bfd.flags.${key}`] === "1";
      const expected: ControlPacket = {
        diagnostic: number("diag"),
        state: number("sta") as BfdState,
        poll: flag("p"),
        final: flag("f"),
        independent: flag("c"),
        demand: flag("d"),
        multiplier: number("detect_time_multiplier"),
        myDiscriminator: number("my_discriminator"),
        yourDiscriminator: number("your_discriminator"),
        desiredMinTxUs: number("desired_min_tx_interval"),
        requiredMinRxUs: number("required_min_rx_interval"),
        requiredMinEchoRxUs: number("required_min_echo_interval"),
      };
      assert.deepEqual(packet, expected, name);
    }
  }
  assert.ok(read > 0 && (refused.get("authentication") ?? 0) > 0, "captures of both kinds");
});
