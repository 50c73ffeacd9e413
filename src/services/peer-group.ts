/** PeerGroupService: groups and their members. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { type NeighborSpec, NeighborSpecSchema } from "../gen/cairn/v1/neighbor_service_pb.ts";
import {
  ListPeerGroupsRequestSchema,
  type PeerGroupService,
  type PeerGroupSpec,
} from "../gen/cairn/v1/peer_group_service_pb.ts";
import type { MutationOp } from "../state/mutation.ts";
import type { ServiceContext } from "./context.ts";
import { changeSet, mutate } from "./mutations.ts";
import { kindHandlers } from "./objects.ts";
import { checked } from "./request.ts";

export function peerGroupService(services: ServiceContext): ServiceImpl<typeof PeerGroupService> {
  const groups = kindHandlers<PeerGroupSpec, typeof ListPeerGroupsRequestSchema>(
    services,
    "PeerGroup",
    ListPeerGroupsRequestSchema,
  );
  return {
    async listPeerGroups(request) {
      const { items, page } = await groups.list(request);
      const members = membersByGroup(services);
      const peerGroups = items.map((item) => ({ ...item, members: members.get(item.spec.name) ?? [] }));
      return { peerGroups, ...page };
    },
    getPeerGroup(request) {
      const peerGroup = groups.get(request.name);
      return { peerGroup: { ...peerGroup, members: membersByGroup(services).get(request.name) ?? [] } };
    },
    setPeerGroup: groups.set,
    deletePeerGroup: groups.delete,

    async attachNeighbor(request, context) {
      const address = checked((check) => {
        check.required("peer_group", request.peerGroup);
        return check.neighbor("address", request.address);
      });
      const op = patchGroup(address, request.peerGroup);
      const rename = (path: string): string =>
        path === `Neighbor/${address}.peer_group` ? "peer_group" : path;
      return changeSet(await mutate(services, context, request, [op], rename));
    },

    async detachNeighbor(request, context) {
      const address = checked((check) => check.neighbor("address", request.address));
      return changeSet(await mutate(services, context, request, [patchGroup(address, "")]));
    },
  };
}

function patchGroup(address: string, peerGroup: string): MutationOp {
  const spec = create(NeighborSpecSchema, { address, peerGroup });
  return { op: "patch", kind: "Neighbor", name: address, spec, mask: ["peer_group"] };
}

function membersByGroup(services: ServiceContext): Map<string, string[]> {
  const members = new Map<string, string[]>();
  for (const object of services.owner.view.objects("Neighbor")) {
    const { peerGroup, address } = object.spec as NeighborSpec;
    const known = members.get(peerGroup);
    if (known) known.push(address);
    else members.set(peerGroup, [address]);
  }
  return members;
}
