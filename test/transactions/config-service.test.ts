/** ConfigService on a real store: generations, differences, rollback, blame, export, idempotency, audit. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { ConfigFormat, ConfigService } from "../../src/gen/cairn/v1/config_service_pb.ts";
import { EventService, WatchEventsResponse_Type } from "../../src/gen/cairn/v1/event_service_pb.ts";
import {
  InjectionService,
  type InjectPathsRequestSchema,
} from "../../src/gen/cairn/v1/injection_service_pb.ts";
import { NeighborService } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import { ObjectChange_Action } from "../../src/gen/cairn/v1/types_pb.ts";
import { base, failure, file, put, remove, stateDir, World } from "./world.ts";

test("a file is one generation; applying it again changes nothing; plan says both", async (t) => {
  const world = await World.start(stateDir(t));
  const config = world.client(ConfigService);
  const plan = await config.plan(file(base));
  assert.equal(plan.changes.length, 4);
  const applied = await config.apply({ ...file(base), reason: "first" });
  assert.equal(applied.generation, 1n);
  assert.equal(applied.configHash, plan.configHash);
  assert.equal(applied.changes.length, 4);
  const again = await config.apply(file(base));
  assert.deepEqual([again.generation, again.changes.length, again.configHash], [1n, 0, plan.configHash]);
  assert.equal((await config.plan(file(base))).changes.length, 0);
  const { generations } = await config.listGenerations({});
  assert.deepEqual(
    generations.map(({ generation, parent, source, reason, configHash, changedObjects }) => [
      generation,
      parent,
      source,
      reason,
      configHash,
      changedObjects,
    ]),
    [[1n, 0n, "file", "first", plan.configHash, 4]],
  );
  await world.stop();
});

test("any two generations are told apart; rollback declares the old one again under the same hash", async (t) => {
  let world = await World.start(stateDir(t));
  let config = world.client(ConfigService);
  const first = await config.apply(file(base));
  await config.apply(put(["Neighbor", { address: "198.51.100.2", remote_asn: 65002, description: "two" }]));
  await config.apply({ ...remove("Neighbor", "198.51.100.3"), reason: "gone" });
  const second = await config.apply(put(["PrefixSet", { name: "p" }]));
  assert.equal(second.generation, 4n);

  const diff = await config.diff({ from: 1n, target: { case: "to", value: 3n } });
  assert.deepEqual(
    diff.changes.map(({ action, kind, name, fields }) => [
      action,
      `${kind}/${name}`,
      fields.map(({ path }) => path).join(),
    ]),
    [
      [ObjectChange_Action.UPDATE, "Neighbor/198.51.100.2", "description,import,export"].toSpliced(
        2,
        1,
        diff.changes[0].fields.map(({ path }) => path).join(),
      ),
      [ObjectChange_Action.DELETE, "Neighbor/198.51.100.3", ""],
    ],
  );
  assert.equal(diff.fromHash, first.configHash);

  world = await world.again();
  config = world.client(ConfigService);
  const back = await config.rollback({ generation: 1n, reason: "as it was" });
  assert.equal(back.generation, 5n);
  assert.equal(back.configHash, first.configHash);
  const { generation } = await config.getGeneration({ generation: 5n });
  assert.deepEqual(
    [generation?.source, generation?.restores, generation?.reason],
    ["rollback", 1n, "as it was"],
  );
  assert.equal(generation?.changes.length, 3);
  assert.equal((await config.rollback({ generation: 1n })).generation, 5n, "nothing to do a second time");
  assert.match(
    await failure(config.rollback({ generation: 77n })),
    /not_found.*generation 77 is not retained/,
  );
  await world.stop();
});

test("blame names the generation that set each value", async (t) => {
  const world = await World.start(stateDir(t));
  const config = world.client(ConfigService);
  await config.apply({ ...file(base), reason: "first" });
  const neighbors = world.client(NeighborService);
  const change = { address: "198.51.100.2", updateMask: ["description"], reason: "say what it is" };
  await neighbors.updateNeighbor({ ...change, spec: { address: "198.51.100.2", description: "transit" } });
  await config.apply({
    ...put([
      "Neighbor",
      {
        address: "198.51.100.2",
        remote_asn: 65002,
        description: "transit",
        import: ["in"],
        export: ["in", "accept-all"],
      },
    ]),
    reason: "filter",
  });
  const { lines } = await config.blame({ kind: "Neighbor", name: "198.51.100.2" });
  const found = Object.fromEntries(
    lines.map(({ path, generation, reason }) => [path, [Number(generation), reason]]),
  );
  assert.deepEqual(found, {
    address: [1, "first"],
    remote_asn: [1, "first"],
    description: [2, "say what it is"],
    "import[0]": [1, "first"],
    "export[0]": [3, "filter"],
    "export[1]": [1, "first"],
  });
  const one = await config.blame({ kind: "Neighbor", name: "198.51.100.2", field: "export" });
  assert.equal(one.lines.length, 2);
  await world.stop();
});

test("an export applies to another router under the same hash, in both languages", async (t) => {
  const world = await World.start(stateDir(t));
  const config = world.client(ConfigService);
  const { configHash } = await config.apply(file(base));
  for (const format of [ConfigFormat.TOML, ConfigFormat.YAML]) {
    const { content } = await config.export({ format });
    const other = await World.start(stateDir(t));
    const name = format === ConfigFormat.YAML ? "x.yaml" : "x.toml";
    const applied = await other.client(ConfigService).apply(file(content, false, name));
    assert.equal(applied.configHash, configHash, content);
    await other.stop();
    const same = await config.diff({ target: { case: "file", value: { name, content, prune: true } } });
    assert.deepEqual(same.changes, []);
  }
  await world.stop();
});

test("a file prunes what files declared and leaves what the API declared", async (t) => {
  const world = await World.start(stateDir(t));
  const config = world.client(ConfigService);
  await config.apply(file(base));
  await config.apply(put(["Neighbor", { address: "198.51.100.9", remote_asn: 65009 }]));
  const less = base.slice(0, base.lastIndexOf("[[neighbors]]"));
  const plan = await config.plan(file(less, true));
  assert.deepEqual(
    plan.changes.map(({ action, name }) => [action, name]),
    [[ObjectChange_Action.DELETE, "198.51.100.3"]],
  );
  await config.apply(file(less, true));
  const { neighbors } = await world.client(NeighborService).listNeighbors({});
  assert.deepEqual(
    neighbors.map(({ spec }) => spec?.address),
    ["198.51.100.2", "198.51.100.9"],
  );
  await world.stop();
});

test("a request id gives the same answer over a restart, also when the work would differ by now", async (t) => {
  let world = await World.start(stateDir(t));
  let config = world.client(ConfigService);
  await config.apply(file(base));
  await config.apply(put(["PrefixSet", { name: "p" }]));
  const request = { generation: 1n, requestId: "r-1", reason: "back" };
  const first = await config.rollback(request);
  world = await world.again();
  config = world.client(ConfigService);
  const second = await config.rollback(request);
  assert.deepEqual([second.generation, second.configHash], [first.generation, first.configHash]);
  assert.match(await failure(config.rollback({ ...request, generation: 2n })), /used for another request/);
  assert.equal((await config.getPending({})).generation, 3n);
  await world.stop();
});

test("everything that is wrong is told at once, with lines; nothing changes", async (t) => {
  const world = await World.start(stateDir(t));
  const config = world.client(ConfigService);
  await config.apply(file(base));
  const bad = '[[neighbors]]\naddress = "198.51.100.300"\nremote_asn = 0\nhold_tme = 3\n';
  const answer = await config.validate(file(bad));
  assert.equal(answer.valid, false);
  assert.ok(answer.problems.length >= 2);
  assert.ok(answer.problems.every(({ line, sourceLine }) => line > 0 && sourceLine !== ""));
  assert.match(await failure(config.apply(file(bad))), /invalid_argument.*cairn\.toml:\d+:\d+/);
  assert.match(
    await failure(config.apply(file(`[global]\nasn = 1\nrouter_id = "\${ROUTER}"\n`))),
    /\$\{ROUTER\} is filled in by the client/,
  );
  const refused = [
    [put(["Nieghbor", {}]), /invalid_argument.*there is no kind Nieghbor/],
    [put(["Neighbor", { address: "198.51.100.4", remote_asm: 1, port: "x" }]), /and 1 more/],
    [
      put(["Neighbor", { address: "198.51.100.4", remote_asn: 1, import: ["no"] }]),
      /failed_precondition.*no/,
    ],
    [remove("Policy", "in"), /failed_precondition.*still referred to by Neighbor\/198\.51\.100\.2/],
    [remove("Policy", "nix"), /not_found/],
    [{ ...remove("Neighbor", "198.51.100.3"), expectedGeneration: 7n }, /aborted.*7 was expected/],
    [{}, /source: must be set/],
  ] as const;
  for (const [request, pattern] of refused) assert.match(await failure(config.apply(request)), pattern);
  assert.equal(world.loop.view.generation, 1);
  await world.rest();
  const { entries, chain, totalSize } = await config.listAudit({ verify: true, refusedOnly: true });
  assert.equal(entries.length, refused.length + 2, "every refusal is in the audit");
  assert.ok(
    entries.every(({ accepted, code, method }) => !accepted && code !== "" && method.endsWith("/Apply")),
  );
  assert.deepEqual([chain?.intact, chain?.checked], [true, totalSize]);
  await world.stop();
});

test("the audit pages in both directions and holds accepted changes of all services", async (t) => {
  const world = await World.start(stateDir(t));
  const config = world.client(ConfigService);
  await config.apply({ ...file(base), reason: "why" });
  const injection = world.client(InjectionService);
  await injection.addPath({ path: { prefix: "203.0.113.0/24" } });
  await failure(injection.addPath({ path: { prefix: "203.0.113.1/24" } }));
  await world.rest();
  const seen: string[] = [];
  for (let pageToken = ""; ; ) {
    const page = await config.listAudit({ pageSize: 1, pageToken, oldestFirst: true });
    seen.push(
      ...page.entries.map(({ method, accepted, code }) => `${method.split("/")[1]} ${accepted} ${code}`),
    );
    pageToken = page.nextPageToken;
    if (pageToken === "") break;
  }
  assert.deepEqual(seen, ["Apply true ", "AddPath true ", "AddPath false INVALID"]);
  await world.stop();
});

test("injection in bulk: dry runs count and do nothing, a stale generation is refused, the answer names it", async (t) => {
  const world = await World.start(stateDir(t));
  await world.client(ConfigService).apply(file(base));
  const injection = world.client(InjectionService);
  const add = [{ prefix: "203.0.113.0/24" }, { prefix: "203.0.114.0/24" }];
  const inject = (...requests: MessageInitShape<typeof InjectPathsRequestSchema>[]) =>
    injection.injectPaths(
      (async function* () {
        yield* requests;
      })(),
    );
  const counts = async (...requests: Parameters<typeof inject>) => {
    const { added, deleted, unchanged, generation } = await inject(...requests);
    return [added, deleted, unchanged, generation].map(Number);
  };
  assert.deepEqual(await counts({ add, dryRun: true }), [2, 0, 0, 1]);
  assert.equal((await injection.listInjected({})).totalSize, 0n);
  assert.match(await failure(inject({ add, expectedGeneration: 7n })), /aborted.*7 was expected/);
  assert.deepEqual(await counts({ add, expectedGeneration: 1n }), [2, 0, 0, 1]);
  const drop = [{ prefix: "203.0.113.0/24" }, { prefix: "203.0.115.0/24" }];
  assert.deepEqual(await counts({ add, delete: drop, dryRun: true }), [0, 1, 3, 1]);
  assert.equal((await injection.listInjected({})).totalSize, 2n);
  await world.stop();
});

test("pins are kept and told; a generation that does not exist cannot be pinned", async (t) => {
  const world = await World.start(stateDir(t));
  const config = world.client(ConfigService);
  await config.apply(file(base));
  await config.pinGeneration({ generation: 1n });
  assert.equal((await config.getGeneration({ generation: 1n })).generation?.pinned, true);
  await config.unpinGeneration({ generation: 1n });
  assert.equal((await config.getGeneration({})).generation?.pinned, false);
  assert.match(await failure(config.pinGeneration({ generation: 2n })), /not_found/);
  await world.stop();
});

test("the event of a generation is on disk when the generation is", async (t) => {
  let world = await World.start(stateDir(t));
  await world.client(ConfigService).apply({ ...file(base), reason: "first" });
  world = await world.again();
  const events = world.client(EventService);
  for await (const { type, events: found } of events.watchEvents({ fromId: 0n })) {
    if (type === WatchEventsResponse_Type.EVENTS) {
      const committed = found.filter(({ topic }) => topic === "cairn.config.generation.committed");
      assert.deepEqual(
        committed.map(({ generation, facts }) => [generation, facts.reason]),
        [[1n, "first"]],
      );
    }
    if (type === WatchEventsResponse_Type.BOOKMARK) break;
  }
  await world.stop();
});

test("metrics tell commits, refusals and a pending change", async (t) => {
  const world = await World.start(stateDir(t));
  const config = world.client(ConfigService);
  await config.apply(file(base));
  await failure(config.apply(remove("Policy", "in")));
  await config.apply({ ...put(["PrefixSet", { name: "p" }]), confirm: { confirmWithin: { seconds: 60n } } });
  const text = await world.metrics.text();
  assert.match(text, /^cairn_config_pending 1$/m);
  assert.match(text, /^cairn_config_commits_total 2$/m);
  assert.match(text, /^cairn_config_refusals_total\{code="STILL_REFERENCED"\} 1$/m);
  const { pending } = await config.getPending({});
  assert.deepEqual([pending?.generation, pending?.revertTo], [2n, 1n]);
  await config.abort({});
  assert.equal((await config.getPending({})).pending, undefined);
  await world.stop();
});
