/** Policy: ordered statements over the sets. What a statement may say is known where policies are compiled. */
import type { Message } from "@bufbuild/protobuf";
import type { Problem } from "../../base/problem.ts";
import type { PolicySpec } from "../../gen/cairn/v1/policy_service_pb.ts";
import { builtinPolicies } from "../../policy/builtins.ts";
import { canonicalisePolicy } from "../../policy/canonical.ts";
import { checkCalls, validatePolicy } from "../../policy/validate.ts";
import { policyWarnings } from "../../policy/warnings.ts";
import type { KindRules, SpecLookup } from "./rules.ts";

export const policyRules: KindRules = {
  // A policy may call too deep because one that it calls has grown.
  inherits: ["Policy"],
  canonicalise: (message: Message) => canonicalisePolicy(message as PolicySpec),
  builtins: new Map<string, Message>(builtinPolicies.map((policy) => [policy.name, policy])),
  check(message: Message, lookup: SpecLookup): Problem[] {
    const spec = message as PolicySpec;
    const policy = (name: string): PolicySpec | undefined => lookup("Policy", name) as PolicySpec | undefined;
    const problems = [...validatePolicy(spec), ...checkCalls(spec, policy)];
    return problems.length > 0 ? problems : policyWarnings(spec, lookup);
  },
};
