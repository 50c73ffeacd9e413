/** The one form of what can be said in two: parts of a statement that ask for nothing, or do nothing, are left out. */
import { type Message, type MessageShape, toBinary } from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import { MatchSchema, type PolicySpec, SetActionsSchema } from "../gen/cairn/v1/policy_service_pb.ts";

/** Changes the spec in place. */
export function canonicalisePolicy(spec: PolicySpec): void {
  for (const statement of spec.statements) {
    if (statement.match && isEmpty(MatchSchema, statement.match.not)) statement.match.not = undefined;
    if (isEmpty(MatchSchema, statement.match)) statement.match = undefined;
    if (isEmpty(SetActionsSchema, statement.set)) statement.set = undefined;
  }
}

function isEmpty<M extends Message>(schema: GenMessage<M>, message: MessageShape<GenMessage<M>> | undefined) {
  return message !== undefined && toBinary(schema, message).length === 0;
}
