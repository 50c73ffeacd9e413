/** examples/route-server: members get what they asked for, and what is not theirs goes nowhere. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "../e2e/harness.ts";
import { Example, printed, until } from "./rig.ts";

test("examples/route-server", { timeout: 120_000 }, async (t) => {
  const example = await Example.start(t, "route-server", "rs", "alpha", "beta", "gamma");
  const rs = example.at("rs");
  await until(
    "all members are there",
    async () => {
      const { neighbors } = await rs.call("NeighborService/ListNeighbors");
      return neighbors.every(({ state }: Json) => state.sessionState === "SESSION_STATE_ESTABLISHED");
    },
    40_000,
  );
  await until(
    "VRPs are there",
    async () => {
      const { vrps = [] } = await rs.call("RpkiService/ListVrps");
      return vrps.length === 4;
    },
    10_000,
  );

  const done = await example.readme();
  const own = ["193.0.0.0/21", "193.0.0.0/22", "193.0.4.0/24"];
  await until("gamma has all of them", async () => `${await example.at("gamma").best()}` === `${own}`);
  assert.deepEqual(await rs.best(), own, "neither the invalid nor the unregistered one");
  assert.deepEqual(
    await example.at("beta").best(),
    ["193.0.0.0/21", "193.0.0.0/22", "193.0.6.0/24"],
    "0:200 keeps 193.0.4.0/24 from AS 200",
  );

  const { routes } = await example
    .at("gamma")
    .call("RibService/ListReceivedRoutes", { neighbor: "127.0.0.1" });
  const paths = routes.map((route: Json) => `${route.prefix} ${route.nextHop} ${route.asPathText}`).sort();
  assert.deepEqual(paths, [
    "193.0.0.0/21 192.0.2.10 100",
    "193.0.0.0/21 192.0.2.20 200",
    "193.0.0.0/22 192.0.2.10 100 100 100",
    "193.0.4.0/24 192.0.2.10 100",
  ]);
  assert.match(printed(done, "rpki lookup"), /^invalid: /);
  assert.match(printed(done, "--explain --to"), /is not announced to 127\.0\.0\.20: .*not-to-you/s);

  const rejected = async (neighbor: string): Promise<string> => {
    const answer = await rs.call("RibService/ListRejectedRoutes", { neighbor });
    return answer.routes.map((route: Json) => `${route.prefix} ${JSON.stringify(route)}`).join("\n");
  };
  assert.match(await rejected("127.0.0.20"), /^193\.0\.6\.0\/24 .*no-rpki-invalid/);
  assert.match(await rejected("127.0.0.10"), /^193\.0\.26\.0\/24 .*from-as100/);
});
