/** AS numbers reserved for private use (RFC 6996 2), and paths without them. */
import { type AsPathSegment, SegmentType } from "./path-attributes.ts";

export function isPrivateAs(asn: number): boolean {
  return (asn >= 64512 && asn <= 65534) || (asn >= 4200000000 && asn <= 4294967294);
}

/**
 * The path without its private AS numbers; segments that become empty go. Those of a confederation stay: they keep its
 * routes from going round.
 */
export function withoutPrivateAs(path: readonly AsPathSegment[]): AsPathSegment[] {
  return path
    .map(({ type, asns }) => ({
      type,
      asns: type >= SegmentType.confedSequence ? asns : asns.filter((asn) => !isPrivateAs(asn)),
    }))
    .filter(({ asns }) => asns.length > 0);
}
