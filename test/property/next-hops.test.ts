/**
 * After any changes of routes, links and BGP: every next hop stands as a naive reading of the tables says, every path
 * that may be chosen is, and the best one of each prefix is the one that the metrics make best.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  formatIp,
  formatPrefix,
  type Prefix,
  parseIp,
  parsePrefix,
  prefixContains,
} from "../../src/base/ip.ts";
import type { SimulatedRoute } from "../../src/dataplane/simulated-kernel.ts";
import type { Route } from "../../src/gen/cairn/v1/types_pb.ts";
import { families } from "../../src/wire/family.ts";
import { CoreRig, type Peer } from "../rfc/core-rig.ts";
import { Dice } from "../sim/dice.ts";

const runs = Number(process.env.CAIRN_NEXT_HOP_RUNS ?? 12);
const stepsPerRun = 40;

interface LinkText {
  readonly name: string;
  readonly address: string;
}
const links: readonly LinkText[] = [
  { name: "eth0", address: "192.0.2.1/24" },
  { name: "eth1", address: "10.0.0.1/24" },
  { name: "eth2", address: "172.16.0.1/24" },
  { name: "eth3", address: "2001:db8:7::1/64" },
];
const kernelPrefixes = [
  ...["0.0.0.0/0", "203.0.113.0/24", "198.18.0.0/15", "198.18.1.0/24", "100.64.0.0/16", "10.0.0.64/26"],
  ...["::/0", "2001:db8:9::/48"],
];
const gateways = ["10.0.0.9", "172.16.0.9", "192.0.2.9"];
const bgpPrefixes = [
  ...["0.0.0.0/0", "203.0.113.0/24", "203.0.113.8/29", "198.18.0.0/16", "198.18.1.0/24", "100.64.1.0/24"],
  ...["198.51.100.0/24", "198.51.101.0/24", "10.0.0.0/28"],
];
const nextHops = [
  ...["203.0.113.9", "203.0.113.77", "198.18.1.1", "198.18.9.1", "100.64.1.1", "100.64.2.2", "10.0.0.7"],
  ...["172.16.0.7", "192.0.2.7"],
];
const bgpPrefixes6 = ["2001:db8:9::/48", "2001:db8:9:1::/64", "2001:db8:a::/48"];
const nextHops6 = ["2001:db8:9:1::1", "2001:db8:a::1", "2001:db8:7::9"];

class World {
  readonly rig: CoreRig;
  readonly dice: Dice;
  readonly down = new Set<string>();
  readonly routes = new Map<string, SimulatedRoute>();
  readonly peers: Peer[] = [];
  viaDefault = true;

  constructor(seed: number) {
    this.dice = new Dice(seed);
    this.rig = new CoreRig({}, undefined, "memory");
    this.simulate();
    for (const address of ["10.0.0.5", "10.0.0.6", "10.0.0.8"]) {
      this.peers.push(
        this.rig.peer(address, { remoteAsn: 65001, families: ["ipv4-unicast", "ipv6-unicast"] }),
      );
    }
    // Sessions stay: what happens to them is another test's.
    for (const [address, multihopTtl] of [
      ["192.0.2.2", undefined],
      ["192.0.2.3", 5],
    ] as const) {
      this.peers.push(this.rig.peer(address, { remoteAsn: 65002, fastFailover: false, multihopTtl }));
    }
  }

  simulate(): void {
    this.rig.simulate({
      links: links.map(({ name, address }) => {
        const [text, length] = address.split("/");
        return {
          name,
          up: !this.down.has(name),
          addresses: [{ bytes: parseIp(text)!, length: Number(length) }],
        };
      }),
      routes: [...this.routes.values()],
    });
  }

  step(): string {
    const { dice } = this;
    const kind = dice.below(10);
    if (kind < 6) return this.tell(dice.pick(this.peers));
    if (kind === 6) {
      this.viaDefault = !this.viaDefault;
      this.rig.global({ resolveViaDefault: this.viaDefault });
      return `default counts: ${this.viaDefault}`;
    }
    if (kind === 7) {
      const { name } = dice.pick(links);
      if (!this.down.delete(name)) this.down.add(name);
      this.simulate();
      return `links down: ${[...this.down]}`;
    }
    const prefix = dice.pick(kernelPrefixes);
    if (this.routes.delete(prefix)) {
      this.simulate();
      return `no route to ${prefix}`;
    }
    const type = dice.below(8) === 0 ? "blackhole" : "unicast";
    const gateway = prefix.includes(":") ? "2001:db8:7::2" : dice.pick(gateways);
    const route = { metric: dice.below(3), type, link: "", gateway: parseIp(gateway) } as const;
    this.routes.set(prefix, { ...route, destination: parsePrefix(prefix) as Prefix });
    this.simulate();
    return `${type} ${prefix} by ${gateway}`;
  }

  private tell(peer: Peer): string {
    const { dice } = this;
    const inside = peer.asn === 65001;
    const six = inside && dice.below(4) === 0;
    const prefix = dice.pick(six ? bgpPrefixes6 : bgpPrefixes);
    if (dice.below(3) === 0) {
      if (six) peer.withdraw6(prefix);
      else peer.withdraw(prefix);
      return `${peer.address} withdraws ${prefix}`;
    }
    const nextHop = dice.pick(six ? nextHops6 : nextHops);
    const localPref = inside ? { localPref: 100 + dice.below(2) } : {};
    const route = { nextHop, path: inside ? "65009" : String(peer.asn), ...localPref };
    if (six) peer.announce6(prefix, route);
    else peer.announce(prefix, route);
    return `${peer.address} announces ${prefix} by ${nextHop}`;
  }

  /** Lets what is held back come up. @returns false when next hops go on changing for ever */
  settle(): boolean {
    for (let n = 0; n < 40; n++) {
      if (this.rig.core.kernel.nextMs() === Number.POSITIVE_INFINITY) return true;
      this.rig.advance(6_000);
    }
    return false;
  }

  /** All paths of both tables, with attributes after import. */
  paths(): Path[] {
    const { routing } = this.rig.core;
    return families.flatMap((family) =>
      this.peers.flatMap(({ address }) => {
        const listed = this.rig.routes({ table: "received", neighbor: address, prePolicy: true }, family);
        return listed.map((route) => ({ route, from: address, best: route.best, routing }));
      }),
    );
  }

  /** A naive reading: all routes, longest first, that contain the address. */
  way(address: string, best: readonly Route[], underWay: readonly string[]): Way | undefined {
    const bytes = parseIp(address)!;
    let kernel = this.kernelWay(bytes);
    const blocked = kernel && !kernel.usable && kernel.discards;
    if (kernel && !kernel.usable && !blocked) kernel = undefined;
    const floor = kernel?.length ?? -1;
    const candidates = best
      .map((route) => ({ route, prefix: parsePrefix(route.prefix) as Prefix }))
      .filter(({ prefix }) => prefixContains(prefix, bytes) && prefix.length > floor)
      .filter(({ prefix }) => prefix.length > 0 || this.viaDefault)
      .sort((a, b) => b.prefix.length - a.prefix.length);
    for (const { route } of candidates) {
      if ([...underWay, address].includes(route.nextHop)) continue;
      const on = this.way(route.nextHop, best, [...underWay, address]);
      if (on) {
        const through = [route.nextHop, ...on.through];
        return { ...on, onLink: false, through, prefixes: [route.prefix, ...on.prefixes] };
      }
    }
    return kernel?.usable
      ? { onLink: kernel.onLink, metric: kernel.metric, through: [], prefixes: [] }
      : undefined;
  }

  private kernelWay(bytes: Uint8Array) {
    const found: { length: number; metric: number; usable: boolean; onLink: boolean; discards: boolean }[] =
      [];
    for (const { name, address } of links) {
      if (this.down.has(name)) continue;
      const [text, digits] = address.split("/");
      const own = parseIp(text)!;
      const length = Number(digits);
      if (formatIp(own) === formatIp(bytes)) {
        found.push({ length: own.length * 8, metric: 0, usable: false, onLink: false, discards: false });
      }
      const network = { bytes: masked(own, length), length };
      if (prefixContains(network, bytes))
        found.push({ length, metric: 0, usable: true, onLink: true, discards: false });
    }
    for (const { destination, metric, type, gateway } of this.routes.values()) {
      if (!prefixContains(destination, bytes)) continue;
      const { length } = destination;
      if (type === "blackhole") {
        found.push({ length, metric, usable: false, onLink: false, discards: true });
        continue;
      }
      const via = links.find(({ address }) => {
        const [text, digits] = address.split("/");
        const network = { bytes: masked(parseIp(text)!, Number(digits)), length: Number(digits) };
        return prefixContains(network, gateway!);
      })!;
      if (this.down.has(via.name)) continue;
      const usable = length > 0 || this.viaDefault;
      found.push({ length, metric, usable, onLink: false, discards: false });
    }
    found.sort((a, b) => b.length - a.length || a.metric - b.metric);
    return found.at(0);
  }
}

interface Path {
  readonly route: Route;
  readonly from: string;
  readonly best: boolean;
}

interface Way {
  readonly onLink: boolean;
  readonly metric: number;
  readonly through: readonly string[];
  readonly prefixes: readonly string[];
}

function masked(bytes: Uint8Array, length: number): Uint8Array {
  return (parsePrefix(`${formatPrefix({ bytes: zeroed(bytes, length), length })}`) as Prefix).bytes;
}

function zeroed(bytes: Uint8Array, length: number): Uint8Array {
  return bytes.map((byte, i) => byte & ((0xff00 >> Math.min(8, Math.max(0, length - i * 8))) & 255));
}

function check(world: World): void {
  const paths = world.paths();
  const best = paths.filter((path) => path.best).map(({ route }) => route);
  const shown = world.rig.view.nextHops("", false, "", 1000)!.nextHops;
  const used = new Set(paths.map(({ route }) => route.nextHop));
  assert.deepEqual(shown.map(({ address }) => address).sort(), [...used].sort(), "next hops in use");
  const ways = new Map<string, Way | undefined>();
  for (const hop of shown) {
    const way = world.way(hop.address, best, []);
    ways.set(hop.address, way);
    assert.deepEqual(
      { reachable: hop.reachable, connected: hop.connected, metric: hop.metric, through: hop.through },
      {
        reachable: way !== undefined,
        connected: way?.onLink ?? false,
        metric: way?.metric ?? 0,
        through: way?.through ?? [],
      },
      `${hop.address}: ${hop.reason}`,
    );
  }
  const byPrefix = new Map<string, Path[]>();
  for (const path of paths) {
    const { route, from } = path;
    const way = ways.get(route.nextHop);
    const may =
      way !== undefined && (from !== "192.0.2.2" || way.onLink) && !way.prefixes.includes(route.prefix);
    assert.equal(route.rejectReason === "", may, `${route.prefix} from ${from}: ${route.rejectReason}`);
    if (may) byPrefix.set(route.prefix, [...(byPrefix.get(route.prefix) ?? []), path]);
    else assert.ok(!path.best);
  }
  for (const [prefix, eligible] of byPrefix) {
    const rank = ({ route, from }: Path): number[] => [
      -(route.localPref ?? 100),
      from.startsWith("192.") ? 0 : 1,
      ways.get(route.nextHop)!.metric,
      Number(from.split(".").reduce((sum, part) => sum * 256 + Number(part), 0)),
    ];
    eligible.sort((a, b) => compare(rank(a), rank(b)));
    assert.equal(eligible.find((path) => path.best)?.from, eligible[0].from, `best path of ${prefix}`);
  }
}

function compare(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((value, i) => value !== b[i]);
  return at < 0 ? 0 : a[at] - b[at];
}

test("what is known of next hops is what the tables say, after any changes", () => {
  let endless = 0;
  let steps = 0;
  for (let seed = 1; seed <= runs; seed++) {
    const world = new World(seed);
    const trail: string[] = [];
    for (let n = 0; n < stepsPerRun; n++) {
      trail.push(world.step());
      steps++;
      if (!world.settle()) {
        // Routes that take the ground from under each other: they go round, but slowly.
        endless++;
        const before = world.rig.view.nextHopCounts()!.changes;
        world.rig.advance(60_000);
        assert.ok(world.rig.view.nextHopCounts()!.changes - before <= 200, "it goes round too fast");
        continue;
      }
      try {
        check(world);
      } catch (cause) {
        throw new Error(`seed ${seed} after:\n${trail.join("\n")}`, { cause });
      }
    }
  }
  assert.ok(endless * 50 < steps, `${endless} of ${steps} states never come to rest`);
});
