/**
 * The seam between the core and its sessions. `Sessions` (sessions.ts) owns TCP connections, framing, the FSM, timers
 * and counters of every neighbor; the core behind `SessionHost` owns routes. Route bytes do not travel through the FSM.
 */
import type { RestartAgreement, RestartConfig } from "../fsm/graceful-restart.ts";
import type { DampingParameters } from "../rib/damping.ts";
import type { AddPathSend } from "../rib/export-gates.ts";
import type { BgpRole } from "../wire/bgp-role.ts";
import type { Family } from "../wire/family.ts";
import type { FilterRequest } from "../wire/orf.ts";

/** Dense neighbor number, 1 to limits.neighborsMax; 0 is the local speaker (injected routes). Reused after removal. */
export type NeighborId = number;

/** Settings of one neighbor after inheritance and defaults: what sessions, import and export work with. */
export interface NeighborConfig extends RestartConfig {
  /** Canonical address text; also the object's name. */
  readonly address: string;
  /** Address as 4 or 16 bytes; zeros as long as that of a neighbor that is named by its interface is not known. */
  readonly addressBytes: Uint8Array;
  /** Where to connect to: the address, for a link-local one with its interface; empty as long as it is not known. */
  readonly remote: string;
  /** Why there is nobody to connect to at present, a sentence; empty when there is no such reason. */
  readonly obstacle: string;
  /** Interface of a link-local neighbor, or the one that it is named by; empty for any other. */
  readonly interface: string;
  /** It is named by its interface: the address is found there. */
  readonly unnumbered: boolean;
  /** Its OPEN tells its AS number (remote_as external), which is 0 until then. */
  readonly learnsAsn: boolean;
  readonly remoteAsn: number;
  /** AS toward this neighbor: local_asn, or `globalAsn`. */
  readonly localAsn: number;
  /** Our AS as this neighbor would know it without local_asn: outside of our confederation that of the whole. */
  readonly globalAsn: number;
  /** Our member AS and the AS of the confederation that we are in (RFC 5065); undefined when there is none. */
  readonly confederation: ConfederationConfig | undefined;
  /** BGP identifier, 32 bits. */
  readonly routerId: number;
  readonly clusterId: number;
  /** The neighbor is in another AS, and not in our confederation. */
  readonly external: boolean;
  /** The neighbor is in another member AS of our confederation. Neither this nor `external`: it is internal. */
  readonly confederationMember: boolean;
  /** local_asn stands in front of the paths that come in, and stands for our own AS in those that go out. */
  readonly localAsPrepends: boolean;
  readonly localAsReplaces: boolean;
  /** Our own AS is tried too. */
  readonly localAsDual: boolean;
  readonly asOverride: boolean;
  readonly localAddress: string | undefined;
  readonly port: number;
  readonly passive: boolean;
  /** TTL for outgoing packets: 1 for a direct eBGP neighbor, multihop_ttl when set, 0 (system default) for iBGP. */
  readonly ttl: number;
  /** GTSM (RFC 5082): packets leave with TTL 255 and must come with at least this one; 0 is off. */
  readonly minTtl: number;
  /** TCP MD5 password (RFC 2385). */
  readonly password: string | undefined;
  /** Name of the TCP-AO keychain (RFC 5925), empty for none, and its keys, the one to send with first. */
  readonly keychain: string;
  readonly keys: readonly TcpAoKey[];
  readonly bfd: BfdConfig | undefined;
  /** Set for a neighbor that came in by a range. Its AS number is 0 until its OPEN has told it. */
  readonly dynamic: DynamicOrigin | undefined;
  readonly holdTimeS: number;
  /** 0: a third of the negotiated hold time. */
  readonly keepaliveTimeS: number;
  readonly connectRetryMs: number;
  readonly delayOpenMs: number;
  /** 0 is off. */
  readonly sendHoldMs: number;
  readonly idleHoldMs: number;
  readonly families: readonly Family[];
  readonly description: string;
  readonly peerGroup: string;
  readonly shutdown: boolean;
  readonly shutdownMessage: string;
  readonly extendedMessages: boolean;
  readonly strictErrors: boolean;
  readonly softReconfiguration: boolean;
  /** By family index; undefined for no limit. */
  readonly prefixLimits: readonly (PrefixLimitConfig | undefined)[];
  /** The same for routes that import policy accepts. */
  readonly acceptedLimits: readonly (PrefixLimitConfig | undefined)[];
  /** RFC 7911, by family index; undefined for one path per prefix both ways. */
  readonly addPath: readonly (AddPathConfig | undefined)[];
  /** RFC 5291, by family index; undefined for none. */
  readonly orf: readonly (OutboundFilterConfig | undefined)[];
  /** RFC 2439; undefined for none. */
  readonly damping: DampingParameters | undefined;
  /** RFC 8950. */
  readonly extendedNextHop: boolean;
  readonly nextHopSelf: boolean;
  /** End the session at once when its link goes down. */
  readonly fastFailover: boolean;
  /** Next hops may lie behind a gateway although the neighbor is one hop away. */
  readonly disableConnectedCheck: boolean;
  readonly allowOwnAs: number;
  /** Paths that begin in our own AS are taken. */
  readonly allowOwnAsOrigin: boolean;
  /** RFC 7311. */
  readonly aigpSend: boolean;
  readonly aigpReceive: boolean;
  /** FlowSpec rules are used only where unicast routes bear them out (RFC 8955 6). */
  readonly flowspecValidation: boolean;
  /** RFC 9494 4.6: long-lived stale routes go to it as a last resort. */
  readonly longLivedPartial: boolean;
  readonly removePrivateAs: "none" | "remove" | "all" | "replace";
  readonly enforceFirstAs: boolean;
  readonly defaultOriginate: boolean;
  readonly routeReflectorClient: boolean;
  readonly routeServerClient: boolean;
  /** RFC 3765: NOPEER routes are kept from it. */
  readonly bilateralPeer: boolean;
  /** RFC 9234: our role as its number on the wire; undefined when none is set. */
  readonly role: BgpRole | undefined;
  readonly strictRole: boolean;
  /** RFC 8326, as initiator and as receiver. */
  readonly gracefulShutdown: boolean;
  readonly honorGracefulShutdown: boolean;
  /** RFC 7999: the community added to routes with BLACKHOLE, which are then marked discard. */
  readonly blackhole: "none" | "no-advertise" | "no-export";
  /** Longest AS path accepted; 0 for any. */
  readonly maxAsPathLength: number;
  /** Announce the next path when the best may not be announced. */
  readonly perClientBest: boolean;
  /** Learned routes are announced when the kernel has confirmed them. */
  readonly suppressFibPending: boolean;
  /** What becomes of routes that the policies leave undecided. */
  readonly importDefault: "accept" | "reject";
  readonly exportDefault: "accept" | "reject";
  /** How long stale routes are kept at most, but for long-lived ones. */
  readonly staleTimeMs: number;
  /** What we forward outlives a restart of ours (F bit of RFC 4724). */
  readonly preserveForwarding: boolean;
  /** RFC 7313. */
  readonly enhancedRefresh: boolean;
  /** Names of policies, those of global, group and neighbor joined in order, global ones that run after at the end. */
  readonly importPolicies: readonly string[];
  readonly exportPolicies: readonly string[];
}

export interface ConfederationConfig {
  readonly memberAsn: number;
  readonly identifier: number;
}

/** BFD with a neighbor. */
export interface BfdConfig {
  /** Undefined: as the settings of the session and our links tell. */
  readonly multihop: boolean | undefined;
  readonly minTxUs: number;
  readonly minRxUs: number;
  readonly multiplier: number;
  readonly passive: boolean;
  /** With several hops. */
  readonly minTtl: number;
  /** No session before BFD is up, and has been for so long. */
  readonly strict: boolean;
  readonly holdOffMs: number;
  /** The neighbor's C bit decides whether its routes may outlive a path that BFD holds dead. */
  readonly checkControlPlane: boolean;
}

/** One master key of TCP-AO. */
export interface TcpAoKey {
  readonly sendId: number;
  readonly receiveId: number;
  readonly algorithm: "hmac-sha-1-96" | "aes-128-cmac-96";
  readonly secret: string;
}

/** How a neighbor that nobody declared came to be one. */
export interface DynamicOrigin {
  /** Name of the range. */
  readonly range: string;
}

/** Several paths per prefix with a neighbor. */
export interface AddPathConfig {
  readonly receive: boolean;
  /** Undefined: only the best path is sent. */
  readonly send: AddPathSend | undefined;
  /** Paths per prefix that are taken at most; undefined for any number. */
  readonly receiveMax?: number | undefined;
}

/** Outbound route filtering by prefix with a neighbor. */
export interface OutboundFilterConfig {
  readonly receive: boolean;
  /** Name of the prefix set that is sent; empty for none. */
  readonly send: string;
}

export interface PrefixLimitConfig {
  readonly max: number;
  readonly action: "warn" | "stop" | "restart" | "drop";
  readonly restartAfterMs: number;
  readonly warningPercent: number;
}

/** What both sides agreed on when the session came up. Family masks have bit `family.index`. */
export interface Negotiated {
  readonly families: number;
  readonly fourOctetAs: boolean;
  readonly routeRefresh: boolean;
  readonly enhancedRefresh: boolean;
  readonly restart: RestartAgreement;
  readonly extendedMessages: boolean;
  /** Largest message we may send. */
  readonly maxMessageBytes: number;
  readonly addPathReceive: number;
  readonly addPathSend: number;
  /** RFC 5291: families in which the neighbor sends us a filter, and in which it takes ours. */
  readonly orfReceive: number;
  readonly orfSend: number;
  /** RFC 8950: families of IPv4 whose next hop may be an IPv6 address. */
  readonly extendedNextHop: number;
  readonly holdTimeS: number;
  readonly keepaliveS: number;
  readonly remoteRouterId: number;
  readonly remoteAsn: number;
  readonly external: boolean;
  /** Addresses of the TCP connection, 4 or 16 bytes. */
  readonly localAddress: Uint8Array;
  readonly remoteAddress: Uint8Array;
}

/** How an Established session came to be, as it was on the wire. */
export interface SessionOpening {
  /** OPENs with their headers. */
  readonly sentOpen: Uint8Array;
  readonly receivedOpen: Uint8Array;
  readonly localPort: number;
  readonly remotePort: number;
  /** Monotonic milliseconds. */
  readonly establishedAtMs: number;
}

/** Why a session ended, for people, events and the list of the last ten. */
export interface ResetInfo {
  readonly local: boolean;
  readonly code: number;
  readonly subcode: number;
  /** RFC 9003 text, empty for none. */
  readonly shutdownMessage: string;
  /** Beginning of the data of the NOTIFICATION. */
  readonly data: Uint8Array;
  /** RFC 8538. */
  readonly hardReset: boolean;
  /** Name of the error of a connection that failed; empty when there was none. */
  readonly transportError: string;
  /** One sentence. */
  readonly text: string;
}

/** What to do after an UPDATE was looked at. */
export interface UpdateResult {
  /** NOTIFICATION to send and end the session with; undefined to go on. */
  readonly code: number;
  readonly subcode: number;
  readonly data: Uint8Array;
}

/** What becomes of a connection from an address that is no declared neighbor. */
export type StrangerVerdict =
  | { readonly kind: "unknown" }
  | { readonly kind: "neighbor" }
  /** A range matches and has no place for it. */
  | { readonly kind: "refused"; readonly range: string; readonly why: string };

/** What sessions ask of the core. Called from within a turn. */
export interface SessionHost {
  /** The session reached Established. The core joins it to update groups and starts the first sync. */
  established(neighbor: NeighborId, negotiated: Negotiated): void;
  /**
   * An Established session ended.
   * @param kept its routes may be kept for a while, where both sides agreed on that (RFC 4724); else they are withdrawn
   * @param notification the message that ended it, whole; undefined when there was none
   */
  down(neighbor: NeighborId, reset: ResetInfo, kept: boolean, notification: Uint8Array | undefined): void;
  /**
   * One UPDATE of an Established session: `bytes[start, end)` with its header. Hot path.
   * @returns undefined, or the NOTIFICATION that ends the session
   */
  update(neighbor: NeighborId, bytes: Uint8Array, start: number, end: number): UpdateResult | undefined;
  /** ROUTE-REFRESH for a negotiated family; `subtype` is a `RefreshSubtype`; filters where they were agreed on. */
  refresh(neighbor: NeighborId, family: Family, subtype: number, filters: FilterRequest | undefined): void;
  /** The socket has room again after `Sessions.room` said no. */
  writable(neighbor: NeighborId): void;
  /**
   * A connection from an address that is no declared neighbor. When a range takes it, the neighbor is added before this
   * returns.
   * @param localAddress where it came in
   */
  stranger(address: string, localAddress: string): StrangerVerdict;
  /**
   * A dynamic neighbor told its AS number.
   * @returns the settings that go with it, or one sentence on why it is refused
   */
  identify(neighbor: NeighborId, asn: number): NeighborConfig | string;
  /** A neighbor with local_as_dual_as refused the AS of our OPEN. @returns the settings with the other one */
  swapLocalAs(neighbor: NeighborId): NeighborConfig;
  /**
   * A neighbor that is named by its interface connected before its address was known.
   * @returns the settings that go with the address
   */
  locate(neighbor: NeighborId, address: string): NeighborConfig;
  /** The neighbor's visible state changed (state, counters worth an event, reasons). */
  stateChanged(neighbor: NeighborId): void;
  /** An event for the log and the stream; `severity` 1 info, 2 warning, 3 error. */
  event(
    topic: string,
    object: string,
    severity: 1 | 2 | 3,
    summary: string,
    facts: Readonly<Record<string, string>>,
  ): void;
}
