/** Policies as part of transactions: their tests, warnings, and what is refused leaves everything as it was. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { JsonObject, MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { ConfigService } from "../../src/gen/cairn/v1/config_service_pb.ts";
import {
  PolicyAction,
  PolicyService,
  type PolicySpecSchema,
} from "../../src/gen/cairn/v1/policy_service_pb.ts";
import { BadRequestSchema, PreconditionFailureSchema } from "../../src/gen/google/rpc/error_details_pb.ts";
import { file, stateDir, World } from "./world.ts";

after(() => World.stopAll());

const { ACCEPT, REJECT } = PolicyAction;

function put(...objects: [kind: string, spec: JsonObject][]) {
  const put = objects.map(([kind, spec]) => ({ kind, spec }));
  return { source: { source: { case: "ops" as const, value: { put, delete: [] } } } };
}

interface Refusal {
  readonly code: Code;
  readonly message: string;
  /** Paths of all that is wrong. */
  readonly fields: string[];
}

async function refusalOf(call: Promise<unknown>): Promise<Refusal> {
  const error = await call.then(
    () => assert.fail("the call did not fail"),
    (thrown: unknown) => ConnectError.from(thrown),
  );
  const fields = [
    ...error
      .findDetails(BadRequestSchema)
      .flatMap(({ fieldViolations }) => fieldViolations.map(({ field }) => field)),
    ...error
      .findDetails(PreconditionFailureSchema)
      .flatMap(({ violations }) => violations.map(({ subject }) => subject)),
  ];
  return { code: error.code, message: error.rawMessage, fields };
}

/** A policy that takes what is in `ours`, and a test that says so. */
const guarded = `[global]
asn = 65001
router_id = "192.0.2.1"

[[prefix_sets]]
name = "ours"
prefixes = ["198.51.100.0/24"]

[[policies]]
name = "in"
statements = [{ match = { prefix_sets = ["ours"] }, action = "accept" }]
default_action = "reject"

[[policies.tests]]
name = "ours comes in, nothing else"
cases = [
  { given = { prefix = "198.51.100.0/24" }, expect = "accept", by = "statement 1" },
  { given = { prefix = "203.0.113.0/24" }, expect = "reject", by = "default" },
]
`;

test("a change after which a policy test fails is planned as such and refused, unless told otherwise", async (t) => {
  const world = await World.start(stateDir(t));
  const config = world.client(ConfigService);
  const policies = world.client(PolicyService);
  await config.apply(file(guarded));
  // The policy stays as it is: the set that it rests on changes.
  const emptied = put(["PrefixSet", { name: "ours", prefixes: [{ prefix: "203.0.113.0/24" }] }]);
  const wanted =
    'Policy/in.tests[0].cases[0]: test "ours comes in, nothing else", 198.51.100.0/24: it was rejected by policy in, default action';
  const plan = await config.plan(emptied);
  assert.equal(plan.exceeded.length, 2);
  assert.equal(plan.exceeded[0], wanted);
  assert.deepEqual(
    plan.warnings.map(({ code, object }) => [code, object]),
    [
      ["TEST_FAILED", "Policy/in"],
      ["TEST_FAILED", "Policy/in"],
    ],
  );
  const refused = await refusalOf(config.apply(emptied));
  assert.equal(refused.code, Code.FailedPrecondition);
  assert.match(refused.message, /it was rejected by policy in, default action/);
  const direct = await refusalOf(
    policies.setPrefixSet({ spec: { name: "ours", prefixes: [{ prefix: "203.0.113.0/24" }] } }),
  );
  assert.equal(direct.code, Code.FailedPrecondition);
  const { prefixSet } = await policies.getPrefixSet({ name: "ours" });
  assert.equal(prefixSet?.spec?.prefixes[0].prefix, "198.51.100.0/24", "the old one is in force");

  const invalid = await config.validate(file(guarded.replace("198.51.100.0/24", "192.0.2.0/24")));
  assert.deepEqual(
    invalid.problems.map(({ code, line, column }) => [code, line, column]),
    [["TEST_FAILED", 17, 3]],
  );
  const told = await refusalOf(config.apply(file(guarded.replace("198.51.100.0/24", "192.0.2.0/24"))));
  assert.match(told.message, /cairn\.toml:17:3: test/);

  const gates = { skipPolicyTests: true };
  assert.deepEqual((await config.plan({ ...emptied, gates })).exceeded, []);
  const forced = await config.apply({ ...emptied, gates });
  assert.equal(forced.warnings.length, 2);
  assert.equal(forced.warnings[0].code, "TEST_FAILED");
  // Others may go on changing what the failing test does not rest on.
  await config.apply(put(["PrefixSet", { name: "other" }]));
  // A test that is put right, or taken out, is no obstacle; a new one that fails is.
  const spec = { name: "in", defaultAction: REJECT, tests: [] };
  await policies.setPolicy({ spec });
  const cases = [{ given: { prefix: "198.51.100.0/24" }, expect: ACCEPT }];
  const wrong = await refusalOf(policies.setPolicy({ spec: { ...spec, tests: [{ name: "new", cases }] } }));
  assert.match(wrong.message, /test "new"/);
  await world.stop();
});

test("what looks wrong is told by SetPolicy, Plan, Apply and Validate, and done", async (t) => {
  const world = await World.start(stateDir(t));
  const config = world.client(ConfigService);
  const policies = world.client(PolicyService);
  await config.apply(file(guarded));
  await config.apply(
    put(["CommunitySet", { name: "wild", communities: ["65000:*"] }], ["AsnSet", { name: "none" }]),
  );
  const statements: MessageInitShape<typeof PolicySpecSchema>["statements"] = [
    { match: { originAsnSets: ["none"] }, action: REJECT },
    { set: { communitiesAddSets: ["wild"] } },
    { match: { isDefault: true, isBogon: true }, action: REJECT },
    { match: { families: ["ipv6-unicast"] }, set: { nextHop: "192.0.2.1" } },
    { match: { families: ["ipv6-unicast"], prefixes: [{ prefix: "10.0.0.0/8" }] } },
    { match: { origins: [1], not: { origins: [1] } } },
    { call: "in", action: ACCEPT },
    { action: REJECT },
  ];
  const wanted = [
    "spec.statements[7]: no route gets here: statement 7 takes them all",
    "spec.statements[0].match.origin_asn_sets: none is empty, so the statement never matches",
    'spec.statements[1].set.communities_add_sets[0]: "65000:*" in wild is a pattern, which cannot be set and is passed over',
    "spec.statements[2].match.is_bogon: the default route is no bogon, so the statement never matches",
    "spec.statements[3].set.next_hop: 192.0.2.1 is no next hop for routes of ipv6-unicast, which are left as they are",
    "spec.statements[4].match.prefixes: none of these is of the families that are asked for, so the statement never matches",
    "spec.statements[5].match.not.origins: origins is asked for and ruled out, so the statement never matches",
    "spec.statements[6].action: policy in decides every route, so this action never does",
  ];
  const dry = await policies.setPolicy({ spec: { name: "odd.one", statements }, dryRun: true });
  assert.deepEqual(dry.warnings, wanted);
  const set = await policies.setPolicy({ spec: { name: "odd.one", statements } });
  assert.deepEqual(set.warnings, wanted);
  const json = [{ action: "POLICY_ACTION_REJECT" }, { action: "POLICY_ACTION_ACCEPT" }];
  const change = put(["Policy", { name: "odd.two", statements: json }]);
  const said = ["SUSPECT", "Policy/odd.two", "statements[1]: no route gets here: statement 1 takes them all"];
  const warned = ({ code, object, message }: { code: string; object: string; message: string }) => [
    code,
    object,
    message,
  ];
  assert.deepEqual((await config.plan(change)).warnings.map(warned), [said]);
  assert.deepEqual((await config.apply(change)).warnings.map(warned), [said]);
  const { valid, warnings } = await config.validate(
    file(
      `${guarded}\n[[policies]]\nname = "odd.three"\nstatements = [\n  { action = "reject" },\n  { action = "accept" },\n]\n`,
    ),
  );
  assert.ok(valid);
  assert.deepEqual(
    warnings.map(({ path, line, column, file: name }) => [path, line, column, name]),
    [["Policy/odd.three.statements[1]", 25, 3, "cairn.toml"]],
  );
  await world.stop();
});

test("all that is wrong with a policy is told at once, and the old one stays in force", async (t) => {
  const world = await World.start(stateDir(t));
  const policies = world.client(PolicyService);
  await policies.setPolicy({ spec: { name: "in", defaultAction: ACCEPT } });
  const error = await refusalOf(
    policies.setPolicy({
      spec: {
        name: "in",
        statements: [
          { match: { prefixSets: ["nets"], asPaths: ["(_1"], medGe: 5, medLe: 4 }, call: "sub" },
          {
            match: { prefixes: [{ prefix: "10.0.0.0/8", ge: 28, le: 24 }] },
            set: { med: 1, medRemove: true },
          },
          { match: { prefixes: [{ prefix: "10.0.0.0/8", le: 9, covering: true }] } },
          { set: { communitiesAdd: ["own-asn:1", "own-asn:*", "peer-asn:1"], localPref: 1 }, action: REJECT },
        ],
        tests: [
          {
            name: "t",
            chain: ["gone"],
            cases: [{ given: { prefix: "10.0.0.1/8" }, expect: ACCEPT, by: "x" }],
          },
        ],
      },
    }),
  );
  assert.deepEqual(error.fields.toSorted(), [
    "spec.statements[0].call",
    "spec.statements[0].match.as_paths[0]",
    "spec.statements[0].match.med_ge",
    "spec.statements[0].match.prefix_sets[0]",
    "spec.statements[1].match.prefixes[0].ge",
    "spec.statements[1].set.med_remove",
    "spec.statements[2].match.prefixes[0].le",
    "spec.statements[3].set",
    "spec.statements[3].set.communities_add[1]",
    "spec.statements[3].set.communities_add[2]",
    "spec.tests[0].cases[0].by",
    "spec.tests[0].cases[0].given.prefix",
    "spec.tests[0].chain[0]",
  ]);
  const { policy } = await policies.getPolicy({ name: "in" });
  assert.equal(policy?.spec?.defaultAction, ACCEPT);
  await world.stop();
});

test("calls may not come back or go too deep, whoever of the chain of calls changes", async (t) => {
  const world = await World.start(stateDir(t));
  const policies = world.client(PolicyService);
  const calling = (name: string, ...calls: string[]) => ({
    spec: { name, statements: calls.map((call) => ({ call })) },
  });
  await policies.setPolicy(calling("p0"));
  for (let i = 1; i <= 16; i++) await policies.setPolicy(calling(`p${i}`, `p${i - 1}`));
  assert.match((await refusalOf(policies.setPolicy(calling("p17", "p16")))).message, /more than 16 deep/);
  await policies.setPolicy(calling("q"));
  assert.match(
    (await refusalOf(policies.setPolicy(calling("p0", "q")))).message,
    /more than 16 deep/,
    "from above",
  );
  assert.match(
    (await refusalOf(policies.setPolicy(calling("p0", "p3")))).message,
    /calls itself: p0 -> p3 -> p2 -> p1 -> p0/,
  );
  assert.match((await refusalOf(policies.setPolicy(calling("q", "q")))).message, /calls itself: q -> q/);
  await world.stop();
});
