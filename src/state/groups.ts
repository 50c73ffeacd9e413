/** Which update group a neighbor belongs to, and the groups themselves. */
import { formatIp, parseIp } from "../base/ip.ts";
import { isLinkLocalAddress } from "../base/peer-address.ts";
import { BestGroup } from "../rib/best-group.ts";
import type { AddPathSend, ExportConfig } from "../rib/export-gates.ts";
import { ownAses } from "../rib/export-path.ts";
import { Exporter } from "../rib/exporter.ts";
import type { InstalledRoutes } from "../rib/installed-routes.ts";
import { NeighborFlag } from "../rib/neighbor-columns.ts";
import { PathGroup } from "../rib/path-group.ts";
import type { RouteTable } from "../rib/route-table.ts";
import type { GroupHost, UpdateGroup } from "../rib/update-group.ts";
import { UpdateWriter } from "../rib/update-writer.ts";
import { encodeBlock } from "../wire/block.ts";
import { type Family, ipv6Unicast } from "../wire/family.ts";
import { MessageWriter } from "../wire/message-writer.ts";
import { emptyAttributes, SegmentType } from "../wire/path-attributes.ts";
import type { HostAddress } from "./inputs.ts";
import { isSingleHop } from "./links.ts";
import type { NeighborRecord } from "./neighbor-record.ts";
import type { Inputs } from "./part.ts";
import type { ExportPolicies, Policies } from "./policies.ts";
import type { Routing } from "./routing.ts";

export class Groups {
  private readonly routing: Routing;
  private readonly policies: Policies;
  private readonly host: GroupHost;
  private readonly byKey = new Map<string, UpdateGroup>();
  private readonly keyOf = new Map<UpdateGroup, string>();
  private nextId = 1;
  private hostAddresses: readonly HostAddress[] = [];
  readonly inputs: Inputs = {
    "host.addresses": ({ addresses }) => {
      this.hostAddresses = addresses;
    },
  };
  /** Families whose routes are not announced yet (RFC 4724 4.1), bit `family.index`. */
  held = 0;
  /** What the kernel holds, as FIB tables tell it. */
  installed: InstalledRoutes | undefined;
  /** Families with a group that announces only what the kernel holds, bit `family.index`. */
  awaitsFib = 0;
  /** Where `run` goes on, so that many groups share the slices. */
  private turn = 0;

  constructor(routing: Routing, policies: Policies, host: GroupHost) {
    this.routing = routing;
    this.policies = policies;
    this.host = host;
  }

  all(): IterableIterator<UpdateGroup> {
    return this.byKey.values();
  }

  get size(): number {
    return this.byKey.size;
  }

  /** Joins an Established neighbor to the group of a negotiated family. */
  join(record: NeighborRecord, family: Family, requirePolicy: boolean): UpdateGroup {
    const { config } = record;
    const exportConfig = this.exportConfig(record, family, requirePolicy);
    const key = this.key(record, family, exportConfig);
    const group = this.byKey.get(key) ?? this.make(key, record, family, exportConfig);
    record.groups[family.index] = group;
    group.join(record.id, config.address);
    return group;
  }

  leave(record: NeighborRecord, family: Family): void {
    const group = record.groups[family.index];
    if (!group) return;
    record.groups[family.index] = undefined;
    group.leave(record.id, record.config.address);
    this.closeIfEmpty(group);
  }

  private closeIfEmpty(group: UpdateGroup): void {
    if (group.size > 0) return;
    group.close();
    this.byKey.delete(this.keyOf.get(group)!);
    this.keyOf.delete(group);
    this.noteNeeds(group.table.family);
  }

  /** Paths behind the best one matter while some group may announce them, and the FIB while some group waits for it. */
  private noteNeeds(family: Family): void {
    let pathsMatter = false;
    let fibMatters = false;
    for (const { table, exporter } of this.byKey.values()) {
      if (table.family !== family) continue;
      if (exporter.config.perClient !== 0 || exporter.config.addPath) pathsMatter = true;
      if (exporter.config.installed) fibMatters = true;
    }
    this.routing.table(family).followsAllPaths = pathsMatter;
    const bit = 1 << family.index;
    this.awaitsFib = fibMatters ? this.awaitsFib | bit : this.awaitsFib & ~bit;
  }

  /**
   * After a change of settings or policies: each of the records comes into the group it now belongs to, hearing only
   * what differs. A group whose members all move the same way is kept and only bound anew.
   * @param member the record of a neighbor id
   * @returns groups whose export has to run again
   */
  settle(
    records: Iterable<NeighborRecord>,
    member: (id: number) => NeighborRecord,
    requirePolicy: boolean,
  ): Set<UpdateGroup> {
    const groups = new Set<UpdateGroup>();
    for (const record of records) for (const group of record.groups) if (group) groups.add(group);
    const again = new Set<UpdateGroup>();
    for (const group of groups) this.settleGroup(group, group.members().map(member), requirePolicy, again);
    return again;
  }

  private settleGroup(
    group: UpdateGroup,
    members: readonly NeighborRecord[],
    requirePolicy: boolean,
    again: Set<UpdateGroup>,
  ): void {
    const { family } = group.table;
    const configs = members.map((record) => this.exportConfig(record, family, requirePolicy));
    const keys = members.map((record, i) => this.key(record, family, configs[i]));
    const present = this.keyOf.get(group)!;
    const together = keys.every((key) => key === keys[0]);
    if (together && keys[0] === present) return;
    const sameDefault = configs[0].defaultOriginate === group.exporter.config.defaultOriginate;
    if (together && !this.byKey.has(keys[0]) && sameDefault) {
      this.byKey.delete(present);
      this.byKey.set(keys[0], group);
      this.keyOf.set(group, keys[0]);
    } else {
      members.forEach((record, i) => {
        if (keys[i] !== present) this.move(record, family, group, keys[i], configs[i]);
      });
    }
    const staying = members.findIndex((record) => record.groups[family.index] === group);
    if (group.closed || staying < 0 || keys[staying] === present) return;
    group.exporter.config = configs[staying];
    this.noteNeeds(family);
    again.add(group);
  }

  private move(
    record: NeighborRecord,
    family: Family,
    from: UpdateGroup,
    key: string,
    config: ExportConfig,
  ): void {
    const to = this.byKey.get(key) ?? this.make(key, record, family, config);
    record.groups[family.index] = to;
    to.adopt(record.id, record.config.address, from);
    from.leave(record.id, record.config.address);
    this.closeIfEmpty(from);
  }

  private make(key: string, record: NeighborRecord, family: Family, config: ExportConfig): UpdateGroup {
    const { attributes, neighbors, exportCache, batch, encoder } = this.routing;
    const table = this.routing.table(family);
    const negotiated = record.negotiated!;
    const writer = new UpdateWriter(table, attributes, encoder, {
      fourOctetAs: negotiated.fourOctetAs,
      addPath: negotiated.addPathSend,
      maxMessageBytes: negotiated.maxMessageBytes,
    });
    const exporter = new Exporter(table, attributes, neighbors, exportCache, config);
    const parts = { table, exporter, attributes, batch, writer, host: this.host };
    const Group = config.addPath ? PathGroup : BestGroup;
    const group = new Group(this.nextId++, parts);
    if (originatesDefault(config)) group.originateDefault(this.defaultRoute(config));
    this.byKey.set(key, group);
    this.keyOf.set(group, key);
    this.noteNeeds(family);
    return group;
  }

  /** Attributes of an originated default route: ours, origin IGP. One reference is the caller's. */
  defaultRoute(config: ExportConfig): number {
    const attributes = emptyAttributes();
    attributes.nextHop = config.selfNextHop!;
    const type = config.confederationMember ? SegmentType.confedSequence : SegmentType.sequence;
    if (config.external || config.confederationMember) attributes.asPath = [{ type, asns: ownAses(config) }];
    if (!config.external) attributes.localPref = 100;
    const writer = new MessageWriter(64);
    encodeBlock(attributes, writer);
    return this.routing.attributes.intern(writer.bytes, 0, writer.at);
  }

  /** What a neighbor's export would be with these settings and policies, and the key of the group it would be in. */
  candidate(
    record: NeighborRecord,
    family: Family,
    requirePolicy: boolean,
    policies: ExportPolicies,
  ): { readonly config: ExportConfig; readonly key: string } {
    const config = this.exportConfig(record, family, requirePolicy, policies);
    return { config, key: this.key(record, family, config, policies) };
  }

  /** True when this is the key of the group. */
  isIn(group: UpdateGroup, key: string): boolean {
    return this.keyOf.get(group) === key;
  }

  private exportConfig(
    record: NeighborRecord,
    family: Family,
    requirePolicy: boolean,
    policies: ExportPolicies = this.policies,
  ): ExportConfig {
    const { config } = record;
    const self = this.selfNextHop(record, family);
    return {
      external: config.external,
      confederationMember: config.confederationMember,
      routeServerClient: config.routeServerClient,
      localAsn: config.localAsn,
      globalAsn: config.globalAsn,
      localAsReplaces: config.localAsReplaces,
      overriddenAsn: config.asOverride ? config.remoteAsn : 0,
      removePrivateAs: config.removePrivateAs,
      aigp: config.aigpSend,
      clusterId: config.clusterId,
      reflectorClient: config.routeReflectorClient,
      bilateralPeer: config.bilateralPeer,
      role: config.role,
      gracefulShutdown: config.gracefulShutdown,
      extendedNextHop: takesIp6NextHop(record, family),
      perClient: config.perClientBest ? record.id : 0,
      addPath: addPathOf(record, family),
      outboundFilter: record.outboundFilters[family.index]?.active,
      longLived: record.negotiated!.restart.longLived,
      longLivedPartial: config.longLivedPartial,
      nextHopSelf: config.nextHopSelf,
      selfNextHop: self?.bytes,
      onLinkBits: config.external && config.ttl === 1 ? (self?.onLinkBits ?? 0) : 0,
      program: policies.bindExport(record, self?.bytes.subarray(0, 16)),
      acceptWithoutPolicy: !config.external || !requirePolicy,
      defaultOriginate: config.defaultOriginate && family.nlri === "prefix",
      installed: config.suppressFibPending && family.safi === 1 ? this.installed : undefined,
    };
  }

  /** Everything that decides about the outgoing bytes, as text. */
  private key(
    record: NeighborRecord,
    family: Family,
    config: ExportConfig,
    policies: ExportPolicies = this.policies,
  ): string {
    const negotiated = record.negotiated!;
    return JSON.stringify([
      family.index,
      negotiated.fourOctetAs,
      negotiated.maxMessageBytes,
      config.addPath ?? "",
      config.external,
      config.confederationMember,
      config.routeServerClient,
      config.localAsn,
      config.globalAsn,
      config.localAsReplaces,
      config.overriddenAsn,
      config.aigp,
      config.removePrivateAs,
      config.clusterId,
      config.reflectorClient,
      config.bilateralPeer,
      config.role ?? -1,
      config.gracefulShutdown,
      config.extendedNextHop,
      config.perClient,
      config.outboundFilter ? record.id : 0,
      config.longLived,
      config.longLivedPartial,
      config.nextHopSelf,
      config.selfNextHop?.join(".") ?? "",
      config.onLinkBits,
      config.acceptWithoutPolicy,
      config.defaultOriginate,
      config.installed !== undefined,
      policies.idOf(config.program),
    ]);
  }

  /**
   * Our next hop of a family on a session: the session's own address, or an address of the other family on the same
   * interface.
   */
  private selfNextHop(
    record: NeighborRecord,
    family: Family,
  ): { bytes: Uint8Array; onLinkBits: number } | undefined {
    const local = record.negotiated!.localAddress;
    const { interface: zone } = record.config;
    const isOn = (entry: HostAddress): boolean => zone === "" || entry.interface === zone;
    const own = this.hostAddresses.find((entry) => entry.address === formatIp(local) && isOn(entry));
    if (isLinkLocalAddress(local) && (family.addressBytes === 16 || takesIp6NextHop(record, family)))
      return { bytes: this.withGlobal(local, zone), onLinkBits: 0 };
    if (local.length === family.addressBytes || takesIp6NextHop(record, family)) {
      return { bytes: local, onLinkBits: own?.length ?? 0 };
    }
    const other = this.hostAddresses.find(
      (entry) => entry.interface === own?.interface && isUsable(entry.address, family),
    );
    return other && { bytes: parseIp(other.address)!, onLinkBits: other.length };
  }

  /** RFC 2545 3: a global address of the link before the link-local one; that alone where the link has no other. */
  private withGlobal(linkLocal: Uint8Array, zone: string): Uint8Array {
    const global = this.hostAddresses.find(
      (entry) => entry.interface === zone && isUsable(entry.address, ipv6Unicast),
    );
    if (!global) return linkLocal;
    const both = new Uint8Array(32);
    both.set(parseIp(global.address)!);
    both.set(linkLocal, 16);
    return both;
  }

  get hasWork(): boolean {
    for (const group of this.byKey.values()) if (this.mayRun(group) && group.hasWork()) return true;
    return false;
  }

  private mayRun({ table }: UpdateGroup): boolean {
    return (this.held & (1 << table.family.index)) === 0;
  }

  /** Runs groups that have work, round robin, for half of the time: the rest is for what comes in. */
  run(micros: number): void {
    const groups = [...this.byKey.values()];
    let left = micros / 2;
    for (let n = 0; n < groups.length && left > 0; n++) {
      const group = groups[(this.turn + n) % groups.length];
      if (this.mayRun(group) && group.hasWork()) left -= group.run();
      if (left <= 0) this.turn = (this.turn + n + 1) % groups.length;
    }
  }

  /** The smallest revision that all groups of a table have passed. */
  passed(table: RouteTable): number | undefined {
    let least: number | undefined;
    for (const group of this.byKey.values()) {
      if (group.table !== table) continue;
      const passed = group.passedRevision();
      if (least === undefined || ((least - passed) | 0) > 0) least = passed;
    }
    return least;
  }

  memoryBytes(): number {
    let sum = 0;
    for (const group of this.byKey.values()) sum += group.memoryBytes();
    return sum;
  }
}

/** IPv4 routes go to it with IPv6 next hops (RFC 8950). */
function takesIp6NextHop({ negotiated }: NeighborRecord, family: Family): boolean {
  const { localAddress, extendedNextHop } = negotiated!;
  return localAddress.length === 16 && (extendedNextHop & (1 << family.index)) !== 0;
}

/** Which paths a neighbor is sent, where both sides said that there may be several. */
function addPathOf({ config, negotiated }: NeighborRecord, family: Family): AddPathSend | undefined {
  if ((negotiated!.addPathSend & (1 << family.index)) === 0) return undefined;
  return config.addPath[family.index]?.send;
}

/** True for an address of the family that others can reach: not link-local. */
function isUsable(address: string, family: Family): boolean {
  const bytes = parseIp(address);
  if (!bytes || bytes.length !== family.addressBytes) return false;
  return !(bytes.length === 16 && bytes[0] === 0xfe && (bytes[1] & 0xc0) === 0x80);
}

/** A default route goes out, whatever the table holds. */
export function originatesDefault({ defaultOriginate, selfNextHop }: ExportConfig): boolean {
  return defaultOriginate && selfNextHop !== undefined;
}

/** Flags of a neighbor for best path and export. */
export function neighborFlags(record: NeighborRecord): number {
  const { config } = record;
  return (
    (config.external ? NeighborFlag.external : 0) |
    (config.confederationMember ? NeighborFlag.confederationMember : 0) |
    (config.routeReflectorClient ? NeighborFlag.reflectorClient : 0) |
    (config.routeServerClient ? NeighborFlag.routeServerClient : 0) |
    (isSingleHop(config) && !config.disableConnectedCheck ? NeighborFlag.connected : 0)
  );
}
