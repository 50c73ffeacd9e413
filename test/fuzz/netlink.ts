/**
 * Fuzz target: whatever bytes come from a netlink socket, every reader either has a value whose parts make sense or has
 * none, and nothing outside of the datagram is read.
 */
import assert from "node:assert/strict";
import { formatIp } from "../../src/base/ip.ts";
import type { Random } from "../../src/base/random.ts";
import { readAddress, readDestination, readLink, readRoute } from "../../src/dataplane/netlink/route-wire.ts";
import { eachMessage, readAcknowledgement } from "../../src/dataplane/netlink/wire.ts";

/** Throws when something that must hold does not. */
export function target(bytes: Uint8Array): void {
  const guarded = new Uint8Array(bytes.length + 64).fill(0xee);
  guarded.set(bytes);
  assert.equal(text(guarded, bytes.length), text(bytes, bytes.length), "something outside was read");
}

function text(bytes: Uint8Array, end: number): string {
  const seen: unknown[] = [];
  const isWhole = eachMessage(bytes, end, (message) => {
    assert.ok(message.at <= message.end && message.end <= end);
    const { at } = message;
    const link = readLink(bytes, at, message.end);
    if (link) assert.ok(/^[\x20-\x7e]*$/.test(link.name + link.kind));
    const address = readAddress(bytes, at, message.end);
    if (address) assert.ok(address.length <= address.address.length * 8);
    const destination = readDestination(bytes, at, message.end);
    const route = readRoute(bytes, at, message.end);
    assert.deepEqual(route?.destination, destination);
    if (route) {
      const { bytes: prefix, length } = route.destination;
      assert.ok(length <= prefix.length * 8);
      for (const { gateway, weight } of route.hops) {
        assert.ok(!gateway || formatIp(gateway) !== "");
        assert.ok(weight >= 1 && weight <= 256);
      }
    }
    seen.push(message, link, address, route, readAcknowledgement(bytes, message));
  });
  return JSON.stringify([isWhole, seen], (_, part) => (part instanceof Uint8Array ? [...part] : part));
}

const edges = [0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 0x1e, 0x20, 0x40, 0x7f, 0x80, 0xfe, 0xff];

export function mutate(seed: Uint8Array, random: Random): Uint8Array {
  let bytes = seed.slice();
  const at = (): number => Math.floor(random() * bytes.length);
  for (let i = 1 + Math.floor(random() * 4); i > 0 && bytes.length > 0; i--) {
    const kind = random();
    if (kind < 0.5) bytes[at()] = edges[Math.floor(random() * edges.length)];
    else if (kind < 0.75) bytes[at()] ^= 1 << Math.floor(random() * 8);
    else if (kind < 0.9) bytes = bytes.slice(0, at());
    else bytes = Uint8Array.from([...bytes, ...seed.subarray(at())]);
  }
  return bytes;
}
