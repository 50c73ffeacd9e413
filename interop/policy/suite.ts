/**
 * The same policies, written for four daemons, run by the real ones over the same feed: what each receiver is sent must
 * be what the situation expects, or exactly the difference that it explains. The table of docs/policy-differences.md is
 * made from the same files.
 */
import { type Checks, equal } from "../lib/checks.ts";
import { Lab } from "../lib/lab.ts";
import { Router } from "../lib/router.ts";
import type { SessionReport } from "../lib/speaker.ts";
import { Speakers } from "../lib/speakers.ts";
import type { WireRoute } from "../lib/wire.ts";
import { render } from "./render.ts";
import {
  type DaemonName,
  normalized,
  lab as plan,
  type ReceiverName,
  readSituations,
  received,
  type Situation,
  sent,
  sessions,
} from "./situation.ts";

/** Runs one daemon through all situations; one check each. */
export async function policySituations(checks: Checks, daemon: DaemonName, folder: string): Promise<void> {
  const situations = readSituations().filter((each) => each.absent[daemon] === undefined);
  const lab = new Lab(folder);
  let speakers: Speakers | undefined;
  try {
    const [own, other] = [await lab.namespace(daemon), await lab.namespace("speakers")];
    for (const { local, remote } of Object.values(sessions)) {
      const ipv6 = local === plan.senders.external.local;
      await lab.link(own, [`${remote}/30`, ...(ipv6 ? ["2001:db8:ffff::1/64"] : [])], other, [
        `${local}/30`,
        ...(ipv6 ? [`${plan.nextHop6}/64`] : []),
      ]);
    }
    const config = render(daemon, situations);
    const router = new Router(lab, own, daemon, daemon === "frr" ? "log stdout\n" : config);
    [speakers] = await Promise.all([Speakers.start(lab, other), router.start()]);
    if (daemon === "frr") await router.loadFrr(config);
    if (daemon === "gobgp") await tookPolicies(router);
    for (const [name, { asn, local, remote }] of Object.entries(sessions)) {
      await speakers.open({ name, asn, local, remote, routerId: local });
    }
    for (const name of Object.keys(sessions)) await speakers.established(name);
    for (const from of ["external", "internal"] as const) {
      const feed = situations.filter((each) => each.from === from);
      await speakers.announce(
        `${from}-sender`,
        feed.flatMap((situation) => situation.feed.map((route) => sent(situation, route))),
      );
    }
    const wanted = situations.flatMap((each) => expected(each, daemon));
    const observed = await settled(speakers, situations, wanted);
    for (const situation of situations) {
      await checks.check(`${situation.number}. ${situation.title}`, async () =>
        equal("routes received", expected(situation, daemon), ofBlock(situation, observed)),
      );
    }
  } finally {
    speakers?.close();
    await lab.close();
  }
}

/** What the receiver must be sent, in the order of the feed. */
function expected(situation: Situation, daemon: DaemonName): WireRoute[] {
  const got = situation.differences[daemon]?.got ?? {};
  return situation.feed.flatMap(
    (route) => received(situation, route, got[route.prefix] ?? route.expect) ?? [],
  );
}

/** What arrived, as soon as it is everything that is expected; else after a time in which nothing more came. */
async function settled(
  speakers: Speakers,
  situations: readonly Situation[],
  wanted: readonly WireRoute[],
): Promise<Map<string, WireRoute>> {
  const quietMs = 6_000;
  let routes = new Map<string, WireRoute>();
  let since = performance.now();
  let updates = -1;
  const want = JSON.stringify(wanted);
  while (performance.now() - since < quietMs) {
    const names = Object.keys(plan.receivers) as ReceiverName[];
    const reports = Object.fromEntries(
      await Promise.all(
        names.map(async (name) => [name, await speakers.report(`${name}-receiver`)] as const),
      ),
    ) as Record<ReceiverName, SessionReport>;
    routes = new Map(
      situations.flatMap(({ to, feed }) =>
        reports[to].routes
          .filter(({ prefix }) => feed.some((each) => each.prefix === prefix))
          .map((route) => [route.prefix, normalized(route)] as const),
      ),
    );
    const count = names.reduce((sum, name) => sum + reports[name].updates, 0);
    if (count !== updates) since = performance.now();
    updates = count;
    const observed = situations.flatMap((each) => ofBlock(each, routes));
    // A route that must not come would have come before the last one that must.
    if (performance.now() - since > 500 && JSON.stringify(observed) === want) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return routes;
}

function ofBlock(situation: Situation, routes: ReadonlyMap<string, WireRoute>): WireRoute[] {
  return situation.feed.flatMap(({ prefix }) => routes.get(prefix) ?? []);
}

/** GoBGP goes on without any policy when it cannot read one of them. */
async function tookPolicies(router: Router): Promise<void> {
  const text = await router.cli("global", "policy");
  if (!text.includes("REJECT"))
    throw new Error("GoBGP took no policy: one of them has a word that it does not know");
}
