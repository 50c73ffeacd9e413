/** Routes as table rows: sorted while they are few, streamed with fixed columns when they are many. */
import { parseIp } from "../../base/ip.ts";
import { Origin, type Route } from "../../gen/cairn/v1/types_pb.ts";
import type { Context } from "../context.ts";
import { humanCount, humanDuration, safeText } from "../human.ts";
import { type Column, layoutTable, type TableLayout } from "../table.ts";

/** So many routes are held back to be sorted and to find the columns' widths. */
const heldMax = 10_000;

export type RouteForm = "best" | "received" | "advertised" | "rejected" | "lookup";

const originMarks: Readonly<Record<Origin, string>> = {
  [Origin.UNSPECIFIED]: "",
  [Origin.IGP]: "i",
  [Origin.EGP]: "e",
  [Origin.INCOMPLETE]: "?",
};

const columns: readonly (Column<Route> & { readonly forms?: readonly RouteForm[] })[] = [
  {
    title: "",
    value: mark,
    tone: ({ best, stale }) => (stale ? "warn" : best ? "good" : undefined),
    forms: ["best", "lookup", "received"],
  },
  { title: "PREFIX", value: ({ prefix }) => prefix },
  { title: "ID", value: ({ pathId }) => (pathId === 0 ? "" : String(pathId)), align: "right", wide: true },
  { title: "NEXT HOP", value: ({ nextHop, discard }) => (discard ? "discard" : nextHop) },
  { title: "FROM", value: ({ neighbor }) => neighbor, drop: 2, forms: ["best", "lookup", "advertised"] },
  {
    title: "SHARE",
    value: ({ multipath, multipathWeight }) => (multipath ? String(multipathWeight) : ""),
    align: "right",
    drop: 3,
    forms: ["best", "lookup"],
  },
  {
    title: "PREF",
    value: ({ localPref }) => (localPref === undefined ? "" : String(localPref)),
    align: "right",
    drop: 3,
  },
  { title: "MED", value: ({ med }) => (med === undefined ? "" : String(med)), align: "right", drop: 4 },
  { title: "AS PATH", value: pathText, min: 12 },
  {
    title: "WHY REFUSED",
    value: ({ rejectReason }) => rejectReason,
    min: 16,
    tone: () => "warn",
    forms: ["rejected"],
  },
  { title: "AGE", value: ({ age }) => (age ? humanDuration(age) : ""), align: "right", drop: 5 },
  { title: "COMMUNITIES", value: communities, min: 12, wide: true },
  { title: "RPKI", value: ({ rpkiState }) => rpkiState, wide: true },
  { title: "OWNER", value: ({ owner }) => owner, wide: true },
];

function mark({ best, multipath, stale, rejectReason }: Route): string {
  if (rejectReason !== "") return "x";
  return `${best ? ">" : multipath ? "=" : ""}${stale ? "s" : ""}`;
}

function pathText({ asPathText, origin }: Route): string {
  const end = originMarks[origin] ?? "";
  return asPathText === "" ? end : `${asPathText} ${end}`;
}

/** All communities of a route in one text. */
export function communities(route: Route): string {
  return [...route.communities, ...route.extendedCommunities, ...route.largeCommunities].join(" ");
}

export class RouteTable {
  readonly #context: Context;
  readonly #columns: readonly Column<Route>[];
  #held: Route[] = [];
  #layout: TableLayout<Route> | undefined;
  #count = 0;

  constructor(context: Context, form: RouteForm) {
    this.#context = context;
    const wide = context.format === "wide";
    this.#columns = columns.filter(
      (column) => (wide || !column.wide) && (!column.forms || column.forms.includes(form)),
    );
  }

  /** Takes a route; it is printed at once when the table is a big one. */
  add(route: Route): void {
    this.#count++;
    if (this.#layout) {
      this.#context.out.line(this.#layout.row(route));
      return;
    }
    this.#held.push(route);
    if (this.#held.length > heldMax) this.#release();
  }

  /** Prints what is held, sorted, and the number of routes, which it answers. */
  end(): number {
    const { note, isTerminal, style } = this.#context;
    if (!this.#layout) {
      this.#held.sort(byPrefix());
      if (this.#count > 0) this.#release();
    }
    if (this.#count === 0) note("no routes");
    else if (isTerminal)
      this.#context.out.line(style.dim(`${humanCount(this.#count)} route${this.#count === 1 ? "" : "s"}`));
    return this.#count;
  }

  #release(): void {
    const { out, width, style } = this.#context;
    // columns that are empty in every route of a small table say nothing
    const few = this.#held.length <= heldMax;
    const used = this.#columns.filter(({ title, value }) => {
      return !few || title === "PREFIX" || this.#held.some((route) => value(route) !== "");
    });
    this.#layout = layoutTable(used, this.#held, width, style);
    out.line(this.#layout.header);
    for (const route of this.#held) out.line(this.#layout.row(route));
    this.#held = [];
  }
}

/** One route without a table, for streams of changes. */
export function routeLine(route: Route): string {
  const path = pathText(route);
  const from = route.neighbor === "" ? "" : ` from ${route.neighbor}`;
  const more = communities(route);
  return safeText(
    `${route.prefix} via ${nextHops(route)}${from}  ${path}${more === "" ? "" : `  [${more}]`}`,
  );
}

function rankOf({ best, multipath }: Route): number {
  return best ? 0 : multipath ? 1 : 2;
}

/** Where the traffic goes: with weights when they are not all the same. */
function nextHops({ nextHop, nextHops: shares }: Route): string {
  if (shares.length === 0) return nextHop || "-";
  const isWeighted = shares.some(({ weight }) => weight !== shares[0].weight);
  return shares.map((share) => `${share.nextHop}${isWeighted ? `*${share.weight}` : ""}`).join("+");
}

/** Orders by family, address, length, best first. */
function byPrefix(): (a: Route, b: Route) => number {
  const keys = new Map<string, Uint8Array>();
  const keyOf = (prefix: string): Uint8Array => {
    let key = keys.get(prefix);
    if (!key) {
      const slash = prefix.indexOf("/");
      const address = parseIp(prefix.slice(0, slash)) ?? new Uint8Array(4);
      key = Uint8Array.of(address.length, ...address, Number(prefix.slice(slash + 1)));
      keys.set(prefix, key);
    }
    return key;
  };
  return (a, b) => {
    if (a.prefix === b.prefix) return rankOf(a) - rankOf(b) || a.pathId - b.pathId;
    return Buffer.compare(keyOf(a.prefix), keyOf(b.prefix));
  };
}
