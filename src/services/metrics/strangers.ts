/** Dynamic neighbors, and segments that the kernel refused. */
import type { Area, MetricSet } from "./metric-set.ts";

export function strangerMetrics(set: MetricSet): Area {
  const dynamicNeighbors = set.gauge(
    "dynamic_neighbors",
    "Neighbors that came in by a range, by state: all, established.",
    ["range", "state"],
  );
  const dynamicAccepted = set.counter(
    "dynamic_connections_accepted_total",
    "Connections that a range took.",
    ["range"],
  );
  const dynamicRefused = set.counter(
    "dynamic_connections_refused_total",
    "Connections that a range had no place for, by reason: limit, rate.",
    ["range", "reason"],
  );
  const refusedSegments = set.counter(
    "tcp_refused_segments_total",
    "TCP segments that the kernel refused in this network namespace, by reason.",
    ["reason"],
  );
  return (view) => () => {
    for (const { metadata } of view.objects("DynamicRange")) {
      const range = metadata.name;
      const state = view.dynamicRange(range);
      if (!state) continue;
      dynamicNeighbors.set({ range, state: "all" }, state.neighbors);
      dynamicNeighbors.set({ range, state: "established" }, state.established);
      dynamicAccepted.inc({ range }, Number(state.accepted));
      dynamicRefused.inc({ range, reason: "limit" }, Number(state.refusedLimit));
      dynamicRefused.inc({ range, reason: "rate" }, Number(state.refusedRate));
    }
    for (const [name, count] of Object.entries(view.refusedSegments() ?? {})) {
      const reason = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
      refusedSegments.inc({ reason }, count);
    }
  };
}
