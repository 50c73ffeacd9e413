/**
 * MRT records from values, for dumps and update files. All append to a `MessageWriter`; nothing is allocated per route.
 * Attributes come as canonical blocks (wire/scratch.ts).
 */
import { AttributeType, FlagBit } from "../wire/attributes/descriptor.ts";
import { attributeEnd, valueAt } from "../wire/block-walk.ts";
import type { MessageWriter } from "../wire/message-writer.ts";
import { asTrans } from "../wire/open.ts";
import { addPathStep } from "./decode.ts";
import { MessageSubtype, type MrtPeer, MrtType, TableSubtype } from "./types.ts";

/** Entries that one RIB record can hold; more go into another record of the same prefix. */
export const entriesMax = 0xffff;

/** Appends the header of a record. @returns where it starts, for `endRecord` */
function beginRecord(out: MessageWriter, type: number, subtype: number, timeS: number): number {
  const start = out.at;
  out.u32(timeS);
  out.u16(type);
  out.u16(subtype);
  out.u32(0);
  return start;
}

/** Fills in the length of the record that starts at `start` and ends here. */
function endRecord(out: MessageWriter, start: number): void {
  const length = out.at - start - 12;
  out.patchU16(start + 8, length >>> 16);
  out.patchU16(start + 10, length & 0xffff);
}

/** Appends a PEER_INDEX_TABLE (RFC 6396 4.3.1); AS numbers have four octets. */
export function writePeerIndexTable(
  out: MessageWriter,
  timeS: number,
  collectorId: number,
  viewName: string,
  peers: readonly MrtPeer[],
): void {
  const start = beginRecord(out, MrtType.tableDumpV2, TableSubtype.peerIndexTable, timeS);
  const name = new TextEncoder().encode(viewName);
  out.u32(collectorId);
  out.u16(name.length);
  out.copy(name);
  out.u16(peers.length);
  for (const { routerId, address, asn } of peers) {
    out.u8(address.length === 16 ? 3 : 2);
    out.u32(routerId);
    out.copy(address);
    out.u32(asn);
  }
  endRecord(out, start);
}

/** RIB_IPV4_* and RIB_IPV6_* records: `begin` a prefix, add its `entry`s, `end`. One with no entries is taken back. */
export class RibWriter {
  readonly out: MessageWriter;
  /** Entries of the record that was begun. */
  entries = 0;
  /** Sequence number of the next record. */
  sequence = 0;
  private start = 0;
  private countAt = 0;
  private addPath = false;
  private afi = 1;

  constructor(out: MessageWriter) {
    this.out = out;
  }

  /**
   * @param safi 1 or 2
   * @param address the bytes of the prefix, host bits 0
   */
  begin(
    timeS: number,
    afi: number,
    safi: number,
    addPath: boolean,
    address: Uint8Array,
    length: number,
  ): void {
    const { out } = this;
    const plain = afi === 1 ? TableSubtype.ribIpv4Unicast : TableSubtype.ribIpv6Unicast;
    const subtype = plain + safi - 1 + (addPath ? addPathStep : 0);
    this.start = beginRecord(out, MrtType.tableDumpV2, subtype, timeS);
    out.u32(this.sequence);
    out.u8(length);
    out.copy(address, 0, (length + 7) >>> 3);
    this.countAt = out.at;
    out.u16(0);
    this.entries = 0;
    this.addPath = addPath;
    this.afi = afi;
  }

  /**
   * Adds a route with the attributes of the canonical block `block[from, to)`.
   * @returns false when they fit no entry (more than 65,535 bytes)
   */
  entry(
    peerIndex: number,
    originatedS: number,
    pathId: number,
    block: Uint8Array,
    from: number,
    to: number,
  ): boolean {
    const { out } = this;
    const start = out.at;
    out.u16(peerIndex);
    out.u32(originatedS);
    if (this.addPath) out.u32(pathId);
    const lengthAt = out.at;
    out.u16(0);
    writeRibAttributes(out, block, from, to, this.afi);
    const length = out.at - lengthAt - 2;
    if (length > 0xffff) {
      out.at = start;
      return false;
    }
    out.patchU16(lengthAt, length);
    this.entries++;
    return true;
  }

  end(): void {
    if (this.entries === 0) {
      this.out.at = this.start;
      return;
    }
    this.out.patchU16(this.countAt, this.entries);
    endRecord(this.out, this.start);
    this.sequence++;
  }
}

/**
 * Attributes as RIB entries have them (RFC 6396 4.3.4): AS numbers of four octets, and the next hop of what does not go
 * into NEXT_HOP as an MP_REACH_NLRI of its own. Our own marks stay here.
 */
function writeRibAttributes(
  out: MessageWriter,
  block: Uint8Array,
  from: number,
  to: number,
  afi: number,
): void {
  let copied = from;
  for (let at = from; at < to; ) {
    const type = block[at + 1];
    // In order of types: behind NEXT_HOP everything is copied as it stands.
    if (type > AttributeType.nextHop) break;
    const end = attributeEnd(block, at);
    if (type === AttributeType.local) copied = end;
    else if (type === AttributeType.nextHop) {
      const value = valueAt(block, at);
      if (afi === 1 && end - value === 4) break;
      out.copy(block, copied, at);
      copied = end;
      out.u8(FlagBit.optional);
      out.u8(AttributeType.mpReach);
      out.u8(end - value + 1);
      out.u8(end - value);
      out.copy(block, value, end);
      break;
    }
    at = end;
  }
  out.copy(block, copied, to);
}

/** Both ends of a session. Addresses are of one family. */
export interface SessionEnds {
  readonly peerAsn: number;
  readonly localAsn: number;
  readonly peerAddress: Uint8Array;
  readonly localAddress: Uint8Array;
}

/** Appends a received message as BGP4MP_ET (RFC 6396 4.4.2, 4.4.3 and 3; RFC 8050 3). */
export function writeMessage(
  out: MessageWriter,
  timeMs: number,
  ends: SessionEnds,
  fourOctetAs: boolean,
  addPath: boolean,
  bytes: Uint8Array,
  from: number,
  to: number,
): void {
  const plain = fourOctetAs ? MessageSubtype.messageAs4 : MessageSubtype.message;
  const withIds = fourOctetAs ? MessageSubtype.messageAs4AddPath : MessageSubtype.messageAddPath;
  const start = beginTimed(out, addPath ? withIds : plain, timeMs);
  writeEnds(out, ends, fourOctetAs);
  out.copy(bytes, from, to);
  endRecord(out, start);
}

/** Appends a change of state as BGP4MP_ET (RFC 6396 4.4.4); states are numbers of `stateNames`. */
export function writeStateChange(
  out: MessageWriter,
  timeMs: number,
  ends: SessionEnds,
  oldState: number,
  newState: number,
): void {
  const start = beginTimed(out, MessageSubtype.stateChangeAs4, timeMs);
  writeEnds(out, ends, true);
  out.u16(oldState);
  out.u16(newState);
  endRecord(out, start);
}

function beginTimed(out: MessageWriter, subtype: number, timeMs: number): number {
  const timeS = Math.floor(timeMs / 1000);
  const start = beginRecord(out, MrtType.bgp4mpEt, subtype, timeS);
  out.u32(Math.floor((timeMs - timeS * 1000) * 1000));
  return start;
}

function writeEnds(
  out: MessageWriter,
  { peerAsn, localAsn, peerAddress, localAddress }: SessionEnds,
  fourOctetAs: boolean,
): void {
  if (fourOctetAs) {
    out.u32(peerAsn);
    out.u32(localAsn);
  } else {
    out.u16(peerAsn > 0xffff ? asTrans : peerAsn);
    out.u16(localAsn > 0xffff ? asTrans : localAsn);
  }
  out.u16(0);
  out.u16(peerAddress.length === 16 ? 2 : 1);
  out.copy(peerAddress);
  out.copy(localAddress);
}
