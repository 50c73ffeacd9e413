/** The first questions of every explanation: is there a session, does it carry the family, is there such a prefix. */
import { states } from "../fsm/session.ts";
import type { ExplainedGate } from "../gen/cairn/v1/rib_service_pb.ts";
import type { RouteTable } from "../rib/route-table.ts";
import type { Family } from "../wire/family.ts";
import type { Core } from "./core.ts";
import { gateMessage } from "./explain-policy.ts";
import type { NeighborRecord } from "./neighbor-record.ts";
import { prefixText } from "./route-message.ts";
import type { RouteName } from "./route-name.ts";

/** Up to the one that stops all routes of the family between us and the neighbor. */
export function sessionGates(core: Core, record: NeighborRecord, family: Family): ExplainedGate[] {
  const { negotiated, config } = record;
  if (!negotiated) return [gateMessage("session", false, noSession(core, record))];
  const up = gateMessage("session", true, "the session is Established");
  if ((negotiated.families & (1 << family.index)) !== 0) {
    return [up, gateMessage("family", true, `${family.name} is negotiated`)];
  }
  const why = config.families.includes(family)
    ? "the neighbor did not offer it"
    : "it is not among the families of this neighbor here";
  return [up, gateMessage("family", false, `${family.name} is not negotiated: ${why}`)];
}

function noSession(core: Core, record: NeighborRecord): string {
  const { sessionState, status, lastResetReason, adminDown } = core.sessions.state(
    record.id,
    core.nowMs,
    core.wallMs,
  );
  const why = adminDown
    ? "it is shut down"
    : status || (lastResetReason && `it ended with: ${lastResetReason}`);
  return `there is no session (${states[sessionState - 1]})${why ? `: ${why}` : ""}`;
}

/** Why there is no path to a prefix, with the one that covers it; or none with a rule. */
export function noPath(table: RouteTable, { bytes, length }: RouteName): string {
  if (table.rules) return "there is no path with this rule at all";
  const covering = table.prefixes.longestMatch(bytes, length, (row) => table.bestOf(row) !== 0);
  const more =
    covering === 0 ? ", and none that covers it" : `; ${prefixText(table.prefixes, covering)} covers it`;
  return `there is no path to it at all${more}`;
}
