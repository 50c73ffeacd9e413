/**
 * What a router does to AS paths when it is asked: local-as in its variants, as-override, allowas-in. The same question
 * to cairn and to FRR; every neighbor must hear the same from both.
 */
import { type Checks, stays } from "../lib/checks.ts";
import type { RouterKind } from "../lib/router.ts";
import { type NeighborPlan, type RouterPlan, type SpeakerPlan, withScene } from "../lib/scene.ts";
import type { WireRoute } from "../lib/wire.ts";

const own = 65001;

interface Cast extends SpeakerPlan {
  /** What it announces: paths that the router takes, and those that it must not take. */
  readonly paths: readonly string[];
  readonly refused?: readonly string[];
  /** How its paths stand in the router's table. */
  readonly held?: (path: string) => string;
  /** What it is told of a path in the table. */
  readonly told?: (path: string) => string;
  readonly cairn?: object;
  readonly frr?: readonly string[];
  readonly frrSession?: readonly string[];
}

const cast: readonly Cast[] = [
  { name: "plain", asn: 65010, local: "10.0.1.2", paths: ["65010 65050 65110 65050", "65010"] },
  {
    ...{ name: "local-as", asn: 65020, local: "10.0.2.2", paths: ["65020 65110"] },
    held: (path) => `64900 ${path}`,
    told: (path) => `64900 ${own} ${path}`,
    cairn: { local_asn: 64900 },
    frrSession: ["local-as 64900"],
  },
  {
    ...{ name: "no-prepend", asn: 65030, local: "10.0.3.2", paths: ["65030 65110"] },
    told: (path) => `64901 ${own} ${path}`,
    cairn: { local_asn: 64901, local_as_no_prepend: true },
    frrSession: ["local-as 64901 no-prepend"],
  },
  {
    ...{ name: "replace-as", asn: 65040, local: "10.0.4.2", paths: ["65040 65110"] },
    told: (path) => `64902 ${path}`,
    cairn: { local_asn: 64902, local_as_no_prepend: true, local_as_replace_as: true },
    frrSession: ["local-as 64902 no-prepend replace-as"],
  },
  {
    ...{ name: "as-override", asn: 65050, local: "10.0.5.2", paths: ["65050 65110"] },
    told: (path) => `${own} ${path.replaceAll("65050", String(own))}`,
    cairn: { as_override: true },
    frr: ["as-override"],
  },
  {
    ...{ name: "allowas-in-origin", asn: 65060, local: "10.0.6.2", paths: ["65060 65110 65001"] },
    refused: ["65060 65001 65110"],
    cairn: { allow_own_as_origin: true },
    frr: ["allowas-in origin"],
  },
  {
    ...{ name: "allowas-in-2", asn: 65070, local: "10.0.7.2", paths: ["65070 65001 65001 65110"] },
    refused: ["65070 65001 65001 65001 65110"],
    cairn: { allow_own_as: 2 },
    frr: ["allowas-in 2"],
  },
  { name: "no-allowas-in", asn: 65080, local: "10.0.8.2", paths: [], refused: ["65080 65001"] },
];

export async function asOptions(checks: Checks, kind: RouterKind, folder: string): Promise<void> {
  await withScene(folder, plan(kind), cast, async ({ speakers }) => {
    for (const { name, local, paths, refused = [] } of cast) {
      await speakers.announce(
        name,
        [...paths, ...refused].map((asPath, i) => route(prefixOf(local, i), asPath, local)),
      );
    }
    for (const to of cast) {
      const told = to.told ?? ((path: string) => `${own} ${path}`);
      const expected = cast
        .filter((from) => from !== to)
        .flatMap(({ local, paths, held = (path: string) => path }) =>
          paths.map((path, i) => [prefixOf(local, i), told(held(path))]),
        );
      await checks.check(`what ${to.name} hears`, () =>
        stays(to.name, Object.fromEntries(expected), async () => {
          // FRR tells an external neighbor its own routes again.
          const echo = new Set([...to.paths, ...(to.refused ?? [])].map((_, i) => prefixOf(to.local, i)));
          const routes = (await speakers.routes(to.name)).filter(({ prefix }) => !echo.has(prefix));
          return Object.fromEntries(routes.map(({ prefix, asPath }) => [prefix, asPath]));
        }),
      );
    }
  });
}

const prefixOf = (local: string, i: number): string => `203.${local.split(".")[2]}.${i}.0/24`;
const route = (prefix: string, asPath: string, nextHop: string): WireRoute => ({
  prefix,
  origin: "igp",
  asPath,
  nextHop,
});

function plan(kind: RouterKind): Record<string, RouterPlan> {
  const neighbors = cast.map(
    ({ local, asn, cairn, frr, frrSession }): NeighborPlan => ({
      local: local.replace(/2$/, "1"),
      remote: local,
      asn,
      ...(cairn ? { cairn } : {}),
      ...(frr ? { frr } : {}),
      ...(frrSession ? { frrSession } : {}),
    }),
  );
  return { [`router-${kind}`]: { kind, asn: own, routerId: "10.9.9.1", neighbors } };
}
