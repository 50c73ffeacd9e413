/** RFC 8326: graceful shutdown, as the router that goes down and as one that hears of it. The router is AS 65001. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CoreRig } from "./core-rig.ts";

const p = "198.51.100.0/24";
const shutdown = "65535:0";

describe("4.2, 4.3: who hears of it", () => {
  test("the community from an external neighbor makes the route the last choice", () => {
    const rig = new CoreRig();
    const first = rig.peer("192.0.2.2");
    const second = rig.peer("192.0.2.3", { remoteAsn: 65003 });
    const inside = rig.peer("10.0.0.5", { remoteAsn: 65001 });
    first.announce(p);
    second.announce(p, { path: "65003 65009 65009" });
    assert.equal(rig.best(p), "192.0.2.2");
    first.announce(p, { communities: shutdown });
    assert.equal(rig.best(p), "192.0.2.3", "the longer path wins by local preference");
    second.withdraw(p);
    assert.equal(inside.route(p).localPref, 0, "and stays usable as long as there is no other");
    assert.equal(inside.route(p).communities, shutdown, "the community is kept");
    first.announce(p);
    assert.equal(inside.route(p).localPref, 100, "without it all is as before");
  });
  test("it lowers whatever import policy says, but can be switched off", () => {
    const rig = new CoreRig();
    rig.policy({ name: "prefer", statements: [{ set: { localPref: 400 }, action: 1 }] });
    const first = rig.peer("192.0.2.2", { import: ["prefer"] });
    const inside = rig.peer("10.0.0.5", { remoteAsn: 65001 });
    first.announce(p, { communities: shutdown });
    assert.equal(inside.route(p).localPref, 0);
    rig.neighbor({
      address: "192.0.2.2",
      remoteAsn: 65002,
      import: ["prefer"],
      honorGracefulShutdown: false,
    });
    rig.run();
    assert.equal(inside.route(p).localPref, 400);
  });
  test("import policy cannot take the ground from under it: the community counts as received", () => {
    const rig = new CoreRig();
    rig.policy({ name: "clean", statements: [{ set: { communitiesRemove: ["*:*"] }, action: 1 }] });
    const first = rig.peer("192.0.2.2", { import: ["clean"] });
    const inside = rig.peer("10.0.0.5", { remoteAsn: 65001 });
    first.announce(p, { communities: shutdown });
    assert.deepEqual([inside.route(p).localPref, inside.route(p).communities], [0, undefined]);
  });
  test("from an internal neighbor local preference stays: it was lowered where the route came in", () => {
    const rig = new CoreRig();
    const inside = rig.peer("10.0.0.5", { remoteAsn: 65001, routeReflectorClient: true });
    const other = rig.peer("10.0.0.6", { remoteAsn: 65001 });
    inside.announce(p, { communities: shutdown, localPref: 70 });
    assert.equal(other.route(p).localPref, 70);
  });
  test("an explanation tells that it was lowered", () => {
    const rig = new CoreRig();
    rig.peer("192.0.2.2").announce(p, { communities: shutdown });
    const told = rig.view.explainImport("192.0.2.2", p, 0);
    assert(told.ok);
    assert.equal(told.value.result?.localPref, 0);
    assert.ok(
      told.value.gates.some(({ text }) => text === "GRACEFUL_SHUTDOWN: local preference 0 (RFC 8326)"),
    );
  });
});

describe("4.1: who goes down", () => {
  test("toward external neighbors the community is added, toward internal ones local preference is 0 as well", () => {
    const rig = new CoreRig();
    const source = rig.peer("192.0.2.2");
    const out = rig.peer("192.0.2.3", { remoteAsn: 65003, gracefulShutdown: true });
    const inside = rig.peer("10.0.0.5", { remoteAsn: 65001, gracefulShutdown: true });
    const quiet = rig.peer("192.0.2.4", { remoteAsn: 65004 });
    source.announce(p, { communities: "65002:1" });
    assert.equal(out.route(p).communities, "65002:1 65535:0");
    assert.equal(out.route(p).localPref, undefined);
    assert.deepEqual([inside.route(p).communities, inside.route(p).localPref], ["65002:1 65535:0", 0]);
    assert.equal(quiet.route(p).communities, "65002:1", "others hear nothing of it");
  });
  test("it begins and ends with UPDATEs, without a reset", () => {
    const rig = new CoreRig();
    const source = rig.peer("192.0.2.2");
    const out = rig.peer("192.0.2.3", { remoteAsn: 65003 });
    source.announce(p);
    for (const gracefulShutdown of [true, false]) {
      out.forget();
      rig.neighbor({ address: "192.0.2.3", remoteAsn: 65003, gracefulShutdown });
      rig.run();
      assert.equal(out.updates.length, 1);
      assert.deepEqual(out.updates[0].withdrawn, []);
      assert.equal(out.route(p).communities, gracefulShutdown ? shutdown : undefined);
      assert.equal(out.notification, "");
    }
  });
  test("the whole router: global graceful_shutdown is that of every neighbor, present routes included", () => {
    const rig = new CoreRig();
    const source = rig.peer("192.0.2.2");
    const out = rig.peer("192.0.2.3", { remoteAsn: 65003 });
    const inside = rig.peer("10.0.0.5", { remoteAsn: 65001 });
    source.announce(p);
    rig.global({ gracefulShutdown: true });
    rig.run();
    assert.deepEqual([out.route(p).communities, inside.route(p).localPref], [shutdown, 0]);
    rig.global({});
    rig.run();
    assert.deepEqual([out.route(p).communities, inside.route(p).localPref], [undefined, 100]);
  });
  test("a community that is there already is not added twice", () => {
    const rig = new CoreRig();
    const source = rig.peer("192.0.2.2");
    const out = rig.peer("192.0.2.3", { remoteAsn: 65003, gracefulShutdown: true });
    source.announce(p, { communities: shutdown });
    assert.equal(out.route(p).communities, shutdown);
  });
});
