/** A `RouteFilter` made ready to be asked for many rows: text is parsed once, answers are remembered per attribute set. */
import { formatIp, type Prefix, parseIp, parsePrefix, prefixContains } from "../base/ip.ts";
import { formatPeer, parsePeer } from "../base/peer-address.ts";
import type { Problem, Result } from "../base/problem.ts";
import type { RouteFilter } from "../gen/cairn/v1/types_pb.ts";
import { checkPattern } from "../policy/as-path-regex.ts";
import { compilePathMatcher, type PathMatcher } from "../policy/path-scanner.ts";
import { aspaStateNames, rpkiStateNames } from "../policy/route-key.ts";
import type { AttrId } from "../rib/attribute-store.ts";
import { FlowTable } from "../rib/flow-table.ts";
import { aspaOf, rpkiOf } from "../rib/path-validator.ts";
import type { PrefixTable } from "../rib/prefix-table.ts";
import type { RouteTable } from "../rib/route-table.ts";
import type { Family } from "../wire/family.ts";
import { attributesMessage } from "./route-message.ts";
import type { Routing } from "./routing.ts";
import { canonicalCommunity } from "./schema-formats.ts";

export class PreparedFilter {
  /** The one prefix that can match, when the filter names an exact one. */
  readonly exact: Prefix | undefined;
  private readonly routing: Routing;
  private readonly inside: Prefix | undefined;
  private readonly isDestination: boolean;
  private readonly originAsn: number | undefined;
  private readonly communities: readonly string[];
  private readonly asPath: PathMatcher | undefined;
  private readonly nextHop: string;
  /** Address of the neighbor, "local", or empty for any. */
  readonly neighbor: string;
  /** States by number; -1 for any. */
  private readonly rpkiState: number;
  private readonly aspaState: number;
  private readonly readsAttributes: boolean;
  /** Answers by attribute id, as epoch * 2 + answer: ids are used again. */
  private readonly answers = new Map<AttrId, number>();
  private readonly address = new Uint8Array(16);

  constructor(routing: Routing, filter: RouteFilter | undefined, parts: FilterParts) {
    this.routing = routing;
    // Of rules destinations are meant, and several may have the same.
    this.isDestination = parts.isDestination && filter?.longer === false;
    this.exact = filter && !filter.longer && !parts.isDestination ? parts.prefix : undefined;
    this.inside = this.exact ? undefined : parts.prefix;
    this.originAsn = filter?.originAsn;
    this.communities = parts.communities;
    this.asPath = parts.asPath;
    this.nextHop = parts.nextHop;
    this.rpkiState = parts.rpkiState;
    this.aspaState = parts.aspaState;
    this.neighbor = parts.neighbor;
    this.readsAttributes =
      this.originAsn !== undefined ||
      this.communities.length > 0 ||
      this.asPath !== undefined ||
      this.nextHop !== "";
  }

  /** True when the prefix may be shown; exact prefixes are looked up by the caller. */
  matchesPrefix(prefixes: PrefixTable, row: number): boolean {
    if (!this.inside) return true;
    if (prefixes instanceof FlowTable && !prefixes.hasDestination(row)) return false;
    if (this.isDestination && prefixes.length[row] !== this.inside.length) return false;
    if (prefixes.length[row] < this.inside.length) return false;
    prefixes.writeAddress(row, this.address, 0);
    return prefixContains(this.inside, this.address.subarray(0, prefixes.addressBytes));
  }

  /** What validation says of a path; 0 for a route that is no path of a table (any more). */
  matchesStates(table: RouteTable, path: number): boolean {
    const { rpkiState, aspaState } = this;
    if (rpkiState < 0 && aspaState < 0) return true;
    if (path === 0) return false;
    const states = table.validator?.ofPath(table, path, rpkiState >= 0, aspaState >= 0) ?? 0;
    if (rpkiState >= 0 && rpkiOf(states) !== rpkiState) return false;
    return aspaState < 0 || aspaOf(states) === aspaState;
  }

  matchesNeighbor(id: number): boolean {
    return this.neighbor === "" || this.routing.neighbors.text[id] === this.neighbor;
  }

  matchesAttributes(attr: AttrId): boolean {
    if (!this.readsAttributes) return true;
    const epoch = this.routing.attributes.epoch[attr];
    const known = this.answers.get(attr);
    if (known !== undefined && known >> 1 === epoch) return (known & 1) === 1;
    const answer = this.ask(attr);
    if (this.answers.size > 1 << 18) this.answers.clear();
    this.answers.set(attr, epoch * 2 + Number(answer));
    return answer;
  }

  private ask(attr: AttrId): boolean {
    if (this.originAsn !== undefined && this.routing.attributes.originAs[attr] !== this.originAsn)
      return false;
    const route = attributesMessage(this.routing, attr);
    if (this.nextHop !== "" && route.nextHop !== this.nextHop) return false;
    const carried = [...route.communities, ...route.extendedCommunities, ...route.largeCommunities];
    if (!this.communities.every((community) => carried.includes(community))) return false;
    return this.asPath?.matches(route.asPathText) ?? true;
  }
}

/** What a filter says of single paths of a table. @returns all that is wrong with it, by field */
export function pathSelector(
  routing: Routing,
  family: Family,
  filter: RouteFilter | undefined,
): Result<(path: number) => boolean> {
  const prepared = prepareFilter(routing, family, filter);
  if (!prepared.ok) return prepared;
  const table = routing.table(family);
  const { prefixes, paths } = table;
  const { exact } = prepared.value;
  const exactRow = exact ? prefixes.find(exact.bytes, 0, exact.length) : 0;
  const selects = (path: number): boolean => {
    const prefix = paths.prefix[path];
    if (exact && prefix !== exactRow) return false;
    if (!prepared.value.matchesPrefix(prefixes, prefix)) return false;
    return (
      prepared.value.matchesNeighbor(paths.neighbor[path]) &&
      prepared.value.matchesAttributes(paths.attr[path]) &&
      prepared.value.matchesStates(table, path)
    );
  };
  return { ok: true, value: selects };
}

interface FilterParts {
  readonly prefix: Prefix | undefined;
  readonly isDestination: boolean;
  readonly communities: readonly string[];
  readonly asPath: PathMatcher | undefined;
  readonly nextHop: string;
  readonly neighbor: string;
  readonly rpkiState: number;
  readonly aspaState: number;
}

/** Checks a filter. @returns all that is wrong with it, by field */
export function prepareFilter(
  routing: Routing,
  family: Family,
  filter: RouteFilter | undefined,
): Result<PreparedFilter> {
  const problems: Problem[] = [];
  const invalid = (field: string, message: string, value: string): void => {
    problems.push({ code: "INVALID", path: `filter.${field}`, message, value });
  };
  let prefix: Prefix | undefined;
  if (filter && filter.prefix !== "") {
    const parsed = parsePrefix(filter.prefix);
    if (typeof parsed === "string") invalid("prefix", parsed, filter.prefix);
    else if (parsed.bytes.length !== family.addressBytes) {
      invalid("prefix", `${filter.prefix} is not a prefix of ${family.name}`, filter.prefix);
    } else prefix = parsed;
  } else if (filter?.longer) invalid("longer", "needs a prefix", "true");
  const communities = (filter?.communities ?? []).map((text, i) => {
    const canonical = canonicalCommunity(text);
    if (!canonical.ok) invalid(`communities[${i}]`, canonical.message, text);
    return canonical.ok ? canonical.text : text;
  });
  let asPath: PathMatcher | undefined;
  if (filter && filter.asPath !== "") {
    const wrong = checkPattern(filter.asPath);
    if (wrong) invalid("as_path", `column ${wrong.column}: ${wrong.message}`, filter.asPath);
    else asPath = compilePathMatcher([filter.asPath]);
  }
  const nextHop = filter?.nextHop ? parseIp(filter.nextHop) : undefined;
  if (filter?.nextHop && !nextHop)
    invalid("next_hop", `"${filter.nextHop}" is not an IP address`, filter.nextHop);
  let neighbor = filter?.neighbor ?? "";
  if (neighbor !== "" && neighbor !== "local") {
    const peer = parsePeer(neighbor);
    if (peer) neighbor = formatPeer(peer);
    else invalid("neighbor", `"${neighbor}" is neither an IP address nor local`, neighbor);
  }
  const stateOf = (field: string, text: string, names: readonly string[]): number => {
    const state = names.indexOf(text);
    if (text !== "" && state < 0) invalid(field, `"${text}" is none of ${names.join(", ")}`, text);
    return state;
  };
  const rpkiState = stateOf("rpki_state", filter?.rpkiState ?? "", rpkiStateNames);
  const aspaState = stateOf("aspa_state", filter?.aspaState ?? "", aspaStateNames);
  if (problems.length > 0) return { ok: false, problems };
  const parts = {
    rpkiState,
    aspaState,
    prefix,
    isDestination: family.nlri === "flow",
    communities,
    asPath,
    nextHop: nextHop ? formatIp(nextHop) : "",
    neighbor,
  };
  return { ok: true, value: new PreparedFilter(routing, filter, parts) };
}
