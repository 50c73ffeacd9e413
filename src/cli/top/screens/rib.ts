/** The RIB browser: one page of a table at a time, by the daemon's cursor; the table itself is never held. */
import { RibService } from "../../../gen/cairn/v1/rib_service_pb.ts";
import type { Route, RouteFilter } from "../../../gen/cairn/v1/types_pb.ts";
import { communities } from "../../commands/route-table.ts";
import { humanCount, humanDuration, safeText } from "../../human.ts";
import type { Style } from "../../style.ts";
import { type Column, renderTable } from "../../table.ts";
import { neighborActions } from "../actions.ts";
import { problemLines } from "../list-screen.ts";
import { nextNeighbor, selectedAddress, selectedNeighbor } from "../neighbors.ts";
import { parseRibFilter } from "../rib-filter.ts";
import { answerOf, type Calls, clamp, type Key, type Scene, type Screen } from "../screen.ts";
import { clip } from "../text.ts";
import { ask, open, type RibTable, type RibView, ribTables, type TopView } from "../view.ts";
import { openExplain } from "./explain.ts";

const refreshMs = 5_000;
/** Title, header of the table, line at the end. */
const linesAround = 3;
const pageMax = 500;
/** A filter that finds little makes short pages: so many of them are put together before the rest has to wait. */
const requestsPerPage = 8;
/** Pages that can be gone back through; beyond these, g leads to the first one. */
const pagesBackMax = 1_000;
const withNeighbor: readonly RibTable[] = ["received", "accepted", "rejected", "advertised"];

/** One page as it came. */
export interface RibPage {
  readonly title: string;
  readonly table: RibTable;
  readonly routes: readonly Route[];
  /** Token of the page after it; empty on the last one. */
  readonly next: string;
  /** Routes in the whole table; 0n when the daemon does not say. */
  readonly total: bigint;
}

export const ribScreen: Screen = {
  name: "rib",
  key: "2",
  about: "routes: best, received, accepted, rejected, advertised; page by page",
  keys: [
    ["enter", "explain"],
    ["t", "table"],
    ["l", "longest match"],
    ["/", "filter"],
    ["space/b", "page"],
    ["n/p", "neighbor"],
    ["f", "family"],
    ["a", "actions"],
  ],
  want: ({ model, view, size }) => {
    const request = requestOf(view.rib, selectedAddress(model, view), size.rows);
    const key = JSON.stringify(request);
    return { screen: "rib", key, everyMs: refreshMs, ask: (calls) => fetchPage(calls, request) };
  },
  lines,
  press,
  actions: ({ model, view }) => {
    const neighbor = selectedNeighbor(model, view);
    return neighbor ? neighborActions(neighbor) : [];
  },
};

/** Opens a table from its start. */
export function openRib(view: TopView, table: RibTable): TopView {
  return open({ ...view, rib: { ...view.rib, table, filter: "", pages: [], row: 0 } }, "rib");
}

interface RibRequest {
  readonly table: RibTable;
  readonly neighbor: string;
  readonly family: string;
  readonly filter: string;
  readonly target: string;
  readonly pageSize: number;
  readonly pageToken: string;
}

function requestOf(rib: RibView, neighbor: string, rows: number): RibRequest {
  const pageSize = Number.isFinite(rows) ? clamp(rows - linesAround, pageMax) : pageMax;
  const { table, family, filter, target, pages } = rib;
  const own = withNeighbor.includes(table) ? neighbor : "";
  return table === "lookup"
    ? { table, neighbor: "", family: "", filter: "", target, pageSize: 0, pageToken: "" }
    : { table, neighbor: own, family, filter, target: "", pageSize, pageToken: pages.at(-1) ?? "" };
}

/** @throws CliError */
async function fetchPage(calls: Calls, request: RibRequest): Promise<RibPage> {
  const { method } = RibService;
  const { table, target } = request;
  if (table === "lookup") {
    if (target === "") return { title: titleOf(request), table, routes: [], next: "", total: 0n };
    const { prefix, routes, omitted } = await calls.call(method.lookupRoute, { target });
    const found = prefix === "" ? `no route to ${target}` : `${target} matches ${prefix}`;
    const total = BigInt(routes.length + omitted);
    return { title: `longest match: ${found}`, table, routes: routes.slice(0, pageMax), next: "", total };
  }
  const parsed = parseRibFilter(request.filter);
  const filter = parsed.ok ? parsed.filter : undefined;
  const routes: Route[] = [];
  let { pageToken } = request;
  let total = 0n;
  for (let i = 0; i < requestsPerPage; i++) {
    const pageSize = request.pageSize - routes.length;
    const page = await listTable(calls, request, filter, pageSize, pageToken);
    routes.push(...page.routes);
    total = page.totalSize;
    pageToken = page.nextPageToken;
    if (pageToken === "" || routes.length >= request.pageSize) break;
  }
  const family = request.family || routes[0]?.family || "";
  return { title: titleOf({ ...request, family }), table, routes, next: pageToken, total };
}

function listTable(
  calls: Calls,
  { table, neighbor, family }: RibRequest,
  filter: RouteFilter | undefined,
  pageSize: number,
  pageToken: string,
): Promise<{ routes: Route[]; nextPageToken: string; totalSize: bigint }> {
  const { method } = RibService;
  const common = { family, filter, pageSize, pageToken };
  if (table === "best") return calls.call(method.listBestRoutes, common);
  const request = { ...common, neighbor };
  if (table === "rejected") return calls.call(method.listRejectedRoutes, request);
  if (table === "advertised") return calls.call(method.listAdvertisedRoutes, request);
  return calls.call(method.listReceivedRoutes, { ...request, prePolicy: table === "received" });
}

function titleOf({ table, neighbor, family, filter }: RibRequest): string {
  const names: Record<RibTable, string> = {
    best: "best routes",
    received: `received from ${neighbor}`,
    accepted: `accepted from ${neighbor}, after policy`,
    rejected: `rejected of ${neighbor}`,
    advertised: `advertised to ${neighbor}`,
    lookup: "longest match: l asks for an address or a prefix",
  };
  const parts = [names[table], family, filter === "" ? "" : `only ${filter}`];
  return parts.filter((part) => part !== "").join("; ");
}

const routeColumns: readonly (Column<Route> & { readonly tables?: readonly RibTable[] })[] = [
  { title: "PREFIX", value: ({ prefix }) => prefix, min: 18 },
  {
    title: "NEXT HOP",
    value: ({ nextHop, discard }) => (discard ? "discard" : nextHop || "-"),
    min: 15,
    drop: 1,
  },
  {
    title: "FROM",
    value: ({ neighbor }) => neighbor,
    min: 15,
    drop: 4,
    tables: ["best", "lookup", "advertised"],
  },
  { title: "PREF", value: ({ localPref }) => String(localPref ?? ""), align: "right", drop: 6 },
  { title: "MED", value: ({ med }) => String(med ?? ""), align: "right", drop: 7 },
  { title: "AS PATH", value: ({ asPathText }) => asPathText, min: 12 },
  {
    title: "WHY",
    value: ({ rejectReason }) => rejectReason,
    min: 14,
    tone: () => "warn",
    tables: ["rejected", "received", "lookup"],
  },
  {
    title: "RPKI",
    value: ({ rpkiState }) => rpkiState,
    tone: ({ rpkiState }) => (rpkiState === "invalid" ? "bad" : "dim"),
    drop: 5,
  },
  { title: "AGE", value: ({ age }) => (age ? humanDuration(age) : ""), align: "right", drop: 3 },
  { title: "COMMUNITIES", value: communities, min: 8, drop: 8 },
];

function markOf({ best, multipath, stale, rejectReason }: Route): string {
  if (rejectReason !== "") return "x";
  return `${best ? "*" : multipath ? "=" : ""}${stale ? "s" : ""}`;
}

function lines(scene: Scene): string[] {
  const { view, size, style } = scene;
  const answer = answerOf<RibPage>(scene, "rib");
  const page = answer?.data;
  const problem = problemLines(answer?.problem ?? "", scene);
  if (!answer || !page) {
    const asked = requestOf(view.rib, selectedAddress(scene.model, view), size.rows);
    const asking = problem.length > 0 ? problem : [style.dim("asking ...")];
    return [style.bold(clip(safeText(titleOf(asked)), size.columns)), ...asking];
  }
  const late = answer.key === wantKey(scene) ? "" : style.dim(" ...");
  const title =
    style.bold(clip(safeText(page.title), size.columns - 24)) + late + countText(page, view, style);
  const out = [title, ...problem];
  if (page.routes.length === 0)
    return [...out, page.table === "lookup" && view.rib.target === "" ? "" : "no routes"];
  const at = rowOf(view.rib, page);
  const columns = routeColumns.filter(({ title: name, tables, value }) => {
    if (tables && !tables.includes(page.table)) return false;
    return name === "PREFIX" || page.routes.some((route) => value(route) !== "");
  });
  const cursor: Column<Route> = {
    title: "",
    value: (route) => `${route === page.routes[at] ? ">" : " "}${markOf(route)}`,
    tone: ({ stale, rejectReason }) => (stale || rejectReason !== "" ? "warn" : "good"),
  };
  const first = Math.max(0, at - Math.max(0, size.rows - out.length - 2));
  const [header, ...rows] = renderTable<Route>([cursor, ...columns], page.routes, size.columns, style);
  out.push(header, ...rows.slice(first));
  if (page.next !== "" && !Number.isFinite(size.rows)) out.push("-- more: cairnctl rib --");
  else if (page.next !== "") {
    while (out.length < size.rows - 1) out.push("");
    out.splice(size.rows - 1, out.length, style.dim("-- more: space --"));
  }
  return out.map((line) => clip(line, size.columns));
}

function countText({ routes, total, next }: RibPage, { rib }: TopView, style: Style): string {
  const page = rib.pages.length === 0 && next === "" ? "" : `page ${humanCount(rib.pages.length + 1)}, `;
  const of = total > 0n ? ` of ${humanCount(total)}` : "";
  return style.dim(`  ${page}${humanCount(routes.length)}${of} routes`);
}

function wantKey(scene: Omit<Scene, "style">): string | undefined {
  return ribScreen.want?.(scene)?.key;
}

function rowOf(rib: RibView, page: RibPage): number {
  return Math.max(0, Math.min(rib.row, page.routes.length - 1));
}

function press(scene: Omit<Scene, "style">, key: Key): TopView | undefined {
  const { model, view, size } = scene;
  const { rib } = view;
  const set = (change: Partial<RibView>): TopView => ({ ...view, rib: { ...rib, ...change } });
  const restart = (change: Partial<RibView>): TopView => set({ pages: [], row: 0, ...change });
  const answer = answerOf<RibPage>(scene, "rib");
  const page = answer?.data;
  switch (key.text) {
    case "t":
    case "T": {
      const tables: readonly RibTable[] = ribTables.filter((table) => table !== "lookup");
      const at = tables.indexOf(rib.table);
      const step = key.text === "t" ? 1 : tables.length - 1;
      return restart({ table: at < 0 ? "best" : tables[(at + step) % tables.length] });
    }
    case "f": {
      const families = ["", ...(model.summary?.families ?? []).map(({ family }) => family)];
      return restart({ family: families[(families.indexOf(rib.family) + 1) % families.length] });
    }
    case "n":
    case "p": {
      const next = nextNeighbor(model, view, selectedAddress(model, view), key.text === "n" ? 1 : -1);
      return {
        ...restart({ table: withNeighbor.includes(rib.table) ? rib.table : "received" }),
        selected: next,
      };
    }
    case "l":
      return ask(view, {
        label: "address or prefix:",
        text: rib.target,
        done: (now, target) => ({
          ...now,
          rib: { ...now.rib, table: "lookup", target: target.trim(), pages: [], row: 0 },
        }),
      });
    case "/":
      return ask(view, {
        label: "only routes with:",
        text: rib.filter,
        maxBytes: 300,
        hint: "such as 10.0.0.0/8 as:65010 path:_65010_; ? tells all",
        done: askedFilter,
      });
    case "g":
      return restart({});
  }
  if (!page) return undefined;
  const at = rowOf(rib, page);
  const route = page.routes[at];
  if (key.name === "enter") {
    if (!route) return view;
    return openExplain(view, route, page.table, selectedAddress(model, view));
  }
  // only a page that is the one asked for tells what comes after it
  const settled = answer?.key === wantKey(scene);
  const forward = (): TopView => {
    if (!settled || page.next === "") return set({ row: page.routes.length - 1 });
    return set({ pages: [...rib.pages, page.next].slice(-pagesBackMax), row: 0 });
  };
  const backward = (row: number): TopView =>
    rib.pages.length === 0 ? set({ row: 0 }) : set({ pages: rib.pages.slice(0, -1), row });
  if (key.name === "pageDown" || key.text === " ") return forward();
  if (key.name === "pageUp" || key.text === "b") return backward(0);
  if (key.text === "G") return set({ row: page.routes.length - 1 });
  if (key.name === "down" || key.text === "j")
    return at === page.routes.length - 1 && page.next !== "" ? forward() : set({ row: at + 1 });
  if (key.name === "up" || key.text === "k")
    return at === 0 && rib.pages.length > 0 ? backward(size.rows) : set({ row: Math.max(0, at - 1) });
  return undefined;
}

/** Takes conditions; what cannot be read is asked for again, with the reason. */
function askedFilter(view: TopView, text: string): TopView {
  const parsed = parseRibFilter(text);
  if (!parsed.ok)
    return ask(view, {
      label: "only routes with:",
      text,
      maxBytes: 300,
      hint: parsed.problem,
      done: askedFilter,
    });
  const table = view.rib.table === "lookup" ? "best" : view.rib.table;
  return { ...view, rib: { ...view.rib, table, filter: text.trim(), pages: [], row: 0 } };
}
