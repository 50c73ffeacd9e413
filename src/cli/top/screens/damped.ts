/** Routes that flap: suppressed ones, and those that are in use again. */
import {
  type DampenedRoute,
  type ListDampenedRoutesResponse,
  RibService,
} from "../../../gen/cairn/v1/rib_service_pb.ts";
import { dampenedColumns } from "../../commands/dampened.ts";
import { humanCount } from "../../human.ts";
import { clearDampening } from "../actions.ts";
import { listMax, listScreen, moreLine } from "../list-screen.ts";

export const dampedScreen = listScreen<ListDampenedRoutesResponse, DampenedRoute>({
  name: "damped",
  key: "0",
  about: "routes that flap, and are suppressed",
  everyMs: 2_000,
  ask: (calls) => calls.call(RibService.method.listDampenedRoutes, { all: true, pageSize: listMax }),
  head: ({ routes, totalSize, overflow }, style) => [
    ...moreLine(routes.length, totalSize),
    ...(overflow > 0n ? [style.warn(`${humanCount(overflow)} flaps were not remembered`)] : []),
  ],
  rows: ({ routes }) => routes,
  id: ({ neighbor, prefix, pathId }) => `${neighbor} ${prefix} ${pathId}`,
  columns: dampenedColumns,
  empty: "no route has flapped",
  actions: ({ neighbor, prefix }) => [clearDampening({ neighbor, prefix })],
});
