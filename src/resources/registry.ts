/** All kinds of router resources, by name. */
import { addressSetKind } from "./address-set/kind.ts";
import { egressRoutePolicyKind } from "./egress-route-policy/kind.ts";
import { fibTableKind } from "./fib-table/kind.ts";
import { firewallPolicyKind, firewallRuleKind } from "./firewall/rules.ts";
import { firewallZoneKind } from "./firewall/zone.ts";
import { flowSpecFilterKind } from "./flow-spec-filter/kind.ts";
import { healthCheckKind } from "./health-check/kind.ts";
import { interfaceKind } from "./interface/kind.ts";
import type { ResourceKind } from "./kind.ts";
import { nat44RuleKind } from "./nat44-rule/kind.ts";
import { redistributeKind } from "./redistribute/kind.ts";
import { ipv4RouteKind, ipv6RouteKind } from "./route/kind.ts";
import { ipv4StaticAddressKind, ipv6StaticAddressKind } from "./static-address/kind.ts";
import { sysctlKind } from "./sysctl/kind.ts";
import { sysctlProfileKind } from "./sysctl-profile/kind.ts";

export const resourceKinds: ReadonlyMap<string, ResourceKind> = new Map(
  [
    interfaceKind,
    ipv4StaticAddressKind,
    ipv6StaticAddressKind,
    ipv4RouteKind,
    ipv6RouteKind,
    sysctlKind,
    sysctlProfileKind,
    addressSetKind,
    nat44RuleKind,
    firewallZoneKind,
    firewallPolicyKind,
    firewallRuleKind,
    fibTableKind,
    flowSpecFilterKind,
    egressRoutePolicyKind,
    healthCheckKind,
    redistributeKind,
  ].map((each) => [each.kind, each]),
);
