/** Writes BMP messages. What comes with every route is prepared once per peer: a header of bytes, patched where it stands. */
import { assert } from "../base/assert.ts";
import type { MessageWriter } from "../wire/message-writer.ts";
import {
  BmpType,
  bmpVersion,
  commonBytes,
  DownReason,
  type InfoTlv,
  MirrorInfo,
  MirrorType,
  PeerFlag,
  type PeerHeader,
  PeerType,
  peerHeaderBytes,
  type Stat,
  TerminationType,
} from "./types.ts";

/** Where flags, time and length stand in a message with a per-peer header. */
const flagsAt = commonBytes + 1;
const timeAt = commonBytes + 34;

/** The common and the per-peer header of a peer: what all its messages begin with. */
export type PeerBytes = Uint8Array;

const noDistinguisher: Uint8Array = new Uint8Array(8);
const ip4InIp6 = 12;

/** @param peer flags that are not those of the peer itself (L, A, O) and the time are patched in later */
export function encodePeer(peer: PeerHeader): PeerBytes {
  const bytes = new Uint8Array(commonBytes + peerHeaderBytes);
  const view = new DataView(bytes.buffer);
  bytes[0] = bmpVersion;
  bytes[commonBytes] = peer.type;
  bytes[flagsAt] = peer.flags;
  bytes.set(peer.distinguisher, commonBytes + 2);
  bytes.set(peer.address, commonBytes + 10 + (peer.address.length === 4 ? ip4InIp6 : 0));
  view.setUint32(commonBytes + 26, peer.asn);
  view.setUint32(commonBytes + 30, peer.routerId);
  view.setUint32(timeAt, peer.timeS);
  view.setUint32(timeAt + 4, peer.micros);
  return bytes;
}

/** A peer of the global instance with this address, 4 or 16 bytes. */
export function globalPeer(address: Uint8Array, asn: number, routerId: number): PeerBytes {
  const flags = address.length === 16 ? PeerFlag.ip6 : 0;
  const distinguisher = noDistinguisher;
  return encodePeer({
    ...{ type: PeerType.global, flags, distinguisher, address, asn, routerId },
    ...{ timeS: 0, micros: 0 },
  });
}

/** Our own Loc-RIB (RFC 9069 4.1). */
export function locRibPeer(asn: number, routerId: number): PeerBytes {
  return encodePeer({
    ...{ type: PeerType.locRib, flags: 0, distinguisher: noDistinguisher, address: new Uint8Array(16) },
    ...{ asn, routerId, timeS: 0, micros: 0 },
  });
}

/**
 * Begins a message about a peer.
 * @param flags added to those of the peer
 * @returns where it starts, for `endBmp`
 */
function begin(
  out: MessageWriter,
  type: BmpType,
  peer: PeerBytes,
  flags: number,
  timeS: number,
  micros: number,
): number {
  out.ensure(peer.length);
  const start = out.at;
  const { bytes } = out;
  for (let i = 0; i < peer.length; i++) bytes[start + i] = peer[i];
  bytes[start + 5] = type;
  bytes[start + flagsAt] |= flags;
  out.at = start + timeAt;
  out.u32(timeS);
  out.u32(micros);
  return start;
}

function beginPlain(out: MessageWriter, type: BmpType): number {
  const start = out.at;
  out.u8(bmpVersion);
  out.u32(0);
  out.u8(type);
  return start;
}

function end(out: MessageWriter, start: number): void {
  const length = out.at - start;
  out.patchU16(start + 1, length >>> 16);
  out.patchU16(start + 3, length);
}

/** A Route Monitoring message around one UPDATE, `bytes[from, to)` with its header. */
export function writeRoute(
  out: MessageWriter,
  peer: PeerBytes,
  flags: number,
  timeS: number,
  bytes: Uint8Array,
  from: number,
  to: number,
): void {
  const start = begin(out, BmpType.routeMonitoring, peer, flags, timeS, 0);
  out.copy(bytes, from, to);
  end(out, start);
}

export function writeStatistics(
  out: MessageWriter,
  peer: PeerBytes,
  timeS: number,
  micros: number,
  stats: readonly Stat[],
): void {
  const start = begin(out, BmpType.statistics, peer, 0, timeS, micros);
  out.u32(stats.length);
  for (const { type, afi, safi, value } of stats) {
    out.u16(type);
    const bytes = isCounter(type) ? 4 : 8;
    out.u16(bytes + (afi === 0 ? 0 : 3));
    if (afi !== 0) {
      out.u16(afi);
      out.u8(safi);
    }
    if (bytes === 8) out.u32(Number((value >> 32n) & 0xffff_ffffn));
    out.u32(Number(value & 0xffff_ffffn));
  }
  end(out, start);
}

/** Counters have 32 bits, gauges 64 (RFC 7854 4.8). */
export function isCounter(type: number): boolean {
  return type <= 6 || (type >= 11 && type <= 13);
}

export interface PeerUp {
  /** 4 or 16 bytes. */
  readonly localAddress: Uint8Array;
  readonly localPort: number;
  readonly remotePort: number;
  /** OPENs with their headers, as they were on the wire. */
  readonly sentOpen: Uint8Array;
  readonly receivedOpen: Uint8Array;
  readonly info: readonly InfoTlv[];
}

export function writePeerUp(
  out: MessageWriter,
  peer: PeerBytes,
  timeS: number,
  micros: number,
  up: PeerUp,
): void {
  const { localAddress } = up;
  assert(localAddress.length === 4 || localAddress.length === 16, "an address of 4 or 16 bytes");
  const start = begin(out, BmpType.peerUp, peer, 0, timeS, micros);
  if (localAddress.length === 4) out.copy(new Uint8Array(ip4InIp6));
  out.copy(localAddress);
  out.u16(up.localPort);
  out.u16(up.remotePort);
  out.copy(up.sentOpen);
  out.copy(up.receivedOpen);
  writeTlvs(out, up.info);
  end(out, start);
}

/** What follows the reason. */
export type PeerDown =
  | {
      readonly reason: typeof DownReason.localNotification | typeof DownReason.remoteNotification;
      /** With its header. */
      readonly notification: Uint8Array;
    }
  | { readonly reason: typeof DownReason.localNoNotification; readonly fsmEvent: number }
  | { readonly reason: typeof DownReason.remoteNoNotification | typeof DownReason.deconfigured }
  | { readonly reason: typeof DownReason.locRib; readonly info: readonly InfoTlv[] };

export function writePeerDown(
  out: MessageWriter,
  peer: PeerBytes,
  timeS: number,
  micros: number,
  down: PeerDown,
): void {
  const start = begin(out, BmpType.peerDown, peer, 0, timeS, micros);
  out.u8(down.reason);
  if ("notification" in down) out.copy(down.notification);
  else if (down.reason === DownReason.localNoNotification) out.u16(down.fsmEvent);
  else if (down.reason === DownReason.locRib) writeTlvs(out, down.info);
  end(out, start);
}

export function writeInitiation(out: MessageWriter, info: readonly InfoTlv[]): void {
  const start = beginPlain(out, BmpType.initiation);
  writeTlvs(out, info);
  end(out, start);
}

/** @param text for people; empty for none */
export function writeTermination(out: MessageWriter, reason: number, text: string): void {
  const start = beginPlain(out, BmpType.termination);
  const tlvs: InfoTlv[] = [{ type: TerminationType.reason, value: Uint8Array.of(reason >> 8, reason & 255) }];
  if (text !== "") tlvs.push(textTlv(TerminationType.text, text));
  writeTlvs(out, tlvs);
  end(out, start);
}

/**
 * A Route Mirroring message around one BGP message, `bytes[from, to)` with its header (RFC 7854 4.7).
 * @param errored the message was malformed
 */
export function writeMirror(
  out: MessageWriter,
  peer: PeerBytes,
  flags: number,
  timeS: number,
  micros: number,
  bytes: Uint8Array,
  from: number,
  to: number,
  errored: boolean,
): void {
  const start = begin(out, BmpType.routeMirroring, peer, flags, timeS, micros);
  if (errored) writeMirrorInfo(out, MirrorInfo.erroredPdu);
  out.u16(MirrorType.message);
  out.u16(to - from);
  out.copy(bytes, from, to);
  end(out, start);
}

/** Messages of this peer were not mirrored, for want of room. */
export function writeMirrorLost(out: MessageWriter, peer: PeerBytes, timeS: number, micros: number): void {
  const start = begin(out, BmpType.routeMirroring, peer, 0, timeS, micros);
  writeMirrorInfo(out, MirrorInfo.messagesLost);
  end(out, start);
}

function writeMirrorInfo(out: MessageWriter, info: number): void {
  out.u16(MirrorType.information);
  out.u16(2);
  out.u16(info);
}

function writeTlvs(out: MessageWriter, tlvs: readonly InfoTlv[]): void {
  for (const { type, value } of tlvs) {
    out.u16(type);
    out.u16(value.length);
    out.copy(value);
  }
}

/** A TLV of text; lengths have 16 bits. */
export function textTlv(type: number, text: string): InfoTlv {
  return { type, value: new TextEncoder().encode(text).slice(0, 0xffff) };
}
