/**
 * What the kinds of virtual links are told apart by (IFLA_INFO_DATA, linux/if_link.h): one table from which links are
 * read and written, and which says what can be changed on a link that is there.
 */
import { formatIp, parseIp } from "../../base/ip.ts";
import type { Fact, Facts } from "../artifact.ts";
import { eachAttribute, type NetlinkWriter, read16, read32 } from "./wire.ts";

/** One property of a kind of link, and how the kernel spells it. */
interface Property {
  readonly fact: string;
  readonly attribute: number;
  /** Of an IPv6 address, which has an attribute of its own. */
  readonly attribute6?: number;
  readonly codec: Codec;
  /** The kernel changes it on a link that is there. All others take a new link. */
  readonly alterable?: boolean;
  /** What a new link has. It is not asked for then: a kernel without the feature would refuse to leave it off. */
  readonly initial?: Fact;
}

interface Codec {
  readonly bytes: number;
  read(bytes: Uint8Array, at: number, end: number): Fact;
  encode(fact: Fact): Uint8Array;
}

const u8: Codec = {
  bytes: 1,
  read: (bytes, at) => bytes[at],
  encode: (fact) => new Uint8Array([Number(fact)]),
};

const u16: Codec = {
  bytes: 2,
  read: (bytes, at) => read16(bytes, at),
  encode: (fact) => new Uint8Array([Number(fact) & 255, Number(fact) >>> 8]),
};

/** A port, in network order. */
const port: Codec = {
  bytes: 2,
  read: (bytes, at) => (bytes[at] << 8) | bytes[at + 1],
  encode: (fact) => new Uint8Array([Number(fact) >>> 8, Number(fact) & 255]),
};

const u32: Codec = {
  bytes: 4,
  read: (bytes, at) => read32(bytes, at),
  encode: (fact) => {
    const value = Number(fact);
    return new Uint8Array([value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24]);
  },
};

const flag: Codec = {
  bytes: 1,
  read: (bytes, at) => bytes[at] !== 0,
  encode: (fact) => new Uint8Array([fact === true ? 1 : 0]),
};

/** A number of one byte that has a name. */
function word(names: readonly string[]): Codec {
  return {
    bytes: 1,
    read: (bytes, at) => names[bytes[at]] ?? String(bytes[at]),
    encode: (fact) => new Uint8Array([names.indexOf(String(fact))]),
  };
}

/** Empty for none, which the kernel tells as all zeros, or not at all. */
const address: Codec = {
  bytes: 4,
  read: (bytes, at, end) => {
    const value = bytes.slice(at, end);
    const isAddress = value.length === 4 || value.length === 16;
    return isAddress && value.some((byte) => byte !== 0) ? formatIp(value) : "";
  },
  encode: (fact) => parseIp(String(fact))!,
};

/** By number (BOND_MODE_*, BOND_XMIT_POLICY_*), as the kernel's own tools write them. */
export const bondModes = [
  "balance-rr",
  "active-backup",
  "balance-xor",
  "broadcast",
  "802.3ad",
  "balance-tlb",
  "balance-alb",
] as const;
export const bondHashPolicies = [
  "layer2",
  "layer3+4",
  "layer2+3",
  "encap2+3",
  "encap3+4",
  "vlan+srcmac",
] as const;
export const lacpRates = ["slow", "fast"] as const;

const properties: Readonly<Record<string, readonly Property[]>> = {
  vlan: [{ fact: "vlanId", attribute: 1, codec: u16 }],
  vrf: [{ fact: "table", attribute: 1, codec: u32 }],
  bridge: [{ fact: "vlanFiltering", attribute: 7, codec: flag, alterable: true, initial: false }],
  // The kernel changes the mode, and the rate, only of a bond without members or that is down.
  bond: [
    { fact: "mode", attribute: 1, codec: word(bondModes) },
    { fact: "miimonMs", attribute: 3, codec: u32, alterable: true },
    { fact: "upDelayMs", attribute: 4, codec: u32, alterable: true },
    { fact: "downDelayMs", attribute: 5, codec: u32, alterable: true },
    { fact: "hashPolicy", attribute: 14, codec: word(bondHashPolicies), alterable: true },
    { fact: "minLinks", attribute: 18, codec: u32, alterable: true },
    { fact: "lacpRate", attribute: 21, codec: word(lacpRates) },
  ],
  vxlan: [
    { fact: "vni", attribute: 1, codec: u32 },
    { fact: "remote", attribute: 2, attribute6: 16, codec: address },
    { fact: "local", attribute: 4, attribute6: 17, codec: address },
    { fact: "ttl", attribute: 5, codec: u8, alterable: true },
    { fact: "learning", attribute: 7, codec: flag, alterable: true },
    { fact: "port", attribute: 15, codec: port },
  ],
};

/** What a VXLAN stands on is told with its properties, and not as for other links. */
export const vxlanLink = 3;

/** Reads IFLA_INFO_DATA. @returns what is known of this kind, and the index of the link that a VXLAN stands on */
export function readLinkData(
  kind: string,
  bytes: Uint8Array,
  at: number,
  end: number,
): { readonly data: Facts; readonly parent: number } {
  const known = properties[kind] ?? [];
  const data: Record<string, Fact> = {};
  for (const { fact, codec } of known) if (codec === address) data[fact] = "";
  let parent = 0;
  eachAttribute(bytes, at, end, (type, from, to) => {
    if (kind === "vxlan" && type === vxlanLink && to - from >= 4) parent = read32(bytes, from);
    const property = known.find(({ attribute, attribute6 }) => attribute === type || attribute6 === type);
    if (property && to - from >= property.codec.bytes)
      data[property.fact] = property.codec.read(bytes, from, to);
  });
  return { data, parent };
}

/** Writes what stands in IFLA_INFO_DATA, but for a pair's other end. @param only facts to be written; absent: a new link's */
export function writeLinkData(out: NetlinkWriter, facts: Facts, only?: ReadonlySet<string>): void {
  for (const { fact, attribute, attribute6, codec, initial } of properties[String(facts.kind)] ?? []) {
    const value = facts[fact];
    // No address is said by leaving it out.
    if (value === undefined || value === "" || (only ? !only.has(fact) : value === initial)) continue;
    const bytes = codec.encode(value);
    out.attribute(attribute6 !== undefined && bytes.length === 16 ? attribute6 : attribute, bytes);
  }
}

/** The facts in which what is asked differs from what there is. */
export function linkChanges(held: Facts, asked: Facts): Set<string> {
  return new Set(Object.keys(asked).filter((name) => held[name] !== asked[name]));
}

/** A link of these facts has to go before one of those can be there. */
export function needsNewLink(held: Facts, asked: Facts): boolean {
  const known = properties[String(asked.kind)] ?? [];
  const isAlterable = (name: string): boolean =>
    known.some(({ fact, alterable }) => fact === name && alterable);
  for (const name of linkChanges(held, asked)) if (!isAlterable(name)) return true;
  return false;
}
