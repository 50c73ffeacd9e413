/**
 * rtnetlink (linux/rtnetlink.h, if_link.h, if_addr.h): links, addresses and routes to values, and the requests that ask
 * for them. Notifications and answers to dumps are the same messages.
 */
import { maskBytes, type Prefix } from "../../base/ip.ts";
import type { Facts } from "../artifact.ts";
import { type KernelRoute, type Link, type LinkAddress, type RouteHop, routeTypes } from "../kernel-model.ts";
import { readLinkData } from "./link-kinds.ts";
import { eachAttribute, MessageFlag, type NetlinkWriter, read16, read32, readText } from "./wire.ts";

export const RouteMessage = {
  newLink: 16,
  delLink: 17,
  getLink: 18,
  setLink: 19,
  newAddress: 20,
  delAddress: 21,
  getAddress: 22,
  newRoute: 24,
  delRoute: 25,
  getRoute: 26,
  newRule: 32,
  delRule: 33,
  getRule: 34,
  newNextHop: 104,
  delNextHop: 105,
} as const;

/** Multicast groups by number (RTNLGRP_*). */
export const RouteGroup = {
  link: 1,
  ip4Address: 5,
  ip4Route: 7,
  ip4Rule: 8,
  ip6Address: 9,
  ip6Route: 11,
  ip6Rule: 19,
  nextHop: 32,
} as const;

export const AddressFamily = { any: 0, ip4: 2, ip6: 10 } as const;

export const mainTable = 254;

/** Interface flags (IFF_*). */
const flagUp = 0x1;
const flagLoopback = 0x8;
const flagLowerUp = 0x1_0000;

const operStates = ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"] as const;

/** Flags of a next hop (RTNH_F_*): dead, and link down. */
const hopDead = 0x1 | 0x10;

/** A link without its addresses and VLANs, which come in messages of their own. */
export type LinkFacts = Omit<Link, "addresses" | "vlans">;

/** Payload of RTM_NEWLINK or RTM_DELLINK; undefined when it is none, or is about a bridge port and not a link. */
export function readLink(bytes: Uint8Array, at: number, end: number): LinkFacts | undefined {
  if (at + 16 > end || bytes[at] !== AddressFamily.any) return undefined;
  const index = read32(bytes, at + 4);
  const flags = read32(bytes, at + 8);
  let name = "";
  let state = 0;
  let mtu = 0;
  let mac = "";
  let kind = "";
  let parent = 0;
  let data: Facts = {};
  let master = 0;
  let carrier = true;
  eachAttribute(bytes, at + 16, end, (type, from, to) => {
    const length = to - from;
    if (type === 3) name = readText(bytes, from, to);
    else if (type === 4 && length >= 4) mtu = read32(bytes, from);
    else if (type === 1 && length <= 32) mac = hexadecimal(bytes, from, to);
    else if (type === 10 && length >= 4) master = read32(bytes, from);
    else if (type === 16 && length >= 1) state = bytes[from];
    else if (type === 33 && length >= 1) carrier = bytes[from] !== 0;
    else if (type === 5 && length >= 4) parent = read32(bytes, from);
    else if (type === 18) {
      const info = readLinkInfo(bytes, from, to);
      ({ kind, data } = info);
      if (info.parent !== 0) parent = info.parent;
    }
  });
  const operState = operStates[state] ?? "unknown";
  const enabled = (flags & flagUp) !== 0;
  // Drivers without a state are "unknown" and up; one that waits (802.1X) is "dormant" and lets nothing through.
  const runs = operState === "up" || operState === "unknown";
  const up = enabled && carrier && runs && (flags & flagLowerUp) !== 0;
  const loopback = (flags & flagLoopback) !== 0;
  return { index, name, enabled, up, loopback, operState, mtu, mac, kind, master, parent, data };
}

/** IFLA_LINKINFO: the kind of a virtual link, and what the kind tells of it. */
function readLinkInfo(
  bytes: Uint8Array,
  at: number,
  end: number,
): { kind: string; data: Facts; parent: number } {
  let kind = "";
  let info: { data: Facts; parent: number } = { data: {}, parent: 0 };
  eachAttribute(bytes, at, end, (type, from, to) => {
    if (type === 1) kind = readText(bytes, from, to);
    else if (type === 2) info = readLinkData(kind, bytes, from, to);
  });
  return { kind, ...info };
}

function hexadecimal(bytes: Uint8Array, at: number, end: number): string {
  return Array.from(bytes.subarray(at, end), (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

export interface AddressFacts extends LinkAddress {
  /** Index of the link. */
  readonly link: number;
}

/** Payload of RTM_NEWADDR or RTM_DELADDR; undefined when it is none of IPv4 or IPv6. */
export function readAddress(bytes: Uint8Array, at: number, end: number): AddressFacts | undefined {
  if (at + 8 > end) return undefined;
  const size = addressBytes(bytes[at]);
  if (size === 0 || bytes[at + 1] > size * 8) return undefined;
  let address: Uint8Array | undefined;
  let local: Uint8Array | undefined;
  eachAttribute(bytes, at + 8, end, (type, from, to) => {
    if (to - from !== size) return;
    if (type === 1) address = bytes.slice(from, to);
    else if (type === 2) local = bytes.slice(from, to);
  });
  // On a point-to-point link IFA_ADDRESS is the other end.
  const own = local ?? address;
  return own && { link: read32(bytes, at + 4), address: own, length: bytes[at + 1] };
}

/** The destination of RTM_NEWROUTE or RTM_DELROUTE alone, for those who only ask whom it concerns. */
export function readDestination(bytes: Uint8Array, at: number, end: number): Prefix | undefined {
  if (at + 12 > end) return undefined;
  const size = addressBytes(bytes[at]);
  const length = bytes[at + 1];
  if (size === 0 || length > size * 8) return undefined;
  const destination = new Uint8Array(size);
  for (let next = at + 12; next + 4 <= end; ) {
    const attribute = read16(bytes, next);
    if (attribute < 4 || next + attribute > end) break;
    if ((read16(bytes, next + 2) & 0x3fff) === RouteAttribute.destination && attribute - 4 >= size) {
      for (let i = 0; i < size; i++) destination[i] = bytes[next + 4 + i];
      break;
    }
    next += (attribute + 3) & ~3;
  }
  maskBytes(destination, length);
  return { bytes: destination, length };
}

/** Route attributes (RTA_*). */
export const RouteAttribute = {
  destination: 1,
  link: 4,
  gateway: 5,
  metric: 6,
  source: 7,
  multipath: 9,
  table: 15,
  via: 18,
  nextHopObject: 30,
} as const;

/** Payload of RTM_NEWROUTE or RTM_DELROUTE; undefined when it is none of IPv4 or IPv6. */
export function readRoute(bytes: Uint8Array, at: number, end: number): KernelRoute | undefined {
  const destination = readDestination(bytes, at, end);
  if (!destination) return undefined;
  let table = bytes[at + 4];
  let metric = 0;
  let nextHopObject = 0;
  let source: Uint8Array | undefined;
  let several: RouteHop[] = [];
  eachAttribute(bytes, at + 12, end, (type, from, to) => {
    if (type === RouteAttribute.source && isAddress(to - from)) source = bytes.slice(from, to);
    if (type === RouteAttribute.multipath) several = readHops(bytes, from, to);
    if (to - from < 4) return;
    if (type === RouteAttribute.table) table = read32(bytes, from);
    else if (type === RouteAttribute.metric) metric = read32(bytes, from);
    else if (type === RouteAttribute.nextHopObject) nextHopObject = read32(bytes, from);
  });
  const { link, gateway } = readWay(bytes, at + 12, end);
  const dead = (read32(bytes, at + 8) & hopDead) !== 0;
  const one = link !== 0 || gateway ? [{ link, gateway, weight: 1, dead }] : [];
  return {
    destination,
    table,
    protocol: bytes[at + 5],
    metric,
    type: routeTypes[bytes[at + 7]] ?? "unspecified",
    hops: several.length > 0 ? several : one,
    nextHopObject,
    source,
  };
}

function readWay(bytes: Uint8Array, at: number, end: number): Pick<RouteHop, "link" | "gateway"> {
  let link = 0;
  let gateway: Uint8Array | undefined;
  eachAttribute(bytes, at, end, (type, from, to) => {
    if (type === RouteAttribute.link && to - from >= 4) link = read32(bytes, from);
    else if (type === RouteAttribute.gateway && isAddress(to - from)) gateway = bytes.slice(from, to);
    else if (type === RouteAttribute.via && to - from > 2) {
      const size = addressBytes(read16(bytes, from));
      if (size > 0 && to - from === 2 + size) gateway = bytes.slice(from + 2, to);
    }
  });
  return { link, gateway };
}

/** `struct rtnexthop`s: length 2, flags 1, weight less one 1, link 4, attributes. */
function readHops(bytes: Uint8Array, at: number, end: number): RouteHop[] {
  const hops: RouteHop[] = [];
  while (at + 8 <= end) {
    const length = read16(bytes, at);
    if (length < 8 || at + length > end) break;
    const { gateway } = readWay(bytes, at + 8, at + length);
    const dead = (bytes[at + 2] & hopDead) !== 0;
    hops.push({ link: read32(bytes, at + 4), gateway, weight: bytes[at + 3] + 1, dead });
    at += (length + 3) & ~3;
  }
  return hops;
}

function addressBytes(family: number): 0 | 4 | 16 {
  return family === AddressFamily.ip4 ? 4 : family === AddressFamily.ip6 ? 16 : 0;
}

function isAddress(length: number): boolean {
  return length === 4 || length === 16;
}

// Requests

/** Asks for all links. */
export function askLinks(out: NetlinkWriter, sequence: number): void {
  out.begin(RouteMessage.getLink, MessageFlag.request | MessageFlag.dump, sequence);
  for (let i = 0; i < 4; i++) out.u32(0);
  // RTEXT_FILTER_SKIP_STATS: counters are most of a link's bytes.
  out.attribute32(29, 1 << 3);
  out.end();
}

/** Asks for all addresses of links. */
export function askAddresses(out: NetlinkWriter, sequence: number): void {
  out.begin(RouteMessage.getAddress, MessageFlag.request | MessageFlag.dump, sequence);
  out.u32(0);
  out.u32(0);
  out.end();
}

/** Asks for the routes of one table; with `protocol` other than 0 only for those that it made. Needs strict checking. */
export function askRoutes(
  out: NetlinkWriter,
  sequence: number,
  family: number,
  table: number,
  protocol = 0,
): void {
  out.begin(RouteMessage.getRoute, MessageFlag.request | MessageFlag.dump, sequence);
  writeRouteHeader(out, family, 0, protocol, 0);
  out.attribute32(RouteAttribute.table, table);
  out.end();
}

/** Asks which route packets to an address take: the entry of the table, not what was made of it for this address. */
export function askRouteTo(out: NetlinkWriter, sequence: number, address: Uint8Array): void {
  const family = address.length === 4 ? AddressFamily.ip4 : AddressFamily.ip6;
  out.begin(RouteMessage.getRoute, MessageFlag.request | MessageFlag.ack, sequence);
  writeRouteHeader(out, family, address.length * 8, 0, fibMatch);
  out.attribute(RouteAttribute.destination, address);
  out.end();
}

/** RTM_F_FIB_MATCH */
const fibMatch = 0x2000;

export function writeRouteHeader(
  out: NetlinkWriter,
  family: number,
  length: number,
  protocol: number,
  flags: number,
  type = 0,
): void {
  for (const byte of [family, length, 0, 0, 0, protocol, 0, type]) out.u8(byte);
  out.u32(flags);
}
