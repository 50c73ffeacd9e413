/** SysctlProfile: a bundle of settings of the kernel by name. */
import type { Message } from "@bufbuild/protobuf";
import type { Problem } from "../../base/problem.ts";
import type { Artifact } from "../../dataplane/artifact.ts";
import type { SysctlProfileSpec, SysctlSpec } from "../../gen/cairn/v1/host_kinds_pb.ts";
import { artifact, type Derivation, invalid, type ResourceKind, type Surroundings } from "../kind.ts";
import { sysctlValue } from "../sysctl/kind.ts";
import { bundles } from "./bundles.ts";

const overridesMax = 256;

export const sysctlProfileKind: ResourceKind = {
  kind: "SysctlProfile",
  check(message: Message): Problem[] {
    const { profile, overrides } = message as SysctlProfileSpec;
    if (!bundles[profile]) return [invalid("profile", `there is no profile ${profile}`)];
    if (overrides.length > overridesMax) {
      return [invalid("overrides", `${overrides.length} overrides are more than ${overridesMax}`)];
    }
    const seen = new Set<string>();
    return overrides.flatMap(({ key }, i) => {
      const isTwice = seen.has(key);
      seen.add(key);
      const path = `overrides[${i}].key`;
      return isTwice ? [{ code: "DUPLICATE", path, message: `${key} is listed twice` }] : [];
    });
  },

  derive(message: Message, around: Surroundings): Derivation {
    const spec = message as SysctlProfileSpec;
    const settings = settingsOf(spec);
    const left = new Set<string>();
    for (const name of around.names("Sysctl")) {
      const single = around.spec("Sysctl", name) as SysctlSpec | undefined;
      if (single && settings.delete(single.key)) left.add(`Sysctl/${name}`);
    }
    // Of two profiles that agree the first by name has the key.
    for (const name of around.names("SysctlProfile")) {
      if (name >= spec.name) continue;
      const other = around.spec("SysctlProfile", name) as SysctlProfileSpec | undefined;
      for (const [key, value] of other ? settingsOf(other) : [])
        if (settings.get(key) === value) settings.delete(key);
    }
    const artifacts = [...settings].map(
      ([key, value]): Artifact => ({ ...artifact(spec, "sysctl", key, { value }), optional: true }),
    );
    return {
      artifacts,
      values: {
        keys: String(artifacts.length),
        ...(left.size > 0 && { left_to: [...left].sort().join(" ") }),
      },
    };
  },
};

/** Keys and values of a profile with its overrides. */
function settingsOf({ profile, overrides }: SysctlProfileSpec): Map<string, string> {
  const settings = new Map(Object.entries(bundles[profile] ?? {}));
  for (const { key, value } of overrides) {
    if (value === "") settings.delete(key);
    else settings.set(key, sysctlValue(value));
  }
  return settings;
}
