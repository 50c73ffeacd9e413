/**
 * Plans against what then happens: the same change is planned and carried out on a core in virtual time, and routes
 * that appear and vanish, sessions that end and bytes on the wire are compared.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import type { PlanResponse } from "../../src/gen/cairn/v1/config_service_pb.ts";
import {
  PolicyAction,
  PolicySpecSchema,
  PrefixSetSpecSchema,
} from "../../src/gen/cairn/v1/policy_service_pb.ts";
import type { MutationOp } from "../../src/state/mutation.ts";
import { CoreRig, type Peer } from "../rfc/core-rig.ts";

const addresses = ["192.0.2.2", "192.0.2.3", "192.0.2.4"];
const prefixes = Array.from({ length: 12 }, (_, i) => `203.0.${i}.0/24`);

function plan(rig: CoreRig, ops: MutationOp[], maxWithdrawn?: number): PlanResponse {
  const mutation = { ops, expectedGeneration: 0, dryRun: true, reason: "", requestId: "", principal: "" };
  const begun = rig.view.plan(
    { ...mutation, source: "api" },
    { routes: true, maxResets: 0, maxWithdrawn, skipPolicyTests: false },
  );
  assert.ok(begun.ok);
  while (!begun.value.step(7));
  return begun.value.result();
}

/** Three neighbors with overlapping tables, accepted and announced by policies of their own. */
function lab(): { rig: CoreRig; peers: Peer[] } {
  const rig = new CoreRig();
  for (const name of ["in", "out"]) rig.policy({ name, defaultAction: PolicyAction.ACCEPT });
  const peers = addresses.map((address, i) =>
    rig.peer(address, { remoteAsn: 65002 + i, import: ["in"], export: ["out"] }),
  );
  peers.forEach((peer, i) => {
    peer.announce(prefixes.filter((_, n) => n % 3 === i || n % 4 === i));
  });
  rig.run();
  return { rig, peers };
}

/** Routes to each neighbor as the group says. */
function told(rig: CoreRig): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const record of rig.core.neighbors.all()) {
    const [group] = record.groups;
    const set = new Set<string>();
    for (const prefix of prefixes) {
      const bytes = Uint8Array.from(prefix.split("/")[0].split(".").map(Number));
      const row = group?.table.prefixes.find(bytes, 0, 24) ?? 0;
      if (row !== 0 && group?.announces(row, record.id)) set.add(prefix);
    }
    found.set(record.config.address, set);
  }
  return found;
}

const setOf = (name: string, list: readonly string[]): MutationOp => ({
  op: "put",
  kind: "PrefixSet",
  spec: create(PrefixSetSpecSchema, { name, prefixes: list.map((prefix) => ({ prefix })) }),
});

const denying = (name: string, set: string, prepends: boolean): MutationOp => ({
  op: "put",
  kind: "Policy",
  spec: create(PolicySpecSchema, {
    name,
    statements: [
      prepends
        ? { conditions: { prefixSets: [set] }, actions: { prepend: { count: 2 } } }
        : { conditions: { prefixSets: [set] }, action: PolicyAction.REJECT },
    ],
    defaultAction: PolicyAction.ACCEPT,
  } as never),
});

test("for random policies the plan counts what then appears and vanishes at each neighbor", () => {
  fc.assert(
    fc.property(
      fc.subarray(prefixes),
      fc.subarray(prefixes),
      fc.constantFrom("in", "out"),
      fc.constantFrom("in", "out"),
      (first, second, a, b) => {
        const { rig } = lab();
        for (const [policy, list] of [
          [a, first],
          [b, second],
        ] as const) {
          const ops = [setOf("s", list), denying(policy, "s", false)];
          const before = told(rig);
          const planned = plan(rig, ops);
          assert.deepEqual(told(rig), before, "a plan changes nothing");
          assert.equal(planned.resets, 0);
          rig.mutate(...ops);
          rig.run();
          const after = told(rig);
          for (const address of addresses) {
            const impact = planned.neighbors.find(({ neighbor }) => neighbor === address);
            const counts = impact?.families.find(({ family }) => family === "ipv4-unicast")?.advertised;
            const [was, is] = [before.get(address)!, after.get(address)!];
            const appear = [...is].filter((prefix) => !was.has(prefix)).length;
            const vanish = [...was].filter((prefix) => !is.has(prefix)).length;
            assert.deepEqual(
              [Number(counts?.appear ?? 0), Number(counts?.vanish ?? 0)],
              [appear, vanish],
              `${address} after ${policy} denies ${list.join(" ")}`,
            );
          }
        }
      },
    ),
    { numRuns: Number(process.env.CAIRN_RUNS ?? 20) },
  );
});

test("the gate on withdrawn routes and the warning that a neighbor loses everything", () => {
  const { rig } = lab();
  const ops = [setOf("s", prefixes), denying("out", "s", false)];
  const planned = plan(rig, ops, 5);
  assert.match(planned.exceeded[0], /^\d+ routes would be withdrawn, at most 5 are allowed/);
  assert.equal(planned.warnings.filter(({ code }) => code === "ALL_ROUTES_WITHDRAWN").length, 3);
  assert.equal(planned.impact, "policy");
});

test("deleting a neighbor resets its session and takes its routes from the others", () => {
  const { rig } = lab();
  const before = told(rig);
  const ops: MutationOp[] = [{ op: "delete", kind: "Neighbor", name: addresses[0] }];
  const planned = plan(rig, ops);
  assert.equal(planned.resets, 1);
  assert.deepEqual(planned.exceeded, ["1 sessions would be reset, at most 0 are allowed"]);
  rig.mutate(...ops);
  rig.run();
  const after = told(rig);
  for (const address of addresses.slice(1)) {
    const impact = planned.neighbors.find(({ neighbor }) => neighbor === address);
    const lost = [...before.get(address)!].filter((prefix) => !after.get(address)!.has(prefix)).length;
    assert.equal(Number(impact?.families[0]?.advertised?.vanish ?? 0), lost, address);
  }
});
