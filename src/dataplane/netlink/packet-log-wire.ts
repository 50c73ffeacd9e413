/**
 * Packets that rules log to a group of NFLOG (linux/netfilter/nfnetlink_log.h): asking for a group, and reading what
 * comes of it. The kernel puts several packets into one datagram, each as a message of its own.
 */
import {
  beginNetfilter,
  netfilterHeaderBytes,
  network16,
  network32,
  networkBytes32,
  Subsystem,
} from "./netfilter-wire.ts";
import { eachAttribute, MessageFlag, type NetlinkWriter, readText } from "./wire.ts";

const LogMessage = { packet: 0, config: 1 } as const;

/** Type of the messages that tell of packets. */
export const packetMessage = (Subsystem.log << 8) | LogMessage.packet;

/** enum nfulnl_attr_config */
const Config = { command: 1, mode: 2, timeout: 4, threshold: 5, flags: 6 } as const;
const bind = 1;
const copyPacket = 2;
/** Packets are numbered, so that it is seen when some are lost. */
const numbered = 1;

/** enum nfulnl_attr_type, as far as it is read. */
const Attribute = { header: 1, inIndex: 4, outIndex: 5, payload: 9, prefix: 10, sequence: 12 } as const;

/** Bytes of each packet that are asked for: all headers up to the ports. */
const copiedBytes = 128;
/** The kernel waits this long, in hundredths of a second, or for so many packets, before it tells. */
const waitCs = 10;
const packetsPerDatagram = 32;

/** A packet as a rule logged it. */
export interface LoggedPacket {
  /** The text of the rule. */
  readonly prefix: string;
  /** Index of the link it came by, and of that by which it would leave; 0 for none. */
  readonly inIndex: number;
  readonly outIndex: number;
  /** 4 or 16 bytes; empty when the packet is cut off before. */
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly protocol: number;
  /** 0 for protocols without ports, and for fragments behind the first. Type and code for ICMP. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Bytes of the packet with its IP header. */
  readonly length: number;
  /** Counts up by one for each packet of the group. */
  readonly sequence: number;
}

/** Asks for the packets of a group. Refused with EBUSY when another program has it. */
export function askPackets(out: NetlinkWriter, sequence: number, group: number): void {
  const flags = MessageFlag.request | MessageFlag.ack;
  beginNetfilter(out, Subsystem.log, LogMessage.config, flags, sequence, 0, group);
  out.attribute(Config.command, Uint8Array.of(bind));
  out.attribute(Config.mode, Uint8Array.of(...networkBytes32(copiedBytes), copyPacket, 0));
  out.attribute(Config.timeout, networkBytes32(waitCs));
  out.attribute(Config.threshold, networkBytes32(packetsPerDatagram));
  out.attribute(Config.flags, Uint8Array.of(0, numbered));
  out.end();
}

export function readPacket(bytes: Uint8Array, start: number, end: number): LoggedPacket {
  let prefix = "";
  let [inIndex, outIndex, sequence] = [0, 0, 0];
  let packet = nothing;
  eachAttribute(bytes, start + netfilterHeaderBytes, end, (type, from, to) => {
    if (type === Attribute.prefix) prefix = readText(bytes, from, to);
    else if (type === Attribute.payload) packet = readHeaders(bytes.subarray(from, to));
    else if (to - from < 4) return;
    else if (type === Attribute.inIndex) inIndex = network32(bytes, from);
    else if (type === Attribute.outIndex) outIndex = network32(bytes, from);
    else if (type === Attribute.sequence) sequence = network32(bytes, from);
  });
  return { prefix, inIndex, outIndex, sequence, ...packet };
}

type Headers = Pick<
  LoggedPacket,
  "source" | "destination" | "protocol" | "sourcePort" | "destinationPort" | "length"
>;

const none = new Uint8Array(0);
const nothing: Headers = {
  source: none,
  destination: none,
  protocol: 0,
  sourcePort: 0,
  destinationPort: 0,
  length: 0,
};

/** Extension headers of IPv6 that lead on to the next one (RFC 8200 4). */
const extension = { hopByHop: 0, routing: 43, fragment: 44, authentication: 51, destination: 60 } as const;
const extensionsMax = 8;

function readHeaders(packet: Uint8Array): Headers {
  const version = packet.length > 0 ? packet[0] >>> 4 : 0;
  if (version === 4 && packet.length >= 20) {
    const protocol = packet[9];
    const isFirst = (network16(packet, 6) & 0x1fff) === 0;
    const at = (packet[0] & 15) * 4;
    const length = network16(packet, 2);
    const [source, destination] = [packet.slice(12, 16), packet.slice(16, 20)];
    return { source, destination, protocol, length, ...portsOf(packet, isFirst ? at : -1, protocol) };
  }
  if (version !== 6 || packet.length < 40) return nothing;
  let protocol = packet[6];
  let at = 40;
  for (let i = 0; i < extensionsMax && at >= 0 && at + 8 <= packet.length; i++) {
    if (protocol === extension.fragment) {
      const isFirst = (network16(packet, at + 2) & 0xfff8) === 0;
      protocol = packet[at];
      at = isFirst ? at + 8 : -1;
    } else if (protocol === extension.authentication) {
      protocol = packet[at];
      at += (packet[at + 1] + 2) * 4;
    } else if (
      protocol === extension.hopByHop ||
      protocol === extension.routing ||
      protocol === extension.destination
    ) {
      protocol = packet[at];
      at += (packet[at + 1] + 1) * 8;
    } else break;
  }
  const [source, destination] = [packet.slice(8, 24), packet.slice(24, 40)];
  const length = network16(packet, 4) + 40;
  return { source, destination, protocol, length, ...portsOf(packet, at, protocol) };
}

const ported: ReadonlySet<number> = new Set([6, 17, 33, 132, 136]);
const icmp: ReadonlySet<number> = new Set([1, 58]);

/** @param at where the header is; negative for a fragment that has none */
function portsOf(
  packet: Uint8Array,
  at: number,
  protocol: number,
): Pick<LoggedPacket, "sourcePort" | "destinationPort"> {
  if (at >= 0 && ported.has(protocol) && at + 4 <= packet.length)
    return { sourcePort: network16(packet, at), destinationPort: network16(packet, at + 2) };
  if (at >= 0 && icmp.has(protocol) && at + 2 <= packet.length)
    return { sourcePort: packet[at], destinationPort: packet[at + 1] };
  return { sourcePort: 0, destinationPort: 0 };
}
