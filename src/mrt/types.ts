/**
 * MRT records as values (RFC 6396, RFC 8050). Byte fields are views of what was read: they are valid until the reader is
 * given more. Addresses are 4 or 16 bytes, times seconds since 1970.
 */

/** Record types that are read; others are passed over and counted. */
export const MrtType = { tableDump: 12, tableDumpV2: 13, bgp4mp: 16, bgp4mpEt: 17 } as const;

/** Subtypes of TABLE_DUMP_V2. */
export const TableSubtype = {
  peerIndexTable: 1,
  ribIpv4Unicast: 2,
  ribIpv4Multicast: 3,
  ribIpv6Unicast: 4,
  ribIpv6Multicast: 5,
  ribGeneric: 6,
  ribIpv4UnicastAddPath: 8,
  ribIpv4MulticastAddPath: 9,
  ribIpv6UnicastAddPath: 10,
  ribIpv6MulticastAddPath: 11,
  ribGenericAddPath: 12,
} as const;

/** Subtypes of BGP4MP and BGP4MP_ET. */
export const MessageSubtype = {
  stateChange: 0,
  message: 1,
  messageAs4: 4,
  stateChangeAs4: 5,
  messageLocal: 6,
  messageAs4Local: 7,
  messageAddPath: 8,
  messageAs4AddPath: 9,
  messageLocalAddPath: 10,
  messageAs4LocalAddPath: 11,
} as const;

/** Session states as STATE_CHANGE numbers them. */
export const stateNames: readonly string[] = [
  "Unknown",
  "Idle",
  "Connect",
  "Active",
  "OpenSent",
  "OpenConfirm",
  "Established",
];

/** Header of a record, and where it stands in the (uncompressed) stream. */
export interface MrtHeader {
  readonly type: number;
  readonly subtype: number;
  readonly timeS: number;
  /** Microseconds beyond `timeS`; 0 unless the type is BGP4MP_ET. */
  readonly micros: number;
  readonly offset: number;
  /** Bytes of the record with its header. */
  readonly length: number;
}

export interface MrtPeer {
  readonly routerId: number;
  readonly address: Uint8Array;
  readonly asn: number;
}

export interface PeerIndexTable {
  readonly kind: "peer-index";
  readonly collectorId: number;
  readonly viewName: string;
  readonly peers: readonly MrtPeer[];
}

/** One route of a prefix. */
export interface RibEntry {
  /** Undefined when the file has no such peer. */
  readonly peer: MrtPeer | undefined;
  /** Place in the PEER_INDEX_TABLE; -1 in TABLE_DUMP. */
  readonly peerIndex: number;
  readonly originatedS: number;
  /** RFC 7911; 0 when the record has none. */
  readonly pathId: number;
  /** The path attributes as they stand in the file. */
  readonly attributes: Uint8Array;
}

/** The routes of one prefix: a TABLE_DUMP_V2 RIB record, or a TABLE_DUMP one with a single entry. */
export interface RibRecord {
  readonly kind: "rib";
  readonly afi: number;
  readonly safi: number;
  readonly sequence: number;
  readonly addPath: boolean;
  /** AS numbers in the attributes have four octets. */
  readonly fourOctetAs: boolean;
  /** The NLRI as on the wire (length in bits, then its bytes), without a path identifier. */
  readonly nlri: Uint8Array;
  readonly entries: readonly RibEntry[];
}

interface Ends {
  readonly peerAsn: number;
  readonly localAsn: number;
  readonly interfaceIndex: number;
  readonly peerAddress: Uint8Array;
  readonly localAddress: Uint8Array;
}

/** A BGP message that was received, or with `local` sent. */
export interface MessageRecord extends Ends {
  readonly kind: "message";
  readonly local: boolean;
  readonly fourOctetAs: boolean;
  readonly addPath: boolean;
  /** The message with its header. */
  readonly message: Uint8Array;
}

export interface StateRecord extends Ends {
  readonly kind: "state";
  /** Numbers of `stateNames`. */
  readonly oldState: number;
  readonly newState: number;
}

export type MrtBody = PeerIndexTable | RibRecord | MessageRecord | StateRecord;
