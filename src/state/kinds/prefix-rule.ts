/** Rules for prefixes with length bounds, in sets and inline in policies. */
import { parsePrefix } from "../../base/ip.ts";
import type { Problem } from "../../base/problem.ts";
import type { PrefixRule } from "../../gen/cairn/v1/policy_service_pb.ts";
import { invalid } from "./rules.ts";

/** length <= ge <= le <= bits of an address. */
export function checkPrefixRules(path: string, rules: readonly PrefixRule[]): Problem[] {
  return rules.flatMap((rule, i) => checkPrefixRule(`${path}[${i}]`, rule));
}

function checkPrefixRule(path: string, rule: PrefixRule): Problem[] {
  const prefix = parsePrefix(rule.prefix);
  if (typeof prefix === "string") return [];
  const bits = prefix.bytes.length * 8;
  const problems: Problem[] = [];
  const { ge, le } = rule;
  for (const [name, value] of [["ge", ge] as const, ["le", le] as const]) {
    if (value !== undefined && (value < prefix.length || value > bits)) {
      problems.push(
        invalid(
          `${path}.${name}`,
          `${name} of ${rule.prefix} must be ${prefix.length} to ${bits}, not ${value}`,
        ),
      );
    }
  }
  if (problems.length === 0 && ge !== undefined && le !== undefined && ge > le) {
    problems.push(
      invalid(`${path}.ge`, `ge ${ge} is greater than le ${le}, so ${rule.prefix} can never match`),
    );
  }
  return problems;
}
