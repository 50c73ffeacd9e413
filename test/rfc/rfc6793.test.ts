/** RFC 6793 through the whole core: neighbors that know only two-octet AS numbers, in both directions. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CoreRig } from "./core-rig.ts";

const p = "198.51.100.0/24";
const old = { twoOctet: true };

function mixed() {
  const rig = new CoreRig();
  return {
    rig,
    old: rig.peer("192.0.2.2", { remoteAsn: 65002 }, old),
    old2: rig.peer("192.0.2.3", { remoteAsn: 65003 }, old),
    wide: rig.peer("192.0.2.4", { remoteAsn: 4_200_000_004 }),
  };
}

describe("4.2.2: to a two-octet neighbor", () => {
  test("AS_TRANS stands for what does not fit, AS4_PATH has the whole path", () => {
    const { wide, old } = mixed();
    wide.announce(p, { path: "4200000004 7 4200000009" });
    assert.equal(old.route(p).path, "65001 23456 7 23456");
    assert.equal(old.route(p).as4Path, "65001 4200000004 7 4200000009");
    assert.equal(old.updates[0].flags[17], 0xc0);
  });
  test("no AS4_PATH when every AS number fits", () => {
    const { old, old2 } = mixed();
    old.announce(p, { path: "65002 7 {8 9}" });
    assert.equal(old2.route(p).path, "65001 65002 7 {8 9}");
    assert.equal(old2.route(p).as4Path, undefined);
  });
  test("AGGREGATOR with AS_TRANS and AS4_AGGREGATOR beside it", () => {
    const { wide, old } = mixed();
    wide.announce(p, { path: "4200000004", aggregator: "4200000004 10.9.9.9" });
    assert.equal(old.route(p).aggregator, "23456 10.9.9.9");
    assert.equal(old.route(p).as4Aggregator, "4200000004 10.9.9.9");
    assert.equal(old.updates[0].flags[18], 0xc0);
  });
  test("no AS4_AGGREGATOR when the AS number fits", () => {
    const { wide, old } = mixed();
    wide.announce(p, { path: "4200000004", aggregator: "64999 10.9.9.9" });
    assert.equal(old.route(p).aggregator, "64999 10.9.9.9");
    assert.equal(old.route(p).as4Aggregator, undefined);
  });
  test("our own four-octet number: AS_TRANS in OPEN and path, the number in AS4_PATH", () => {
    const rig = new CoreRig({ asn: 4_200_000_001 });
    const source = rig.peer("192.0.2.4", { remoteAsn: 65004 });
    const told = rig.peer("192.0.2.2", { remoteAsn: 65002 }, old);
    source.announce(p);
    assert.equal(told.route(p).path, "23456 65004");
    assert.equal(told.route(p).as4Path, "4200000001 65004");
  });
});

describe("4.1: between four-octet neighbors", () => {
  test("AS4_PATH and AS4_AGGREGATOR are not sent", () => {
    const { old, wide } = mixed();
    old.announce(p, {
      path: "65002 23456",
      as4Path: "4200000009",
      aggregator: "23456 10.9.9.9",
      as4Aggregator: "4200000009 10.9.9.9",
    });
    assert.equal(wide.route(p).path, "65001 65002 4200000009");
    assert.equal(wide.route(p).aggregator, "4200000009 10.9.9.9");
    assert.deepEqual([wide.route(p).as4Path, wide.route(p).as4Aggregator], [undefined, undefined]);
  });
  test("those that one sends are discarded", () => {
    const { wide, old } = mixed();
    wide.announce(p, { path: "4200000004 7", as4Path: "1 2", as4Aggregator: "9 10.9.9.9" });
    assert.equal(old.route(p).as4Path, "65001 4200000004 7");
    assert.equal(old.route(p).as4Aggregator, undefined);
  });
});

describe("4.2.3: from a two-octet neighbor", () => {
  test("AS_PATH and AS4_PATH are merged, the leading numbers from AS_PATH", () => {
    const { old, wide } = mixed();
    old.announce(p, { path: "65002 64999 23456 7", as4Path: "4200000009 7" });
    assert.equal(wide.route(p).path, "65001 65002 64999 4200000009 7");
  });
  test("an AS4_PATH longer than AS_PATH is ignored", () => {
    const { old, wide } = mixed();
    old.announce(p, { path: "65002 23456", as4Path: "1 2 3 4200000009" });
    assert.equal(wide.route(p).path, "65001 65002 23456");
  });
  test("an AGGREGATOR of another AS than AS_TRANS: AS4_AGGREGATOR and AS4_PATH are ignored", () => {
    const { old, wide } = mixed();
    old.announce(p, {
      path: "65002 23456",
      as4Path: "4200000009",
      aggregator: "64999 10.9.9.9",
      as4Aggregator: "4200000009 10.9.9.8",
    });
    assert.equal(wide.route(p).path, "65001 65002 23456");
    assert.equal(wide.route(p).aggregator, "64999 10.9.9.9");
  });
  test("a loop that shows only in AS4_PATH is seen", () => {
    const rig = new CoreRig({ asn: 4_200_000_001 });
    const from = rig.peer("192.0.2.2", { remoteAsn: 65002 }, old);
    from.announce(p, { path: "65002 23456 7", as4Path: "65002 4200000001 7" });
    assert.equal(rig.best(p), undefined);
    assert.match(rig.rejection(from.address, p)!, /own AS/);
  });
  test("AS_TRANS alone is no loop", () => {
    const rig = new CoreRig({ asn: 4_200_000_001 });
    const from = rig.peer("192.0.2.2", { remoteAsn: 65002 }, old);
    from.announce(p, { path: "65002 23456" });
    assert.equal(rig.best(p), from.address);
  });
  test("6: a malformed AS4_PATH is discarded, the route stays", () => {
    const { rig, old, wide } = mixed();
    old.announce(p, { path: "65002 23456", other: "c01103020500" });
    assert.equal(wide.route(p).path, "65001 65002 23456");
    assert.equal(rig.best(p), old.address);
    assert.ok(old.up);
  });
  test("a neighbor with a four-octet number behind AS_TRANS may be first in the path as AS_TRANS", () => {
    const { old, wide } = mixed();
    old.announce(p, { path: "65002 23456", as4Path: "65002 4200000009" });
    assert.equal(wide.route(p).path, "65001 65002 4200000009");
  });
});
