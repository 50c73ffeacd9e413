/**
 * What the matrix test changes: the objects of its lab and, for fields whose kind of value does not say one that is
 * valid and makes a difference, the value to change them to. Objects and values are proto3 JSON with names as in
 * `.proto`. A new field needs a line here only when `madeUp` in matrix-lab.ts has none for it, or when the value that
 * it makes up changes nothing that can be seen.
 */
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

export interface Sample {
  readonly value?: JsonValue;
  /** The object before the change, by fields that differ from those in `labObjects`. */
  readonly given?: JsonObject;
  /** More objects that differ, by KIND/NAME. */
  readonly besides?: Readonly<Record<string, JsonObject>>;
  /** Next hops are tracked, and the default route leads to some of them. */
  readonly tracked?: boolean;
  /** Neighbor whose setting (or whose peer group's) it is; 192.0.2.2 unless given. */
  readonly on?: string;
  /** Neighbors whose sessions end, where a field that resets sessions does not concern all that it might. */
  readonly resets?: readonly string[];
}

/** 192.0.2.2 and 10.0.0.4 are in peer groups, 192.0.2.6 has no policies; 10.0.0.0/24 is iBGP. */
export const labObjects: Readonly<Record<string, JsonObject>> = {
  "Global/global": { asn: 65001, router_id: "10.0.0.1" },
  "PrefixSet/ps": { name: "ps", prefixes: [{ prefix: "203.1.0.0/24" }] },
  "AsPathSet/aps": { name: "aps", patterns: ["_3333_"] },
  "CommunitySet/cs": { name: "cs", communities: ["65002:1"] },
  "NeighborSet/ns": { name: "ns", addresses: ["192.0.2.9"] },
  "AsnSet/as": { name: "as", asns: ["3333"] },
  "NextHopSet/nhs": { name: "nhs", addresses: ["192.0.2.9"] },
  "Policy/picky": {
    name: "picky",
    statements: [{ name: "s", match: { communities: ["65002:1"] }, action: "POLICY_ACTION_REJECT" }],
  },
  "Policy/by-sets": {
    name: "by-sets",
    statements: [
      marking("1", { prefix_sets: ["ps"] }),
      marking("2", { as_path_sets: ["aps"] }),
      marking("3", { community_sets: ["cs"] }),
      marking("4", { neighbor_sets: ["ns"] }),
      marking("5", { origin_asn_sets: ["as"] }),
      marking("6", { next_hop_sets: ["nhs"] }),
      marking("7", { peer_groups: ["other"] }),
    ],
  },
  "Policy/in": acceptingAllBut("in", "65000:9"),
  "Policy/out": acceptingAllBut("out", "65000:8"),
  "Policy/other": {
    name: "other",
    statements: [{ set: { med: 9 } }],
    default_action: "POLICY_ACTION_ACCEPT",
  },
  "Policy/mark": { name: "mark", statements: [{ set: { communities_add: ["65001:99"] } }] },
  "Policy/late": { name: "late", default_action: "POLICY_ACTION_ACCEPT" },
  "Keychain/kc": { name: "kc", keys: [{ id: "k1", send_id: 1, receive_id: 1, secret: "first" }] },
  "MrtDump/rib": { name: "rib", path: "rib.%Y%m%d.%H%M%S.gz" },
  "BmpCollector/bc": { name: "bc", host: "bmp.example" },
  "RpkiCache/rc": { name: "rc", host: "cache.example", shutdown: true },
  "Interface/a": { name: "a", ifname: "eth7" },
  "Interface/br": { name: "br", type: "INTERFACE_TYPE_BRIDGE" },
  "IPv4StaticAddress/a4": { name: "a4", interface: "a", address: "10.9.0.1/24" },
  "IPv6StaticAddress/a6": { name: "a6", interface: "a", address: "2001:db8::1/64" },
  "IPv4Route/r4": { name: "r4", destination: "10.8.0.0/16", hops: [{ gateway: "10.9.0.2" }] },
  "IPv6Route/r6": { name: "r6", destination: "2001:db8:8::/48", hops: [{ gateway: "2001:db8::2" }] },
  "Sysctl/s": { name: "s", key: "net.ipv4.ip_forward", value: "1" },
  "FibTable/ft": { name: "ft", table: 100 },
  "FlowSpecFilter/fs": { name: "fs" },
  "EgressRoutePolicy/es": { name: "es", candidates: [{ name: "dsl", interface: "br" }] },
  "EgressRoutePolicy/er": {
    name: "er",
    candidates: [
      { name: "fiber", interface: "a", gateway: "10.9.0.2" },
      { name: "lte", interface: "br" },
    ],
  },
  "Redistribute/rd": { name: "rd", sources: ["ROUTE_SOURCE_STATIC"] },
  "HealthCheck/hc": { name: "hc", targets: ["192.0.2.80"] },
  "AddressSet/nets": { name: "nets", cidrs: ["10.0.0.0/8"] },
  "NAT44Rule/nat": { name: "nat", egress_interface: "a" },
  "FirewallZone/zo": { name: "zo", interfaces: ["a"] },
  "FirewallZone/zi": { name: "zi", role: "FIREWALL_ROLE_TRUST", interfaces: ["br"] },
  "FirewallPolicy/fp": { name: "fp", from_zone: "zo", action: "FIREWALL_ACTION_ACCEPT" },
  "FirewallRule/fr": { name: "fr", from_zone: "zo", action: "FIREWALL_ACTION_ACCEPT" },
  "DynamicRange/dr": { name: "dr", prefix: "192.0.3.0/24", peer_group: "ge" },
  "PeerGroup/ge": group("ge", 65002),
  "PeerGroup/other": group("other", 65002),
  "PeerGroup/gi": { name: "gi", remote_asn: 65001, passive: true },
  "Neighbor/192.0.2.2": { address: "192.0.2.2", peer_group: "ge", import: ["in"], export: ["out"] },
  "Neighbor/192.0.2.3": neighbor("192.0.2.3", 65003),
  "Neighbor/10.0.0.4": { address: "10.0.0.4", peer_group: "gi", import: ["in"], export: ["out"] },
  "Neighbor/10.0.0.5": neighbor("10.0.0.5", 65001),
  "Neighbor/192.0.2.6": { address: "192.0.2.6", remote_asn: 65006, passive: true },
};

function neighbor(address: string, asn: number): JsonObject {
  return { address, remote_asn: asn, passive: true, import: ["in"], export: ["out"] };
}

function group(name: string, asn: number): JsonObject {
  return { name, remote_asn: asn, passive: true, import: ["picky", "by-sets"] };
}

function marking(number: string, match: JsonObject): JsonObject {
  return { match, set: { communities_add: [`65001:${number}`] } };
}

/** Of routes with this community it says nothing. */
function acceptingAllBut(name: string, community: string): JsonObject {
  const match = { not: { communities: [community] } };
  return { name, statements: [{ match, action: "POLICY_ACTION_ACCEPT" }] };
}

/** The object whose fields are changed, by kind; for Neighbor and PeerGroup see `Sample.on`. */
export const subjects: Readonly<Record<string, string>> = {
  Global: "global",
  Policy: "picky",
  PrefixSet: "ps",
  AsPathSet: "aps",
  CommunitySet: "cs",
  NeighborSet: "ns",
  AsnSet: "as",
  NextHopSet: "nhs",
  Keychain: "kc",
  MrtDump: "rib",
  RpkiCache: "rc",
  BmpCollector: "bc",
  DynamicRange: "dr",
  Interface: "a",
  IPv4StaticAddress: "a4",
  IPv6StaticAddress: "a6",
  IPv4Route: "r4",
  IPv6Route: "r6",
  Sysctl: "s",
  FibTable: "ft",
  FlowSpecFilter: "fs",
  HealthCheck: "hc",
  Redistribute: "rd",
  EgressRoutePolicy: "er",
  AddressSet: "nets",
  NAT44Rule: "nat",
  FirewallZone: "zi",
  FirewallPolicy: "fp",
  FirewallRule: "fr",
};

/** Fields that are changed as one: policies are tested when they are declared, so a test alone must hold. */
export const wholes: ReadonlySet<string> = new Set(["Policy.tests"]);

/** A NAT44Rule that forwards a port. */
const askingDns = { protocol: "HEALTH_PROTOCOL_DNS", dns: { name: "example.com" } };
const askingHttps = { protocol: "HEALTH_PROTOCOL_HTTPS", http: { path: "/" } };

const forwarding = {
  type: "NAT44_TYPE_DNAT",
  egress_interface: "",
  ingress_interface: "a",
  protocol: "PORT_PROTOCOL_TCP",
  ports: "8080",
  target_address: "10.9.0.7",
};

/** By KIND.FIELD.FIELD; what a peer group shares with neighbors stands once, under Neighbor. */
export const samples: Readonly<Record<string, Sample>> = {
  "Global.resolve_via_default": { tracked: true },
  "Neighbor.disable_connected_check": { tracked: true },
  "Global.asn": { value: 65099 },
  "Global.router_id": { value: "10.0.0.99" },
  "Global.cluster_id": {
    value: "10.0.0.98",
    besides: { "PeerGroup/gi": { route_reflector_client: true } },
  },
  "Global.listen": { value: ["0.0.0.0:1179"] },
  "Global.best_path.steps": { value: ["med", "router-id"] },
  "Global.multipath.family": { value: "ipv6-unicast" },
  "Global.multipath.ebgp": {
    value: 2,
    given: { multipath: [{ family: "ipv4-unicast", relax_as_path: true }] },
  },
  "Global.multipath.ibgp": { value: 2 },
  "Global.confederation.identifier": { value: 65100, resets: ["192.0.2.2", "192.0.2.3", "192.0.2.6"] },
  "Global.confederation.member_ases": {
    value: [65002],
    given: { confederation: { identifier: 65100 } },
    resets: ["192.0.2.2"],
  },
  "Global.import": { value: ["mark"] },
  "Global.export": { value: ["mark"] },
  "Global.import_after": { value: ["late"] },
  "Global.export_after": { value: ["late"] },

  "Neighbor.remote_asn": { value: 65098 },
  "Neighbor.local_asn": { value: 65097 },
  "Neighbor.local_address": { value: "192.0.2.1" },
  "Neighbor.families": { value: ["ipv4-unicast", "ipv6-unicast"] },
  "Neighbor.hold_time": { value: "45s" },
  "Neighbor.keepalive_time": { value: "7s" },
  "Neighbor.prefix_limits.family": { value: "ipv6-unicast" },
  "Neighbor.prefix_limits.max": { value: 900 },
  "Neighbor.prefix_limits.action": { value: "ACTION_STOP" },
  "Neighbor.add_path.family": { value: "ipv6-unicast" },
  "Neighbor.add_path.send": { value: "SEND_PER_NEIGHBOR_AS" },
  "Neighbor.add_path.max": { value: 3 },
  "Neighbor.orf.family": { value: "ipv6-unicast" },
  "Neighbor.orf.send": { value: "ps" },
  "Neighbor.damping.enabled": { value: false },
  "Neighbor.damping.reuse": { value: 800 },
  "Neighbor.damping.suppress": { value: 5000 },
  "Neighbor.damping.max_suppress": { value: "7200s" },
  "Global.damping.enabled": { value: false },
  "Global.damping.reuse": { value: 800 },
  "Global.damping.suppress": { value: 5000 },
  "Global.damping.max_suppress": { value: "7200s" },
  "Neighbor.allow_own_as": { value: 1 },
  "Neighbor.local_as_no_prepend": { value: true, given: { local_asn: 65097 } },
  "Neighbor.local_as_replace_as": { value: true, given: { local_asn: 65097 } },
  "Neighbor.local_as_dual_as": { value: true, given: { local_asn: 65097 } },
  "Neighbor.flowspec_validation": { given: { families: ["ipv4-unicast", "ipv4-flowspec"] }, value: false },
  "Neighbor.aigp_send": { value: true },
  "Neighbor.aigp_receive": { value: true },
  "Neighbor.long_lived_partial": { value: true, on: "10.0.0.4" },
  "Neighbor.remove_private_as": { value: "REMOVE_PRIVATE_AS_ALL" },
  "Neighbor.import": { value: ["other"] },
  "Neighbor.export": { value: ["other"] },
  "Neighbor.route_reflector_client": { value: true, on: "10.0.0.4" },
  "Neighbor.long_lived_stale_time": { value: "60s", given: { graceful_restart: "GRACEFUL_RESTART_FULL" } },
  "Neighbor.import_default": { value: "POLICY_ACTION_ACCEPT" },
  "Neighbor.export_default": { value: "POLICY_ACTION_ACCEPT" },
  "Neighbor.max_as_path_length": { value: 4 },
  "Neighbor.keychain": { value: "kc" },
  "Neighbor.peer_group": { value: "other" },
  "PeerGroup.passive": { value: false },
  "PeerGroup.import": { value: ["by-sets"] },
  "PeerGroup.export": { value: ["mark"] },

  "Policy.statements.action": { value: "POLICY_ACTION_ACCEPT" },
  "Policy.statements.call": { value: "accept-all" },
  "Policy.default_action": { value: "POLICY_ACTION_ACCEPT" },
  "Policy.statements.name": { value: "renamed" },
  ...within("Policy.statements.match", [
    ["prefix_sets", ["ps"]],
    ["as_path_sets", ["aps"]],
    ["community_sets", ["cs"]],
    ["neighbor_sets", ["ns"]],
    ["communities", ["65002:2"]],
    ["as_paths", ["_3333_"]],
    ["origins", ["ORIGIN_INCOMPLETE"]],
    ["next_hops", ["192.0.2.3/32"]],
    ["route_types", ["internal"]],
    ["families", ["ipv6-unicast"]],
    ["origin_asns", [3333]],
    ["passes_asns", [3333]],
    ["neighbor_asns", [65055]],
    ["origin_asn_sets", ["as"]],
    ["passes_asn_sets", ["as"]],
    ["neighbor_asn_sets", ["as"]],
    ["next_hop_sets", ["nhs"]],
    ["peer_groups", ["other"]],
    ["neighbors", ["192.0.2.9"]],
    ["as_path_length_ge", 4],
    ["as_path_length_le", 4],
    ["as_path_unique_length_ge", 4],
    ["as_path_unique_length_le", 4],
    ["communities_count_ge", 2],
    ["communities_count_le", 1],
    ["local_pref_ge", 101],
    ["local_pref_le", 99],
    ["med_ge", 40],
    ["med_le", 40],
    ["communities_all", ["65002:1", "65002:2"]],
    ["is_default", true],
    ["is_bogon", true],
    ["has_bogon_asn", false],
    ["has_attributes", ["med"]],
    ["rpki_states", ["valid"]],
    ["aspa_states", ["valid"]],
    ["tags", [5]],
    ["not", { communities: ["65002:1"] }],
  ]),
  ...within("Policy.statements.match.prefixes", [
    ["prefix", "203.1.7.0/24"],
    ["ge", 24],
    ["le", 24],
    ["covering", true],
  ]),
  ...within("Policy.statements.set", [
    ["local_pref", 300],
    ["med", 11],
    ["med_remove", true],
    ["origin", "ORIGIN_EGP"],
    ["next_hop", "192.0.2.77"],
    ["communities_replace", ["65001:50"]],
    ["communities_add", ["65001:51"]],
    ["communities_remove", ["65002:*"]],
    ["local_pref_add", 5],
    ["local_pref_subtract", 5],
    ["med_add", 5],
    ["med_subtract", 5],
    ["communities_replace_sets", ["cs"]],
    ["communities_add_sets", ["cs"]],
    ["communities_remove_sets", ["cs"]],
    ["communities_keep", ["65002:2"]],
    ["communities_keep_sets", ["cs"]],
    ["strip_private_as", true],
    ["aigp", 5],
    ["weight", 5],
    ["tag", 5],
  ]),
  ...within("Policy.statements.set.prepend", [
    ["asn", 64999],
    ["last_as", true],
    ["count", 3],
  ]),
  "Policy.tests": {
    value: [
      {
        name: "t",
        cases: [{ given: { prefix: "203.0.113.0/24" }, expect: "POLICY_ACTION_REJECT", by: "end" }],
      },
    ],
  },

  "PrefixSet.prefixes.prefix": { value: "203.1.7.0/24" },
  "PrefixSet.prefixes.ge": { value: 25 },
  "PrefixSet.prefixes.le": { value: 24, given: { prefixes: [{ prefix: "203.1.0.0/16" }] } },
  "AsPathSet.patterns": { value: ["_65010$"] },
  "CommunitySet.communities": { value: ["65002:2"] },
  "NeighborSet.addresses": { value: ["192.0.2.2"] },
  "NeighborSet.asns": { value: [65002] },
  "NeighborSet.peer_groups": { value: ["ge"] },
  "AsnSet.asns": { value: ["65010"] },
  "NextHopSet.addresses": { value: ["192.0.2.2"] },
  "Interface.ifname": { value: "eth8" },
  "Interface.type": { value: "INTERFACE_TYPE_DUMMY" },
  "Interface.admin_up": { value: false },
  "Interface.master": { value: "br" },
  "Interface.parent": { value: "br", given: { type: "INTERFACE_TYPE_VLAN", vlan_id: 5, parent: "a" } },
  "Interface.vlan_id": { value: 6, given: { type: "INTERFACE_TYPE_VLAN", vlan_id: 5, parent: "br" } },
  "Interface.peer": { value: "far1", given: { type: "INTERFACE_TYPE_VETH", peer: "far0" } },
  "Interface.table": { value: 11, given: { type: "INTERFACE_TYPE_VRF", table: 10 } },
  "IPv4StaticAddress.interface": { value: "br" },
  "IPv4StaticAddress.address": { value: "10.9.1.1/24" },
  "IPv6StaticAddress.interface": { value: "br" },
  "IPv6StaticAddress.address": { value: "2001:db8:1::1/64" },
  "IPv4Route.destination": { value: "10.7.0.0/16" },
  "IPv4Route.type": { value: "ROUTE_TYPE_UNREACHABLE", given: { type: "ROUTE_TYPE_BLACKHOLE", hops: [] } },
  "IPv4Route.hops.gateway": { value: "10.9.0.3" },
  "IPv4Route.hops.interface": { value: "a" },
  "IPv4Route.preferred_source": { value: "10.9.0.1" },
  "IPv6Route.destination": { value: "2001:db8:7::/48" },
  "IPv6Route.type": { value: "ROUTE_TYPE_UNREACHABLE", given: { type: "ROUTE_TYPE_BLACKHOLE", hops: [] } },
  "IPv6Route.hops.gateway": { value: "2001:db8::3" },
  "IPv6Route.hops.interface": { value: "a" },
  "IPv6Route.preferred_source": { value: "2001:db8::1" },
  "FibTable.families": { value: ["ipv6-unicast"] },
  "FibTable.neighbors": { value: ["192.0.2.3"] },
  "FibTable.peer_groups": { value: ["ge"] },
  "FibTable.policy": { value: "picky" },
  "FlowSpecFilter.hook": { value: "FLOW_SPEC_HOOK_PREROUTING" },
  "FlowSpecFilter.interfaces": { value: ["a"] },
  "FlowSpecFilter.families": { value: ["ipv6-flowspec"] },
  "FlowSpecFilter.neighbors": { value: ["192.0.2.3"] },
  "FlowSpecFilter.peer_groups": { value: ["ge"] },
  "EgressRoutePolicy.ip_version": {
    value: "IP_VERSION_IPV6",
    given: { candidates: [{ name: "fiber", interface: "a", gateway: "" }] },
  },
  "EgressRoutePolicy.hash": { value: "EGRESS_HASH_SOURCE", given: { mode: "EGRESS_MODE_HASH" } },
  "EgressRoutePolicy.candidates.name": { value: "cable" },
  "EgressRoutePolicy.candidates.interface": { value: "br" },
  "EgressRoutePolicy.candidates.gateway": { value: "10.9.0.3" },
  "EgressRoutePolicy.candidates.table": {
    value: 1000,
    given: { candidates: [{ name: "fiber", interface: "a" }] },
  },
  "EgressRoutePolicy.candidates.health_check": { value: "hc" },
  "EgressRoutePolicy.ingress_interfaces": { value: ["br"] },
  "EgressRoutePolicy.source_cidrs": { value: ["10.7.0.0/16"] },
  "EgressRoutePolicy.source_sets": { value: ["nets"] },
  "EgressRoutePolicy.destination_cidrs": { value: ["10.7.0.0/16"] },
  "EgressRoutePolicy.destination_sets": { value: ["nets"] },
  "EgressRoutePolicy.exclude_destination_cidrs": { value: ["10.7.0.0/16"] },
  "EgressRoutePolicy.exclude_destination_sets": { value: ["nets"] },
  "NAT44Rule.egress_policy": { value: "es", given: { egress_interface: "", egress_policy: "er" } },
  "IPv4Route.hops.egress_policy": { value: "es", given: { hops: [{ egress_policy: "er" }] } },
  "IPv6Route.hops.egress_policy": { value: "es", given: { hops: [{ egress_policy: "er" }] } },
  "Redistribute.sources": { value: ["ROUTE_SOURCE_CONNECTED"] },
  "Redistribute.protocols": { value: [16] },
  "Redistribute.families": { value: ["ipv6-unicast"] },
  "Redistribute.policy": { value: "picky" },
  "HealthCheck.protocol": { value: "HEALTH_PROTOCOL_TCP" },
  "HealthCheck.targets": { value: ["192.0.2.81"] },
  "HealthCheck.quorum": { value: 2, given: { targets: ["192.0.2.80", "192.0.2.81"] } },
  "HealthCheck.port": { value: 8080, given: { protocol: "HEALTH_PROTOCOL_TCP" } },
  "HealthCheck.interface": { value: "a" },
  "HealthCheck.source": { value: "10.9.0.1" },
  "HealthCheck.interval": { value: "10s" },
  "HealthCheck.timeout": { value: "1s" },
  "HealthCheck.dns.name": { value: "example.net", given: askingDns },
  "HealthCheck.dns.type": { value: "AAAA", given: askingDns },
  "HealthCheck.dns.answer": { value: "192.0.2.82", given: askingDns },
  "HealthCheck.http.method": { value: "HEAD", given: askingHttps },
  "HealthCheck.http.path": { value: "/healthz", given: askingHttps },
  "HealthCheck.http.host": { value: "www.example", given: askingHttps },
  "HealthCheck.http.statuses": { value: ["204"], given: askingHttps },
  "HealthCheck.http.body": { given: askingHttps },
  "HealthCheck.http.ca": { value: "/etc/ca.pem", given: askingHttps },
  "HealthCheck.http.any_certificate": { given: askingHttps },
  "Sysctl.key": { value: "net.ipv6.conf.all.forwarding" },
  "Sysctl.value": { value: "0" },
  "AddressSet.cidrs": { value: ["10.7.0.0/16"] },
  "FirewallZone.interfaces": { value: [], given: { interfaces: ["br"] } },
  "FirewallZone.role": { value: "FIREWALL_ROLE_MANAGEMENT" },
  "FirewallZone.log_rate_per_s": { given: { log: true } },
  "FirewallZone.mss": { given: { clamp_mss: true } },
  "FirewallPolicy.log_rate_per_s": { given: { log: true } },
  "FirewallRule.log_rate_per_s": { given: { log: true } },
  "FirewallPolicy.from_zone": { value: "zi" },
  "FirewallPolicy.to_zone": { value: "zi" },
  "FirewallPolicy.action": { value: "FIREWALL_ACTION_REJECT" },
  "FirewallRule.from_zone": { value: "zi" },
  "FirewallRule.to_zone": { value: "zi" },
  "FirewallRule.source_cidrs": { value: ["10.7.0.0/16"] },
  "FirewallRule.source_sets": { value: ["nets"] },
  "FirewallRule.destination_cidrs": { value: ["10.7.0.0/16"] },
  "FirewallRule.destination_sets": { value: ["nets"] },
  "FirewallRule.source_ports": { value: ["22"], given: { protocol: "FIREWALL_PROTOCOL_TCP" } },
  "FirewallRule.destination_ports": { value: ["22"], given: { protocol: "FIREWALL_PROTOCOL_TCP" } },
  "FirewallRule.icmp_types": { value: [8], given: { protocol: "FIREWALL_PROTOCOL_ICMP" } },
  "FirewallRule.action": { value: "FIREWALL_ACTION_REJECT" },
  "NAT44Rule.type": { value: "NAT44_TYPE_MASQUERADE" },
  "NAT44Rule.egress_interface": { value: "br" },
  "NAT44Rule.ingress_interface": { value: "br", given: forwarding },
  "NAT44Rule.source_cidrs": { value: ["10.7.0.0/16"] },
  "NAT44Rule.source_sets": { value: ["nets"] },
  "NAT44Rule.destination_cidrs": { value: ["10.7.0.0/16"] },
  "NAT44Rule.destination_sets": { value: ["nets"] },
  "NAT44Rule.exclude_destination_cidrs": { value: ["10.7.0.0/16"] },
  "NAT44Rule.exclude_destination_sets": { value: ["nets"] },
  "NAT44Rule.addresses": {
    value: ["192.0.2.71"],
    given: { type: "NAT44_TYPE_SNAT", addresses: ["192.0.2.70"] },
  },
  "NAT44Rule.protocol": { value: "PORT_PROTOCOL_UDP", given: forwarding },
  "NAT44Rule.ports": { value: "8081", given: forwarding },
  "NAT44Rule.outside_address": { value: "192.0.2.70", given: forwarding },
  "NAT44Rule.target_address": { value: "10.9.0.8", given: forwarding },
  "NAT44Rule.target_port": { value: 80, given: forwarding },
  "NAT44Rule.hairpin_interfaces": { value: ["br"], given: forwarding },
  "Global.best_path.prefer_rpki_valid": { besides: { "RpkiCache/rc": { shutdown: false } } },
  "Global.best_path.prefer_aspa_valid": {
    besides: { "RpkiCache/rc": { shutdown: false }, "Neighbor/192.0.2.2": { role: "BGP_ROLE_PEER" } },
  },
  "Global.rpki.files": { value: ["/etc/vrps.json"] },
  "Global.rpki.slurm": {
    value: ["/etc/slurm.json"],
    besides: { "RpkiCache/rc": { shutdown: false } },
  },
  "BmpCollector.host": { value: "192.0.2.77" },
  "BmpCollector.ca": { value: "/etc/ca.pem", given: { tls: true } },
  "BmpCollector.cert": {
    value: "/etc/cert.pem",
    given: { tls: true, key: "/etc/key.pem", cert: "/etc/old.pem" },
  },
  "BmpCollector.key": {
    value: "/etc/key.pem",
    given: { tls: true, key: "/etc/old.pem", cert: "/etc/cert.pem" },
  },
  "BmpCollector.server_name": { value: "other.example", given: { tls: true } },
  "BmpCollector.max_retry": { value: "60s" },
  "BmpCollector.local_address": { value: "192.0.2.1" },
  "BmpCollector.neighbors": { value: ["192.0.2.2"] },
  "BmpCollector.peer_groups": { value: ["ge"] },
  "RpkiCache.host": { value: "192.0.2.77" },
  "RpkiCache.preference": {
    value: 50,
    given: { shutdown: false },
    besides: { "RpkiCache/other": { name: "other", host: "other.example", preference: 70 } },
  },
  "RpkiCache.ca": { value: "/etc/ca.pem", given: { tls: true } },
  "RpkiCache.cert": {
    value: "/etc/other.pem",
    given: { tls: true, cert: "/etc/cert.pem", key: "/etc/key.pem" },
  },
  "RpkiCache.key": {
    value: "/etc/other.pem",
    given: { tls: true, cert: "/etc/cert.pem", key: "/etc/key.pem" },
  },
  "RpkiCache.server_name": { value: "other.example", given: { tls: true } },
  "RpkiCache.max_version": { value: 1 },
  "RpkiCache.local_address": { value: "192.0.2.1" },
  "RpkiCache.shutdown": { value: false },
  "MrtDump.path": { value: "%Y/other.%Y%m%d.%H%M%S" },
  "MrtDump.content": { value: "MRT_CONTENT_UPDATES" },
  "MrtDump.compression": { value: "MRT_COMPRESSION_ZSTD" },
  "Keychain.keys.id": { value: "k2" },
  "Keychain.keys.algorithm": { value: "KEY_ALGORITHM_AES_128_CMAC_96" },
  "DynamicRange.prefix": { value: "192.0.4.0/24" },
  "DynamicRange.interface": { value: "eth9" },
  "DynamicRange.peer_group": { value: "other" },
  "DynamicRange.remote_asns": { value: ["64512-65534"] },
};

/** Samples of the fields of one message. */
function within(
  path: string,
  values: readonly (readonly [field: string, value: JsonValue])[],
): Record<string, Sample> {
  return Object.fromEntries(values.map(([field, value]) => [`${path}.${field}`, { value }]));
}

/** The object before the change, for all fields that begin so and have no `given` of their own; the longest counts. */
export const givenWithin: Readonly<Record<string, JsonObject>> = {
  "Global.multipath": { multipath: [{ family: "ipv4-unicast", ebgp: 2, relax_as_path: true }] },
  "Global.multipath.relax_as_path": { multipath: [{ family: "ipv4-unicast", ebgp: 2 }] },
  "Neighbor.strict_role": { role: "BGP_ROLE_PEER" },
  "Neighbor.bfd": { bfd: { multiplier: 4 } },
  "Neighbor.add_path": {
    add_path: [{ family: "ipv4-unicast", receive: false, send: "SEND_BEST", max: 2 }],
  },
  "Neighbor.orf": { orf: [{ family: "ipv4-unicast", receive: false }] },
  "Neighbor.prefix_limits": {
    prefix_limits: [
      {
        family: "ipv4-unicast",
        max: 1000,
        action: "ACTION_RESTART",
        restart_after: "5s",
        warning_percent: 50,
      },
    ],
  },
  "Policy.statements.match": statement({ match: {}, action: "POLICY_ACTION_REJECT" }),
  "Policy.statements.match.prefixes": statement({
    match: { prefixes: [{ prefix: "203.1.0.0/16" }] },
    action: "POLICY_ACTION_REJECT",
  }),
  "Policy.statements.set": statement({ set: {} }),
  "Policy.statements.set.prepend": statement({ set: { prepend: { count: 1 } } }),
  "Policy.statements.match.prefixes.covering": statement({
    match: { prefixes: [{ prefix: "203.1.7.128/25" }] },
    action: "POLICY_ACTION_REJECT",
  }),
  "PrefixSet.prefixes.covering": { prefixes: [{ prefix: "203.1.1.128/25" }] },
};

function statement(fields: JsonObject): JsonObject {
  return { statements: [{ name: "s", ...fields }] };
}
