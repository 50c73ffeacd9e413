/**
 * Per-client best path (RFC 7947 2.3): a route server's client that may not have the best path is told of the next one.
 * The oracle knows no cairn: it keeps what each client announced, leaves out what a client may not have, and chooses by
 * RFC 4271 9.1.2.2, step after step, among the rest.
 *
 * `CAIRN_PER_CLIENT_CASES=1000` for the long form; `CAIRN_PER_CLIENT_SEED=17` for one case alone.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PolicyAction } from "../../src/gen/cairn/v1/policy_service_pb.ts";
import { CoreRig, type Peer } from "../rfc/core-rig.ts";
import type { RouteText } from "../rfc/wire-text.ts";
import { Dice } from "../sim/dice.ts";

const only = process.env.CAIRN_PER_CLIENT_SEED;
const cases = Number(process.env.CAIRN_PER_CLIENT_CASES ?? 60);
const seeds = only === undefined ? Array.from({ length: cases }, (_, i) => i + 1) : [Number(only)];
const prefixes = Array.from({ length: 6 }, (_, i) => `203.0.${i}.0/24`);
/** AS numbers of the clients; two of them share one, so that MED counts between them. */
const asns = [65_002, 65_003, 65_003, 65_005, 65_006];

interface Client {
  readonly peer: Peer;
  /** Last number of its address: others keep routes from it with the community 65001:NUMBER. */
  readonly number: number;
  readonly announced: Map<string, RouteText>;
  choosesItself: boolean;
}

class RouteServer {
  readonly rig = new CoreRig();
  readonly dice: Dice;
  readonly clients: Client[];

  constructor(seed: number) {
    this.dice = new Dice(seed);
    this.rig.policy({
      name: "prefer",
      statements: [{ match: { communities: ["65001:200"] }, set: { localPref: 200 } }],
      defaultAction: PolicyAction.ACCEPT,
    });
    this.clients = asns.map((remoteAsn, i) => {
      const number = i + 2;
      this.rig.policy({
        name: `to-${number}`,
        statements: [{ match: { communities: [`65001:${number}`] }, action: PolicyAction.REJECT }],
        defaultAction: PolicyAction.ACCEPT,
      });
      const choosesItself = this.dice.chance(0.8);
      const init = { ...this.settings(number), remoteAsn, perClientBest: choosesItself };
      const peer = this.rig.peer(`192.0.2.${number}`, init);
      return { peer, number, announced: new Map(), choosesItself };
    });
  }

  private settings(number: number) {
    return { routeServerClient: true, import: ["prefer"], export: [`to-${number}`] };
  }

  toggle(client: Client): void {
    client.choosesItself = !client.choosesItself;
    const { address, asn } = client.peer;
    const init = { ...this.settings(client.number), perClientBest: client.choosesItself };
    this.rig.neighbor({ address, remoteAsn: asn, ...init });
    this.rig.run();
  }

  announce(client: Client): void {
    const { dice } = this;
    const prefix = dice.pick(prefixes);
    const kept = [2, 3, 4, 5, 6].filter(() => dice.chance(0.3)).map((number) => `65001:${number}`);
    const communities = [...kept, ...(dice.chance(0.2) ? ["65001:200"] : [])];
    const route: RouteText = {
      origin: dice.pick(["igp", "igp", "incomplete"]),
      path: [client.peer.asn, ...Array.from({ length: dice.below(3) }, () => 65_100)].join(" "),
      nextHop: client.peer.address,
      ...(dice.chance(0.5) ? { med: dice.below(3) } : {}),
      ...(communities.length > 0 ? { communities: communities.join(" ") } : {}),
    };
    client.announced.set(prefix, route);
    client.peer.announce(prefix, route);
  }

  withdraw(client: Client): void {
    const prefix = this.dice.pick([...client.announced.keys(), prefixes[0]]);
    client.announced.delete(prefix);
    client.peer.withdraw(prefix);
  }

  flap(client: Client): void {
    client.announced.clear();
    client.peer.drop();
    this.rig.advance(200_000);
    client.peer.connect();
    this.rig.run();
  }

  /** What a client must have of a prefix. */
  expected(client: Client, prefix: string): Candidate | undefined {
    const all = this.clients.flatMap((from): Candidate[] => {
      const route = from.announced.get(prefix);
      return route ? [{ from, route }] : [];
    });
    const mayHave = ({ from, route }: Candidate): boolean =>
      from !== client && !(route.communities ?? "").split(" ").includes(`65001:${client.number}`);
    if (client.choosesItself) return best(all.filter(mayHave));
    const chosen = best(all);
    return chosen && mayHave(chosen) ? chosen : undefined;
  }

  check(): void {
    for (const client of this.clients) {
      for (const prefix of prefixes) {
        const where = `${prefix} to ${client.peer.address}${client.choosesItself ? "" : ", who takes the best or none"}`;
        const expected = this.expected(client, prefix)?.route;
        const held = client.peer.routes.get(prefix);
        assert.equal(held !== undefined, expected !== undefined, where);
        if (!held || !expected) continue;
        const { origin, path, nextHop, med, communities } = held;
        const told = { origin, path, nextHop, med, communities };
        assert.deepEqual(told, { med: undefined, communities: undefined, ...expected }, where);
      }
    }
  }
}

interface Candidate {
  readonly from: Client;
  readonly route: RouteText;
}

/** RFC 4271 9.1.2.2, by elimination. */
function best(candidates: readonly Candidate[]): Candidate | undefined {
  const least = (from: readonly Candidate[], measure: (of: Candidate) => number): Candidate[] => {
    const smallest = Math.min(...from.map(measure));
    return from.filter((each) => measure(each) === smallest);
  };
  let left = [...candidates];
  left = least(left, ({ route }) => (route.communities?.includes("65001:200") ? -200 : -100));
  left = least(left, ({ route }) => route.path!.split(" ").length);
  left = least(left, ({ route }) => ["igp", "egp", "incomplete"].indexOf(route.origin!));
  const med = ({ route }: Candidate): number => route.med ?? 0;
  left = left.filter(
    (each) => !left.some((other) => other.from.peer.asn === each.from.peer.asn && med(other) < med(each)),
  );
  return least(left, ({ from }) => from.number)[0];
}

test(`each client has the best of what it may have, while routes come and go: ${seeds.length} route servers`, () => {
  let instead = 0;
  for (const seed of seeds) {
    const server = new RouteServer(seed);
    const { dice, clients } = server;
    try {
      for (let step = 0; step < 40; step++) {
        const client = dice.pick(clients);
        const what = dice.below(20);
        if (what < 13) server.announce(client);
        else if (what < 17) server.withdraw(client);
        else if (what < 19) server.toggle(client);
        else server.flap(client);
        server.check();
      }
      for (const client of clients) {
        for (const prefix of prefixes) {
          const told = server.rig.view.explainAdvertised(client.peer.address, prefix);
          assert(told.ok);
          if (told.value.advertised && told.value.paths.length > 1) {
            instead++;
            assert.match(told.value.summary, /; \d+ better may not go to it$/);
          }
        }
      }
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      throw new Error(`CAIRN_PER_CLIENT_SEED=${seed}: ${text}`, { cause: error });
    }
  }
  assert.ok(only !== undefined || instead > cases, `only ${instead} routes stood in for a better one`);
});

test("a filtered best does not hide the others, and what was hidden comes back with it", () => {
  const rig = new CoreRig();
  rig.policy({
    name: "out",
    statements: [{ match: { communities: ["65001:4"] }, action: PolicyAction.REJECT }],
    defaultAction: PolicyAction.ACCEPT,
  });
  const [one, two] = [2, 3].map((n) =>
    rig.peer(`192.0.2.${n}`, { remoteAsn: 65_000 + n, routeServerClient: true }),
  );
  const own = { remoteAsn: 65_004, routeServerClient: true, perClientBest: true, export: ["out"] };
  const client = rig.peer("192.0.2.4", own);
  const plain = rig.peer("192.0.2.5", { ...own, remoteAsn: 65_005, perClientBest: false });
  const [prefix] = prefixes;
  two.announce(prefix, { path: "65003 65100" });
  one.announce(prefix, { communities: "65001:4" });
  assert.deepEqual([client.route(prefix).path, plain.has(prefix)], ["65003 65100", false]);
  one.announce(prefix);
  assert.equal(client.route(prefix).path, "65002");
  client.announce(prefix, { origin: "igp", path: "65004" });
  one.withdraw(prefix);
  assert.equal(rig.best(prefix), "192.0.2.4", "its own is the best of all");
  assert.equal(client.route(prefix).path, "65003 65100", "and does not hide the next one from it");
  two.withdraw(prefix);
  assert.equal(client.has(prefix), false);
});

test("without it nothing is ranked, and changes behind the best path wake nobody", () => {
  const rig = new CoreRig();
  const [one, two, three] = [2, 3, 4].map((n) => rig.peer(`192.0.2.${n}`, { remoteAsn: 65_000 + n }));
  const [table] = rig.core.routing.tables;
  let ranked = 0;
  const rank = rig.core.routing.best.rank.bind(rig.core.routing.best);
  rig.core.routing.best.rank = (paths, head) => {
    ranked++;
    return rank(paths, head);
  };
  one.announce(prefixes[0]);
  const { changes } = table.changes;
  for (let i = 0; i < 10; i++) two.announce(prefixes[0], { path: `65003 ${65_100 + i}` });
  assert.deepEqual([table.changes.changes - changes, ranked], [0, 0]);
  rig.neighbor({ address: "192.0.2.4", remoteAsn: 65_004, perClientBest: true });
  rig.run();
  two.announce(prefixes[0], { path: "65003 65200" });
  assert.ok(table.changes.changes > changes, "with it they do");
  assert.equal(three.route(prefixes[0]).path, "65001 65002");
});
