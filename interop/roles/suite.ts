/** RFC 9234 between cairn and a daemon that has roles: pairs, refusals, and ONLY_TO_CUSTOMER on the wire. */
import { type Checks, eventually, stays } from "../lib/checks.ts";
import type { Router, RouterKind } from "../lib/router.ts";
import { type NeighborPlan, type Role, type RouterPlan, type SpeakerPlan, withScene } from "../lib/scene.ts";
import type { WireRoute } from "../lib/wire.ts";

/** OPEN Message Error / Role Mismatch (RFC 9234 4.2). */
const roleMismatch = "2/11";

interface Pair {
  readonly what: string;
  readonly cairn?: Role;
  readonly other?: Role;
  readonly cairnStrict?: boolean;
  readonly otherStrict?: boolean;
  /** Neither side lets it up. */
  readonly refused: boolean;
}

const pairs: readonly Pair[] = [
  { what: "provider and customer", cairn: "provider", other: "customer", refused: false },
  { what: "customer and provider", cairn: "customer", other: "provider", refused: false },
  { what: "route server and client", cairn: "rs", other: "rs-client", refused: false },
  { what: "client and route server", cairn: "rs-client", other: "rs", refused: false },
  {
    what: "two peers, both strict",
    cairn: "peer",
    other: "peer",
    cairnStrict: true,
    otherStrict: true,
    refused: false,
  },
  { what: "two providers", cairn: "provider", other: "provider", refused: true },
  { what: "peer and customer", cairn: "peer", other: "customer", refused: true },
  { what: "cairn has a role, the other none", cairn: "customer", refused: false },
  { what: "cairn is strict, the other has no role", cairn: "customer", cairnStrict: true, refused: true },
  { what: "the other has a role, cairn none", other: "customer", refused: false },
  { what: "the other is strict, cairn has no role", other: "customer", otherStrict: true, refused: true },
];

/** Every pair at once: a session each between the same two routers. */
export async function negotiate(checks: Checks, kind: RouterKind, folder: string): Promise<void> {
  const link = (i: number, end: 1 | 2): string => `10.0.${i + 1}.${end}`;
  const neighbors = (own: 1 | 2): NeighborPlan[] =>
    pairs.map((pair, i) => ({
      local: link(i, own),
      remote: link(i, own === 1 ? 2 : 1),
      asn: own === 1 ? 65002 : 65001,
      role: own === 1 ? pair.cairn : pair.other,
      strictRole: own === 1 ? pair.cairnStrict : pair.otherStrict,
    }));
  const plans: Record<string, RouterPlan> = {
    cairn: { kind: "cairn", asn: 65001, routerId: "10.9.9.1", neighbors: neighbors(1) },
    [`other-${kind}`]: { kind, asn: 65002, routerId: "10.9.9.2", neighbors: neighbors(2) },
  };
  await withScene(folder, plans, [], async ({ routers: { cairn } }) => {
    let states = await sessionsOf(cairn);
    for (const [i, pair] of pairs.entries()) {
      const wanted = pair.refused ? roleMismatch : "established";
      await checks.check(`${pair.what}: ${pair.refused ? "refused with Role Mismatch" : "up"}`, () =>
        eventually("session", wanted, async () => {
          if (states.get(link(i, 2)) !== wanted) states = await sessionsOf(cairn);
          return states.get(link(i, 2));
        }),
      );
    }
  });
}

interface ListedNeighbor {
  readonly spec: { readonly address: string };
  readonly state: { readonly sessionState: string; readonly resets?: { code?: number; subcode?: number }[] };
}

/** By neighbor: established, or the code of the NOTIFICATION that ended the session last. */
async function sessionsOf(cairn: Router): Promise<Map<string, string>> {
  const { neighbors } = JSON.parse(await cairn.cli("neighbor", "--json")) as { neighbors: ListedNeighbor[] };
  return new Map(
    neighbors.map(({ spec, state: { sessionState, resets = [] } }) => {
      const coded = resets.find(({ code }) => code !== undefined);
      const ended = coded ? `${coded.code}/${coded.subcode}` : sessionState;
      return [spec.address, sessionState === "SESSION_STATE_ESTABLISHED" ? "established" : ended];
    }),
  );
}

const own: Readonly<Record<string, { asn: number; local: string }>> = {
  provider: { asn: 65010, local: "10.0.1.2" },
  peer: { asn: 65011, local: "10.0.2.2" },
  customer: { asn: 65012, local: "10.0.3.2" },
  "their-customer": { asn: 65020, local: "10.0.5.2" },
  "their-peer": { asn: 65021, local: "10.0.6.2" },
};

/** Numbers on the wire. */
const roleNumber: Readonly<Record<string, number>> = {
  provider: 0,
  peer: 4,
  customer: 3,
  "their-customer": 3,
  "their-peer": 4,
};

/**
 * A provider, a peer and a customer of cairn, scripted; a real daemon that is cairn's customer or provider; and a
 * customer and a peer of that one, scripted. Who gets which routes, and with which ONLY_TO_CUSTOMER.
 */
export async function onlyToCustomer(
  checks: Checks,
  kind: RouterKind,
  folder: string,
  cairnIs: "provider" | "customer",
): Promise<void> {
  const sessions: SpeakerPlan[] = Object.entries(own).map(([name, { asn, local }]) => ({
    name,
    asn,
    local,
    role: roleNumber[name],
  }));
  const neighbor = (name: string, role: Role): NeighborPlan => ({
    local: own[name].local.replace(/2$/, "1"),
    remote: own[name].local,
    asn: own[name].asn,
    role,
  });
  const other = `other-${kind}`;
  const plans: Record<string, RouterPlan> = {
    cairn: {
      kind: "cairn",
      asn: 65001,
      routerId: "10.9.9.1",
      neighbors: [
        neighbor("provider", "customer"),
        neighbor("peer", "peer"),
        neighbor("customer", "provider"),
        { local: "10.0.4.1", remote: "10.0.4.2", asn: 65002, role: cairnIs },
      ],
    },
    [other]: {
      kind,
      asn: 65002,
      routerId: "10.9.9.2",
      neighbors: [
        neighbor("their-customer", "provider"),
        neighbor("their-peer", "peer"),
        {
          local: "10.0.4.2",
          remote: "10.0.4.1",
          asn: 65001,
          role: cairnIs === "provider" ? "customer" : "provider",
        },
      ],
    },
  };
  const route = (name: string, number: number, otc?: number): WireRoute => ({
    prefix: `198.51.100.${number * 16}/28`,
    origin: "igp",
    asPath: `${own[name].asn}`,
    nextHop: own[name].local,
    ...(otc === undefined ? {} : { otc }),
  });
  const fed: Readonly<Record<string, readonly WireRoute[]>> = {
    provider: [route("provider", 0)],
    peer: [route("peer", 1), route("peer", 2, 65011), route("peer", 3, 64999)],
    customer: [route("customer", 4), route("customer", 5, 65012)],
    "their-customer": [route("their-customer", 6), route("their-customer", 7, 65020)],
    "their-peer": [route("their-peer", 8), route("their-peer", 9, 64999)],
  };
  await withScene(folder, plans, sessions, async ({ speakers, routers }) => {
    await eventually("session between the two", "established", async () =>
      (await sessionsOf(routers.cairn)).get("10.0.4.2"),
    );
    for (const [name, routes] of Object.entries(fed)) await speakers.announce(name, routes);
    const wanted = cairnIs === "provider" ? withCustomer : withProvider;
    /** ONLY_TO_CUSTOMER by number of the route. */
    const seenAt = async (name: string): Promise<Record<number, number | string>> => {
      const others = (await speakers.routes(name)).filter(
        ({ prefix }) => !fed[name].some((each) => each.prefix === prefix),
      );
      return Object.fromEntries(
        others.map(({ prefix, otc }) => [Number(/\.(\d+)\//.exec(prefix)![1]) / 16, otc ?? "none"]),
      );
    };
    for (const [name, expected] of Object.entries(wanted)) {
      await checks.check(`at ${name.replace("their-", "the other's ")}`, () =>
        eventually("number of the route: ONLY_TO_CUSTOMER", expected, () => seenAt(name), 8_000),
      );
    }
    await checks.check("no leak comes through", async () => {
      await stays("tables", Object.values(wanted), () => Promise.all(Object.keys(wanted).map(seenAt)));
    });
  });
}

/** Routes 3, 5, 7 and 9 are leaks by their ONLY_TO_CUSTOMER, and refused by the first who sees them. */
const withCustomer: Readonly<Record<string, Record<number, number | string>>> = {
  provider: { 4: "none", 6: "none" },
  peer: { 4: 65001, 6: 65001 },
  customer: { 0: 65010, 1: 65011, 2: 65011, 6: 65001 },
  "their-customer": { 0: 65010, 1: 65011, 2: 65011, 4: 65001, 8: 65021 },
  "their-peer": { 6: 65002 },
};

const withProvider: typeof withCustomer = {
  provider: { 4: "none" },
  peer: { 4: 65001 },
  customer: { 0: 65010, 1: 65011, 2: 65011, 6: 65002, 8: 65021 },
  "their-customer": { 4: 65002, 8: 65021 },
  "their-peer": { 4: 65002, 6: 65002 },
};
