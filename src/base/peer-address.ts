/**
 * How a neighbor is named: by its address, by a link-local address and the interface that it is on
 * (`fe80::1%eth0`), or by an interface alone whose other end has yet to be found (`eth0`).
 */
import { formatIp, parseIp } from "./ip.ts";

export interface PeerAddress {
  /** 4 or 16 bytes; undefined for an interface alone. */
  readonly bytes: Uint8Array | undefined;
  /** The interface of a link-local address, or the interface alone; empty for any other address. */
  readonly zone: string;
}

/**
 * Reads the name of a neighbor. A zone goes with link-local addresses only, and they do not go without one: what such a
 * text names is not known.
 * @returns undefined when it is none of the three
 */
export function parsePeer(text: string): PeerAddress | undefined {
  const percent = text.indexOf("%");
  const bytes = parseIp(percent < 0 ? text : text.slice(0, percent));
  const zone = percent < 0 ? "" : text.slice(percent + 1);
  if (!bytes) return percent < 0 && isInterfaceAlone(text) ? { bytes: undefined, zone: text } : undefined;
  if (percent >= 0 && !(isLinkLocalAddress(bytes) && isInterfaceName(zone))) return undefined;
  return { bytes, zone };
}

/** Canonical text; the same for all texts that name the same neighbor. */
export function formatPeer({ bytes, zone }: PeerAddress): string {
  if (!bytes) return zone;
  return zone === "" ? formatIp(bytes) : `${formatIp(bytes)}%${zone}`;
}

/** Canonical text of a name, or the text itself when it is none. */
export function canonicalPeer(text: string): string {
  const peer = parsePeer(text);
  return peer ? formatPeer(peer) : text;
}

/** True for fe80::/10. */
export function isLinkLocalAddress(bytes: Uint8Array): boolean {
  return bytes.length === 16 && bytes[0] === 0xfe && (bytes[1] & 0xc0) === 0x80;
}

/** What Linux takes as the name of an interface, without what would not fit our texts. */
export function isInterfaceName(text: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/.test(text);
}

/** An interface alone must begin with a letter, so that a mistyped address is not taken for one. */
function isInterfaceAlone(text: string): boolean {
  return isInterfaceName(text) && /^[A-Za-z]/.test(text);
}
