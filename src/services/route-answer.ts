/** Routes in answers: as the bytes that they are already, or as messages for callers that speak JSON. */
import { create, type Message } from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import type { HandlerContext } from "@connectrpc/connect";
import type { Route } from "../gen/cairn/v1/types_pb.ts";
import type { RouteBatch } from "../state/route-batch.ts";

/** A response with the routes of a table. */
export type RoutesResponse = Message & { routes: Route[] };

/** Whether the caller takes protobuf. Without a content type it is a GET of the Connect protocol, which may want JSON. */
export function takesBinary(context: HandlerContext): boolean {
  return !(context.requestHeader.get("content-type") ?? "json").includes("json");
}

/**
 * The routes of a batch for a repeated field of `response`. With `binary` the batch goes into the response as it is, and
 * the response is valid until the batch changes: it is encoded first.
 */
export function routesFor(response: Message, batch: RouteBatch, binary: boolean): Route[] {
  if (!binary || batch.count === 0) return batch.routes();
  response.$unknown = [batch.asField()];
  return [];
}

/** A response with the batch in `routes`, see `routesFor`. */
export function withRoutes<Response extends RoutesResponse>(
  answer: GenMessage<Response>,
  batch: RouteBatch,
  binary: boolean,
): Response {
  const response = create(answer);
  response.routes = routesFor(response, batch, binary);
  return response;
}
