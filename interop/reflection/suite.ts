/** RFC 4456 with scripted neighbors, of cairn and of others in its place, and between cairn and another reflector. */
import { type Checks, eventually, stays } from "../lib/checks.ts";
import type { Router, RouterKind } from "../lib/router.ts";
import { type RouterPlan, type SpeakerPlan, withScene } from "../lib/scene.ts";
import type { Speakers } from "../lib/speakers.ts";
import type { WireRoute } from "../lib/wire.ts";

const asn = 65001;
const clusterId = "10.8.8.8";
const routerId = "10.9.9.9";

const sessions = [
  { name: "client1", asn, local: "10.0.1.2" },
  { name: "client2", asn, local: "10.0.2.2" },
  { name: "other1", asn, local: "10.0.3.2" },
  { name: "other2", asn, local: "10.0.4.2" },
  { name: "external", asn: 65010, local: "10.0.5.2" },
] as const satisfies readonly SpeakerPlan[];
type Name = (typeof sessions)[number]["name"];

/** Fields that the tables below compare. */
type Seen = Omit<WireRoute, "origin" | "communities" | "extendedCommunities" | "largeCommunities">;

/**
 * Who gets what from a reflector with two clients, two other internal neighbors and an external one: the matrix of
 * section 6, and the attributes and loops of section 8.
 */
export async function reflects(checks: Checks, kind: RouterKind, folder: string): Promise<void> {
  const plan: RouterPlan = {
    kind,
    asn,
    routerId,
    clusterId,
    neighbors: sessions.map(({ name, asn, local }) => ({
      local: local.replace(/2$/, "1"),
      remote: local,
      asn,
      reflectorClient: name.startsWith("client"),
    })),
  };
  await withScene(folder, { [kind]: plan }, sessions, async ({ speakers }) => {
    const inside = { origin: "igp", asPath: "65100", localPref: 150, med: 5 } as const;
    const fromClient: WireRoute = { ...inside, prefix: "198.51.100.0/26", nextHop: "10.0.1.2" };
    const fromOther: WireRoute = { ...inside, prefix: "198.51.100.64/26", nextHop: "10.0.3.2" };
    const fromOutside: WireRoute = {
      prefix: "198.51.100.128/26",
      origin: "igp",
      asPath: "65010 65100",
      nextHop: "10.0.5.2",
      med: 9,
    };
    /** As it leaves for internal neighbors. */
    const reflected = (route: WireRoute, originator: string, clusters: readonly string[] = []): Seen =>
      seen({ ...route, originatorId: originator, clusterList: [clusterId, ...clusters] });
    const outside = (route: WireRoute): Seen =>
      seen({
        prefix: route.prefix,
        origin: route.origin,
        asPath: `${asn} ${route.asPath}`,
        nextHop: "10.0.5.1",
      });
    const atInside = seen({ ...fromOutside, localPref: 100 });

    const second = { ...fromClient, prefix: "203.0.113.32/28", originatorId: "10.7.7.7" };
    // FRR's update groups send a route back to the neighbor that it came from, who refuses it as a loop.
    const echoes =
      kind === "frr" ? { client1: [fromClient.prefix, second.prefix], external: [fromOutside.prefix] } : {};
    const atOther = { ...fromOther, prefix: "203.0.113.48/28" };
    // BIRD looks for its CLUSTER_ID where it reflects to clients, so such a route of a non-client leaves the AS.
    const unseen = kind === "bird" ? [outside(atOther)] : [];

    await speakers.announce("client1", [fromClient]);
    await speakers.announce("other1", [fromOther]);
    await speakers.announce("external", [fromOutside]);
    await checks.check("the matrix of clients, non-clients and an external neighbor", () =>
      tables(
        speakers,
        {
          client1: [reflected(fromOther, "10.0.3.2"), atInside],
          client2: [reflected(fromClient, "10.0.1.2"), reflected(fromOther, "10.0.3.2"), atInside],
          other1: [reflected(fromClient, "10.0.1.2"), atInside],
          other2: [reflected(fromClient, "10.0.1.2"), atInside],
          external: [outside(fromClient), outside(fromOther)],
        },
        echoes,
      ),
    );

    const looped = { ...fromClient, originatorId: "10.7.7.7", clusterList: ["10.6.6.6", clusterId] };
    await speakers.announce("client1", [
      { ...looped, prefix: "203.0.113.0/28" },
      { ...fromClient, prefix: "203.0.113.16/28", originatorId: routerId, clusterList: ["10.6.6.6"] },
      { ...second, clusterList: ["10.6.6.6", "10.5.5.5"] },
    ]);
    await speakers.announce("other1", [{ ...looped, ...atOther }]);
    await checks.check(
      "loops by CLUSTER_LIST and ORIGINATOR_ID are refused, from clients and others",
      async () => {
        const again = reflected(second, "10.7.7.7", ["10.6.6.6", "10.5.5.5"]);
        await tables(
          speakers,
          {
            client1: [reflected(fromOther, "10.0.3.2"), atInside],
            client2: [reflected(fromClient, "10.0.1.2"), reflected(fromOther, "10.0.3.2"), atInside, again],
            other1: [reflected(fromClient, "10.0.1.2"), atInside, again],
            other2: [reflected(fromClient, "10.0.1.2"), atInside, again],
            external: [outside(fromClient), outside(fromOther), outside(second), ...unseen],
          },
          echoes,
        );
      },
    );

    await speakers.withdraw("client1", [fromClient.prefix, second.prefix]);
    await checks.check("withdrawals are reflected", () =>
      tables(
        speakers,
        {
          client1: [reflected(fromOther, "10.0.3.2"), atInside],
          client2: [reflected(fromOther, "10.0.3.2"), atInside],
          other1: [atInside],
          other2: [atInside],
          external: [outside(fromOther), ...unseen],
        },
        echoes,
      ),
    );
  });
}

/** x - cairn - another reflector - y. */
export async function betweenReflectors(checks: Checks, kind: RouterKind, folder: string): Promise<void> {
  const ends = [
    { name: "x", asn, local: "10.0.1.2" },
    { name: "y", asn, local: "10.0.2.2" },
  ] as const;
  const plans = (clusters: readonly [string, string]): Record<string, RouterPlan> => ({
    cairn: {
      kind: "cairn",
      asn,
      routerId: "10.9.9.1",
      clusterId: clusters[0],
      neighbors: [
        { local: "10.0.1.1", remote: "10.0.1.2", asn, reflectorClient: true },
        { local: "10.0.3.1", remote: "10.0.3.2", asn },
      ],
    },
    [`other-${kind}`]: {
      kind,
      asn,
      routerId: "10.9.9.2",
      clusterId: clusters[1],
      neighbors: [
        { local: "10.0.2.1", remote: "10.0.2.2", asn, reflectorClient: true },
        { local: "10.0.3.2", remote: "10.0.3.1", asn },
      ],
    },
  });
  const inside = { origin: "igp", asPath: "65100", localPref: 150, med: 5 } as const;
  const fromX: WireRoute = { ...inside, prefix: "198.51.100.0/26", nextHop: "10.0.1.2" };
  const fromY: WireRoute = { ...inside, prefix: "198.51.100.64/26", nextHop: "10.0.2.2" };
  const send = async (speakers: Speakers): Promise<void> => {
    await speakers.announce("x", [fromX]);
    await speakers.announce("y", [fromY]);
  };
  await withScene(`${folder}/two-clusters`, plans(["10.8.8.1", "10.8.8.2"]), ends, async ({ speakers }) => {
    await send(speakers);
    await checks.check("through two clusters, in both directions", async () => {
      await eventually(
        "at y",
        [seen({ ...fromX, originatorId: "10.0.1.2", clusterList: ["10.8.8.2", "10.8.8.1"] })],
        () => others(speakers, "y", fromY),
      );
      await eventually(
        "at x",
        [seen({ ...fromY, originatorId: "10.0.2.2", clusterList: ["10.8.8.1", "10.8.8.2"] })],
        () => others(speakers, "x", fromX),
      );
    });
  });
  await withScene(
    `${folder}/one-cluster`,
    plans([clusterId, clusterId]),
    ends,
    async ({ speakers, routers }) => {
      await send(speakers);
      await checks.check("two reflectors of one cluster refuse what the other reflects", async () => {
        const reason = "own cluster id in CLUSTER_LIST (RFC 4456)";
        await eventually("cairn received it, and refused it", [reason], () => rejections(routers.cairn));
        await stays("at x", [], () => others(speakers, "x", fromX));
        await stays("at y", [], () => others(speakers, "y", fromY));
      });
    },
  );
}

/** e (external, scripted) - cairn - another reflector, of which cairn is a client - z (client, scripted). */
export async function cairnIsClient(checks: Checks, kind: RouterKind, folder: string): Promise<void> {
  const plans: Record<string, RouterPlan> = {
    cairn: {
      kind: "cairn",
      asn,
      routerId: "10.9.9.1",
      neighbors: [
        { local: "10.0.1.1", remote: "10.0.1.2", asn: 65010 },
        { local: "10.0.3.1", remote: "10.0.3.2", asn },
      ],
    },
    [`reflector-${kind}`]: {
      kind,
      asn,
      routerId: "10.9.9.2",
      clusterId,
      neighbors: [
        { local: "10.0.2.1", remote: "10.0.2.2", asn, reflectorClient: true },
        { local: "10.0.3.2", remote: "10.0.3.1", asn, reflectorClient: true },
      ],
    },
  };
  const ends = [
    { name: "e", asn: 65010, local: "10.0.1.2" },
    { name: "z", asn, local: "10.0.2.2" },
  ] as const;
  await withScene(folder, plans, ends, async ({ speakers, routers: { cairn } }) => {
    const fromE: WireRoute = {
      prefix: "198.51.100.0/26",
      origin: "igp",
      asPath: "65010 65100",
      nextHop: "10.0.1.2",
      med: 5,
    };
    await speakers.announce("e", [fromE]);
    await checks.check("the other client has cairn as ORIGINATOR_ID", () =>
      eventually(
        "at z",
        [seen({ ...fromE, localPref: 100, originatorId: "10.9.9.1", clusterList: [clusterId] })],
        async () => (await speakers.routes("z")).map(seen),
      ),
    );
    if (kind !== "frr") return; // others do not send a client its own routes back
    await checks.check("cairn's own route comes back and is refused by ORIGINATOR_ID", () =>
      eventually("received", ["ORIGINATOR_ID is our own (RFC 4456)"], () => rejections(cairn)),
    );
  });
}

/** What cairn says about each route of the other reflector, which is 10.0.3.2. */
async function rejections(cairn: Router): Promise<string[]> {
  const text = await cairn.cli("rib", "received", "10.0.3.2", "--json");
  const { routes = [] } = JSON.parse(text) as { routes?: { rejectReason?: string }[] };
  return routes.map(({ rejectReason = "accepted" }) => rejectReason);
}

/** What a session was sent beside its own route (see `echoes` above). */
async function others(speakers: Speakers, name: string, own: WireRoute): Promise<Seen[]> {
  return (await speakers.routes(name)).filter(({ prefix }) => prefix !== own.prefix).map(seen);
}

function seen(route: WireRoute): Seen {
  const { prefix, asPath, nextHop, med, localPref, originatorId, clusterList } = route;
  return JSON.parse(
    JSON.stringify({ prefix, asPath, nextHop, med, localPref, originatorId, clusterList }),
  ) as Seen;
}

/** @param echoes what each session announced and may be sent back */
async function tables(
  speakers: Speakers,
  wanted: Readonly<Record<Name, readonly Seen[]>>,
  echoes: Readonly<Partial<Record<Name, readonly string[]>>>,
): Promise<void> {
  const sorted = (routes: readonly Seen[]): Seen[] =>
    [...routes].sort((a, b) => (a.prefix < b.prefix ? -1 : 1));
  for (const [name, routes] of Object.entries(wanted)) {
    const own = echoes[name as Name] ?? [];
    const observe = async (): Promise<Seen[]> =>
      sorted((await speakers.routes(name)).filter(({ prefix }) => !own.includes(prefix)).map(seen));
    await eventually(`at ${name}`, sorted(routes), observe, 8_000);
  }
}
