/**
 * A synthetic table: distinct prefixes with the lengths of the Internet's (most are /24) in scattered order, shared out
 * over attribute sets by Zipf's law: a few sets have thousands of prefixes, most have less than five.
 */
import { assert } from "../../src/base/assert.ts";
import { seededRandom } from "../../src/base/random.ts";
import { type Attributes, attributesOf, fingerprint } from "./attributes.ts";

export interface TableShape {
  /** Distinct prefixes of each feeder. */
  readonly prefixes: number;
  /** Attribute sets of each feeder. */
  readonly sets: number;
  readonly feeders: number;
  /** All feeders announce the same prefixes; the best path to each is that of one of them, by AS path length. */
  readonly overlap?: boolean;
  readonly ipv6?: boolean;
}

/** AS of feeder 0 and of peer 0; the others follow. */
export const firstPeerAs = 100_001;

/** /8s with addresses that daemons treat in ways of their own. */
const avoided = new Set([0, 10, 100, 127, 169, 172, 192, 198, 203]);
/** Share of each prefix length in percent, over 100. */
const lengths4: readonly (readonly [number, number])[] = [
  [24, 62],
  [23, 12],
  [22, 13],
  [21, 5],
  [20, 4],
  [19, 2],
  [18, 1],
  [17, 0.5],
  [16, 0.5],
];
const lengths6: readonly (readonly [number, number])[] = [
  [48, 80],
  [44, 12],
  [40, 8],
];

export class Table {
  readonly shape: TableShape;
  /** Distinct prefixes over all feeders. Those of one feeder, and of one set in it, are neighbors in number. */
  readonly count: number;
  /** 24 bits of the address: those that come first (IPv4), or those after 2a00::/24 (IPv6). */
  readonly key: Uint32Array;
  readonly length: Uint8Array;
  /** First place of each set within a feeder's prefixes, and at the end their count. */
  readonly setStart: Uint32Array;
  private readonly setOf: Uint32Array;
  /** Number plus one, by key; 0 where there is none. */
  private readonly byKey = new Int32Array(1 << 24);

  constructor(shape: TableShape) {
    this.shape = shape;
    const { prefixes, sets, feeders, overlap } = shape;
    this.count = prefixes * (overlap ? 1 : feeders);
    this.key = new Uint32Array(this.count);
    this.length = new Uint8Array(this.count);
    const random = seededRandom(prefixes + sets);
    if (shape.ipv6) this.allocate(lengths6, 48, () => true, random);
    else this.allocate(lengths4, 24, (key) => !avoided.has(key >>> 16) && key < 224 << 16, random);
    this.shuffle(random);
    for (let i = 0; i < this.count; i++) this.byKey[this.key[i]] = i + 1;
    this.setStart = shareOut(prefixes, sets, random);
    this.setOf = new Uint32Array(prefixes);
    for (let set = 0; set < sets; set++) this.setOf.fill(set, this.setStart[set], this.setStart[set + 1]);
  }

  /** The number of a prefix by its 24 bits; -1 when it is none of ours. */
  find(key: number, length: number): number {
    const number = this.byKey[key] - 1;
    return number >= 0 && this.length[number] === length ? number : -1;
  }

  setOfPrefix(number: number): number {
    return this.setOf[number % this.shape.prefixes];
  }

  /** Feeders that announce a prefix; the first is the only one unless they overlap. */
  feederOf(number: number): number {
    return this.shape.overlap ? 0 : Math.floor(number / this.shape.prefixes);
  }

  /** The feeder whose path to the prefixes of a set is the shortest, where all announce them. */
  bestFeeder(set: number): number {
    return set % this.shape.feeders;
  }

  attributes(feeder: number, set: number): Attributes {
    const { feeders, overlap } = this.shape;
    const extra = overlap ? (feeder - set + set * feeders) % feeders : 0;
    return attributesOf(firstPeerAs + feeder, set, extra);
  }

  /** Fingerprints of a feeder's sets. */
  fingerprints(feeder: number): Uint32Array {
    return Uint32Array.from({ length: this.shape.sets }, (_, set) =>
      fingerprint(this.attributes(feeder, set)),
    );
  }

  /** The prefix as text. */
  text(number: number): string {
    const key = this.key[number];
    const length = this.length[number];
    if (!this.shape.ipv6) return `${key >>> 16}.${(key >>> 8) & 255}.${key & 255}.0/${length}`;
    return `2a00:${(key >>> 16).toString(16)}:${(key & 0xffff).toString(16)}::/${length}`;
  }

  /** Lays prefixes side by side, each aligned to its size. */
  private allocate(
    shares: readonly (readonly [number, number])[],
    longest: number,
    usable: (key: number) => boolean,
    random: () => number,
  ): void {
    let at = 1 << 16;
    for (let i = 0; i < this.count; ) {
      let drawn = random() * 100;
      const [length] = shares.find(([, share]) => (drawn -= share) < 0) ?? shares[0];
      const size = 1 << (longest - length);
      at = Math.ceil(at / size) * size;
      assert(at + size <= 1 << 24, "more prefixes than there is room for");
      if (usable(at)) {
        this.key[i] = at;
        this.length[i++] = length;
      }
      at += size;
    }
  }

  private shuffle(random: () => number): void {
    const { key, length } = this;
    for (let i = this.count - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [key[i], key[j]] = [key[j], key[i]];
      [length[i], length[j]] = [length[j], length[i]];
    }
  }
}

/** Bounds of `sets` runs that cover `prefixes`, each at least one long, the rest by Zipf's law with exponent 0.8. */
function shareOut(prefixes: number, sets: number, random: () => number): Uint32Array {
  assert(sets <= prefixes, "more attribute sets than prefixes");
  const size = new Uint32Array(sets).fill(1);
  const top = (sets + 1) ** 0.2 - 1;
  for (let i = sets; i < prefixes; i++) size[Math.min(sets - 1, Math.floor((random() * top + 1) ** 5) - 1)]++;
  for (let i = sets - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [size[i], size[j]] = [size[j], size[i]];
  }
  const start = new Uint32Array(sets + 1);
  for (let set = 0; set < sets; set++) start[set + 1] = start[set] + size[set];
  return start;
}
