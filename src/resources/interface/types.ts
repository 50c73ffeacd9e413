/** What each type of interface needs, may have, and asks of the kernel beside what all links have. */
import { base64Text, base64Value } from "../../base/base64.ts";
import { parseIp } from "../../base/ip.ts";
import type { Problem } from "../../base/problem.ts";
import type { Fact } from "../../dataplane/artifact.ts";
import { bondHashPolicies, bondModes, lacpRates } from "../../dataplane/netlink/link-kinds.ts";
import { allowedIpsMax, type WireGuardFacts } from "../../dataplane/netlink/wireguard.ts";
import {
  BondMode,
  type BondSettings,
  type InterfaceSpec,
  InterfaceType,
  type VxlanSettings,
  type WireGuardPeer,
  type WireGuardSettings,
} from "../../gen/cairn/v1/link_kinds_pb.ts";
import { invalid } from "../kind.ts";

/** Fields that only some types have. */
const typedFields = [
  "parent",
  "vlan_id",
  "peer",
  "table",
  "bond",
  "vxlan",
  "wireguard",
  "vlan_filtering",
  "members",
] as const;
type TypedField = (typeof typedFields)[number];

interface TypeRule {
  /** The kind of its link as the kernel spells it; empty for a link that is there already. */
  readonly link: string;
  readonly needs: readonly TypedField[];
  readonly may?: readonly TypedField[];
}

export const types: Readonly<Record<number, TypeRule>> = {
  [InterfaceType.UNSPECIFIED]: { link: "", needs: [] },
  [InterfaceType.PHYSICAL]: { link: "", needs: [] },
  [InterfaceType.BRIDGE]: { link: "bridge", needs: [], may: ["vlan_filtering", "members"] },
  [InterfaceType.VETH]: { link: "veth", needs: ["peer"] },
  [InterfaceType.VLAN]: { link: "vlan", needs: ["parent", "vlan_id"] },
  [InterfaceType.DUMMY]: { link: "dummy", needs: [] },
  [InterfaceType.VRF]: { link: "vrf", needs: ["table"], may: ["members"] },
  [InterfaceType.BOND]: { link: "bond", needs: [], may: ["bond", "members"] },
  [InterfaceType.VXLAN]: { link: "vxlan", needs: ["vxlan"], may: ["parent"] },
  [InterfaceType.WIREGUARD]: { link: "wireguard", needs: ["wireguard"] },
};

/** Types whose links other links can belong to. */
export const masterTypes: readonly InterfaceType[] = [
  InterfaceType.BRIDGE,
  InterfaceType.VRF,
  InterfaceType.BOND,
];

const peersMax = 1000;

/** Fields that the type lacks or has no use for, and settings of a type that do not go together. */
export function checkType(spec: InterfaceSpec, rule: TypeRule): Problem[] {
  const given: Readonly<Record<TypedField, boolean>> = {
    parent: spec.parent !== "",
    vlan_id: spec.vlanId !== undefined,
    peer: spec.peer !== "",
    table: spec.table !== undefined,
    bond: spec.bond !== undefined,
    vxlan: spec.vxlan !== undefined,
    wireguard: spec.wireguard !== undefined,
    vlan_filtering: spec.vlanFiltering !== undefined,
    members: spec.members.length > 0,
  };
  const type = rule.link === "" ? "physical" : rule.link;
  const problems: Problem[] = [];
  for (const field of typedFields) {
    if (!given[field] && rule.needs.includes(field)) {
      problems.push({
        code: "REQUIRED",
        path: field,
        message: `an interface of type ${type} needs ${field}`,
      });
    } else if (given[field] && !rule.needs.includes(field) && !rule.may?.includes(field)) {
      problems.push(invalid(field, `${field} is not for an interface of type ${type}`));
    }
  }
  if (spec.bond) problems.push(...checkBond(spec.bond));
  if (spec.vxlan) problems.push(...checkVxlan(spec.vxlan, given.parent));
  if (spec.wireguard) problems.push(...checkWireGuard(spec.wireguard));
  return problems;
}

/** Facts of the link that the type asks for. @param parent name in the kernel; empty for none */
export function linkFacts(spec: InterfaceSpec, kind: string, parent: string): Record<string, Fact> {
  return {
    kind,
    ...(parent !== "" && { parent }),
    ...(spec.vlanId !== undefined && { vlanId: spec.vlanId }),
    ...(spec.peer !== "" && { peer: spec.peer }),
    ...(spec.table !== undefined && { table: spec.table }),
    ...(kind === "bridge" && { vlanFiltering: spec.vlanFiltering ?? false }),
    ...(kind === "bond" && bondFacts(spec.bond)),
    ...(spec.vxlan && vxlanFacts(spec.vxlan)),
  };
}

// Bonds

const hashingModes: readonly BondMode[] = [BondMode.LACP, BondMode.BALANCE_XOR, BondMode.BALANCE_TLB];

function bondFacts(spec: BondSettings | undefined): Record<string, Fact> {
  const mode = spec?.mode || BondMode.ACTIVE_BACKUP;
  const miimonMs = spec?.miimonMs ?? 100;
  return {
    mode: bondModes[mode - 1],
    miimonMs,
    // The kernel refuses delays, be they zero, when it does not look at the carrier.
    ...(miimonMs > 0 && { upDelayMs: spec?.upDelayMs ?? 0, downDelayMs: spec?.downDelayMs ?? 0 }),
    ...(hashingModes.includes(mode) && { hashPolicy: bondHashPolicies[(spec?.hashPolicy || 1) - 1] }),
    ...(mode === BondMode.LACP && {
      lacpRate: lacpRates[(spec?.lacpRate || 1) - 1],
      minLinks: spec?.minLinks ?? 0,
    }),
  };
}

function checkBond(spec: BondSettings): Problem[] {
  const problems: Problem[] = [];
  const mode = spec.mode || BondMode.ACTIVE_BACKUP;
  const name = bondModes[mode - 1] ?? String(mode);
  const notFor = (field: string): void => {
    problems.push(invalid(`bond.${field}`, `${field} is not for a bond of mode ${name}`, "leave it out"));
  };
  if (spec.hashPolicy !== 0 && !hashingModes.includes(mode)) notFor("hash_policy");
  if (mode !== BondMode.LACP) {
    if (spec.lacpRate !== 0) notFor("lacp_rate");
    if (spec.minLinks !== undefined) notFor("min_links");
  }
  const miimonMs = spec.miimonMs ?? 100;
  for (const [field, delayMs = 0] of [
    ["up_delay_ms", spec.upDelayMs],
    ["down_delay_ms", spec.downDelayMs],
  ] as const) {
    // The kernel would round it, and never hold what was asked for.
    if (delayMs === 0 || (miimonMs > 0 && delayMs % miimonMs === 0)) continue;
    const fix =
      miimonMs === 0 ? "set miimon_ms" : `write ${Math.max(1, Math.round(delayMs / miimonMs)) * miimonMs}`;
    problems.push(invalid(`bond.${field}`, `${delayMs} is no multiple of miimon_ms (${miimonMs})`, fix));
  }
  return problems;
}

// VXLAN

const vxlanPort = 4789;

function vxlanFacts(spec: VxlanSettings): Record<string, Fact> {
  return {
    vni: spec.vni ?? 0,
    remote: spec.remote === "" ? spec.group : spec.remote,
    local: spec.local,
    port: spec.port ?? vxlanPort,
    learning: spec.learning ?? true,
    ttl: spec.ttl ?? 0,
  };
}

function checkVxlan({ local, remote, group }: VxlanSettings, hasParent: boolean): Problem[] {
  const problems: Problem[] = [];
  if (remote !== "" && group !== "") {
    problems.push(invalid("vxlan.group", "a VXLAN has a remote or a group, not both", "leave one out"));
  }
  if (remote !== "" && isMulticast(remote)) {
    problems.push(invalid("vxlan.remote", `${remote} is a multicast group`, "write it as group"));
  }
  if (group !== "" && parseIp(group) && !isMulticast(group)) {
    problems.push(invalid("vxlan.group", `${group} is no multicast group`, "write it as remote"));
  }
  if (group !== "" && !hasParent) {
    problems.push({ code: "REQUIRED", path: "parent", message: "a VXLAN with a group needs parent" });
  }
  const [ours, theirs] = [parseIp(local), parseIp(remote === "" ? group : remote)];
  if (ours && theirs && ours.length !== theirs.length) {
    problems.push(invalid("vxlan.local", `${local} is of another family than the other end`));
  }
  if (ours && isMulticast(local)) problems.push(invalid("vxlan.local", `${local} is no address of a host`));
  return problems;
}

function isMulticast(text: string): boolean {
  const address = parseIp(text);
  if (!address) return false;
  return address.length === 4 ? (address[0] & 0xf0) === 0xe0 : address[0] === 0xff;
}

// WireGuard

/** Keys and peers as the kernel tells them. */
export function wireGuardFacts(spec: WireGuardSettings): WireGuardFacts {
  const peers = [...spec.peers].sort((a, b) => (a.publicKey < b.publicKey ? -1 : 1));
  const endpoints = peers.filter(({ endpoint }) => endpoint !== "");
  return {
    ...(spec.privateKey !== undefined && { privateKey: clamped(spec.privateKey) }),
    ...(spec.listenPort !== undefined && { listenPort: spec.listenPort }),
    mark: spec.mark,
    peers: peers.map(({ publicKey, allowedIps, keepaliveS }) => ({
      publicKey,
      allowedIps: [...allowedIps].sort(),
      keepaliveS,
    })),
    presharedKeys: peers
      .filter(({ presharedKey }) => presharedKey !== undefined)
      .map(({ publicKey, presharedKey }) => `${publicKey} ${presharedKey}`),
    endpoints: Object.fromEntries(endpoints.map(({ publicKey, endpoint }) => [publicKey, endpoint])),
  };
}

/** The kernel keeps a private key with some bits set and others cleared (RFC 7748, section 5). */
function clamped(text: string): string {
  const key = base64Value(text);
  if (key?.length !== 32) return text;
  key[0] &= 248;
  key[31] = (key[31] & 127) | 64;
  return base64Text(key);
}

function checkWireGuard({ privateKey, peers }: WireGuardSettings): Problem[] {
  const problems: Problem[] = [];
  if (privateKey === undefined) {
    problems.push({ code: "REQUIRED", path: "wireguard.private_key", message: "private_key is missing" });
  }
  if (peers.length > peersMax) {
    problems.push(invalid("wireguard.peers", `a WireGuard link has at most ${peersMax} peers`));
  }
  const keys = new Set<string>();
  const networks = new Map<string, number>();
  peers.forEach((peer, i) => {
    const path = `wireguard.peers[${i}]`;
    if (keys.has(peer.publicKey)) {
      problems.push({
        code: "DUPLICATE",
        path: `${path}.public_key`,
        message: `peer ${peer.publicKey} is listed twice`,
      });
    }
    keys.add(peer.publicKey);
    problems.push(...checkNetworks(peer, path, i, networks));
  });
  return problems;
}

/** The kernel gives a network to one peer: the last that asks. */
function checkNetworks(
  { allowedIps }: WireGuardPeer,
  path: string,
  peer: number,
  networks: Map<string, number>,
): Problem[] {
  if (allowedIps.length > allowedIpsMax) {
    const message = `a peer has at most ${allowedIpsMax} networks, not ${allowedIps.length}`;
    return [invalid(`${path}.allowed_ips`, message)];
  }
  const problems: Problem[] = [];
  allowedIps.forEach((network, i) => {
    const other = networks.get(network);
    networks.set(network, peer);
    if (other === undefined) return;
    const message = `${network} belongs to peers[${other}] already`;
    problems.push({ code: "DUPLICATE", path: `${path}.allowed_ips[${i}]`, message });
  });
  return problems;
}
