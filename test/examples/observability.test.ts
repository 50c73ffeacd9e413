/** examples/grafana and examples/prometheus: what they ask for exists in the metrics, label by label. */
import assert from "node:assert/strict";
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { CairnMetrics } from "../../src/services/metrics.ts";
import { FakeOwner } from "../../src/services/testing/fake-owner.ts";
import { type Json, root, run, scratch } from "../e2e/harness.ts";
import { missing } from "./rig.ts";

const examples = join(root, "examples");
const described = new CairnMetrics(new FakeOwner({ routes: 0 }), "0").describe();
const known = new Map(described.map(({ name, type, labels }) => [name, { type, labels }]));

/** Labels that Prometheus adds. */
const scrape = ["instance", "job"];

/** Where values of labels come from; those of gRPC codes are names of the protocol. */
const sources = [
  ...globSync("src/services/metrics{.ts,/*.ts}", { cwd: root }),
  "src/state/core-view.ts",
  "src/state/resources.ts",
  "src/wire/family.ts",
  "src/services/problems.ts",
]
  .map((file) => readFileSync(join(root, file), "utf8"))
  .join("\n");
const codes = ["OK", "INTERNAL", "UNKNOWN", "DATA_LOSS"];

/** What is wrong with a query: names, labels and values that cairn does not have. */
function faults(expr: string, legend = ""): string[] {
  const found: string[] = [];
  const labels = new Set(scrape);
  for (const [, written, selector = ""] of expr.matchAll(/\b(cairn_[a-z0-9_]+)(?:\{([^}]*)\})?/g)) {
    const base = written.replace(/_(bucket|sum|count)$/, "");
    const histogram = known.get(base)?.type === "histogram";
    const metric = known.get(histogram ? base : written);
    if (!metric) {
      found.push(`no metric ${written}`);
      continue;
    }
    if (histogram && base === written) found.push(`${written} is a histogram`);
    if (metric.type === "counter" && !new RegExp(`(rate|increase)\\(${written}\\b`).test(expr))
      found.push(`the counter ${written} is shown as it is`);
    const own = [...metric.labels, ...scrape, ...(histogram ? ["le"] : [])];
    for (const label of own) labels.add(label);
    for (const [, label, value] of selector.matchAll(/(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"/g)) {
      if (!own.includes(label)) found.push(`${written} has no label ${label}`);
      for (const each of value.startsWith("$") ? [] : value.split("|")) {
        const there = sources.includes(`"${each}"`) || (label === "code" && codes.includes(each));
        // Keys of objects stand without quotes.
        if (!there && !new RegExp(`\\b${each}:`).test(sources))
          found.push(`${written} has no ${label} ${each}`);
      }
    }
  }
  for (const [, list] of expr.matchAll(/\b(?:by|on|without|ignoring)\s*\(([^)]*)\)/g)) {
    for (const label of list.split(/,\s*/)) if (!labels.has(label)) found.push(`by ${label}: nobody has it`);
  }
  for (const [, label] of legend.matchAll(/\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}/g)) {
    if (!labels.has(label)) found.push(`legend ${label}: nobody has it`);
  }
  return found.map((fault) => `${fault} in: ${expr}`);
}

test("the check sees what is wrong", () => {
  assert.equal(faults("cairn_neighbour_up").length, 1);
  assert.equal(faults('cairn_neighbor_up{state="established"}').length, 1);
  assert.equal(faults('cairn_rib_paths{kind="wurst"}').length, 1);
  assert.equal(faults("sum by (color) (cairn_neighbor_up)").length, 1);
  assert.equal(faults("cairn_neighbor_up", "{{ $labels.family }}").length, 1);
  assert.equal(faults("cairn_best_path_runs_total").length, 1);
  assert.equal(faults("rate(cairn_loop_delay_seconds[5m])").length, 1);
});

test("every query of the dashboard asks for metrics that exist", () => {
  const dashboard = JSON.parse(readFileSync(join(examples, "grafana/cairn.json"), "utf8"));
  const panels: Json[] = dashboard.panels.filter(({ type }: Json) => type !== "row");
  assert.ok(panels.length > 40);
  const wrong: string[] = [];
  for (const { title, targets, gridPos } of panels) {
    assert.ok(targets.length > 0 && gridPos.x + gridPos.w <= 24, title);
    for (const { expr, legendFormat } of targets) {
      wrong.push(...faults(expr.replaceAll("$__rate_interval", "5m"), legendFormat));
      assert.match(expr, /instance=~"\$instance"/, `${title}: of the routers that were chosen`);
    }
  }
  for (const { expr, textFormat } of dashboard.annotations.list) wrong.push(...faults(expr, textFormat));
  for (const { definition = "" } of dashboard.templating.list) wrong.push(...faults(definition));
  assert.deepEqual(wrong, []);
  assert.equal(new Set(dashboard.panels.map(({ id }: Json) => id)).size, dashboard.panels.length);
});

test("every alert asks for metrics that exist, says what it is about and what to ask", () => {
  const { groups } = parse(readFileSync(join(examples, "prometheus/alerts.yml"), "utf8"));
  const rules: Json[] = groups.flatMap((group: Json) => group.rules);
  assert.ok(rules.length > 20);
  const wrong: string[] = [];
  for (const { alert, expr, labels, annotations } of rules) {
    assert.match(alert, /^Cairn[A-Z]/);
    assert.ok(["critical", "warning", "info"].includes(labels.severity), alert);
    assert.match(annotations.summary, /\{\{ \$labels\.instance \}\}/, alert);
    assert.ok(annotations.description, alert);
    wrong.push(...faults(expr, annotations.summary + annotations.description));
  }
  assert.deepEqual(wrong, []);
  assert.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length);
});

test("promtool takes the rules, which fire when they should, and the queries of the dashboard", {
  skip: missing("promtool"),
}, async (t) => {
  const { panels } = JSON.parse(readFileSync(join(examples, "grafana/cairn.json"), "utf8"));
  const queries: string[] = panels.flatMap(({ targets = [] }: Json) => targets.map(({ expr }: Json) => expr));
  const rules = queries.map((expr, i) => ({
    record: `query:${i}`,
    expr: expr.replaceAll("$__rate_interval", "5m").replace(/\$\w+/g, ".*"),
  }));
  const asRules = join(scratch(t), "dashboard.yml");
  writeFileSync(asRules, JSON.stringify({ groups: [{ name: "dashboard", rules }] }));
  for (const words of [
    ["check", "rules", "alerts.yml"],
    ["test", "rules", "alerts-test.yml"],
    ["check", "rules", asRules],
  ]) {
    const { code, out, err } = await run("promtool", words, { cwd: join(examples, "prometheus") });
    assert.equal(code, 0, out + err);
  }
});
