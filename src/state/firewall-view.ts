/** The firewall as a whole, for FirewallService. */
import { create } from "@bufbuild/protobuf";
import type { FirewallZoneSpec } from "../gen/cairn/v1/firewall_kinds_pb.ts";
import { type GetFirewallResponse, GetFirewallResponseSchema } from "../gen/cairn/v1/firewall_service_pb.ts";
import { openingsOf } from "../resources/firewall/needs.ts";
import { devicesOf, reachedFrom, roleName } from "../resources/firewall/zone.ts";
import type { Surroundings } from "../resources/kind.ts";
import type { FirewallLogState } from "./firewall-log.ts";

export function firewallMessage(around: Surroundings, log: FirewallLogState): GetFirewallResponse {
  const names = [...around.names("FirewallZone")].sort();
  const zones = names.map((name) => {
    const spec = around.spec("FirewallZone", name) as FirewallZoneSpec;
    const role = roleName(spec.role);
    const reaches = [...(role === "untrust" ? [] : ["host"]), ...reachedFrom(spec, names, around)];
    return { name, role, links: devicesOf(name, around), reaches };
  });
  const { told, dropped, ...rest } = log;
  return create(GetFirewallResponseSchema, {
    zones,
    openings: names.length === 0 ? [] : openingsOf(around),
    log: { ...rest, told: BigInt(told), dropped: BigInt(dropped) },
  });
}
