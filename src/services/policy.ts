/** PolicyService: five kinds with the same four verbs. */
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type AsPathSetSpec,
  type CommunitySetSpec,
  ListAsPathSetsRequestSchema,
  ListCommunitySetsRequestSchema,
  ListNeighborSetsRequestSchema,
  ListPoliciesRequestSchema,
  ListPrefixSetsRequestSchema,
  type NeighborSetSpec,
  type PolicyService,
  type PolicySpec,
  type PrefixSetSpec,
} from "../gen/cairn/v1/policy_service_pb.ts";
import type { ServiceContext } from "./context.ts";
import { kindHandlers } from "./objects.ts";

export function policyService(services: ServiceContext): ServiceImpl<typeof PolicyService> {
  const policies = kindHandlers<PolicySpec, typeof ListPoliciesRequestSchema>(
    services,
    "Policy",
    ListPoliciesRequestSchema,
  );
  const prefixSets = kindHandlers<PrefixSetSpec, typeof ListPrefixSetsRequestSchema>(
    services,
    "PrefixSet",
    ListPrefixSetsRequestSchema,
  );
  const asPathSets = kindHandlers<AsPathSetSpec, typeof ListAsPathSetsRequestSchema>(
    services,
    "AsPathSet",
    ListAsPathSetsRequestSchema,
  );
  const communitySets = kindHandlers<CommunitySetSpec, typeof ListCommunitySetsRequestSchema>(
    services,
    "CommunitySet",
    ListCommunitySetsRequestSchema,
  );
  const neighborSets = kindHandlers<NeighborSetSpec, typeof ListNeighborSetsRequestSchema>(
    services,
    "NeighborSet",
    ListNeighborSetsRequestSchema,
  );
  return {
    async listPolicies(request) {
      const { items, page } = await policies.list(request);
      return { policies: items, ...page };
    },
    getPolicy: (request) => ({ policy: policies.get(request.name) }),
    setPolicy: policies.set,
    deletePolicy: policies.delete,

    async listPrefixSets(request) {
      const { items, page } = await prefixSets.list(request);
      return { prefixSets: items, ...page };
    },
    getPrefixSet: (request) => ({ prefixSet: prefixSets.get(request.name) }),
    setPrefixSet: prefixSets.set,
    deletePrefixSet: prefixSets.delete,

    async listAsPathSets(request) {
      const { items, page } = await asPathSets.list(request);
      return { asPathSets: items, ...page };
    },
    getAsPathSet: (request) => ({ asPathSet: asPathSets.get(request.name) }),
    setAsPathSet: asPathSets.set,
    deleteAsPathSet: asPathSets.delete,

    async listCommunitySets(request) {
      const { items, page } = await communitySets.list(request);
      return { communitySets: items, ...page };
    },
    getCommunitySet: (request) => ({ communitySet: communitySets.get(request.name) }),
    setCommunitySet: communitySets.set,
    deleteCommunitySet: communitySets.delete,

    async listNeighborSets(request) {
      const { items, page } = await neighborSets.list(request);
      return { neighborSets: items, ...page };
    },
    getNeighborSet: (request) => ({ neighborSet: neighborSets.get(request.name) }),
    setNeighborSet: neighborSets.set,
    deleteNeighborSet: neighborSets.delete,
  };
}
