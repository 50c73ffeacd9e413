/** Graceful shutdown (RFC 8326) and blackhole (RFC 7999) between cairn and another daemon, initiator and receiver in turn. */
import { type Checks, eventually, stays } from "../lib/checks.ts";
import type { Router, RouterKind } from "../lib/router.ts";
import { type RouterPlan, type SpeakerPlan, withScene } from "../lib/scene.ts";
import type { Speakers } from "../lib/speakers.ts";
import type { WireRoute } from "../lib/wire.ts";

const gracefulShutdown = "65535:0";
const blackhole = "65535:666";
const noExport = "65535:65281";

/** outside-cairn (eBGP), inside-cairn (iBGP) - cairn - the other - inside-other (iBGP), outside-other (eBGP). */
const sessions: readonly SpeakerPlan[] = [
  { name: "outside-cairn", asn: 65010, local: "10.0.1.2" },
  { name: "inside-cairn", asn: 65001, local: "10.0.2.2" },
  { name: "inside-other", asn: 65002, local: "10.0.3.2" },
  { name: "outside-other", asn: 65020, local: "10.0.4.2" },
];

const fromCairn: WireRoute = {
  prefix: "198.51.100.0/26",
  origin: "igp",
  asPath: "65010 65100",
  nextHop: "10.0.1.2",
  communities: ["65010:1"],
};
const fromOther: WireRoute = {
  prefix: "198.51.100.64/26",
  origin: "igp",
  asPath: "65020 65100",
  nextHop: "10.0.4.2",
  communities: ["65020:1"],
};
/** Originated inside the other's AS: FRR adds NO_EXPORT to one that comes from outside, so that it stays there. */
const hole: WireRoute = {
  prefix: "198.51.100.100/32",
  origin: "igp",
  asPath: "",
  nextHop: "10.0.3.2",
  localPref: 100,
  communities: [blackhole],
};
const holeFromCairn: WireRoute = { ...fromCairn, prefix: "198.51.100.1/32", communities: [blackhole] };

export async function gracefulShutdownAndBlackhole(
  checks: Checks,
  kind: RouterKind,
  folder: string,
): Promise<void> {
  const other = `other-${kind}`;
  const plans: Record<string, RouterPlan> = {
    cairn: {
      kind: "cairn",
      asn: 65001,
      routerId: "10.9.9.1",
      neighbors: [
        { local: "10.0.1.1", remote: "10.0.1.2", asn: 65010 },
        { local: "10.0.2.1", remote: "10.0.2.2", asn: 65001 },
        { local: "10.0.5.1", remote: "10.0.5.2", asn: 65002, cairn: { blackhole: "no-export" } },
      ],
    },
    [other]: {
      kind,
      asn: 65002,
      routerId: "10.9.9.2",
      neighbors: [
        { local: "10.0.3.1", remote: "10.0.3.2", asn: 65002 },
        { local: "10.0.4.1", remote: "10.0.4.2", asn: 65020 },
        { local: "10.0.5.2", remote: "10.0.5.1", asn: 65001 },
      ],
    },
  };
  await withScene(folder, plans, sessions, async ({ speakers, routers }) => {
    await speakers.announce("outside-cairn", [fromCairn]);
    await speakers.announce("outside-other", [fromOther]);
    await checks.check("before: default preferences", async () => {
      await at(speakers, "inside-other", fromCairn, { localPref: 100, communities: fromCairn.communities });
      await at(speakers, "inside-cairn", fromOther, { localPref: 100, communities: fromOther.communities });
    });
    await checks.check(
      "cairn announces GRACEFUL_SHUTDOWN, the other lowers the routes, and back",
      async () => {
        const setting = "--graceful-shutdown";
        await routers.cairn.cli("neighbor", "set", "10.0.5.2", setting);
        const marked = [gracefulShutdown, ...fromCairn.communities!].sort();
        await at(speakers, "inside-other", fromCairn, { localPref: 0, communities: marked });
        await routers.cairn.cli("neighbor", "set", "10.0.5.2", "--clear", "graceful-shutdown");
        await at(speakers, "inside-other", fromCairn, { localPref: 100, communities: fromCairn.communities });
      },
    );
    await checks.check(
      "the other announces GRACEFUL_SHUTDOWN, cairn lowers the routes, and back",
      async () => {
        await otherShutsDown(routers[other], true);
        const marked = [gracefulShutdown, ...fromOther.communities!].sort();
        await at(speakers, "inside-cairn", fromOther, { localPref: 0, communities: marked });
        await otherShutsDown(routers[other], false);
        await at(speakers, "inside-cairn", fromOther, { localPref: 100, communities: fromOther.communities });
      },
    );
    await speakers.announce("inside-other", [hole]);
    await checks.check("BLACKHOLE from the other: marked discard, and stays inside the AS", async () => {
      await at(speakers, "inside-cairn", hole, { localPref: 100, communities: [noExport, blackhole].sort() });
      const text = await routers.cairn.cli("rib", hole.prefix, "--json");
      const { routes = [] } = JSON.parse(text) as { routes?: { discard?: boolean }[] };
      if (!routes.some(({ discard }) => discard)) throw new Error(`not marked discard: ${text}`);
      await at(speakers, "outside-cairn", hole, undefined);
    });
    await speakers.announce("outside-cairn", [holeFromCairn]);
    await checks.check("BLACKHOLE from cairn arrives, and the other keeps it inside its AS", async () => {
      await at(speakers, "inside-other", holeFromCairn, {
        localPref: 100,
        communities: [noExport, blackhole].sort(),
      });
      await at(speakers, "outside-other", holeFromCairn, undefined);
    });
  });
}

/** Waits for what a session sees of a route; undefined: nothing. */
async function at(
  speakers: Speakers,
  name: string,
  { prefix }: WireRoute,
  wanted: Pick<WireRoute, "localPref" | "communities"> | undefined,
): Promise<void> {
  await (wanted ? eventually : stays)(`at ${name}`, wanted, async () => {
    const route = (await speakers.routes(name)).find((each) => each.prefix === prefix);
    return route && { localPref: route.localPref, communities: route.communities };
  });
}

async function otherShutsDown(router: Router, on: boolean): Promise<void> {
  const lines = ["configure terminal", "router bgp 65002", `${on ? "" : "no "}bgp graceful-shutdown`];
  await router.cli(lines.join("\n"));
}
