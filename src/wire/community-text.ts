/** Communities as people write them: standard (RFC 1997), extended (RFC 4360, 5668) and large (RFC 8092). */
import { formatIp4, parseIp4 } from "../base/ip.ts";

/** Standard communities with a name (RFC 1997, 3765, 7611, 7999, 8326, 9494). */
export const WellKnownCommunity = {
  gracefulShutdown: 0xffff_0000,
  acceptOwn: 0xffff_0001,
  llgrStale: 0xffff_0006,
  noLlgr: 0xffff_0007,
  blackhole: 0xffff_029a,
  noExport: 0xffff_ff01,
  noAdvertise: 0xffff_ff02,
  noExportSubconfed: 0xffff_ff03,
  noPeer: 0xffff_ff04,
} as const;

const valueByName: ReadonlyMap<string, number> = new Map<string, number>([
  ["graceful-shutdown", WellKnownCommunity.gracefulShutdown],
  ["accept-own", WellKnownCommunity.acceptOwn],
  ["llgr-stale", WellKnownCommunity.llgrStale],
  ["no-llgr", WellKnownCommunity.noLlgr],
  ["blackhole", WellKnownCommunity.blackhole],
  ["no-export", WellKnownCommunity.noExport],
  ["no-advertise", WellKnownCommunity.noAdvertise],
  ["no-export-subconfed", WellKnownCommunity.noExportSubconfed],
  ["no-peer", WellKnownCommunity.noPeer],
]);

const nameByValue: ReadonlyMap<number, string> = new Map(
  [...valueByName].map(([name, value]) => [value, name]),
);

/** `65000:1`, or the name of a well-known one. */
export function formatCommunity(value: number): string {
  return nameByValue.get(value) ?? `${value >>> 16}:${value & 0xffff}`;
}

/** Parses `65000:1` or a name; undefined when it is neither. */
export function parseCommunity(text: string): number | undefined {
  const named = valueByName.get(text.toLowerCase());
  if (named !== undefined) return named;
  const parts = splitNumbers(text, 2, 0xffff);
  return parts && parts[0] * 0x1_0000 + parts[1];
}

export function formatLargeCommunity(parts: readonly [number, number, number]): string {
  return parts.join(":");
}

/** Parses `GLOBAL:LOCAL1:LOCAL2`, each of 32 bits; undefined when it is not of that form. */
export function parseLargeCommunity(text: string): readonly [number, number, number] | undefined {
  return splitNumbers(text, 3, 0xffff_ffff) as readonly [number, number, number] | undefined;
}

const subtypeByName: Readonly<Record<string, number>> = { rt: 2, ro: 3, soo: 3 };
const nameBySubtype: Readonly<Record<number, string>> = { 2: "rt", 3: "ro" };

/**
 * `rt:65000:1`, `rt:192.0.2.1:1`, `rt:4200000000:1`, `ro:...` (route origin), `lb:65000:125000000` (link bandwidth in
 * bytes per second; `lbt:` when it is transitive), else `ext:` and the 16 digits. A four-octet AS below 65536 is written with an L, `rt:65000L:1`,
 * so that text and value stay one to one.
 * @param digits 16 hexadecimal digits
 */
export function formatExtendedCommunity(digits: string): string {
  const lower = digits.toLowerCase();
  const type = Number.parseInt(lower.slice(0, 2), 16);
  const subtype = Number.parseInt(lower.slice(2, 4), 16);
  const field = (from: number, to: number): number => Number.parseInt(lower.slice(from, to), 16);
  if ((type === 0x40 || type === 0) && subtype === 4) {
    const text = `${type === 0 ? "lbt" : "lb"}:${field(4, 8)}:${floatFromBits(field(8, 16))}`;
    return parseExtendedCommunity(text) === lower ? text : `ext:${lower}`;
  }
  const name = nameBySubtype[subtype];
  if (name === undefined || type > 2) return `ext:${lower}`;
  if (type === 0) return `${name}:${field(4, 8)}:${field(8, 16)}`;
  const local = field(12, 16);
  const global = field(4, 12);
  if (type === 1) return `${name}:${formatIp4(global)}:${local}`;
  return `${name}:${global}${global > 0xffff ? "" : "L"}:${local}`;
}

/** Parses what `formatExtendedCommunity` writes, and `soo:` for `ro:`, into 16 digits; undefined when it cannot. */
export function parseExtendedCommunity(text: string): string | undefined {
  const [kind, ...rest] = text.toLowerCase().split(":");
  if (kind === "ext") {
    return rest.length === 1 && /^[0-9a-f]{16}$/.test(rest[0]) ? rest[0] : undefined;
  }
  if (rest.length !== 2) return undefined;
  if (kind === "lb") return parseLinkBandwidth("40", rest[0], rest[1]);
  if (kind === "lbt") return parseLinkBandwidth("00", rest[0], rest[1]);
  const subtype = Object.hasOwn(subtypeByName, kind) ? subtypeByName[kind] : undefined;
  if (subtype === undefined) return undefined;
  const address = parseIp4(rest[0]);
  const wide = rest[0].endsWith("l");
  const asn = parseNumber(wide ? rest[0].slice(0, -1) : rest[0], 0xffff_ffff);
  if (address === undefined && asn === undefined) return undefined;
  const twoOctet = address === undefined && !wide && asn! <= 0xffff;
  const local = parseNumber(rest[1], twoOctet ? 0xffff_ffff : 0xffff);
  if (local === undefined) return undefined;
  if (twoOctet) return `00${hexOf(subtype, 2)}${hexOf(asn!, 4)}${hexOf(local, 8)}`;
  return `${address === undefined ? "02" : "01"}${hexOf(subtype, 2)}${hexOf(address ?? asn!, 8)}${hexOf(local, 4)}`;
}

function parseLinkBandwidth(type: string, asText: string, rateText: string): string | undefined {
  const asn = parseNumber(asText, 0xffff);
  if (asn === undefined || !/^[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?$/.test(rateText)) return undefined;
  const rate = Math.fround(Number(rateText));
  if (!Number.isFinite(rate)) return undefined;
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, rate);
  return `${type}04${hexOf(asn, 4)}${hexOf(view.getUint32(0), 8)}`;
}

function floatFromBits(bits: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, bits);
  return view.getFloat32(0);
}

function splitNumbers(text: string, count: number, max: number): number[] | undefined {
  const parts = text.split(":");
  if (parts.length !== count) return undefined;
  const numbers = parts.map((part) => parseNumber(part, max));
  return numbers.includes(undefined) ? undefined : (numbers as number[]);
}

/** A decimal number without sign or leading zeros, at most `max`. */
function parseNumber(text: string, max: number): number | undefined {
  if (!/^(0|[1-9][0-9]{0,9})$/.test(text)) return undefined;
  const value = Number(text);
  return value > max ? undefined : value;
}

function hexOf(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}
