/** What every daemon has to go through with cairn. Each scenario builds its own lab. */
import { Cairn, type ResetReason } from "./cairn.ts";
import { type Checks, equal, eventually, Mismatch } from "./checks.ts";
import { Lab, type Namespace } from "./lab.ts";
import { originatedPrefixes, type Peer, type PeerKind, type PeerSetup } from "./peer.ts";
import { asSeenBy, type Family, families, injected, type Route, table } from "./routes.ts";

export interface Scenario {
  readonly name: string;
  run(checks: Checks, kind: PeerKind, folder: string): Promise<void>;
}

const cairnAsn = 65001;
const peerAsn = 65002;
/** RFC 4271 4.5. */
const holdTimerExpired = 4;
const cease = 6;
const administrativeShutdown = 2;

export const scenarios: readonly Scenario[] = [
  { name: "cairn accepts", run: accepts },
  { name: "cairn connects", run: connects },
  { name: "iBGP and eBGP at once", run: internalAndExternal },
  { name: "sentinel", run: sentinel },
];

// ------------------------------------------------------------------------------------------------- scenarios

/** The other side connects; then everything that can happen to a session. */
async function accepts(checks: Checks, kind: PeerKind, folder: string): Promise<void> {
  await withPair(kind, folder, { cairnPassive: true, peerPassive: false }, async (pair) => {
    const { cairn, peer } = pair;
    const up = await checks.check("session up, the neighbor connects", async () => {
      await sessionsUp(pair);
      for (const family of families) {
        equal("local port", 179, (await cairn.neighbor(peer.session(family).own)).localPort);
      }
    });
    if (!up) return;
    await checks.check("routes from cairn, every attribute", () => exactAtPeer(pair));
    await checks.check("routes from the neighbor, every attribute", () => exactAtCairn(pair));
    await checks.check("counts of both sides agree", () => countsAgree(pair));
    await checks.check("cairn withdraws and announces again", () => cairnWithdraws(pair));
    await checks.check("the neighbor withdraws and announces again", () => peerWithdraws(pair));
    await checks.check("cairn asks for a refresh", () => cairnRefreshes(pair));
    if (kind.cannotRefresh) checks.skip("the neighbor asks for a refresh", kind.cannotRefresh);
    else await checks.check("the neighbor asks for a refresh", () => peerRefreshes(pair));
    await checks.check("shutdown with a text, seen by the neighbor", () => cairnShutsDown(pair));
    await checks.check("the neighbor's shutdown and its text are seen", () => peerShutsDown(pair, kind));
    await checks.check("the neighbor is killed and starts again", async () => {
      await peer.daemon.kill();
      await eventually("no routes", [], () =>
        pair.cairn.best(peer.session("ipv4-unicast").own, "ipv4-unicast"),
      );
      await peer.start();
      await exactBothWays(pair);
    });
    await checks.check("cairn is killed and starts again, injected routes are there", async () => {
      await cairn.daemon.kill();
      await cairn.start();
      await exactBothWays(pair);
    });
    await checks.check("hold timer: a frozen neighbor is dropped after 3 s and comes back", () =>
      freezes(pair),
    );
  });
}

async function connects(checks: Checks, kind: PeerKind, folder: string): Promise<void> {
  await withPair(kind, folder, { cairnPassive: false, peerPassive: true }, async (pair) => {
    const up = await checks.check("session up, cairn connects", async () => {
      await sessionsUp(pair);
      for (const family of families) {
        equal("remote port", 179, (await pair.cairn.neighbor(pair.peer.session(family).own)).remotePort);
      }
    });
    if (up) await checks.check("routes both ways, every attribute", () => exactBothWays(pair));
  });
}

/** A - cairn - B, where A is in another AS and B in ours. */
async function internalAndExternal(checks: Checks, kind: PeerKind, folder: string): Promise<void> {
  const lab = new Lab(folder);
  try {
    const [middle, left, right] = [
      await lab.namespace("cairn"),
      await lab.namespace("external"),
      await lab.namespace("internal"),
    ];
    await joined(lab, middle, left, 0);
    await joined(lab, middle, right, 1);
    const external = kind.create(setup(lab, left, "external", peerAsn, 0, false));
    const internal = kind.create(setup(lab, right, "internal", cairnAsn, 1, false));
    const neighbors = [...neighborsOf(external, true), ...neighborsOf(internal, true, true)];
    const cairn = new Cairn(lab, middle, cairnAsn, "192.0.2.1", neighbors);
    await Promise.all([cairn.start(), external.start(), internal.start()]);
    await cairn.inject();
    const pairs = [
      { lab, cairn, peer: external },
      { lab, cairn, peer: internal },
    ];
    const up = await checks.check("both sessions of both families up", async () => {
      for (const pair of pairs) await sessionsUp(pair);
    });
    if (!up) return;
    await checks.check("local preference and path from cairn, inside and outside", async () => {
      for (const family of families) {
        await eventually("external", fromCairnAnd(internal, external, family), () =>
          tableAt(external, family),
        );
        await eventually("internal", fromCairnAnd(external, internal, family), () =>
          tableAt(internal, family),
        );
      }
    });
    await checks.check("routes from both at cairn", async () => {
      for (const pair of pairs) await exactAtCairn(pair);
    });
  } finally {
    await lab.close();
  }
}

/** The same expectation as ever, while cairn's export policy rejects everything: it must fail. */
async function sentinel(checks: Checks, kind: PeerKind, folder: string): Promise<void> {
  await withPair(
    kind,
    folder,
    { cairnPassive: false, peerPassive: true, export: "reject-all" },
    async (pair) => {
      const up = await checks.check("session up", () => sessionsUp(pair));
      if (!up) return;
      await checks.check("the suite fails when cairn sends nothing", async () => {
        await exactAtCairn(pair); // the session works, and had time to carry routes
        for (const family of families) {
          equal("table at the neighbor", [], await pair.peer.received(family));
          const failure = await exactAtPeer(pair, 2_000).then(
            () => undefined,
            (error: unknown) => error,
          );
          if (!(failure instanceof Mismatch)) throw new Error(`expected a mismatch, got ${String(failure)}`);
        }
      });
    },
  );
}

// ------------------------------------------------------------------------------------- parts of scenarios

export interface Pair {
  readonly lab: Lab;
  readonly cairn: Cairn;
  readonly peer: Peer;
}

export async function sessionsUp({ cairn, peer }: Pair): Promise<void> {
  for (const family of families) {
    const { own } = peer.session(family);
    await eventually(
      `session ${own}`,
      { cairn: "SESSION_STATE_ESTABLISHED", peer: true },
      async () => {
        const state = {
          cairn: (await cairn.neighbor(own)).sessionState,
          peer: await peer.established(family),
        };
        if (!state.peer) await peer.hurry(family);
        return state;
      },
      60_000,
    );
  }
}

export async function exactAtPeer({ peer }: Pair, withinMs?: number): Promise<void> {
  for (const family of families) {
    const expected = fromCairn(peer, family);
    await eventually(`${family} from cairn`, expected, () => tableAt(peer, family), withinMs);
  }
}

export async function exactAtCairn({ cairn, peer }: Pair): Promise<void> {
  for (const family of families) {
    const { own } = peer.session(family);
    const expected = table(peer.announced(family));
    await eventually(`${family} received`, expected, async () => table(await cairn.received(own, family)));
    await eventually(`${family} in the table`, expected, async () => table(await cairn.best(own, family)));
  }
}

async function exactBothWays(pair: Pair): Promise<void> {
  await sessionsUp(pair);
  await exactAtPeer(pair);
  await exactAtCairn(pair);
}

async function countsAgree({ cairn, peer }: Pair): Promise<void> {
  for (const family of families) {
    const expected = {
      received: peer.announced(family).length,
      accepted: peer.announced(family).length,
      advertised: fromCairn(peer, family).length,
    };
    await eventually(`${family} counters`, expected, async () => {
      const state = (await cairn.neighbor(peer.session(family).own)).families?.find(
        (each) => each.family === family,
      );
      const count = (text: string | undefined): number => Number(text ?? 0);
      return {
        received: count(state?.received),
        accepted: count(state?.accepted),
        advertised: count(state?.advertised),
      };
    });
  }
}

async function cairnWithdraws(pair: Pair): Promise<void> {
  const { cairn, peer } = pair;
  for (const family of families) {
    const gone = injected[family][2].prefix;
    try {
      await cairn.ctl("rib", "delete", gone);
      const expected = fromCairn(peer, family).filter((each) => each.prefix !== gone);
      await eventually(`${family} without ${gone}`, expected, () => tableAt(peer, family));
    } finally {
      await cairn.inject(); // later checks want the whole table
    }
  }
  await exactAtPeer(pair);
}

async function peerWithdraws(pair: Pair): Promise<void> {
  const { peer } = pair;
  const prefixes = families.map((family) => originatedPrefixes(family, peer.setup.link)[1]);
  try {
    for (const prefix of prefixes) await peer.withdraw(prefix);
    await exactAtCairn(pair);
  } finally {
    for (const prefix of prefixes) await peer.announceAgain(prefix);
  }
  await exactAtCairn(pair);
}

async function cairnRefreshes(pair: Pair): Promise<void> {
  const { cairn, peer } = pair;
  for (const family of families) {
    const { own } = peer.session(family);
    const before = await cairn.neighbor(own);
    const asked = await peer.refreshRequests(family);
    await cairn.ctl("neighbor", "reset", own, "--soft", "in", "--refresh");
    await eventually(
      "one refresh out, answered, session kept",
      { sent: 1, answered: true, resets: 0 },
      async () => {
        const after = await cairn.neighbor(own);
        return {
          sent: Number(after.sent?.refreshes ?? 0) - Number(before.sent?.refreshes ?? 0),
          answered:
            asked === undefined
              ? Number(after.received?.updates ?? 0) > Number(before.received?.updates ?? 0)
              : (await peer.refreshRequests(family)) === asked + 1,
          resets: (after.resets?.length ?? 0) - (before.resets?.length ?? 0),
        };
      },
    );
  }
  await exactAtCairn(pair);
}

async function peerRefreshes(pair: Pair): Promise<void> {
  const { cairn, peer } = pair;
  for (const family of families) {
    const { own } = peer.session(family);
    const before = await cairn.neighbor(own);
    await peer.refresh(family);
    await eventually(
      "one refresh in, updates out, session kept",
      { came: 1, sent: true, resets: 0 },
      async () => {
        const after = await cairn.neighbor(own);
        return {
          came: Number(after.received?.refreshes ?? 0) - Number(before.received?.refreshes ?? 0),
          sent: Number(after.sent?.updates ?? 0) > Number(before.sent?.updates ?? 0),
          resets: (after.resets?.length ?? 0) - (before.resets?.length ?? 0),
        };
      },
    );
  }
  await exactAtPeer(pair);
}

async function cairnShutsDown(pair: Pair): Promise<void> {
  const { cairn, peer } = pair;
  try {
    for (const family of families) {
      const { own } = peer.session(family);
      const text = `interop ${family}`;
      await cairn.ctl("neighbor", "disable", own, "--message", text);
      await eventually("down at the neighbor", false, () => peer.established(family));
      await eventually("text at the neighbor", true, () => peer.sawShutdownText(family, text));
      equal("routes kept", [], await cairn.best(own, family));
    }
  } finally {
    for (const family of families) await cairn.ctl("neighbor", "enable", peer.session(family).own);
  }
  await exactBothWays(pair);
}

async function peerShutsDown(pair: Pair, kind: PeerKind): Promise<void> {
  const { cairn, peer } = pair;
  const text = kind.shutdownText ?? "back at four";
  await peer.disable(text);
  for (const family of families) {
    const { own } = peer.session(family);
    const expected: Required<Omit<ResetReason, "text">> = {
      local: false,
      code: cease,
      subcode: administrativeShutdown,
      shutdownMessage: text,
    };
    await eventually("last reset", expected, async () => {
      const ceased = ((await cairn.neighbor(own)).resets ?? []).find(
        (each) => each.code === cease && !each.local,
      );
      const { local = false, code = 0, subcode = 0, shutdownMessage = "" } = ceased ?? {};
      return { local, code, subcode, shutdownMessage };
    });
  }
  await peer.enable();
  await exactBothWays(pair);
}

async function freezes(pair: Pair): Promise<void> {
  const { cairn, peer } = pair;
  for (const family of families) {
    const { own } = peer.session(family);
    await cairn.ctl("neighbor", "set", own, "--hold-time", "3s");
    await cairn.ctl("neighbor", "reset", own);
  }
  await exactBothWays(pair);
  for (const family of families) {
    equal("hold time", "3s", (await cairn.neighbor(peer.session(family).own)).negotiatedHoldTime);
  }
  peer.daemon.signal("SIGSTOP");
  try {
    for (const family of families) {
      const { own } = peer.session(family);
      await eventually("hold timer expired", { local: true, code: holdTimerExpired }, async () => {
        const last = (await cairn.neighbor(own)).resets?.find((each) => each.code === holdTimerExpired);
        return { local: last?.local ?? false, code: last?.code ?? 0 };
      });
      equal("routes kept", [], await cairn.best(own, family));
    }
  } finally {
    peer.daemon.signal("SIGCONT");
  }
  await exactBothWays(pair);
}

// --------------------------------------------------------------------------------------------------- helpers

interface PairOptions {
  readonly cairnPassive: boolean;
  readonly peerPassive: boolean;
  readonly export?: string;
}

/** Two namespaces and a link, cairn with the common routes in one, the other daemon in the other. */
export async function withPair(
  kind: Pick<PeerKind, "create">,
  folder: string,
  options: PairOptions,
  body: (pair: Pair) => Promise<void>,
): Promise<void> {
  const lab = new Lab(folder);
  try {
    const [ours, theirs] = [await lab.namespace("cairn"), await lab.namespace("peer")];
    await joined(lab, ours, theirs, 0);
    const peer = kind.create(setup(lab, theirs, "peer", peerAsn, 0, options.peerPassive));
    const neighbors = neighborsOf(peer, options.cairnPassive, false, options.export);
    const cairn = new Cairn(lab, ours, cairnAsn, "192.0.2.1", neighbors);
    await Promise.all([cairn.start(), peer.start()]);
    await cairn.inject();
    await body({ lab, cairn, peer });
  } finally {
    await lab.close();
  }
}

/** Link `n` has 10.0.n.0/24 and fd00:n+1::/64, with cairn on .1. */
function joined(lab: Lab, ours: Namespace, theirs: Namespace, n: number): Promise<void> {
  return lab.link(ours, [`10.0.${n}.1/24`, `fd00:${n + 1}::1/64`], theirs, [
    `10.0.${n}.2/24`,
    `fd00:${n + 1}::2/64`,
  ]);
}

function setup(
  lab: Lab,
  namespace: Namespace,
  name: string,
  asn: number,
  n: number,
  passive: boolean,
): PeerSetup {
  return {
    ...{ lab, namespace, name, asn, cairnAsn, passive },
    link: n,
    routerId: `192.0.2.${n + 2}`,
    sessions: [
      { family: "ipv4-unicast", own: `10.0.${n}.2`, cairn: `10.0.${n}.1` },
      { family: "ipv6-unicast", own: `fd00:${n + 1}::2`, cairn: `fd00:${n + 1}::1` },
    ],
  };
}

function neighborsOf(peer: Peer, passive: boolean, nextHopSelf = false, exportPolicy?: string) {
  return peer.setup.sessions.map((session) => ({
    address: session.own,
    localAddress: session.cairn,
    remoteAsn: peer.setup.asn,
    families: [session.family],
    passive,
    nextHopSelf,
    export: exportPolicy,
    settings: peer.cairnSettings,
  }));
}

async function tableAt(peer: Peer, family: Family): Promise<Route[]> {
  return table(await peer.received(family));
}

/** What cairn itself announces to a neighbor. */
function fromCairn(peer: Peer, family: Family): Route[] {
  const view = { external: peer.external, ourAsn: cairnAsn, nextHop: peer.session(family).cairn };
  return table(injected[family].map((each) => peer.shows(asSeenBy(each, view))));
}

/** The same, and what it passes on from another neighbor. */
function fromCairnAnd(origin: Peer, target: Peer, family: Family): Route[] {
  const passedOn = origin.announced(family).map((each) => ({
    ...each,
    nextHop: target.session(family).cairn,
    asPath: target.external ? `${cairnAsn} ${each.asPath}`.trim() : each.asPath,
    // A MED that was received stays inside our AS (RFC 4271 5.1.4).
    med: target.external ? undefined : each.med,
    localPref: target.external ? undefined : 100,
  }));
  return table([...fromCairn(target, family), ...passedOn.map((each) => target.shows(each))]);
}
