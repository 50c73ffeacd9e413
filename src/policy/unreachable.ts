/**
 * Statements that no route can reach, as warnings: what stands after a statement that takes every route, and what asks
 * for nothing that an earlier statement has not taken already. Only what is certain is told.
 */
import { equals } from "@bufbuild/protobuf";
import type { Problem } from "../base/problem.ts";
import type { Match, PolicySpec, Statement } from "../gen/cairn/v1/policy_service_pb.ts";
import { MatchSchema, PolicyAction } from "../gen/cairn/v1/policy_service_pb.ts";

export function unreachableStatements(spec: PolicySpec): Problem[] {
  const warnings: Problem[] = [];
  /** Statements that take all their routes away, while nothing has changed the routes that are left. */
  let takers: { readonly match: Match; readonly position: number }[] = [];
  let all: number | undefined;
  spec.statements.forEach((statement, i) => {
    const warn = (message: string): void => {
      warnings.push({ severity: "warning", code: "INVALID", path: `statements[${i}]`, message });
    };
    const { match } = statement;
    if (all !== undefined) {
      warn(`no route gets here: statement ${all + 1} takes them all`);
      return;
    }
    const same = match && takers.find((taker) => equals(MatchSchema, taker.match, match));
    if (same) {
      warn(`no route matches here: statement ${same.position + 1} takes those already`);
    } else if (takes(statement)) {
      if (asksNothing(match)) all = i;
      else if (match) takers.push({ match, position: i });
    } else if (statement.set || statement.call !== "") takers = [];
  });
  return warnings;
}

function takes({ action }: Statement): boolean {
  return (
    action === PolicyAction.ACCEPT || action === PolicyAction.REJECT || action === PolicyAction.NEXT_POLICY
  );
}

function asksNothing(match: Match | undefined): boolean {
  if (!match) return true;
  return Object.entries(match).every(
    ([field, value]) =>
      field === "$typeName" || value === undefined || (Array.isArray(value) && value.length === 0),
  );
}
