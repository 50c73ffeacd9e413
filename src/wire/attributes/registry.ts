/** The table of path attributes, in order of their codes. */
import { aggregator, as4Aggregator, atomicAggregate } from "./aggregator.ts";
import { aigp } from "./aigp.ts";
import { as4Path, asPath } from "./as-path.ts";
import { clusterList, localPref, med, nextHop, origin, originatorId } from "./basic.ts";
import {
  communities,
  extendedCommunities,
  ipv6ExtendedCommunities,
  largeCommunities,
  onlyToCustomer,
} from "./communities.ts";
import { type AttributeDescriptor, AttributeType, optionalNonTransitive } from "./descriptor.ts";
import { localMarks } from "./local.ts";

/** The decoder reads MP_REACH_NLRI and MP_UNREACH_NLRI itself: they are routes more than attributes. */
function multiprotocol(code: number, name: string): AttributeDescriptor {
  return { code, name, flags: optionalNonTransitive, check: () => undefined };
}

export const attributeRows: readonly AttributeDescriptor[] = [
  localMarks,
  origin,
  asPath,
  nextHop,
  med,
  localPref,
  atomicAggregate,
  aggregator,
  communities,
  originatorId,
  clusterList,
  multiprotocol(AttributeType.mpReach, "MP_REACH_NLRI"),
  multiprotocol(AttributeType.mpUnreach, "MP_UNREACH_NLRI"),
  extendedCommunities,
  as4Path,
  as4Aggregator,
  ipv6ExtendedCommunities,
  aigp,
  largeCommunities,
  onlyToCustomer,
];

/** Row by type code; undefined for an attribute that cairn does not know. */
export const attributeByCode: readonly (AttributeDescriptor | undefined)[] = Array.from(
  { length: 256 },
  (_, code) => attributeRows.find((row) => row.code === code),
);

/** `LOCAL_PREF`, or `attribute 99`. */
export function attributeName(code: number): string {
  return attributeByCode[code]?.name ?? `attribute ${code}`;
}
