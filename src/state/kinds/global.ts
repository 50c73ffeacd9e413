/** Global: the speaker's own identity. */
import type { Message } from "@bufbuild/protobuf";
import type { Problem } from "../../base/problem.ts";
import type { GlobalSpec } from "../../gen/cairn/v1/global_service_pb.ts";
import { duplicates, type KindRules } from "./rules.ts";
import { checkAsn, checkHoldTime } from "./session-fields.ts";

export const globalRules: KindRules = {
  permanent: true,
  check(message: Message): Problem[] {
    const spec = message as GlobalSpec;
    return [
      ...checkAsn("asn", spec.asn),
      ...checkHoldTime("hold_time", spec.holdTime),
      ...duplicates("listen", spec.listen, "address"),
      ...duplicates("best_path.steps", spec.bestPath?.steps ?? [], "step"),
    ];
  },
};
