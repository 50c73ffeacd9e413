/**
 * Capabilities of an OPEN (RFC 5492). One row of the table per capability; whatever has no row is kept raw, so that
 * it can be shown.
 */
import { bgpRoleNames } from "./bgp-role.ts";
import { families } from "./family.ts";
import { hex, readU16, readU32 } from "./message.ts";
import type { MessageWriter } from "./message-writer.ts";

export interface CapabilityFamily {
  readonly afi: number;
  readonly safi: number;
}

export type Capability =
  | { readonly kind: "multiprotocol"; readonly afi: number; readonly safi: number }
  | { readonly kind: "route-refresh" }
  | {
      readonly kind: "extended-next-hop";
      readonly families: readonly (CapabilityFamily & { readonly nextHopAfi: number })[];
    }
  | { readonly kind: "extended-message" }
  | {
      readonly kind: "outbound-route-filtering";
      /** `mode` 1 receive, 2 send, 3 both (RFC 5291 section 5); one entry per family and type of filter. */
      readonly filters: readonly (CapabilityFamily & { readonly type: number; readonly mode: number })[];
    }
  | { readonly kind: "role"; readonly role: number }
  | {
      readonly kind: "graceful-restart";
      readonly restarting: boolean;
      /** RFC 8538: NOTIFICATIONs are covered too. */
      readonly notification: boolean;
      readonly restartTimeS: number;
      readonly families: readonly (CapabilityFamily & { readonly forwarding: boolean })[];
    }
  | { readonly kind: "four-octet-as"; readonly asn: number }
  | {
      readonly kind: "add-path";
      /** `mode` 1 receive, 2 send, 3 both (RFC 7911 section 4); others mean that the family is to be ignored. */
      readonly families: readonly (CapabilityFamily & { readonly mode: number })[];
    }
  | { readonly kind: "enhanced-route-refresh" }
  | {
      readonly kind: "long-lived-graceful-restart";
      readonly families: readonly (CapabilityFamily & {
        readonly forwarding: boolean;
        readonly staleTimeS: number;
      })[];
    }
  | { readonly kind: "fqdn"; readonly host: string; readonly domain: string }
  | { readonly kind: "unknown"; readonly code: number; readonly value: Uint8Array };

export type CapabilityKind = Capability["kind"];

/** Decodes the value `bytes[at, end)` of capability `code`; undefined when it is malformed. */
export function decodeCapability(
  code: number,
  bytes: Uint8Array,
  at: number,
  end: number,
): Capability | undefined {
  const row = byCode.get(code);
  return row ? row.decode(bytes, at, end) : { kind: "unknown", code, value: bytes.slice(at, end) };
}

/** Appends code, length and value. */
export function encodeCapability(capability: Capability, out: MessageWriter): void {
  out.u8(capabilityCode(capability));
  const lengthAt = out.at;
  out.u8(0);
  if (capability.kind === "unknown") out.copy(capability.value);
  else rowOf(capability.kind).encode(capability as never, out);
  out.patchU8(lengthAt, out.at - lengthAt - 1);
}

export function capabilityCode(capability: Capability): number {
  return capability.kind === "unknown" ? capability.code : rowOf(capability.kind).code;
}

/** Name and readable value, for the API and for people. The value is empty where presence says it all. */
export function describeCapability(capability: Capability): { name: string; value: string } {
  if (capability.kind === "unknown") {
    return { name: `unknown-${capability.code}`, value: hex(capability.value) };
  }
  return { name: capability.kind, value: rowOf(capability.kind).describe(capability as never) };
}

/** `ipv4-unicast`, or `AFI/SAFI` in numbers for a family that has no record here. */
export function familyText({ afi, safi }: CapabilityFamily): string {
  return families.find((family) => family.afi === afi && family.safi === safi)?.name ?? `${afi}/${safi}`;
}

type Known = Exclude<CapabilityKind, "unknown">;
type Of<K extends Known> = Extract<Capability, { kind: K }>;

interface CapabilityRow<K extends Known> {
  readonly code: number;
  readonly kind: K;
  decode(bytes: Uint8Array, at: number, end: number): Of<K> | undefined;
  encode(capability: Of<K>, out: MessageWriter): void;
  describe(capability: Of<K>): string;
}

/** Send/Receive of RFC 5291 and RFC 7911. */
const sendReceiveModes: Readonly<Record<number, string>> = { 1: "receive", 2: "send", 3: "send and receive" };

const multiprotocol: CapabilityRow<"multiprotocol"> = {
  code: 1,
  kind: "multiprotocol",
  decode: (bytes, at, end) =>
    end - at === 4 ? { kind: "multiprotocol", afi: readU16(bytes, at), safi: bytes[at + 3] } : undefined,
  encode(capability, out) {
    out.u16(capability.afi);
    out.u8(0);
    out.u8(capability.safi);
  },
  describe: familyText,
};

const extendedNextHop: CapabilityRow<"extended-next-hop"> = {
  code: 5,
  kind: "extended-next-hop",
  decode(bytes, at, end) {
    const list = tuples(at, end, 6, (i) => ({
      afi: readU16(bytes, i),
      safi: readU16(bytes, i + 2),
      nextHopAfi: readU16(bytes, i + 4),
    }));
    return list && { kind: "extended-next-hop", families: list };
  },
  encode(capability, out) {
    for (const family of capability.families) {
      out.u16(family.afi);
      out.u16(family.safi);
      out.u16(family.nextHopAfi);
    }
  },
  describe: ({ families: list }) =>
    list.map((family) => `${familyText(family)} via AFI ${family.nextHopAfi}`).join(", "),
};

const filterTypes: Readonly<Record<number, string>> = { 64: "prefix" };

const outboundRouteFiltering: CapabilityRow<"outbound-route-filtering"> = {
  code: 3,
  kind: "outbound-route-filtering",
  decode(bytes, at, end) {
    const filters: Of<"outbound-route-filtering">["filters"][number][] = [];
    for (let i = at; i < end; ) {
      const next = i + 5 + bytes[i + 4] * 2;
      if (i + 5 > end || next > end) return undefined;
      const family = { afi: readU16(bytes, i), safi: bytes[i + 3] };
      for (let j = i + 5; j < next; j += 2) filters.push({ ...family, type: bytes[j], mode: bytes[j + 1] });
      i = next;
    }
    return { kind: "outbound-route-filtering", filters };
  },
  encode(capability, out) {
    for (const { afi, safi, type, mode } of capability.filters) {
      out.u16(afi);
      out.u8(0);
      out.u8(safi);
      out.u8(1);
      out.u8(type);
      out.u8(mode);
    }
  },
  describe: ({ filters }) =>
    filters
      .map((filter) => {
        const type = filterTypes[filter.type] ?? `type ${filter.type}`;
        return `${familyText(filter)} ${type} ${sendReceiveModes[filter.mode] ?? `mode ${filter.mode}`}`;
      })
      .join(", "),
};

const role: CapabilityRow<"role"> = {
  code: 9,
  kind: "role",
  decode: (bytes, at, end) => (end - at === 1 ? { kind: "role", role: bytes[at] } : undefined),
  encode: (capability, out) => out.u8(capability.role),
  describe: (capability) => bgpRoleNames[capability.role] ?? String(capability.role),
};

const gracefulRestart: CapabilityRow<"graceful-restart"> = {
  code: 64,
  kind: "graceful-restart",
  decode(bytes, at, end) {
    const list = tuples(at + 2, end, 4, (i) => ({
      afi: readU16(bytes, i),
      safi: bytes[i + 2],
      forwarding: (bytes[i + 3] & 0x80) !== 0,
    }));
    if (!list) return undefined;
    return {
      kind: "graceful-restart",
      restarting: (bytes[at] & 0x80) !== 0,
      notification: (bytes[at] & 0x40) !== 0,
      restartTimeS: readU16(bytes, at) & 0x0fff,
      families: list,
    };
  },
  encode(capability, out) {
    const flags = (capability.restarting ? 0x8000 : 0) | (capability.notification ? 0x4000 : 0);
    out.u16(flags | (capability.restartTimeS & 0x0fff));
    for (const family of capability.families) {
      out.u16(family.afi);
      out.u8(family.safi);
      out.u8(family.forwarding ? 0x80 : 0);
    }
  },
  describe(capability) {
    const parts = [`restart time ${capability.restartTimeS} s`];
    if (capability.restarting) parts.push("restarting");
    if (capability.notification) parts.push("notification");
    for (const family of capability.families) {
      parts.push(`${familyText(family)}${family.forwarding ? " (forwarding kept)" : ""}`);
    }
    return parts.join(", ");
  },
};

const fourOctetAs: CapabilityRow<"four-octet-as"> = {
  code: 65,
  kind: "four-octet-as",
  decode: (bytes, at, end) =>
    end - at === 4 ? { kind: "four-octet-as", asn: readU32(bytes, at) } : undefined,
  encode: (capability, out) => out.u32(capability.asn),
  describe: (capability) => String(capability.asn),
};

const addPath: CapabilityRow<"add-path"> = {
  code: 69,
  kind: "add-path",
  decode(bytes, at, end) {
    const list = tuples(at, end, 4, (i) => ({
      afi: readU16(bytes, i),
      safi: bytes[i + 2],
      mode: bytes[i + 3],
    }));
    return list && { kind: "add-path", families: list };
  },
  encode(capability, out) {
    for (const family of capability.families) {
      out.u16(family.afi);
      out.u8(family.safi);
      out.u8(family.mode);
    }
  },
  describe: ({ families: list }) =>
    list
      .map((family) => `${familyText(family)} ${sendReceiveModes[family.mode] ?? `mode ${family.mode}`}`)
      .join(", "),
};

const longLivedGracefulRestart: CapabilityRow<"long-lived-graceful-restart"> = {
  code: 71,
  kind: "long-lived-graceful-restart",
  decode(bytes, at, end) {
    const list = tuples(at, end, 7, (i) => ({
      afi: readU16(bytes, i),
      safi: bytes[i + 2],
      forwarding: (bytes[i + 3] & 0x80) !== 0,
      staleTimeS: readU32(bytes, i + 3) & 0xff_ffff,
    }));
    return list && { kind: "long-lived-graceful-restart", families: list };
  },
  encode(capability, out) {
    for (const family of capability.families) {
      out.u16(family.afi);
      out.u8(family.safi);
      out.u32((family.forwarding ? 0x8000_0000 : 0) | (family.staleTimeS & 0xff_ffff));
    }
  },
  describe: ({ families: list }) =>
    list
      .map(
        (family) =>
          `${familyText(family)} ${family.staleTimeS} s${family.forwarding ? " (forwarding kept)" : ""}`,
      )
      .join(", "),
};

/** draft-walton-bgp-hostname-capability: two counted strings. */
const fqdn: CapabilityRow<"fqdn"> = {
  code: 73,
  kind: "fqdn",
  decode(bytes, at, end) {
    const hostEnd = at + 1 + bytes[at];
    if (end - at < 1 || hostEnd > end) return undefined;
    const domainEnd = hostEnd < end ? hostEnd + 1 + bytes[hostEnd] : hostEnd;
    if (domainEnd > end) return undefined;
    const text = (from: number, to: number): string =>
      new TextDecoder().decode(bytes.subarray(from, to)).replace(/\p{C}/gu, " ");
    return { kind: "fqdn", host: text(at + 1, hostEnd), domain: text(hostEnd + 1, domainEnd) };
  },
  encode(capability, out) {
    for (const text of [capability.host, capability.domain]) {
      const utf8 = new TextEncoder().encode(text).subarray(0, 64);
      out.u8(utf8.length);
      out.copy(utf8);
    }
  },
  describe: ({ host, domain }) => (domain === "" ? host : `${host}.${domain}`),
};

/** A capability whose presence is the message. Some speakers pad the value, which harms nobody. */
function flag<K extends "route-refresh" | "extended-message" | "enhanced-route-refresh">(
  code: number,
  kind: K,
): CapabilityRow<K> {
  return { code, kind, decode: () => ({ kind }) as Of<K>, encode: () => {}, describe: () => "" };
}

const rows: readonly CapabilityRow<never>[] = [
  multiprotocol,
  flag(2, "route-refresh"),
  outboundRouteFiltering,
  extendedNextHop,
  flag(6, "extended-message"),
  role,
  gracefulRestart,
  fourOctetAs,
  addPath,
  flag(70, "enhanced-route-refresh"),
  longLivedGracefulRestart,
  fqdn,
] as never;

const byCode: ReadonlyMap<number, CapabilityRow<never>> = new Map(rows.map((row) => [row.code, row]));
const byKind: ReadonlyMap<string, CapabilityRow<never>> = new Map(rows.map((row) => [row.kind, row]));

function rowOf(kind: Known): CapabilityRow<never> {
  return byKind.get(kind)!;
}

/** Reads equal-sized entries from `[at, end)`; undefined when they do not fill it. */
function tuples<T>(at: number, end: number, size: number, read: (at: number) => T): T[] | undefined {
  if (end < at || (end - at) % size !== 0) return undefined;
  const list: T[] = [];
  for (let i = at; i < end; i += size) list.push(read(i));
  return list;
}
