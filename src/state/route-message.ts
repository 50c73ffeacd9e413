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
  // A copy of the shared template: lists inside are shared and never changed.
  const route = { ...attributesMessage(routing, attr) };
  route.prefix = prefixText(table.prefixes, prefix);
  route.pathId = paths.idOf(path);
  route.neighbor = routing.neighbors.text[paths.neighbor[path]];
  route.family = table.family.name;
  route.best = table.bestOf(prefix) === path;
  route.stale = (flags & staleFlag) !== 0;
  route.rejectReason = rejectReasonText[flags & reasonMask];
  if (nowS !== 0) setTimes(route, paths.time[path], nowS);
  return route;
}

/** Times of the route before this one: neighbors in a table often share them. */
let lastTimes = { timeS: -1, nowS: -1, age: durationFromMs(0), receivedAt: timestampFromMs(0) };

function setTimes(route: Route, timeS: number, nowS: number): void {
  if (lastTimes.timeS !== timeS || lastTimes.nowS !== nowS) {
    const age = durationFromMs(Math.max(0, nowS - timeS) * 1000);
    lastTimes = { timeS, nowS, age, receivedAt: timestampFromMs(timeS * 1000) };
  }
  route.age = lastTimes.age;
  route.receivedAt = lastTimes.receivedAt;
}

/** Attribute sets shown last, by id: a list shows the same set many times in a row. */
const templatesMax = 1024;
const templates = new WeakMap<Routing, Map<AttrId, { readonly epoch: number; readonly route: Route }>>();

/** What an attribute set says, as the attribute fields of a `Route`. Shared: copy it, do not change it. */
export function attributesMessage(routing: Routing, attr: AttrId): Route {
  let known = templates.get(routing);
  if (!known) templates.set(routing, (known = new Map()));
  const epoch = routing.attributes.epoch[attr];
  const found = known.get(attr);
  if (found?.epoch === epoch) return found.route;
  routing.attributes.block(attr, block);
  const route = routeOfAttributes(decodeBlock(block.bytes, block.start, block.end));
  if (known.size >= templatesMax) known.clear();
  known.set(attr, { epoch, route });
  return route;
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
    otc: attributes.otc,
    weight: attributes.local?.weight,
    tag: attributes.local?.tag,
    discard: attributes.local?.discard ?? false,
  });
}
