/**
 * Prometheus metrics. Everything that the core knows is read from its view when somebody scrapes, area by area
 * (metrics/); only what happens outside the core (API calls, the loop) is counted here. Names start with `cairn_`,
 * units are base units.
 */
import { Registry } from "prom-client";
import type { Owner } from "../state/view.ts";
import { bfdMetrics } from "./metrics/bfd.ts";
import { bmpMetrics } from "./metrics/bmp.ts";
import { daemonMetrics } from "./metrics/daemon.ts";
import { egressMetrics } from "./metrics/egress.ts";
import { flowSpecFilterMetrics } from "./metrics/flow-spec-filter.ts";
import { healthMetrics } from "./metrics/health.ts";
import { historyMetrics } from "./metrics/history.ts";
import { type KernelCounts, kernelMetrics } from "./metrics/kernel.ts";
import { type Area, type MetricDescription, MetricSet } from "./metrics/metric-set.ts";
import { mrtMetrics } from "./metrics/mrt.ts";
import { neighborMetrics } from "./metrics/neighbors.ts";
import { redistributeMetrics } from "./metrics/redistribute.ts";
import { rpkiMetrics } from "./metrics/rpki.ts";
import { strangerMetrics } from "./metrics/strangers.ts";
import { tableMetrics } from "./metrics/tables.ts";
import { Pacer } from "./pacer.ts";
import type { WatcherSlots } from "./watchers.ts";

export type { KernelCounts, MetricDescription };

export class CairnMetrics {
  readonly #registry = new Registry();
  readonly #set = new MetricSet(this.#registry);
  readonly #owner: Owner;
  readonly #areas: readonly Area[];
  #watchers: WatcherSlots | undefined;
  #scrape: Promise<string> | undefined;
  /** What the observer of the kernel counts; undefined where there is none. */
  kernelCounts: () => KernelCounts | undefined = () => undefined;

  readonly apiCalls = this.#set.lasting("api_calls_total", "API calls that ended, by method and gRPC code.", [
    "method",
    "code",
  ]);
  readonly watcherLagged = this.#set.lasting(
    "watcher_lagged_total",
    "Times a watch told its reader that it missed events.",
    ["kind"],
  );
  readonly lookingGlassRequests = this.#set.lasting(
    "looking_glass_requests_total",
    "Requests to the looking glass, by outcome: answered, refused, limited (too many), abandoned (by the client), failed.",
    ["outcome"],
  );
  readonly #loopDelay = this.#set.histogram(
    "loop_delay_seconds",
    "Time from when the event loop should have run to when it did.",
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5],
  );
  readonly #sliceOverruns = this.#set.lasting(
    "slice_overruns_total",
    "Turns of the core that outran their time slice.",
    [],
  );
  readonly #storeFlushes = this.#set.lasting(
    "store_flushes_total",
    "Transactions of the database, each flushed to disk once; changes that come together share one.",
    [],
  );

  constructor(owner: Owner, version: string) {
    this.#owner = owner;
    const set = this.#set;
    this.#areas = [
      neighborMetrics(set),
      bfdMetrics(set),
      tableMetrics(set),
      historyMetrics(set),
      kernelMetrics(set, () => this.kernelCounts()),
      healthMetrics(set),
      redistributeMetrics(set),
      strangerMetrics(set),
      mrtMetrics(set),
      rpkiMetrics(set),
      bmpMetrics(set),
      egressMetrics(set),
      flowSpecFilterMetrics(set),
      daemonMetrics(set, version, () => owner.uptimeMs()),
      watchMetrics(set, () => this.#watchers),
    ];
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
    return [...this.#set.descriptions].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async #collect(): Promise<string> {
    const pacer = new Pacer();
    const shows: (() => void)[] = [];
    for (const area of this.#areas) shows.push(await area(this.#owner.view, pacer));
    this.#set.reset();
    for (const show of shows) show();
    return this.#registry.metrics();
  }
}

function watchMetrics(set: MetricSet, watchers: () => WatcherSlots | undefined): Area {
  const count = set.gauge("watchers", "Open watches by kind.", ["kind"]);
  const lag = set.gauge("watcher_lag", "Entries that the slowest watch of the kind is behind.", ["kind"]);
  return () => () => {
    for (const kind of ["events", "health", "neighbors", "routes"]) {
      const stats = watchers()?.stats().get(kind);
      count.set({ kind }, stats?.count ?? 0);
      lag.set({ kind }, stats?.lag ?? 0);
    }
  };
}
