/**
 * Each field of each kind changed alone, there and back, on a router with running sessions. What it does is what is
 * declared with the field, no more and no less:
 *
 *   none           not a byte to anybody, sessions go on
 *   policy         sessions go on; an UPDATE only where a route differs, each prefix once
 *   refresh        the same, and ROUTE-REFRESH to the neighbor
 *   session-reset  Cease to those concerned, to nobody else, and the session comes back
 *   restart        not a byte, and the plan says that it takes a restart
 *
 * Afterwards everything is as on a router that was started so. Kinds and fields come from the registry, values from
 * their declarations and from samples.ts.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import type { JsonObject } from "@bufbuild/protobuf";
import type { PlanResponse } from "../../src/gen/cairn/v1/config_service_pb.ts";
import { Impact } from "../../src/gen/cairn/v1/options_pb.ts";
import { kinds } from "../../src/state/kinds.ts";
import type { MutationOp } from "../../src/state/mutation.ts";
import { impactName } from "../../src/state/schema-diff.ts";
import type { Peer } from "../rfc/core-rig.ts";
import { type Case, casesOf, Lab, objectsOf, putOf, subjectOf } from "./matrix-lab.ts";
import { type Seen, same } from "./matrix-seen.ts";

for (const kind of kinds.values()) {
  for (const one of casesOf(kind)) {
    test(`${one.name} does what is declared: ${impactName(one.impact)}`, () => {
      assert.notEqual(one.impact, Impact.UNSPECIFIED, "it declares no impact");
      assert.notEqual(one.value, undefined, `${one.name} has no sample value: add one to samples.ts`);
      thereAndBack(one);
    });
  }
}

/** Labs by what is declared in them: a case that went there and back leaves one for the next. */
const labs = new Map<string, { readonly lab: Lab; readonly start: Seen }>();

function thereAndBack(one: Case): void {
  const id = subjectOf(one);
  const { before, after } = objectsOf(one);
  const { tracked = false } = one.sample;
  const key = JSON.stringify([tracked, before]);
  const { lab, start } = labs.get(key) ?? startLab(before, tracked);
  labs.delete(key);
  changeOne(lab, one, after);
  const end = lab.seen();
  const isQuiet = one.impact === Impact.NONE || one.impact === Impact.RESTART;
  const started = isQuiet ? start : new Lab({ ...before, [id]: after }, tracked).seen();
  same(end, started, "as on a router that was started so");
  if (one.impact === Impact.POLICY) {
    assert.ok(!isDeepStrictEqual(start, end), `${JSON.stringify(one.value)} makes no difference in the lab`);
  }
  changeOne(lab, one, before[id]);
  same(lab.seen(), start, "and back again");
  // A session that was reset has younger routes than one that was not.
  if (one.impact !== Impact.SESSION_RESET) labs.set(key, { lab, start });
}

function startLab(
  objects: Readonly<Record<string, JsonObject>>,
  tracked: boolean,
): { lab: Lab; start: Seen } {
  const lab = new Lab(objects, tracked);
  return { lab, start: lab.seen() };
}

/** Changes the object and holds what was noticed against the declaration. */
function changeOne(lab: Lab, one: Case, to: JsonObject): void {
  const { rig, peers } = lab;
  const op = putOf(subjectOf(one), to);
  const planned = planOf(lab, op);
  const impacts = planned.changes.flatMap(({ fields }) => fields.map(({ impact }) => impact));
  assert.deepEqual([...new Set(impacts)], [impactName(one.impact)], `${one.name} alone changes`);
  const sessions = new Map([...peers.keys()].map((address) => [address, negotiated(lab, address)]));
  const held = new Map([...peers].map(([address, { routes }]) => [address, new Map(routes)]));
  for (const peer of peers.values()) peer.forget();
  rig.mutate(op);
  rig.advance(1000);
  const reset = [...peers.keys()].filter((address) => negotiated(lab, address) !== sessions.get(address));
  const up = concerned(lab, one).filter((address) => sessions.get(address) !== undefined);
  assert.deepEqual(reset, up, "sessions that end");
  assert.equal(planned.resets, reset.length, "the plan knows how many sessions end");
  for (const [address, peer] of peers) {
    if (sessions.get(address) === undefined) continue;
    if (reset.includes(address)) {
      assert.match(peer.notification, /^6\/[26]/, `${address} gets Cease`);
      continue;
    }
    assert.equal(peer.notification, "");
    assert.ok(peer.up, address);
    if (one.impact === Impact.NONE || one.impact === Impact.RESTART) {
      assert.equal(peer.bytes, 0, `bytes to ${address}`);
    }
    const isAsked = one.impact === Impact.REFRESH && address === neighborOf(one);
    assert.equal(peer.refreshes, isAsked ? 1 : 0, `ROUTE-REFRESH to ${address}`);
    onlyWhatDiffers(address, peer, held.get(address)!);
  }
  const restart = planned.needsRestart.length > 0;
  assert.equal(restart, one.impact === Impact.RESTART, "the plan knows what takes a restart");
  lab.connectAll();
  for (const [address, peer] of peers) {
    const { shutdown } = rig.core.neighbors.named(address)!.config;
    assert.equal(peer.up && negotiated(lab, address) !== undefined, !shutdown, `${address} is up again`);
  }
}

const negotiated = (lab: Lab, address: string) => lab.rig.core.neighbors.named(address)!.negotiated;

/** Each prefix at most once, and only when its route is another one than before. */
function onlyWhatDiffers(address: string, peer: Peer, held: ReadonlyMap<string, unknown>): void {
  const seen = new Set<string>();
  for (const { withdrawn, reach, route } of peer.updates) {
    for (const prefix of [...withdrawn, ...reach]) {
      assert.ok(!seen.has(prefix), `${address} hears of ${prefix} twice`);
      seen.add(prefix);
    }
    for (const prefix of withdrawn)
      assert.ok(held.has(prefix), `${prefix} withdrawn from ${address} in vain`);
    for (const prefix of reach)
      assert.notDeepEqual(route, held.get(prefix), `${address} hears ${prefix} again as it was`);
  }
}

/** The neighbor whose settings the field is among. */
const neighborOf = ({ sample }: Case): string => sample.on ?? "192.0.2.2";

/** Neighbors whose session the declaration says ends. */
function concerned(lab: Lab, one: Case): string[] {
  if (one.impact !== Impact.SESSION_RESET) return [];
  const { resets } = one.sample;
  if (resets) return [...lab.peers.keys()].filter((address) => resets.includes(address));
  return [...lab.peers.keys()].filter((address) => one.kind.name === "Global" || address === neighborOf(one));
}

function planOf({ rig }: Lab, op: MutationOp): PlanResponse {
  const rest = { expectedGeneration: 0, dryRun: true, reason: "", requestId: "", principal: "" };
  const options = { routes: true, maxResets: undefined, maxWithdrawn: undefined, skipPolicyTests: false };
  const begun = rig.view.plan({ ops: [op], ...rest, source: "api" }, options);
  assert.ok(begun.ok, begun.ok ? "" : JSON.stringify(begun.problems));
  while (!begun.value.step(1000));
  return begun.value.result();
}
