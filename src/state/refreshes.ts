/**
 * Sending a neighbor all its routes again: when it asks (RFC 2918), or an operator does. With RFC 7313 they stand
 * between BoRR and EoRR. However often it is asked for, one run is under way and at most one more is due, and the first
 * sync ends before either. A neighbor that asks faster than it is answered is counted, and told of once a minute.
 */
import type { UpdateGroup } from "../rib/update-group.ts";
import type { Family } from "../wire/family.ts";
import { RefreshSubtype } from "../wire/refresh.ts";
import { type NeighborRecord, objectOf } from "./neighbor-record.ts";

export interface RefreshesHost {
  /** Sends ROUTE-REFRESH with this subtype. */
  mark(record: NeighborRecord, family: Family, subtype: number): void;
  send(record: NeighborRecord, bytes: Uint8Array): void;
  stateChanged(record: NeighborRecord): void;
  nowMs(): number;
  event(
    topic: string,
    object: string,
    severity: 1 | 2 | 3,
    summary: string,
    facts: Readonly<Record<string, string>>,
  ): void;
}

/** So many requests in a minute that were due already are a flood. */
const floodFrom = 10;
const minuteMs = 60_000;

export class Refreshes {
  private readonly host: RefreshesHost;

  constructor(host: RefreshesHost) {
    this.host = host;
  }

  /** The neighbor asks. */
  asked(record: NeighborRecord, family: Family): void {
    if ((record.refreshAgain & (1 << family.index)) !== 0) this.joined(record);
    this.resend(record, family);
  }

  private joined(record: NeighborRecord): void {
    record.refreshesJoined++;
    const flood = record.refreshFlood;
    const nowMs = this.host.nowMs();
    if (nowMs - flood.fromMs >= minuteMs) {
      flood.fromMs = nowMs;
      flood.count = 0;
    }
    if (++flood.count !== floodFrom) return;
    const summary =
      "the neighbor asks for all routes faster than they are sent: requests are answered together";
    const facts = { joined: String(record.refreshesJoined) };
    this.host.event("cairn.bgp.refresh.flood", objectOf(record), 2, summary, facts);
  }

  resend(record: NeighborRecord, family: Family): void {
    const group = record.groups[family.index];
    if (!group) return;
    const bit = 1 << family.index;
    if ((record.refreshing & bit) !== 0 || !record.endOfRibSent[family.index]) {
      record.refreshAgain |= bit;
      return;
    }
    record.refreshing |= bit;
    if (record.negotiated?.enhancedRefresh) this.host.mark(record, family, RefreshSubtype.begin);
    group.resend(record.id);
  }

  /** The neighbor has got everything: of the first sync, or of a refresh. */
  ended(record: NeighborRecord, group: UpdateGroup): void {
    const { family } = group.table;
    const bit = 1 << family.index;
    if ((record.refreshing & bit) !== 0 && record.negotiated?.enhancedRefresh) {
      this.host.mark(record, family, RefreshSubtype.end);
    } else this.host.send(record, group.endOfRib());
    record.refreshing &= ~bit;
    record.endOfRibSent[family.index] = true;
    this.host.stateChanged(record);
    if ((record.refreshAgain & bit) === 0) return;
    record.refreshAgain &= ~bit;
    this.resend(record, family);
  }
}
