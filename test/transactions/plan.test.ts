/**
 * Plans against what then happens: the same change is planned and carried out on a core in virtual time, and routes
 * that appear and vanish, sessions that end and bytes on the wire are compared.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type DescMessage, type Message } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import type { PlanResponse } from "../../src/gen/cairn/v1/config_service_pb.ts";
import { NeighborSpecSchema } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import { Impact } from "../../src/gen/cairn/v1/options_pb.ts";
import {
  PolicyAction,
  PolicySpecSchema,
  PrefixSetSpecSchema,
} from "../../src/gen/cairn/v1/policy_service_pb.ts";
import type { MutationOp } from "../../src/state/mutation.ts";
import { compareConfigs, resolveNeighbor } from "../../src/state/resolve.ts";
import { type FieldInfo, fieldsOf, isDuration, setFieldValue } from "../../src/state/schema.ts";
import { impactName } from "../../src/state/schema-diff.ts";
import { CoreRig, type Peer } from "../rfc/core-rig.ts";

const addresses = ["192.0.2.2", "192.0.2.3", "192.0.2.4"];
const prefixes = Array.from({ length: 12 }, (_, i) => `203.0.${i}.0/24`);

function plan(rig: CoreRig, ops: MutationOp[], maxWithdrawn?: number): PlanResponse {
  const mutation = { ops, expectedGeneration: 0, dryRun: true, reason: "", requestId: "", principal: "" };
  const begun = rig.view.plan({ ...mutation, source: "api" }, { routes: true, maxResets: 0, maxWithdrawn });
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

// The matrix: each field of a neighbor changed alone, against its declaration.

const neighborDesc: DescMessage = NeighborSpecSchema;
/** Values for fields whose kind of value does not say one that is valid. */
const values: Readonly<Record<string, unknown>> = {
  local_address: "192.0.2.1",
  local_asn: 65100,
  remote_asn: 65099,
  families: ["ipv4-unicast", "ipv6-unicast"],
  peer_group: undefined,
  import: ["accept-all"],
  export: ["accept-all"],
  keepalive_time: durationFromMs(7_000),
  hold_time: durationFromMs(45_000),
  shutdown: true,
};

function changed(info: FieldInfo): unknown {
  if (info.name in values) return values[info.name];
  if (isDuration(info.desc) && info.desc.fieldKind !== "list")
    return durationFromMs(Math.max(3, info.min) * 1000);
  if (info.desc.fieldKind === "enum") return info.desc.enum.values[info.desc.enum.values.length - 1].number;
  if (info.desc.fieldKind !== "scalar") return undefined;
  if (info.rule.default === "true") return false;
  if (info.rule.default === "false") return true;
  if (info.rule.format !== 0) return undefined;
  return info.desc.scalar === 9 ? "text" : Math.max(2, info.min);
}

for (const info of fieldsOf(neighborDesc)) {
  const value = changed(info);
  if (info.name === "address" || value === undefined) continue;
  test(`matrix: ${info.name} does to a live session what is declared (${impactName(info.rule.impact)})`, (t) => {
    const { rig, peers } = lab();
    const spec = create(NeighborSpecSchema, {
      address: addresses[0],
      remoteAsn: 65002,
      import: ["in"],
      export: ["out"],
    });
    setFieldValue(spec as Message, info, value);
    const ops: MutationOp[] = [{ op: "put", kind: "Neighbor", spec }];
    const checked = rig.core.objects.prepare(
      { ops, expectedGeneration: 0, dryRun: true, reason: "", requestId: "", principal: "", source: "api" },
      0,
    );
    if (!checked.ok) {
      t.skip(`cannot be changed alone: ${checked.problems[0].message}`);
      return;
    }
    const record = rig.core.neighbors.named(addresses[0])!;
    const before = record.config;
    const planned = plan(rig, ops);
    const negotiated = record.negotiated;
    for (const peer of peers) peer.forget();
    rig.mutate(...ops);
    const lost = record.negotiated !== negotiated;
    assert.equal(planned.resets, lost ? 1 : 0, "the plan says whether the session ends");
    const after = resolveNeighbor(rig.core.objects, addresses[0])!;
    const effective = compareConfigs(before, after).fields.length > 0;
    const mustReset = effective && (info.rule.impact === Impact.SESSION_RESET || info.name === "shutdown");
    assert.equal(lost, mustReset, `session ${lost ? "ended" : "stayed"}`);
  });
}
