/**
 * Local exceptions (SLURM, RFC 8416; version 2 with ASPAs as in draft-ietf-sidrops-aspa-slurm): filters that take VRPs
 * and ASPAs out, and assertions that are added whatever the filters say. What is about router keys is read over.
 */
import { type Prefix, parsePrefix } from "../base/ip.ts";
import type { Problem, Result } from "../base/problem.ts";
import { RouteKey } from "../policy/route-key.ts";
import { unicastFamily } from "../wire/family.ts";
import { readAsn, readAspa, readMaxLength, readRecords } from "./json-records.ts";
import { PrefixTrie, root } from "./prefix-trie.ts";
import type { VrpFilter } from "./vrp-table.ts";

export interface PrefixFilter {
  /** Absent: all prefixes. */
  readonly prefix?: Prefix;
  /** Absent: all origins. */
  readonly asn?: number;
}

export interface VrpRecord {
  readonly prefix: Prefix;
  readonly maxLength: number;
  readonly asn: number;
}

export interface AspaRecord {
  readonly customer: number;
  /** In ascending order. */
  readonly providers: readonly number[];
}

/** One file, or several together. */
export interface Slurm {
  readonly prefixFilters: readonly PrefixFilter[];
  readonly prefixAssertions: readonly VrpRecord[];
  /** Customers. */
  readonly aspaFilters: readonly number[];
  readonly aspaAssertions: readonly AspaRecord[];
}

export const emptySlurm: Slurm = {
  prefixFilters: [],
  prefixAssertions: [],
  aspaFilters: [],
  aspaAssertions: [],
};

/** Filters and assertions that one file may hold. */
const entriesMax = 100_000;

/** Reads a SLURM file. @returns all that is wrong with it */
export function parseSlurm(text: string): Result<Slurm> {
  const problems: Problem[] = [];
  const file = readRecords(text, problems);
  if (!file) return { ok: false, problems };
  const { slurmVersion } = file;
  if (slurmVersion !== 1 && slurmVersion !== 2) {
    const message = "slurmVersion is 1 or 2";
    problems.push({ code: "INVALID", path: "slurmVersion", message, value: String(slurmVersion) });
  }
  const filters = section(file, "validationOutputFilters", problems);
  const assertions = section(file, "locallyAddedAssertions", problems);
  const slurm: Slurm = {
    prefixFilters: each(filters, "validationOutputFilters.prefixFilters", problems, readPrefixFilter),
    prefixAssertions: each(assertions, "locallyAddedAssertions.prefixAssertions", problems, readAssertion),
    aspaFilters: each(filters, "validationOutputFilters.aspaFilters", problems, (entry, path) =>
      readAsn(entry.customer_asid ?? entry.customerAsid, `${path}.customer_asid`, problems),
    ),
    aspaAssertions: each(assertions, "locallyAddedAssertions.aspaAssertions", problems, readAspa),
  };
  return problems.length > 0 ? { ok: false, problems } : { ok: true, value: slurm };
}

type Entry = Readonly<Record<string, unknown>>;

function section(file: Entry, name: string, problems: Problem[]): Entry {
  const value = file[name];
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Entry;
  problems.push({ code: "REQUIRED", path: name, message: `${name} is missing` });
  return {};
}

function each<T>(
  holder: Entry,
  path: string,
  problems: Problem[],
  read: (entry: Entry, path: string, problems: Problem[]) => T | undefined,
): T[] {
  const list = holder[path.slice(path.indexOf(".") + 1)] ?? [];
  if (!Array.isArray(list) || list.length > entriesMax) {
    problems.push({ code: "INVALID", path, message: `a list of at most ${entriesMax} entries is wanted` });
    return [];
  }
  return list.flatMap((entry: unknown, i) => {
    const at = `${path}[${i}]`;
    if (typeof entry !== "object" || entry === null) {
      problems.push({ code: "INVALID", path: at, message: "an object is wanted" });
      return [];
    }
    const value = read(entry as Entry, at, problems);
    return value === undefined ? [] : [value];
  });
}

function readPrefixFilter(
  { prefix: text, asn: number }: Entry,
  path: string,
  problems: Problem[],
): PrefixFilter | undefined {
  if (text === undefined && number === undefined) {
    problems.push({ code: "REQUIRED", path, message: "a filter names a prefix, an asn, or both" });
    return undefined;
  }
  const prefix = text === undefined ? undefined : readPrefix(text, `${path}.prefix`, problems);
  const asn = number === undefined ? undefined : readAsn(number, `${path}.asn`, problems);
  return { ...(prefix && { prefix }), ...(asn !== undefined && { asn }) };
}

function readAssertion(entry: Entry, path: string, problems: Problem[]): VrpRecord | undefined {
  const prefix = readPrefix(entry.prefix, `${path}.prefix`, problems);
  const asn = readAsn(entry.asn, `${path}.asn`, problems);
  if (!prefix || asn === undefined) return undefined;
  const maxLength = readMaxLength(entry.maxPrefixLength, prefix, `${path}.maxPrefixLength`, problems);
  return maxLength === undefined ? undefined : { prefix, maxLength, asn };
}

function readPrefix(value: unknown, path: string, problems: Problem[]): Prefix | undefined {
  const parsed = typeof value === "string" ? parsePrefix(value) : "a prefix is wanted";
  if (typeof parsed !== "string") return parsed;
  problems.push({ code: "INVALID", path, message: parsed, value: String(value) });
  return undefined;
}

/** All of several files as one. */
export function joinSlurm(files: readonly Slurm[]): Slurm {
  return {
    prefixFilters: files.flatMap((file) => file.prefixFilters),
    prefixAssertions: files.flatMap((file) => file.prefixAssertions),
    aspaFilters: files.flatMap((file) => file.aspaFilters),
    aspaAssertions: files.flatMap((file) => file.aspaAssertions),
  };
}

/**
 * The filters as one question. A filter with a prefix is about that prefix and all inside it (RFC 8416 3.3.1), so what
 * is asked for are the filters that cover a VRP.
 */
export function compileFilters(filters: readonly PrefixFilter[]): VrpFilter {
  const asns = new Set<number>();
  const tries = { 4: new PrefixTrie(4), 16: new PrefixTrie(16) };
  /** By row that a trie's node names: the ASes; undefined for all. */
  const wanted: (Set<number> | undefined)[] = [undefined];
  const key = new RouteKey();
  for (const { prefix, asn } of filters) {
    if (!prefix) {
      if (asn !== undefined) asns.add(asn);
      continue;
    }
    key.setNlri(unicastFamily(prefix.bytes.length), prefix.bytes, 0, prefix.length);
    const trie = tries[key.family.addressBytes];
    const node = trie.insert(key);
    if (trie.head[node] === 0) trie.head[node] = wanted.push(new Set()) - 1;
    if (asn === undefined) wanted[trie.head[node]] = undefined;
    else wanted[trie.head[node]]?.add(asn);
  }
  return (prefix, asn) => {
    if (asns.has(asn)) return true;
    const trie = tries[prefix.family.addressBytes];
    for (let node: number = root; node !== 0; node = trie.next(node, prefix)) {
      const row = trie.head[node];
      if (row !== 0 && (wanted[row]?.has(asn) ?? true)) return true;
    }
    return false;
  };
}
