/** Neighbor sets: by address or prefix, by AS, by peer group; a neighbor in any of the three is in the set. */
import { assert } from "../base/assert.ts";
import type { Prefix } from "../base/ip.ts";
import { parseIp, parsePrefix, prefixContains } from "../base/ip.ts";

/** What a set is asked about. */
export interface NeighborIdentity {
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  readonly asn: number;
  /** Name of its peer group; empty when it has none. */
  readonly peerGroup: string;
}

/** The fields of `NeighborSetSpec` that say who is in. A set with none of them is empty: it holds nobody. */
export interface NeighborSetRules {
  readonly addresses: readonly string[];
  readonly asns: readonly number[];
  readonly peerGroups: readonly string[];
}

export interface NeighborSet {
  matches(neighbor: NeighborIdentity): boolean;
}

/** Compiles rules that `validateNeighborSet` has passed. */
export function compileNeighborSet(rules: NeighborSetRules): NeighborSet {
  const prefixes = rules.addresses.map(parseHostOrPrefix);
  const asns = new Set(rules.asns);
  const groups = new Set(rules.peerGroups);
  return {
    matches: (neighbor) =>
      asns.has(neighbor.asn) ||
      (neighbor.peerGroup !== "" && groups.has(neighbor.peerGroup)) ||
      prefixes.some((prefix) => prefixContains(prefix, neighbor.address)),
  };
}

/** An address (as its full-length prefix) or a prefix; a sentence when the text is neither. */
export function readHostOrPrefix(text: string): Prefix | string {
  const bytes = parseIp(text);
  return bytes ? { bytes, length: bytes.length * 8 } : parsePrefix(text);
}

/** The same for text that has been checked. */
export function parseHostOrPrefix(text: string): Prefix {
  const prefix = readHostOrPrefix(text);
  assert(typeof prefix !== "string", `unchecked address: ${prefix}`);
  return prefix;
}
