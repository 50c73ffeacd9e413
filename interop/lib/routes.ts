/** Routes in one form, whoever shows them, so that tables of different daemons compare exactly. */

export type Family = "ipv4-unicast" | "ipv6-unicast";
export const families: readonly Family[] = ["ipv4-unicast", "ipv6-unicast"];

export interface Route {
  readonly prefix: string;
  readonly nextHop: string;
  readonly origin: "igp" | "egp" | "incomplete";
  /** Sets in braces, members sorted: "65001 65010 {65030 65031}". */
  readonly asPath: string;
  readonly med: number | undefined;
  readonly localPref: number | undefined;
  /** Sorted; "65001:100". */
  readonly communities: readonly string[];
  /** Sorted; "rt:65001:7". */
  readonly extendedCommunities: readonly string[];
  /** Sorted; "4200000001:2:3". */
  readonly largeCommunities: readonly string[];
  readonly atomicAggregate: boolean;
  /** "65010 192.0.2.9". */
  readonly aggregator: string | undefined;
}

/** A route with the usual values for what is not named. Lists are sorted. */
export function route(prefix: string, nextHop: string, fields: Partial<Route> = {}): Route {
  return {
    prefix,
    nextHop,
    origin: fields.origin ?? "igp",
    asPath: canonicalPath(fields.asPath ?? ""),
    med: fields.med,
    localPref: fields.localPref,
    communities: [...(fields.communities ?? [])].sort(),
    extendedCommunities: [...(fields.extendedCommunities ?? [])].sort(),
    largeCommunities: [...(fields.largeCommunities ?? [])].sort(),
    atomicAggregate: fields.atomicAggregate ?? false,
    aggregator: fields.aggregator,
  };
}

/** Sorted by prefix. */
export function table(routes: readonly Route[]): Route[] {
  return [...routes].sort((a, b) => (a.prefix < b.prefix ? -1 : a.prefix > b.prefix ? 1 : 0));
}

export function familyOf(prefix: string): Family {
  return prefix.includes(":") ? "ipv6-unicast" : "ipv4-unicast";
}

/** One space between ASNs, members of sets in numeric order (a set has no order). */
export function canonicalPath(text: string): string {
  return text
    .replace(/\{([^}]*)\}/g, (_, members: string) => {
      const asns = members
        .split(/[\s,]+/)
        .filter(Boolean)
        .map(Number);
      return ` {${asns.sort((a, b) => a - b).join(" ")}} `;
    })
    .trim()
    .replace(/\s+/g, " ");
}

/** What cairn originates in every scenario: each attribute at least once, the longest and the shortest prefix. */
export const injected: Readonly<Record<Family, readonly Injected[]>> = {
  "ipv4-unicast": injectedFor("0.0.0.0/0", "198.18.0.1/32", [
    "198.51.100.0/24",
    "203.0.113.0/24",
    "192.0.2.128/25",
  ]),
  "ipv6-unicast": injectedFor("::/0", "2001:db8:ffff::1/128", [
    "2001:db8:1::/48",
    "2001:db8:2::/47",
    "2001:db8:5::/49",
  ]),
};

/** A path as `cairnctl rib load` takes it: proto3 JSON of InjectedPath. */
export interface Injected {
  readonly prefix: string;
  readonly origin?: "ORIGIN_EGP" | "ORIGIN_INCOMPLETE";
  readonly asPathText?: string;
  readonly med?: number;
  readonly localPref?: number;
  readonly communities?: readonly string[];
  readonly extendedCommunities?: readonly string[];
  readonly largeCommunities?: readonly string[];
  readonly atomicAggregate?: boolean;
  readonly aggregator?: { readonly asn: number; readonly address: string };
}

function injectedFor(shortest: string, longest: string, others: readonly string[]): Injected[] {
  return [
    { prefix: shortest },
    { prefix: longest, asPathText: "65010", localPref: 300 },
    {
      prefix: others[0],
      origin: "ORIGIN_INCOMPLETE",
      asPathText: "65010 65020",
      med: 50,
      communities: ["65001:100", "65010:65535"],
      extendedCommunities: ["rt:65001:7", "rt:65010:8"],
      largeCommunities: ["4200000001:2:3", "65001:0:4294967295"],
    },
    {
      prefix: others[1],
      origin: "ORIGIN_EGP",
      asPathText: "65010 {65030 65031}",
      atomicAggregate: true,
      aggregator: { asn: 4200000012, address: "192.0.2.9" },
    },
    { prefix: others[2], asPathText: "4200000010 65010 4200000011", med: 0 },
  ];
}

/** How an injected path looks to a neighbor. */
export function asSeenBy(
  path: Injected,
  view: { readonly external: boolean; readonly ourAsn: number; readonly nextHop: string },
): Route {
  const origins = { ORIGIN_EGP: "egp", ORIGIN_INCOMPLETE: "incomplete" } as const;
  return route(path.prefix, view.nextHop, {
    origin: path.origin ? origins[path.origin] : "igp",
    asPath: view.external ? `${view.ourAsn} ${path.asPathText ?? ""}` : (path.asPathText ?? ""),
    med: path.med,
    localPref: view.external ? undefined : (path.localPref ?? 100),
    communities: path.communities,
    extendedCommunities: path.extendedCommunities,
    largeCommunities: path.largeCommunities,
    atomicAggregate: path.atomicAggregate,
    aggregator: path.aggregator && `${path.aggregator.asn} ${path.aggregator.address}`,
  });
}
