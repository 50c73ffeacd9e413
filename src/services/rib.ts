/** RibService: lists, streams and watches of routes, and why they are what they are. */
import type { ServiceImpl } from "@connectrpc/connect";
import {
  ListAdvertisedRoutesRequestSchema,
  ListBestRoutesRequestSchema,
  ListReceivedRoutesRequestSchema,
  ListRejectedRoutesRequestSchema,
  type RibService,
} from "../gen/cairn/v1/rib_service_pb.ts";
import type { ServiceContext } from "./context.ts";
import { unwrap } from "./problems.ts";
import { checked } from "./request.ts";
import { listRoutes, streamRoutes } from "./route-lists.ts";
import { watchRoutes } from "./route-watch.ts";

export function ribService(services: ServiceContext): ServiceImpl<typeof RibService> {
  const { view } = services.owner;
  return {
    listReceivedRoutes: (request) =>
      listRoutes(services, ListReceivedRoutesRequestSchema, request, (check) => ({
        table: "received",
        neighbor: check.address("neighbor", request.neighbor),
        prePolicy: request.prePolicy,
      })),
    listBestRoutes: (request) =>
      listRoutes(services, ListBestRoutesRequestSchema, request, () => ({
        table: "best",
        allPaths: request.allPaths,
      })),
    listAdvertisedRoutes: (request) =>
      listRoutes(services, ListAdvertisedRoutesRequestSchema, request, (check) => ({
        table: "advertised",
        neighbor: check.address("neighbor", request.neighbor),
      })),
    listRejectedRoutes: (request) =>
      listRoutes(services, ListRejectedRoutesRequestSchema, request, (check) => ({
        table: "rejected",
        neighbor: check.address("neighbor", request.neighbor),
      })),

    streamReceivedRoutes: (request, { signal }) =>
      streamRoutes(services, request, signal, (check) => ({
        table: "received",
        neighbor: check.address("neighbor", request.neighbor),
        prePolicy: request.prePolicy,
      })),
    streamBestRoutes: (request, { signal }) =>
      streamRoutes(services, request, signal, () => ({ table: "best", allPaths: request.allPaths })),
    streamAdvertisedRoutes: (request, { signal }) =>
      streamRoutes(services, request, signal, (check) => ({
        table: "advertised",
        neighbor: check.address("neighbor", request.neighbor),
      })),

    lookupRoute: (request) => unwrap(view.lookup(checked((check) => check.target("target", request.target)))),
    explainBestPath: (request) =>
      unwrap(view.explainBestPath(checked((check) => check.prefix("prefix", request.prefix)))),
    explainImport: (request) => {
      const [neighbor, prefix] = checked((check) => [
        check.address("neighbor", request.neighbor),
        check.prefix("prefix", request.prefix),
      ]);
      return unwrap(view.explainImport(neighbor, prefix, request.pathId));
    },
    explainAdvertisedRoute: (request) => {
      const [neighbor, prefix] = checked((check) => [
        check.address("neighbor", request.neighbor),
        check.prefix("prefix", request.prefix),
      ]);
      return unwrap(view.explainAdvertised(neighbor, prefix));
    },
    watchRoutes: (request, { signal }) => watchRoutes(services, request, signal),
    getRibSummary: () => view.ribSummary(),
  };
}
