import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Contender, localWins, loser, type Speakers } from "./collision.ts";

const speakers: Speakers = { localRouterId: 1, localAsn: 65001, remoteRouterId: 2, remoteAsn: 65002 };
const weHigher: Speakers = { ...speakers, localRouterId: 3 };

function contender(state: Contender["state"], outbound: boolean, change: Partial<Contender> = {}): Contender {
  return { state, outbound, late: false, order: 1, ...change };
}

describe("RFC 4271 6.8", () => {
  test("the connection opened by the higher identifier stays", () => {
    const ours = contender("OpenConfirm", true);
    const theirs = contender("OpenSent", false);
    assert.equal(loser(theirs, ours, speakers, false), "other");
    assert.equal(loser(theirs, ours, weHigher, false), "fresh");
    assert.equal(
      loser({ ...ours, state: "OpenSent" }, { ...theirs, state: "OpenConfirm" }, speakers, false),
      "fresh",
    );
  });
  test("RFC 6286 2.3: with equal identifiers the larger AS number wins", () => {
    assert.equal(localWins({ ...speakers, remoteRouterId: 1 }), false);
    assert.equal(localWins({ ...speakers, remoteRouterId: 1, remoteAsn: 64999 }), true);
  });
  test("identifiers compare as unsigned numbers", () => {
    assert.equal(localWins({ ...speakers, localRouterId: 0xc0000001, remoteRouterId: 0x0a000001 }), true);
  });
  test("nothing is decided before both OPENs are read", () => {
    for (const state of ["Idle", "Connect", "Active", "OpenSent"] as const) {
      assert.equal(loser(contender("OpenSent", false), contender(state, true), speakers, false), undefined);
    }
  });
  test("both sides decide alike", () => {
    for (let local = 1; local <= 3; local++) {
      for (const [localAsn, remoteAsn] of [
        [1, 2],
        [2, 1],
      ]) {
        const here = { localRouterId: local, localAsn, remoteRouterId: 2, remoteAsn };
        const there = { localRouterId: 2, localAsn: remoteAsn, remoteRouterId: local, remoteAsn: localAsn };
        const a = contender("OpenSent", true);
        const b = contender("OpenConfirm", false);
        const flip = (each: Contender): Contender => ({ ...each, outbound: !each.outbound });
        assert.equal(loser(a, b, here, false), loser(flip(a), flip(b), there, false));
      }
    }
  });
  test("of two connections opened by one side the newer stays", () => {
    const old = contender("OpenConfirm", false, { order: 1 });
    const fresh = contender("OpenSent", false, { order: 2 });
    assert.equal(loser(fresh, old, speakers, false), "other");
    assert.equal(
      loser({ ...old, state: "OpenSent" }, { ...fresh, state: "OpenConfirm" }, speakers, false),
      "fresh",
    );
  });
});

describe("with an Established session", () => {
  const up = contender("Established", true);
  test("a later connection replaces it, but only with its KEEPALIVE", () => {
    const later = contender("OpenConfirm", false, { late: true });
    assert.equal(loser(later, up, weHigher, false), undefined);
    assert.equal(loser(later, up, weHigher, true), "other");
  });
  test("a crossed connection that would lose goes at its OPEN", () => {
    assert.equal(loser(contender("OpenSent", false), up, weHigher, false), "fresh");
  });
  test("a crossed connection that would win waits for its KEEPALIVE", () => {
    assert.equal(loser(contender("OpenSent", false), up, speakers, false), undefined);
    assert.equal(loser(contender("OpenConfirm", false), up, speakers, true), "other");
  });
});
