/**
 * The match of a flow specification in the words of nftables, for chains of hooks that see whole IP packets. One rule of
 * nftables matches exactly what the flow specification does; where nftables has no words for that, it is refused, and
 * never narrowed or widened.
 */
import { formatIp } from "../../base/ip.ts";
import {
  type FlowComponent,
  type FlowFamily,
  type FlowTerm,
  FlowType,
  readFlow,
} from "../../wire/flowspec/nlri.ts";
import { rule } from "../nft/expressions.ts";
import { icmpTypeName } from "../nft/icmp-types.ts";
import {
  bitmaskValues,
  complement,
  type Interval,
  intersection,
  isAll,
  meetsBitmask,
  numericValues,
} from "./intervals.ts";

export type FlowMatch =
  | { readonly ok: true; readonly text: string }
  /** Why there are no such words, or no such packets; one sentence without a full stop. */
  | { readonly ok: false; readonly why: string };

const byteMax = 0xff;
const portMax = 0xffff;
const flowLabelMax = 0xfffff;
/** Elements of a set that are written into one rule. */
const elementsMax = 1024;

const Protocol = { icmp: 1, tcp: 6, udp: 17, dccp: 33, icmpv6: 58, sctp: 132, udplite: 136 } as const;
/** Protocols with ports where TCP has them. */
const withPorts: readonly Interval[] = [
  Protocol.tcp,
  Protocol.udp,
  Protocol.dccp,
  Protocol.sctp,
  Protocol.udplite,
].map((each) => [each, each]);
/** Names that nft prints whatever the host has in /etc/protocols. */
const protocolNames: Readonly<Record<number, string>> = {
  [Protocol.icmp]: "icmp",
  [Protocol.tcp]: "tcp",
  [Protocol.udp]: "udp",
  [Protocol.icmpv6]: "ipv6-icmp",
};

/** @param fragments fragments are seen as they came, not put together */
export function flowMatch(flow: Uint8Array, family: FlowFamily, fragments: boolean): FlowMatch {
  const words = new Words(family, fragments);
  for (const component of readFlow(flow, family)) {
    const why = words.add(component);
    if (why !== "") return { ok: false, why };
  }
  return words.finish();
}

class Words {
  private readonly isIp4: boolean;
  private readonly fragments: boolean;
  private readonly ip: "ip" | "ip6";
  private readonly addresses: string[] = [];
  private readonly header: string[] = [];
  private protocols: Interval[] = [[0, byteMax]];
  private readonly ports: { readonly side: "dport" | "sport" | "either"; readonly values: Interval[] }[] = [];
  private readonly icmp: string[] = [];
  private flags: Interval[] | undefined;

  constructor(family: FlowFamily, fragments: boolean) {
    this.isIp4 = family.addressBytes === 4;
    this.ip = this.isIp4 ? "ip" : "ip6";
    this.fragments = fragments;
  }

  /** @returns why it cannot be said; empty when it can */
  add(component: FlowComponent): string {
    if (component.kind === "unknown") return `component ${component.type} is not known`;
    if (component.kind === "prefix") {
      this.address(component);
      return "";
    }
    const { type, terms } = component;
    switch (type) {
      case FlowType.protocol:
        return this.narrow(numericValues(terms, byteMax), "no protocol is meant");
      case FlowType.port:
        return this.port("either", terms);
      case FlowType.destinationPort:
        return this.port("dport", terms);
      case FlowType.sourcePort:
        return this.port("sport", terms);
      case FlowType.icmpType:
        return this.icmpField("type", terms);
      case FlowType.icmpCode:
        return this.icmpField("code", terms);
      case FlowType.tcpFlags:
        return this.tcpFlags(terms);
      case FlowType.packetLength:
        return this.field("meta length", numericValues(terms, portMax), portMax);
      case FlowType.dscp:
        return this.dscp(numericValues(terms, 63));
      case FlowType.fragment:
        if (!this.fragments) return "fragments are put together before this hook";
        return this.isIp4 ? this.fragment4(terms) : this.fragment6(terms);
      default:
        return this.flowLabel(numericValues(terms, flowLabelMax));
    }
  }

  finish(): FlowMatch {
    const { protocols, ports, icmp, flags } = this;
    const only = protocols.length === 1 && protocols[0][0] === protocols[0][1] ? protocols[0][0] : undefined;
    const name = only === Protocol.tcp ? "tcp" : only === Protocol.udp ? "udp" : undefined;
    const transport: string[] = [];
    for (const { side, values } of ports) {
      const text = portsText(name ?? "th", side, values);
      if (text === undefined) return { ok: false, why: "its ports make too many pairs" };
      if (text !== "") transport.push(text);
    }
    if (flags && !isAll(flags, byteMax)) {
      transport.push(`tcp flags ${flagsText(flags)}`);
    }
    // The words that name a protocol say that it must be that one.
    const isSaid = icmp.length > 0 || (name !== undefined && transport.length > 0);
    const protocol =
      isSaid || isAll(protocols, byteMax)
        ? ""
        : `meta l4proto ${oneOf(protocols, (value) => protocolNames[value] ?? String(value))}`;
    const ofFamily =
      [...this.addresses, ...this.header].some((text) => / ?ip6? |frag/.test(text)) ||
      icmp.some((text) => text.startsWith("icmp"));
    const nfproto = ofFamily ? "" : `meta nfproto ${this.isIp4 ? "ipv4" : "ipv6"}`;
    return {
      ok: true,
      text: rule(nfproto, ...this.addresses, ...this.header, protocol, ...icmp, ...transport),
    };
  }

  private address({ type, bytes, length, offset }: Extract<FlowComponent, { kind: "prefix" }>): void {
    const side = type === FlowType.destination ? "daddr" : "saddr";
    if (length === 0) return;
    if (offset > 0) {
      const mask = bytes.map((_, i) => {
        let bits = 0;
        for (let bit = 0; bit < 8; bit++) {
          const at = i * 8 + bit;
          if (at >= offset && at < length) bits |= 0x80 >> bit;
        }
        return bits;
      });
      this.addresses.push(`ip6 ${side} & ${formatIp(mask)} == ${formatIp(bytes)}`);
    } else {
      const isHost = length === bytes.length * 8;
      this.addresses.push(`${this.ip} ${side} ${formatIp(bytes)}${isHost ? "" : `/${length}`}`);
    }
  }

  private narrow(values: readonly Interval[], why: string): string {
    this.protocols = intersection(this.protocols, values);
    return this.protocols.length === 0 ? why : "";
  }

  private port(side: "dport" | "sport" | "either", terms: readonly FlowTerm[]): string {
    const values = numericValues(terms, portMax);
    if (values.length === 0) return "no port is meant";
    if (values.length > elementsMax) return "its ports are too many";
    this.ports.push({ side, values });
    return this.narrow(withPorts, "only TCP, UDP, DCCP and SCTP have ports");
  }

  private icmpField(field: "type" | "code", terms: readonly FlowTerm[]): string {
    const protocol = this.isIp4 ? Protocol.icmp : Protocol.icmpv6;
    const word = this.isIp4 ? "icmp" : "icmpv6";
    const values = numericValues(terms, byteMax);
    if (values.length === 0) return `no ICMP ${field} is meant`;
    this.icmp.push(
      isAll(values, byteMax)
        ? `meta l4proto ${protocolNames[protocol]}`
        : `${word} ${field} ${oneOf(values, (value) => (field === "type" ? icmpTypeName(word, value) : String(value)))}`,
    );
    return this.narrow([[protocol, protocol]], `only ${this.isIp4 ? "ICMP" : "ICMPv6"} has types and codes`);
  }

  private tcpFlags(terms: readonly FlowTerm[]): string {
    // Bits of the first of the two bytes are reserved, or of the data offset, which counts as 0.
    if (terms.some(({ value }) => value > BigInt(byteMax)))
      return "nftables cannot look at TCP flags above CWR";
    this.flags = bitmaskValues(terms, byteMax);
    if (this.flags.length === 0) return "no TCP flags are meant";
    return this.narrow([[Protocol.tcp, Protocol.tcp]], "only TCP has TCP flags");
  }

  private dscp(values: readonly Interval[]): string {
    if (values.length === 0) return "no DSCP is meant";
    if (isAll(values, 63)) return "";
    const [[first, last]] = values;
    if (values.length === 1 && first === last) {
      this.header.push(`${this.ip} dscp ${dscpName(first)}`);
      return "";
    }
    // By the bytes that it stands in: nft 1.0.6 takes sets of bits that are no whole bytes, and then crashes whenever a
    // rule is put beside them.
    const bytes = values.map(([low, high]): Interval => {
      const [from, to] = [low << 2, (high << 2) | 3];
      return this.isIp4 ? [from, to] : [0x6000 | (from << 4), 0x600f | (to << 4)];
    });
    this.header.push(`${this.isIp4 ? "@nh,8,8" : "@nh,0,16"} ${oneOf(bytes, String, hexOf)}`);
    return "";
  }

  private flowLabel(values: readonly Interval[]): string {
    if (values.length === 0) return "no flow label is meant";
    if (isAll(values, flowLabelMax)) return "";
    const others = complement(values, flowLabelMax);
    // No sets, as with DSCP.
    if (values.length === 1) this.header.push(`ip6 flowlabel ${span(values[0])}`);
    else if (others.length === 1) this.header.push(`ip6 flowlabel != ${span(others[0])}`);
    else return "nft cannot hold several flow labels in one rule";
    return "";
  }

  private field(word: string, values: readonly Interval[], max: number): string {
    if (values.length === 0) return "no value is meant";
    if (values.length > elementsMax) return "its values are too many";
    if (!isAll(values, max)) this.header.push(`${word} ${oneOf(values)}`);
    return "";
  }

  /** By the 16 bits of flags and offset in the header, of which each kind of fragment is an interval. */
  private fragment4(terms: readonly FlowTerm[]): string {
    const found: Interval[] = [];
    for (let bits = 0; bits < 8; bits++) {
      const base = bits << 13;
      const [dont, more] = [(bits & 2) !== 0, (bits & 1) !== 0];
      const first = (dont ? Fragment.dont : 0) | (more ? Fragment.first : 0);
      const later = (dont ? Fragment.dont : 0) | Fragment.is | (more ? 0 : Fragment.last);
      if (meetsBitmask(terms, first)) found.push([base, base]);
      if (meetsBitmask(terms, later)) found.push([base + 1, base + 0x1fff]);
    }
    // Side by side: the complement of the complement joins them.
    return this.field("ip frag-off", complement(complement(found, portMax), portMax), portMax);
  }

  private fragment6(terms: readonly FlowTerm[]): string {
    const met = [0, Fragment.first, Fragment.is, Fragment.is | Fragment.last].map((bits) =>
      meetsBitmask(terms, bits),
    );
    const words = fragments6[met.map(Number).join("")];
    if (words === undefined) return "nftables cannot say which fragments of IPv6 are meant";
    if (words === never) return "no fragment is meant";
    if (words !== "") this.header.push(words);
    return "";
  }
}

const Fragment = { dont: 1, is: 2, first: 4, last: 8 } as const;

const never = "never";

/** What says which packets are meant: such that are no fragments, first ones, those in the middle, and last ones. */
const fragments6: Readonly<Record<string, string>> = {
  "0000": never,
  "1000": "exthdr frag missing",
  "0100": "frag frag-off 0 frag more-fragments 1",
  "0010": "frag frag-off != 0 frag more-fragments 1",
  "0001": "frag frag-off != 0 frag more-fragments 0",
  "0011": "frag frag-off != 0",
  "0110": "frag more-fragments 1",
  "0111": "exthdr frag exists",
  "1111": "",
};

/** @returns undefined when it takes too many elements */
function portsText(
  word: string,
  side: "dport" | "sport" | "either",
  values: readonly Interval[],
): string | undefined {
  if (isAll(values, portMax)) return "";
  if (side !== "either") return `${word} ${side} ${oneOf(values)}`;
  // One set of pairs that do not overlap: this destination port and any source port, or another one and this source port.
  const others = complement(values, portMax);
  if (values.length * (1 + others.length) > elementsMax) return undefined;
  const pairs = [
    ...values.map((value) => `${span(value)} . 0-${portMax}`),
    ...others.flatMap((other) => values.map((value) => `${span(other)} . ${span(value)}`)),
  ];
  return `${word} dport . ${word} sport { ${pairs.join(", ")} }`;
}

/**
 * As a mask and a value where that says it all, else as the values one by one: nft 1.0.6 loads ranges of flags, and then
 * crashes when it lists them.
 */
function flagsText(values: readonly Interval[]): string {
  const [mask, value] = cubeOf(values) ?? [];
  if (mask !== undefined) return `& ${flagWords(mask, true)} == ${flagWords(value!, false)}`;
  const [otherMask, other] = cubeOf(complement(values, byteMax)) ?? [];
  if (otherMask !== undefined) return `& ${flagWords(otherMask, true)} != ${flagWords(other!, false)}`;
  return `{ ${each(values)
    .map((bits) => flagWords(bits, false))
    .join(", ")} }`;
}

/** Mask and value, when these bytes are all that have this value under this mask. */
function cubeOf(values: readonly Interval[]): [mask: number, value: number] | undefined {
  const all = each(values);
  const ones = all.reduce((bits, value) => bits & value, byteMax);
  const some = all.reduce((bits, value) => bits | value, 0);
  const mask = byteMax & ~(some & ~ones);
  const free = flagNames.filter((_, bit) => (mask & (1 << bit)) === 0).length;
  return all.length === 1 << free ? [mask, ones] : undefined;
}

function each(values: readonly Interval[]): number[] {
  return values.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i));
}

const flagNames = ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"];

function flagWords(bits: number, isMask: boolean): string {
  const names = flagNames.filter((_, bit) => (bits & (1 << bit)) !== 0);
  if (names.length === 0) return "0x0";
  return names.length > 1 && isMask ? `(${names.join(" | ")})` : names.join(" | ");
}

/**
 * @param name of a value that stands alone
 * @param number of one at the end of a range
 */
function oneOf(
  values: readonly Interval[],
  name: (value: number) => string = String,
  number: (value: number) => string = String,
): string {
  const texts = values.map((value) => span(value, name, number));
  return texts.length === 1 ? texts[0] : `{ ${texts.join(", ")} }`;
}

function span(
  [first, last]: Interval,
  name: (value: number) => string = String,
  number: (value: number) => string = String,
): string {
  return first === last ? name(first) : `${number(first)}-${number(last)}`;
}

function hexOf(value: number): string {
  return `0x${value.toString(16)}`;
}

/** As nft prints a DSCP. */
export function dscpName(value: number): string {
  if (value % 8 === 0) return `cs${value / 8}`;
  const drop = (value % 8) / 2;
  if (value >= 10 && value <= 38 && Number.isInteger(drop)) return `af${value >> 3}${drop}`;
  return value === 46 ? "ef" : `0x${value.toString(16).padStart(2, "0")}`;
}
