import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { formatIp, parseIp } from "../base/ip.ts";
import {
  CommunitySetSpecSchema,
  PolicyAction,
  type PolicySpec,
  PolicySpecSchema,
  PrefixSetSpecSchema,
  type StatementSchema,
} from "../gen/cairn/v1/policy_service_pb.ts";
import { formatAsPath, parseAsPath } from "../wire/as-path-text.ts";
import { formatCommunity, parseCommunity } from "../wire/community-text.ts";
import type { PathAttributes } from "../wire/path-attributes.ts";
import { NextHopVerdict } from "./actions.ts";
import { explainChain, rejectReason } from "./explain.ts";
import { FakeAttributeTable } from "./fake-table.ts";
import { PolicyLibrary } from "./library.ts";
import type { Program } from "./program.ts";
import { RouteKey } from "./route-key.ts";
import {
  checkCalls,
  validateAsPathSet,
  validateCommunitySet,
  validatePolicy,
  validatePrefixSet,
} from "./validate.ts";

type Statements = MessageInitShape<typeof StatementSchema>[];

const context = {
  neighbor: { address: Uint8Array.of(192, 0, 2, 1), asn: 65_001, peerGroup: "transit" },
  localAs: 65_000,
  self4: Uint8Array.of(192, 0, 2, 254),
};
const { ACCEPT, REJECT } = PolicyAction;

class Bench {
  readonly table = new FakeAttributeTable();
  readonly library = new PolicyLibrary();
  readonly attr = this.table.add({
    asPath: parseAsPath("65001 65002"),
    nextHop: parseIp("192.0.2.1"),
    communities: [parseCommunity("65001:1")!],
  });
  readonly route = new RouteKey().setIp4(0x0a000000, 8);

  policy(name: string, statements: Statements, defaultAction: PolicyAction = 0): this {
    this.library.put("Policy", create(PolicySpecSchema, { name, statements, defaultAction }));
    return this;
  }

  program(...names: string[]): Program {
    return this.library.program(names, "import", this.table, context);
  }

  /** Outgoing attributes, undefined for a rejected route. */
  run(...names: string[]): PathAttributes | undefined {
    const id = this.program(...names).evaluate(this.attr, this.route);
    return id === 0 ? undefined : this.table.attributes(id);
  }
}

test("a chain decides by its first statement with an action, a default action, or rejects", () => {
  const bench = new Bench()
    .policy("accepts", [{ action: ACCEPT }])
    .policy("rejects", [{ action: REJECT }])
    .policy("silent", [{ set: { localPref: 200 } }])
    .policy("local", [{ match: { localPrefGe: 200 }, action: ACCEPT }], REJECT);
  assert.ok(bench.run("accept-all"));
  assert.equal(bench.run("reject-all"), undefined);
  assert.equal(bench.run(), undefined);
  assert.equal(bench.run("silent"), undefined);
  assert.ok(bench.run("accepts", "rejects"), "accept ends the chain");
  assert.equal(bench.run("rejects", "accepts"), undefined);
  assert.equal(bench.run("local"), undefined, "an absent LOCAL_PREF counts as 100");
  assert.equal(bench.run("silent", "local")?.localPref, 200, "later policies see the changed route");
});

test("prepends accumulate; communities are replaced, added, then removed", () => {
  const bench = new Bench()
    .policy("prepend", [
      { set: { prepend: { count: 2 } } },
      { set: { prepend: { asn: 7, count: 1 } }, action: ACCEPT },
    ])
    .policy("communities", [
      {
        set: {
          communitiesReplace: ["1:1", "1:2"],
          communitiesAdd: ["2:1", "rt:1:1"],
          communitiesRemove: ["1:*"],
        },
        action: ACCEPT,
      },
    ]);
  assert.equal(formatAsPath(bench.run("prepend")!.asPath), "7 65000 65000 65001 65002");
  const out = bench.run("communities")!;
  assert.deepEqual(out.communities, [parseCommunity("2:1")]);
  assert.deepEqual(out.extendedCommunities, ["0002000100000001"]);
});

test("next hops, and what export is told of them", () => {
  const table: [text: string, nextHop: string, verdict: NextHopVerdict][] = [
    ["self", "192.0.2.254", NextHopVerdict.set],
    ["peer", "192.0.2.1", NextHopVerdict.set],
    ["198.51.100.1", "198.51.100.1", NextHopVerdict.set],
    ["unchanged", "192.0.2.1", NextHopVerdict.unchanged],
    ["discard", "192.0.2.1", NextHopVerdict.discard],
    ["2001:db8::1", "192.0.2.1", NextHopVerdict.unset],
  ];
  for (const [nextHop, expected, verdict] of table) {
    const bench = new Bench().policy("hop", [{ set: { nextHop }, action: ACCEPT }]);
    assert.equal(formatIp(bench.run("hop")!.nextHop), expected, nextHop);
    assert.equal(bench.program("hop").nextHop, verdict, nextHop);
  }
});

test("prepending past a full segment begins a new one; attributes that fit no message are rejected", () => {
  const bench = new Bench()
    .policy("long", [
      ...Array<Statements[number]>(9).fill({ set: { prepend: { count: 32 } } }),
      { action: ACCEPT },
    ])
    .policy("huge", [
      ...Array<Statements[number]>(600).fill({ set: { prepend: { count: 32 } } }),
      { action: ACCEPT },
    ]);
  const path = bench.run("long")!.asPath;
  assert.deepEqual(
    path.map(({ asns }) => asns.length),
    [64, 226],
  );
  assert.equal(bench.run("huge"), undefined);
  assert.equal(
    rejectReason(bench.program("huge"), bench.attr, bench.route),
    "the changed attributes fit no message",
  );
});

test("explanations name what decided, which condition failed and what changed", () => {
  const bench = new Bench()
    .policy("prefer", [{ name: "customers", match: { communities: ["65001:1"] }, set: { localPref: 200 } }])
    .policy("bogons", [
      { match: { asPaths: ["_666_"] }, action: REJECT },
      { name: "private", match: { prefixes: [{ prefix: "10.0.0.0/8", le: 32 }] }, action: REJECT },
    ]);
  const program = bench.program("prefer", "bogons");
  const { steps, accepted, reason } = explainChain(program, bench.attr, bench.route);
  assert.equal(accepted, false);
  assert.equal(reason, "policy bogons, statement 2 (private)");
  assert.deepEqual(steps, [
    {
      policy: "prefer",
      statement: 1,
      name: "customers",
      matched: true,
      conditions: [{ field: "communities", text: "65001:1", holds: true }],
      changes: ["local_pref none -> 200"],
    },
    {
      policy: "bogons",
      statement: 1,
      name: "",
      matched: false,
      conditions: [{ field: "as_paths", text: "_666_", holds: false }],
      changes: [],
    },
    {
      policy: "bogons",
      statement: 2,
      name: "private",
      matched: true,
      conditions: [{ field: "prefixes", text: "10.0.0.0/8 le 32", holds: true }],
      changes: [],
    },
  ]);
  assert.equal(
    rejectReason(bench.program("reject-all"), bench.attr, bench.route),
    "policy reject-all, default action",
  );
  assert.equal(rejectReason(bench.program("prefer"), bench.attr, bench.route), "end of chain");
  assert.equal(rejectReason(bench.program("accept-all"), bench.attr, bench.route), "");
});

test("explaining leaves nothing behind: no counts, nothing remembered of ways that no route has taken", () => {
  const bench = new Bench();
  const bits = Array.from({ length: 8 }, (_, i) => ({
    match: {
      prefixes: [
        { prefix: `${128 >> i}.0.0.0/8`, le: 32 },
        { prefix: `${255 - i}.0.0.0/8`, le: 32 },
      ],
    },
    set: { communitiesAdd: [`65000:${i}`], prepend: { asn: 0, count: 1 } },
  }));
  bench.policy("many", bits, ACCEPT);
  const program = bench.program("many");
  const before = program.memoBytes;
  for (let first = 0; first < 256; first++) {
    for (let second = 0; second < 4; second++) {
      bench.route.setIp4((first << 24) | (second << 16), 16);
      explainChain(program, bench.attr, bench.route);
    }
  }
  assert.equal(program.memoBytes, before);
  assert.ok(bench.library.hits("many")!.every((hits) => hits === 0));
});

test("hits are counted from memory too", () => {
  const bench = new Bench().policy(
    "counted",
    [{ set: { localPref: 200 } }, { match: { prefixes: [{ prefix: "10.0.0.0/8" }] }, action: ACCEPT }],
    REJECT,
  );
  for (let i = 0; i < 5; i++) bench.run("counted");
  bench.route.setIp4(0x0b000000, 8);
  for (let i = 0; i < 3; i++) bench.run("counted");
  assert.deepEqual([...bench.library.hits("counted")!], [8, 5, 3]);
  assert.deepEqual([...bench.library.hits("counted")!], [8, 5, 3], "asking changes nothing");
  assert.equal(bench.library.hits("missing"), undefined);
});

test("routes of one attribute set are encoded and interned once per change, whatever their prefixes", () => {
  const statements = Array.from({ length: 50 }, (_, i) => ({
    match: { prefixes: [{ prefix: `10.${i}.0.0/16` }] },
    set: { localPref: 200 },
    action: ACCEPT,
  }));
  const bench = new Bench().policy("many", statements);
  const before = bench.table.interned;
  for (let i = 0; i < 50; i++) {
    bench.route.setIp4(0x0a000000 + i * 65_536, 16);
    assert.equal(bench.run("many")?.localPref, 200);
  }
  assert.equal(bench.table.interned - before, 1);
});

test("a set update reaches the next program and no other; equal neighbors share programs", () => {
  const bench = new Bench().policy("in", [{ match: { prefixSets: ["mine"] }, action: ACCEPT }]);
  bench.policy("other", [{ action: ACCEPT }]);
  const put = (prefix: string): void =>
    bench.library.put("PrefixSet", create(PrefixSetSpecSchema, { name: "mine", prefixes: [{ prefix }] }));
  put("10.0.0.0/8");
  const old = bench.program("in");
  const other = bench.program("other");
  assert.equal(old, bench.program("in"));
  const fork = bench.library.fork();
  put("11.0.0.0/8");
  assert.equal(bench.program("other"), other);
  assert.notEqual(bench.program("in"), old);
  assert.equal(bench.run("in"), undefined);
  assert.equal(old.evaluate(bench.attr, bench.route), bench.attr);
  assert.equal(
    fork.program(["in"], "import", bench.table, context).evaluate(bench.attr, bench.route),
    bench.attr,
  );
  const { library } = bench;
  library.put("Policy", create(PolicySpecSchema, { ...library.policy("other")!, description: "new words" }));
  assert.equal(bench.program("other"), other, "a description is no reason to run routes again");
});

test("calls are checked in time linear in the policies that are called", () => {
  const tenTimes = (name: string, callee: string) =>
    create(PolicySpecSchema, { name, statements: Array.from({ length: 10 }, () => ({ call: callee })) });
  const known = new Map<string, PolicySpec>();
  for (let i = 1; i <= 15; i++) known.set(`p${i}`, tenTimes(`p${i}`, `p${i - 1}`));
  let asked = 0;
  const policyOf = (name: string): PolicySpec | undefined => {
    asked++;
    return known.get(name);
  };
  assert.deepEqual(checkCalls(tenTimes("top", "p14"), policyOf), []);
  assert.ok(asked <= 16, `${asked} look-ups for 10^15 ways`);
  known.set("p0", tenTimes("p0", "top"));
  const circle = checkCalls(tenTimes("top", "p2"), policyOf);
  assert.equal(circle.length, 10);
  assert.equal(circle[0].message, "the policy calls itself: top -> p2 -> p1 -> p0 -> top");
  known.set("a", tenTimes("a", "b"));
  known.set("b", tenTimes("b", "a"));
  assert.deepEqual(checkCalls(tenTimes("top", "a"), policyOf), [], "a circle beside it is told of a and b");
  assert.match(checkCalls(tenTimes("a", "b"), policyOf)[0].message, /a -> b -> a$/);
});

test("words stand for the AS numbers of the session, in conditions, sets and changes", () => {
  const bench = new Bench();
  const { library, table } = bench;
  const spec = create(CommunitySetSpecSchema, { name: "mine", communities: ["neighbor-asn:1", "7:*"] });
  library.put("CommunitySet", spec);
  bench.policy("words", [
    {
      match: { communitySets: ["mine"] },
      set: { tag: 1, communitiesAdd: ["own-asn:neighbor-asn", "own-asn:1:2"] },
    },
    { match: { asPaths: ["neighbor neighbor-asn"] }, set: { weight: 5 } },
    {
      match: { not: { asPaths: ["_own-asn_"] } },
      set: { communitiesRemove: ["neighbor-asn:*"] },
      action: ACCEPT,
    },
  ]);
  const run = (asn: number, localAs: number): PathAttributes => {
    const neighbor = { ...context.neighbor, asn };
    const program = library.program(["words"], "import", table, { ...context, neighbor, localAs });
    return table.attributes(program.evaluate(bench.attr, bench.route));
  };
  const near = run(65_001, 65_000);
  assert.deepEqual(near.communities.map(formatCommunity), ["65000:65001"]);
  assert.deepEqual(near.largeCommunities, [[65_000, 1, 2]]);
  assert.deepEqual(near.local, { weight: 5, tag: 1, discard: false });
  const far = run(65_009, 65_000);
  assert.deepEqual([far.communities.map(formatCommunity), far.local], [["65001:1"], undefined]);
  // What does not fit matches nothing and adds nothing.
  assert.deepEqual(run(4_200_000_001, 65_000).communities.map(formatCommunity), ["65001:1"]);
  const programs = [65_001, 65_009, 65_001].map((asn) =>
    library.program(["words"], "import", table, { ...context, neighbor: { ...context.neighbor, asn } }),
  );
  assert.equal(programs[0], programs[2]);
  assert.notEqual(programs[0], programs[1]);
});

test("problems are told all at once, with their paths", () => {
  const spec = create(PolicySpecSchema, {
    name: "accept-all",
    statements: [
      {
        name: "a",
        match: {
          prefixes: [
            { prefix: "10.0.0.0/8", ge: 24, le: 16 },
            { prefix: "10.0.0.0/8", ge: 4 },
            { prefix: "10.0.0.1/8" },
          ],
          asPaths: ["_1_", "(1"],
          communities: ["1:x"],
          medGe: 2,
          medLe: 1,
          routeTypes: ["externl"],
        },
        set: { med: 1, medRemove: true, nextHop: "there", communitiesAdd: ["1:*"], prepend: { count: 33 } },
      },
      { name: "a", set: { localPref: 1 }, action: REJECT },
    ],
  });
  assert.deepEqual(
    validatePolicy(spec).map(({ path }) => path),
    [
      "name",
      "statements[0].match.prefixes[0].ge",
      "statements[0].match.prefixes[1].ge",
      "statements[0].match.prefixes[2].prefix",
      "statements[0].match.communities[0]",
      "statements[0].match.as_paths[1]",
      "statements[0].match.med_ge",
      "statements[0].match.route_types[0]",
      "statements[0].set.med_remove",
      "statements[0].set.next_hop",
      "statements[0].set.communities_add[0]",
      "statements[0].set.prepend.count",
      "statements[1].name",
      "statements[1].set",
    ],
  );
  const set = { $typeName: "cairn.v1.AsPathSet" as const, name: "x" };
  assert.equal(
    validateAsPathSet({ ...set, $typeName: "cairn.v1.AsPathSetSpec", patterns: ["_1_", "1)"] })[0].message,
    "column 2: a ) without its (",
  );
  assert.equal(
    validateCommunitySet({ ...set, $typeName: "cairn.v1.CommunitySetSpec", communities: ["9-1:1"] })[0].path,
    "communities[0]",
  );
  assert.deepEqual(
    validatePrefixSet(create(PrefixSetSpecSchema, { prefixes: [{ prefix: "::/0", ge: 128 }] })),
    [],
  );
});
