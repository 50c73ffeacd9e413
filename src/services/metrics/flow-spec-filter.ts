/** FlowSpecFilter objects: how many rules each has in the kernel, and how many it cannot have. */
import type { Area, MetricSet } from "./metric-set.ts";

/** States by the names of the values in the status. */
const states = { rules: "installed", not_supported: "not_supported", over_limit: "over_limit" } as const;

export function flowSpecFilterMetrics(set: MetricSet): Area {
  const rules = set.gauge(
    "flowspec_filter_rules",
    "Flow specifications that a FlowSpecFilter takes, by what became of them: installed (or on its way), not_supported, over_limit.",
    ["filter", "state"],
  );
  return (view) => () => {
    for (const { metadata } of view.objects("FlowSpecFilter")) {
      const values = view.resourceStatus("FlowSpecFilter", metadata.name)?.values;
      for (const [value, state] of Object.entries(states)) {
        rules.set({ filter: metadata.name, state }, Number(values?.[value] ?? 0));
      }
    }
  };
}
