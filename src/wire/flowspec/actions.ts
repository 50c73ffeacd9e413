/**
 * What is done with the packets of a flow specification: extended communities of RFC 8955 section 7, the IPv6 ones of
 * RFC 8956 section 6 (attribute 25), and redirect to an address (draft-ietf-idr-flowspec-redirect-ip, and the form of its
 * first version that is deployed more widely).
 */
import { assert } from "../../base/assert.ts";
import { formatIp, parseIp } from "../../base/ip.ts";
import { formatExtendedCommunity, parseExtendedCommunity } from "../community-text.ts";
import { hex } from "../message.ts";

export type FlowAction =
  /** At most so many bytes or packets per second; 0 drops all. The AS number only informs (RFC 8955 7.1). */
  | { readonly kind: "rate-bytes" | "rate-packets"; readonly asn: number; readonly rate: number }
  /** `terminal` is the T bit of RFC 8955 7.3: set, later rules are looked at as well. */
  | { readonly kind: "traffic-action"; readonly sample: boolean; readonly terminal: boolean }
  /** Into the VRF that imports this route target: `64500:1`, `4200000000:1`, `192.0.2.1:1`, `[2001:db8::1]:1`. */
  | { readonly kind: "redirect"; readonly target: string }
  /** To the way that leads to this address (4 or 16 bytes); `copy`: a copy of the packets only. */
  | { readonly kind: "redirect-ip"; readonly address: Uint8Array; readonly copy: boolean }
  /** The same with the next hop of the route as address (draft-simpson-idr-flowspec-redirect). */
  | { readonly kind: "redirect-next-hop"; readonly copy: boolean }
  | { readonly kind: "mark"; readonly dscp: number };

/** Actions as communities. */
export interface FlowCommunities {
  /** As in `PathAttributes.extendedCommunities`: 16 hexadecimal digits each. */
  readonly extended: string[];
  /** Value of IPV6_EXTENDED_COMMUNITIES, 20 bytes each; empty for none. */
  readonly ip6Extended: Uint8Array;
}

/** What becomes of a packet when all actions of a rule are taken together; see `decideFlow`. */
export interface FlowDecision {
  /** Bytes per second; 0 drops. */
  readonly bytesPerS: number | undefined;
  /** Packets per second; 0 drops. */
  readonly packetsPerS: number | undefined;
  readonly dscp: number | undefined;
  readonly sample: boolean;
  /** Later rules are looked at as well. */
  readonly continues: boolean;
  readonly redirects: readonly Extract<
    FlowAction,
    { kind: "redirect" | "redirect-ip" | "redirect-next-hop" }
  >[];
}

const Subtype = {
  rateBytes: "8006",
  trafficAction: "8007",
  marking: "8009",
  ratePackets: "800c",
  redirectIp4: "010c",
  redirectNextHop: "0800",
  ip6RedirectIp: "000c",
  ip6Redirect: "000d",
} as const;

/** Route targets as rt-redirect of two-octet AS, IPv4 address and four-octet AS (RFC 8955 7.4). */
const redirectSubtype = "08";
const redirectTypes: Readonly<Record<string, string>> = { "00": "80", "01": "81", "02": "82" };
const targetTypes: Readonly<Record<string, string>> = { "80": "00", "81": "01", "82": "02" };

const ip6CommunityBytes = 20;
const sampleBit = 2;
const terminalBit = 1;
const copyBit = 1;

/** Communities of these actions, in their order. */
export function encodeActions(actions: readonly FlowAction[]): FlowCommunities {
  const extended: string[] = [];
  const ip6: string[] = [];
  for (const action of actions) {
    const digits = digitsOf(action);
    (digits.length === 16 ? extended : ip6).push(digits);
  }
  return { extended, ip6Extended: bytesOf(ip6.join("")) };
}

/**
 * The actions among the communities of a route. Communities that are none, and those whose value cannot be decoded (a rate
 * that is not a number), are passed over, and stay with the route as they are.
 * @param ip6Extended value of IPV6_EXTENDED_COMMUNITIES
 */
export function decodeActions(
  extended: readonly string[],
  ip6Extended: Uint8Array = new Uint8Array(0),
): FlowAction[] {
  const actions = extended.map(actionOf);
  for (let at = 0; at + ip6CommunityBytes <= ip6Extended.length; at += ip6CommunityBytes) {
    actions.push(ip6ActionOf(ip6Extended.subarray(at, at + ip6CommunityBytes)));
  }
  return actions.filter((action) => action !== undefined);
}

/**
 * Takes actions together. RFC 8955 7.7 leaves to implementations which of several that interfere count: here it does not
 * depend on their order. The lowest rate and the lowest DSCP win, bits of traffic-action add up, and of redirects all are
 * told.
 */
export function decideFlow(actions: readonly FlowAction[]): FlowDecision {
  let bytesPerS: number | undefined;
  let packetsPerS: number | undefined;
  let dscp: number | undefined;
  let sample = false;
  let continues = false;
  const redirects: Extract<FlowAction, { kind: "redirect" | "redirect-ip" | "redirect-next-hop" }>[] = [];
  for (const action of actions) {
    switch (action.kind) {
      case "rate-bytes":
        bytesPerS = Math.min(bytesPerS ?? action.rate, action.rate);
        break;
      case "rate-packets":
        packetsPerS = Math.min(packetsPerS ?? action.rate, action.rate);
        break;
      case "traffic-action":
        sample ||= action.sample;
        continues ||= action.terminal;
        break;
      case "mark":
        dscp = Math.min(dscp ?? action.dscp, action.dscp);
        break;
      default:
        redirects.push(action);
    }
  }
  return { bytesPerS, packetsPerS, dscp, sample, continues, redirects };
}

/** Canonical text of a route target to redirect to; undefined when it is none. */
export function parseRedirectTarget(text: string): string | undefined {
  const ip6 = parseIp6Target(text);
  if (ip6) return `[${formatIp(ip6.address)}]:${ip6.local}`;
  const digits = parseExtendedCommunity(`rt:${text}`);
  return digits === undefined ? undefined : formatExtendedCommunity(digits).slice(3);
}

function parseIp6Target(text: string): { address: Uint8Array; local: number } | undefined {
  const parts = /^\[([0-9a-fA-F:.]+)\]:(\d{1,5})$/.exec(text);
  const address = parts ? parseIp(parts[1]) : undefined;
  if (address?.length !== 16 || Number(parts![2]) > 0xffff) return undefined;
  return { address, local: Number(parts![2]) };
}

/** 16 digits, or 40 for the attribute of IPv6. */
function digitsOf(action: FlowAction): string {
  switch (action.kind) {
    case "rate-bytes":
    case "rate-packets":
      return (
        (action.kind === "rate-bytes" ? Subtype.rateBytes : Subtype.ratePackets) +
        digits(action.asn, 4) +
        digits(floatBits(action.rate), 8)
      );
    case "traffic-action": {
      const bits = (action.sample ? sampleBit : 0) | (action.terminal ? terminalBit : 0);
      return Subtype.trafficAction + digits(bits, 12);
    }
    case "mark":
      return Subtype.marking + digits(action.dscp, 12);
    case "redirect": {
      const ip6 = parseIp6Target(action.target);
      if (ip6) return Subtype.ip6Redirect + hex(ip6.address) + digits(ip6.local, 4);
      const target = parseExtendedCommunity(`rt:${action.target}`);
      assert(target !== undefined, "a target is checked before it gets here");
      return redirectTypes[target.slice(0, 2)] + redirectSubtype + target.slice(4);
    }
    case "redirect-ip": {
      const subtype = action.address.length === 4 ? Subtype.redirectIp4 : Subtype.ip6RedirectIp;
      return subtype + hex(action.address) + digits(action.copy ? copyBit : 0, 4);
    }
    case "redirect-next-hop":
      return Subtype.redirectNextHop + digits(action.copy ? copyBit : 0, 12);
  }
}

function actionOf(community: string): FlowAction | undefined {
  const lower = community.toLowerCase();
  const last = Number.parseInt(lower.slice(14), 16);
  switch (lower.slice(0, 4)) {
    case Subtype.rateBytes:
      return rateOf("rate-bytes", lower);
    case Subtype.ratePackets:
      return rateOf("rate-packets", lower);
    case Subtype.trafficAction:
      return {
        kind: "traffic-action",
        sample: (last & sampleBit) !== 0,
        terminal: (last & terminalBit) !== 0,
      };
    case Subtype.marking:
      return { kind: "mark", dscp: last & 0x3f };
    case Subtype.redirectIp4:
      return {
        kind: "redirect-ip",
        address: bytesOf(lower.slice(4, 12)),
        copy: (last & copyBit) !== 0,
      };
    case Subtype.redirectNextHop:
      return { kind: "redirect-next-hop", copy: (last & copyBit) !== 0 };
  }
  const type = targetTypes[lower.slice(0, 2)];
  if (type === undefined || lower.slice(2, 4) !== redirectSubtype) return undefined;
  return { kind: "redirect", target: formatExtendedCommunity(`${type}02${lower.slice(4)}`).slice(3) };
}

function ip6ActionOf(bytes: Uint8Array): FlowAction | undefined {
  const address = bytes.slice(2, 18);
  const local = (bytes[18] << 8) | bytes[19];
  switch (hex(bytes.subarray(0, 2))) {
    case Subtype.ip6Redirect:
      return { kind: "redirect", target: `[${formatIp(address)}]:${local}` };
    case Subtype.ip6RedirectIp:
      return { kind: "redirect-ip", address, copy: (local & copyBit) !== 0 };
    default:
      return undefined;
  }
}

/** RFC 8955 7.1: negative rates are zero. */
function rateOf(kind: "rate-bytes" | "rate-packets", community: string): FlowAction | undefined {
  const rate = floatOf(Number.parseInt(community.slice(8), 16));
  if (Number.isNaN(rate) || rate === Number.POSITIVE_INFINITY) return undefined;
  return { kind, asn: Number.parseInt(community.slice(4, 8), 16), rate: rate > 0 ? rate : 0 };
}

const view = new DataView(new ArrayBuffer(4));

function floatBits(value: number): number {
  view.setFloat32(0, value);
  return view.getUint32(0);
}

function floatOf(bits: number): number {
  view.setUint32(0, bits);
  return view.getFloat32(0);
}

function digits(value: number, count: number): string {
  return value.toString(16).padStart(count, "0");
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from({ length: text.length / 2 }, (_, i) =>
    Number.parseInt(text.slice(i * 2, i * 2 + 2), 16),
  );
}
