/** Sysctl: one setting of the kernel. */
import type { Message } from "@bufbuild/protobuf";
import type { SysctlSpec } from "../../gen/cairn/v1/host_kinds_pb.ts";
import { artifact, type Derivation, type ResourceKind } from "../kind.ts";

export const sysctlKind: ResourceKind = {
  kind: "Sysctl",
  derive(message: Message): Derivation {
    const spec = message as SysctlSpec;
    // The kernel separates several numbers by tabs.
    const value = spec.value.trim().replace(/\s+/g, " ");
    const wanted = artifact(spec, "sysctl", spec.key, { value });
    return { artifacts: [{ ...wanted, optional: spec.mayBeMissing }] };
  },
};
