/** The row that says all about one path attribute. `registry.ts` holds the rows; a new attribute is one more row. */
import type { DecodeContext } from "../decode-context.ts";
import type { MessageWriter } from "../message-writer.ts";
import type { PathAttributes } from "../path-attributes.ts";
import { Verdict } from "../verdict.ts";

export const AttributeType = {
  /** Reserved by IANA: ours for marks that never leave the router (`LocalMarks`). */
  local: 0,
  origin: 1,
  asPath: 2,
  nextHop: 3,
  med: 4,
  localPref: 5,
  atomicAggregate: 6,
  aggregator: 7,
  communities: 8,
  originatorId: 9,
  clusterList: 10,
  mpReach: 14,
  mpUnreach: 15,
  extendedCommunities: 16,
  as4Path: 17,
  as4Aggregator: 18,
  aigp: 26,
  ipv6ExtendedCommunities: 25,
  onlyToCustomer: 35,
  largeCommunities: 32,
} as const;

/** Bits of the attribute flags octet (RFC 4271 4.3). */
export const FlagBit = { optional: 0x80, transitive: 0x40, partial: 0x20, extendedLength: 0x10 } as const;

export const wellKnown: number = FlagBit.transitive;
export const optionalTransitive: number = FlagBit.optional | FlagBit.transitive;
export const optionalNonTransitive: number = FlagBit.optional;

/** What is wrong with an attribute. Constants, so that finding a fault allocates nothing. */
export interface AttributeFault {
  readonly verdict: Verdict;
  /** Subcode of UPDATE Message Error. */
  readonly subcode: number;
  readonly text: string;
}

export interface AttributeDescriptor {
  readonly code: number;
  readonly name: string;
  /** The Optional and Transitive bits it must have. */
  readonly flags: number;
  /** From such a neighbor it is discarded without a word (RFC 7606 7.5, 7.9, 7.10). */
  ignores?(context: DecodeContext): boolean;
  /** Wrong flags mean that only the attribute is discarded, not the routes (RFC 7606 3 c). */
  readonly flagsDiscard?: boolean;
  /** cairn carries it without acting on it, so the Partial bit is set on the way (RFC 4271 5). */
  readonly opaque?: boolean;
  /** Judges the value `bytes[at, end)` as it stands on the wire, flags already checked (RFC 7606 section 7). */
  check(bytes: Uint8Array, at: number, end: number, context: DecodeContext): AttributeFault | undefined;
  /** Reads a checked value with four-octet AS numbers. Rows without it are kept raw. */
  read?(bytes: Uint8Array, at: number, end: number, into: PathAttributes): void;
  present?(from: PathAttributes): boolean;
  /** Appends the value with four-octet AS numbers. */
  write?(from: PathAttributes, out: MessageWriter): void;
  /** The value for people. */
  format?(from: PathAttributes): string;
}

export function withdrawFault(subcode: number, text: string): AttributeFault {
  return { verdict: Verdict.treatAsWithdraw, subcode, text };
}

export function discardFault(subcode: number, text: string): AttributeFault {
  return { verdict: Verdict.discardAttribute, subcode, text };
}
