/**
 * Every RPC of the real daemon by clients that are not ours: buf curl with reflection, JSON over HTTP/1.1, grpc-js with
 * protobuf.js. The list of RPCs comes from the daemon's own reflection, so that one without a row here fails.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { globSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { Daemon, finallyDo, type Json, neighborToml, root, run } from "./harness.ts";
import { Speaker } from "./speaker.ts";

const address = "127.0.0.7";
const peer = "127.0.0.2";
const fileOf = (set: string): Json => ({
  file: { name: "sets.toml", content: `[[prefix_sets]]\nname = "${set}"\n` },
});
const confirm = { confirm_within: "60s" };
const uplinks = {
  file: {
    name: "uplinks.toml",
    content: `
[[interfaces]]
name = "lte"
ifname = "lte0"
[[egress_route_policies]]
name = "internet"
candidates = [{ name = "lte", interface = "lte", gateway = "192.0.2.1" }]
`,
  },
};

/** A good request for each RPC and what its answer must hold, in an order in which they work one after the other. */
const rows: readonly (readonly [rpc: string, request: Json, expected: Json])[] = [
  ["cairn.v1.ControlService/GetHealth", {}, { healthy: true }],
  ["cairn.v1.ControlService/GetMetrics", {}, {}],
  ["cairn.v1.ControlService/SetLogLevel", { level: "info" }, { previous: "info" }],
  ["cairn.v1.GlobalService/GetGlobal", {}, { spec: { asn: 65_001 } }],
  ["cairn.v1.GlobalService/SetGlobal", { spec: { name: "edge" }, update_mask: ["name"] }, {}],
  ["cairn.v1.PeerGroupService/SetPeerGroup", { spec: { name: "ix" } }, {}],
  ["cairn.v1.NeighborService/AddNeighbor", { spec: { address, remote_asn: 65_007, passive: true } }, {}],
  [
    "cairn.v1.NeighborService/UpdateNeighbor",
    { spec: { address, description: "seven" }, update_mask: ["description"] },
    {},
  ],
  ["cairn.v1.NeighborService/UpdateNeighbor", { spec: { address, bfd: {} }, update_mask: ["bfd"] }, {}],
  ["cairn.v1.BfdService/ListSessions", {}, { sessions: [{ neighbor: address }] }],
  ["cairn.v1.BfdService/GetSession", { neighbor: address }, { session: { neighbor: address } }],
  ["cairn.v1.InterfaceService/ListLinks", {}, {}],
  ["cairn.v1.InterfaceService/WatchLinks", {}, { type: "TYPE_BOOKMARK" }],
  ["cairn.v1.FirewallService/GetFirewall", {}, {}],
  ["cairn.v1.Nat44RuleService/ListNat44Rules", {}, {}],
  ["cairn.v1.RibService/ListNextHops", {}, {}],
  ["cairn.v1.RibService/ListDampenedRoutes", {}, {}],
  ["cairn.v1.RibService/ClearDampening", {}, {}],
  ["cairn.v1.RibService/ListFibRoutes", {}, {}],
  ["cairn.v1.ResourceService/ListFlowSpecFilterRules", {}, {}],
  ["cairn.v1.RibService/ListBlackholeDiscards", {}, {}],
  [
    "cairn.v1.GlobalService/SetGlobal",
    { spec: { history_changes: 1000 }, update_mask: ["history_changes"] },
    {},
  ],
  ["cairn.v1.RibService/ListRouteEvents", {}, {}],
  ["cairn.v1.PeerGroupService/AttachNeighbor", { address, peer_group: "ix" }, {}],
  ["cairn.v1.PeerGroupService/GetPeerGroup", { name: "ix" }, { peerGroup: { members: [address] } }],
  ["cairn.v1.PeerGroupService/ListPeerGroups", {}, { totalSize: "1" }],
  ["cairn.v1.NeighborService/GetNeighbor", { address }, { neighbor: { spec: { description: "seven" } } }],
  ["cairn.v1.NeighborService/ListNeighbors", {}, { totalSize: "2" }],
  ["cairn.v1.NeighborService/WatchNeighbors", {}, { type: "TYPE_SNAPSHOT" }],
  ["cairn.v1.NeighborService/DisableNeighbor", { address, message: "see you" }, {}],
  ["cairn.v1.NeighborService/EnableNeighbor", { address }, {}],
  [
    "cairn.v1.NeighborService/AddDynamicRange",
    { spec: { name: "r", prefix: "203.0.113.0/24", peer_group: "ix", remote_asns: ["any"] } },
    {},
  ],
  [
    "cairn.v1.NeighborService/SetDynamicRange",
    { spec: { name: "r", prefix: "203.0.113.0/24", peer_group: "ix", remote_asns: ["65000-65010"] } },
    {},
  ],
  ["cairn.v1.NeighborService/GetDynamicRange", { name: "r" }, {}],
  ["cairn.v1.NeighborService/ListDynamicRanges", {}, { totalSize: "1" }],
  ["cairn.v1.NeighborService/DeleteDynamicRange", { name: "r" }, {}],
  [
    "cairn.v1.KeychainService/SetKeychain",
    { spec: { name: "k", keys: [{ id: "a", send_id: 1, receive_id: 1, secret: "x" }] } },
    {},
  ],
  ["cairn.v1.BmpService/SetBmpCollector", { spec: { name: "b", host: "127.0.0.1", port: 1 } }, {}],
  ["cairn.v1.BmpService/GetBmpCollector", { name: "b" }, { collector: { spec: { name: "b" } } }],
  ["cairn.v1.BmpService/ListBmpCollectors", {}, { totalSize: "1" }],
  ["cairn.v1.BmpService/DeleteBmpCollector", { name: "b" }, {}],
  ["cairn.v1.RpkiService/SetRpkiCache", { spec: { name: "c", host: "127.0.0.1", port: 1 } }, {}],
  ["cairn.v1.RpkiService/GetRpkiCache", { name: "c" }, { cache: { spec: { name: "c" } } }],
  ["cairn.v1.RpkiService/ListRpkiCaches", {}, { totalSize: "1" }],
  ["cairn.v1.RpkiService/RefreshRpkiCache", { name: "c" }, {}],
  ["cairn.v1.RpkiService/GetRpkiSummary", {}, { caches: 1 }],
  ["cairn.v1.RpkiService/ListVrps", {}, {}],
  ["cairn.v1.RpkiService/ListAspas", {}, {}],
  ["cairn.v1.RpkiService/LookupVrps", { prefix: "192.0.2.0/24", asn: 64496 }, { state: "not-found" }],
  ["cairn.v1.RpkiService/VerifyAsPath", { as_path: "64496 64497", role: "peer" }, { state: "unknown" }],
  ["cairn.v1.RpkiService/DeleteRpkiCache", { name: "c" }, {}],
  ["cairn.v1.MrtService/SetMrtDump", { spec: { name: "rib", path: "rib.%Y%m%d.gz" } }, {}],
  ["cairn.v1.MrtService/GetMrtDump", { name: "rib" }, { mrtDump: { spec: { name: "rib" } } }],
  ["cairn.v1.MrtService/ListMrtDumps", {}, { totalSize: "1" }],
  ["cairn.v1.ControlService/TriggerMrtDump", { name: "rib" }, {}],
  ["cairn.v1.MrtService/DeleteMrtDump", { name: "rib" }, {}],
  ["cairn.v1.KeychainService/GetKeychain", { name: "k" }, { keychain: { spec: { name: "k" } } }],
  ["cairn.v1.KeychainService/ListKeychains", {}, { totalSize: "1" }],
  ["cairn.v1.KeychainService/DeleteKeychain", { name: "k" }, {}],
  ["cairn.v1.ResourceService/ListKinds", {}, {}],
  ["cairn.v1.ResourceService/ListResources", { kind: "Global" }, { totalSize: "1" }],
  [
    "cairn.v1.ResourceService/GetResource",
    { kind: "Global" },
    { resource: { metadata: { kind: "Global" } } },
  ],
  [
    "cairn.v1.ResourceService/DescribeResource",
    { kind: "global" },
    { resource: { metadata: { kind: "Global" } } },
  ],
  ["cairn.v1.PeerGroupService/DetachNeighbor", { address }, {}],
  ["cairn.v1.PeerGroupService/DeletePeerGroup", { name: "ix" }, {}],
  ["cairn.v1.NeighborService/DeleteNeighbor", { address }, {}],
  ["cairn.v1.NeighborService/SoftResetIn", { address: peer, refresh: true }, {}],
  ["cairn.v1.NeighborService/SoftResetOut", { address: peer }, {}],
  ...["Policy", "PrefixSet", "AsPathSet", "CommunitySet", "NeighborSet", "AsnSet", "NextHopSet"].flatMap(
    (kind) => {
      const many = kind === "Policy" ? "Policies" : `${kind}s`;
      const field = kind[0].toLowerCase() + kind.slice(1);
      return [
        [`cairn.v1.PolicyService/Set${kind}`, { spec: { name: "new" } }, {}],
        [`cairn.v1.PolicyService/Get${kind}`, { name: "new" }, { [field]: { spec: { name: "new" } } }],
        [`cairn.v1.PolicyService/List${many}`, {}, { totalSize: "1" }],
        [`cairn.v1.PolicyService/Delete${kind}`, { name: "new" }, {}],
      ] as const;
    },
  ),
  [
    "cairn.v1.InjectionService/AddPath",
    { path: { prefix: "198.51.100.0/24" } },
    { receipt: { accepted: true, selected: true } },
  ],
  ["cairn.v1.InjectionService/InjectPaths", { add: [{ prefix: "203.0.113.0/24" }] }, { added: "1" }],
  ["cairn.v1.InjectionService/ListInjected", {}, { totalSize: "2" }],
  ["cairn.v1.RibService/ListReceivedRoutes", { neighbor: peer }, { totalSize: "1" }],
  ["cairn.v1.RibService/ListBestRoutes", {}, { totalSize: "3" }],
  ["cairn.v1.RibService/ListAdvertisedRoutes", { neighbor: peer }, { totalSize: "2" }],
  ["cairn.v1.RibService/ListRejectedRoutes", { neighbor: peer }, {}],
  ["cairn.v1.RibService/StreamReceivedRoutes", { neighbor: peer }, { routes: [{ prefix: "192.0.2.0/24" }] }],
  ["cairn.v1.RibService/StreamBestRoutes", { filter: { neighbor: peer } }, { routes: [{ neighbor: peer }] }],
  ["cairn.v1.RibService/StreamAdvertisedRoutes", { neighbor: peer }, { routes: [{ neighbor: "local" }] }],
  ["cairn.v1.RibService/LookupRoute", { target: "192.0.2.9" }, { prefix: "192.0.2.0/24" }],
  ["cairn.v1.RibService/ExplainBestPath", { prefix: "192.0.2.0/24" }, { candidates: [{ rank: 1 }] }],
  ["cairn.v1.RibService/ExplainImport", { neighbor: peer, prefix: "192.0.2.0/24" }, {}],
  ["cairn.v1.RibService/ExplainAdvertisedRoute", { neighbor: peer, prefix: "198.51.100.0/24" }, {}],
  ["cairn.v1.PolicyService/GetPolicyStats", { name: "accept-all" }, {}],
  ["cairn.v1.PolicyService/TestPolicy", {}, {}],
  [
    "cairn.v1.InjectionService/AddFlowSpec",
    { flow_spec: { rule: "dst 198.51.100.0/24 proto udp -> drop" } },
    { receipt: {} },
  ],
  ["cairn.v1.RibService/ListFlowSpecRoutes", {}, { routes: [{}] }],
  ["cairn.v1.InjectionService/DeleteFlowSpec", { rule: "dst 198.51.100.0/24 proto udp" }, {}],
  ["cairn.v1.ConfigService/Apply", { source: uplinks }, {}],
  ["cairn.v1.EgressRoutePolicyService/ListEgressRoutePolicies", {}, { policies: [{}] }],
  ["cairn.v1.EgressRoutePolicyService/GetEgressRoutePolicy", { name: "internet" }, {}],
  ["cairn.v1.EgressRoutePolicyService/GetEgressHistory", { name: "internet" }, {}],
  ["cairn.v1.RibService/WatchRoutes", {}, { type: "TYPE_SNAPSHOT" }],
  ["cairn.v1.RibService/GetRibSummary", {}, { families: [{ prefixes: "3" }] }],
  ["cairn.v1.InjectionService/DeletePath", { prefix: "198.51.100.0/24" }, {}],
  ["cairn.v1.InjectionService/DeletePath", { prefix: "203.0.113.0/24" }, {}],
  ["cairn.v1.ConfigService/Validate", { source: fileOf("one") }, { valid: true }],
  ["cairn.v1.ConfigService/Plan", { source: fileOf("one") }, { changes: [{ kind: "PrefixSet" }] }],
  ["cairn.v1.ConfigService/Apply", { source: fileOf("one"), confirm, reason: "why" }, {}],
  ["cairn.v1.ConfigService/GetPending", {}, { pending: { reason: "why" } }],
  ["cairn.v1.ConfigService/Confirm", {}, {}],
  ["cairn.v1.ConfigService/Apply", { source: fileOf("two"), confirm }, {}],
  ["cairn.v1.ConfigService/Abort", {}, {}],
  ["cairn.v1.ConfigService/ListGenerations", { page_size: 1 }, {}],
  ["cairn.v1.ConfigService/GetGeneration", { generation: "1" }, { generation: { generation: "1" } }],
  ["cairn.v1.ConfigService/Diff", { from: "1" }, { from: "1" }],
  ["cairn.v1.ConfigService/Blame", { kind: "Global" }, { metadata: { kind: "Global" } }],
  ["cairn.v1.ConfigService/Export", {}, {}],
  ["cairn.v1.ConfigService/PinGeneration", { generation: "1" }, {}],
  ["cairn.v1.ConfigService/UnpinGeneration", { generation: "1" }, {}],
  ["cairn.v1.ConfigService/Rollback", { generation: "1" }, {}],
  ["cairn.v1.ConfigService/ListAudit", { page_size: 1 }, {}],
  ["cairn.v1.EventService/ListEvents", { page_size: 1 }, { events: [{ id: "1" }] }],
  ["cairn.v1.EventService/WatchEvents", { from_id: "0" }, { type: "TYPE_EVENTS" }],
  ["cairn.v1.NeighborService/HardReset", { address: peer }, {}],
  ["grpc.health.v1.Health/Check", { service: "cairn.v1.RibService" }, { status: "SERVING" }],
  ["grpc.health.v1.Health/Watch", {}, { status: "SERVING" }],
  ["grpc.reflection.v1.ServerReflection/ServerReflectionInfo", { list_services: "" }, {}],
  ["cairn.v1.ControlService/Shutdown", { message: "bye" }, {}],
];

/** Need a kernel, simulated or real: test/e2e/next-hops.test.ts, interop/nat-firewall, interop/multi-wan. */
const elsewhere = [
  "cairn.v1.EgressRoutePolicyService/PinEgressRoutePolicy",
  "cairn.v1.EgressRoutePolicyService/UnpinEgressRoutePolicy",
  "cairn.v1.InterfaceService/SimulateKernel",
  "cairn.v1.Nat44RuleService/ListTranslations",
  "cairn.v1.Nat44RuleService/EvictTranslations",
];

/** These go on until they are cancelled. */
const endless = /\/Watch/;

async function start(t: TestContext): Promise<Daemon> {
  const daemon = await Daemon.start(t, { config: neighborToml(peer, 65_002) });
  const speaker = await Speaker.establish(t, { local: peer, port: daemon.bgpPort });
  speaker.announce(["192.0.2.0/24"]);
  for (let i = 0; (await daemon.best()).length === 0 && i < 500; i++);
  return daemon;
}

/** Spans as protobuf.js takes them. */
function withSpans(request: Json): Json {
  return JSON.parse(JSON.stringify(request), (key, value) =>
    key === "confirm_within" ? { seconds: Number.parseInt(value, 10) } : value,
  );
}

/** Every value of `expected` stands in `actual`. */
function holds(actual: Json, expected: Json, what: string): void {
  if (typeof expected !== "object") {
    assert.equal(String(actual), String(expected), what);
    return;
  }
  for (const [key, value] of Object.entries(expected)) holds(actual?.[key], value, `${what}.${key}`);
}

test("grpc-js with protobuf.js calls every RPC; the list is the daemon's own", async (t) => {
  const daemon = await start(t);
  const client = new grpc.Client(`unix://${daemon.socket}`, grpc.credentials.createInsecure());
  finallyDo(t, () => client.close());
  const names = await reflectedServices(client);
  const definitions = loadAll();
  const served = names.flatMap((service) =>
    Object.keys(definitions[service]).map((method) => `${service}/${method}`),
  );
  assert.deepEqual(
    [...new Set([...elsewhere, ...rows.map(([rpc]) => rpc)])].sort(),
    served.sort(),
    "RPCs served and rows here",
  );
  for (const [rpc, request, expected] of rows) {
    const [answer] = await callGrpc(client, definitions, rpc, withSpans(request));
    if (rpc !== "cairn.v1.RibService/ListRejectedRoutes") assert.ok(answer, rpc);
    holds(answer, expected, rpc);
  }
  assert.deepEqual(await daemon.exited, { code: 0, signal: null });
});

test("JSON over HTTP/1.1 calls every RPC", async (t) => {
  const daemon = await start(t);
  const definitions = loadAll();
  for (const [rpc, request, expected] of rows) {
    const [service, name] = rpc.split("/");
    const { requestStream, responseStream } = definitions[service][name] as grpc.MethodDefinition<
      object,
      object
    >;
    if (requestStream && responseStream) continue; // two streams at a time need HTTP/2
    if (!requestStream && !responseStream) {
      holds(await daemon.call(rpc, request), expected, rpc);
      continue;
    }
    const answers: Json[] = [];
    for await (const answer of daemon.stream(rpc, request)) {
      answers.push(answer);
      if (endless.test(rpc)) break;
    }
    assert.ok(answers.length > 0, rpc);
    holds(answers[0], expected, rpc);
  }
  assert.deepEqual(await daemon.exited, { code: 0, signal: null });
});

test("buf curl calls every RPC by reflection", async (t) => {
  const daemon = await start(t);
  for (const [rpc, request, expected] of rows) {
    if (endless.test(rpc)) continue; // buf curl has no way to end one
    const { code, out, err } = await run(join(root, "node_modules/.bin/buf"), [
      ...["curl", "--unix-socket", daemon.socket, "--protocol", "grpc", "--http2-prior-knowledge"],
      ...["-d", JSON.stringify(request), `http://localhost/${rpc}`],
    ]);
    assert.equal(code, 0, `${rpc}: ${err}`);
    // A stream prints one object after the other; the first is looked at.
    const [first, ...more] = out.split("\n}\n{");
    const answer = JSON.parse(more.length > 0 ? `${first}\n}` : first.replace(/^$/, "{}"));
    holds(answer, expected, rpc);
  }
  assert.deepEqual(await daemon.exited, { code: 0, signal: null });
});

test("curl itself: JSON in, JSON out, and an error that programs can read", async (t) => {
  const daemon = await Daemon.start(t);
  const curl = (rpc: string, body: string): ReturnType<typeof run> =>
    run("curl", [
      ...["-sS", "--unix-socket", daemon.socket, "-H", "content-type: application/json", "-d", body],
      ...["-w", "\n%{http_code}", `http://localhost/cairn.v1.${rpc}`],
    ]);
  if ((await run("curl", ["--version"])).code !== 0) {
    t.skip("needs curl");
    return;
  }
  const [health, status] = (await curl("ControlService/GetHealth", "{}")).out.split("\n");
  assert.equal(status, "200");
  assert.equal(JSON.parse(health).healthy, true);
  const [error, refused] = (await curl("NeighborService/GetNeighbor", '{"address":"192.0.2.9"}')).out.split(
    "\n",
  );
  assert.equal(refused, "404");
  assert.equal(JSON.parse(error).code, "not_found");
  const [broken, bad] = (await curl("NeighborService/GetNeighbor", '{"address":')).out.split("\n");
  assert.equal(bad, "400");
  assert.equal(JSON.parse(broken).code, "invalid_argument");
});

type Definitions = ReturnType<typeof loadSync> & Record<string, Record<string, unknown>>;

function loadAll(): Definitions {
  const files = globSync("cairn/v1/*_service.proto", { cwd: join(root, "proto") });
  return loadSync([...files, "grpc/health/v1/health.proto", "grpc/reflection/v1/reflection.proto"], {
    includeDirs: [join(root, "proto")],
    longs: String,
    enums: String,
  }) as Definitions;
}

async function reflectedServices(client: grpc.Client): Promise<string[]> {
  const rpc = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
  const [answer] = await callGrpc(client, loadAll(), rpc, { list_services: "" });
  return answer.listServicesResponse.service.map(({ name }: Json) => name);
}

/** Field names as protobuf.js has them. */
function camel(value: Json): Json {
  if (Array.isArray(value)) return value.map(camel);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [
      key.replace(/_(.)/g, (_, letter) => letter.toUpperCase()),
      camel(each),
    ]),
  );
}

async function callGrpc(
  client: grpc.Client,
  definitions: Definitions,
  rpc: string,
  request: Json,
): Promise<Json[]> {
  const [service, name] = rpc.split("/");
  const method = definitions[service][name] as grpc.MethodDefinition<object, object>;
  const { path, requestSerialize, responseDeserialize } = method;
  const body = camel(request);
  const answers: Json[] = [];
  if (!method.responseStream) {
    return await new Promise((resolve, reject) => {
      const done = (error: grpc.ServiceError | null, answer?: object): void =>
        error ? reject(new Error(`${rpc}: ${error.message}`)) : resolve([answer]);
      if (method.requestStream)
        client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, done).end(body);
      else client.makeUnaryRequest(path, requestSerialize, responseDeserialize, body, done);
    });
  }
  const duplex = method.requestStream;
  const stream = duplex
    ? client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize)
    : client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, body);
  if (duplex) (stream as grpc.ClientDuplexStream<object, object>).end(body);
  stream.on("error", (error: grpc.ServiceError) => {
    if (error.code !== grpc.status.CANCELLED) answers.push(error);
  });
  stream.on("data", (answer: object) => {
    answers.push(answer);
    if (endless.test(rpc)) stream.cancel();
  });
  await once(stream, "close").catch(() => {});
  return answers;
}
