/**
 * BGP routes in a real kernel: two BIRDs tell of them, and the table is at all times what the Loc-RIB says, no more and no
 * less, while what others put there stays as it is. A client beyond pings through:
 *
 *   client --link2-- cairn --link0-- BIRD a (10,000 routes, and the address that is pinged)
 *   BIRD c                 --link1-- BIRD b (some of the same)
 *
 * BIRD c hears only of what the kernel holds (suppress_fib_pending).
 */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { type Checks, equal, eventually } from "../lib/checks.ts";
import { Lab, type Namespace, pause } from "../lib/lab.ts";
import { Router } from "../lib/router.ts";

/** Routes of BIRD a. */
const size = Number(process.env.FIB_ROUTES || 10_000);
/** Prefixes that both tell of. */
const shared = 40;
const viaA = "10.0.1.2@link0";
const viaB = "10.0.2.2@link1";
const pinged = "198.51.100.1";
const far = "198.18.1.0/24";
const farHop = "192.88.99.77";
const inner = "192.88.99.0/24";
const hole = "198.19.0.0/24";
const six = "2001:db8:77::/48";
const patienceMs = Math.max(60_000, size * 2);
/** For what follows at once; to look at all routes takes a moment itself. */
const soonMs = 5000 + size / 10;

const pings = {
  node: path.join(import.meta.dirname, "../../node_modules/.bin/node"),
  script: path.join(import.meta.dirname, "pings.ts"),
};

interface Stage {
  readonly lab: Lab;
  readonly cairn: Router;
  readonly a: Router;
  readonly b: Router;
  readonly c: Router;
  readonly own: Namespace;
  readonly endA: Namespace;
  readonly client: Namespace;
  /** What others have put into the kernel. */
  readonly foreign: string;
}

export async function fib(checks: Checks, folder: string): Promise<void> {
  const lab = new Lab(folder);
  try {
    const [own, endA, endB, client] = [
      await lab.namespace("cairn"),
      await lab.namespace("bird-a"),
      await lab.namespace("bird-b"),
      await lab.namespace("client"),
    ];
    await lab.link(own, ["10.0.1.1/24", "2001:db8:1::1/64"], endA, ["10.0.1.2/24", "2001:db8:1::2/64"]);
    await lab.link(own, ["10.0.2.1/24", "2001:db8:2::1/64"], endB, ["10.0.2.2/24", "2001:db8:2::2/64"]);
    await lab.link(own, ["10.0.3.1/24"], client, ["10.0.3.2/24"]);
    await lab.in(own, ["sysctl", "-qw", "net.ipv4.ip_forward=1"]);
    await lab.in(client, ["ip", "route", "add", "default", "via", "10.0.3.1"]);
    await lab.in(endA, ["ip", "route", "add", "10.0.3.0/24", "via", "10.0.1.1"]);
    await lab.in(endA, ["ip", "address", "add", `${pinged}/32`, "dev", "lo"]);
    const cairn = new Router(lab, own, "cairn", cairnConfig(), true);
    await addForeign(cairn);
    const a = new Router(lab, endA, "bird", birdConfig("a", range(0, size)));
    const b = new Router(lab, endB, "bird", birdConfig("b", []));
    const c = new Router(lab, client, "bird", listenerConfig);
    await Promise.all([cairn.start(), a.start(), b.start(), c.start()]);
    const stage: Stage = { lab, cairn, a, b, c, own, endA, client, foreign: await foreignOf(cairn) };
    if (!(await arrive(checks, stage))) return;
    await change(checks, stage);
    await others(checks, stage);
    await ways(checks, stage);
    await restart(checks, stage);
    await leave(checks, stage);
    await withoutPrivilege(checks, stage);
  } finally {
    await lab.close();
  }
}

async function arrive(checks: Checks, stage: Stage): Promise<boolean> {
  return checks.check(`${size} routes: the kernel equals the Loc-RIB`, async () => {
    await holds(stage, expected(range(0, size)));
    await sameAsRib(stage);
    equal("foreign routes", stage.foreign, await foreignOf(stage.cairn));
    // The object is judged a few times a second.
    const whole = { phase: "APPLIED", installed: String(size + 5), refused: "0", reason: "" };
    await eventually("phase", whole, () => statusOf(stage));
    equal("next hop of what is to be discarded", true, /discard/.test(await stage.cairn.cli("rib", hole)));
    // That is told nobody, and one is of IPv6.
    await eventually("routes at BIRD c", size + 3, () => heardBy(stage), patienceMs);
  });
}

async function change(checks: Checks, stage: Stage): Promise<void> {
  const { a } = stage;
  await checks.check("a tenth is withdrawn, as many come, some change", async () => {
    const some = range(size / 10, size + size / 10);
    await reconfigure(a, birdConfig("a", some));
    await holds(stage, expected(some));
    await sameAsRib(stage);
    await reconfigure(a, birdConfig("a", range(0, size)));
    await holds(stage, expected(range(0, size)));
  });
}

async function others(checks: Checks, stage: Stage): Promise<void> {
  const { cairn, a } = stage;
  const ip = (...words: string[]): Promise<string> => cairn.inside("ip", ...words);
  const all = expected(range(0, size));
  await checks.check("what another hand removes or alters is put right in about two seconds", async () => {
    const lines = range(100, 160).map((i) => `route del ${prefixOf(i)} proto 68`);
    for (const i of range(200, 210)) {
      lines.push(`route replace ${prefixOf(i)} via 10.0.2.9 proto 68 metric 20`);
    }
    lines.push(`route add 9.9.9.0/24 via 10.0.2.9 proto 68 metric 20`);
    await ip("-batch", cairn.file("drift", `${lines.join("\n")}\n`));
    await holds(stage, all, 2000 + size / 25);
    equal("foreign routes", stage.foreign, await foreignOf(cairn));
  });
  await checks.check(
    "a foreign route in the way is a conflict, is left, and when it goes ours comes",
    async () => {
      const prefix = prefixOf(size);
      await ip("route", "add", ...`${prefix} via 10.0.2.9 proto static metric 20`.split(" "));
      await reconfigure(a, birdConfig("a", range(0, size + 1)));
      await eventually("state", "CONFLICT", () => stateOf(cairn, prefix), soonMs);
      await eventually("phase", "DEGRADED", async () => (await statusOf(stage)).phase, soonMs);
      await holds(stage, all);
      equal("BIRD c has heard of it", false, await hasHeard(stage, prefix));
      const why = await cairn.cli("rib", prefix, "--explain", "--to", "10.0.3.2");
      equal("explained", true, why.includes("it is not in the FIB"));
      await ip("route", "del", ...`${prefix} via 10.0.2.9 proto static metric 20`.split(" "));
      await eventually("state", "INSTALLED", () => stateOf(cairn, prefix), soonMs);
      await eventually("BIRD c has heard of it", true, () => hasHeard(stage, prefix), soonMs);
      await eventually("phase", "APPLIED", async () => (await statusOf(stage)).phase, soonMs);
      await reconfigure(a, birdConfig("a", range(0, size)));
      await holds(stage, all);
    },
  );
  await checks.check("one that takes the place of ours is not overwritten", async () => {
    const prefix = prefixOf(42);
    await ip("route", "replace", ...`${prefix} via 10.0.2.9 proto static metric 20`.split(" "));
    await eventually("state", "CONFLICT", () => stateOf(cairn, prefix), soonMs);
    await eventually("BIRD c has heard of it", false, () => hasHeard(stage, prefix), soonMs);
    await ip("route", "del", ...`${prefix} via 10.0.2.9 proto static metric 20`.split(" "));
    await holds(stage, all, soonMs);
    await eventually("BIRD c has heard of it", true, () => hasHeard(stage, prefix), soonMs);
  });
}

async function ways(checks: Checks, stage: Stage): Promise<void> {
  const { cairn, b } = stage;
  const ip = (...words: string[]): Promise<string> => cairn.inside("ip", ...words);
  const all = expected(range(0, size));
  const both = new Map([...all, ...range(0, shared).map((i) => [prefixOf(i), `${viaA} ${viaB}`] as const)]);
  await checks.check("several ways side by side follow their links", async () => {
    await reconfigure(b, birdConfig("b", range(0, shared)));
    await holds(stage, both);
    await ip("link", "set", "link1", "down");
    await holds(stage, all, soonMs * 2);
    await ip("link", "set", "link1", "up");
    await ip("address", "replace", "2001:db8:2::1/64", "dev", "link1", "nodad");
    await holds(stage, both);
    await reconfigure(b, birdConfig("b", []));
    await holds(stage, all);
  });
  await checks.check("a next hop that another route leads to follows that route", async () => {
    await ip("route", "add", `${farHop}/32`, "via", "10.0.2.2");
    await holds(stage, new Map([...all, [far, viaB]]), soonMs);
    await ip("route", "del", `${farHop}/32`, "via", "10.0.2.2");
    await holds(stage, all, soonMs);
  });
  await checks.check("all goes with the link, and comes back with it", async () => {
    await ip("link", "set", "link0", "down");
    await holds(stage, new Map(), soonMs * 2);
    await ip("link", "set", "link0", "up");
    await ip("address", "replace", "2001:db8:1::1/64", "dev", "link0", "nodad");
    // What others had there went as well, and is theirs to put back.
    await addForeign(cairn);
    // Coming back, the session drops what it had kept and learns it anew.
    await eventually("established", 3, () => established(cairn));
    await pause(1000);
    await holds(stage, all);
  });
}

async function restart(checks: Checks, stage: Stage): Promise<void> {
  const { lab, cairn, a, client } = stage;
  const { node, script } = pings;
  const echo = lab.daemon(stage.endA, "echo", [node, script, "echo", pinged]);
  await echo.start();
  const ping = async (seconds: number): Promise<string> =>
    (await lab.in(client, [node, script, "send", pinged, String(seconds * 20), "50"])).trim();
  await checks.check("kill -9 and a start: what is right is not touched, and no ping is lost", async () => {
    await sameAsRib(stage);
    const monitor = lab.daemon(stage.own, "monitor", ["ip", "monitor", "route"]);
    await monitor.start();
    const pings = ping(12);
    await pause(1000);
    await cairn.daemon.kill();
    equal("after the kill", size, (await kernelOf(cairn)).size - 5);
    await cairn.startAgain();
    await eventually("selected", true, async () => !(await deferred(cairn)), patienceMs);
    await holds(stage, expected(range(0, size)));
    equal("pings", "240/240", await pings);
    await monitor.stop();
    const written = monitor.log.split("\n").filter((line) => / proto (68|cairn)/.test(line));
    equal("routes written", [], written.slice(0, 3));
    await eventually("routes at BIRD c", size + 3, () => heardBy(stage), patienceMs);
  });
  await checks.check("what was withdrawn meanwhile goes after the restart, and nothing else", async () => {
    await cairn.daemon.kill();
    await reconfigure(a, birdConfig("a", range(500, size)));
    await cairn.startAgain();
    await holds(stage, expected(range(500, size)));
    await sameAsRib(stage);
    equal("foreign routes", stage.foreign, await foreignOf(cairn));
  });
}

async function leave(checks: Checks, stage: Stage): Promise<void> {
  const { cairn } = stage;
  await checks.check("another metric: the routes move", async () => {
    await cairn.cli("apply", "-f", cairn.file("metric.yaml", object({ metric: 30 })));
    await eventually("routes", { 20: 0, 30: size - 500 + 5 }, () => metrics(cairn), patienceMs);
  });
  await checks.check("a bound: no more than that, and the object says so", async () => {
    await cairn.cli("apply", "-f", cairn.file("bound.yaml", object({ metric: 30, max_routes: 100 })));
    await eventually("routes", { 20: 0, 30: 100 }, () => metrics(cairn), patienceMs);
    await eventually("phase", "DEGRADED", async () => (await statusOf(stage)).phase, soonMs);
  });
  await checks.check("when the object goes, all of its routes go, also over kill -9", async () => {
    await cairn.cli("apply", "-f", cairn.file("whole.yaml", object({ metric: 30 })));
    await eventually("routes", { 20: 0, 30: size - 500 + 5 }, () => metrics(cairn), patienceMs);
    await cairn.cli("delete", "FibTable/main");
    await cairn.daemon.kill();
    await cairn.startAgain();
    await eventually("routes", { 20: 0, 30: 0 }, () => metrics(cairn), patienceMs);
    equal("foreign routes", stage.foreign, await foreignOf(cairn));
  });
}

/** BGP goes on, and the object says what is missing. */
async function withoutPrivilege(checks: Checks, stage: Stage): Promise<void> {
  const { cairn } = stage;
  await checks.check("without CAP_NET_ADMIN the object says so, and sessions stand", async () => {
    await cairn.daemon.stop();
    await cairn.startWithout("net_admin");
    await cairn.cli("apply", "-f", cairn.file("again.yaml", object({ max_routes: 100 })));
    await eventually("established", 3, () => established(cairn), patienceMs);
    const failed = { phase: "FAILED", reason: "EPERM", installed: "0" };
    const status = async (): Promise<typeof failed> => {
      const { phase, reason, installed } = await statusOf(stage);
      return { phase, reason, installed };
    };
    await eventually("status", failed, status, patienceMs);
    equal("foreign routes", stage.foreign, await foreignOf(cairn));
  });
}

// -------------------------------------------------------------------------------------------------- questions

/** Routes that BIRD c has. */
function heardBy({ c }: Stage): Promise<number> {
  return counted(c);
}

async function hasHeard({ c }: Stage, prefix: string): Promise<boolean> {
  // Asked for a network that is not there by name, birdc would fail.
  return (await counted(c, "where", `net = ${prefix}`)) > 0;
}

async function counted(bird: Router, ...which: readonly string[]): Promise<number> {
  const text = await bird.cli("show", "route", "table", "master4", ...which, "count");
  return Number(/^(\d+) of/m.exec(text)?.[1]);
}

// -------------------------------------------------------------------------------------------------- questions

/** Somebody else's: another protocol, another metric, another table, and our mark with another metric. */
async function addForeign(cairn: Router): Promise<void> {
  for (const words of [
    "203.0.113.0/24 via 10.0.1.9 proto static",
    `${prefixOf(7)} via 10.0.2.9 proto static metric 5`,
    `${prefixOf(8)} via 10.0.2.9 proto bird metric 32`,
    `${prefixOf(9)} via 10.0.2.9 proto bgp table 100`,
    `${prefixOf(10)} via 10.0.2.9 proto 68 metric 99`,
  ]) {
    await cairn.inside("ip", "route", "replace", ...words.split(" "));
  }
}

interface RouteJson {
  readonly type?: string;
  readonly dst: string;
  readonly gateway?: string;
  readonly via?: { readonly host: string };
  readonly dev?: string;
  readonly metric?: number;
  readonly nexthops?: readonly { gateway?: string; dev: string; weight: number }[];
}

/** Routes with our mark and metric, by prefix: where they lead. */
async function kernelOf(cairn: Router, metric = 20): Promise<Map<string, string>> {
  const held = new Map<string, string>();
  for (const family of ["-4", "-6"]) {
    const text = await cairn.inside("ip", family, "-j", "route", "show", "table", "main", "proto", "68");
    for (const route of JSON.parse(text || "[]") as RouteJson[]) {
      if (route.metric === metric) held.set(route.dst, leadsTo(route));
    }
  }
  return held;
}

function leadsTo({ type, gateway, dev, nexthops }: RouteJson): string {
  if (type === "blackhole") return "blackhole";
  const hops = nexthops ?? [{ gateway, dev: dev ?? "", weight: 1 }];
  return hops
    .map((hop) => `${hop.gateway}@${hop.dev}${hop.weight > 1 ? `*${hop.weight}` : ""}`)
    .sort()
    .join(" ");
}

async function metrics(cairn: Router): Promise<{ 20: number; 30: number }> {
  return { 20: (await kernelOf(cairn, 20)).size, 30: (await kernelOf(cairn, 30)).size };
}

/** All that is not a route of ours, in all tables. */
async function foreignOf(cairn: Router): Promise<string> {
  const text = await cairn.inside("ip", "-4", "route", "show", "table", "all");
  return text
    .split("\n")
    .filter((line) => !/ proto 68 .*metric (20|30)\b/.test(line) && / proto (static|bird|bgp|68)/.test(line))
    .map((line) => line.replace(/ linkdown| dead/g, "").trim())
    .sort()
    .join("\n");
}

/** Waits until the kernel holds exactly this. Differences are counted, and the first ones named. */
async function holds(
  { cairn }: Stage,
  routes: ReadonlyMap<string, string>,
  withinMs = patienceMs,
): Promise<void> {
  await eventually(
    "the kernel beside what is wanted",
    [],
    async () => {
      const held = await kernelOf(cairn);
      const wrong = [...routes].filter(([prefix, way]) => held.get(prefix) !== way);
      const more = [...held].filter(([prefix]) => !routes.has(prefix));
      const first = [
        ...wrong.slice(0, 3).map(([prefix, way]) => `${prefix} is ${held.get(prefix)}, not ${way}`),
        ...more.slice(0, 3).map(([prefix, way]) => `${prefix} ${way} is too much`),
      ];
      return first.length === 0 ? [] : [`${wrong.length} wrong, ${more.length} too much`, ...first];
    },
    withinMs,
  );
}

/** The kernel's prefixes are those that have a best path. */
async function sameAsRib({ cairn }: Stage): Promise<void> {
  await eventually("Loc-RIB beside the kernel", { onlyRib: [], onlyKernel: [] }, async () => {
    const best = new Set<string>();
    for (const family of ["ipv4-unicast", "ipv6-unicast"]) {
      const text = await cairn.cli("rib", "--family", family, "--json");
      for (const [, prefix] of text.matchAll(/"prefix":\s*"([^"]+)"/g)) best.add(prefix);
    }
    const held = await kernelOf(cairn);
    const onlyRib = [...best].filter((prefix) => !held.has(prefix)).slice(0, 3);
    return { onlyRib, onlyKernel: [...held.keys()].filter((prefix) => !best.has(prefix)).slice(0, 3) };
  });
}

async function stateOf(cairn: Router, prefix: string): Promise<string> {
  const { routes = [] } = JSON.parse(await cairn.cli("fib", prefix, "--json")) as {
    routes?: { state: string }[];
  };
  return routes[0]?.state.replace("FIB_STATE_", "") ?? "none";
}

async function statusOf({
  cairn,
}: Stage): Promise<{ phase: string; installed: string; refused: string; reason: string }> {
  const { resources = [] } = JSON.parse(await cairn.cli("get", "FibTable", "--json")) as {
    resources?: { status: { phase: string; reason?: string; values: Record<string, string> } }[];
  };
  const [{ status }] = resources;
  const { installed, refused } = status.values;
  const { reason = "" } = status;
  return { phase: status.phase.replace("RESOURCE_PHASE_", ""), installed, refused, reason };
}

async function established(cairn: Router): Promise<number> {
  const text = await cairn.cli("neighbor", "--json");
  return text.split("SESSION_STATE_ESTABLISHED").length - 1;
}

async function deferred(cairn: Router): Promise<boolean> {
  const text = await cairn.cli("get", "FibTable", "--json");
  return /DEFERRED|PROGRESSING/.test(text);
}

// ---------------------------------------------------------------------------------------------- configurations

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.floor(to) - Math.floor(from) }, (_, i) => Math.floor(from) + i);
}

function prefixOf(i: number): string {
  return `${100 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.0/24`;
}

/** What the kernel is to hold when BIRD a tells of these. */
function expected(numbers: readonly number[]): Map<string, string> {
  return new Map([
    ...numbers.map((i) => [prefixOf(i), viaA] as const),
    ["198.51.100.0/24", viaA],
    [inner, viaA],
    [far, viaA],
    [hole, "blackhole"],
    [six, "2001:db8:1::2@link0"],
  ]);
}

function object(spec: object): string {
  return JSON.stringify({
    apiVersion: "net.cairn/v1alpha1",
    kind: "FibTable",
    metadata: { name: "main" },
    spec,
  });
}

function cairnConfig(): string {
  const families = ["ipv4-unicast", "ipv6-unicast"];
  const common = {
    ...{ import: ["accept-all"], export: ["reject-all"], families, connect_retry_time: "1s" },
    ...{
      graceful_restart: "full",
      restart_time: "60s",
      preserve_forwarding: true,
      disable_connected_check: true,
    },
    ...{ blackhole: "no-advertise" },
  };
  return JSON.stringify({
    global: {
      ...{ asn: 65001, router_id: "192.0.2.1", listen: ["0.0.0.0:179"] },
      multipath: [{ family: "ipv4-unicast", ebgp: 4, relax_as_path: true }],
    },
    neighbors: [
      { ...common, address: "10.0.1.2", remote_asn: 65002 },
      { ...common, address: "10.0.2.2", remote_asn: 65003 },
      {
        ...{ ...common, address: "10.0.3.2", remote_asn: 65004, families: ["ipv4-unicast"] },
        ...{ export: ["accept-all"], suppress_fib_pending: true },
      },
    ],
    fib_tables: [{ name: "main" }],
  });
}

function birdConfig(which: "a" | "b", numbers: readonly number[]): string {
  const network = which === "a" ? 1 : 2;
  const own = numbers.map((i) => `  route ${prefixOf(i)} blackhole;`);
  if (which === "a") {
    own.push("  route 198.51.100.0/24 blackhole;", `  route ${inner} blackhole;`);
    own.push(`  route ${far} blackhole;`, `  route ${hole} blackhole;`);
  }
  const sixes = which === "a" ? `protocol static { ipv6; route ${six} blackhole; }` : "";
  return `log stderr all;
router id 192.0.2.1${network};
protocol device { }
protocol static { ipv4;
${own.join("\n")}
}
${sixes}
filter told {
  if source != RTS_STATIC then reject;
  if net = ${far} then bgp_next_hop = ${farHop};
  if net = ${hole} then bgp_community.add((65535, 666));
  accept;
}
protocol bgp cairn {
  local 10.0.${network}.2 as ${which === "a" ? 65002 : 65003};
  neighbor 10.0.${network}.1 as 65001;
  connect delay time 1; connect retry time 1; error wait time 1, 2;
  graceful restart on; graceful restart time 60;
  ipv4 { import all; export filter told; };
  ipv6 { import all; export where source = RTS_STATIC; next hop address 2001:db8:${network}::2; };
}
`;
}

const listenerConfig = `log stderr all;
router id 192.0.2.13;
protocol device { }
protocol bgp cairn {
  local 10.0.3.2 as 65004;
  neighbor 10.0.3.1 as 65001;
  connect delay time 1; connect retry time 1; error wait time 1, 2;
  graceful restart on; graceful restart time 60;
  ipv4 { import all; export none; };
}
`;

async function reconfigure(bird: Router, config: string): Promise<void> {
  writeFileSync(bird.config, config);
  await bird.cli("configure");
}
