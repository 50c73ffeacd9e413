/** Fuzz target: any bytes are read, whole or in pieces, with the same messages, and nothing is read beyond their end. */
import assert from "node:assert/strict";
import type { Random } from "../../src/base/random.ts";
import { BmpReader } from "../../src/bmp/decode.ts";
import type { BmpFault, BmpMessage } from "../../src/bmp/types.ts";

/** Throws when something that must hold does not. */
export function target(bytes: Uint8Array): void {
  const whole = read(bytes, bytes.length);
  assert.deepEqual(read(bytes, 7), whole);
  const held = whole.reduce((sum, text) => sum + text.length, 0);
  // Text of what is read: two digits a byte, and names around it.
  assert.ok(held <= bytes.length * 400 + 400);
}

function read(bytes: Uint8Array, size: number): string[] {
  const reader = new BmpReader();
  const messages: (BmpMessage | BmpFault)[] = [];
  for (let at = 0; at < bytes.length; at += size)
    messages.push(...reader.push(bytes.subarray(at, at + size)));
  assert.ok(reader.waitingBytes <= bytes.length);
  return messages.map((message) =>
    JSON.stringify(message, (_name, value) =>
      value instanceof Uint8Array
        ? Buffer.from(value).toString("hex")
        : typeof value === "bigint"
          ? String(value)
          : value,
    ),
  );
}

const edges = [0, 1, 2, 3, 4, 5, 6, 7, 18, 19, 23, 29, 47, 48, 49, 68, 0x10, 0x20, 0x40, 0x80, 0xff];

/** A mutated copy of one or more messages; the length of the first is mended most of the time, so that bodies are reached. */
export function mutate(seed: Uint8Array, random: Random): Uint8Array {
  let bytes: Uint8Array = seed.slice();
  const any = (below: number): number => Math.floor(random() * below);
  for (let i = 0, steps = 1 + any(4); i < steps && bytes.length > 0; i++) {
    const at = any(bytes.length);
    const drawn = random();
    if (drawn < 0.5) bytes[at] = edges[any(edges.length)];
    else if (drawn < 0.65) bytes[at] ^= 1 << any(8);
    else if (drawn < 0.8) bytes = bytes.slice(0, at);
    else {
      const end = Math.min(bytes.length, at + 1 + any(24));
      bytes = Uint8Array.from([...bytes.subarray(0, end), ...bytes.subarray(at)]);
    }
  }
  if (random() < 0.7 && bytes.length >= 6) bytes.set([0, 0, bytes.length >> 8, bytes.length & 255], 1);
  return bytes;
}
