/** Which next hops make sense (RFC 4271 6.3, RFC 2545 section 3). Reachability is not judged here. */
import type { MessageWriter } from "./message-writer.ts";

/** What is wrong with the IPv4 next hop at `at`, or empty: it must be an address that a host can have. */
export function ip4NextHopFault(bytes: Uint8Array, at: number): string {
  const first = bytes[at];
  if (first === 0) return "is in 0.0.0.0/8";
  if (first === 127) return "is a loopback address";
  return first >= 224 ? "is a multicast or reserved address" : "";
}

/**
 * Appends the next hop of MP_REACH_NLRI, 4, 16 or 32 bytes at `at`, in canonical form. Of the 32-byte form the second
 * half counts only when it is link-local, and the first only when it is not; so the result is an address of the
 * family, or a global address followed by a link-local one, or a link-local one alone.
 * @returns what is wrong, or empty
 */
export function writeMpNextHop(bytes: Uint8Array, at: number, length: number, out: MessageWriter): string {
  if (length === 4) {
    out.copy(bytes, at, at + 4);
    return prefixed(ip4NextHopFault(bytes, at));
  }
  const hasLinkLocal = length === 32 && isLinkLocal(bytes, at + 16);
  const firstUsable = !isLinkLocal(bytes, at) && !isUnspecified(bytes, at);
  if (hasLinkLocal && !firstUsable) {
    out.copy(bytes, at + 16, at + 32);
    return "";
  }
  out.copy(bytes, at, at + (hasLinkLocal ? 32 : 16));
  return prefixed(ip6NextHopFault(bytes, at));
}

function prefixed(fault: string): string {
  return fault === "" ? "" : `next hop ${fault}`;
}

function ip6NextHopFault(bytes: Uint8Array, at: number): string {
  if (bytes[at] === 0xff) return "is a multicast address";
  if (isUnspecified(bytes, at)) return "is the unspecified address";
  if (bytes[at] !== 0 || bytes[at + 15] !== 1) return "";
  for (let i = at + 1; i < at + 15; i++) if (bytes[i] !== 0) return "";
  return "is the loopback address";
}

/** True for fe80::/10. */
export function isLinkLocal(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 0xfe && (bytes[at + 1] & 0xc0) === 0x80;
}

function isUnspecified(bytes: Uint8Array, at: number): boolean {
  for (let i = at; i < at + 16; i++) if (bytes[i] !== 0) return false;
  return true;
}
