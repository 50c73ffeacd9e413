import assert from "node:assert/strict";
import { test } from "node:test";
import { Discovery } from "./discovery.ts";
import { Effects } from "./effects.ts";

test("before the host has told its addresses every interface may do; afterwards those with a link-local one", () => {
  const discovery = new Discovery(new Effects());
  assert.equal(discovery.obstacle("eth0", false), "");
  const eth1 = { address: "fe80::1", length: 64, interface: "eth1" };
  assert.deepEqual(discovery.setHostAddresses([eth1]), { up: ["eth1"], down: [], first: true });
  assert.match(discovery.obstacle("eth0", false), /^waiting for interface eth0/);
  assert.equal(discovery.obstacle("eth1", false), "");
  assert.match(discovery.obstacle("eth1", true), /^waiting for a router advertisement on eth1$/);
  const global = { address: "2001:db8::1", length: 64, interface: "eth1" };
  assert.deepEqual(discovery.setHostAddresses([global]), { up: [], down: ["eth1"], first: false });
});

test("what is found goes with its interface, and with the neighbor that asked for it", () => {
  const discovery = new Discovery(new Effects());
  const eth1 = { address: "fe80::1", length: 64, interface: "eth1" };
  discovery.setHostAddresses([eth1]);
  discovery.watch(["eth1"]);
  assert.equal(discovery.located("eth1", "fe80::2%eth1"), true);
  assert.equal(discovery.located("eth1", "fe80::2"), false, "known");
  assert.equal(discovery.located("eth1", "192.0.2.1"), false);
  discovery.setHostAddresses([]);
  assert.equal(discovery.address("eth1"), undefined);
  discovery.setHostAddresses([eth1]);
  discovery.located("eth1", "fe80::3");
  discovery.watch([]);
  assert.equal(discovery.address("eth1"), undefined);
});
