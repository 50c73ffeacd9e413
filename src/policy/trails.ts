/**
 * Trails: which statements matched, in order, and what decided. Equal trails are one row, a row names its
 * predecessor, and evaluation counts on rows only; statements get their counts when somebody asks (`fold`).
 */
import { grown } from "../base/columns.ts";
import type { Chain } from "./compile.ts";

/** The empty trail. */
export const TRAIL_START = 0;

export class Trails {
  private readonly chain: Chain;
  private readonly next = new Map<number, number>();
  private parent: Uint32Array = new Uint32Array(64);
  private symbol: Uint32Array = new Uint32Array(64);
  /** Evaluations that took exactly this trail, since the last `fold`. */
  hits: Float64Array = new Float64Array(64);
  count = 1;

  constructor(chain: Chain) {
    this.chain = chain;
  }

  /** Bytes held in typed arrays. */
  get bytes(): number {
    return this.parent.byteLength + this.symbol.byteLength + this.hits.byteLength;
  }

  /** `trail` followed by a match of a statement (its number in the chain). */
  matched(trail: number, statement: number): number {
    return this.extend(trail, statement);
  }

  /** `trail` ended by the default action of a policy. */
  defaulted(trail: number, policy: number): number {
    return this.extend(trail, this.chain.statementCount + policy);
  }

  /** `trail` ended with no decision, or with attributes too large to send. */
  ended(trail: number): number {
    return this.extend(trail, this.chain.statementCount + this.chain.policies.length);
  }

  /** Adds the hits to the counters of the policies and forgets them. */
  fold(): void {
    const counts = new Float64Array(this.chain.statementCount + this.chain.policies.length + 1);
    for (let row = 1; row < this.count; row++) {
      if (this.hits[row] === 0) continue;
      for (let at = row; at !== TRAIL_START; at = this.parent[at]) counts[this.symbol[at]] += this.hits[row];
      this.hits[row] = 0;
    }
    for (const { index, statements, counters } of this.chain.policies) {
      for (const statement of statements) counters[statement.position] += counts[statement.index];
      counters[statements.length] += counts[this.chain.statementCount + index];
    }
  }

  clear(): void {
    this.fold();
    this.next.clear();
    this.count = 1;
  }

  private extend(trail: number, symbol: number): number {
    const key = trail * (this.chain.statementCount + this.chain.policies.length + 1) + symbol;
    const known = this.next.get(key);
    if (known !== undefined) return known;
    if (this.count === this.parent.length) {
      this.parent = grown(this.parent, this.count * 2);
      this.symbol = grown(this.symbol, this.count * 2);
      this.hits = grown(this.hits, this.count * 2);
    }
    const row = this.count++;
    this.parent[row] = trail;
    this.symbol[row] = symbol;
    this.hits[row] = 0;
    this.next.set(key, row);
    return row;
  }
}
