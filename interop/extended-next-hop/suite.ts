/** RFC 8950: IPv4 routes over a link that has only IPv6 addresses. */
import { type Checks, eventually } from "../lib/checks.ts";
import type { Router, RouterKind } from "../lib/router.ts";
import { type SpeakerPlan, withScene } from "../lib/scene.ts";
import type { WireRoute } from "../lib/wire.ts";

const cairnEnd = "2001:db8:9::1";
const otherEnd = "2001:db8:9::2";
/** a is behind cairn, b behind the other daemon. */
const sessions = [
  { name: "a", asn: 65010, local: "10.0.1.2" },
  { name: "b", asn: 65020, local: "10.0.2.2" },
] as const satisfies readonly SpeakerPlan[];

const fromA: WireRoute = { prefix: "203.0.113.0/24", origin: "igp", asPath: "65010", nextHop: "10.0.1.2" };
const fromB: WireRoute = { prefix: "198.51.100.0/24", origin: "igp", asPath: "65020", nextHop: "10.0.2.2" };

export async function extendedNextHop(checks: Checks, kind: RouterKind, folder: string): Promise<void> {
  const plans = {
    cairn: {
      kind: "cairn" as const,
      asn: 65001,
      routerId: "10.9.9.1",
      neighbors: [
        { local: "10.0.1.1", remote: "10.0.1.2", asn: 65010 },
        { local: cairnEnd, remote: otherEnd, asn: 65002, cairn: { extended_next_hop: true } },
      ],
    },
    [`other-${kind}`]: {
      kind,
      asn: 65002,
      routerId: "10.9.9.2",
      neighbors: [
        { local: "10.0.2.1", remote: "10.0.2.2", asn: 65020 },
        {
          local: otherEnd,
          remote: cairnEnd,
          asn: 65001,
          bird: "extended next hop on; import all; export all;",
          frrSession: ["capability extended-nexthop"],
        },
      ],
    },
  };
  await withScene(
    folder,
    plans,
    sessions,
    async ({ routers: { cairn, [`other-${kind}`]: other }, speakers }) => {
      await speakers.announce("a", [fromA]);
      await speakers.announce("b", [fromB]);
      await checks.check("an IPv4 route from cairn has an IPv6 next hop there", () =>
        eventually("next hop", cairnEnd, () => nextHopAt(other, fromA.prefix), 15_000),
      );
      await checks.check("and one from there has one here", () =>
        eventually("next hop", [otherEnd], () => nextHopsHere(cairn), 15_000),
      );
      await checks.check("a neighbor that takes only IPv4 next hops is told ours", () =>
        eventually(
          "at a",
          [{ prefix: fromB.prefix, origin: "igp", asPath: "65001 65002 65020", nextHop: "10.0.1.1" }],
          async () => (await speakers.routes("a")).filter(({ prefix }) => prefix === fromB.prefix),
        ),
      );
      await checks.check("a withdrawal takes it back on both sides", async () => {
        await speakers.withdraw("a", [fromA.prefix]);
        await speakers.withdraw("b", [fromB.prefix]);
        await eventually("next hop", "", () => nextHopAt(other, fromA.prefix));
        await eventually("next hop", [], () => nextHopsHere(cairn));
      });
    },
  );
}

async function nextHopsHere(cairn: Router): Promise<string[]> {
  const { routes = [] } = JSON.parse(await cairn.cli("rib", fromB.prefix, "--json")) as {
    routes?: { nextHop: string }[];
  };
  return routes.map(({ nextHop }) => nextHop);
}

/** Next hop that the other daemon holds of a prefix; empty without a route. */
async function nextHopAt(router: Router, prefix: string): Promise<string> {
  if (router.kind === "bird") {
    // `show route PREFIX` fails when there is none.
    const text = await router.cli("show", "route", "all", "where", "net", "=", prefix);
    return /BGP\.next_hop: (\S+)/.exec(text)?.[1] ?? "";
  }
  const text = await router.cli(`show bgp ipv4 unicast ${prefix} json`);
  const { paths = [] } = JSON.parse(text) as { paths?: { nexthops: { ip: string }[] }[] };
  return paths[0]?.nexthops[0]?.ip ?? "";
}
