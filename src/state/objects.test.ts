import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { create, equals, type Message, toJson } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { limits } from "../base/limits.ts";
import { formatProblem } from "../base/problem.ts";
import { GlobalSpecSchema } from "../gen/cairn/v1/global_service_pb.ts";
import { NeighborSpecSchema } from "../gen/cairn/v1/neighbor_service_pb.ts";
import { Impact } from "../gen/cairn/v1/options_pb.ts";
import { PeerGroupSpecSchema } from "../gen/cairn/v1/peer_group_service_pb.ts";
import { PolicySpecSchema, PrefixSetSpecSchema } from "../gen/cairn/v1/policy_service_pb.ts";
import { kinds } from "./kinds.ts";
import type { Mutation, MutationOp } from "./mutation.ts";
import { ObjectStore, type Prepared } from "./objects.ts";

const mutation = (ops: MutationOp[], rest: Partial<Mutation> = {}): Mutation => ({
  ops,
  expectedGeneration: 0,
  dryRun: false,
  reason: "",
  requestId: "",
  principal: "test",
  source: "api",
  ...rest,
});

const put = (kind: string, spec: Message, mode?: "create" | "replace"): MutationOp => ({
  op: "put",
  kind,
  spec,
  mode,
});
const global = (asn = 65001) => put("Global", create(GlobalSpecSchema, { asn, routerId: "192.0.2.1" }));
const neighbor = (
  fields: Parameters<typeof create<typeof NeighborSpecSchema>>[1],
  mode?: "create" | "replace",
) => put("Neighbor", create(NeighborSpecSchema, fields), mode);

function apply(store: ObjectStore, ops: MutationOp[], wallMs = 1): Prepared {
  const prepared = store.prepare(mutation(ops), wallMs);
  assert.ok(prepared.ok, prepared.ok ? "" : prepared.problems.map(formatProblem).join("\n"));
  store.commit(prepared.value);
  return prepared.value;
}

/** `CODE path` of each problem. */
function refused(store: ObjectStore, ops: MutationOp[], rest: Partial<Mutation> = {}): string[] {
  const generation = store.generation;
  const prepared = store.prepare(mutation(ops, rest), 1);
  assert.ok(!prepared.ok, "it was not refused");
  assert.equal(store.generation, generation);
  return prepared.problems.map((problem) => `${problem.code} ${problem.path}`);
}

function withGlobal(): ObjectStore {
  const store = new ObjectStore();
  apply(store, [global()]);
  return store;
}

test("every kind of the schema is registered with a key or as a singleton", () => {
  const declared = globSync("proto/cairn/v1/*.proto").flatMap((file) =>
    [...readFileSync(file, "utf8").matchAll(/^ {4}kind: "(\w+)"$/gm)].map(([, name]) => name),
  );
  assert.deepEqual([...kinds.keys()].sort(), declared.sort());
  const singletons = [...kinds.values()].filter(({ key }) => !key);
  assert.deepEqual(
    singletons.map(({ name }) => name),
    ["Global"],
  );
});

test("a commit makes the next generation, keeps created and sets updated", () => {
  const store = withGlobal();
  apply(store, [neighbor({ address: "2001:DB8:0::1", remoteAsn: 65002 })], 5);
  const prepared = apply(
    store,
    [neighbor({ address: "2001:db8::1", remoteAsn: 65002, description: "x" })],
    9,
  );
  assert.equal(store.generation, 3);
  const view = store.get("Neighbor", "2001:db8::1");
  assert.equal(view?.metadata.generation, 3n);
  assert.deepEqual([prepared.puts[0].created, prepared.puts[0].updated], [5, 9]);
  assert.deepEqual(
    prepared.changes[0].fields.map((f) => [f.path, f.oldValue, f.newValue, f.impact]),
    [["description", "", '"x"', "none"]],
  );
});

test("a transaction that changes nothing makes no generation", () => {
  const store = withGlobal();
  const prepared = store.prepare(mutation([global()]), 1);
  assert.ok(prepared.ok);
  assert.deepEqual(prepared.value.changes, []);
  store.commit(prepared.value);
  assert.equal(store.generation, 1);
});

test("all problems are told at once, with snake_case paths", () => {
  const store = withGlobal();
  assert.deepEqual(
    refused(store, [
      neighbor({
        address: "192.0.2.9",
        multihopTtl: 300,
        holdTime: durationFromMs(2000),
        families: ["ipv4-unicast", "ipv4-unicast", "ipv5"],
        prefixLimits: [{ family: "ipv4-unicast", max: 0 }],
        import: ["accept-all", "nobody"],
        peerGroup: "none",
      }),
      put(
        "PrefixSet",
        create(PrefixSetSpecSchema, {
          name: "s",
          prefixes: [{ prefix: "10.0.0.1/8" }, { prefix: "10.0.0.0/8", ge: 9, le: 8 }],
        }),
      ),
    ]).sort(),
    [
      "DUPLICATE Neighbor/192.0.2.9.families[1]",
      "INVALID Neighbor/192.0.2.9.families[2]",
      "INVALID Neighbor/192.0.2.9.hold_time",
      "INVALID Neighbor/192.0.2.9.multihop_ttl",
      "INVALID PrefixSet/s.prefixes[0].prefix",
      "INVALID PrefixSet/s.prefixes[1].ge",
      "REF_MISSING Neighbor/192.0.2.9.import[1]",
      "REF_MISSING Neighbor/192.0.2.9.peer_group",
      "REQUIRED Neighbor/192.0.2.9.prefix_limits[0].max",
      "REQUIRED Neighbor/192.0.2.9.remote_asn",
    ],
  );
});

test("modes, missing objects, kinds and stale generations", () => {
  const store = withGlobal();
  const one = { address: "192.0.2.9", remoteAsn: 65002 };
  assert.deepEqual(refused(store, [neighbor(one, "replace")]), ["NOT_FOUND Neighbor/192.0.2.9"]);
  apply(store, [neighbor(one, "create")]);
  assert.deepEqual(refused(store, [neighbor(one, "create")]), ["ALREADY_EXISTS Neighbor/192.0.2.9"]);
  assert.deepEqual(refused(store, [neighbor(one), { op: "delete", kind: "Neighbor", name: "192.0.2.9" }]), [
    "DUPLICATE Neighbor/192.0.2.9",
  ]);
  assert.deepEqual(refused(store, [{ op: "delete", kind: "Neighbour", name: "x" }]), [
    "UNKNOWN_KIND Neighbour",
  ]);
  assert.deepEqual(refused(store, [{ op: "delete", kind: "Global", name: "global" }]), [
    "WRONG_STATE Global/global",
  ]);
  assert.deepEqual(refused(store, [global(7)], { expectedGeneration: 1 }), [
    "STALE_GENERATION expected_generation",
  ]);
  const policy = create(PolicySpecSchema, { name: "accept-all" });
  assert.deepEqual(refused(store, [put("Policy", policy)]), ["ALREADY_EXISTS Policy/accept-all"]);
  assert.deepEqual(refused(store, [{ op: "delete", kind: "Policy", name: "reject-all" }]), [
    "WRONG_STATE Policy/reject-all",
  ]);
  const many = Array.from({ length: limits.transactionOpsMax + 1 }, () => global());
  assert.deepEqual(refused(store, many), ["LIMIT "]);
  assert.deepEqual(refused(new ObjectStore(), [neighbor(one)]), ["REF_MISSING Neighbor/192.0.2.9"]);
});

test("what is referred to cannot go, unless its referrers change with it", () => {
  const store = withGlobal();
  const drop: MutationOp = { op: "delete", kind: "PeerGroup", name: "g" };
  apply(store, [
    put("PeerGroup", create(PeerGroupSpecSchema, { name: "g", remoteAsn: 65002 })),
    neighbor({ address: "192.0.2.9", peerGroup: "g" }),
  ]);
  const prepared = store.prepare(mutation([drop]), 1);
  assert.ok(!prepared.ok);
  assert.deepEqual(
    prepared.problems.map(({ code }) => code),
    ["STILL_REFERENCED"],
    "and not what its members would lack without it",
  );
  assert.match(prepared.problems[0].message, /Neighbor\/192\.0\.2\.9 \(peer_group\)/);
  assert.deepEqual(store.referrers("PeerGroup", "g"), [
    { kind: "Neighbor", name: "192.0.2.9", paths: ["peer_group"] },
  ]);
  assert.deepEqual(refused(store, [drop, neighbor({ address: "192.0.2.9", peerGroup: "g", remoteAsn: 1 })]), [
    "REF_MISSING Neighbor/192.0.2.9.peer_group",
  ]);
  apply(store, [drop, neighbor({ address: "192.0.2.9", remoteAsn: 65002 })]);
  assert.deepEqual(store.referrers("PeerGroup", "g"), []);
});

test("a change of what is inherited is checked with the heirs", () => {
  const store = withGlobal();
  apply(store, [
    put("PeerGroup", create(PeerGroupSpecSchema, { name: "g", remoteAsn: 65002, routeServerClient: true })),
    neighbor({ address: "192.0.2.9", peerGroup: "g" }),
  ]);
  assert.deepEqual(refused(store, [global(65002)]), ["INVALID Neighbor/192.0.2.9.route_server_client"]);
  const group = create(PeerGroupSpecSchema, { name: "g", routeServerClient: true });
  assert.deepEqual(refused(store, [put("PeerGroup", group)]), ["REQUIRED Neighbor/192.0.2.9.remote_asn"]);
  group.remoteAsn = 65001;
  assert.deepEqual(refused(store, [put("PeerGroup", group)]), [
    "INVALID Neighbor/192.0.2.9.route_server_client",
  ]);
});

test("addresses and roles that make no sense are refused", () => {
  const store = withGlobal();
  const bad = (fields: object, path: string) =>
    assert.ok(
      refused(store, [neighbor({ remoteAsn: 65002, ...fields })]).some((line) => line.endsWith(path)),
      path,
    );
  for (const address of [
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "ff02::1",
    "fe80::1",
    "::ffff:192.0.2.1",
  ]) {
    bad({ address }, ".address");
  }
  bad({ address: "10.0.0.256" }, ".address");
  bad({ address: "192.0.2.9", localAddress: "2001:db8::1" }, ".local_address");
  bad({ address: "192.0.2.9", localAddress: "192.0.2.9" }, ".local_address");
  bad({ address: "192.0.2.9", routeReflectorClient: true }, ".route_reflector_client");
  bad({ address: "192.0.2.9", remoteAsn: 65001, multihopTtl: 5 }, ".multihop_ttl");
  bad({ address: "192.0.2.9", remoteAsn: 23456 }, ".remote_asn");
  bad({ address: "192.0.2.9", keepaliveTime: durationFromMs(90_000) }, ".keepalive_time");
  bad({ address: "192.0.2.9", shutdownMessage: "é".repeat(128) }, ".shutdown_message");
});

test("a patch sets and clears the fields of its mask only", () => {
  const store = withGlobal();
  apply(store, [
    neighbor({ address: "192.0.2.9", remoteAsn: 65002, description: "a", families: ["ipv6-unicast"] }),
  ]);
  const patch = (mask: string[], fields: object): MutationOp => ({
    op: "patch",
    kind: "Neighbor",
    name: "192.0.2.9",
    spec: create(NeighborSpecSchema, fields),
    mask,
  });
  apply(store, [
    patch(["description", "families", "hold_time"], { holdTime: durationFromMs(30_000), remoteAsn: 7 }),
  ]);
  assert.deepEqual(toJson(NeighborSpecSchema, store.spec("Neighbor", "192.0.2.9") as never), {
    address: "192.0.2.9",
    remoteAsn: 65002,
    holdTime: "30s",
  });
  assert.deepEqual(refused(store, [patch(["hold_tim"], {})]), [
    "UNKNOWN_FIELD Neighbor/192.0.2.9.update_mask",
  ]);
  assert.deepEqual(refused(store, [patch(["address"], { address: "192.0.2.10" })]), [
    "INVALID Neighbor/192.0.2.9.address",
  ]);
  const nested: MutationOp = {
    op: "patch",
    kind: "Global",
    name: "",
    spec: create(GlobalSpecSchema, { bestPath: { preferOldest: true, missingMedWorst: true } }),
    mask: ["best_path.prefer_oldest"],
  };
  assert.deepEqual(
    apply(store, [nested]).changes[0].fields.map((f) => f.newValue),
    ['{"prefer_oldest":true}'],
  );
});

test("changes name the impact of each field; the worst counts", () => {
  const store = withGlobal();
  apply(store, [neighbor({ address: "192.0.2.9", remoteAsn: 65002, import: ["accept-all"] })]);
  const [touched] = apply(store, [
    neighbor({
      address: "192.0.2.9",
      remoteAsn: 65003,
      import: ["reject-all", "accept-all"],
      softReconfiguration: false,
    }),
  ]).touched;
  assert.equal(touched.impact, Impact.SESSION_RESET);
  assert.deepEqual(touched.fields, ["remote_asn", "import", "soft_reconfiguration"]);
  const [deleted] = apply(store, [{ op: "delete", kind: "Neighbor", name: "192.0.2.9" }]).touched;
  assert.equal(deleted.impact, Impact.SESSION_RESET);
  assert.equal(deleted.after, undefined);
});

test("revert takes back exactly what commit did", () => {
  const store = withGlobal();
  apply(store, [neighbor({ address: "192.0.2.9", remoteAsn: 65002, import: ["accept-all"] })]);
  const before = JSON.stringify(
    [...store.list("Neighbor")].map((view) => toJson(NeighborSpecSchema, view.spec as never)),
  );
  const first = apply(store, [
    neighbor({ address: "192.0.2.10", remoteAsn: 65002 }),
    { op: "delete", kind: "Neighbor", name: "192.0.2.9" },
  ]);
  const second = apply(store, [neighbor({ address: "192.0.2.10", remoteAsn: 65003 })]);
  store.revert(second);
  store.revert(first);
  const after = JSON.stringify(
    [...store.list("Neighbor")].map((view) => toJson(NeighborSpecSchema, view.spec as never)),
  );
  assert.equal(after, before);
  assert.equal(store.generation, 2);
  assert.equal(store.referrers("Policy", "accept-all").length, 1);
});

test("stored rows give the same store; rows of a newer version are refused with a reason", () => {
  const store = withGlobal();
  const rows = [
    ...apply(store, [
      neighbor({ address: "2001:db8::1", remoteAsn: 4_200_000_000 }),
      neighbor({ address: "192.0.2.10", remoteAsn: 2 }),
      neighbor({ address: "192.0.2.9", remoteAsn: 2 }),
    ]).puts,
    {
      ...store.prepare(mutation([global(9)]), 1),
      kind: "Global",
      name: "global",
      spec: { asn: 65001, routerId: "192.0.2.1" },
      generation: 1,
      created: 1,
      updated: 1,
      managedBy: "file",
    },
  ];
  const loaded = ObjectStore.load(rows, 7);
  assert.ok(loaded.ok);
  assert.equal(loaded.value.generation, 7);
  assert.deepEqual(
    [...loaded.value.list("Neighbor")].map((view) => view.metadata.name),
    ["192.0.2.9", "192.0.2.10", "2001:db8::1"],
  );
  for (const view of loaded.value.list("Neighbor")) {
    assert.ok(
      equals(NeighborSpecSchema, view.spec as never, store.spec("Neighbor", view.metadata.name) as never),
    );
  }
  const newer = ObjectStore.load(
    [
      { ...rows[0], spec: { address: "2001:db8::1", warpDrive: true } },
      { ...rows[0], kind: "Tunnel" },
    ],
    7,
  );
  assert.ok(!newer.ok);
  assert.deepEqual(
    newer.problems.map((problem) => problem.code),
    ["UNKNOWN_FIELD", "UNKNOWN_KIND"],
  );
  assert.match(newer.problems[0].message, /warpDrive.*newer version/);
});

test("property: the reference index equals a walk over all objects, through commits and reverts", () => {
  const policies = ["p0", "p1", "p2"];
  const op = fc.record({
    address: fc.integer({ min: 1, max: 4 }).map((n) => `192.0.2.${n}`),
    import: fc.array(fc.constantFrom(...policies, "accept-all"), { maxLength: 3 }),
    remove: fc.boolean(),
    undo: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(op, { maxLength: 20 }), (steps) => {
      const store = withGlobal();
      apply(
        store,
        policies.map((name) => put("Policy", create(PolicySpecSchema, { name }))),
      );
      for (const step of steps) {
        const prepared = store.prepare(
          mutation([
            step.remove
              ? { op: "delete", kind: "Neighbor", name: step.address }
              : neighbor({ address: step.address, remoteAsn: 2, import: step.import }),
          ]),
          1,
        );
        if (!prepared.ok) continue;
        store.commit(prepared.value);
        if (step.undo) store.revert(prepared.value);
        for (const name of [...policies, "accept-all"]) {
          const expected = store
            .entries("Neighbor")
            .filter((entry) => (entry.spec as never as { import: string[] }).import.includes(name));
          assert.deepEqual(
            store
              .referrers("Policy", name)
              .map((r) => r.name)
              .sort(),
            expected.map((entry) => entry.name).sort(),
          );
        }
      }
    }),
  );
});

test("a huge set of wrong prefixes is refused with as many problems as help", () => {
  const prefixes = Array.from({ length: 200_000 }, () => ({ prefix: "10.0.0.1/8" }));
  const prepared = withGlobal().prepare(
    mutation([put("PrefixSet", create(PrefixSetSpecSchema, { name: "s", prefixes }))]),
    1,
  );
  assert.ok(!prepared.ok);
  assert.equal(prepared.problems.length, 1001);
  assert.equal(prepared.problems[1000].message, "and 199000 more problems");
});

test("steps of the best path are checked by name", () => {
  const spec = create(GlobalSpecSchema, {
    asn: 1,
    routerId: "192.0.2.1",
    bestPath: { steps: ["med", "med", "local_pref"] },
  });
  const lines = refused(new ObjectStore(), [put("Global", spec)]);
  assert.deepEqual(lines, [
    "DUPLICATE Global/global.best_path.steps[1]",
    "INVALID Global/global.best_path.steps[2]",
  ]);
});
