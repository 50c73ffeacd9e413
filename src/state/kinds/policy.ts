/** Policy: ordered statements over the sets. What a statement may say is known where policies are compiled. */
import type { Message } from "@bufbuild/protobuf";
import type { PolicySpec } from "../../gen/cairn/v1/policy_service_pb.ts";
import { builtinPolicies } from "../../policy/builtins.ts";
import { validatePolicy } from "../../policy/validate.ts";
import type { KindRules } from "./rules.ts";

export const policyRules: KindRules = {
  builtins: new Map<string, Message>(builtinPolicies.map((policy) => [policy.name, policy])),
  check: (message: Message) => validatePolicy(message as PolicySpec),
};
