/**
 * What stands between a path and a neighbor: the gates, in the order in which they are asked, each with what it means to
 * pass it and not to. The exporter decides by this table, and explanations are read from it.
 */
import { AttributeFlag } from "../policy/attribute-table.ts";
import type { Explanation } from "../policy/explain.ts";
import type { Program } from "../policy/program.ts";
import { isFromAbove } from "../wire/bgp-role.ts";
import type { AttrId } from "./attribute-store.ts";
import type { RewriteConfig } from "./export-rewrite.ts";
import type { InstalledRoutes } from "./installed-routes.ts";
import { NeighborFlag } from "./neighbor-columns.ts";
import type { PrefixFilter } from "./prefix-filter.ts";

/** Why a path is not announced; 0 when it is. */
export const ExportGate = {
  none: 0,
  noBest: 1,
  internalToInternal: 2,
  noAdvertise: 3,
  noExport: 4,
  noExportSubconfed: 5,
  noPeer: 6,
  noPolicy: 7,
  policy: 8,
  noNextHop: 9,
  routeLeak: 10,
  tooLarge: 11,
  splitHorizon: 12,
  neighborNextHop: 13,
  longLivedStale: 14,
  beyondAddPath: 15,
  outboundFilter: 16,
  fibPending: 17,
  notInFib: 18,
} as const;
export type ExportGate = (typeof ExportGate)[keyof typeof ExportGate];

export const exportGateText: readonly string[] = [
  "",
  "no best path",
  "learned from an internal neighbor, and neither side is a reflector client (RFC 4271 9.2)",
  "community NO_ADVERTISE (RFC 1997)",
  "community NO_EXPORT (RFC 1997)",
  "community NO_EXPORT_SUBCONFED (RFC 1997)",
  "community NOPEER toward a bilateral peer (RFC 3765)",
  "no export policy on an eBGP neighbor (RFC 8212)",
  "export policy",
  "we have no next hop of this family on the session",
  "ONLY_TO_CUSTOMER: not to a provider, peer or route server (RFC 9234)",
  "the attributes fit no message of this session",
  "it came from this neighbor",
  "the next hop is the neighbor's own address (RFC 4271 5.1.3)",
  "community LLGR_STALE toward a neighbor that does not offer long-lived graceful restart (RFC 9494 4.6)",
  "better paths are all that add_path lets go",
  "the neighbor's own filter (ORF, RFC 5292)",
  "it waits for the FIB: the kernel has not confirmed it yet (suppress_fib_pending)",
  "it is not in the FIB: refused by the kernel, or taken by no FibTable (suppress_fib_pending)",
];

/** What makes the outgoing bytes of two neighbors equal, for one family. */
export interface ExportConfig extends RewriteConfig {
  readonly reflectorClient: boolean;
  readonly bilateralPeer: boolean;
  /** The neighbor that has this group for itself, and is told of the next path when the best may not go; 0 for none. */
  readonly perClient: number;
  /** RFC 8950: an IPv4 route may go out with an IPv6 next hop. */
  readonly extendedNextHop: boolean;
  /** RFC 7911: several routes per prefix; undefined where they were not negotiated. */
  readonly addPath: AddPathSend | undefined;
  /** RFC 5292: what the neighbor that has this group for itself wants to hear of; undefined for everything. */
  readonly outboundFilter: PrefixFilter | undefined;
  /** RFC 9494: the neighbors know what LLGR_STALE means. */
  readonly longLived: boolean;
  /** RFC 9494 4.6: they do not, and get stale routes as a last resort. */
  readonly longLivedPartial: boolean;
  readonly nextHopSelf: boolean;
  /** Our own next hop on these sessions: 4 or 16 bytes; undefined when there is none of the family. */
  readonly selfNextHop: Uint8Array | undefined;
  /** Length of the on-link prefix around `selfNextHop`; third-party next hops inside it are kept. 0: none. */
  readonly onLinkBits: number;
  /** Export policy; undefined means that none is attached. */
  readonly program: Program | undefined;
  /** What a missing policy means: everything (internal, or RFC 8212 switched off) or nothing. */
  readonly acceptWithoutPolicy: boolean;
  readonly defaultOriginate: boolean;
  /** Learned routes go out when these hold them; undefined where they need not. */
  readonly installed: InstalledRoutes | undefined;
}

/** Which of the paths that may go do go. */
export interface AddPathSend {
  /** The first in rank, or the first of each neighboring AS. */
  readonly choice: "first" | "perNeighborAs";
  /** At most this many. */
  readonly max: number;
}

/** One check on the way of a path, as explanations name it. */
export interface Gate {
  readonly name: string;
  /** What it means to have passed; `exportGateText` says what it means not to. */
  readonly passes: string;
  readonly gate: ExportGate;
}

interface GateRule extends Gate {
  /** @param flags `AttributeFlag` bits; @param source `NeighborFlag` bits of the neighbor that it came from */
  refuses(config: ExportConfig, flags: number, source: number): boolean;
}

/** Routes of such sources were not learned inside our own AS. */
export const isNoInternal: number =
  NeighborFlag.external | NeighborFlag.local | NeighborFlag.confederationMember;

/** What a path must pass before policy is asked, in order. */
export const exportGates: readonly GateRule[] = [
  {
    name: "reflection",
    passes: "not from iBGP to iBGP, or reflected (RFC 4456)",
    gate: ExportGate.internalToInternal,
    refuses: (config, _flags, source) =>
      !config.external &&
      !config.confederationMember &&
      (source & (isNoInternal | NeighborFlag.reflectorClient)) === 0 &&
      !config.reflectorClient,
  },
  {
    name: "no-advertise",
    passes: "no NO_ADVERTISE",
    gate: ExportGate.noAdvertise,
    refuses: (_config, flags) => (flags & AttributeFlag.noAdvertise) !== 0,
  },
  {
    name: "no-export",
    passes: "no NO_EXPORT, or a neighbor in our AS or confederation",
    gate: ExportGate.noExport,
    refuses: (config, flags) => config.external && (flags & AttributeFlag.noExport) !== 0,
  },
  {
    name: "no-export-subconfed",
    passes: "no NO_EXPORT_SUBCONFED, or an internal neighbor",
    gate: ExportGate.noExportSubconfed,
    refuses: (config, flags) =>
      (config.external || config.confederationMember) && (flags & AttributeFlag.noExportSubconfed) !== 0,
  },
  {
    name: "no-peer",
    passes: "no NOPEER, or no bilateral peer",
    gate: ExportGate.noPeer,
    refuses: (config, flags) =>
      config.external && config.bilateralPeer && (flags & AttributeFlag.noPeer) !== 0,
  },
  {
    name: "only-to-customer",
    passes: "ONLY_TO_CUSTOMER allows it",
    gate: ExportGate.routeLeak,
    refuses: (config, flags) =>
      config.role !== undefined && isFromAbove(config.role) && (flags & AttributeFlag.hasOtc) !== 0,
  },
  {
    name: "long-lived-stale",
    passes: "not stale for long, or the neighbor knows what that means (RFC 9494)",
    gate: ExportGate.longLivedStale,
    refuses: (config, flags) =>
      !config.longLived && !config.longLivedPartial && (flags & AttributeFlag.llgrStale) !== 0,
  },
  {
    name: "policy-required",
    passes: "there is an export policy, or none is needed (RFC 8212)",
    gate: ExportGate.noPolicy,
    refuses: (config) => config.program === undefined && !config.acceptWithoutPolicy,
  },
];

/** What follows once the gates let a path through, in order. */
const laterGates: readonly Gate[] = [
  { name: "policy", passes: "policy accepts it", gate: ExportGate.policy },
  { name: "next-hop", passes: "the next hop is one that the neighbor can use", gate: ExportGate.noNextHop },
  { name: "size", passes: "it fits a message", gate: ExportGate.tooLarge },
  {
    name: "neighbor-next-hop",
    passes: "the next hop is not the neighbor's own address",
    gate: ExportGate.neighborNextHop,
  },
  { name: "add-path", passes: "among the paths that the neighbor takes", gate: ExportGate.beyondAddPath },
];

export const gatesInOrder: readonly Gate[] = [
  { name: "split-horizon", passes: "it came from elsewhere", gate: ExportGate.splitHorizon },
  {
    name: "orf",
    passes: "the neighbor's own filter lets it pass, or there is none",
    gate: ExportGate.outboundFilter,
  },
  {
    name: "fib-pending",
    passes: "the kernel has answered, or is not waited for",
    gate: ExportGate.fibPending,
  },
  { name: "fib", passes: "the kernel holds it, or need not", gate: ExportGate.notInFib },
  ...exportGates.map(({ name, passes, gate }) => ({ name, passes, gate })),
  ...laterGates,
];

/** A path on its way out. */
export interface ChosenPath {
  /** Row of the path in the table, and with Add-Path its identifier on the wire. */
  readonly pathId: number;
  readonly attr: AttrId;
  /** Where it came from; of a route that goes out, the member that must not hear of it; 0 for none. */
  readonly source: number;
}
/** A prefix on its way to one neighbor. */
export interface ExportStory {
  /** What goes out: one at most without Add-Path. Held until `endBatch`. */
  readonly routes: readonly ChosenPath[];
  /** Rows of the paths that they are of. */
  readonly goes: ReadonlySet<number>;
  /** Paths that were tried, in order; without Add-Path the one that goes is the last. */
  readonly paths: readonly PathStory[];
  /** How many were tried: more than are told of when there are very many. */
  readonly tried: number;
}

export interface PathStory {
  readonly path: number;
  /** Up to the one that refused it. */
  readonly gates: readonly (Gate & { readonly passed: boolean })[];
  /** What policy did; undefined when it was not asked, or there is none. */
  readonly policy: Explanation | undefined;
}

/** What decided about a path: the gate that refused it, the policy's statement, or that there is no policy. */
export function pathReason({ gates, policy }: PathStory): string {
  const { gate, passed } = gates[gates.length - 1];
  if (!passed && gate !== ExportGate.policy) return exportGateText[gate];
  return policy ? policy.reason : "no export policy: everything goes out";
}
