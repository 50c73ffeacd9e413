/**
 * The looking glass of the real daemon, read the way Alice-LG reads birdwatcher (by a small reader of this test's own),
 * and asked by clients that mean no good. CAIRN_GLASS_ROUTES and CAIRN_GLASS_CLIENTS set how large the large list is, and
 * how many ask for it and read nothing.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { suite, type TestContext, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { Daemon, finallyDo, type Json, neighborToml, until } from "./harness.ts";
import { defaults, flood, Speaker } from "./speaker.ts";

const glassConfig = (more = ""): string => `
history_changes = 10_000

[looking_glass]
listen = "127.0.0.1:0"
reject_community = "65001:65666"
${more}
`;

const policy = `
[[policies]]
name = "picky"
default_action = "accept"
[[policies.statements]]
name = "no-blackholes"
match = { communities = ["65535:666"] }
action = "reject"
`;

function glassPort(daemon: Daemon): number {
  const { lookingGlass } = daemon.log.find(({ msg }) => msg === "ready");
  return Number(lookingGlass.slice(lookingGlass.lastIndexOf(":") + 1));
}

interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
  readonly json: Json;
}

async function ask(port: number, path: string, options: http.RequestOptions = {}): Promise<Answer> {
  const request = http.request({ host: "127.0.0.1", port, path, agent: false, ...options });
  request.end();
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  const isZipped = response.headers["content-encoding"] === "gzip";
  const text = (isZipped ? gunzipSync(bytes) : bytes).toString();
  const isJson = String(response.headers["content-type"]).startsWith("application/json") && text !== "";
  return {
    status: response.statusCode!,
    headers: response.headers,
    text,
    json: isJson ? JSON.parse(text) : undefined,
  };
}

const shortTime = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/;
const fullTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/;

/** What Alice's parser takes from every answer. */
function meta({ api, ttl }: Json): { fromCache: boolean } {
  assert.equal(typeof api.Version, "string");
  assert.equal(typeof api.result_from_cache, "boolean");
  assert.match(api.cache_status.cached_at.date, fullTime);
  assert.match(ttl, fullTime);
  return { fromCache: api.result_from_cache };
}

/** What it takes from a route; anything of another type would end it. */
function route(data: Json): Json {
  for (const name of ["network", "gateway", "learnt_from", "interface", "from_protocol"]) {
    assert.equal(typeof data[name], "string", name);
  }
  assert.match(data.age, shortTime);
  assert.equal(typeof data.primary, "boolean");
  assert.equal(typeof data.metric, "number");
  assert.ok(data.type.every((each: Json) => typeof each === "string"));
  const { bgp } = data;
  assert.ok(bgp.as_path.every((each: Json) => typeof each === "string" && Number.isInteger(Number(each))));
  for (const name of ["origin", "next_hop", "local_pref", "med"])
    assert.equal(typeof bgp[name], "string", name);
  for (const [name, size] of [
    ["communities", 2],
    ["large_communities", 3],
  ] as const) {
    for (const each of bgp[name]) {
      assert.equal(each.length, size);
      assert.ok(each.every((part: Json) => Number.isInteger(part)));
    }
  }
  for (const each of bgp.ext_communities) {
    assert.equal(each.length, 3);
    assert.ok(each.every((part: Json) => typeof part === "string"));
  }
  return data;
}

async function routes(port: number, path: string): Promise<Json[]> {
  const { status, json } = await ask(port, path);
  assert.equal(status, 200, `${path}: ${JSON.stringify(json)}`);
  meta(json);
  return json.routes.map(route);
}

const networks = (list: readonly Json[]): string[] => list.map(({ network }) => network).sort();

async function start(t: TestContext, more = "cache_time = 0"): Promise<{ daemon: Daemon; port: number }> {
  const config =
    glassConfig(more) +
    policy +
    neighborToml("127.0.0.2", 65_002, 'description = "two"\nimport = ["picky"]\nexport = ["accept-all"]') +
    neighborToml("127.0.0.3", 65_003, 'import = ["accept-all"]\nexport = ["reject-all"]') +
    neighborToml("127.0.0.4", 65_004, "shutdown = true");
  const daemon = await Daemon.start(t, { config });
  return { daemon, port: glassPort(daemon) };
}

async function established(t: TestContext, daemon: Daemon): Promise<[Speaker, Speaker]> {
  const speakers = await Promise.all(
    [2, 3].map((n) => Speaker.establish(t, { local: `127.0.0.${n}`, port: daemon.bgpPort, asn: 65_000 + n })),
  );
  return [speakers[0], speakers[1]];
}

suite("the looking glass", () => {
  test("everything that Alice asks for, in the shapes that it reads", async (t) => {
    const { daemon, port } = await start(t);
    const [two, three] = await established(t, daemon);
    two.announce(["10.1.0.0/16", "10.2.0.0/16"], {
      communities: [65_002 * 65_536 + 7, 0xffff_ff01],
      largeCommunities: [[65_002, 1, 2]],
      extendedCommunities: ["0002fde900000064", "0300000000000009"],
      med: 5,
    });
    two.announce(["10.66.0.0/16"], { communities: [0xffff_029a] });
    three.announce(["10.2.0.0/16", "10.3.0.0/16"], { asPath: [{ type: 2, asns: [65_003, 65_100, 65_200] }] });
    await until("routes", async () => (await daemon.best()).length === 3);
    await until("Adj-RIB-Out", async () => (await routes(port, "/routes/export/bgp_127_0_0_2")).length === 1);

    const status = await ask(port, "/status");
    meta(status.json);
    for (const name of ["current_server", "last_reboot", "last_reconfig"])
      assert.match(status.json.status[name], shortTime);
    assert.match(status.json.status.version, /^cairn /);
    assert.match(status.json.status.router_id, /^\d+\.\d+\.\d+\.\d+$/);
    assert.equal(typeof status.json.status.message, "string");

    for (const path of ["/protocols", "/protocols/bgp"]) {
      const { json } = await ask(port, path);
      meta(json);
      assert.deepEqual(Object.keys(json.protocols).sort(), [
        "bgp_127_0_0_2",
        "bgp_127_0_0_3",
        "bgp_127_0_0_4",
      ]);
      const neighbor = json.protocols.bgp_127_0_0_2;
      assert.equal(neighbor.bird_protocol, "BGP");
      assert.equal(neighbor.protocol, "bgp_127_0_0_2");
      assert.equal(neighbor.neighbor_address, "127.0.0.2");
      assert.equal(neighbor.neighbor_as, 65_002);
      assert.equal(neighbor.description, "two");
      assert.equal(neighbor.state, "up");
      assert.match(neighbor.state_changed, shortTime);
      assert.equal(neighbor.last_error, "");
      assert.equal(neighbor.table, "master4");
      assert.deepEqual(neighbor.routes, { imported: 2, filtered: 1, exported: 1, preferred: 2 });
      assert.deepEqual(neighbor.channels.ipv4.routes_count, neighbor.routes);
      assert.equal(json.protocols.bgp_127_0_0_4.state, "down");
      assert.match(json.protocols.bgp_127_0_0_4.state_changed, shortTime);
    }
    const short = (await ask(port, "/protocols/short?uncached=true")).json;
    meta(short);
    assert.equal(short.protocols.bgp_127_0_0_3.state, "up");
    assert.match(short.protocols.bgp_127_0_0_3.since, shortTime);

    const accepted = await routes(port, "/routes/protocol/bgp_127_0_0_2");
    assert.deepEqual(networks(accepted), ["10.1.0.0/16", "10.2.0.0/16"]);
    const [first] = accepted;
    assert.deepEqual(
      [first.from_protocol, first.gateway, first.learnt_from, first.primary],
      ["bgp_127_0_0_2", "127.0.0.2", "127.0.0.2", true],
    );
    assert.deepEqual(first.bgp.communities, [
      [65_002, 7],
      [65_535, 65_281],
    ]);
    assert.deepEqual(first.bgp.large_communities, [[65_002, 1, 2]]);
    assert.deepEqual(first.bgp.ext_communities, [
      ["rt", "65001", "100"],
      ["generic", "0x03000000", "0x00000009"],
    ]);
    assert.deepEqual([first.bgp.origin, first.bgp.med, first.bgp.as_path], ["IGP", "5", ["65002"]]);
    assert.deepEqual(await routes(port, "/routes/peer/127.0.0.2"), accepted);
    assert.deepEqual(await routes(port, "/routes/table/master4/peer/127.0.0.2"), accepted);
    assert.deepEqual(await routes(port, "/routes/protocol/127.0.0.2"), accepted, "by address too");

    const filtered = await routes(port, "/routes/filtered/bgp_127_0_0_2");
    assert.deepEqual(networks(filtered), ["10.66.0.0/16"]);
    assert.match(filtered[0].reject_reason, /picky/);
    assert.deepEqual(filtered[0].bgp.large_communities, [[65_001, 65_666, 6]], "the reason, for Alice");
    assert.deepEqual(await routes(port, "/routes/table/master4/filtered"), filtered);

    assert.deepEqual(networks(await routes(port, "/routes/export/bgp_127_0_0_2")), ["10.3.0.0/16"]);
    assert.deepEqual(networks(await routes(port, "/routes/noexport/bgp_127_0_0_3")), [
      "10.1.0.0/16",
      "10.2.0.0/16",
    ]);
    assert.deepEqual(networks(await routes(port, "/routes/noexport/bgp_127_0_0_2")), []);

    const table = await routes(port, "/routes/table/master4");
    assert.deepEqual(networks(table), ["10.1.0.0/16", "10.2.0.0/16", "10.2.0.0/16", "10.3.0.0/16"]);
    assert.equal(table.filter(({ primary }) => primary).length, 3);
    assert.deepEqual(await routes(port, "/routes/table/master6"), []);
    assert.equal((await routes(port, "/routes/prefix?prefix=10.2.0.0/16")).length, 2);
    for (const path of [
      "/route/net/10.3.7.9",
      "/routes/net/10.3.7.9/table/master4",
      "/route/net/10.3.7.0/mask/24",
    ]) {
      assert.deepEqual(networks(await routes(port, path)), ["10.3.0.0/16"], path);
    }
    assert.deepEqual(await routes(port, "/routes/pipe/filtered?table=master4&pipe=P1"), []);

    const counts: readonly (readonly [string, number])[] = [
      ["/routes/count/protocol/bgp_127_0_0_2", 2],
      ["/routes/count/primary/bgp_127_0_0_3", 1],
      ["/routes/count/table/master4", 4],
      ["/routes/count/table/master6", 0],
      ["/routes/pipe/filtered/count?table=master4&pipe=P1&address=127.0.0.2", 0],
    ];
    for (const [path, count] of counts) assert.equal((await ask(port, path)).json.routes, count, path);

    const pages: Json[] = [];
    for (let token = ""; ; ) {
      const { json } = await ask(port, `/routes/table/master?page_size=3&page_token=${token}`);
      assert.ok(json.routes.length <= 3);
      pages.push(...json.routes);
      token = json.next_page_token;
      if (token === "") break;
    }
    assert.deepEqual(networks(pages), networks(table));

    const zipped = await ask(port, "/routes/table/master4", { headers: { "accept-encoding": "gzip" } });
    assert.equal(zipped.headers["content-encoding"], "gzip");
    assert.deepEqual(zipped.json.routes, table);
    const version = await ask(port, "/version");
    assert.match(version.text, /^\d/);
  });

  test("answers are given again until they are too old, and say so; uncached asks anew", async (t) => {
    const { port } = await start(t, "cache_time = 1");
    const first = (await ask(port, "/protocols")).json;
    assert.equal(meta(first).fromCache, false);
    const second = (await ask(port, "/protocols")).json;
    assert.equal(meta(second).fromCache, true);
    assert.deepEqual(second.api.cache_status, first.api.cache_status);
    assert.deepEqual(second.protocols, first.protocols);
    assert.equal(meta((await ask(port, "/protocols?uncached=true")).json).fromCache, false);
    await until("it is too old", async () => !meta((await ask(port, "/protocols")).json).fromCache);
  });

  test("what is wrong with a request is told, and nothing else happens", async (t) => {
    const { daemon, port } = await start(t);
    const bad: readonly (readonly [string, number, RegExp])[] = [
      ["/", 404, /nothing at this path/],
      ["/routes", 404, /nothing/],
      ["/routes/protocol", 404, /nothing/],
      ["/routes/protocol/bgp_9_9_9_9", 404, /no protocol \\?"bgp_9_9_9_9/],
      [`/routes/protocol/${"9".repeat(300)}`, 404, /no protocol/],
      ["/routes/protocol/%00%ff", 400, /encoded/],
      ["/routes/protocol/..%2f..%2fetc%2fpasswd", 404, /no protocol/],
      ["/../../etc/passwd", 404, /nothing/],
      ["/routes/protocol/bgp_127_0_0_2/more", 404, /nothing/],
      ["/routes/table/inet.0", 404, /there is no table/],
      ["/routes/table/__proto__", 404, /there is no table/],
      ["/routes/constructor/x", 404, /nothing/],
      ["/routes/prefix", 400, /prefix is needed/],
      ["/routes/prefix?prefix=1.2.3.4/33", 400, /prefix/],
      ["/routes/prefix?prefix=a&prefix=b", 400, /once/],
      ["/route/net/10.0.0.300", 400, /neither/],
      ["/route/net/10.0.0.0/mask/99", 400, /./],
      ["/routes/pipe/filtered", 400, /table is needed/],
      ["/routes/count/everything/x", 404, /counts/],
      ["/routes/table/master4?page_size=999999999", 400, /page_size/],
      ["/routes/table/master4?page_size=-1", 400, /page_size/],
      ["/routes/table/master4?page_size=1&page_token=7-1", 400, /page_token/],
      ["/routes/table/master4?page_size=1&page_token=0-0", 400, /page_token/],
      [`/status?${"x".repeat(600)}`, 414, /longer/],
    ];
    for (const [path, status, message] of bad) {
      const answer = await ask(port, path);
      assert.equal(answer.status, status, path);
      assert.match(answer.json.error, message, path);
    }
    for (const method of ["POST", "PUT", "DELETE"]) {
      const { status, headers } = await ask(port, "/status", { method });
      assert.deepEqual([status, headers.allow], [405, "GET, HEAD"]);
    }
    const head = await ask(port, "/status", { method: "HEAD" });
    assert.deepEqual([head.status, head.text], [200, ""]);
    // Bytes that are no HTTP, and headers without end.
    for (const bytes of [
      "\x16\x03\x01\x02\x00\x01",
      `GET /status HTTP/1.1\r\nx: ${"a".repeat(20_000)}\r\n\r\n`,
    ]) {
      const socket = net.connect(port, "127.0.0.1");
      socket.on("error", () => {});
      socket.end(bytes);
      socket.resume();
      await once(socket, "close");
    }
    assert.equal((await ask(port, "/status")).status, 200, "and it goes on");
    assert.equal(daemon.noise, "");
  });

  test("who may not ask is refused, who asks too often is told to wait", async (t) => {
    const { port } = await start(t, 'cache_time = 0\nallow = ["127.0.0.1", "2001:db8::/32"]\nrate_limit = 5');
    const stranger = await ask(port, "/status", { localAddress: "127.0.0.9" });
    assert.equal(stranger.status, 403);
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(port, "/status")));
    const statuses = answers.map(({ status }) => status);
    assert.ok(statuses.filter((status) => status === 200).length >= 5);
    const limited = answers.filter(({ status }) => status === 429);
    assert.ok(limited.length >= 10, statuses.join());
    assert.equal(limited[0].headers["retry-after"], "1");
  });

  test("a large list to a client that reads nothing holds up nobody", async (t) => {
    const { daemon, port } = await start(t);
    const [two] = await established(t, daemon);
    const count = Number(process.env.CAIRN_GLASS_ROUTES ?? 8_000);
    two.send(
      flood(count, 500, { ...defaults(65_002), communities: [1, 2, 3], largeCommunities: [[1, 2, 3]] }),
    );
    await until(
      "the flood",
      async () => (await ask(port, "/routes/count/table/master4")).json.routes === count,
      60_000,
    );
    const before = daemon.rssMb();
    const stuck = Array.from({ length: Number(process.env.CAIRN_GLASS_CLIENTS ?? 15) }, () => {
      const socket = net.connect(port, "127.0.0.1");
      finallyDo(t, () => socket.destroy());
      socket.on("error", () => {});
      socket.pause();
      socket.write("GET /routes/table/master4 HTTP/1.1\r\nhost: x\r\n\r\n");
      return socket;
    });
    const start1 = performance.now();
    const list = await routes(port, "/routes/protocol/bgp_127_0_0_2");
    assert.equal(list.length, count);
    const listMs = performance.now() - start1;
    let worstMs = 0;
    for (let n = 0; n < 20; n++) {
      const at = performance.now();
      assert.equal((await ask(port, "/status")).status, 200);
      worstMs = Math.max(worstMs, performance.now() - at);
    }
    assert.ok(worstMs < 1_000, `a status took ${worstMs.toFixed(0)} ms`);
    const grown = daemon.rssMb() - before;
    assert.ok(grown < 250, `${grown} MB for ${stuck.length} clients that do not read`);
    t.diagnostic(
      `${count} routes listed in ${listMs.toFixed(0)} ms; status within ${worstMs.toFixed(0)} ms; ${grown.toFixed(0)} MB`,
    );
    assert.ok(two.open.length > 0);
  });
});
