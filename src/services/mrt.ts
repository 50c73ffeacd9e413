/** MrtService: dumps as declared, and how they fare. */
import type { ServiceImpl } from "@connectrpc/connect";
import {
  ListMrtDumpsRequestSchema,
  type MrtDumpSpec,
  type MrtService,
} from "../gen/cairn/v1/mrt_service_pb.ts";
import type { ServiceContext } from "./context.ts";
import { kindHandlers } from "./objects.ts";

export function mrtService(services: ServiceContext): ServiceImpl<typeof MrtService> {
  const { view } = services.owner;
  const dumps = kindHandlers<MrtDumpSpec, typeof ListMrtDumpsRequestSchema>(
    services,
    "MrtDump",
    ListMrtDumpsRequestSchema,
  );
  return {
    async listMrtDumps(request) {
      const { items, page } = await dumps.list(request);
      return { mrtDumps: items.map((item) => ({ ...item, state: view.mrtDump(item.spec.name) })), ...page };
    },
    getMrtDump({ name }) {
      const dump = dumps.get(name);
      return { mrtDump: { ...dump, state: view.mrtDump(name) } };
    },
    setMrtDump: dumps.set,
    deleteMrtDump: dumps.delete,
  };
}
