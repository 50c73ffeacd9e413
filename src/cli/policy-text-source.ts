/** A policy text as a change: all of its objects, with their tests, as one transaction. */
import { type DescMessage, type JsonObject, toJson } from "@bufbuild/protobuf";
import { ApplyResponseSchema, ConfigService } from "../gen/cairn/v1/config_service_pb.ts";
import {
  AsnSetSpecSchema,
  AsPathSetSpecSchema,
  CommunitySetSpecSchema,
  NeighborSetSpecSchema,
  NextHopSetSpecSchema,
  PolicySpecSchema,
  PrefixSetSpecSchema,
} from "../gen/cairn/v1/policy_service_pb.ts";
import { renderError } from "../policy/text/lexer.ts";
import { parsePolicyText } from "../policy/text/parse.ts";
import { configGates } from "./config-source.ts";
import type { Context } from "./context.ts";
import { exitCode } from "./exit.ts";
import { mutationFields, tellMutation } from "./mutate.ts";
import type { Invocation } from "./tree.ts";

/** Text files are told from JSON and YAML by this ending. */
export const policyTextEnding = ".policy";

const schemas: readonly DescMessage[] = [
  PolicySpecSchema,
  PrefixSetSpecSchema,
  AsPathSetSpecSchema,
  CommunitySetSpecSchema,
  NeighborSetSpecSchema,
  AsnSetSpecSchema,
  NextHopSetSpecSchema,
];

/** Puts everything in the text. @returns the exit code */
export async function applyPolicyText(
  context: Context,
  invocation: Invocation,
  file: string,
  text: string,
): Promise<number> {
  const { objects, errors } = parsePolicyText(text);
  for (const error of errors) context.note(renderError(text, file, error));
  if (errors.length > 0) return exitCode.failed;
  const put = objects.map(({ kind, spec }) => {
    const schema = schemas.find(({ typeName }) => typeName === spec.$typeName)!;
    return { kind, spec: toJson(schema, spec) as JsonObject };
  });
  const client = await context.client();
  const response = await client.call(ConfigService.method.apply, {
    source: { source: { case: "ops", value: { put } } },
    gates: configGates(invocation),
    ...mutationFields(invocation),
  });
  await tellMutation(context, invocation, ApplyResponseSchema, response);
  return exitCode.ok;
}
