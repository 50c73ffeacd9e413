/** WatchRoutes: the best paths now, a bookmark, then changes, each prefix at most once and always its latest state. */
import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { limits } from "../base/limits.ts";
import {
  WatchRoutesResponse_Type as Type,
  type WatchRoutesRequest,
  type WatchRoutesResponse,
  WatchRoutesResponseSchema,
} from "../gen/cairn/v1/rib_service_pb.ts";
import { RouteBatch } from "../state/route-batch.ts";
import type { ServiceContext } from "./context.ts";
import { Pacer } from "./pacer.ts";
import { unwrap } from "./problems.ts";
import { checked } from "./request.ts";
import { routesFor, takesBinary } from "./route-answer.ts";
import { checkQuery } from "./route-query.ts";
import { Wake } from "./watchers.ts";

/**
 * Memory per watcher is one batch: the owner keeps a place in the change list, and a batch is made when the reader
 * takes it. Going on from a revision that is no longer retained is answered by COMPACTED and a snapshot.
 */
export async function* watchRoutes(
  services: ServiceContext,
  request: WatchRoutesRequest,
  context: HandlerContext,
): AsyncGenerator<WatchRoutesResponse> {
  const { signal } = context;
  const binary = takesBinary(context);
  const { family, filter } = checked((check) => checkQuery(check, request));
  const slot = services.watchers.take("routes", signal);
  const wake = new Wake();
  const pacer = new Pacer();
  const updated = new RouteBatch(WatchRoutesResponseSchema.field.updated.number);
  try {
    const { watch, compacted } = unwrap(
      services.owner.view.watchRoutes(family, filter, Number(request.resumeFrom)),
    );
    slot.onRelease(() => watch.close());
    watch.onChange = wake.notify;
    const resumed = request.resumeFrom > 0n && !compacted;
    if (compacted) yield create(WatchRoutesResponseSchema, { type: Type.COMPACTED });
    let type: Type = resumed ? Type.CHANGES : Type.SNAPSHOT;
    let bookmarked = false;
    for (;;) {
      await pacer.rest();
      signal.throwIfAborted();
      updated.clear();
      const withdrawn: string[] = [];
      const { caughtUp, revision } = watch.next(updated, withdrawn, limits.streamBatchRoutes);
      if (updated.count + withdrawn.length > 0) {
        const init = { type, withdrawn, revision: BigInt(revision) };
        const response = create(WatchRoutesResponseSchema, init);
        response.updated = routesFor(response, updated, binary);
        yield response;
      }
      if (!caughtUp) continue;
      if (!bookmarked) {
        bookmarked = true;
        type = Type.CHANGES;
        yield create(WatchRoutesResponseSchema, { type: Type.BOOKMARK, revision: BigInt(revision) });
      }
      await wake.wait(signal);
      pacer.restart();
    }
  } finally {
    slot.release();
  }
}
