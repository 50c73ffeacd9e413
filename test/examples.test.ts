/** What examples/ promises, run as its readers run it (on ports that are free). */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Daemon, root, run, until } from "./e2e/harness.ts";

test("examples/minimal: two routers exchange routes", { timeout: 30_000 }, async (t) => {
  const port = await freePort();
  const left = await start(t, "left", port);
  const right = await start(t, "right", port);
  assert.equal((await left.ctl("rib", "add", "198.51.100.0/24", "-c", "65001:7")).code, 0);
  assert.equal((await right.ctl("rib", "add", "203.0.113.0/24")).code, 0);
  const both = ["198.51.100.0/24", "203.0.113.0/24"];
  await until(
    "both have both",
    async () => `${await left.best()} ${await right.best()}` === `${both} ${both}`,
    20_000,
  );
  const { routes } = await right.call("RibService/LookupRoute", { target: "198.51.100.9" });
  assert.equal(routes.length, 1);
  const [{ nextHop, asPathText, communities, neighbor }] = routes;
  assert.deepEqual(
    { nextHop, asPathText, communities, neighbor },
    { nextHop: "192.0.2.1", asPathText: "65001", communities: ["65001:7"], neighbor: "127.0.0.1" },
  );
});

test("examples/clients: curl, buf curl and grpc-js announce routes", { timeout: 30_000 }, async (t) => {
  const left = await start(t, "left", await freePort());
  const walk = await run(join(root, "examples/clients/walk.sh"), [left.socket]);
  assert.equal(walk.code, 0, walk.out + walk.err);
  assert.match(walk.out, /LookupRoute .*\n.*"communities":\["65001:7"\]/);
  assert.match(walk.out, /path\.prefix.*\n\(refused, as it should be\)/s);
  assert.match(walk.out, /"owner": "walk"/);
  assert.deepEqual(await left.best(), [], "taken back");

  const words = ["examples/clients/grpc-js.ts", `unix://${left.socket}`, "198.51.100.0/24", "65001:7"];
  const added = await run(process.execPath, words, { cwd: root });
  assert.equal(added.code, 0, added.err);
  assert.equal(JSON.parse(added.out).accepted, true);
  assert.deepEqual(await left.best(), ["198.51.100.0/24"]);
  words[2] = "198.51.100.1/24";
  const refused = await run(process.execPath, words, { cwd: root });
  assert.equal(refused.code, 1);
  assert.match(refused.err, /^INVALID_ARGUMENT: .*198\.51\.100\.0\/24/);
});

/** A daemon of examples/minimal, its file as it is but for the port. */
function start(t: TestContext, name: string, port: number): Promise<Daemon> {
  const config = readFileSync(join(root, `examples/minimal/${name}.toml`), "utf8").replaceAll(
    "11790",
    String(port),
  );
  return Daemon.start(t, { wholeFile: true, config });
}

/** A port that is free on all of 127.0.0.0/8 now. */
async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
