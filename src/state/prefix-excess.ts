/**
 * Prefix limits that drop the excess: which paths of a neighbor stand and which are kept out. Whoever is inside stays
 * inside; a path that is kept out comes in when there is room and it is looked at again.
 */
import { RejectReason } from "../rib/path-flags.ts";
import type { RouteTable } from "../rib/route-table.ts";
import type { Family } from "../wire/family.ts";
import type { NeighborRecord } from "./neighbor-record.ts";

/** A limit of this neighbor keeps routes of the family out instead of ending the session. */
export function dropsExcess({ config }: NeighborRecord, family: Family): boolean {
  return (
    config.prefixLimits[family.index]?.action === "drop" ||
    config.acceptedLimits[family.index]?.action === "drop"
  );
}

export function isLimit(reason: RejectReason): boolean {
  return reason === RejectReason.prefixLimit || reason === RejectReason.acceptedLimit;
}

/**
 * Why a path is refused once limits have had their say.
 * @param was why it was refused until now, `none` when it stood; undefined for a path that is new
 * @param reason why checks and policy refuse it, `none` when they let it in
 */
export function limitReason(
  { id, config }: NeighborRecord,
  table: RouteTable,
  was: RejectReason | undefined,
  reason: RejectReason,
): RejectReason {
  const { index } = table.family;
  const before = config.prefixLimits[index];
  if (before?.action === "drop") {
    const inside = table.received[id] - table.overReceived[id];
    const isInside = was !== undefined && was !== RejectReason.prefixLimit;
    if (isInside ? inside > before.max : inside >= before.max) return RejectReason.prefixLimit;
  }
  if (reason !== RejectReason.none) return reason;
  const after = config.acceptedLimits[index];
  if (after?.action === "drop") {
    const accepted = table.accepted[id];
    if (was === RejectReason.none ? accepted > after.max : accepted >= after.max)
      return RejectReason.acceptedLimit;
  }
  return RejectReason.none;
}

/** More paths stand than a limit allows, as after the limit was lowered. */
export function isOver({ id, config }: NeighborRecord, table: RouteTable): boolean {
  const { index } = table.family;
  const [before, after] = [config.prefixLimits[index], config.acceptedLimits[index]];
  return (
    (before?.action === "drop" && table.received[id] - table.overReceived[id] > before.max) ||
    (after?.action === "drop" && table.accepted[id] > after.max)
  );
}

/** Paths are kept out, here or at the neighbor, that would have room now. */
export function hasRoom({ id, config, limitSkipped }: NeighborRecord, table: RouteTable): boolean {
  const { index } = table.family;
  const isSkipped = limitSkipped[index];
  if (!isSkipped && table.overReceived[id] === 0 && table.overAccepted[id] === 0) return false;
  const [before, after] = [config.prefixLimits[index], config.acceptedLimits[index]];
  const inside = table.received[id] - table.overReceived[id];
  const roomBefore = before?.action !== "drop" || inside < before.max;
  const roomAfter = after?.action !== "drop" || table.accepted[id] < after.max;
  if (isSkipped) return roomBefore && roomAfter;
  return (table.overReceived[id] > 0 && roomBefore) || (table.overAccepted[id] > 0 && roomAfter);
}
