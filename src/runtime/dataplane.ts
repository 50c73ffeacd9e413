/** The kernel that the daemon looks at: Linux, a simulated one, or none. */

import { FakeFib } from "../dataplane/fib/fake-fib.ts";
import { LinuxDataplane } from "../dataplane/host/linux-dataplane.ts";
import { KernelObserver, type ObserverCounts } from "../dataplane/host/observer.ts";
import type { Link } from "../dataplane/kernel-model.ts";
import { type DataplaneNews, MemoryDataplane } from "../dataplane/memory-dataplane.ts";
import { type KernelNews, KernelSimulator } from "../dataplane/simulated-kernel.ts";
import type { Effect } from "../state/effects.ts";
import type { Input } from "../state/inputs.ts";
import type { Dataplane } from "../state/kernel-watch.ts";
import type { Failpoint } from "./failpoint.ts";
import type { FibEffect } from "./fib-thread.ts";
import { errnoName, native, nativeMissing } from "./native.ts";
import { countedCalls, type NetlinkCounts } from "./netlink-calls.ts";

export const dataplanes: readonly Dataplane[] = ["linux", "memory", "none"];

/** Carries out what the core asks of a kernel. */
export interface DataplanePort {
  apply(effect: Extract<Effect, { kind: `kernel.${string}` | `dataplane.${string}` }>): void;
  /** Begins to tell. @returns a sentence on why that is not possible; empty when it is */
  start(): string;
  counts(): (ObserverCounts & NetlinkCounts) | undefined;
  /** Takes BGP routes in the place of the thread that writes them into Linux. */
  readonly fib?: { apply(effect: FibEffect): void };
  close(): void;
}

type News = KernelNews & DataplaneNews & FibNews;

export interface FibNews {
  fib(input: Extract<Input, { kind: `fib.${string}` }>): void;
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
    later: (ms, call) => void setTimeout(call, ms),
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
  return {
    apply: (effect) => {
      if (effect.kind === "kernel.watch") simulator.watch(effect.watch, effect.unwatch);
      else if (effect.kind === "kernel.simulate") simulator.replace(effect.kernel);
      else if (effect.kind === "dataplane.watch") own.watch(effect.watch);
      else own.apply(effect.batch, effect.operations);
    },
    start: () => {
      simulator.replace({ links: [], routes: [] });
      own.start();
      return "";
    },
    counts: () => undefined,
    fib: { apply: (effect) => applyFib(fake, effect, news) },
    close: () => {},
  };
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
