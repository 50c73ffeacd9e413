import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { metricsDoc, metricsDocPath } from "../../scripts/metrics-doc.ts";
import { ControlService } from "../gen/cairn/v1/control_service_pb.ts";
import { NeighborService } from "../gen/cairn/v1/neighbor_service_pb.ts";
import { PolicyStatsSchema } from "../gen/cairn/v1/policy_service_pb.ts";
import { startMetricsListener } from "./metrics-listener.ts";
import { inProcess } from "./testing/harness.ts";

test("docs/metrics.md is current", () => {
  assert.equal(readFileSync(metricsDocPath, "utf8"), metricsDoc(), "run: node scripts/metrics-doc.ts");
});

test("names have the prefix, and the units that Prometheus asks for", () => {
  const { services } = inProcess({ routes: 0 });
  for (const { name, type, help } of services.metrics.describe()) {
    assert.match(name, /^cairn_[a-z_]+$/);
    assert.equal(name.endsWith("_total"), type === "counter", name);
    assert.ok(help.endsWith("."), name);
  }
});

test("the series of a removed neighbor disappear, and scrapes do not add up", async () => {
  const { services, transport } = inProcess({ routes: 10 });
  const { metrics } = services;
  const neighbor = 'neighbor="192.0.2.3"';
  await metrics.text();
  const before = await metrics.text();
  assert.match(
    before,
    /cairn_neighbor_messages_total\{neighbor="192.0.2.3",direction="received",type="update"\} 420\n/,
  );
  assert.match(
    before,
    /cairn_neighbor_routes\{neighbor="192.0.2.3",family="ipv4-unicast",stage="accepted"\} 1666\n/,
  );
  assert.match(before, /cairn_sessions\{state="established"\} 4\n/);
  assert.match(before, /cairn_neighbor_shutdown\{neighbor="192.0.2.3"\} 0\n/);
  assert.match(before, /cairn_best_path_runs_total 20\n/);
  await createClient(NeighborService, transport).deleteNeighbor({ address: "192.0.2.3" });
  const after = await metrics.text();
  assert.ok(!after.includes(neighbor));
  assert.match(after, /cairn_sessions\{state="established"\} 3\n/);
});

test("what the runtime reports is shown", async () => {
  const { metrics } = inProcess({ routes: 0 }).services;
  metrics.observeLoopDelay(3);
  metrics.countSliceOverrun();
  const text = await metrics.text();
  assert.match(text, /cairn_loop_delay_seconds_bucket\{le="0.005"\} 1\n/);
  assert.match(text, /cairn_slice_overruns_total 1\n/);
});

test("decisions of policies are counted per statement", async () => {
  const { owner, services } = inProcess({ routes: 0 });
  const statements = [
    { statement: 1, name: "bogons", hits: 7n },
    { statement: 2, name: "", hits: 3n },
    { statement: 0, name: "default action", hits: 5n },
  ];
  owner.view.policyStats = () => {
    return { ok: true, value: [create(PolicyStatsSchema, { policy: "transit-in", statements })] };
  };
  await services.metrics.text();
  const lines = (await services.metrics.text()).split("\n");
  assert.deepEqual(
    lines.filter((line) => line.startsWith("cairn_policy_decisions_total")),
    [
      'cairn_policy_decisions_total{policy="transit-in",statement="bogons"} 7',
      'cairn_policy_decisions_total{policy="transit-in",statement="2"} 3',
      'cairn_policy_decisions_total{policy="transit-in",statement="default action"} 5',
    ],
  );
});

test("/metrics, /livez and /readyz over HTTP; GetMetrics gives the same text", async (t) => {
  const { owner, services, transport } = inProcess({ routes: 10 });
  const { metrics } = services;
  const listener = await startMetricsListener({ address: "127.0.0.1", port: 0, owner, metrics });
  t.after(() => listener.close());
  const get = (path: string, init?: RequestInit): Promise<Response> =>
    fetch(`http://${listener.address}${path}`, init);
  const metricNames = (text: string): string[] =>
    text.split("\n").filter((line) => line.startsWith("# TYPE"));
  const scraped = await get("/metrics");
  assert.match(scraped.headers.get("content-type") ?? "", /version=0\.0\.4/);
  const { text } = await createClient(ControlService, transport).getMetrics({});
  assert.deepEqual(metricNames(await scraped.text()), metricNames(text));
  assert.equal((await get("/livez")).status, 200);
  assert.equal((await get("/readyz")).status, 200);
  owner.view.health = () => [{ name: "store", healthy: false, detail: "the disk is full" }];
  const ill = await get("/readyz");
  assert.deepEqual([ill.status, await ill.text()], [503, "store: the disk is full\n"]);
  assert.equal((await get("/livez")).status, 200);
  assert.equal((await get("/other")).status, 404);
  assert.equal((await get("/metrics", { method: "POST" })).status, 405);
  await assert.rejects(
    startMetricsListener({
      address: "127.0.0.1",
      port: Number(listener.address.split(":")[1]),
      owner,
      metrics,
    }),
    /cannot listen for metrics on 127\.0\.0\.1:\d+: .*EADDRINUSE/,
  );
});
