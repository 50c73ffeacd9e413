/** What can be asked for: paths to answers. Nothing is done for a path but to find out what it asks for. */
import { create } from "@bufbuild/protobuf";
import { formatIp, formatPrefix, parseIp, parsePrefix } from "../../base/ip.ts";
import { type RouteFilter, RouteFilterSchema } from "../../gen/cairn/v1/types_pb.ts";
import type { CoreView, RouteTable } from "../../state/view.ts";
import { type Family, prefixFamilies, unicastFamily } from "../../wire/family.ts";
import { pageMax } from "./options.ts";
import { protocolOf, tableNames } from "./shapes.ts";

/** Routes of a table of one family. */
export interface RouteSource {
  readonly table: RouteTable;
  readonly family: Family;
  readonly filter?: RouteFilter;
  /** Best paths only. */
  readonly primaryOnly?: boolean;
}

export type Question =
  | { readonly kind: "version" | "status" | "symbols" }
  | { readonly kind: "protocols"; readonly short: boolean }
  | { readonly kind: "routes"; readonly sources: readonly RouteSource[]; readonly page: Page }
  | { readonly kind: "count"; readonly sources: readonly RouteSource[] }
  | { readonly kind: "primary"; readonly neighbor: string }
  | { readonly kind: "lookup"; readonly target: string };

/** A part of a list. */
export interface Page {
  /** Routes at most; 0 for all. */
  readonly size: number;
  /** Where the page before ended: number of the source and position in it; empty at the start. */
  readonly token: string;
}

/** Why a request is not answered. */
export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Reads a request. @throws Refusal */
export function readQuestion(view: CoreView, path: string, query: URLSearchParams): Question {
  const [area, ...rest] = segmentsOf(path);
  const [first, second] = rest;
  if (rest.length === 0 && (area === "version" || area === "status" || area === "symbols"))
    return { kind: area };
  if (area === "protocols") {
    if (rest.length === 0 || (rest.length === 1 && first === "bgp"))
      return { kind: "protocols", short: false };
    if (rest.length === 1 && first === "short") return { kind: "protocols", short: true };
  }
  if (area === "route" || area === "routes") {
    if (first === "net") return lookupQuestion(rest.slice(1));
    if (first === "count" && rest.length === 3) return countQuestion(view, second, rest[2]);
    if (first === "pipe") return pipeQuestion(view, rest.slice(1), query);
    const sources = sourcesOf(view, rest, query);
    if (sources) return { kind: "routes", sources, page: pageOf(query) };
  }
  throw new Refusal(404, "there is nothing at this path; see docs/looking-glass.md for those there are");
}

function segmentsOf(path: string): string[] {
  return path
    .split("/")
    .filter((segment) => segment !== "")
    .map((segment) => {
      try {
        return decodeURIComponent(segment);
      } catch {
        throw new Refusal(400, "the path is not well encoded");
      }
    });
}

function sourcesOf(
  view: CoreView,
  [what, name, ...more]: readonly string[],
  query: URLSearchParams,
): RouteSource[] | undefined {
  if (what === "prefix" && name === undefined) return prefixSources(query);
  if (name === undefined) return undefined;
  if (what === "table") return tableSources(view, name, more);
  if (more.length > 0) return undefined;
  switch (what) {
    case "protocol":
      return ofNeighbor(neighborNamed(view, name), (neighbor) => ({
        table: "received",
        neighbor,
        prePolicy: false,
      }));
    case "peer":
      return ofNeighbor(peerAt(view, name), (neighbor) => ({
        table: "received",
        neighbor,
        prePolicy: false,
      }));
    case "filtered":
      return ofNeighbor(neighborNamed(view, name), (neighbor) => ({ table: "rejected", neighbor }));
    case "export":
      return ofNeighbor(neighborNamed(view, name), (neighbor) => ({ table: "advertised", neighbor }));
    case "noexport":
      return ofNeighbor(neighborNamed(view, name), (neighbor) => ({ table: "withheld", neighbor }));
    default:
      return undefined;
  }
}

function ofNeighbor(neighbor: string, table: (neighbor: string) => RouteTable): RouteSource[] {
  return prefixFamilies.map((family) => ({ table: table(neighbor), family }));
}

/** @throws Refusal */
function neighborNamed(view: CoreView, id: string): string {
  const name = view.neighborNames().find((each) => each === id || protocolOf(each) === id);
  if (name === undefined) throw new Refusal(404, `there is no protocol ${shown(id)}`);
  return name;
}

function peerAt(view: CoreView, text: string): string {
  const address = parseIp(text);
  return neighborNamed(view, address ? formatIp(address) : text);
}

/** The families of a table; `master` is all of them. @throws Refusal */
function familiesOf(table: string): readonly Family[] {
  if (table === "master") return prefixFamilies;
  const family = prefixFamilies[(tableNames as readonly string[]).indexOf(table)];
  if (!family)
    throw new Refusal(404, `there is no table ${shown(table)}; there are ${tableNames.join(", ")}`);
  return [family];
}

function tableSources(view: CoreView, table: string, more: readonly string[]): RouteSource[] | undefined {
  const of = familiesOf(table);
  const [what, peer] = more;
  if (what === undefined) return of.map((family) => ({ table: { table: "best", paths: "all" }, family }));
  if (what === "filtered" && more.length === 1) {
    const names = view.neighborNames();
    return names.flatMap((neighbor) =>
      of.map((family) => ({ table: { table: "rejected", neighbor }, family })),
    );
  }
  if (what === "peer" && more.length === 2) {
    const neighbor = peerAt(view, peer);
    return of.map((family) => ({ table: { table: "received", neighbor, prePolicy: false }, family }));
  }
  return undefined;
}

function prefixSources(query: URLSearchParams): RouteSource[] {
  const text = only(query, "prefix");
  const prefix = parsePrefix(text);
  if (typeof prefix === "string") throw new Refusal(400, `prefix: ${prefix}`);
  const filter = create(RouteFilterSchema, { prefix: formatPrefix(prefix) });
  return [{ table: { table: "best", paths: "all" }, family: unicastFamily(prefix.bytes.length), filter }];
}

function countQuestion(view: CoreView, what: string, name: string): Question {
  switch (what) {
    case "protocol": {
      const sources = sourcesOf(view, ["protocol", name], new URLSearchParams());
      return { kind: "count", sources: sources! };
    }
    case "primary":
      return { kind: "primary", neighbor: neighborNamed(view, name) };
    case "table":
      return { kind: "count", sources: tableSources(view, name, [])! };
    default:
      throw new Refusal(404, "counts there are of protocol, primary and table");
  }
}

/** There are no pipes here: what a neighbor's filters refused is all in `filtered`. */
function pipeQuestion(
  view: CoreView,
  [what, count, ...more]: readonly string[],
  query: URLSearchParams,
): Question {
  if (what !== "filtered" || more.length > 0 || (count !== undefined && count !== "count")) {
    throw new Refusal(404, "of pipes there is filtered and filtered/count");
  }
  familiesOf(only(query, "table"));
  only(query, "pipe");
  if (count) return { kind: "count", sources: [] };
  const protocol = query.get("protocol");
  if (protocol !== null) neighborNamed(view, protocol);
  return { kind: "routes", sources: [], page: pageOf(query) };
}

/** `NET [/mask/LENGTH] [/table/TABLE]`, where NET may have its length with it. */
function lookupQuestion(words: readonly string[]): Question {
  const rest = [...words];
  let target = rest.shift() ?? "";
  if (/^\d{1,3}$/.test(rest[0] ?? "")) target += `/${rest.shift()}`;
  if (rest[0] === "mask" && rest[1] !== undefined) target += `/${rest.splice(0, 2)[1]}`;
  if (rest[0] === "table" && rest.length === 2) familiesOf(rest.splice(0, 2)[1]);
  if (rest.length > 0)
    throw new Refusal(404, "ask for net/NET, net/NET/mask/LENGTH, each with /table/TABLE or without");
  const prefix = target.includes("/") ? parsePrefix(target) : parseIp(target);
  if (prefix === undefined || typeof prefix === "string") {
    throw new Refusal(400, prefix ?? `${shown(target)} is neither an address nor a prefix`);
  }
  return { kind: "lookup", target: prefix instanceof Uint8Array ? formatIp(prefix) : formatPrefix(prefix) };
}

function pageOf(query: URLSearchParams): Page {
  const size = query.get("page_size") ?? "0";
  const token = query.get("page_token") ?? "";
  if (!/^\d{1,9}$/.test(size) || Number(size) > pageMax) {
    throw new Refusal(400, `page_size is a number up to ${pageMax}`);
  }
  if (token !== "" && !/^\d{1,5}-\d{0,10}$/.test(token))
    throw new Refusal(400, "page_token is not one of ours");
  return { size: Number(size), token };
}

/** @throws Refusal */
function only(query: URLSearchParams, name: string): string {
  const values = query.getAll(name);
  if (values.length === 1 && values[0] !== "") return values[0];
  throw new Refusal(400, `${name} is needed as a query parameter, once`);
}

/** Text of a request in an answer. */
function shown(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
