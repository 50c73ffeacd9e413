/** Tables, and what policies decided. */
import type { Area, MetricSet } from "./metric-set.ts";

export function tableMetrics(set: MetricSet): Area {
  const ribPrefixes = set.gauge("rib_prefixes", "Prefixes in the table.", ["family"]);
  const ribPaths = set.gauge(
    "rib_paths",
    "Paths in the table, by kind: all, best, multipath (used side by side), rejected.",
    ["family", "kind"],
  );
  const ribMultipath = set.gauge(
    "rib_multipath_prefixes",
    "Prefixes for which several paths are used side by side.",
    ["family"],
  );
  const ribMemory = set.gauge("rib_memory_bytes", "Bytes in columns and attribute storage.", []);
  const attributeSets = set.gauge("attribute_sets", "Distinct sets of path attributes.", []);
  const updateGroups = set.gauge("update_groups", "Groups of neighbors that share one Adj-RIB-Out.", []);
  const bestPathRuns = set.counter("best_path_runs_total", "Best path selections.", []);
  const policyDecisions = set.counter(
    "policy_decisions_total",
    "Routes that a statement of a policy matched, or its default action decided, since the policy last changed.",
    ["policy", "statement"],
  );
  return (view) => () => {
    const summary = view.ribSummary();
    for (const one of summary.families) {
      const { family, prefixes, paths, bestPaths, rejectedPaths, multipathPrefixes, multipathPaths } = one;
      ribPrefixes.set({ family }, Number(prefixes));
      ribPaths.set({ family, kind: "all" }, Number(paths));
      ribPaths.set({ family, kind: "best" }, Number(bestPaths));
      ribPaths.set({ family, kind: "rejected" }, Number(rejectedPaths));
      ribPaths.set({ family, kind: "multipath" }, Number(multipathPaths));
      ribMultipath.set({ family }, Number(multipathPrefixes));
    }
    ribMemory.set(Number(summary.memoryBytes));
    attributeSets.set(Number(summary.attributeSets));
    updateGroups.set(summary.updateGroups);
    bestPathRuns.inc(Number(summary.bestPathRuns));
    const stats = view.policyStats("");
    for (const { policy, statements } of stats.ok ? stats.value : []) {
      for (const { statement, name, hits } of statements) {
        policyDecisions.inc({ policy, statement: name || String(statement) }, Number(hits));
      }
    }
  };
}
