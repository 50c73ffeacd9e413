/** RPKI: caches, what is in force, and whether routes are being looked at again. */
import {
  type GetRpkiSummaryResponse,
  type RpkiCache,
  RpkiService,
} from "../../../gen/cairn/v1/rpki_service_pb.ts";
import { cacheColumns, cacheStateLines } from "../../commands/rpki.ts";
import { humanBytes, humanCount, humanDuration, safeText } from "../../human.ts";
import type { Style } from "../../style.ts";
import { cacheActions } from "../actions.ts";
import { listMax, listScreen } from "../list-screen.ts";

interface Rpki {
  readonly summary: GetRpkiSummaryResponse;
  readonly caches: readonly RpkiCache[];
}

export const rpkiScreen = listScreen<Rpki, RpkiCache>({
  name: "rpki",
  key: "5",
  about: "RPKI caches, VRPs and files",
  everyMs: 2_000,
  ask: async (calls) => {
    const { method } = RpkiService;
    const [summary, { caches }] = await Promise.all([
      calls.call(method.getRpkiSummary, {}),
      calls.call(method.listRpkiCaches, { pageSize: listMax }),
    ]);
    return { summary, caches };
  },
  head: ({ summary }, style) => [...summaryLines(summary, style), ""],
  rows: ({ caches }) => caches,
  id: ({ spec }) => spec?.name ?? "",
  columns: cacheColumns,
  empty: "no caches: cairnctl rpki set NAME --host ADDR",
  detail: ({ spec, state }, style) => {
    const tls = spec?.tls ? " over TLS" : "";
    const head = `${spec?.name}: ${spec?.host}${spec?.port === undefined ? "" : ` port ${spec.port}`}${tls}`;
    const error = state?.lastError ? [style.bad(`  ${safeText(state.lastError)}`)] : [];
    const lines = state ? cacheStateLines(state).map((line) => `  ${line}`) : ["  shut down"];
    return [style.bold(safeText(head)), ...error, ...lines];
  },
  actions: ({ spec }) => (spec ? cacheActions(spec.name) : []),
});

function summaryLines(summary: GetRpkiSummaryResponse, style: Style): string[] {
  const count = humanCount;
  const { ipv4Vrps, ipv6Vrps, aspas, caches, cachesSynchronized, lastDuration } = summary;
  const inForce = `${count(ipv4Vrps)} IPv4 and ${count(ipv6Vrps)} IPv6 VRPs, ${count(aspas)} ASPAs in force`;
  const synchronized = `${cachesSynchronized} of ${caches} caches synchronized`;
  const work = summary.revalidating
    ? style.warn("routes are being looked at again")
    : `${count(summary.revalidated)} routes looked at again${lastDuration ? `, the last time in ${humanDuration(lastDuration)}` : ""}`;
  const use = summary.originsUsed || summary.pathsUsed ? "" : "; nothing asks for the states";
  return [
    `${inForce}; ${cachesSynchronized === caches ? style.good(synchronized) : style.warn(synchronized)}`,
    `${work}; ${count(summary.changes)} changes; ${humanBytes(summary.memoryBytes)}${use}`,
    ...summary.files.map(({ path, kind, error, ipv4Vrps: v4, ipv6Vrps: v6 }) => {
      const text = safeText(`${kind} ${path}: ${count(v4)} IPv4, ${count(v6)} IPv6`);
      return error === "" ? text : `${text}  ${style.bad(safeText(error))}`;
    }),
  ];
}
