/** The kernel that the daemon looks at: Linux, a simulated one, or none. */
import { KernelObserver, type ObserverCounts } from "../dataplane/host/observer.ts";
import { type KernelNews, KernelSimulator } from "../dataplane/simulated-kernel.ts";
import type { Effect } from "../state/effects.ts";
import type { Dataplane } from "../state/kernel-watch.ts";
import { errnoName, native, nativeMissing } from "./native.ts";

export const dataplanes: readonly Dataplane[] = ["linux", "memory", "none"];

/** Carries out what the core asks of a kernel. */
export interface DataplanePort {
  apply(effect: Extract<Effect, { kind: `kernel.${string}` }>): void;
  /** Begins to tell. @returns a sentence on why that is not possible; empty when it is */
  start(): string;
  counts(): ObserverCounts | undefined;
  close(): void;
}

export function openDataplane(kind: Dataplane, news: KernelNews): DataplanePort | undefined {
  if (kind === "none") return undefined;
  return kind === "linux" ? linux(news) : memory(news);
}

function linux(news: KernelNews): DataplanePort {
  const observer = new KernelObserver({
    links: (changed, gone) => news.links(changed, gone),
    routes: (answers) => news.routes(answers),
    later: (ms, call) => void setTimeout(call, ms),
    nowMs: () => performance.now(),
  });
  return {
    apply: (effect) => {
      if (effect.kind === "kernel.watch") observer.watch(effect.watch, effect.unwatch);
    },
    start: () => {
      if (!native) return nativeMissing ?? "the native addon is missing";
      const failed = observer.open(native);
      return failed < 0 ? `a netlink socket cannot be opened: ${errnoName(failed)}` : "";
    },
    counts: () => observer.counts,
    close: () => observer.close(),
  };
}

function memory(news: KernelNews): DataplanePort {
  const simulator = new KernelSimulator(news);
  return {
    apply: (effect) => {
      if (effect.kind === "kernel.watch") simulator.watch(effect.watch, effect.unwatch);
      else simulator.replace(effect.kernel);
    },
    start: () => {
      simulator.replace({ links: [], routes: [] });
      return "";
    },
    counts: () => undefined,
    close: () => {},
  };
}
