/** The words of flow specifications in text: components, and values that have names. */
import { FlowType } from "./nlri.ts";

/** What a component is called. The first word is the one that is written, the others are read as well. */
const componentWords: readonly (readonly [type: number, ...words: string[]])[] = [
  [FlowType.destination, "dst", "destination", "dest"],
  [FlowType.source, "src", "source"],
  [FlowType.protocol, "proto", "protocol", "next-header"],
  [FlowType.port, "port"],
  [FlowType.destinationPort, "dst-port", "destination-port", "dport"],
  [FlowType.sourcePort, "src-port", "source-port", "sport"],
  [FlowType.icmpType, "icmp-type"],
  [FlowType.icmpCode, "icmp-code"],
  [FlowType.tcpFlags, "tcp-flags"],
  [FlowType.packetLength, "pkt-len", "packet-length"],
  [FlowType.dscp, "dscp", "traffic-class"],
  [FlowType.fragment, "fragment"],
  [FlowType.flowLabel, "flow-label"],
];

export const typeByWord: ReadonlyMap<string, number> = new Map(
  componentWords.flatMap(([type, ...words]) => words.map((word) => [word, type] as const)),
);

export const wordByType: ReadonlyMap<number, string> = new Map(
  componentWords.map(([type, word]) => [type, word]),
);

/** Highest value of a numeric component that is written as a number; what is above it on the wire is written in hexadecimal. */
export const valueMax: Readonly<Record<number, bigint>> = {
  [FlowType.protocol]: 255n,
  [FlowType.port]: 65_535n,
  [FlowType.destinationPort]: 65_535n,
  [FlowType.sourcePort]: 65_535n,
  [FlowType.icmpType]: 255n,
  [FlowType.icmpCode]: 255n,
  [FlowType.packetLength]: 65_535n,
  [FlowType.dscp]: 63n,
  [FlowType.flowLabel]: 0xf_ffffn,
};

/** Protocols with a name (IANA). */
const protocols: Readonly<Record<string, number>> = {
  icmp: 1,
  igmp: 2,
  ipip: 4,
  tcp: 6,
  udp: 17,
  gre: 47,
  esp: 50,
  ah: 51,
  icmpv6: 58,
  ospf: 89,
  pim: 103,
  vrrp: 112,
  l2tp: 115,
  sctp: 132,
};

const tcpFlags: Readonly<Record<string, number>> = {
  fin: 0x01,
  syn: 0x02,
  rst: 0x04,
  psh: 0x08,
  ack: 0x10,
  urg: 0x20,
  ece: 0x40,
  cwr: 0x80,
  ae: 0x100,
};

const fragmentBits: Readonly<Record<string, number>> = {
  "dont-fragment": 1,
  "is-fragment": 2,
  "first-fragment": 4,
  "last-fragment": 8,
};

/** Values with a name, by component. */
export const valueByName: Readonly<Record<number, Readonly<Record<string, number>>>> = {
  [FlowType.protocol]: protocols,
  [FlowType.tcpFlags]: tcpFlags,
  [FlowType.fragment]: fragmentBits,
};

const nameByValue: Readonly<Record<number, ReadonlyMap<number, string>>> = Object.fromEntries(
  Object.entries(valueByName).map(([type, names]) => [
    type,
    new Map(Object.entries(names).map(([name, value]) => [value, name])),
  ]),
);

export function nameOf(type: number, value: number): string | undefined {
  return nameByValue[type]?.get(value);
}

/** Other spellings of names of values, that are read. */
export const aliases: Readonly<Record<string, string>> = {
  icmp6: "icmpv6",
  "ipv6-icmp": "icmpv6",
  push: "psh",
  urgent: "urg",
  "is-frag": "is-fragment",
};

/** Bytes that a value is written in by default (RFC 8955 4.2.2, RFC 8956 3.7): as few as it takes, 4 for flow labels. */
export function defaultWidth(type: number, value: bigint): 1 | 2 | 4 | 8 {
  if (type === FlowType.flowLabel) return value <= 0xffff_ffffn ? 4 : 8;
  return value <= 0xffn ? 1 : value <= 0xffffn ? 2 : value <= 0xffff_ffffn ? 4 : 8;
}
