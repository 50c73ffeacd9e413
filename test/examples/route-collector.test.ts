/** examples/route-collector: what was sent is in the files, and the files can be sent again. */
import assert from "node:assert/strict";
import net from "node:net";
import { type TestContext, test } from "node:test";
import { finallyDo, run } from "../e2e/harness.ts";
import { BmpCollector } from "../support/bmp-collector.ts";
import { Example, missing, printed, until } from "./rig.ts";

test("examples/route-collector", { timeout: 120_000 }, async (t) => {
  const example = await Example.prepare(t, "route-collector");
  const analysis = await bmpListener(t, example.otherPort);
  await example.up(t, "collector", "feeder");
  const collector = example.at("collector");
  await until("the feeder is there", async () => (await neighbors()).includes("127.0.0.2"), 40_000);
  async function neighbors(): Promise<string[]> {
    const { neighbors: all = [] } = await collector.call("NeighborService/ListNeighbors");
    return all.map(({ spec }: { spec: { address: string } }) => spec.address);
  }

  const commands = example.commands();
  await example.run(commands.slice(0, 2));
  await until("both routes are there", async () => (await collector.best()).length === 2);
  await until("BMP tells of them", () => {
    return analysis.peers.get("127.0.0.2")?.ribs.get("pre")?.size === 2;
  });
  const done = await example.run(commands.slice(2));
  assert.match(printed(done, "sock bmp"), /analysis .*monitoring/);
  const lines = printed(done, "mrt cat").trim().split("\n");
  assert.deepEqual(
    lines.map((line) => line.split("|").slice(3).join("|")),
    [
      "127.0.0.2|65001|198.51.100.0/24|65001|IGP|192.0.2.2|0|0|65001:7|NAG||",
      "127.0.0.2|65001|203.0.113.0/24|65001 65002 65003|IGP|192.0.2.2|0|0||NAG||",
    ],
  );
  assert.match(printed(done, "mrt replay"), /^127\.0\.0\.2 AS65001: 2 announced/);
  assert.ok((await neighbors()).includes("127.0.0.3"), "the file was a neighbor");

  const read = `unix://${example.copy}/collector/read.sock`;
  const refused = await run("sh", ["-c", `bin/cairnctl -s ${read} rib add 192.0.2.0/24`]);
  assert.notEqual(refused.code, 0);
  assert.match(refused.err, /not granted/);

  await collector.stop();
  const updates = await example.shell("bin/cairnctl mrt cat /tmp/collector/mrt/*/updates.*.gz");
  assert.match(updates.out, /\|A\|127\.0\.0\.2\|65001\|198\.51\.100\.0\/24\|65001\|/);

  if (missing("bgpdump")) t.diagnostic(`not compared with bgpdump: ${missing("bgpdump")}`);
  else {
    const { out } = await example.shell("bgpdump -m -v /tmp/collector/mrt/*/rib.*.gz");
    assert.deepEqual(out.trim().split("\n"), lines);
  }
});

/** What OpenBMP or pmacct would be: takes the stream and rebuilds the tables. */
async function bmpListener(t: TestContext, port: number): Promise<BmpCollector> {
  const collector = new BmpCollector();
  const server = net.createServer((socket) => {
    socket.on("data", (chunk) => collector.push(chunk as Buffer));
    socket.on("error", () => socket.destroy());
    finallyDo(t, () => socket.destroy());
  });
  finallyDo(t, () => server.close());
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return collector;
}
