/**
 * What the core knows of the host's kernel: links, and ways to next hops. With `none` nothing is looked at, and every
 * next hop counts as reachable.
 */
import type { RouteTable } from "../rib/route-table.ts";
import type { Input } from "./inputs.ts";
import { Links } from "./links.ts";
import type { Neighbors } from "./neighbors.ts";
import { NextHopTracker, type NextHopTrackerHost } from "./next-hop-tracker.ts";
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

  input(input: Extract<Input, { kind: `kernel.${string}` }>): void {
    if (input.kind === "kernel.links") this.host.linksChanged(this.links.update(input.changed, input.gone));
    else this.nextHops?.answered(input.answers);
  }

  /** What counts as a route may be declared otherwise now. */
  globalChanged(): void {
    this.nextHops?.reconsider();
  }

  /** Does a bounded piece of work. */
  run(): void {
    this.nextHops?.run();
  }

  get hasWork(): boolean {
    return this.nextHops?.hasWork ?? false;
  }

  /** When `run` is wanted next, monotonic milliseconds. */
  nextMs(): number {
    return this.nextHops?.nextMs() ?? Number.POSITIVE_INFINITY;
  }

  /** Revision up to which changes of a table have been seen, of those given. */
  passed(table: RouteTable, revision: number): number {
    if (!this.nextHops) return revision;
    const own = this.nextHops.passed(table);
    return ((revision - own) | 0) > 0 ? own : revision;
  }
}
