/** RFC 9234 between cairn and a daemon that has roles: pairs, refusals, and ONLY_TO_CUSTOMER on the wire. */
import { type Checks, eventually } from "../lib/checks.ts";
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
    for (const [i, pair] of pairs.entries()) {
      await checks.check(`${pair.what}: ${pair.refused ? "refused with Role Mismatch" : "up"}`, () =>
        eventually("session", pair.refused ? roleMismatch : "established", () =>
          sessionOf(cairn, link(i, 2)),
        ),
      );
    }
  });
}

/** established, or the code of the NOTIFICATION that ended it last. */
async function sessionOf(cairn: Router, address: string): Promise<string> {
  const text = await cairn.cli("neighbor", address, "--json");
  const { neighbor } = JSON.parse(text) as {
    neighbor: { state: { sessionState: string; resets?: { code?: number; subcode?: number }[] } };
  };
  const { sessionState, resets = [] } = neighbor.state;
  if (sessionState === "SESSION_STATE_ESTABLISHED") return "established";
  const coded = resets.find(({ code }) => code !== undefined);
  return coded ? `${coded.code}/${coded.subcode}` : sessionState;
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
    await eventually("session between the two", "established", () => sessionOf(routers.cairn, "10.0.4.2"));
    for (const [name, routes] of Object.entries(fed)) await speakers.announce(name, routes);
    const wanted = cairnIs === "provider" ? withCustomer : withProvider;
    for (const [name, expected] of Object.entries(wanted)) {
      await checks.check(`at ${name.replace("their-", "the other's ")}`, () =>
        eventually(
          "number of the route: ONLY_TO_CUSTOMER",
          expected,
          async () => {
            const routes = (await speakers.routes(name)).filter(
              ({ prefix }) => !fed[name].some((each) => each.prefix === prefix),
            );
            const byNumber = routes.map(
              ({ prefix, otc }) => [Number(/\.(\d+)\//.exec(prefix)![1]) / 16, otc ?? "none"] as const,
            );
            return Object.fromEntries(byNumber.sort(([a], [b]) => a - b));
          },
          8_000,
        ),
      );
    }
  });
}

/** Routes 3, 5, 7 and 9 are leaks by their ONLY_TO_CUSTOMER, and refused by the first who sees them. */
const withCustomer = {
  provider: { 4: "none", 6: "none" },
  peer: { 4: 65001, 6: 65001 },
  customer: { 0: 65010, 1: 65011, 2: 65011, 6: 65001 },
  "their-customer": { 0: 65010, 1: 65011, 2: 65011, 4: 65001, 8: 65021 },
  "their-peer": { 6: 65002 },
};

const withProvider = {
  provider: { 4: "none" },
  peer: { 4: 65001 },
  customer: { 0: 65010, 1: 65011, 2: 65011, 6: 65002, 8: 65021 },
  "their-customer": { 4: 65002, 8: 65021 },
  "their-peer": { 4: 65002, 6: 65002 },
};
