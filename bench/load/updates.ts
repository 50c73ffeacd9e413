/** BGP messages of the generator, written ahead of the run. */
import type { Attributes } from "./attributes.ts";
import type { Table } from "./table.ts";

const messageBytesMax = 4096;

/** All UPDATEs by which a feeder announces its table, sets in their order. @param nextHop 4 or 16 bytes */
export function encodeTable(table: Table, feeder: number, nextHop: Uint8Array): Buffer {
  const { prefixes, sets, overlap } = table.shape;
  const writer = new Writer(prefixes * 8 + sets * 200 + 4096);
  const first = overlap ? 0 : feeder * prefixes;
  for (let set = 0; set < sets; set++) {
    const attributes = table.attributes(feeder, set);
    for (let at = table.setStart[set]; at < table.setStart[set + 1]; ) {
      at = writer.reach(table, first, at, table.setStart[set + 1], attributes, nextHop);
    }
  }
  return writer.done();
}

/** One UPDATE that announces one prefix. */
export function encodeOne(table: Table, number: number, attributes: Attributes, nextHop: Uint8Array): Buffer {
  const writer = new Writer(512);
  writer.reach(table, 0, number, number + 1, attributes, nextHop);
  return writer.done();
}

/** One UPDATE that withdraws one prefix. */
export function encodeWithdrawal(table: Table, number: number): Buffer {
  const writer = new Writer(128);
  writer.withdraw(table, number);
  return writer.done();
}

class Writer {
  private readonly out: Buffer;
  private at = 0;

  constructor(bytes: number) {
    this.out = Buffer.allocUnsafe(bytes);
  }

  done(): Buffer {
    return this.out.subarray(0, this.at);
  }

  /** One UPDATE for as many of the prefixes `first + [from, to)` as fit. @returns the first that does not */
  reach(
    table: Table,
    first: number,
    from: number,
    to: number,
    attributes: Attributes,
    hop: Uint8Array,
  ): number {
    const start = this.begin(2);
    this.u16(0);
    const attributesAt = this.at;
    this.u16(0);
    this.common(attributes);
    let place = from;
    if (!table.shape.ipv6) {
      this.bytes(0x40, 3, 4, ...hop);
      this.out.writeUInt16BE(this.at - attributesAt - 2, attributesAt);
      while (place < to && this.at - start + 5 <= messageBytesMax) this.prefix(table, first + place++);
    } else {
      this.bytes(0x90, 14);
      const lengthAt = this.at;
      this.u16(0);
      this.bytes(0, 2, 1, 16, ...hop, 0);
      while (place < to && this.at - start + 7 <= messageBytesMax) this.prefix(table, first + place++);
      this.out.writeUInt16BE(this.at - lengthAt - 2, lengthAt);
      this.out.writeUInt16BE(this.at - attributesAt - 2, attributesAt);
    }
    this.end(start);
    return place;
  }

  withdraw(table: Table, number: number): void {
    const start = this.begin(2);
    if (!table.shape.ipv6) {
      const lengthAt = this.at;
      this.u16(0);
      this.prefix(table, number);
      this.out.writeUInt16BE(this.at - lengthAt - 2, lengthAt);
      this.u16(0);
    } else {
      this.u16(0);
      const attributesAt = this.at;
      this.u16(0);
      this.bytes(0x80, 15, 0, 0, 2, 1);
      this.prefix(table, number);
      this.out[attributesAt + 4] = this.at - attributesAt - 5;
      this.out.writeUInt16BE(this.at - attributesAt - 2, attributesAt);
    }
    this.end(start);
  }

  /** Attributes but the next hop, in the order of their types. */
  private common({ path, origin, communities, largeCommunities, med }: Attributes): void {
    this.bytes(0x40, 1, 1, origin);
    this.bytes(0x40, 2, 2 + path.length * 4, 2, path.length);
    for (const asn of path) this.u32(asn);
    if (med !== undefined) {
      this.bytes(0x80, 4, 4);
      this.u32(med);
    }
    if (communities.length > 0) {
      this.bytes(0xc0, 8, communities.length * 4);
      for (const value of communities) this.u32(value);
    }
    if (largeCommunities.length > 0) {
      this.bytes(0xc0, 32, largeCommunities.length * 12);
      for (const value of largeCommunities.flat()) this.u32(value);
    }
  }

  private prefix(table: Table, number: number): void {
    const { out } = this;
    const key = table.key[number];
    const length = table.length[number];
    out[this.at++] = length;
    if (table.shape.ipv6) {
      out[this.at++] = 0x2a;
      out[this.at++] = 0;
      out[this.at++] = 0;
    }
    // Three bytes of key, or two where the prefix ends with the second.
    out[this.at++] = key >>> 16;
    out[this.at++] = key >>> 8;
    if (length !== 16 && length !== 40) out[this.at++] = key;
  }

  private begin(type: number): number {
    const start = this.at;
    this.out.fill(255, start, start + 16);
    this.out[start + 18] = type;
    this.at = start + 19;
    return start;
  }

  private end(start: number): void {
    this.out.writeUInt16BE(this.at - start, start + 16);
  }

  private bytes(...values: number[]): void {
    for (const value of values) this.out[this.at++] = value;
  }

  private u16(value: number): void {
    this.at = this.out.writeUInt16BE(value, this.at);
  }

  private u32(value: number): void {
    this.at = this.out.writeUInt32BE(value, this.at);
  }
}
