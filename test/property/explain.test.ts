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
import {
  absent,
  type Held,
  prefixes4,
  prefixes6,
  type Recorder,
  RouterWorld,
  readHeld,
} from "./router-world.ts";

const only = process.env.CAIRN_EXPLAIN_SEED;
const cases = Number(process.env.CAIRN_EXPLAIN_CASES ?? 200);
const seeds = only === undefined ? Array.from({ length: cases }, (_, i) => i + 1) : [Number(only)];
const everything = [...prefixes4, ...prefixes6, ...absent];

/** What all runs looked at, so that a test which looks at nothing fails. */
const seen = {
  advertised: 0,
  withheld: 0,
  accepted: 0,
  rejected: 0,
  several: 0,
  beside: 0,
  gates: new Set<string>(),
};

function checkAdvertised(world: RouterWorld, recorder: Recorder): void {
  const { address } = recorder.peer;
  const asBytes = recorder.asBytes;
  for (const prefix of everything) {
    const answer = world.rig.view.explainAdvertised(address, prefix);
    assert.ok(answer.ok);
    const told = answer.value;
    const held = heldOf(recorder, prefix);
    const where = `${prefix} to ${address}: ${told.summary}`;
    assert.equal(told.advertised, held.size > 0, where);
    assert.notEqual(told.summary, "");
    checkStory(told, where);
    if (held.size === 0) {
      seen.withheld++;
      assert.equal(told.update.length, 0, where);
      continue;
    }
    seen.advertised++;
    if (held.size > 1) seen.several++;
    assert.ok(told.inSync, where);
    const messages = messagesOf(told.update);
    assert.deepEqual([messages.length, told.routes.length], [held.size, held.size], where);
    told.routes.forEach(({ pathId, asPathText }, i) => {
      const name = isNamed(recorder, prefix) ? `${pathId} ${prefix}` : prefix;
      const route = held.get(name);
      assert.ok(route, `${name}: ${where}`);
      const { reach, held: announced } = readHeld(messages[i], asBytes, recorder.addPath);
      assert.deepEqual(reach, [name]);
      assert.equal(announced.attributes, route.attributes, where);
      if (asBytes === 4) assert.equal(asPathText, route.route.path ?? "", where);
    });
  }
}

/** Its routes of the prefix have path identifiers. */
function isNamed({ addPath }: Recorder, prefix: string): boolean {
  return addPath && !prefix.includes(":");
}

/** What a neighbor was sent of a prefix, by the names of router-world.ts. */
function heldOf({ routes }: Recorder, prefix: string): Map<string, Held> {
  return new Map([...routes].filter(([name]) => name === prefix || name.endsWith(` ${prefix}`)));
}

function messagesOf(bytes: Uint8Array): Uint8Array[] {
  const messages: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + ((bytes[at + 16] << 8) | bytes[at + 17]);
    messages.push(bytes.slice(at, end));
    at = end;
  }
  return messages;
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
  assert.equal(told.paths.filter(({ advertised }) => advertised).length, told.routes.length, where);
  told.paths.forEach(({ gates, advertised: goes, statements, decidedBy }) => {
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
  const nameOf = ({ pathId, prefix }: Pick<Route, "pathId" | "prefix">): string =>
    isNamed(recorder, prefix) ? `${pathId} ${prefix}` : prefix;
  assert.deepEqual(received.map(nameOf).sort(), [...recorder.announced.keys()].sort());
  const asked = everything.flatMap((prefix) =>
    (isNamed(recorder, prefix) ? [0, 1, 77] : [0]).map((pathId) => ({ prefix, pathId })),
  );
  for (const { prefix, pathId } of asked) {
    const answer = view.explainImport(neighbor, prefix, pathId);
    assert.ok(answer.ok);
    const told = answer.value;
    const where = `${prefix} (${pathId}) from ${neighbor}: ${told.summary}`;
    const find = (routes: readonly Route[]) =>
      routes.find(
        (route) => route.prefix === prefix && route.neighbor === neighbor && route.pathId === pathId,
      );
    assert.equal(told.received, recorder.announced.has(nameOf({ prefix, pathId })), where);
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
    assert.equal(told.best, find(best) !== undefined, where);
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
  const used = list(world, { table: "best", paths: "multipath" });
  for (const prefix of [...prefixes4, ...prefixes6]) {
    const best = world.rig.best(prefix);
    const told = world.rig.view.explainBestPath(prefix);
    if (!told.ok) {
      assert.equal(best, undefined);
      continue;
    }
    const { candidates } = told.value;
    assert.equal(candidates[0]?.route?.neighbor, best);
    const nameOf = ({ neighbor, pathId }: Route): string => `${neighbor} ${pathId}`;
    const beside = candidates.slice(1).filter(({ multipath }) => multipath);
    const listed = used.filter((route) => route.prefix === prefix && !route.best);
    assert.deepEqual(beside.map(({ route }) => nameOf(route!)).sort(), listed.map(nameOf).sort(), prefix);
    seen.beside += beside.length;
    for (const { multipath, multipathText } of candidates.slice(1)) {
      if (multipathText !== "") assert.equal(multipath, /^used beside/.test(multipathText), multipathText);
      else assert.ok(!multipath, prefix);
    }
  }
}

function run(seed: number): void {
  const world = new RouterWorld(seed, { addPath: true });
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
  const { gates, beside, ...counts } = seen;
  assert.ok(beside > 10, "hardly any path was used beside a best one");
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
