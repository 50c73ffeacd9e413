/** MrtDump: files of one kind, written again and again. */
import type { Message } from "@bufbuild/protobuf";
import type { Problem } from "../../base/problem.ts";
import { MrtContent, type MrtDumpSpec } from "../../gen/cairn/v1/mrt_service_pb.ts";
import { expandName, nameFault } from "../../mrt/file-name.ts";
import { durationMs } from "../schema.ts";
import { invalid, type KindRules } from "./rules.ts";

/** Update files begin anew this often unless told otherwise. */
export const updatesIntervalMs = 300_000;

export const mrtDumpRules: KindRules = {
  check(message: Message): Problem[] {
    const spec = message as MrtDumpSpec;
    if (spec.path === "") return [];
    const fault = nameFault(spec.path);
    if (fault) return [invalid("path", fault.message, fault.fix)];
    if (spec.path.endsWith(".part")) {
      return [invalid("path", "files that are not complete yet end with .part", "choose another ending")];
    }
    if (spec.content !== MrtContent.UPDATES) return [];
    const intervalMs = durationMs(spec.interval) || updatesIntervalMs;
    const first = Date.UTC(2026, 0, 1);
    if (expandName(spec.path, first) !== expandName(spec.path, first + intervalMs)) return [];
    const text = `files of updates follow each other every ${intervalMs / 1000} s and would all have the same name`;
    return [invalid("path", text, "put the time into it: updates.%Y%m%d.%H%M%S.gz")];
  },
};
