/**
 * Confederations of any shape: member ASes with an iBGP mesh in each, links between members as they come, neighbors
 * outside. When the network is at rest every session is up, everybody has a route to every prefix, each route says of
 * itself what the route of the neighbor that it came from says, by rules that are spelled out here once more, and
 * following routes from neighbor to neighbor leads to where they begin.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { GlobalSpecSchema } from "../../src/gen/cairn/v1/global_service_pb.ts";
import { InjectedPathSchema } from "../../src/gen/cairn/v1/injection_service_pb.ts";
import { NeighborSpecSchema } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import type { MutationOp } from "../../src/state/mutation.ts";
import { RouteBatch } from "../../src/state/route-batch.ts";
import { ipv4Unicast } from "../../src/wire/family.ts";
import { Clock } from "../sim/clock.ts";
import { Dice } from "../sim/dice.ts";
import { Hash } from "../sim/hash.ts";
import { Journal } from "../sim/journal.ts";
import { Net, type TcpEffect } from "../sim/net.ts";
import { Speaker, type SpeakerWorld } from "../sim/speaker.ts";

const runs = Number(process.env.CAIRN_CONFEDERATION_RUNS ?? 15);
const identifier = 100;

interface Router {
  readonly index: number;
  /** AS of its member, or of its own when it is outside. */
  readonly asn: number;
  readonly outside: boolean;
  readonly prefix: string | undefined;
}

/** How one router knows another. */
type Kind = "internal" | "member" | "external";

class Network implements SpeakerWorld {
  readonly clock = new Clock();
  readonly hash = new Hash();
  readonly dice: Dice;
  readonly journals: Journal[] = [];
  readonly speakers: Speaker[] = [];
  readonly routers: Router[] = [];
  readonly links: (readonly [Router, Router])[] = [];
  readonly net: Net;

  constructor(seed: number) {
    this.dice = new Dice(seed);
    // Paths of confederations do not get longer, so that who is told first may decide: latencies differ.
    const faults = { latencyMsMin: 1, latencyMsMax: 40, segmentMax: 65_536, windowBytes: 1 << 20, refuse: 0 };
    this.draw();
    this.net = new Net(this.clock, this.dice, this.speakers, this.routers.length, faults);
    for (const router of this.routers) this.start(router);
    this.run(120_000);
  }

  record(): void {}
  turned(): void {}
  tamper(): boolean {
    return false;
  }
  turnNumber(): number {
    return 0;
  }
  resumed(speaker: number): void {
    this.net.kick(speaker);
  }
  tcp(speaker: number, effect: TcpEffect): void {
    this.net.apply(speaker, effect);
  }

  run(ms: number): void {
    const until = this.clock.nowMs + ms;
    while (this.clock.step(until));
  }

  private draw(): void {
    const { dice } = this;
    const members = dice.between(2, 5);
    const add = (asn: number, outside: boolean): Router => {
      const index = this.routers.length;
      const prefix = outside || dice.chance(0.3) ? `203.0.${index}.0/24` : undefined;
      const router = { index, asn, outside, prefix };
      this.routers.push(router);
      return router;
    };
    const byMember = Array.from({ length: members }, (_, m) => {
      const own = Array.from({ length: dice.between(1, 3) }, () => add(65001 + m, false));
      for (const [i, a] of own.entries()) for (const b of own.slice(i + 1)) this.links.push([a, b]);
      return own;
    });
    // A tree, so that all hang together, and some links more.
    for (let m = 1; m < members; m++)
      this.links.push([dice.pick(byMember[m]), dice.pick(byMember[dice.below(m)])]);
    for (let more = dice.below(4); more > 0; more--) {
      const [a, b] = [dice.pick(byMember.flat()), dice.pick(byMember.flat())];
      if (a.asn !== b.asn && !this.linked(a, b)) this.links.push([a, b]);
    }
    const inside = byMember.flat();
    for (let n = dice.between(1, 2); n > 0; n--) {
      const outsider = add(200 + n, true);
      for (let homes = dice.between(1, 2); homes > 0; homes--) {
        const home = dice.pick(inside);
        if (!this.linked(outsider, home)) this.links.push([outsider, home]);
      }
    }
  }

  linked(a: Router, b: Router): boolean {
    return this.links.some((link) => link.includes(a) && link.includes(b));
  }

  neighborsOf(router: Router): Router[] {
    return this.links.filter((link) => link.includes(router)).map(([a, b]) => (a === router ? b : a));
  }

  private start(router: Router): void {
    this.journals.push(new Journal(this.clock, this.dice, { commitMsMax: 1, slow: 0, fail: 0 }));
    const speaker = new Speaker(this, router.index, { budgetMin: 6000, budgetMax: 6000, tracked: false });
    this.speakers.push(speaker);
    speaker.start();
    const memberAses = [...new Set(this.routers.filter(({ outside }) => !outside).map(({ asn }) => asn))];
    const ops: MutationOp[] = [
      {
        op: "put",
        kind: "Global",
        spec: create(GlobalSpecSchema, {
          asn: router.asn,
          routerId: `192.0.2.${router.index + 1}`,
          requirePolicy: false,
          ...(router.outside ? {} : { confederation: { identifier, memberAses } }),
        }),
      },
    ];
    for (const other of this.neighborsOf(router)) {
      const remoteAsn = router.outside && !other.outside ? identifier : other.asn;
      const spec = create(NeighborSpecSchema, { address: addressOf(other), remoteAsn });
      ops.push({ op: "put", kind: "Neighbor", spec });
    }
    if (router.prefix) {
      ops.push({ op: "inject", path: create(InjectedPathSchema, { prefix: router.prefix }) });
    }
    const mutation = { ops, expectedGeneration: 0, dryRun: false, reason: "", requestId: "" };
    speaker.mutate({ ...mutation, principal: "test", source: "api" }, (outcome) =>
      assert.ok(outcome.ok, JSON.stringify(outcome)),
    );
  }

  /** Best path of every prefix: the AS path, and the router that it came from; undefined for one of its own. */
  bestOf(router: Router): Map<string, { readonly path: string; readonly from: Router | undefined }> {
    const walk = this.speakers[router.index].view!.walk(
      { table: "best", paths: "best" },
      ipv4Unicast,
      undefined,
      "",
    );
    assert.ok(walk.ok);
    const batch = new RouteBatch();
    while (!walk.value.next(batch, 1000, 100_000));
    return new Map(
      batch.routes().map(({ prefix, neighbor, asPathText }) => {
        const from = this.routers.find((each) => addressOf(each) === neighbor);
        return [prefix, { path: asPathText, from }];
      }),
    );
  }
}

const addressOf = ({ index }: Router): string => `10.0.0.${index + 1}`;

function kindOf(a: Router, b: Router): Kind {
  if (a.outside || b.outside) return "external";
  return a.asn === b.asn ? "internal" : "member";
}

/** What a router makes of its path on the way to another one, as text. */
function told(path: string, from: Router, to: Router): string {
  switch (kindOf(from, to)) {
    case "internal":
      return path;
    case "member":
      if (path.startsWith("(")) return `(${from.asn} ${path.slice(1)}`;
      return `(${from.asn}) ${path}`.trim();
    case "external": {
      const own = from.outside ? from.asn : identifier;
      return `${own} ${path.replace(/\([^)]*\)/, "").trim()}`.trim();
    }
  }
}

function check(network: Network, where: string): void {
  const { routers, speakers } = network;
  for (const { index } of routers) {
    for (const { negotiated, config } of speakers[index].core!.neighbors.all())
      assert.ok(negotiated, `${where}: router ${index} has no session with ${config.address}`);
  }
  const tables = routers.map((router) => network.bestOf(router));
  const prefixes = routers.flatMap(({ prefix }) => prefix ?? []).sort();
  for (const router of routers) {
    const table = tables[router.index];
    const at = `${where}: router ${router.index}`;
    for (const prefix of prefixes) {
      const route = table.get(prefix);
      // Outsiders do not take what went through themselves; nothing else keeps a prefix from anybody.
      assert.ok(route, `${at} has no route to ${prefix}`);
      const asns = (route.path.match(/\d+/g) ?? []).map(Number);
      assert.equal(new Set(asns).size, asns.length, `${at}: ${route.path} goes round`);
      const members = (/\(([^)]*)\)/.exec(route.path)?.[1].match(/\d+/g) ?? []).map(Number);
      assert.ok(!members.includes(router.asn) || router.outside, `${at}: ${route.path} has its own member`);
      if (router.outside) assert.equal(members.length, 0, `${at}: ${route.path}`);
      if (!route.from) {
        assert.equal(prefix, router.prefix, at);
        continue;
      }
      const before = tables[route.from.index].get(prefix)!;
      assert.equal(route.path, told(before.path, route.from, router), `${at}: ${prefix}`);
      let hops = 0;
      for (let step = route; step.from; step = tables[step.from.index].get(prefix)!)
        assert.ok(++hops <= routers.length, `${at}: ${prefix} is followed for ever`);
    }
  }
}

test(`confederations of ${runs} shapes: routes reach everybody, say where they went, and go nowhere twice`, () => {
  let members = 0;
  for (let seed = 1; seed <= runs; seed++) {
    const network = new Network(seed);
    check(network, `seed ${seed}`);
    members += network.links.filter(([a, b]) => kindOf(a, b) === "member").length;
  }
  assert.ok(members >= runs, "no links between members were looked at");
});
