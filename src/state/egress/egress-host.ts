/** What egress policies see of the core. */
import type { Core } from "../core.ts";
import type { HealthSource } from "../health/health.ts";
import type { Specs } from "../objects.ts";
import type { EgressHost } from "./egress-policies.ts";

/** @param specs those that are durable */
export function egressHost(core: Core, specs: Specs, health: HealthSource): EgressHost {
  return {
    specs,
    health,
    names: (kind) => core.objects.entries(kind).map(({ name }) => name),
    link: (ifname) => core.kernel.links.named(ifname),
    linksKnown: () => core.kernel.links.known,
    persist: (change) => core.persist([{ table: "ledger", ...change }]),
    changed: (name) => core.resources.egressChanged(name),
    isInKernel: (name) => core.resources.isInKernel("EgressRoutePolicy", name),
    nowMs: () => core.nowMs,
    wallMs: () => core.wallMs,
    event: core.event,
  };
}
