/**
 * Marks that policy leaves on a route: weight, tag, discard. They live in canonical blocks under type 0, which no
 * other attribute has, come first, and are taken out before anything is sent (rib/export-rewrite.ts). What a neighbor
 * sends under type 0 is dropped.
 */
import { readU32 } from "../message.ts";
import { type AttributeDescriptor, AttributeType, withdrawFault } from "./descriptor.ts";

/** Bits of the first byte: which marks are there. */
export const LocalBit = { weight: 1, tag: 2, discard: 4 } as const;

const notForUs = withdrawFault(2, "is well-known, but not to us");

/** Value: bits, weight, tag: 9 bytes. */
export const localMarks: AttributeDescriptor = {
  code: AttributeType.local,
  name: "LOCAL_MARKS",
  flags: 0,
  check: () => notForUs,
  read(bytes, at, _end, into) {
    const bits = bytes[at];
    into.local = {
      weight: bits & LocalBit.weight ? readU32(bytes, at + 1) : undefined,
      tag: bits & LocalBit.tag ? readU32(bytes, at + 5) : undefined,
      discard: (bits & LocalBit.discard) !== 0,
    };
  },
  present: ({ local }) =>
    local !== undefined && (local.weight !== undefined || local.tag !== undefined || local.discard),
  write({ local }, out) {
    const has = (bit: number, set: boolean | undefined): number => (set ? bit : 0);
    out.u8(
      has(LocalBit.weight, local?.weight !== undefined) |
        has(LocalBit.tag, local?.tag !== undefined) |
        has(LocalBit.discard, local?.discard),
    );
    out.u32(local?.weight ?? 0);
    out.u32(local?.tag ?? 0);
  },
};
