/** RPCs about rules of FlowSpec: lists of them, and those that are injected. */
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { InjectionService } from "../gen/cairn/v1/injection_service_pb.ts";
import {
  FlowSpecTable,
  type ListFlowSpecRoutesRequest,
  ListFlowSpecRoutesRequestSchema,
  type RibService,
} from "../gen/cairn/v1/rib_service_pb.ts";
import type { FlowSpecRoute } from "../gen/cairn/v1/types_pb.ts";
import { checkFlowName, checkInjectedFlow } from "../state/flowspec/flow-message.ts";
import { shownName, storedName } from "../state/route-name.ts";
import type { RouteTable } from "../state/view.ts";
import { type Family, ipv4Flowspec } from "../wire/family.ts";
import type { ServiceContext } from "./context.ts";
import { changeSet, mutate } from "./mutations.ts";
import { Pacer } from "./pacer.ts";
import { readPage } from "./paging.ts";
import { refusal, unwrap } from "./problems.ts";
import { checked, type RequestCheck } from "./request.ts";
import { checkQuery } from "./route-query.ts";

/** Routes and rules of one step of a walk. */
const stepRoutes = 64;
const stepRules = 256;

export function flowSpecLists(
  services: ServiceContext,
): Pick<ServiceImpl<typeof RibService>, "listFlowSpecRoutes"> {
  return {
    async listFlowSpecRoutes(request) {
      const { page, table, query } = checked((check) => ({
        page: readPage(check, ListFlowSpecRoutesRequestSchema, request),
        table: tableOf(check, request),
        query: checkQuery(check, { family: ruleFamily(check, request.family).name, filter: request.filter }),
      }));
      const { view } = services.owner;
      const walk = unwrap(view.flowWalk(table, query.family, query.filter, page.position));
      const pacer = new Pacer();
      const routes: FlowSpecRoute[] = [];
      let ended = false;
      while (!ended && routes.length < page.size) {
        await pacer.rest();
        ended = walk.next(routes, Math.min(stepRoutes, page.size - routes.length), stepRules);
      }
      const before = page.before + routes.length;
      const known = request.filter ? undefined : walk.total();
      return {
        routes,
        nextPageToken: ended ? "" : page.token(walk.position(), before),
        totalSize: BigInt(known ?? (ended ? before : 0)),
      };
    },
  };
}

function ruleFamily(check: RequestCheck, name: string): Family {
  const family = check.family("family", name);
  if (!family) return ipv4Flowspec;
  if (family.nlri === "flow") return family;
  const message = `${name} has prefixes and no rules`;
  check.add({ code: "INVALID", path: "family", message, fix: "use ipv4-flowspec or ipv6-flowspec" });
  return ipv4Flowspec;
}

function tableOf(check: RequestCheck, { table, neighbor: name }: ListFlowSpecRoutesRequest): RouteTable {
  if (table === FlowSpecTable.UNSPECIFIED || table === FlowSpecTable.BEST) {
    if (name !== "") {
      const message = "is for tables of a neighbor; best paths are those of all";
      check.add({ code: "INVALID", path: "neighbor", message, fix: "name a table, or set filter.neighbor" });
    }
    return { table: "best", paths: "best" };
  }
  const neighbor = check.neighbor("neighbor", name);
  switch (table) {
    case FlowSpecTable.RECEIVED:
      return { table: "received", neighbor, prePolicy: true };
    case FlowSpecTable.ACCEPTED:
      return { table: "received", neighbor, prePolicy: false };
    case FlowSpecTable.REJECTED:
      return { table: "rejected", neighbor };
    case FlowSpecTable.ADVERTISED:
      return { table: "advertised", neighbor };
    default:
      check.add({ code: "INVALID", path: "table", message: `there is no table ${Number(table)}` });
      return { table: "rejected", neighbor };
  }
}

export function flowSpecInjection(
  services: ServiceContext,
): Pick<ServiceImpl<typeof InjectionService>, "addFlowSpec" | "deleteFlowSpec"> {
  return {
    async addFlowSpec(request, context: HandlerContext) {
      const flowSpec = checked((check) => {
        const given = check.present("flow_spec", request.flowSpec);
        const found = checkInjectedFlow(given, "flow_spec");
        if (!found.ok) check.addAll(found.problems);
        return given;
      });
      const outcome = await mutate(services, context, request, [{ op: "inject-flow", flowSpec }]);
      return { ...changeSet(outcome), receipt: outcome.receipts[0] };
    },

    async deleteFlowSpec(request, context: HandlerContext) {
      const { pathId } = request;
      const name = checked((check) => {
        const problems: Parameters<RequestCheck["add"]>[0][] = [];
        const found = checkFlowName(request, "", problems);
        check.addAll(problems.map((problem) => ({ ...problem, path: problem.path.replace(/^\./, "") })));
        return found && { family: found.family, bytes: found.rule, length: found.rule.length };
      })!;
      const prefix = storedName(name);
      const outcome = await mutate(services, context, request, [{ op: "retract", prefix, pathId }]);
      if (outcome.unchanged > 0) {
        const message = `no rule ${shownName(name)} with path id ${pathId} is injected`;
        throw refusal([{ code: "NOT_FOUND", path: "rule", message }]);
      }
      return changeSet(outcome);
    },
  };
}
