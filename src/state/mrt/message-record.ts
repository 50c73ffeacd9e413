/** What an MRT record says about a message beside its bytes. */
import type { SessionEnds } from "../../mrt/writer.ts";
import { AttributeType, FlagBit } from "../../wire/attributes/descriptor.ts";
import { familyByCode, ipv4Unicast } from "../../wire/family.ts";
import { readU16 } from "../../wire/message.ts";
import type { NeighborRecord } from "../neighbor-record.ts";
import type { Negotiated } from "../session-port.ts";

const unspecified: Readonly<Record<number, Uint8Array>> = { 4: new Uint8Array(4), 16: new Uint8Array(16) };

/** Both ends of a neighbor's session; our own address is unspecified while there is no session. */
export function endsOf({ config, negotiated }: NeighborRecord): SessionEnds {
  const { addressBytes, localAsn } = config;
  const local = negotiated?.localAddress;
  return {
    peerAsn: negotiated?.remoteAsn ?? config.remoteAsn,
    localAsn,
    peerAddress: addressBytes,
    localAddress: local?.length === addressBytes.length ? local : unspecified[addressBytes.length],
  };
}

/**
 * True when the routes of an UPDATE have path identifiers (RFC 8050 section 3). A message with routes of several
 * families, of which only some have, cannot be told; the first family counts.
 */
export function carriesPathIds(
  bytes: Uint8Array,
  start: number,
  end: number,
  { addPathReceive, families }: Negotiated,
): boolean {
  if (addPathReceive === 0) return false;
  if (addPathReceive === families) return true;
  const withdrawnEnd = start + 21 + readU16(bytes, start + 19);
  const attributesEnd = withdrawnEnd + 2 + readU16(bytes, withdrawnEnd);
  if (withdrawnEnd > start + 21 || attributesEnd < end)
    return (addPathReceive & (1 << ipv4Unicast.index)) !== 0;
  for (let at = withdrawnEnd + 2; at + 3 < attributesEnd; ) {
    const extended = (bytes[at] & FlagBit.extendedLength) !== 0;
    const value = at + (extended ? 4 : 3);
    const type = bytes[at + 1];
    if (type === AttributeType.mpReach || type === AttributeType.mpUnreach) {
      const family = familyByCode(readU16(bytes, value), bytes[value + 2]);
      return family !== undefined && (addPathReceive & (1 << family.index)) !== 0;
    }
    at = value + (extended ? readU16(bytes, at + 2) : bytes[at + 2]);
  }
  return false;
}
