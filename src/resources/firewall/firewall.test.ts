/** What zones, policies and rules ask of nftables beside letting through: telling of packets, and lowering the MSS. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type Message } from "@bufbuild/protobuf";
import type { Link } from "../../dataplane/kernel-model.ts";
import { parseLogPrefix } from "../../dataplane/logged-packet.ts";
import {
  FirewallAction,
  FirewallPolicySpecSchema,
  FirewallProtocol,
  FirewallRuleSpecSchema,
  FirewallZoneSpecSchema,
} from "../../gen/cairn/v1/firewall_kinds_pb.ts";
import type { Derivation, ResourceKind, Surroundings } from "../kind.ts";
import { openingsOf } from "./needs.ts";
import { firewallPolicyKind, firewallRuleKind } from "./rules.ts";
import { firewallZoneKind } from "./zone.ts";

function surroundings(
  objects: Readonly<Record<string, Message>>,
  mtus: Readonly<Record<string, number>> = {},
): Surroundings {
  return {
    spec: (kind, name) => objects[`${kind}/${name}`],
    names: (kind) =>
      Object.keys(objects)
        .filter((id) => id.startsWith(`${kind}/`))
        .map((id) => id.slice(kind.length + 1)),
    link: (ifname) => (ifname in mtus ? ({ name: ifname, mtu: mtus[ifname] } as Link) : undefined),
    apiListeners: () => [],
    egress: () => undefined,
    flowRules: () => [],
  };
}

/** Rules by key, of the given chain or step. */
function rulesOf({ artifacts }: Derivation, part: string): Record<string, unknown> {
  const found = artifacts.filter(({ key }) => key.includes(part));
  return Object.fromEntries(found.map(({ key, facts }) => [key, facts.rules]));
}

function refusals(kind: ResourceKind, spec: Message): string[] {
  return kind.check!(spec, () => undefined).map(({ path }) => path);
}

const outside = create(FirewallZoneSpecSchema, { name: "out", interfaces: ["wan0", "wan1"], log: true });
const zones = { "FirewallZone/out": outside };

describe("logging", () => {
  it("of a zone tells of what is left for the end, before it", () => {
    const derived = firewallZoneKind.derive(outside, surroundings(zones));
    const told = `iifname { "wan0", "wan1" } limit rate 5/second log prefix "drop FirewallZone/out" group 67`;
    assert.deepEqual(rulesOf(derived, " 980"), {
      "input 980.00000 FirewallZone/out": [told],
      "forward 980.00000 FirewallZone/out": [told],
    });
  });

  it("of a policy stands in front of what it decides", () => {
    const refuse = create(FirewallPolicySpecSchema, {
      ...{ name: "refuse", fromZone: "out", action: FirewallAction.REJECT, log: true, logRatePerS: 2 },
    });
    const derived = firewallPolicyKind.derive(refuse, surroundings(zones));
    assert.deepEqual(rulesOf(derived, "input"), {
      "input 800.00000 FirewallPolicy/refuse": [
        `iifname { "wan0", "wan1" } limit rate 2/second log prefix "reject FirewallPolicy/refuse" group 67`,
        `iifname { "wan0", "wan1" } counter reject`,
      ],
    });
  });

  it("of a rule tells of the same packets; of one with a rate, by the same statement", () => {
    const given = {
      ...{ name: "dns", protocol: FirewallProtocol.UDP, destinationPorts: ["53"] },
      ...{ sourceCidrs: ["10.0.0.0/8", "2001:db8::/32"], action: FirewallAction.ACCEPT, log: true },
    };
    const shown = (more: object): unknown[] =>
      firewallRuleKind
        .derive(create(FirewallRuleSpecSchema, { ...given, ...more }), surroundings({}))
        .artifacts.map(({ facts }) => facts.rules);
    assert.deepEqual(shown({}), [
      [
        `ip saddr 10.0.0.0/8 udp dport 53 limit rate 5/second log prefix "accept FirewallRule/dns" group 67`,
        "ip saddr 10.0.0.0/8 udp dport 53 counter accept",
        `ip6 saddr 2001:db8::/32 udp dport 53 limit rate 5/second log prefix "accept FirewallRule/dns" group 67`,
        "ip6 saddr 2001:db8::/32 udp dport 53 counter accept",
      ],
    ]);
    assert.deepEqual(shown({ ratePerS: 9, sourceCidrs: [] }), [
      [`udp dport 53 limit rate 9/second log prefix "accept FirewallRule/dns" group 67 counter accept`],
    ]);
  });

  it("says who it is, and nothing that another program logs is taken for ours", () => {
    const longest = `FirewallPolicy/${"x".repeat(63)}`;
    assert.deepEqual(parseLogPrefix(`reject ${longest}`), { action: "reject", owner: longest });
    for (const foreign of ["", "drop", "IN=eth0 ", "drop FirewallRule", "ban FirewallRule/x", "drop a/b c"])
      assert.equal(parseLogPrefix(foreign), undefined, foreign);
  });

  it("has no rate without a log, and none of its own beside a rule's", () => {
    const rule = create(FirewallRuleSpecSchema, { name: "x", logRatePerS: 5 });
    assert.deepEqual(refusals(firewallRuleKind, rule), ["log_rate_per_s"]);
    const both = create(FirewallRuleSpecSchema, { name: "x", log: true, logRatePerS: 5, ratePerS: 5 });
    assert.deepEqual(refusals(firewallRuleKind, both), ["log_rate_per_s"]);
    const policy = create(FirewallPolicySpecSchema, { name: "x", logRatePerS: 5 });
    assert.deepEqual(refusals(firewallPolicyKind, policy), ["log_rate_per_s"]);
    const zone = create(FirewallZoneSpecSchema, { name: "x", logRatePerS: 5, mss: 1400 });
    assert.deepEqual(refusals(firewallZoneKind, zone), ["log_rate_per_s", "mss"]);
  });
});

describe("the MSS", () => {
  const clamped = (mss: number | undefined, mtus: Record<string, number>): Derivation => {
    const zone = create(FirewallZoneSpecSchema, { name: "out", interfaces: ["wan0"], clampMss: true, mss });
    return firewallZoneKind.derive(zone, surroundings({ "FirewallZone/out": zone }, mtus));
  };
  const opening = "tcp flags syn / syn,rst counter tcp option maxseg size set";

  it("follows the way for what leaves, and the link for what comes", () => {
    const derived = clamped(undefined, { wan0: 1492 });
    assert.deepEqual(rulesOf(derived, "clamp"), {
      "clamp 500.00000 FirewallZone/out": [
        `oifname "wan0" ${opening} rt mtu`,
        `meta nfproto ipv4 iifname "wan0" ${opening} 1452`,
        `meta nfproto ipv6 iifname "wan0" ${opening} 1432`,
      ],
    });
    assert.equal(derived.values?.mss, "wan0 1452/1432");
  });

  it("is never below what every host takes, and waits for the link", () => {
    const small = rulesOf(clamped(undefined, { wan0: 500 }), "clamp");
    assert.match(JSON.stringify(small), /set 536.*set 1220/);
    assert.deepEqual(rulesOf(clamped(undefined, {}), "clamp"), {
      "clamp 500.00000 FirewallZone/out": [`oifname "wan0" ${opening} rt mtu`],
    });
  });

  it("is what is said, where it is said", () => {
    assert.deepEqual(rulesOf(clamped(1300, { wan0: 1492 }), "clamp"), {
      "clamp 500.00000 FirewallZone/out": [
        `oifname "wan0" ${opening} 1300`,
        `iifname "wan0" ${opening} 1300`,
      ],
    });
  });
});

describe("what is open without a rule", () => {
  it("is a DHCP client at least, for answers of servers and nobody else", () => {
    const around = surroundings(zones);
    assert.deepEqual(
      openingsOf(around).map(({ need }) => need),
      ["DHCP client", "DHCPv6 client"],
    );
    assert.deepEqual(rulesOf(firewallZoneKind.derive(outside, around), " 100"), {
      "input 100.00002 FirewallZone/out": [
        "meta nfproto ipv4 udp sport 67 udp dport 68 counter accept",
        "ip6 saddr fe80::/10 udp sport 547 udp dport 546 counter accept",
      ],
    });
  });
});
