/** Policy: ordered statements over the sets. What a statement may say is known where policies are compiled. */
import type { Message } from "@bufbuild/protobuf";
import type { Problem } from "../../base/problem.ts";
import type { PolicySpec } from "../../gen/cairn/v1/policy_service_pb.ts";
import { builtinPolicies } from "../../policy/builtins.ts";
import { canonicalisePolicy } from "../../policy/canonical.ts";
import { checkCalls, validatePolicy } from "../../policy/validate.ts";
import type { KindRules, SpecLookup } from "./rules.ts";

export const policyRules: KindRules = {
  canonicalise: (message: Message) => canonicalisePolicy(message as PolicySpec),
  builtins: new Map<string, Message>(builtinPolicies.map((policy) => [policy.name, policy])),
  check(message: Message, lookup: SpecLookup): Problem[] {
    const spec = message as PolicySpec;
    const policy = (name: string): PolicySpec | undefined => lookup("Policy", name) as PolicySpec | undefined;
    return [...validatePolicy(spec), ...checkCalls(spec, policy)];
  },
};
