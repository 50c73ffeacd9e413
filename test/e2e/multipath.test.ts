/** Multipath from the configuration file to the operator's eyes: lists, explanation, watch, command line, metrics. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Daemon, type Json } from "./harness.ts";

const prefix = "203.0.113.0/24";
const config = `
[[global.multipath]]
family = "ipv4-unicast"
ibgp = 2

[telemetry]
metrics = "127.0.0.1:0"
`;

test("paths side by side are seen everywhere", async (t) => {
  const daemon = await Daemon.start(t, { config });
  for (const [pathId, bandwidth] of [
    [1, "lb:65001:1000000"],
    [2, "lbt:65001:3000000"],
    [3, "lb:65001:2000000"],
  ]) {
    const path = { prefix, pathId, nextHop: `192.0.2.${pathId}`, extendedCommunities: [bandwidth] };
    await daemon.call("InjectionService/AddPath", { path });
  }
  /** Behind the best path there is no order. */
  const list = async (request: Json): Promise<string[]> => {
    const { routes } = await daemon.call("RibService/ListBestRoutes", request);
    const marks = routes.map(({ nextHop, best, multipath, multipathWeight = "" }: Json) =>
      `${best ? ">" : multipath ? "=" : " "} ${nextHop} ${multipathWeight}`.trimEnd(),
    );
    return marks.sort();
  };
  assert.deepEqual(await list({}), ["> 192.0.2.1 25"]);
  assert.deepEqual(await list({ multipath: true }), ["= 192.0.2.2 75", "> 192.0.2.1 25"]);
  assert.deepEqual(await list({ allPaths: true }), ["  192.0.2.3", "= 192.0.2.2 75", "> 192.0.2.1 25"]);
  const { candidates } = await daemon.call("RibService/ExplainBestPath", { prefix });
  assert.deepEqual(
    candidates.map(({ multipathText = "" }: Json) => multipathText),
    [
      "",
      "used beside the best, weight 75 of 100, link bandwidth 3000000 bytes per second",
      "not used beside the best: 2 paths are used at most",
    ],
  );
  const { out } = await daemon.ctl("rib", "--multipath");
  assert.match(out, /^> +203\.0\.113\.0\/24 +192\.0\.2\.1 +local +25 /m);
  assert.match(out, /^= +203\.0\.113\.0\/24 +192\.0\.2\.2 +local +75 /m);
  const ready = daemon.log.find(({ msg }) => msg === "ready");
  const metrics = await (await fetch(`http://${ready.metrics}/metrics`)).text();
  assert.match(metrics, /^cairn_rib_multipath_prefixes\{family="ipv4-unicast"\} 1$/m);
  assert.match(metrics, /^cairn_rib_paths\{family="ipv4-unicast",kind="multipath"\} 2$/m);
  const summary = await daemon.call("RibService/GetRibSummary", {});
  assert.deepEqual(
    summary.families.map(({ multipathPrefixes = "0", multipathPaths = "0" }: Json) => [
      multipathPrefixes,
      multipathPaths,
    ]),
    [
      ["1", "2"],
      ["0", "0"],
    ],
  );

  for await (const { updated } of daemon.stream("RibService/WatchRoutes", {})) {
    if (!updated) continue;
    assert.deepEqual(
      updated[0].nextHops.map(({ nextHop, weight }: Json) => `${nextHop}*${weight}`),
      ["192.0.2.1*25", "192.0.2.2*75"],
    );
    break;
  }
  await daemon.call("GlobalService/SetGlobal", {
    spec: { multipath: [{ family: "ipv4-unicast", ibgp: 3, linkBandwidth: "LINK_BANDWIDTH_IGNORE" }] },
    updateMask: ["multipath"],
  });
  assert.deepEqual(await list({ multipath: true }), ["= 192.0.2.2 1", "= 192.0.2.3 1", "> 192.0.2.1 1"]);
  const twice = await daemon.refused("GlobalService/SetGlobal", {
    spec: { multipath: [{ family: "ipv4-unicast" }, { family: "ipv4-unicast", ebgp: 65 }] },
    updateMask: ["multipath"],
  });
  assert.deepEqual(twice.fields, ["spec.multipath[1].ebgp", "spec.multipath[1]"]);
});
