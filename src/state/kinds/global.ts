/** Global: the speaker's own identity. */
import type { Message } from "@bufbuild/protobuf";
import { nearestName, type Problem } from "../../base/problem.ts";
import type { GlobalSpec } from "../../gen/cairn/v1/global_service_pb.ts";
import { stepNames } from "../../rib/best-path.ts";
import { duplicates, invalid, type KindRules } from "./rules.ts";
import { checkAsn, checkHoldTime } from "./session-fields.ts";

export const globalRules: KindRules = {
  permanent: true,
  check(message: Message): Problem[] {
    const spec = message as GlobalSpec;
    return [
      ...checkAsn("asn", spec.asn),
      ...checkHoldTime("hold_time", spec.holdTime),
      ...duplicates("listen", spec.listen, "address"),
      ...checkSteps(spec.bestPath?.steps ?? []),
    ];
  },
};

function checkSteps(steps: readonly string[]): Problem[] {
  const known: readonly string[] = stepNames;
  const problems = duplicates("best_path.steps", steps, "step");
  steps.forEach((step, i) => {
    if (known.includes(step)) return;
    const near = nearestName(step, known);
    const fix = near ? `did you mean ${near}` : `one of ${known.join(", ")}`;
    problems.push(invalid(`best_path.steps[${i}]`, `"${step}" is not a step of the best path`, fix));
  });
  return problems;
}
