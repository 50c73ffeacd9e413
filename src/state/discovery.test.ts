import assert from "node:assert/strict";
import { test } from "node:test";
import { Discovery } from "./discovery.ts";
import { Effects } from "./effects.ts";
import type { HostAddress } from "./inputs.ts";

const eth1: HostAddress = { address: "fe80::1", length: 64, interface: "eth1" };

function rig() {
  const told: string[] = [];
  const discovery = new Discovery({
    effects: new Effects(),
    changed: (name) => told.push(`changed ${name ?? "all"}`),
    lost: (name) => told.push(`lost ${name}`),
  });
  return {
    discovery,
    addresses: (addresses: readonly HostAddress[]) =>
      discovery.inputs["host.addresses"]!({ kind: "host.addresses", addresses }),
    told: () => told.splice(0),
  };
}

test("before the host has told its addresses every interface may do; afterwards those with a link-local one", () => {
  const { discovery, addresses, told } = rig();
  assert.equal(discovery.obstacle("eth0", false), "");
  addresses([eth1]);
  assert.deepEqual(told(), ["changed all"]);
  assert.match(discovery.obstacle("eth0", false), /^waiting for interface eth0/);
  assert.equal(discovery.obstacle("eth1", false), "");
  assert.match(discovery.obstacle("eth1", true), /^waiting for a router advertisement on eth1$/);
  addresses([{ address: "2001:db8::1", length: 64, interface: "eth1" }]);
  assert.deepEqual(told(), ["lost eth1", "changed eth1"]);
});

test("what is found goes with its interface, and with the neighbor that asked for it", () => {
  const { discovery, addresses } = rig();
  addresses([eth1]);
  discovery.watch(["eth1"]);
  assert.equal(discovery.located("eth1", "fe80::2%eth1"), true);
  assert.equal(discovery.located("eth1", "fe80::2"), false, "known");
  assert.equal(discovery.located("eth1", "192.0.2.1"), false);
  addresses([]);
  assert.equal(discovery.address("eth1"), undefined);
  addresses([eth1]);
  discovery.located("eth1", "fe80::3");
  discovery.watch([]);
  assert.equal(discovery.address("eth1"), undefined);
});
