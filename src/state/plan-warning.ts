/** Warnings of a check in the form in which plans and answers tell them. */
import { create } from "@bufbuild/protobuf";
import { formatProblem, type Problem } from "../base/problem.ts";
import { type PlanWarning, PlanWarningSchema } from "../gen/cairn/v1/config_service_pb.ts";
import { kinds } from "./kinds.ts";
import { fieldNamed } from "./schema.ts";

/** `Policy/transit.in.statements[3]: no route gets here` as the object and what is said of it. */
export function planWarning(problem: Problem): PlanWarning {
  const { object, field } = splitPath(problem.path);
  return create(PlanWarningSchema, {
    code: problem.code,
    object,
    message: formatProblem({ ...problem, path: field }),
  });
}

/** Names may hold dots, so the field begins at the first one after which a field of the kind stands. */
function splitPath(path: string): { object: string; field: string } {
  const desc = kinds.get(path.slice(0, path.indexOf("/")))?.desc;
  for (let dot = path.indexOf("."); desc && dot > 0; dot = path.indexOf(".", dot + 1)) {
    const name = /^[a-z_]+/.exec(path.slice(dot + 1))?.[0] ?? "";
    if (fieldNamed(desc, name)) return { object: path.slice(0, dot), field: path.slice(dot + 1) };
  }
  return { object: path, field: "" };
}
