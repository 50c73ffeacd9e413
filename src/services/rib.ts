/** RibService: lists, streams and watches of routes, and why they are what they are. */
import type { ServiceImpl } from "@connectrpc/connect";
import {
  ListAdvertisedRoutesRequestSchema,
  ListAdvertisedRoutesResponseSchema,
  type ListBestRoutesRequest,
  ListBestRoutesRequestSchema,
  ListBestRoutesResponseSchema,
  ListBlackholeDiscardsRequestSchema,
  ListDampenedRoutesRequestSchema,
  ListFibRoutesRequestSchema,
  ListNextHopsRequestSchema,
  ListReceivedRoutesRequestSchema,
  ListReceivedRoutesResponseSchema,
  ListRejectedRoutesRequestSchema,
  ListRejectedRoutesResponseSchema,
  type RibService,
  StreamAdvertisedRoutesResponseSchema,
  type StreamBestRoutesRequest,
  StreamBestRoutesResponseSchema,
  StreamReceivedRoutesResponseSchema,
} from "../gen/cairn/v1/rib_service_pb.ts";
import { parseRouteName, shownName } from "../state/route-name.ts";
import type { RouteTable } from "../state/view.ts";
import type { ServiceContext } from "./context.ts";
import { flowSpecLists } from "./flowspec.ts";
import { operate } from "./mutations.ts";
import { readPage } from "./paging.ts";
import { unwrap } from "./problems.ts";
import { checked, type RequestCheck } from "./request.ts";
import { listRouteEvents, lookupAt } from "./route-history.ts";
import { listRoutes, streamRoutes } from "./route-lists.ts";
import { watchRoutes } from "./route-watch.ts";

export function ribService(services: ServiceContext): ServiceImpl<typeof RibService> {
  const { view } = services.owner;
  return {
    listReceivedRoutes: (request, context) =>
      listRoutes(
        services,
        ListReceivedRoutesRequestSchema,
        ListReceivedRoutesResponseSchema,
        request,
        context,
        (check) => ({
          table: "received",
          neighbor: check.neighbor("neighbor", request.neighbor),
          prePolicy: request.prePolicy,
        }),
      ),
    ...flowSpecLists(services),
    listNextHops(request) {
      const { page, address } = checked((check) => ({
        page: readPage(check, ListNextHopsRequestSchema, request),
        address: request.address === "" ? "" : check.address("address", request.address),
      }));
      const { view } = services.owner;
      const found = view.nextHops(address, request.unreachable, page.position, page.size);
      if (!found) return { tracked: false };
      const { nextHops, position, total } = found;
      const nextPageToken = position === "" ? "" : page.token(position, page.before + nextHops.length);
      return { nextHops, nextPageToken, totalSize: BigInt(total), tracked: true };
    },
    listFibRoutes(request) {
      const { page, query } = checked((check) => ({
        page: readPage(check, ListFibRoutesRequestSchema, request),
        query: {
          name: request.fibTable,
          prefix: request.prefix && check.prefix("prefix", request.prefix),
          faulty: request.faulty,
        },
      }));
      const { routes, position, total } = view.fibRoutes(query, page.position, page.size);
      const nextPageToken = position === "" ? "" : page.token(position, page.before + routes.length);
      return { routes, nextPageToken, totalSize: BigInt(total) };
    },
    listBlackholeDiscards(request) {
      const { page, family } = checked((check) => ({
        page: readPage(check, ListBlackholeDiscardsRequestSchema, request),
        family: check.family("family", request.family),
      }));
      const { discards, position } = view.blackholeDiscards(family, page.position, page.size);
      const nextPageToken = position === "" ? "" : page.token(position, page.before + discards.length);
      return { discards, nextPageToken };
    },
    listBestRoutes: (request, context) =>
      listRoutes(
        services,
        ListBestRoutesRequestSchema,
        ListBestRoutesResponseSchema,
        request,
        context,
        (check) => bestTable(check, request),
      ),
    listAdvertisedRoutes: (request, context) =>
      listRoutes(
        services,
        ListAdvertisedRoutesRequestSchema,
        ListAdvertisedRoutesResponseSchema,
        request,
        context,
        (check) => ({
          table: "advertised",
          neighbor: check.neighbor("neighbor", request.neighbor),
        }),
      ),
    listRejectedRoutes: (request, context) =>
      listRoutes(
        services,
        ListRejectedRoutesRequestSchema,
        ListRejectedRoutesResponseSchema,
        request,
        context,
        (check) => ({
          table: "rejected",
          neighbor: check.neighbor("neighbor", request.neighbor),
        }),
      ),

    streamReceivedRoutes: (request, context) =>
      streamRoutes(services, StreamReceivedRoutesResponseSchema, request, context, (check) => ({
        table: "received",
        neighbor: check.neighbor("neighbor", request.neighbor),
        prePolicy: request.prePolicy,
      })),
    streamBestRoutes: (request, context) =>
      streamRoutes(services, StreamBestRoutesResponseSchema, request, context, (check) =>
        bestTable(check, request),
      ),
    streamAdvertisedRoutes: (request, context) =>
      streamRoutes(services, StreamAdvertisedRoutesResponseSchema, request, context, (check) => ({
        table: "advertised",
        neighbor: check.neighbor("neighbor", request.neighbor),
      })),

    lookupRoute: (request) => {
      const { target, atMs } = checked((check) => ({
        target: check.target("target", request.target),
        atMs: check.time("at", request.at),
      }));
      return atMs === undefined ? unwrap(view.lookup(target)) : lookupAt(services, target, atMs);
    },
    listRouteEvents: (request) => listRouteEvents(services, request),
    explainBestPath: (request) => {
      const [prefix, family] = checked((check) => named(check, request));
      return unwrap(view.explainBestPath(prefix, family));
    },
    explainImport: (request) => {
      const [neighbor, prefix, family] = checked((check) => [
        check.neighbor("neighbor", request.neighbor),
        ...named(check, request),
      ]);
      return unwrap(view.explainImport(neighbor, prefix, request.pathId, family));
    },
    explainAdvertisedRoute: (request) => {
      const [neighbor, prefix, family] = checked((check) => [
        check.neighbor("neighbor", request.neighbor),
        ...named(check, request),
      ]);
      return unwrap(view.explainAdvertised(neighbor, prefix, family));
    },
    watchRoutes: (request, context) => watchRoutes(services, request, context),
    listDampenedRoutes: (request) => {
      const [page, query] = checked((check) => [
        readPage(check, ListDampenedRoutesRequestSchema, request),
        {
          neighbor: request.neighbor && check.neighbor("neighbor", request.neighbor),
          family: check.family("family", request.family),
          all: request.all,
        },
      ]);
      const { routes, position, total, overflow } = unwrap(view.dampened(query, page.position, page.size));
      const nextPageToken = position === "" ? "" : page.token(position, page.before + routes.length);
      return {
        routes: [...routes],
        nextPageToken,
        totalSize: BigInt(total),
        overflow: BigInt(overflow),
      };
    },
    async clearDampening(request) {
      const [address, prefix] = checked((check) => [
        request.neighbor && check.neighbor("neighbor", request.neighbor),
        request.prefix && check.prefix("prefix", request.prefix),
      ]);
      await operate(services, { op: "clear-damping", address, prefix });
      return {};
    },
    getRibSummary: () => view.ribSummary(),
  };
}

function bestTable(
  check: RequestCheck,
  { allPaths, multipath, at }: ListBestRoutesRequest | StreamBestRoutesRequest,
): RouteTable {
  const atMs = check.time("at", at);
  if (atMs === undefined)
    return { table: "best", paths: allPaths ? "all" : multipath ? "multipath" : "best" };
  for (const [path, isSet] of [["all_paths", allPaths] as const, ["multipath", multipath] as const]) {
    const message = "does not go with at: of earlier times only best paths are remembered";
    if (isSet) check.add({ code: "INVALID", path, message, fix: "leave one of the two out" });
  }
  return { table: "past", atMs };
}

/** A prefix or a rule in canonical form, and its family where it is named. */
function named(
  check: RequestCheck,
  { prefix, family }: { readonly prefix: string; readonly family: string },
): [name: string, family: string] {
  if (check.family("family", family)?.nlri !== "flow") return [check.prefix("prefix", prefix), family];
  const read = parseRouteName(check.required("prefix", prefix), family, "prefix");
  if (!read.ok) check.addAll(read.problems);
  return [read.ok ? shownName(read.value) : prefix, family];
}
