import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fromHex, message } from "../../test/support/wire.ts";
import { Frame, Framer } from "./framer.ts";
import { keepaliveBytes } from "./keepalive.ts";

function header(length: number, type: number): Uint8Array {
  const bytes = new Uint8Array(Math.max(length, 19)).fill(255, 0, 16);
  bytes[16] = length >> 8;
  bytes[17] = length;
  bytes[18] = type;
  return bytes;
}

function errorOf(bytes: Uint8Array, max = 4096): string {
  const framer = new Framer();
  const result = framer.next(bytes, 0, bytes.length, max);
  if (result !== Frame.error) return result === Frame.message ? "message" : "incomplete";
  const { code, subcode, data } = framer.error!;
  return `${code}/${subcode} ${Array.from(data).join(",")}`.trim();
}

test("RFC 4271 6.1: a marker that is not all ones is 1/1", () => {
  const bytes = header(19, 4);
  bytes[3] = 254;
  assert.equal(errorOf(bytes), "1/1");
});

test("RFC 4271 6.1: lengths out of range are 1/2 with the length as data", () => {
  const cases: [number, number, string][] = [
    [18, 4, "1/2 0,18"],
    [20, 4, "1/2 0,20"],
    [28, 1, "1/2 0,28"],
    [29, 1, "message"],
    [22, 2, "1/2 0,22"],
    [23, 2, "message"],
    [20, 3, "1/2 0,20"],
    [21, 3, "message"],
    [22, 5, "1/2 0,22"],
    [23, 5, "message"],
    [4096, 2, "message"],
    [4097, 2, "1/2 16,1"],
  ];
  for (const [length, type, expected] of cases)
    assert.equal(errorOf(header(length, type)), expected, `${type} ${length}`);
});

test("RFC 4271 6.1: an unknown type is 1/3 with the type as data", () => {
  assert.equal(errorOf(header(19, 0)), "1/3 0");
  assert.equal(errorOf(header(30, 6)), "1/3 6");
});

test("RFC 8654 4: extended messages go to 65535, but not OPEN and KEEPALIVE", () => {
  assert.equal(errorOf(header(65_535, 2), 65_535), "message");
  assert.equal(errorOf(header(5000, 3), 65_535), "message");
  assert.equal(errorOf(header(5000, 1), 65_535), "1/2 19,136");
});

test("errors show before the message is complete", () => {
  assert.equal(errorOf(header(4097, 2).subarray(0, 19)), "1/2 16,1");
});

test("any split of a stream gives the same frames", () => {
  const update = message(2, fromHex("00000000"));
  const kinds = [keepaliveBytes, update, message(5, fromHex("00010001")), message(3, fromHex("0602"))];
  fc.assert(
    fc.property(
      fc.array(fc.nat(3), { minLength: 1, maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 30 })),
      (picks, chunks) => {
        const stream = Uint8Array.from(picks.flatMap((pick) => Array.from(kinds[pick])));
        const framer = new Framer();
        const frames: string[] = [];
        let at = 0;
        let arrived = 0;
        for (const chunk of [...chunks, stream.length]) {
          arrived = Math.min(stream.length, arrived + chunk);
          while (framer.next(stream, at, arrived, 4096) === Frame.message) {
            frames.push(`${framer.type}:${framer.start}-${framer.end}`);
            at = framer.end;
          }
        }
        let start = 0;
        const expected = picks.map((pick) => {
          const bytes = kinds[pick];
          const text = `${bytes[18]}:${start}-${start + bytes.length}`;
          start += bytes.length;
          return text;
        });
        assert.deepEqual(frames, expected);
      },
    ),
  );
});
