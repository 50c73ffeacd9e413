/** BMP (RFC 7854, with Adj-RIB-Out of RFC 8671 and Loc-RIB of RFC 9069): numbers of the wire and messages as values. */

/** Version 3 is that of RFC 7854; the only one there ever was in use. */
export const bmpVersion = 3;
/** Version, length, type. */
export const commonBytes = 6;
export const peerHeaderBytes = 42;
/** A reader takes no longer message: a Route Monitoring message of the longest UPDATE is much shorter. */
export const bmpMessageBytesMax = 1 << 20;

export const BmpType = {
  routeMonitoring: 0,
  statistics: 1,
  peerDown: 2,
  peerUp: 3,
  initiation: 4,
  termination: 5,
  routeMirroring: 6,
} as const;
export type BmpType = (typeof BmpType)[keyof typeof BmpType];

export const PeerType = { global: 0, rd: 1, local: 2, locRib: 3 } as const;

/** Flags of the per-peer header; `filtered` is that of a Loc-RIB peer (RFC 9069 4.2). */
export const PeerFlag = {
  ip6: 0x80,
  postPolicy: 0x40,
  twoOctetAs: 0x20,
  adjRibOut: 0x10,
  filtered: 0x80,
} as const;

/** Information TLVs of Initiation, Peer Up and (for a Loc-RIB) Peer Down. */
export const InfoType = {
  text: 0,
  systemDescription: 1,
  systemName: 2,
  tableName: 3,
  adminLabel: 4,
} as const;
/** TLVs of Termination. */
export const TerminationType = { text: 0, reason: 1 } as const;
export const TerminationReason = {
  administrative: 0,
  unspecified: 1,
  outOfResources: 2,
  redundant: 3,
  permanent: 4,
} as const;
/** TLVs of Route Mirroring, and what the one with information says. */
export const MirrorType = { message: 0, information: 1 } as const;
export const MirrorInfo = { erroredPdu: 0, messagesLost: 1 } as const;

/** Why a peer went down. */
export const DownReason = {
  /** We sent a NOTIFICATION, which follows. */
  localNotification: 1,
  /** We closed without one; the event of the FSM follows (RFC 4271 8.1), 0 for none. */
  localNoNotification: 2,
  remoteNotification: 3,
  remoteNoNotification: 4,
  /** It is not monitored any more; its session may well be up. */
  deconfigured: 5,
  /** Of a Loc-RIB: information TLVs follow (RFC 9069 5.3). */
  locRib: 6,
} as const;
export type DownReason = (typeof DownReason)[keyof typeof DownReason];

/** Statistics that we report (RFC 7854 4.8, RFC 8671 6). */
export const StatType = {
  rejectedByPolicy: 0,
  duplicateAdvertisements: 1,
  duplicateWithdraws: 2,
  clusterListLoop: 3,
  asPathLoop: 4,
  originatorIdLoop: 5,
  confederationLoop: 6,
  adjRibIn: 7,
  locRib: 8,
  adjRibInOfFamily: 9,
  locRibOfFamily: 10,
  updatesAsWithdraw: 11,
  prefixesAsWithdraw: 12,
  duplicateUpdates: 13,
  adjRibOutPre: 14,
  adjRibOutPost: 15,
  adjRibOutPreOfFamily: 16,
  adjRibOutPostOfFamily: 17,
} as const;

/** Whom a message is about. */
export interface PeerHeader {
  readonly type: number;
  readonly flags: number;
  /** 8 bytes; zeros for a peer of the global instance. */
  readonly distinguisher: Uint8Array;
  /** 4 or 16 bytes; zeros for a Loc-RIB. */
  readonly address: Uint8Array;
  readonly asn: number;
  readonly routerId: number;
  /** When the routes were received; 0 when that is not known. */
  readonly timeS: number;
  readonly micros: number;
}

export interface InfoTlv {
  readonly type: number;
  readonly value: Uint8Array;
}

/** One statistic: a counter or gauge, of one family where `afi` is not 0. */
export interface Stat {
  readonly type: number;
  readonly afi: number;
  readonly safi: number;
  readonly value: bigint;
}

export type BmpMessage =
  | { readonly type: typeof BmpType.routeMonitoring; readonly peer: PeerHeader; readonly update: Uint8Array }
  | {
      readonly type: typeof BmpType.statistics;
      readonly peer: PeerHeader;
      readonly stats: readonly Stat[];
      /** Statistics whose type or length is not known. */
      readonly unknown: readonly InfoTlv[];
    }
  | {
      readonly type: typeof BmpType.peerDown;
      readonly peer: PeerHeader;
      readonly reason: number;
      /** The NOTIFICATION with its header, for reasons 1 and 3; what follows an unknown reason. */
      readonly data: Uint8Array;
      /** For reason 2. */
      readonly fsmEvent: number;
      /** For reason 6. */
      readonly info: readonly InfoTlv[];
    }
  | {
      readonly type: typeof BmpType.peerUp;
      readonly peer: PeerHeader;
      /** 4 or 16 bytes. */
      readonly localAddress: Uint8Array;
      readonly localPort: number;
      readonly remotePort: number;
      /** OPENs with their headers. */
      readonly sentOpen: Uint8Array;
      readonly receivedOpen: Uint8Array;
      readonly info: readonly InfoTlv[];
    }
  | { readonly type: typeof BmpType.initiation; readonly info: readonly InfoTlv[] }
  | { readonly type: typeof BmpType.termination; readonly info: readonly InfoTlv[] }
  | {
      readonly type: typeof BmpType.routeMirroring;
      readonly peer: PeerHeader;
      readonly tlvs: readonly InfoTlv[];
    };

/** Why a message cannot be read. */
export interface BmpFault {
  readonly type: "fault";
  readonly text: string;
}
