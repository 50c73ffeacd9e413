import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type DescMessage, type Message, type MessageInitShape } from "@bufbuild/protobuf";
import { MemoryDataplane } from "../dataplane/memory-dataplane.ts";
import { EgressRoutePolicySpecSchema } from "../gen/cairn/v1/egress_service_pb.ts";
import { FirewallZoneSpecSchema } from "../gen/cairn/v1/firewall_kinds_pb.ts";
import { GlobalSpecSchema } from "../gen/cairn/v1/global_service_pb.ts";
import { SysctlSpecSchema } from "../gen/cairn/v1/host_kinds_pb.ts";
import {
  InterfaceSpecSchema,
  InterfaceType,
  IPv4StaticAddressSpecSchema,
} from "../gen/cairn/v1/link_kinds_pb.ts";
import { NAT44RuleSpecSchema, Nat44Type, PortProtocol } from "../gen/cairn/v1/nat_kinds_pb.ts";
import { NeighborSpecSchema } from "../gen/cairn/v1/neighbor_service_pb.ts";
import { DriftAction, ResourcePhaseSchema } from "../gen/cairn/v1/resource_types_pb.ts";
import { IPv4RouteSpecSchema, RouteType } from "../gen/cairn/v1/route_kinds_pb.ts";
import { Core, emptyState } from "./core.ts";
import type { Mutation, MutationOp, MutationOutcome } from "./mutation.ts";
import { PlanJob } from "./plan.ts";
import type { LedgerRow, StoredObject, StoredState } from "./rows.ts";

const wallMs = 1_700_000_000_000;

/** A core with a kernel in memory and a disk, which can be started again. */
class Rig {
  readonly dataplane: MemoryDataplane;
  core: Core;
  private readonly objects = new Map<string, StoredObject>();
  private readonly ledger = new Map<string, LedgerRow>();
  private generation = 0;
  private nowMs = 0;
  outcome: MutationOutcome | undefined;
  readonly events: string[] = [];
  /** What the kernel was asked for, `VERB CLASS KEY`, in batches. */
  readonly batches: string[][] = [];

  constructor(links: Readonly<Record<string, readonly string[]>> = { eth0: ["192.0.2.2/24"], eth1: [] }) {
    this.dataplane = new MemoryDataplane({
      facts: (all, facts) => this.input({ kind: "dataplane.facts", all, facts }),
      links: (changed, gone) => this.input({ kind: "kernel.links", changed, gone }),
      applied: (batch, outcomes) => this.input({ kind: "dataplane.applied", batch, outcomes }),
    });
    for (const [name, addresses] of Object.entries(links)) this.dataplane.plug(name, addresses);
    const sysctl = { class: "sysctl", key: "net.ipv4.ip_forward" };
    this.dataplane.kernel.set(sysctl, { facts: { value: "0" }, identity: "" });
    this.core = this.fresh();
    this.dataplane.start();
    this.settle();
  }

  private fresh(): Core {
    const stored: StoredState = {
      ...emptyState,
      generation: this.generation,
      objects: [...this.objects.values()],
      ledger: [...this.ledger.values()],
    };
    const core = Core.create(stored, () => 0.5, this.nowMs, wallMs + this.nowMs, "memory");
    assert.ok(core.ok);
    return core.value;
  }

  /** The API listens there. */
  listen(host: string, port: number): void {
    this.input({ kind: "host.listeners", api: [{ host, port }] });
    this.settle();
  }

  /** kill -9, and a start from the disk. */
  restart(): void {
    this.core = this.fresh();
    this.dataplane.start();
    this.settle();
  }

  private input(input: Parameters<Core["handle"]>[0]): void {
    this.core.handle(input, this.nowMs, wallMs + this.nowMs);
  }

  /** Turns until nothing is left to do. */
  settle(forMs = 100): void {
    const until = this.nowMs + forMs;
    while (this.nowMs < until) {
      this.nowMs++;
      this.core.turn(this.nowMs, wallMs + this.nowMs);
      const effects = this.core.effects.list.splice(0);
      for (const effect of effects) {
        if (effect.kind === "reply") this.outcome = effect.outcome as MutationOutcome;
        if (effect.kind === "dataplane.watch") this.dataplane.watch(effect.watch);
        if (effect.kind === "dataplane.apply") {
          this.batches.push(effect.operations.map(({ verb, class: name, key }) => `${verb} ${name} ${key}`));
          this.dataplane.apply(effect.batch, effect.operations);
        }
        if (effect.kind !== "store.persist") continue;
        for (const row of effect.rows) {
          if (row.table === "generation") {
            this.generation = row.generation;
            for (const put of row.puts) this.objects.set(`${put.kind}/${put.name}`, put);
            for (const { kind, name } of row.deletes) this.objects.delete(`${kind}/${name}`);
          } else if (row.table === "ledger") {
            for (const put of row.put) this.ledger.set(`${put.class} ${put.key}`, put);
            for (const { class: name, key } of row.drop) this.ledger.delete(`${name} ${key}`);
          } else if (row.table === "events") for (const { summary } of row.events) this.events.push(summary);
        }
        this.input({ kind: "store.committed", seq: effect.seq });
      }
    }
  }

  change(...ops: MutationOp[]): void {
    this.ask(ops, {});
  }

  ask(ops: readonly MutationOp[], more: Partial<Mutation>): void {
    const rest = { expectedGeneration: 0, dryRun: false, reason: "", requestId: "", principal: "test" };
    this.outcome = undefined;
    this.input({ kind: "mutate", call: 1, mutation: { ops, ...rest, source: "api", ...more } });
    this.settle();
  }

  accepted(...ops: MutationOp[]): void {
    this.change(...ops);
    assert.ok(this.outcome?.ok, JSON.stringify(this.outcome));
  }

  /** Sentences that a transaction is refused with. */
  refused(...ops: MutationOp[]): string[] {
    this.change(...ops);
    assert.ok(this.outcome && !this.outcome.ok);
    return this.outcome.problems.map(({ path, message }) => `${path}: ${message}`);
  }

  phase(kind: string, name: string): string {
    const status = this.core.resources.status(kind, name);
    return status ? `${ResourcePhaseSchema.value[status.phase].localName} ${status.reason}`.trim() : "none";
  }

  /** Another hand in the kernel. */
  meddle(className: string, key: string, facts: Record<string, string | number> | null): void {
    const name = { class: className, key };
    const identity = this.dataplane.kernel.get(name)?.identity ?? "";
    this.dataplane.kernel.set(name, facts && { facts, identity });
    this.dataplane.tell();
    this.settle();
  }

  holds(className: string, key: string): unknown {
    return this.dataplane.kernel.get({ class: className, key })?.facts;
  }
}

function put<D extends DescMessage>(kind: string, schema: D, init: MessageInitShape<D>): MutationOp {
  return { op: "put", kind, spec: create(schema, init) as Message };
}

const wan = put("Interface", InterfaceSpecSchema, { name: "wan", ifname: "eth0" });
const lan = put("Interface", InterfaceSpecSchema, { name: "lan", ifname: "eth1", mtu: 1400 });
const lanAddress = put("IPv4StaticAddress", IPv4StaticAddressSpecSchema, {
  name: "lan",
  interface: "lan",
  address: "10.0.0.1/24",
});
const defaultRoute = put("IPv4Route", IPv4RouteSpecSchema, {
  name: "default",
  destination: "0.0.0.0/0",
  hops: [{ gateway: "192.0.2.1", interface: "wan" }],
});

describe("resources", () => {
  it("are brought to the kernel in one transaction, and say how they stand", () => {
    const rig = new Rig();
    rig.accepted(wan, lan, lanAddress, defaultRoute);
    assert.equal(rig.phase("Interface", "lan"), "APPLIED");
    assert.equal(rig.phase("IPv4StaticAddress", "lan"), "APPLIED");
    assert.equal(rig.phase("IPv4Route", "default"), "APPLIED");
    assert.deepEqual(rig.holds("link-setting", "eth1 mtu"), { value: 1400 });
    assert.deepEqual(rig.holds("address", "eth1 10.0.0.1/24"), {});
    assert.deepEqual(rig.holds("route", "254 0.0.0.0/0 0"), {
      protocol: "cairn",
      type: "unicast",
      hops: [{ gateway: "192.0.2.1", device: "eth0", weight: 1 }],
    });
  });

  it("are planned: what would be done to the kernel, in order", () => {
    const rig = new Rig();
    rig.accepted(wan, defaultRoute);
    const plan = (...ops: MutationOp[]): string[] => {
      const rest = { expectedGeneration: 0, dryRun: true, reason: "", requestId: "", principal: "" };
      const prepared = rig.core.objects.prepare({ ops, ...rest, source: "api" }, 0);
      const options = {
        routes: false,
        maxResets: undefined,
        maxWithdrawn: undefined,
        skipPolicyTests: false,
      };
      const job = PlanJob.create(rig.core, prepared, options);
      assert.ok(job.ok);
      while (!job.value.step(100));
      return job.value
        .result()
        .hostOperations.map(({ action, class: name, key, owner }) => `${action} ${name} ${key} for ${owner}`);
    };
    const nextDoor = put("IPv4Route", IPv4RouteSpecSchema, {
      name: "default",
      destination: "0.0.0.0/0",
      hops: [{ gateway: "192.0.2.99", interface: "wan" }],
    });
    assert.deepEqual(plan(lan, lanAddress, nextDoor), [
      "update link-setting eth1 mtu for Interface/lan",
      "create address eth1 10.0.0.1/24 for IPv4StaticAddress/lan",
      "update route 254 0.0.0.0/0 0 for IPv4Route/default",
    ]);
    assert.deepEqual(plan({ op: "delete", kind: "IPv4Route", name: "default" }), [
      "delete route 254 0.0.0.0/0 0 for IPv4Route/default",
    ]);
    assert.deepEqual(plan(defaultRoute), []);
  });

  it("follow what an egress policy chooses, in one batch with it, and a restart does nothing", () => {
    const rig = new Rig({ eth0: ["192.0.2.2/24"], eth1: ["198.51.100.2/24"] });
    const policy = put("EgressRoutePolicy", EgressRoutePolicySpecSchema, {
      name: "net",
      candidates: [
        { name: "fiber", interface: "wan", gateway: "192.0.2.1", weight: 9, mark: 1 },
        { name: "lte", interface: "lan", gateway: "198.51.100.1", weight: 1, mark: 2 },
      ],
    });
    const follows = put("IPv4Route", IPv4RouteSpecSchema, {
      name: "default",
      destination: "0.0.0.0/0",
      hops: [{ egressPolicy: "net" }],
    });
    const nat = put("NAT44Rule", NAT44RuleSpecSchema, { name: "out", egressPolicy: "net" });
    const link = put("Interface", InterfaceSpecSchema, { name: "lan", ifname: "eth1" });
    rig.accepted(wan, link, policy, nat, follows);
    const hops = (): unknown => (rig.holds("route", "254 0.0.0.0/0 0") as { hops: unknown }).hops;
    for (const [kind, name] of [
      ["EgressRoutePolicy", "net"],
      ["NAT44Rule", "out"],
      ["IPv4Route", "default"],
    ] as const)
      assert.equal(rig.phase(kind, name), "APPLIED");
    assert.deepEqual(hops(), [{ gateway: "192.0.2.1", device: "eth0", weight: 1 }]);
    rig.batches.length = 0;
    assert.ok(rig.core.egress.pin("net", "lte"));
    rig.settle();
    assert.deepEqual(rig.batches, [
      ["update nft steer 500.01000 EgressRoutePolicy/net", "update route 254 0.0.0.0/0 0"],
    ]);
    assert.deepEqual(hops(), [{ gateway: "198.51.100.1", device: "eth1", weight: 1 }]);
    rig.restart();
    assert.deepEqual(rig.batches.length, 1, "a restart touches nothing");
    assert.equal(rig.core.egress.named("net")?.selection.pinned, "lte");
    rig.meddle("rule", "ip4 6701 fwmark 0x100000/0x7ff00000", null);
    assert.ok(
      rig.holds("rule", "ip4 6701 fwmark 0x100000/0x7ff00000"),
      "another hand's deletion is put right",
    );
    for (const [kind, name] of [
      ["NAT44Rule", "out"],
      ["IPv4Route", "default"],
      ["EgressRoutePolicy", "net"],
    ] as const)
      rig.accepted({ op: "delete", kind, name });
    for (const name of ["rule", "route", "nft"]) assert.deepEqual(rig.dataplane.kernel.dump(name), []);
  });

  it("do not cut the connection that they are changed over, unless that is taken back by itself", () => {
    const far = { local: "192.0.2.2", remote: "198.51.100.7", port: 50051 };
    const near = { local: "192.0.2.2", remote: "192.0.2.9", port: 50051 };
    const elsewhere = { local: "127.0.0.1", remote: "127.0.0.1", port: 50051 };
    const down = put("Interface", InterfaceSpecSchema, { name: "wan", ifname: "eth0", adminUp: false });
    const into = put("Interface", InterfaceSpecSchema, { name: "wan", ifname: "eth0", master: "br0" });
    const bridge = put("Interface", InterfaceSpecSchema, { name: "br0", type: InterfaceType.BRIDGE });
    const sink = put("IPv4Route", IPv4RouteSpecSchema, {
      name: "sink",
      destination: "198.51.100.0/24",
      type: RouteType.BLACKHOLE,
    });
    const gone: MutationOp = { op: "delete", kind: "IPv4Route", name: "default" };
    for (const [ops, client, message] of [
      [[down], near, "link eth0 would be set down"],
      [[sink], far, "a route to 198.51.100.0/24 would come"],
      [[gone], far, "the route to 0.0.0.0/0 would change"],
      [[down], elsewhere, ""],
      [[sink], near, ""],
    ] as const) {
      const rig = new Rig();
      rig.accepted(wan, bridge, defaultRoute);
      rig.ask(ops, { client });
      if (message === "") assert.ok(rig.outcome?.ok, JSON.stringify(rig.outcome));
      else {
        assert.ok(rig.outcome && !rig.outcome.ok);
        assert.equal(rig.outcome.problems[0].code, "LOCK_OUT");
        assert.ok(rig.outcome.problems[0].message.startsWith(message), rig.outcome.problems[0].message);
        const confirm = { withinMs: 60_000, conditions: [], holdMs: 0, graceMs: 0 };
        rig.ask(ops, { client, confirm });
        assert.ok(rig.outcome?.ok, "with a deadline it is allowed");
      }
    }
    const rig = new Rig();
    rig.accepted(wan, bridge);
    rig.ask([into], { client: near });
    assert.ok(rig.outcome && !rig.outcome.ok, "a bridge takes the link's addresses out of use");
  });

  it("do not shut the API, nor forward its port, unless that is taken back by itself", () => {
    const client = { local: "192.0.2.2", remote: "192.0.2.9", port: 50_051 };
    const zone = put("FirewallZone", FirewallZoneSpecSchema, { name: "out", interfaces: ["wan"] });
    const forward = put("NAT44Rule", NAT44RuleSpecSchema, {
      ...{ name: "all", type: Nat44Type.DNAT, ingressInterface: "wan", protocol: PortProtocol.TCP },
      ...{ ports: "1000-65535", targetAddress: "10.0.0.5" },
    });
    const problem = (rig: Rig): string =>
      rig.outcome?.ok === false ? `${rig.outcome.problems[0].code} ${rig.outcome.problems[0].message}` : "";
    const rig = new Rig();
    rig.accepted(wan);
    rig.ask([zone], { client });
    assert.match(problem(rig), /^LOCK_OUT FirewallZone\/out would drop what comes by eth0 to port 50051/);
    rig.listen("0.0.0.0", 50_051);
    rig.ask([zone], { client });
    assert.ok(rig.outcome?.ok, "the firewall opens itself where the API listens");
    rig.ask([forward], { client });
    assert.match(problem(rig), /^LOCK_OUT NAT44Rule\/all would send elsewhere/);
    const confirm = { withinMs: 1_000, conditions: [], holdMs: 0, graceMs: 0 };
    rig.ask([forward], { client, confirm });
    assert.ok(rig.outcome?.ok);
    assert.ok(rig.holds("nft", "prerouting 500.01000 NAT44Rule/all"));
    rig.settle(2_000);
    assert.equal(rig.holds("nft", "prerouting 500.01000 NAT44Rule/all"), undefined, "nobody confirmed it");
  });

  it("leave no trace when they are deleted", () => {
    const rig = new Rig();
    rig.accepted(wan, lan, lanAddress, defaultRoute);
    const del = (kind: string, name: string): MutationOp => ({ op: "delete", kind, name });
    rig.accepted(
      del("IPv4Route", "default"),
      del("IPv4StaticAddress", "lan"),
      del("Interface", "lan"),
      del("Interface", "wan"),
    );
    assert.deepEqual(rig.holds("link-setting", "eth1 mtu"), { value: 1500 });
    assert.equal(rig.holds("address", "eth1 10.0.0.1/24"), undefined);
    assert.equal(rig.holds("route", "254 0.0.0.0/0 0"), undefined);
    assert.deepEqual([...rig.core.resources.reconciler.rows()], []);
  });

  it("wait for a device, and follow it when it comes and goes", () => {
    const rig = new Rig({ eth0: [] });
    rig.accepted(wan, lan, lanAddress);
    assert.equal(rig.phase("Interface", "lan"), "PENDING DEVICE_MISSING");
    assert.equal(rig.phase("IPv4StaticAddress", "lan"), "PENDING DEVICE_MISSING");
    rig.dataplane.plug("eth1");
    rig.dataplane.tell();
    rig.settle();
    assert.equal(rig.phase("Interface", "lan"), "APPLIED");
    assert.deepEqual(rig.holds("address", "eth1 10.0.0.1/24"), {});
    rig.dataplane.kernel.set({ class: "link", key: "eth1" }, null);
    rig.dataplane.tell();
    rig.settle();
    assert.equal(rig.phase("IPv4StaticAddress", "lan"), "PENDING DEVICE_MISSING");
  });

  it("make links, put them into each other, and take them down again", () => {
    const rig = new Rig();
    const bridge = put("Interface", InterfaceSpecSchema, { name: "br0", type: InterfaceType.BRIDGE });
    const member = put("Interface", InterfaceSpecSchema, { name: "lan", ifname: "eth1", master: "br0" });
    rig.accepted(bridge, member);
    assert.equal(rig.phase("Interface", "br0"), "APPLIED");
    assert.equal(rig.phase("Interface", "lan"), "APPLIED");
    assert.deepEqual(rig.holds("link-setting", "eth1 master"), { value: "br0" });
    assert.deepEqual(rig.holds("link-setting", "br0 admin"), { value: "up" });
    rig.accepted(
      { op: "delete", kind: "Interface", name: "lan" },
      { op: "delete", kind: "Interface", name: "br0" },
    );
    assert.equal(rig.holds("link", "br0"), undefined);
    assert.deepEqual(rig.holds("link-setting", "eth1 master"), { value: "" });
  });

  it("put drift right within a turn, or report it, as the object says", () => {
    const rig = new Rig();
    const sysctl = (drift: DriftAction): MutationOp =>
      put("Sysctl", SysctlSpecSchema, { name: "fwd", key: "net.ipv4.ip_forward", value: "1", drift });
    rig.accepted(sysctl(DriftAction.REPAIR));
    rig.meddle("sysctl", "net.ipv4.ip_forward", { value: "0" });
    assert.deepEqual(rig.holds("sysctl", "net.ipv4.ip_forward"), { value: "1" });
    rig.accepted(sysctl(DriftAction.REPORT));
    rig.meddle("sysctl", "net.ipv4.ip_forward", { value: "0" });
    assert.deepEqual(rig.holds("sysctl", "net.ipv4.ip_forward"), { value: "0" });
    assert.equal(rig.phase("Sysctl", "fwd"), "DEGRADED DRIFTED");
    assert.ok(rig.events.some((text) => text.includes("was altered by somebody else; it is put right")));
  });

  it("stand as before after kill -9, without a call to the kernel", () => {
    const rig = new Rig();
    rig.accepted(wan, lan, lanAddress, defaultRoute);
    const { operations } = rig.dataplane.kernel;
    rig.restart();
    assert.equal(rig.phase("IPv4Route", "default"), "APPLIED");
    assert.equal(rig.dataplane.kernel.operations, operations);
  });

  it("look at objects of other kinds: the firewall opens itself for a neighbor, by one set", () => {
    const rig = new Rig();
    const zone = put("FirewallZone", FirewallZoneSpecSchema, { name: "out", interfaces: ["wan"] });
    const global = put("Global", GlobalSpecSchema, {
      asn: 65001,
      routerId: "192.0.2.2",
      listen: ["0.0.0.0:179"],
    });
    const neighbor = (address: string): MutationOp =>
      put("Neighbor", NeighborSpecSchema, { address, remoteAsn: 65002, passive: true });
    rig.accepted(wan, zone, global, neighbor("192.0.2.9"));
    assert.equal(rig.phase("FirewallZone", "out"), "APPLIED");
    const set = (): unknown => rig.holds("nft", "set neighbors.v4");
    assert.deepEqual(set(), { type: "ipv4_addr", elements: ["192.0.2.9"] });
    const { operations } = rig.dataplane.kernel;
    rig.accepted(neighbor("192.0.2.10"));
    assert.deepEqual(set(), { type: "ipv4_addr", elements: ["192.0.2.10", "192.0.2.9"] });
    assert.equal(rig.dataplane.kernel.operations, operations + 1);
    rig.restart();
    assert.equal(rig.phase("FirewallZone", "out"), "APPLIED");
    assert.equal(rig.dataplane.kernel.operations, operations + 1);
    rig.meddle("nft", "input 990.00000 FirewallZone/out", null);
    assert.deepEqual(rig.holds("nft", "input 990.00000 FirewallZone/out"), { rules: ["counter drop"] });
    rig.accepted({ op: "delete", kind: "FirewallZone", name: "out" });
    assert.deepEqual(rig.dataplane.kernel.dump("nft"), []);
  });

  it("leave no rule of a ledger that was lost", () => {
    const rig = new Rig();
    rig.meddle("nft", "input 500.01000 FirewallRule/gone", { rules: "x" });
    assert.equal(rig.holds("nft", "input 500.01000 FirewallRule/gone"), undefined);
    assert.deepEqual([...rig.core.resources.reconciler.rows()], []);
    assert.ok(!rig.core.hasWork());
  });

  it("do not touch what is not cairn's", () => {
    const rig = new Rig();
    const foreign = { facts: { protocol: "static", type: "unicast", hops: [] }, identity: "static" };
    rig.dataplane.kernel.set({ class: "route", key: "254 0.0.0.0/0 0" }, foreign);
    rig.dataplane.tell();
    rig.accepted(wan, defaultRoute);
    assert.equal(rig.phase("IPv4Route", "default"), "DEGRADED CONFLICT");
    assert.deepEqual(rig.holds("route", "254 0.0.0.0/0 0"), foreign.facts);
  });

  it("are refused with the field and the fix", () => {
    const rig = new Rig();
    const problems = rig.refused(
      put("Interface", InterfaceSpecSchema, { name: "v10", type: InterfaceType.VLAN, peer: "x" }),
      put("IPv4StaticAddress", IPv4StaticAddressSpecSchema, {
        name: "a",
        interface: "v10",
        address: "10.0.0.1",
      }),
      put("IPv4Route", IPv4RouteSpecSchema, {
        name: "r",
        destination: "10.0.0.0/8",
        type: RouteType.BLACKHOLE,
        hops: [{ gateway: "192.0.2.1" }],
      }),
      put("Sysctl", SysctlSpecSchema, { name: "s", key: "net/ipv4/ip_forward", value: "1" }),
    );
    assert.deepEqual(problems.sort(), [
      "IPv4Route/r.hops: a route of type blackhole leads nowhere",
      'IPv4StaticAddress/a.address: "10.0.0.1" has no length',
      "Interface/v10.parent: an interface of type vlan needs parent",
      "Interface/v10.peer: peer is not for an interface of type vlan",
      "Interface/v10.vlan_id: an interface of type vlan needs vlan_id",
      'Sysctl/s.key: "net/ipv4/ip_forward" is not the name of a sysctl',
    ]);
  });
});
