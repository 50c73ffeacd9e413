/** The core as the edges read it (view.ts). Nothing here changes what a turn would do. */
import { create } from "@bufbuild/protobuf";
import { assert } from "../base/assert.ts";
import { type Prefix, parseIp, parsePrefix } from "../base/ip.ts";
import { limits } from "../base/limits.ts";
import { canonicalPeer } from "../base/peer-address.ts";
import type { Problem, Result } from "../base/problem.ts";
import type { BfdDiscards, BfdSession } from "../gen/cairn/v1/bfd_service_pb.ts";
import type { BmpCollectorState } from "../gen/cairn/v1/bmp_service_pb.ts";
import type { EgressRoutePolicy, EgressTransition } from "../gen/cairn/v1/egress_service_pb.ts";
import type { Event, EventFilter } from "../gen/cairn/v1/event_service_pb.ts";
import type { GetFirewallResponse } from "../gen/cairn/v1/firewall_service_pb.ts";
import type { Injected } from "../gen/cairn/v1/injection_service_pb.ts";
import type { Link } from "../gen/cairn/v1/interface_service_pb.ts";
import type { MrtDumpState } from "../gen/cairn/v1/mrt_service_pb.ts";
import type { DynamicRangeState, Neighbor } from "../gen/cairn/v1/neighbor_service_pb.ts";
import type { PolicyStats, TestPolicyRequest } from "../gen/cairn/v1/policy_service_pb.ts";
import type { FlowSpecFilterRule } from "../gen/cairn/v1/resource_service_pb.ts";
import type { ResourceStatus } from "../gen/cairn/v1/resource_types_pb.ts";
import {
  type BlackholeDiscard,
  type ExplainAdvertisedRouteResponse,
  type ExplainBestPathResponse,
  type ExplainImportResponse,
  type GetRibSummaryResponse,
  GetRibSummaryResponseSchema,
  type LookupRouteResponse,
  LookupRouteResponseSchema,
  type NextHop,
} from "../gen/cairn/v1/rib_service_pb.ts";
import type { RouteFilter } from "../gen/cairn/v1/types_pb.ts";
import { translationRules } from "../resources/nat44-rule/translations.ts";
import type { RouteTable } from "../rib/route-table.ts";
import { type Family, families, unicastFamily } from "../wire/family.ts";
import { bfdDiscards, bfdSession } from "./bfd-view.ts";
import type { PendingState } from "./confirmation.ts";
import type { Core } from "./core.ts";
import { dampenedPage } from "./damping-view.ts";
import { egressHistory, egressPolicy } from "./egress/egress-view.ts";
import { explainBestPath } from "./explain.ts";
import { explainAdvertised } from "./explain-export.ts";
import { explainImport } from "./explain-import.ts";
import { discardPage, type FibPage, type FibQuery, fibPage } from "./fib/fib-view.ts";
import { firewallMessage } from "./firewall-view.ts";
import { type FilterQuery, filterRulePage } from "./flow-filters/filter-view.ts";
import { isFlowPosition, OrderedFlowWalk } from "./flowspec/flow-walk.ts";
import type { HealthSummary } from "./health/health-checks.ts";
import type { RefusedSegments } from "./inputs.ts";
import { linkMessages, nextHopMessage } from "./kernel-messages.ts";
import type { Mutation } from "./mutation.ts";
import type { NeighborRecord } from "./neighbor-record.ts";
import { neighborMessage } from "./neighbor-view.ts";
import { PastMatch, PastWalk } from "./past-routes.ts";
import { PlanJob, type PlanOptions } from "./plan.ts";
import { policyStats, startTrial } from "./policy-trial.ts";
import { Preparation } from "./preparation.ts";
import type { RedistributeSummary } from "./redistribute/redistributions.ts";
import { routeMessage } from "./route-batch.ts";
import { pathSelector, prepareFilter } from "./route-filter.ts";
import { beyondHistory, type RouteEventQuery, RouteEventWalk } from "./route-history.ts";
import { prefixText } from "./route-message.ts";
import {
  AdvertisedWalk,
  BestCount,
  BestWalk,
  ReceivedWalk,
  RowWalk,
  type WalkScope,
  WithheldWalk,
} from "./route-walk.ts";
import { resumePoint, TableWatch } from "./route-watch.ts";
import { CoreRpkiView } from "./rpki-view.ts";
import type { TranslationRule } from "./translation-message.ts";
import type {
  BestCounter,
  DampenedPage,
  DampenedQuery,
  FibCounts,
  FlowWalk,
  Health,
  HistoryState,
  NextHopCounts,
  ObjectView,
  PastLookup,
  PolicyTrial,
  PreparationWork,
  ResourceCounts,
  RouteEvents,
  RouteWalk,
  RouteWatch,
  RouteTable as Table,
  CoreView as View,
} from "./view.ts";
import type { WatchTopic } from "./watchers.ts";

export class CoreView implements View {
  readonly rpki: CoreRpkiView;
  private readonly core: Core;
  /** The API's revisions start from here, so that those of an earlier run are told apart. */
  private readonly revisionBase: number;

  constructor(core: Core) {
    this.core = core;
    this.rpki = new CoreRpkiView(core);
    this.revisionBase = Math.floor(core.wallMs) * 1000;
  }

  get generation(): number {
    return this.core.objects.generation;
  }

  object(kind: string, name: string): ObjectView | undefined {
    return this.core.objects.get(kind, name);
  }

  objects(kind: string): Iterable<ObjectView> {
    return this.core.objects.list(kind);
  }

  resourceStatus(kind: string, name: string): ResourceStatus | undefined {
    return this.core.resources.status(kind, name);
  }

  resourceCounts(): ResourceCounts {
    return this.core.resources.counts();
  }

  references(kind: string, name: string): { uses: string[]; usedBy: string[] } {
    return this.core.objects.references(kind, name);
  }

  neighbor(address: string): Neighbor | undefined {
    return neighborMessage(this.core, address);
  }

  neighborNames(): readonly string[] {
    const declared = this.core.objects.entries("Neighbor").map((entry) => entry.name);
    return [...declared, ...this.core.dynamic.dynamic.addresses()];
  }

  dynamicRange(name: string): DynamicRangeState | undefined {
    return this.core.dynamic.rangeState(name);
  }

  bfdSession(neighbor: string): BfdSession | undefined {
    return bfdSession(this.core, neighbor);
  }

  bfdNeighbors(): readonly string[] {
    return [...this.core.bfd.names()];
  }

  bfdDiscards(): readonly BfdDiscards[] {
    return bfdDiscards(this.core);
  }

  mrtDump(name: string): MrtDumpState | undefined {
    return this.core.mrt.state(name);
  }

  bmpCollector(name: string): BmpCollectorState | undefined {
    return this.core.bmp.state(name);
  }

  egressPolicy(name: string): EgressRoutePolicy | undefined {
    return egressPolicy(this.core, name);
  }

  egressHistory(name: string): EgressTransition[] {
    return egressHistory(this.core, name);
  }

  refusedSegments(): RefusedSegments | undefined {
    return this.core.refusals.counts;
  }

  dampened(query: DampenedQuery, position: string, max: number): Result<DampenedPage> {
    return dampenedPage(this.core, query, position, max);
  }

  walk(table: Table, family: Family, filter: RouteFilter | undefined, position: string): Result<RouteWalk> {
    const isPosition = position === "" || /^[1-9][0-9]{0,9}$/.test(position);
    return this.startWalk(table, family, filter, position, isPosition);
  }

  flowWalk(
    table: Table,
    family: Family,
    filter: RouteFilter | undefined,
    position: string,
  ): Result<FlowWalk> {
    const isPosition = position === "" || isFlowPosition(position);
    const walk = this.startWalk(table, family, filter, "", isPosition);
    if (!walk.ok) return walk;
    assert(walk.value instanceof RowWalk);
    const { rules } = this.core.routing.table(family);
    assert(rules, "a family of rules");
    return {
      ok: true,
      value: new OrderedFlowWalk(rules, walk.value, position, () => Math.floor(this.core.wallMs / 1000)),
    };
  }

  private startWalk(
    table: Table,
    family: Family,
    filter: RouteFilter | undefined,
    position: string,
    isPosition: boolean,
  ): Result<RouteWalk> {
    const { routing } = this.core;
    const prepared = prepareFilter(routing, family, filter);
    const problems: Problem[] = prepared.ok ? [] : [...prepared.problems];
    let record: NeighborRecord | undefined;
    if (table.table === "past") problems.push(...this.pastProblems(table.atMs, filter));
    else if (table.table !== "best") {
      record = this.core.neighbors.named(canonicalPeer(table.neighbor));
      if (!record) {
        problems.push({
          code: "NOT_FOUND",
          path: "neighbor",
          message: `there is no neighbor ${table.neighbor}`,
        });
      }
    }
    if (!isPosition) {
      problems.push({ code: "INVALID", path: "page_token", message: "not a token of this list" });
    }
    if (problems.length > 0 || !prepared.ok) return { ok: false, problems };
    const scope: WalkScope = {
      routing,
      table: routing.table(family),
      filter: prepared.value,
      nowS: () => Math.floor(this.core.wallMs / 1000),
    };
    return { ok: true, value: this.makeWalk(table, scope, position, record) };
  }

  private makeWalk(
    table: Table,
    scope: WalkScope,
    position: string,
    record: NeighborRecord | undefined,
  ): RouteWalk {
    if (table.table === "best") return new BestWalk(scope, position, table.paths);
    if (table.table === "past") return new PastWalk(scope, position, table.atMs);
    const { id } = record!;
    const group = record!.groups[scope.table.family.index];
    if (table.table === "advertised") return new AdvertisedWalk(scope, position, id, group);
    if (table.table === "withheld") return new WithheldWalk(scope, position, id, group);
    const kind = table.table === "rejected" ? "rejected" : table.prePolicy ? "received" : "accepted";
    return new ReceivedWalk(scope, position, id, kind, (path) => this.reasonOf(scope.table, path));
  }

  private pastProblems(atMs: number, filter?: RouteFilter): Problem[] {
    const { routing, wallMs } = this.core;
    const problem = beyondHistory(routing.history, atMs, wallMs, "at");
    const problems = problem ? [problem] : [];
    for (const name of ["rpki_state", "aspa_state"] as const) {
      if (!filter?.[name === "rpki_state" ? "rpkiState" : "aspaState"]) continue;
      const message = "what validation said at an earlier time is not remembered";
      problems.push({ code: "INVALID", path: `filter.${name}`, message, fix: "leave it out" });
    }
    return problems;
  }

  countBest(): BestCounter {
    return new BestCount(this.core.routing);
  }

  /** Why a path may not be chosen; a policy says which statement it was. */
  private reasonOf(table: RouteTable, path: number): string {
    return this.core.importer.refusal(this.core.neighbors.get(table.paths.neighbor[path]), table, path);
  }

  lookup(target: string): Result<LookupRouteResponse> {
    const found = parseTarget(target);
    if (!found.ok) return found;
    const parsed = found.value;
    const { routing } = this.core;
    const table = routing.table(unicastFamily(parsed.bytes.length));
    const row = table.prefixes.longestMatch(parsed.bytes, parsed.length, (id) => table.bestOf(id) !== 0);
    if (row === 0) return { ok: true, value: create(LookupRouteResponseSchema) };
    const nowS = Math.floor(this.core.wallMs / 1000);
    const ranked = routing.best.rank(table.paths, table.head[row]);
    return {
      ok: true,
      value: create(LookupRouteResponseSchema, {
        prefix: prefixText(table.prefixes, row),
        routes: ranked
          .slice(0, limits.pathsToldMax)
          .map((path) => routeMessage(routing, table, path, table.paths.attr[path], nowS)),
        omitted: Math.max(0, ranked.length - limits.pathsToldMax),
      }),
    };
  }

  lookupAt(target: string, atMs: number): Result<PastLookup> {
    const parsed = parseTarget(target);
    const problems = [...(parsed.ok ? [] : parsed.problems), ...this.pastProblems(atMs)];
    if (!parsed.ok || problems.length > 0) return { ok: false, problems };
    const { routing } = this.core;
    const table = routing.table(unicastFamily(parsed.value.bytes.length));
    const value = new PastMatch(routing, table, parsed.value, atMs, () => this.core.wallMs);
    return { ok: true, value };
  }

  routeEvents(query: RouteEventQuery, position: string): Result<RouteEvents> {
    return RouteEventWalk.start(this.core.routing, query, position);
  }

  historyState(): HistoryState {
    const { history } = this.core.routing;
    const { limit, count, next, reachesBackToMs } = history;
    return { limit, count, total: next - 1, bytes: history.memoryBytes(), reachesBackToMs };
  }

  explainBestPath(prefix: string, family = ""): Result<ExplainBestPathResponse> {
    const nowS = Math.floor(this.core.wallMs / 1000);
    const { routing, redistributions } = this.core;
    const told = explainBestPath(
      routing,
      prefix,
      nowS,
      {
        reason: (table, path) => this.reasonOf(table, path),
        validation: (table, path) => (table.rules ? undefined : this.rpki.explain(table, path)),
        source: (table, path) => redistributions.sourceOf(table, path),
      },
      family,
    );
    if (told.ok) return told;
    // The kernel may have it, and policy keep it out.
    const more = redistributions.explain(prefix).map((sentence) => `; ${sentence}`);
    const problems = told.problems.map((each) => ({ ...each, message: each.message + more.join("") }));
    return { ok: false, problems };
  }

  explainImport(
    neighbor: string,
    prefix: string,
    pathId: number,
    family = "",
  ): Result<ExplainImportResponse> {
    return explainImport(this.core, neighbor, prefix, pathId, family);
  }

  explainAdvertised(neighbor: string, prefix: string, family = ""): Result<ExplainAdvertisedRouteResponse> {
    return explainAdvertised(this.core, neighbor, prefix, family);
  }

  policyStats(name: string): Result<PolicyStats[]> {
    return policyStats(this.core.policies.library, name);
  }

  testPolicy(request: TestPolicyRequest): Result<PolicyTrial> {
    return startTrial(this.core, request);
  }

  watchRoutes(
    family: Family,
    filter: RouteFilter | undefined,
    resumeFrom: number,
  ): Result<{ watch: RouteWatch; compacted: boolean }> {
    const { routing, watchers } = this.core;
    const prepared = prepareFilter(routing, family, filter);
    if (!prepared.ok) return prepared;
    const table = routing.table(family);
    const resume = resumeFrom === 0 ? undefined : resumePoint(table, this.revisionBase, resumeFrom);
    const nowS = (): number => Math.floor(this.core.wallMs / 1000);
    const watch = new TableWatch(routing, table, prepared.value, watchers, this.revisionBase, resume, nowS);
    return { ok: true, value: { watch, compacted: resumeFrom !== 0 && !resume } };
  }

  ribSummary(): GetRibSummaryResponse {
    const { routing, groups, neighbors } = this.core;
    // Tables of prefixes are always told of; others where they hold something, or a neighbor is to speak them.
    const spoken = new Set([...neighbors.all()].flatMap(({ config }) => config.families));
    const tables = routing.tables.filter(
      ({ family, paths }) => family.nlri === "prefix" || paths.count > 0 || spoken.has(family),
    );
    return create(GetRibSummaryResponseSchema, {
      families: tables.map((table) => ({
        family: table.family.name,
        prefixes: BigInt(table.prefixes.count - table.vacantCount),
        paths: BigInt(table.paths.count),
        bestPaths: BigInt(table.bestCount),
        multipathPrefixes: BigInt(table.multipath?.prefixCount ?? 0),
        multipathPaths: BigInt(table.multipath?.pathCount ?? 0),
        rejectedPaths: BigInt(table.paths.count - table.accepted.reduce((sum, n) => sum + n, 0)),
        revision: BigInt(this.revisionBase + table.changes.changes),
      })),
      attributeSets: BigInt(routing.attributes.count),
      memoryBytes: BigInt(routing.memoryBytes() + groups.memoryBytes()),
      bestPathRuns: BigInt(routing.tables.reduce((sum, table) => sum + table.bestPathRuns, 0)),
      updateGroups: groups.size,
    });
  }

  injected(
    owner: string,
    family: Family | undefined,
    filter: RouteFilter | undefined,
    position: string,
    max: number,
  ): Result<{ paths: Injected[]; position: string; total: number }> {
    const { injection, neighbors, routing, wallMs } = this.core;
    // A filter that names a prefix is one of that prefix's family.
    const named = filter?.prefix
      ? families.find(({ afi }) => (afi === 2) === filter.prefix.includes(":"))
      : undefined;
    const only = family ?? named;
    const selectors = new Map<Family, (path: number) => boolean>();
    for (const each of only ? [only] : families) {
      const selector = pathSelector(routing, each, filter);
      if (!selector.ok) return selector;
      selectors.set(each, selector.value);
    }
    const selects = (table: RouteTable, path: number): boolean =>
      selectors.get(table.family)?.(path) ?? false;
    const advertisedTo = (of: Family, row: number): string[] => neighbors.advertisedTo(of, row);
    const value = injection.list(owner, only, selects, position, max, wallMs, advertisedTo);
    return { ok: true, value };
  }

  events(
    afterId: number,
    filter: EventFilter | undefined,
    max: number,
  ): { events: Event[]; scannedTo: number } {
    return this.core.events.read(afterId, filter, max);
  }

  eventRange(): { readonly first: number; readonly last: number } {
    return this.core.events.range();
  }

  subscribe(topic: WatchTopic, listener: () => void): () => void {
    return this.core.watchers.subscribe(topic, listener);
  }

  neighborRevision(): number {
    return this.revisionBase + this.core.watchers.neighborVersion;
  }

  changedNeighbors(
    revision: number,
  ): { readonly revision: number; readonly names: readonly string[] } | undefined {
    const names = this.core.watchers.neighborsSince(revision - this.revisionBase);
    return names && { revision: this.neighborRevision(), names };
  }

  get configHash(): string {
    return this.core.objects.hash;
  }

  pending(): PendingState | undefined {
    return this.core.changes.confirmation.state(this.core.nowMs, this.core.wallMs);
  }

  preparation(mutation: Mutation): Preparation {
    return this.core.objects.preparation({ ...mutation, dryRun: true }, this.core.wallMs);
  }

  plan(
    mutation: Mutation,
    options: PlanOptions,
    preparation: PreparationWork = this.preparation(mutation),
  ): Result<PlanJob> {
    assert(preparation instanceof Preparation, "a plan rests on a preparation of the same view");
    return PlanJob.create(this.core, preparation.finish(), options);
  }

  fibRoutes(query: FibQuery, position: string, max: number): FibPage {
    return fibPage(this.core, query, position, max);
  }

  filterRules(
    query: FilterQuery,
    position: string,
    max: number,
  ): { rules: FlowSpecFilterRule[]; position: string } {
    return filterRulePage(this.core, query, position, max);
  }

  loggedPackets(): { told: number; dropped: number } {
    return this.core.firewallLog.state();
  }

  firewall(): GetFirewallResponse {
    return firewallMessage(this.core.resources.surroundings(), this.core.firewallLog.state());
  }

  translationRules(): TranslationRule[] {
    return translationRules(this.core.resources.surroundings());
  }

  fibCounts(): FibCounts | undefined {
    return this.core.fib.summary();
  }

  redistributions(): Iterable<RedistributeSummary> {
    return this.core.redistributions.summaries();
  }

  healthChecks(): Iterable<HealthSummary> {
    return this.core.health.summaries();
  }

  blackholeDiscards(
    family: Family | undefined,
    position: string,
    max: number,
  ): { readonly discards: BlackholeDiscard[]; readonly position: string } {
    return discardPage(this.core, family, position, max);
  }

  nextHops(
    address: string,
    unreachable: boolean,
    position: string,
    max: number,
  ): { nextHops: NextHop[]; position: string; total: number } | undefined {
    const { routing, kernel, nowMs } = this.core;
    const { nextHops } = kernel;
    if (!nextHops) return undefined;
    const wanted = address === "" ? [...nextHops.all()] : [nextHops.find(parseIp(address)!)];
    const from = Number(position);
    const all = wanted
      .filter((hop) => hop !== undefined)
      .filter(({ way }) => !unreachable || !way?.reachable)
      .sort((a, b) => a.id - b.id);
    const rest = all.filter(({ id }) => id > from);
    const page = rest.slice(0, max);
    return {
      nextHops: page.map((hop) => nextHopMessage(hop, routing.nextHops!.usesOf(hop.id), nowMs)),
      position: rest.length > page.length ? String(page[page.length - 1].id) : "",
      total: all.length,
    };
  }

  nextHopCounts(): NextHopCounts | undefined {
    const { nextHops } = this.core.kernel;
    if (!nextHops) return undefined;
    let reachable = 0;
    for (const { way } of nextHops.all()) reachable += Number(way?.reachable ?? false);
    const { changes, pathsSettled, size } = nextHops;
    return { reachable, unreachable: size - reachable, changes, pathsSettled };
  }

  links(): Link[] | undefined {
    const { links, dataplane } = this.core.kernel;
    return dataplane === "none" ? undefined : linkMessages(links);
  }

  changeCounts(): { commits: number; refusals: ReadonlyMap<string, number> } {
    return this.core.changes;
  }

  health(): Health[] {
    const { core } = this;
    const waiting = core.changes.waiting;
    const up = [...core.neighbors.all()].filter((record) => record.negotiated !== undefined).length;
    return [
      {
        name: "store",
        healthy: core.storeError === "",
        detail: core.storeError === "" ? `${waiting} changes on their way to disk` : core.storeError,
      },
      { name: "bgp", healthy: true, detail: `${up} of ${core.neighbors.size} sessions established` },
      {
        name: "rib",
        healthy: true,
        detail: `${core.routing.tables.reduce((sum, table) => sum + table.paths.count, 0)} paths, ${core.jobs.size} walks under way`,
      },
    ];
  }
}

function parseTarget(target: string): Result<Prefix> {
  const isAddress = !target.includes("/");
  const bytes = isAddress ? parseIp(target) : undefined;
  const parsed = isAddress ? bytes && { bytes, length: bytes.length * 8 } : parsePrefix(target);
  if (parsed !== undefined && typeof parsed !== "string") return { ok: true, value: parsed };
  const message = parsed ?? `"${target}" is neither an address nor a prefix`;
  return { ok: false, problems: [{ code: "INVALID", path: "target", message, value: target }] };
}
