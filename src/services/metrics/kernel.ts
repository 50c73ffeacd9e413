/** The kernel: links, ways to next hops, netlink, and what objects ask of it. */
import type { Area, MetricSet } from "./metric-set.ts";

/** Counted by whoever looks at the kernel, since the start. */
export interface KernelCounts {
  readonly notifications: number;
  readonly overruns: number;
  readonly linkDumps: number;
  readonly routeLookups: number;
  readonly failures: number;
  /** Netlink messages sent, and the system calls that sent them, many at once. */
  readonly messages: number;
  readonly sends: number;
}

/** @param kernelCounts what the observer of the kernel counts; undefined where there is none */
export function kernelMetrics(set: MetricSet, kernelCounts: () => KernelCounts | undefined): Area {
  const nextHops = set.gauge("next_hops", "Next hops of accepted paths, by state.", ["state"]);
  const nextHopChanges = set.counter(
    "next_hop_changes_total",
    "Next hops that came out otherwise: reachable or not, on a link or not, metric.",
    [],
  );
  const nextHopPaths = set.counter(
    "next_hop_paths_settled_total",
    "Paths looked at again because their next hop came out otherwise.",
    [],
  );
  const netlinkNotices = set.counter(
    "netlink_notifications_total",
    "Notifications of the kernel that were read.",
    [],
  );
  const netlinkOverruns = set.counter(
    "netlink_overruns_total",
    "Times that the kernel dropped notifications because they were not read fast enough; all was looked at again.",
    [],
  );
  const netlinkRequests = set.counter(
    "netlink_requests_total",
    "Questions to the kernel: links as a whole, the route to a next hop.",
    ["kind"],
  );
  const netlinkMessages = set.counter(
    "netlink_messages_total",
    "Messages sent to the kernel: questions, and changes of links, addresses, routes and rules. BGP routes are counted apart.",
    [],
  );
  const netlinkSends = set.counter(
    "netlink_sends_total",
    "Times that messages were sent to the kernel, one or many at once.",
    [],
  );
  const netlinkFailures = set.counter(
    "netlink_failures_total",
    "Questions that the kernel did not answer; they were asked again.",
    [],
  );
  const links = set.gauge("links", "Links of the host, by state.", ["state"]);
  const resources = set.gauge("resources", "Objects that ask something of the kernel, by phase.", ["phase"]);
  const kernelOperations = set.counter(
    "kernel_operations_total",
    "Changes asked of the kernel, by outcome.",
    ["outcome"],
  );
  const kernelDrifts = set.counter(
    "kernel_drifts_total",
    "Times that somebody else altered or removed what is cairn's in the kernel.",
    [],
  );
  const fibRoutes = set.gauge("fib_routes", "Routes of FIB tables, by what became of them.", ["state"]);
  const fibWrites = set.counter(
    "fib_writes_total",
    "Routes that the kernel was asked to take, change or drop, by outcome.",
    ["outcome"],
  );
  const fibDumps = set.counter("fib_dumps_total", "Times that a table of the kernel was read whole.", []);
  const fibDrifts = set.counter(
    "fib_drifts_total",
    "Routes of FIB tables that somebody else altered or removed.",
    [],
  );
  const loggedPackets = set.counter(
    "firewall_logged_packets_total",
    "Packets that firewall rules have logged: told as events, or dropped as more came than are told.",
    ["outcome"],
  );
  return (view) => {
    const showNetlink = (seen: KernelCounts): void => {
      const { notifications, overruns, linkDumps, routeLookups, failures, messages, sends } = seen;
      netlinkMessages.inc(messages);
      netlinkSends.inc(sends);
      netlinkNotices.inc(notifications);
      netlinkOverruns.inc(overruns);
      netlinkFailures.inc(failures);
      netlinkRequests.inc({ kind: "links" }, linkDumps);
      netlinkRequests.inc({ kind: "route" }, routeLookups);
    };
    return () => {
      const { phases, operations, failures, drifts } = view.resourceCounts();
      for (const [phase, count] of Object.entries(phases)) resources.set({ phase }, count);
      kernelOperations.inc({ outcome: "done" }, operations - failures);
      kernelOperations.inc({ outcome: "refused" }, failures);
      kernelDrifts.inc(drifts);
      const logged = view.loggedPackets();
      loggedPackets.inc({ outcome: "told" }, logged.told);
      loggedPackets.inc({ outcome: "dropped" }, logged.dropped);
      const fib = view.fibCounts();
      if (fib) {
        for (const [state, count] of Object.entries(fib.routes)) fibRoutes.set({ state }, count);
        fibWrites.inc({ outcome: "done" }, fib.writes - fib.failures);
        fibWrites.inc({ outcome: "refused" }, fib.failures);
        fibDumps.inc(fib.dumps);
        fibDrifts.inc(fib.drifts);
      }
      const seen = kernelCounts();
      if (seen) showNetlink(seen);
      const counts = view.nextHopCounts();
      const all = view.links();
      if (!counts || !all) return;
      nextHops.set({ state: "reachable" }, counts.reachable);
      nextHops.set({ state: "unreachable" }, counts.unreachable);
      nextHopChanges.inc(counts.changes);
      nextHopPaths.inc(counts.pathsSettled);
      const up = all.filter((link) => link.up).length;
      links.set({ state: "up" }, up);
      links.set({ state: "down" }, all.length - up);
    };
  };
}
