/**
 * Where the attributes of one UPDATE stand: columns in the order of the message, at most one entry per type. Part of
 * the decoder's scratch; an entry may be moved to other bytes (`source` 1, the work buffer) or dropped.
 */
export class AttributeSpans {
  count = 0;
  readonly type = new Uint8Array(256);
  readonly flags = new Uint8Array(256);
  /** Offset of the value and its length. */
  readonly at = new Uint32Array(256);
  readonly length = new Uint32Array(256);
  /** 0: the frame, 1: the work buffer. */
  readonly source = new Uint8Array(256);
  readonly dropped = new Uint8Array(256);
  /** Slots by ascending type, valid after `sort`. */
  readonly order = new Uint8Array(256);
  private readonly slotByType = new Uint8Array(256);
  private readonly seen = new Uint32Array(256);
  private generation = 0;

  clear(): void {
    this.count = 0;
    this.generation++;
    if (this.generation === 0xffff_ffff) {
      this.seen.fill(0);
      this.generation = 1;
    }
  }

  /** The entry of `type`, dropped or not; -1 when the message has none. */
  find(type: number): number {
    return this.seen[type] === this.generation ? this.slotByType[type] : -1;
  }

  /** Fills `order`. Insertion sort: attributes are few and nearly sorted. */
  sort(): void {
    const { order, type } = this;
    for (let slot = 0; slot < this.count; slot++) {
      let i = slot;
      while (i > 0 && type[order[i - 1]] > type[slot]) {
        order[i] = order[i - 1];
        i--;
      }
      order[i] = slot;
    }
  }

  add(type: number, flags: number, at: number, length: number): number {
    const slot = this.count++;
    this.seen[type] = this.generation;
    this.slotByType[type] = slot;
    this.type[slot] = type;
    this.flags[slot] = flags;
    this.at[slot] = at;
    this.length[slot] = length;
    this.source[slot] = 0;
    this.dropped[slot] = 0;
    return slot;
  }
}
