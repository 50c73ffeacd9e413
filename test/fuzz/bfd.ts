/**
 * Fuzz target: any datagram on BFD's ports is thrown away for a reason or is a control packet that survives a round
 * trip, and whatever it is, a table with a session takes it: packets that it answers with are valid themselves.
 */
import assert from "node:assert/strict";
import type { Random } from "../../src/base/random.ts";
import { seededRandom } from "../../src/base/random.ts";
import { controlBytes, decodeControl, discardReasons, encodeControl } from "../../src/bfd/packet.ts";
import { BfdTable } from "../../src/bfd/table.ts";

/** Throws when something that must hold does not. */
export function target(bytes: Uint8Array): void {
  const packet = decodeControl(bytes, bytes.length);
  if (typeof packet === "string") assert.ok(discardReasons.includes(packet));
  else {
    const encoded = new Uint8Array(controlBytes);
    encodeControl(packet, encoded);
    assert.deepEqual(decodeControl(encoded, controlBytes), packet);
  }
  const table = new BfdTable(seededRandom(1), (_plan, sent) => {
    assert.equal(typeof decodeControl(sent, sent.length), "object", "an answer that is to be thrown away");
  });
  const plan = { minTxUs: 300_000, minRxUs: 300_000, multiplier: 3, passive: false, multihop: false };
  table.set(
    { ...plan, discriminator: 1, peer: "::1", local: undefined, interface: undefined, minTtl: 255 },
    0,
  );
  const arrival = { source: "::1", destination: "::2", interface: "", ttl: 255, multihop: false };
  for (const nowMs of [0, 10]) table.receive(bytes, bytes.length, arrival, nowMs);
  for (let nowMs = 0; nowMs < 5000; nowMs += 500) table.run(nowMs);
  const [report] = table.takeReports();
  const counted = table.takeDiscards()?.reduce((sum, { count }) => sum + count, 0) ?? 0;
  assert.ok(report && table.takeCounters()[1] + counted === 2, "each is taken or counted");
}

const edges = [0, 1, 2, 3, 20, 23, 24, 25, 26, 28, 0x20, 0x40, 0x44, 0x80, 0xc0, 0xe8, 0xff];

export function mutate(seed: Uint8Array, random: Random): Uint8Array {
  let bytes = seed.slice();
  const at = (): number => Math.floor(random() * bytes.length);
  for (let i = 1 + Math.floor(random() * 4); i > 0; i--) {
    const kind = random();
    if (kind < 0.4) bytes[at()] = edges[Math.floor(random() * edges.length)];
    else if (kind < 0.7) bytes[at()] ^= 1 << Math.floor(random() * 8);
    else if (kind < 0.85) bytes = bytes.slice(0, at());
    else bytes = Uint8Array.from([...bytes, ...seed.subarray(at())]);
  }
  return bytes;
}
