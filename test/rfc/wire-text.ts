/**
 * UPDATE messages as text and back, written from RFC 4271 4.3 and RFC 4760 alone: the tests of routing rules read what
 * cairn sends with this instead of with cairn's own decoder.
 */
import assert from "node:assert/strict";
import { formatIp, parseIp, parsePrefix } from "../../src/base/ip.ts";
import { toHex } from "../support/wire.ts";

/** A route's attributes for people. What is undefined was not there. */
export interface RouteText {
  readonly origin?: "igp" | "egp" | "incomplete";
  /** `65001 65002 {65003 65004} (65005) [65006]`: sequence, set, and those of a confederation. */
  readonly path?: string;
  /** AS4_PATH, in the same way. */
  readonly as4Path?: string;
  /** One address, or a global and a link-local one with a blank between. */
  readonly nextHop?: string;
  readonly med?: number;
  readonly localPref?: number;
  readonly atomicAggregate?: boolean;
  /** `65001 10.0.0.1`. */
  readonly aggregator?: string;
  readonly as4Aggregator?: string;
  /** `65001:1 65001:2`. */
  readonly communities?: string;
  readonly originatorId?: string;
  readonly clusterList?: string;
  /** Values in hexadecimal, eight (twelve) bytes each. */
  readonly extended?: string;
  readonly large?: string;
  /** Whole attributes in hexadecimal, that the fields above do not cover. */
  readonly other?: string;
  /** Hexadecimal NLRI for MP_REACH_NLRI of IPv6 unicast, when announcing. */
  readonly mpPrefixes?: string;
  /** Number of segments of AS_PATH, when read. */
  readonly segments?: number;
}

export interface Announced {
  readonly withdrawn: readonly string[];
  readonly reach: readonly string[];
  readonly route: RouteText;
  /** Attribute type codes in the order in which they stood. */
  readonly types: readonly number[];
  /** Flags by type code. */
  readonly flags: Readonly<Record<number, number>>;
  readonly endOfRib: boolean;
}

const origins = ["igp", "egp", "incomplete"] as const;

/** The path attributes of an UPDATE in hexadecimal, with AS numbers of `asBytes`. */
export function attributesHex(route: RouteText, asBytes: 2 | 4): string {
  const { nextHop = "" } = route;
  const hop = nextHop === "" ? "" : nextHop.split(" ").map(ipHex).join("");
  const parts = [
    route.origin === undefined ? "" : attribute(0x40, 1, number(origins.indexOf(route.origin), 1)),
    route.path === undefined ? "" : attribute(0x40, 2, pathHex(route.path, asBytes)),
    hop === "" || route.mpPrefixes !== undefined ? "" : attribute(0x40, 3, hop),
    route.med === undefined ? "" : attribute(0x80, 4, number(route.med, 4)),
    route.localPref === undefined ? "" : attribute(0x40, 5, number(route.localPref, 4)),
    route.atomicAggregate ? attribute(0x40, 6, "") : "",
    route.aggregator === undefined ? "" : attribute(0xc0, 7, aggregatorHex(route.aggregator, asBytes)),
    route.communities === undefined ? "" : attribute(0xc0, 8, communitiesHex(route.communities)),
    route.originatorId === undefined ? "" : attribute(0x80, 9, ipHex(route.originatorId)),
    route.clusterList === undefined
      ? ""
      : attribute(0x80, 10, route.clusterList.split(" ").map(ipHex).join("")),
    route.mpPrefixes === undefined
      ? ""
      : attribute(0x80, 14, `000201${number(hop.length / 2, 1)}${hop}00${route.mpPrefixes}`),
    route.extended === undefined ? "" : attribute(0xc0, 16, route.extended),
    route.as4Path === undefined ? "" : attribute(0xc0, 17, pathHex(route.as4Path, 4)),
    route.as4Aggregator === undefined ? "" : attribute(0xc0, 18, aggregatorHex(route.as4Aggregator, 4)),
    route.large === undefined ? "" : attribute(0xc0, 32, route.large),
    route.other ?? "",
  ];
  return parts.join("");
}

function attribute(flags: number, type: number, value: string): string {
  const digits = value.replace(/\s+/g, "");
  const length = digits.length / 2;
  const head = length > 255 ? number(flags | 0x10, 1) : number(flags, 1);
  return head + number(type, 1) + number(length, length > 255 ? 2 : 1) + digits;
}

function number(value: number, bytes: number): string {
  return value.toString(16).padStart(bytes * 2, "0");
}

function ipHex(text: string): string {
  return toHex(parseIp(text)!);
}

function pathHex(text: string, asBytes: 2 | 4): string {
  const segments = text.match(/\{[^}]*\}|\([^)]*\)|\[[^\]]*\]|[\d ]+/g) ?? [];
  let hex = "";
  for (const segment of segments) {
    const asns = (segment.match(/\d+/g) ?? []).map(Number);
    if (asns.length === 0) continue;
    const type = Math.max(0, "{ ([".indexOf(segment[0]));
    hex += number(/\d/.test(segment[0]) ? 2 : type + 1, 1) + number(asns.length, 1);
    for (const asn of asns) hex += number(asn, asBytes);
  }
  return hex;
}

function aggregatorHex(text: string, asBytes: 2 | 4): string {
  const [asn, address] = text.split(" ");
  return number(Number(asn), asBytes) + ipHex(address);
}

function communitiesHex(text: string): string {
  return text
    .split(" ")
    .map((community) => {
      const [high, low] = community.split(":").map(Number);
      return number(high, 2) + number(low, 2);
    })
    .join("");
}

/** NLRI of prefixes in hexadecimal; `ID PREFIX` is one with a path identifier. */
export function nlriHex(prefixes: string | readonly string[]): string {
  const list = typeof prefixes === "string" ? [prefixes] : prefixes;
  return list
    .map((text) => {
      const [address, id] = text.split(" ").reverse();
      const prefix = parsePrefix(address);
      assert.ok(typeof prefix !== "string", `${text}: ${String(prefix)}`);
      const head = id === undefined ? "" : number(Number(id), 4);
      return head + number(prefix.length, 1) + toHex(prefix.bytes, 0, (prefix.length + 7) >> 3);
    })
    .join("");
}

/**
 * Reads a whole UPDATE; anything that is not well formed fails the test.
 * @param pathIds IPv4 NLRI has path identifiers (RFC 7911); prefixes are then `ID PREFIX`
 */
export function readUpdate(bytes: Uint8Array, asBytes: 2 | 4, pathIds = false): Announced {
  const u16 = (at: number): number => (bytes[at] << 8) | bytes[at + 1];
  const withdrawnEnd = 21 + u16(19);
  const attributesEnd = withdrawnEnd + 2 + u16(withdrawnEnd);
  const withdrawn = readPrefixes(bytes, 21, withdrawnEnd, 4, pathIds);
  const reach = readPrefixes(bytes, attributesEnd, bytes.length, 4, pathIds);
  const types: number[] = [];
  const flags: Record<number, number> = {};
  const route: Record<string, unknown> = {};
  let other = "";
  let emptyUnreach = false;
  for (let at = withdrawnEnd + 2; at < attributesEnd; ) {
    const extended = (bytes[at] & 0x10) !== 0;
    const length = extended ? u16(at + 2) : bytes[at + 2];
    const value = bytes.subarray(at + (extended ? 4 : 3), at + (extended ? 4 : 3) + length);
    const type = bytes[at + 1];
    const next = at + (extended ? 4 : 3) + length;
    assert.ok(next <= attributesEnd, "an attribute runs past the end");
    assert.equal(bytes[at] & 0x0f, 0, "unused flag bits are zero when sent");
    if (type !== 14 && type !== 15)
      assert.equal(extended, length > 255, "Extended Length where it is needed");
    assert.ok(!types.includes(type), `attribute ${type} twice`);
    types.push(type);
    flags[type] = bytes[at] & 0xe0;
    if (type === 14 || type === 15) assert.equal(types.length, 1, "RFC 7606 5.1: MP attributes come first");
    if (type === 14 && value[2] === 133) {
      assert.equal(toHex(value, 3, 5), "0000", "RFC 8955 4: no next hop");
      reach.push(...readRules(value, 5));
    } else if (type === 15 && value[2] === 133) {
      emptyUnreach = value.length === 3;
      withdrawn.push(...readRules(value, 3));
    } else if (type === 14) {
      assert.equal(toHex(value, 0, 3), "000201");
      const hop = value.subarray(4, 4 + value[3]);
      route.nextHop = [hop.subarray(0, 16), hop.subarray(16)]
        .filter((a) => a.length > 0)
        .map((a) => formatIp(a))
        .join(" ");
      reach.push(...readPrefixes(value, 5 + value[3], value.length, 16));
    } else if (type === 15) {
      emptyUnreach = value.length === 3;
      withdrawn.push(...readPrefixes(value, 3, value.length, 16));
    } else if (!readAttribute(type, value, asBytes, route)) other += toHex(bytes, at, next);
    at = next;
  }
  if (other !== "") route.other = other;
  assert.ok(reach.length === 0 || withdrawn.length === 0, "RFC 7606 5.1: one kind of NLRI in a message");
  const nothing = withdrawn.length === 0 && reach.length === 0;
  const endOfRib = nothing && (types.length === 0 || (emptyUnreach && types.length === 1));
  return { withdrawn, reach, route, types, flags, endOfRib };
}

/** NLRI of rules (RFC 8955 4.1) as `flow4 VALUE`, in hexadecimal, or `flow6 VALUE`. */
function readRules(value: Uint8Array, from: number): string[] {
  const rules: string[] = [];
  for (let at = from; at < value.length; ) {
    const isLong = value[at] >= 0xf0;
    const length = isLong ? ((value[at] & 15) << 8) | value[at + 1] : value[at];
    at += isLong ? 2 : 1;
    assert.ok(at + length <= value.length, "a rule is cut off");
    rules.push(`flow${value[1] === 1 ? 4 : 6} ${toHex(value, at, at + length)}`);
    at += length;
  }
  return rules;
}

/** NLRI of such rules. */
export function rulesHex(rules: readonly string[]): string {
  return rules
    .map((rule) => {
      const [, value] = rule.split(" ");
      const length = value.length / 2;
      return (length < 0xf0 ? number(length, 1) : number(0xf000 | length, 2)) + value;
    })
    .join("");
}

function readAttribute(
  type: number,
  value: Uint8Array,
  asBytes: 2 | 4,
  route: Record<string, unknown>,
): boolean {
  const view = new DataView(value.buffer, value.byteOffset, value.length);
  switch (type) {
    case 1:
      route.origin = origins[value[0]];
      return true;
    case 2:
      Object.assign(route, readPath(view, asBytes));
      return true;
    case 3:
      route.nextHop = formatIp(value);
      return true;
    case 4:
      route.med = view.getUint32(0);
      return true;
    case 5:
      route.localPref = view.getUint32(0);
      return true;
    case 6:
      route.atomicAggregate = true;
      return true;
    case 7:
      route.aggregator = readAggregator(view, asBytes);
      return true;
    case 8:
      route.communities = chunks(value, 4)
        .map((each) => `${(each[0] << 8) | each[1]}:${(each[2] << 8) | each[3]}`)
        .join(" ");
      return true;
    case 9:
      route.originatorId = formatIp(value);
      return true;
    case 10:
      route.clusterList = chunks(value, 4)
        .map((each) => formatIp(each))
        .join(" ");
      return true;
    case 16:
      route.extended = toHex(value);
      return true;
    case 17:
      route.as4Path = readPath(view, 4).path;
      return true;
    case 18:
      route.as4Aggregator = readAggregator(view, 4);
      return true;
    case 32:
      route.large = toHex(value);
      return true;
    default:
      return false;
  }
}

function readPath(view: DataView, asBytes: 2 | 4): { path: string; segments: number } {
  const parts: string[] = [];
  for (let at = 0; at < view.byteLength; ) {
    const type = view.getUint8(at);
    const count = view.getUint8(at + 1);
    assert.ok(count > 0 && type >= 1 && type <= 4, `segment of type ${type} with ${count} numbers`);
    at += 2;
    const asns: number[] = [];
    for (let i = 0; i < count; i++, at += asBytes) {
      asns.push(asBytes === 2 ? view.getUint16(at) : view.getUint32(at));
    }
    const [opens, closes] = [
      ["{", "}"],
      ["", ""],
      ["(", ")"],
      ["[", "]"],
    ][type - 1];
    parts.push(`${opens}${asns.join(" ")}${closes}`);
  }
  return { path: parts.join(" "), segments: parts.length };
}

function readAggregator(view: DataView, asBytes: 2 | 4): string {
  assert.equal(view.byteLength, asBytes + 4);
  const asn = asBytes === 2 ? view.getUint16(0) : view.getUint32(0);
  return `${asn} ${[0, 1, 2, 3].map((i) => view.getUint8(asBytes + i)).join(".")}`;
}

function chunks(bytes: Uint8Array, size: number): Uint8Array[] {
  assert.equal(bytes.length % size, 0);
  return Array.from({ length: bytes.length / size }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
}

function readPrefixes(
  bytes: Uint8Array,
  from: number,
  end: number,
  addressBytes: 4 | 16,
  pathIds = false,
): string[] {
  const prefixes: string[] = [];
  for (let at = from; at < end; ) {
    const id = pathIds ? `${new DataView(bytes.buffer, bytes.byteOffset + at, 4).getUint32(0)} ` : "";
    at += pathIds ? 4 : 0;
    const length = bytes[at];
    const size = (length + 7) >> 3;
    assert.ok(length <= addressBytes * 8 && at + 1 + size <= end, "a prefix is cut off");
    const address = new Uint8Array(addressBytes);
    address.set(bytes.subarray(at + 1, at + 1 + size));
    prefixes.push(`${id}${formatIp(address)}/${length}`);
    at += 1 + size;
  }
  return prefixes;
}
