/** Which refused routes of a neighbor are kept, to be seen and to be looked at again. */
import { limits } from "../base/limits.ts";
import type { RouteTable } from "../rib/route-table.ts";
import type { NeighborRecord } from "./neighbor-record.ts";

/**
 * All of them with soft reconfiguration, and where policy asks for states of validation: a change of these must not need
 * the routes to be sent again (RFC 9324 4). Else the first `limits.rejectedKeptMax` of a family, so that an
 * operator sees what is refused and why.
 * @param wasRejected the path is in the table as a refused one
 */
export function keepsRejected(
  { id, config, importProgram }: NeighborRecord,
  table: RouteTable,
  wasRejected: boolean,
): boolean {
  if (config.softReconfiguration) return true;
  if (importProgram?.chain.readsRpki || importProgram?.chain.readsAspa) return true;
  const others = table.received[id] - table.accepted[id] - Number(wasRejected);
  return others < limits.rejectedKeptMax;
}
