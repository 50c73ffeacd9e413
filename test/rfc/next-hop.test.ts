/** RFC 4271 9.1.2: a route whose next hop cannot be reached is not chosen; 9.1.2.2 e: the nearer exit wins. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseIp, parsePrefix } from "../../src/base/ip.ts";
import type { SimulatedKernel, SimulatedRoute } from "../../src/dataplane/simulated-kernel.ts";
import { CoreRig, type Peer } from "./core-rig.ts";

/** A route as `ip route add` would have it: `PREFIX via GATEWAY metric N`, `PREFIX dev LINK`, `TYPE PREFIX`. */
function route(text: string): SimulatedRoute {
  const words = text.split(" ");
  const isSpecial = ["blackhole", "unreachable", "prohibit"].includes(words[0]);
  const destination = parsePrefix(words[isSpecial ? 1 : 0]);
  assert.ok(typeof destination !== "string", text);
  const after = (name: string): string => (words.includes(name) ? words[words.indexOf(name) + 1] : "");
  return {
    destination,
    metric: Number(after("metric") || 0),
    type: isSpecial ? (words[0] as SimulatedRoute["type"]) : "unicast",
    link: after("dev"),
    gateway: after("via") === "" ? undefined : parseIp(after("via")),
  };
}

function kernel(routes: readonly string[], down: readonly string[] = []): SimulatedKernel {
  const link = (name: string, ...addresses: string[]) => ({
    name,
    up: !down.includes(name),
    addresses: addresses.map((text) => {
      const [address, length] = text.split("/");
      return { bytes: parseIp(address)!, length: Number(length) };
    }),
  });
  const links = [
    link("eth0", "192.0.2.1/24", "2001:db8::1/64", "fe80::1/64"),
    link("eth1", "10.0.0.1/24", "2001:db8:1::1/64"),
  ];
  return { links, routes: routes.map(route) };
}

function rigWith(routes: readonly string[], global = {}): CoreRig {
  const rig = new CoreRig(global, undefined, "memory");
  rig.simulate(kernel(routes));
  return rig;
}

/** An iBGP neighbor that announces the prefix with this next hop. */
function tell(rig: CoreRig, address: string, prefix: string, nextHop: string): Peer {
  const peer = rig.peer(address, { remoteAsn: 65001 });
  peer.announce(prefix, { nextHop, path: "65010" });
  return peer;
}

const prefix = "198.51.100.0/24";

describe("next hops that can be reached", () => {
  test("a route waits for its next hop, is told why, and is chosen when a way appears", () => {
    const rig = rigWith([]);
    tell(rig, "10.0.0.5", prefix, "203.0.113.9");
    assert.equal(rig.best(prefix), undefined);
    assert.equal(rig.rejection("10.0.0.5", prefix), "next hop 203.0.113.9 cannot be reached: no route");
    rig.simulate(kernel(["203.0.113.0/24 via 10.0.0.9"]));
    assert.equal(rig.best(prefix), "10.0.0.5");
    assert.equal(rig.rejection("10.0.0.5", prefix), "");
    rig.simulate(kernel(["203.0.113.0/24 via 10.0.0.9", "blackhole 203.0.113.9/32"]));
    assert.equal(rig.best(prefix), undefined);
    assert.match(rig.rejection("10.0.0.5", prefix)!, /the route 203\.0\.113\.9\/32 is of type blackhole$/);
    assert.deepEqual(
      rig.topics().filter((topic) => topic.startsWith("cairn.rib")),
      ["cairn.rib.next_hop.found", "cairn.rib.next_hop.lost"],
    );
  });

  test("what was announced is withdrawn with the next hop, and comes back", () => {
    const rig = rigWith(["203.0.113.0/24 via 10.0.0.9"]);
    const outside = rig.peer("192.0.2.2", {});
    tell(rig, "10.0.0.5", prefix, "203.0.113.9");
    assert.ok(outside.routes.has(prefix));
    rig.simulate(kernel([]));
    assert.ok(!outside.routes.has(prefix));
    rig.simulate(kernel(["203.0.113.0/24 via 10.0.0.9"]));
    assert.ok(outside.routes.has(prefix));
  });

  test("counted as accepted all the while; only explained otherwise", () => {
    const rig = rigWith([]);
    tell(rig, "10.0.0.5", prefix, "203.0.113.9");
    const story = rig.view.explainImport("10.0.0.5", prefix, 0);
    assert.ok(story.ok);
    assert.deepEqual(
      story.value.gates.filter(({ passed }) => !passed).map(({ name, text }) => [name, text]),
      [["next-hop", "next hop 203.0.113.9 cannot be reached: no route"]],
    );
    const [family] = rig.view.neighbor("10.0.0.5")!.state!.families;
    assert.equal(family.accepted, 1n);
    const best = rig.view.explainBestPath(prefix);
    assert.ok(best.ok);
    assert.match(best.value.ineligible[0].rejectReason, /203\.0\.113\.9 cannot be reached/);
  });

  test("the default route counts unless told otherwise", () => {
    const rig = rigWith(["0.0.0.0/0 via 10.0.0.9"]);
    tell(rig, "10.0.0.5", prefix, "203.0.113.9");
    assert.equal(rig.best(prefix), "10.0.0.5");
    rig.global({ resolveViaDefault: false });
    assert.equal(rig.best(prefix), undefined);
    assert.match(rig.rejection("10.0.0.5", prefix)!, /only the default route leads to it/);
  });

  test("a next hop of an external neighbor one hop away must be on the link, unless that is not checked", () => {
    const rig = rigWith(["203.0.113.0/24 via 192.0.2.9"]);
    const peer = rig.peer("192.0.2.2", { remoteAsn: 65002 });
    peer.announce(prefix, { nextHop: "203.0.113.9" });
    peer.announce("198.51.101.0/24", { nextHop: "192.0.2.3" });
    assert.equal(rig.best("198.51.101.0/24"), "192.0.2.2");
    assert.equal(rig.best(prefix), undefined);
    assert.match(rig.rejection("192.0.2.2", prefix)!, /203\.0\.113\.9 is not on a link of ours/);
    rig.neighbor({ address: "192.0.2.2", remoteAsn: 65002, disableConnectedCheck: true });
    assert.equal(rig.best(prefix), "192.0.2.2");
    const far = rig.peer("192.0.2.4", { remoteAsn: 65004, multihopTtl: 3 });
    far.announce("198.51.102.0/24", { nextHop: "203.0.113.9" });
    assert.equal(rig.best("198.51.102.0/24"), "192.0.2.4");
  });

  test("link-local next hops are there as long as a link is", () => {
    const rig = rigWith([]);
    const peer = rig.peer("2001:db8:1::5", { remoteAsn: 65001 });
    peer.announce6("2001:db8:9::/48", { nextHop: "fe80::5" });
    assert.equal(rig.best("2001:db8:9::/48"), "2001:db8:1::5");
    rig.simulate(kernel([], ["eth0"]));
    assert.equal(rig.best("2001:db8:9::/48"), undefined);
  });

  test("routes of our own wait for nothing", () => {
    const rig = rigWith([]);
    rig.inject({ prefix, nextHop: "203.0.113.9" });
    assert.equal(rig.best(prefix), "local");
  });

  test("without tracking every next hop counts", () => {
    const rig = new CoreRig();
    tell(rig, "10.0.0.5", prefix, "203.0.113.9");
    assert.equal(rig.best(prefix), "10.0.0.5");
    assert.equal(rig.view.nextHops("", false, "", 10), undefined);
    assert.equal(rig.view.links(), undefined);
  });
});

describe("the nearer exit", () => {
  const routes = ["203.0.113.9/32 via 10.0.0.9 metric 20", "203.0.113.10/32 via 10.0.0.9 metric 10"];

  test("lower metric wins, and follows the kernel", () => {
    const rig = rigWith(routes);
    tell(rig, "10.0.0.5", prefix, "203.0.113.9");
    tell(rig, "10.0.0.6", prefix, "203.0.113.10");
    assert.equal(rig.best(prefix), "10.0.0.6");
    const story = rig.view.explainBestPath(prefix);
    assert.ok(story.ok);
    assert.equal(story.value.candidates[1].decidedBy, "igp-metric");
    rig.simulate(kernel([routes[0], "203.0.113.10/32 via 10.0.0.9 metric 30"]));
    assert.equal(rig.best(prefix), "10.0.0.5");
  });

  test("after external against internal", () => {
    const rig = rigWith(["203.0.113.9/32 via 10.0.0.9 metric 1", "0.0.0.0/0 via 10.0.0.9 metric 500"]);
    tell(rig, "10.0.0.5", prefix, "203.0.113.9");
    const far = rig.peer("192.0.2.4", { remoteAsn: 65010, multihopTtl: 3 });
    far.announce(prefix, { nextHop: "203.0.113.77", path: "65010" });
    assert.equal(rig.best(prefix), "192.0.2.4");
  });

  test("in both orders of arrival", () => {
    for (const order of [0, 1]) {
      const rig = rigWith(routes);
      const peers = [
        ["10.0.0.5", "203.0.113.9"],
        ["10.0.0.6", "203.0.113.10"],
      ];
      if (order === 1) peers.reverse();
      for (const [address, nextHop] of peers) tell(rig, address, prefix, nextHop);
      assert.equal(rig.best(prefix), "10.0.0.6");
    }
  });
});

describe("recursion", () => {
  test("a BGP route leads on; its end decides reachability and metric", () => {
    const rig = rigWith(["172.16.0.0/16 via 10.0.0.9 metric 7"]);
    const peer = tell(rig, "10.0.0.5", prefix, "203.0.113.9");
    assert.equal(rig.best(prefix), undefined);
    peer.announce("203.0.113.0/24", { nextHop: "172.16.0.1", path: "65010" });
    assert.equal(rig.best(prefix), "10.0.0.5");
    const hop = rig.view.nextHops("203.0.113.9", false, "", 1)!.nextHops[0];
    assert.deepEqual(
      [hop.metric, hop.protocol, hop.prefix, hop.through, hop.exits.map((exit) => exit.gateway)],
      [7, "bgp", "203.0.113.0/24", ["172.16.0.1"], ["10.0.0.9"]],
    );
    rig.simulate(kernel([]));
    assert.equal(rig.best(prefix), undefined);
    rig.simulate(kernel(["172.16.0.0/16 via 10.0.0.9"]));
    assert.equal(rig.best(prefix), "10.0.0.5");
    peer.withdraw("203.0.113.0/24");
    assert.equal(rig.best(prefix), undefined);
  });

  test("a route does not carry its own next hop", () => {
    const rig = rigWith(["0.0.0.0/0 via 10.0.0.9 metric 3"]);
    const peer = tell(rig, "10.0.0.5", "203.0.113.0/24", "203.0.113.9");
    assert.equal(rig.best("203.0.113.0/24"), "10.0.0.5");
    const hop = rig.view.nextHops("203.0.113.9", false, "", 1)!.nextHops[0];
    assert.deepEqual([hop.protocol, hop.metric, hop.held], ["static", 3, false]);
    rig.global({ resolveViaDefault: false });
    assert.equal(rig.best("203.0.113.0/24"), undefined);
    peer.withdraw("203.0.113.0/24");
    assert.equal(rig.view.nextHops("", false, "", 10)!.total, 0);
  });

  test("a path whose next hop is only reached by another path to the same prefix is not chosen", () => {
    const rig = rigWith(["172.16.0.0/16 via 10.0.0.9"]);
    tell(rig, "10.0.0.5", "203.0.113.0/24", "172.16.0.1");
    const peer = rig.peer("10.0.0.6", { remoteAsn: 65001 });
    // Better in itself: chosen, it would take away the way to its next hop, and with it itself.
    peer.announce("203.0.113.0/24", { nextHop: "203.0.113.9", path: "65010", localPref: 200 });
    assert.equal(rig.best("203.0.113.0/24"), "10.0.0.5");
    assert.equal(
      rig.rejection("10.0.0.6", "203.0.113.0/24"),
      "next hop 203.0.113.9 is reached by this route itself",
    );
  });

  test("two routes do not carry each other", () => {
    const rig = rigWith(["203.0.113.0/24 via 10.0.0.9", "198.18.0.0/16 via 10.0.0.9"]);
    const peer = tell(rig, "10.0.0.5", "203.0.113.8/29", "198.18.0.1");
    peer.announce("198.18.0.0/24", { nextHop: "203.0.113.9", path: "65010" });
    assert.equal(rig.best("203.0.113.8/29"), "10.0.0.5");
    assert.equal(rig.best("198.18.0.0/24"), "10.0.0.5");
    rig.simulate(kernel([]));
    assert.equal(rig.best("203.0.113.8/29"), undefined);
    assert.equal(rig.best("198.18.0.0/24"), undefined);
  });

  test("no deeper than a bound", () => {
    const rig = rigWith(["198.18.0.0/24 via 10.0.0.9"]);
    const peer = rig.peer("10.0.0.5", { remoteAsn: 65001 });
    for (let i = 1; i <= 12; i++) {
      peer.announce(`198.18.${i}.0/24`, { nextHop: `198.18.${i - 1}.1`, path: "65010" });
    }
    assert.equal(rig.best("198.18.8.0/24"), "10.0.0.5");
    assert.equal(rig.best("198.18.12.0/24"), undefined);
  });
});

describe("a link that goes down", () => {
  test("takes along the external sessions over it at once, and nobody else's", () => {
    const rig = rigWith([]);
    const peers = [
      rig.peer("192.0.2.2", { remoteAsn: 65002 }),
      rig.peer("192.0.2.3", { remoteAsn: 65003, fastFailover: false }),
      rig.peer("192.0.2.4", { remoteAsn: 65004, multihopTtl: 2 }),
      rig.peer("10.0.0.5", { remoteAsn: 65001 }),
    ];
    for (const peer of peers) peer.announce(`198.51.${peer.asn - 65001}.0/24`);
    rig.simulate(kernel([], ["eth0"]));
    assert.deepEqual(
      peers.map((peer) => peer.up),
      [false, true, true, true],
    );
    const [reset] = rig.view.neighbor("192.0.2.2")!.state!.resets;
    assert.match(reset.text, /the link went down \(ENETDOWN\)/);
    // Whoever keeps its session has a next hop less.
    assert.deepEqual(
      [1, 2, 3, 0].map((n) => rig.best(`198.51.${n}.0/24`)),
      [undefined, undefined, undefined, "10.0.0.5"],
    );
    rig.simulate(kernel([]));
    assert.equal(rig.best("198.51.2.0/24"), "192.0.2.3");
    assert.ok(rig.topics().includes("cairn.dataplane.link.down"));
  });
});

test("a flap of one next hop out of many looks at its own prefixes alone", () => {
  const [hops, each] = [50, 200];
  const routes = Array.from({ length: hops }, (_, i) => `203.0.113.${i}/32 via 10.0.0.9`);
  const rig = rigWith(routes);
  const peer = rig.peer("10.0.0.5", { remoteAsn: 65001 });
  for (let hop = 0; hop < hops; hop++) {
    const prefixes = Array.from({ length: each }, (_, i) => `100.${hop}.${i}.0/24`);
    peer.announce(prefixes, { nextHop: `203.0.113.${hop}`, path: "65010" });
  }
  const table = rig.core.routing.tables[0];
  assert.equal(table.bestCount, hops * each);
  const before = { ...rig.view.nextHopCounts()!, changes: table.changes.changes, runs: table.bestPathRuns };
  rig.simulate(kernel(routes.slice(1)));
  assert.equal(table.bestCount, (hops - 1) * each);
  const after = rig.view.nextHopCounts()!;
  assert.equal(after.pathsSettled - before.pathsSettled, each);
  assert.equal(table.changes.changes - before.changes, each);
  assert.equal(table.bestPathRuns - before.runs, each);
});
