/**
 * The compiled, remembering engine against the oracle: random programs, routes and neighbors. Results and inputs are
 * released between visits, so that remembered ids go stale and are reused under the memo's feet.
 *
 * `CAIRN_POLICY_RUNS=10000` for the long form.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { parseIp, parsePrefix } from "../../src/base/ip.ts";
import {
  AsnSetSpecSchema,
  AsPathSetSpecSchema,
  CommunitySetSpecSchema,
  NeighborSetSpecSchema,
  NextHopSetSpecSchema,
  PolicyAction,
  type PolicySpec,
  PrefixSetSpecSchema,
} from "../../src/gen/cairn/v1/policy_service_pb.ts";
import type { PolicyContext } from "../../src/policy/actions.ts";
import { explainChain } from "../../src/policy/explain.ts";
import { FakeAttributeTable } from "../../src/policy/fake-table.ts";
import { PolicyLibrary } from "../../src/policy/library.ts";
import { Program } from "../../src/policy/program.ts";
import { RouteKey, RouteType } from "../../src/policy/route-key.ts";
import { validatePolicy } from "../../src/policy/validate.ts";
import { ipv4Unicast, ipv6Unicast } from "../../src/wire/family.ts";
import { attributes, context, policies, route, sets } from "./policy-arbitraries.ts";
import { type OracleContext, type OracleRoute, type OracleSets, runOracle } from "./policy-oracle.ts";

const runs = Number(process.env.CAIRN_POLICY_RUNS ?? 300);

const world = fc.record({
  policies,
  defaultAction: fc.constantFrom(PolicyAction.ACCEPT, PolicyAction.REJECT),
  /** Policies that are only called. */
  hidden: fc.nat(1),
  sets: fc.tuple(sets, sets),
  attributes: fc.array(attributes, { minLength: 1, maxLength: 4 }),
  context,
  visits: fc.array(fc.tuple(fc.nat(3), route), { minLength: 1, maxLength: 12 }),
});

function libraryOf(
  specs: readonly PolicySpec[],
  [a, b]: readonly SetsOf[],
): { library: PolicyLibrary; oracle: OracleSets } {
  const library = new PolicyLibrary();
  for (const spec of specs) library.put("Policy", spec);
  const named = [
    ["a", a],
    ["b", b],
  ] as const;
  const made = named.map(([name, set]) => {
    const prefixes = create(PrefixSetSpecSchema, { name, prefixes: set.prefixes });
    library.put("PrefixSet", prefixes);
    library.put("AsPathSet", create(AsPathSetSpecSchema, { name, patterns: set.patterns }));
    library.put("CommunitySet", create(CommunitySetSpecSchema, { name, communities: set.communities }));
    library.put("NeighborSet", create(NeighborSetSpecSchema, { name, ...set.neighbors }));
    library.put("AsnSet", create(AsnSetSpecSchema, { name, asns: set.asns }));
    library.put("NextHopSet", create(NextHopSetSpecSchema, { name, addresses: set.nextHops }));
    return [name, prefixes.prefixes] as const;
  });
  const oracle = {
    prefixes: new Map(made),
    asPaths: new Map(named.map(([name, set]) => [name, set.patterns])),
    communities: new Map(named.map(([name, set]) => [name, set.communities])),
    neighbors: new Map(named.map(([name, set]) => [name, set.neighbors])),
    asns: new Map(named.map(([name, set]) => [name, set.asns])),
    nextHops: new Map(named.map(([name, set]) => [name, set.nextHops])),
  };
  return { library, oracle };
}
type SetsOf = typeof sets extends fc.Arbitrary<infer T> ? T : never;

function keyOf({ prefix: text, type }: OracleRoute): RouteKey {
  const parsed = parsePrefix(text);
  assert.ok(typeof parsed !== "string");
  const family = parsed.bytes.length === 4 ? ipv4Unicast : ipv6Unicast;
  const key = new RouteKey().setNlri(family, parsed.bytes, 0, parsed.length);
  key.routeType = RouteType[type];
  return key;
}

function contextOf(from: OracleContext): PolicyContext {
  const bytes = (text: string | undefined) => (text === undefined ? undefined : parseIp(text));
  const neighbor = { address: parseIp(from.address)!, asn: from.asn, peerGroup: from.peerGroup };
  return { neighbor, localAs: from.localAs, self4: bytes(from.self4), self6: bytes(from.self6) };
}

test("programs agree with the oracle, explanations with programs, and nothing leaks", () => {
  fc.assert(
    fc.property(world, (w) => {
      const { library, oracle } = libraryOf(w.policies, w.sets);
      for (const spec of w.policies) {
        assert.deepEqual(
          validatePolicy(spec).filter(({ severity }) => severity !== "warning"),
          [],
        );
      }
      const table = new FakeAttributeTable();
      const asked = w.policies.slice(0, Math.max(1, w.policies.length - w.hidden));
      const names = asked.map((spec) => spec.name);
      const chain = library.chain(names, w.context.direction, w.defaultAction);
      const tiny = { rootsMax: 2, nodesMax: 6, leavesMax: 4 };
      const programs = [
        library.program(names, w.context.direction, table, contextOf(w.context), w.defaultAction),
        new Program(chain, table, contextOf(w.context), tiny),
      ];
      const visit = (which: number, visited: OracleRoute): void => {
        const before = w.attributes[which % w.attributes.length];
        const expected = runOracle(
          asked,
          oracle,
          w.context,
          visited,
          structuredClone(before),
          w.defaultAction,
          w.policies,
        );
        const attr = table.add(before);
        for (const program of programs) {
          const key = keyOf(visited);
          const out = program.evaluate(attr, key);
          const wanted = expected === undefined ? 0 : table.add(expected);
          assert.deepEqual(out && table.attributes(out), wanted && table.attributes(wanted));
          assert.equal(out, wanted);
          const explained = explainChain(program, attr, key);
          assert.equal(explained.accepted, out !== 0);
          if (out === 0) continue;
          assert.equal(table.add(explained.attributes!), out);
          for (let i = 0; i < 3; i++) table.release(out);
        }
        table.release(attr);
      };
      // Inputs are held: what they were given is remembered, but results are let go of each time and go stale.
      const held = w.attributes.map((some) => table.add(some));
      for (let pass = 0; pass < 3; pass++) for (const [which, visited] of w.visits) visit(which, visited);
      // Results are held: all comes from memory.
      const results = w.visits.map(([which, visited]) =>
        programs[0].evaluate(held[which % held.length], keyOf(visited)),
      );
      for (const [which, visited] of w.visits) visit(which, visited);
      for (const id of [...held, ...results]) if (id !== 0) table.release(id);
      // Nothing is held: inputs come and go, and their ids are reused for others.
      for (const [which, visited] of [...w.visits, ...w.visits.toReversed()]) visit(which, visited);
      assert.equal(table.size, 0, "every reference has been given back");
    }),
    { numRuns: runs },
  );
});
