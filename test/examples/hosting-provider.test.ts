/** examples/hosting-provider: customers announce what is theirs, transit what is not invalid, and a limit ends too much. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "../e2e/harness.ts";
import { Example, printed, until } from "./rig.ts";

test("examples/hosting-provider", { timeout: 120_000 }, async (t) => {
  const example = await Example.start(t, "hosting-provider", "provider", "customer", "transit");
  const provider = example.at("provider");
  await until(
    "customer and transit are there",
    async () => {
      const { neighbors } = await provider.call("NeighborService/ListNeighbors");
      const up = neighbors.filter(({ state }: Json) => state.sessionState === "SESSION_STATE_ESTABLISHED");
      return up.length === 2;
    },
    40_000,
  );
  await until(
    "VRPs are there",
    async () => {
      const { vrps = [] } = await provider.call("RpkiService/ListVrps");
      return vrps.length === 3;
    },
    10_000,
  );

  const commands = example.commands();
  const flood = commands.findIndex((command) => command.startsWith("seq "));
  const done = await example.run(commands.slice(0, flood));
  await until("the provider has what it takes", async () => {
    const best = await provider.best();
    return `${best}` === "0.0.0.0/0,193.0.0.0/21,203.0.113.0/24,203.0.113.0/26,203.0.113.7/32";
  });
  await until("transit has our space and a blackhole", async () => {
    const { routes = [] } = await example
      .at("transit")
      .call("RibService/ListReceivedRoutes", { neighbor: "127.0.0.1" });
    const seen = routes.map(
      (route: Json) => `${route.prefix} ${route.asPathText} ${route.communities ?? ""}`,
    );
    return `${seen.sort()}` === "203.0.113.0/24 65020 ,203.0.113.7/32 65020 blackhole";
  });
  const customer = example.at("customer");
  await until("the customer has a default route", async () => (await customer.best()).includes("0.0.0.0/0"));
  assert.match(printed(done, "--explain"), /origin invalid: only AS 64601 may announce 203\.0\.113\.64\/26/);
  const { routes: refused } = await provider.call("RibService/ListRejectedRoutes", { neighbor: "127.0.0.2" });
  assert.deepEqual(
    refused.map((route: Json) => route.prefix),
    ["193.0.4.0/24"],
  );

  await example.run([commands[flood]]);
  const held = await until("the limit holds it down", async () => {
    const { state } = await provider.neighbor("127.0.1.10");
    return state.sessionState !== "SESSION_STATE_ESTABLISHED" && state;
  });
  assert.match(JSON.stringify(held), /prefix limit/);
  await example.run(commands.slice(flood + 1));
  await until("its routes are gone", async () => (await provider.best()).length === 3);
});
