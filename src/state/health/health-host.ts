/** What health checks see of the core. */
import type { Random } from "../../base/random.ts";
import type { Core } from "../core.ts";
import type { Specs } from "../objects.ts";
import type { HealthChecksHost } from "./health-checks.ts";

/** @param specs those that are durable */
export function healthHost(core: Core, specs: Specs, random: Random): HealthChecksHost {
  return {
    specs,
    random,
    names: (kind) => core.objects.entries(kind).map(({ name }) => name),
    effects: core.effects,
    link: (ifname) => core.kernel.links.named(ifname),
    linksKnown: () => core.kernel.links.known,
    changed: (name) => core.resources.changed("HealthCheck", name),
    nowMs: () => core.nowMs,
    wallMs: () => core.wallMs,
    event: core.event,
  };
}
