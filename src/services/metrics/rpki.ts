/** RPKI: caches, what is in force, and how long it took to look at routes again. */
import type { Area, MetricSet } from "./metric-set.ts";

export function rpkiMetrics(set: MetricSet): Area {
  const rpkiCacheUp = set.gauge("rpki_cache_up", "1 while the cache is synchronized, else 0.", ["cache"]);
  const rpkiCacheUsed = set.gauge("rpki_cache_in_use", "1 while what the cache says is in force, else 0.", [
    "cache",
  ]);
  const rpkiCacheRecords = set.gauge("rpki_cache_records", "VRPs and ASPAs of the cache.", ["cache", "type"]);
  const rpkiCacheUpdated = set.gauge(
    "rpki_cache_updated_timestamp_seconds",
    "When the cache last told all that is new.",
    ["cache"],
  );
  const rpkiCacheExpires = set.gauge(
    "rpki_cache_expires_timestamp_seconds",
    "When what the cache said stops to count unless it is heard of.",
    ["cache"],
  );
  const rpkiCacheErrors = set.counter("rpki_cache_errors_total", "Error Reports to and from the cache.", [
    "cache",
    "direction",
  ]);
  const rpkiCacheSets = set.counter(
    "rpki_cache_sets_total",
    "Complete sets and differences taken over from the cache.",
    ["cache", "type"],
  );
  const rpkiRecords = set.gauge("rpki_records", "VRPs and ASPAs in force.", ["type"]);
  const rpkiFileFailed = set.gauge("rpki_file_failed", "1 while a local file cannot be taken, else 0.", [
    "path",
  ]);
  const rpkiChanges = set.counter("rpki_changes_total", "Changes of what is in force.", []);
  const rpkiRevalidated = set.counter(
    "rpki_revalidated_routes_total",
    "Routes looked at again because VRPs or ASPAs changed.",
    [],
  );
  const rpkiDuration = set.gauge(
    "rpki_revalidation_seconds",
    "How long the last change took until all routes were looked at again.",
    [],
  );
  const rpkiMemory = set.gauge("rpki_memory_bytes", "Bytes that VRPs take.", []);
  return (view) => () => {
    for (const { metadata } of view.objects("RpkiCache")) {
      const cache = metadata.name;
      const state = view.rpki.cache(cache);
      rpkiCacheUp.set({ cache }, state?.sessionState === "synchronized" ? 1 : 0);
      if (!state) continue;
      rpkiCacheUsed.set({ cache }, state.inUse ? 1 : 0);
      rpkiCacheRecords.set({ cache, type: "vrp_ipv4" }, Number(state.ipv4Vrps));
      rpkiCacheRecords.set({ cache, type: "vrp_ipv6" }, Number(state.ipv6Vrps));
      rpkiCacheRecords.set({ cache, type: "aspa" }, Number(state.aspas));
      if (state.updated) rpkiCacheUpdated.set({ cache }, Number(state.updated.seconds));
      if (state.expires) rpkiCacheExpires.set({ cache }, Number(state.expires.seconds));
      rpkiCacheErrors.inc({ cache, direction: "sent" }, Number(state.errorsSent));
      rpkiCacheErrors.inc({ cache, direction: "received" }, Number(state.errorsReceived));
      rpkiCacheSets.inc({ cache, type: "complete" }, Number(state.resets));
      rpkiCacheSets.inc({ cache, type: "difference" }, Number(state.updates));
    }
    const summary = view.rpki.summary();
    rpkiRecords.set({ type: "vrp_ipv4" }, Number(summary.ipv4Vrps));
    rpkiRecords.set({ type: "vrp_ipv6" }, Number(summary.ipv6Vrps));
    rpkiRecords.set({ type: "aspa" }, Number(summary.aspas));
    for (const { path, error } of summary.files) rpkiFileFailed.set({ path }, error === "" ? 0 : 1);
    rpkiChanges.inc(Number(summary.changes));
    rpkiRevalidated.inc(Number(summary.revalidated));
    const { lastDuration } = summary;
    if (lastDuration) rpkiDuration.set(Number(lastDuration.seconds) + lastDuration.nanos / 1e9);
    rpkiMemory.set(Number(summary.memoryBytes));
  };
}
