/**
 * A router with random neighbors, policies and routes, all from one seed, and neighbors that write down byte for byte
 * what they are sent.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { type GlobalSpec, GlobalSpecSchema } from "../../src/gen/cairn/v1/global_service_pb.ts";
import {
  AddPath_Send,
  BgpRole,
  type NeighborSpec,
  NeighborSpecSchema,
} from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import { type PeerGroupSpec, PeerGroupSpecSchema } from "../../src/gen/cairn/v1/peer_group_service_pb.ts";
import { PolicyAction, type PolicySpec, PolicySpecSchema } from "../../src/gen/cairn/v1/policy_service_pb.ts";
import type { MutationOp } from "../../src/state/mutation.ts";
import { prefixText } from "../../src/state/route-message.ts";
import { counterpart, type BgpRole as WireRole } from "../../src/wire/bgp-role.ts";
import { AttributeBlock } from "../../src/wire/scratch.ts";
import { CoreRig, type Peer } from "../rfc/core-rig.ts";
import { type RouteText, readUpdate } from "../rfc/wire-text.ts";
import { Dice } from "../sim/dice.ts";
import { toHex } from "../support/wire.ts";

export type NeighborInit = MessageInitShape<typeof NeighborSpecSchema>;

export const prefixes4 = [
  ...["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "198.51.100.0/24", "203.0.113.0/25"],
  ...["203.0.113.128/25", "198.18.0.0/15"],
];
export const prefixes6 = ["::/0", "2001:db8:10::/48", "2001:db8:20::/48", "fd00::/8"];
export const absent = ["192.88.99.0/24", "2001:db8:ffff::/48"];

const addresses = [
  ...["192.0.2.2", "192.0.2.3", "192.0.2.4", "10.0.0.5", "10.0.0.6", "192.0.2.7"],
  ...["2001:db8::8", "2001:db8:1::9"],
];
export const groups = ["edge", "core"];

/** Communities that mean something to somebody, and some that do not. */
const communities = [
  ...["65535:65281", "65535:65282", "65535:65283", "65535:65284", "65535:0", "65535:666"],
  ...["65001:1", "65001:2", "65002:100", "65535:6"],
];

/** What a neighbor holds of a prefix: attributes in hexadecimal, and the same as text. */
export interface Held {
  readonly attributes: string;
  readonly route: RouteText;
}

/** One neighbor that writes down what it is sent. With Add-Path its IPv4 prefixes are `ID PREFIX`, both ways. */
export class Recorder {
  readonly peer: Peer;
  readonly routes = new Map<string, Held>();
  /** What we announce to the router now. */
  readonly announced = new Map<string, RouteText>();
  readonly asBytes: 2 | 4;
  readonly addPath: boolean;

  constructor(peer: Peer, asBytes: 2 | 4, addPath: boolean) {
    this.peer = peer;
    this.asBytes = asBytes;
    this.addPath = addPath;
    for (const [prefix, route] of peer.routes) this.routes.set(prefix, { attributes: "", route });
    peer.listen = (bytes) => this.hear(bytes);
  }

  private hear(bytes: Uint8Array): void {
    if (bytes[18] !== 2) return;
    const { withdrawn, reach, held } = readHeld(bytes, this.asBytes, this.addPath);
    for (const prefix of withdrawn) this.routes.delete(prefix);
    for (const prefix of reach) this.routes.set(prefix, held);
  }

  announce(prefix: string, route: RouteText): void {
    this.announced.set(prefix, route);
    if (prefix.includes(":")) this.peer.announce6(prefix, route);
    else this.peer.announce(prefix, route);
  }

  withdraw(prefix: string): void {
    this.announced.delete(prefix);
    if (prefix.includes(":")) this.peer.withdraw6(prefix);
    else this.peer.withdraw(prefix);
  }
}

/** An UPDATE as what it says of prefixes. Of MP_REACH_NLRI only family and next hop count as attributes. */
export function readHeld(
  bytes: Uint8Array,
  asBytes: 2 | 4,
  addPath: boolean,
): { withdrawn: readonly string[]; reach: readonly string[]; held: Held } {
  const { withdrawn, reach, route } = readUpdate(bytes, asBytes, addPath);
  const from = 21 + ((bytes[19] << 8) | bytes[20]);
  const end = from + 2 + ((bytes[from] << 8) | bytes[from + 1]);
  let attributes = "";
  for (let at = from + 2; at < end; ) {
    const extended = (bytes[at] & 0x10) !== 0;
    const value = at + (extended ? 4 : 3);
    const next = value + (extended ? (bytes[at + 2] << 8) | bytes[at + 3] : bytes[at + 2]);
    const isReach = bytes[at + 1] === 14;
    attributes += isReach ? `[${toHex(bytes, value, value + 4 + bytes[value + 3])}]` : toHex(bytes, at, next);
    at = next;
  }
  return { withdrawn, reach, held: { attributes, route } };
}

export interface WorldOptions {
  /** Rejected routes are kept at all neighbors. */
  readonly keeps?: boolean;
  /** Every neighbor chooses for itself. */
  readonly perClient?: boolean;
  /** Some neighbors send and are sent several paths per IPv4 prefix. */
  readonly addPath?: boolean;
}

export class RouterWorld {
  readonly rig: CoreRig;
  readonly dice: Dice;
  readonly recorders: Recorder[] = [];
  readonly specs = new Map<string, NeighborInit>();
  private readonly options: WorldOptions;

  constructor(seed: number, options: WorldOptions = {}) {
    this.dice = new Dice(seed);
    this.options = options;
    const { dice } = this;
    this.rig = new CoreRig();
    // Without an IPv6 address we have no next hop for IPv6 routes on IPv4 sessions.
    if (dice.chance(0.1)) this.rig.hostAddresses(["192.0.2.1", "10.0.0.1"]);
    const policies = ["in-a", "in-b", "in-c", "out-a", "out-b", "out-c"].map((name) => this.policy(name));
    this.rig.mutate(
      ...policies.map((spec): MutationOp => ({ op: "put", kind: "Policy", spec })),
      ...groups.map((name): MutationOp => ({ op: "put", kind: "PeerGroup", spec: this.peerGroup(name) })),
      { op: "put", kind: "Global", spec: this.global() },
    );
    const count = dice.between(3, 6);
    const names = [...addresses].sort(() => dice.random() - 0.5).slice(0, count);
    for (const address of names) this.add(address);
    for (const address of names.slice(0, 1)) this.inject(address);
  }

  put(kind: string, spec: object): void {
    this.rig.mutate({ op: "put", kind, spec: spec as Extract<MutationOp, { op: "put" }>["spec"] });
  }

  global(): GlobalSpec {
    const { dice } = this;
    return create(GlobalSpecSchema, {
      asn: 65001,
      routerId: "10.0.0.1",
      import: this.chain("in", 0.2),
      export: this.chain("out", 0.2),
      importAfter: this.chain("in", 0.2),
      exportAfter: this.chain("out", 0.2),
      requirePolicy: dice.chance(0.5),
      gracefulShutdown: dice.chance(0.05),
      multipath: this.options.addPath ? this.multipath() : [],
    });
  }

  private multipath() {
    const { dice } = this;
    const most = (): number => dice.between(1, 3);
    return ["ipv4-unicast", "ipv6-unicast"].map((family) => {
      return { family, ebgp: most(), ibgp: most(), relaxAsPath: dice.chance(0.5) };
    });
  }

  peerGroup(name: string): PeerGroupSpec {
    return create(PeerGroupSpecSchema, {
      name,
      import: this.chain("in", 0.4),
      export: this.chain("out", 0.4),
      ...(this.dice.chance(0.3) ? { nextHopSelf: true } : {}),
    });
  }

  chain(direction: "in" | "out", probability: number): string[] {
    const { dice } = this;
    if (!dice.chance(probability)) return [];
    const pool = ["a", "b", "c"].map((letter) => `${direction}-${letter}`);
    return Array.from({ length: dice.between(1, 2) }, () => dice.pick(pool));
  }

  /** Some routes of our own, one of them with a neighbor's address as next hop. */
  private inject(address: string): void {
    if (address.includes(":") || !this.dice.chance(0.5)) return;
    for (const prefix of ["198.18.0.0/15", "10.1.2.0/24"]) {
      this.rig.inject({ prefix, nextHop: this.dice.pick([address, "192.0.2.1", "192.0.2.99"]) });
    }
  }

  private add(address: string): void {
    const { dice } = this;
    const remoteAsn = dice.pick([65001, 65001, 65002, 65003, 65003, 64_600]);
    const several = this.options.addPath === true && dice.chance(0.4);
    const choices = [AddPath_Send.ALL, AddPath_Send.BEST, AddPath_Send.PER_NEIGHBOR_AS];
    const addPath = several ? [{ family: "ipv4-unicast", receive: true, send: dice.pick(choices) }] : [];
    const spec = { address, remoteAsn, addPath, ...this.settings(remoteAsn) };
    this.specs.set(address, spec);
    const twoOctet = dice.chance(0.2);
    const capabilities = spec.role ? [{ kind: "role" as const, role: roleOpposite(spec.role) }] : [];
    const peer = this.rig.peer(address, spec, {
      twoOctet,
      extendedMessages: dice.chance(0.5),
      addPath: several,
      capabilities,
    });
    this.recorders.push(new Recorder(peer, twoOctet ? 2 : 4, several));
    // Told before it listened: everything is told once more.
    this.refresh(address);
  }

  private refresh(address: string): void {
    const record = this.rig.core.neighbors.named(address)!;
    for (const group of record.groups) group?.resend(record.id);
    this.rig.run();
  }

  settings(remoteAsn: number): NeighborInit {
    const { dice } = this;
    const internal = remoteAsn === 65001;
    const often = (probability: number) => (dice.chance(probability) ? true : undefined);
    const init: NeighborInit = {
      families: ["ipv4-unicast", ...(dice.chance(0.6) ? ["ipv6-unicast"] : [])],
      peerGroup: dice.chance(0.4) ? dice.pick(groups) : "",
      import: this.chain("in", 0.6),
      export: this.chain("out", 0.6),
      importDefault: dice.pick([undefined, PolicyAction.ACCEPT, PolicyAction.ACCEPT, PolicyAction.REJECT]),
      exportDefault: dice.pick([undefined, PolicyAction.ACCEPT, PolicyAction.ACCEPT, PolicyAction.REJECT]),
      nextHopSelf: often(0.3),
      allowOwnAs: dice.chance(0.2) ? 1 : undefined,
      removePrivateAs: dice.chance(0.4) ? dice.pick([1, 2, 3, 4] as const) : undefined,
      enforceFirstAs: dice.chance(0.3) ? false : undefined,
      defaultOriginate: often(0.15),
      routeReflectorClient: internal ? often(0.5) : undefined,
      routeServerClient: internal ? undefined : often(0.3),
      bilateralPeer: internal ? undefined : often(0.3),
      softReconfiguration: this.options.keeps || dice.chance(0.6) ? undefined : false,
      role: !internal && dice.chance(0.4) ? dice.pick(roles) : undefined,
      gracefulShutdown: often(0.1),
      honorGracefulShutdown: dice.chance(0.2) ? false : undefined,
      blackhole: dice.chance(0.4) ? dice.pick([1, 2, 3] as const) : undefined,
      maxAsPathLength: dice.chance(0.2) ? 3 : undefined,
      allowOwnAsOrigin: often(0.2),
      asOverride: internal ? undefined : often(0.2),
      aigpSend: dice.chance(0.3) ? dice.chance(0.5) : undefined,
      longLivedPartial: internal ? often(0.3) : undefined,
      ...(internal ? {} : this.localAs()),
      perClientBest: this.options.perClient || often(0.3),
      prefixLimits: dice.chance(0.3) ? [{ family: "ipv4-unicast", max: 3, action: 1 }] : [],
    };
    return Object.fromEntries(
      Object.entries(init).filter(([, value]) => value !== undefined),
    ) as NeighborInit;
  }

  /** Another AS of ours toward an external neighbor, which knows itself by other numbers. */
  private localAs(): object {
    const { dice } = this;
    const often = (probability: number) => (dice.chance(probability) ? true : undefined);
    if (!dice.chance(0.2)) return {};
    return { localAsn: 64_601, localAsNoPrepend: often(0.4), localAsReplaceAs: often(0.4) };
  }

  /** Other settings that leave the session as it is. */
  changed(address: string): NeighborSpec {
    const spec = this.specs.get(address)!;
    const fresh = this.settings(spec.remoteAsn!);
    // These reset the session.
    const { families, role, addPath, localAsn, localAsNoPrepend, localAsReplaceAs } = spec;
    const kept = { families, role, addPath, localAsn, localAsNoPrepend, localAsReplaceAs };
    return this.declared(address, { ...fresh, ...kept } as NeighborInit);
  }

  /** The object of a neighbor with these settings, which count as declared from now on. */
  declared(address: string, settings: NeighborInit): NeighborSpec {
    const { remoteAsn } = this.specs.get(address)!;
    const next = { ...settings, address, remoteAsn, passive: true };
    this.specs.set(address, next as NeighborInit);
    return create(NeighborSpecSchema, next as NeighborInit);
  }

  /** Attributes after import, in hexadecimal, of all that stands in the tables; "" of what is refused. */
  imported(): Map<string, string> {
    const held = new Map<string, string>();
    const { tables, neighbors, attributes } = this.rig.core.routing;
    const block = new AttributeBlock();
    for (const { paths, prefixes } of tables) {
      for (let path = 1; path < paths.rows; path++) {
        if (paths.received[path] === 0 || paths.neighbor[path] === 0) continue;
        attributes.block(paths.attr[path], block);
        const hex = paths.eligible(path) ? toHex(block.bytes, block.start, block.end) : "";
        held.set(`${neighbors.text[paths.neighbor[path]]} ${prefixText(prefixes, paths.prefix[path])}`, hex);
      }
    }
    return held;
  }

  /** Attributes that the neighbors hold, in hexadecimal. */
  exported(): Map<string, string> {
    const held = new Map<string, string>();
    for (const { peer, routes } of this.recorders) {
      for (const [prefix, { attributes }] of routes) held.set(`${peer.address} ${prefix}`, attributes);
    }
    return held;
  }

  policy(name: string): PolicySpec {
    const { dice } = this;
    const accept = PolicyAction.ACCEPT;
    const reject = PolicyAction.REJECT;
    const statements = Array.from({ length: dice.below(4) }, (_, i) => {
      const action = dice.pick([accept, reject, PolicyAction.UNSPECIFIED, PolicyAction.UNSPECIFIED]);
      return {
        name: dice.chance(0.5) ? `s${i}` : "",
        match: dice.chance(0.8) ? this.match() : undefined,
        set: action === reject || dice.chance(0.3) ? undefined : this.set(),
        action,
      };
    });
    const defaultAction = dice.pick([PolicyAction.UNSPECIFIED, PolicyAction.UNSPECIFIED, accept, reject]);
    return create(PolicySpecSchema, { name, statements, defaultAction });
  }

  private match() {
    const { dice } = this;
    return dice.pick([
      { prefixes: [{ prefix: dice.pick([...prefixes4, ...prefixes6]), le: undefined }] },
      {
        prefixes: [
          { prefix: "10.0.0.0/8", le: 24 },
          { prefix: "::/0", le: 64 },
        ],
      },
      { communities: [dice.pick(communities)] },
      { asPaths: [dice.pick(["_65003_", "^65002", "^$", "_64600$", "{"])] },
      { asPathLengthGe: dice.between(1, 3) },
      { routeTypes: [dice.pick(["local", "internal", "external"])] },
      { medGe: 5 },
      { localPrefGe: 101 },
      { isDefault: true },
      { hasAttributes: [dice.pick(["otc", "med", "communities"])] },
      { neighbors: [dice.pick(["192.0.2.0/24", "10.0.0.0/24", "2001:db8::/64"])] },
      { peerGroups: [dice.pick(groups)] },
      { families: ["ipv6-unicast"] },
    ]);
  }

  private set() {
    const { dice } = this;
    return dice.pick([
      { localPref: dice.pick([50, 150, 250]) },
      { med: dice.below(10) },
      { medRemove: true },
      { origin: dice.pick([1, 2, 3] as const) },
      { nextHop: dice.pick(["self", "peer", "unchanged", "192.0.2.9", "192.0.2.3", "2001:db8::8"]) },
      { communitiesAdd: [dice.pick(communities)] },
      { communitiesRemove: ["*:*"] },
      { prepend: { asn: 0, count: dice.between(1, 3) } },
      { prepend: { lastAs: true, count: 1 } },
      { stripPrivateAs: true },
      { weight: dice.below(3) },
      { tag: dice.below(3) },
    ]);
  }

  route(recorder: Recorder, prefix: string): RouteText {
    const { dice } = this;
    const { asn, address } = recorder.peer;
    const inside = asn === 65001;
    const wide = recorder.asBytes === 4 ? "3000000" : "23456";
    const pool = ["65002", "65003", "64600", "64513", "65001", wide, "{65003 65004}"];
    const rest = Array.from({ length: dice.below(4) }, () => dice.pick(pool.slice(0, dice.pick([4, 6, 7]))));
    const first = inside || dice.chance(0.05) ? [] : [String(asn)];
    const isIpv6 = prefix.includes(":");
    const hops = isIpv6
      ? ["2001:db8::8", "2001:db8:5::1", "2001:db8::1", "2001:db8::77 fe80::1"]
      : ["192.0.2.2", "192.0.2.3", "192.0.2.77", "10.9.9.9", "192.0.2.1"];
    const own = address.includes(":") === isIpv6 ? address : isIpv6 ? "2001:db8::44" : "192.0.2.44";
    const some = [...communities].sort(() => dice.random() - 0.5).slice(0, dice.below(3));
    return {
      origin: dice.pick(["igp", "egp", "incomplete"]),
      path: [...first, ...rest].join(" "),
      nextHop: dice.chance(0.6) ? own : dice.pick(hops),
      ...(dice.chance(0.4) ? { med: dice.below(10) } : {}),
      ...(inside ? { localPref: dice.pick([100, 100, 200]) } : {}),
      ...(some.length > 0 && dice.chance(0.5) ? { communities: some.join(" ") } : {}),
      ...(inside && dice.chance(0.3) ? { originatorId: dice.pick(["10.0.0.1", "10.0.0.77"]) } : {}),
      ...(inside && dice.chance(0.3) ? { clusterList: dice.pick(["10.0.0.1", "10.0.0.78 10.0.0.79"]) } : {}),
      ...(dice.chance(0.2) ? { extended: dice.pick(["0002fde900000001", "4002fde900000001"]) } : {}),
      ...(dice.chance(0.2) ? { large: "0000fde90000000100000002" } : {}),
      ...this.other(),
    };
  }

  /** ONLY_TO_CUSTOMER, or an attribute that nobody knows, large at times. */
  private other(): RouteText {
    const { dice } = this;
    if (dice.chance(0.25)) return { other: `c02304${dice.pick(["0000fdea", "0000fdeb", "0000fde9"])}` };
    if (dice.chance(0.2)) return { other: `801a0b01000b00000000000000${dice.pick(["00", "07", "64"])}` };
    if (dice.chance(0.12)) return { other: `d0630fa0${"ab".repeat(4000)}`.slice(0, 8 + 8000) };
    return dice.chance(0.1) ? { other: "c06302abcd" } : {};
  }

  /** A neighbor announces a prefix of a family that it offers, once. */
  announceSome(recorder: Recorder, probability: number): void {
    const spec = this.specs.get(recorder.peer.address)!;
    const named = recorder.addPath
      ? [0, 1, 77].flatMap((id) => prefixes4.map((p) => `${id} ${p}`))
      : prefixes4;
    const own = [...named, ...(spec.families?.includes("ipv6-unicast") ? prefixes6 : [])];
    for (const prefix of own) {
      if (!this.dice.chance(probability)) continue;
      const route = this.route(recorder, prefix);
      const big = (route.other?.length ?? 0) > 1000;
      if (big && !this.rig.core.neighbors.named(recorder.peer.address)!.negotiated?.extendedMessages)
        continue;
      recorder.announce(prefix, route);
    }
  }

  /** The end of a session, and a new one. */
  flap(recorder: Recorder): void {
    recorder.announced.clear();
    recorder.routes.clear();
    recorder.peer.drop();
    this.rig.advance(200_000);
    recorder.peer.connect();
    this.rig.run();
  }
}

const roles = [BgpRole.PROVIDER, BgpRole.RS, BgpRole.RS_CLIENT, BgpRole.CUSTOMER, BgpRole.PEER];

function roleOpposite(role: BgpRole): WireRole {
  return counterpart((role - 1) as WireRole);
}
