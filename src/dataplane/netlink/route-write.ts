/**
 * Requests that change links, addresses and routes (linux/rtnetlink.h, if_link.h, if_addr.h). Every one asks for an
 * acknowledgement, so that its error is its own.
 */
import { parseIp } from "../../base/ip.ts";
import type { Fact, Facts } from "../artifact.ts";
import { ownProtocol, routeTypes } from "../kernel-model.ts";
import { vxlanLink, writeLinkData } from "./link-kinds.ts";
import { AddressFamily, RouteAttribute, RouteMessage, writeRouteHeader } from "./route-wire.ts";
import { MessageFlag, type NetlinkWriter } from "./wire.ts";

const { request, ack, create, exclusive, replace } = MessageFlag;

/** What an artifact's operation comes to: make what is not there, make it other than it is, take it away. */
export type WriteVerb = "create" | "update" | "delete";

/** Index of a link by its name; undefined when there is none. */
export type IndexOf = (name: string) => number | undefined;

/** IFLA_* */
const LinkAttribute = { mac: 1, name: 3, mtu: 4, link: 5, master: 10, linkInfo: 18 };
const LinkInfo = { kind: 1, data: 2 };
/** VETH_INFO_PEER */
const vethPeer = 1;
const flagUp = 1;

/** Makes a virtual link. @param parent index of the link that it stands on; 0 for none */
export function writeLink(
  out: NetlinkWriter,
  sequence: number,
  name: string,
  facts: Facts,
  parent: number,
): void {
  out.begin(RouteMessage.newLink, request | ack | create | exclusive, sequence);
  writeLinkHeader(out, 0);
  out.text(LinkAttribute.name, name);
  const { kind } = facts;
  if (parent !== 0 && kind !== "vxlan") out.attribute32(LinkAttribute.link, parent);
  out.nested(LinkAttribute.linkInfo, () => {
    out.text(LinkInfo.kind, String(kind));
    out.nested(LinkInfo.data, () => {
      writeLinkData(out, facts);
      if (parent !== 0 && kind === "vxlan") out.attribute32(vxlanLink, parent);
      if (kind !== "veth") return;
      out.nested(vethPeer, () => {
        writeLinkHeader(out, 0);
        out.text(LinkAttribute.name, String(facts.peer));
      });
    });
  });
  out.end();
}

/** Changes properties of a virtual link that is there. @param only names of the facts that are to change */
export function writeLinkChange(
  out: NetlinkWriter,
  sequence: number,
  index: number,
  facts: Facts,
  only: ReadonlySet<string>,
): void {
  out.begin(RouteMessage.newLink, request | ack, sequence);
  writeLinkHeader(out, index);
  out.nested(LinkAttribute.linkInfo, () => {
    out.text(LinkInfo.kind, String(facts.kind));
    out.nested(LinkInfo.data, () => writeLinkData(out, facts, only));
  });
  out.end();
}

export function writeLinkDelete(out: NetlinkWriter, sequence: number, index: number): void {
  out.begin(RouteMessage.delLink, request | ack, sequence);
  writeLinkHeader(out, index);
  out.end();
}

/** Sets one property of a link. @param indexOf for the master's name; 0 takes the link out of it */
export function writeLinkSetting(
  out: NetlinkWriter,
  sequence: number,
  index: number,
  property: string,
  value: Fact,
  indexOf: IndexOf,
): void {
  out.begin(RouteMessage.newLink, request | ack, sequence);
  const isAdmin = property === "admin";
  writeLinkHeader(out, index, isAdmin && value === "up" ? flagUp : 0, isAdmin ? flagUp : 0);
  if (property === "mtu") out.attribute32(LinkAttribute.mtu, Number(value));
  if (property === "mac") out.attribute(LinkAttribute.mac, macBytes(String(value)));
  if (property === "master") {
    out.attribute32(LinkAttribute.master, value === "" ? 0 : (indexOf(String(value)) ?? 0));
  }
  out.end();
}

function macBytes(text: string): Uint8Array {
  return Uint8Array.from(text.split(":"), (part) => Number.parseInt(part, 16));
}

/** `struct ifinfomsg`: family 1, pad 1, type 2, index 4, flags 4, change 4. */
function writeLinkHeader(out: NetlinkWriter, index: number, flags = 0, change = 0): void {
  for (const word of [0, index, flags, change]) out.u32(word);
}

/** Puts an address on a link, or takes it away. @param text ADDRESS/LENGTH */
export function writeAddress(
  out: NetlinkWriter,
  sequence: number,
  verb: WriteVerb,
  index: number,
  text: string,
): void {
  const [host, length] = text.split("/");
  const address = parseIp(host)!;
  const isDelete = verb === "delete";
  const how = isDelete ? 0 : create | (verb === "create" ? exclusive : replace);
  out.begin(isDelete ? RouteMessage.delAddress : RouteMessage.newAddress, request | ack | how, sequence);
  out.u8(address.length === 4 ? AddressFamily.ip4 : AddressFamily.ip6);
  out.u8(Number(length));
  out.u8(0);
  out.u8(0);
  out.u32(index);
  out.attribute(2, address); // IFA_LOCAL
  out.attribute(1, address); // IFA_ADDRESS
  // As iproute2 does, so that directed broadcasts have an address (RFC 919); /31 has none (RFC 3021).
  if (!isDelete && address.length === 4 && Number(length) < 31)
    out.attribute(4, broadcastOf(address, Number(length)));
  out.end();
}

function broadcastOf(address: Uint8Array, length: number): Uint8Array {
  return address.map((byte, i) => {
    const hostBits = Math.max(0, Math.min(8, (i + 1) * 8 - length));
    return byte | ((1 << hostBits) - 1);
  });
}

/** Key of a route artifact: `TABLE PREFIX METRIC`. */
export function routeKey(table: number, prefix: string, metric: number): string {
  return `${table} ${prefix} ${metric}`;
}

/** Makes a route, replaces the one of this key, or takes ours away: the kernel leaves one of another protocol alone. */
export function writeRoute(
  out: NetlinkWriter,
  sequence: number,
  verb: WriteVerb,
  key: string,
  facts: Facts,
  indexOf: IndexOf,
): void {
  const [table, prefix, metric] = key.split(" ");
  const [host, length] = prefix.split("/");
  const destination = parseIp(host)!;
  const family = destination.length === 4 ? AddressFamily.ip4 : AddressFamily.ip6;
  const isDelete = verb === "delete";
  const how = isDelete ? 0 : create | (verb === "create" ? exclusive : replace);
  out.begin(isDelete ? RouteMessage.delRoute : RouteMessage.newRoute, request | ack | how, sequence);
  const type = isDelete
    ? 0
    : Math.max(1, routeTypes.indexOf(String(facts.type) as (typeof routeTypes)[number]));
  writeRouteHeader(out, family, Number(length), ownProtocol, 0, type);
  if (Number(length) > 0) out.attribute(RouteAttribute.destination, destination);
  out.attribute32(RouteAttribute.table, Number(table));
  out.attribute32(RouteAttribute.metric, Number(metric));
  if (!isDelete) {
    if (facts.source) out.attribute(RouteAttribute.source, parseIp(String(facts.source))!);
    writeHops(out, (facts.hops ?? []) as readonly HopFacts[], destination.length, indexOf);
  }
  out.end();
}

/** A way in the facts of a route. */
export type HopFacts = {
  readonly gateway?: string;
  readonly device?: string;
  readonly weight: number;
};

function writeHops(out: NetlinkWriter, hops: readonly HopFacts[], size: number, indexOf: IndexOf): void {
  if (hops.length === 1) {
    const [hop] = hops;
    writeGateway(out, hop, size);
    if (hop.device) out.attribute32(RouteAttribute.link, indexOf(hop.device) ?? 0);
  } else if (hops.length > 1) {
    out.nested(RouteAttribute.multipath, () => {
      for (const hop of hops) {
        // `struct rtnexthop`: length 2, flags 1, weight less one 1, link 4.
        const at = out.length;
        out.u16(0);
        out.u8(0);
        out.u8(hop.weight - 1);
        out.u32((hop.device && indexOf(hop.device)) || 0);
        writeGateway(out, hop, size);
        const length = out.length - at;
        out.bytes[at] = length & 255;
        out.bytes[at + 1] = length >>> 8;
      }
    });
  }
}

function writeGateway(out: NetlinkWriter, hop: HopFacts, size: number): void {
  if (!hop.gateway) return;
  const gateway = parseIp(hop.gateway)!;
  if (gateway.length === size) out.attribute(RouteAttribute.gateway, gateway);
  else out.attribute(RouteAttribute.via, new Uint8Array([AddressFamily.ip6, 0, ...gateway]));
}
