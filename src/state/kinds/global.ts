/** Global: the speaker's own identity. */
import type { Message } from "@bufbuild/protobuf";
import { limits } from "../../base/limits.ts";
import { nearestName, type Problem } from "../../base/problem.ts";
import type { Confederation, GlobalSpec } from "../../gen/cairn/v1/global_service_pb.ts";
import { stepNames } from "../../rib/best-path.ts";
import { duplicates, invalid, type KindRules, prefixesOnly } from "./rules.ts";
import { checkAsn, checkDamping, checkHoldTime } from "./session-fields.ts";

export const globalRules: KindRules = {
  permanent: true,
  check(message: Message): Problem[] {
    const spec = message as GlobalSpec;
    return [
      ...checkAsn("asn", spec.asn),
      ...checkHoldTime("hold_time", spec.holdTime),
      ...checkConfederation(spec.confederation),
      ...duplicates("listen", spec.listen, "address"),
      ...checkDamping(spec.damping),
      ...checkFiles(spec.rpki),
      ...checkSteps(spec.bestPath?.steps ?? []),
      ...duplicates(
        "multipath",
        spec.multipath.map(({ family }) => family),
        "address family",
      ),
      ...prefixesOnly(
        "multipath",
        spec.multipath.map(({ family }) => family),
        "forwarding over several paths",
      ),
    ];
  },
};

function checkConfederation(confederation: Confederation | undefined): Problem[] {
  if (!confederation) return [];
  const { identifier, memberAses } = confederation;
  const path = "confederation.member_ases";
  return [
    ...checkAsn("confederation.identifier", identifier),
    ...memberAses.flatMap((asn, i) => checkAsn(`${path}[${i}]`, asn)),
    ...duplicates(path, memberAses.map(String), "member AS"),
    ...(memberAses.includes(identifier)
      ? [invalid(path, `${identifier} is the AS of the confederation itself, not of a member`)]
      : []),
  ];
}

function checkFiles(rpki: GlobalSpec["rpki"]): Problem[] {
  if (!rpki) return [];
  const { files, slurm } = rpki;
  const problems = [
    ...duplicates("rpki.files", files, "file"),
    ...duplicates("rpki.slurm", slurm, "file"),
    ...slurm
      .filter((path) => files.includes(path))
      .map((path) => invalid("rpki.slurm", `${path} is listed as a file of VRPs too`)),
  ];
  for (const [name, list] of [
    ["files", files],
    ["slurm", slurm],
  ] as const) {
    if (list.length <= limits.rpkiFilesMax) continue;
    const message = `${list.length} files, at most ${limits.rpkiFilesMax} are possible`;
    problems.push({ code: "LIMIT", path: `rpki.${name}`, message });
  }
  return problems;
}

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
