/**
 * AIGP between cairn and BIRD, each in an AS of its own (RFC 7311): it passes where it is switched on, and grows when a
 * border puts itself in as next hop.
 *
 *   a -- iBGP -- cairn, AS 65001 -- eBGP -- BIRD, AS 65002 -- iBGP -- z
 *                     \\-- eBGP without AIGP -- y, AS 65003
 */
import { type Checks, eventually } from "../lib/checks.ts";
import { type RouterPlan, type SpeakerPlan, withScene } from "../lib/scene.ts";
import type { WireRoute } from "../lib/wire.ts";

const sessions = [
  { name: "a", asn: 65001, local: "10.0.1.2" },
  { name: "z", asn: 65002, local: "10.0.2.2" },
  { name: "y", asn: 65003, local: "10.0.3.2" },
] as const satisfies readonly SpeakerPlan[];

const fromA = "198.51.100.0/24";
const fromZ = "203.0.113.0/24";

export async function aigpWithBird(checks: Checks, folder: string): Promise<void> {
  await withScene(folder, plans, sessions, async ({ speakers }) => {
    const route = (prefix: string, nextHop: string, aigp: number): WireRoute => ({
      ...{ prefix, origin: "igp", asPath: "", nextHop, localPref: 100, aigp },
    });
    const metrics = async (name: string): Promise<(number | undefined)[]> =>
      (await speakers.routes(name)).map(({ aigp }) => aigp);
    await speakers.announce("a", [route(fromA, "10.0.1.2", 100)]);
    await speakers.announce("z", [route(fromZ, "10.0.2.2", 500)]);
    await checks.check("from cairn's AS to BIRD's: one further at cairn's border", () =>
      eventually("at z", [101], () => metrics("z")),
    );
    await checks.check("from BIRD's AS to cairn's: one further at BIRD's border", () =>
      eventually("at a", [501], () => metrics("a")),
    );
    await checks.check("not to a neighbor that it is off for", () =>
      eventually("at y", [undefined, undefined], () => metrics("y")),
    );
    await checks.check("another metric is passed on", async () => {
      await speakers.announce("a", [route(fromA, "10.0.1.2", 7)]);
      await eventually("at z", [8], () => metrics("z"));
    });
  });
}

const plans: Record<string, RouterPlan> = {
  cairn: {
    kind: "cairn",
    asn: 65001,
    routerId: "10.9.9.1",
    neighbors: [
      {
        ...{ local: "10.0.9.1", remote: "10.0.9.2", asn: 65002 },
        cairn: { aigp_send: true, aigp_receive: true },
      },
      { local: "10.0.1.1", remote: "10.0.1.2", asn: 65001 },
      { local: "10.0.3.1", remote: "10.0.3.2", asn: 65003 },
    ],
  },
  other: {
    kind: "bird",
    asn: 65002,
    routerId: "10.9.9.2",
    neighbors: [
      {
        ...{ local: "10.0.9.2", remote: "10.0.9.1", asn: 65001 },
        bird: "aigp on; gateway direct; import all; export all;",
      },
      {
        ...{ local: "10.0.2.1", remote: "10.0.2.2", asn: 65002 },
        bird: "aigp on; gateway direct; import all; export all;",
      },
    ],
  },
};
