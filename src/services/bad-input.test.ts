/** One row and more for each RPC: what is wrong with a request, all of it at once, and nothing changed by it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
} from "../gen/google/rpc/error_details_pb.ts";
import { grpcName } from "./calls.ts";
import type { FakeOwner } from "./testing/fake-owner.ts";
import { call, failure, inProcess, servedMethods } from "./testing/harness.ts";

interface Row {
  readonly rpc: string;
  readonly request: JsonValue;
  readonly code: string;
  /** Field violations, all of them, in order. */
  readonly fields?: readonly string[];
  /** Subjects of the unmet preconditions. */
  readonly subjects?: readonly string[];
  readonly reason?: string;
}

const bad = (rpc: string, request: JsonObject, ...fields: string[]): Row => {
  return { rpc: `cairn.v1.${rpc}`, request, code: "INVALID_ARGUMENT", fields };
};
const refused = (
  rpc: string,
  request: JsonObject,
  code: string,
  reason: string,
  ...subjects: string[]
): Row => {
  return { rpc: `cairn.v1.${rpc}`, request, code, reason, subjects };
};
/** RPCs whose request has nothing that could be wrong; they are called once each. */
const without: readonly string[] = [
  "cairn.v1.ControlService/GetHealth",
  "cairn.v1.ControlService/GetMetrics",
  "cairn.v1.FirewallService/GetFirewall",
  "cairn.v1.GlobalService/GetGlobal",
  "cairn.v1.InterfaceService/ListLinks",
  "cairn.v1.ResourceService/ListKinds",
  "cairn.v1.RibService/GetRibSummary",
  "cairn.v1.RpkiService/GetRpkiSummary",
];
/** Without bad input either, but never ending by themselves: see the tests of watches and of the listeners. */
const endless = [
  "cairn.v1.InterfaceService/WatchLinks",
  "cairn.v1.NeighborService/WatchNeighbors",
  "grpc.health.v1.Health/Watch",
];

/** Needs a real core: see test/transactions/config-service.test.ts. */
const elsewhere = /ConfigService/;

const longText = "x".repeat(256);
const unknownKind: JsonObject = { name: "nobody" };

const rows: readonly Row[] = [
  bad("ControlService/Shutdown", { message: longText }, "message"),
  bad("ControlService/SetLogLevel", { level: "loud" }, "level"),
  bad("ControlService/SetLogLevel", {}, "level"),

  bad(
    "EventService/WatchEvents",
    { filter: { topics: ["a b"], categories: ["session", "Session"], types: ["*"], object: "Neighbor" } },
    "filter.topics[0]",
    "filter.categories[1]",
    "filter.types[0]",
    "filter.object",
  ),
  bad(
    "EventService/ListEvents",
    { pageSize: 10_001, pageToken: "x", filter: { topics: ["X"] } },
    "filter.topics[0]",
    "page_size",
    "page_token",
  ),
  bad("EventService/ListEvents", { filter: { minSeverity: 9 } }, "filter.min_severity"),

  bad("EventService/WatchEvents", { fromId: "18446744073709551615" }, "from_id"),
  bad("EventService/ListEvents", { filter: { topics: Array(65).fill("a") } }, "filter.topics"),
  bad("NeighborService/ListNeighbors", { filter: "x".repeat(1_025) }, "filter"),
  bad("PolicyService/ListPolicies", { filter: "x".repeat(1_025) }, "filter"),
  bad(
    "RibService/ListBestRoutes",
    { filter: { communities: Array(65).fill("1:1"), asPath: "1".repeat(1_025) } },
    "filter.communities",
    "filter.as_path",
  ),
  bad(
    "NeighborService/DeleteNeighbor",
    { address: "192.0.2.1", reason: "x".repeat(1_025), requestId: "x".repeat(129) },
    "reason",
    "request_id",
  ),
  bad(
    "Nat44RuleService/ListNat44Rules",
    { pageSize: 10_001, filter: "x".repeat(1_025) },
    "filter",
    "page_size",
  ),
  bad(
    "Nat44RuleService/ListTranslations",
    {
      filter: {
        address: "10.0.0.300",
        source: "10.0.0.1/8",
        destination: "x",
        port: 65_536,
        protocol: "ftp",
      },
      pageSize: 10_001,
      pageToken: "x",
    },
    ...["address", "source", "destination", "port", "protocol"].map((name) => `filter.${name}`),
    "page_size",
    "page_token",
  ),
  refused("Nat44RuleService/ListTranslations", { filter: { rule: "nobody" } }, "NOT_FOUND", "NOT_FOUND"),
  bad("Nat44RuleService/EvictTranslations", {}, "filter"),
  bad("Nat44RuleService/EvictTranslations", { filter: { port: 80 }, all: true }, "all"),
  bad("Nat44RuleService/EvictTranslations", { all: true, reason: "x".repeat(1_025) }, "reason"),
  bad("GlobalService/SetGlobal", {}, "spec"),
  bad(
    "GlobalService/SetGlobal",
    { spec: { asn: 1 }, updateMask: ["asnn", "nope"] },
    "update_mask[0]",
    "update_mask[1]",
  ),
  bad("GlobalService/SetGlobal", { spec: { routerId: "x" } }, "spec.asn", "spec.router_id"),
  refused(
    "GlobalService/SetGlobal",
    { spec: { asn: 1, routerId: "192.0.2.1" }, expectedGeneration: 99 },
    "ABORTED",
    "STALE_GENERATION",
  ),
  refused(
    "GlobalService/SetGlobal",
    { spec: { import: ["none"] }, updateMask: ["import"] },
    "FAILED_PRECONDITION",
    "REF_MISSING",
    "spec.import[0]",
  ),

  bad("InjectionService/AddPath", {}, "path"),
  bad(
    "InjectionService/AddPath",
    {
      path: {
        prefix: "10.0.0.1/8",
        nextHop: "x",
        asPathText: "1",
        asPath: [{ asns: [] }],
        ttl: "-1s",
        aggregator: {},
        communities: ["65000:1", "65000:x"],
      },
    },
    "path.prefix",
    "path.next_hop",
    "path.aggregator.address",
    "path.as_path[0].type",
    "path.as_path[0].asns",
    "path.as_path_text",
    "path.communities[1]",
    "path.ttl",
  ),
  bad("InjectionService/AddPath", { path: { prefix: "10.0.0.0/8", origin: 17 } }, "path.origin"),
  refused(
    "InjectionService/AddPath",
    { path: { prefix: "10.0.0.0/8" }, expectedGeneration: 99 },
    "ABORTED",
    "STALE_GENERATION",
  ),
  bad("InjectionService/DeletePath", {}, "prefix"),
  refused("InjectionService/DeletePath", { prefix: "198.51.100.0/24" }, "NOT_FOUND", "NOT_FOUND"),
  bad("InjectionService/AddFlowSpec", {}, "flow_spec"),
  bad(
    "InjectionService/AddFlowSpec",
    {
      flowSpec: {
        rule: "dst 10.0.0.0/8 protoo udp -> dorp",
        family: "ipv4-unicast",
        asPathText: "x",
        communities: ["65000:x"],
        ttl: "-1s",
      },
    },
    "flow_spec.family",
    "flow_spec.rule",
    "flow_spec.rule",
    "flow_spec.as_path_text",
    "flow_spec.communities[0]",
    "flow_spec.ttl",
  ),
  bad(
    "InjectionService/AddFlowSpec",
    { flowSpec: { components: [{ type: 3, value: "udp" }], actions: ["fly"] } },
    "flow_spec.actions",
  ),
  bad(
    "InjectionService/AddFlowSpec",
    { flowSpec: { rule: "dst 2001:db8::/32 -> drop", family: "ipv4-flowspec" } },
    "flow_spec.rule",
  ),
  bad("InjectionService/DeleteFlowSpec", {}, "rule"),
  refused("InjectionService/DeleteFlowSpec", { rule: "proto udp" }, "NOT_FOUND", "NOT_FOUND"),
  bad("RibService/ListFlowSpecRoutes", { pageSize: 10_001, family: "ipv4-unicast" }, "page_size", "family"),
  bad("RibService/ListFlowSpecRoutes", { table: "FLOW_SPEC_TABLE_REJECTED" }, "neighbor"),
  bad("RibService/ListFlowSpecRoutes", { filter: { prefix: "2001:db8::/32" } }, "filter.prefix"),
  bad("RibService/ExplainBestPath", { prefix: "dst x", family: "ipv4-flowspec" }, "prefix"),
  bad(
    "InjectionService/InjectPaths",
    { add: [{ prefix: "10.0.0.0/8" }, { prefix: "x" }], delete: [{}] },
    "add[1].prefix",
    "delete[0].prefix",
  ),
  bad(
    "InjectionService/ListInjected",
    { family: "ipv4-unicat", pageSize: 10_001, pageToken: "AAAA" },
    "page_size",
    "page_token",
    "family",
  ),

  bad("NeighborService/AddNeighbor", {}, "spec"),
  bad("NeighborService/AddNeighbor", { spec: {} }, "spec.address"),
  bad(
    "NeighborService/AddNeighbor",
    { spec: { address: "192.0.2.300", families: ["ipv5"] } },
    "spec.address",
    "spec.families[0]",
  ),
  bad(
    "NeighborService/AddNeighbor",
    { spec: { address: "192.0.2.99", removePrivateAs: 77, prefixLimits: [{ action: 9 }] } },
    "spec.prefix_limits[0].action",
    "spec.remove_private_as",
  ),
  bad(
    "NeighborService/AddNeighbor",
    { spec: { address: "192.0.2.99", families: ["ipv5"], prefixLimits: [{}] } },
    "spec.families[0]",
    "spec.prefix_limits[0].family",
    "spec.prefix_limits[0].max",
  ),
  refused(
    "NeighborService/AddNeighbor",
    { spec: { address: "192.0.2.1" } },
    "ALREADY_EXISTS",
    "ALREADY_EXISTS",
  ),
  refused(
    "NeighborService/AddNeighbor",
    { spec: { address: "192.0.2.99", peerGroup: "none", export: ["gone"] } },
    "FAILED_PRECONDITION",
    "REF_MISSING",
    "spec.export[0]",
    "spec.peer_group",
  ),
  bad("NeighborService/UpdateNeighbor", { updateMask: ["adress"] }, "update_mask[0]", "spec"),
  bad(
    "NeighborService/UpdateNeighbor",
    { spec: { address: "" }, updateMask: ["address", "hold"] },
    "update_mask[0]",
    "update_mask[1]",
    "spec.address",
  ),
  refused("NeighborService/UpdateNeighbor", { spec: { address: "192.0.2.99" } }, "NOT_FOUND", "NOT_FOUND"),
  refused(
    "NeighborService/UpdateNeighbor",
    { spec: { address: "192.0.2.99" }, updateMask: ["port"] },
    "NOT_FOUND",
    "NOT_FOUND",
  ),
  bad("NeighborService/DeleteNeighbor", { address: "10.0.0.300" }, "address"),
  refused("NeighborService/DeleteNeighbor", { address: "192.0.2.99" }, "NOT_FOUND", "NOT_FOUND"),
  bad("NeighborService/GetNeighbor", {}, "address"),
  refused("NeighborService/GetNeighbor", { address: "2001:DB8::99" }, "NOT_FOUND", "NOT_FOUND"),
  bad(
    "NeighborService/ListNeighbors",
    { pageSize: 4_294_967_295, pageToken: "%" },
    "page_size",
    "page_token",
  ),
  bad("NeighborService/EnableNeighbor", { address: "1.2.3" }, "address"),
  refused("NeighborService/EnableNeighbor", { address: "192.0.2.99" }, "NOT_FOUND", "NOT_FOUND"),
  bad("NeighborService/DisableNeighbor", { message: longText }, "message", "address"),
  refused("NeighborService/DisableNeighbor", { address: "192.0.2.99" }, "NOT_FOUND", "NOT_FOUND"),
  bad("NeighborService/SoftResetIn", { families: ["x", ""] }, "families[0]", "families[1]", "address"),
  refused("NeighborService/SoftResetIn", { address: "192.0.2.99" }, "NOT_FOUND", "NOT_FOUND"),
  bad("NeighborService/SoftResetOut", { address: "::1::", families: ["ipv4"] }, "families[0]", "address"),
  bad("NeighborService/HardReset", { message: longText }, "message", "address"),

  bad("NeighborService/AddDynamicRange", {}, "spec"),
  bad(
    "NeighborService/AddDynamicRange",
    { spec: { name: "r", prefix: "192.0.2.1/24", peerGroup: "transit" } },
    "spec.prefix",
  ),
  bad("NeighborService/SetDynamicRange", { spec: { prefix: "192.0.2.0/24" } }, "spec.name"),
  bad("NeighborService/DeleteDynamicRange", {}, "name"),
  refused("NeighborService/DeleteDynamicRange", unknownKind, "NOT_FOUND", "NOT_FOUND"),
  bad("NeighborService/GetDynamicRange", {}, "name"),
  refused("NeighborService/GetDynamicRange", unknownKind, "NOT_FOUND", "NOT_FOUND"),
  bad("NeighborService/ListDynamicRanges", { pageSize: 10_001 }, "page_size"),

  bad("MrtService/ListMrtDumps", { pageSize: 10_001 }, "page_size"),
  bad("MrtService/GetMrtDump", {}, "name"),
  refused("MrtService/GetMrtDump", unknownKind, "NOT_FOUND", "NOT_FOUND"),
  bad("MrtService/SetMrtDump", { spec: { path: "x" } }, "spec.name"),
  bad("MrtService/SetMrtDump", { spec: { name: "x" } }, "spec.path"),
  bad("MrtService/DeleteMrtDump", {}, "name"),
  refused("MrtService/DeleteMrtDump", unknownKind, "NOT_FOUND", "NOT_FOUND"),
  bad("EgressRoutePolicyService/ListEgressRoutePolicies", { pageSize: 10_001 }, "page_size"),
  bad("EgressRoutePolicyService/GetEgressRoutePolicy", {}, "name"),
  refused("EgressRoutePolicyService/GetEgressRoutePolicy", { name: "none" }, "NOT_FOUND", "NOT_FOUND"),
  bad("EgressRoutePolicyService/GetEgressHistory", {}, "name"),
  refused("EgressRoutePolicyService/GetEgressHistory", { name: "none" }, "NOT_FOUND", "NOT_FOUND"),
  bad("EgressRoutePolicyService/PinEgressRoutePolicy", {}, "name", "candidate"),
  bad("EgressRoutePolicyService/UnpinEgressRoutePolicy", {}, "name"),
  bad("BmpService/ListBmpCollectors", { pageSize: 10_001 }, "page_size"),
  bad("BmpService/GetBmpCollector", {}, "name"),
  refused("BmpService/GetBmpCollector", unknownKind, "NOT_FOUND", "NOT_FOUND"),
  bad("BmpService/SetBmpCollector", { spec: { host: "x" } }, "spec.name"),
  bad("BmpService/SetBmpCollector", { spec: { name: "x" } }, "spec.host"),
  bad("BmpService/DeleteBmpCollector", {}, "name"),
  refused("BmpService/DeleteBmpCollector", unknownKind, "NOT_FOUND", "NOT_FOUND"),

  bad("RpkiService/ListRpkiCaches", { pageSize: 10_001 }, "page_size"),
  bad("RpkiService/GetRpkiCache", {}, "name"),
  refused("RpkiService/GetRpkiCache", unknownKind, "NOT_FOUND", "NOT_FOUND"),
  bad("RpkiService/SetRpkiCache", { spec: { host: "x" } }, "spec.name"),
  bad("RpkiService/SetRpkiCache", { spec: { name: "x" } }, "spec.host"),
  bad("RpkiService/DeleteRpkiCache", {}, "name"),
  refused("RpkiService/DeleteRpkiCache", unknownKind, "NOT_FOUND", "NOT_FOUND"),
  bad("RpkiService/RefreshRpkiCache", {}, "name"),
  bad("RpkiService/ListVrps", { prefix: "192.0.2.1/24" }, "prefix"),
  bad("RpkiService/ListVrps", { pageToken: "made-up" }, "page_token"),
  bad("RpkiService/ListAspas", { pageSize: 10_001 }, "page_size"),
  bad("RpkiService/LookupVrps", {}, "prefix"),
  bad("RpkiService/LookupVrps", { prefix: "192.0.2.0" }, "prefix"),
  bad("RpkiService/VerifyAsPath", { role: "peer" }, "as_path"),
  bad("ControlService/TriggerMrtDump", {}, "name"),
  refused("ControlService/TriggerMrtDump", unknownKind, "NOT_FOUND", "NOT_FOUND"),

  bad("BfdService/ListSessions", { pageSize: 10_001 }, "page_size"),
  bad("BfdService/GetSession", { neighbor: "nobody at all" }, "neighbor"),
  refused("BfdService/GetSession", { neighbor: "203.0.113.99" }, "NOT_FOUND", "NOT_FOUND"),

  bad("KeychainService/ListKeychains", { pageSize: 10_001 }, "page_size"),
  bad("KeychainService/GetKeychain", {}, "name"),
  refused("KeychainService/GetKeychain", unknownKind, "NOT_FOUND", "NOT_FOUND"),
  bad("KeychainService/SetKeychain", { spec: { description: "x" } }, "spec.name"),
  bad(
    "KeychainService/SetKeychain",
    { spec: { name: "k", keys: [{ id: "a", sendId: 1, secret: "x" }] } },
    "spec.keys[0].receive_id",
  ),
  bad("KeychainService/DeleteKeychain", {}, "name"),
  refused("KeychainService/DeleteKeychain", unknownKind, "NOT_FOUND", "NOT_FOUND"),

  bad("ResourceService/ListResources", {}, "kind"),
  bad("ResourceService/ListResources", { kind: "Neighbour" }, "kind"),
  bad("ResourceService/ListResources", { kind: "Global", pageSize: 10_001 }, "page_size"),
  bad("ResourceService/GetResource", { name: "x" }, "kind"),
  refused("ResourceService/GetResource", { kind: "Policy", name: "x" }, "NOT_FOUND", "NOT_FOUND"),
  bad("ResourceService/DescribeResource", { name: "x" }, "kind"),
  refused("ResourceService/DescribeResource", { kind: "Policy", name: "x" }, "NOT_FOUND", "NOT_FOUND"),

  bad("PeerGroupService/ListPeerGroups", { pageSize: 10_001 }, "page_size"),
  bad("PeerGroupService/GetPeerGroup", {}, "name"),
  refused("PeerGroupService/GetPeerGroup", unknownKind, "NOT_FOUND", "NOT_FOUND"),
  bad("PeerGroupService/SetPeerGroup", { spec: { remoteAsn: 1 } }, "spec.name"),
  bad(
    "PeerGroupService/SetPeerGroup",
    { spec: { name: "a b", families: ["x"] } },
    "spec.name",
    "spec.families[0]",
  ),
  refused(
    "PeerGroupService/DeletePeerGroup",
    { name: "transit" },
    "FAILED_PRECONDITION",
    "STILL_REFERENCED",
    "PeerGroup/transit",
    "PeerGroup/transit",
  ),
  bad("PeerGroupService/AttachNeighbor", { address: "10.0.0.300" }, "peer_group", "address"),
  refused(
    "PeerGroupService/AttachNeighbor",
    { address: "192.0.2.3", peerGroup: "none" },
    "FAILED_PRECONDITION",
    "REF_MISSING",
    "peer_group",
  ),
  bad("PeerGroupService/DetachNeighbor", {}, "address"),

  ...(
    ["Policy", "PrefixSet", "AsPathSet", "CommunitySet", "NeighborSet", "AsnSet", "NextHopSet"] as const
  ).flatMap((kind): Row[] => [
    bad(
      `PolicyService/List${kind === "Policy" ? "Policies" : `${kind}s`}`,
      { pageSize: 10_001, pageToken: "zz" },
      "page_size",
      "page_token",
    ),
    bad(`PolicyService/Get${kind}`, {}, "name"),
    refused(`PolicyService/Get${kind}`, unknownKind, "NOT_FOUND", "NOT_FOUND"),
    bad(`PolicyService/Set${kind}`, {}, "spec"),
    bad(`PolicyService/Set${kind}`, { spec: {} }, "spec.name"),
    bad(`PolicyService/Set${kind}`, { spec: { name: "no/slash" } }, "spec.name"),
    bad(`PolicyService/Delete${kind}`, {}, "name"),
    refused(`PolicyService/Delete${kind}`, unknownKind, "NOT_FOUND", "NOT_FOUND"),
  ]),
  bad(
    "PolicyService/SetPolicy",
    { spec: { name: "p", defaultAction: 5, statements: [{ action: 6, match: { origins: [1, 9] } }] } },
    "spec.statements[0].match.origins[1]",
    "spec.statements[0].action",
    "spec.default_action",
  ),
  refused(
    "PolicyService/SetPolicy",
    { spec: { name: "p", statements: [{ match: { prefixSets: ["none"] } }] } },
    "FAILED_PRECONDITION",
    "REF_MISSING",
    "spec.statements[0].match.prefix_sets[0]",
  ),
  refused(
    "PolicyService/DeletePrefixSet",
    { name: "bogons" },
    "FAILED_PRECONDITION",
    "STILL_REFERENCED",
    "PrefixSet/bogons",
  ),

  bad(
    "ResourceService/ListFlowSpecFilterRules",
    { pageSize: 10_001, pageToken: "z" },
    "page_size",
    "page_token",
  ),

  bad(
    "RibService/ListReceivedRoutes",
    { neighbor: "10.0.0.300", family: "y", pageSize: 10_001, pageToken: "z" },
    "page_size",
    "page_token",
    "neighbor",
    "family",
  ),
  refused("RibService/ListReceivedRoutes", { neighbor: "192.0.2.99" }, "NOT_FOUND", "NOT_FOUND"),
  bad(
    "RibService/ListBestRoutes",
    { filter: { longer: true, neighbor: "10.0.0.300", nextHop: "y", asPath: "(" } },
    "filter.neighbor",
    "filter.next_hop",
    "filter.longer",
    "filter.as_path",
  ),
  bad(
    "RibService/ListBestRoutes",
    { family: "ipv6-unicast", filter: { prefix: "10.0.0.0/8" } },
    "filter.prefix",
  ),
  bad("RibService/ListBestRoutes", { filter: { prefix: "10.0.0.1/8" } }, "filter.prefix"),
  bad("RibService/ListAdvertisedRoutes", {}, "neighbor"),
  bad("RibService/ListRejectedRoutes", { neighbor: "10.0.0.300" }, "neighbor"),
  bad("RibService/StreamReceivedRoutes", { family: "x" }, "neighbor", "family"),
  bad("RibService/StreamBestRoutes", { family: "x", filter: { prefix: "y" } }, "family", "filter.prefix"),
  bad("RibService/StreamAdvertisedRoutes", {}, "neighbor"),
  refused("RibService/StreamAdvertisedRoutes", { neighbor: "192.0.2.99" }, "NOT_FOUND", "NOT_FOUND"),
  bad("RibService/LookupRoute", {}, "target"),
  bad("RibService/LookupRoute", { target: "10.0.0.0/33" }, "target"),
  bad("RibService/ExplainBestPath", { prefix: "10.0.0.0" }, "prefix"),
  refused("RibService/ExplainBestPath", { prefix: "203.0.113.0/24" }, "NOT_FOUND", "NOT_FOUND"),
  bad(
    "RibService/ListDampenedRoutes",
    { neighbor: "10.0.0.300", family: "y", pageSize: 10_001 },
    "page_size",
    "neighbor",
    "family",
  ),
  bad("RibService/ClearDampening", { neighbor: "10.0.0.300", prefix: "10.0.0.0" }, "neighbor", "prefix"),
  bad(
    "RibService/ListFibRoutes",
    { prefix: "10.0.0.0", pageSize: 10_001, pageToken: "z" },
    "page_size",
    "page_token",
    "prefix",
  ),
  bad(
    "RibService/ListBlackholeDiscards",
    { family: "ipv5", pageSize: 10_001, pageToken: "z" },
    "page_size",
    "page_token",
    "family",
  ),
  bad(
    "RibService/ListNextHops",
    { address: "10.0.0.300", pageSize: 10_001, pageToken: "z" },
    "page_size",
    "page_token",
    "address",
  ),
  bad(
    "RibService/ListRouteEvents",
    {
      prefix: "10.0.0.1/8",
      family: "ipv5",
      neighbor: "10.0.0.300",
      pageSize: 10_001,
      pageToken: "z",
    },
    "prefix",
    "family",
    "page_size",
    "page_token",
    "neighbor",
  ),
  bad(
    "RibService/ListBestRoutes",
    { at: "2026-11-21T12:00:00Z", allPaths: true, multipath: true },
    "all_paths",
    "multipath",
  ),
  bad(
    "InterfaceService/SimulateKernel",
    {
      links: [{ addresses: ["10.0.0.1", "10.0.0.1/33"] }],
      routes: [{ prefix: "10.0.0.1/8", type: "nat" }, { prefix: "10.0.0.0/8" }],
    },
    "links[0].name",
    "links[0].addresses[0]",
    "links[0].addresses[1]",
    "routes[0].prefix",
    "routes[0].type",
    "routes[1].gateway",
  ),
  bad("RibService/ExplainImport", { neighbor: "10.0.0.300", prefix: "10.0.0.0" }, "neighbor", "prefix"),
  bad("RibService/ExplainAdvertisedRoute", { prefix: "10.0.0.1/8" }, "neighbor", "prefix"),
  bad("PolicyService/TestPolicy", { neighbors: ["10.0.0.300"] }, "neighbors[0]"),
  refused("PolicyService/GetPolicyStats", { name: "nobody" }, "NOT_FOUND", "NOT_FOUND"),
  bad(
    "RibService/WatchRoutes",
    { family: "x", filter: { prefix: "10.0.0.1/8", longer: true } },
    "family",
    "filter.prefix",
  ),

  { rpc: "grpc.health.v1.Health/Check", request: { service: "nobody" }, code: "NOT_FOUND" },
];

for (const row of rows) {
  test(`${row.rpc} refuses ${JSON.stringify(row.request).slice(0, 100)}`, async () => {
    const { owner, transport, logLines } = inProcess({ routes: 20 });
    const before = stateOf(owner);
    const error = await failure(call(transport, row.rpc, row.request));
    assert.equal(grpcName(error.code), row.code, error.message);
    const violations = error.findDetails(BadRequestSchema)[0]?.fieldViolations ?? [];
    assert.deepEqual(
      violations.map((violation) => violation.field),
      row.fields ?? [],
    );
    for (const { description, reason } of violations)
      assert.ok(description !== "" && /^[A-Z_]+$/.test(reason));
    // What a wrong name leads to besides (it is not found either) is no contract.
    const unmet = (error.findDetails(PreconditionFailureSchema)[0]?.violations ?? []).filter(
      ({ type }) => type !== "NOT_FOUND" || row.subjects,
    );
    assert.deepEqual(
      unmet.map((violation) => violation.subject),
      row.subjects ?? [],
    );
    if (row.rpc.startsWith("cairn.")) {
      const [info] = error.findDetails(ErrorInfoSchema);
      assert.equal(info.domain, "cairn");
      if (row.reason) assert.equal(info.reason, row.reason);
    }
    assert.deepEqual(stateOf(owner), before);
    assert.deepEqual(logLines, []);
  });
}

test("grpc.reflection.v1.ServerReflection/ServerReflectionInfo answers what it does not know with NOT_FOUND", async () => {
  const { transport } = inProcess();
  const name = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
  const asked: JsonObject[] = [
    { fileByFilename: "none.proto" },
    { fileContainingSymbol: "cairn.v1.Nothing" },
    { fileContainingSymbol: "cairn.v1.RibService.Nothing" },
    { fileContainingExtension: { containingType: "none", extensionNumber: 1 } },
    { allExtensionNumbersOfType: "none" },
  ];
  const answers = (await call(transport, name, ...asked)) as { errorResponse: { errorCode: number } }[];
  assert.deepEqual(
    answers.map((answer) => answer.errorResponse.errorCode),
    asked.map(() => Code.NotFound),
  );
});

for (const rpc of without) {
  test(`${rpc} takes no input and answers`, async () => {
    const { transport } = inProcess({ routes: 20 });
    assert.equal((await call(transport, rpc, {})).length, 1);
  });
}

test("every RPC that reflection lists stands in this table", async () => {
  const { transport } = inProcess({ routes: 0 });
  const reflection = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
  const [answer] = (await call(transport, reflection, { listServices: "" })) as {
    listServicesResponse: { service: { name: string }[] };
  }[];
  const services = new Set(answer.listServicesResponse.service.map(({ name }) => name));
  const tested = new Set([...rows.map(({ rpc }) => rpc), ...without, ...endless, reflection]);
  const untested = [...servedMethods().keys()].filter(
    (rpc) => services.has(rpc.split("/")[0]) && !tested.has(rpc) && !elsewhere.test(rpc),
  );
  assert.deepEqual(untested, []);
});

test("a busy owner, a failing store and a limit are told apart", async () => {
  const { owner, transport } = inProcess({ routes: 0 });
  const add = (): Promise<unknown> =>
    call(transport, "cairn.v1.NeighborService/AddNeighbor", { spec: { address: "192.0.2.99" } });
  owner.busy = true;
  assert.equal((await failure(add())).code, Code.Unavailable);
  owner.busy = false;
  owner.refuseWith = [{ code: "STORE_FAILED", path: "", message: "the disk is full" }];
  assert.equal((await failure(add())).code, Code.Unavailable);
  owner.refuseWith = [{ code: "LIMIT", path: "", message: "16384 neighbors are the limit" }];
  assert.equal((await failure(add())).code, Code.ResourceExhausted);
});

test("a bug is logged with its stack and hidden from the client", async () => {
  const { owner, transport, logLines } = inProcess({ routes: 0 });
  owner.view.ribSummary = () => {
    throw new TypeError("secret detail");
  };
  const error = await failure(call(transport, "cairn.v1.RibService/GetRibSummary", {}));
  assert.equal(error.code, Code.Internal);
  assert.doesNotMatch(error.message, /secret/);
  assert.match(String(logLines[0].fields.error), /secret detail.*bad-input\.test/s);
});

function stateOf(owner: FakeOwner): unknown {
  const kinds = [
    "Global",
    "Neighbor",
    "PeerGroup",
    "DynamicRange",
    "Keychain",
    "MrtDump",
    "RpkiCache",
    "BmpCollector",
    "Policy",
    "PrefixSet",
    "AsPathSet",
    "CommunitySet",
    "NeighborSet",
    "AsnSet",
    "NextHopSet",
  ];
  const objects = kinds.map((kind) => [...owner.view.objects(kind)]);
  return {
    generation: owner.view.generation,
    objects,
    injected: owner.tables.injections.size,
    revision: owner.tables.revision,
  };
}
