/** Every RPC, answered, for clients that are not ours: grpc-js with protobuf.js, plain HTTP with JSON, buf curl. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { fromBinary, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { BadRequestSchema } from "../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../gen/google/rpc/status_pb.ts";
import { onSockets, servedMethods } from "./testing/harness.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** A good request for each RPC, in an order in which they can be called one after another. */
const requests: Readonly<Record<string, JsonObject>> = {
  "cairn.v1.ControlService/GetHealth": {},
  "cairn.v1.ControlService/GetMetrics": {},
  "cairn.v1.ControlService/SetLogLevel": { level: "debug" },
  "cairn.v1.EventService/WatchEvents": {},
  "cairn.v1.EventService/ListEvents": { page_size: 5 },
  "cairn.v1.FirewallService/GetFirewall": {},
  "cairn.v1.Nat44RuleService/ListNat44Rules": {},
  "cairn.v1.Nat44RuleService/ListTranslations": { filter: { source: "10.0.0.0/8", protocol: "tcp" } },
  "cairn.v1.Nat44RuleService/EvictTranslations": { all: true, reason: "CHG-7" },
  "cairn.v1.GlobalService/GetGlobal": {},
  "cairn.v1.GlobalService/SetGlobal": { spec: { name: "edge" }, update_mask: ["name"] },
  "cairn.v1.NeighborService/AddNeighbor": {
    spec: { address: "2001:DB8:0::7", remote_asn: 65_007, bfd: { multiplier: 5 } },
    request_id: "x",
  },
  "cairn.v1.NeighborService/UpdateNeighbor": {
    spec: { address: "2001:db8::7", port: 1179 },
    update_mask: ["port"],
  },
  "cairn.v1.NeighborService/GetNeighbor": { address: "2001:db8::7" },
  "cairn.v1.NeighborService/ListNeighbors": {},
  "cairn.v1.BfdService/ListSessions": {},
  "cairn.v1.BfdService/GetSession": { neighbor: "2001:db8::7" },
  "cairn.v1.NeighborService/WatchNeighbors": {},
  "cairn.v1.NeighborService/DisableNeighbor": { address: "2001:db8::7", message: "see you" },
  "cairn.v1.NeighborService/EnableNeighbor": { address: "2001:db8::7" },
  "cairn.v1.NeighborService/SoftResetIn": { address: "2001:db8::7", families: ["ipv6-unicast"] },
  "cairn.v1.NeighborService/SoftResetOut": { address: "2001:db8::7" },
  "cairn.v1.NeighborService/HardReset": { address: "2001:db8::7" },
  "cairn.v1.PeerGroupService/ListPeerGroups": {},
  "cairn.v1.PeerGroupService/SetPeerGroup": { spec: { name: "ix" } },
  "cairn.v1.PeerGroupService/AttachNeighbor": { address: "2001:db8::7", peer_group: "ix" },
  "cairn.v1.PeerGroupService/GetPeerGroup": { name: "ix" },
  "cairn.v1.PeerGroupService/DetachNeighbor": { address: "2001:db8::7" },
  "cairn.v1.NeighborService/AddDynamicRange": {
    spec: { name: "r", prefix: "192.0.2.0/24", peer_group: "ix", remote_asns: ["any"] },
  },
  "cairn.v1.NeighborService/SetDynamicRange": {
    spec: { name: "r", prefix: "192.0.2.0/24", peer_group: "ix", remote_asns: ["65000-65010"] },
  },
  "cairn.v1.NeighborService/GetDynamicRange": { name: "r" },
  "cairn.v1.NeighborService/ListDynamicRanges": {},
  "cairn.v1.NeighborService/DeleteDynamicRange": { name: "r" },
  "cairn.v1.KeychainService/SetKeychain": {
    spec: { name: "k", keys: [{ id: "a", send_id: 1, receive_id: 1, secret: "x" }] },
  },
  "cairn.v1.EgressRoutePolicyService/ListEgressRoutePolicies": {},
  "cairn.v1.EgressRoutePolicyService/GetEgressRoutePolicy": { name: "internet" },
  "cairn.v1.EgressRoutePolicyService/GetEgressHistory": { name: "internet" },
  "cairn.v1.EgressRoutePolicyService/PinEgressRoutePolicy": { name: "internet", candidate: "lte" },
  "cairn.v1.EgressRoutePolicyService/UnpinEgressRoutePolicy": { name: "internet" },
  "cairn.v1.BmpService/SetBmpCollector": { spec: { name: "b", host: "192.0.2.10", loc_rib: true } },
  "cairn.v1.BmpService/GetBmpCollector": { name: "b" },
  "cairn.v1.BmpService/ListBmpCollectors": {},
  "cairn.v1.BmpService/DeleteBmpCollector": { name: "b" },
  "cairn.v1.RpkiService/SetRpkiCache": { spec: { name: "c", host: "192.0.2.10" } },
  "cairn.v1.RpkiService/GetRpkiCache": { name: "c" },
  "cairn.v1.RpkiService/ListRpkiCaches": {},
  "cairn.v1.RpkiService/RefreshRpkiCache": { name: "c" },
  "cairn.v1.RpkiService/DeleteRpkiCache": { name: "c" },
  "cairn.v1.RpkiService/GetRpkiSummary": {},
  "cairn.v1.RpkiService/ListVrps": {},
  "cairn.v1.RpkiService/ListAspas": {},
  "cairn.v1.RpkiService/LookupVrps": { prefix: "192.0.2.0/24", asn: 64496 },
  "cairn.v1.RpkiService/VerifyAsPath": { as_path: "64496 64497", role: "peer" },
  "cairn.v1.MrtService/SetMrtDump": { spec: { name: "rib", path: "rib.%Y%m%d.gz" } },
  "cairn.v1.MrtService/GetMrtDump": { name: "rib" },
  "cairn.v1.MrtService/ListMrtDumps": {},
  "cairn.v1.ControlService/TriggerMrtDump": { name: "rib" },
  "cairn.v1.MrtService/DeleteMrtDump": { name: "rib" },
  "cairn.v1.KeychainService/GetKeychain": { name: "k" },
  "cairn.v1.KeychainService/ListKeychains": {},
  "cairn.v1.KeychainService/DeleteKeychain": { name: "k" },
  "cairn.v1.PeerGroupService/DeletePeerGroup": { name: "ix" },
  "cairn.v1.NeighborService/DeleteNeighbor": { address: "2001:db8::7" },
  ...Object.fromEntries(
    ["Policy", "PrefixSet", "AsPathSet", "CommunitySet", "NeighborSet", "AsnSet", "NextHopSet"].flatMap(
      (kind) => [
        [`cairn.v1.PolicyService/Set${kind}`, { spec: { name: "new" } }],
        [`cairn.v1.PolicyService/Get${kind}`, { name: "new" }],
        [`cairn.v1.PolicyService/List${kind === "Policy" ? "Policies" : `${kind}s`}`, {}],
        [`cairn.v1.PolicyService/Delete${kind}`, { name: "new" }],
      ],
    ),
  ),
  "cairn.v1.PolicyService/TestPolicy": {},
  "cairn.v1.PolicyService/GetPolicyStats": {},
  "cairn.v1.InjectionService/AddPath": { path: { prefix: "198.51.100.0/24" } },
  "cairn.v1.InjectionService/InjectPaths": {
    add: [{ prefix: "203.0.113.0/24" }],
    delete: [{ prefix: "192.0.2.0/25" }],
  },
  "cairn.v1.InjectionService/ListInjected": {},
  "cairn.v1.InjectionService/DeletePath": { prefix: "198.51.100.0/24" },
  "cairn.v1.InjectionService/AddFlowSpec": { flow_spec: { rule: "dst 198.51.100.0/24 -> drop" } },
  "cairn.v1.InjectionService/DeleteFlowSpec": { rule: "dst 198.51.100.0/24" },
  "cairn.v1.RibService/ListFlowSpecRoutes": {},
  "cairn.v1.ResourceService/ListFlowSpecFilterRules": { filter: "edge" },
  "cairn.v1.RibService/ListReceivedRoutes": { neighbor: "192.0.2.1" },
  "cairn.v1.RibService/ListBestRoutes": { filter: { as_path: "_65001_" } },
  "cairn.v1.RibService/ListAdvertisedRoutes": { neighbor: "192.0.2.1" },
  "cairn.v1.RibService/ListRejectedRoutes": { neighbor: "192.0.2.1" },
  "cairn.v1.RibService/StreamReceivedRoutes": { neighbor: "192.0.2.1" },
  "cairn.v1.RibService/StreamBestRoutes": {},
  "cairn.v1.RibService/StreamAdvertisedRoutes": { neighbor: "192.0.2.1" },
  "cairn.v1.RibService/LookupRoute": { target: "10.0.1.7" },
  "cairn.v1.RibService/ExplainBestPath": { prefix: "10.0.1.0/24" },
  "cairn.v1.RibService/ListDampenedRoutes": {},
  "cairn.v1.RibService/ClearDampening": { neighbor: "192.0.2.1" },
  "cairn.v1.RibService/ListNextHops": { address: "192.0.2.1" },
  "cairn.v1.RibService/ListRouteEvents": { prefix: "10.0.1.0/24" },
  "cairn.v1.RibService/ListFibRoutes": { prefix: "10.0.1.0/24" },
  "cairn.v1.RibService/ListBlackholeDiscards": {},
  "cairn.v1.InterfaceService/ListLinks": {},
  "cairn.v1.InterfaceService/WatchLinks": {},
  "cairn.v1.InterfaceService/SimulateKernel": { links: [{ name: "eth0", addresses: ["192.0.2.1/24"] }] },
  "cairn.v1.RibService/ExplainImport": { neighbor: "192.0.2.1", prefix: "10.0.1.0/24" },
  "cairn.v1.RibService/ExplainAdvertisedRoute": { neighbor: "192.0.2.1", prefix: "10.0.1.0/24" },
  "cairn.v1.RibService/WatchRoutes": {},
  "cairn.v1.RibService/GetRibSummary": {},
  "cairn.v1.ResourceService/ListKinds": {},
  "cairn.v1.ResourceService/ListResources": { kind: "PrefixSet" },
  "cairn.v1.ResourceService/GetResource": { kind: "Global" },
  "cairn.v1.ResourceService/DescribeResource": { kind: "Global" },
  "grpc.health.v1.Health/Check": { service: "cairn.v1.RibService" },
  "grpc.health.v1.Health/Watch": {},
  "grpc.reflection.v1.ServerReflection/ServerReflectionInfo": { list_services: "" },
  "cairn.v1.ControlService/Shutdown": { message: "bye" },
};

/** These go on until they are cancelled. */
const endless = /\/Watch/;

async function onLoopback(t: TestContext): Promise<string> {
  const { running } = await onSockets(t, [{ kind: "tcp", address: "127.0.0.1", port: 0, plaintext: true }], {
    routes: 120,
  });
  return running.addresses[0];
}

test("the table has every RPC", () => {
  // ConfigService needs a real core: see test/e2e/clients.test.ts.
  const served = [...servedMethods().keys()].filter((rpc) => !rpc.includes("ConfigService"));
  assert.deepEqual(Object.keys(requests).sort(), served.sort());
});

test("grpc-js calls every RPC", async (t) => {
  const client = grpcClient(await onLoopback(t));
  t.after(() => client.close());
  for (const [rpc, request] of Object.entries(requests)) {
    const answers = await client.call(rpc, request);
    assert.ok(answers.length > 0, rpc);
  }
});

test("grpc-js sees status codes and details", async (t) => {
  const client = grpcClient(await onLoopback(t));
  t.after(() => client.close());
  const request = { page_size: 10_001, neighbor: "10.0.0.300" };
  await assert.rejects(
    client.call("cairn.v1.RibService/ListReceivedRoutes", request),
    (error: grpc.ServiceError) => {
      assert.equal(error.code, grpc.status.INVALID_ARGUMENT);
      const status = fromBinary(StatusSchema, error.metadata.get("grpc-status-details-bin")[0] as Buffer);
      assert.deepEqual([status.code, status.message], [error.code, error.details]);
      const bad = status.details
        .map((any) => anyUnpack(any, BadRequestSchema))
        .find((detail) => detail !== undefined);
      assert.deepEqual(
        bad?.fieldViolations.map(({ field }) => field),
        ["page_size", "neighbor"],
      );
      return true;
    },
  );
  await assert.rejects(client.call("cairn.v1.NeighborService/GetNeighbor", { address: "192.0.2.9" }), {
    code: 5,
  });
});

test("plain HTTP/1.1 with JSON calls every RPC", async (t) => {
  const address = await onLoopback(t);
  for (const [rpc, request] of Object.entries(requests)) {
    const unary = servedMethods().get(rpc)?.methodKind === "unary";
    const body = unary ? JSON.stringify(request) : envelope(request);
    const abort = new AbortController();
    const response = await fetch(`http://${address}/${rpc}`, {
      method: "POST",
      headers: { "content-type": unary ? "application/json" : "application/connect+json" },
      body,
      signal: abort.signal,
    });
    if (servedMethods().get(rpc)?.methodKind === "bidi_streaming") {
      assert.equal(response.status, 505, `${rpc} needs HTTP/2`);
      continue;
    }
    assert.equal(response.status, 200, rpc);
    if (endless.test(rpc)) {
      const { value } = (await response.body?.getReader().read()) ?? {};
      assert.ok(value && value.length > 5 && value[0] === 0, rpc);
      abort.abort();
    } else if (unary) {
      assert.equal(typeof (await response.json()), "object");
    } else {
      const bytes = Buffer.from(await response.arrayBuffer());
      // The last envelope has flag 2 and tells how the stream ended.
      assert.equal(bytes.subarray(-7).toString("hex"), "02000000027b7d", rpc);
    }
  }
});

test("buf curl calls RPCs by reflection", async (t) => {
  const all = process.env.CAIRN_ALL_CLIENTS === "1";
  if (!all) t.diagnostic("one RPC of each service; CAIRN_ALL_CLIENTS=1 calls all of them");
  const address = await onLoopback(t);
  const done = new Set<string>();
  for (const [rpc, request] of Object.entries(requests)) {
    const [service] = rpc.split("/");
    if (endless.test(rpc) || (!all && done.has(service))) continue;
    done.add(service);
    const { stdout } = await promisify(execFile)(join(root, "node_modules/.bin/buf"), [
      ...["curl", "--protocol", "grpc", "--http2-prior-knowledge", "-d", JSON.stringify(request)],
      `http://${address}/${rpc}`,
    ]);
    assert.ok(stdout.startsWith("{"), `${rpc}: ${stdout}`);
  }
});

function envelope(message: JsonValue): Buffer<ArrayBuffer> {
  const json = Buffer.from(JSON.stringify(message));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(json.length, 1);
  return Buffer.concat([head, json]);
}

/** A client of grpc-js that knows our .proto files through protobuf.js. */
function grpcClient(address: string) {
  const files = new Set([...servedMethods().values()].map((method) => `${method.parent.file.name}.proto`));
  const definitions = loadSync([...files], {
    includeDirs: [join(root, "proto")],
    keepCase: true,
    longs: String,
    defaults: true,
  });
  const client = new grpc.Client(address, grpc.credentials.createInsecure());
  return {
    close: () => client.close(),
    call(rpc: string, request: JsonObject): Promise<object[]> {
      const [service, name] = rpc.split("/");
      const method = (definitions[service] as Record<string, grpc.MethodDefinition<object, object>>)[name];
      const { path, requestSerialize, responseDeserialize } = method;
      return new Promise((resolve, reject) => {
        const one = (error: grpc.ServiceError | null, answer?: object): void => {
          if (error) reject(error);
          else resolve(answer ? [answer] : []);
        };
        if (!method.responseStream) {
          if (!method.requestStream)
            client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, one);
          else client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, one).end(request);
          return;
        }
        const answers: object[] = [];
        const stream = method.requestStream
          ? client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize)
          : client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request);
        if ("writable" in stream) (stream as grpc.ClientDuplexStream<object, object>).end(request);
        stream.on("data", (answer: object) => {
          answers.push(answer);
          if (endless.test(rpc)) stream.cancel();
        });
        stream.on("error", (error: grpc.ServiceError) => {
          if (error.code === grpc.status.CANCELLED) resolve(answers);
          else reject(error);
        });
        stream.on("end", () => resolve(answers));
      });
    },
  };
}
