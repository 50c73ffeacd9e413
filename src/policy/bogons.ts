/**
 * What must not be seen on the Internet: prefixes for `is_bogon`, AS numbers for `has_bogon_asn`. From the IANA
 * special-purpose registries (RFC 6890 and its successors; AS numbers: RFC 4893, 5398, 6996, 7300, 7607). A default
 * route is no bogon: `is_default` asks for it. docs/policy.md lists both.
 */
import { compileAsnSet } from "./asn-set.ts";
import { compilePrefixSet } from "./prefix-set.ts";

/** Each with everything inside it. */
export const bogonPrefixTexts: readonly string[] = [
  ...["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"],
  ...["192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"],
  ...["198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"],
  ...["::/8", "100::/64", "2001:2::/48", "2001:10::/28", "2001:db8::/32", "2002::/16", "3ffe::/16"],
  ...["3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"],
];

export const bogonAsnTexts: readonly string[] = ["0", "23456", "64496-131071", "4200000000-4294967295"];

export const bogonPrefixes = compilePrefixSet(
  bogonPrefixTexts.map((prefix) => ({ prefix, le: prefix.includes(":") ? 128 : 32 })),
);

export const bogonAsns = compileAsnSet(bogonAsnTexts);
