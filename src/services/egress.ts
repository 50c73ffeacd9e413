/** EgressRoutePolicyService: which uplink new flows take, why, and what an operator says about it. */
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type EgressRoutePolicy,
  type EgressRoutePolicyService,
  ListEgressRoutePoliciesRequestSchema,
} from "../gen/cairn/v1/egress_service_pb.ts";
import type { ServiceContext } from "./context.ts";
import { operate } from "./mutations.ts";
import { compareText, listByName, readObjectPage } from "./objects.ts";
import { notFound } from "./problems.ts";
import { checked } from "./request.ts";

const kind = "EgressRoutePolicy";

export function egressService(services: ServiceContext): ServiceImpl<typeof EgressRoutePolicyService> {
  const { view } = services.owner;
  const named = (name: string): EgressRoutePolicy => {
    checked((check) => check.required("name", name));
    const policy = view.egressPolicy(name);
    if (!policy) throw notFound(kind, name);
    return policy;
  };
  return {
    async listEgressRoutePolicies(request) {
      const page = checked((check) => readObjectPage(check, ListEgressRoutePoliciesRequestSchema, request));
      const names = [...view.objects(kind)].map(({ metadata }) => metadata.name);
      const find = (name: string): EgressRoutePolicy | undefined => view.egressPolicy(name);
      const text = ({ spec }: EgressRoutePolicy): string => spec?.name ?? "";
      const list = await listByName(names, compareText, page, request.filter, find, text);
      return { policies: list.items, ...list.page };
    },

    getEgressRoutePolicy: ({ name }) => ({ policy: named(name) }),

    getEgressHistory({ name }) {
      named(name);
      return { transitions: view.egressHistory(name) };
    },

    async pinEgressRoutePolicy(request) {
      const [name, candidate] = checked((check) => [
        check.required("name", request.name),
        check.required("candidate", request.candidate),
      ]);
      await operate(services, { op: "egress-pin", name, candidate });
      return {};
    },

    async unpinEgressRoutePolicy(request) {
      const name = checked((check) => check.required("name", request.name));
      await operate(services, { op: "egress-pin", name, candidate: "" });
      return {};
    },
  };
}
