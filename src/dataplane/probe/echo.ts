/**
 * ICMP echo (RFC 792, RFC 4443) over raw sockets and ping sockets. An answer must come from the address that was asked and
 * carry our identifier, sequence number and bytes that nobody can guess; anything else is somebody else's.
 *
 *   type 1 | code 1 | checksum 2 | identifier 2 | sequence 2 | token 16
 */

const echoRequest = { 4: 8, 6: 128 } as const;
const echoReply = { 4: 0, 6: 129 } as const;

export const echoBytes = 24;
export const tokenBytes = 16;

export interface Echo {
  readonly version: 4 | 6;
  /** On a ping socket the kernel puts in its own, and hands out only what carries it. */
  readonly identifier: number;
  readonly sequence: number;
  readonly token: Uint8Array;
}

/** A request. The kernel fills in the checksum of ICMPv6, as that needs the addresses. */
export function encodeEcho({ version, identifier, sequence, token }: Echo): Uint8Array {
  const bytes = new Uint8Array(echoBytes);
  const view = new DataView(bytes.buffer);
  bytes[0] = echoRequest[version];
  view.setUint16(4, identifier);
  view.setUint16(6, sequence);
  bytes.set(token.subarray(0, tokenBytes), 8);
  if (version === 4) view.setUint16(2, checksum(bytes));
  return bytes;
}

/**
 * True when a datagram answers the request.
 * @param hasHeader it begins with the header of IPv4, as on raw sockets
 * @param anyIdentifier the kernel has put in its own and checked it
 */
export function isEchoReply(
  bytes: Uint8Array,
  length: number,
  { version, identifier, sequence, token }: Echo,
  hasHeader: boolean,
  anyIdentifier: boolean,
): boolean {
  const at = hasHeader ? (bytes[0] & 15) * 4 : 0;
  if (length < at + echoBytes) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (view.getUint8(at) !== echoReply[version] || view.getUint8(at + 1) !== 0) return false;
  if (!anyIdentifier && view.getUint16(at + 4) !== identifier) return false;
  if (view.getUint16(at + 6) !== sequence) return false;
  for (let i = 0; i < tokenBytes; i++) if (bytes[at + 8 + i] !== token[i]) return false;
  return true;
}

/** The Internet checksum (RFC 1071) of bytes whose own field is 0. */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i] << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
