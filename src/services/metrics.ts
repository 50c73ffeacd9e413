/**
 * Prometheus metrics. Everything that the core knows is read from its view when somebody scrapes; only what happens
 * outside the core (API calls, the loop) is counted here. Names start with `cairn_`, units are base units.
 */
import type { Duration } from "@bufbuild/protobuf/wkt";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { type BfdSession, BfdState } from "../gen/cairn/v1/bfd_service_pb.ts";
import type { FamilyState, Neighbor } from "../gen/cairn/v1/neighbor_service_pb.ts";
import { SessionStateSchema } from "../gen/cairn/v1/neighbor_service_pb.ts";
import type { Owner } from "../state/view.ts";
import { Pacer } from "./pacer.ts";
import type { WatcherSlots } from "./watchers.ts";

export interface MetricDescription {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
  readonly help: string;
}

/** Counted by whoever looks at the kernel, since the start. */
export interface KernelCounts {
  readonly notifications: number;
  readonly overruns: number;
  readonly linkDumps: number;
  readonly routeLookups: number;
  readonly failures: number;
}

export class CairnMetrics {
  readonly #registry = new Registry();
  readonly #descriptions: MetricDescription[] = [];
  readonly #owner: Owner;
  #watchers: WatcherSlots | undefined;
  #scrape: Promise<string> | undefined;

  // Counted here.
  readonly apiCalls = this.#counter("api_calls_total", "API calls that ended, by method and gRPC code.", [
    "method",
    "code",
  ]);
  readonly watcherLagged = this.#counter(
    "watcher_lagged_total",
    "Times a watch told its reader that it missed events.",
    ["kind"],
  );
  readonly #loopDelay = this.#histogram(
    "loop_delay_seconds",
    "Time from when the event loop should have run to when it did.",
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5],
  );
  readonly #sliceOverruns = this.#counter(
    "slice_overruns_total",
    "Turns of the core that outran their time slice.",
    [],
  );

  readonly #storeFlushes = this.#counter(
    "store_flushes_total",
    "Transactions of the database, each flushed to disk once; changes that come together share one.",
    [],
  );

  // Read from the view at each scrape.
  readonly #policyDecisions = this.#counter(
    "policy_decisions_total",
    "Routes that a statement of a policy matched, or its default action decided, since the policy last changed.",
    ["policy", "statement"],
  );
  readonly #buildInfo = this.#gauge("build_info", "Always 1; the label tells the version.", ["version"]);
  readonly #generation = this.#gauge("generation", "Generation of the configuration in force.", []);
  readonly #pending = this.#gauge(
    "config_pending",
    "1 while a change waits for its confirmation, else 0.",
    [],
  );
  readonly #commits = this.#counter("config_commits_total", "Changes carried out since the start.", []);
  readonly #refusals = this.#counter("config_refusals_total", "Changes refused since the start, by code.", [
    "code",
  ]);
  readonly #uptime = this.#gauge("uptime_seconds", "Time since the daemon started.", []);
  readonly #memory = this.#gauge("process_resident_memory_bytes", "Resident memory of the daemon.", []);
  readonly #healthy = this.#gauge("subsystem_healthy", "1 for a subsystem that is healthy, else 0.", [
    "subsystem",
  ]);
  readonly #sessions = this.#gauge("sessions", "Neighbors by session state.", ["state"]);
  readonly #up = this.#gauge("neighbor_up", "1 while the session is established, else 0.", ["neighbor"]);
  readonly #established = this.#counter("neighbor_established_total", "Times the session was established.", [
    "neighbor",
  ]);
  readonly #sessionUptime = this.#gauge(
    "neighbor_uptime_seconds",
    "How long the session has been established; 0 while it is not.",
    ["neighbor"],
  );
  readonly #holdLeft = this.#gauge(
    "neighbor_hold_seconds_left",
    "Time until the hold timer expires if nothing arrives.",
    ["neighbor"],
  );
  readonly #ends = this.#counter(
    "neighbor_session_ends_total",
    "Established sessions that ended, by who ended them (us, neighbor) and NOTIFICATION code, 0 without one.",
    ["neighbor", "by", "code"],
  );
  readonly #joined = this.#counter(
    "neighbor_refreshes_joined_total",
    "Requests for all routes that were answered together with others.",
    ["neighbor"],
  );
  readonly #messages = this.#counter("neighbor_messages_total", "BGP messages by type.", [
    "neighbor",
    "direction",
    "type",
  ]);
  readonly #bytes = this.#counter("neighbor_bytes_total", "Bytes of BGP messages.", [
    "neighbor",
    "direction",
  ]);
  readonly #malformed = this.#counter(
    "neighbor_malformed_updates_total",
    "UPDATEs mended by RFC 7606, by action.",
    ["neighbor", "action"],
  );
  readonly #queue = this.#gauge(
    "neighbor_queue_bytes",
    "Bytes received and not processed, or sent and not taken.",
    ["neighbor", "direction"],
  );
  readonly #routes = this.#gauge("neighbor_routes", "Routes: received, accepted, rejected, advertised.", [
    "neighbor",
    "family",
    "stage",
  ]);
  readonly #overLimit = this.#gauge("neighbor_routes_over_limit", "Routes that a prefix limit keeps out.", [
    "neighbor",
    "family",
  ]);
  readonly #damped = this.#gauge(
    "neighbor_routes_damped",
    "Routes that are suppressed because they flap (RFC 2439).",
    ["neighbor", "family"],
  );
  readonly #orfEntries = this.#gauge(
    "neighbor_orf_entries",
    "Entries of the filter that the neighbor sent (RFC 5292).",
    ["neighbor", "family"],
  );
  readonly #rpkiCacheUp = this.#gauge("rpki_cache_up", "1 while the cache is synchronized, else 0.", [
    "cache",
  ]);
  readonly #rpkiCacheUsed = this.#gauge(
    "rpki_cache_in_use",
    "1 while what the cache says is in force, else 0.",
    ["cache"],
  );
  readonly #rpkiCacheRecords = this.#gauge("rpki_cache_records", "VRPs and ASPAs of the cache.", [
    "cache",
    "type",
  ]);
  readonly #rpkiCacheUpdated = this.#gauge(
    "rpki_cache_updated_timestamp_seconds",
    "When the cache last told all that is new.",
    ["cache"],
  );
  readonly #rpkiCacheExpires = this.#gauge(
    "rpki_cache_expires_timestamp_seconds",
    "When what the cache said stops to count unless it is heard of.",
    ["cache"],
  );
  readonly #rpkiCacheErrors = this.#counter(
    "rpki_cache_errors_total",
    "Error Reports to and from the cache.",
    ["cache", "direction"],
  );
  readonly #rpkiCacheSets = this.#counter(
    "rpki_cache_sets_total",
    "Complete sets and differences taken over from the cache.",
    ["cache", "type"],
  );
  readonly #rpkiRecords = this.#gauge("rpki_records", "VRPs and ASPAs in force.", ["type"]);
  readonly #rpkiFileFailed = this.#gauge(
    "rpki_file_failed",
    "1 while a local file cannot be taken, else 0.",
    ["path"],
  );
  readonly #rpkiChanges = this.#counter("rpki_changes_total", "Changes of what is in force.", []);
  readonly #rpkiRevalidated = this.#counter(
    "rpki_revalidated_routes_total",
    "Routes looked at again because VRPs or ASPAs changed.",
    [],
  );
  readonly #rpkiDuration = this.#gauge(
    "rpki_revalidation_seconds",
    "How long the last change took until all routes were looked at again.",
    [],
  );
  readonly #rpkiMemory = this.#gauge("rpki_memory_bytes", "Bytes that VRPs take.", []);
  readonly #mrtFiles = this.#counter("mrt_files_total", "MRT files by outcome: completed, failed.", [
    "dump",
    "outcome",
  ]);
  readonly #mrtRecords = this.#counter("mrt_records_total", "Records written to MRT files.", ["dump"]);
  readonly #mrtDropped = this.#counter(
    "mrt_records_dropped_total",
    "Updates that are in no MRT file because the disk was too slow or full.",
    ["dump"],
  );
  readonly #mrtQueue = this.#gauge("mrt_queue_bytes", "Bytes of MRT files that wait for the disk.", ["dump"]);
  readonly #mrtLast = this.#gauge(
    "mrt_last_file_timestamp_seconds",
    "When the last MRT file was completed, seconds since 1970.",
    ["dump"],
  );
  readonly #dynamicNeighbors = this.#gauge(
    "dynamic_neighbors",
    "Neighbors that came in by a range, by state: all, established.",
    ["range", "state"],
  );
  readonly #dynamicAccepted = this.#counter(
    "dynamic_connections_accepted_total",
    "Connections that a range took.",
    ["range"],
  );
  readonly #dynamicRefused = this.#counter(
    "dynamic_connections_refused_total",
    "Connections that a range had no place for, by reason: limit, rate.",
    ["range", "reason"],
  );
  readonly #refusedSegments = this.#counter(
    "tcp_refused_segments_total",
    "TCP segments that the kernel refused in this network namespace, by reason.",
    ["reason"],
  );
  readonly #resources = this.#gauge("resources", "Objects that ask something of the kernel, by phase.", [
    "phase",
  ]);
  readonly #kernelOperations = this.#counter(
    "kernel_operations_total",
    "Changes asked of the kernel, by outcome.",
    ["outcome"],
  );
  readonly #kernelDrifts = this.#counter(
    "kernel_drifts_total",
    "Times that somebody else altered or removed what is cairn's in the kernel.",
    [],
  );
  readonly #bfdUp = this.#gauge("bfd_up", "1 while BFD with the neighbor is up, else 0.", ["neighbor"]);
  readonly #bfdChanges = this.#counter(
    "bfd_changes_total",
    "Times that BFD with the neighbor came up, and went down from up.",
    ["neighbor", "to"],
  );
  readonly #bfdPackets = this.#counter("bfd_packets_total", "Control packets of BFD.", [
    "neighbor",
    "direction",
  ]);
  readonly #bfdDetection = this.#gauge(
    "bfd_detection_seconds",
    "Time without packets after which the neighbor is missed.",
    ["neighbor"],
  );
  readonly #bfdDiscards = this.#counter("bfd_discards_total", "Packets of BFD thrown away, by reason.", [
    "reason",
  ]);
  readonly #stale = this.#gauge("neighbor_stale_routes", "Routes kept from an earlier session or refresh.", [
    "neighbor",
    "family",
    "phase",
  ]);
  readonly #staleLeft = this.#gauge(
    "neighbor_stale_seconds_left",
    "Time until stale routes become long-lived or are withdrawn.",
    ["neighbor", "family"],
  );
  readonly #deferred = this.#gauge(
    "neighbor_selection_deferred",
    "1 while routes of the family wait for those of the neighbors after a restart, else 0.",
    ["neighbor", "family"],
  );
  readonly #ribPrefixes = this.#gauge("rib_prefixes", "Prefixes in the table.", ["family"]);
  readonly #ribPaths = this.#gauge(
    "rib_paths",
    "Paths in the table, by kind: all, best, multipath (used side by side), rejected.",
    ["family", "kind"],
  );
  readonly #ribMultipath = this.#gauge(
    "rib_multipath_prefixes",
    "Prefixes for which several paths are used side by side.",
    ["family"],
  );
  readonly #ribMemory = this.#gauge("rib_memory_bytes", "Bytes in columns and attribute storage.", []);
  readonly #nextHops = this.#gauge("next_hops", "Next hops of accepted paths, by state.", ["state"]);
  readonly #nextHopChanges = this.#counter(
    "next_hop_changes_total",
    "Next hops that came out otherwise: reachable or not, on a link or not, metric.",
    [],
  );
  readonly #nextHopPaths = this.#counter(
    "next_hop_paths_settled_total",
    "Paths looked at again because their next hop came out otherwise.",
    [],
  );
  readonly #netlinkNotices = this.#counter(
    "netlink_notifications_total",
    "Notifications of the kernel that were read.",
    [],
  );
  readonly #netlinkOverruns = this.#counter(
    "netlink_overruns_total",
    "Times that the kernel dropped notifications because they were not read fast enough; all was looked at again.",
    [],
  );
  readonly #netlinkRequests = this.#counter(
    "netlink_requests_total",
    "Questions to the kernel: links as a whole, the route to a next hop.",
    ["kind"],
  );
  readonly #netlinkFailures = this.#counter(
    "netlink_failures_total",
    "Questions that the kernel did not answer; they were asked again.",
    [],
  );
  /** What the observer of the kernel counts; undefined where there is none. */
  kernelCounts: () => KernelCounts | undefined = () => undefined;
  readonly #links = this.#gauge("links", "Links of the host, by state.", ["state"]);
  readonly #attributeSets = this.#gauge("attribute_sets", "Distinct sets of path attributes.", []);
  readonly #updateGroups = this.#gauge(
    "update_groups",
    "Groups of neighbors that share one Adj-RIB-Out.",
    [],
  );
  readonly #bestPathRuns = this.#counter("best_path_runs_total", "Best path selections.", []);
  readonly #watcherCount = this.#gauge("watchers", "Open watches by kind.", ["kind"]);
  readonly #watcherLag = this.#gauge("watcher_lag", "Entries that the slowest watch of the kind is behind.", [
    "kind",
  ]);

  constructor(owner: Owner, version: string) {
    this.#owner = owner;
    this.#buildInfo.set({ version }, 1);
  }

  /** Shows these watches from now on. */
  showWatchers(watchers: WatcherSlots): void {
    this.#watchers = watchers;
  }

  /** For the runtime: how late the event loop was, in milliseconds. */
  observeLoopDelay(delayMs: number): void {
    this.#loopDelay.observe(delayMs / 1000);
  }

  /** For the runtime: a turn took longer than its slice. */
  countSliceOverrun(): void {
    this.#sliceOverruns.inc();
  }

  /** For the runtime: the store has made something durable. */
  countFlush(): void {
    this.#storeFlushes.inc();
  }

  /** The Prometheus text. Scrapes at the same time share one walk over the neighbors. */
  text(): Promise<string> {
    this.#scrape ??= this.#collect().finally(() => {
      this.#scrape = undefined;
    });
    return this.#scrape;
  }

  /** All metrics in the order of their names, for the documentation. */
  describe(): readonly MetricDescription[] {
    return [...this.#descriptions].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async #collect(): Promise<string> {
    const { view } = this.#owner;
    // The walk over the neighbors rests between steps, so their values are gathered first and shown together.
    const pacer = new Pacer();
    const neighbors: Neighbor[] = [];
    for (const address of view.neighborNames()) {
      await pacer.rest();
      const neighbor = view.neighbor(address);
      if (neighbor) neighbors.push(neighbor);
    }
    this.#showNeighbors(neighbors);
    this.#showTables();
    this.#showKernel();
    this.#showResources();
    this.#showProtection();
    this.#showDumps();
    this.#showRpki();
    await this.#showBfd(pacer);
    this.#showPolicies();
    this.#generation.set(view.generation);
    this.#pending.set(view.pending() ? 1 : 0);
    const { commits, refusals } = view.changeCounts();
    this.#commits.reset();
    this.#commits.inc(commits);
    this.#refusals.reset();
    for (const [code, count] of refusals) this.#refusals.inc({ code }, count);
    this.#uptime.set(this.#owner.uptimeMs() / 1000);
    this.#memory.set(process.memoryUsage.rss());
    this.#healthy.reset();
    for (const { name, healthy } of view.health()) this.#healthy.set({ subsystem: name }, healthy ? 1 : 0);
    this.#watcherCount.reset();
    this.#watcherLag.reset();
    for (const kind of ["events", "health", "neighbors", "routes"]) {
      const stats = this.#watchers?.stats().get(kind);
      this.#watcherCount.set({ kind }, stats?.count ?? 0);
      this.#watcherLag.set({ kind }, stats?.lag ?? 0);
    }
    return this.#registry.metrics();
  }

  /** Starts every series anew, so that those of removed neighbors disappear. */
  #showNeighbors(neighbors: readonly Neighbor[]): void {
    const series = [
      ...[this.#up, this.#established, this.#sessionUptime, this.#holdLeft, this.#ends],
      ...[this.#messages, this.#bytes, this.#joined],
    ];
    for (const metric of [this.#stale, this.#staleLeft, this.#deferred]) metric.reset();
    for (const metric of [
      ...series,
      this.#malformed,
      this.#queue,
      this.#routes,
      this.#sessions,
      this.#overLimit,
      this.#damped,
      this.#orfEntries,
    ])
      metric.reset();
    for (const { localName, number } of SessionStateSchema.values) {
      if (number !== 0) this.#sessions.set({ state: localName.toLowerCase() }, 0);
    }
    for (const { spec, state, effective } of neighbors) {
      const neighbor = spec?.address ?? "";
      if (!state) continue;
      const session = SessionStateSchema.value[state.sessionState]?.localName ?? "UNSPECIFIED";
      this.#sessions.inc({ state: session.toLowerCase() });
      this.#up.set({ neighbor }, session === "ESTABLISHED" ? 1 : 0);
      this.#established.inc({ neighbor }, state.establishedCount);
      this.#sessionUptime.set({ neighbor }, secondsOf(state.uptime));
      if (state.holdTimeLeft) this.#holdLeft.set({ neighbor }, secondsOf(state.holdTimeLeft));
      for (const { local, code, count } of state.ends) {
        this.#ends.inc({ neighbor, by: local ? "us" : "neighbor", code: String(code) }, Number(count));
      }
      for (const direction of ["received", "sent"] as const) {
        const counts = state[direction];
        for (const [type, field] of messageTypes) {
          this.#messages.inc({ neighbor, direction, type }, Number(counts?.[field] ?? 0));
        }
        this.#bytes.inc({ neighbor, direction }, Number(counts?.bytes ?? 0));
      }
      this.#malformed.inc({ neighbor, action: "treat_as_withdraw" }, Number(state.treatAsWithdraw));
      this.#malformed.inc({ neighbor, action: "attribute_discard" }, Number(state.attributeDiscard));
      this.#joined.inc({ neighbor }, Number(state.refreshesJoined));
      this.#queue.set({ neighbor, direction: "received" }, Number(state.inQueueBytes));
      this.#queue.set({ neighbor, direction: "sent" }, Number(state.outQueueBytes));
      for (const family of state.families) {
        this.#showStale(neighbor, family);
        for (const stage of ["received", "accepted", "rejected", "advertised"] as const) {
          this.#routes.set({ neighbor, family: family.family, stage }, Number(family[stage]));
        }
        if (effective?.damping && effective.damping.enabled !== false)
          this.#damped.set({ neighbor, family: family.family }, Number(family.damped));
        if (family.orf?.receives)
          this.#orfEntries.set({ neighbor, family: family.family }, family.orf.totalEntries);
        if (family.limit > 0n || family.acceptedLimit > 0n)
          this.#overLimit.set({ neighbor, family: family.family }, Number(family.overLimit));
      }
    }
  }

  #showRpki(): void {
    const { view } = this.#owner;
    for (const metric of [this.#rpkiCacheUp, this.#rpkiCacheUsed, this.#rpkiCacheRecords]) metric.reset();
    for (const metric of [this.#rpkiCacheUpdated, this.#rpkiCacheExpires, this.#rpkiFileFailed])
      metric.reset();
    for (const metric of [this.#rpkiCacheErrors, this.#rpkiCacheSets]) metric.reset();
    for (const metric of [this.#rpkiChanges, this.#rpkiRevalidated]) metric.reset();
    for (const { metadata } of view.objects("RpkiCache")) {
      const cache = metadata.name;
      const state = view.rpki.cache(cache);
      this.#rpkiCacheUp.set({ cache }, state?.sessionState === "synchronized" ? 1 : 0);
      if (!state) continue;
      this.#rpkiCacheUsed.set({ cache }, state.inUse ? 1 : 0);
      this.#rpkiCacheRecords.set({ cache, type: "vrp_ipv4" }, Number(state.ipv4Vrps));
      this.#rpkiCacheRecords.set({ cache, type: "vrp_ipv6" }, Number(state.ipv6Vrps));
      this.#rpkiCacheRecords.set({ cache, type: "aspa" }, Number(state.aspas));
      if (state.updated) this.#rpkiCacheUpdated.set({ cache }, Number(state.updated.seconds));
      if (state.expires) this.#rpkiCacheExpires.set({ cache }, Number(state.expires.seconds));
      this.#rpkiCacheErrors.inc({ cache, direction: "sent" }, Number(state.errorsSent));
      this.#rpkiCacheErrors.inc({ cache, direction: "received" }, Number(state.errorsReceived));
      this.#rpkiCacheSets.inc({ cache, type: "complete" }, Number(state.resets));
      this.#rpkiCacheSets.inc({ cache, type: "difference" }, Number(state.updates));
    }
    const summary = view.rpki.summary();
    this.#rpkiRecords.set({ type: "vrp_ipv4" }, Number(summary.ipv4Vrps));
    this.#rpkiRecords.set({ type: "vrp_ipv6" }, Number(summary.ipv6Vrps));
    this.#rpkiRecords.set({ type: "aspa" }, Number(summary.aspas));
    for (const { path, error } of summary.files) this.#rpkiFileFailed.set({ path }, error === "" ? 0 : 1);
    this.#rpkiChanges.inc(Number(summary.changes));
    this.#rpkiRevalidated.inc(Number(summary.revalidated));
    const { lastDuration } = summary;
    if (lastDuration) this.#rpkiDuration.set(Number(lastDuration.seconds) + lastDuration.nanos / 1e9);
    this.#rpkiMemory.set(Number(summary.memoryBytes));
  }

  #showDumps(): void {
    const { view } = this.#owner;
    for (const metric of [this.#mrtFiles, this.#mrtRecords, this.#mrtDropped]) metric.reset();
    for (const metric of [this.#mrtQueue, this.#mrtLast]) metric.reset();
    for (const { metadata } of view.objects("MrtDump")) {
      const dump = metadata.name;
      const state = view.mrtDump(dump);
      if (!state) continue;
      this.#mrtFiles.inc({ dump, outcome: "completed" }, Number(state.files));
      this.#mrtFiles.inc({ dump, outcome: "failed" }, Number(state.failures));
      this.#mrtRecords.inc({ dump }, Number(state.records));
      this.#mrtDropped.inc({ dump }, Number(state.dropped));
      this.#mrtQueue.set({ dump }, Number(state.queuedBytes));
      if (state.lastTime) this.#mrtLast.set({ dump }, Number(state.lastTime.seconds));
    }
  }

  #showProtection(): void {
    const { view } = this.#owner;
    for (const metric of [this.#dynamicNeighbors, this.#dynamicAccepted, this.#dynamicRefused])
      metric.reset();
    for (const { metadata } of view.objects("DynamicRange")) {
      const range = metadata.name;
      const state = view.dynamicRange(range);
      if (!state) continue;
      this.#dynamicNeighbors.set({ range, state: "all" }, state.neighbors);
      this.#dynamicNeighbors.set({ range, state: "established" }, state.established);
      this.#dynamicAccepted.inc({ range }, Number(state.accepted));
      this.#dynamicRefused.inc({ range, reason: "limit" }, Number(state.refusedLimit));
      this.#dynamicRefused.inc({ range, reason: "rate" }, Number(state.refusedRate));
    }
    this.#refusedSegments.reset();
    for (const [name, count] of Object.entries(view.refusedSegments() ?? {})) {
      const reason = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
      this.#refusedSegments.inc({ reason }, count);
    }
  }

  async #showBfd(pacer: Pacer): Promise<void> {
    const { view } = this.#owner;
    const sessions: BfdSession[] = [];
    for (const neighbor of view.bfdNeighbors()) {
      await pacer.rest();
      const session = view.bfdSession(neighbor);
      if (session) sessions.push(session);
    }
    for (const metric of [this.#bfdUp, this.#bfdChanges, this.#bfdPackets, this.#bfdDetection])
      metric.reset();
    for (const session of sessions) {
      const { neighbor, detectionTime } = session;
      this.#bfdUp.set({ neighbor }, session.state === BfdState.UP ? 1 : 0);
      this.#bfdChanges.inc({ neighbor, to: "up" }, session.ups);
      this.#bfdChanges.inc({ neighbor, to: "down" }, session.downs);
      this.#bfdPackets.inc({ neighbor, direction: "received" }, Number(session.packetsReceived));
      this.#bfdPackets.inc({ neighbor, direction: "sent" }, Number(session.packetsSent));
      if (detectionTime)
        this.#bfdDetection.set({ neighbor }, Number(detectionTime.seconds) + detectionTime.nanos / 1e9);
    }
    this.#bfdDiscards.reset();
    for (const { reason, packets } of view.bfdDiscards()) this.#bfdDiscards.inc({ reason }, Number(packets));
  }

  #showStale(neighbor: string, state: FamilyState): void {
    const { family, stale, stalePhase: phase, staleTimeLeft: left } = state;
    this.#deferred.set({ neighbor, family }, state.deferred ? 1 : 0);
    if (phase !== "") this.#stale.set({ neighbor, family, phase }, Number(stale));
    if (left) this.#staleLeft.set({ neighbor, family }, secondsOf(left));
  }

  #showTables(): void {
    const summary = this.#owner.view.ribSummary();
    for (const one of summary.families) {
      const { family, prefixes, paths, bestPaths, rejectedPaths, multipathPrefixes, multipathPaths } = one;
      this.#ribPrefixes.set({ family }, Number(prefixes));
      this.#ribPaths.set({ family, kind: "all" }, Number(paths));
      this.#ribPaths.set({ family, kind: "best" }, Number(bestPaths));
      this.#ribPaths.set({ family, kind: "rejected" }, Number(rejectedPaths));
      this.#ribPaths.set({ family, kind: "multipath" }, Number(multipathPaths));
      this.#ribMultipath.set({ family }, Number(multipathPrefixes));
    }
    this.#ribMemory.set(Number(summary.memoryBytes));
    this.#attributeSets.set(Number(summary.attributeSets));
    this.#updateGroups.set(summary.updateGroups);
    this.#bestPathRuns.reset();
    this.#bestPathRuns.inc(Number(summary.bestPathRuns));
  }

  #showResources(): void {
    const { phases, operations, failures, drifts } = this.#owner.view.resourceCounts();
    this.#resources.reset();
    for (const [phase, count] of Object.entries(phases)) this.#resources.set({ phase }, count);
    for (const counter of [this.#kernelOperations, this.#kernelDrifts]) counter.reset();
    this.#kernelOperations.inc({ outcome: "done" }, operations - failures);
    this.#kernelOperations.inc({ outcome: "refused" }, failures);
    this.#kernelDrifts.inc(drifts);
  }

  #showNetlink(): void {
    const counts = this.kernelCounts();
    if (!counts) return;
    const { notifications, overruns, linkDumps, routeLookups, failures } = counts;
    for (const metric of [this.#netlinkNotices, this.#netlinkOverruns, this.#netlinkFailures]) metric.reset();
    this.#netlinkNotices.inc(notifications);
    this.#netlinkOverruns.inc(overruns);
    this.#netlinkFailures.inc(failures);
    this.#netlinkRequests.reset();
    this.#netlinkRequests.inc({ kind: "links" }, linkDumps);
    this.#netlinkRequests.inc({ kind: "route" }, routeLookups);
  }

  #showKernel(): void {
    const { view } = this.#owner;
    const counts = view.nextHopCounts();
    const links = view.links();
    this.#showNetlink();
    if (!counts || !links) return;
    this.#nextHops.set({ state: "reachable" }, counts.reachable);
    this.#nextHops.set({ state: "unreachable" }, counts.unreachable);
    this.#nextHopChanges.reset();
    this.#nextHopChanges.inc(counts.changes);
    this.#nextHopPaths.reset();
    this.#nextHopPaths.inc(counts.pathsSettled);
    const up = links.filter((link) => link.up).length;
    this.#links.set({ state: "up" }, up);
    this.#links.set({ state: "down" }, links.length - up);
  }

  #showPolicies(): void {
    this.#policyDecisions.reset();
    const stats = this.#owner.view.policyStats("");
    for (const { policy, statements } of stats.ok ? stats.value : []) {
      for (const { statement, name, hits } of statements) {
        this.#policyDecisions.inc({ policy, statement: name || String(statement) }, Number(hits));
      }
    }
  }

  #counter<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
    return new Counter({ ...this.#describe("counter", name, help, labelNames), labelNames });
  }

  #gauge<Label extends string>(name: string, help: string, labelNames: Label[]): Gauge<Label> {
    return new Gauge({ ...this.#describe("gauge", name, help, labelNames), labelNames });
  }

  #histogram(name: string, help: string, buckets: number[]): Histogram {
    return new Histogram({ ...this.#describe("histogram", name, help, []), buckets });
  }

  #describe(type: string, name: string, help: string, labels: readonly string[]) {
    this.#descriptions.push({ name: `cairn_${name}`, type, labels, help });
    return { name: `cairn_${name}`, help, registers: [this.#registry] };
  }
}

const messageTypes = [
  ["open", "opens"],
  ["update", "updates"],
  ["keepalive", "keepalives"],
  ["notification", "notifications"],
  ["refresh", "refreshes"],
] as const;

function secondsOf(duration: Duration | undefined): number {
  return duration ? Number(duration.seconds) + duration.nanos / 1e9 : 0;
}
