/** What FIB tables see of the core. */
import type { Core } from "../core.ts";
import type { Specs } from "../objects.ts";
import type { FibTablesHost } from "./fib-tables.ts";

/** @param specs those that are durable */
export function fibHost(core: Core, specs: Specs): FibTablesHost {
  return {
    specs,
    effects: core.effects,
    routing: core.routing,
    groups: core.groups,
    isAwaited: ({ index }) => (core.groups.awaitsFib & (1 << index)) !== 0,
    watchers: core.watchers,
    policies: core.policies,
    // Without them FIB tables are not enabled.
    nextHops: core.routing.nextHops!,
    names: (kind) => core.objects.entries(kind).map(({ name }) => name),
    way: (hop) => core.kernel.nextHops?.way(hop),
    link: (name) => core.kernel.links.named(name),
    linkByIndex: (index) => core.kernel.links.get(index),
    linksKnown: () => core.kernel.links.known,
    record: (neighbor) => core.neighbors.find(neighbor),
    isDeferred: ({ family }) => core.deferral.isDeferred(family),
    isSettled: () => core.kernel.nextHops?.settled ?? true,
    persist: (change) => core.persist([{ table: "ledger", ...change }]),
    removed: () => core.kernel.nextHops?.ownRoutesGone(),
    changed: (name) => core.resources.changed("FibTable", name),
    nowMs: () => core.nowMs,
    event: core.event,
  };
}
