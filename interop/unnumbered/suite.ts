/**
 * Sessions over link-local addresses: with FRR by interface alone, both sides finding each other by router
 * advertisements, and with BIRDs that have the same link-local address on two links.
 */
import { type Checks, equal, eventually } from "../lib/checks.ts";
import { Lab, type Namespace, pause } from "../lib/lab.ts";
import { Router } from "../lib/router.ts";

const count = 40;
const ours = Array.from({ length: count }, (_, i) => `10.1.${i}.0/24`);
const theirs = Array.from({ length: count }, (_, i) => `10.2.${i}.0/24`);

function cairnConfig(neighbors: readonly object[], more: object = {}): string {
  const common = {
    families: ["ipv4-unicast", "ipv6-unicast"],
    extended_next_hop: true,
    connect_retry_time: "1s",
    import: ["accept-all"],
    export: ["accept-all"],
  };
  return JSON.stringify({
    global: { asn: 65001, router_id: "10.9.9.1", listen: ["0.0.0.0:179", "[::]:179"] },
    neighbors: neighbors.map((neighbor) => ({ ...common, ...neighbor })),
    ...more,
  });
}

const frrConfig = [
  "frr defaults traditional",
  "log stdout",
  "router bgp 65002",
  " bgp router-id 10.9.9.2",
  " no bgp ebgp-requires-policy",
  " no bgp network import-check",
  " neighbor link0 interface remote-as external",
  " neighbor link0 timers connect 1",
  " neighbor link0 advertisement-interval 0",
  " address-family ipv4 unicast",
  ...theirs.map((prefix) => `  network ${prefix}`),
  "  neighbor link0 activate",
  " exit-address-family",
  " address-family ipv6 unicast",
  "  network 2001:db8:2::/48",
  "  neighbor link0 activate",
  " exit-address-family",
  "exit",
  "",
].join("\n");

export async function unnumberedWithFrr(checks: Checks, folder: string): Promise<void> {
  const lab = new Lab(folder);
  try {
    const [here, there] = [await lab.namespace("cairn"), await lab.namespace("frr")];
    await lab.link(here, [], there, []);
    const cairn = new Router(lab, here, "cairn", cairnConfig([{ address: "link0", remote_as: "external" }]));
    const frr = new Router(lab, there, "frr", frrConfig, true);
    await Promise.all([cairn.start(), frr.start()]);
    await announce(lab, cairn, [...ours, "2001:db8:1::/48"]);
    const [ourLink, theirLink] = [await linkLocal(lab, here, "link0"), await linkLocal(lab, there, "link0")];
    await checks.check("both find each other on the link and learn each other's AS", () =>
      eventually("neighbor", ["established", 65002, theirLink], async () => {
        const { state } = await neighbor(cairn, "link0");
        return [word(state.sessionState), state.remoteAsn, state.remoteAddress?.split("%")[0]];
      }),
    );
    await checks.check(`${count} IPv4 routes come in, each with FRR's link-local next hop`, () =>
      eventually("routes", theirs.map((prefix) => `${prefix} ${theirLink}`).sort(), () =>
        received(cairn, "link0", "ipv4-unicast"),
      ),
    );
    await checks.check(`${count} go out, and FRR forwards by our link-local address`, () =>
      eventually("routes", ours.map((prefix) => `${prefix} ${ourLink}`).sort(), () =>
        inKernel(lab, there, "4"),
      ),
    );
    await checks.check("IPv6 routes have the link-local addresses as next hops too", async () => {
      await eventually("here", [`2001:db8:2::/48 ${theirLink}`], () =>
        received(cairn, "link0", "ipv6-unicast"),
      );
      await eventually("there", [`2001:db8:1::/48 ${ourLink}`], () => inKernel(lab, there, "6"));
    });
    await checks.check(
      "a link that goes down ends the session with a reason, and it comes back with the link",
      async () => {
        await lab.in(here, ["ip", "link", "set", "link0", "down"]);
        await eventually("discovery", "waiting for interface link0", async () => {
          const { state } = await neighbor(cairn, "link0");
          return (state.status ?? "").split(":")[0];
        });
        await lab.in(here, ["ip", "link", "set", "link0", "up"]);
        await eventually("session", ["established", 2], async () => {
          const { state } = await neighbor(cairn, "link0");
          return [word(state.sessionState), state.establishedCount];
        });
        await eventually(
          "routes",
          count,
          async () => (await received(cairn, "link0", "ipv4-unicast")).length,
        );
        await eventually("routes at FRR", count, async () => (await inKernel(lab, there, "4")).length);
      },
    );
  } finally {
    await lab.close();
  }
}

function birdConfig(asn: number, prefix: string): string {
  return [
    "log stderr all;",
    `router id 10.9.9.${asn - 65000};`,
    "protocol device { }",
    `protocol static { ipv4; route ${prefix} blackhole; }`,
    "protocol bgp cairn {",
    `  local fe80::2 as ${asn}; neighbor fe80::1 as 65001; interface "LINK";`,
    "  connect delay time 1; connect retry time 1; error wait time 1, 2;",
    "  ipv4 { extended next hop on; import all; export all; };",
    "}",
    "",
  ].join("\n");
}

/** Two neighbors with one address; a third one, on a link of its own, comes in by a range. */
export async function sameAddressTwice(checks: Checks, folder: string): Promise<void> {
  const lab = new Lab(folder);
  try {
    const here = await lab.namespace("cairn");
    const ends = [65002, 65003, 65004].map((asn, i) => ({
      asn,
      link: `link${i}`,
      prefix: `198.51.10${i}.0/24`,
    }));
    const birds: Router[] = [];
    for (const { asn, link, prefix } of ends) {
      const there = await lab.namespace(`bird-${asn}`);
      await lab.link(here, [], there, []);
      await replaceLinkLocal(lab, here, link, "fe80::1");
      await replaceLinkLocal(lab, there, link, "fe80::2");
      birds.push(new Router(lab, there, "bird", birdConfig(asn, prefix).replace("LINK", link)));
    }
    const config = cairnConfig(
      [
        { address: "fe80::2%link0", remote_asn: 65002 },
        { address: "fe80::2%link1", remote_as: "external" },
      ],
      {
        peer_groups: [
          {
            name: "links",
            families: ["ipv4-unicast"],
            extended_next_hop: true,
            import: ["accept-all"],
            export: ["accept-all"],
          },
        ],
        dynamic_ranges: [{ name: "links", interface: "link2", peer_group: "links", remote_asns: ["65004"] }],
      },
    );
    const cairn = new Router(lab, here, "cairn", config);
    await Promise.all([cairn, ...birds].map((router) => router.start()));
    await checks.check("one link-local address on three links is three neighbors", () =>
      eventually(
        "sessions",
        ends.map(({ link, asn }) => `fe80::2%${link} ${asn} established`),
        async () => {
          const { neighbors = [] } = JSON.parse(await cairn.cli("neighbor", "--json")) as {
            neighbors?: Neighbor[];
          };
          return neighbors
            .map(({ spec, state }) => `${spec.address} ${state.remoteAsn} ${word(state.sessionState)}`)
            .sort();
        },
      ),
    );
    await checks.check("the third one came in by the range of its interface", async () => {
      const { state } = await neighbor(cairn, "fe80::2%link2");
      equal("range", "links", state.dynamicRange);
    });
    await checks.check(
      "each one's route came over its own link, and went on to both others with our next hop",
      async () => {
        for (const { link, prefix } of ends) {
          const from = `fe80::2%${link}`;
          await eventually(from, [`${prefix} fe80::2`], () => received(cairn, from, "ipv4-unicast"));
        }
        for (const [i, bird] of birds.entries()) {
          const others = ends.filter((_, j) => j !== i).map(({ prefix }) => `${prefix} fe80::1`);
          await eventually(`at BIRD ${ends[i].asn}`, others.sort(), () => atBird(bird));
        }
      },
    );
    await checks.check("the loss of one link ends one session", async () => {
      await lab.in(here, ["ip", "link", "set", "link0", "down"]);
      await eventually("sessions", ["idle or waiting", "established", "established"], () =>
        Promise.all(
          ends.map(async ({ link }) => {
            const { state } = await neighbor(cairn, `fe80::2%${link}`);
            return word(state.sessionState) === "established" ? "established" : "idle or waiting";
          }),
        ),
      );
      await eventually("at the second BIRD", [`${ends[2].prefix} fe80::1`], () => atBird(birds[1]));
    });
  } finally {
    await lab.close();
  }
}

interface Neighbor {
  readonly spec: { readonly address: string };
  readonly state: {
    readonly sessionState: string;
    readonly remoteAsn?: number;
    readonly remoteAddress?: string;
    readonly establishedCount?: number;
    readonly status?: string;
    readonly dynamicRange?: string;
  };
}

const word = (state: string): string => state.replace("SESSION_STATE_", "").toLowerCase();

async function neighbor(cairn: Router, name: string): Promise<Neighbor> {
  const { neighbor } = JSON.parse(await cairn.cli("neighbor", name, "--json")) as { neighbor: Neighbor };
  return neighbor;
}

/** `PREFIX NEXTHOP` of what import let in. */
async function received(cairn: Router, name: string, family: string): Promise<string[]> {
  const text = await cairn.cli("rib", "received", name, "-f", family, "--post", "--json");
  const { routes = [] } = JSON.parse(text) as { routes?: { prefix: string; nextHop: string }[] };
  return routes.map(({ prefix, nextHop }) => `${prefix} ${nextHop.split(",")[0]}`).sort();
}

/** `PREFIX NEXTHOP` of what FRR has put into the kernel of its namespace. */
async function inKernel(lab: Lab, namespace: Namespace, family: "4" | "6"): Promise<string[]> {
  const text = await lab.in(namespace, ["ip", `-${family}`, "-json", "route", "show", "proto", "bgp"]);
  const routes = JSON.parse(text) as { dst: string; gateway?: string; via?: { host: string } }[];
  return routes.map(({ dst, gateway, via }) => `${dst} ${via?.host ?? gateway}`).sort();
}

async function atBird(bird: Router): Promise<string[]> {
  const text = await bird.cli("show", "route", "protocol", "cairn");
  const prefixes = [...text.matchAll(/^(\d\S+).*\n\s+via (\S+) on/gm)];
  return prefixes.map(([, prefix, via]) => `${prefix} ${via}`).sort();
}

async function announce(lab: Lab, cairn: Router, prefixes: readonly string[]): Promise<void> {
  await cairn.cli("rib", "load", lab.file("routes.txt", `${prefixes.join("\n")}\n`));
}

/** The kernel's own link-local address, once it can be used. */
async function linkLocal(lab: Lab, namespace: Namespace, device: string): Promise<string> {
  for (;;) {
    const text = await lab.in(namespace, ["ip", "-6", "address", "show", "dev", device, "scope", "link"]);
    const address = /inet6 (fe80:\S+)\/64/.exec(text)?.[1];
    if (address !== undefined && !text.includes("tentative")) return address;
    await pause(100);
  }
}

async function replaceLinkLocal(
  lab: Lab,
  namespace: Namespace,
  device: string,
  address: string,
): Promise<void> {
  await lab.in(namespace, ["ip", "-6", "address", "flush", "dev", device, "scope", "link"]);
  await lab.in(namespace, ["ip", "address", "add", `${address}/64`, "dev", device, "nodad"]);
}
