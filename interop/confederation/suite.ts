/**
 * A confederation of three members in a row, with a neighbor outside at either end and a listener inside each member AS
 * (RFC 5065). Whoever plays a member, everybody hears the same.
 *
 *   left, AS 200 -- AS 65001 -- AS 65002 -- AS 65003 -- right, AS 300          all three are AS 100 from outside
 */
import { type Checks, eventually, stays } from "../lib/checks.ts";
import type { RouterKind } from "../lib/router.ts";
import { type NeighborPlan, type RouterPlan, type SpeakerPlan, withScene } from "../lib/scene.ts";
import type { WireRoute } from "../lib/wire.ts";

const identifier = 100;
const members = [65001, 65002, 65003] as const;

const sessions = [
  { name: "left", asn: 200, local: "10.0.1.2" },
  { name: "right", asn: 300, local: "10.0.2.2" },
  { name: "in 65001", asn: 65001, local: "10.0.3.2" },
  { name: "in 65002", asn: 65002, local: "10.0.4.2" },
  { name: "in 65003", asn: 65003, local: "10.0.5.2" },
] as const satisfies readonly SpeakerPlan[];

const fromLeft = "198.51.100.0/24";
const fromRight = "203.0.113.0/24";
const noExport = "192.0.2.0/25";
const subconfed = "192.0.2.128/25";

/** @param kinds who plays which member */
export async function confederation(
  checks: Checks,
  kinds: readonly [RouterKind, RouterKind, RouterKind],
  folder: string,
): Promise<void> {
  await withScene(folder, plans(kinds), sessions, async ({ speakers }) => {
    const route = (prefix: string, asPath: string, nextHop: string, change = {}): WireRoute => ({
      prefix,
      origin: "igp",
      asPath,
      nextHop,
      ...change,
    });
    await speakers.announce("left", [
      route(fromLeft, "200 7 {8 9}", "10.0.1.2", { med: 50, communities: ["200:1"] }),
      route(noExport, "200", "10.0.1.2", { communities: ["65535:65281"] }),
      route(subconfed, "200", "10.0.1.2", { communities: ["65535:65283"] }),
    ]);
    await speakers.announce("right", [route(fromRight, "300 300", "10.0.2.2")]);

    // FRR tells an external neighbor its own routes again.
    const own: Readonly<Record<string, readonly string[]>> = { left: [fromLeft], right: [fromRight] };
    const pathsAt = async (name: string): Promise<Record<string, string>> => {
      const routes = (await speakers.routes(name)).filter(({ prefix }) => !own[name]?.includes(prefix));
      return Object.fromEntries(routes.map(({ prefix, asPath }) => [prefix, asPath]));
    };
    const expected: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
      ["left", { [fromRight]: "100 300 300" }],
      ["right", { [fromLeft]: "100 200 7 {8 9}" }],
      [
        "in 65001",
        {
          [noExport]: "200",
          [subconfed]: "200",
          [fromLeft]: "200 7 {8 9}",
          [fromRight]: "(65002 65003) 300 300",
        },
      ],
      [
        "in 65002",
        { [noExport]: "(65001) 200", [fromLeft]: "(65001) 200 7 {8 9}", [fromRight]: "(65003) 300 300" },
      ],
      [
        "in 65003",
        {
          [noExport]: "(65002 65001) 200",
          [fromLeft]: "(65002 65001) 200 7 {8 9}",
          [fromRight]: "300 300",
        },
      ],
    ];
    for (const [name, paths] of expected) {
      await checks.check(`AS paths ${name.startsWith("in") ? name : `at ${name}`}`, () =>
        stays(name, paths, () => pathsAt(name)),
      );
    }
    await checks.check("LOCAL_PREF, MED and next hop go through, communities too", async () => {
      const held = async (name: string): Promise<WireRoute | undefined> =>
        (await speakers.routes(name)).find(({ prefix }) => prefix === fromLeft);
      const inside = { origin: "igp", nextHop: "10.0.1.2", med: 50, localPref: 100, communities: ["200:1"] };
      for (const [name, asPath] of [
        ["in 65002", "(65001) 200 7 {8 9}"],
        ["in 65003", "(65002 65001) 200 7 {8 9}"],
      ] as const) {
        await eventually(
          name,
          { ...inside, asPath, prefix: fromLeft } as WireRoute,
          () => held(name) as Promise<WireRoute>,
        );
      }
    });
    await checks.check("what goes on the left goes on the right", async () => {
      await speakers.withdraw("left", [fromLeft]);
      await eventually("right", {}, () => pathsAt("right"));
    });
  });
}

function plans(kinds: readonly [RouterKind, RouterKind, RouterKind]): Record<string, RouterPlan> {
  const end = (local: string, asn: number): NeighborPlan => ({
    local: local.replace(/2$/, "1"),
    remote: local,
    asn,
  });
  const between = (local: string, remote: string, asn: number): NeighborPlan => ({ local, remote, asn });
  const neighbors: readonly NeighborPlan[][] = [
    [between("10.0.8.1", "10.0.8.2", 65002), end("10.0.1.2", 200)],
    [between("10.0.8.2", "10.0.8.1", 65001), between("10.0.9.1", "10.0.9.2", 65003)],
    [between("10.0.9.2", "10.0.9.1", 65002), end("10.0.2.2", 300)],
  ];
  return Object.fromEntries(
    members.map((asn, i) => [
      `m${i + 1}-${kinds[i]}`,
      {
        kind: kinds[i],
        asn,
        routerId: `10.9.9.${i + 1}`,
        confederation: { identifier, members: members.filter((each) => each !== asn) },
        neighbors: [...neighbors[i], end(`10.0.${i + 3}.2`, asn)],
      },
    ]),
  );
}
