/**
 * Random transactions over all kinds: valid ones, worked out against the objects that there are, and invalid ones of
 * many sorts, each with a part that would be valid alone.
 */
import type { JsonObject } from "@bufbuild/protobuf";
import type { Random } from "../../src/base/random.ts";
import { kinds } from "../../src/state/kinds.ts";
import { objectId } from "../../src/state/objects-index.ts";
import { listReferences } from "../../src/state/schema.ts";
import type { ObjectView } from "../../src/state/view.ts";

export interface Transaction {
  readonly put: { readonly kind: string; readonly spec: JsonObject }[];
  readonly delete: { readonly kind: string; readonly name: string }[];
  readonly expectedGeneration?: bigint;
}

/** What the objects there are say about each other. */
export interface Present {
  has(id: string): boolean;
  /** Objects of other ids refer to it. */
  isReferenced(id: string): boolean;
  names(kind: string): readonly string[];
}

export function presentOf(objects: (kind: string) => Iterable<ObjectView>): Present {
  const names = new Map<string, string[]>();
  const referenced = new Set<string>();
  for (const kind of kinds.values()) {
    const list: string[] = [];
    for (const { metadata, spec } of objects(kind.name)) {
      list.push(metadata.name);
      for (const { kind: to, name } of listReferences(kind.desc, spec)) referenced.add(objectId(to, name));
    }
    names.set(kind.name, list);
  }
  return {
    has: (id) => names.get(id.slice(0, id.indexOf("/")))?.includes(id.slice(id.indexOf("/") + 1)) ?? false,
    isReferenced: (id) => referenced.has(id),
    names: (kind) => names.get(kind) ?? [],
  };
}

/** One object of each kind with a name of a small pool; it refers only to what `exists`. */
function objectOf(kind: string, n: number, random: Random, exists: Present): JsonObject {
  const pick = (count: number): number => Math.floor(random() * count);
  const some = (kindOfRef: string): string[] =>
    exists
      .names(kindOfRef)
      .filter(() => pick(2) === 0)
      .slice(0, 2);
  const name = nameOf(kind, n);
  switch (kind) {
    case "Global":
      return { asn: 65001, router_id: `10.0.0.${pick(9) + 1}`, name: `r${pick(9)}`, import: some("Policy") };
    case "Neighbor": {
      const group = exists.names("PeerGroup")[pick(8)];
      return {
        address: name,
        remote_asn: 65002 + pick(9),
        // Nothing answers there: sessions stay down, and no change waits for them.
        passive: true,
        description: `d${pick(100)}`,
        hold_time: `${30 + pick(60)}s`,
        import: some("Policy"),
        export: some("Policy"),
        ...(group ? { peer_group: group } : {}),
      };
    }
    case "PeerGroup":
      return { name, allow_own_as: pick(4), import: some("Policy"), families: ["ipv4-unicast"] };
    case "Policy": {
      const match = { prefix_sets: some("PrefixSet"), community_sets: some("CommunitySet") };
      const sets = { as_path_sets: some("AsPathSet"), neighbor_sets: some("NeighborSet") };
      const more = { origin_asn_sets: some("AsnSet"), next_hop_sets: some("NextHopSet") };
      const set = { local_pref: pick(500), communities_add: [`65001:${pick(99)}`] };
      return { name, statements: [{ name: "s", match: { ...match, ...sets, ...more }, set }] };
    }
    case "PrefixSet":
      return { name, prefixes: [{ prefix: `203.0.${pick(200)}.0/24`, ge: 25, le: 25 + pick(7) }] };
    case "AsPathSet":
      return { name, patterns: [`_${64512 + pick(500)}_`] };
    case "CommunitySet":
      return { name, communities: [`65001:${pick(99)}`, "65002:*"] };
    case "NeighborSet":
      return { name, addresses: [`192.0.2.${pick(200)}`], asns: [65002 + pick(9)] };
    case "AsnSet":
      return { name, asns: [String(64512 + pick(500)), "64512-64600"] };
    case "NextHopSet":
      return { name, addresses: [`192.0.2.${pick(200)}`] };
    case "Keychain":
      return { name, keys: [{ id: "k", send_id: pick(255), receive_id: 1, secret: `s${pick(999)}` }] };
    case "BmpCollector":
      return { name, host: `192.0.2.${pick(200)}`, loc_rib: true, statistics_interval: `${1 + pick(90)}s` };
    case "RpkiCache":
      return { name, host: `192.0.2.${1 + pick(200)}`, preference: pick(255), shutdown: pick(2) === 0 };
    case "MrtDump":
      return { name, path: `rib.%Y%m%d.${pick(9)}.gz`, max_files: 1 + pick(9) };
    case "DynamicRange": {
      const range = { prefix: `10.${n}.0.0/16`, remote_asns: ["any"], max_neighbors: 1 + pick(9) };
      return { name, ...range, peer_group: exists.names("PeerGroup")[0] };
    }
    case "Interface":
      return { name, ifname: `if${n}`, mtu: 1400 + pick(100), admin_up: pick(2) === 0 };
    case "IPv4StaticAddress":
      return { name, interface: exists.names("Interface")[0], address: `10.9.${n}.${1 + pick(200)}/24` };
    case "IPv6StaticAddress":
      return { name, interface: exists.names("Interface")[0], address: `2001:db8:${n}::${1 + pick(200)}/64` };
    case "IPv4Route":
      return { name, destination: `10.${n}.0.0/16`, hops: [{ gateway: `192.0.2.${1 + pick(200)}` }] };
    case "IPv6Route":
      return { name, destination: `2001:db8:${n}::/48`, type: "ROUTE_TYPE_BLACKHOLE", metric: 1 + pick(99) };
    case "Sysctl":
      return { name, key: `net.ipv4.conf.if${n}.rp_filter`, value: String(pick(3)) };
    case "SysctlProfile":
      return { name, profile: pick(2) === 0 ? "SYSCTL_BUNDLE_HOST" : "SYSCTL_BUNDLE_ROUTER" };
    case "FibTable":
      return { name, table: 1000 + n, metric: 1 + pick(99), max_routes: 10 + pick(9) };
    case "EgressRoutePolicy":
      return {
        name,
        candidates: [
          { name: "a", interface: exists.names("Interface")[0], weight: 1 + pick(99) },
          { name: "b", table: 1000 + pick(99) },
        ],
        up_delay: `${pick(20)}s`,
      };
    case "FlowSpecFilter":
      return { name, max_rules: 10 + pick(99), families: [`ipv${pick(2) === 0 ? 4 : 6}-flowspec`] };
    case "HealthCheck":
      return { name, targets: [`192.0.2.${1 + pick(200)}`], interval: `${3 + pick(60)}s`, fall: 1 + pick(5) };
    case "Redistribute":
      return { name, protocols: [10 + pick(9)], policy: some("Policy")[0] ?? "", med: pick(99) };
    case "AddressSet":
      return { name, cidrs: [`203.0.${pick(200)}.0/24`] };
    case "NAT44Rule":
      return {
        name,
        type: "NAT44_TYPE_MASQUERADE",
        egress_interface: exists.names("Interface")[0],
        source_cidrs: [`10.${pick(200)}.0.0/16`],
      };
    case "FirewallZone":
      return { name, interfaces: exists.names("Interface").slice(n, n + 1), description: `d${pick(100)}` };
    case "FirewallPolicy":
      return { name, from_zone: exists.names("FirewallZone")[0], action: "FIREWALL_ACTION_DROP" };
    case "FirewallRule":
      return {
        name,
        priority: 1 + pick(99),
        protocol: "FIREWALL_PROTOCOL_TCP",
        action: "FIREWALL_ACTION_ACCEPT",
      };
    default:
      throw new Error(`no random ${kind}: add one to test/transactions/random.ts`);
  }
}

const pool = 4;

function nameOf(kind: string, n: number): string {
  if (kind === "Global") return "global";
  return kind === "Neighbor" ? `10.0.0.${n + 10}` : `${kind.toLowerCase()}-${n}`;
}

/** What has to be there before an object of the kind can be. */
const needs: Readonly<Record<string, string>> = {
  Neighbor: "Global",
  DynamicRange: "PeerGroup",
  IPv4StaticAddress: "Interface",
  IPv6StaticAddress: "Interface",
  NAT44Rule: "Interface",
  EgressRoutePolicy: "Interface",
  FirewallPolicy: "FirewallZone",
};

/** Puts and deletes that are valid together on what is there. */
export function validTransaction(random: Random, present: Present): Transaction {
  const pick = (count: number): number => Math.floor(random() * count);
  const transaction: Transaction = { put: [], delete: [] };
  const touched = new Set<string>();
  const gone = new Set<string>();
  const remaining: Present = {
    ...present,
    names: (kind) => present.names(kind).filter((name) => !gone.has(objectId(kind, name))),
  };
  const names = [...kinds.keys()];
  for (let i = 1 + pick(4); i > 0; i--) {
    const kind = names[pick(names.length)];
    const n = pick(pool);
    const id = objectId(kind, nameOf(kind, n));
    if (touched.has(id)) continue;
    touched.add(id);
    if (kind !== "Global" && present.has(id) && !present.isReferenced(id) && pick(3) === 0) {
      // What is put in the same transaction may not come to refer to it: from here on it is gone.
      gone.add(id);
      transaction.delete.push({ kind, name: nameOf(kind, n) });
      continue;
    }
    if (needs[kind] && remaining.names(needs[kind]).length === 0) continue;
    transaction.put.push({ kind, spec: objectOf(kind, n, random, remaining) });
  }
  const refers = JSON.stringify(transaction.put);
  const kept = transaction.delete.filter(({ name }) => !refers.includes(`"${name}"`));
  return { put: transaction.put, delete: kept };
}

/** Reasons for which a transaction is refused; each is added to one that would be valid. */
export const faults: Readonly<
  Record<string, (base: Transaction, random: Random, present: Present) => Transaction | undefined>
> = {
  "unknown kind": (base) => withPut(base, "Neighbour", { address: "10.9.9.9" }),
  "unknown field": (base) => withPut(base, "PrefixSet", { name: "x", prefixs: [] }),
  "wrong type": (base) => withPut(base, "Neighbor", { address: "10.9.9.9", remote_asn: "many" }),
  "out of bounds": (base) => withPut(base, "Neighbor", { address: "10.9.9.9", remote_asn: 0 }),
  "wrong format": (base) => withPut(base, "PrefixSet", { name: "x", prefixes: [{ prefix: "10.0.0.1/8" }] }),
  "missing field": (base) => withPut(base, "PrefixSet", { prefixes: [] }),
  "dangling reference": (base) =>
    withPut(base, "PeerGroup", { name: "x", import: [`nobody-${base.put.length}`] }),
  "cycle of calls": (base) =>
    withPut(withPut(base, "Policy", { name: "a", statements: [{ call: "b" }] }), "Policy", {
      name: "b",
      statements: [{ call: "a" }],
    }),
  "put twice": (base) =>
    withPut(withPut(base, "AsnSet", { name: "x" }), "AsnSet", { name: "x", asns: ["1"] }),
  "put and deleted": (base) => withDelete(withPut(base, "AsnSet", { name: "x" }), "AsnSet", "x"),
  "delete what is not there": (base) => withDelete(base, "AsnSet", "nothing"),
  "delete what cannot go": (base) => withDelete(base, "Global", "global"),
  "delete what is referenced": (base, _random, present) => {
    const refers = JSON.stringify(base.put);
    for (const kind of kinds.keys()) {
      for (const name of present.names(kind)) {
        // The rest of the transaction could take the reference away.
        const isFree = !refers.includes(name) && base.put.length === 0 && base.delete.length === 0;
        if (kind !== "Global" && isFree && present.isReferenced(objectId(kind, name)))
          return withDelete(base, kind, name);
      }
    }
    return undefined;
  },
  "stale generation": (base) => ({ ...withPut(base, "AsnSet", { name: "x" }), expectedGeneration: 999_999n }),
};

function withPut(base: Transaction, kind: string, spec: JsonObject): Transaction {
  return { ...base, put: [...base.put, { kind, spec }] };
}

function withDelete(base: Transaction, kind: string, name: string): Transaction {
  return { ...base, delete: [...base.delete, { kind, name }] };
}

/** As a request of ConfigService. */
export function requestOf({ put, delete: gone, expectedGeneration = 0n }: Transaction) {
  return {
    source: { source: { case: "ops" as const, value: { put, delete: gone } } },
    expectedGeneration,
  };
}
