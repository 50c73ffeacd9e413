/**
 * One import policy of 50 statements for all daemons that have filters: AS-path expressions, communities, lengths and a
 * large prefix set. Statements are data here; `bench/daemons` writes them in each language, `apply` says what must come
 * out. Most never hold, as in real policies, and every route goes through all of them.
 */
import { seededRandom } from "../../src/base/random.ts";
import { type Attributes, fingerprint } from "./attributes.ts";
import type { Table } from "./table.ts";

export type Question =
  /** The AS stands anywhere in the path. */
  | { readonly ask: "passes"; readonly asn: number }
  /** The two stand side by side in the path. */
  | { readonly ask: "pair"; readonly first: number; readonly second: number }
  /** The path begins with any AS and this one. */
  | { readonly ask: "second"; readonly asn: number }
  | { readonly ask: "community"; readonly value: number }
  | { readonly ask: "longer-than"; readonly ases: number }
  /** The prefix lies in the set. */
  | { readonly ask: "prefix" };

export interface Rule {
  readonly when: Question;
  /** Community that is added; the next rule goes on. */
  readonly add?: number;
  readonly localPref?: number;
  readonly reject?: boolean;
}

export interface Filter {
  readonly rules: readonly Rule[];
  /** Prefixes with their more-specifics up to /24. */
  readonly prefixes: readonly string[];
  /** The last statement accepts and adds this. */
  readonly last: number;
  /** Whether a prefix of the table lies in the set, by its number. */
  readonly contains: Uint8Array;
}

/** AS of the communities that the filter adds. */
const markAs = 65_000;

export function community(asn: number, value: number): number {
  return asn * 65_536 + value;
}

/** @param entries size of the prefix set, of covers of prefixes in the table; @param last distinguishes versions */
export function makeFilter(table: Table, entries: number, last: number): Filter {
  const random = seededRandom(entries);
  const rules: Rule[] = [];
  for (let i = 0; i < 12; i++) {
    rules.push({ when: { ask: "passes", asn: 64_600 + i }, reject: true });
    rules.push({ when: { ask: "community", value: community(65_002, i) }, localPref: 100 + i });
    rules.push({
      when: { ask: "pair", first: 3000 + i * 7, second: 3100 + i },
      add: community(markAs, 100 + i),
    });
    rules.push({ when: { ask: "second", asn: 3000 + i * 5 }, add: community(markAs, 200 + i) });
  }
  rules.push({ when: { ask: "prefix" }, localPref: 300, add: community(markAs, 300) });
  const chosen = new Set<number>();
  while (chosen.size < entries) chosen.add(cover(table, Math.floor(random() * table.count)));
  const contains = new Uint8Array(table.count);
  for (let number = 0; number < table.count; number++) {
    if (chosen.has(cover(table, number))) contains[number] = 1;
  }
  return { rules, prefixes: [...chosen].map(text), last: community(markAs, last), contains };
}

/** The /20 around a longer prefix, or the prefix itself: 24 bits of address above five of length. */
function cover(table: Table, number: number): number {
  const length = Math.min(20, table.length[number]);
  return ((table.key[number] & (-1 << (24 - length))) << 5) | length;
}

function text(cover: number): string {
  return `${(cover >>> 21) & 255}.${(cover >>> 13) & 255}.${(cover >>> 5) & 255}.0/${cover & 31}`;
}

/** What the filter makes of a route; undefined when it rejects it. */
export function apply(filter: Filter, attributes: Attributes, inSet: boolean): Attributes | undefined {
  const { path } = attributes;
  const communities = [...attributes.communities];
  const holds = (when: Question): boolean => {
    switch (when.ask) {
      case "passes":
        return path.includes(when.asn);
      case "pair":
        return path.some((asn, i) => asn === when.first && path[i + 1] === when.second);
      case "second":
        return path[1] === when.asn;
      case "community":
        return communities.includes(when.value);
      case "longer-than":
        return path.length > when.ases;
      case "prefix":
        return inSet;
    }
  };
  for (const { when, add, reject } of filter.rules) {
    if (!holds(when)) continue;
    if (reject) return undefined;
    if (add !== undefined && !communities.includes(add)) communities.push(add);
  }
  communities.push(filter.last);
  return { ...attributes, communities };
}

/** Fingerprint of every prefix after the filter; 0 for those that are rejected. */
export function targets(table: Table, filter: Filter): Uint32Array {
  const prints = [false, true].map((inSet) =>
    Uint32Array.from({ length: table.shape.sets }, (_, set) => {
      const made = apply(filter, table.attributes(0, set), inSet);
      return made ? fingerprint(made) : 0;
    }),
  );
  return Uint32Array.from(
    { length: table.count },
    (_, n) => prints[filter.contains[n]][table.setOfPrefix(n)],
  );
}
