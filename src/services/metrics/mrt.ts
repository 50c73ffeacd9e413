/** MRT files. */
import type { Area, MetricSet } from "./metric-set.ts";

export function mrtMetrics(set: MetricSet): Area {
  const mrtFiles = set.counter("mrt_files_total", "MRT files by outcome: completed, failed.", [
    "dump",
    "outcome",
  ]);
  const mrtRecords = set.counter("mrt_records_total", "Records written to MRT files.", ["dump"]);
  const mrtDropped = set.counter(
    "mrt_records_dropped_total",
    "Updates that are in no MRT file because the disk was too slow or full.",
    ["dump"],
  );
  const mrtQueue = set.gauge("mrt_queue_bytes", "Bytes of MRT files that wait for the disk.", ["dump"]);
  const mrtLast = set.gauge(
    "mrt_last_file_timestamp_seconds",
    "When the last MRT file was completed, seconds since 1970.",
    ["dump"],
  );
  return (view) => () => {
    for (const { metadata } of view.objects("MrtDump")) {
      const dump = metadata.name;
      const state = view.mrtDump(dump);
      if (!state) continue;
      mrtFiles.inc({ dump, outcome: "completed" }, Number(state.files));
      mrtFiles.inc({ dump, outcome: "failed" }, Number(state.failures));
      mrtRecords.inc({ dump }, Number(state.records));
      mrtDropped.inc({ dump }, Number(state.dropped));
      mrtQueue.set({ dump }, Number(state.queuedBytes));
      if (state.lastTime) mrtLast.set({ dump }, Number(state.lastTime.seconds));
    }
  };
}
