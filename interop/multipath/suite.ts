/**
 * Multipath: cairn and another daemon hear the same routes from the same speakers, and use the same ones side by side.
 * FRR (with zebra) and BIRD tell by what they put into the kernel of their namespace, weights included.
 */
import { type Checks, eventually } from "../lib/checks.ts";
import type { Router, RouterKind } from "../lib/router.ts";
import { type NeighborPlan, type RouterPlan, withScene } from "../lib/scene.ts";
import type { Speakers } from "../lib/speakers.ts";
import type { WireRoute } from "../lib/wire.ts";

/** Each speaker has a session with either router, on the same link number. */
const speakers = [
  { name: "a", asn: 65010 },
  { name: "b", asn: 65010 },
  { name: "c", asn: 65010 },
  { name: "d", asn: 65020 },
  { name: "e", asn: 65001 },
  { name: "f", asn: 65001 },
  { name: "g", asn: 65001 },
] as const;
type Name = (typeof speakers)[number]["name"];

const prefix = "203.0.113.0/24";
/** Side 0 is cairn's, 1 that of the other daemon. */
const local = (side: number, name: Name): string => `10.${side}.${indexOf(name)}.1`;
const remote = (side: number, name: Name): string => `10.${side}.${indexOf(name)}.2`;
const indexOf = (name: Name): number => speakers.findIndex((each) => each.name === name) + 1;

/** Speakers by how much of the traffic they get: `a`, or `a*25 b*75` when it is not the same for all. */
type Used = readonly string[];

interface Announced {
  readonly asPath: string;
  /** Link bandwidth in hexadecimal. */
  readonly bandwidth?: string;
}

/** Ten and thirty million bytes per second; the second one is transitive. */
const ten = "4004fde94b189680";
const thirty = "0004fde94be4e1c0";

export async function multipath(checks: Checks, kind: RouterKind, folder: string): Promise<void> {
  const sessions = [0, 1].flatMap((side) =>
    speakers.map(({ name, asn }) => ({
      name: `${name}${side}`,
      asn,
      local: remote(side, name),
      routerId: `10.9.0.${indexOf(name)}`,
    })),
  );
  await withScene(folder, plans(kind), sessions, async ({ routers, speakers: scripted }) => {
    const { cairn } = routers;
    const other = routers[`other-${kind}`];
    const both = async (what: string, expected: Used): Promise<void> => {
      await eventually(`${what} at cairn`, expected, () => usedByCairn(cairn));
      await eventually(`${what} at ${kind}`, expected, () => usedInKernel(other));
    };
    const settings = async (cairnWords: string, frrWords: readonly string[]): Promise<void> => {
      await cairn.cli("global", "set", "--multipath", `family=ipv4-unicast,${cairnWords}`);
      if (kind === "frr") await configureFrr(other, frrWords);
    };
    const tell = (routes: Readonly<Partial<Record<Name, Announced>>>): Promise<void> =>
      announce(scripted, routes);

    if (kind === "frr") {
      await checks.check("eBGP: the paths of one neighbor AS, in the end all of them", async () => {
        await settings("ebgp=4,ibgp=4", []);
        const asPath = "65010 65100";
        await tell({ a: { asPath } });
        await both("one path", ["a"]);
        await tell({ b: { asPath }, d: { asPath: "65020 65100" } });
        await both("two of one AS", ["a", "b"]);
        await tell({ c: { asPath } });
        await both("three of one AS", ["a", "b", "c"]);
      });
      await checks.check("no more than the maximum", async () => {
        await settings("ebgp=2,ibgp=4", ["address-family ipv4 unicast", "maximum-paths 2"]);
        await both("two of three", ["a", "b"]);
        await settings("ebgp=4,ibgp=4", ["address-family ipv4 unicast", "maximum-paths 4"]);
        await both("all again", ["a", "b", "c"]);
      });
    }
    const relaxed = "ebgp=4,ibgp=4,relax_as_path=true";
    await checks.check("relaxed: AS paths of one length, whatever the AS", async () => {
      await settings(relaxed, ["bgp bestpath as-path multipath-relax"]);
      for (const name of ["a", "b", "c"] as const) await tell({ [name]: { asPath: "65010 65100" } });
      await tell({ d: { asPath: "65020 65100" } });
      await both("four of two ASes", ["a", "b", "c", "d"]);
      await tell({ b: { asPath: "65010 65101 65100" } });
      await both("one became longer", ["a", "c", "d"]);
      await withdraw(scripted, ["a"]);
      await both("the best one went", ["c", "d"]);
      await tell({ a: { asPath: "65010 65100" } });
      await both("and came back", ["a", "c", "d"]);
    });
    await checks.check("internal paths never beside external ones", async () => {
      for (const name of ["e", "f"] as const) await tell({ [name]: { asPath: "65010 65100" } });
      await both("external ones", ["a", "c", "d"]);
      await withdraw(scripted, ["a", "b", "c", "d"]);
      await both("internal ones", ["e", "f"]);
      await tell({ g: { asPath: "65020 65100" } });
      await both("three internal ones", ["e", "f", "g"]);
    });
    if (kind === "frr") {
      await checks.check("iBGP, not relaxed: only with the same AS_PATH", async () => {
        await settings("ebgp=4,ibgp=4", ["no bgp bestpath as-path multipath-relax"]);
        await both("two of three", ["e", "f"]);
        await withdraw(scripted, ["e", "f", "g"]);
      });
      await checks.check("shares by link bandwidth, in each mode", async () => {
        const asPath = "65010 65100";
        await tell({ a: { asPath, bandwidth: ten }, b: { asPath, bandwidth: thirty } });
        await both("every path has one", ["a*25", "b*75"]);
        await tell({ c: { asPath } });
        await both("one is missing", ["a", "b", "c"]);
        const mode = async (ours: string, theirs: string): Promise<void> =>
          settings(`ebgp=4,ibgp=4,link_bandwidth=${ours}`, [`bgp bestpath bandwidth ${theirs}`]);
        await mode("skip_missing", "skip-missing");
        await both("what is missing is not used", ["a*25", "b*75"]);
        await mode("default_weight", "default-weight-for-missing");
        await both("what is missing gets little", ["a*25", "b*75", "c*1"]);
        await mode("ignore", "ignore");
        await both("equal shares", ["a", "b", "c"]);
      });
    }
    await checks.check("nothing is left when the last one goes", async () => {
      await withdraw(scripted, ["a", "b", "c", "d", "e", "f", "g"]);
      await both("nothing", []);
    });
  });
}

function plans(kind: RouterKind): Record<string, RouterPlan> {
  const neighbors = (side: number, more: Partial<NeighborPlan>): NeighborPlan[] =>
    speakers.map(({ name, asn }) => ({ local: local(side, name), remote: remote(side, name), asn, ...more }));
  return {
    cairn: { kind: "cairn", asn: 65001, routerId: "10.9.9.1", neighbors: neighbors(0, {}) },
    [`other-${kind}`]: {
      kind,
      asn: 65001,
      routerId: "10.9.9.2",
      neighbors: neighbors(1, { bird: "gateway direct; import all; export none;" }),
      routes: true,
      ...(kind === "bird"
        ? { preamble: "protocol kernel { ipv4 { import none; export all; }; merge paths on limit 4; }" }
        : {}),
    },
  };
}

function configureFrr(router: Router, lines: readonly string[]): Promise<string> {
  const words = [
    "configure terminal",
    "router bgp 65001",
    "address-family ipv4 unicast",
    "maximum-paths ibgp 4",
  ];
  return router.cli(
    ...[...words, "exit", ...(lines.length > 0 ? lines : [])].flatMap((line) => ["-c", line]).slice(1),
  );
}

async function announce(
  scripted: Speakers,
  routes: Readonly<Partial<Record<Name, Announced>>>,
): Promise<void> {
  for (const [name, { asPath, bandwidth }] of Object.entries(routes) as [Name, Announced][]) {
    for (const side of [0, 1]) {
      const route: WireRoute = {
        prefix,
        origin: "igp",
        asPath,
        nextHop: remote(side, name),
        ...(bandwidth ? { extendedCommunities: [bandwidth] } : {}),
        ...("efg".includes(name) ? { localPref: 100 } : {}),
      };
      await scripted.announce(`${name}${side}`, [route]);
    }
  }
}

async function withdraw(scripted: Speakers, names: readonly Name[]): Promise<void> {
  for (const name of names) for (const side of [0, 1]) await scripted.withdraw(`${name}${side}`, [prefix]);
}

/** Speakers by next hops and weights, sorted by name. */
function shares(hops: readonly { readonly nextHop: string; readonly weight: number }[]): string[] {
  const isEqual = hops.every(({ weight }) => weight === hops[0].weight);
  return hops
    .map(({ nextHop, weight }) => {
      const { name } = speakers[Number(nextHop.split(".")[2]) - 1];
      return isEqual ? name : `${name}*${weight}`;
    })
    .sort();
}

interface ListedRoute {
  readonly nextHop: string;
  readonly multipath?: boolean;
  readonly nextHops?: readonly { readonly nextHop: string; readonly weight?: number }[];
}

async function usedByCairn(cairn: Router): Promise<string[]> {
  const { routes = [] } = JSON.parse(await cairn.cli("rib", "--json")) as { routes?: ListedRoute[] };
  if (routes.length === 0) return [];
  const [{ nextHop, nextHops = [] }] = routes;
  if (nextHops.length === 0) return shares([{ nextHop, weight: 1 }]);
  return shares(nextHops.map((each) => ({ nextHop: each.nextHop, weight: each.weight ?? 0 })));
}

interface KernelRoute {
  readonly gateway?: string;
  readonly nexthops?: readonly { readonly gateway: string; readonly weight: number }[];
}

async function usedInKernel(router: Router): Promise<string[]> {
  const [route] = JSON.parse(
    (await router.inside("ip", "-j", "route", "show", prefix)) || "[]",
  ) as KernelRoute[];
  if (!route) return [];
  const { gateway, nexthops = [] } = route;
  if (gateway !== undefined) return shares([{ nextHop: gateway, weight: 1 }]);
  return shares(nexthops.map((hop) => ({ nextHop: hop.gateway, weight: hop.weight })));
}
