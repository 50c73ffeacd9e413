/**
 * After any changes of routes, links, objects and kernel, with refusals, another hand in the table and kill -9 at any
 * moment: the kernel holds what the Loc-RIB and the next hops' ways say, no more and no less, and what others put there
 * is as they left it. What is wanted is read from the API and put together naively. A neighbor with suppress_fib_pending ends
 * with what the kernel holds.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { formatIp, parsePrefix } from "../../src/base/ip.ts";
import { FakeFib } from "../../src/dataplane/fib/fake-fib.ts";
import { discardWay, type FibScope, type FibWay, wayOf } from "../../src/dataplane/fib/messages.ts";
import type { LedgerRow } from "../../src/dataplane/ledger.ts";
import { FibTableSpecSchema } from "../../src/gen/cairn/v1/fib_kinds_pb.ts";
import { BlackholeScope } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import { PolicyAction, StatementSchema } from "../../src/gen/cairn/v1/policy_service_pb.ts";
import { FibState } from "../../src/gen/cairn/v1/rib_service_pb.ts";
import type { Effect } from "../../src/state/effects.ts";
import { ipv4Unicast, ipv6Unicast } from "../../src/wire/family.ts";
import { CoreRig, type Peer } from "../rfc/core-rig.ts";
import { Dice } from "../sim/dice.ts";

const runs = Number(process.env.CAIRN_FIB_RUNS ?? 15);
const stepsPerRun = 60;

type Spec = MessageInitShape<typeof FibTableSpecSchema>;
type FibEffect = Extract<Effect, { kind: `fib.${string}` }>;

const links = [
  { name: "eth0", address: "192.0.2.1/24" },
  { name: "eth1", address: "10.0.0.1/24" },
  { name: "eth2", address: "172.16.0.1/24" },
  { name: "eth3", address: "2001:db8:7::1/64" },
];
const prefixes = [
  ...["203.0.113.0/24", "203.0.113.8/29", "198.18.0.0/16", "198.18.1.0/24", "100.64.1.0/24", "0.0.0.0/0"],
  ...["198.51.100.0/24", "198.51.101.0/24", "198.51.102.0/24", "198.51.103.0/24"],
];
const nextHops = ["192.0.2.7", "10.0.0.7", "172.16.0.7", "203.0.113.9", "198.18.1.1", "192.0.2.9"];
const prefixes6 = ["2001:db8:a::/48", "2001:db8:b::/48", "2001:db8:a:1::/64"];
const nextHops6 = ["2001:db8:7::9", "2001:db8:7::8", "2001:db8:a::1"];
const specs: readonly Spec[] = [
  {},
  { metric: 30 },
  { table: 100 },
  { ecmp: false },
  { families: ["ipv6-unicast"] },
  { maxRoutes: 3 },
  { policy: "picky" },
  { neighbors: ["192.0.2.2", "10.0.0.5"] },
  { discards: false },
];
const scopes: readonly FibScope[] = [
  { table: 254, metric: 20 },
  { table: 254, metric: 30 },
  { table: 100, metric: 20 },
];

class World {
  readonly dice: Dice;
  readonly kernel = new FakeFib();
  readonly ledger = new Map<string, LedgerRow>();
  rig: CoreRig;
  peers: Peer[] = [];
  /** It tells nothing, and hears of what the kernel holds. */
  listener: Peer;
  /** What each neighbor tells: prefix to next hop. */
  readonly told = new Map<string, Map<string, string>>();
  readonly down = new Set<string>();
  /** Routes of others, by scope and prefix. */
  readonly foreign = new Map<string, { scope: FibScope; prefix: string }>();
  pending: FibEffect[] = [];
  spec: Spec | undefined = {};

  constructor(seed: number) {
    this.dice = new Dice(seed);
    const multipath = [ipv4Unicast, ipv6Unicast].map(({ name }) => ({ family: name, ebgp: 4, ibgp: 4 }));
    this.rig = new CoreRig({ multipath }, undefined, "memory");
    this.listen();
    const statements = [
      { match: { nextHops: ["10.0.0.7/32"] }, action: PolicyAction.REJECT },
      { action: PolicyAction.ACCEPT },
    ];
    this.rig.policy({ name: "picky", statements: statements.map((each) => create(StatementSchema, each)) });
    this.declare(this.spec);
    this.simulate();
    const blackhole = BlackholeScope.NO_ADVERTISE;
    const families = ["ipv4-unicast", "ipv6-unicast"];
    for (const address of ["192.0.2.2", "192.0.2.3"]) {
      this.peers.push(this.rig.peer(address, { remoteAsn: 65002, multihopTtl: 5, families, blackhole }));
    }
    for (const address of ["10.0.0.5", "10.0.0.6"]) {
      this.peers.push(this.rig.peer(address, { remoteAsn: 65001, families }));
    }
    for (const { address } of this.peers) this.told.set(address, new Map());
    const listening = { remoteAsn: 65009, multihopTtl: 5, families, suppressFibPending: true };
    this.listener = this.rig.peer("172.16.0.5", listening);
  }

  private listen(): void {
    this.rig.watch = (effect) => {
      if (effect.kind === "fib.dump" || effect.kind === "fib.write") this.pending.push(effect);
      if (effect.kind !== "store.persist") return;
      for (const row of effect.rows) {
        if (row.table !== "ledger") continue;
        for (const put of row.put) this.ledger.set(`${put.class} ${put.key}`, put);
        for (const drop of row.drop) this.ledger.delete(`${drop.class} ${drop.key}`);
      }
    };
  }

  simulate(): void {
    this.rig.simulate({
      links: links.map(({ name, address }) => ({
        name,
        up: !this.down.has(name),
        addresses: [prefixOf(address)],
      })),
      routes: [],
    });
  }

  declare(spec: Spec | undefined): void {
    this.spec = spec;
    const put = {
      op: "put",
      kind: "FibTable",
      spec: create(FibTableSpecSchema, { name: "f", ...spec }),
    } as const;
    if (spec) this.rig.mutate(put);
    else this.rig.mutate({ op: "delete", kind: "FibTable", name: "f" });
  }

  /** The writer does what it was asked first. */
  deliver(): boolean {
    const effect = this.pending.shift();
    if (!effect) return false;
    if (effect.kind === "fib.write") {
      this.rig.input({ kind: "fib.written", outcome: this.kernel.write(effect.batch) });
    } else if (effect.kind === "fib.dump") {
      this.rig.input({ kind: "fib.dumped", dump: this.kernel.dump(effect, effect.size) });
    }
    return true;
  }

  step(): void {
    const { dice } = this;
    const peer = dice.pick(this.peers);
    const told = this.told.get(peer.address)!;
    switch (dice.below(14)) {
      case 0:
      case 1:
      case 2:
      case 3: {
        const prefix = dice.pick(prefixes);
        told.set(prefix, dice.pick(peer.asn === 65001 ? nextHops : [...nextHops, "discard"]));
        this.tell(peer, prefix);
        break;
      }
      case 4: {
        const prefix = dice.pick(prefixes6);
        told.set(prefix, dice.pick(nextHops6));
        this.tell(peer, prefix);
        break;
      }
      case 5:
      case 6: {
        const prefix = dice.pick([...told.keys(), prefixes[0]]);
        told.delete(prefix);
        if (prefix.includes(":")) peer.withdraw6(prefix);
        else peer.withdraw(prefix);
        break;
      }
      case 7: {
        const { name } = dice.pick(links);
        if (!this.down.delete(name)) this.down.add(name);
        this.simulate();
        break;
      }
      case 8:
        this.kernel.refuse = dice.chance(0.5) ? (prefix) => (prefix.length % 2 === 0 ? 101 : 0) : () => 0;
        break;
      case 9:
        this.anotherHand();
        break;
      case 10:
        this.foreigner();
        break;
      case 11:
        if (dice.chance(0.6)) this.crash();
        break;
      case 12:
        if (dice.chance(0.5)) this.declare(this.spec ? dice.pick([...specs, undefined]) : {});
        break;
      default:
        this.rig.advance(dice.below(3000));
    }
    for (let i = dice.below(4); i > 0 && this.deliver(); i--);
  }

  private tell(peer: Peer, prefix: string): void {
    const hop = this.told.get(peer.address)!.get(prefix)!;
    const path = peer.asn === 65001 ? "" : "65002";
    if (prefix.includes(":")) peer.announce6(prefix, { path, nextHop: hop });
    else if (hop === "discard")
      peer.announce(prefix, { path, nextHop: nextHops[0], communities: "65535:666" });
    else peer.announce(prefix, { path, nextHop: hop });
  }

  /** Somebody removes, alters or adds a route with our mark. */
  private anotherHand(): void {
    const scope = scopes.find((each) => this.isScope(each));
    if (!scope) return;
    const ours = [...this.kernel.ours(scope).keys()];
    if (ours.length > 0 && this.dice.chance(0.7)) {
      const way = this.dice.chance(0.5) ? undefined : wayOf([{ link: 9, gateway: undefined, weight: 1 }]);
      this.kernel.set(scope, this.dice.pick(ours), way, true);
    } else if (!this.foreign.has(keyOf(scope, strayPrefix)))
      this.kernel.set(scope, strayPrefix, discardWay, true);
    this.rig.input({ kind: "fib.moved", moved: { table: scope.table, ours: true } });
  }

  /** Somebody else's route comes, in the place of ours where there is one, or goes. */
  private foreigner(): void {
    const scope = this.dice.pick(scopes);
    const prefix = dotted(this.dice.pick(prefixes));
    const key = keyOf(scope, prefix);
    const isThere = this.foreign.has(key);
    this.kernel.set(scope, prefix, isThere ? undefined : foreignWay, false);
    if (isThere) this.foreign.delete(key);
    else this.foreign.set(key, { scope, prefix });
    this.rig.input({ kind: "fib.moved", moved: { table: scope.table, ours: !isThere } });
  }

  /** kill -9; what is under way reached the kernel or did not. Neighbors come back with what they told. */
  private crash(): void {
    if (this.dice.chance(0.5)) {
      for (const effect of this.pending) if (effect.kind === "fib.write") this.kernel.write(effect.batch);
    }
    this.pending = [];
    const before = this.rig;
    this.rig = new CoreRig({}, { ...before.stored(), ledger: [...this.ledger.values()] }, "memory");
    this.listen();
    this.rig.nowMs = before.nowMs;
    for (const [name, { key }] of this.rig.core.fib.all()) {
      const row = {
        class: "fib",
        key,
        owner: `FibTable/${name}`,
        phase: "intended",
        facts: {},
        identity: "",
      } as const;
      this.ledger.set(`fib ${key}`, row);
    }
    this.simulate();
    this.peers = this.peers.map((peer) => this.rig.played(peer));
    for (const peer of this.peers) {
      peer.connect();
      for (const prefix of this.told.get(peer.address)!.keys()) this.tell(peer, prefix);
      peer.endOfRib();
    }
    this.listener = this.rig.played(this.listener);
    this.listener.connect();
  }

  settle(): void {
    this.kernel.refuse = () => 0;
    for (let i = 0; i < 30; i++) {
      this.deliverAll();
      this.rig.advance(3000);
    }
    this.deliverAll();
  }

  private deliverAll(): void {
    for (let left = 1000; this.deliver(); left--) assert.ok(left > 0, "the writer does not come to rest");
  }

  /** The kernel is as it should be, and the API says the same. */
  check(): void {
    for (const scope of scopes) {
      const others = [...this.foreign.values()].filter((each) => each.scope === scope);
      assert.deepEqual(
        [...this.kernel.foreign(scope).keys()].sort(),
        others.map(({ prefix }) => prefix).sort(),
        `routes of others in table ${scope.table}`,
      );
      const held = [...this.kernel.ours(scope)].map(([prefix, way]) => `${prefix} ${shares(way)}`);
      const wanted = this.isScope(scope) ? this.wanted() : [];
      const free = wanted.filter((each) => !this.foreign.has(keyOf(scope, each.split(" ")[0])));
      const max = this.isScope(scope) ? (this.spec!.maxRoutes ?? 0) : 0;
      if (max > 0) {
        assert.ok(
          held.every((each) => free.includes(each)),
          `more than wanted: ${held.join(", ")}`,
        );
        // Routes that stand in the way of others count against the bound, too.
        assert.ok(
          held.length <= max && held.length >= Math.min(max, wanted.length) - others.length,
          "the bound",
        );
      } else assert.deepEqual(held.sort(), free.sort(), `table ${scope.table} metric ${scope.metric}`);
    }
    const faulty = this.rig.view.fibRoutes({ name: "", prefix: "", faulty: true }, "", 1000).routes;
    const states = new Set(faulty.map(({ state }) => state));
    for (const allowed of [FibState.CONFLICT, FibState.OVER_LIMIT, FibState.WAITING]) states.delete(allowed);
    assert.deepEqual([...states], [], "states that remain");
    this.checkListener();
    if (!this.spec) assert.equal(this.ledger.size, 0, "the ledger forgets a table that is gone");
    // What the core keeps is no more than what there is.
    for (const [, fib] of this.rig.core.fib.all()) {
      const installed = fib.families.reduce((sum, { counts }) => sum + counts.installed, 0);
      assert.equal(installed, this.kernel.ours(fib.scope).size, "counted as installed");
    }
  }

  private checkListener(): void {
    assert.ok(this.listener.up, "the session of the listener");
    const scope = scopes.find((each) => this.isScope(each));
    const held = scope ? this.kernel.ours(scope) : new Map<string, FibWay>();
    const best = [ipv4Unicast, ipv6Unicast].flatMap((family) =>
      this.rig.routes({ table: "best", paths: "best" }, family),
    );
    // Routes to be discarded have NO_ADVERTISE.
    const goes = best
      .filter(({ prefix, neighbor }) => this.told.get(neighbor)!.get(prefix) !== "discard")
      .map(({ prefix }) => prefix)
      .filter((prefix) => held.has(dotted(prefix)));
    assert.deepEqual([...this.listener.routes.keys()].sort(), goes.sort(), "announced");
  }

  private isScope({ table, metric }: FibScope): boolean {
    return !!this.spec && table === (this.spec.table ?? 254) && metric === (this.spec.metric ?? 20);
  }

  /** What the Loc-RIB asks for: prefix and shares of the traffic. */
  private wanted(): string[] {
    const { spec, rig } = this;
    const found: string[] = [];
    for (const family of [ipv4Unicast, ipv6Unicast]) {
      if (spec!.families && !spec!.families.includes(family.name)) continue;
      for (const route of rig.routes({ table: "best", paths: "best" }, family)) {
        const { prefix, neighbor, nextHop, nextHops: set } = route;
        if (spec!.neighbors && !spec!.neighbors.includes(neighbor)) continue;
        if (spec!.policy && nextHop === "10.0.0.7") continue;
        const told = this.told.get(neighbor)!.get(prefix);
        if (told === "discard" && spec!.discards === false) continue;
        const hops = set.length > 0 && spec!.ecmp !== false ? set : [{ nextHop, weight: 1 }];
        const parts = new Map<string, number>();
        const sum = hops.reduce((total, { weight }) => total + weight, 0);
        for (const { nextHop: address, weight } of hops) {
          const [hop] = rig.view.nextHops(address, false, "", 1)!.nextHops;
          for (const { interface: name, gateway } of hop.exits) {
            const via = gateway || hop.through.at(-1) || address;
            const key = `${via}@${rig.core.kernel.links.named(name)!.index}`;
            parts.set(key, (parts.get(key) ?? 0) + weight / sum / hop.exits.length);
          }
        }
        found.push(`${dotted(prefix)} ${told === "discard" ? "drops" : text(parts)}`);
      }
    }
    return found;
  }
}

const foreignWay: FibWay = wayOf([{ link: 77, gateway: undefined, weight: 1 }]);
const strayPrefix = "9.9.9.0/24";

function keyOf({ table, metric }: FibScope, prefix: string): string {
  return `${table} ${metric} ${prefix}`;
}

function prefixOf(text: string): { bytes: Uint8Array; length: number } {
  const [address, length] = text.split("/");
  const parsed = parsePrefix(`${address}/${address.includes(":") ? 128 : 32}`);
  assert.ok(typeof parsed !== "string", text);
  return { bytes: parsed.bytes, length: Number(length) };
}

/** As the fake kernel has it: all bytes with dots. */
function dotted(text: string): string {
  const { bytes, length } = prefixOf(text);
  return `${bytes.join(".")}/${length}`;
}

function shares({ type, hops }: FibWay): string {
  if (type === discardWay.type) return "drops";
  const sum = hops.reduce((total, { weight }) => total + weight, 0);
  return text(
    new Map(
      hops.map(({ gateway, link, weight }) => [`${gateway ? formatIp(gateway) : ""}@${link}`, weight / sum]),
    ),
  );
}

function text(parts: ReadonlyMap<string, number>): string {
  return [...parts]
    .map(([key, share]) => `${key}:${share.toFixed(3)}`)
    .sort()
    .join(" ");
}

suite("BGP routes in the kernel", () => {
  test(`whatever happens, the kernel ends as it should (${runs} runs)`, () => {
    const first = Number(process.env.CAIRN_FIB_SEED ?? 1);
    for (let seed = first; seed < first + runs; seed++) {
      const world = new World(seed);
      try {
        for (let step = 0; step < stepsPerRun; step++) world.step();
        world.settle();
        world.check();
      } catch (error) {
        throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : String(error)}`);
      }
    }
  });
});
