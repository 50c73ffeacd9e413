/**
 * FirewallZone: links that are treated alike. The chains are, in the order of their groups: what belongs to flows that were
 * let through; what the daemon needs itself; rules; policies; what the roles of zones say; the end, which drops. What no
 * zone owns alone stands with the zone that is the first by name.
 */
import type { Message } from "@bufbuild/protobuf";
import { parseHostPort, parseIp } from "../../base/ip.ts";
import type { Problem } from "../../base/problem.ts";
import { FirewallRole, type FirewallZoneSpec } from "../../gen/cairn/v1/firewall_kinds_pb.ts";
import type { GlobalSpec } from "../../gen/cairn/v1/global_service_pb.ts";
import type { DynamicRangeSpec, NeighborSpec } from "../../gen/cairn/v1/neighbor_service_pb.ts";
import type { PeerGroupSpec } from "../../gen/cairn/v1/peer_group_service_pb.ts";
import { deviceOf } from "../interface/kind.ts";
import { type Derivation, invalid, type ResourceKind, type Surroundings } from "../kind.ts";
import { links, NftGroups, orderOf, rule } from "../nft/expressions.ts";

/** Steps in the chains input and forward. */
export const firewallSteps = {
  flows: 0,
  needs: 100,
  rules: 500,
  policies: 800,
  roles: 900,
  end: 990,
} as const;

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

/** Single-hop and multihop BFD (RFC 5881, RFC 5883). */
const bfdPorts = "udp dport { 3784, 4784 }";

export const firewallZoneKind: ResourceKind = {
  kind: "FirewallZone",
  check(message: Message): Problem[] {
    const { role } = message as FirewallZoneSpec;
    return roleNames[role] === undefined ? [invalid("role", `there is no role ${role}`)] : [];
  },

  derive(message: Message, around: Surroundings): Derivation {
    const spec = message as FirewallZoneSpec;
    const groups = new NftGroups(`FirewallZone/${spec.name}`, spec);
    const zones = [...around.names("FirewallZone")].sort();
    const opened = zones[0] === spec.name ? baseGroups(groups, around) : "";
    const devices = devicesOf(spec.name, around);
    if (devices.length > 0) roleGroups(groups, spec, devices, zones, around);
    const values = {
      role: roleNames[spec.role],
      interfaces: devices.join(" "),
      ...(opened !== "" && { opened }),
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
  const reached = zones.filter((zone) => {
    const other = roleNames[(around.spec("FirewallZone", zone) as FirewallZoneSpec).role];
    return role === "management" || other !== "management";
  });
  const to = reached.flatMap((zone) => devicesOf(zone, around));
  groups.rules("forward", orderOf(firewallSteps.roles, 0), [
    rule(from, links("oifname", to), "counter accept"),
  ]);
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
  return [...bgpNeeds(groups, around), ...apiNeeds(groups, around)].join("; ");
}

/** Neighbors may open connections to where BGP listens, and may send BFD. */
function bgpNeeds(groups: NftGroups, around: Surroundings): string[] {
  const global = around.spec("Global", "global") as GlobalSpec | undefined;
  const ports = [...new Set((global?.listen ?? []).map((text) => parseHostPort(text)?.port))]
    .filter((port) => port !== undefined)
    .sort((a, b) => a - b);
  const neighbors = [...around.names("Neighbor")].map(
    (name) => around.spec("Neighbor", name) as NeighborSpec,
  );
  const ranges = [...around.names("DynamicRange")].map(
    (name) => around.spec("DynamicRange", name) as DynamicRangeSpec,
  );
  const peerGroups = [...around.names("PeerGroup")].map(
    (name) => around.spec("PeerGroup", name) as PeerGroupSpec,
  );
  const cidrs: string[] = [];
  const devices = ranges.map((range) => range.interface).filter((device) => device !== "");
  for (const { address } of neighbors) {
    const [ip, device] = address.includes("%") ? ["", address.split("%")[1]] : [address, ""];
    const bytes = ip === "" ? undefined : parseIp(ip);
    if (bytes) cidrs.push(`${ip}/${bytes.length * 8}`);
    else devices.push(device === "" ? address : device);
  }
  for (const { prefix } of ranges) if (prefix !== "") cidrs.push(prefix);
  const from: string[] = [];
  for (const [family, keyword] of [
    [4, "ip"],
    [6, "ip6"],
  ] as const) {
    const own = cidrs.filter((cidr) => cidr.includes(":") === (family === 6));
    if (own.length > 0) from.push(`${keyword} saddr ${groups.set(`neighbors.v${family}`, family, own)}`);
  }
  if (devices.length > 0) from.push(rule(links("iifname", devices), "ip6 saddr fe80::/10"));
  const hasBfd = [...neighbors, ...peerGroups].some(({ bfd }) => bfd !== undefined && bfd.enabled !== false);
  const matches: string[] = [];
  if (ports.length === 1) matches.push(`tcp dport ${ports[0]}`);
  if (ports.length > 1) matches.push(`tcp dport { ${ports.join(", ")} }`);
  if (hasBfd) matches.push(bfdPorts);
  const rules = from.flatMap((source) => matches.map((match) => rule(source, match, "counter accept")));
  groups.rules("input", orderOf(firewallSteps.needs, 0), rules);
  if (rules.length === 0) return [];
  const whom = `${neighbors.length} neighbors and ${ranges.length} ranges`;
  return [
    ...(ports.length > 0 ? [`BGP (tcp ${ports.join(" ")}) from ${whom}`] : []),
    ...(hasBfd ? [`BFD (udp 3784 4784) from ${whom}`] : []),
  ];
}

/** Wherever the API listens for others than this host. */
function apiNeeds(groups: NftGroups, around: Surroundings): string[] {
  const open: string[] = [];
  const rules = around.apiListeners().flatMap(({ host, port }) => {
    const bytes = parseIp(host);
    const isLoopback = bytes && (bytes.length === 4 ? bytes[0] === 127 : host === "::1");
    if (!bytes || isLoopback) return [];
    open.push(`the API (${host} tcp ${port})`);
    const isAny = bytes.every((byte) => byte === 0);
    const keyword = bytes.length === 4 ? "ip" : "ip6";
    // A socket on :: takes both families.
    const match = isAny ? (keyword === "ip" ? "meta nfproto ipv4" : "") : `${keyword} daddr ${host}`;
    return [rule(match, `tcp dport ${port} counter accept`)];
  });
  groups.rules("input", orderOf(firewallSteps.needs, 1), rules);
  return open;
}
