/** cairnctl against a real server over a Unix socket, with a fake owner behind it. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { symlinkSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { create, toJson } from "@bufbuild/protobuf";
import { parseAddress } from "../../src/cli/address.ts";
import { Client } from "../../src/cli/client.ts";
import { EventService } from "../../src/gen/cairn/v1/event_service_pb.ts";
import { NeighborService } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import { ListBestRoutesResponseSchema, RibService } from "../../src/gen/cairn/v1/rib_service_pb.ts";
import { scratchDirectory } from "../../src/services/testing/harness.ts";
import { daemon, run } from "./harness.ts";

const launcher = fileURLToPath(new URL("../../bin/cairnctl", import.meta.url));

test("reads: each prints something and exits with 0", async (t) => {
  const { cli } = await daemon(t);
  const lines = [
    "health",
    "global",
    "metrics",
    "version",
    "neighbor",
    "neighbor -o wide",
    "neighbor 192.0.2.1",
    "group",
    "group get transit",
    "policy",
    "policy get transit-in",
    "set prefix",
    "set prefix get bogons",
    "set aspath",
    "set community",
    "set neighbor get lab",
    "rib",
    "rib -o wide",
    "rib 10.0.0.1",
    "rib 10.0.0.0/24",
    "rib 10.0.0.0/24 --explain",
    "rib 10.0.0.0/16 --longer",
    "rib received 192.0.2.1",
    "rib received 192.0.2.1 --post",
    "rib advertised 192.0.2.1",
    "rib summary",
    "rib injected",
    "events",
    "events -n 3",
    "top --once -i 200ms",
  ];
  for (const line of lines) {
    for (const format of ["table", "json", "yaml", "ndjson"]) {
      if (line.includes("-o") || (line.startsWith("top") && format !== "table")) continue;
      const { code, out, err } = await cli(`${line} -o ${format}`);
      assert.equal(code, 0, `${line} -o ${format}: ${err}`);
      if (line !== "rib injected") assert.notEqual(out, "", `${line} -o ${format}`);
      if (format === "json") assert.doesNotThrow(() => JSON.parse(out), line);
      if (format === "ndjson") for (const one of out.split("\n")) one === "" || JSON.parse(one);
    }
  }
});

test("JSON is the RPC's response in proto3 JSON, with all pages merged", async (t) => {
  const { cli, address } = await daemon(t, { routes: 25_000 });
  const client = new Client(parseAddress(address), { timeoutMs: 10_000, streamDeadline: true });
  t.after(() => client.close());
  const neighbor = await client.call(NeighborService.method.getNeighbor, { address: "192.0.2.1" });
  assert.deepEqual(
    JSON.parse((await cli("neighbor 192.0.2.1 --json")).out),
    toJson(NeighborService.method.getNeighbor.output, neighbor),
  );
  const all = create(ListBestRoutesResponseSchema);
  for (let pageToken = ""; ; ) {
    const page = await client.call(RibService.method.listBestRoutes, { pageSize: 777, pageToken });
    all.routes.push(...page.routes);
    all.totalSize = page.totalSize;
    pageToken = page.nextPageToken;
    if (pageToken === "") break;
  }
  assert.ok(all.routes.length > 20_000);
  const expected = toJson(ListBestRoutesResponseSchema, all) as { routes: unknown[] };
  assert.deepEqual(JSON.parse((await cli("rib --json")).out), expected);
  const lines = (await cli("rib -o ndjson")).out.trimEnd().split("\n");
  assert.deepEqual(
    lines.map((line) => JSON.parse(line) as unknown),
    expected.routes,
  );
  const events = await client.call(EventService.method.listEvents, { pageSize: 10_000 });
  assert.deepEqual(
    JSON.parse((await cli("events --json")).out),
    toJson(EventService.method.listEvents.output, events),
  );
});

test("an empty list is a document too", async (t) => {
  const { cli } = await daemon(t);
  const { code, out } = await cli("rib injected --json");
  assert.equal(code, 0);
  assert.deepEqual(JSON.parse(out), {});
  assert.deepEqual(JSON.parse((await cli("rib 203.0.113.0/24 --json")).out), {});
});

test("changes are told field by field, and do what they say", async (t) => {
  const { cli, owner } = await daemon(t);
  const added = await cli(
    "neighbor add 203.0.113.9 --asn AS65009 --import accept-all --prefix-limit family=ipv4-unicast,max=10",
  );
  assert.equal(added.out, "Neighbor/203.0.113.9 created\ngeneration 2\n");
  const { ops, reason } = owner.mutations[0];
  const spec = (
    ops[0] as unknown as { spec: { remoteAsn: number; import: string[]; prefixLimits: { max: number }[] } }
  ).spec;
  assert.equal(spec.remoteAsn, 65_009);
  assert.deepEqual(spec.import, ["accept-all"]);
  assert.equal(spec.prefixLimits[0].max, 10);
  assert.equal(reason, "");
  const set = await cli('neighbor set 203.0.113.9 --hold-time 30 --description "a b" --reason why');
  assert.match(set.out, /hold_time +unset -> 30s/);
  assert.match(set.out, /description +unset -> "a b"/);
  assert.equal(owner.mutations[1].reason, "why");
  const dry = await cli("neighbor delete 203.0.113.9 --dry-run");
  assert.match(dry.out, /would be deleted\ndry run: nothing was changed/);
  assert.match((await cli("neighbor set 203.0.113.9 --clear hold-time")).out, /hold_time +30s -> unset/);
  assert.match((await cli("neighbor set 203.0.113.9 --description 'a b'")).out, /nothing changed/);
  const disabled = await cli('neighbor disable 203.0.113.9 --reason "fibre work"');
  assert.match(disabled.out, /shutdown_message +unset -> "fibre work"/);
  assert.equal((await cli("neighbor delete 203.0.113.9")).code, 0);
});

test("sets and policies from flags, files and their own output", async (t) => {
  const { cli } = await daemon(t);
  assert.equal((await cli('set prefix set mine 10.0.0.0/8+ "192.0.2.0/24 ge 25 le 26"')).code, 0);
  assert.equal((await cli("set prefix add mine 100.64.0.0/10")).code, 0);
  assert.equal(
    (await cli("set prefix get mine")).out,
    "mine\n  10.0.0.0/8 le 32\n  192.0.2.0/24 ge 25 le 26\n  100.64.0.0/10\n",
  );
  assert.match((await cli("set prefix remove mine 10.0.0.0/8+")).out, /- \{"prefix":"10.0.0.0\/8","le":32\}/);
  assert.equal((await cli("set prefix remove mine 10.0.0.0/8+")).code, 2);
  assert.equal(
    (await cli("policy set p --match-prefix-sets mine --action reject --default-action accept")).code,
    0,
  );
  assert.equal((await cli("policy set p --append --set-local-pref 200 --action accept")).code, 0);
  const page = (await cli("policy get p")).out;
  assert.match(
    page,
    /1\.\n {5}if {2}prefix sets mine\n {5}reject\n {2}2\.\n {5}always\n {5}set local pref 200\n {5}accept\n {2}otherwise {2}accept/,
  );
  for (const format of ["yaml", "json"]) {
    const text = (await cli(`policy get p -o ${format}`)).out;
    const again = await cli("policy set p -f -", { stdin: text });
    assert.match(again.out, /nothing changed/, again.err);
  }
  const bad = await cli("policy set p -f -", {
    stdin: "statements:\n- actoin: accept\n  match: { prefixes: [nonsense] }\n",
  });
  assert.equal(bad.code, 2);
  assert.match(bad.err, /statements\[0\]\.actoin: there is no such field; did you mean action/);
  assert.match(bad.err, /prefixes\[0\]: "nonsense" is not a prefix/);
});

test("injecting: add, bulk load, list, delete", async (t) => {
  const { cli } = await daemon(t);
  const added = await cli(
    'rib add 192.0.2.0/24 --next-hop 198.51.100.1 -c 65001:1,65001:2:3 --as-path "1 2" --med 5 --ttl 5m',
  );
  assert.equal(added.code, 0, added.err);
  const listed = JSON.parse((await cli("rib injected --json")).out) as { paths: { path: object }[] };
  const { path } = listed.paths[0];
  assert.deepEqual(path, {
    prefix: "192.0.2.0/24",
    nextHop: "198.51.100.1",
    asPathText: "1 2",
    med: 5,
    communities: ["65001:1"],
    largeCommunities: ["65001:2:3"],
    ttl: "300s",
    ...("origin" in path ? { origin: (path as { origin: string }).origin } : {}),
    ...("asPath" in path ? { asPath: (path as { asPath: object }).asPath } : {}),
  });
  const many = Array.from({ length: 2_500 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24 community 65001:7`).join(
    "\n",
  );
  const loaded = await cli("rib load -", {
    stdin: `# a comment\n\n${many}\n{"prefix":"172.16.0.0/12"}\n-192.0.2.0/24\n`,
  });
  assert.equal(loaded.out, "2,501 added, 1 deleted, 0 unchanged\n", loaded.err);
  const bad = await cli("rib load -", { stdin: "10.0.0.0/24 colour red\n" });
  assert.equal(bad.code, 2);
  assert.match(bad.err, /-:1: "colour" is no attribute/);
  assert.equal((await cli("rib load /nonexistent/file")).code, 1);
  assert.equal((await cli("rib delete 172.16.0.0/12")).code, 0);
});

test("exit codes", async (t) => {
  const { cli, owner } = await daemon(t);
  assert.equal((await cli("nonsense")).code, 2);
  assert.equal((await cli("")).code, 2);
  assert.equal((await cli("events -n 0")).code, 2);
  assert.match((await cli("help neighbor reset")).out, /cairnctl neighbor reset ADDR/);
  assert.match((await cli("neighbour")).err, /did you mean "neighbor"/);
  assert.match((await cli("neighbor ad 1.2.3.4")).err, /did you mean "add"/);
  assert.match((await cli("rib --nexthop 1.2.3.4")).err, /did you mean --next-hop/);
  assert.equal((await cli("rib --bogus --worse")).err.match(/there is no option/g)?.length, 2);
  assert.equal((await cli("rib 10.0.0.1/8")).code, 2);
  assert.equal((await cli("health -o xml")).code, 2);
  assert.equal((await cli("health --timeout soon")).code, 2);
  assert.equal((await cli("health -s nonsense")).code, 2);
  assert.equal((await cli("neighbor 203.0.113.99")).code, 1);
  const none = await run("unix:///nonexistent/grpc.sock", ["health"]);
  assert.equal(none.code, 4);
  assert.match(none.err, /unix:\/\/\/nonexistent\/grpc\.sock: there is no such socket/);
  assert.match(none.err, /start a daemon/);
  const refused = await run("127.0.0.1:1", ["health", "--json"]);
  assert.equal(refused.code, 4);
  const told = JSON.parse(refused.err) as { error: { code: string }; exit: number };
  assert.equal(told.error.code, "NO_CONNECTION");
  assert.equal(told.exit, 4);
  owner.busy = true;
  assert.equal((await cli("neighbor delete 192.0.2.1")).code, 1);
});

test("a server that never answers is a timeout", async (t) => {
  const path = join(scratchDirectory(t), "deaf.sock");
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket)).listen(path);
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { code, err } = await run(`unix://${path}`, ["health", "--timeout", "200ms"]);
  assert.equal(code, 5);
  assert.match(err, /^error: no answer from unix:\/\/.*deaf\.sock within 0\.2 s\n/);
});

test("a listener of another protocol is named as such", async (t) => {
  const path = join(scratchDirectory(t), "other.sock");
  const server = createServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")).listen(path);
  await once(server, "listening");
  t.after(() => server.close());
  const { code, err } = await run(`unix://${path}`, ["health"]);
  assert.equal(code, 4);
  assert.match(err, /^error: cannot reach cairnd at unix:\/\/.*: what listens there speaks no gRPC\n/);
});

test("refusals show every violation with its fix, escapes made harmless", async (t) => {
  const { cli, owner } = await daemon(t);
  owner.refuseWith = [
    { code: "INVALID", path: "spec.hold_time", message: "2s is too short", fix: "use 0s or at least 3s" },
    { code: "INVALID", path: "spec.families[1]", message: 'there is no family "x\u001b[31m"' },
  ];
  const { code, err } = await cli("neighbor add 203.0.113.9 --asn 1");
  assert.equal(code, 1);
  assert.match(err, /refused, 2 problems/);
  assert.match(err, / {2}spec\.hold_time: 2s is too short \(use 0s or at least 3s\)\n/);
  assert.match(err, / {2}spec\.families\[1\]: there is no family "x\\x1b\[31m"\n/);
  const json = await cli("neighbor add 203.0.113.9 --asn 1 --json");
  const { error } = JSON.parse(json.err) as { error: { code: string; violations: { field: string }[] } };
  assert.equal(error.code, "INVALID_ARGUMENT");
  assert.deepEqual(
    error.violations.map(({ field }) => field),
    ["spec.hold_time", "spec.families[1]"],
  );
});

test("colour only on a terminal, and NO_COLOR is honoured", async (t) => {
  const { cli } = await daemon(t);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colour codes
  const colour = /\x1b\[/;
  assert.doesNotMatch((await cli("neighbor")).out, colour);
  assert.match((await cli("neighbor", { columns: 100 })).out, colour);
  assert.doesNotMatch((await cli("neighbor", { columns: 100, env: { NO_COLOR: "1" } })).out, colour);
  assert.doesNotMatch((await cli("neighbor --no-color", { columns: 100 })).out, colour);
  assert.match((await cli("neighbor --color")).out, colour);
});

test("tables keep to the terminal's width", async (t) => {
  const { cli } = await daemon(t);
  for (const columns of [60, 80, 120]) {
    for (const line of ["neighbor", "rib", "rib received 192.0.2.1", "group", "rib summary"]) {
      const { out } = await cli(`${line} --no-color`, { columns });
      const widest = Math.max(...out.split("\n").map((text) => text.length));
      assert.ok(widest <= columns, `${line} at ${columns}: ${widest}`);
    }
  }
});

test("why a session is down is readable however narrow the terminal is", async (t) => {
  const { cli } = await daemon(t);
  const { out } = await cli("neighbor --no-color", { columns: 60 });
  assert.match(out, /^192\.0\.2\.4: administratively down$/m);
});

test("the launcher runs from any directory, through symlinks, and | head is quiet", async (t) => {
  const { address } = await daemon(t, { routes: 20_000 });
  const directory = scratchDirectory(t);
  symlinkSync(launcher, join(directory, "one"));
  symlinkSync("one", join(directory, "two"));
  const env = { ...process.env, CAIRN_ADDR: address, NODE_COMPILE_CACHE: join(directory, "cache") };
  const runs = (command: string) =>
    new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
      const child = spawn("bash", ["-o", "pipefail", "-c", command], { cwd: directory, env });
      let out = "";
      let err = "";
      child.stdout.on("data", (text: Buffer) => (out += text));
      child.stderr.on("data", (text: Buffer) => (err += text));
      child.on("close", (code) => resolve({ code, out, err }));
    });
  const version = await runs("./two version");
  assert.match(version.out, /^cairnctl \d/, version.err);
  for (const format of ["table", "json", "ndjson"]) {
    const head = await runs(`./two rib -o ${format} | head -2`);
    assert.equal(head.err, "", format);
    assert.equal(head.code, 0, format);
    assert.equal(head.out.split("\n").length, 3);
  }
  writeFileSync(join(directory, "lonely"), "");
  const lost = spawnSync("sh", ["-c", `mkdir -p bin && cp ${launcher} bin/ && bin/cairnctl version`], {
    cwd: directory,
    encoding: "utf8",
  });
  assert.equal(lost.status, 1);
  assert.match(lost.stderr, /npm ci/);
});

test("events --follow prints what happens, and ends at Ctrl-C", async (t) => {
  const { owner, address } = await daemon(t, { events: 3 });
  const child = spawn(launcher, ["-s", address, "events", "--follow", "--since", "0", "-o", "ndjson"]);
  let out = "";
  await new Promise<void>((resolve) => {
    child.stdout.on("data", (text: Buffer) => {
      out += text;
      if (out.split("\n").length === 4)
        owner.emit({ topic: "cairn.bgp.session.lost", object: "Neighbor/x", summary: "gone" });
      if (out.includes("gone")) resolve();
    });
  });
  child.kill("SIGINT");
  const [code] = (await once(child, "exit")) as [number];
  assert.equal(code, 0);
});

test("events -n gives the last ones, however many pages that takes", async (t) => {
  const { cli } = await daemon(t, { events: 2_500, eventRing: 3_000 });
  const all = (await cli("events -o ndjson")).out.trimEnd().split("\n");
  assert.equal(all.length, 2_500);
  assert.deepEqual((await cli("events -n 2200 -o ndjson")).out.trimEnd().split("\n"), all.slice(-2_200));
  const { events } = JSON.parse((await cli("events -n 2 --json")).out) as { events: unknown[] };
  assert.deepEqual(
    events,
    all.slice(-2).map((line) => JSON.parse(line) as unknown),
  );
});

test("bfd: sessions in a table and one in full, and packets that belonged to none", async (t) => {
  const { cli } = await daemon(t);
  const none = await cli("bfd");
  assert.match(none.out, /no BFD sessions: cairnctl neighbor set ADDR --bfd enabled=true/);
  assert.match(none.out, /thrown away: 3 packets \(ttl\), the last from 203\.0\.113\.1/);
  const set = await cli("neighbor set 192.0.2.1 --bfd min_tx=50ms,multiplier=5");
  assert.equal(set.code, 0, set.err);
  const all = await cli("bfd");
  assert.match(all.out, /NEIGHBOR\s+STATE.*\n192\.0\.2\.1\s+up/);
  const one = await cli("bfd 192.0.2.1");
  assert.match(one.out, /^BFD with 192\.0\.2\.1: up/);
  assert.match(one.out, /we ask for\s+send every 50 ms, receive every 300 ms, 5 times/);
  assert.match(one.out, /path\s+one hop \(UDP 3784\), TTL 255/);
  const unknown = await cli("bfd 203.0.113.99");
  assert.equal(unknown.code, 1);
  assert.match(unknown.err, /there is no BFD session 203\.0\.113\.99/);
});
