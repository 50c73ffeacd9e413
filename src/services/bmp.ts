/** BmpService: collectors as declared, and how they fare. */
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type BmpCollectorSpec,
  type BmpService,
  ListBmpCollectorsRequestSchema,
} from "../gen/cairn/v1/bmp_service_pb.ts";
import type { ServiceContext } from "./context.ts";
import { kindHandlers } from "./objects.ts";

export function bmpService(services: ServiceContext): ServiceImpl<typeof BmpService> {
  const { view } = services.owner;
  const collectors = kindHandlers<BmpCollectorSpec, typeof ListBmpCollectorsRequestSchema>(
    services,
    "BmpCollector",
    ListBmpCollectorsRequestSchema,
  );
  return {
    async listBmpCollectors(request) {
      const { items, page } = await collectors.list(request);
      const withState = items.map((item) => ({ ...item, state: view.bmpCollector(item.spec.name) }));
      return { collectors: withState, ...page };
    },
    getBmpCollector({ name }) {
      return { collector: { ...collectors.get(name), state: view.bmpCollector(name) } };
    },
    setBmpCollector: collectors.set,
    deleteBmpCollector: collectors.delete,
  };
}
