/** The kernel that the daemon looks at: Linux, a simulated one, or none. */

import { FakeFib } from "../dataplane/fib/fake-fib.ts";
import { LinuxDataplane } from "../dataplane/host/linux-dataplane.ts";
import { KernelObserver, type ObserverCounts } from "../dataplane/host/observer.ts";
import type { Link } from "../dataplane/kernel-model.ts";
import { type DataplaneNews, MemoryDataplane } from "../dataplane/memory-dataplane.ts";
import { simulatedAnswer } from "../dataplane/probe/simulated-probe.ts";
import { RouteSelection } from "../dataplane/redistribute/route-selection.ts";
import { type KernelNews, KernelSimulator } from "../dataplane/simulated-kernel.ts";
import type { Effect } from "../state/effects.ts";
import type { Input } from "../state/inputs.ts";
import type { Dataplane } from "../state/kernel-watch.ts";
import type { Failpoint } from "./failpoint.ts";
import type { FibEffect } from "./fib-thread.ts";
import type { HealthEffect, HealthInput } from "./health/probes.ts";
import { errnoName, native, nativeMissing } from "./native.ts";
import { countedCalls, type NetlinkCounts } from "./netlink-calls.ts";
import type { RoutesEffect, RoutesInput } from "./route-thread.ts";

export const dataplanes: readonly Dataplane[] = ["linux", "memory", "none"];

/** Carries out what the core asks of a kernel. */
export interface DataplanePort {
  apply(effect: Extract<Effect, { kind: `kernel.${string}` | `dataplane.${string}` }>): void;
  /** Begins to tell. @returns a sentence on why that is not possible; empty when it is */
  start(): string;
  counts(): (ObserverCounts & NetlinkCounts) | undefined;
  /** Takes BGP routes in the place of the thread that writes them into Linux. */
  readonly fib?: { apply(effect: FibEffect): void };
  /** Answers probes in the place of the network. */
  readonly health?: { apply(effect: HealthEffect): void };
  /** Tells of routes in the place of the thread that reads those of Linux. */
  readonly routes?: { apply(effect: RoutesEffect): void };
  close(): void;
}

type News = KernelNews & DataplaneNews & FibNews & HealthNews;

export interface FibNews {
  fib(input: Extract<Input, { kind: `fib.${string}` }>): void;
}

interface HealthNews {
  health(input: HealthInput): void;
  redistribute(input: RoutesInput): void;
}

export function openDataplane(kind: Dataplane, news: News, failpoint: Failpoint): DataplanePort | undefined {
  if (kind === "none") return undefined;
  return kind === "linux" ? linux(news, failpoint) : memory(news);
}

function linux(news: News, failpoint: Failpoint): DataplanePort {
  const links = new Map<number, Link>();
  const sent: NetlinkCounts = { messages: 0, sends: 0 };
  const observer = new KernelObserver({
    links: (changed, gone) => {
      for (const index of gone) links.delete(index);
      for (const link of changed) links.set(link.index, link);
      news.links(changed, gone);
      writer.linksSeen([...links.values()]);
    },
    routeNoticed: (gone, protocol) => writer.routeNoticed(gone, protocol),
    ruleNoticed: () => writer.ruleNoticed(),
    routes: (answers) => news.routes(answers),
    later: (ms, call) => void setTimeout(call, ms),
    nowMs: () => performance.now(),
  });
  const writer = new LinuxDataplane(observer, {
    facts: (all, facts) => news.facts(all, facts),
    applied: (batch, outcomes) => news.applied(batch, outcomes),
    // The slow check must not keep a daemon that ends.
    later: (ms, call) => void setTimeout(call, ms).unref(),
    errnoName: (errno) => errnoName(-errno),
  });
  return {
    apply: (effect) => {
      if (effect.kind === "kernel.watch") observer.watch(effect.watch, effect.unwatch);
      else if (effect.kind === "dataplane.watch") writer.watch(effect.watch, effect.unwatch);
      else if (effect.kind === "dataplane.apply") void writer.apply(effect.batch, effect.operations);
    },
    start: () => {
      if (!native) return nativeMissing ?? "the native addon is missing";
      const calls = countedCalls(native, sent, failpoint);
      const failed = Math.min(writer.open(calls), observer.open(calls));
      return failed < 0 ? `a netlink socket cannot be opened: ${errnoName(failed)}` : "";
    },
    counts: () => ({ ...observer.counts, ...sent }),
    close: () => {
      writer.close();
      observer.close();
    },
  };
}

function memory(news: News): DataplanePort {
  const simulator = new KernelSimulator(news);
  const fake = new FakeFib();
  const own = new MemoryDataplane({ ...news, links: () => {} });
  const routes = new SimulatedRoutes(simulator, news);
  return {
    apply: (effect) => {
      if (effect.kind === "kernel.watch") simulator.watch(effect.watch, effect.unwatch);
      else if (effect.kind === "kernel.simulate") {
        simulator.replace(effect.kernel);
        routes.tell();
      } else if (effect.kind === "dataplane.watch") own.watch(effect.watch);
      else own.apply(effect.batch, effect.operations);
    },
    start: () => {
      simulator.replace({ links: [], routes: [] });
      own.start();
      return "";
    },
    counts: () => undefined,
    fib: { apply: (effect) => applyFib(fake, effect, news) },
    health: { apply: (effect) => applyHealth(simulator, effect, news) },
    routes,
    close: () => {},
  };
}

function applyHealth(simulator: KernelSimulator, effect: HealthEffect, news: HealthNews): void {
  if (effect.kind !== "health.probe") return;
  const { probe, plan } = effect;
  setImmediate(() =>
    news.health({ kind: "health.answered", probe, answer: simulatedAnswer(simulator, plan) }),
  );
}

/** Routes of the simulated kernel for BGP. */
class SimulatedRoutes {
  private readonly simulator: KernelSimulator;
  private readonly news: HealthNews;
  private readonly selections = new Map<number, RouteSelection>();

  constructor(simulator: KernelSimulator, news: HealthNews) {
    this.simulator = simulator;
    this.news = news;
  }

  apply({ scopes }: RoutesEffect): void {
    for (const id of [...this.selections.keys()])
      if (!scopes.some((scope) => scope.id === id)) this.selections.delete(id);
    for (const scope of scopes) {
      const known = this.selections.get(scope.id);
      if (known) known.configure(scope);
      else this.selections.set(scope.id, new RouteSelection(scope));
    }
    this.tell();
  }

  /** What changed, in a turn of its own. */
  tell(): void {
    setImmediate(() => {
      for (const selection of this.selections.values()) {
        const news = selection.update(this.simulator.all());
        if (news) this.news.redistribute({ kind: "routes.news", news });
      }
    });
  }
}

function applyFib(fib: FakeFib, effect: FibEffect, news: FibNews): void {
  // The core hears of it in a turn of its own, as it does of a kernel.
  if (effect.kind === "fib.dump") {
    const dump = fib.dump(effect, effect.size);
    setImmediate(() => news.fib({ kind: "fib.dumped", dump }));
  } else if (effect.kind === "fib.write") {
    const outcome = fib.write(effect.batch);
    setImmediate(() => news.fib({ kind: "fib.written", outcome }));
  }
}
