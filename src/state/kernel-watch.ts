/**
 * What the core knows of the host's kernel: links, and ways to next hops. With `none` nothing is looked at, and every
 * next hop counts as reachable.
 */
import type { RouteTable } from "../rib/route-table.ts";
import { Links } from "./links.ts";
import type { Neighbors } from "./neighbors.ts";
import { NextHopTracker, type NextHopTrackerHost } from "./next-hop-tracker.ts";
import type { Touched } from "./objects.ts";
import type { Inputs } from "./part.ts";
import type { Sessions } from "./sessions.ts";

/** Where links and routes are seen: nowhere, in the kernel that the shell watches, or in a simulated one. */
export type Dataplane = "none" | "linux" | "memory";

export interface KernelWatchHost extends Omit<NextHopTrackerHost, "link" | "links" | "viaDefault"> {
  readonly dataplane: Dataplane;
  neighbors(): Neighbors;
  sessions(): Sessions;
  /** Links of these names came, went or are otherwise than before. */
  linksChanged(names: Iterable<string>): void;
}

export class KernelWatch {
  readonly dataplane: Dataplane;
  private readonly host: KernelWatchHost;
  readonly links: Links;
  readonly nextHops: NextHopTracker | undefined;
  readonly inputs: Inputs = {
    "kernel.links": ({ changed, gone }) => this.host.linksChanged(this.links.update(changed, gone)),
    "kernel.routes": ({ answers }) => this.nextHops?.answered(answers),
  };

  constructor(host: KernelWatchHost) {
    this.host = host;
    this.dataplane = host.dataplane;
    this.links = new Links({
      neighbors: () => host.neighbors().all(),
      lost: (record) => host.sessions().linkDown(record.id, host.nowMs()),
      changed: () => this.nextHops?.reconsider(),
      event: host.event,
    });
    if (!host.routing.nextHops) return;
    this.nextHops = new NextHopTracker({
      routing: host.routing,
      jobs: host.jobs,
      effects: host.effects,
      event: host.event,
      nowMs: () => host.nowMs(),
      nowS: () => host.nowS(),
      viaDefault: () => host.neighbors().global?.resolveViaDefault ?? true,
      link: (index) => this.links.get(index),
      links: () => this.links.all(),
      moved: (hop) => host.moved(hop),
    });
  }

  /** What counts as a route may be declared otherwise now. */
  apply(touched: readonly Touched[]): void {
    if (touched.some(({ kind }) => kind === "Global")) this.nextHops?.reconsider();
  }

  run(): void {
    this.nextHops?.run();
  }

  get hasWork(): boolean {
    return this.nextHops?.hasWork ?? false;
  }

  nextMs(): number {
    return this.nextHops?.nextMs() ?? Number.POSITIVE_INFINITY;
  }

  passed(table: RouteTable): number | undefined {
    return this.nextHops?.passed(table);
  }
}
