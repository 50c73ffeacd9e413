/** What Redistribute sees of the core. */
import type { Core } from "../core.ts";
import type { Specs } from "../objects.ts";
import type { RedistributionsHost } from "./redistributions.ts";

/** @param specs those that are durable */
export function redistributeHost(core: Core, specs: Specs): RedistributionsHost {
  return {
    specs,
    names: (kind) => core.objects.entries(kind).map(({ name }) => name),
    effects: core.effects,
    routing: core.routing,
    policies: core.policies,
    linkName: (index) => core.kernel.links.get(index)?.name ?? String(index),
    changed: (name) => core.resources.changed("Redistribute", name),
    nowMs: () => core.nowMs,
    nowS: () => Math.floor(core.wallMs / 1000),
    event: core.event,
  };
}
