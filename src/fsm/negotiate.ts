/**
 * The two OPENs: what we offer, whether theirs is acceptable to this neighbor's configuration (RFC 4271 6.2), and what
 * both together agree on. The codec has judged all that needs no configuration (version, hold time, identifier 0).
 */
import { limits } from "../base/limits.ts";
import { type BgpRole, bgpRoleNames, counterpart } from "../wire/bgp-role.ts";
import {
  type Capability,
  type CapabilityFamily,
  capabilityCode,
  encodeCapability,
} from "../wire/capabilities.ts";
import { type Family, families as knownFamilies } from "../wire/family.ts";
import { noData } from "../wire/message.ts";
import { MessageWriter } from "../wire/message-writer.ts";
import { asTrans, type Open } from "../wire/open.ts";
import { prefixFilterType } from "../wire/orf.ts";
import {
  agreeRestart,
  type RestartAgreement,
  type RestartConfig,
  type RestartMoment,
  restartCapabilities,
  steady,
} from "./graceful-restart.ts";

/** Content of a NOTIFICATION, sent or received. */
export interface Notice {
  readonly code: number;
  readonly subcode: number;
  readonly data: Uint8Array;
  /** Inside a Cease / Hard Reset (RFC 8538); code, subcode and data are those of what stands inside. */
  readonly hardReset?: boolean;
  /** RFC 9003 text, when there is any. */
  readonly shutdownMessage?: string;
  /** One sentence for people about what was wrong. */
  readonly text?: string;
}

export const holdTimerExpired: Notice = { code: 4, subcode: 0, data: noData };
export const sendHoldTimerExpired: Notice = { code: 8, subcode: 0, data: noData };
/** Cease subcodes of RFC 4486 without data. */
export const cease = {
  peerDeconfigured: { code: 6, subcode: 3, data: noData },
  connectionRejected: { code: 6, subcode: 5, data: noData },
  configurationChange: { code: 6, subcode: 6, data: noData },
  collision: { code: 6, subcode: 7, data: noData },
  outOfResources: { code: 6, subcode: 8, data: noData },
  /** RFC 9384. */
  bfdDown: { code: 6, subcode: 10, data: noData },
} as const satisfies Record<string, Notice>;

/** Our side of the negotiation. */
export interface LocalSide extends RestartConfig {
  readonly localAsn: number;
  readonly remoteAsn: number;
  readonly routerId: number;
  readonly holdTimeS: number;
  /** 0: a third of the negotiated hold time. */
  readonly keepaliveTimeS: number;
  readonly families: readonly Family[];
  readonly extendedMessages: boolean;
  /** RFC 9234: our role; undefined tells none. */
  readonly role?: BgpRole | undefined;
  /** Refuse a neighbor that tells no role. */
  readonly strictRole?: boolean;
  /** RFC 7313. */
  readonly enhancedRefresh: boolean;
  /** RFC 7911, by family index; undefined for one path per prefix. */
  readonly addPath: readonly (AddPathOffer | undefined)[];
  /** RFC 5291, by family index; undefined for none. */
  readonly orf: readonly (OutboundFilterOffer | undefined)[];
  /** RFC 8950: IPv4 routes may have an IPv6 next hop. */
  readonly extendedNextHop: boolean;
}

/** What is offered of filters by prefix for one family. */
export interface OutboundFilterOffer {
  readonly receive: boolean;
  /** Not empty: we have one to send. */
  readonly send: string;
}

/** What is offered of RFC 7911 for one family. */
export interface AddPathOffer {
  readonly receive: boolean;
  readonly send: unknown;
}

/** What both OPENs say together. */
export interface Agreement {
  /** Bit `family.index`. */
  readonly families: number;
  readonly fourOctetAs: boolean;
  readonly routeRefresh: boolean;
  /** RFC 7313: a refresh is announced by BoRR and ended by EoRR. */
  readonly enhancedRefresh: boolean;
  readonly restart: RestartAgreement;
  /** RFC 7911: families with path identifiers, one bit each. */
  readonly addPathReceive: number;
  readonly addPathSend: number;
  /** RFC 5291: families in which the neighbor sends us a filter by prefix, and in which it takes ours; one bit each. */
  readonly orfReceive: number;
  readonly orfSend: number;
  /** RFC 8950: families of IPv4 whose next hop may be an IPv6 address, one bit each. */
  readonly extendedNextHop: number;
  readonly extendedMessages: boolean;
  readonly maxMessageBytes: number;
  readonly holdTimeS: number;
  readonly keepaliveS: number;
  readonly remoteRouterId: number;
  readonly remoteAsn: number;
  readonly remoteCapabilities: readonly Capability[];
}

export function localCapabilities(local: LocalSide, moment: RestartMoment = steady): Capability[] {
  const capabilities: Capability[] = local.families.map(({ afi, safi }) => ({
    kind: "multiprotocol",
    afi,
    safi,
  }));
  capabilities.push({ kind: "route-refresh" });
  if (local.enhancedRefresh) capabilities.push({ kind: "enhanced-route-refresh" });
  if (local.extendedMessages) capabilities.push({ kind: "extended-message" });
  if (local.role !== undefined) capabilities.push({ kind: "role", role: local.role });
  capabilities.push({ kind: "four-octet-as", asn: local.localAsn });
  const overIp6 = local.extendedNextHop ? local.families.filter(takesIp6NextHop) : [];
  if (overIp6.length > 0) {
    const list = overIp6.map(({ afi, safi }) => ({ afi, safi, nextHopAfi: 2 }));
    capabilities.push({ kind: "extended-next-hop", families: list });
  }
  const several = local.families.flatMap((family) => {
    const mode = addPathMode(local.addPath[family.index]);
    return mode === 0 ? [] : [{ afi: family.afi, safi: family.safi, mode }];
  });
  if (several.length > 0) capabilities.push({ kind: "add-path", families: several });
  const filters = local.families.flatMap(({ afi, safi, index }) => {
    const mode = orfMode(local.orf[index]);
    return mode === 0 ? [] : [{ afi, safi, type: prefixFilterType, mode }];
  });
  if (filters.length > 0) capabilities.push({ kind: "outbound-route-filtering", filters });
  capabilities.push(...restartCapabilities(local, local.families, moment));
  return capabilities;
}

/**
 * @param twoOctetAsn the My Autonomous System field as received
 * @param moment what our OPEN on this connection said of restarts
 * @returns the agreement, or the NOTIFICATION to refuse the OPEN with
 */
export function negotiate(
  local: LocalSide,
  open: Open,
  twoOctetAsn: number,
  moment: RestartMoment = steady,
): Agreement | Notice {
  const refusal =
    checkAsn(local, open, twoOctetAsn) ?? checkIdentifier(local, open) ?? checkRole(local, open.capabilities);
  if (refusal) return refusal;
  const families = commonFamilies(local.families, open.capabilities);
  if (families === 0) {
    const wanted = local.families.map(({ afi, safi }): Capability => ({ kind: "multiprotocol", afi, safi }));
    return {
      code: 2,
      subcode: 7,
      data: encodeCapabilities(wanted),
      text: `the neighbor offers none of ${local.families.map((family) => family.name).join(", ")}`,
    };
  }
  const extendedMessages = local.extendedMessages && has(open.capabilities, "extended-message");
  const holdTimeS = Math.min(local.holdTimeS, open.holdTimeS);
  return {
    families,
    fourOctetAs: has(open.capabilities, "four-octet-as"),
    routeRefresh: has(open.capabilities, "route-refresh"),
    enhancedRefresh:
      local.enhancedRefresh &&
      has(open.capabilities, "route-refresh") &&
      has(open.capabilities, "enhanced-route-refresh"),
    restart: agreeRestart(local, moment, families, open.capabilities),
    addPathReceive: agreeAddPath(local, families, open.capabilities, receiveBit, sendBit),
    addPathSend: agreeAddPath(local, families, open.capabilities, sendBit, receiveBit),
    orfReceive: agreeOrf(local, families, open.capabilities, receiveBit, sendBit),
    orfSend: agreeOrf(local, families, open.capabilities, sendBit, receiveBit),
    extendedNextHop: agreeExtendedNextHop(local, families, open.capabilities),
    extendedMessages,
    maxMessageBytes: extendedMessages ? limits.messageBytesMaxExtended : limits.messageBytesMax,
    holdTimeS,
    keepaliveS: keepaliveInterval(holdTimeS, local.keepaliveTimeS),
    remoteRouterId: open.routerId,
    remoteAsn: open.asn,
    remoteCapabilities: open.capabilities,
  };
}

/** True when the answer of `negotiate` is a refusal. */
export function isNotice(value: Agreement | Notice): value is Notice {
  return "subcode" in value;
}

/** A capability is in use when both sides offered it; where it names families, one of them in a way that fits. */
export function isNegotiated(capability: Capability, others: readonly Capability[]): boolean {
  return others.some((other) => {
    if (capability.kind === "multiprotocol" && other.kind === "multiprotocol") {
      return isSameFamily(capability, other);
    }
    if (capability.kind === "add-path" && other.kind === "add-path") {
      return capability.families.some((ours) =>
        other.families.some(
          (theirs) =>
            isSameFamily(ours, theirs) && (fits(ours.mode, theirs.mode) || fits(theirs.mode, ours.mode)),
        ),
      );
    }
    return capabilityCode(capability) === capabilityCode(other);
  });
}

function isSameFamily(one: CapabilityFamily, other: CapabilityFamily): boolean {
  return one.afi === other.afi && one.safi === other.safi;
}

/** One side sends several paths and the other takes them. */
function fits(sender: number, receiver: number): boolean {
  return sender <= 3 && receiver <= 3 && (sender & sendBit) !== 0 && (receiver & receiveBit) !== 0;
}

/** RFC 4271 6.2, RFC 6793 4.2.1 and 9: the field and the capability must tell the same AS, and it must be the expected one. */
function checkAsn(local: LocalSide, open: Open, twoOctetAsn: number): Notice | undefined {
  const bad = (text: string): Notice => ({ code: 2, subcode: 2, data: noData, text });
  if (open.asn === 0 || twoOctetAsn === 0) return bad("AS number 0 is reserved (RFC 7607)");
  if (open.asn === asTrans) return bad(`AS ${asTrans} is reserved for AS_TRANS`);
  if (twoOctetAsn !== asTrans && twoOctetAsn !== open.asn) {
    return bad(`My Autonomous System ${twoOctetAsn} contradicts the four-octet AS number ${open.asn}`);
  }
  if (open.asn !== local.remoteAsn)
    return bad(`the neighbor is AS ${open.asn}, configured is AS ${local.remoteAsn}`);
  return undefined;
}

/** RFC 6286 2.2: not zero, and not ours when the session is internal. */
function checkIdentifier(local: LocalSide, open: Open): Notice | undefined {
  if (open.routerId === 0) return { code: 2, subcode: 3, data: noData, text: "BGP identifier is 0.0.0.0" };
  if (open.asn !== local.localAsn || open.routerId !== local.routerId) return undefined;
  return { code: 2, subcode: 3, data: noData, text: "the internal neighbor has our own BGP identifier" };
}

/** RFC 9234 4.2: the pair must be right; in strict mode the neighbor must tell its role. */
function checkRole(local: LocalSide, capabilities: readonly Capability[]): Notice | undefined {
  if (local.role === undefined) return undefined;
  const told = new Set<number>();
  for (const capability of capabilities) if (capability.kind === "role") told.add(capability.role);
  const mismatch = (text: string): Notice => ({ code: 2, subcode: 11, data: noData, text });
  const ours = bgpRoleNames[local.role];
  if (told.size > 1) return mismatch("the neighbor tells more than one role");
  for (const role of told) {
    if (role === counterpart(local.role)) return undefined;
    return mismatch(`the neighbor is ${bgpRoleNames[role] ?? `role ${role}`}, and we are ${ours}`);
  }
  return local.strictRole
    ? mismatch(`the neighbor tells no role, and we are ${ours} in strict mode`)
    : undefined;
}

/** RFC 4760 section 8; a speaker without the capability means IPv4 unicast. */
function commonFamilies(wanted: readonly Family[], capabilities: readonly Capability[]): number {
  let offered = 0;
  let any = false;
  for (const capability of capabilities) {
    if (capability.kind !== "multiprotocol") continue;
    any = true;
    for (const family of knownFamilies) {
      if (family.afi === capability.afi && family.safi === capability.safi) offered |= 1 << family.index;
    }
  }
  if (!any) offered = 1;
  let mask = 0;
  for (const family of wanted) mask |= 1 << family.index;
  return mask & offered;
}

/** Send/Receive of RFC 7911 4 and RFC 5291 5. */
const receiveBit = 1;
const sendBit = 2;

function addPathMode(offer: AddPathOffer | undefined): number {
  return (offer?.receive ? receiveBit : 0) | (offer?.send ? sendBit : 0);
}

/**
 * Families in which we do `ours` and the neighbor `theirs`. Of a family that it names twice the last counts, and a
 * mode that is not defined counts as nothing (RFC 7911 4).
 */
function agreeAddPath(
  local: LocalSide,
  families: number,
  capabilities: readonly Capability[],
  ours: number,
  theirs: number,
): number {
  let mask = 0;
  for (const family of local.families) {
    if ((families & (1 << family.index)) === 0) continue;
    let mode = 0;
    for (const capability of capabilities) {
      if (capability.kind !== "add-path") continue;
      for (const each of capability.families) {
        if (each.afi === family.afi && each.safi === family.safi) mode = each.mode > 3 ? 0 : each.mode;
      }
    }
    const both = (addPathMode(local.addPath[family.index]) & ours) !== 0 && (mode & theirs) !== 0;
    if (both) mask |= 1 << family.index;
  }
  return mask;
}

function orfMode(offer: OutboundFilterOffer | undefined): number {
  return (offer?.receive ? receiveBit : 0) | (offer?.send ? sendBit : 0);
}

/** Families in which we do `ours` and the neighbor `theirs` with filters by prefix (RFC 5291 5, 6). Without ROUTE-REFRESH none. */
function agreeOrf(
  local: LocalSide,
  families: number,
  capabilities: readonly Capability[],
  ours: number,
  theirs: number,
): number {
  if (!has(capabilities, "route-refresh")) return 0;
  let mask = 0;
  for (const { afi, safi, index } of local.families) {
    if ((orfMode(local.orf[index]) & ours) === 0) continue;
    const does = capabilities.some(
      (capability) =>
        capability.kind === "outbound-route-filtering" &&
        capability.filters.some(
          (each) =>
            each.afi === afi &&
            each.safi === safi &&
            each.type === prefixFilterType &&
            each.mode <= 3 &&
            (each.mode & theirs) !== 0,
        ),
    );
    if (does) mask |= 1 << index;
  }
  return mask & families;
}

/** Families of IPv4 for which both sides take an IPv6 next hop (RFC 8950 4). */
function agreeExtendedNextHop(
  local: LocalSide,
  families: number,
  capabilities: readonly Capability[],
): number {
  if (!local.extendedNextHop) return 0;
  let mask = 0;
  for (const family of local.families) {
    const { afi, safi, index } = family;
    const offered = capabilities.some(
      (capability) =>
        capability.kind === "extended-next-hop" &&
        capability.families.some((each) => each.afi === afi && each.safi === safi && each.nextHopAfi === 2),
    );
    if (takesIp6NextHop(family) && offered) mask |= 1 << index;
  }
  return mask & families;
}

function takesIp6NextHop({ afi, nlri }: Family): boolean {
  return afi === 1 && nlri === "prefix";
}

/** RFC 4271 4.4: a third of the hold time, never more often than once per second, none when the hold time is 0. */
function keepaliveInterval(holdTimeS: number, configuredS: number): number {
  if (holdTimeS === 0) return 0;
  const third = Math.max(1, Math.floor(holdTimeS / 3));
  return configuredS > 0 ? Math.min(configuredS, third) : third;
}

function has(capabilities: readonly Capability[], kind: Capability["kind"]): boolean {
  return capabilities.some((capability) => capability.kind === kind);
}

function encodeCapabilities(capabilities: readonly Capability[]): Uint8Array {
  const out = new MessageWriter(64);
  for (const capability of capabilities) encodeCapability(capability, out);
  return out.take();
}
