/**
 * FirewallZone: links that are treated alike. The chains are, in the order of their groups: what belongs to flows that were
 * let through; what the daemon needs itself; rules; policies; what the roles of zones say; the end, which drops. What no
 * zone owns alone stands with the zone that is the first by name.
 */
import type { Message } from "@bufbuild/protobuf";
import type { Problem } from "../../base/problem.ts";
import { FirewallRole, type FirewallZoneSpec } from "../../gen/cairn/v1/firewall_kinds_pb.ts";
import { deviceOf } from "../interface/kind.ts";
import { type Derivation, invalid, type ResourceKind, type Surroundings } from "../kind.ts";
import { links, NftGroups, orderOf, rule } from "../nft/expressions.ts";
import { clampMss } from "./clamp.ts";
import { checkLog, logging } from "./logging.ts";
import { openingsText, openNeeds } from "./needs.ts";
import { firewallSteps } from "./steps.ts";

/** Neighbor discovery and group membership, without which IPv6 does not work on a link (RFC 4890, 4.4.1). */
const discovery = [
  "nd-router-solicit",
  "nd-router-advert",
  "nd-neighbor-solicit",
  "nd-neighbor-advert",
  "mld-listener-query",
  "mld-listener-report",
  "mld-listener-done",
  "mld2-listener-report",
];

export const firewallZoneKind: ResourceKind = {
  kind: "FirewallZone",
  check(message: Message): Problem[] {
    const spec = message as FirewallZoneSpec;
    const problems = checkLog(spec);
    if (roleNames[spec.role] === undefined) problems.push(invalid("role", `there is no role ${spec.role}`));
    if (spec.mss !== undefined && !spec.clampMss)
      problems.push(invalid("mss", "the MSS is not lowered here", "set clamp_mss"));
    return problems;
  },

  derive(message: Message, around: Surroundings): Derivation {
    const spec = message as FirewallZoneSpec;
    const groups = new NftGroups(`FirewallZone/${spec.name}`, spec);
    const zones = [...around.names("FirewallZone")].sort();
    const opened = zones[0] === spec.name ? baseGroups(groups, around) : "";
    const devices = devicesOf(spec.name, around);
    if (devices.length > 0) {
      roleGroups(groups, spec, devices, zones, around);
      logGroups(groups, spec, devices);
    }
    const mss = clampMss(groups, spec, devices, around);
    const values = {
      role: roleNames[spec.role],
      interfaces: devices.join(" "),
      ...(opened !== "" && { opened }),
      ...(mss !== "" && { mss }),
    };
    const { artifacts } = groups;
    const pending = waiting(spec, devices, zones, around);
    return { artifacts, values, ...(pending && { pending }) };
  },
};

const roleNames: Readonly<Record<number, string>> = {
  [FirewallRole.UNSPECIFIED]: "untrust",
  [FirewallRole.UNTRUST]: "untrust",
  [FirewallRole.TRUST]: "trust",
  [FirewallRole.MANAGEMENT]: "management",
};

/** Names in the kernel of the links of a zone, sorted. */
export function devicesOf(zone: string, around: Surroundings): string[] {
  const spec = around.spec("FirewallZone", zone) as FirewallZoneSpec | undefined;
  return [...new Set((spec?.interfaces ?? []).map((name) => deviceOf(name, around)))].sort();
}

function waiting(
  { name }: FirewallZoneSpec,
  devices: readonly string[],
  zones: readonly string[],
  around: Surroundings,
): Derivation["pending"] {
  for (const other of zones) {
    if (other === name) continue;
    const shared = devicesOf(other, around).find((device) => devices.includes(device));
    if (shared === undefined) continue;
    const message = `link ${shared} is also in zone ${other}, and what either lets through passes`;
    return { reason: "ZONES_OVERLAP", message };
  }
  const missing = devices.find((device) => !around.link(device));
  return missing === undefined
    ? undefined
    : { reason: "DEVICE_MISSING", message: `link ${missing} is not there` };
}

/** Tells of what is left for the end to drop. */
function logGroups(groups: NftGroups, spec: FirewallZoneSpec, devices: readonly string[]): void {
  if (!spec.log) return;
  const mark = { action: "drop", owner: `FirewallZone/${spec.name}` };
  const told = rule(links("iifname", devices), logging(spec, mark));
  for (const chain of ["input", "forward"]) groups.rules(chain, orderOf(firewallSteps.logs, 0), [told]);
}

/** What the role of a zone lets through. */
function roleGroups(
  groups: NftGroups,
  spec: FirewallZoneSpec,
  devices: readonly string[],
  zones: readonly string[],
  around: Surroundings,
): void {
  const role = roleNames[spec.role];
  if (role === "untrust") return;
  const from = links("iifname", devices);
  groups.rules("input", orderOf(firewallSteps.roles, 0), [rule(from, "counter accept")]);
  const to = reachedFrom(spec, zones, around).flatMap((zone) => devicesOf(zone, around));
  groups.rules("forward", orderOf(firewallSteps.roles, 0), [
    rule(from, links("oifname", to), "counter accept"),
  ]);
}

/** Zones to which the role of this one lets flows begin. */
export function reachedFrom(
  { role }: FirewallZoneSpec,
  zones: readonly string[],
  around: Surroundings,
): string[] {
  const own = roleName(role);
  if (own === "untrust") return [];
  return zones.filter((zone) => {
    const other = roleName((around.spec("FirewallZone", zone) as FirewallZoneSpec).role);
    return own === "management" || other !== "management";
  });
}

export function roleName(role: FirewallRole): string {
  return roleNames[role] ?? "untrust";
}

/**
 * What stands before and behind all rules.
 * @returns what is open for the daemon itself, for people
 */
function baseGroups(groups: NftGroups, around: Surroundings): string {
  const { flows, end } = firewallSteps;
  const started = ["ct state established,related counter accept", "ct state invalid counter drop"];
  groups.rules("input", orderOf(flows, 0), [
    ...started,
    `iifname "lo" counter accept`,
    `icmpv6 type { ${discovery.join(", ")} } counter accept`,
  ]);
  // A forwarded port was declared; it needs no rule besides.
  groups.rules("forward", orderOf(flows, 0), [...started, "ct status dnat counter accept"]);
  for (const chain of ["input", "forward"]) groups.rules(chain, orderOf(end, 0), ["counter drop"]);
  return openingsText(openNeeds(groups, around));
}
