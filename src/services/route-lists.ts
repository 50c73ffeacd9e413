/** Tables as pages and as streams. Both walk in small steps and rest between them; a stream only as it is read. */
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { limits } from "../base/limits.ts";
import type { Route, RouteFilter } from "../gen/cairn/v1/types_pb.ts";
import type { RouteTable, RouteWalk } from "../state/view.ts";
import type { ServiceContext } from "./context.ts";
import type { PageAnswer } from "./objects.ts";
import { Pacer } from "./pacer.ts";
import { readPage } from "./paging.ts";
import { refusal } from "./problems.ts";
import { RequestCheck } from "./request.ts";
import { checkQuery } from "./route-query.ts";

interface TableRequest {
  readonly family: string;
  readonly filter?: RouteFilter;
}

/** Routes and rows of one step of a walk. */
const stepRoutes = 64;
const stepRows = 512;
/** A page or batch ends early rather than outgrow the 4 MiB that gRPC clients take by default. */
const messageBytesMax = 2 << 20;

/** One page. `total_size` counts the table; with a filter it is 0 until the last page, then the number of matches. */
export async function listRoutes<Desc extends DescMessage>(
  services: ServiceContext,
  desc: Desc,
  request: MessageShape<Desc> & TableRequest & { readonly pageSize: number; readonly pageToken: string },
  tableOf: (check: RequestCheck) => RouteTable,
): Promise<{ routes: Route[] } & PageAnswer> {
  const check = new RequestCheck();
  const page = readPage(check, desc, request);
  const walk = startWalk(services, check, request, tableOf, page.position);
  const pacer = new Pacer();
  const routes: Route[] = [];
  let bytes = 0;
  let ended = false;
  while (!ended && routes.length < page.size && bytes < messageBytesMax) {
    await pacer.rest();
    const step: Route[] = [];
    ended = walk.next(step, Math.min(stepRoutes, page.size - routes.length), stepRows);
    for (const route of step) {
      routes.push(route);
      bytes += estimateBytes(route);
    }
  }
  const before = page.before + routes.length;
  const total = hasConditions(request.filter) ? (ended ? before : 0) : walk.total();
  return {
    routes,
    nextPageToken: ended ? "" : page.token(walk.position(), before),
    totalSize: BigInt(total),
  };
}

/** The whole table in batches of at most `limits.streamBatchRoutes`. */
export async function* streamRoutes(
  services: ServiceContext,
  request: TableRequest,
  signal: AbortSignal,
  tableOf: (check: RequestCheck) => RouteTable,
): AsyncGenerator<{ routes: Route[] }> {
  const walk = startWalk(services, new RequestCheck(), request, tableOf, "");
  const pacer = new Pacer();
  let routes: Route[] = [];
  let bytes = 0;
  for (let ended = false; !ended; ) {
    await pacer.rest();
    signal.throwIfAborted();
    const step: Route[] = [];
    ended = walk.next(step, Math.min(stepRoutes, limits.streamBatchRoutes - routes.length), stepRows);
    for (const route of step) {
      routes.push(route);
      bytes += estimateBytes(route);
    }
    if (
      routes.length >= limits.streamBatchRoutes ||
      bytes >= messageBytesMax ||
      (ended && routes.length > 0)
    ) {
      yield { routes };
      routes = [];
      bytes = 0;
    }
  }
}

function startWalk(
  services: ServiceContext,
  check: RequestCheck,
  request: TableRequest,
  tableOf: (check: RequestCheck) => RouteTable,
  position: string,
): RouteWalk {
  const table = tableOf(check);
  const { family, filter } = checkQuery(check, request);
  const walk = services.owner.view.walk(table, family, filter, position);
  if (!walk.ok) check.addAll(walk.problems);
  if (check.problems.length > 0 || !walk.ok) throw refusal(check.problems);
  return walk.value;
}

function hasConditions(filter: RouteFilter | undefined): boolean {
  return (
    filter !== undefined &&
    (filter.prefix !== "" ||
      filter.originAsn !== undefined ||
      filter.communities.length > 0 ||
      filter.asPath !== "" ||
      filter.neighbor !== "" ||
      filter.nextHop !== "")
  );
}

/** About as many bytes as the route takes in a message; cheap, and not less than a third of the truth. */
function estimateBytes(route: Route): number {
  let asns = 0;
  for (const segment of route.asPath) asns += segment.asns.length;
  let unknown = 0;
  for (const attribute of route.unknownAttributes) unknown += attribute.value.length + 8;
  const communities =
    route.communities.length + route.largeCommunities.length * 3 + route.extendedCommunities.length * 2;
  return 160 + asns * 12 + communities * 13 + route.clusterList.length * 16 + unknown;
}
