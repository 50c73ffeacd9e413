import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseIp } from "../../base/ip.ts";
import type { Artifact } from "../artifact.ts";
import { type PacketVerdict, verdictOn } from "./packet-verdict.ts";

/** What becomes of a connection from 198.51.100.7 by wan0 to port 50051 of 192.0.2.2. */
function verdict(
  groups: Readonly<Record<string, readonly string[]>>,
  { source = "198.51.100.7", destination = "192.0.2.2" } = {},
): PacketVerdict {
  const artifacts = Object.entries(groups).map(
    ([key, texts]): Artifact => ({
      ...{ class: "nft", key, adopt: true, repair: true },
      facts: key.startsWith("set ") ? { elements: texts } : { rules: texts },
    }),
  );
  const ends = { source: parseIp(source)!, destination: parseIp(destination)! };
  return verdictOn({ link: "wan0", ...ends, port: 50_051 }, artifacts);
}

/** By a single rule in front of the end that drops. */
function lets(rule: string, packet = {}, sets: Readonly<Record<string, readonly string[]>> = {}): boolean {
  return (
    verdict({ "input 500 A/a": [rule], "input 990 Z/z": ["counter drop"], ...sets }, packet).fate === "passes"
  );
}

describe("the verdict on a first packet", () => {
  it("is that it passes, where nothing is asked", () => {
    assert.deepEqual(verdict({}), { fate: "passes", place: "" });
    assert.deepEqual(verdict({ "forward 990 Z/z": ["counter drop"] }), { fate: "passes", place: "" });
  });

  it("comes from the first rule in the order of places, and names whose it is", () => {
    const groups = { "input 500 B/b": ["counter drop"], "input 500 A/a": ["counter accept"] };
    assert.deepEqual(verdict(groups), { fate: "passes", place: "500 A/a" });
    assert.deepEqual(verdict({ ...groups, "input 100 C/c": ["counter reject"] }), {
      fate: "dropped",
      place: "100 C/c",
    });
  });

  it("knows the words that cairn writes", () => {
    for (const rule of [
      "counter accept",
      'iifname "wan0" counter accept',
      'iifname { "lan0", "wan0" } tcp dport 50051 counter accept',
      "tcp dport { 22, 50000-50100 } counter accept",
      "meta nfproto ipv4 tcp dport 50051 counter accept",
      "meta l4proto tcp counter accept",
      "ip saddr 198.51.100.0/24 ip daddr 192.0.2.2 counter accept",
      "ip saddr != 10.0.0.0/8 counter accept",
      "ct state new counter accept",
      "limit rate 5/second counter accept",
      'iifname "wan0" limit rate 5/second log prefix "accept A/a" group 67 counter accept',
      "fib daddr . iif type local tcp dport 50051 counter accept",
    ]) {
      assert.ok(lets(rule), rule);
    }
    for (const rule of [
      'iifname "lan0" counter accept',
      'oifname "wan0" counter accept',
      "tcp dport 50052 counter accept",
      "udp dport 50051 counter accept",
      "meta nfproto ipv6 counter accept",
      "meta l4proto udp counter accept",
      "ip6 saddr ::/0 counter accept",
      "ip saddr 198.51.101.0/24 counter accept",
      "ip saddr != 198.51.100.0/24 counter accept",
      "icmp type echo-request counter accept",
      "icmpv6 type { nd-router-advert } counter accept",
      "ct state established,related counter accept",
      "ct status dnat counter accept",
      'limit rate 5/second log prefix "drop A/a" group 67',
    ]) {
      assert.ok(!lets(rule), rule);
    }
    const six = { source: "2001:db8::7", destination: "2001:db8::2" };
    assert.ok(lets("ip6 saddr 2001:db8::/32 tcp dport 50051 counter accept", six));
    assert.ok(!lets("ip saddr 0.0.0.0/0 counter accept", six));
  });

  it("looks into sets", () => {
    const rule = "ip saddr @friends counter accept";
    assert.ok(lets(rule, {}, { "set friends": ["10.0.0.0/8", "198.51.100.7"] }));
    assert.ok(!lets(rule, {}, { "set friends": ["10.0.0.0/8"] }));
    assert.ok(!lets(rule), "an empty set, or none");
    assert.ok(lets("ip saddr != @friends counter accept", {}, { "set friends": ["10.0.0.0/8"] }));
  });

  it("sees when a forwarded port takes it away", () => {
    const forward =
      'meta nfproto ipv4 iifname "wan0" fib daddr . iif type local tcp dport 50000-50100 counter dnat ip to 10.0.0.5';
    const groups = { "prerouting 500 NAT44Rule/web": [forward], "input 000 A/a": ["counter accept"] };
    assert.deepEqual(verdict(groups), { fate: "forwarded", place: "500 NAT44Rule/web" });
    assert.equal(verdict({ "prerouting 500 N/w": [forward.replace("50100", "50050")] }).fate, "passes");
  });

  it("assumes the worse of words that it does not know, and the better of what is only bounded", () => {
    assert.ok(!lets("ct mark 5 counter accept"));
    assert.equal(verdict({ "input 1 A/a": ["ct mark 5 counter drop"] }).fate, "dropped");
    assert.equal(verdict({ "input 1 A/a": ["something new drop"] }).fate, "dropped");
    assert.equal(verdict({ "input 1 A/a": ["limit rate 5/second counter drop"] }).fate, "passes");
  });
});
