/** RFC 4271 3.1, 4.3, 6.3 and 9, RFC 7606: what an UPDATE does to the tables and to the session. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { update } from "../support/wire.ts";
import { CoreRig } from "./core-rig.ts";
import { attributesHex, nlriHex } from "./wire-text.ts";

const p = "198.51.100.0/24";
const q = "203.0.113.0/24";

function two() {
  const rig = new CoreRig();
  return { rig, a: rig.peer("192.0.2.2"), b: rig.peer("192.0.2.3", { remoteAsn: 65003 }) };
}

describe("3.1, 4.3, 9: routes come and go", () => {
  test("a prefix that is announced again replaces the route without a withdrawal", () => {
    const { a, b } = two();
    a.announce(p);
    a.announce(p, { path: "65002 9" });
    assert.equal(b.route(p).path, "65001 65002 9");
    assert.ok(b.updates.every(({ withdrawn }) => withdrawn.length === 0));
  });
  test("withdrawn routes and new ones in one message", () => {
    const { rig, a, b } = two();
    a.announce(p);
    a.send(
      update(
        attributesHex({ origin: "igp", path: "65002", nextHop: "192.0.2.2" }, 4),
        nlriHex(q),
        nlriHex(p),
      ),
    );
    assert.equal(rig.best(p), undefined);
    assert.deepEqual([...b.routes.keys()], [q]);
  });
  test("4.3: a prefix in both fields counts as announced", () => {
    const { rig, a, b } = two();
    a.send(
      update(
        attributesHex({ origin: "igp", path: "65002", nextHop: "192.0.2.2" }, 4),
        nlriHex(p),
        nlriHex(p),
      ),
    );
    assert.equal(rig.best(p), a.address);
    assert.ok(b.has(p));
  });
  test("4.3: we never put a prefix into both", () => {
    const { a, b } = two();
    for (let i = 0; i < 4; i++) {
      a.announce(p, { path: `65002 ${i + 1}` });
      a.withdraw(p);
    }
    for (const { reach, withdrawn } of b.updates)
      assert.ok(!reach.some((prefix) => withdrawn.includes(prefix)));
  });
  test("4.3: bits beyond the prefix length do not matter", () => {
    const { rig, a, b } = two();
    a.send(update(attributesHex({ origin: "igp", path: "65002", nextHop: "192.0.2.2" }, 4), "140a01ff"));
    assert.equal(rig.best("10.1.240.0/20"), a.address);
    assert.ok(b.has("10.1.240.0/20"));
    a.send(update("", "", "140a01f0"));
    assert.equal(b.has("10.1.240.0/20"), false);
  });
  test("4.3: length 0 is the default route", () => {
    const { a, b } = two();
    a.announce("0.0.0.0/0");
    assert.ok(b.has("0.0.0.0/0"));
  });
  test("a withdrawal of what was never announced is nothing", () => {
    const { a, b } = two();
    a.withdraw(p);
    assert.equal(b.updates.length, 0);
    assert.ok(a.up);
  });
});

describe("6.3 and RFC 7606: errors", () => {
  const good = attributesHex({ origin: "igp", path: "65002", nextHop: "192.0.2.2" }, 4);
  test("treat-as-withdraw: the route goes, the session stays, it is counted and told", () => {
    const { rig, a, b } = two();
    a.announce([p, q]);
    a.send(update(good.replace("40010100", "40010109"), nlriHex(p)));
    assert.equal(rig.best(p), undefined);
    assert.deepEqual([...b.routes.keys()], [q]);
    assert.ok(a.up);
    assert.ok(rig.topics().includes("cairn.bgp.update.malformed"));
    assert.equal(rig.view.neighbor(a.address)?.state?.treatAsWithdraw, 1n);
  });
  test("attribute discard: the route stays without the attribute", () => {
    const { a, b } = two();
    a.send(update(`${good}c0070100`, nlriHex(p)));
    assert.equal(b.route(p).aggregator, undefined);
    assert.ok(a.up);
  });
  test("session reset: NOTIFICATION with the code, the data, and all routes gone", () => {
    const { rig, a, b } = two();
    a.announce(p);
    a.send(update(good, "21c6336400"));
    assert.match(a.notification, /^3\/10/);
    assert.equal(rig.best(p), undefined);
    assert.equal(b.has(p), false);
  });
  test("strict_errors: NOTIFICATION 3/6 with the whole attribute as data, as RFC 4271 alone has it", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2", { strictErrors: true });
    a.send(update(good.replace("40010100", "40010109"), nlriHex(p)));
    assert.equal(a.notification, "3/6 40010109");
  });
  test("strict_errors: unrecognized well-known 3/2, missing well-known 3/3 with its code", () => {
    const cases: readonly [string, string][] = [
      [`${good}40630107`, "3/2 40630107"],
      [good.replace("40010100", ""), "3/3 01"],
      [good.replace("40010100", "c0010100"), "3/4 c0010100"],
      [good.replace("40010100", "4001020000"), "3/5 4001020000"],
      [good.replace("400304c0000202", "40030400000000"), "3/8 40030400000000"],
      [good.replace("0201", "0701"), "3/11"],
    ];
    for (const [attributes, want] of cases) {
      const rig = new CoreRig();
      const a = rig.peer("192.0.2.2", { strictErrors: true });
      a.send(update(attributes, nlriHex(p)));
      assert.ok(a.notification.startsWith(want), `${a.notification} for ${want}`);
    }
  });
  test("a lost session: its routes are gone before those of the next one count", () => {
    const { rig, a, b } = two();
    a.announce([p, q]);
    a.drop();
    rig.advance(60_000);
    a.connect();
    a.announce(p);
    assert.deepEqual([...b.routes.keys()], [p]);
  });
});
