/**
 * Addresses in order, to ask which of them a prefix covers: a binary search over columns, as it is asked for each route
 * that changes and mostly answers that there are none.
 */
import { grown } from "./columns.ts";

export class CoverIndex {
  /** 32-bit words per address: 1 or 4. */
  private readonly width: 1 | 4;
  private words: Uint32Array;
  private ids = new Uint32Array(64);
  private count = 0;
  private readonly last: Uint32Array;

  constructor(width: 1 | 4) {
    this.width = width;
    this.words = new Uint32Array(64 * width);
    this.last = new Uint32Array(width);
  }

  /** Takes an address in, of `width` words; it must not be there yet. */
  add(id: number, address: Uint32Array): void {
    const { width, count } = this;
    if (count === this.ids.length) {
      this.ids = grown(this.ids, count * 2);
      this.words = grown(this.words, count * 2 * width);
    }
    const at = this.firstFrom(address, 0);
    this.ids.copyWithin(at + 1, at, count);
    this.words.copyWithin((at + 1) * width, at * width, count * width);
    this.ids[at] = id;
    this.words.set(address, at * width);
    this.count++;
  }

  /** Takes an address out. */
  remove(address: Uint32Array): void {
    const { width } = this;
    const at = this.firstFrom(address, 0);
    if (at === this.count || compareWords(this.words, at * width, address, 0, width) !== 0) return;
    this.ids.copyWithin(at, at + 1, this.count);
    this.words.copyWithin(at * width, (at + 1) * width, this.count * width);
    this.count--;
  }

  /** Place of the first address that is not before the one at `words[at]`. */
  private firstFrom(address: Uint32Array, at: number): number {
    const { width, words } = this;
    let from = 0;
    let to = this.count;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (compareWords(words, middle * width, address, at, width) < 0) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  /** Visits the ids of all addresses within the prefix whose words stand at `prefix[at]`, host bits zero. */
  covered(prefix: Uint32Array, at: number, length: number, visit: (id: number) => void): void {
    const { width, words, ids, last, count } = this;
    const from = this.firstFrom(prefix, at);
    if (from === count) return;
    for (let word = 0; word < width; word++) {
      const bits = length - word * 32;
      last[word] =
        bits >= 32 ? prefix[at + word] : (prefix[at + word] | (bits <= 0 ? -1 : -1 >>> bits)) >>> 0;
    }
    for (let i = from; i < count && compareWords(words, i * width, last, 0, width) <= 0; i++) visit(ids[i]);
  }
}

function compareWords(a: Uint32Array, i: number, b: Uint32Array, j: number, width: number): number {
  for (let word = 0; word < width; word++) {
    const difference = a[i + word] - b[j + word];
    if (difference !== 0) return difference;
  }
  return 0;
}

/** An address of 4 or 16 bytes as 32-bit words. */
export function addressWords(address: Uint8Array): Uint32Array {
  const words = new Uint32Array(address.length / 4);
  for (let i = 0; i < address.length; i++) words[i >> 2] = (words[i >> 2] << 8) | address[i];
  return words;
}
