/**
 * Explain = behaviour. Random routers (router-world.ts): what ExplainAdvertisedRoute says equals what the neighbor was
 * sent, byte for byte; what ExplainImport says equals what stands in the tables, and what policy counted.
 *
 * `CAIRN_EXPLAIN_CASES=1000` for the long form; `CAIRN_EXPLAIN_SEED=17` for one case alone.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ExplainAdvertisedRouteResponse } from "../../src/gen/cairn/v1/rib_service_pb.ts";
import type { Route } from "../../src/gen/cairn/v1/types_pb.ts";
import { families } from "../../src/wire/family.ts";
import { absent, prefixes4, prefixes6, type Recorder, RouterWorld, readHeld } from "./router-world.ts";

const only = process.env.CAIRN_EXPLAIN_SEED;
const cases = Number(process.env.CAIRN_EXPLAIN_CASES ?? 200);
const seeds = only === undefined ? Array.from({ length: cases }, (_, i) => i + 1) : [Number(only)];
const everything = [...prefixes4, ...prefixes6, ...absent];

/** What all runs looked at, so that a test which looks at nothing fails. */
const seen = { advertised: 0, withheld: 0, accepted: 0, rejected: 0, gates: new Set<string>() };

function checkAdvertised(world: RouterWorld, recorder: Recorder): void {
  const { address } = recorder.peer;
  const asBytes = recorder.asBytes;
  for (const prefix of everything) {
    const answer = world.rig.view.explainAdvertised(address, prefix);
    assert.ok(answer.ok);
    const told = answer.value;
    const held = recorder.routes.get(prefix);
    const where = `${prefix} to ${address}: ${told.summary}`;
    assert.equal(told.advertised, held !== undefined, where);
    assert.notEqual(told.summary, "");
    checkStory(told, where);
    if (!held) {
      seen.withheld++;
      assert.equal(told.update.length, 0, where);
      continue;
    }
    seen.advertised++;
    assert.ok(told.inSync, where);
    const { reach, held: announced } = readHeld(told.update, asBytes);
    assert.deepEqual(reach, [prefix]);
    assert.equal(announced.attributes, held.attributes, where);
    if (asBytes === 4) assert.equal(told.route!.asPathText, held.route.path ?? "", where);
  }
}

/** Whoever stops, stops at a gate that is told; whoever goes, passes all of them. */
function checkStory(told: ExplainAdvertisedRouteResponse, where: string): void {
  const last = told.gates[told.gates.length - 1];
  if (told.paths.length === 0) {
    assert.equal(last.passed, told.advertised, where);
    seen.gates.add(last.name);
    return;
  }
  assert.ok(
    told.gates.every(({ passed }) => passed),
    where,
  );
  told.paths.forEach(({ gates, advertised, statements, decidedBy }, i) => {
    const goes = told.advertised && i === told.paths.length - 1;
    assert.equal(advertised, goes, where);
    const stop = gates.findIndex(({ passed }) => !passed);
    assert.equal(stop, goes ? -1 : gates.length - 1, where);
    assert.ok(
      gates.every(({ text }) => text !== ""),
      where,
    );
    assert.notEqual(decidedBy, "", where);
    assert.ok(statements.length === 0 || gates.some(({ name }) => name === "policy"), where);
    if (!goes) seen.gates.add(gates[stop].name);
  });
}

function list(world: RouterWorld, table: Parameters<RouterWorld["rig"]["view"]["walk"]>[0]): Route[] {
  return families.flatMap((family) => world.rig.routes(table, family));
}

/** @param counted hits of policy statements that the explanations make one expect, by `POLICY/STATEMENT` */
function checkImport(world: RouterWorld, recorder: Recorder, counted: Map<string, number>): void {
  const neighbor = recorder.peer.address;
  const { view } = world.rig;
  const received = list(world, { table: "received", neighbor, prePolicy: true });
  const accepted = list(world, { table: "received", neighbor, prePolicy: false });
  const rejected = list(world, { table: "rejected", neighbor });
  const best = list(world, { table: "best", paths: "best" });
  assert.equal(accepted.length + rejected.length, received.length);
  assert.deepEqual(received.map(({ prefix }) => prefix).sort(), [...recorder.announced.keys()].sort());
  for (const prefix of everything) {
    const answer = view.explainImport(neighbor, prefix, 0);
    assert.ok(answer.ok);
    const told = answer.value;
    const where = `${prefix} from ${neighbor}: ${told.summary}`;
    const find = (routes: readonly Route[]) => routes.find((route) => route.prefix === prefix);
    assert.equal(told.received, recorder.announced.has(prefix), where);
    assert.notEqual(told.summary, "");
    if (!told.received) continue;
    const [into, out] = [find(accepted), find(rejected)];
    assert.equal(told.accepted, into !== undefined, where);
    assert.equal(told.accepted, out === undefined, where);
    assert.equal(told.result !== undefined, told.accepted, where);
    if (into) {
      seen.accepted++;
      assert.deepEqual(told.result, into, where);
    } else {
      seen.rejected++;
      assert.equal(told.decidedBy, out!.rejectReason, where);
      seen.gates.add(told.gates[told.gates.length - 1].name);
    }
    assert.equal(told.best, find(best)?.neighbor === neighbor, where);
    for (const { policy, statement, matched } of told.statements) {
      const key = `${policy}/${statement}`;
      if (matched) counted.set(key, (counted.get(key) ?? 0) + 1);
    }
    const [, policy] = /^policy (\S+), default action$/.exec(told.decidedBy) ?? [];
    if (policy) counted.set(`${policy}/0`, (counted.get(`${policy}/0`) ?? 0) + 1);
  }
}

function checkHits(world: RouterWorld, counted: ReadonlyMap<string, number>): void {
  const stats = world.rig.view.policyStats("");
  assert.ok(stats.ok);
  for (const { policy, statements } of stats.value) {
    if (!policy.startsWith("in-")) continue;
    for (const { statement, hits } of statements) {
      const key = `${policy}/${statement}`;
      assert.equal(Number(hits), counted.get(key) ?? 0, `hits of ${key}`);
    }
  }
}

function checkBest(world: RouterWorld): void {
  for (const prefix of [...prefixes4, ...prefixes6]) {
    const best = world.rig.best(prefix);
    const told = world.rig.view.explainBestPath(prefix);
    if (told.ok) assert.equal(told.value.candidates[0]?.route?.neighbor, best);
    else assert.equal(best, undefined);
  }
}

function run(seed: number): void {
  const world = new RouterWorld(seed);
  const { rig, dice, recorders } = world;
  for (const recorder of recorders) world.announceSome(recorder, 0.6);
  rig.run();
  const counted = new Map<string, number>();
  for (const recorder of recorders) checkImport(world, recorder, counted);
  for (const recorder of recorders) checkAdvertised(world, recorder);
  checkHits(world, counted);
  checkBest(world);
  for (let step = 0; step < 2; step++) {
    const recorder = dice.pick(recorders);
    switch (dice.below(5)) {
      case 0:
        for (const prefix of [...recorder.announced.keys()]) {
          if (dice.chance(0.5)) recorder.withdraw(prefix);
        }
        break;
      case 1:
        world.announceSome(recorder, 0.4);
        break;
      case 2:
        world.put("Policy", world.policy(`${dice.pick(["in", "out"])}-${dice.pick(["a", "b", "c"])}`));
        break;
      case 3:
        world.put("Neighbor", world.changed(recorder.peer.address));
        break;
      default:
        world.flap(recorder);
    }
    rig.run();
    for (const each of recorders) checkImport(world, each, new Map());
    for (const each of recorders) checkAdvertised(world, each);
    checkBest(world);
  }
}

test(`what is explained is what was sent and what stands in the tables: ${seeds.length} routers`, () => {
  for (const seed of seeds) {
    try {
      run(seed);
    } catch (error) {
      throw new Error(`CAIRN_EXPLAIN_SEED=${seed}: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      });
    }
  }
  if (seeds.length < 200) return;
  const { gates, ...counts } = seen;
  for (const [name, count] of Object.entries(counts)) assert.ok(count > 1000, `${name}: only ${count}`);
  const wanted = [
    ...["family", "best-path", "default-originate", "split-horizon", "reflection", "no-advertise"],
    ...["no-export", "no-export-subconfed", "no-peer", "only-to-customer", "policy-required", "policy"],
    ...["next-hop", "size", "neighbor-next-hop", "max-as-path-length", "own-as", "first-as"],
    ...["originator-id", "cluster-list", "own-next-hop"],
  ];
  assert.deepEqual(
    wanted.filter((name) => !gates.has(name)),
    [],
    "gates that stopped nobody",
  );
});
