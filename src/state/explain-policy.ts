/** Explanations of policy as messages. */
import { create } from "@bufbuild/protobuf";
import {
  type ExplainedGate,
  ExplainedGateSchema,
  type ExplainedStatement,
  ExplainedStatementSchema,
} from "../gen/cairn/v1/rib_service_pb.ts";
import type { Explanation } from "../policy/explain.ts";

export function gateMessage(name: string, passed: boolean, text: string): ExplainedGate {
  return create(ExplainedGateSchema, { name, passed, text });
}

export function statementMessages(explanation: Explanation | undefined): ExplainedStatement[] {
  return (explanation?.steps ?? []).map((step) =>
    create(ExplainedStatementSchema, {
      policy: step.policy,
      statement: step.statement,
      name: step.name,
      matched: step.matched,
      conditions: step.conditions.map(({ field, text, holds }) => ({ field, wants: text, holds })),
      changes: [...step.changes],
    }),
  );
}
