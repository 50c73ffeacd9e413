/** Bodies of MRT records from bytes to values (RFC 6396 section 4, RFC 8050). Whatever the bytes are, nothing throws. */
import { readU16, readU32 } from "../wire/message.ts";
import { MessageSubtype, type MrtBody, type MrtPeer, MrtType, type RibEntry, TableSubtype } from "./types.ts";

export type DecodedBody = MrtBody | { readonly kind: "fault"; readonly text: string };

const subtypesRead: Readonly<Record<number, ReadonlySet<number>>> = {
  [MrtType.tableDump]: new Set([1, 2]),
  [MrtType.tableDumpV2]: new Set(Object.values(TableSubtype)),
  [MrtType.bgp4mp]: new Set(Object.values(MessageSubtype)),
  [MrtType.bgp4mpEt]: new Set(Object.values(MessageSubtype)),
};

/** Records of this kind are read; others are passed over. */
export function isKnown(type: number, subtype: number): boolean {
  return subtypesRead[type]?.has(subtype) ?? false;
}

/**
 * Decodes `bytes[at, end)`, what follows the header (and the microseconds of BGP4MP_ET).
 * @param peers those of the PEER_INDEX_TABLE that came before
 */
export function decodeBody(
  type: number,
  subtype: number,
  bytes: Uint8Array,
  at: number,
  end: number,
  peers: readonly MrtPeer[],
): DecodedBody {
  const input = new Input(bytes, at, end);
  const body =
    type === MrtType.tableDump
      ? tableDump(input, subtype)
      : type !== MrtType.tableDumpV2
        ? message(input, subtype)
        : subtype === TableSubtype.peerIndexTable
          ? peerIndexTable(input)
          : rib(input, subtype, peers);
  if (input.short) return { kind: "fault", text: "what the record holds runs past its end" };
  return body;
}

/** Bounded reading: past the end everything is 0, and `short` says so. */
class Input {
  short = false;
  at: number;
  readonly end: number;
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
    if (at > end) this.short = true;
  }

  u8(): number {
    return this.has(1) ? this.bytes[this.at++] : 0;
  }

  u16(): number {
    if (!this.has(2)) return 0;
    this.at += 2;
    return readU16(this.bytes, this.at - 2);
  }

  u32(): number {
    if (!this.has(4)) return 0;
    this.at += 4;
    return readU32(this.bytes, this.at - 4);
  }

  take(count: number): Uint8Array {
    if (!this.has(count)) return new Uint8Array(0);
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  private has(count: number): boolean {
    if (this.at + count > this.end) this.short = true;
    return !this.short;
  }
}

function fault(text: string): DecodedBody {
  return { kind: "fault", text };
}

/** TABLE_DUMP (4.2): one route a record, AS numbers of two octets. */
function tableDump(input: Input, subtype: number): DecodedBody {
  const size = subtype === 1 ? 4 : 16;
  input.u16(); // view
  const sequence = input.u16();
  const prefix = input.take(size);
  const length = input.u8();
  input.u8(); // status
  const originatedS = input.u32();
  const address = input.take(size);
  const asn = input.u16();
  const attributes = input.take(input.u16());
  if (length > size * 8) return fault(`a prefix of ${length} bits`);
  const nlri = new Uint8Array(1 + ((length + 7) >>> 3));
  nlri[0] = length;
  nlri.set(prefix.subarray(0, nlri.length - 1), 1);
  const peer = { routerId: 0, address, asn };
  const entries: RibEntry[] = [{ peer, peerIndex: -1, originatedS, pathId: 0, attributes }];
  return {
    kind: "rib",
    ...{ afi: subtype, safi: 1, sequence, addPath: false, fourOctetAs: false, nlri, entries },
  };
}

/** PEER_INDEX_TABLE (4.3.1). */
function peerIndexTable(input: Input): DecodedBody {
  const collectorId = input.u32();
  const viewName = new TextDecoder().decode(input.take(input.u16()));
  const count = input.u16();
  const peers: MrtPeer[] = [];
  for (let i = 0; i < count && !input.short; i++) {
    const type = input.u8();
    const routerId = input.u32();
    // Copied: the table outlives the record.
    const address = input.take(type & 1 ? 16 : 4).slice();
    const asn = type & 2 ? input.u32() : input.u16();
    peers.push({ routerId, address, asn });
  }
  return { kind: "peer-index", collectorId, viewName, peers };
}

/** AFI and SAFI by subtype, without Add-Path. */
const familyOf: Readonly<Record<number, readonly [afi: number, safi: number]>> = {
  [TableSubtype.ribIpv4Unicast]: [1, 1],
  [TableSubtype.ribIpv4Multicast]: [1, 2],
  [TableSubtype.ribIpv6Unicast]: [2, 1],
  [TableSubtype.ribIpv6Multicast]: [2, 2],
};
/** From a subtype to the one of RFC 8050 for the same family. */
export const addPathStep = 6;

/**
 * RIB_* (4.3.2, 4.3.3; RFC 8050 4). RIB_GENERIC_ADDPATH has its path identifiers in the entries, as GoBGP and OpenBGPD
 * write it; the RFC would have them in the NLRI, and nobody does that.
 */
function rib(input: Input, subtype: number, peers: readonly MrtPeer[]): DecodedBody {
  const addPath = subtype >= TableSubtype.ribIpv4UnicastAddPath;
  const generic = subtype === TableSubtype.ribGeneric || subtype === TableSubtype.ribGenericAddPath;
  const sequence = input.u32();
  const [afi, safi] = generic
    ? [input.u16(), input.u8()]
    : familyOf[addPath ? subtype - addPathStep : subtype];
  const bits = input.u8();
  const known = afi === 1 ? 32 : afi === 2 ? 128 : 255;
  if ((safi === 1 || safi === 2) && bits > known) return fault(`a prefix of ${bits} bits`);
  // FlowSpec counts bytes, everything else bits.
  const nlriBytes = safi === 133 || safi === 134 ? flowSpecBytes(input, bits) : (bits + 7) >>> 3;
  input.at -= 1;
  const nlri = input.take(1 + nlriBytes);
  const count = input.u16();
  const entries: RibEntry[] = [];
  for (let i = 0; i < count && !input.short; i++) {
    const peerIndex = input.u16();
    const originatedS = input.u32();
    const pathId = addPath ? input.u32() : 0;
    const attributes = input.take(input.u16());
    entries.push({ peer: peers[peerIndex], peerIndex, originatedS, pathId, attributes });
  }
  return { kind: "rib", afi, safi, sequence, addPath, fourOctetAs: true, nlri, entries };
}

/** RFC 8955 4.1: a length from 240 on has two bytes, of which the second has not been read. */
function flowSpecBytes(input: Input, first: number): number {
  if (first < 240) return first;
  const second = input.u8();
  input.at -= 1;
  return (((first & 15) << 8) | second) + 1;
}

const as4Subtypes: ReadonlySet<number> = new Set([
  MessageSubtype.messageAs4,
  MessageSubtype.stateChangeAs4,
  MessageSubtype.messageAs4Local,
  MessageSubtype.messageAs4AddPath,
  MessageSubtype.messageAs4LocalAddPath,
]);
const localSubtypes: ReadonlySet<number> = new Set([
  MessageSubtype.messageLocal,
  MessageSubtype.messageAs4Local,
  MessageSubtype.messageLocalAddPath,
  MessageSubtype.messageAs4LocalAddPath,
]);

/** BGP4MP (4.4). */
function message(input: Input, subtype: number): DecodedBody {
  const fourOctetAs = as4Subtypes.has(subtype);
  const asn = (): number => (fourOctetAs ? input.u32() : input.u16());
  const peerAsn = asn();
  const localAsn = asn();
  const interfaceIndex = input.u16();
  const afi = input.u16();
  if (!input.short && afi !== 1 && afi !== 2) return fault(`address family ${afi} of the session`);
  const size = afi === 2 ? 16 : 4;
  const peerAddress = input.take(size);
  const localAddress = input.take(size);
  const ends = { peerAsn, localAsn, interfaceIndex, peerAddress, localAddress };
  if (subtype === MessageSubtype.stateChange || subtype === MessageSubtype.stateChangeAs4) {
    const oldState = input.u16();
    const newState = input.u16();
    return { kind: "state", ...ends, oldState, newState };
  }
  const local = localSubtypes.has(subtype);
  const addPath = subtype >= MessageSubtype.messageAddPath;
  return { kind: "message", ...ends, local, fourOctetAs, addPath, message: input.take(input.end - input.at) };
}
