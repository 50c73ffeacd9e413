/** Routes of the kernel in BGP. */
import type { Area, MetricSet } from "./metric-set.ts";

export function redistributeMetrics(set: MetricSet): Area {
  const routes = set.gauge(
    "redistributed_routes",
    "Routes of the kernel that a Redistribute takes, by state: announced, refused (by policy), over_limit.",
    ["redistribute", "state"],
  );
  return (view) => () => {
    for (const { name: redistribute, announced, refused, over } of view.redistributions()) {
      routes.set({ redistribute, state: "announced" }, announced);
      routes.set({ redistribute, state: "refused" }, refused);
      routes.set({ redistribute, state: "over_limit" }, over);
    }
  };
}
