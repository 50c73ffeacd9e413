/** examples/minimal and examples/clients: two routers, and clients of all sorts. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { root, run } from "../e2e/harness.ts";
import { Example, env, until } from "./rig.ts";

test("examples/minimal: two routers exchange routes; examples/clients announce more", {
  timeout: 120_000,
}, async (t) => {
  const example = await Example.start(t, "minimal", "left", "right");
  const [left, right] = [example.at("left"), example.at("right")];
  await example.readme();
  const both = "198.51.100.0/24,203.0.113.0/24";
  await until(
    "both have both",
    async () => `${await left.best()} ${await right.best()}` === `${both} ${both}`,
    40_000,
  );
  const { routes } = await right.call("RibService/LookupRoute", { target: "198.51.100.9" });
  assert.equal(routes.length, 1);
  const [{ nextHop, asPathText, communities, neighbor }] = routes;
  assert.deepEqual(
    { nextHop, asPathText, communities, neighbor },
    { nextHop: "192.0.2.1", asPathText: "65001", communities: ["65001:7"], neighbor: "127.0.0.1" },
  );

  const walk = await run(join(root, "examples/clients/walk.sh"), [left.socket], { env });
  assert.equal(walk.code, 0, walk.out + walk.err);
  assert.match(walk.out, /LookupRoute .*\n.*"communities":\["65001:7"\]/);
  assert.match(walk.out, /path\.prefix.*\n\(refused, as it should be\)/s);
  assert.match(walk.out, /"owner": "walk"/);
  assert.equal(`${await left.best()}`, both, "taken back");

  const words = ["examples/clients/grpc-js.ts", `unix://${left.socket}`, "198.51.100.128/25", "65001:7"];
  const added = await run(process.execPath, words, { cwd: root, env });
  assert.equal(added.code, 0, added.err);
  assert.equal(JSON.parse(added.out).accepted, true);
  assert.ok((await left.best()).includes("198.51.100.128/25"));
  words[2] = "198.51.100.1/24";
  const refused = await run(process.execPath, words, { cwd: root, env });
  assert.equal(refused.code, 1);
  assert.match(refused.err, /^INVALID_ARGUMENT: .*198\.51\.100\.0\/24/);
});
