/** RFC 7947: a route server and its clients, scripted and real ones. */
import { type Checks, eventually, stays } from "../lib/checks.ts";
import type { RouterKind } from "../lib/router.ts";
import { type RouterPlan, type SpeakerPlan, withScene } from "../lib/scene.ts";
import type { Speakers } from "../lib/speakers.ts";
import type { WireRoute } from "../lib/wire.ts";

const sessions = [
  { name: "a", asn: 65010, local: "10.0.1.2" },
  { name: "b", asn: 65020, local: "10.0.2.2" },
  { name: "c", asn: 65030, local: "10.0.3.2" },
] as const satisfies readonly SpeakerPlan[];

const fromA: WireRoute = {
  prefix: "198.51.100.0/26",
  origin: "incomplete",
  asPath: "65010 65100",
  nextHop: "10.0.1.2",
  med: 7,
  communities: ["65010:1"],
  extendedCommunities: ["rt:65010:1"],
  largeCommunities: ["65010:1:1"],
};

/** Two clients have it; a's is better, and c's export policy refuses paths by way of a. */
const contestedA: WireRoute = {
  prefix: "203.0.113.0/24",
  origin: "igp",
  asPath: "65010 65100",
  nextHop: "10.0.1.2",
};
const contestedB: WireRoute = { ...contestedA, asPath: "65020 65101 65100", nextHop: "10.0.2.2" };

/** The same questions to cairn and to others in its place. */
export async function serves(checks: Checks, kind: RouterKind, folder: string): Promise<void> {
  await withScene(folder, { [kind]: server(kind) }, sessions, async ({ speakers }) => {
    // FRR's update groups send a route back to the client that it came from, who refuses it as a loop.
    const others = async (name: string, own: readonly string[]): Promise<WireRoute[]> =>
      (await speakers.routes(name)).filter((route) => kind !== "frr" || !own.includes(route.prefix));
    await speakers.announce("a", [fromA]);
    await checks.check("AS path, next hop, MED and communities stay as they are", async () => {
      for (const name of ["b", "c"]) await eventually(`at ${name}`, [fromA], () => speakers.routes(name));
      await stays("at a", [], () => others("a", [fromA.prefix]));
    });
    await speakers.announce("a", [contestedA]);
    await speakers.announce("b", [contestedB]);
    if (kind === "frr") {
      await checks.check("a filtered best path hides the others: FRR has one best path for all", async () => {
        await eventually("at b", [fromA, contestedA], () => speakers.routes("b"), 8_000);
        await stays("at c", [fromA], () => speakers.routes("c"));
      });
      return;
    }
    await checks.check("per-client best path: a filtered best does not hide the others", async () => {
      await eventually("at b", [fromA, contestedA], () => speakers.routes("b"), 8_000);
      await eventually("at c", [fromA, contestedB], () => speakers.routes("c"), 8_000);
      await eventually("at a", [contestedB], () => speakers.routes("a"), 8_000);
    });
    await speakers.withdraw("b", [contestedB.prefix]);
    await checks.check("and goes when it goes", async () => {
      await eventually("at b", [fromA, contestedA], () => speakers.routes("b"), 8_000);
      await stays("at c", [fromA], () => speakers.routes("c"));
      await eventually("at a", [], () => speakers.routes("a"), 8_000);
    });
    await speakers.announce("b", [contestedB]);
    await speakers.withdraw("a", [contestedA.prefix]);
    await checks.check("the other one becomes best for all", async () => {
      await eventually("at b", [fromA], () => speakers.routes("b"), 8_000);
      await eventually("at c", [fromA, contestedB], () => speakers.routes("c"), 8_000);
    });
  });
}

/** Policy of c: nothing by way of a. */
function server(kind: RouterKind): RouterPlan {
  return {
    kind,
    asn: 65001,
    routerId: "10.9.9.9",
    neighbors: sessions.map(({ name, asn, local }) => ({
      local: local.replace(/2$/, "1"),
      remote: local,
      asn,
      routeServerClient: true,
      cairn: { per_client_best: true, ...(name === "c" ? { export: ["not-by-a"] } : {}) },
      frr: name === "c" ? ["route-map NOT-BY-A out"] : [],
      bird: `gateway direct; secondary; import all; export ${name === "c" ? "filter not_by_a" : "all"};`,
    })),
    preamble: {
      cairn: {
        policies: [
          {
            name: "not-by-a",
            statements: [
              { match: { prefixes: [contestedA.prefix], neighbor_asns: [65010] }, action: "reject" },
            ],
            default_action: "accept",
          },
        ],
      },
      frr: [
        `ip prefix-list CONTESTED permit ${contestedA.prefix}`,
        "bgp as-path access-list BY-A permit ^65010_",
        "route-map NOT-BY-A deny 10",
        " match ip address prefix-list CONTESTED",
        " match as-path BY-A",
        "route-map NOT-BY-A permit 20",
        "exit",
      ].join("\n"),
      bird: `ipv4 table master4 sorted;
filter not_by_a {
  if net = ${contestedA.prefix} && bgp_path.first = 65010 then reject;
  accept;
}`,
      gobgp: "",
      openbgpd: "",
    }[kind],
  };
}

/** a (scripted) - cairn as route server - a real client, which hands on to d (scripted) what it took. */
export async function servesRealClient(checks: Checks, kind: RouterKind, folder: string): Promise<void> {
  const plans: Record<string, RouterPlan> = {
    cairn: {
      kind: "cairn",
      asn: 65001,
      routerId: "10.9.9.9",
      neighbors: [
        { local: "10.0.1.1", remote: "10.0.1.2", asn: 65010, routeServerClient: true },
        { local: "10.0.3.1", remote: "10.0.3.2", asn: 65030, routeServerClient: true },
      ],
    },
    [`client-${kind}`]: {
      kind,
      asn: 65030,
      routerId: "10.9.9.3",
      neighbors: [
        {
          local: "10.0.3.2",
          remote: "10.0.3.1",
          asn: 65001,
          bird: "gateway recursive; import all; export all;",
        },
        { local: "10.0.4.1", remote: "10.0.4.2", asn: 65030 },
      ],
    },
  };
  const ends: readonly SpeakerPlan[] = [
    { name: "a", asn: 65010, local: "10.0.1.2" },
    { name: "d", asn: 65030, local: "10.0.4.2" },
  ];
  await withScene(folder, plans, ends, async ({ speakers }) => {
    await speakers.announce("a", [fromA]);
    await checks.check("the client has the path of the other client, its next hop and MED", async () => {
      await eventually("inside the client's AS", [{ ...fromA, localPref: 100 }], () => speakers.routes("d"));
    });
    const back: WireRoute = {
      prefix: "198.51.100.64/26",
      origin: "igp",
      asPath: "65200",
      nextHop: "10.0.4.2",
      localPref: 100,
    };
    await speakers.announce("d", [back]);
    await checks.check("the client's route reaches the other client without the server's AS", () =>
      eventually(
        "at a",
        [{ prefix: back.prefix, origin: "igp", asPath: "65030 65200", nextHop: "10.0.3.2" }],
        () => announcedOnly(speakers, "a"),
      ),
    );
  });
}

/** a (scripted) - another route server - cairn as its client, which hands on to d (scripted) what it took. */
export async function cairnIsClient(checks: Checks, kind: RouterKind, folder: string): Promise<void> {
  const plans: Record<string, RouterPlan> = {
    cairn: {
      kind: "cairn",
      asn: 65030,
      routerId: "10.9.9.3",
      neighbors: [
        { local: "10.0.3.2", remote: "10.0.3.1", asn: 65001 },
        { local: "10.0.4.1", remote: "10.0.4.2", asn: 65030 },
      ],
    },
    [`server-${kind}`]: {
      kind,
      asn: 65001,
      routerId: "10.9.9.9",
      neighbors: [
        { local: "10.0.1.1", remote: "10.0.1.2", asn: 65010, routeServerClient: true },
        { local: "10.0.3.1", remote: "10.0.3.2", asn: 65030, routeServerClient: true },
      ],
    },
  };
  const ends: readonly SpeakerPlan[] = [
    { name: "a", asn: 65010, local: "10.0.1.2" },
    { name: "d", asn: 65030, local: "10.0.4.2" },
  ];
  await withScene(folder, plans, ends, async ({ speakers, routers: { cairn } }) => {
    await speakers.announce("a", [fromA]);
    await checks.check("a path without the server's AS is refused, and why", async () => {
      const reasons = async (): Promise<string[]> => {
        const text = await cairn.cli("rib", "received", "10.0.3.1", "--json");
        const { routes = [] } = JSON.parse(text) as { routes?: { prefix: string; rejectReason?: string }[] };
        return routes.map(({ prefix, rejectReason }) => `${prefix}: ${rejectReason}`);
      };
      await eventually(
        "received",
        [`${fromA.prefix}: first AS is not the neighbor's (enforce_first_as)`],
        reasons,
      );
      await stays("inside the AS", [], () => speakers.routes("d"));
    });
    await checks.check("without enforce_first_as it is taken as the other client sent it", async () => {
      await cairn.cli("neighbor", "set", "10.0.3.1", "--enforce-first-as=false");
      await eventually("inside the AS", [{ ...fromA, localPref: 100 }], () => speakers.routes("d"));
    });
  });
}

async function announcedOnly(speakers: Speakers, name: string): Promise<WireRoute[]> {
  return (await speakers.routes(name)).filter(({ prefix }) => prefix !== fromA.prefix);
}
