/** Policies that exist without being declared. Their names cannot be taken. */
import { create } from "@bufbuild/protobuf";
import type { PolicySpec } from "../gen/cairn/v1/policy_service_pb.ts";
import { PolicyAction, PolicySpecSchema } from "../gen/cairn/v1/policy_service_pb.ts";

export const builtinPolicies: readonly PolicySpec[] = [
  create(PolicySpecSchema, {
    name: "accept-all",
    description: "Accepts every route unchanged",
    defaultAction: PolicyAction.ACCEPT,
  }),
  create(PolicySpecSchema, {
    name: "reject-all",
    description: "Rejects every route",
    defaultAction: PolicyAction.REJECT,
  }),
];

export function isBuiltinPolicy(name: string): boolean {
  return builtinPolicies.some((policy) => policy.name === name);
}
