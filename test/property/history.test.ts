/**
 * The journal of route changes against what a reader saw who was there: the best routes of 100 random moments, dumped
 * live under churn, are what is told of these moments afterwards; and what happened to a prefix is told in order.
 * CAIRN_HISTORY_RUNS sets how many random worlds are tried.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { AddPath_Send } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import { type RouteEvent, RouteEvent_Kind } from "../../src/gen/cairn/v1/rib_service_pb.ts";
import { type Route, RouteFilterSchema } from "../../src/gen/cairn/v1/types_pb.ts";
import { emptyState } from "../../src/state/core.ts";
import { RouteBatch } from "../../src/state/route-batch.ts";
import { type Family, ipv4Unicast, ipv6Unicast } from "../../src/wire/family.ts";
import { CoreRig, type Peer } from "../rfc/core-rig.ts";

const runs = Number(process.env.CAIRN_HISTORY_RUNS ?? 2);
const moments = 100;

/** What is told of a route at an earlier time. */
function told(route: Route): string {
  const { prefix, neighbor, pathId, asPathText, med, localPref, communities, nextHop, receivedAt, best } =
    route;
  return [
    ...[prefix, neighbor, pathId, asPathText, med, localPref, communities.join(), nextHop, best],
    receivedAt?.seconds,
  ].join(" ");
}

interface Moment {
  readonly atMs: number;
  readonly family: Family;
  readonly routes: readonly string[];
}

class Churn {
  readonly rig: CoreRig;
  readonly random: Random;
  readonly peers: Peer[];
  private readonly pool = 60;

  constructor(seed: number, historyChanges: number) {
    this.random = seededRandom(seed);
    this.rig = new CoreRig({ historyChanges });
    const { rig } = this;
    rig.policy({
      name: "picky",
      statements: [{ match: { communities: ["65002:1"] }, action: 2 }],
      defaultAction: 1,
    });
    const families = ["ipv4-unicast", "ipv6-unicast"];
    const addPath = [{ family: "ipv4-unicast", receive: true, send: AddPath_Send.BEST }];
    this.peers = [
      rig.peer("192.0.2.2", { remoteAsn: 65002, families }),
      rig.peer("192.0.2.3", { remoteAsn: 65003, families, import: ["picky"], softReconfiguration: true }),
      rig.peer("192.0.2.4", { remoteAsn: 65004, addPath }, { addPath: true }),
      rig.peer("10.0.0.5", { remoteAsn: 65001 }),
    ];
  }

  private pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.random() * list.length)];
  }

  private below(n: number): number {
    return Math.floor(this.random() * n);
  }

  /** Something happens. */
  step(): void {
    const { rig } = this;
    const peer = this.pick(this.peers);
    const dice = this.random();
    if (dice < 0.02) {
      if (peer.up) peer.drop();
    } else if (dice < 0.03) {
      rig.global({
        historyChanges: rig.view.historyState().limit,
        bestPath: { alwaysCompareMed: this.random() < 0.5 },
      });
    } else if (dice < 0.05) {
      const prefix = `198.51.${this.below(this.pool)}.0/24`;
      rig.inject({ prefix, nextHop: "192.0.2.77", med: this.below(3) });
    } else if (!peer.up) peer.connect();
    else this.talk(peer);
    if (this.random() < 0.7) rig.advance(this.below(1500));
  }

  private talk(peer: Peer): void {
    const has6 = this.peers.indexOf(peer) < 2;
    const isSix = has6 && this.random() < 0.3;
    const ids = peer === this.peers[2] ? `${1 + this.below(3)} ` : "";
    const prefixes = Array.from({ length: 1 + this.below(4) }, () =>
      isSix ? `2001:db8:${this.below(20)}::/48` : `${ids}198.51.${this.below(this.pool)}.0/24`,
    );
    const distinct = [...new Set(prefixes)];
    if (this.random() < 0.35) {
      if (isSix) peer.withdraw6(distinct);
      else peer.withdraw(distinct);
      return;
    }
    const inside = peer.asn === 65001;
    const route = {
      med: this.below(3),
      path: `${inside ? "" : peer.asn} ${this.pick(["", "65100", "65100 65200"])}`.trim(),
      communities: this.pick(["65002:1", "65002:2"]),
    };
    if (isSix) peer.announce6(distinct, { ...route, nextHop: "2001:db8::2" });
    else peer.announce(distinct, route);
  }

  live(family: Family): string[] {
    return this.rig.routes({ table: "best", paths: "best" }, family).map(told).sort();
  }

  past(family: Family, atMs: number): string[] {
    return this.rig.routes({ table: "past", atMs }, family).map(told).sort();
  }
}

suite("the journal of routes", () => {
  for (let seed = 1; seed <= runs; seed++) {
    test(`the table as it was is what was dumped live, at ${moments} moments (world ${seed})`, () => {
      const churn = new Churn(seed, 100_000);
      const dumps: Moment[] = [];
      for (let at = 0; at < moments; at++) {
        for (let n = churn.random() * 12; n > 0; n--) churn.step();
        // What follows in the same millisecond belongs to that moment too.
        const family = churn.random() < 0.7 ? ipv4Unicast : ipv6Unicast;
        dumps.push({ atMs: churn.rig.wallMs, family, routes: churn.live(family) });
        churn.rig.advance(1);
      }
      assert.ok(new Set(dumps.map(({ routes }) => routes.join())).size > 60, "moments differ");
      for (const { atMs, family, routes } of dumps) {
        assert.deepEqual(churn.past(family, atMs), routes, `${new Date(atMs).toISOString()}`);
      }
      // Read in small steps while the table goes on changing.
      for (const { atMs, family, routes } of dumps.filter((_, i) => i % 10 === 5)) {
        const walk = churn.rig.view.walk({ table: "past", atMs }, family, undefined, "");
        assert.ok(walk.ok);
        const batch = new RouteBatch();
        while (!walk.value.next(batch, 7, 40)) {
          assert.equal(walk.value.problem, undefined);
          if (churn.random() < 0.4) churn.step();
        }
        assert.deepEqual(batch.routes().map(told).sort(), routes, "while it changes");
      }
      // Single prefixes: the longest match and the filter.
      const { atMs, routes } = dumps.find(
        ({ family, routes }) => family === ipv4Unicast && routes.length > 5,
      )!;
      const prefix = routes[0].split(" ")[0];
      const lookup = churn.rig.view.lookupAt(prefix.replace("0/24", "9"), atMs);
      assert.ok(lookup.ok);
      let found = lookup.value.next(100);
      for (; !found; found = lookup.value.next(100));
      assert.ok(found.ok);
      assert.deepEqual(found.value.routes.map(told), [routes[0]]);
      const filter = create(RouteFilterSchema, { neighbor: "192.0.2.2" });
      const walk = churn.rig.view.walk({ table: "past", atMs }, ipv4Unicast, filter, "");
      assert.ok(walk.ok);
      const batch = new RouteBatch();
      while (!walk.value.next(batch, 100, 1000));
      const his = routes.filter((route) => route.split(" ")[1] === "192.0.2.2");
      assert.deepEqual(batch.routes().map(told).sort(), his);
    });
  }

  test("a full journal lets the oldest go: what it cannot tell it refuses, what it tells is right", () => {
    const churn = new Churn(7, 200);
    const { rig } = churn;
    const dumps: Moment[] = [];
    for (let at = 0; at < 60; at++) {
      for (let n = 0; n < 6; n++) churn.step();
      dumps.push({ atMs: rig.wallMs, family: ipv4Unicast, routes: churn.live(ipv4Unicast) });
      rig.advance(1);
    }
    const { count, reachesBackToMs, total } = rig.view.historyState();
    assert.equal(count, 200);
    assert.ok(total > 400);
    const [known, lost] = [
      dumps.filter(({ atMs }) => atMs >= reachesBackToMs!),
      dumps.filter(({ atMs }) => atMs < reachesBackToMs!),
    ];
    assert.ok(known.length > 3 && lost.length > 3, `${known.length} known, ${lost.length} lost`);
    for (const { atMs, routes } of known) assert.deepEqual(churn.past(ipv4Unicast, atMs), routes);
    for (const { atMs } of lost) {
      const walk = rig.view.walk({ table: "past", atMs }, ipv4Unicast, undefined, "");
      assert.ok(!walk.ok);
      const { message } = walk.problems[0];
      assert.match(message, /is too long ago: what is remembered reaches back to 20/);
      assert.ok(message.endsWith(new Date(reachesBackToMs!).toISOString()), message);
    }
    // A walk that is overtaken by the journal ends with a problem, never with a wrong answer.
    const walk = rig.view.walk({ table: "past", atMs: known[0].atMs }, ipv4Unicast, undefined, "");
    assert.ok(walk.ok);
    walk.value.next(new RouteBatch(), 1, 1);
    for (let n = 0; n < 300; n++) churn.step();
    assert.equal(walk.value.next(new RouteBatch(), 100, 100_000), false);
    assert.equal(walk.value.problem?.code, "WRONG_STATE");
  });

  test("turned off, it lets go of everything it held", () => {
    const churn = new Churn(3, 5_000);
    const { rig } = churn;
    for (let n = 0; n < 300; n++) churn.step();
    for (const peer of churn.peers) if (peer.up) peer.drop();
    rig.advance(200_000);
    const { routing } = rig.core;
    for (const { prefix } of rig.routes({ table: "best", paths: "best" }, ipv4Unicast)) {
      rig.mutate({ op: "retract", prefix, pathId: 0 });
    }
    rig.advance(1000);
    const table = routing.table(ipv4Unicast);
    assert.equal(table.paths.count, 0);
    assert.ok(table.vacantCount > 30, "rows of prefixes that are gone stay while they are remembered");
    assert.equal(rig.view.ribSummary().families[0].prefixes, 0n, "and are not counted");
    assert.ok(routing.attributes.count > 0);
    rig.global({ historyChanges: 0 });
    rig.advance(1000);
    assert.deepEqual(
      [table.vacantCount, table.prefixes.count, routing.attributes.count, routing.history.memoryBytes()],
      [0, 0, 0, 0],
    );
    const walk = rig.view.walk({ table: "past", atMs: rig.wallMs }, ipv4Unicast, undefined, "");
    assert.ok(!walk.ok);
    assert.match(walk.problems[0].message, /not remembered/);
  });
});

const linkPrefix = { bytes: Uint8Array.of(192, 0, 2, 1), length: 24 };

function eventsOf(rig: CoreRig, prefix: string): RouteEvent[] {
  const [address, length] = prefix.split("/");
  const bytes = Uint8Array.from(address.split(".").map(Number));
  const query = {
    family: ipv4Unicast,
    prefix: { bytes, length: Number(length) },
    neighbor: "",
    bestOnly: false,
    sinceMs: undefined,
    untilMs: undefined,
  };
  const walk = rig.view.routeEvents(query, "");
  assert.ok(walk.ok);
  const events: RouteEvent[] = [];
  while (!walk.value.next(events, 100, 1000));
  return events.reverse();
}

suite("what happened to a prefix", () => {
  const prefix = "198.51.100.0/24";
  const told = (rig: CoreRig): string[] => eventsOf(rig, prefix).map(({ text }) => text);

  test("paths and best paths, in order, with why", () => {
    const rig = new CoreRig({ historyChanges: 1000 });
    rig.policy({
      name: "picky",
      statements: [{ match: { communities: ["65003:666"] }, action: 2 }],
      defaultAction: 1,
    });
    const one = rig.peer("192.0.2.2", { remoteAsn: 65002 });
    const two = rig.peer("192.0.2.3", { remoteAsn: 65003, import: ["picky"], softReconfiguration: true });
    one.announce(prefix, { path: "65002 65100" });
    rig.advance(1000);
    two.announce(prefix, { path: "65003" });
    rig.advance(1000);
    two.announce(prefix, { path: "65003", communities: "65003:666" });
    rig.advance(1000);
    one.announce(prefix, { path: "65002" });
    rig.advance(1000);
    one.announce(prefix, { path: "65002" });
    two.announce("203.0.113.0/24");
    rig.advance(1000);
    one.withdraw(prefix);
    rig.advance(1000);
    two.drop();
    rig.advance(1000);
    assert.deepEqual(told(rig), [
      "path from 192.0.2.2 added",
      "best path: none -> 192.0.2.2; a path was announced",
      "path from 192.0.2.3 added",
      "best path: 192.0.2.2 -> 192.0.2.3 by as-path-length; a path was announced",
      "path from 192.0.2.3 changed, refused: import policy; it was announced",
      "best path: 192.0.2.3 -> 192.0.2.2; a path was announced",
      "path from 192.0.2.2 changed; it was announced",
      "best path: still from 192.0.2.2, changed; a path was announced",
      "path from 192.0.2.2 gone; it was withdrawn",
      "best path: 192.0.2.2 -> none; a path was withdrawn",
      "path from 192.0.2.3 gone; its session ended, or it was not sent again",
    ]);
    const events = eventsOf(rig, prefix);
    const change = events[3];
    assert.equal(change.kind, RouteEvent_Kind.BEST_PATH);
    assert.deepEqual([change.before?.asPathText, change.after?.asPathText], ["65002 65100", "65003"]);
    assert.equal(change.decidedBy, "as-path-length");
    assert.equal(events[4].after?.rejectReason, "import policy");
    const ids = events.map(({ id }) => id);
    assert.deepEqual(
      ids,
      [...ids].sort((a, b) => Number(a - b)),
    );
  });

  test("a change of policy and of the steps is told as what it is", () => {
    const rig = new CoreRig({ historyChanges: 1000 });
    const one = rig.peer("192.0.2.2", { remoteAsn: 65002, softReconfiguration: true });
    const two = rig.peer("192.0.2.3", { remoteAsn: 65003 });
    one.announce(prefix, { path: "65002", med: 5 });
    two.announce(prefix, { path: "65003", med: 1 });
    rig.advance(1000);
    rig.global({ historyChanges: 1000, bestPath: { alwaysCompareMed: true } });
    rig.advance(1000);
    rig.neighbor({ address: "192.0.2.3", remoteAsn: 65003, import: ["reject-all"] });
    rig.advance(1000);
    assert.deepEqual(told(rig).slice(3), [
      "best path: 192.0.2.2 -> 192.0.2.3 by med; how the best path is chosen changed, or what it rests on",
      "path from 192.0.2.3 changed, refused: import policy; checks and import policy ran again",
      "best path: 192.0.2.3 -> 192.0.2.2; checks and import policy ran again",
    ]);
  });

  test("a next hop that is found, a link that goes down, and a path that comes twice by Add-Path", () => {
    const rig = new CoreRig({ historyChanges: 1000 }, emptyState, "memory");
    const simulate = (up: boolean): void => {
      rig.simulate({ links: [{ name: "eth0", up, addresses: [linkPrefix] }], routes: [] });
      rig.advance(10_000);
    };
    simulate(true);
    const addPath = [{ family: "ipv4-unicast", receive: true }];
    const one = rig.peer("192.0.2.2", { remoteAsn: 65002, addPath }, { addPath: true });
    one.announce([`1 ${prefix}`, `2 ${prefix}`]);
    simulate(false);
    const refused = "refused: next hop cannot be reached (RFC 4271 9.1.2)";
    const found = [
      "path from 192.0.2.2 (path id 2) changed, accepted now; its next hop changed",
      "best path: none -> 192.0.2.2 (path id 2); a next hop changed",
      "path from 192.0.2.2 (path id 1) changed, accepted now; its next hop changed",
      "best path: 192.0.2.2 (path id 2) -> 192.0.2.2 (path id 1) by path-id; a next hop changed",
    ];
    assert.deepEqual(told(rig), [
      `path from 192.0.2.2 (path id 1) added, ${refused}`,
      `path from 192.0.2.2 (path id 2) added, ${refused}`,
      ...found,
      "path from 192.0.2.2 (path id 1) gone; its session ended, or it was not sent again",
      "best path: 192.0.2.2 (path id 1) -> 192.0.2.2 (path id 2); the session of a path ended, or the path was not sent again",
      "path from 192.0.2.2 (path id 2) gone; its session ended, or it was not sent again",
      "best path: 192.0.2.2 (path id 2) -> none; the session of a path ended, or the path was not sent again",
    ]);
  });

  test("a clock that is set back does not mix up what came first", () => {
    const rig = new CoreRig({ historyChanges: 1000 });
    const one = rig.peer("192.0.2.2", { remoteAsn: 65002 });
    one.announce(prefix);
    const before = eventsOf(rig, prefix)[0].time!.seconds;
    rig.nowMs -= 500_000;
    one.withdraw(prefix);
    const events = eventsOf(rig, prefix);
    assert.deepEqual(
      events.map(({ time }) => time!.seconds >= before),
      events.map(() => true),
    );
  });
});
