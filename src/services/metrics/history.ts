/** The journal of route changes. */
import type { Area, MetricSet } from "./metric-set.ts";

export function historyMetrics(set: MetricSet): Area {
  const kept = set.gauge("history_changes", "Changes of routes that are remembered.", []);
  const limit = set.gauge("history_changes_max", "Changes of routes that are remembered at most.", []);
  const written = set.counter("history_changes_total", "Changes of routes that were written down.", []);
  const bytes = set.gauge("history_bytes", "Bytes of the journal of route changes.", []);
  const reach = set.gauge(
    "history_reaches_back_timestamp_seconds",
    "From when on all changes of routes are remembered, seconds since 1970; 0 while none are.",
    [],
  );
  return (view) => () => {
    const state = view.historyState();
    kept.set(state.count);
    limit.set(state.limit);
    written.inc(state.total);
    bytes.set(state.bytes);
    reach.set((state.reachesBackToMs ?? 0) / 1000);
  };
}
