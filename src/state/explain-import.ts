/** What became of a route that a neighbor sent, or why there is none. Told by the code that decides (importer.ts). */
import { create } from "@bufbuild/protobuf";
import { limits } from "../base/limits.ts";
import type { Result } from "../base/problem.ts";
import {
  type ExplainedGate,
  type ExplainImportResponse,
  ExplainImportResponseSchema,
} from "../gen/cairn/v1/rib_service_pb.ts";
import { RejectReason, rejectReasonText } from "../rib/path-flags.ts";
import type { RouteTable } from "../rib/route-table.ts";
import type { Core } from "./core.ts";
import { gateMessage, statementMessages } from "./explain-policy.ts";
import { sessionGates } from "./explain-session.ts";
import type { ImportStory } from "./import-story.ts";
import type { NeighborRecord } from "./neighbor-record.ts";
import { keepsRejected } from "./rejected.ts";
import { routeMessage } from "./route-batch.ts";
import { parseRouteName } from "./route-name.ts";
import { validationOf } from "./rpki-view.ts";

/** @param importer explains a path: checks, then policy */
export function explainImport(
  core: Core,
  neighbor: string,
  prefix: string,
  pathId: number,
  of = "",
): Result<ExplainImportResponse> {
  const record = core.neighbors.named(neighbor);
  if (!record) {
    const message = `there is no neighbor ${neighbor}`;
    return { ok: false, problems: [{ code: "NOT_FOUND", path: "neighbor", message }] };
  }
  const name = parseRouteName(prefix, of, "prefix");
  if (!name.ok) return name;
  const { value: parsed } = name;
  const { routing } = core;
  const table = routing.table(parsed.family);
  const { family, paths } = table;
  const row = table.prefixes.find(parsed.bytes, 0, parsed.length);
  const path = row === 0 ? 0 : table.find(record.id, row, pathId);
  const response = create(ExplainImportResponseSchema, { neighbor, prefix, received: path !== 0 });
  const gates: ExplainedGate[] = [];
  response.chain = [...record.config.importPolicies];
  if (path === 0) {
    gates.push(...sessionGates(core, record, family));
    if (gates.every(({ passed }) => passed)) {
      gates.push(gateMessage("received", false, notReceived(record, table, row, pathId)));
    }
    response.gates = gates;
    response.summary = `${neighbor} has no route to ${prefix} here: ${gates[gates.length - 1].text}`;
    return { ok: true, value: response };
  }
  const nowS = Math.floor(core.wallMs / 1000);
  response.route = routeMessage(routing, table, path, paths.received[path], nowS);
  if (!table.rules) response.validation = validationOf(core, table, path);
  const story = core.importer.explain(record, table, path);
  for (const { name, passes, reason, passed } of story.gates) {
    const text = name === "policy" ? policyText(story) : passed ? passes : refusal(story, reason);
    gates.push(gateMessage(name, passed, text));
  }
  for (const text of story.changes) gates.push(gateMessage("after-policy", true, text));
  response.gates = gates;
  response.statements = statementMessages(story.policy);
  response.accepted = story.accepted;
  response.decidedBy = story.decidedBy;
  if (story.accepted && paths.eligible(path)) {
    response.result = routeMessage(routing, table, path, paths.attr[path], nowS);
    response.best = table.bestOf(row) === path;
  }
  response.summary = `${prefix} from ${neighbor} is ${summary(response, table, path)}`;
  return { ok: true, value: response };
}

function summary(
  { accepted, best, decidedBy }: ExplainImportResponse,
  table: RouteTable,
  path: number,
): string {
  const joint = /^(policy |end of chain)/.test(decidedBy) ? " by " : ": ";
  const verdict = `${accepted ? "accepted" : "rejected"}${joint}${decidedBy}`;
  if (accepted !== table.paths.eligible(path)) return `${verdict}; the table is about to catch up`;
  return accepted ? `${verdict}; it is ${best ? "" : "not "}the best path` : verdict;
}

function notReceived(record: NeighborRecord, table: RouteTable, row: number, pathId: number): string {
  const id = pathId === 0 ? "" : ` with path id ${pathId}`;
  const others = row === 0 || table.head[row] === 0 ? "" : "; others have";
  const dropped = keepsRejected(record, table, false)
    ? ""
    : `, or it was refused and is not kept: of refused routes ${limits.rejectedKeptMax} are, as soft_reconfiguration is off`;
  return `the neighbor has not announced it${id}${others}${dropped}`;
}

/** What is looked at again is told of in more detail than by the check's text. */
function refusal({ decidedBy }: ImportStory, reason: RejectReason): string {
  const told: readonly RejectReason[] = [
    RejectReason.nextHop,
    RejectReason.damped,
    RejectReason.flowValidation,
  ];
  return told.includes(reason) ? decidedBy : rejectReasonText[reason];
}

function policyText({ policy }: ImportStory): string {
  if (!policy) return "no import policy: everything is accepted";
  return `${policy.accepted ? "accepted" : "rejected"} by ${policy.reason}`;
}
