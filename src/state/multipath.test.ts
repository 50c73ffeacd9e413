/** Multipath as the core has it: declared in Global, told by lists, watches and explanations, taken by a FIB. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { CoreRig, type Peer } from "../../test/rfc/core-rig.ts";
import { Dice } from "../../test/sim/dice.ts";
import { formatIp, parsePrefix } from "../base/ip.ts";
import {
  GlobalSpecSchema,
  Multipath_LinkBandwidth as LinkBandwidth,
  type MultipathSchema,
} from "../gen/cairn/v1/global_service_pb.ts";
import type { Route } from "../gen/cairn/v1/types_pb.ts";
import { ipv4Unicast, ipv6Unicast } from "../wire/family.ts";
import { forwardingOf } from "./forwarding.ts";
import { RouteBatch } from "./route-batch.ts";
import { prefixText } from "./route-message.ts";

type Settings = Omit<MessageInitShape<typeof MultipathSchema>, "$typeName">;

const p = "198.51.100.0/24";
const v4: Settings = { family: "ipv4-unicast", ebgp: 8, ibgp: 8 };
const bandwidth = (rate: string): string => `4004fde9${rate}`;
const tenMillion = bandwidth("4b189680");
const thirtyMillion = bandwidth("4be4e1c0");

function rigWith(...multipath: Settings[]): CoreRig {
  return new CoreRig({ multipath });
}

/** External neighbors of one AS. */
function twins(rig: CoreRig, count: number): Peer[] {
  return Array.from({ length: count }, (_, i) => rig.peer(`192.0.2.${i + 2}`, { remoteAsn: 65002 }));
}

/** What a FIB has of a prefix: `NEXT-HOP*WEIGHT ...`. */
function fib({ core }: CoreRig, prefix: string): string {
  const parsed = parsePrefix(prefix);
  assert.ok(typeof parsed !== "string");
  const table = core.routing.tables[parsed.bytes.length === 4 ? 0 : 1];
  return fibOfRow(core.routing, table, table.prefixes.find(parsed.bytes, 0, parsed.length));
}

function fibOfRow(...[routing, table, row]: Parameters<typeof forwardingOf>): string {
  const forwarding = row === 0 ? ({ kind: "none" } as const) : forwardingOf(routing, table, row);
  if (forwarding.kind !== "next-hops") return forwarding.kind;
  return forwarding.nextHops
    .map(({ address, weight }) => `${formatIp(address, 0, Math.min(16, address.length))}*${weight}`)
    .join(" ");
}

const listed = (rig: CoreRig, paths: "best" | "multipath" | "all"): string[] =>
  rig.routes({ table: "best", paths }, ipv4Unicast).map(marked).sort();

function marked({ neighbor, best, multipath, multipathWeight }: Route): string {
  return `${best ? ">" : multipath ? "=" : " "} ${neighbor}${multipath ? ` ${multipathWeight}` : ""}`;
}

const sharesOf = ({ nextHops }: Route): string =>
  nextHops.map(({ nextHop, weight }) => `${nextHop}*${weight}`).join(" ");

suite("multipath in the core", () => {
  test("lists mark the set, and the best path says where traffic goes", () => {
    const rig = rigWith(v4);
    const [a, b, c] = twins(rig, 3);
    const other = rig.peer("192.0.2.9", { remoteAsn: 65009 });
    a.announce(p, { extended: tenMillion });
    b.announce(p, { extended: thirtyMillion });
    c.announce(p, { med: 7 });
    other.announce(p, { path: "65009" });
    assert.deepEqual(listed(rig, "best"), ["> 192.0.2.2 25"]);
    assert.deepEqual(listed(rig, "multipath"), ["= 192.0.2.3 75", "> 192.0.2.2 25"]);
    assert.deepEqual(listed(rig, "all"), ["  192.0.2.4", "  192.0.2.9", "= 192.0.2.3 75", "> 192.0.2.2 25"]);
    const [best] = rig.routes({ table: "best", paths: "best" }, ipv4Unicast);
    assert.equal(sharesOf(best), "192.0.2.2*25 192.0.2.3*75");
    assert.equal(fib(rig, p), "192.0.2.2*25 192.0.2.3*75");
    const { families } = rig.view.ribSummary();
    assert.deepEqual([families[0].multipathPrefixes, families[0].multipathPaths], [1n, 2n]);
  });

  test("what missing bandwidths do is a setting", () => {
    const weights: readonly [LinkBandwidth, string][] = [
      [LinkBandwidth.UNSPECIFIED, "192.0.2.2*1 192.0.2.3*1 192.0.2.4*1"],
      [LinkBandwidth.ALL, "192.0.2.2*1 192.0.2.3*1 192.0.2.4*1"],
      [LinkBandwidth.IGNORE, "192.0.2.2*1 192.0.2.3*1 192.0.2.4*1"],
      [LinkBandwidth.SKIP_MISSING, "192.0.2.2*25 192.0.2.3*75"],
      [LinkBandwidth.DEFAULT_WEIGHT, "192.0.2.2*25 192.0.2.3*75 192.0.2.4*1"],
    ];
    const rig = rigWith(v4);
    const [a, b, c] = twins(rig, 3);
    a.announce(p, { extended: tenMillion });
    b.announce(p, { extended: thirtyMillion });
    c.announce(p);
    for (const [linkBandwidth, expected] of weights) {
      rig.global({ multipath: [{ ...v4, linkBandwidth }] });
      assert.equal(fib(rig, p), expected, `mode ${linkBandwidth}`);
    }
  });

  test("a watch tells each change of the set; neighbors are told the best path alone", () => {
    const rig = rigWith(v4);
    const [a, b] = twins(rig, 2);
    const heard = rig.peer("192.0.2.9", { remoteAsn: 65009 });
    const watch = rig.view.watchRoutes(ipv4Unicast, undefined, 0);
    assert.ok(watch.ok);
    const seen = (): string[] => {
      const updated = new RouteBatch();
      const withdrawn: string[] = [];
      watch.value.watch.next(updated, withdrawn, 100);
      return [...updated.routes().map((route) => `${route.nextHop} ${sharesOf(route)}`.trim()), ...withdrawn];
    };
    a.announce(p);
    assert.deepEqual(seen(), ["192.0.2.2"]);
    heard.forget();
    b.announce(p);
    assert.deepEqual(seen(), ["192.0.2.2 192.0.2.2*1 192.0.2.3*1"]);
    b.announce(p, { extended: tenMillion });
    a.announce(p, { extended: thirtyMillion });
    assert.deepEqual(seen(), ["192.0.2.2 192.0.2.2*75 192.0.2.3*25"]);
    b.withdraw(p);
    assert.deepEqual(seen(), ["192.0.2.2"]);
    // Link bandwidth is not transitive, so nothing of all that is news to another AS.
    assert.deepEqual(heard.trail, []);
    a.withdraw(p);
    assert.deepEqual(seen(), [p]);
    watch.value.watch.close();
  });

  test("settings are turned on, changed and off while routes are there; a dry run finds no route that changes", () => {
    const rig = rigWith();
    const [a, b, c] = twins(rig, 3);
    for (const peer of [a, b, c]) peer.announce(p);
    assert.equal(fib(rig, p), "192.0.2.2*1");
    rig.global({ multipath: [{ ...v4, ebgp: 2 }] });
    assert.equal(fib(rig, p), "192.0.2.2*1 192.0.2.3*1");
    rig.global({ multipath: [{ ...v4, ebgp: 3 }] });
    assert.equal(fib(rig, p), "192.0.2.2*1 192.0.2.3*1 192.0.2.4*1");

    const spec = create(GlobalSpecSchema, { asn: 65001, routerId: "10.0.0.1" });
    const begun = rig.view.plan(
      {
        ops: [{ op: "put", kind: "Global", spec, exact: true }],
        ...{ expectedGeneration: 0, dryRun: true, reason: "", requestId: "", principal: "", source: "api" },
      },
      { routes: true, maxResets: undefined, maxWithdrawn: undefined, skipPolicyTests: false },
    );
    assert.ok(begun.ok);
    while (!begun.value.step(1000));
    const planned = begun.value.result();
    assert.deepEqual(
      planned.changes.flatMap(({ fields }) => fields.map(({ path, impact }) => `${path} ${impact}`)),
      ["multipath[0] policy"],
    );
    assert.deepEqual([planned.resets, planned.neighbors.length], [0, 0]);

    rig.global({});
    assert.equal(fib(rig, p), "192.0.2.2*1");
    assert.equal(rig.view.ribSummary().families[0].multipathPrefixes, 0n);
  });

  test("each path is told why it is used or not", () => {
    const rig = rigWith({ ...v4, ebgp: 2 });
    const [a, b, c] = twins(rig, 3);
    const twin = rig.peer("192.0.2.5", { remoteAsn: 65002 });
    const far = rig.peer("192.0.2.9", { remoteAsn: 65009 });
    const longer = rig.peer("192.0.2.10", { remoteAsn: 65002 });
    for (const peer of [a, b, c, far]) peer.announce(p);
    twin.announce(p, { nextHop: "192.0.2.2" });
    longer.announce(p, { path: "65002 65003" });
    const told = rig.view.explainBestPath(p);
    assert.ok(told.ok);
    const texts = told.value.candidates.map(({ route, multipath, multipathText }) => [
      route!.neighbor,
      multipath,
      multipathText,
    ]);
    assert.deepEqual(texts, [
      ["192.0.2.2", true, ""],
      ["192.0.2.3", true, "used beside the best, weight 1 of 2"],
      ["192.0.2.4", false, "not used beside the best: 2 paths are used at most"],
      ["192.0.2.5", false, "not used beside the best: the path from 192.0.2.2 has the same next hop"],
      ["192.0.2.9", false, "not used beside the best: another neighbor AS (relax_as_path is off)"],
      ["192.0.2.10", false, "not used beside the best: as-path-length tells them apart"],
    ]);
  });

  test("injected routes are used side by side as internal ones, but none that leads nowhere", () => {
    const rig = rigWith(v4);
    rig.inject({ prefix: p, nextHop: "192.0.2.77", pathId: 1 });
    rig.inject({ prefix: p, nextHop: "192.0.2.78", pathId: 2 });
    rig.inject({ prefix: p, pathId: 3 });
    assert.equal(fib(rig, p), "192.0.2.77*1 192.0.2.78*1");
    rig.policy({ name: "drop", statements: [{ set: { nextHop: "discard" }, action: 1 }] });
    const sink = rig.peer("192.0.2.2", { remoteAsn: 65002, import: ["drop"] });
    const other = rig.peer("192.0.2.3", { remoteAsn: 65002 });
    for (const peer of [sink, other]) peer.announce("203.0.113.0/24");
    assert.equal(fib(rig, "203.0.113.0/24"), "discard", "and nothing beside it");
    rig.inject({ prefix: "192.0.2.0/24" });
    assert.equal(fib(rig, "192.0.2.0/24"), "none");
  });

  test("families have settings of their own", () => {
    const rig = rigWith({ family: "ipv6-unicast", ebgp: 2 });
    const families = ["ipv4-unicast", "ipv6-unicast"];
    const peers = ["192.0.2.2", "192.0.2.3"].map((address) =>
      rig.peer(address, { remoteAsn: 65002, families }),
    );
    peers.forEach((peer, i) => {
      peer.announce(p);
      peer.announce6("2001:db8:1::/48", { nextHop: `2001:db8::${i + 2}` });
    });
    assert.equal(fib(rig, p), "192.0.2.2*1");
    assert.equal(fib(rig, "2001:db8:1::/48"), "2001:db8::2*1 2001:db8::3*1");
    assert.equal(rig.routes({ table: "best", paths: "multipath" }, ipv6Unicast).length, 2);
  });

  test("a FIB that follows the change list has at every moment what the table says", () => {
    for (let seed = 1; seed <= Number(process.env.CAIRN_MULTIPATH_RUNS ?? 8); seed++) followed(seed);
  });
});

/** A consumer as a FIB will be, over random churn of routes, neighbors and settings. */
function followed(seed: number): void {
  const dice = new Dice(seed);
  const rig = rigWith(v4);
  const { routing } = rig.core;
  const table = routing.table(ipv4Unicast);
  const peers = twins(rig, 4);
  peers.push(rig.peer("10.0.0.5", { remoteAsn: 65001 }), rig.peer("10.0.0.6", { remoteAsn: 65001 }));
  const marker = table.addMarker();
  table.changes.markHead(marker);
  const cursor = { table, marker, onChange: undefined };
  rig.core.watchers.addCursor(cursor);
  const installed = new Map<string, string>();
  const prefixes = Array.from({ length: 6 }, (_, i) => `198.51.${i}.0/24`);
  for (let round = 0; round < 120; round++) {
    const peer = dice.pick(peers);
    const prefix = dice.pick(prefixes);
    const chance = dice.random();
    if (!peer.up) peer.connect();
    else if (chance < 0.03) peer.drop();
    else if (chance < 0.06) {
      const linkBandwidth = dice.pick([LinkBandwidth.ALL, LinkBandwidth.SKIP_MISSING, LinkBandwidth.IGNORE]);
      const settings = { ...v4, ebgp: dice.pick([1, 2, 8]), ibgp: dice.pick([1, 8]), linkBandwidth };
      rig.global({ multipath: dice.chance(0.2) ? [] : [settings] });
    } else if (chance < 0.3) peer.withdraw(prefix);
    else {
      const extended = dice.pick([undefined, tenMillion, thirtyMillion]);
      const med = dice.pick([undefined, undefined, 5]);
      const nextHop = dice.chance(0.2) ? "192.0.2.200" : peer.address;
      const route = { nextHop, ...(med ? { med } : {}), ...(extended ? { extended } : {}) };
      peer.announce(prefix, route);
    }
    for (;;) {
      const row = table.changes.next[marker];
      if (row === 0) break;
      table.changes.advance(marker);
      if (table.isMarker(row)) continue;
      const now = fibOfRow(routing, table, row);
      if (now === "none") installed.delete(prefixText(table.prefixes, row));
      else installed.set(prefixText(table.prefixes, row), now);
    }
    const wanted = prefixes.flatMap((each) => (fib(rig, each) === "none" ? [] : [[each, fib(rig, each)]]));
    assert.deepEqual([...installed].sort(), wanted, `seed ${seed}, round ${round}`);
  }
  rig.core.watchers.removeCursor(cursor);
}
