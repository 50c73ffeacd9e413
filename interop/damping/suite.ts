/**
 * Route-flap damping beside FRR's: one speaker flaps the same way toward both, with the same parameters. Penalties go up
 * by the same steps; the route is back at a third speaker exactly when the formula says, and at FRR at its next look (it
 * looks every ten seconds).
 */
import { type Checks, equal, eventually, Mismatch } from "../lib/checks.ts";
import { pause } from "../lib/lab.ts";
import type { Router } from "../lib/router.ts";
import { type SpeakerPlan, withScene } from "../lib/scene.ts";
import type { Speakers } from "../lib/speakers.ts";
import type { WireRoute } from "../lib/wire.ts";

const halfLifeMs = 60_000; // FRR's least
const [reuse, suppress] = [1700, 1800];
const sources = ["a", "b"] as const;
const sessions = [
  { name: "a", asn: 65010, local: "10.0.1.2" },
  { name: "b", asn: 65010, local: "10.0.2.2" },
  { name: "c", asn: 65020, local: "10.0.3.2" },
] as const satisfies readonly SpeakerPlan[];
const [gone, changing] = ["203.0.113.0/24", "198.51.100.0/24"];

function route(prefix: string, source: string, med?: number): WireRoute {
  const nextHop = sessions.find(({ name }) => name === source)!.local;
  return { prefix, origin: "igp", asPath: "65010", nextHop, ...(med === undefined ? {} : { med }) };
}

const damping = { half_life: "60s", reuse, suppress, max_suppress: "240s" };
const plans = {
  cairn: {
    kind: "cairn" as const,
    asn: 65001,
    routerId: "10.9.9.1",
    neighbors: [
      { local: "10.0.1.1", remote: "10.0.1.2", asn: 65010, cairn: { damping } },
      { local: "10.0.3.1", remote: "10.0.3.2", asn: 65020 },
    ],
  },
  frr: {
    kind: "frr" as const,
    asn: 65002,
    routerId: "10.9.9.2",
    neighbors: [{ local: "10.0.2.1", remote: "10.0.2.2", asn: 65010 }],
  },
};

export async function dampsLikeFrr(checks: Checks, folder: string): Promise<void> {
  await withScene(folder, plans, sessions, async ({ routers: { cairn, frr }, speakers }) => {
    const lines = [
      "router bgp 65002",
      "address-family ipv4 unicast",
      `bgp dampening 1 ${reuse} ${suppress} 4`,
    ];
    await frr.cli("configure terminal", ...lines.flatMap((line) => ["-c", line]));
    for (const source of sources) {
      await speakers.announce(source, [route(gone, source), route(changing, source)]);
    }
    await eventually("at c", [changing, gone], () => prefixesAt(speakers));
    await eventually("at FRR", [true, true], () =>
      Promise.all([gone, changing].map((each) => isUsed(frr, each))),
    );

    await checks.check(
      "a withdrawal costs 1,000 and a change of attributes 500, here and at FRR",
      async () => {
        for (const source of sources) {
          await flap(speakers, source, gone);
          await flap(speakers, source, changing);
          await speakers.announce(source, [route(changing, source, 7)]);
        }
        await eventually("penalties here", { [gone]: [2, 1], [changing]: [3, 2] }, () =>
          penaltiesHere(cairn),
        );
        await eventually("penalty at FRR", [2, 1], () => penaltyAtFrr(frr, gone));
        await eventually("penalty at FRR", [3, 2], () => penaltyAtFrr(frr, changing));
        equal("at c", [changing, gone], await prefixesAt(speakers));
      },
    );
    let [model, sinceMs] = [0, 0];
    await checks.check("the second withdrawal suppresses, here and at FRR", async () => {
      for (const source of sources) await flap(speakers, source, gone);
      await eventually("at c", [changing], () => prefixesAt(speakers));
      await eventually("at FRR", false, () => isUsed(frr, gone));
      const found = (await dampened(cairn)).find(({ prefix }) => prefix === gone);
      [model, sinceMs] = [found?.penalty ?? 0, performance.now()];
      equal("suppressed", true, found?.suppressed);
    });
    await checks.check(
      "it is back when the penalty has come down to the reuse threshold, to the second",
      async () => {
        const wantedMs = halfLifeMs * Math.log2(model / reuse);
        await eventually("at c", [changing, gone], () => prefixesAt(speakers));
        const tookMs = performance.now() - sinceMs;
        if (Math.abs(tookMs - wantedMs) > 1500) throw new Mismatch("time until reuse, ms", wantedMs, tookMs);
      },
    );
    await checks.check("and at FRR", () => eventually("used", true, () => isUsed(frr, gone)));
  });
}

async function flap(speakers: Speakers, source: string, prefix: string): Promise<void> {
  await speakers.withdraw(source, [prefix]);
  await pause(60); // two messages of one packet would do too, but FRR's input queue may join them
  await speakers.announce(source, [route(prefix, source)]);
  await pause(60);
}

async function prefixesAt(speakers: Speakers): Promise<string[]> {
  return (await speakers.routes("c")).map(({ prefix }) => prefix).sort();
}

interface Dampened {
  readonly prefix: string;
  readonly penalty: number;
  readonly flaps: number;
  readonly suppressed?: boolean;
}

async function dampened(cairn: Router): Promise<Dampened[]> {
  const { routes = [] } = JSON.parse(await cairn.cli("rib", "dampened", "--all", "--json")) as {
    routes?: Dampened[];
  };
  return routes;
}

/** Penalty in steps of 500, and flaps, by prefix: what decays in the seconds of a test is less than half a step. */
async function penaltiesHere(cairn: Router): Promise<Record<string, number[]>> {
  const routes = await dampened(cairn);
  return Object.fromEntries(
    routes.map(({ prefix, penalty, flaps }) => [prefix, [Math.round(penalty / 500), flaps]]),
  );
}

async function penaltyAtFrr(frr: Router, prefix: string): Promise<number[]> {
  const text = await frr.cli(`show bgp ipv4 unicast ${prefix}`);
  const [, penalty, flaps] = /penalty (\d+), flapped (\d+) times/.exec(text) ?? [];
  return [Math.round(Number(penalty) / 500), Number(flaps)];
}

async function isUsed(frr: Router, prefix: string): Promise<boolean> {
  const { routes = {} } = JSON.parse(await frr.cli("show bgp ipv4 unicast json")) as {
    routes?: Record<string, { bestpath?: boolean }[]>;
  };
  return routes[prefix]?.some(({ bestpath }) => bestpath) ?? false;
}
