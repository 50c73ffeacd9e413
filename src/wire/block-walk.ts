/**
 * Walking a canonical attribute block (scratch.ts) where it stands, without allocation. Trusts its input.
 *
 *   for (let at = start; at < end; at = attributeEnd(bytes, at)) { type is bytes[at + 1], value at valueAt(bytes, at) }
 */
import { FlagBit } from "./attributes/descriptor.ts";

/** Offset of the value of the attribute that begins at `at`. */
export function valueAt(bytes: Uint8Array, at: number): number {
  return at + ((bytes[at] & FlagBit.extendedLength) !== 0 ? 4 : 3);
}

/** Where the attribute that begins at `at` ends, and with it its value. */
export function attributeEnd(bytes: Uint8Array, at: number): number {
  return (bytes[at] & FlagBit.extendedLength) !== 0
    ? at + 4 + ((bytes[at + 2] << 8) | bytes[at + 3])
    : at + 3 + bytes[at + 2];
}

/** Offset at which the attribute of a type begins in `bytes[start, end)`; -1 when there is none. */
export function findAttribute(bytes: Uint8Array, start: number, end: number, type: number): number {
  for (let at = start; at < end; at = attributeEnd(bytes, at)) if (bytes[at + 1] === type) return at;
  return -1;
}
