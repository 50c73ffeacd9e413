/** Bytes and arbitrary values for tests of the wire floor. */
import fc from "fast-check";
import { withAigpMetric } from "../../src/wire/attributes/aigp.ts";
import type { DecodeContext } from "../../src/wire/decode-context.ts";
import { emptyAttributes, type PathAttributes, SegmentType } from "../../src/wire/path-attributes.ts";
import { UpdateScratch } from "../../src/wire/scratch.ts";
import { decodeUpdate } from "../../src/wire/update-decode.ts";

export const ebgp: DecodeContext = { fourOctetAs: true, addPath: 0, external: true, families: 3 };
export const ibgp: DecodeContext = { ...ebgp, external: false, aigp: true };
export const ebgpTwoOctet: DecodeContext = { ...ebgp, fourOctetAs: false };

/** Bytes of hexadecimal text; spaces are ignored. */
export function fromHex(text: string): Uint8Array {
  const digits = text.replace(/\s+/g, "");
  const bytes = new Uint8Array(digits.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16);
  return bytes;
}

export function toHex(bytes: Uint8Array, start = 0, end = bytes.length): string {
  return Array.from(bytes.subarray(start, end), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A message of this type around a body. */
export function message(type: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(19 + body.length).fill(255, 0, 16);
  bytes[16] = bytes.length >> 8;
  bytes[17] = bytes.length;
  bytes[18] = type;
  bytes.set(body, 19);
  return bytes;
}

/** An UPDATE from the hexadecimal texts of its three parts. */
export function update(attributes: string, reach = "", withdrawn = ""): Uint8Array {
  const parts = [withdrawn, attributes, reach].map(fromHex);
  const body = new Uint8Array(4 + parts[0].length + parts[1].length + parts[2].length);
  let at = 0;
  for (const [i, part] of parts.entries()) {
    if (i < 2) {
      body[at++] = part.length >> 8;
      body[at++] = part.length;
    }
    body.set(part, at);
    at += part.length;
  }
  return message(2, body);
}

/** Decodes a whole UPDATE into a new scratch. */
export function decode(bytes: Uint8Array, context: DecodeContext = ebgp): UpdateScratch {
  const out = new UpdateScratch();
  decodeUpdate(bytes, 0, bytes.length, context, out);
  return out;
}

/** Plain objects, as the decoder makes them. */
const plain = { noNullPrototype: true } as const;

const u32: fc.Arbitrary<number> = fc.nat(0xffff_ffff);
const asn: fc.Arbitrary<number> = fc.oneof(
  fc.integer({ min: 1, max: 0xffff }),
  fc.integer({ min: 1, max: 0xffff_ffff }),
);

/** Attributes that survive a round trip as they are: no empty segments, no long sequences, sorted unknown types. */
export function arbitraryAttributes(nextHop: fc.Arbitrary<Uint8Array>): fc.Arbitrary<PathAttributes> {
  const segment = fc.record(
    {
      type: fc.constantFrom(SegmentType.sequence, SegmentType.set),
      asns: fc.array(asn, { minLength: 1, maxLength: 6 }),
    },
    plain,
  );
  return fc
    .record({
      origin: fc.nat(2),
      asPath: fc.array(segment, { maxLength: 4 }),
      nextHop,
      med: fc.option(u32, { nil: undefined }),
      localPref: fc.option(u32, { nil: undefined }),
      atomicAggregate: fc.boolean(),
      aggregator: fc.option(fc.record({ asn, address: u32 }, plain), { nil: undefined }),
      communities: fc.array(u32, { maxLength: 80 }),
      originatorId: fc.option(u32, { nil: undefined }),
      clusterList: fc.array(u32, { maxLength: 4 }),
      extendedCommunities: fc.array(hexDigits(8), { maxLength: 4 }),
      largeCommunities: fc.uniqueArray(fc.tuple(u32, u32, u32), {
        maxLength: 40,
        selector: (parts) => parts.join(":"),
      }),
      aigp: fc.option(fc.bigInt(0n, 0xffff_ffff_ffff_fffen), { nil: undefined }),
      unknown: fc
        .uniqueArray(
          fc.record(
            { type: fc.integer({ min: 36, max: 255 }), value: fc.uint8Array({ maxLength: 300 }) },
            plain,
          ),
          {
            maxLength: 3,
            selector: ({ type }) => type,
          },
        )
        .map((list) =>
          list.sort((a, b) => a.type - b.type).map(({ type, value }) => ({ flags: 0xe0, type, value })),
        ),
    })
    .map(({ aigp, ...fields }) => {
      const none = emptyAttributes();
      return { ...none, ...fields, aigp: aigp === undefined ? none.aigp : withAigpMetric(none.aigp, aigp) };
    });
}

function hexDigits(bytes: number): fc.Arbitrary<string> {
  return fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((value) => toHex(value));
}

export const arbitraryNextHop4: fc.Arbitrary<Uint8Array> = fc
  .tuple(fc.integer({ min: 1, max: 223 }), fc.nat(255), fc.nat(255), fc.nat(255))
  .filter(([first]) => first !== 127)
  .map((bytes) => Uint8Array.from(bytes));

export const arbitraryNextHop16: fc.Arbitrary<Uint8Array> = fc
  .tuple(fc.uint8Array({ minLength: 14, maxLength: 14 }), fc.boolean())
  .map(([tail, both]) => {
    const bytes = new Uint8Array(both ? 32 : 16);
    bytes.set([0x20, 0x01], 0);
    bytes.set(tail, 2);
    if (both) {
      bytes.set([0xfe, 0x80], 16);
      bytes.set(tail, 18);
    }
    return bytes;
  });

/** A prefix with host bits zero. */
export function arbitraryPrefix(addressBytes: 4 | 16): fc.Arbitrary<{ bytes: Uint8Array; length: number }> {
  return fc
    .tuple(fc.uint8Array({ minLength: addressBytes, maxLength: addressBytes }), fc.nat(addressBytes * 8))
    .map(([bytes, length]) => ({
      bytes: bytes.map((byte, i) => byte & (0xff00 >>> Math.min(8, Math.max(0, length - i * 8)))),
      length,
    }));
}
