/** What happened to routes, and longest matches of earlier times. Both walk the journal in small steps. */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { parsePrefix } from "../base/ip.ts";
import {
  type ListRouteEventsRequest,
  ListRouteEventsRequestSchema,
  type ListRouteEventsResponse,
  ListRouteEventsResponseSchema,
  type LookupRouteResponse,
  type RouteEvent,
} from "../gen/cairn/v1/rib_service_pb.ts";
import { ipv4Unicast } from "../wire/family.ts";
import type { ServiceContext } from "./context.ts";
import { Pacer } from "./pacer.ts";
import { readPage } from "./paging.ts";
import { unwrap } from "./problems.ts";
import { checked } from "./request.ts";

/** Events and changes of one step of a walk. */
const stepEvents = 16;
/** A page ends early rather than outgrow the 4 MiB that gRPC clients take by default. */
const messageBytesMax = 2 << 20;
const stepChanges = 8_192;

export async function listRouteEvents(
  { owner }: ServiceContext,
  request: ListRouteEventsRequest,
): Promise<ListRouteEventsResponse> {
  const { page, query } = checked((check) => {
    const prefix = request.prefix && check.prefix("prefix", request.prefix);
    const parsed = prefix ? parsePrefix(prefix) : undefined;
    const named = check.family("family", request.family);
    const ofPrefix = check.problems.length === 0 ? check.familyOfPrefix(prefix) : undefined;
    if (named && ofPrefix && named !== ofPrefix) {
      const message = `is a prefix of ${ofPrefix.name}, not of ${named.name}`;
      check.add({ code: "INVALID", path: "prefix", message, value: prefix });
    }
    const { neighbor } = request;
    return {
      page: readPage(check, ListRouteEventsRequestSchema, request),
      query: {
        family: named ?? ofPrefix ?? ipv4Unicast,
        prefix: typeof parsed === "object" ? parsed : undefined,
        neighbor: neighbor && neighbor !== "local" ? check.neighbor("neighbor", neighbor) : neighbor,
        bestOnly: request.bestOnly,
        sinceMs: check.time("since", request.since),
        untilMs: check.time("until", request.until),
      },
    };
  });
  const walk = unwrap(owner.view.routeEvents(query, page.position));
  const events: RouteEvent[] = [];
  const pacer = new Pacer();
  let ended = false;
  while (!ended && events.length < page.size && walk.bytes < messageBytesMax) {
    await pacer.rest();
    ended = walk.next(events, Math.min(stepEvents, page.size - events.length), stepChanges);
  }
  const { count, reachesBackToMs } = owner.view.historyState();
  return create(ListRouteEventsResponseSchema, {
    events,
    nextPageToken: ended ? "" : page.token(walk.position(), page.before + events.length),
    totalSize: BigInt(count),
    reachesBackTo: reachesBackToMs === undefined ? undefined : timestampFromMs(reachesBackToMs),
  });
}

/** @param atMs wall-clock milliseconds */
export async function lookupAt(
  { owner }: ServiceContext,
  target: string,
  atMs: number,
): Promise<LookupRouteResponse> {
  const lookup = unwrap(owner.view.lookupAt(target, atMs));
  const pacer = new Pacer();
  for (;;) {
    const answer = lookup.next(stepChanges);
    if (answer) return unwrap(answer);
    await pacer.rest();
  }
}
