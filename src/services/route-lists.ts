/** Tables as pages and as streams. Both walk in small steps and rest between them; a stream only as it is read. */
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import type { HandlerContext } from "@connectrpc/connect";
import { limits } from "../base/limits.ts";
import type { RouteFilter } from "../gen/cairn/v1/types_pb.ts";
import { RouteBatch } from "../state/route-batch.ts";
import type { RouteTable, RouteWalk } from "../state/view.ts";
import type { ServiceContext } from "./context.ts";
import type { PageAnswer } from "./objects.ts";
import { Pacer } from "./pacer.ts";
import { readPage } from "./paging.ts";
import { refusal } from "./problems.ts";
import { RequestCheck } from "./request.ts";
import { type RoutesResponse, takesBinary, withRoutes } from "./route-answer.ts";
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
export async function listRoutes<Request extends DescMessage, Response extends RoutesResponse & PageAnswer>(
  services: ServiceContext,
  desc: Request,
  answer: GenMessage<Response>,
  request: MessageShape<Request> & TableRequest & { readonly pageSize: number; readonly pageToken: string },
  context: HandlerContext,
  tableOf: (check: RequestCheck) => RouteTable,
): Promise<Response> {
  const check = new RequestCheck();
  const page = readPage(check, desc, request);
  const walk = startWalk(services, check, request, tableOf, page.position);
  const pacer = new Pacer();
  const batch = new RouteBatch();
  let ended = false;
  while (!ended && batch.count < page.size && batch.byteLength < messageBytesMax) {
    await pacer.rest();
    ended = walk.next(batch, Math.min(stepRoutes, page.size - batch.count), stepRows);
    if (walk.problem) throw refusal([walk.problem]);
  }
  const before = page.before + batch.count;
  const known = hasConditions(request.filter) ? undefined : walk.total();
  const total = known ?? (ended ? before : 0);
  const response = withRoutes(answer, batch, takesBinary(context));
  response.nextPageToken = ended ? "" : page.token(walk.position(), before);
  response.totalSize = BigInt(total);
  return response;
}

/** The whole table in batches of at most `limits.streamBatchRoutes`. */
export async function* streamRoutes<Response extends RoutesResponse>(
  services: ServiceContext,
  answer: GenMessage<Response>,
  request: TableRequest,
  context: HandlerContext,
  tableOf: (check: RequestCheck) => RouteTable,
): AsyncGenerator<Response> {
  const walk = startWalk(services, new RequestCheck(), request, tableOf, "");
  const pacer = new Pacer();
  const batch = new RouteBatch();
  const binary = takesBinary(context);
  for (let ended = false; !ended; ) {
    await pacer.rest();
    context.signal.throwIfAborted();
    ended = walk.next(batch, Math.min(stepRoutes, limits.streamBatchRoutes - batch.count), stepRows);
    if (walk.problem) throw refusal([walk.problem]);
    const isFull = batch.count >= limits.streamBatchRoutes || batch.byteLength >= messageBytesMax;
    if (!isFull && !(ended && batch.count > 0)) continue;
    yield withRoutes(answer, batch, binary);
    batch.clear();
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
