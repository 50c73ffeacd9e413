/** MRT dumps: what is written, what is due, what failed. */
import { type ListMrtDumpsResponse, type MrtDump, MrtService } from "../../../gen/cairn/v1/mrt_service_pb.ts";
import { dumpColumns, dumpStateLines } from "../../commands/mrt.ts";
import { safeText } from "../../human.ts";
import { dumpActions } from "../actions.ts";
import { listMax, listScreen, moreLine } from "../list-screen.ts";

export const mrtScreen = listScreen<ListMrtDumpsResponse, MrtDump>({
  name: "mrt",
  key: "7",
  about: "MRT dumps",
  everyMs: 2_000,
  ask: (calls) => calls.call(MrtService.method.listMrtDumps, { pageSize: listMax }),
  head: ({ mrtDumps, totalSize }) => moreLine(mrtDumps.length, totalSize),
  rows: ({ mrtDumps }) => mrtDumps,
  id: ({ spec }) => spec?.name ?? "",
  columns: dumpColumns,
  empty: "no dumps: cairnctl mrt set NAME --path PATTERN",
  detail: ({ spec, state }, style) => [
    style.bold(safeText(`${spec?.name}: ${spec?.path}`)),
    ...(state ? dumpStateLines(state, style).map((line) => `  ${line}`) : []),
  ],
  actions: ({ spec }) => (spec ? dumpActions(spec.name) : []),
});
