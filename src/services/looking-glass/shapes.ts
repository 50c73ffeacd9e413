/**
 * Neighbors and routes in the shapes of birdwatcher, as Alice-LG reads them. Times are `YYYY-MM-DD hh:mm:ss` in UTC.
 * What cairn knows beyond that stands in fields of its own, which Alice shows among the details.
 */
import type { Duration } from "@bufbuild/protobuf/wkt";
import { type Neighbor, SessionState } from "../../gen/cairn/v1/neighbor_service_pb.ts";
import { AsPathSegment_Type, Origin, type Route } from "../../gen/cairn/v1/types_pb.ts";
import { rejectNumber } from "../../state/reject-number.ts";
import type { RouteRow } from "../../state/route-rows.ts";
import { parseCommunity, parseLargeCommunity } from "../../wire/community-text.ts";
import { prefixFamilies } from "../../wire/family.ts";
import type { LookingGlassOptions } from "./options.ts";

/** @param ms wall-clock milliseconds */
export function timeText(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace("T", " ");
}

/** What stands in for a protocol of BIRD: the neighbor's address with nothing that a URL would have to quote. */
export function protocolOf(neighbor: string): string {
  return neighbor === "local" ? "local" : `bgp_${neighbor.replace(/[^A-Za-z0-9-]/g, "_")}`;
}

/** Tables by family. */
export const tableNames = ["master4", "master6"] as const;

/** How many routes there are of a neighbor in one family, or in all. */
interface Counts {
  imported: number;
  filtered: number;
  exported: number;
  preferred: number;
}

/** Only prefixes are shown. */
function isOfPrefixes(family: string): boolean {
  return prefixFamilies.some(({ name }) => name === family);
}

function countsOf(neighbor: Neighbor, family: string | undefined, best: readonly number[]): Counts {
  const counts: Counts = { imported: 0, filtered: 0, exported: 0, preferred: 0 };
  for (const state of neighbor.state?.families ?? []) {
    if (family !== undefined && state.family !== family) continue;
    if (!isOfPrefixes(state.family)) continue;
    counts.imported += Number(state.accepted);
    counts.filtered += Number(state.received - state.accepted);
    counts.exported += Number(state.advertised);
    counts.preferred += best[prefixFamilies.findIndex(({ name }) => name === state.family)] ?? 0;
  }
  return counts;
}

function stateWord({ state }: Neighbor): string {
  if (state?.adminDown) return "down";
  return state?.sessionState === SessionState.ESTABLISHED ? "up" : "start";
}

/** Milliseconds since 1970 at which the state of the session last changed, as far as that is known. */
function changedMs({ state }: Neighbor, nowMs: number, uptimeMs: number): number {
  const { uptime, resets = [] } = state ?? {};
  if (uptime) return nowMs - msOf(uptime);
  const last = resets[0]?.time;
  return last ? Number(last.seconds) * 1000 : nowMs - uptimeMs;
}

function msOf(duration: Duration): number {
  return Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}

/**
 * A neighbor as an entry of `/protocols`.
 * @param best its best paths by family; @param nowMs wall-clock milliseconds; @param uptimeMs of the daemon
 */
export function protocolJson(
  neighbor: Neighbor,
  best: readonly number[],
  nowMs: number,
  uptimeMs: number,
): Record<string, unknown> {
  const { state, effective, spec } = neighbor;
  const address = spec?.address ?? "";
  const shown = (state?.families ?? []).filter((each) => isOfPrefixes(each.family));
  const channels = shown.map(({ family }) => {
    const counts = countsOf(neighbor, family, best);
    return [
      family.split("-")[0],
      { state: stateWord(neighbor), routes: counts, routes_count: counts },
    ] as const;
  });
  const description = effective?.description || spec?.description || "";
  return {
    protocol: protocolOf(address),
    bird_protocol: "BGP",
    table: tableNames[Number(address.includes(":"))],
    state: stateWord(neighbor),
    state_changed: timeText(changedMs(neighbor, nowMs, uptimeMs)),
    connection: state?.status ?? "",
    bgp_state: sessionWord(state?.sessionState),
    description,
    neighbor_address: address,
    neighbor_as: state?.remoteAsn || effective?.remoteAsn || spec?.remoteAsn || 0,
    local_as: state?.localAsn ?? 0,
    neighbor_id: state?.remoteRouterId ?? "",
    source_address: state?.localAddress ?? "",
    last_error: state?.sessionState === SessionState.ESTABLISHED ? "" : (state?.lastResetReason ?? ""),
    peer_group: spec?.peerGroup ?? "",
    routes: countsOf(neighbor, undefined, best),
    channels: Object.fromEntries(channels),
  };
}

function sessionWord(state: SessionState | undefined): string {
  const name = Object.entries(SessionState).find(([, value]) => value === state)?.[0] ?? "";
  return name.replace(/([A-Z])([A-Z]*)_?/g, (_, first: string, rest: string) => first + rest.toLowerCase());
}

/** A neighbor as an entry of `/protocols/short`. */
export function shortProtocolJson(
  neighbor: Neighbor,
  nowMs: number,
  uptimeMs: number,
): Record<string, unknown> {
  const address = neighbor.spec?.address ?? "";
  return {
    proto: "BGP",
    table: tableNames[Number(address.includes(":"))],
    state: stateWord(neighbor),
    since: timeText(changedMs(neighbor, nowMs, uptimeMs)),
    info: neighbor.state?.status ?? "",
  };
}

const originText: Readonly<Record<number, string>> = {
  [Origin.IGP]: "IGP",
  [Origin.EGP]: "EGP",
  [Origin.INCOMPLETE]: "Incomplete",
};

/** As Euro-IX numbers them in large communities. */
const rpkiNumber: Readonly<Record<string, number>> = { valid: 1, "not-found": 2, invalid: 4 };

/** A route as an entry of `routes`, as JSON text. */
export function routeJson(row: RouteRow, options: LookingGlassOptions): string {
  const { attributes, neighbor, rejectReason: reason } = row;
  const isLocal = neighbor === "local";
  const from = isLocal ? attributes.nextHop : neighbor;
  const own = {
    network: row.prefix,
    gateway: from,
    interface: "",
    from_protocol: protocolOf(neighbor),
    age: timeText(row.timeS * 1000),
    learnt_from: from,
    primary: row.best,
    metric: 100,
    type: isLocal ? localType : bgpType,
    ...(row.pathId === 0 ? {} : { path_id: row.pathId }),
    ...(reason === "" ? {} : { reject_reason: reason }),
    ...(row.rpkiState === "" ? {} : { rpki_state: row.rpkiState }),
    ...(row.aspaState === "" ? {} : { aspa_state: row.aspaState }),
    ...(row.stale ? { stale: true } : {}),
  };
  const marks = marksOf(row, options);
  return `${JSON.stringify(own).slice(0, -1)},"bgp":${bgpJson(attributes, marks)}}`;
}

const localType = ["static", "univ"];
const bgpType = ["BGP", "univ"];

type LargeCommunity = readonly [number, number, number];

/** Large communities that tell what was found out about a route. */
function marksOf({ rejectReason, rpkiState }: RouteRow, options: LookingGlassOptions): LargeCommunity[] {
  const { rejectCommunity, rpkiCommunity } = options;
  const marks: LargeCommunity[] = [];
  if (rejectCommunity && rejectReason !== "") marks.push([...rejectCommunity, rejectNumber(rejectReason)]);
  const rpki = rpkiNumber[rpkiState];
  if (rpkiCommunity && rpki !== undefined) marks.push([...rpkiCommunity, rpki]);
  return marks;
}

/** What was made of attribute sets: many routes in a row share one. */
const knownJson = new WeakMap<Route, string>();

function bgpJson(route: Route, marks: readonly LargeCommunity[]): string {
  if (marks.length > 0) return JSON.stringify(bgpOf(route, marks));
  let json = knownJson.get(route);
  if (json === undefined) knownJson.set(route, (json = JSON.stringify(bgpOf(route, marks))));
  return json;
}

function bgpOf(route: Route, marks: readonly LargeCommunity[]): Record<string, unknown> {
  return {
    origin: originText[route.origin] ?? "",
    as_path: asnsOf(route),
    next_hop: route.nextHop,
    local_pref: String(route.localPref ?? 100),
    med: String(route.med ?? 0),
    communities: route.communities.map(standardPair),
    large_communities: [...route.largeCommunities.map((text) => parseLargeCommunity(text)!), ...marks],
    ext_communities: route.extendedCommunities.map(extendedTriple),
    ...(route.otc === undefined ? {} : { otc: String(route.otc) }),
  };
}

/** AS numbers in order as text; those of sets too, those of the confederation not. */
function asnsOf({ asPath }: Route): string[] {
  const outside = asPath.filter(
    ({ type }) => type === AsPathSegment_Type.AS_SEQUENCE || type === AsPathSegment_Type.AS_SET,
  );
  return outside.flatMap(({ asns }) => asns.map(String));
}

function standardPair(text: string): [number, number] {
  const value = parseCommunity(text)!;
  return [Math.floor(value / 65_536), value % 65_536];
}

/** Alice takes exactly three. */
function extendedTriple(text: string): [string, string, string] {
  const parts = text.split(":");
  if (parts.length === 3) return [parts[0], parts[1], parts[2]];
  const digits = parts[parts.length - 1];
  return ["generic", `0x${digits.slice(0, 8)}`, `0x${digits.slice(8)}`];
}
