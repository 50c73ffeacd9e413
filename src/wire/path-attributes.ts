/**
 * Path attributes as a value, for everything off the hot path: policy drafts, injection, rendering for the API, and
 * the test oracles. The hot path works on canonical blocks (see scratch.ts) and never builds these.
 */

/** AS_PATH segment types (RFC 4271 4.3, RFC 5065 3). */
export const SegmentType = { set: 1, sequence: 2, confedSequence: 3, confedSet: 4 } as const;
export type SegmentType = (typeof SegmentType)[keyof typeof SegmentType];

export interface AsPathSegment {
  type: SegmentType;
  /** Four-octet AS numbers. */
  asns: number[];
}

/** ORIGIN codes (RFC 4271 5.1.1). */
export const Origin = { igp: 0, egp: 1, incomplete: 2 } as const;

/** An attribute that cairn does not interpret, kept byte for byte. */
export interface RawAttribute {
  /** Optional, Transitive and Partial; the Extended Length bit follows from the value. */
  flags: number;
  type: number;
  value: Uint8Array;
}

/** What policy keeps beside a route. Kept in the canonical block, so that equal sets are equal in this too. */
export interface LocalMarks {
  /** Compared before local preference; undefined counts as 0. */
  readonly weight: number | undefined;
  readonly tag: number | undefined;
  /** Traffic is to be dropped. */
  readonly discard: boolean;
}

/** A mutable set of path attributes. Absent attributes are undefined or empty. */
export interface PathAttributes {
  origin: number;
  asPath: AsPathSegment[];
  /** 4, 16 or 32 bytes (global and link-local, RFC 2545); empty when there is none. */
  nextHop: Uint8Array;
  med: number | undefined;
  localPref: number | undefined;
  atomicAggregate: boolean;
  aggregator: { asn: number; address: number } | undefined;
  /** RFC 1997, each a 32-bit number. */
  communities: number[];
  originatorId: number | undefined;
  clusterList: number[];
  /** RFC 4360: eight bytes each, as 16 hexadecimal digits. */
  extendedCommunities: string[];
  /** RFC 8092: global, local 1, local 2. */
  largeCommunities: (readonly [number, number, number])[];
  /** Value of AIGP (RFC 7311), TLVs as they stand; empty when there is none. See attributes/aigp.ts. */
  aigp: Uint8Array;
  /** ONLY_TO_CUSTOMER (RFC 9234). */
  otc: number | undefined;
  /** Marks of policy that are local to this router and never on the wire. */
  local: LocalMarks | undefined;
  /** Everything else, by type code. */
  unknown: RawAttribute[];
  /** Type codes of known optional transitive attributes that came with the Partial bit, which must stay set. */
  partial: number[];
}

/** Bytes are replaced, never written to, and an array of bytes costs far more to make than any other. */
const noBytes = new Uint8Array(0);

export function emptyAttributes(): PathAttributes {
  return {
    origin: Origin.igp,
    asPath: [],
    nextHop: noBytes,
    med: undefined,
    localPref: undefined,
    atomicAggregate: false,
    aggregator: undefined,
    communities: [],
    originatorId: undefined,
    clusterList: [],
    extendedCommunities: [],
    largeCommunities: [],
    aigp: noBytes,
    otc: undefined,
    local: undefined,
    unknown: [],
    partial: [],
  };
}
