/**
 * Flows that the kernel tracks, as ctnetlink tells of them (linux/netfilter/nfnetlink_conntrack.h). Of a flow it knows
 * both directions: what its first packet looked like when it came in, and what an answer to it looks like on the way
 * in. Where they do not mirror each other, the flow is translated.
 */
import {
  beginNetfilter,
  netfilterHeaderBytes,
  network16,
  network32,
  network64,
  networkBytes32,
  Subsystem,
} from "./netfilter-wire.ts";
import { eachAttribute, MessageFlag, type NetlinkWriter } from "./wire.ts";

const ConntrackMessage = { new: 0, get: 1, delete: 2 } as const;

/** Type of the messages that a dump answers with. */
export const flowMessage = (Subsystem.conntrack << 8) | ConntrackMessage.new;

/** enum ctattr_type, as far as it is read. */
const Attribute = {
  original: 1,
  reply: 2,
  status: 3,
  protocolInfo: 4,
  timeout: 7,
  mark: 8,
  originalCounters: 9,
  replyCounters: 10,
  id: 12,
  zone: 18,
} as const;
/** enum ctattr_tuple, ctattr_ip, ctattr_l4proto */
const Tuple = { addresses: 1, protocol: 2 } as const;
const Address = { source4: 1, destination4: 2, source6: 3, destination6: 4 } as const;
const Protocol = { number: 1, sourcePort: 2, destinationPort: 3, icmpId: 4, icmp6Id: 7 } as const;
const Counter = { packets: 1, bytes: 2 } as const;
/** CTA_PROTOINFO_TCP, and the state in it. */
const tcpInfo = 1;
const tcpState = 1;

/** Bits of the status: whose address is translated, and whether packets were seen both ways. */
export const FlowStatus = { seenReply: 0x2, assured: 0x4, source: 0x10, destination: 0x20 } as const;

/** One direction of a flow. Ports are 0 where the protocol has none; a message of ICMP has its id as source port. */
export interface FlowTuple {
  /** 4 or 16 bytes. */
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly protocol: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

export interface TrackedFlow {
  readonly original: FlowTuple;
  readonly reply: FlowTuple;
  readonly status: number;
  /** Seconds until it is forgotten, if no packet comes. */
  readonly timeoutS: number;
  readonly mark: number;
  readonly zone: number;
  readonly id: number;
  /** By the kernel's number; 0 for none. */
  readonly tcpState: number;
  /** Of both directions; undefined where the kernel does not count (net.netfilter.nf_conntrack_acct). */
  readonly packets: number | undefined;
  readonly bytes: number | undefined;
  /** The attribute that names the flow, as the kernel wrote it. */
  readonly name: Uint8Array;
}

/** Asks for all flows of a family. @param family AF_INET or AF_INET6 */
export function askFlows(out: NetlinkWriter, sequence: number, family: number): void {
  const flags = MessageFlag.request | MessageFlag.dump;
  beginNetfilter(out, Subsystem.conntrack, ConntrackMessage.get, flags, sequence, family);
  out.end();
}

/** Makes the kernel forget one flow, unless another one has taken its place. */
export function writeFlowDelete(
  out: NetlinkWriter,
  sequence: number,
  family: number,
  { name, zone, id }: Pick<TrackedFlow, "name" | "zone" | "id">,
): void {
  const flags = MessageFlag.request | MessageFlag.ack;
  beginNetfilter(out, Subsystem.conntrack, ConntrackMessage.delete, flags, sequence, family);
  out.attribute(Attribute.original | nested, name);
  out.attribute(Attribute.id, networkBytes32(id));
  if (zone !== 0) out.attribute(Attribute.zone, Uint8Array.of(zone >>> 8, zone & 255));
  out.end();
}

const nested = 0x8000;

/**
 * @param wanted bits of the status of which the flow must have one; others are passed over at once
 * @returns undefined for a flow without these bits, or one that is cut off
 */
export function readFlow(
  bytes: Uint8Array,
  start: number,
  end: number,
  wanted: number,
): TrackedFlow | undefined {
  const at = start + netfilterHeaderBytes;
  let status = 0;
  eachAttribute(bytes, at, end, (type, from, to) => {
    if (type === Attribute.status && to - from >= 4) status = network32(bytes, from);
  });
  if ((status & wanted) === 0) return undefined;
  let original: FlowTuple | undefined;
  let reply: FlowTuple | undefined;
  let name: Uint8Array | undefined;
  const numbers = { timeoutS: 0, mark: 0, zone: 0, id: 0, tcpState: 0 };
  const counted = { packets: 0, bytes: 0 };
  let isCounted = false;
  eachAttribute(bytes, at, end, (type, from, to) => {
    const length = to - from;
    if (type === Attribute.original) {
      original = readTuple(bytes, from, to);
      name = bytes.slice(from, to);
    } else if (type === Attribute.reply) reply = readTuple(bytes, from, to);
    else if (type === Attribute.timeout && length >= 4) numbers.timeoutS = network32(bytes, from);
    else if (type === Attribute.mark && length >= 4) numbers.mark = network32(bytes, from);
    else if (type === Attribute.id && length >= 4) numbers.id = network32(bytes, from);
    else if (type === Attribute.zone && length >= 2) numbers.zone = network16(bytes, from);
    else if (type === Attribute.protocolInfo) numbers.tcpState = readTcpState(bytes, from, to);
    else if (type === Attribute.originalCounters || type === Attribute.replyCounters) {
      isCounted = true;
      eachAttribute(bytes, from, to, (counter, low, high) => {
        if (high - low < 8) return;
        if (counter === Counter.packets) counted.packets += network64(bytes, low);
        else if (counter === Counter.bytes) counted.bytes += network64(bytes, low);
      });
    }
  });
  if (!original || !reply || !name) return undefined;
  const counts = isCounted ? counted : { packets: undefined, bytes: undefined };
  return { original, reply, name, status, ...numbers, ...counts };
}

function readTcpState(bytes: Uint8Array, start: number, end: number): number {
  let state = 0;
  eachAttribute(bytes, start, end, (type, from, to) => {
    if (type !== tcpInfo) return;
    eachAttribute(bytes, from, to, (inner, at, until) => {
      if (inner === tcpState && until > at) state = bytes[at];
    });
  });
  return state;
}

function readTuple(bytes: Uint8Array, start: number, end: number): FlowTuple | undefined {
  let source: Uint8Array | undefined;
  let destination: Uint8Array | undefined;
  let protocol = 0;
  let sourcePort = 0;
  let destinationPort = 0;
  eachAttribute(bytes, start, end, (type, from, to) => {
    eachAttribute(bytes, from, to, (inner, at, until) => {
      const length = until - at;
      if (type === Tuple.addresses) {
        const wanted = inner === Address.source4 || inner === Address.destination4 ? 4 : 16;
        if (length !== wanted) return;
        if (inner === Address.source4 || inner === Address.source6) source = bytes.slice(at, until);
        else if (inner === Address.destination4 || inner === Address.destination6)
          destination = bytes.slice(at, until);
      } else if (type === Tuple.protocol) {
        if (inner === Protocol.number && length >= 1) protocol = bytes[at];
        else if (length < 2) return;
        else if (inner === Protocol.destinationPort) destinationPort = network16(bytes, at);
        else if (inner === Protocol.sourcePort || inner === Protocol.icmpId || inner === Protocol.icmp6Id)
          sourcePort = network16(bytes, at);
      }
    });
  });
  if (!source || !destination || source.length !== destination.length) return undefined;
  return { source, destination, protocol, sourcePort, destinationPort };
}
