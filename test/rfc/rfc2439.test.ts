/** RFC 2439 with the values of RFC 7196: routes that flap are left out until they are quiet. Penalties: src/rib/damping.test.ts. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { CoreRig, type Peer } from "./core-rig.ts";

const address = "192.0.2.2";
const prefix = "203.0.113.0/24";
/** Two withdrawals suppress; a penalty of 2000 takes two half-lives to be reused. */
const quick = {
  halfLife: durationFromMs(60_000),
  reuse: 500,
  suppress: 1900,
  maxSuppress: durationFromMs(240_000),
};

function lab(damping: object = quick, init: object = {}) {
  const rig = new CoreRig();
  const third = rig.peer("192.0.2.3", { remoteAsn: 65003 });
  const peer = rig.peer(address, { damping, ...init });
  peer.announce(prefix);
  return { rig, peer, third };
}

function flap(peer: Peer, times: number): void {
  for (let i = 0; i < times; i++) {
    peer.withdraw(prefix);
    peer.announce(prefix);
  }
}

const dampened = (rig: CoreRig, all = false) => {
  const page = rig.view.dampened({ neighbor: "", family: undefined, all }, "", 100);
  assert.ok(page.ok);
  return page.value.routes.map(({ prefix, penalty, flaps, suppressed, announced, timeLeft }) => {
    return { prefix, penalty, flaps, suppressed, announced, left: Number(timeLeft!.seconds) };
  });
};

describe("RFC 2439 4, damping", () => {
  test("by default there is none", () => {
    const rig = new CoreRig();
    const peer = rig.peer(address);
    peer.announce(prefix);
    flap(peer, 100);
    assert.equal(rig.best(prefix), address);
    assert.deepEqual(dampened(rig, true), []);
  });
  test("with the values of RFC 7196 five withdrawals are borne, the sixth suppresses", () => {
    const { rig, peer, third } = lab({});
    flap(peer, 5);
    assert.equal(rig.best(prefix), address);
    flap(peer, 1);
    assert.equal(rig.best(prefix), undefined);
    assert.equal(third.has(prefix), false);
    assert.deepEqual(dampened(rig), [
      { prefix, penalty: 6000, flaps: 6, suppressed: true, announced: true, left: 2700 },
    ]);
    rig.advance(45 * 60_000 - 1000);
    assert.equal(third.has(prefix), false);
    rig.advance(1000);
    assert.equal(third.has(prefix), true);
  });
  test("a suppressed route is not chosen and not announced; it tells its penalty and its time, and comes back on time", () => {
    const { rig, peer, third } = lab();
    flap(peer, 2);
    assert.match(
      rig.rejection(address, prefix) ?? "",
      /^suppressed: it has flapped too often \(RFC 2439\): penalty 2000, used again below 500 in 120 s$/,
    );
    const why = rig.view.explainImport(address, prefix, 0);
    assert.ok(why.ok);
    assert.deepEqual(
      why.value.gates.filter(({ passed }) => !passed).map(({ name }) => name),
      ["damping"],
    );
    assert.equal(rig.view.neighbor(address)!.state!.families[0].damped, 1n);
    third.forget();
    rig.advance(119_999);
    assert.deepEqual(third.trail, []);
    rig.advance(1);
    assert.deepEqual(third.trail, [`+${prefix}`]);
    assert.equal(rig.rejection(address, prefix), "");
    assert.deepEqual(dampened(rig, true)[0].suppressed, false);
    rig.advance(60_000);
    assert.deepEqual(dampened(rig, true), [], "a half-life later it is forgotten");
    const topics = rig.topics().filter((topic) => topic.startsWith("cairn.bgp.route."));
    assert.deepEqual(topics, ["cairn.bgp.route.suppressed", "cairn.bgp.route.reused"]);
  });
  test("other attributes count half; the same announcement again counts nothing", () => {
    const { rig, peer } = lab();
    peer.announce(prefix);
    assert.deepEqual(dampened(rig, true), []);
    peer.announce(prefix, { path: "65002 65009" });
    assert.deepEqual(dampened(rig, true), [
      { prefix, penalty: 500, flaps: 1, suppressed: false, announced: true, left: 60 },
    ]);
    for (const path of ["65002 1", "65002 2", "65002 3"]) peer.announce(prefix, { path });
    assert.equal(rig.best(prefix), undefined, "2000");
  });
  test("the ceiling: however often it flaps, it is back after max_suppress", () => {
    const { rig, peer } = lab();
    flap(peer, 50);
    assert.equal(dampened(rig)[0].penalty, 8000);
    rig.advance(240_000);
    assert.equal(rig.best(prefix), address);
  });
  test("a route that is gone when its time comes stays gone, and comes in at once afterwards", () => {
    const { rig, peer } = lab();
    flap(peer, 1);
    peer.withdraw(prefix);
    assert.deepEqual(dampened(rig)[0].announced, false);
    rig.advance(120_000);
    assert.equal(rig.best(prefix), undefined);
    peer.announce(prefix);
    assert.equal(rig.best(prefix), address);
  });
  test("another path takes its place meanwhile", () => {
    const { rig, peer, third } = lab();
    third.announce(prefix);
    flap(peer, 2);
    assert.equal(rig.best(prefix), "192.0.2.3");
  });
  test("the loss of the session counts nothing, and what is suppressed stays so over it", () => {
    const { rig, peer } = lab();
    peer.drop();
    assert.deepEqual(dampened(rig, true), []);
    rig.advance(5000);
    peer.reconnect({});
    peer.announce(prefix);
    flap(peer, 2);
    peer.drop();
    rig.advance(5000);
    peer.reconnect({});
    peer.announce(prefix);
    assert.equal(rig.best(prefix), undefined);
    assert.equal(dampened(rig)[0].flaps, 2);
  });
  test("internal neighbors are not damped", () => {
    const rig = new CoreRig({ damping: quick });
    const peer = rig.peer("10.0.0.4", { remoteAsn: 65001 });
    peer.announce(prefix);
    flap(peer, 10);
    assert.equal(rig.best(prefix), "10.0.0.4");
    assert.deepEqual(dampened(rig, true), []);
  });
  test("settings come from Global; a neighbor can turn it off", () => {
    const rig = new CoreRig({ damping: quick });
    const one = rig.peer(address);
    const off = rig.peer("192.0.2.3", { remoteAsn: 65003, damping: { enabled: false } });
    one.announce("10.1.0.0/16");
    off.announce("10.3.0.0/16");
    for (let i = 0; i < 3; i++) {
      one.withdraw("10.1.0.0/16");
      one.announce("10.1.0.0/16");
      off.withdraw("10.3.0.0/16");
      off.announce("10.3.0.0/16");
    }
    assert.equal(rig.best("10.1.0.0/16"), undefined);
    assert.equal(rig.best("10.3.0.0/16"), "192.0.2.3");
  });
  test("what policy refuses is not counted; without soft reconfiguration a suppressed route is kept all the same", () => {
    const refused = lab(quick, { import: [] });
    flap(refused.peer, 10);
    assert.deepEqual(dampened(refused.rig, true), []);
    const { rig, peer } = lab(quick, { softReconfiguration: false });
    flap(peer, 2);
    assert.equal(rig.best(prefix), undefined);
    rig.advance(120_000);
    assert.equal(rig.best(prefix), address);
  });
  test("clearing, new settings and turning it off let routes in at once", () => {
    for (const end of [
      (rig: CoreRig) => rig.operate({ op: "clear-damping", address: "", prefix: "" }),
      (rig: CoreRig) => rig.operate({ op: "clear-damping", address, prefix }),
      (rig: CoreRig) => rig.neighbor({ address, remoteAsn: 65002 }),
      (rig: CoreRig) => rig.neighbor({ address, remoteAsn: 65002, damping: { ...quick, suppress: 1800 } }),
    ]) {
      const { rig, peer } = lab();
      flap(peer, 2);
      rig.operate({ op: "clear-damping", address: "192.0.2.3", prefix: "" });
      rig.operate({ op: "clear-damping", address: "", prefix: "10.0.0.0/8" });
      assert.equal(rig.best(prefix), undefined, "that was of others");
      end(rig);
      assert.equal(rig.best(prefix), address);
      assert.deepEqual(dampened(rig, true), []);
    }
  });
  test("a neighbor that is gone leaves nothing behind", () => {
    const { rig, peer } = lab();
    flap(peer, 2);
    rig.mutate({ op: "delete", kind: "Neighbor", name: address });
    assert.deepEqual(dampened(rig, true), []);
    assert.equal(rig.core.damping.flaps.size, 0);
  });
  test("with a limit that drops the excess, a suppressed route keeps its place", () => {
    const limit = [{ family: "ipv4-unicast", max: 1, action: 4 }];
    const { rig, peer } = lab(quick, { prefixLimits: limit });
    flap(peer, 2);
    peer.announce("10.1.0.0/16");
    assert.equal(rig.best("10.1.0.0/16"), undefined);
    rig.advance(120_000);
    assert.equal(rig.best(prefix), address);
  });
});
