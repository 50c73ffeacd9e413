/**
 * BGP messages as far as recording needs them, written for the suites alone: nothing here is shared with what is under
 * test. Sessions always have four-octet AS numbers, and no ADD-PATH.
 */
import { isIPv6 } from "node:net";

/** A route as it stood on the wire. Lists are sorted where order means nothing. */
export interface WireRoute {
  readonly prefix: string;
  readonly origin: "igp" | "egp" | "incomplete";
  /** "(65001 65002) 65010 {65030 65031}", confederation sets in []; members of sets sorted. */
  readonly asPath: string;
  readonly nextHop: string;
  readonly med?: number;
  readonly localPref?: number;
  readonly communities?: readonly string[];
  /** "rt:65001:7", "soo:65001:7", or 16 hexadecimal digits. */
  readonly extendedCommunities?: readonly string[];
  readonly largeCommunities?: readonly string[];
  readonly originatorId?: string;
  readonly clusterList?: readonly string[];
  /** Only to Customer (RFC 9234 5). */
  readonly otc?: number;
  /** Accumulated IGP metric (RFC 7311). */
  readonly aigp?: number;
}

export const messageType = { open: 1, update: 2, notification: 3, keepalive: 4 } as const;

/** A message with its header. */
export function message(type: number, body: Buffer): Buffer {
  const header = Buffer.alloc(19, 0xff);
  header.writeUInt16BE(19 + body.length, 16);
  header[18] = type;
  return Buffer.concat([header, body]);
}

export interface OpenFields {
  readonly asn: number;
  readonly routerId: string;
  /** BGP Role (RFC 9234 4.1), when told: 0 provider, 1 rs, 2 rs-client, 3 customer, 4 peer. */
  readonly role?: number;
}

/** OPEN that offers both unicast families, route refresh and four-octet AS numbers; hold time 90 s. */
export function open({ asn, routerId, role }: OpenFields): Buffer {
  const capability = (code: number, ...value: number[]): number[] => [code, value.length, ...value];
  const capabilities = Buffer.from([
    ...capability(1, 0, 1, 0, 1),
    ...capability(1, 0, 2, 0, 1),
    ...capability(2),
    ...capability(65, ...u32(asn)),
    ...(role === undefined ? [] : capability(9, role)),
  ]);
  const head = [4, ...u16(asn > 0xffff ? 23456 : asn), ...u16(90), ...address(routerId)];
  return message(
    messageType.open,
    Buffer.from([...head, capabilities.length + 2, 2, capabilities.length, ...capabilities]),
  );
}

/** UPDATE with one route. IPv4 goes without MP_REACH_NLRI. */
export function announcement(route: WireRoute): Buffer {
  const parts: Buffer[] = [];
  const add = (flags: number, type: number, value: readonly number[]): void => {
    parts.push(Buffer.from([flags | 0x10, type, ...u16(value.length), ...value]));
  };
  const ipv6 = route.prefix.includes(":");
  add(0x40, 1, [["igp", "egp", "incomplete"].indexOf(route.origin)]);
  add(0x40, 2, pathBytes(route.asPath));
  if (!ipv6) add(0x40, 3, address(route.nextHop));
  if (route.med !== undefined) add(0x80, 4, u32(route.med));
  if (route.localPref !== undefined) add(0x40, 5, u32(route.localPref));
  if (route.communities?.length) add(0xc0, 8, route.communities.flatMap(standardBytes));
  if (route.originatorId) add(0x80, 9, address(route.originatorId));
  if (route.clusterList?.length) add(0x80, 10, route.clusterList.flatMap(address));
  if (ipv6) {
    const hop = address(route.nextHop);
    add(0x80, 14, [0, 2, 1, hop.length, ...hop, 0, ...prefixBytes(route.prefix)]);
  }
  if (route.extendedCommunities?.length) add(0xc0, 16, route.extendedCommunities.flatMap(extendedBytes));
  if (route.aigp !== undefined) add(0x80, 26, [1, ...u16(11), ...u32(0), ...u32(route.aigp)]);
  if (route.largeCommunities?.length) {
    add(
      0xc0,
      32,
      route.largeCommunities.flatMap((text) => text.split(":").flatMap((part) => u32(Number(part)))),
    );
  }
  if (route.otc !== undefined) add(0xc0, 35, u32(route.otc));
  const attributes = Buffer.concat(parts);
  const nlri = ipv6 ? [] : prefixBytes(route.prefix);
  return message(
    messageType.update,
    Buffer.concat([Buffer.from([0, 0, ...u16(attributes.length)]), attributes, Buffer.from(nlri)]),
  );
}

/** UPDATE that takes a prefix back. */
export function withdrawal(prefix: string): Buffer {
  const bytes = prefixBytes(prefix);
  if (!prefix.includes(":")) {
    return message(messageType.update, Buffer.from([...u16(bytes.length), ...bytes, 0, 0]));
  }
  const value = [0, 2, 1, ...bytes];
  return message(
    messageType.update,
    Buffer.from([0, 0, ...u16(value.length + 4), 0x90, 15, ...u16(value.length), ...value]),
  );
}

/** End-of-RIB (RFC 4724 2) of IPv4 unicast, or IPv6 unicast. */
export function endOfRib(ipv6: boolean): Buffer {
  return message(
    messageType.update,
    ipv6 ? Buffer.from([0, 0, 0, 6, 0x80, 15, 3, 0, 2, 1]) : Buffer.alloc(4),
  );
}

export interface Update {
  readonly withdrawn: readonly string[];
  readonly announced: readonly WireRoute[];
}

/** Reads the body of an UPDATE. @throws RangeError when it is cut short */
export function readUpdate(body: Buffer): Update {
  const withdrawnEnd = 2 + body.readUInt16BE(0);
  const attributesEnd = withdrawnEnd + 2 + body.readUInt16BE(withdrawnEnd);
  const withdrawn = prefixes(body.subarray(2, withdrawnEnd), false);
  let ipv6: string[] = [];
  let hop6 = "";
  const shared: Record<string, unknown> = { asPath: "", origin: "igp", nextHop: "" };
  for (let at = withdrawnEnd + 2; at < attributesEnd; ) {
    const long = (body[at] & 0x10) !== 0;
    const type = body[at + 1];
    const length = long ? body.readUInt16BE(at + 2) : body[at + 2];
    const start = at + (long ? 4 : 3);
    const value = body.subarray(start, start + length);
    at = start + length;
    if (type === 14 && value[1] === 2) {
      const hopLength = value[3];
      hop6 = addressText(value.subarray(4, 4 + Math.min(16, hopLength)));
      ipv6 = prefixes(value.subarray(5 + hopLength), true);
    } else if (type === 15 && value[1] === 2) withdrawn.push(...prefixes(value.subarray(3), true));
    else Object.assign(shared, attribute(type, value));
  }
  const rest = shared as unknown as Omit<WireRoute, "prefix">;
  return {
    withdrawn,
    announced: [
      ...prefixes(body.subarray(attributesEnd), false).map((prefix) => ({ ...rest, prefix })),
      ...ipv6.map((prefix) => ({ ...rest, prefix, nextHop: hop6 })),
    ],
  };
}

function attribute(type: number, value: Buffer): Partial<WireRoute> {
  switch (type) {
    case 1:
      return { origin: (["igp", "egp", "incomplete"] as const)[value[0]] };
    case 2:
      return { asPath: pathText(value) };
    case 3:
      return { nextHop: addressText(value) };
    case 4:
      return { med: value.readUInt32BE(0) };
    case 5:
      return { localPref: value.readUInt32BE(0) };
    case 8:
      return {
        communities: chunks(value, 4)
          .map((each) => `${each.readUInt16BE(0)}:${each.readUInt16BE(2)}`)
          .sort(),
      };
    case 9:
      return { originatorId: addressText(value) };
    case 10:
      return { clusterList: chunks(value, 4).map(addressText) };
    case 16:
      return { extendedCommunities: chunks(value, 8).map(extendedText).sort() };
    case 26:
      return { aigp: value.readUInt32BE(3) * 2 ** 32 + value.readUInt32BE(7) };
    case 32:
      return {
        largeCommunities: chunks(value, 12)
          .map((each) => [0, 4, 8].map((at) => each.readUInt32BE(at)).join(":"))
          .sort(),
      };
    case 35:
      return { otc: value.readUInt32BE(0) };
    default:
      return {};
  }
}

function standardBytes(text: string): number[] {
  return text.split(":").flatMap((part) => u16(Number(part)));
}

function extendedBytes(text: string): number[] {
  const [kind, asn, value] = text.split(":");
  if (value === undefined) return [...Buffer.from(text, "hex")];
  const subtype = kind === "rt" ? 2 : 3;
  return Number(asn) > 0xffff
    ? [2, subtype, ...u32(Number(asn)), ...u16(Number(value))]
    : [0, subtype, ...u16(Number(asn)), ...u32(Number(value))];
}

function extendedText(bytes: Buffer): string {
  const name = ({ 2: "rt", 3: "soo" } as Record<number, string>)[bytes[1]];
  if (name && bytes[0] === 0) return `${name}:${bytes.readUInt16BE(2)}:${bytes.readUInt32BE(4)}`;
  if (name && bytes[0] === 2) return `${name}:${bytes.readUInt32BE(2)}:${bytes.readUInt16BE(6)}`;
  return bytes.toString("hex");
}

function pathBytes(text: string): number[] {
  const segments = text.match(/\{[^}]*\}|\([^)]*\)|\[[^\]]*\]|[^{}()[\]]+/g) ?? [];
  return segments.flatMap((segment) => {
    const asns = segment.match(/\d+/g)?.map(Number) ?? [];
    const type = opening.indexOf(segment[0]);
    return asns.length === 0 ? [] : [type < 0 ? 2 : type, asns.length, ...asns.flatMap(u32)];
  });
}

/** Brackets of segments by type; a sequence has none. */
const opening = ["", "{", " ", "(", "["];
const closing = ["", "}", " ", ")", "]"];

function pathText(value: Buffer): string {
  const parts: string[] = [];
  for (let at = 0; at < value.length; ) {
    const [type, count] = [value[at], value[at + 1]];
    const asns = Array.from({ length: count }, (_, i) => value.readUInt32BE(at + 2 + i * 4));
    at += 2 + count * 4;
    if (type === 1 || type === 4) asns.sort((a, b) => a - b);
    parts.push((opening[type] + asns.join(" ") + closing[type]).trim());
  }
  return parts.join(" ");
}

function prefixBytes(prefix: string): number[] {
  const [text, length] = prefix.split("/");
  return [Number(length), ...address(text).slice(0, Math.ceil(Number(length) / 8))];
}

function prefixes(bytes: Buffer, ipv6: boolean): string[] {
  const found: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = Math.ceil(bytes[at] / 8);
    const full = Buffer.alloc(ipv6 ? 16 : 4);
    bytes.copy(full, 0, at + 1, at + 1 + size);
    found.push(`${addressText(full)}/${bytes[at]}`);
    at += 1 + size;
  }
  return found;
}

function address(text: string): number[] {
  if (!isIPv6(text)) return text.split(".").map(Number);
  const [head, tail] = text.split("::").map((half) => (half === "" ? [] : half.split(":")));
  const groups = tail ? [...head, ...Array<string>(8 - head.length - tail.length).fill("0"), ...tail] : head;
  return groups.flatMap((group) => u16(Number.parseInt(group, 16)));
}

function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups = chunks(bytes, 2).map((each) => each.readUInt16BE(0).toString(16));
  // The WHATWG parser of URLs writes addresses as RFC 5952 wants them.
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}

function chunks(bytes: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.floor(bytes.length / size) }, (_, i) =>
    bytes.subarray(i * size, (i + 1) * size),
  );
}

function u16(value: number): number[] {
  return [value >>> 8, value & 0xff];
}

function u32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}
