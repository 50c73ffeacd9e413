/** GlobalService: the router's own identity. */
import type { ServiceImpl } from "@connectrpc/connect";
import { type GlobalService, type GlobalSpec, GlobalSpecSchema } from "../gen/cairn/v1/global_service_pb.ts";
import type { MutationOp } from "../state/mutation.ts";
import type { ServiceContext } from "./context.ts";
import { changeSet, mutate, specPaths } from "./mutations.ts";
import { notFound } from "./problems.ts";
import { checked } from "./request.ts";

const kind = "Global";
/** Name of the one object of this kind. */
export const globalName = "global";
const specFields = GlobalSpecSchema.fields.map((field) => field.name);

export function globalService(services: ServiceContext): ServiceImpl<typeof GlobalService> {
  const { view } = services.owner;
  return {
    getGlobal() {
      const object = view.object(kind, globalName);
      if (!object) throw notFound(kind, globalName);
      const spec = object.spec as GlobalSpec;
      return { metadata: object.metadata, spec, generation: BigInt(view.generation) };
    },

    async setGlobal(request, context) {
      const spec = checked((check) => {
        check.mask("update_mask", request.updateMask, specFields, "");
        return check.present("spec", request.spec);
      });
      const mask = request.updateMask;
      // The first one has nothing to keep.
      const isWhole = mask.length === 0 || !view.object(kind, globalName);
      const op: MutationOp = isWhole
        ? { op: "put", kind, spec }
        : { op: "patch", kind, name: globalName, spec, mask };
      return changeSet(await mutate(services, context, request, [op], specPaths(kind, globalName)));
    },
  };
}
