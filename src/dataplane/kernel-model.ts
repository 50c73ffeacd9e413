/** What cairn knows of the kernel's links and routes: plain data, addresses as 4 or 16 bytes in network order. */
import type { Prefix } from "../base/ip.ts";
import type { Facts } from "./artifact.ts";

export interface LinkAddress {
  readonly address: Uint8Array;
  /** Length of the on-link prefix. */
  readonly length: number;
}

export interface Link {
  readonly index: number;
  readonly name: string;
  /** Administratively up. */
  readonly enabled: boolean;
  /** Enabled, and with a carrier as far as the driver tells: what is sent over it can leave. */
  readonly up: boolean;
  readonly loopback: boolean;
  /** RFC 2863 state by the kernel's name, such as `up`, `lowerlayerdown`. */
  readonly operState: string;
  readonly mtu: number;
  /** Hardware address in hexadecimal with colons; empty for none. */
  readonly mac: string;
  /** Kind of a virtual link (veth, bridge, vlan); empty for hardware. */
  readonly kind: string;
  /** Index of the bridge, bond or VRF that it belongs to; 0 for none. */
  readonly master: number;
  /** Index of the link that it stands on (a VLAN), or of the other end (a veth); 0 for none. */
  readonly parent: number;
  /** What its kind tells of it, as in the facts of a link: the tag of a VLAN, the mode of a bond. */
  readonly data: Facts;
  /** VLANs of a bridge that filters, or of a port of one, each as in `10 pvid untagged`; undefined for all others. */
  readonly vlans: readonly string[] | undefined;
  readonly addresses: readonly LinkAddress[];
}

export const routeTypes = [
  "unspecified",
  "unicast",
  "local",
  "broadcast",
  "anycast",
  "multicast",
  "blackhole",
  "unreachable",
  "prohibit",
  "throw",
  "nat",
  "xresolve",
] as const;
export type RouteType = (typeof routeTypes)[number];

/** One way of a route. */
export interface RouteHop {
  /** Index of the link; 0 where the route names none. */
  readonly link: number;
  /** Undefined when the destination is on the link itself. May be of the other family (RTA_VIA). */
  readonly gateway: Uint8Array | undefined;
  /** From 1. */
  readonly weight: number;
  /** The kernel does not send this way: the link is down or gone. */
  readonly dead: boolean;
}

export interface KernelRoute {
  readonly destination: Prefix;
  /** Table id; 254 is main. */
  readonly table: number;
  /** Who put it there (RTPROT): 2 kernel, 3 boot, 4 static, 186 bgp, ... */
  readonly protocol: number;
  /** Metric, called priority by the kernel: the lower one wins. */
  readonly metric: number;
  readonly type: RouteType;
  /** Several for a multipath route, none for one that discards. */
  readonly hops: readonly RouteHop[];
  /** Id of the nexthop object that the route uses; 0 for none. */
  readonly nextHopObject: number;
  /** Address that the host's own packets get; undefined when the route says none. */
  readonly source: Uint8Array | undefined;
}

/** What the kernel does with packets to an address. */
export interface RouteAnswer {
  readonly address: Uint8Array;
  /** The route that it would use; undefined when there is none. */
  readonly route: KernelRoute | undefined;
}

/** Names of route protocols as iproute2 writes them. */
const protocolNames: Readonly<Record<number, string>> = {
  1: "redirect",
  2: "kernel",
  3: "boot",
  4: "static",
  9: "ra",
  16: "dhcp",
  11: "zebra",
  12: "bird",
  186: "bgp",
  187: "isis",
  188: "ospf",
  189: "rip",
  192: "eigrp",
  196: "zstatic",
  67: "cairn",
  68: "cairn-bgp",
};

/** What routes that cairn declares are marked with (RTPROT), and routes that BGP brings. */
export const ownProtocol = 67;
export const ownBgpProtocol = 68;

/** RTPROT_KERNEL: what follows from an address of a link. */
export const kernelProtocol = 2;

export function protocolName(protocol: number): string {
  return protocolNames[protocol] ?? String(protocol);
}
