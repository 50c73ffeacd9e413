/**
 * Addresses in order, to ask which of them a prefix covers: a binary search over columns, as it is asked for each route
 * that changes and mostly answers that there are none.
 */
export class CoverIndex {
  /** 32-bit words per address: 1 or 4. */
  private readonly width: 1 | 4;
  private words = new Uint32Array(0);
  private ids = new Uint32Array(0);
  private readonly last: Uint32Array;

  constructor(width: 1 | 4) {
    this.width = width;
    this.last = new Uint32Array(width);
  }

  /** Takes these addresses, each of `width` words, in place of those before. */
  set(entries: readonly { readonly id: number; readonly words: Uint32Array }[]): void {
    const { width } = this;
    const sorted = [...entries].sort((a, b) => compareWords(a.words, 0, b.words, 0, width));
    this.words = new Uint32Array(sorted.length * width);
    this.ids = new Uint32Array(sorted.length);
    sorted.forEach(({ id, words }, i) => {
      this.words.set(words, i * width);
      this.ids[i] = id;
    });
  }

  get size(): number {
    return this.ids.length;
  }

  /** Visits the ids of all addresses within the prefix whose words stand at `prefix[at]`, host bits zero. */
  covered(prefix: Uint32Array, at: number, length: number, visit: (id: number) => void): void {
    const { width, words, ids, last } = this;
    let from = 0;
    let to = ids.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (compareWords(words, middle * width, prefix, at, width) < 0) from = middle + 1;
      else to = middle;
    }
    if (from === ids.length) return;
    for (let word = 0; word < width; word++) {
      const bits = length - word * 32;
      last[word] =
        bits >= 32 ? prefix[at + word] : (prefix[at + word] | (bits <= 0 ? -1 : -1 >>> bits)) >>> 0;
    }
    for (let i = from; i < ids.length && compareWords(words, i * width, last, 0, width) <= 0; i++)
      visit(ids[i]);
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
