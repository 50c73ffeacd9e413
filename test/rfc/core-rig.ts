/**
 * A bench for routing rules: a whole `Core` in virtual time, with neighbors that the test plays with raw bytes. What
 * cairn sends is read by a small parser of its own (wire-text.ts), so that a mistake of `src/wire` cannot hide itself.
 * Nothing sleeps.
 */

import assert from "node:assert/strict";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { parsePrefix } from "../../src/base/ip.ts";
import { seededRandom } from "../../src/base/random.ts";
import { KernelSimulator, type SimulatedKernel } from "../../src/dataplane/simulated-kernel.ts";
import { GlobalSpecSchema } from "../../src/gen/cairn/v1/global_service_pb.ts";
import { InjectedPathSchema } from "../../src/gen/cairn/v1/injection_service_pb.ts";
import { NeighborSpecSchema } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import { PolicySpecSchema } from "../../src/gen/cairn/v1/policy_service_pb.ts";
import type { Route } from "../../src/gen/cairn/v1/types_pb.ts";
import { Core, emptyState } from "../../src/state/core.ts";
import { CoreView } from "../../src/state/core-view.ts";
import type { Effect } from "../../src/state/effects.ts";
import type { HostAddress } from "../../src/state/inputs.ts";
import type { MutationOp } from "../../src/state/mutation.ts";
import type { Operation } from "../../src/state/operation.ts";
import { RouteBatch } from "../../src/state/route-batch.ts";
import type { StoredObject, StoredRestart, StoredState, StoreRow } from "../../src/state/rows.ts";
import type { Capability } from "../../src/wire/capabilities.ts";
import type { Family } from "../../src/wire/family.ts";
import { keepaliveBytes } from "../../src/wire/keepalive.ts";
import { encodeNotification } from "../../src/wire/notification.ts";
import { encodeOpen } from "../../src/wire/open.ts";
import { update } from "../support/wire.ts";
import { type Announced, attributesHex, nlriHex, type RouteText, readUpdate, rulesHex } from "./wire-text.ts";

/** The router under test: AS 65001, 192.0.2.1/24 and 2001:db8::1/64 on one link, 10.0.0.1/24 inside. */
const hostAddresses: readonly HostAddress[] = [
  { address: "192.0.2.1", length: 24, interface: "eth0" },
  { address: "2001:db8::1", length: 64, interface: "eth0" },
  { address: "10.0.0.1", length: 24, interface: "eth1" },
  { address: "2001:db8:1::1", length: 64, interface: "eth1" },
];

type NeighborInit = MessageInitShape<typeof NeighborSpecSchema>;

/** How the test's side of a session behaves. */
export interface PeerOptions {
  readonly routerId?: number;
  /** It does not know four-octet AS numbers. */
  readonly twoOctet?: boolean;
  readonly extendedMessages?: boolean;
  /** IPv4 routes have path identifiers both ways: prefixes are `ID PREFIX` here. */
  readonly addPath?: boolean;
  readonly routeRefresh?: boolean;
  /** AFIs it offers; default those of its neighbor object. */
  readonly afis?: readonly (1 | 2)[];
  /** AFIs for which it offers rules (RFC 8955); default those of its neighbor object. */
  readonly ruleAfis?: readonly (1 | 2)[];
  /** What it offers besides. */
  readonly capabilities?: readonly Capability[];
  /** What it says in the same breath as its OPEN and KEEPALIVE. */
  readonly early?: readonly Uint8Array[];
}

export class CoreRig {
  readonly core: Core;
  readonly view: CoreView;
  nowMs = 1000;
  /** Sees every effect; what it answers counts from the next turn on. */
  watch: ((effect: Effect) => void) | undefined;
  private readonly byConn = new Map<number, Peer>();
  private readonly ghosts = new Map<number, (bytes: Uint8Array) => void>();
  private readonly disk: {
    generation: number;
    readonly objects: Map<string, StoredObject>;
    restart: StoredRestart | undefined;
  };
  private nextConn = -1;
  private calls = 0;
  private readonly outcomes = new Map<number, unknown>();

  /** Links and routes of the host, where next hops are tracked. */
  private readonly kernel: KernelSimulator | undefined;

  /**
   * @param stored what an earlier run left; Global is declared anew unless there is some
   * @param dataplane `memory` tracks next hops, by what `simulate` is given
   */
  constructor(
    global: MessageInitShape<typeof GlobalSpecSchema> = {},
    stored: StoredState = emptyState,
    dataplane: "none" | "memory" = "none",
  ) {
    const core = Core.create(stored, seededRandom(1), this.nowMs, this.wallMs, dataplane);
    assert(core.ok);
    const { generation, objects, restart } = stored;
    const named = objects.map((each): [string, StoredObject] => [`${each.kind}/${each.name}`, each]);
    this.disk = { generation, objects: new Map(named), restart };
    this.core = core.value;
    this.view = new CoreView(this.core);
    if (dataplane === "memory") {
      this.kernel = new KernelSimulator({
        links: (changed, gone) => this.post({ kind: "kernel.links", changed, gone }),
        routes: (answers) => this.post({ kind: "kernel.routes", answers }),
      });
    }
    this.core.handle({ kind: "host.addresses", addresses: hostAddresses }, this.nowMs, this.wallMs);
    if (stored === emptyState) this.global(global);
    else this.run();
  }

  private post(input: Parameters<Core["handle"]>[0]): void {
    this.core.handle(input, this.nowMs, this.wallMs);
  }

  /** Gives the host these links and routes. */
  simulate(kernel: SimulatedKernel): void {
    assert.ok(this.kernel, "the rig was made without a kernel");
    this.kernel.replace(kernel);
    this.run();
  }

  /** What a process that starts now finds on disk. */
  stored(): StoredState {
    const { generation, objects, restart } = this.disk;
    return { ...emptyState, generation, objects: [...objects.values()], ...(restart ? { restart } : {}) };
  }

  private write(row: StoreRow): void {
    if (row.table === "restart") this.disk.restart = row.restart ?? undefined;
    if (row.table !== "generation") return;
    this.disk.generation = row.generation;
    for (const put of row.puts) this.disk.objects.set(`${put.kind}/${put.name}`, put);
    for (const { kind, name } of row.deletes) this.disk.objects.delete(`${kind}/${name}`);
  }

  get wallMs(): number {
    return 1_700_000_000_000 + this.nowMs;
  }

  /** Leaves the host only some of its addresses. */
  hostAddresses(kept: readonly string[]): void {
    const addresses = hostAddresses.filter(({ address }) => kept.includes(address));
    this.input({ kind: "host.addresses", addresses });
  }

  /** Declares Global: AS 65001, identifier 10.0.0.1, and what is given. */
  global(init: MessageInitShape<typeof GlobalSpecSchema>): void {
    const spec = create(GlobalSpecSchema, { asn: 65001, routerId: "10.0.0.1", ...init });
    this.mutate({ op: "put", kind: "Global", spec });
  }

  /** Declares a neighbor (both policies accept-all unless given) without a session. */
  neighbor(init: NeighborInit): void {
    const spec = create(NeighborSpecSchema, {
      passive: true,
      import: ["accept-all"],
      export: ["accept-all"],
      ...init,
    });
    this.mutate({ op: "put", kind: "Neighbor", spec });
  }

  policy(init: MessageInitShape<typeof PolicySpecSchema>): void {
    this.mutate({ op: "put", kind: "Policy", spec: create(PolicySpecSchema, init) });
  }

  inject(init: MessageInitShape<typeof InjectedPathSchema>): void {
    this.mutate({ op: "inject", path: create(InjectedPathSchema, init) });
  }

  /** Declares a neighbor and brings its session up. */
  peer(address: string, init: NeighborInit = {}, options: PeerOptions = {}): Peer {
    const asn = init.remoteAsn ?? 65002;
    this.neighbor({ address, remoteAsn: asn, ...init });
    const ofKind = (kind: string) => init.families?.filter((family) => family.endsWith(kind));
    const ruleAfis = ofKind("-flowspec")?.map((family) => (family === "ipv4-flowspec" ? 1 : 2)) ?? [];
    const afis = afisOf(address, ofKind("-unicast"));
    const peer = new Peer(this, address, asn, { afis, ruleAfis, ...options });
    peer.connect();
    return peer;
  }

  /** One transaction; the store answers at once. */
  mutate(...ops: MutationOp[]): void {
    const mutation = {
      ops,
      expectedGeneration: 0,
      dryRun: false,
      reason: "",
      requestId: "",
      principal: "test",
      source: "api",
    };
    const outcome = this.call((call) => ({ kind: "mutate", call, mutation })) as { ok: boolean };
    assert.ok(outcome.ok, JSON.stringify(outcome));
  }

  operate(operation: Operation): void {
    const outcome = this.call((call) => ({ kind: "operate", call, operation })) as { ok: boolean };
    assert.ok(outcome.ok, JSON.stringify(outcome));
  }

  private call(input: (call: number) => Parameters<Core["handle"]>[0]): unknown {
    const call = ++this.calls;
    this.core.handle(input(call), this.nowMs, this.wallMs);
    this.run();
    assert.ok(this.outcomes.has(call), "the call was not answered");
    return this.outcomes.get(call);
  }

  input(input: Parameters<Core["handle"]>[0]): void {
    this.core.handle(input, this.nowMs, this.wallMs);
    this.run();
  }

  /** Turns until there is nothing to do at this instant. */
  run(): void {
    for (let turns = 0; turns < 10_000; turns++) {
      this.core.turn(this.nowMs, this.wallMs);
      this.carryOut();
      if (!this.core.hasWork() && this.core.effects.list.length === 0) return;
    }
    assert.fail("the core does not come to rest");
  }

  /** One turn with little to spend: what comes next meets work half done. @returns false when all is done */
  turn(budget: number): boolean {
    this.core.turn(this.nowMs, this.wallMs, budget);
    this.carryOut();
    return this.core.hasWork();
  }

  /** Lets time pass; neighbors keep their sessions alive. */
  advance(ms: number): void {
    const until = this.nowMs + ms;
    for (;;) {
      const next = Math.min(this.core.nextWakeMs(), this.nowMs + 20_000);
      if (next > until) break;
      this.nowMs = Math.max(this.nowMs, next);
      for (const peer of this.byConn.values()) if (!peer.mute) peer.send(keepaliveBytes);
      this.run();
    }
    this.nowMs = until;
    this.run();
  }

  private carryOut(): void {
    for (const effect of this.core.effects.list.splice(0)) {
      this.watch?.(effect);
      if (effect.kind === "tcp.send") {
        this.byConn.get(effect.conn)?.take(effect.bytes);
        this.ghosts.get(effect.conn)?.(effect.bytes);
      } else if (effect.kind === "tcp.close") this.byConn.get(effect.conn)?.closed();
      else if (effect.kind === "kernel.watch") this.kernel?.watch(effect.watch, effect.unwatch);
      else if (effect.kind === "reply") this.outcomes.set(effect.call, effect.outcome);
      else if (effect.kind === "store.persist") {
        for (const row of effect.rows) this.write(row);
        this.core.handle({ kind: "store.committed", seq: effect.seq }, this.nowMs, this.wallMs);
      }
      if (effect.kind === "tcp.send") {
        this.core.handle({ kind: "tcp.sent", conn: effect.conn, queued: 0 }, this.nowMs, this.wallMs);
      }
    }
  }

  attach(peer: Peer): number {
    const conn = this.nextConn--;
    this.byConn.set(conn, peer);
    return conn;
  }

  /** @param ghost takes what is still sent there */
  detach(conn: number, ghost?: (bytes: Uint8Array) => void): void {
    this.byConn.delete(conn);
    if (ghost) this.ghosts.set(conn, ghost);
  }

  /** The same neighbor, in another run of cairn; not connected yet. */
  played(peer: Peer): Peer {
    return peer.copyFor(this);
  }

  /** The route of a neighbor as the API shows it. */
  shown(neighbor: string, prefix: string): Route {
    const { family } = this.core.routing.tables[prefix.includes(":") ? 1 : 0];
    const routes = this.routes({ table: "received", neighbor, prePolicy: true }, family);
    const route = routes.find((each) => each.prefix === prefix);
    assert.ok(route, `${prefix} of ${neighbor} is not held`);
    return route;
  }

  /** Neighbor that the best path of a prefix came from; undefined when there is none. */
  best(prefix: string): string | undefined {
    const parsed = parsePrefix(prefix);
    assert.ok(typeof parsed !== "string", prefix);
    const { tables, neighbors } = this.core.routing;
    const table = tables[parsed.bytes.length === 4 ? 0 : 1];
    const row = table.prefixes.find(parsed.bytes, 0, parsed.length);
    const path = row === 0 ? 0 : table.bestOf(row);
    return path === 0 ? undefined : neighbors.text[table.paths.neighbor[path]];
  }

  /** Why the route of a neighbor is not eligible; "" when it is, undefined when it is not held. */
  rejection(neighbor: string, prefix: string): string | undefined {
    const { family } = this.core.routing.tables[prefix.includes(":") ? 1 : 0];
    const routes = this.routes({ table: "received", neighbor, prePolicy: true }, family);
    return routes.find((route) => route.prefix === prefix)?.rejectReason;
  }

  /** A whole table, as the API lists it. */
  routes(table: Parameters<CoreView["walk"]>[0], family: Family): Route[] {
    const walk = this.view.walk(table, family, undefined, "");
    // Not as a message of assert.ok: that would be made each time, and a walk holds all tables.
    if (!walk.ok) assert.fail(JSON.stringify(walk.problems));
    const batch = new RouteBatch();
    while (!walk.value.next(batch, 1000, 100_000));
    return batch.routes();
  }

  topics(): string[] {
    const { first } = this.view.eventRange();
    return this.view.events(first - 1, undefined, 1000).events.map((event) => event.topic);
  }
}

function afisOf(address: string, families: readonly string[] | undefined): (1 | 2)[] {
  if (!families || families.length === 0) return [address.includes(":") ? 2 : 1];
  return families.map((family) => (family.startsWith("ipv6") ? 2 : 1));
}

/** One neighbor, as the test plays it. */
export class Peer {
  readonly address: string;
  readonly asn: number;
  readonly updates: Announced[] = [];
  /** What cairn announces to us now. */
  readonly routes = new Map<string, RouteText>();
  /** OPENs that came. */
  readonly opens: Uint8Array[] = [];
  /** Types of messages that came on a connection that we had given up. */
  readonly lastWords: number[] = [];
  /** `code/subcode` of the NOTIFICATION that we got, with data in hexadecimal. */
  notification = "";
  /** What came, in order: `+PREFIX`, `-PREFIX`, EoR, BoRR, EoRR. */
  readonly trail: string[] = [];
  endsOfRib = 0;
  refreshes = 0;
  /** Bytes of what came, KEEPALIVEs left out. */
  bytes = 0;
  up = false;
  /** It sends no KEEPALIVEs by itself. */
  mute = false;
  /** Hears every message as it came. */
  listen: ((bytes: Uint8Array) => void) | undefined;
  private conn = 0;
  private readonly rig: CoreRig;
  private options: PeerOptions;

  constructor(rig: CoreRig, address: string, asn: number, options: PeerOptions) {
    this.rig = rig;
    this.address = address;
    this.asn = asn;
    this.options = options;
  }

  copyFor(rig: CoreRig): Peer {
    return new Peer(rig, this.address, this.asn, this.options);
  }

  /** Connects and brings the session up, from now on with these options. */
  reconnect(options: Partial<PeerOptions>): void {
    this.options = { ...this.options, ...options };
    this.connect();
  }

  /** Connects and brings the session up. */
  connect(): void {
    this.accepted();
    const first = [this.open(), keepaliveBytes, ...(this.options.early ?? [])];
    this.send(new Uint8Array(Buffer.concat(first)));
    assert.equal(this.notification, "");
  }

  /** Connects and answers cairn's OPEN with a NOTIFICATION. */
  refuse(code: number, subcode: number): void {
    this.accepted();
    this.notify(code, subcode);
  }

  private accepted(): void {
    const localAddress = ownAddress(this.address);
    this.conn = this.rig.attach(this);
    this.up = true;
    this.routes.clear();
    this.rig.input({
      kind: "tcp.accepted",
      conn: this.conn,
      localAddress,
      localPort: 179,
      remoteAddress: this.address,
      remotePort: 40_000 - this.conn,
    });
  }

  private open(): Uint8Array {
    const { twoOctet, extendedMessages = false, routeRefresh = true, afis = [1], addPath } = this.options;
    const capabilities: Capability[] = afis.map((afi) => ({ kind: "multiprotocol", afi, safi: 1 }));
    for (const afi of this.options.ruleAfis ?? [])
      capabilities.push({ kind: "multiprotocol", afi, safi: 133 });
    if (routeRefresh) capabilities.push({ kind: "route-refresh" });
    if (extendedMessages) capabilities.push({ kind: "extended-message" });
    if (!twoOctet) capabilities.push({ kind: "four-octet-as", asn: this.asn });
    if (addPath) capabilities.push({ kind: "add-path", families: [{ afi: 1, safi: 1, mode: 3 }] });
    capabilities.push(...(this.options.capabilities ?? []));
    const routerId = this.options.routerId ?? idOf(this.address);
    return encodeOpen({ asn: this.asn, holdTimeS: 90, routerId, capabilities });
  }

  send(...messages: readonly Uint8Array[]): void {
    for (const bytes of messages) this.rig.input({ kind: "tcp.bytes", conn: this.conn, bytes });
  }

  /** Sends without waiting for what comes of it. */
  post(bytes: Uint8Array): void {
    this.rig.core.handle({ kind: "tcp.bytes", conn: this.conn, bytes }, this.rig.nowMs, this.rig.wallMs);
  }

  /** Announces IPv4 prefixes in the body; next hop and AS path are our own unless given. */
  announce(prefixes: string | readonly string[], route: RouteText = {}): void {
    const attributes = attributesHex({ ...this.defaults(), ...route }, this.options.twoOctet ? 2 : 4);
    this.send(update(attributes, nlriHex(prefixes)));
  }

  /** Announces IPv6 prefixes; `nextHop` may be two addresses with a blank between. */
  announce6(prefixes: string | readonly string[], route: RouteText = {}): void {
    const whole = { ...this.defaults(), ...route, mpPrefixes: nlriHex(prefixes) };
    this.send(update(attributesHex(whole, this.options.twoOctet ? 2 : 4)));
  }

  private defaults(): RouteText {
    const inside = this.asn === 65001;
    return {
      origin: "igp",
      path: inside ? "" : String(this.asn),
      nextHop: this.address,
      ...(inside ? { localPref: 100 } : {}),
    };
  }

  /** Announces rules, each `flow4 VALUE` (or all of them `flow6 VALUE`) in hexadecimal, without a next hop. */
  announceRules(rules: readonly string[], route: RouteText = {}): void {
    const { nextHop: _, ...defaults } = this.defaults();
    const body = `${afiHex(rules)}850000${rulesHex(rules)}`;
    const other = `900e${(body.length / 2).toString(16).padStart(4, "0")}${body}`;
    const asBytes = this.options.twoOctet ? 2 : 4;
    this.send(update(attributesHex({ ...defaults, ...route, other }, asBytes)));
  }

  withdrawRules(rules: readonly string[]): void {
    const body = `${afiHex(rules)}85${rulesHex(rules)}`;
    this.send(update(`900f${(body.length / 2).toString(16).padStart(4, "0")}${body}`));
  }

  withdraw(prefixes: string | readonly string[]): void {
    this.send(update("", "", nlriHex(prefixes)));
  }

  /** Withdraws IPv6 prefixes. */
  withdraw6(prefixes: string | readonly string[]): void {
    const body = `000201${nlriHex(prefixes)}`;
    this.send(update(`900f${(body.length / 2).toString(16).padStart(4, "0")}${body}`));
  }

  /** End-of-RIB for IPv4. */
  endOfRib(): void {
    this.send(update("", ""));
  }

  /** The process is gone, and cairn's TCP has not noticed. */
  vanish(): void {
    this.rig.detach(this.conn, (bytes) => this.lastWords.push(bytes[18]));
    this.up = false;
  }

  notify(code: number, subcode: number, data: Uint8Array = new Uint8Array(0)): void {
    this.send(encodeNotification(code, subcode, data));
    this.drop();
  }

  /** The connection breaks. */
  drop(): void {
    const { conn } = this;
    this.closed();
    this.rig.input({ kind: "tcp.closed", conn, error: "ECONNRESET" });
  }

  closed(): void {
    this.rig.detach(this.conn);
    this.up = false;
  }

  /** Bytes from cairn: whole messages. */
  take(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const end = at + ((bytes[at + 16] << 8) | bytes[at + 17]);
      this.message(bytes.slice(at, end));
      at = end;
    }
  }

  private message(bytes: Uint8Array): void {
    const type = bytes[18];
    this.listen?.(bytes);
    if (type !== 4) this.bytes += bytes.length;
    if (type === 1) this.opens.push(bytes);
    assert.ok(bytes.length <= (this.options.extendedMessages ? 65_535 : 4096), `${bytes.length} bytes`);
    if (type === 3) {
      const data = Buffer.from(bytes.subarray(21)).toString("hex");
      this.notification = `${bytes[19]}/${bytes[20]}${data === "" ? "" : ` ${data}`}`;
    } else if (type === 5 && bytes[21] === 0) this.refreshes++;
    else if (type === 5) this.trail.push(bytes[21] === 1 ? "BoRR" : "EoRR");
    else if (type === 2) {
      const read = readUpdate(bytes, this.options.twoOctet ? 2 : 4, this.options.addPath);
      if (read.endOfRib) this.endsOfRib++;
      else this.updates.push(read);
      this.trail.push(...read.withdrawn.map((each) => `-${each}`), ...read.reach.map((each) => `+${each}`));
      if (read.endOfRib) this.trail.push("EoR");
      for (const prefix of read.withdrawn) this.routes.delete(prefix);
      for (const prefix of read.reach) this.routes.set(prefix, read.route);
    }
  }

  /** The route that we hold for a prefix; fails when cairn does not announce it. */
  route(prefix: string): RouteText {
    const route = this.routes.get(prefix);
    assert.ok(route, `${prefix} is not announced to ${this.address}`);
    return route;
  }

  has(prefix: string): boolean {
    return this.routes.has(prefix);
  }

  /** Forgets the messages that came, not the routes. */
  forget(): void {
    this.updates.length = 0;
    this.trail.length = 0;
    this.endsOfRib = 0;
    this.refreshes = 0;
    this.bytes = 0;
  }
}

function afiHex(rules: readonly string[]): string {
  return rules[0].startsWith("flow4") ? "0001" : "0002";
}

/** Our address on the link to a neighbor. */
function ownAddress(neighbor: string): string {
  if (neighbor.startsWith("10.")) return "10.0.0.1";
  if (neighbor.startsWith("2001:db8:1:")) return "2001:db8:1::1";
  return neighbor.includes(":") ? "2001:db8::1" : "192.0.2.1";
}

function idOf(address: string): number {
  const last = Number.parseInt(address.split(/[.:]/).at(-1)!, 10);
  return 0x0a01_0000 + last;
}
