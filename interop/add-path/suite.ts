/** RFC 7911 between cairn and a daemon that has it: all paths both ways, identifiers that stay, choices of what is sent. */
import { type Checks, eventually } from "../lib/checks.ts";
import type { Router, RouterKind } from "../lib/router.ts";
import { type RouterPlan, type SpeakerPlan, withScene } from "../lib/scene.ts";
import type { WireRoute } from "../lib/wire.ts";

/** a, b and c tell cairn of one prefix; d and e tell the other daemon of another one. */
const sessions = [
  { name: "a", asn: 65010, local: "10.0.1.2" },
  { name: "b", asn: 65020, local: "10.0.2.2" },
  { name: "c", asn: 65010, local: "10.0.3.2" },
  { name: "d", asn: 65040, local: "10.0.4.2" },
  { name: "e", asn: 65050, local: "10.0.5.2" },
] as const satisfies readonly SpeakerPlan[];

const ours = "203.0.113.0/24";
const theirs = "198.51.100.0/24";
const cairnEnd = "10.0.9.1";
const otherEnd = "10.0.9.2";

const route = (prefix: string, asPath: string, nextHop: string): WireRoute => ({
  prefix,
  origin: "igp",
  asPath,
  nextHop,
});
const fromA = route(ours, "65010 65100", "10.0.1.2");
const fromB = route(ours, "65020 65101 65100", "10.0.2.2");
const fromC = route(ours, "65010 65102 65101 65100", "10.0.3.2");

export async function addPath(checks: Checks, kind: RouterKind, folder: string): Promise<void> {
  await withScene(folder, plans(kind), sessions, async ({ routers, speakers }) => {
    const { cairn } = routers;
    const other = routers[`other-${kind}`];
    const seen = async (): Promise<string[]> => (await pathsAt(other, ours)).map(({ asPath }) => asPath);
    const idOf = async (asPath: string): Promise<number> =>
      (await advertised(cairn)).find((path) => path.asPathText === asPath)?.pathId ?? 0;

    await speakers.announce("a", [fromA]);
    await speakers.announce("b", [fromB]);
    await speakers.announce("c", [fromC]);
    const all = [fromA.asPath, fromB.asPath, fromC.asPath].sort();
    await checks.check("every path arrives", () => eventually(`at ${kind}`, all, seen));

    const before = await idOf(fromB.asPath);
    await checks.check("an identifier stays while ranks change", async () => {
      // b becomes the best one, then the worst, then what it was.
      for (const asPath of ["65020", "65020 65101 65102 65103 65104", fromB.asPath]) {
        await speakers.announce("b", [{ ...fromB, asPath }]);
        await eventually(`at ${kind}`, [fromA.asPath, fromC.asPath, asPath].sort(), seen);
        await eventually("identifier", before, () => idOf(asPath));
      }
    });
    await checks.check("a path that goes takes no other with it", async () => {
      await speakers.withdraw("a", [ours]);
      await eventually(`at ${kind}`, [fromB.asPath, fromC.asPath].sort(), seen);
      await speakers.announce("a", [fromA]);
      await eventually(`at ${kind}`, all, seen);
      await eventually("identifier", before, () => idOf(fromB.asPath));
    });
    await checks.check("the best two", async () => {
      await cairn.cli(
        "neighbor",
        "set",
        otherEnd,
        "--add-path",
        '{"family":"ipv4-unicast","receive":true,"send":"best"}',
      );
      await eventually(`at ${kind}`, [fromA.asPath, fromB.asPath].sort(), seen, 15_000);
      await speakers.withdraw("a", [ours]);
      await eventually(`at ${kind}`, [fromB.asPath, fromC.asPath].sort(), seen);
      await speakers.announce("a", [fromA]);
      await eventually(`at ${kind}`, [fromA.asPath, fromB.asPath].sort(), seen);
    });
    await checks.check("one per neighboring AS", async () => {
      const choice = '{"family":"ipv4-unicast","receive":true,"send":"per-neighbor-as"}';
      await cairn.cli("neighbor", "set", otherEnd, "--add-path", choice);
      await eventually(`at ${kind}`, [fromA.asPath, fromB.asPath].sort(), seen, 15_000);
      await speakers.withdraw("a", [ours]);
      await eventually(`at ${kind}`, [fromB.asPath, fromC.asPath].sort(), seen);
    });

    await checks.check("cairn takes every path that the other sends", async () => {
      await speakers.announce("d", [route(theirs, "65040 65100", "10.0.4.2")]);
      await speakers.announce("e", [route(theirs, "65050 65101 65100", "10.0.5.2")]);
      const held = async (): Promise<string[]> => (await received(cairn)).map(({ asPathText }) => asPathText);
      await eventually("at cairn", ["65040 65100", "65050 65101 65100"], held, 15_000);
      const ids = (await received(cairn)).map(({ pathId }) => pathId);
      await eventually("identifiers", 2, async () => new Set(ids).size);
      await speakers.withdraw("d", [theirs]);
      await eventually("at cairn", ["65050 65101 65100"], held);
    });
  });
}

function plans(kind: RouterKind): Record<string, RouterPlan> {
  const end = (local: string, asn: number) => ({ local: local.replace(/2$/, "1"), remote: local, asn });
  return {
    cairn: {
      kind: "cairn",
      asn: 65001,
      routerId: "10.9.9.1",
      neighbors: [
        ...sessions.slice(0, 3).map(({ local, asn }) => end(local, asn)),
        {
          local: cairnEnd,
          remote: otherEnd,
          asn: 65001,
          cairn: { next_hop_self: true, add_path: [{ family: "ipv4-unicast", receive: true, send: "all" }] },
        },
      ],
    },
    [`other-${kind}`]: {
      kind,
      asn: 65001,
      routerId: "10.9.9.2",
      neighbors: [
        ...sessions.slice(3).map(({ local, asn }) => end(local, asn)),
        {
          local: otherEnd,
          remote: cairnEnd,
          asn: 65001,
          bird: "gateway direct; add paths on; next hop self; import all; export all;",
          frr: ["next-hop-self", "addpath-tx-all-paths"],
        },
      ],
    },
  };
}

interface ListedRoute {
  readonly prefix: string;
  readonly asPathText: string;
  readonly pathId: number;
}

async function advertised(cairn: Router): Promise<ListedRoute[]> {
  const text = await cairn.cli("rib", "advertised", otherEnd, ours, "--json");
  return (JSON.parse(text) as { routes?: ListedRoute[] }).routes ?? [];
}

async function received(cairn: Router): Promise<ListedRoute[]> {
  const text = await cairn.cli("rib", "received", otherEnd, theirs, "--json");
  const { routes = [] } = JSON.parse(text) as { routes?: ListedRoute[] };
  return routes.sort((a, b) => (a.asPathText < b.asPathText ? -1 : 1));
}

/** AS paths that the other daemon holds of a prefix, sorted. */
async function pathsAt(router: Router, prefix: string): Promise<{ asPath: string }[]> {
  let paths: string[];
  if (router.kind === "bird") {
    const text = await router.cli("show", "route", prefix, "all");
    paths = [...text.matchAll(/BGP\.as_path: (.*)/g)].map(([, path]) => path.trim());
  } else {
    const text = await router.cli(`show bgp ipv4 unicast ${prefix} json`);
    const { paths: list = [] } = JSON.parse(text) as { paths?: { aspath: { string: string } }[] };
    paths = list.map(({ aspath }) => aspath.string);
  }
  return paths.sort().map((asPath) => ({ asPath }));
}
