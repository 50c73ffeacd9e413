/** BfdService: BFD sessions and the packets that belonged to none. */
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type BfdService,
  type BfdSession,
  BfdStateSchema,
  ListSessionsRequestSchema,
} from "../gen/cairn/v1/bfd_service_pb.ts";
import type { ServiceContext } from "./context.ts";
import { compareAddresses } from "./neighbor.ts";
import { listByName, readObjectPage } from "./objects.ts";
import { notFound } from "./problems.ts";
import { checked } from "./request.ts";

export function bfdService(services: ServiceContext): ServiceImpl<typeof BfdService> {
  const { view } = services.owner;
  return {
    async listSessions(request) {
      const page = checked((check) => readObjectPage(check, ListSessionsRequestSchema, request));
      const find = (name: string): BfdSession | undefined => view.bfdSession(name);
      const names = view.bfdNeighbors();
      const list = await listByName(names, compareAddresses, page, request.filter, find, searchText);
      return { sessions: list.items, ...list.page, discards: [...view.bfdDiscards()] };
    },

    getSession(request) {
      const neighbor = checked((check) => check.neighbor("neighbor", request.neighbor));
      const session = view.bfdSession(neighbor);
      if (!session) throw notFound("BFD session", neighbor);
      return { session };
    },
  };
}

function searchText({ neighbor, peerAddress, localAddress, state }: BfdSession): string {
  return `${neighbor} ${peerAddress} ${localAddress} ${BfdStateSchema.value[state]?.localName ?? ""}`;
}
