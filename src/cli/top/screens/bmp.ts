/** BMP collectors: who is told of what, and who lags. */
import {
  type BmpCollector,
  BmpService,
  type ListBmpCollectorsResponse,
} from "../../../gen/cairn/v1/bmp_service_pb.ts";
import { collectorColumns, collectorStateLines } from "../../commands/bmp.ts";
import { safeText } from "../../human.ts";
import { listMax, listScreen, moreLine } from "../list-screen.ts";

export const bmpScreen = listScreen<ListBmpCollectorsResponse, BmpCollector>({
  name: "bmp",
  key: "8",
  about: "BMP collectors",
  everyMs: 2_000,
  ask: (calls) => calls.call(BmpService.method.listBmpCollectors, { pageSize: listMax }),
  head: ({ collectors, totalSize }) => moreLine(collectors.length, totalSize),
  rows: ({ collectors }) => collectors,
  id: ({ spec }) => spec?.name ?? "",
  columns: collectorColumns,
  empty: "no collectors: cairnctl bmp set NAME --host ADDR --adj-rib-in-pre",
  detail: ({ spec, state }, style) => {
    const head = `${spec?.name}: ${spec?.host} port ${spec?.port ?? 11_019}${spec?.tls ? " over TLS" : ""}`;
    const error = state?.lastError ? [style.bad(`  ${safeText(state.lastError)}`)] : [];
    const lines = state ? collectorStateLines(state).map((line) => `  ${line}`) : ["  shut down"];
    return [style.bold(safeText(head)), ...error, ...lines];
  },
});
