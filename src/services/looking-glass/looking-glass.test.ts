/** Parts of the looking glass; the whole is tested over HTTP in test/e2e/looking-glass.test.ts. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { RouteSchema } from "../../gen/cairn/v1/types_pb.ts";
import { rejectNumber } from "../../state/reject-number.ts";
import { rowOf } from "../../state/route-rows.ts";
import { AnswerCache } from "./cache.ts";
import { ClientRates } from "./clients.ts";
import type { LookingGlassOptions } from "./options.ts";
import { protocolOf, routeJson } from "./shapes.ts";
import { Slices } from "./slices.ts";

const options: LookingGlassOptions = {
  allow: [],
  cacheS: 1,
  ratePerS: 1,
  rejectCommunity: [65001, 65666],
  rpkiCommunity: [65001, 1000],
};

suite("shapes", () => {
  const large = (init: object): unknown => {
    const route = create(RouteSchema, { prefix: "10.0.0.0/8", neighbor: "192.0.2.1", ...init });
    return JSON.parse(routeJson(rowOf(route), options)).bgp.large_communities;
  };

  test("what RPKI says and why a route was refused stand among its large communities", () => {
    const largeCommunities = ["65002:1:2"];
    assert.deepEqual(large({ largeCommunities }), [[65002, 1, 2]]);
    for (const [rpkiState, number] of [
      ["valid", 1],
      ["not-found", 2],
      ["invalid", 4],
    ] as const) {
      assert.deepEqual(large({ largeCommunities, rpkiState }), [
        [65002, 1, 2],
        [65001, 1000, number],
      ]);
    }
    assert.deepEqual(large({ rejectReason: "own AS in AS_PATH" }), [[65001, 65666, 1]]);
    assert.deepEqual(large({ rejectReason: "policy transit-in, statement 2" }), [[65001, 65666, 6]]);
    assert.equal(rejectNumber("prefix limit"), 10);
  });

  test("a route of one set of attributes does not carry what another was marked with", () => {
    const attributes = create(RouteSchema, { largeCommunities: ["1:2:3"] });
    const row = {
      ...rowOf(create(RouteSchema, { prefix: "10.0.0.0/8", neighbor: "192.0.2.1" })),
      attributes,
    };
    const of = (rpkiState: string): unknown =>
      JSON.parse(routeJson({ ...row, rpkiState }, options)).bgp.large_communities.length;
    assert.deepEqual([of(""), of("valid"), of(""), of("invalid")], [1, 2, 1, 2]);
  });

  test("protocols have names that fit into URLs", () => {
    assert.equal(protocolOf("192.0.2.1"), "bgp_192_0_2_1");
    assert.equal(protocolOf("fe80::1%eth0.7"), "bgp_fe80__1_eth0_7");
    assert.equal(protocolOf("local"), "local");
  });
});

suite("the cache of answers", () => {
  const body = (size: number) => Buffer.alloc(size);

  test("gives what is young enough, and is never larger than it may be", () => {
    const cache = new AnswerCache(100, 1000);
    cache.keep("a", { madeMs: 0, body: body(60) });
    assert.equal(cache.find("a", 999)?.body.length, 60);
    cache.keep("b", { madeMs: 500, body: body(60) });
    assert.equal(cache.find("a", 999), undefined, "the oldest makes room");
    assert.equal(cache.find("b", 1499)?.madeMs, 500);
    cache.keep("b", { madeMs: 600, body: body(10) });
    cache.keep("c", { madeMs: 600, body: body(90) });
    assert.equal(cache.size, 2, "what is replaced takes no room");
    assert.equal(cache.find("b", 1600), undefined, "too old");
    assert.equal(cache.find("c", 599), undefined, "the clock was set back");
    cache.keep("d", { madeMs: 0, body: body(101) });
    assert.equal(cache.size, 0, "too large to be kept");
  });
});

test("rates are by address, and so many addresses are remembered", () => {
  let nowMs = 0;
  const rates = new ClientRates(2, 3, () => nowMs);
  assert.deepEqual(
    [rates.take("a"), rates.take("a"), rates.take("a"), rates.take("b")],
    [true, true, false, true],
  );
  nowMs = 500;
  assert.deepEqual([rates.take("a"), rates.take("a")], [true, false]);
  for (const address of ["c", "d", "e"]) rates.take(address);
  assert.equal(rates.take("a"), true, "forgotten: it starts anew");
});

test("all slices together leave the loop its turns, and a step that fails ends only its own", async () => {
  const slices = new Slices();
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  const busy = (): boolean => {
    const end = performance.now() + 1;
    while (performance.now() < end);
    return false;
  };
  const failing = assert.rejects(
    slices.run(() => {
      throw new Error("gone");
    }),
    /gone/,
  );
  const done = await Promise.all(Array.from({ length: 20 }, () => slices.run(busy)));
  clearInterval(timer);
  await failing;
  assert.ok(done.every((ended) => !ended));
  assert.ok(turns >= 10, `the loop went round ${turns} times for 20 slices`);
});
