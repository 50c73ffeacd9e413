/** Rows of the tables as messages of the API. */
import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { formatIp, formatIp4 } from "../base/ip.ts";
import { type AsPathSegment_Type, type Origin, type Route, RouteSchema } from "../gen/cairn/v1/types_pb.ts";
import type { AttrId } from "../rib/attribute-store.ts";
import { reasonMask, rejectReasonText, staleFlag } from "../rib/path-flags.ts";
import type { PrefixTable } from "../rib/prefix-table.ts";
import type { RouteTable } from "../rib/route-table.ts";
import { formatAsPath } from "../wire/as-path-text.ts";
import { decodeBlock } from "../wire/block.ts";
import { formatCommunity, formatExtendedCommunity, formatLargeCommunity } from "../wire/community-text.ts";
import type { PathAttributes } from "../wire/path-attributes.ts";
import { AttributeBlock } from "../wire/scratch.ts";
import type { Routing } from "./routing.ts";

const address = new Uint8Array(16);
const block = new AttributeBlock();

/** Canonical text of a prefix row. */
export function prefixText(prefixes: PrefixTable, row: number): string {
  prefixes.writeAddress(row, address, 0);
  return `${formatIp(address, 0, prefixes.addressBytes)}/${prefixes.length[row]}`;
}

/**
 * A path with one of its attribute sets.
 * @param attr the set to show: as received, after import policy, or as announced
 * @param nowS wall-clock seconds for the age; 0 leaves time out
 * @param prefix row of the prefix, when the path is gone (0)
 */
export function routeMessage(
  routing: Routing,
  table: RouteTable,
  path: number,
  attr: AttrId,
  nowS = 0,
  prefix = table.paths.prefix[path],
): Route {
  const { paths } = table;
  const flags = paths.flags[path];
  const route = attributesMessage(routing, attr);
  route.prefix = prefixText(table.prefixes, prefix);
  route.pathId = paths.idOf(path);
  route.neighbor = routing.neighbors.text[paths.neighbor[path]];
  route.family = table.family.name;
  route.best = table.bestOf(prefix) === path;
  route.stale = (flags & staleFlag) !== 0;
  route.rejectReason = rejectReasonText[flags & reasonMask];
  if (nowS !== 0) {
    route.age = durationFromMs(Math.max(0, nowS - paths.time[path]) * 1000);
    route.receivedAt = timestampFromMs(paths.time[path] * 1000);
  }
  return route;
}

/** What an attribute set says, as the attribute fields of a `Route`. */
export function attributesMessage(routing: Routing, attr: AttrId): Route {
  routing.attributes.block(attr, block);
  return routeOfAttributes(decodeBlock(block.bytes, block.start, block.end));
}

function routeOfAttributes(attributes: PathAttributes): Route {
  const { nextHop } = attributes;
  const first = nextHop.length === 32 ? 16 : nextHop.length;
  return create(RouteSchema, {
    nextHop: first === 0 ? "" : formatIp(nextHop, 0, first),
    nextHopLinkLocal: nextHop.length === 32 ? formatIp(nextHop, 16, 16) : "",
    origin: (attributes.origin + 1) as Origin,
    asPath: attributes.asPath.map((segment) => ({
      type: segment.type as number as AsPathSegment_Type,
      asns: segment.asns,
    })),
    asPathText: formatAsPath(attributes.asPath),
    localPref: attributes.localPref,
    med: attributes.med,
    communities: attributes.communities.map(formatCommunity),
    extendedCommunities: attributes.extendedCommunities.map(formatExtendedCommunity),
    largeCommunities: attributes.largeCommunities.map(formatLargeCommunity),
    originatorId: attributes.originatorId === undefined ? "" : formatIp4(attributes.originatorId),
    clusterList: attributes.clusterList.map(formatIp4),
    atomicAggregate: attributes.atomicAggregate,
    aggregator: attributes.aggregator && {
      asn: attributes.aggregator.asn,
      address: formatIp4(attributes.aggregator.address),
    },
    unknownAttributes: attributes.unknown,
  });
}
