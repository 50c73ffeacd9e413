/** PolicyService: seven kinds with the same four verbs, trying a policy, and its counters. */
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type AsnSetSpec,
  type AsPathSetSpec,
  type CommunitySetSpec,
  ListAsnSetsRequestSchema,
  ListAsPathSetsRequestSchema,
  ListCommunitySetsRequestSchema,
  ListNeighborSetsRequestSchema,
  ListNextHopSetsRequestSchema,
  ListPoliciesRequestSchema,
  ListPrefixSetsRequestSchema,
  type NeighborSetSpec,
  type NextHopSetSpec,
  type PolicyService,
  type PolicySpec,
  type PrefixSetSpec,
} from "../gen/cairn/v1/policy_service_pb.ts";
import type { ServiceContext } from "./context.ts";
import { kindHandlers } from "./objects.ts";
import { testPolicy } from "./policy-test.ts";
import { unwrap } from "./problems.ts";

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
  const asnSets = kindHandlers<AsnSetSpec, typeof ListAsnSetsRequestSchema>(
    services,
    "AsnSet",
    ListAsnSetsRequestSchema,
  );
  const nextHopSets = kindHandlers<NextHopSetSpec, typeof ListNextHopSetsRequestSchema>(
    services,
    "NextHopSet",
    ListNextHopSetsRequestSchema,
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

    async listAsnSets(request) {
      const { items, page } = await asnSets.list(request);
      return { asnSets: items, ...page };
    },
    getAsnSet: (request) => ({ asnSet: asnSets.get(request.name) }),
    setAsnSet: asnSets.set,
    deleteAsnSet: asnSets.delete,

    async listNextHopSets(request) {
      const { items, page } = await nextHopSets.list(request);
      return { nextHopSets: items, ...page };
    },
    getNextHopSet: (request) => ({ nextHopSet: nextHopSets.get(request.name) }),
    setNextHopSet: nextHopSets.set,
    deleteNextHopSet: nextHopSets.delete,

    testPolicy: (request, { signal }) => testPolicy(services, request, signal),
    getPolicyStats: (request) => ({ policies: unwrap(services.owner.view.policyStats(request.name)) }),
  };
}
