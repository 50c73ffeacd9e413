/** Egress policies: which candidates can be used, which are chosen, and how often that changed. */
import type { Area, MetricSet } from "./metric-set.ts";

export function egressMetrics(set: MetricSet): Area {
  const labels = ["policy", "candidate"];
  const usable = set.gauge(
    "egress_candidate_usable",
    "1 while new flows may take the candidate, else 0.",
    labels,
  );
  const selected = set.gauge(
    "egress_candidate_selected",
    "1 while new flows take the candidate, else 0.",
    labels,
  );
  const transitions = set.counter(
    "egress_transitions_total",
    "Changes of what an EgressRoutePolicy has chosen, since the start.",
    ["policy"],
  );
  return (view) => () => {
    for (const { metadata } of view.objects("EgressRoutePolicy")) {
      const state = view.egressPolicy(metadata.name);
      if (!state) continue;
      transitions.inc({ policy: metadata.name }, Number(state.transitions));
      for (const candidate of state.candidates) {
        const of = { policy: metadata.name, candidate: candidate.name };
        usable.set(of, candidate.usable ? 1 : 0);
        selected.set(of, candidate.selected ? 1 : 0);
      }
    }
  };
}
