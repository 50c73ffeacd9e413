/** Who plays in the demo: cairnd's configuration, and the speakers around it. All of it lives on loopback. */
import { ip4Bytes, parseIp4 } from "../../src/base/ip.ts";

/** What a speaker announces; see world.ts. */
export type Part = "transit" | "exchange" | "customer" | "edge" | "collector";

export interface Role {
  readonly name: string;
  readonly part: Part;
  /** Source address of its session, and its router id. */
  readonly address: string;
  readonly asn: number;
  readonly description: string;
  /** Routes of each family that it holds when nothing is withdrawn. */
  readonly routes4: number;
  readonly routes6: number;
  /** About so many routes a second are withdrawn, announced again or changed. */
  readonly churnPerS: number;
  /** The session is reset about so often; 0 for never. */
  readonly flapEveryS: number;
}

export const cairnAsn = 64500;
export const cairnAddress = "127.0.0.1";

/** AS numbers of RFC 5398; the speakers' own. Those behind them are made up. */
export const cast: readonly Role[] = [
  {
    name: "transit-a",
    part: "transit",
    address: "127.0.0.11",
    asn: 64501,
    description: "Transit A",
    routes4: 17_600,
    routes6: 2_400,
    churnPerS: 40,
    flapEveryS: 0,
  },
  {
    name: "transit-b",
    part: "transit",
    address: "127.0.0.12",
    asn: 64502,
    description: "Transit B",
    routes4: 17_600,
    routes6: 2_400,
    churnPerS: 40,
    flapEveryS: 0,
  },
  {
    name: "exchange",
    part: "exchange",
    address: "127.0.0.13",
    asn: 64503,
    description: "Exchange peer",
    routes4: 6_000,
    routes6: 1_000,
    churnPerS: 20,
    flapEveryS: 0,
  },
  {
    name: "customer",
    part: "customer",
    address: "127.0.0.14",
    asn: 64504,
    description: "Customer, leaks a little",
    routes4: 400,
    routes6: 100,
    churnPerS: 2,
    flapEveryS: 25,
  },
  {
    name: "edge2",
    part: "edge",
    address: "127.0.0.15",
    asn: cairnAsn,
    description: "Our other edge (iBGP)",
    routes4: 2_200,
    routes6: 300,
    churnPerS: 10,
    flapEveryS: 0,
  },
  {
    name: "collector",
    part: "collector",
    address: "127.0.0.16",
    asn: 64506,
    description: "Route collector, only listens",
    routes4: 0,
    routes6: 0,
    churnPerS: 0,
    flapEveryS: 0,
  },
];

export function roleByName(name: string): Role {
  const role = cast.find((each) => each.name === name);
  if (!role) throw new Error(`no speaker is called ${name}`);
  return role;
}

export function addressBytes(role: Role): Uint8Array {
  return ip4Bytes(parseIp4(role.address)!);
}

/** Routes that arrive when every speaker has said everything. */
export function announced(): number {
  return cast.reduce((sum, role) => sum + role.routes4 + role.routes6, 0);
}

/** cairnd's configuration: a small network's edge router, with the policies such a router has. */
export function demoConfig(): string {
  const neighbors = cast.map((role) => {
    const own = { transit: "transit", exchange: "peers", customer: "customers", edge: "", collector: "" };
    const group = own[role.part];
    const lines = [
      "[[neighbors]]",
      `address = "${role.address}"`,
      `remote_asn = ${role.asn}`,
      `description = "${role.description}"`,
      'families = ["ipv4-unicast", "ipv6-unicast"]',
      "passive = true",
    ];
    if (group) lines.push(`peer_group = "${group}"`);
    if (role.part === "edge") lines.push("next_hop_self = true");
    if (role.part === "collector") lines.push('import = ["reject-all"]', 'export = ["accept-all"]');
    return lines.join("\n");
  });
  return `${configHead}\n${neighbors.join("\n\n")}\n\n${configTail}`;
}

const configHead = `# The demo's router: two transits, an exchange peer, a customer, an iBGP edge, a collector.
[global]
asn = ${cairnAsn}
router_id = "192.0.2.1"
name = "demo"
listen = ["${cairnAddress}:0"]

[peer_groups.transit]
import = ["bogons", "from-transit"]
export = ["to-upstream"]
prefix_limits = [{ family = "ipv4-unicast", max = 100000 }]

[peer_groups.peers]
import = ["bogons", "from-peer"]
export = ["to-upstream"]

[peer_groups.customers]
import = ["bogons", "from-customer"]
export = ["accept-all"]
prefix_limits = [{ family = "ipv4-unicast", max = 1000, action = "restart", restart_after = "1m" }]

[[prefix_sets]]
name = "bogons"
prefixes = ["0.0.0.0/8+", "10.0.0.0/8+", "100.64.0.0/10+", "127.0.0.0/8+", "169.254.0.0/16+", "172.16.0.0/12+",
  "192.0.2.0/24+", "192.168.0.0/16+", "198.18.0.0/15+", "224.0.0.0/3+", "0.0.0.0/0", "::/0", "fc00::/7+"]

[[prefix_sets]]
name = "too-long"
prefixes = ["0.0.0.0/0 ge 25", "::/0 ge 49"]

[[community_sets]]
name = "ours"
communities = ["64500:300"]                    # learned from customers

[[policies]]
name = "bogons"
description = "Nothing that must not be seen in the Internet"
[[policies.statements]]
name = "bogons"
match = { prefix_sets = ["bogons"] }
action = "reject"
[[policies.statements]]
name = "too-long"
match = { prefix_sets = ["too-long"] }
action = "reject"

[[policies]]
name = "from-transit"
[[policies.statements]]
name = "depreferred"
match = { communities = ["64501:90", "64502:90"] }
set = { local_pref = 70, communities_add = ["64500:100"] }
action = "accept"
[[policies.statements]]
name = "tag"
set = { local_pref = 100, communities_add = ["64500:100"] }
action = "accept"

[[policies]]
name = "from-peer"
[[policies.statements]]
name = "tag"
set = { local_pref = 200, communities_add = ["64500:200"] }
action = "accept"

[[policies]]
name = "from-customer"
[[policies.statements]]
name = "tag"
set = { local_pref = 300, communities_add = ["64500:300"] }
action = "accept"

[[policies]]
name = "to-upstream"
[[policies.statements]]
name = "ours-only"
match = { community_sets = ["ours"] }
action = "accept"
[[policies.statements]]
action = "reject"
`;

const configTail = `[[neighbors]]
address = "127.0.0.17"
remote_asn = 64507
description = "New transit, not in service"
shutdown = true
shutdown_message = "waiting for the circuit"
`;
