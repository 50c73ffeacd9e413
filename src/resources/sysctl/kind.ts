/** Sysctl: one setting of the kernel. */
import type { Message } from "@bufbuild/protobuf";
import type { SysctlSpec } from "../../gen/cairn/v1/host_kinds_pb.ts";
import { artifact, type Derivation, type ResourceKind } from "../kind.ts";

export const sysctlKind: ResourceKind = {
  kind: "Sysctl",
  derive(message: Message): Derivation {
    const spec = message as SysctlSpec;
    const wanted = artifact(spec, "sysctl", spec.key, { value: sysctlValue(spec.value) });
    return { artifacts: [{ ...wanted, optional: spec.mayBeMissing }] };
  },
};

/** As it is compared: the kernel separates several numbers by tabs. */
export function sysctlValue(text: string): string {
  return text.trim().replace(/\s+/g, " ");
}
