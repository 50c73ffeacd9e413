/**
 * Prefixes in a path-compressed binary trie of typed arrays. Each prefix has a node, and a node may stand for no prefix
 * but for the place where two part. Whoever owns the trie hangs a chain of rows on each node (`head`).
 *
 *   0.0.0.0/0 (root, always there) -> 192.0.0.0/7 (parting) -> 192.0.2.0/24 -> 192.0.2.128/25
 *
 * What covers a prefix are the nodes on the way to it, and what a prefix covers is below it.
 */
import { maskOf, type RouteKey } from "../policy/route-key.ts";
import { enlarged } from "./columns.ts";

/** Names a node; 0 is none, 1 the root. */
export type NodeId = number;

export const root: NodeId = 1;
const initialCapacity = 64;
/** See `placeOf`. */
const before = -1;
const around = 0;
const beyond = 1;

export class PrefixTrie {
  readonly words: 1 | 4;
  private capacity = initialCapacity;
  /** `words` words per node, first word first, as signed numbers; bits beyond `length` are zero. */
  private key: Int32Array;
  length = new Uint8Array(initialCapacity);
  /** Two per node: where the next bit is 0, and where it is 1. */
  private child = new Uint32Array(initialCapacity * 2);
  /** First row of the owner; 0 for a parting. */
  head = new Uint32Array(initialCapacity);
  /** Rows below this were in use at some time. */
  private rows = 2;
  private free: NodeId = 0;
  /** Nodes in use, the root and partings among them. */
  nodes = 1;

  constructor(addressBytes: 4 | 16) {
    this.words = addressBytes === 4 ? 1 : 4;
    this.key = new Int32Array(initialCapacity * this.words);
  }

  /** The next longer node that covers `route`, 0 when there is none: from `root` on, all that do. */
  next(node: NodeId, route: RouteKey): NodeId {
    const length = this.length[node];
    if (length >= route.length) return 0;
    const below = this.child[node * 2 + bitOf(route, length)];
    return below !== 0 && this.covers(below, route) ? below : 0;
  }

  /** True when the prefix of `node` is that of `route` or one around it. */
  private covers(node: NodeId, route: RouteKey): boolean {
    const length = this.length[node];
    if (length > route.length) return false;
    if (this.words === 1) return ((this.key[node] ^ route.w0) & maskOf(length)) === 0;
    return this.common(node, route, length) === length;
  }

  /** Leading bits that a node's key and `route` have in common, at most `max`. */
  private common(node: NodeId, route: RouteKey, max: number): number {
    const at = node * this.words;
    let same = Math.clz32(this.key[at] ^ route.w0);
    if (same === 32 && this.words === 4 && max > 32) {
      same += Math.clz32(this.key[at + 1] ^ route.w1);
      if (same === 64 && max > 64) {
        same += Math.clz32(this.key[at + 2] ^ route.w2);
        if (same === 96 && max > 96) same += Math.clz32(this.key[at + 3] ^ route.w3);
      }
    }
    return Math.min(same, max);
  }

  /** The node of a prefix; 0 when it has none. */
  find(route: RouteKey): NodeId {
    for (let node = root; node !== 0; node = this.next(node, route)) {
      if (this.length[node] === route.length) return node;
    }
    return 0;
  }

  /**
   * Visits nodes in the order of their prefixes, shorter ones first: those inside `within`, beyond `after` when that is
   * given. Ends when `visit` says false. @returns false when it was ended
   */
  walk(within: RouteKey, after: RouteKey | undefined, visit: (node: NodeId) => boolean): boolean {
    let top = root;
    while (this.length[top] < within.length) {
      const below = this.child[top * 2 + bitOf(within, this.length[top])];
      const shared = Math.min(within.length, this.length[below]);
      if (below === 0 || this.common(below, within, shared) < shared) return true;
      top = below;
    }
    const stack = [top];
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      const place = after ? this.placeOf(node, after) : beyond;
      if (place === before) continue;
      if (place === beyond && !visit(node)) return false;
      const [zero, one] = [this.child[node * 2], this.child[node * 2 + 1]];
      if (one !== 0) stack.push(one);
      if (zero !== 0) stack.push(zero);
    }
    return true;
  }

  /** Where a node stands to a prefix: it and all below come before it, it covers or is it, it comes after it. */
  private placeOf(node: NodeId, route: RouteKey): number {
    const length = this.length[node];
    const shared = Math.min(length, route.length);
    const common = this.common(node, route, shared);
    if (common < shared) return this.bitAt(node, common) === 0 ? before : beyond;
    return length <= route.length ? around : beyond;
  }

  /** The node of a prefix, made when there is none. */
  insert(route: RouteKey): NodeId {
    let above = root;
    for (;;) {
      const length = this.length[above];
      if (length === route.length) return above;
      const slot = above * 2 + bitOf(route, length);
      const below = this.child[slot];
      if (below === 0) {
        const node = this.newNode(route, route.length);
        this.child[slot] = node;
        return node;
      }
      const belowLength = this.length[below];
      const common = this.common(below, route, Math.min(belowLength, route.length));
      if (common === belowLength) {
        above = below;
        continue;
      }
      const node = this.newNode(route, route.length);
      if (common === route.length) {
        this.child[node * 2 + this.bitAt(below, common)] = below;
        this.child[slot] = node;
        return node;
      }
      const parting = this.newNode(route, common);
      this.child[parting * 2 + this.bitAt(below, common)] = below;
      this.child[parting * 2 + bitOf(route, common)] = node;
      this.child[slot] = parting;
      return node;
    }
  }

  /** Lets go of a node without rows, unless it is a parting; the parting above it goes too when it is none any more. */
  prune(node: NodeId): void {
    if (node === root || this.head[node] !== 0) return;
    let higher = 0;
    let above = root;
    for (let next = this.below(root, node); next !== node; next = this.below(above, node)) {
      higher = above;
      above = next;
    }
    if (this.unlink(above, node) && above !== root && this.head[above] === 0) this.unlink(higher, above);
  }

  /** The child of `above` on the way to `node`. */
  private below(above: NodeId, node: NodeId): NodeId {
    return this.child[above * 2 + this.bitAt(node, this.length[above])];
  }

  /** @returns false when the node parts two others and stays */
  private unlink(above: NodeId, node: NodeId): boolean {
    const zero = this.child[node * 2];
    const one = this.child[node * 2 + 1];
    if (zero !== 0 && one !== 0) return false;
    this.child[above * 2 + this.bitAt(node, this.length[above])] = zero || one;
    this.child[node * 2] = this.free;
    this.free = node;
    this.nodes--;
    return true;
  }

  /** Bit `index` of a node's key. */
  private bitAt(node: NodeId, index: number): 0 | 1 {
    return ((this.key[node * this.words + (index >>> 5)] >>> (31 - (index & 31))) & 1) as 0 | 1;
  }

  /** Fills `out` with the prefix of a node. */
  read(node: NodeId, out: RouteKey): void {
    const at = node * this.words;
    out.length = this.length[node];
    out.w0 = this.key[at];
    if (this.words === 1) return;
    out.w1 = this.key[at + 1];
    out.w2 = this.key[at + 2];
    out.w3 = this.key[at + 3];
  }

  private newNode(route: RouteKey, length: number): NodeId {
    let node = this.free;
    if (node !== 0) this.free = this.child[node * 2];
    else {
      if (this.rows === this.capacity) this.grow();
      node = this.rows++;
    }
    const at = node * this.words;
    this.key[at] = route.w0 & maskOfRest(length);
    if (this.words === 4) {
      this.key[at + 1] = route.w1 & maskOfRest(length - 32);
      this.key[at + 2] = route.w2 & maskOfRest(length - 64);
      this.key[at + 3] = route.w3 & maskOfRest(length - 96);
    }
    this.length[node] = length;
    this.child[node * 2] = 0;
    this.child[node * 2 + 1] = 0;
    this.head[node] = 0;
    this.nodes++;
    return node;
  }

  private grow(): void {
    this.capacity *= 2;
    this.key = enlarged(this.key, this.capacity * this.words);
    this.length = enlarged(this.length, this.capacity);
    this.child = enlarged(this.child, this.capacity * 2);
    this.head = enlarged(this.head, this.capacity);
  }

  memoryBytes(): number {
    return this.capacity * (this.words * 4 + 13);
  }
}

/** Bit `index` of a prefix. */
function bitOf(route: RouteKey, index: number): 0 | 1 {
  const word = index < 32 ? route.w0 : index < 64 ? route.w1 : index < 96 ? route.w2 : route.w3;
  return ((word >>> (31 - (index & 31))) & 1) as 0 | 1;
}

/** The netmask of a word of which `length` bits count: none when it is below 0, all from 32 on. */
function maskOfRest(length: number): number {
  return maskOf(Math.min(32, Math.max(0, length)));
}
