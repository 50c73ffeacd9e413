/** MRT dumps of the real daemon, read by bgpdump; files sent back into it; a disk that is full. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { PathAttributes } from "../../src/wire/path-attributes.ts";
import { Daemon, finallyDo, type Json, neighborToml, root, run, scratch, until } from "./harness.ts";
import { Speaker } from "./speaker.ts";

const peers =
  neighborToml("127.0.0.2", 65_002) + neighborToml("127.0.0.3", 65_003, "enforce_first_as = false");

/** Announces 300 prefixes in 100 sets of attributes. */
async function feed(t: TestContext, daemon: Daemon): Promise<Speaker> {
  const speaker = await Speaker.establish(t, { local: "127.0.0.2", port: daemon.bgpPort, asn: 65_002 });
  for (let set = 0; set < 100; set++) {
    const attributes: Partial<PathAttributes> = {
      asPath: [
        { type: 2, asns: [65_002, 4_200_000_000 + set] },
        ...(set % 7 === 0 ? [{ type: 1 as const, asns: [65_010, 65_011] }] : []),
      ],
      origin: set % 3,
      ...(set % 2 === 0 ? { med: set } : {}),
      communities: set % 4 === 0 ? [0xffff_ff01, 65_002 * 65_536 + set] : [],
      atomicAggregate: set % 5 === 0,
      aggregator: set % 5 === 0 ? { asn: 4_200_000_000, address: 0x0a000001 } : undefined,
      largeCommunities: set % 6 === 0 ? [[65_002, 1, set]] : [],
    };
    speaker.announce(
      [0, 1, 2].map((i) => `10.${set}.${i * 16}.0/${20 + i * 2}`),
      attributes,
    );
  }
  await until("all routes", async () => (await received(daemon, "127.0.0.2")).length === 300);
  return speaker;
}

async function received(daemon: Daemon, neighbor: string): Promise<Json[]> {
  const { routes = [] } = await daemon.call("RibService/ListReceivedRoutes", { neighbor, pageSize: 10_000 });
  return routes;
}

/** A route of the API as bgpdump has it from the peer's AS on. */
function lineOf(route: Json): string {
  const { prefix, asPathText = "", nextHop, localPref = 0, med = 0, communities = [] } = route;
  const origin = route.origin.slice("ORIGIN_".length);
  const path = asPathText.replace(
    /\{([^}]*)\}/g,
    (_: string, set: string) => `{${set.replaceAll(" ", ",")}}`,
  );
  const aggregator = route.aggregator ? `${route.aggregator.asn} ${route.aggregator.address}` : "";
  const aggregate = route.atomicAggregate ? "AG" : "NAG";
  const text = [prefix, path, origin, nextHop, localPref, med, communities.join(" "), aggregate, aggregator];
  return `${text.join("|")}|`;
}

const hasBgpdump = spawnSync("bgpdump", ["-T"]).error === undefined;

/** What the field's own reader says, which must be what ours says; ours alone where it is not installed. */
async function linesOf(daemon: Daemon, path: string): Promise<string[]> {
  const text = await printed(path, join(daemon.stateDir, "printed"));
  if (hasBgpdump) {
    const compare = `bgpdump -v -m "$1" | cmp - "$2"`;
    const { code, out } = await run("sh", ["-c", compare, "sh", path, join(daemon.stateDir, "printed")]);
    assert.equal(code, 0, out);
  }
  return text;
}

/** The lines of `mrt cat`, by way of a file: a full table is too long for a pipe. */
async function printed(path: string, to: string): Promise<string[]> {
  const words = [process.execPath, join(root, "src/cli/main.ts"), path, to];
  const { code, err } = await run("sh", ["-c", '"$0" "$1" mrt cat "$2" > "$3"', ...words]);
  assert.equal(code, 0, err);
  return readFileSync(to, "utf8").trimEnd().split("\n");
}

test("a dump says what the API says, to bgpdump too, and sent back it is the same table", async (t) => {
  if (!hasBgpdump) t.diagnostic("bgpdump is not installed: our own reader alone looks at the file");
  const daemon = await Daemon.start(t, { config: peers });
  await feed(t, daemon);
  for (const ending of ["mrt", "gz", "zst"]) {
    await daemon.call("MrtService/SetMrtDump", { spec: { name: "rib", path: `%Y/rib.${ending}` } });
    const { path, routes } = await daemon.call("ControlService/TriggerMrtDump", { name: "rib" });
    assert.equal(routes, "300");
    // bgpdump knows no zstd.
    const lines =
      ending === "zst"
        ? (await daemon.ctl("mrt", "cat", path)).out.trimEnd().split("\n")
        : await linesOf(daemon, path);
    const expected = (await received(daemon, "127.0.0.2")).map(lineOf).sort();
    assert.deepEqual(lines.map((line) => line.split("|").slice(5).join("|")).sort(), expected);
    for (const line of lines) assert.match(line, /^TABLE_DUMP2\|[0-9]+\|B\|127\.0\.0\.2\|65002\|/);
  }
  const file = join(daemon.stateDir, `mrt/${new Date().getUTCFullYear()}/rib.gz`);
  const replay = daemon.ctl(
    ...[
      "mrt",
      "replay",
      file,
      "--to",
      `127.0.0.1:${daemon.bgpPort}`,
      "--local",
      "127.0.0.3",
      "--asn",
      "65003",
    ],
    ...["--linger", "2s", "-o", "json"],
  );
  await until("the table again", async () => (await received(daemon, "127.0.0.3")).length === 300, 20_000);
  const both = await Promise.all(["127.0.0.2", "127.0.0.3"].map((neighbor) => received(daemon, neighbor)));
  const [first, second] = both.map((routes) => routes.map(lineOf).sort());
  assert.deepEqual(second, first);
  const { code, out } = await replay;
  assert.equal(code, 0);
  assert.deepEqual(JSON.parse(out), {
    peer: "127.0.0.2",
    peer_asn: 65002,
    announced: 300,
    withdrawn: 0,
    skipped: 0,
  });
  const stats = JSON.parse((await daemon.ctl("mrt", "stats", file, "-o", "json")).out);
  assert.deepEqual([stats.prefixes, stats.attribute_sets, stats.routes], [300, 100, { "ipv4-unicast": 300 }]);
});

test("both families and routes of our own: content best, as bgpdump reads it", async (t) => {
  const daemon = await Daemon.start(t, { config: peers });
  for (const [prefix, nextHop] of [
    ["2001:db8:7::/48", "2001:db8::9"],
    ["198.51.100.0/24", "192.0.2.9"],
  ]) {
    await daemon.call("InjectionService/AddPath", { path: { prefix, nextHop, med: 7 } });
  }
  await daemon.call("MrtService/SetMrtDump", {
    spec: { name: "b", path: "best.gz", content: "MRT_CONTENT_BEST" },
  });
  const { path } = await daemon.call("ControlService/TriggerMrtDump", { name: "b" });
  assert.deepEqual(
    (await linesOf(daemon, path)).map((line) => line.split("|").slice(3, 11).join("|")),
    ["0.0.0.0|0|198.51.100.0/24||IGP|192.0.2.9|0|7", "0.0.0.0|0|2001:db8:7::/48||IGP|2001:db8::9|0|7"],
  );
});

test("updates as bgpdump reads them; a daemon that is killed loses none that were on disk", async (t) => {
  const daemon = await Daemon.start(t, { config: peers });
  const spec = {
    name: "u",
    path: "updates",
    content: "MRT_CONTENT_UPDATES",
  };
  const refused = await daemon.refused("MrtService/SetMrtDump", { spec });
  assert.deepEqual(refused.fields, ["spec.path"]);
  await daemon.call("MrtService/SetMrtDump", { spec: { ...spec, path: "updates.%s" } });
  const speaker = await feed(t, daemon);
  speaker.withdraw(["10.0.0.0/20"]);
  const folder = join(daemon.stateDir, "mrt");
  const written = (): string[] => readdirSync(folder).filter((name) => name.startsWith("updates."));
  await until("the records are on disk", async () => {
    const [part] = written();
    return part !== undefined && (await daemon.ctl("mrt", "cat", join(folder, part))).out.includes("|W|");
  });
  await daemon.stop("SIGKILL");
  await daemon.again();
  const [left] = await until("the part has its name", () => {
    const names = written().filter((name) => !name.endsWith(".part"));
    return names.length > 0 && names;
  });
  const lines = await linesOf(daemon, join(folder, left));
  assert.equal(lines.filter((line) => line.includes("|A|127.0.0.2|65002|")).length, 300);
  assert.deepEqual(
    lines.filter((line) => line.includes("|W|")).map((line) => line.split("|").slice(2).join("|")),
    ["W|127.0.0.2|65002|10.0.0.0/20"],
  );
  assert.ok(lines.some((line) => /^BGP4MP_ET\|[0-9.]+\|STATE\|127\.0\.0\.2\|65002\|5\|6$/.test(line)));
});

test("a full disk: the dump fails and says so, the file of before stays, and the next one is written", async (t) => {
  const stateDir = join(scratch(t), "state");
  const folder = join(stateDir, "mrt");
  mkdirSync(folder, { recursive: true });
  if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=128k", "cairn-e2e", folder]).status !== 0) {
    t.skip("needs root, to mount a small tmpfs");
    return;
  }
  finallyDo(t, () => spawnSync("umount", ["-l", folder]));
  const daemon = await Daemon.start(t, { config: peers, stateDir });
  await feed(t, daemon);
  const spec = { name: "rib", path: "rib" };
  await daemon.call("MrtService/SetMrtDump", { spec });
  const { path } = await daemon.call("ControlService/TriggerMrtDump", { name: "rib" });
  const good = readFileSync(path);
  spawnSync("sh", ["-c", `cat /dev/zero > ${folder}/ballast`]);
  const refused = await daemon.refused("ControlService/TriggerMrtDump", { name: "rib" });
  assert.match(refused.message, /no space left/);
  assert.deepEqual(readFileSync(path), good);
  assert.deepEqual(readdirSync(folder).sort(), ["ballast", "rib"]);
  const { events } = await daemon
    .call("EventService/ListEvents", { filter: { topics: ["cairn.mrt.**"] } })
    .catch(() => daemon.call("EventService/ListEvents", { pageSize: 1000 }));
  assert.ok(
    events.some((event: Json) => event.topic === "cairn.mrt.dump.failed" && /no space/.test(event.summary)),
  );
  const { mrtDump } = await daemon.call("MrtService/GetMrtDump", { name: "rib" });
  assert.equal(mrtDump.state.failures, "1");
  assert.equal((await daemon.neighbor("127.0.0.2")).state.sessionState, "SESSION_STATE_ESTABLISHED");
  spawnSync("rm", [join(folder, "ballast")]);
  await delay(20);
  await daemon.call("ControlService/TriggerMrtDump", { name: "rib" });
  assert.equal(readFileSync(path).length, good.length);
});

const tables = join(process.env.CAIRN_SHARED ?? join(root, "../shared"), "vectors/mrt");
/** A slice of the table of 2010; `CAIRN_FULL_TABLE=1` takes all 323,487 prefixes of it. */
const isFull = process.env.CAIRN_FULL_TABLE === "1";
const table = isFull ? "full-2010-rrc06.mrt.gz" : "slice-2010-10k.mrt.gz";
const skip = existsSync(join(tables, table)) ? false : `no table at ${tables}`;

test("the table of 2010 of two peers, replayed and dumped again, is the same table", { skip }, async (t) => {
  const sources = [
    { local: "127.0.0.2", asn: 2497, peer: "202.249.2.169" },
    { local: "127.0.0.3", asn: 4777, peer: "202.249.2.20" },
  ];
  const config = sources.map(({ local, asn }) => neighborToml(local, asn)).join("");
  const daemon = await Daemon.start(t, { config });
  const expected = (await printed(join(tables, table), join(daemon.stateDir, "expected")))
    .filter((line) => sources.some(({ peer }) => line.split("|")[3] === peer))
    .map((line) => line.split("|").slice(4).join("|"));
  const replays = sources.map(({ local, peer }) =>
    daemon.ctl(
      ...["mrt", "replay", join(tables, table), "--to", `127.0.0.1:${daemon.bgpPort}`],
      ...["--local", local, "--peer", peer, "--linger", isFull ? "60s" : "6s", "-o", "json"],
    ),
  );
  await until(
    "all routes",
    async () => {
      const counts = await Promise.all(sources.map(({ local }) => daemon.neighbor(local)));
      const received = counts
        .flatMap(({ state }) => state.families ?? [])
        .map((family) => Number(family.received));
      return received.reduce((sum, count) => sum + count, 0) === expected.length;
    },
    isFull ? 150_000 : 60_000,
  );
  await daemon.call("MrtService/SetMrtDump", { spec: { name: "rib", path: "rib.gz" } });
  const { path, routes } = await daemon.call("ControlService/TriggerMrtDump", { name: "rib" });
  assert.equal(Number(routes), expected.length);
  const lines = (await linesOf(daemon, path)).map((line) => line.split("|").slice(4).join("|"));
  assert.ok(lines.sort().join() === expected.sort().join(), "the tables differ");
  for (const { code } of await Promise.all(replays)) assert.equal(code, 0);
});
