/** Reads BMP messages, for collectors of tests, fuzzing and vectors. Bad bytes give a fault, never an exception. */
import { readU16, readU32 } from "../wire/message.ts";
import {
  type BmpFault,
  type BmpMessage,
  BmpType,
  bmpMessageBytesMax,
  bmpVersion,
  commonBytes,
  DownReason,
  type InfoTlv,
  PeerFlag,
  type PeerHeader,
  PeerType,
  peerHeaderBytes,
  type Stat,
  StatType,
} from "./types.ts";

const peerEnd = commonBytes + peerHeaderBytes;
const bgpHeaderBytes = 19;
const fsmEventBytes = 2;

/** The message that begins at `start` is whole when `end` is at least this; 0 when more must be there to tell. */
export function bmpEnd(bytes: Uint8Array, start: number, end: number): number | BmpFault {
  if (end - start < commonBytes) return 0;
  if (bytes[start] !== bmpVersion) return fault(`version ${bytes[start]} is not known`);
  const length = readU32(bytes, start + 1);
  if (length < commonBytes || length > bmpMessageBytesMax) return fault(`a message of ${length} bytes`);
  return start + length;
}

/** Reads one whole message, `bytes[start, end)`. Values are views of the bytes. */
export function decodeBmp(bytes: Uint8Array, start: number, end: number): BmpMessage | BmpFault {
  const stated = bmpEnd(bytes, start, end);
  if (typeof stated === "object") return stated;
  if (stated !== end) return fault(`${end - start} bytes are not the length that is stated`);
  const type = bytes[start + 5];
  if (type === BmpType.initiation || type === BmpType.termination) {
    const info = tlvs(bytes, start + commonBytes, end);
    return info ? { type, info } : fault("a TLV runs over the end");
  }
  if (type > BmpType.routeMirroring) return fault(`message type ${type} is not known`);
  if (end - start < peerEnd) return fault("the per-peer header is cut off");
  const peer = peerHeader(bytes, start + commonBytes);
  const at = start + peerEnd;
  switch (type) {
    case BmpType.routeMonitoring: {
      const pduEnd = bgpEnd(bytes, at, end);
      if (pduEnd !== end) return fault("not one whole UPDATE");
      return { type, peer, update: bytes.subarray(at, end) };
    }
    case BmpType.statistics:
      return statistics(peer, bytes, at, end);
    case BmpType.peerDown:
      return peerDown(peer, bytes, at, end);
    case BmpType.peerUp:
      return peerUp(peer, bytes, at, end);
    default: {
      const found = tlvs(bytes, at, end);
      return found ? { type: BmpType.routeMirroring, peer, tlvs: found } : fault("a TLV runs over the end");
    }
  }
}

function peerHeader(bytes: Uint8Array, at: number): PeerHeader {
  const type = bytes[at];
  const flags = bytes[at + 1];
  const isIp6 = type !== PeerType.locRib && (flags & PeerFlag.ip6) !== 0;
  return {
    ...{ type, flags },
    distinguisher: bytes.subarray(at + 2, at + 10),
    address: bytes.subarray(at + (isIp6 ? 10 : 22), at + 26),
    asn: readU32(bytes, at + 26),
    routerId: readU32(bytes, at + 30),
    timeS: readU32(bytes, at + 34),
    micros: readU32(bytes, at + 38),
  };
}

function peerUp(peer: PeerHeader, bytes: Uint8Array, at: number, end: number): BmpMessage | BmpFault {
  if (end - at < 20) return fault("the Peer Up Notification is cut off");
  const openAt = at + 20;
  const sentEnd = bgpEnd(bytes, openAt, end);
  const receivedEnd = sentEnd < 0 ? -1 : bgpEnd(bytes, sentEnd, end);
  if (receivedEnd < 0) return fault("an OPEN is cut off");
  const info = tlvs(bytes, receivedEnd, end);
  if (!info) return fault("a TLV runs over the end");
  const isIp6 = peer.type !== PeerType.locRib && (peer.flags & PeerFlag.ip6) !== 0;
  return {
    ...{ type: BmpType.peerUp, peer, info },
    localAddress: bytes.subarray(at + (isIp6 ? 0 : 12), at + 16),
    localPort: readU16(bytes, at + 16),
    remotePort: readU16(bytes, at + 18),
    sentOpen: bytes.subarray(openAt, sentEnd),
    receivedOpen: bytes.subarray(sentEnd, receivedEnd),
  };
}

function peerDown(peer: PeerHeader, bytes: Uint8Array, at: number, end: number): BmpMessage | BmpFault {
  if (at === end) return fault("the Peer Down Notification has no reason");
  const reason = bytes[at];
  const data = bytes.subarray(at + 1, end);
  const down = { type: BmpType.peerDown, peer, reason, data, fsmEvent: 0, info: [] };
  switch (reason) {
    case DownReason.localNotification:
    case DownReason.remoteNotification:
      return bgpEnd(bytes, at + 1, end) === end ? down : fault("not one whole NOTIFICATION");
    case DownReason.localNoNotification:
      if (data.length !== fsmEventBytes) return fault("an event of the FSM has two bytes");
      return { ...down, fsmEvent: readU16(bytes, at + 1) };
    case DownReason.locRib: {
      const info = tlvs(bytes, at + 1, end);
      return info ? { ...down, info } : fault("a TLV runs over the end");
    }
    default:
      return down;
  }
}

function statistics(peer: PeerHeader, bytes: Uint8Array, at: number, end: number): BmpMessage | BmpFault {
  if (end - at < 4) return fault("the Statistics Report is cut off");
  const found = tlvs(bytes, at + 4, end);
  if (!found) return fault("a statistic runs over the end");
  if (found.length !== readU32(bytes, at))
    return fault(`${found.length} statistics, and another number stated`);
  const stats: Stat[] = [];
  const unknown: InfoTlv[] = [];
  for (const tlv of found) {
    const { type, value } = tlv;
    const isOfFamily = familyStats.has(type);
    const from = isOfFamily ? 3 : 0;
    const size = value.length - from;
    if (type > StatType.adjRibOutPostOfFamily || (size !== 4 && size !== 8)) unknown.push(tlv);
    else {
      const [afi, safi] = isOfFamily ? [readU16(value, 0), value[2]] : [0, 0];
      stats.push({ type, afi, safi, value: bigEndian(value, from) });
    }
  }
  return { type: BmpType.statistics, peer, stats, unknown };
}

const familyStats: ReadonlySet<number> = new Set([
  ...[StatType.adjRibInOfFamily, StatType.locRibOfFamily],
  ...[StatType.adjRibOutPreOfFamily, StatType.adjRibOutPostOfFamily],
]);

function bigEndian(bytes: Uint8Array, from: number): bigint {
  let value = 0n;
  for (let i = from; i < bytes.length; i++) value = (value << 8n) | BigInt(bytes[i]);
  return value;
}

/** Where the BGP message at `at` ends; -1 when it is not whole. */
function bgpEnd(bytes: Uint8Array, at: number, end: number): number {
  if (end - at < bgpHeaderBytes) return -1;
  const length = readU16(bytes, at + 16);
  return length < bgpHeaderBytes || at + length > end ? -1 : at + length;
}

function tlvs(bytes: Uint8Array, from: number, end: number): InfoTlv[] | undefined {
  const found: InfoTlv[] = [];
  let at = from;
  while (at < end) {
    if (end - at < 4) return undefined;
    const length = readU16(bytes, at + 2);
    if (at + 4 + length > end) return undefined;
    found.push({ type: readU16(bytes, at), value: bytes.subarray(at + 4, at + 4 + length) });
    at += 4 + length;
  }
  return found;
}

function fault(text: string): BmpFault {
  return { type: "fault", text };
}

/** Takes a stream apart. After a fault nothing more is found: the stream has no marks to find the next message by. */
export class BmpReader {
  private held: Uint8Array = new Uint8Array(0);
  private broken = false;

  /** @returns the messages that are complete now; a fault comes last */
  push(bytes: Uint8Array): (BmpMessage | BmpFault)[] {
    const messages: (BmpMessage | BmpFault)[] = [];
    if (this.broken) return messages;
    const all = new Uint8Array(this.held.length + bytes.length);
    all.set(this.held);
    all.set(bytes, this.held.length);
    let at = 0;
    for (;;) {
      const end = bmpEnd(all, at, all.length);
      if (typeof end === "object") {
        messages.push(end);
        this.broken = true;
        break;
      }
      if (end === 0 || end > all.length) break;
      // A message that cannot be read is told of and passed over.
      messages.push(decodeBmp(all, at, end));
      at = end;
    }
    this.held = this.broken ? new Uint8Array(0) : all.slice(at);
    return messages;
  }

  /** Bytes of a message that is not complete. */
  get waitingBytes(): number {
    return this.held.length;
  }
}
