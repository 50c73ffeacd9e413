/** Writes docs/metrics.md from the metrics themselves. Run it after a change: node scripts/metrics-doc.ts */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { CairnMetrics } from "../src/services/metrics.ts";
import { FakeOwner } from "../src/services/testing/fake-owner.ts";

export const metricsDocPath = fileURLToPath(new URL("../docs/metrics.md", import.meta.url));

/** The page as it should be. */
export function metricsDoc(): string {
  const rows = new CairnMetrics(new FakeOwner({ routes: 0 }), "0")
    .describe()
    .map(({ name, type, labels, help }) => {
      return `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(", ")} | ${help} |`;
    });
  return [
    "# Metrics",
    "",
    "Served as Prometheus text at `/metrics` of the telemetry listener, and by `ControlService.GetMetrics`. Units are",
    "base units. Series of a neighbor end when the neighbor is removed. Written by `scripts/metrics-doc.ts`.",
    "",
    "[examples/prometheus](../examples/prometheus/README.md) has alert rules and a Grafana dashboard made of these.",
    "",
    "| metric | type | labels | meaning |",
    "|---|---|---|---|",
    ...rows,
    "",
  ].join("\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(metricsDocPath, metricsDoc());
