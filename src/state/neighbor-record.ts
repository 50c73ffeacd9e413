/** What the core keeps of a neighbor beside its session: settings, what was negotiated, programs and groups. */
import type { Program } from "../policy/program.ts";
import type { PrefixFilter } from "../rib/prefix-filter.ts";
import type { UpdateGroup } from "../rib/update-group.ts";
import type { DecodeContext } from "../wire/decode-context.ts";
import { families } from "../wire/family.ts";
import type { Negotiated, NeighborConfig, NeighborId } from "./session-port.ts";

/** Routes of one family that outlive what brought them (see restarts.ts for the phases). */
export interface StaleRoutes {
  readonly phase: "restarting" | "long-lived" | "returned" | "refreshing";
  /** When the phase ends by itself, monotonic milliseconds. */
  readonly deadlineMs: number;
  /** When they go at the latest, unless they become long-lived. */
  readonly endMs: number;
  /** How long they are kept after the restart time (RFC 9494). */
  readonly longLivedMs: number;
}

/** A filter that the neighbor sends us for one family (RFC 5291). */
export interface OutboundFilter {
  /** What it last asked for. The update group has it too, so it stays the same object. */
  readonly active: PrefixFilter;
  /** What it will be when the neighbor asks for its routes; undefined when nothing was put off. */
  staged: PrefixFilter | undefined;
  /** Nothing is announced before the neighbor has asked for its routes. */
  waiting: boolean;
  /** Why the last one was thrown away; empty when it was not. */
  discarded: string;
}

export interface NeighborRecord {
  readonly id: NeighborId;
  config: NeighborConfig;
  /** AS number that its OPEN told last, for neighbors whose AS number is not declared; 0 before. */
  learnedAsn: number;
  /** It refused local_asn and is told our own AS (local_as_dual_as). */
  refusesLocalAs: boolean;
  /** Set while the session is Established. */
  negotiated: Negotiated | undefined;
  decode: DecodeContext;
  /** Import policy bound to this neighbor; undefined when none is attached. */
  importProgram: Program | undefined;
  /** Update group by family index, while Established. */
  readonly groups: (UpdateGroup | undefined)[];
  /** By family index. */
  readonly endOfRibReceived: boolean[];
  readonly endOfRibSent: boolean[];
  /** A warning or stop for too many prefixes was raised in this session, by family index. */
  readonly limitWarned: boolean[];
  /** The same for the limit on accepted routes. */
  readonly acceptedWarned: boolean[];
  /** Routes over a limit were not kept, by family index; the neighbor is asked for them when there is room. */
  readonly limitSkipped: boolean[];
  /** When the neighbor was last asked for that, monotonic milliseconds. */
  limitAskedMs: number;
  /** Why its stale routes are kept, by family index; undefined when they are not. */
  readonly stale: (StaleRoutes | undefined)[];
  /** Families whose stale routes are long-lived (RFC 9494): import puts LLGR_STALE on them. */
  longLived: number;
  /** What was announced last before this epoch is swept, by family index; and families to be swept once more. */
  readonly sweepBefore: number[];
  sweepAgain: number;
  /** A refresh is under way to the neighbor, and it has asked for another one; masks of families. */
  refreshing: number;
  refreshAgain: number;
  /** Filters of RFC 5291 with the neighbor, by family index, while Established. */
  readonly outboundFilters: (OutboundFilter | undefined)[];
  /** Requests of the neighbor that were answered together with others: in all, and since when how many (see refreshes.ts). */
  refreshesJoined: number;
  refreshFlood: { fromMs: number; count: number };
  treatAsWithdraw: number;
  attributeDiscard: number;
  /** The neighbor is gone; the record stays until its routes are. */
  removed: boolean;
}

export function newNeighborRecord(id: NeighborId, config: NeighborConfig): NeighborRecord {
  return {
    id,
    config,
    learnedAsn: 0,
    refusesLocalAs: false,
    negotiated: undefined,
    decode: { fourOctetAs: true, addPath: 0, external: config.external, families: 0 },
    importProgram: undefined,
    groups: families.map(() => undefined),
    endOfRibReceived: families.map(() => false),
    endOfRibSent: families.map(() => false),
    limitWarned: families.map(() => false),
    acceptedWarned: families.map(() => false),
    limitSkipped: families.map(() => false),
    limitAskedMs: Number.NEGATIVE_INFINITY,
    stale: families.map(() => undefined),
    longLived: 0,
    sweepBefore: families.map(() => 0),
    sweepAgain: 0,
    refreshing: 0,
    refreshAgain: 0,
    outboundFilters: families.map(() => undefined),
    refreshesJoined: 0,
    refreshFlood: { fromMs: Number.NEGATIVE_INFINITY, count: 0 },
    treatAsWithdraw: 0,
    attributeDiscard: 0,
    removed: false,
  };
}

/** `Neighbor/ADDRESS`, as events name it. */
export function objectOf(record: NeighborRecord): string {
  return `Neighbor/${record.config.address}`;
}
