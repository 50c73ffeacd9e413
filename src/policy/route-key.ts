/**
 * What policy reads of a route beside its attributes. One `RouteKey` belongs to a caller's loop and is filled again
 * for each route, so that evaluation allocates nothing.
 */
import { formatIp } from "../base/ip.ts";
import type { Family } from "../wire/family.ts";
import { ipv4Unicast } from "../wire/family.ts";

/** How we learned the route: originated here, from iBGP, from eBGP. */
export const RouteType = { local: 0, internal: 1, external: 2 } as const;
export type RouteType = (typeof RouteType)[keyof typeof RouteType];

/** Names of route types in policies, by number. */
export const routeTypeNames = ["local", "internal", "external"] as const;

export const RpkiState = { notFound: 0, valid: 1, invalid: 2 } as const;
export type RpkiState = (typeof RpkiState)[keyof typeof RpkiState];
export const AspaState = { unknown: 0, valid: 1, invalid: 2 } as const;
export type AspaState = (typeof AspaState)[keyof typeof AspaState];

/** Names of validation states in policies, by number. */
export const rpkiStateNames = ["not-found", "valid", "invalid"] as const;
export const aspaStateNames = ["unknown", "valid", "invalid"] as const;

/**
 * The address stands in 32-bit words, first word first; an IPv4 address is `w0` alone. Words are read by bit
 * operations only, so signed and unsigned numbers mean the same.
 */
export class RouteKey {
  family: Family = ipv4Unicast;
  w0 = 0;
  w1 = 0;
  w2 = 0;
  w3 = 0;
  /** Prefix length in bits. */
  length = 0;
  routeType: RouteType = RouteType.external;
  /** Origin and path validation of the route as received (RFC 6811, ASPA); what there is no validator for is 0. */
  rpki: RpkiState = RpkiState.notFound;
  aspa: AspaState = AspaState.unknown;

  /** Sets an IPv4 unicast prefix from its 32-bit address. */
  setIp4(address: number, length: number): this {
    this.family = ipv4Unicast;
    this.w0 = address | 0;
    this.length = length;
    return this;
  }

  /**
   * Sets a prefix from NLRI bytes: only the `ceil(length / 8)` bytes at `at` are read, and bits after `length` in the
   * last one are ignored, as RFC 4271 4.3 asks.
   */
  setNlri(family: Family, bytes: Uint8Array, at: number, length: number): this {
    this.family = family;
    this.length = length;
    this.w0 = word(bytes, at, length);
    if (family.addressBytes === 16) {
      this.w1 = word(bytes, at + 4, length - 32);
      this.w2 = word(bytes, at + 8, length - 64);
      this.w3 = word(bytes, at + 12, length - 96);
    }
    return this;
  }
}

/** The first `bits` bits (at most 32) at `at` as a word, padded with zeros. */
function word(bytes: Uint8Array, at: number, bits: number): number {
  if (bits <= 0) return 0;
  if (bits >= 32) return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
  let value = bytes[at] << 24;
  if (bits > 8) value |= bytes[at + 1] << 16;
  if (bits > 16) value |= bytes[at + 2] << 8;
  if (bits > 24) value |= bytes[at + 3];
  return value & maskOf(bits);
}

/** The netmask of `length` bits, 0 to 32, as a signed word. */
export function maskOf(length: number): number {
  return length === 0 ? 0 : -1 << (32 - length);
}

/** The prefix as text, for explanations. */
export function formatRoute(route: RouteKey): string {
  const words = [route.w0, route.w1, route.w2, route.w3].slice(0, route.family.addressBytes / 4);
  const bytes = Uint8Array.from(words.flatMap((w) => [w >>> 24, w >>> 16, w >>> 8, w]));
  return `${formatIp(bytes)}/${route.length}`;
}
