/** Policy: ordered statements over the sets. */
import type { Message } from "@bufbuild/protobuf";
import type { Problem } from "../../base/problem.ts";
import type { Match, PolicySpec, Statement } from "../../gen/cairn/v1/policy_service_pb.ts";
import { builtinPolicies } from "../../policy/builtins.ts";
import { checkPrefixRules } from "./prefix-rule.ts";
import { duplicates, invalid, type KindRules } from "./rules.ts";

export const policyRules: KindRules = {
  builtins: new Map<string, Message>(builtinPolicies.map((policy) => [policy.name, policy])),
  check(message: Message): Problem[] {
    const spec = message as PolicySpec;
    const names = spec.statements.map((statement) => statement.name).filter((name) => name !== "");
    return [
      ...duplicates("statements", names, "statement"),
      ...spec.statements.flatMap((statement, i) => checkStatement(`statements[${i}]`, statement)),
    ];
  },
};

function checkStatement(path: string, statement: Statement): Problem[] {
  const problems = statement.match ? checkMatch(`${path}.match`, statement.match) : [];
  if (statement.set?.medRemove && statement.set.med !== undefined) {
    problems.push(invalid(`${path}.set.med_remove`, "med_remove and med exclude each other"));
  }
  return problems;
}

const routeTypes = ["local", "internal", "external"];

function checkMatch(path: string, match: Match): Problem[] {
  const problems = checkPrefixRules(`${path}.prefixes`, match.prefixes);
  const order = (name: string, ge: number | undefined, le: number | undefined): void => {
    if (ge === undefined || le === undefined || ge <= le) return;
    problems.push(
      invalid(
        `${path}.${name}_ge`,
        `${name}_ge ${ge} is greater than ${name}_le ${le}, so nothing can match`,
      ),
    );
  };
  order("as_path_length", match.asPathLengthGe, match.asPathLengthLe);
  order("local_pref", match.localPrefGe, match.localPrefLe);
  order("med", match.medGe, match.medLe);
  match.routeTypes.forEach((type, i) => {
    if (routeTypes.includes(type)) return;
    problems.push(
      invalid(
        `${path}.route_types[${i}]`,
        `"${type}" is not a route type`,
        `one of ${routeTypes.join(", ")}`,
      ),
    );
  });
  return problems;
}
