/** Which routes a request asks for. */
import type { RouteFilter } from "../gen/cairn/v1/types_pb.ts";
import { type Family, ipv4Unicast } from "../wire/family.ts";
import { conditionsMax, filterBytesMax, type RequestCheck } from "./request.ts";

export interface RouteQuery {
  readonly family: Family;
  /** With addresses and prefixes in canonical form. */
  readonly filter: RouteFilter | undefined;
}

/** Reads family and filter. Without a name the family is that of the filter's prefix, or ipv4-unicast. */
export function checkQuery(
  check: RequestCheck,
  request: { readonly family: string; readonly filter?: RouteFilter },
): RouteQuery {
  const named = check.family("family", request.family);
  const given = request.filter;
  const before = check.problems.length;
  const filter: RouteFilter | undefined = given && {
    ...given,
    prefix: given.prefix && check.prefix("filter.prefix", given.prefix),
    neighbor:
      given.neighbor && given.neighbor !== "local"
        ? check.neighbor("filter.neighbor", given.neighbor)
        : given.neighbor,
    nextHop: given.nextHop && check.address("filter.next_hop", given.nextHop),
  };
  if (filter) {
    check.count("filter.communities", filter.communities, conditionsMax);
    check.textBytes("filter.as_path", filter.asPath, filterBytesMax);
  }
  if (filter?.longer && filter.prefix === "") {
    const message = "needs a prefix";
    check.add({ code: "INVALID", path: "filter.longer", message, fix: "set filter.prefix too" });
  }
  const ofPrefix = check.problems.length === before ? check.familyOfPrefix(filter?.prefix ?? "") : undefined;
  if (named && ofPrefix && named.addressBytes !== ofPrefix.addressBytes) {
    const message = `is a prefix of ${ofPrefix.name}, not of ${named.name}`;
    check.add({ code: "INVALID", path: "filter.prefix", message, value: filter?.prefix });
  }
  return { family: named ?? ofPrefix ?? ipv4Unicast, filter };
}
