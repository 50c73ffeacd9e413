/**
 * Fuzz target: the first byte says the family, the others are NLRI one after the other. Each is a rule or has a verdict;
 * a rule is canonical, survives its text and its components, and is ordered against the one before it.
 */
import assert from "node:assert/strict";
import type { Random } from "../../src/base/random.ts";
import { compareFlows } from "../../src/wire/flowspec/compare.ts";
import {
  decodeFlow,
  destinationOf,
  encodeFlow,
  makeCanonical,
  readFlow,
  writeFlow,
} from "../../src/wire/flowspec/nlri.ts";
import { formatFlow, parseFlow } from "../../src/wire/flowspec/text.ts";
import { MessageWriter } from "../../src/wire/message-writer.ts";
import { Verdict } from "../../src/wire/verdict.ts";
import { toHex } from "../support/wire.ts";

/** Throws when something that must hold does not. */
export function target(bytes: Uint8Array): void {
  const family = { addressBytes: (bytes[0] ?? 0) % 2 === 0 ? (4 as const) : (16 as const) };
  const guarded = new Uint8Array(bytes.length + 16).fill(0xee);
  guarded.set(bytes);
  let previous: Uint8Array | undefined;
  for (let at = 1; at < bytes.length; ) {
    const decoded = decodeFlow(bytes, at, bytes.length, family);
    assert.deepEqual(decodeFlow(guarded, at, bytes.length, family), decoded, "something outside was read");
    assert.ok(decoded.next > at && decoded.next <= bytes.length);
    at = decoded.next;
    if (!decoded.ok) {
      assert.ok(decoded.verdict >= Verdict.treatAsWithdraw && decoded.text !== "");
      assert.ok(decoded.verdict < Verdict.resetSession || at === bytes.length);
      continue;
    }
    const { flow } = decoded;
    const again = flow.slice();
    assert.equal(makeCanonical(again, family), "");
    assert.deepEqual(again, flow, "it was not canonical");
    assert.deepEqual(writeFlow(readFlow(flow, family), family), flow);
    const out = new MessageWriter(64);
    encodeFlow(flow, out);
    const encoded = decodeFlow(out.bytes, 0, out.at, family);
    assert.ok(encoded.ok && toHex(encoded.flow) === toHex(flow));
    const text = formatFlow(flow, family);
    const parsed = parseFlow(text);
    assert.ok(parsed.ok && toHex(parsed.value.flow) === toHex(flow), text);
    assert.equal(parsed.value.addressBytes, family.addressBytes, text);
    const destination = destinationOf(flow, family);
    assert.ok(!destination || destination.length <= destination.bytes.length * 8);
    if (previous) {
      const order = compareFlows(previous, flow, family);
      assert.equal(Math.sign(order), -Math.sign(compareFlows(flow, previous, family)) + 0);
      assert.equal(order === 0, toHex(previous) === toHex(flow));
    }
    previous = flow;
  }
}

const edges = [0, 1, 2, 3, 4, 8, 9, 11, 12, 13, 14, 24, 32, 33, 64, 0x40, 0x80, 0x81, 0x91, 0xb1, 0xf0, 0xff];

/** A mutated copy; the length of the first NLRI is mended most of the time, so that components are reached. */
export function mutate(seed: Uint8Array, random: Random): Uint8Array {
  let bytes: Uint8Array = seed.slice();
  const any = (below: number): number => Math.floor(random() * below);
  for (let i = 1 + any(4); i > 0 && bytes.length > 0; i--) {
    const at = any(bytes.length);
    const drawn = random();
    if (drawn < 0.45) bytes[at] = edges[any(edges.length)];
    else if (drawn < 0.65) bytes[at] ^= 1 << any(8);
    else if (drawn < 0.8) bytes = bytes.slice(0, at);
    else {
      const end = Math.min(bytes.length, at + 1 + any(12));
      bytes = Uint8Array.from([...bytes.subarray(0, end), ...bytes.subarray(at)]);
    }
  }
  if (random() < 0.7 && bytes.length > 2 && bytes.length < 242) bytes[1] = bytes.length - 2;
  return bytes;
}
