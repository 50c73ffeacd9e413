/** BmpCollector: a station that is told of sessions and routes. */
import type { Message } from "@bufbuild/protobuf";
import type { Problem } from "../../base/problem.ts";
import type { BmpCollectorSpec } from "../../gen/cairn/v1/bmp_service_pb.ts";
import { durationMs } from "../schema.ts";
import { invalid, type KindRules } from "./rules.ts";
import { stationProblems } from "./station.ts";

/** RFC 7854 3.2: how long to wait after a connection failed. */
export const retryDefaultMs = { first: 30_000, longest: 720_000 };

export const bmpCollectorRules: KindRules = {
  check(message: Message): Problem[] {
    const spec = message as BmpCollectorSpec;
    const problems = stationProblems(spec);
    const first = durationMs(spec.retry) || retryDefaultMs.first;
    const longest = durationMs(spec.maxRetry) || retryDefaultMs.longest;
    if (longest < first)
      problems.push(invalid("max_retry", `is shorter than the first wait of ${first / 1000} s`));
    return problems;
  },
};
