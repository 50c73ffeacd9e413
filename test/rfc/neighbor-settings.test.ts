/** Settings of a neighbor that the RFCs speak of: RFC 8212, 7947, 4486, private AS numbers, loops, defaults. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { limits } from "../../src/base/limits.ts";
import { PrefixLimit_Action, RemovePrivateAs } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import { CoreRig } from "./core-rig.ts";

const p = "198.51.100.0/24";
const q = "203.0.113.0/24";

describe("RFC 8212", () => {
  test("no routes are used from an external neighbor without import policy", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2", { import: [] });
    const inside = rig.peer("10.0.0.5", { remoteAsn: 65001 });
    a.announce(p);
    assert.equal(rig.best(p), undefined);
    assert.match(rig.rejection(a.address, p)!, /8212/);
    assert.equal(inside.has(p), false);
  });
  test("no routes are announced to an external neighbor without export policy, originated ones neither", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2");
    const b = rig.peer("192.0.2.3", { remoteAsn: 65003, export: [] });
    a.announce(p);
    rig.inject({ prefix: q });
    assert.equal(b.updates.length, 0);
    assert.equal(b.endsOfRib, 1);
  });
  test("internal neighbors need none", () => {
    const rig = new CoreRig();
    const a = rig.peer("10.0.0.5", { remoteAsn: 65001, import: [], export: [] });
    const b = rig.peer("192.0.2.2");
    a.announce(p);
    b.announce(q);
    assert.ok(b.has(p) && a.has(q));
  });
  test("a policy that comes opens the way, in each direction on its own; when it goes, routes go", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2", { import: [] });
    const b = rig.peer("192.0.2.3", { remoteAsn: 65003, export: [] });
    a.announce(p);
    rig.neighbor({ address: a.address, remoteAsn: 65002 });
    assert.equal(rig.best(p), a.address);
    assert.equal(b.has(p), false);
    rig.neighbor({ address: b.address, remoteAsn: 65003 });
    assert.ok(b.has(p));
    rig.neighbor({ address: b.address, remoteAsn: 65003, export: [] });
    assert.equal(b.has(p), false);
    rig.neighbor({ address: a.address, remoteAsn: 65002, import: [] });
    assert.equal(rig.best(p), undefined);
  });
  test("it can be turned off", () => {
    const rig = new CoreRig({ requirePolicy: false });
    const a = rig.peer("192.0.2.2", { import: [], export: [] });
    const b = rig.peer("192.0.2.3", { remoteAsn: 65003, import: [], export: [] });
    a.announce(p);
    assert.ok(b.has(p));
    rig.global({ requirePolicy: true });
    assert.equal(b.has(p), false);
  });
});

describe("AS loops, own AS numbers", () => {
  test("allow_own_as lets our AS stand in the path so often", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2", { allowOwnAs: 1 });
    a.announce(p, { path: "65002 65001 7" });
    assert.equal(rig.best(p), a.address);
    a.announce(p, { path: "65002 65001 65001" });
    assert.equal(rig.best(p), undefined);
  });
  test("a change of it counts for routes that are there", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2");
    a.announce(p, { path: "65002 65001" });
    assert.equal(rig.best(p), undefined);
    rig.neighbor({ address: a.address, remoteAsn: 65002, allowOwnAs: 1 });
    assert.equal(rig.best(p), a.address);
  });
  test("local_asn: OPEN and loop check know both numbers, paths get both", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2");
    const b = rig.peer("192.0.2.3", { remoteAsn: 65003, localAsn: 64900 });
    a.announce(p);
    assert.equal(b.route(p).path, "64900 65001 65002");
    rig.inject({ prefix: q });
    assert.equal(b.route(q).path, "64900 65001");
    b.announce("100.64.0.0/10", { path: "65003 64900" });
    assert.equal(rig.best("100.64.0.0/10"), undefined);
    b.announce("100.64.0.0/10", { path: "65003 65001" });
    assert.equal(rig.best("100.64.0.0/10"), undefined);
  });
  test("enforce_first_as: the first AS must be the neighbor's", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2");
    for (const path of ["64999 65002", "{65002}", ""]) {
      a.announce(p, { path });
      assert.equal(rig.best(p), undefined, path);
      assert.match(rig.rejection(a.address, p)!, /first AS/);
    }
    a.announce(p, { path: "65002 64999" });
    assert.equal(rig.best(p), a.address);
    assert.ok(a.up);
  });
  test("enforce_first_as off: for sessions with a route server", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2", { enforceFirstAs: false });
    a.announce(p, { path: "64999 65002" });
    assert.equal(rig.best(p), a.address);
  });
  test("internal neighbors are not asked for a first AS", () => {
    const rig = new CoreRig();
    const a = rig.peer("10.0.0.5", { remoteAsn: 65001 });
    a.announce(p, { path: "7 8" });
    assert.equal(rig.best(p), a.address);
  });
});

describe("remove_private_as", () => {
  const cases: readonly [RemovePrivateAs, string, string, string][] = [
    [RemovePrivateAs.REMOVE, "a path of private numbers only", "65002 64999", "65001"],
    [RemovePrivateAs.REMOVE, "a mixed path stays", "65002 7 64999", "65001 65002 7 64999"],
    [RemovePrivateAs.ALL, "each of them goes", "65002 7 64999 {8 64512}", "65001 7 {8}"],
    [RemovePrivateAs.ALL, "four-octet private numbers too", "65002 7 4200000000 4294967294", "65001 7"],
    [
      RemovePrivateAs.ALL,
      "neighbors of the private range stay",
      "65002 64511 65535 4199999999",
      "65001 64511 65535 4199999999",
    ],
    [RemovePrivateAs.REPLACE, "the length stays", "65002 7 64999", "65001 65001 7 65001"],
  ];
  const modes = ["", "none", "remove", "all", "replace"];
  for (const [removePrivateAs, name, path, want] of cases) {
    test(`${modes[removePrivateAs]}: ${name}`, () => {
      const rig = new CoreRig();
      const a = rig.peer("192.0.2.2");
      const b = rig.peer("192.0.2.3", { remoteAsn: 65003, removePrivateAs });
      const inside = rig.peer("10.0.0.5", { remoteAsn: 65001, removePrivateAs });
      a.announce(p, { path });
      assert.equal(b.route(p).path, want);
      assert.equal(inside.route(p).path, path);
    });
  }
});

describe("default_originate", () => {
  test("announces a default route of our own in each family, and takes it back", () => {
    const rig = new CoreRig();
    const families = ["ipv4-unicast", "ipv6-unicast"];
    const init = { remoteAsn: 65003, families, defaultOriginate: true };
    const a = rig.peer("192.0.2.3", init);
    const { origin, path, nextHop } = a.route("0.0.0.0/0");
    assert.deepEqual({ origin, path, nextHop }, { origin: "igp", path: "65001", nextHop: "192.0.2.1" });
    assert.equal(a.route("::/0").nextHop, "2001:db8::1");
    rig.neighbor({ address: a.address, ...init, defaultOriginate: false });
    assert.equal(a.has("0.0.0.0/0"), false);
    assert.ok(a.up);
  });
  test("to internal neighbors with LOCAL_PREF and an empty path", () => {
    const rig = new CoreRig();
    const a = rig.peer("10.0.0.5", { remoteAsn: 65001, defaultOriginate: true });
    const { path, localPref, nextHop } = a.route("0.0.0.0/0");
    assert.deepEqual({ path, localPref, nextHop }, { path: "", localPref: 100, nextHop: "10.0.0.1" });
  });
  test("a default route that is learned does not take its place", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.3", { remoteAsn: 65003, defaultOriginate: true });
    const b = rig.peer("192.0.2.2");
    b.announce("0.0.0.0/0");
    b.withdraw("0.0.0.0/0");
    assert.equal(a.route("0.0.0.0/0").path, "65001");
    assert.equal(a.updates.length, 1);
    assert.equal(b.has("0.0.0.0/0"), false);
  });
  test("with local_asn it has both numbers, as every route that we originate", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.3", { remoteAsn: 65003, localAsn: 64900, defaultOriginate: true });
    assert.equal(a.route("0.0.0.0/0").path, "64900 65001");
  });
});

describe("RFC 7947: route server", () => {
  const client = { routeServerClient: true };
  function server() {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2", { remoteAsn: 65002, ...client });
    const b = rig.peer("192.0.2.3", { remoteAsn: 65003, ...client });
    return { rig, a, b };
  }
  test("2.2.1 NEXT_HOP, 2.2.2 AS_PATH, 2.2.3 MED and communities pass as they are", () => {
    const { a, b } = server();
    a.announce(p, { nextHop: "192.0.2.77", path: "65002 7", med: 9, communities: "65002:1" });
    const { nextHop, path, med, communities, localPref } = b.route(p);
    assert.deepEqual(
      { nextHop, path, med, communities, localPref },
      { nextHop: "192.0.2.77", path: "65002 7", med: 9, communities: "65002:1", localPref: undefined },
    );
  });
  test("2.2.2.1: its own AS is not prepended; a client's own AS must be first in what it sends", () => {
    const { rig, a, b } = server();
    a.announce(p);
    assert.equal(b.route(p).path, "65002");
    a.announce(q, { path: "64999 7" });
    assert.match(rig.rejection(a.address, q)!, /first AS/);
  });
  test("extended communities that do not cross ASes are not removed for clients", () => {
    const { a, b } = server();
    a.announce(p, { extended: "4004fdea47c35000" });
    assert.equal(b.route(p).extended, "4004fdea47c35000");
  });
  test("other neighbors get what they always get", () => {
    const { rig, a } = server();
    const plain = rig.peer("192.0.2.9", { remoteAsn: 65009 });
    a.announce(p, { med: 9 });
    assert.deepEqual([plain.route(p).path, plain.route(p).med], ["65001 65002", undefined]);
  });
});

describe("RFC 4486 1, prefix limits", () => {
  const limit = (action: PrefixLimit_Action, max = 4) => ({
    prefixLimits: [
      { family: "ipv4-unicast", max, action, restartAfter: { seconds: 30n }, warningPercent: 75 },
    ],
  });
  const prefixes = (count: number, from = 0) =>
    Array.from({ length: count }, (_, i) => `10.${from + i}.0.0/16`);
  const near = "cairn.bgp.prefix_limit.near";
  const exceeded = "cairn.bgp.prefix_limit.exceeded";
  const told = (rig: CoreRig, topic: string) => rig.topics().filter((each) => each === topic).length;

  test("warn: an event past the threshold, one past the maximum, and the session goes on", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2", limit(PrefixLimit_Action.WARN));
    a.announce(prefixes(3));
    assert.equal(told(rig, near), 0);
    a.announce(prefixes(1, 3));
    assert.deepEqual([told(rig, near), told(rig, exceeded)], [1, 0]);
    a.announce(prefixes(3, 4));
    assert.deepEqual([told(rig, near), told(rig, exceeded)], [1, 1]);
    assert.ok(a.up);
    assert.equal(rig.best("10.6.0.0/16"), a.address);
  });
  test("a route that replaces another does not count again", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2", limit(PrefixLimit_Action.STOP));
    for (let i = 0; i < 5; i++) a.announce(prefixes(4), { med: i });
    a.withdraw("10.0.0.0/16");
    a.announce("10.9.0.0/16");
    assert.ok(a.up);
  });
  test("stop: Cease 1 with AFI, SAFI and the limit; all routes go; down until enabled", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2", limit(PrefixLimit_Action.STOP));
    const b = rig.peer("192.0.2.3", { remoteAsn: 65003 });
    a.announce(prefixes(5));
    assert.equal(a.notification, "6/1 00010100000004");
    assert.equal(a.up, false);
    assert.equal(b.routes.size, 0);
    rig.advance(600_000);
    assert.equal(rig.view.neighbor(a.address)?.state?.sessionState, 1);
    rig.operate({ op: "clear-hold", address: a.address });
    a.notification = "";
    a.connect();
    assert.ok(a.up);
  });
  test("restart: comes back after the time given, and not before", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2", limit(PrefixLimit_Action.RESTART));
    a.announce(prefixes(5));
    assert.equal(a.notification, "6/1 00010100000004");
    rig.advance(29_000);
    assert.equal(rig.view.neighbor(a.address)?.state?.sessionState, 1);
    rig.advance(2000);
    assert.equal(rig.view.neighbor(a.address)?.state?.sessionState, 3);
    a.notification = "";
    a.connect();
    a.announce(prefixes(4));
    assert.ok(a.up);
  });
  test("rejected routes count as long as they are kept", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2", { ...limit(PrefixLimit_Action.STOP), import: ["reject-all"] });
    a.announce(prefixes(5));
    assert.equal(a.notification, "6/1 00010100000004");
  });
});

describe("soft_reconfiguration off", () => {
  const off = { softReconfiguration: false };
  test("of rejected routes the first are kept, to be seen with what rejected them", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2", { ...off, import: ["reject-all"] });
    const many = Array.from({ length: limits.rejectedKeptMax + 1 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`);
    for (let at = 0; at < many.length; at += 500) a.announce(many.slice(at, at + 500));
    assert.equal(rig.rejection(a.address, many[0]), "policy reject-all, default action");
    assert.equal(rig.rejection(a.address, many[many.length - 1]), undefined);
    const told = rig.view.explainImport(a.address, many[many.length - 1], 0);
    assert(told.ok);
    assert.match(told.value.summary, /has not announced it, or it was refused and is not kept/);
  });
  test("a route that is rejected takes back the one before", () => {
    const rig = new CoreRig();
    rig.policy({
      name: "no-7",
      statements: [{ match: { passesAsns: [7] }, action: 2 }],
      defaultAction: 1,
    });
    const a = rig.peer("192.0.2.2", { ...off, import: ["no-7"] });
    const b = rig.peer("192.0.2.3", { remoteAsn: 65003 });
    a.announce(p);
    assert.ok(b.has(p));
    a.announce(p, { path: "65002 7" });
    assert.equal(b.has(p), false);
    a.announce(p, { path: "65002 65001" });
    assert.equal(rig.best(p), undefined);
  });
  test("a change of import policy asks for the routes again (RFC 2918), and they are used as they come", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2", { ...off, import: ["reject-all"] });
    a.announce(p);
    a.forget();
    rig.neighbor({ address: a.address, remoteAsn: 65002, ...off });
    assert.equal(a.refreshes, 1);
    a.announce(p);
    assert.equal(rig.best(p), a.address);
  });
  test("a policy that rejects what was accepted takes it back, whether or not it is sent again", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2", off, { routeRefresh: false });
    a.announce(p);
    assert.equal(rig.best(p), a.address);
    rig.neighbor({ address: a.address, remoteAsn: 65002, ...off, import: ["reject-all"] });
    assert.equal(rig.best(p), undefined);
  });
  test("on, a change of import policy needs nothing from the neighbor", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2", { import: ["reject-all"] });
    a.announce(p);
    rig.neighbor({ address: a.address, remoteAsn: 65002 });
    assert.equal(a.refreshes, 0);
    assert.equal(rig.best(p), a.address);
  });
});
