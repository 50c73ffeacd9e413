/** What the core keeps of a neighbor beside its session: settings, what was negotiated, programs and groups. */
import type { Program } from "../policy/program.ts";
import type { UpdateGroup } from "../rib/update-group.ts";
import type { DecodeContext } from "../wire/decode-context.ts";
import { families } from "../wire/family.ts";
import type { Negotiated, NeighborConfig, NeighborId } from "./session-port.ts";

export interface NeighborRecord {
  readonly id: NeighborId;
  config: NeighborConfig;
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
  /** Sessions that ended since their routes were last all swept. */
  sessionsUnswept: number;
  treatAsWithdraw: number;
  attributeDiscard: number;
  /** The neighbor is gone; the record stays until its routes are. */
  removed: boolean;
}

export function newNeighborRecord(id: NeighborId, config: NeighborConfig): NeighborRecord {
  return {
    id,
    config,
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
    sessionsUnswept: 0,
    treatAsWithdraw: 0,
    attributeDiscard: 0,
    removed: false,
  };
}

/** `Neighbor/ADDRESS`, as events name it. */
export function objectOf(record: NeighborRecord): string {
  return `Neighbor/${record.config.address}`;
}
