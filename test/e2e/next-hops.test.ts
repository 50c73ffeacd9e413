/** Next hops over the API of the real daemon: in a simulated kernel, in this host's own, and in none. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Daemon, type Json, until } from "./harness.ts";

const prefix = "198.51.100.0/24";

test("a simulated kernel, filled over the API", async (t) => {
  const daemon = await Daemon.start(t, { args: ["--dataplane", "memory"] });
  const hop = async (): Promise<Json> =>
    (await daemon.call("RibService/ListNextHops", { address: "203.0.113.9" })).nextHops?.[0];
  await daemon.call("InjectionService/AddPath", { path: { prefix, nextHop: "203.0.113.9" } });
  const before = await until("the next hop", hop);
  assert.deepEqual([before.reachable, before.reason, before.paths], [undefined, "no route", "1"]);
  await daemon.call("InterfaceService/SimulateKernel", {
    links: [{ name: "eth0", addresses: ["192.0.2.1/24"] }],
    routes: [{ prefix: "203.0.113.0/24", gateway: "192.0.2.9", metric: 7 }],
  });
  const found = await until("the way", async () => {
    const now = await hop();
    return now.reachable ? now : undefined;
  });
  assert.deepEqual(
    [found.metric, found.prefix, found.exits],
    [7, "203.0.113.0/24", [{ interface: "eth0", gateway: "192.0.2.9" }]],
  );
  const { links, observed } = await daemon.call("InterfaceService/ListLinks", {});
  assert.deepEqual(
    [observed, links.map(({ name, up, addresses }: Json) => [name, up, addresses])],
    [true, [["eth0", true, ["192.0.2.1/24"]]]],
  );
  const { text } = await daemon.call("ControlService/GetMetrics", {});
  assert.match(text, /^cairn_next_hops\{state="reachable"\} 1$/m);
  assert.match(text, /^cairn_links\{state="up"\} 1$/m);
  await daemon.call("InterfaceService/SimulateKernel", { links: [{ name: "eth0", down: true }] });
  await until("the loss", async () => !(await hop()).reachable);
  const { events } = await daemon.call("EventService/ListEvents", {
    filter: { topics: ["cairn.dataplane.*"] },
  });
  assert.deepEqual(
    events.map(({ topic }: Json) => topic),
    ["cairn.dataplane.link.up", "cairn.dataplane.link.down"],
  );
});

test("the kernel of this host, without privilege", { skip: process.platform !== "linux" }, async (t) => {
  const daemon = await Daemon.start(t, { args: ["--dataplane", "linux"] });
  const { links } = await daemon.call("InterfaceService/ListLinks", {});
  const lo = links.find(({ name }: Json) => name === "lo");
  assert.ok(lo.up && lo.addresses.includes("127.0.0.1/8"), JSON.stringify(lo));
  const refused = await daemon.refused("InterfaceService/SimulateKernel", {});
  assert.equal(refused.code, "failed_precondition");
});

test("none: nothing is tracked, and says so", async (t) => {
  const daemon = await Daemon.start(t);
  const { tracked = false, nextHops = [] } = await daemon.call("RibService/ListNextHops", {});
  assert.deepEqual([tracked, nextHops], [false, []]);
  const { observed = false } = await daemon.call("InterfaceService/ListLinks", {});
  assert.equal(observed, false);
  const refused = await daemon.refused("InterfaceService/SimulateKernel", {});
  assert.match(refused.message, /the kernel is not looked at here/);
});

test("linux without the addon: the daemon says what is missing, and does not start", async (t) => {
  const daemon = Daemon.spawn(t, { args: ["--dataplane", "linux"], env: { CAIRN_NATIVE: "off" } });
  const { code } = await daemon.exited;
  assert.equal(code, 1);
  assert.match(daemon.noise, /--dataplane linux: the native addon is switched off by CAIRN_NATIVE=off/);
});
