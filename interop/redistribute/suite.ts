/**
 * Routes of the kernel in BGP, as a BIRD beyond sees them:
 *
 *   lan --link1-- cairn --link0-- BIRD
 */
import { type Checks, equal, eventually } from "../lib/checks.ts";
import { Lab } from "../lib/lab.ts";
import { Router } from "../lib/router.ts";

const lan4 = "10.0.2.0/24";
const lan6 = "2001:db8:2::/64";
/** An address of lo. */
const loopback = "10.255.0.1/32";
/** What BIRD tells, and cairn puts into the kernel: it must not come back. */
const learned = "198.51.100.0/24";
const many = 3000;
const bound = 2000;

interface Stage {
  readonly cairn: Router;
  readonly bird: Router;
}

/** MED, communities and next hop, by prefix. */
type Heard = Readonly<Record<string, string>>;

const connected: Heard = {
  [loopback]: "Incomplete med 0 via 10.0.1.1",
  [lan4]: "Incomplete med 0 via 10.0.1.1",
  [lan6]: "Incomplete med 256 via 2001:db8:1::1",
};

export async function redistribute(checks: Checks, folder: string): Promise<void> {
  const lab = new Lab(folder);
  try {
    const [own, end, lan] = [
      await lab.namespace("cairn"),
      await lab.namespace("bird"),
      await lab.namespace("lan"),
    ];
    await lab.link(own, ["10.0.1.1/24", "2001:db8:1::1/64"], end, ["10.0.1.2/24", "2001:db8:1::2/64"]);
    await lab.link(own, ["10.0.2.1/24", "2001:db8:2::1/64"], lan, ["10.0.2.2/24", "2001:db8:2::2/64"]);
    const cairn = new Router(lab, own, "cairn", cairnConfig(), true);
    const bird = new Router(lab, end, "bird", birdConfig);
    const ip = (...words: string[]): Promise<string> => cairn.inside("ip", ...words);
    // There before the daemon is.
    await ip("address", "add", loopback, "dev", "lo");
    await ip("route", "add", "203.0.113.0/24", "via", "10.0.2.2", "metric", "30");
    await ip("route", "add", "default", "via", "10.0.2.2");
    await ip("route", "add", "blackhole", "192.0.2.0/24", "proto", "static");
    await ip("route", "add", "10.77.0.0/16", "via", "10.0.2.2", "proto", "dhcp");
    await ip("route", "add", "10.78.0.0/16", "via", "10.0.2.2", "table", "100", "proto", "ospf");
    await ip("route", "add", "10.79.0.0/16", "via", "10.0.2.2", "table", "100", "proto", "67");
    await ip("-6", "route", "add", "2001:db8:66::/48", "via", "2001:db8:2::2", "metric", "77");
    await Promise.all([cairn.start(), bird.start()]);
    const stage: Stage = { cairn, bird };
    await comeAndGo(checks, stage, ip, (...words) => lab.in(lan, ["ip", ...words]));
    await bounded(checks, stage, ip);
    await again(checks, stage, ip);
  } finally {
    await lab.close();
  }
}

type Run = (...words: string[]) => Promise<string>;

/** Marked by policy. */
const statics: Heard = {
  "203.0.113.0/24": "Incomplete med 30 via 10.0.1.1 (65001,7)",
  "192.0.2.0/24": "Incomplete med 0 via 10.0.1.1 (65001,7)",
  "2001:db8:66::/48": "Incomplete med 77 via 2001:db8:1::1 (65001,7)",
};
const ofTable: Heard = { "10.78.0.0/16": "Incomplete med 5 via 10.0.1.1" };
const whole: Heard = { ...connected, ...statics, ...ofTable };

async function comeAndGo(checks: Checks, { cairn, bird }: Stage, ip: Run, lan: Run): Promise<void> {
  const hears = (what: string, expected: Heard): Promise<void> =>
    eventually(what, sorted(expected), () => heard(bird));
  await checks.check(
    "connected and static routes and those of a table are announced, and no others",
    async () => {
      await hears("routes", whole);
      // What was learned is in the kernel by then, and stays out.
      await eventually(
        "the FIB",
        1,
        async () => (await ip("route", "show", "proto", "68")).split("\n").length - 1,
      );
      await hears("routes, a while later", whole);
    },
  );
  await checks.check("a route that comes, changes and goes", async () => {
    await ip("route", "add", "203.0.114.0/24", "via", "10.0.2.2", "metric", "40");
    await hears("it came", { ...whole, "203.0.114.0/24": "Incomplete med 40 via 10.0.1.1 (65001,7)" });
    await ip("route", "add", "203.0.114.0/24", "via", "10.0.2.3", "metric", "35");
    await hears("the better of two", {
      ...whole,
      "203.0.114.0/24": "Incomplete med 35 via 10.0.1.1 (65001,7)",
    });
    await ip("route", "del", "203.0.114.0/24", "metric", "35");
    await hears("the other", { ...whole, "203.0.114.0/24": "Incomplete med 40 via 10.0.1.1 (65001,7)" });
    await ip("route", "replace", "203.0.114.0/24", "via", "10.0.2.2", "metric", "40", "proto", "dhcp");
    await hears("it is another's", whole);
    await ip("route", "del", "203.0.114.0/24");
  });
  await checks.check("what policy refuses stays out, with the reason", async () => {
    await ip("route", "add", "203.0.115.0/28", "via", "10.0.2.2");
    await eventually("refused", "1", () => statusValue(cairn, "static", "refused"));
    await hears("routes", whole);
    const told = await cairn.cli("rib", "203.0.115.0/28", "--explain").catch((error: Error) => error.message);
    equal(
      "the reason",
      true,
      /Redistribute\/static: kernel route, protocol boot, .* is refused by policy mark/.test(told),
    );
    await ip("route", "del", "203.0.115.0/28");
    const best = await cairn.cli("rib", "203.0.113.0/24", "--explain");
    equal(
      "where a path comes from",
      true,
      best
        .replace(/\s+/g, " ")
        .includes("Redistribute/static: kernel route, protocol boot, dev link1, table 254, metric 30"),
    );
  });
  await checks.check("routes go with their link, and come with it", async () => {
    await lan("link", "set", "link1", "down");
    await hears("without the link", {
      [loopback]: connected[loopback],
      "192.0.2.0/24": statics["192.0.2.0/24"],
    });
    await lan("link", "set", "link1", "up");
    await hears("with it", whole);
  });
}

async function bounded(checks: Checks, { cairn, bird }: Stage, ip: Run): Promise<void> {
  await checks.check(
    `of ${many} routes of a table ${bound} come, the rest as soon as there is room`,
    async () => {
      const line = (i: number): string =>
        `route add 100.${64 + (i >> 8)}.${i & 255}.0/24 via 10.0.2.2 table 100`;
      const lines = Array.from({ length: many }, (_, i) => line(i));
      await ip("-batch", cairn.file("many", `${lines.join("\n")}\n`));
      await eventually("announced", String(bound), () => statusValue(cairn, "table", "announced"));
      await eventually("left out", String(many + 1 - bound), () => statusValue(cairn, "table", "over_limit"));
      await eventually("phase", "DEGRADED MAX_ROUTES", () => phaseOf(cairn, "table"));
      // The other objects are not concerned.
      const others = Object.keys(whole).length - 1;
      await eventually("BIRD has them", bound + others, async () => Object.keys(await heard(bird)).length);
      await ip("route", "flush", "table", "100", "proto", "boot");
      await eventually("routes", sorted(whole), () => heard(bird));
    },
  );
}

async function again(checks: Checks, { cairn, bird }: Stage, ip: Run): Promise<void> {
  await checks.check("after kill -9 the kernel is asked anew", async () => {
    await cairn.daemon.kill();
    await ip("route", "del", "203.0.113.0/24");
    await cairn.start();
    const { "203.0.113.0/24": gone, ...left } = whole;
    equal("it was there", true, gone !== undefined);
    await eventually("routes", sorted(left), () => heard(bird));
    await ip("route", "add", "203.0.113.0/24", "via", "10.0.2.2", "metric", "30");
    await eventually("routes after that", sorted(whole), () => heard(bird));
  });
  await checks.check("an object that is deleted takes its routes with it", async () => {
    await cairn.cli("delete", "Redistribute/static");
    await eventually("routes", sorted({ ...connected, ...ofTable }), () => heard(bird));
    const { stdout } = await cairn
      .cli("events", "--topic", "cairn.redistribute.*")
      .then((text) => ({ stdout: text }));
    equal("events tell", true, /Redistribute\/static: \d+ routes of the kernel came/.test(stdout));
  });
}

function sorted(heard: Heard): Heard {
  return Object.fromEntries(Object.entries(heard).sort(([a], [b]) => (a < b ? -1 : 1)));
}

async function heard(bird: Router): Promise<Heard> {
  const found: Record<string, string> = {};
  let text = "";
  for (const table of ["master4", "master6"])
    text += await bird.cli("show", "route", "protocol", "cairn", "table", table, "all");
  for (const part of text.split(/\n(?=[0-9a-f][0-9a-f.:]*\/\d+ )/)) {
    const prefix = /^([0-9a-f.:]+\/\d+) /m.exec(part)?.[1];
    const of = (name: string): string => new RegExp(`BGP\\.${name}: *(.*)`).exec(part)?.[1].trim() ?? "";
    if (prefix === undefined) continue;
    const [nextHop] = of("next_hop").split(" ");
    const communities = of("community");
    found[prefix] = `${of("origin")} med ${of("med")} via ${nextHop} ${communities}`.trim();
  }
  return sorted(found);
}

interface Shown {
  readonly resource: {
    readonly status: {
      readonly phase: string;
      readonly reason?: string;
      readonly values?: Record<string, string>;
    };
  };
}

async function shown(cairn: Router, name: string): Promise<Shown["resource"]["status"]> {
  const text = await cairn.cli("describe", `Redistribute/${name}`, "--json");
  return (JSON.parse(text) as Shown).resource.status;
}

async function statusValue(cairn: Router, name: string, value: string): Promise<string> {
  return (await shown(cairn, name)).values?.[value] ?? "";
}

async function phaseOf(cairn: Router, name: string): Promise<string> {
  const { phase, reason = "" } = await shown(cairn, name);
  return `${phase.replace("RESOURCE_PHASE_", "")} ${reason}`.trim();
}

function cairnConfig(): string {
  return JSON.stringify({
    global: { asn: 65001, router_id: "192.0.2.1", listen: ["0.0.0.0:179"] },
    neighbors: [
      {
        ...{ address: "10.0.1.2", remote_asn: 65002, families: ["ipv4-unicast", "ipv6-unicast"] },
        ...{ import: ["accept-all"], export: ["accept-all"], connect_retry_time: "1s" },
      },
    ],
    policies: [
      { name: "lan", statements: [{ match: { prefix_sets: ["lan"] }, action: "accept" }] },
      {
        name: "mark",
        statements: [
          { name: "long", match: { prefix_sets: ["long"] }, action: "reject" },
          { set: { communities_add: ["65001:7"] }, action: "accept" },
        ],
      },
    ],
    prefix_sets: [
      { name: "lan", prefixes: [{ prefix: lan4 }, { prefix: lan6 }, { prefix: loopback }] },
      { name: "long", prefixes: [{ prefix: "0.0.0.0/0", ge: 25 }] },
    ],
    redistributes: [
      { name: "lan", sources: ["connected"], policy: "lan" },
      { name: "static", sources: ["static"], policy: "mark" },
      { name: "table", table: 100, med: 5, max_routes: bound },
    ],
    fib_tables: [{ name: "main" }],
  });
}

const birdConfig = `log stderr all;
router id 192.0.2.11;
protocol device { }
protocol static { ipv4; route ${learned} blackhole; }
protocol bgp cairn {
  local 10.0.1.2 as 65002;
  neighbor 10.0.1.1 as 65001;
  connect delay time 1; connect retry time 1; error wait time 1, 2;
  ipv4 { import all; export where source = RTS_STATIC; };
  ipv6 { import all; export none; };
}
`;
