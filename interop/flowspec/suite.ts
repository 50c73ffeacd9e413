/**
 * FlowSpec (RFC 8955, 8956, 9117) between cairn and a daemon that has it, both directions: west (cairn) tells the other
 * daemon in the middle, which tells east (cairn). The middle shows what it was told, and makes rules of its own where it can.
 */
import { type Checks, eventually } from "../lib/checks.ts";
import { Lab } from "../lib/lab.ts";
import { Router, type RouterKind } from "../lib/router.ts";

const west = { asn: 65001, address: "10.0.1.1", middle: "10.0.1.2" };
const east = { asn: 65003, address: "10.0.2.2", middle: "10.0.2.1" };
const middleAsn = 65002;

/** In the order of RFC 8955 5.1: more specific destinations first, then lower ones, then the other components. */
const ours = [
  "dst 203.0.113.1/32 proto tcp tcp-flags syn -> rate 1000",
  "dst 203.0.113.0/24 proto udp dst-port 123 -> drop",
  "dst 203.0.113.0/24 src 198.51.100.0/24 -> mark 10",
].sort((a, b) => rank(a) - rank(b));

/** A source comes before a protocol. */
function rank(rule: string): number {
  return rule.includes("/32") ? 0 : rule.includes("src") ? 1 : 2;
}

const ours6 = "dst 2001:db8:1::/48 proto tcp dst-port 80 -> rate 1000";
/** With an offset (RFC 8956 3.1). */
const offset = "dst 2001:db8:1::/48 src ::1234:5678:9a00:0/64-104 proto tcp -> rate 1000";
const theirs = "dst 203.0.113.0/25 proto icmp -> drop";

/** How a daemon shows a rule, and makes one. */
interface Words {
  readonly config: string;
  /** Commands that show all rules of IPv4, and of IPv6. */
  readonly show: readonly (readonly string[])[];
  /** What stands in the answer for each of `ours`, and for `ours6`. */
  readonly shows: readonly RegExp[];
  readonly shows6: RegExp;
  /** FRR 8.4 ends the session over an offset, and the command line of GoBGP 3.10 itself. */
  readonly takesOffset: boolean;
  /** Commands that make `theirs` and that take it back; undefined where it makes none. */
  readonly make?: readonly string[];
  readonly unmake?: readonly string[];
}

const neighbors = [
  { remote: west.address, asn: west.asn },
  { remote: east.address, asn: east.asn },
];

const daemons: Readonly<Record<"frr" | "bird" | "gobgp", Words>> = {
  frr: {
    config: [
      "frr defaults traditional",
      "log stdout",
      `router bgp ${middleAsn}`,
      " bgp router-id 10.9.9.2",
      " no bgp ebgp-requires-policy",
      " no bgp default ipv4-unicast",
      ...neighbors.flatMap(({ remote, asn }) => [
        ` neighbor ${remote} remote-as ${asn}`,
        ` neighbor ${remote} timers connect 1`,
        ` neighbor ${remote} advertisement-interval 0`,
      ]),
      ...["ipv4 unicast", "ipv4 flowspec", "ipv6 flowspec"].flatMap((family) => [
        ` address-family ${family}`,
        ...neighbors.map(({ remote }) => `  neighbor ${remote} activate`),
        " exit-address-family",
      ]),
      "exit",
      "",
    ].join("\n"),
    show: [["show bgp ipv4 flowspec detail"], ["show bgp ipv6 flowspec detail"]],
    shows: [
      /Destination Address 203\.0\.113\.1\/32\s+IP Protocol = 6\s+TCP Flags/,
      /Destination Address 203\.0\.113\.0\/24\s+Source Address 198\.51\.100\.0\/24/,
      /Destination Address 203\.0\.113\.0\/24\s+IP Protocol = 17\s+Destination Port = 123/,
    ],
    shows6: /2001:db8:1::\/48/,
    takesOffset: false,
  },
  bird: {
    config: [
      "log stderr all;",
      "router id 10.9.9.2;",
      "flow4 table flow4tab;",
      "flow6 table flow6tab;",
      "protocol device { }",
      "protocol static made {",
      "  disabled;",
      "  flow4;",
      "  route flow4 { dst 203.0.113.0/25; proto = 1; } { bgp_ext_community.add((generic, 0x80060000, 0x0)); };",
      "}",
      ...neighbors.flatMap(({ remote, asn }, i) => [
        `protocol bgp n${i} {`,
        `  local as ${middleAsn}; neighbor ${remote} as ${asn};`,
        "  direct; connect delay time 1; connect retry time 1; error wait time 1, 2;",
        "  ipv4 { import all; export all; };",
        "  flow4 { import all; export all; };",
        "  flow6 { import all; export all; };",
        "}",
      ]),
      "",
    ].join("\n"),
    show: [
      ["show", "route", "table", "flow4tab"],
      ["show", "route", "table", "flow6tab"],
    ],
    shows: [
      /flow4 \{ dst 203\.0\.113\.1\/32; proto 6; tcp flags [^;]*; \}/,
      /flow4 \{ dst 203\.0\.113\.0\/24; src 198\.51\.100\.0\/24; \}/,
      /flow4 \{ dst 203\.0\.113\.0\/24; proto 17; dport 123; \}/,
    ],
    shows6: /flow6 \{ dst 2001:db8:1::\/48; src ::1234:5678:9a00:0\/104 offset 64; next header 6; \}/,
    takesOffset: true,
    make: ["enable", "made"],
    unmake: ["disable", "made"],
  },
  gobgp: {
    config: JSON.stringify({
      global: { config: { as: middleAsn, "router-id": "10.9.9.2", port: 179 } },
      neighbors: neighbors.map(({ remote, asn }) => ({
        config: { "neighbor-address": remote, "peer-as": asn },
        timers: { config: { "connect-retry": 1, "idle-hold-time-after-reset": 1 } },
        "afi-safis": ["ipv4-unicast", "ipv4-flowspec", "ipv6-flowspec"].map((name) => ({
          config: { "afi-safi-name": name },
        })),
      })),
    }),
    show: [
      ["global", "rib", "-a", "ipv4-flowspec"],
      ["global", "rib", "-a", "ipv6-flowspec"],
    ],
    shows: [
      /\[destination: 203\.0\.113\.1\/32\]\s?\[protocol: ==tcp\]\s?\[tcp-flags: =?S\]/,
      /\[destination: 203\.0\.113\.0\/24\]\s?\[source: 198\.51\.100\.0\/24\]/,
      /\[destination: 203\.0\.113\.0\/24\]\s?\[protocol: ==udp\]\s?\[destination-port: ==123\]/,
    ],
    shows6: /\[destination: 2001:db8:1::\/48(?:\/0)?\]/,
    takesOffset: false,
    make: "global rib -a ipv4-flowspec add match destination 203.0.113.0/25 protocol icmp then discard".split(
      " ",
    ),
    unmake:
      "global rib -a ipv4-flowspec del match destination 203.0.113.0/25 protocol icmp then discard".split(
        " ",
      ),
  },
};

export async function flowspecWith(checks: Checks, kind: RouterKind, folder: string): Promise<void> {
  const words = daemons[kind as keyof typeof daemons];
  const lab = new Lab(folder);
  try {
    const [w, m, e] = [
      await lab.namespace("west"),
      await lab.namespace("middle"),
      await lab.namespace("east"),
    ];
    await lab.link(w, [`${west.address}/30`], m, [`${west.middle}/30`]);
    await lab.link(m, [`${east.middle}/30`], e, [`${east.address}/30`]);
    const routers = {
      west: new Router(lab, w, "cairn", cairn(west)),
      middle: new Router(lab, m, kind, words.config),
      east: new Router(lab, e, "cairn", cairn(east)),
    };
    await Promise.all(Object.values(routers).map((router) => router.start()));
    await play(checks, kind, words, routers);
  } finally {
    await lab.close();
  }
}

function cairn(
  { asn, address, middle }: { readonly asn: number; readonly address: string; readonly middle: string },
  more: object = {},
): string {
  return JSON.stringify({
    global: { asn, router_id: address, listen: ["0.0.0.0:179"] },
    neighbors: [
      {
        address: middle,
        local_address: address,
        remote_asn: middleAsn,
        connect_retry_time: "1s",
        families: ["ipv4-unicast", "ipv4-flowspec", "ipv6-flowspec"],
        import: ["accept-all"],
        export: ["accept-all"],
        ...more,
      },
    ],
  });
}

interface Scene {
  readonly west: Router;
  readonly middle: Router;
  readonly east: Router;
}

async function play(checks: Checks, kind: RouterKind, words: Words, scene: Scene): Promise<void> {
  const { west: a, middle, east: b } = scene;
  const rule6 = words.takesOffset ? offset : ours6;
  const shown = async (family: 0 | 1): Promise<string> => middle.cli(...words.show[family]);
  const listed = (router: Router, ...more: readonly string[]) => rules(router, ...more);

  await checks.check(`${kind} shows our rules`, async () => {
    await a.cli("rib", "add", "203.0.113.0/24", "--next-hop", west.address);
    for (const rule of [...ours].reverse()) await a.cli("flowspec", "add", rule);
    await a.cli("flowspec", "add", rule6);
    await eventually(
      `at ${kind}`,
      ours.map(() => true),
      async () => {
        const text = await shown(0);
        return words.shows.map((each) => each.test(text));
      },
    );
    await eventually(`at ${kind}, IPv6`, true, async () => words.shows6.test(await shown(1)));
  });
  await checks.check("rules that it passes on come out as they went in, in order", () =>
    eventually("in use at the far end", ours, () => listed(b)),
  );
  await checks.check(
    "a rule that no unicast route bears out is kept and not used, until nobody asks",
    async () => {
      const refused = [rule6];
      await eventually("refused", refused, () => listed(b, "-f", "ipv6", "--rejected", east.middle));
      await eventually("in use", [], () => listed(b, "-f", "ipv6"));
      await b.cli("neighbor", "set", east.middle, "--no-flowspec-validation");
      await eventually("in use", refused, () => listed(b, "-f", "ipv6"));
      await b.cli("neighbor", "set", east.middle, "--flowspec-validation");
      await eventually("in use", [], () => listed(b, "-f", "ipv6"));
    },
  );
  await checks.check("rules follow the unicast route to their destination", async () => {
    await a.cli("rib", "delete", "203.0.113.0/24");
    await eventually("in use", [], () => listed(b));
    await eventually("refused", ours, () => listed(b, "--rejected", east.middle));
    await a.cli("rib", "add", "203.0.113.0/24", "--next-hop", west.address);
    await eventually("in use", ours, () => listed(b));
  });
  if (words.make && words.unmake) {
    const { make, unmake } = words;
    await checks.check("cairn takes rules that it makes, and loses them again", async () => {
      await b.cli("neighbor", "set", east.middle, "--no-flowspec-validation");
      await middle.cli(...make);
      await eventually("in use", [ours[0], theirs, ...ours.slice(1)], () => listed(b));
      // The middle's own rule begins with its AS at both ends; the route that west has made is its own.
      await eventually("at the other end", [theirs], () => listed(a, "--received", west.middle));
      await middle.cli(...unmake);
      await eventually("in use", ours, () => listed(b));
    });
  } else checks.skip("cairn takes rules that it makes", `${kind} makes none`);
  await checks.check("what is taken back is gone everywhere", async () => {
    for (const rule of ours.slice(1)) await a.cli("flowspec", "delete", rule);
    await eventually("in use", ours.slice(0, 1), () => listed(b));
    await eventually(`at ${kind}`, [true, ...ours.slice(1).map(() => false)], async () => {
      const text = await shown(0);
      return words.shows.map((each) => each.test(text));
    });
  });
}

/** What ExaBGP sends of itself: every component, an offset of IPv6, several actions; as it is configured, and as it is told. */
const odd: readonly { readonly match: string; readonly action: string; readonly rule: string }[] = [
  {
    match:
      "destination 203.0.113.0/24; source 198.51.100.0/24; protocol [ tcp udp ]; port [ =25 =80 ]; " +
      "destination-port >1024&<2048; source-port =53; packet-length >200&<300;",
    action: "rate-limit 9600;",
    rule:
      "dst 203.0.113.0/24 src 198.51.100.0/24 proto tcp,udp port 25,80 dst-port >1024&<2048 src-port 53 " +
      "pkt-len >200&<300 -> rate 9600",
  },
  {
    match: "destination 203.0.113.0/24; protocol icmp; icmp-type [ 8 ]; icmp-code [ 0 ];",
    action: "discard;",
    rule: "dst 203.0.113.0/24 proto icmp icmp-type 8 icmp-code 0 -> drop",
  },
  {
    match: "source 198.51.100.0/24; dscp [ 10 ]; fragment [ is-fragment ];",
    action: "mark 46;",
    rule: "src 198.51.100.0/24 dscp 10 fragment is-fragment -> mark 46",
  },
  {
    match: "protocol tcp; tcp-flags [ syn ];",
    action: "redirect 65500:12345;",
    rule: "proto tcp tcp-flags syn -> redirect 65500:12345",
  },
];

/** Its flow label takes two bytes, where four are usual: what is told apart on the wire is told apart in text. */
const odd6: typeof odd = [
  {
    match: "source 2001:db8:2::/48/0; next-header tcp; flow-label 2013; traffic-class [ 10 ];",
    action: "rate-limit 9600;",
    rule: "src 2001:db8:2::/48 proto tcp dscp 10 flow-label 0x07dd -> rate 9600",
  },
];

/** ExaBGP 4.2 writes all of the prefix behind an offset, and not the pattern alone as RFC 8956 3.1 has it. */
const draftOffset = {
  match: "destination 2001:db8::1234:5678:9a00:0/104/64; next-header udp;",
  action: "discard;",
};

/** ExaBGP as a sender of what other daemons do not send. */
export async function flowspecFromExaBgp(checks: Checks, folder: string): Promise<void> {
  const lab = new Lab(folder);
  try {
    const [w, m] = [await lab.namespace("west"), await lab.namespace("exabgp")];
    await lab.link(w, [`${west.address}/30`], m, [`${west.middle}/30`]);
    const settings = { flowspec_validation: false, enhanced_refresh: false, soft_reconfiguration: true };
    const router = new Router(lab, w, "cairn", cairn(west, settings));
    await router.start();
    const config = lab.file("exabgp/exabgp.conf", exabgpConfig());
    await lab
      .daemon(m, "exabgp", ["exabgp", config], {
        "exabgp.daemon.user": "root",
        "exabgp.daemon.drop": "false",
        "exabgp.log.destination": "stdout",
        "exabgp.api.cli": "false",
        "exabgp.tcp.port": "179",
      })
      .start();
    const all = (list: typeof odd) => list.map(({ rule }) => rule);
    await checks.check("all components and actions of IPv4, in order", () =>
      eventually("in use", all(odd), () => rules(router)),
    );
    await checks.check("IPv6", () => eventually("in use", all(odd6), () => rules(router, "-f", "ipv6")));
    await checks.check("a rule that is malformed is left out, and the session goes on", async () => {
      const malformed = async (): Promise<string[]> => {
        const text = await router.cli("events", "--topic", "cairn.bgp.update.malformed", "--json");
        const { events = [] } = JSON.parse(text) as { events?: { summary: string }[] };
        return events.map(({ summary }) => summary);
      };
      const why =
        "malformed UPDATE, treated as withdraw: MP_REACH_NLRI component 0 stands behind component 1";
      await eventually("event", [why], malformed);
      const neighbor = JSON.parse(await router.cli("neighbor", west.middle, "--json")) as {
        neighbor: { state: { sessionState: string; resets?: unknown[] } };
      };
      await eventually("resets", 0, async () => neighbor.neighbor.state.resets?.length ?? 0);
    });
    await checks.check("with validation it says why there is none to be used", async () => {
      await router.cli("neighbor", "set", west.middle, "--flowspec-validation");
      await eventually("in use", [], () => rules(router));
      await eventually("refused", all(odd), () => rules(router, "--rejected", west.middle));
      const rule = all(odd)[2].split(" -> ")[0];
      const text = await router.cli("flowspec", "explain", rule, "--from", west.middle, "--json");
      const { decidedBy } = JSON.parse(text) as { decidedBy: string };
      await eventually("reason", "it has no destination (RFC 8955 section 6 a)", async () => decidedBy);
    });
  } finally {
    await lab.close();
  }
}

function exabgpConfig(): string {
  const routes = [...odd, draftOffset, ...odd6].map(
    ({ match, action }, i) => `    route r${i} {\n      match { ${match} }\n      then { ${action} }\n    }`,
  );
  return [
    `neighbor ${west.address} {`,
    `  router-id ${west.middle};`,
    `  local-address ${west.middle};`,
    `  local-as ${middleAsn};`,
    `  peer-as ${west.asn};`,
    "  family { ipv4 unicast; ipv4 flow; ipv6 flow; }",
    "  flow {",
    ...routes,
    "  }",
    "}",
    "",
  ].join("\n");
}

/** Rules with their actions, as `flowspec list` tells them. */
export async function rules(router: Router, ...more: readonly string[]): Promise<string[]> {
  const text = await router.cli("flowspec", "list", ...more, "--json");
  const { routes = [] } = JSON.parse(text) as { routes?: { rule: string; actions?: string }[] };
  return routes.map(({ rule, actions }) => (actions ? `${rule} -> ${actions}` : rule));
}
