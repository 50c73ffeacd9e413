/** InjectionService: routes that programs announce. */
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { formatPrefix } from "../base/ip.ts";
import { limits } from "../base/limits.ts";
import {
  type Injected,
  type InjectedPath,
  type InjectionService,
  type InjectPathsRequest,
  ListInjectedRequestSchema,
} from "../gen/cairn/v1/injection_service_pb.ts";
import { checkInjectedPath } from "../state/injection-parse.ts";
import type { MutationOp } from "../state/mutation.ts";
import type { ServiceContext } from "./context.ts";
import { flowSpecInjection } from "./flowspec.ts";
import { changeSet, mutate } from "./mutations.ts";
import { Pacer } from "./pacer.ts";
import { readPage } from "./paging.ts";
import { refusal, unwrap } from "./problems.ts";
import { checked, type RequestCheck } from "./request.ts";

/** Injected paths read from the owner in one step. */
const stepPaths = 128;

export function injectionService(services: ServiceContext): ServiceImpl<typeof InjectionService> {
  return {
    async addPath(request, context) {
      const path = checked((check) => checkPath(check, "path", check.present("path", request.path)));
      const outcome = await mutate(services, context, request, [{ op: "inject", path }]);
      return { ...changeSet(outcome), receipt: outcome.receipts[0] };
    },

    async deletePath(request, context) {
      const prefix = checked((check) => check.prefix("prefix", request.prefix));
      const { pathId } = request;
      const outcome = await mutate(services, context, request, [{ op: "retract", prefix, pathId }]);
      if (outcome.unchanged > 0) {
        const message = `no path ${prefix} with path id ${pathId} is injected`;
        throw refusal([{ code: "NOT_FOUND", path: "prefix", message, value: prefix }]);
      }
      return changeSet(outcome);
    },

    ...flowSpecInjection(services),

    async injectPaths(requests, context) {
      let added = 0;
      let deleted = 0;
      let unchanged = 0;
      let generation = 0;
      for await (const request of requests) {
        const outcome = await applyBatch(services, context, request);
        const changed = outcome.receipts.filter((receipt) => receipt.changed).length;
        added += changed;
        unchanged += outcome.unchanged;
        generation = outcome.generation;
        // What was neither added nor found unchanged was deleted.
        deleted += request.add.length + request.delete.length - changed - outcome.unchanged;
      }
      generation ||= services.owner.view.generation;
      return {
        added: BigInt(added),
        deleted: BigInt(deleted),
        unchanged: BigInt(unchanged),
        generation: BigInt(generation),
      };
    },

    async listInjected(request) {
      const { page, family } = checked((check) => ({
        page: readPage(check, ListInjectedRequestSchema, request),
        family: check.family("family", request.family),
      }));
      const pacer = new Pacer();
      const paths: Injected[] = [];
      let { position } = page;
      let total = 0;
      for (;;) {
        await pacer.rest();
        const max = Math.min(stepPaths, page.size - paths.length);
        const { owner, filter } = request;
        const step = unwrap(services.owner.view.injected(owner, family, filter, position, max));
        paths.push(...step.paths);
        total = step.total;
        position = step.position;
        if (position === "" || paths.length >= page.size) break;
      }
      const before = page.before + paths.length;
      const nextPageToken = position === "" ? "" : page.token(position, before);
      if (request.owner !== "" || request.filter) total = nextPageToken === "" ? before : 0;
      return { paths, nextPageToken, totalSize: BigInt(total) };
    },
  };
}

function applyBatch(services: ServiceContext, context: HandlerContext, request: InjectPathsRequest) {
  const ops = checked((check) => {
    const count = request.add.length + request.delete.length;
    if (count > limits.transactionOpsMax) {
      const message = `${count} paths in one message, at most ${limits.transactionOpsMax} are possible`;
      check.add({ code: "INVALID", path: "add", message, fix: "send them in several messages" });
      return [];
    }
    return [
      ...request.add.map(
        (path, i): MutationOp => ({ op: "inject", path: checkPath(check, `add[${i}]`, path) }),
      ),
      ...request.delete.map((key, i): MutationOp => {
        return { op: "retract", prefix: check.prefix(`delete[${i}].prefix`, key.prefix), pathId: key.pathId };
      }),
    ];
  });
  // The core calls a path that comes alone `path`.
  const rename = (path: string): string => path.replace(/^path\./, "add[0].");
  return mutate(services, context, request, ops, rename);
}

/** The path in canonical form. Everything that is wrong with it is found here, together with the rest of the request. */
function checkPath(check: RequestCheck, at: string, path: InjectedPath): InjectedPath {
  const found = checkInjectedPath(path, at);
  if (!found.ok) {
    check.addAll(found.problems);
    return path;
  }
  const { address, length } = found.value;
  const nextHop = path.nextHop && check.address(`${at}.next_hop`, path.nextHop);
  return { ...path, prefix: formatPrefix({ bytes: address, length }), nextHop };
}
