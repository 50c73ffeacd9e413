/** Health checks: how they stand, and what came of their probes. */
import type { Area, MetricSet } from "./metric-set.ts";

export function healthMetrics(set: MetricSet): Area {
  const healthy = set.gauge(
    "health_check_healthy",
    "1 while a health check is healthy, 0 while it is unhealthy; absent while it is unknown.",
    ["check"],
  );
  const checks = set.gauge("health_checks", "Health checks, by state.", ["state"]);
  const latency = set.gauge(
    "health_check_latency_seconds",
    "Time to the answer of the last probe of a health check that passed.",
    ["check"],
  );
  const rounds = set.counter(
    "health_check_probes_total",
    "Probes of a health check, by outcome: passed, failed, blocked (this host could not send).",
    ["check", "outcome"],
  );
  const changes = set.counter("health_check_changes_total", "Changes of the state of a health check.", [
    "check",
  ]);
  return (view) => () => {
    const counts = { healthy: 0, unhealthy: 0, unknown: 0 };
    for (const { name: check, health, latencyMs, rounds: ended, changes: changed } of view.healthChecks()) {
      counts[health]++;
      if (health !== "unknown") healthy.set({ check }, health === "healthy" ? 1 : 0);
      if (latencyMs !== undefined) latency.set({ check }, latencyMs / 1000);
      for (const [outcome, count] of Object.entries(ended)) rounds.inc({ check, outcome }, count);
      changes.inc({ check }, changed);
    }
    for (const [state, count] of Object.entries(counts)) checks.set({ state }, count);
  };
}
