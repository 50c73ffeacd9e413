/**
 * What the edges may read of the core, and how they change it. Reads are synchronous, bounded in steps, and never
 * alter what a replay would see. Messages are built here so that services only decode, call and encode.
 */
import type { Message } from "@bufbuild/protobuf";
import type { Problem, Result } from "../base/problem.ts";
import type { BfdDiscards, BfdSession } from "../gen/cairn/v1/bfd_service_pb.ts";
import type { BmpCollectorState } from "../gen/cairn/v1/bmp_service_pb.ts";
import type { PlanResponse } from "../gen/cairn/v1/config_service_pb.ts";
import type { EgressRoutePolicy, EgressTransition } from "../gen/cairn/v1/egress_service_pb.ts";
import type { Event, EventFilter } from "../gen/cairn/v1/event_service_pb.ts";
import type { GetFirewallResponse } from "../gen/cairn/v1/firewall_service_pb.ts";
import type { Injected } from "../gen/cairn/v1/injection_service_pb.ts";
import type { Link } from "../gen/cairn/v1/interface_service_pb.ts";
import type { MrtDumpState } from "../gen/cairn/v1/mrt_service_pb.ts";
import type { DynamicRangeState, Neighbor } from "../gen/cairn/v1/neighbor_service_pb.ts";
import type {
  PolicyDifference,
  PolicyStats,
  PolicyTestCounts,
  TestPolicyRequest,
} from "../gen/cairn/v1/policy_service_pb.ts";
import type { FlowSpecFilterRule } from "../gen/cairn/v1/resource_service_pb.ts";
import type { ResourceStatus } from "../gen/cairn/v1/resource_types_pb.ts";
import type {
  BlackholeDiscard,
  DampenedRoute,
  ExplainAdvertisedRouteResponse,
  ExplainBestPathResponse,
  ExplainImportResponse,
  GetRibSummaryResponse,
  LookupRouteResponse,
  NextHop,
  RouteEvent,
} from "../gen/cairn/v1/rib_service_pb.ts";
import type { FlowSpecRoute, Metadata, RouteFilter } from "../gen/cairn/v1/types_pb.ts";
import type { Family } from "../wire/family.ts";
import type { PendingState } from "./confirmation.ts";
import type { FibPage, FibQuery } from "./fib/fib-view.ts";
import type { FilterQuery } from "./flow-filters/filter-view.ts";
import type { HealthSummary } from "./health/health-checks.ts";
import type { RefusedSegments } from "./inputs.ts";
import type { Mutation, MutationOutcome } from "./mutation.ts";
import type { Operation, OperationOutcome } from "./operation.ts";
import type { PlanOptions } from "./plan.ts";
import type { RedistributeSummary } from "./redistribute/redistributions.ts";
import type { RouteBatch } from "./route-batch.ts";
import type { RouteEventQuery } from "./route-history.ts";
import type {
  AuditQuery,
  AuditStep,
  StoredAudit,
  StoredAuditEntry,
  StoredDifference,
  StoredGeneration,
  StoredObject,
  StoredRevision,
} from "./rows.ts";
import type { RpkiView } from "./rpki-view.ts";
import type { TranslationRule } from "./translation-message.ts";
import type { WatchTopic } from "./watchers.ts";

/** Routes of all FIB tables, and what was done for them since the start. */
export interface FibCounts {
  readonly routes: Readonly<Record<string, number>>;
  readonly writes: number;
  readonly failures: number;
  readonly dumps: number;
  readonly drifts: number;
}

export interface ResourceCounts {
  readonly phases: Readonly<Record<string, number>>;
  readonly operations: number;
  readonly failures: number;
  readonly drifts: number;
}

/** A declared object: metadata and spec (a message of the kind's type, never to be changed). */
export interface ObjectView {
  readonly metadata: Metadata;
  readonly spec: Message;
}

/** Of each prefix: its best path, those used side by side with it too, or all that may be chosen. */
export type PathChoice = "best" | "multipath" | "all";

export type RouteTable =
  | { readonly table: "best"; readonly paths: PathChoice }
  /** The best paths as they were at a moment, wall-clock milliseconds. */
  | { readonly table: "past"; readonly atMs: number }
  | { readonly table: "received"; readonly neighbor: string; readonly prePolicy: boolean }
  | { readonly table: "rejected"; readonly neighbor: string }
  | { readonly table: "advertised"; readonly neighbor: string }
  /** Best paths that the neighbor is not told of, without those that come from it. */
  | { readonly table: "withheld"; readonly neighbor: string };

/** A walk over a table. It survives changes: a route that is there all the time is seen exactly once. */
export interface RouteWalk {
  /**
   * Appends up to `max` routes to `out`, looking at no more than `rows` rows.
   * @returns true when the end is reached
   */
  next(out: RouteBatch, max: number, rows: number): boolean;
  /** Opaque position for a page token. */
  position(): string;
  /** Number of routes in the table without filter; undefined when only a walk to the end tells it. */
  total(): number | undefined;
  /** Set when it cannot be gone on with. */
  readonly problem?: Problem | undefined;
}

/** Counts how many best paths come from each neighbor. */
export interface BestCounter {
  /** Goes on, looking at about so many rows. @returns true at the end */
  next(rows: number): boolean;
  /** Best paths by name of the neighbor and index of the family. */
  counts(): ReadonlyMap<string, readonly number[]>;
}

/** A longest match at an earlier moment. */
export interface PastLookup {
  /** Goes on, looking at up to so many changes. @returns undefined when there is more to look at */
  next(changes: number): Result<LookupRouteResponse> | undefined;
}

/** A walk over what happened to routes, newest first. */
export interface RouteEvents {
  /** Appends up to `max` events, looking at no more than `changes` changes. @returns true at the end */
  next(out: RouteEvent[], max: number, changes: number): boolean;
  /** About so many bytes the events appended so far take in a message. */
  readonly bytes: number;
  /** Opaque position for a page token. */
  position(): string;
}

/** What the journal of route changes holds. */
export interface HistoryState {
  readonly limit: number;
  readonly count: number;
  /** Changes written down since the start. */
  readonly total: number;
  readonly bytes: number;
  /** From when on everything is known, wall-clock milliseconds; undefined while nothing is remembered. */
  readonly reachesBackToMs: number | undefined;
}

/** A consumer of best-path changes. It holds its place in the change list; nothing is queued for it. */
export interface RouteWatch {
  /** Up to `max` changes since the last call: routes that are best now, and prefixes without one. */
  next(
    updated: RouteBatch,
    withdrawn: string[],
    max: number,
  ): { readonly caughtUp: boolean; readonly revision: number };
  /** Called (once per turn at most) when there are changes after `next` said caughtUp. */
  onChange: (() => void) | undefined;
  close(): void;
}

/** A candidate policy on its way through the tables. It survives changes, as walks do. */
export interface PolicyTrial {
  /**
   * Looks at up to `rows` more rows, appending what differs and the counts of neighbors that are done.
   * @returns true when everything has been looked at
   */
  next(differences: PolicyDifference[], counts: PolicyTestCounts[], rows: number): boolean;
}

export interface Health {
  readonly name: string;
  readonly healthy: boolean;
  readonly detail: string;
}

/** Which routes that have flapped are asked for. */
export interface DampenedQuery {
  /** Empty: all. */
  readonly neighbor: string;
  readonly family: Family | undefined;
  /** Also those that are not suppressed. */
  readonly all: boolean;
}

/** A walk over rules of FlowSpec. */
export interface FlowWalk {
  /** Appends up to about `max` routes of at most `rows` rules. @returns true at the end */
  next(out: FlowSpecRoute[], max: number, rows: number): boolean;
  /** Where to go on, once something was looked at. */
  position(): string;
  total(): number | undefined;
}

export interface DampenedPage {
  readonly routes: readonly DampenedRoute[];
  readonly position: string;
  readonly total: number;
  /** Flaps that were not remembered since the start. */
  readonly overflow: number;
}

export interface CoreView {
  readonly generation: number;
  object(kind: string, name: string): ObjectView | undefined;
  /** Objects of a kind, by name. */
  objects(kind: string): Iterable<ObjectView>;
  /** How an object stands; undefined where its kind has no status. */
  resourceStatus(kind: string, name: string): ResourceStatus | undefined;
  /** Objects by phase; changes asked of the kernel, those it refused, and what another hand altered, since the start. */
  resourceCounts(): ResourceCounts;
  /** KIND/NAME of the objects that an object names, and of those that name it. */
  references(kind: string, name: string): { readonly uses: string[]; readonly usedBy: string[] };
  /** Neighbors with state, by address. */
  neighbor(address: string): Neighbor | undefined;
  neighborNames(): readonly string[];
  /** Counts of a range of dynamic neighbors; undefined when there is no such range. */
  dynamicRange(name: string): DynamicRangeState | undefined;
  /** The BFD session of a neighbor; undefined when it has none. */
  bfdSession(neighbor: string): BfdSession | undefined;
  /** Addresses of the neighbors with BFD. */
  bfdNeighbors(): readonly string[];
  /** Packets of BFD that were thrown away, by reason. */
  bfdDiscards(): readonly BfdDiscards[];
  /** What a dump is doing and has done; undefined when there is no such one. */
  /** Caches, files, VRPs and ASPAs. */
  readonly rpki: RpkiView;
  mrtDump(name: string): MrtDumpState | undefined;
  /** How a collector fares; undefined when there is no such one. */
  bmpCollector(name: string): BmpCollectorState | undefined;
  /** An EgressRoutePolicy with its candidates and what it has chosen; undefined when there is no such one. */
  egressPolicy(name: string): EgressRoutePolicy | undefined;
  /** What it has chosen since the start, the newest first. */
  egressHistory(name: string): EgressTransition[];
  /** Segments that the kernel refused; undefined where that is not known. */
  refusedSegments(): RefusedSegments | undefined;
  /** Starts or goes on (with a walk's `position`) with a list; problems name the fields that are wrong. */
  walk(
    table: RouteTable,
    family: Family,
    filter: RouteFilter | undefined,
    position: string,
  ): Result<RouteWalk>;
  /** The same for rules, in the order in which packets are held against them. */
  flowWalk(
    table: RouteTable,
    family: Family,
    filter: RouteFilter | undefined,
    position: string,
  ): Result<FlowWalk>;
  countBest(): BestCounter;
  lookup(target: string): Result<LookupRouteResponse>;
  /** The same at an earlier moment, wall-clock milliseconds. */
  lookupAt(target: string, atMs: number): Result<PastLookup>;
  /** Starts or goes on (with a walk's `position`) with what happened to routes. */
  routeEvents(query: RouteEventQuery, position: string): Result<RouteEvents>;
  historyState(): HistoryState;
  /** With a family of rules `prefix` is a rule; so with the next two. */
  explainBestPath(prefix: string, family?: string): Result<ExplainBestPathResponse>;
  explainImport(
    neighbor: string,
    prefix: string,
    pathId: number,
    family?: string,
  ): Result<ExplainImportResponse>;
  explainAdvertised(
    neighbor: string,
    prefix: string,
    family?: string,
  ): Result<ExplainAdvertisedRouteResponse>;
  /** Counters of the named policy, or of all. */
  policyStats(name: string): Result<PolicyStats[]>;
  /** Starts to try candidates; nothing is changed. */
  testPolicy(request: TestPolicyRequest): Result<PolicyTrial>;
  /** `resumeFrom` 0 starts at the beginning of the table; a revision goes on after it if still retained. */
  watchRoutes(
    family: Family,
    filter: RouteFilter | undefined,
    resumeFrom: number,
  ): Result<{ watch: RouteWatch; compacted: boolean }>;
  /**
   * Routes that have flapped, at most `max` of them from `position` on; the answer's position is empty when there are no
   * more. @returns problems of the neighbor's name
   */
  dampened(query: DampenedQuery, position: string, max: number): Result<DampenedPage>;
  ribSummary(): GetRibSummaryResponse;
  /**
   * Next hops in a stable order, at most `max` of them; the answer's `position` is empty when there are no more.
   * @param address only this one; empty for all
   * @returns undefined when next hops are not tracked
   */
  nextHops(
    address: string,
    unreachable: boolean,
    position: string,
    max: number,
  ): { nextHops: NextHop[]; position: string; total: number } | undefined;
  /** Routes of FIB tables, at most `max` of them; a page may be short while the answer's `position` names more. */
  fibRoutes(query: FibQuery, position: string, max: number): FibPage;
  /** Rules of FlowSpecFilter objects, at most `max` of them from a place on; the answer's is empty at the end. */
  filterRules(
    query: FilterQuery,
    position: string,
    max: number,
  ): { rules: FlowSpecFilterRule[]; position: string };
  /** Routes, by what becomes of them, and what was done; undefined without FIB tables. */
  fibCounts(): FibCounts | undefined;
  /** Redistribute objects, with how many routes of the kernel each has brought. */
  redistributions(): Iterable<RedistributeSummary>;
  /** Health checks with what came of their probes. */
  healthChecks(): Iterable<HealthSummary>;
  /** Prefixes whose packets are to be dropped, in pages of the same kind. */
  blackholeDiscards(
    family: Family | undefined,
    position: string,
    max: number,
  ): { readonly discards: BlackholeDiscard[]; readonly position: string };
  /** Counted since the start; undefined when next hops are not tracked. */
  nextHopCounts(): NextHopCounts | undefined;
  /** Packets that rules have logged since the start: those that became events, and others. */
  loggedPackets(): { readonly told: number; readonly dropped: number };
  /** The firewall as a whole. */
  firewall(): GetFirewallResponse;
  /** What NAT rules translate, in the order in which the kernel asks them. */
  translationRules(): TranslationRule[];
  /** Links by index; undefined where no kernel is looked at. */
  links(): Link[] | undefined;
  /**
   * Injected routes in a stable order, at most `max` of them and as many as one step finds; the answer's `position` is
   * empty when there are no more. @returns problems of the filter
   */
  injected(
    owner: string,
    family: Family | undefined,
    filter: RouteFilter | undefined,
    position: string,
    max: number,
  ): Result<{ paths: Injected[]; position: string; total: number }>;
  /** Events after `afterId` that are still in memory, oldest first, at most `max`. */
  events(
    afterId: number,
    filter: EventFilter | undefined,
    max: number,
  ): { events: Event[]; scannedTo: number };
  /** Range of event ids in memory: events first..last are there (last = first - 1 when none). */
  eventRange(): { readonly first: number; readonly last: number };
  /** Calls `listener` at the end of each turn in which something of the topic changed. */
  subscribe(topic: WatchTopic, listener: () => void): () => void;
  /** Counts changes of neighbors; larger in each run of the daemon than in the ones before. */
  neighborRevision(): number;
  /**
   * Addresses of neighbors whose state or spec changed after `revision`; deleted ones too. Undefined when that is not
   * known any more, or when the revision is none of this run.
   */
  changedNeighbors(
    revision: number,
  ): { readonly revision: number; readonly names: readonly string[] } | undefined;
  health(): Health[];
  /** Hash of everything declared, in hexadecimal. */
  readonly configHash: string;
  /** The change that waits for its confirmation. */
  pending(): PendingState | undefined;
  /** Begins to work out what a mutation would do; problems are those that the mutation would be refused with. */
  plan(mutation: Mutation, options: PlanOptions, preparation?: PreparationWork): Result<PlanWork>;
  /** Begins to check a mutation that is to be planned, in steps: a large one would take too long at once. */
  preparation(mutation: Mutation): PreparationWork;
  /** Changes carried out and refused (by code) since the start. */
  changeCounts(): { readonly commits: number; readonly refusals: ReadonlyMap<string, number> };
}

/** What next hop tracking has to tell of itself. */
export interface NextHopCounts {
  readonly reachable: number;
  readonly unreachable: number;
  /** Next hops that came out otherwise, and paths looked at again because of that. */
  readonly changes: number;
  readonly pathsSettled: number;
}

/** A mutation that is checked in steps. */
export interface PreparationWork {
  /** Goes on for so many steps, each the work of one object. @returns true when `plan` can be called with it, at once */
  step(count: number): boolean;
}

/** A plan that is worked out in steps. */
export interface PlanWork {
  readonly generation: number;
  /** False when another change came between and the plan has to begin anew. */
  readonly isCurrent: boolean;
  /** Goes on for about `rows` prefixes. @returns true when `result` can be asked for */
  step(rows: number): boolean;
  result(): PlanResponse;
}

/** The owner as the edges see it: a view to read, a mailbox for changes. */
export interface Owner {
  readonly view: CoreView;
  /** Resolves when the change is durable (or refused). Rejects with `Busy` when the mailbox is full. */
  mutate(mutation: Mutation): Promise<MutationOutcome>;
  operate(operation: Operation): Promise<OperationOutcome>;
  /** Notes an attempt that was refused before it became a mutation, or an operation. */
  audit(entry: StoredAudit): void;
  /** Wall-clock milliseconds and milliseconds since the daemon started. */
  wallMs(): number;
  uptimeMs(): number;
}

/** Older events than the ring holds, read from the database off the owner's thread. */
export interface EventArchive {
  /** Events with id > afterId (or < beforeId when reverse), oldest (newest) first. */
  read(afterId: number, beforeId: number, reverse: boolean, max: number): Promise<Event[]>;
  first(): Promise<number>;
}

export interface GenerationQuery {
  /** Only generations before this one; 0 for the newest. */
  readonly before: number;
  readonly max: number;
  /** Only generations that changed this object. */
  readonly object?: { readonly kind: string; readonly name: string } | undefined;
  /** Only generations of this principal. */
  readonly principal: string;
}

export interface HistorySpan {
  /** Newest generation that is durable. */
  readonly newest: number;
  /** Oldest generation whose objects can be told without a gap; pinned ones may be older. */
  readonly oldest: number;
  readonly count: number;
}

export interface HistoryComparison {
  /** Newest generation that is durable. */
  readonly newest: number;
  readonly differences: readonly StoredDifference[];
}

export interface HistoryObjects {
  readonly generation: StoredGeneration;
  readonly objects: readonly StoredObject[];
}

/** Generations and the audit, read from the database off the owner's thread. */
export interface HistoryArchive {
  /** Newest first, without their change sets unless only one is asked for. */
  generations(query: GenerationQuery): Promise<StoredGeneration[]>;
  span(): Promise<HistorySpan>;
  /** The objects that differ; undefined when one of the generations cannot be told any more, or not yet. */
  compare(from: number, to: number): Promise<HistoryComparison | undefined>;
  objectsAt(generation: number): Promise<HistoryObjects | undefined>;
  /** Changes of an object, newest first. */
  revisions(kind: string, name: string, max: number): Promise<StoredRevision[]>;
  audit(query: AuditQuery): Promise<{ entries: StoredAuditEntry[]; total: number }>;
  /** Recomputes the chain of up to `max` audit rows from number `from` on (0: the oldest). */
  verifyAudit(from: number, max: number): Promise<AuditStep>;
}

export type {
  Mutation,
  MutationOutcome,
  Operation,
  OperationOutcome,
  PendingState,
  PlanOptions,
  Problem,
  StoredAudit,
};
