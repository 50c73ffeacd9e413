/**
 * What TestPolicy and Plan foresee is what then happens: random routers (router-world.ts), a random change, its
 * prediction, the change itself, and what recording neighbors and tables hold before and after.
 *
 * `CAIRN_FORESIGHT_CASES=1000` for the long form; `CAIRN_FORESIGHT_SEED=17` for one case alone.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import type { FamilyImpact, PlanResponse } from "../../src/gen/cairn/v1/config_service_pb.ts";
import {
  BestPathOptionsSchema,
  type GlobalSpec,
  GlobalSpecSchema,
} from "../../src/gen/cairn/v1/global_service_pb.ts";
import { type PeerGroupSpec, PeerGroupSpecSchema } from "../../src/gen/cairn/v1/peer_group_service_pb.ts";
import {
  type PolicyAction,
  PolicyAttachPoint,
  type PolicyDifference,
  PolicyDirection,
  type PolicySpec,
  type PolicyTestCounts,
  type TestPolicyRequest,
  TestPolicyRequestSchema,
} from "../../src/gen/cairn/v1/policy_service_pb.ts";
import type { MutationOp } from "../../src/state/mutation.ts";
import { groups, type NeighborInit, prefixes4, prefixes6, RouterWorld } from "./router-world.ts";

const only = process.env.CAIRN_FORESIGHT_SEED;
const cases = Number(process.env.CAIRN_FORESIGHT_CASES ?? 60);
const seeds = only === undefined ? Array.from({ length: cases }, (_, i) => i + 1) : [Number(only)];
const prefixes = [...prefixes4, ...prefixes6];
const put = (kind: string, spec: Extract<MutationOp, { op: "put" }>["spec"]): MutationOp => ({
  op: "put",
  kind,
  spec,
});

function each(run: (seed: number) => void): void {
  for (const seed of seeds) {
    try {
      run(seed);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      throw new Error(`CAIRN_FORESIGHT_SEED=${seed}: ${text}`, { cause: error });
    }
  }
}

function populated(seed: number): RouterWorld {
  const world = new RouterWorld(seed, { keeps: true });
  for (const recorder of world.recorders) world.announceSome(recorder, 0.6);
  world.rig.run();
  return world;
}

// TestPolicy

/** What one neighbor's routes of a family did between two snapshots. */
function observed(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
  neighbor: string,
  isIpv6: boolean,
): { readonly counts: readonly number[]; readonly differing: string[] } {
  let [newlyAccepted, newlyRejected, changed] = [0, 0, 0];
  const differing: string[] = [];
  for (const prefix of prefixes.filter((text) => text.includes(":") === isIpv6)) {
    const [was, is] = [before.get(`${neighbor} ${prefix}`) ?? "", after.get(`${neighbor} ${prefix}`) ?? ""];
    if (was === is) continue;
    differing.push(prefix);
    if (was === "") newlyAccepted++;
    else if (is === "") newlyRejected++;
    else changed++;
  }
  return { counts: [newlyAccepted, newlyRejected, changed], differing };
}

interface Tried {
  readonly request: TestPolicyRequest;
  /** What applies it. */
  readonly ops: readonly MutationOp[];
}

/** A random candidate at a random place, and the transaction that would put it there. */
function candidate(world: RouterWorld): Tried {
  const { dice, rig } = world;
  const isExport = dice.chance(0.5);
  const way = isExport ? "out" : "in";
  const attach = dice.pick([0, 1, 2, 3, 4] as const) as PolicyAttachPoint;
  const policies: PolicySpec[] = dice.chance(0.6)
    ? [world.policy(`${way}-${dice.pick(["a", "b", "c"])}`)]
    : [];
  const chain = attach === PolicyAttachPoint.UNSPECIFIED && dice.chance(0.5) ? [] : world.chain(way, 0.8);
  const peerGroup = attach === PolicyAttachPoint.PEER_GROUP ? dice.pick(groups) : "";
  const addresses = [...world.specs.keys()];
  const some = dice.chance(0.3) ? addresses.filter(() => dice.chance(0.5)) : [];
  const tried = (some.length === 0 ? addresses : some).filter(
    (address) => peerGroup === "" || world.specs.get(address)!.peerGroup === peerGroup,
  );
  const defaultAction = dice.pick([0, 0, 1, 2] as const) as PolicyAction;
  const request = create(TestPolicyRequestSchema, {
    policies,
    direction: isExport ? PolicyDirection.EXPORT : PolicyDirection.IMPORT,
    neighbors: some,
    chain,
    attach,
    peerGroup,
    defaultAction,
  });
  const ops = policies.map((spec) => put("Policy", spec));
  const at = isExport ? { export: chain } : { import: chain };
  const none = isExport ? { export: [] } : { import: [] };
  const whole = attach === PolicyAttachPoint.UNSPECIFIED && chain.length > 0;
  const global = rig.core.objects.spec("Global", "global") as GlobalSpec;
  const afterNone = isExport ? { exportAfter: [] } : { importAfter: [] };
  const after = isExport ? { exportAfter: chain } : { importAfter: chain };
  if (attach === PolicyAttachPoint.GLOBAL)
    ops.push(put("Global", create(GlobalSpecSchema, { ...global, ...at })));
  if (attach === PolicyAttachPoint.GLOBAL_AFTER) {
    ops.push(put("Global", create(GlobalSpecSchema, { ...global, ...after })));
  }
  if (whole) ops.push(put("Global", create(GlobalSpecSchema, { ...global, ...none, ...afterNone })));
  for (const name of groups) {
    const spec = rig.core.objects.spec("PeerGroup", name) as PeerGroupSpec;
    if (whole) ops.push(put("PeerGroup", create(PeerGroupSpecSchema, { ...spec, ...none })));
    else if (name === peerGroup) ops.push(put("PeerGroup", create(PeerGroupSpecSchema, { ...spec, ...at })));
  }
  for (const address of tried) {
    const settings: NeighborInit = {
      ...world.specs.get(address)!,
      ...(whole || attach === PolicyAttachPoint.NEIGHBOR ? at : {}),
      ...(defaultAction === 0
        ? {}
        : isExport
          ? { exportDefault: defaultAction }
          : { importDefault: defaultAction }),
    };
    ops.push(put("Neighbor", world.declared(address, settings)));
  }
  return { request, ops };
}

let foreseen = 0;

test(`TestPolicy foresees what applying does, route for route: ${seeds.length} routers`, () => {
  each((seed) => {
    const world = populated(seed);
    const { rig } = world;
    const { request, ops } = candidate(world);
    const started = rig.view.testPolicy(request);
    if (!started.ok) assert.fail(JSON.stringify(started.problems));
    const differences: PolicyDifference[] = [];
    const counts: PolicyTestCounts[] = [];
    const hits = JSON.stringify(rig.view.policyStats(""), (_, value) =>
      typeof value === "bigint" ? Number(value) : value,
    );
    while (!started.value.next(differences, counts, 3));
    const later = JSON.stringify(rig.view.policyStats(""), (_, value) =>
      typeof value === "bigint" ? Number(value) : value,
    );
    assert.equal(later, hits, "trying counts nothing");
    const isExport = request.direction === PolicyDirection.EXPORT;
    const snapshot = () => (isExport ? world.exported() : world.imported());
    const before = snapshot();
    rig.mutate(...ops);
    rig.run();
    const after = snapshot();
    const tried = request.neighbors.length > 0 ? request.neighbors : [...world.specs.keys()];
    for (const neighbor of tried) {
      if (request.peerGroup !== "" && world.specs.get(neighbor)!.peerGroup !== request.peerGroup) continue;
      for (const isIpv6 of [false, true]) {
        const family = isIpv6 ? "ipv6-unicast" : "ipv4-unicast";
        const where = `${neighbor} ${family} ${JSON.stringify(request, (_, v) => (typeof v === "bigint" ? Number(v) : v))}`;
        const told = counts.find((count) => count.neighbor === neighbor && count.family === family);
        const { counts: seen, differing } = observed(before, after, neighbor, isIpv6);
        const own = differences.filter(
          (difference) => difference.neighbor === neighbor && difference.prefix.includes(":") === isIpv6,
        );
        assert.deepEqual(
          [told?.newlyAccepted ?? 0n, told?.newlyRejected ?? 0n, told?.changed ?? 0n].map(Number),
          seen,
          where,
        );
        assert.deepEqual(own.map(({ prefix }) => prefix).sort(), differing.sort(), where);
        for (const difference of own) assert.notEqual(difference.reason, "", where);
        foreseen += differing.length;
      }
    }
  });
  assert.ok(only !== undefined || foreseen > cases, `only ${foreseen} routes differed`);
});

// Plan

function randomOps(world: RouterWorld): { ops: MutationOp[]; gone: string[] } {
  const { dice, rig } = world;
  const ops: MutationOp[] = [];
  const gone: string[] = [];
  const touched = new Set<string>();
  const once = (id: string, make: () => MutationOp): void => {
    if (touched.has(id)) return;
    touched.add(id);
    ops.push(make());
  };
  for (let n = dice.between(1, 3); n > 0; n--) {
    const address = dice.pick([...world.specs.keys()]);
    const policy = `${dice.pick(["in", "out"])}-${dice.pick(["a", "b", "c"])}`;
    switch (dice.below(6)) {
      case 0:
        once("global", () => put("Global", world.global()));
        break;
      case 1: {
        const name = dice.pick(groups);
        once(name, () => put("PeerGroup", world.peerGroup(name)));
        break;
      }
      case 2:
        if (touched.has(address)) break;
        gone.push(address);
        once(address, () => ({ op: "delete", kind: "Neighbor", name: address }));
        break;
      case 3: {
        const global = rig.core.objects.spec("Global", "global") as GlobalSpec;
        const always = dice.chance(0.5);
        const bestPath = create(BestPathOptionsSchema, {
          alwaysCompareMed: always,
          ignoreAsPathLength: !always,
        });
        once("global", () => put("Global", create(GlobalSpecSchema, { ...global, bestPath })));
        break;
      }
      case 4:
        once(policy, () => put("Policy", world.policy(policy)));
        break;
      default:
        once(address, () => put("Neighbor", world.changed(address)));
    }
  }
  return { ops, gone };
}

function plan(world: RouterWorld, ops: readonly MutationOp[]): PlanResponse {
  const mutation = { ops, expectedGeneration: 0, dryRun: true, reason: "", requestId: "", principal: "" };
  const options = { routes: true, maxResets: undefined, maxWithdrawn: undefined, skipPolicyTests: false };
  const begun = world.rig.view.plan({ ...mutation, source: "api" }, options);
  if (!begun.ok) assert.fail(JSON.stringify(begun.problems));
  while (!begun.value.step(5));
  return begun.value.result();
}

function numbers(counts: FamilyImpact["advertised"]): number[] {
  return [counts?.appear ?? 0n, counts?.vanish ?? 0n, counts?.change ?? 0n].map(Number);
}

test(`Plan foresees what a change does to every neighbor's routes: ${seeds.length} routers`, () => {
  let differing = 0;
  each((seed) => {
    const world = populated(seed);
    const { rig } = world;
    const { ops, gone } = randomOps(world);
    const planned = plan(world, ops);
    const before = [world.imported(), world.exported()];
    rig.mutate(...ops);
    rig.run();
    const after = [world.imported(), world.exported()];
    for (const neighbor of world.specs.keys()) {
      const impact = planned.neighbors.find((each) => each.neighbor === neighbor);
      assert.equal(impact?.removed ?? false, gone.includes(neighbor));
      assert.equal(impact?.sessionReset ?? false, gone.includes(neighbor), `${neighbor} is reset`);
      if (gone.includes(neighbor)) continue;
      for (const isIpv6 of [false, true]) {
        const family = isIpv6 ? "ipv6-unicast" : "ipv4-unicast";
        const told = impact?.families.find((each) => each.family === family);
        const [imported, exported] = [0, 1].map((i) => observed(before[i], after[i], neighbor, isIpv6));
        const where = `${neighbor} ${family}: ${ops.map((op) => (op.op === "put" ? `${op.kind} ${JSON.stringify(op.spec, (_, v) => (typeof v === "bigint" ? Number(v) : v))}` : JSON.stringify(op))).join("; ")}`;
        assert.deepEqual(numbers(told?.received), imported.counts, `received from ${where}`);
        assert.deepEqual(numbers(told?.advertised), exported.counts, `advertised to ${where}`);
        differing += imported.differing.length + exported.differing.length;
      }
    }
  });
  assert.ok(only !== undefined || differing > cases, `only ${differing} routes differed`);
});
