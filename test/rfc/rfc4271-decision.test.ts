/** RFC 4271 9.1: the decision process, phase by phase. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CoreRig, type Peer } from "./core-rig.ts";
import type { RouteText } from "./wire-text.ts";

const p = "198.51.100.0/24";

/** Announces routes of one prefix in every order and gives back the winner, which must always be the same. */
function winner(
  neighbors: readonly { address: string; asn: number; id?: number; route: RouteText }[],
  global: ConstructorParameters<typeof CoreRig>[0] = {},
): string | undefined {
  const seen = new Set<string | undefined>();
  for (const order of permutations(neighbors)) {
    const rig = new CoreRig(global);
    const peers = new Map<string, Peer>();
    for (const { address, asn, id } of neighbors) {
      const options = id === undefined ? {} : { routerId: id };
      peers.set(address, rig.peer(address, { remoteAsn: asn }, options));
    }
    for (const { address, route } of order) {
      rig.advance(5000);
      peers.get(address)!.announce(p, route);
    }
    seen.add(rig.best(p));
  }
  assert.equal(seen.size, 1, `depends on the order: ${[...seen].join(", ")}`);
  return [...seen][0];
}

function permutations<T>(list: readonly T[]): T[][] {
  if (list.length <= 1) return [[...list]];
  return list.flatMap((item, i) =>
    permutations([...list.slice(0, i), ...list.slice(i + 1)]).map((rest) => [item, ...rest]),
  );
}

const e2 = { address: "192.0.2.2", asn: 65002 };
const e3 = { address: "192.0.2.3", asn: 65003 };
const e4 = { address: "192.0.2.4", asn: 65002 };
const i5 = { address: "10.0.0.5", asn: 65001 };
const i6 = { address: "10.0.0.6", asn: 65001 };

describe("9.1.1: degree of preference", () => {
  test("from an internal neighbor LOCAL_PREF is the degree of preference", () => {
    const high = { ...i6, route: { path: "1 2 3", localPref: 200 } };
    assert.equal(winner([{ ...i5, route: { path: "1", localPref: 100 } }, high]), i6.address);
  });
  test("from an external neighbor it is what we compute: LOCAL_PREF in the message plays no part", () => {
    const loud = { ...e2, route: { path: "65002 9", localPref: 4_000_000_000 } };
    assert.equal(winner([loud, { ...e3, route: { path: "65003" } }]), e3.address);
  });
  test("the value that policy assigns is used", () => {
    const rig = new CoreRig();
    rig.policy({ name: "low", statements: [{ set: { localPref: 50 }, action: 1 }] });
    const a = rig.peer(e2.address, { remoteAsn: 65002, import: ["low"] });
    const b = rig.peer(e3.address, { remoteAsn: 65003 });
    a.announce(p);
    b.announce(p, { path: "65003 1 2 3 4" });
    assert.equal(rig.best(p), b.address);
  });
});

describe("9.1.2: route selection", () => {
  test("a route whose AS_PATH holds our AS is not used", () => {
    const rig = new CoreRig();
    const a = rig.peer(e2.address, { remoteAsn: 65002 });
    a.announce(p, { path: "65002 65001 7" });
    assert.equal(rig.best(p), undefined);
    assert.match(rig.rejection(a.address, p)!, /own AS/);
    a.announce(p, { path: "65002 {7 65001}" });
    assert.equal(rig.best(p), undefined);
    a.announce(p, { path: "65002 7" });
    assert.equal(rig.best(p), a.address);
  });
  test("neither from an internal neighbor", () => {
    const rig = new CoreRig();
    rig.peer(i5.address, { remoteAsn: 65001 }).announce(p, { path: "7 65001 8" });
    assert.equal(rig.best(p), undefined);
  });
  test("a looped route is kept, and does not keep the next one from being used", () => {
    const rig = new CoreRig();
    const a = rig.peer(e2.address, { remoteAsn: 65002 });
    const b = rig.peer(e3.address, { remoteAsn: 65003 });
    a.announce(p, { path: "65002 65001" });
    b.announce(p, { path: "65003 1 2 3" });
    assert.equal(rig.best(p), b.address);
    assert.notEqual(rig.rejection(a.address, p), undefined);
  });
  test("an ineligible route that replaces the best one makes the other best", () => {
    const rig = new CoreRig();
    const a = rig.peer(e2.address, { remoteAsn: 65002 });
    const b = rig.peer(e3.address, { remoteAsn: 65003 });
    a.announce(p);
    b.announce(p, { path: "65003 1" });
    a.announce(p, { path: "65002 65001" });
    assert.equal(rig.best(p), b.address);
  });
});

describe("9.1.2.2: breaking ties", () => {
  test("a) the smallest number of AS numbers", () => {
    assert.equal(
      winner([
        { ...e2, route: { path: "65002 9 9" } },
        { ...e3, route: { path: "65003 9" } },
      ]),
      e3.address,
    );
  });
  test("a) an AS_SET counts as 1, whatever is in it", () => {
    const set = { ...e3, route: { path: "65003 {1 2 3 4}" } };
    assert.equal(winner([{ ...e2, route: { path: "65002 8 9" } }, set]), e3.address);
  });
  test("b) the lowest ORIGIN", () => {
    const rows = (["igp", "egp", "incomplete"] as const).map((origin, n) => ({ origin, n }));
    for (const better of rows) {
      for (const worse of rows.filter(({ n }) => n > better.n)) {
        const list = [
          { ...e2, route: { origin: worse.origin } },
          { ...e3, route: { origin: better.origin } },
        ];
        assert.equal(winner(list), e3.address);
      }
    }
  });
  test("c) the lower MED, between routes of one neighboring AS", () => {
    assert.equal(
      winner([
        { ...e2, route: { med: 20 } },
        { ...e4, route: { med: 10 } },
      ]),
      e4.address,
    );
  });
  test("c) MED is not compared between neighboring ASes", () => {
    assert.equal(
      winner([
        { ...e2, route: { med: 20 } },
        { ...e3, route: { med: 10 } },
      ]),
      e2.address,
    );
  });
  test("c) a missing MED is the lowest possible value", () => {
    assert.equal(
      winner([
        { ...e2, route: { med: 1 } },
        { ...e4, route: {} },
      ]),
      e4.address,
    );
    assert.equal(
      winner([
        { ...e2, route: { med: 0 } },
        { ...e4, route: {} },
      ]),
      e2.address,
    );
  });
  test("c) for an internal route the neighboring AS is the first of its AS_PATH", () => {
    const far = { ...i5, route: { path: "65002", med: 20 } };
    assert.equal(winner([far, { ...i6, route: { path: "65002", med: 10 } }]), i6.address);
    const other = { ...i6, route: { path: "65003", med: 10 } };
    assert.equal(winner([far, other]), i5.address);
  });
  test("c) routes are removed per neighboring AS, whatever the order of arrival", () => {
    // Pairwise the three go round in a circle: e2 loses to e4 (MED), e4 to i5 never (external), e3 by identifier.
    const list = [
      { ...e2, id: 1, route: { path: "65002 9", med: 20 } },
      { ...e4, id: 3, route: { path: "65002 9", med: 10 } },
      { ...e3, id: 2, route: { path: "65003 9", med: 99 } },
    ];
    assert.equal(winner(list), e3.address);
  });
  test("c) always_compare_med and missing_med_worst are choices of the operator", () => {
    const rows = [
      { ...e2, route: { med: 20 } },
      { ...e3, route: { med: 10 } },
    ];
    assert.equal(winner(rows, { bestPath: { alwaysCompareMed: true } }), e3.address);
    const missing = [
      { ...e2, route: {} },
      { ...e4, route: { med: 10 } },
    ];
    assert.equal(winner(missing, { bestPath: { missingMedWorst: true } }), e4.address);
  });
  test("d) external before internal", () => {
    const inside = { ...i5, id: 1, route: { path: "65002" } };
    assert.equal(winner([inside, { ...e2, id: 99, route: {} }]), e2.address);
  });
  test("f) the lowest BGP Identifier", () => {
    assert.equal(
      winner([
        { ...e2, id: 200, route: {} },
        { ...e3, id: 100, route: {} },
      ]),
      e3.address,
    );
    assert.equal(
      winner([
        { ...e2, id: 0xc0000001, route: {} },
        { ...e3, id: 0x7fffffff, route: {} },
      ]),
      e3.address,
    );
  });
  test("g) the lowest peer address", () => {
    assert.equal(
      winner([
        { ...e3, id: 7, route: {} },
        { ...e2, id: 7, route: {} },
      ]),
      e2.address,
    );
  });
  test("all of it in its order: an earlier step always outweighs a later one", () => {
    const worst = { path: "65002 8 9", origin: "incomplete", med: 99 } as const;
    const ladder: readonly RouteText[] = [
      { ...worst },
      { ...worst, med: 1 },
      { ...worst, origin: "egp" },
      { ...worst, path: "65002 9" },
    ];
    for (let i = 1; i < ladder.length; i++) {
      const list = [
        { ...e2, id: 1, route: ladder[i - 1] },
        { ...e4, id: 9, route: ladder[i] },
      ];
      assert.equal(winner(list), e4.address, JSON.stringify(ladder[i]));
    }
  });
});

describe("9.1.3, 9.2: what is told to whom", () => {
  test("only the best route is announced; when it goes the next one is", () => {
    const rig = new CoreRig();
    const a = rig.peer(e2.address, { remoteAsn: 65002 });
    const b = rig.peer(e3.address, { remoteAsn: 65003 });
    const inside = rig.peer(i5.address, { remoteAsn: 65001 });
    a.announce(p);
    b.announce(p, { path: "65003 9" });
    assert.equal(inside.route(p).path, "65002");
    assert.equal(inside.updates.length, 1);
    a.withdraw(p);
    assert.equal(inside.route(p).path, "65003 9");
    b.withdraw(p);
    assert.equal(inside.has(p), false);
  });
  test("a route from an internal neighbor is not told to other internal neighbors", () => {
    const rig = new CoreRig();
    const a = rig.peer(i5.address, { remoteAsn: 65001 });
    const b = rig.peer(i6.address, { remoteAsn: 65001 });
    const outside = rig.peer(e2.address, { remoteAsn: 65002 });
    a.announce(p);
    assert.equal(b.has(p), false);
    assert.equal(outside.route(p).path, "65001");
  });
  test("when an external best route is replaced by an internal one, internal neighbors hear a withdrawal", () => {
    const rig = new CoreRig();
    const inside = rig.peer(i5.address, { remoteAsn: 65001 });
    const other = rig.peer(i6.address, { remoteAsn: 65001 });
    const outside = rig.peer(e2.address, { remoteAsn: 65002 });
    outside.announce(p, { path: "65002 9" });
    assert.ok(other.has(p));
    inside.announce(p, { path: "7", localPref: 500 });
    assert.equal(other.has(p), false);
  });
  test("a withdrawal is passed on to all who were told; nobody else hears it", () => {
    const rig = new CoreRig();
    const a = rig.peer(e2.address, { remoteAsn: 65002 });
    const b = rig.peer(e3.address, { remoteAsn: 65003 });
    const silent = rig.peer("192.0.2.9", { remoteAsn: 65009, export: ["reject-all"] });
    a.announce(p);
    a.withdraw(p);
    assert.deepEqual(b.updates.at(-1)?.withdrawn, [p]);
    assert.equal(silent.updates.length, 0);
    a.withdraw(p);
    a.withdraw("203.0.113.0/24");
    assert.equal(b.updates.length, 2);
  });
  test("a route does not go back to the neighbor that it came from", () => {
    const rig = new CoreRig();
    const a = rig.peer(e2.address, { remoteAsn: 65002 });
    rig.peer(e3.address, { remoteAsn: 65003 });
    a.announce(p);
    assert.equal(a.updates.length, 0);
  });
  test("when the best route moves to a neighbor, it hears the withdrawal of what it was told", () => {
    const rig = new CoreRig();
    const a = rig.peer(e2.address, { remoteAsn: 65002 });
    const b = rig.peer(e3.address, { remoteAsn: 65003 });
    a.announce(p, { path: "65002 9" });
    assert.ok(b.has(p));
    b.announce(p);
    assert.equal(b.has(p), false);
    assert.ok(a.has(p));
  });
  test("an unchanged route is not sent again", () => {
    const rig = new CoreRig();
    const a = rig.peer(e2.address, { remoteAsn: 65002 });
    const b = rig.peer(e3.address, { remoteAsn: 65003 });
    a.announce(p, { med: 5 });
    for (let i = 0; i < 5; i++) a.announce(p, { med: 5 });
    assert.equal(b.updates.length, 1);
    a.announce(p, { med: 6 }); // MED does not go out, so nothing changes for the others
    assert.equal(b.updates.length, 1);
  });
  test("routes that overlap are both told", () => {
    const rig = new CoreRig();
    const a = rig.peer(e2.address, { remoteAsn: 65002 });
    const b = rig.peer(e3.address, { remoteAsn: 65003 });
    a.announce(["198.51.0.0/16", p]);
    assert.deepEqual([...b.routes.keys()].sort(), ["198.51.0.0/16", p].sort());
    a.withdraw("198.51.0.0/16");
    assert.deepEqual([...b.routes.keys()], [p]);
  });
  test("the end of a session withdraws all its routes", () => {
    const rig = new CoreRig();
    const a = rig.peer(e2.address, { remoteAsn: 65002 });
    const b = rig.peer(e3.address, { remoteAsn: 65003 });
    a.announce([p, "203.0.113.0/24"]);
    a.drop();
    assert.equal(b.routes.size, 0);
    assert.equal(rig.best(p), undefined);
  });
});
