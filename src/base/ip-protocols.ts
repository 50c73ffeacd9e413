/** Names of IP protocols, for people; the IANA's for those that are met. */
const names: Readonly<Record<number, string>> = {
  1: "icmp",
  2: "igmp",
  4: "ipip",
  6: "tcp",
  17: "udp",
  33: "dccp",
  41: "ipv6",
  47: "gre",
  50: "esp",
  51: "ah",
  58: "icmpv6",
  89: "ospf",
  103: "pim",
  112: "vrrp",
  132: "sctp",
  136: "udplite",
};

const numbers: ReadonlyMap<string, number> = new Map(
  Object.entries(names).map(([number, name]) => [name, Number(number)]),
);

/** Name of a protocol, or its number. */
export function protocolText(protocol: number): string {
  return names[protocol] ?? String(protocol);
}

/** Number of a protocol by its name or number; undefined when it is neither. */
export function parseProtocol(text: string): number | undefined {
  const known = numbers.get(text.toLowerCase());
  if (known !== undefined) return known;
  return /^\d{1,3}$/.test(text) && Number(text) <= 255 ? Number(text) : undefined;
}
