/** History and as-of queries of the real daemon, over the API and by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Daemon, type Json, neighborToml, until } from "./harness.ts";
import { Speaker } from "./speaker.ts";

const config = `history_changes = 1_000\n${neighborToml("127.0.0.2", 65_002)}${neighborToml("127.0.0.3", 65_003)}`;

/** A moment that nothing shares with what happened before it or after. */
async function moment(): Promise<string> {
  await delay(15);
  const at = new Date().toISOString();
  await delay(15);
  return at;
}

test("what happened to a route, and the table as it was, over the API and by cairnctl", async (t) => {
  const daemon = await Daemon.start(t, { config });
  const before = new Date(Date.now() - 3_600_000).toISOString();
  const [two, three] = await Promise.all(
    [2, 3].map((n) => Speaker.establish(t, { local: `127.0.0.${n}`, port: daemon.bgpPort, asn: 65_000 + n })),
  );
  const bestOf = async (prefix: string): Promise<string> => {
    const { routes = [] } = await daemon.call("RibService/ListBestRoutes", { filter: { prefix } });
    return routes[0]?.neighbor ?? "";
  };
  const prefix = "198.51.100.0/24";
  const empty = await moment();
  two.announce([prefix, "203.0.113.0/24"], { asPath: [{ type: 2, asns: [65_002, 65_100] }] });
  await until("the first", async () => (await bestOf(prefix)) === "127.0.0.2");
  const first = await moment();
  three.announce([prefix]);
  await until("a better one", async () => (await bestOf(prefix)) === "127.0.0.3");
  const second = await moment();
  two.close();
  await until("the end of a session", async () => (await bestOf("203.0.113.0/24")) === "");
  three.withdraw([prefix]);
  await until("none", async () => (await bestOf(prefix)) === "");

  const past = async (at: string): Promise<string[]> => {
    const { routes = [] } = await daemon.call("RibService/ListBestRoutes", { at });
    return routes.map((route: Json) => `${route.prefix} ${route.neighbor} ${route.best}`).sort();
  };
  assert.deepEqual(await past(empty), []);
  assert.deepEqual(await past(first), [`${prefix} 127.0.0.2 true`, "203.0.113.0/24 127.0.0.2 true"]);
  assert.deepEqual(await past(second), [`${prefix} 127.0.0.3 true`, "203.0.113.0/24 127.0.0.2 true"]);
  const streamed: Json[] = [];
  for await (const { routes = [] } of daemon.stream("RibService/StreamBestRoutes", { at: second })) {
    streamed.push(...routes);
  }
  assert.equal(streamed.length, 2);
  const found = await daemon.call("RibService/LookupRoute", { target: "198.51.100.9", at: first });
  assert.deepEqual([found.prefix, found.routes[0].neighbor], [prefix, "127.0.0.2"]);
  const page = await daemon.call("RibService/ListBestRoutes", { at: second, pageSize: 1 });
  assert.deepEqual([page.routes.length, page.totalSize ?? "0"], [1, "0"]);

  const { events, reachesBackTo } = await daemon.call("RibService/ListRouteEvents", { prefix });
  assert.deepEqual(
    events
      .filter(({ kind }: Json) => kind === "KIND_BEST_PATH")
      .map(({ before, after, decidedBy = "" }: Json) =>
        [before?.neighbor ?? "none", after?.neighbor ?? "none", decidedBy].join(" "),
      ),
    ["127.0.0.3 none ", "127.0.0.2 127.0.0.3 as-path-length", "none 127.0.0.2 "],
  );
  const his = await daemon.call("RibService/ListRouteEvents", {
    neighbor: "127.0.0.3",
    since: first,
    until: second,
  });
  assert.equal(his.events.length, 2, "his path, and that it became the best");
  const pages: Json[] = [];
  for (let pageToken = ""; ; ) {
    const part = await daemon.call("RibService/ListRouteEvents", { pageSize: 2, pageToken });
    pages.push(...(part.events ?? []));
    pageToken = part.nextPageToken ?? "";
    if (pageToken === "") break;
  }
  const ids = pages.map(({ id }) => Number(id));
  assert.deepEqual(
    ids,
    [...new Set(ids)].sort((a, b) => b - a),
    "newest first, each once",
  );
  assert.ok(ids.length >= 8);

  for (const [rpc, request] of [
    ["RibService/ListBestRoutes", { at: before }],
    ["RibService/LookupRoute", { target: prefix, at: before }],
  ] as const) {
    const refused = await daemon.refused(rpc, request);
    assert.equal(refused.code, "failed_precondition");
    assert.match(refused.message, /too long ago: what is remembered reaches back to/);
    assert.ok(refused.message.includes(reachesBackTo.slice(0, 19)), refused.message);
  }
  const future = await daemon.refused("RibService/ListBestRoutes", { at: "2999-01-01T00:00:00Z" });
  assert.equal(future.code, "invalid_argument");
  assert.match(future.message, /has not come yet/);
  const filter = { rpkiState: "valid" };
  assert.match(
    (await daemon.refused("RibService/ListBestRoutes", { at: first, filter })).message,
    /not remembered/,
  );

  const shown = await daemon.ctl("rib", "history", prefix);
  assert.equal(shown.code, 0, shown.err);
  assert.match(shown.out, /best path: 127\.0\.0\.2 -> 127\.0\.0\.3 by as-path-length; a path was announced/);
  const table = await daemon.ctl("rib", "--at", first);
  assert.match(table.out, /198\.51\.100\.0\/24/);
  assert.match(
    (await daemon.ctl("rib", "198.51.100.9", "--at", second)).out,
    /was routed by 198\.51\.100\.0\/24/,
  );
  const late = await daemon.ctl("rib", "--at", "2h");
  assert.notEqual(late.code, 0);
  assert.match(late.err, /reaches back to/);
  assert.match((await daemon.ctl("rib", "--at", "2h", "--all")).err, /--all does not go with --at/);

  await daemon.call("GlobalService/SetGlobal", {
    spec: { historyChanges: 0 },
    updateMask: ["history_changes"],
  });
  const off = await daemon.refused("RibService/ListRouteEvents", { prefix });
  assert.equal(off.code, "failed_precondition");
  assert.match(off.message, /not remembered.*history_changes/);
});
