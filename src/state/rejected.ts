/** Which refused routes of a neighbor are kept, to be seen and to be looked at again. */
import { limits } from "../base/limits.ts";
import type { RouteTable } from "../rib/route-table.ts";
import type { NeighborRecord } from "./neighbor-record.ts";

/**
 * All of them with soft reconfiguration; without it the first `limits.rejectedKeptMax` of a family, so that an operator
 * sees what is refused and why.
 * @param wasRejected the path is in the table as a refused one
 */
export function keepsRejected(
  { id, config }: NeighborRecord,
  table: RouteTable,
  wasRejected: boolean,
): boolean {
  if (config.softReconfiguration) return true;
  const others = table.received[id] - table.accepted[id] - Number(wasRejected);
  return others < limits.rejectedKeptMax;
}
