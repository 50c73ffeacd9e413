/**
 * An immutable set of 32-bit numbers in one typed array. Unlike with a `Set`, asking makes no objects, which it does for
 * every number above 2^30 there.
 */
export class NumberSet {
  /** Open addressing, at most half full; 0 marks a free place. */
  private readonly slots: Uint32Array;
  private readonly shift: number;
  private readonly hasZero: boolean;

  constructor(values: readonly number[]) {
    const bits = Math.max(3, Math.ceil(Math.log2(values.length * 2 + 1)));
    this.slots = new Uint32Array(1 << bits);
    this.shift = 32 - bits;
    this.hasZero = values.includes(0);
    for (const value of values) if (value !== 0) this.slots[this.place(value)] = value;
  }

  has(value: number): boolean {
    return value === 0 ? this.hasZero : this.slots[this.place(value)] === value;
  }

  /** Where the value stands, or would. */
  private place(value: number): number {
    const { slots, shift } = this;
    let at = Math.imul(value, 0x9e3779b1) >>> shift;
    while (slots[at] !== 0 && slots[at] !== value) at = (at + 1) & (slots.length - 1);
    return at;
  }
}
