/** Fuzz target: any bytes are read to their end, in pieces or whole, with the same records, lines and JSON. */
import assert from "node:assert/strict";
import type { Random } from "../../src/base/random.ts";
import { recordJson } from "../../src/mrt/json.ts";
import { dumpLines } from "../../src/mrt/lines.ts";
import { MrtReader } from "../../src/mrt/reader.ts";
import { MrtStats } from "../../src/mrt/stats.ts";

const edges = [0, 1, 2, 4, 5, 12, 13, 16, 17, 24, 32, 33, 64, 127, 128, 133, 240, 255];

/** Throws when something that must hold does not. */
export function target(bytes: Uint8Array): void {
  const whole = read(bytes, bytes.length);
  assert.deepEqual(read(bytes, 13), whole);
}

function read(bytes: Uint8Array, size: number): string[] {
  const reader = new MrtReader();
  const stats = new MrtStats();
  const seen: string[] = [];
  let covered = 0;
  for (let at = 0; at < bytes.length; at += size) {
    reader.push(bytes.subarray(at, at + size));
    while (reader.next()) {
      const { header, body } = reader;
      assert.ok(header.offset >= covered && header.offset + header.length <= bytes.length);
      covered = header.offset + header.length;
      stats.add(header, body);
      seen.push(JSON.stringify(recordJson(header, body)));
      if (body.kind !== "fault") seen.push(...dumpLines(header, body));
    }
  }
  assert.ok(covered <= bytes.length);
  const end = reader.end();
  if (end) assert.ok(end.offset < bytes.length && end.offset >= covered);
  return [...seen, String(end?.text), String(reader.records)];
}

/** A mutated copy of a small file: bytes, lengths of records, pieces cut out or doubled. */
export function mutate(seed: Uint8Array, random: Random): Uint8Array {
  let bytes: Uint8Array = seed.slice();
  const any = (below: number): number => Math.floor(random() * below);
  for (let i = 0, steps = 1 + any(4); i < steps && bytes.length > 0; i++) {
    const at = any(bytes.length);
    const drawn = random();
    if (drawn < 0.5) bytes[at] = edges[any(edges.length)];
    else if (drawn < 0.65) bytes[at] ^= 1 << any(8);
    else if (drawn < 0.75) bytes = bytes.slice(0, at);
    else {
      const end = Math.min(bytes.length, at + 1 + any(24));
      const middle = drawn < 0.9 ? [] : [...bytes.subarray(at, end), ...bytes.subarray(at, end)];
      bytes = Uint8Array.from([...bytes.subarray(0, at), ...middle, ...bytes.subarray(end)]);
    }
  }
  // The length of the first record is mended most of the time, so that bodies are reached.
  if (random() < 0.7 && bytes.length >= 12) {
    bytes[8] = 0;
    bytes[9] = 0;
    bytes[10] = (bytes.length - 12) >> 8;
    bytes[11] = (bytes.length - 12) & 255;
  }
  return bytes;
}
