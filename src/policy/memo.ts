/**
 * What a bound program remembers: for each attribute set a decision graph over what still depends on the route.
 *
 * For a given attribute set, every condition on attributes has one answer, so a program shrinks to the few questions
 * it asks about the prefix (or family, or route type). Those questions are nodes, found in the order the program asks
 * them; a leaf names the decision (`trail`) and the outgoing attribute set (`result`). A program that reads no prefix
 * has a leaf at once. Results are kept per (attribute set, list of changes), so leaves that change a route alike share
 * one.
 *
 * Nothing here holds a reference: keys and results are (id, epoch) pairs, and a pair whose epoch has passed counts as
 * absent. All columns are bounded; a full memo is emptied and fills again with what is in use.
 */
import { assert } from "../base/assert.ts";
import { grown } from "../base/columns.ts";

export interface MemoLimits {
  /** Attribute sets. */
  readonly rootsMax: number;
  readonly nodesMax: number;
  readonly leavesMax: number;
}

export const memoLimits: MemoLimits = { rootsMax: 1 << 18, nodesMax: 1 << 19, leavesMax: 1 << 19 };

/** Values of `leafResult` that are no row of the result columns. */
export const REJECTED = 0;
export const UNCHANGED = 1;
const RESULTS_START = 2;

/**
 * A reference in the graph: 0 not yet known, positive a node, negative `~leaf`. Columns are public because the
 * evaluator's loop reads them directly.
 */
export class Memo {
  private readonly limits: MemoLimits;
  /** Roots by open addressing on the attribute id; 0 marks a free place. */
  key: Uint32Array = new Uint32Array(64);
  /** 32 less the bits of a place. */
  private shift = 32 - Math.log2(this.key.length);
  keyEpoch: Uint32Array = new Uint32Array(64);
  root: Int32Array = new Int32Array(64);
  /** First result row of the root; 0 for none. */
  rootResults: Uint32Array = new Uint32Array(64);
  roots = 0;

  predicate: Uint32Array = new Uint32Array(64);
  yes: Int32Array = new Int32Array(64);
  no: Int32Array = new Int32Array(64);
  nodes = 1;

  leafTrail: Uint32Array = new Uint32Array(64);
  leafResult: Uint32Array = new Uint32Array(64);
  /** `NextHopVerdict` of the decision. */
  leafNextHop: Uint8Array = new Uint8Array(64);
  leaves = 0;

  resultId: Uint32Array = new Uint32Array(64);
  resultEpoch: Uint32Array = new Uint32Array(64);
  /** The list of changes that made it. */
  resultChange: Uint32Array = new Uint32Array(64);
  resultNext: Uint32Array = new Uint32Array(64);
  results = RESULTS_START;

  constructor(limits: MemoLimits = memoLimits) {
    this.limits = limits;
  }

  /** True when the next addition might pass a bound; the owner then calls `clear`. */
  get full(): boolean {
    const { rootsMax, nodesMax, leavesMax } = this.limits;
    return this.roots >= rootsMax || this.nodes >= nodesMax || this.leaves >= leavesMax;
  }

  /** Bytes held in typed arrays. */
  get bytes(): number {
    const roots = this.key.length * 16;
    return roots + this.predicate.length * 12 + this.leafTrail.length * 9 + this.resultId.length * 16;
  }

  clear(): void {
    this.key.fill(0);
    this.roots = 0;
    this.nodes = 1;
    this.leaves = 0;
    this.results = RESULTS_START;
  }

  /** The place of `id` at `epoch`; -1 when it is not there. */
  find(id: number, epoch: number): number {
    const at = this.place(id);
    return this.key[at] === id && this.keyEpoch[at] === epoch ? at : -1;
  }

  /** The place of `id` at `epoch`, made empty when it is new or had another epoch. */
  enter(id: number, epoch: number): number {
    assert(id !== 0, "attribute id 0");
    let at = this.place(id);
    if (this.key[at] === id && this.keyEpoch[at] === epoch) return at;
    if (this.key[at] === 0) {
      if ((this.roots + 1) * 2 > this.key.length) {
        this.rehash();
        at = this.place(id);
      }
      this.roots++;
    }
    this.key[at] = id;
    this.keyEpoch[at] = epoch;
    this.root[at] = 0;
    this.rootResults[at] = 0;
    return at;
  }

  addNode(predicate: number): number {
    if (this.nodes === this.predicate.length) {
      this.predicate = grown(this.predicate, this.nodes * 2);
      this.yes = grown(this.yes, this.nodes * 2);
      this.no = grown(this.no, this.nodes * 2);
    }
    const node = this.nodes++;
    this.predicate[node] = predicate;
    this.yes[node] = 0;
    this.no[node] = 0;
    return node;
  }

  /** A new leaf, as a graph reference. */
  addLeaf(trail: number, result: number, nextHop: number): number {
    if (this.leaves === this.leafTrail.length) {
      this.leafTrail = grown(this.leafTrail, this.leaves * 2);
      this.leafResult = grown(this.leafResult, this.leaves * 2);
      this.leafNextHop = grown(this.leafNextHop, this.leaves * 2);
    }
    const leaf = this.leaves++;
    this.leafTrail[leaf] = trail;
    this.leafResult[leaf] = result;
    this.leafNextHop[leaf] = nextHop;
    return ~leaf;
  }

  /** The result row of this root for a list of changes; added, with id 0, when it is new. */
  resultRow(place: number, change: number): number {
    for (let row = this.rootResults[place]; row !== 0; row = this.resultNext[row]) {
      if (this.resultChange[row] === change) return row;
    }
    if (this.results === this.resultId.length) {
      this.resultId = grown(this.resultId, this.results * 2);
      this.resultEpoch = grown(this.resultEpoch, this.results * 2);
      this.resultChange = grown(this.resultChange, this.results * 2);
      this.resultNext = grown(this.resultNext, this.results * 2);
    }
    const row = this.results++;
    this.resultId[row] = 0;
    this.resultChange[row] = change;
    this.resultNext[row] = this.rootResults[place];
    this.rootResults[place] = row;
    return row;
  }

  private place(id: number): number {
    const last = this.key.length - 1;
    // The leading bits of the product: ids come in order, and those in the middle put them side by side.
    let at = Math.imul(id, 0x9e3779b1) >>> this.shift;
    while (this.key[at] !== 0 && this.key[at] !== id) at = (at + 1) & last;
    return at;
  }

  private rehash(): void {
    const { key, keyEpoch, root, rootResults } = this;
    const capacity = key.length * 2;
    this.shift--;
    this.key = new Uint32Array(capacity);
    this.keyEpoch = new Uint32Array(capacity);
    this.root = new Int32Array(capacity);
    this.rootResults = new Uint32Array(capacity);
    for (let from = 0; from < key.length; from++) {
      if (key[from] === 0) continue;
      const to = this.place(key[from]);
      this.key[to] = key[from];
      this.keyEpoch[to] = keyEpoch[from];
      this.root[to] = root[from];
      this.rootResults[to] = rootResults[from];
    }
  }
}
