/** What the fake owner lets its readers see. */
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { parseIp, parsePrefix } from "../../base/ip.ts";
import type { Result } from "../../base/problem.ts";
import {
  type BfdDiscards,
  BfdDiscardsSchema,
  type BfdSession,
  BfdSessionSchema,
  BfdState,
} from "../../gen/cairn/v1/bfd_service_pb.ts";
import { PlanResponseSchema } from "../../gen/cairn/v1/config_service_pb.ts";
import { type EgressRoutePolicy, EgressRoutePolicySchema } from "../../gen/cairn/v1/egress_service_pb.ts";
import type { Event, EventFilter } from "../../gen/cairn/v1/event_service_pb.ts";
import {
  type GetFirewallResponse,
  GetFirewallResponseSchema,
} from "../../gen/cairn/v1/firewall_service_pb.ts";
import type { Injected } from "../../gen/cairn/v1/injection_service_pb.ts";
import type { Link } from "../../gen/cairn/v1/interface_service_pb.ts";
import {
  type Neighbor,
  NeighborSchema,
  type NeighborSpec,
  SessionState,
} from "../../gen/cairn/v1/neighbor_service_pb.ts";
import type { ResourceStatus } from "../../gen/cairn/v1/resource_types_pb.ts";
import {
  ExplainAdvertisedRouteResponseSchema,
  type ExplainBestPathResponse,
  ExplainBestPathResponseSchema,
  ExplainImportResponseSchema,
  type GetRibSummaryResponse,
  GetRibSummaryResponseSchema,
  type LookupRouteResponse,
  LookupRouteResponseSchema,
} from "../../gen/cairn/v1/rib_service_pb.ts";
import {
  GetRpkiSummaryResponseSchema,
  LookupVrpsResponseSchema,
  VerifyAsPathResponseSchema,
} from "../../gen/cairn/v1/rpki_service_pb.ts";
import type { RouteFilter } from "../../gen/cairn/v1/types_pb.ts";
import type {
  CoreView,
  DampenedPage,
  Health,
  Mutation,
  ObjectView,
  PendingState,
  PlanWork,
  PreparationWork,
  ResourceCounts,
  RouteTable,
  RouteWalk,
  RouteWatch,
} from "../../state/view.ts";
import type { WatchTopic } from "../../state/watchers.ts";
import { type Family, families } from "../../wire/family.ts";
import type { FakeEvents } from "./fake-events.ts";
import type { FakeObjects } from "./fake-objects.ts";
import type { FakeTables } from "./fake-tables.ts";

export class FakeView implements CoreView {
  readonly #objects: FakeObjects;
  readonly #tables: FakeTables;
  readonly #events: FakeEvents;

  constructor(objects: FakeObjects, tables: FakeTables, events: FakeEvents) {
    this.#objects = objects;
    this.#tables = tables;
    this.#events = events;
  }

  get generation(): number {
    return this.#objects.generation;
  }

  object(kind: string, name: string): ObjectView | undefined {
    return this.#objects.get(kind, name);
  }

  objects(kind: string): Iterable<ObjectView> {
    return this.#objects.list(kind);
  }

  resourceStatus(): ResourceStatus | undefined {
    return undefined;
  }

  resourceCounts(): ResourceCounts {
    return { phases: {}, operations: 0, failures: 0, drifts: 0 };
  }

  references(): { uses: string[]; usedBy: string[] } {
    return { uses: [], usedBy: [] };
  }

  bfdSession(neighbor: string): BfdSession | undefined {
    const bfd = (this.#objects.get("Neighbor", neighbor)?.spec as NeighborSpec | undefined)?.bfd;
    if (!bfd) return undefined;
    const { multiplier = 3, minTx = durationFromMs(300), minRx = durationFromMs(300) } = bfd;
    const session = { neighbor, peerAddress: neighbor, state: BfdState.UP, minTx, minRx, multiplier };
    return create(BfdSessionSchema, session);
  }

  bfdNeighbors(): readonly string[] {
    const names = [...this.#objects.list("Neighbor")].map(({ metadata }) => metadata.name);
    return names.filter((name) => this.bfdSession(name) !== undefined);
  }

  bfdDiscards(): readonly BfdDiscards[] {
    return [create(BfdDiscardsSchema, { reason: "ttl", packets: 3n, lastSource: "203.0.113.1" })];
  }

  neighbor(address: string): Neighbor | undefined {
    const object = this.#objects.get("Neighbor", address);
    if (!object) return undefined;
    const spec = object.spec as NeighborSpec;
    const down = spec.shutdown === true;
    return create(NeighborSchema, {
      metadata: object.metadata,
      spec,
      effective: spec,
      state: {
        sessionState: down ? SessionState.IDLE : SessionState.ESTABLISHED,
        uptime: durationFromMs(down ? 0 : 93_784_000),
        families: [
          { family: "ipv4-unicast", received: 1_700n, accepted: 1_666n, rejected: 34n, advertised: 3_300n },
        ],
        capabilities: [{ code: 65, name: "four-octet-as", local: true, remote: true, negotiated: true }],
        remoteAddress: address,
        remotePort: 179,
        remoteAsn: spec.remoteAsn,
        localAsn: 65_000,
        sessionType: "external",
        received: { opens: 1n, updates: 420n, keepalives: 3_120n, bytes: 181_000n },
        sent: { opens: 1n, updates: 300n, keepalives: 3_121n, bytes: 120_000n },
        establishedCount: down ? 0 : 1,
        status: down ? "administratively down" : "established",
        adminDown: down,
      },
    });
  }

  neighborNames(): readonly string[] {
    return this.#objects.list("Neighbor").map((object) => object.metadata.name);
  }

  readonly rpki: CoreView["rpki"] = {
    cache: () => undefined,
    summary: () => create(GetRpkiSummaryResponseSchema),
    vrps: () => ({ items: [], position: "" }),
    aspas: () => ({ items: [], position: "", total: 0 }),
    lookup: (prefix) => create(LookupVrpsResponseSchema, { prefix, text: `no VRP covers ${prefix}` }),
    verify: () => ({ ok: true, value: create(VerifyAsPathResponseSchema, { state: "unknown" }) }),
  };

  mrtDump(): undefined {
    return undefined;
  }

  bmpCollector(): undefined {
    return undefined;
  }

  egressPolicy(name: string): EgressRoutePolicy | undefined {
    return name === "internet" ? create(EgressRoutePolicySchema, { selected: "fiber" }) : undefined;
  }

  egressHistory(): [] {
    return [];
  }

  dynamicRange(): undefined {
    return undefined;
  }

  refusedSegments(): undefined {
    return undefined;
  }

  walk(
    table: RouteTable,
    family: Family,
    filter: RouteFilter | undefined,
    position: string,
  ): Result<RouteWalk> {
    if ("neighbor" in table && !this.#objects.get("Neighbor", table.neighbor)) {
      return { ok: false, problems: [this.#objects.notFound("Neighbor", table.neighbor)] };
    }
    return this.#tables.walk(table, family, filter, position);
  }

  lookup(target: string): Result<LookupRouteResponse> {
    const address = target.split("/")[0];
    if (!parseIp(address)) return invalid("target", `"${target}" is neither an address nor a prefix`);
    const [a, b, c] = address.split(".");
    const route = this.#tables.get(target) ?? this.#tables.get(`${a}.${b}.${c}.0/24`);
    return {
      ok: true,
      value: create(LookupRouteResponseSchema, route ? { prefix: route.prefix, routes: [route] } : {}),
    };
  }

  flowWalk(): ReturnType<CoreView["flowWalk"]> {
    return { ok: true, value: { next: () => true, position: () => "", total: () => 0 } };
  }

  countBest(): ReturnType<CoreView["countBest"]> {
    return { next: () => true, counts: () => new Map() };
  }

  lookupAt(target: string): ReturnType<CoreView["lookupAt"]> {
    return { ok: true, value: { next: () => this.lookup(target) } };
  }

  routeEvents(): ReturnType<CoreView["routeEvents"]> {
    return { ok: true, value: { next: () => true, position: () => "", bytes: 0 } };
  }

  historyState(): ReturnType<CoreView["historyState"]> {
    return { limit: 0, count: 0, total: 0, bytes: 0, reachesBackToMs: undefined };
  }

  explainImport(neighbor: string, prefix: string): ReturnType<CoreView["explainImport"]> {
    return { ok: true, value: create(ExplainImportResponseSchema, { neighbor, prefix }) };
  }

  explainAdvertised(neighbor: string, prefix: string): ReturnType<CoreView["explainAdvertised"]> {
    return { ok: true, value: create(ExplainAdvertisedRouteResponseSchema, { neighbor, prefix }) };
  }

  policyStats(name: string): ReturnType<CoreView["policyStats"]> {
    const message = `there is no Policy ${name}`;
    return name === ""
      ? { ok: true, value: [] }
      : { ok: false, problems: [{ code: "NOT_FOUND", path: "name", message }] };
  }

  testPolicy(): ReturnType<CoreView["testPolicy"]> {
    return { ok: true, value: { next: () => true } };
  }

  explainBestPath(prefix: string): Result<ExplainBestPathResponse> {
    const parsed = parsePrefix(prefix);
    if (typeof parsed === "string") return invalid("prefix", parsed);
    const route = this.#tables.get(prefix);
    if (!route) {
      const message = `there is no path to ${prefix}`;
      return { ok: false, problems: [{ code: "NOT_FOUND", path: "prefix", message }] };
    }
    const summary = `1 candidate; the path from ${route.neighbor} wins as the only one`;
    const candidates = [{ route, rank: 1, text: "the best path" }];
    return { ok: true, value: create(ExplainBestPathResponseSchema, { prefix, candidates, summary }) };
  }

  watchRoutes(
    family: Family,
    filter: RouteFilter | undefined,
    resumeFrom: number,
  ): Result<{ watch: RouteWatch; compacted: boolean }> {
    return { ok: true, value: this.#tables.watch(family, filter, resumeFrom) };
  }

  dampened(): Result<DampenedPage> {
    return { ok: true, value: { routes: [], position: "", total: 0, overflow: 0 } };
  }

  nextHops(): undefined {
    return undefined;
  }

  fibRoutes(): { routes: never[]; position: string; total: number } {
    return { routes: [], position: "", total: 0 };
  }

  filterRules(): { rules: never[]; position: string } {
    return { rules: [], position: "" };
  }

  loggedPackets(): { told: number; dropped: number } {
    return { told: 0, dropped: 0 };
  }

  firewall(): GetFirewallResponse {
    return create(GetFirewallResponseSchema, {});
  }

  translationRules(): [] {
    return [];
  }

  fibCounts(): undefined {
    return undefined;
  }

  healthChecks(): [] {
    return [];
  }

  redistributions(): [] {
    return [];
  }

  blackholeDiscards(): { discards: never[]; position: string } {
    return { discards: [], position: "" };
  }

  nextHopCounts(): undefined {
    return undefined;
  }

  /** Links of the host; undefined where none are looked at. */
  linkList: Link[] | undefined;
  readonly #linkListeners = new Set<() => void>();

  links(): Link[] | undefined {
    return this.linkList;
  }

  setLinks(links: Link[]): void {
    this.linkList = links;
    for (const listener of [...this.#linkListeners]) listener();
  }

  ribSummary(): GetRibSummaryResponse {
    return create(GetRibSummaryResponseSchema, {
      families: families.map((family) => {
        const count = BigInt(this.#tables.count(family.name));
        const revision = BigInt(this.#tables.revision);
        return { family: family.name, prefixes: count, paths: count, bestPaths: count, revision };
      }),
      attributeSets: 97n,
      memoryBytes: 1_000_000n,
      bestPathRuns: BigInt(this.#tables.revision),
      updateGroups: 1,
    });
  }

  injected(
    owner: string,
    family: Family | undefined,
    filter: RouteFilter | undefined,
    position: string,
    max: number,
  ): Result<{ paths: Injected[]; position: string; total: number }> {
    const all = [...this.#tables.injections]
      .filter(([, { path }]) => owner === "" || path?.owner === owner)
      .filter(([, { path }]) => !filter?.prefix || path?.prefix === filter.prefix)
      .filter(([, { path }]) => !family || path?.prefix.includes(":") === (family.afi === 2))
      .sort(([a], [b]) => (a < b ? -1 : 1));
    const rest = all.filter(([key]) => key > position).slice(0, max);
    const last = rest.at(-1)?.[0] ?? "";
    const more = last !== "" && last !== all.at(-1)?.[0];
    const paths = rest.map(([, injected]) => injected);
    return { ok: true, value: { paths, position: more ? last : "", total: all.length } };
  }

  events(
    afterId: number,
    filter: EventFilter | undefined,
    max: number,
  ): { events: Event[]; scannedTo: number } {
    return this.#events.read(afterId, filter, max);
  }

  eventRange(): { first: number; last: number } {
    return this.#events.range();
  }

  subscribe(topic: WatchTopic, listener: () => void): () => void {
    if (topic === "links") {
      this.#linkListeners.add(listener);
      return () => this.#linkListeners.delete(listener);
    }
    return topic === "events" ? this.#events.subscribe(listener) : this.#objects.subscribe(listener);
  }

  neighborRevision(): number {
    return this.#objects.neighborRevision();
  }

  changedNeighbors(revision: number): { revision: number; names: readonly string[] } | undefined {
    return this.#objects.changedNeighbors(revision);
  }

  get configHash(): string {
    return this.generation.toString(16).padStart(64, "0");
  }

  pending(): PendingState | undefined {
    return undefined;
  }

  preparation(): PreparationWork {
    return { step: () => true };
  }

  plan(mutation: Mutation): Result<PlanWork> {
    const { generation } = this;
    const outcome = this.#objects.mutate({ ...mutation, dryRun: true }, undefined);
    if (!outcome.ok) return outcome;
    const result = () =>
      create(PlanResponseSchema, { generation: BigInt(generation), changes: [...outcome.changes] });
    return { ok: true, value: { generation, isCurrent: true, step: () => true, result } };
  }

  changeCounts(): { commits: number; refusals: ReadonlyMap<string, number> } {
    return { commits: this.generation, refusals: new Map() };
  }

  health(): Health[] {
    return [
      { name: "core", healthy: true, detail: "" },
      { name: "store", healthy: true, detail: "" },
    ];
  }
}

function invalid(path: string, message: string): Result<never> {
  return { ok: false, problems: [{ code: "INVALID", path, message }] };
}
