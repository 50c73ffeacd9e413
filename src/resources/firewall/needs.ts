/**
 * What is open without a rule: what the daemon needs for itself, and what a host needs to keep addresses that it has by
 * DHCP. It is shown in the status of the first zone, and by FirewallService.
 */
import { parseHostPort, parseIp } from "../../base/ip.ts";
import type { GlobalSpec } from "../../gen/cairn/v1/global_service_pb.ts";
import type { DynamicRangeSpec, NeighborSpec } from "../../gen/cairn/v1/neighbor_service_pb.ts";
import type { PeerGroupSpec } from "../../gen/cairn/v1/peer_group_service_pb.ts";
import { DriftAction } from "../../gen/cairn/v1/resource_types_pb.ts";
import type { Surroundings } from "../kind.ts";
import { links, NftGroups, orderOf, rule } from "../nft/expressions.ts";
import { firewallSteps } from "./steps.ts";

/** Something that is open, for people. */
export interface Opening {
  readonly need: string;
  readonly protocol: "tcp" | "udp";
  readonly ports: string;
  /** Who may come in. */
  readonly from: string;
}

/** Single-hop and multihop BFD (RFC 5881, RFC 5883). */
const bfdPorts = "3784, 4784";

/** Puts the rules into the groups of an object. @returns what they open */
export function openNeeds(groups: NftGroups, around: Surroundings): Opening[] {
  return [...bgpNeeds(groups, around), ...apiNeeds(groups, around), ...dhcpNeeds(groups)];
}

/** What is open where there is a firewall. */
export function openingsOf(around: Surroundings): Opening[] {
  return openNeeds(new NftGroups("", { drift: DriftAction.UNSPECIFIED }), around);
}

/** One line for people. */
export function openingsText(openings: readonly Opening[]): string {
  return openings
    .map(({ need, protocol, ports, from }) => `${need} (${protocol} ${ports}) from ${from}`)
    .join("; ");
}

/** Neighbors may open connections to where BGP listens, and may send BFD. */
function bgpNeeds(groups: NftGroups, around: Surroundings): Opening[] {
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
  if (hasBfd) matches.push(`udp dport { ${bfdPorts} }`);
  const rules = from.flatMap((source) => matches.map((match) => rule(source, match, "counter accept")));
  groups.rules("input", orderOf(firewallSteps.needs, 0), rules);
  if (rules.length === 0) return [];
  const whom = `${counted(neighbors.length, "neighbor")} and ${counted(ranges.length, "range")}`;
  const bgp: Opening = { need: "BGP", protocol: "tcp", ports: ports.join(", "), from: whom };
  const bfd: Opening = { need: "BFD", protocol: "udp", ports: bfdPorts, from: whom };
  return [...(ports.length > 0 ? [bgp] : []), ...(hasBfd ? [bfd] : [])];
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** Wherever the API listens for others than this host. */
function apiNeeds(groups: NftGroups, around: Surroundings): Opening[] {
  const open: Opening[] = [];
  const rules = around.apiListeners().flatMap(({ host, port }) => {
    const bytes = parseIp(host);
    const isLoopback = bytes && (bytes.length === 4 ? bytes[0] === 127 : host === "::1");
    if (!bytes || isLoopback) return [];
    open.push({ need: "API", protocol: "tcp", ports: String(port), from: `anywhere, to ${host}` });
    const isAny = bytes.every((byte) => byte === 0);
    const keyword = bytes.length === 4 ? "ip" : "ip6";
    // A socket on :: takes both families.
    const match = isAny ? (keyword === "ip" ? "meta nfproto ipv4" : "") : `${keyword} daddr ${host}`;
    return [rule(match, `tcp dport ${port} counter accept`)];
  });
  groups.rules("input", orderOf(firewallSteps.needs, 1), rules);
  return open;
}

/**
 * Answers to a DHCP client of this host. They belong to no flow: questions go to everybody, the answer comes from one
 * server. Without them a lease is not renewed, and the link loses its address.
 */
function dhcpNeeds(groups: NftGroups): Opening[] {
  groups.rules("input", orderOf(firewallSteps.needs, 2), [
    "meta nfproto ipv4 udp sport 67 udp dport 68 counter accept",
    "ip6 saddr fe80::/10 udp sport 547 udp dport 546 counter accept",
  ]);
  return [
    { need: "DHCP client", protocol: "udp", ports: "68", from: "servers (port 67)" },
    { need: "DHCPv6 client", protocol: "udp", ports: "546", from: "servers on the link (port 547)" },
  ];
}
