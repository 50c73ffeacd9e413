/** The daemon: configuration, health, memory. */
import type { Area, MetricSet } from "./metric-set.ts";

export function daemonMetrics(set: MetricSet, version: string, uptimeMs: () => number): Area {
  const buildInfo = set.gauge("build_info", "Always 1; the label tells the version.", ["version"]);
  const generation = set.gauge("generation", "Generation of the configuration in force.", []);
  const pending = set.gauge("config_pending", "1 while a change waits for its confirmation, else 0.", []);
  const commits = set.counter("config_commits_total", "Changes carried out since the start.", []);
  const refusals = set.counter("config_refusals_total", "Changes refused since the start, by code.", [
    "code",
  ]);
  const uptime = set.gauge("uptime_seconds", "Time since the daemon started.", []);
  const memory = set.gauge("process_resident_memory_bytes", "Resident memory of the daemon.", []);
  const cpu = set.counter("process_cpu_seconds_total", "CPU time of all threads of the daemon.", []);
  const healthy = set.gauge("subsystem_healthy", "1 for a subsystem that is healthy, else 0.", ["subsystem"]);
  return (view) => () => {
    buildInfo.set({ version }, 1);
    generation.set(view.generation);
    pending.set(view.pending() ? 1 : 0);
    const changes = view.changeCounts();
    commits.inc(changes.commits);
    for (const [code, count] of changes.refusals) refusals.inc({ code }, count);
    uptime.set(uptimeMs() / 1000);
    memory.set(process.memoryUsage.rss());
    const { user, system } = process.cpuUsage();
    cpu.inc((user + system) / 1e6);
    for (const subsystem of view.health()) {
      healthy.set({ subsystem: subsystem.name }, subsystem.healthy ? 1 : 0);
    }
  };
}
