/** RpkiCache: a cache that VRPs and ASPAs come from. */
import type { Message } from "@bufbuild/protobuf";
import type { Problem } from "../../base/problem.ts";
import type { RpkiCacheSpec } from "../../gen/cairn/v1/rpki_service_pb.ts";
import { durationMs } from "../schema.ts";
import { invalid, type KindRules } from "./rules.ts";
import { stationProblems } from "./station.ts";

export const rpkiCacheRules: KindRules = {
  check(message: Message): Problem[] {
    const spec = message as RpkiCacheSpec;
    const problems = stationProblems(spec);
    if (spec.refresh && spec.expire && durationMs(spec.expire) <= durationMs(spec.refresh))
      problems.push(invalid("expire", "data would expire before it is refreshed"));
    return problems;
  },
};
