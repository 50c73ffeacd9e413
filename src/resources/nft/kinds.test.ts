import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type Message } from "@bufbuild/protobuf";
import fc from "fast-check";
import { parseIp, parsePrefix, prefixContains } from "../../base/ip.ts";
import type { Link } from "../../dataplane/kernel-model.ts";
import {
  FirewallAction,
  FirewallPolicySpecSchema,
  FirewallProtocol,
  FirewallRole,
  FirewallRuleSpecSchema,
  FirewallZoneSpecSchema,
} from "../../gen/cairn/v1/firewall_kinds_pb.ts";
import { GlobalSpecSchema } from "../../gen/cairn/v1/global_service_pb.ts";
import { NAT44RuleSpecSchema, Nat44Type, PortProtocol } from "../../gen/cairn/v1/nat_kinds_pb.ts";
import { DynamicRangeSpecSchema, NeighborSpecSchema } from "../../gen/cairn/v1/neighbor_service_pb.ts";
import { firewallPolicyKind, firewallRuleKind } from "../firewall/rules.ts";
import { firewallZoneKind } from "../firewall/zone.ts";
import type { Derivation, HostPort, ResourceKind, Surroundings } from "../kind.ts";
import { nat44RuleKind } from "../nat44-rule/kind.ts";
import { elementsOf } from "./expressions.ts";

function surroundings(
  objects: Readonly<Record<string, Message>>,
  links: Readonly<Record<string, string>> = {},
  api: readonly HostPort[] = [],
): Surroundings {
  return {
    spec: (kind, name) => objects[`${kind}/${name}`],
    names: (kind) =>
      Object.keys(objects)
        .filter((id) => id.startsWith(`${kind}/`))
        .map((id) => id.slice(kind.length + 1)),
    link: (ifname) => (ifname in links ? linkOf(ifname, links[ifname]) : undefined),
    apiListeners: () => api,
    egress: () => undefined,
    flowRules: () => [],
  };
}

function linkOf(name: string, address: string): Link {
  const [text, length] = address.split("/");
  return {
    ...{ index: 1, name, enabled: true, up: true, loopback: false, operState: "up", mtu: 1500, mac: "" },
    ...{ kind: "", master: 0, parent: 0, data: {}, vlans: undefined },
    addresses: [{ address: parseIp(text)!, length: Number(length) }],
  };
}

/** Rules and elements by key. */
function shown({ artifacts }: Derivation): Record<string, unknown> {
  return Object.fromEntries(artifacts.map(({ key, facts }) => [key, facts.rules ?? facts.elements]));
}

function refusals(kind: ResourceKind, spec: Message): string[] {
  return kind.check!(spec, () => undefined).map(({ path, message }) => `${path}: ${message}`);
}

describe("NAT44Rule", () => {
  it("masquerades what is not excluded, before the link is there, too", () => {
    const spec = create(NAT44RuleSpecSchema, {
      name: "out",
      egressInterface: "wan0",
      sourceCidrs: ["10.0.0.0/24", "10.0.1.0/24"],
      sourceSets: ["guests"],
      excludeDestinationCidrs: ["10.0.0.0/8"],
      excludeDestinationSets: ["private"],
    });
    const derived = nat44RuleKind.derive(spec, surroundings({}));
    const rest =
      'ip daddr != 10.0.0.0/8 ip daddr != @AddressSet.private.v4 oifname "wan0" counter masquerade';
    assert.deepEqual(shown(derived), {
      "set NAT44Rule.out.source": ["10.0.0.0/24", "10.0.1.0/24"],
      "postrouting 500.01000 NAT44Rule/out": [
        `ip saddr @NAT44Rule.out.source ${rest}`,
        `ip saddr @AddressSet.guests.v4 ${rest}`,
      ],
    });
    assert.equal(derived.pending?.reason, "DEVICE_MISSING");
    assert.equal(nat44RuleKind.derive(spec, surroundings({}, { wan0: "192.0.2.1/24" })).pending, undefined);
  });

  it("forwards a port for the addresses that the link has, and back by hairpin", () => {
    const spec = create(NAT44RuleSpecSchema, {
      ...{ name: "web", type: Nat44Type.DNAT, ingressInterface: "wan0", protocol: PortProtocol.TCP },
      ...{ ports: "8080", targetAddress: "10.0.0.5", targetPort: 80, hairpinInterfaces: ["lan0"] },
    });
    const around = surroundings({}, { wan0: "192.0.2.1/24", lan0: "10.0.0.1/24" });
    assert.deepEqual(shown(nat44RuleKind.derive(spec, around)), {
      "set NAT44Rule.web.outside": ["192.0.2.1"],
      "prerouting 500.01000 NAT44Rule/web": [
        'meta nfproto ipv4 iifname "wan0" fib daddr . iif type local tcp dport 8080 counter dnat ip to 10.0.0.5:80',
        'iifname "lan0" ip daddr @NAT44Rule.web.outside tcp dport 8080 counter dnat ip to 10.0.0.5:80',
      ],
      "postrouting 100.01000 NAT44Rule/web": [
        "ct status dnat ip saddr 10.0.0.0/24 ip daddr 10.0.0.5 tcp dport 80 counter masquerade",
      ],
    });
  });

  it("says which fields a type lacks, and which are not for it", () => {
    const wrong = create(NAT44RuleSpecSchema, {
      ...{ name: "x", type: Nat44Type.DNAT, egressInterface: "wan0", ports: "9-8", sourceCidrs: ["::/0"] },
    });
    assert.deepEqual(refusals(nat44RuleKind, wrong), [
      "ingress_interface: a dnat rule needs ingress_interface",
      "protocol: a dnat rule needs protocol",
      "target_address: a dnat rule needs target_address",
      "egress_interface: egress_interface is not for a dnat rule",
      "source_cidrs[0]: ::/0 is not IPv4",
      "ports: 9-8 is neither a port nor a range of ports",
    ]);
  });
});

describe("firewall", () => {
  const zones = {
    "FirewallZone/in": create(FirewallZoneSpecSchema, {
      ...{ name: "in", role: FirewallRole.TRUST, interfaces: ["lan0"] },
    }),
    "FirewallZone/out": create(FirewallZoneSpecSchema, { name: "out", interfaces: ["wan0", "wan1"] }),
    "FirewallZone/ops": create(FirewallZoneSpecSchema, {
      ...{ name: "ops", role: FirewallRole.MANAGEMENT, interfaces: ["mgmt0"] },
    }),
  };

  it("lets zones do what their roles say, and drops the rest", () => {
    const around = surroundings(zones);
    const all = Object.values(zones).map((zone) => shown(firewallZoneKind.derive(zone, around)));
    const { "input 000.00000 FirewallZone/in": _, "input 100.00002 FirewallZone/in": __, ...first } = all[0];
    assert.deepEqual(first, {
      "forward 000.00000 FirewallZone/in": [
        "ct state established,related counter accept",
        "ct state invalid counter drop",
        "ct status dnat counter accept",
      ],
      "input 990.00000 FirewallZone/in": ["counter drop"],
      "forward 990.00000 FirewallZone/in": ["counter drop"],
      "input 900.00000 FirewallZone/in": ['iifname "lan0" counter accept'],
      "forward 900.00000 FirewallZone/in": [
        'iifname "lan0" oifname { "lan0", "wan0", "wan1" } counter accept',
      ],
    });
    assert.deepEqual(all[1], {}, "a zone that is not trusted may nothing, not even reach itself");
    assert.deepEqual(all[2], {
      "input 900.00000 FirewallZone/ops": ['iifname "mgmt0" counter accept'],
      "forward 900.00000 FirewallZone/ops": [
        'iifname "mgmt0" oifname { "lan0", "mgmt0", "wan0", "wan1" } counter accept',
      ],
    });
  });

  it("opens what the daemon needs, and says so", () => {
    const around = surroundings(
      {
        ...zones,
        "Global/global": create(GlobalSpecSchema, { listen: ["0.0.0.0:179", "[::]:179"] }),
        "Neighbor/192.0.2.9": create(NeighborSpecSchema, { address: "192.0.2.9", bfd: {} }),
        "Neighbor/fe80::9%wan1": create(NeighborSpecSchema, { address: "fe80::9%wan1" }),
        "DynamicRange/r": create(DynamicRangeSpecSchema, { name: "r", prefix: "2001:db8::/32" }),
      },
      {},
      [
        { host: "127.0.0.1", port: 1 },
        { host: "0.0.0.0", port: 50051 },
      ],
    );
    const derived = firewallZoneKind.derive(zones["FirewallZone/in"], around);
    const found = shown(derived);
    assert.deepEqual(found["set neighbors.v4"], ["192.0.2.9"]);
    assert.deepEqual(found["set neighbors.v6"], ["2001:db8::/32"]);
    const sources = [
      "ip saddr @neighbors.v4",
      "ip6 saddr @neighbors.v6",
      'iifname "wan1" ip6 saddr fe80::/10',
    ];
    assert.deepEqual(
      found["input 100.00000 FirewallZone/in"],
      sources.flatMap((source) => [
        `${source} tcp dport 179 counter accept`,
        `${source} udp dport { 3784, 4784 } counter accept`,
      ]),
    );
    assert.deepEqual(found["input 100.00001 FirewallZone/in"], [
      "meta nfproto ipv4 tcp dport 50051 counter accept",
    ]);
    assert.match(
      derived.values!.opened,
      /^BGP \(tcp 179\) from 2 neighbors and 1 range; BFD .*; API \(tcp 50051\) from anywhere/,
    );
  });

  it("says when a link is in two zones", () => {
    const double = create(FirewallZoneSpecSchema, { name: "a", interfaces: ["lan0"] });
    const around = surroundings({ ...zones, "FirewallZone/a": double });
    assert.equal(firewallZoneKind.derive(double, around).pending?.reason, "ZONES_OVERLAP");
  });

  it("has rules for the families that their addresses have", () => {
    const spec = create(FirewallRuleSpecSchema, {
      ...{
        name: "r",
        fromZone: "out",
        toZone: "in",
        priority: 7,
        action: FirewallAction.ACCEPT,
        ratePerS: 5,
      },
      ...{ sourceCidrs: ["192.0.2.0/24", "2001:db8::/32"], destinationSets: ["servers"] },
      ...{ protocol: FirewallProtocol.TCP, destinationPorts: ["443", "80"] },
    });
    const rest =
      'iifname { "wan0", "wan1" } oifname "lan0" tcp dport { 443, 80 } limit rate 5/second counter accept';
    assert.deepEqual(shown(firewallRuleKind.derive(spec, surroundings(zones))), {
      "forward 500.00007 FirewallRule/r": [
        `ip saddr 192.0.2.0/24 ip daddr @AddressSet.servers.v4 ${rest}`,
        `ip6 saddr 2001:db8::/32 ip6 daddr @AddressSet.servers.v6 ${rest}`,
      ],
    });
    const ping = create(FirewallRuleSpecSchema, {
      ...{ name: "p", action: FirewallAction.DROP, protocol: FirewallProtocol.ICMPV6, icmpTypes: [128] },
      sourceCidrs: ["192.0.2.0/24"],
    });
    assert.deepEqual(shown(firewallRuleKind.derive(ping, surroundings(zones))), {}, "no such packets");
    const policy = create(FirewallPolicySpecSchema, {
      ...{ name: "p", fromZone: "out", action: FirewallAction.REJECT },
    });
    assert.deepEqual(shown(firewallPolicyKind.derive(policy, surroundings(zones))), {
      "input 800.00000 FirewallPolicy/p": ['iifname { "wan0", "wan1" } counter reject'],
    });
  });

  it("refuses ports that overlap or belong to no protocol", () => {
    const spec = create(FirewallRuleSpecSchema, {
      ...{ name: "r", protocol: FirewallProtocol.UDP, sourcePorts: ["1-9", "9"], destinationPorts: ["0"] },
    });
    assert.deepEqual(refusals(firewallRuleKind, spec), [
      "source_ports: 9 is there already",
      "destination_ports[0]: 0 is neither a port nor a range of ports",
    ]);
    const none = create(FirewallRuleSpecSchema, { name: "r", destinationPorts: ["1"], icmpTypes: [8] });
    assert.deepEqual(refusals(firewallRuleKind, none), [
      "destination_ports: only tcp and udp have ports",
      "icmp_types: only icmp and icmpv6 have types",
    ]);
  });
});

it("elements of a set hold the same addresses as the networks, and none is inside another", () => {
  const network = fc
    .tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 3 }), fc.integer({ min: 6, max: 32 }))
    .map(([a, b, length]) => {
      const value = ((a << 24) | (b << 22)) >>> 0;
      const masked = (value & (length === 0 ? 0 : -1 << (32 - length))) >>> 0;
      return `${masked >>> 24}.${(masked >>> 16) & 255}.${(masked >>> 8) & 255}.${masked & 255}/${length}`;
    });
  fc.assert(
    fc.property(fc.array(network, { maxLength: 12 }), (networks) => {
      const elements = elementsOf(networks, 4).map((text) =>
        parsed(text.includes("/") ? text : `${text}/32`),
      );
      for (const text of networks) {
        const { bytes } = parsed(text);
        assert.equal(elements.filter((element) => prefixContains(element, bytes)).length, 1, text);
      }
      for (const { bytes, length } of elements) {
        assert.ok(
          networks.some(
            (text) => parsed(text).length === length && String(parsed(text).bytes) === String(bytes),
          ),
        );
      }
    }),
    { numRuns: 300 },
  );
});

function parsed(text: string): { bytes: Uint8Array; length: number } {
  const prefix = parsePrefix(text);
  assert.ok(typeof prefix !== "string");
  return prefix;
}
