/** BFD sessions, and packets that belonged to none. */
import {
  BfdService,
  type BfdSession,
  type ListSessionsResponse,
} from "../../../gen/cairn/v1/bfd_service_pb.ts";
import { bfdColumns, bfdPage } from "../../commands/bfd.ts";
import { humanCount, safeText } from "../../human.ts";
import { listMax, listScreen, moreLine } from "../list-screen.ts";

export const bfdScreen = listScreen<ListSessionsResponse, BfdSession>({
  name: "bfd",
  key: "6",
  about: "BFD sessions",
  everyMs: 1_000,
  ask: (calls) => calls.call(BfdService.method.listSessions, { pageSize: listMax }),
  head: ({ sessions, totalSize, discards }, style) => [
    ...moreLine(sessions.length, totalSize),
    ...discards.map(({ reason, packets, lastSource }) => {
      const text = `thrown away: ${humanCount(packets)} packets (${reason}), the last from ${lastSource}`;
      return style.warn(safeText(text));
    }),
  ],
  rows: ({ sessions }) => sessions,
  id: ({ neighbor }) => neighbor,
  columns: bfdColumns,
  empty: "no BFD sessions: cairnctl neighbor set ADDR --bfd enabled=true",
  detail: bfdPage,
});
