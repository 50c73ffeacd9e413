/**
 * Addresses whose on-link prefixes overlap: a packet to what is in both could leave over either link. Prefixes either
 * nest or have nothing in common, so one pass in the order of their first address finds all pairs.
 */
import { maskBytes, parseIp } from "../../base/ip.ts";

/** An address on a link. */
export interface PlacedAddress {
  readonly name: string;
  /** ADDRESS/LENGTH */
  readonly address: string;
  readonly device: string;
  /** Routing domain: the VRF that the link belongs to; empty for none. */
  readonly domain: string;
  readonly allowOverlap: boolean;
}

interface Entry {
  readonly placed: PlacedAddress;
  /** First address of the prefix in hexadecimal, so that texts sort as addresses do. */
  readonly first: string;
  readonly length: number;
  readonly bits: string;
}

/** Calls `visit` for each two addresses on different links of one domain whose prefixes overlap, unless one allows it. */
export function eachOverlap(
  addresses: Iterable<PlacedAddress>,
  visit: (outer: PlacedAddress, inner: PlacedAddress) => void,
): void {
  const entries = [...entriesOf(addresses)].sort(
    (a, b) => compare(a.placed.domain, b.placed.domain) || compare(a.first, b.first) || a.length - b.length,
  );
  /** Prefixes around the one that is looked at, the widest first. */
  let around: Entry[] = [];
  for (const entry of entries) {
    if (around.at(-1)?.placed.domain !== entry.placed.domain) around = [];
    while (around.length > 0 && !entry.bits.startsWith(around.at(-1)!.bits)) around.pop();
    for (const { placed } of around) {
      const isMeant = placed.allowOverlap || entry.placed.allowOverlap;
      if (!isMeant && placed.device !== entry.placed.device) visit(placed, entry.placed);
    }
    around.push(entry);
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function* entriesOf(addresses: Iterable<PlacedAddress>): Generator<Entry> {
  for (const placed of addresses) {
    const [host, text] = placed.address.split("/");
    const bytes = parseIp(host)?.slice();
    const length = Number(text);
    // Every link has its own link-local addresses.
    if (!bytes || !(length <= bytes.length * 8) || isLinkLocal(bytes)) continue;
    maskBytes(bytes, length);
    const first = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0")).join("");
    yield { placed, first, length, bits: bits.slice(0, length) };
  }
}

/** fe80::/10 */
function isLinkLocal(bytes: Uint8Array): boolean {
  return bytes.length === 16 && bytes[0] === 0xfe && (bytes[1] & 0xc0) === 0x80;
}
