/** ROUTE-REFRESH (RFC 2918, RFC 7313), with outbound route filters (RFC 5291). */
import { headerBytes, MessageType, readU16, type WireError, wireError } from "./message.ts";
import { MessageWriter } from "./message-writer.ts";

/** RFC 7313 section 3.2: what the octet that was reserved in RFC 2918 says. */
export const RefreshSubtype = { request: 0, begin: 1, end: 2 } as const;

export interface Refresh {
  readonly afi: number;
  readonly safi: number;
  /** A `RefreshSubtype`; others are to be ignored (RFC 7313 section 5). */
  readonly subtype: number;
  /** Offset of what stands after the fixed part, which may be outbound route filters; undefined when nothing does. */
  readonly filtersAt?: number;
}

export function encodeRefresh(
  afi: number,
  safi: number,
  subtype: number = RefreshSubtype.request,
): Uint8Array {
  const out = new MessageWriter(23);
  const start = out.beginMessage(MessageType.routeRefresh);
  out.u16(afi);
  out.u8(subtype);
  out.u8(safi);
  out.endMessage(start);
  return out.take();
}

/**
 * Decodes the whole message `bytes[start, end)`. Bytes after the fixed part of a plain request are outbound route filters
 * (orf.ts reads them where they were agreed on); for the other subtypes they are an error (RFC 7313 section 5).
 */
export function decodeRefresh(bytes: Uint8Array, start: number, end: number): Refresh | WireError {
  const at = start + headerBytes;
  const subtype = bytes[at + 2];
  if (end - at < 4) return wireError(7, 1, "ROUTE-REFRESH is shorter than 23 bytes", bytes.slice(start, end));
  if (end - at !== 4 && (subtype === RefreshSubtype.begin || subtype === RefreshSubtype.end)) {
    return wireError(7, 1, `ROUTE-REFRESH of subtype ${subtype} is not 23 bytes`, bytes.slice(start, end));
  }
  const refresh = { afi: readU16(bytes, at), safi: bytes[at + 3], subtype };
  return end - at > 4 ? { ...refresh, filtersAt: at + 4 } : refresh;
}
