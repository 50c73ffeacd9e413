/** examples/ddos-mitigation: what the program asks for is at the edge, and nothing else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Json, root, run } from "../e2e/harness.ts";
import { Example, env, printed, until } from "./rig.ts";

test("examples/ddos-mitigation", { timeout: 120_000 }, async (t) => {
  const example = await Example.start(t, "ddos-mitigation", "mitigator", "edge");
  const mitigator = example.at("mitigator");
  const edge = example.at("edge");
  await until(
    "the session is up",
    async () => {
      return (await mitigator.neighbor("127.0.0.2")).state.sessionState === "SESSION_STATE_ESTABLISHED";
    },
    40_000,
  );

  const done = await example.readme();
  const program = done.find(({ command }) => command.includes("mitigate.ts"))!;
  assert.equal(program.out, "203.0.113.7/32: 250000 packets/s, blackholed at 127.0.0.2\n");
  assert.match(program.err, /^198\.51\.100\.9\/32: accepted, but no edge gets it; .*\n$/);
  assert.match(printed(done, "--explain --to"), /rejected by policy blackholes, default action/);
  await until("only what the program wants is left", async () => `${await edge.best()}` === "203.0.113.7/32");
  const { routes } = await edge.call("RibService/LookupRoute", { target: "203.0.113.7" });
  assert.equal(routes[0].discard, true, JSON.stringify(routes));

  const injected = async (): Promise<Json[]> => {
    const { paths } = await mitigator.call("InjectionService/ListInjected", { owner: "mitigate" });
    return paths;
  };
  const [before] = (await injected()).filter(({ path }) => path.prefix === "203.0.113.7/32");
  assert.equal(Date.parse(before.expires) - Date.parse(before.created), 600_000);

  // It goes on: one is prolonged, one is over the bound, one ends soon.
  const words = `printf '203.0.113.7 110000\\nx\\n203.0.113.50 900000\\n' |
    node_modules/.bin/node examples/ddos-mitigation/mitigate.ts unix:///tmp/mitigator/grpc.sock --max 2 --hold 1`;
  const again = await example.shell(words);
  assert.equal(again.out, "203.0.113.7/32: 110000 packets/s, prolonged at 127.0.0.2\n");
  assert.match(again.err, /^not a measurement: x\n203\.0\.113\.50\/32: .*2 blackholes are there already/);
  await until("it ends by itself", async () => (await edge.best()).length === 0);

  await mitigator.stop();
  const command = `echo 203.0.113.7 110000 | ${process.execPath} examples/ddos-mitigation/mitigate.ts unix://`;
  const gone = await run("sh", ["-c", command + mitigator.socket], { cwd: root, env });
  assert.equal(gone.code, 1);
  assert.match(gone.err, /^giving up: /);
});
