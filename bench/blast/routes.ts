/**
 * The synthetic table of the load generator: which prefixes a feeder announces, with which attributes, as UPDATEs
 * that are encoded before the clock starts. Written without src/wire, so that it cannot share a mistake with it.
 */

/** First address of the table, 1.0.0.0; every prefix is a /24. */
const base = 0x0100_0000;
const prefixesMax = 126 << 16;
/** AS number by which a sink knows the attribute set. */
const firstSetAs = 1_000_000;
const messageBytesMax = 4096;

export interface TableShape {
  readonly feeders: number;
  /** Prefixes of each feeder; feeders do not overlap. */
  readonly prefixes: number;
  /** Attribute sets of each feeder. */
  readonly sets: number;
}

export class RouteSet {
  readonly shape: TableShape;
  /** Place in the order of announcement by number of prefix. */
  private readonly placeOf: Uint32Array;
  private readonly numberOf: Uint32Array;

  constructor(shape: TableShape) {
    if (shape.feeders * shape.prefixes > prefixesMax) throw new Error("too many prefixes");
    this.shape = shape;
    this.placeOf = new Uint32Array(shape.prefixes);
    this.numberOf = new Uint32Array(shape.prefixes);
    // Announced in scattered order, as in real tables: a walk in order of addresses would flatter the caches.
    for (let i = 0; i < shape.prefixes; i++) this.numberOf[i] = i;
    let seed = 1;
    for (let i = shape.prefixes - 1; i > 0; i--) {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
      const j = seed % (i + 1);
      [this.numberOf[i], this.numberOf[j]] = [this.numberOf[j], this.numberOf[i]];
    }
    for (let i = 0; i < shape.prefixes; i++) this.placeOf[this.numberOf[i]] = i;
  }

  /** Number of the prefix over all feeders; -1 when it is none of ours. */
  numberAt(address: number, length: number): number {
    const number = (address - base) / 256;
    const known = length === 24 && number >= 0 && number < this.shape.feeders * this.shape.prefixes;
    return known && Number.isInteger(number) ? number : -1;
  }

  feederOf(number: number): number {
    return Math.floor(number / this.shape.prefixes);
  }

  /** AS number at the end of the path that this prefix must be announced with. */
  lastAs(number: number): number {
    const { prefixes, sets } = this.shape;
    return firstSetAs + Math.floor((this.placeOf[number % prefixes] * sets) / prefixes);
  }

  /** All UPDATEs of a feeder. */
  encode(feeder: number, asn: number): Buffer {
    const { prefixes } = this.shape;
    const out = Buffer.alloc(prefixes * 4 + (this.shape.sets + prefixes / 900 + 1) * 80);
    let at = 0;
    for (let place = 0; place < prefixes; ) {
      const last = this.lastAs(this.numberOf[place]);
      const start = at;
      at = writeHead(out, at, [asn, 65_100 + (last % 300), last], feeder);
      while (
        place < prefixes &&
        at - start + 4 <= messageBytesMax &&
        this.lastAs(this.numberOf[place]) === last
      ) {
        const address = base + (feeder * prefixes + this.numberOf[place++]) * 256;
        out[at] = 24;
        out.writeUIntBE(Math.floor(address / 256), at + 1, 3);
        at += 4;
      }
      out.writeUInt16BE(at - start, start + 16);
    }
    return out.subarray(0, at);
  }
}

/** Header and attributes of an UPDATE; the length of the message is left open. */
function writeHead(out: Buffer, start: number, path: readonly number[], feeder: number): number {
  let at = out.fill(255, start, start + 16) && start + 16;
  const put = (...bytes: number[]): void => {
    for (const byte of bytes) out[at++] = byte;
  };
  put(0, 0, 2, 0, 0, 0, 0);
  const attributesAt = at;
  put(0x40, 1, 1, 0);
  put(0x40, 2, 2 + path.length * 4, 2, path.length);
  for (const asn of path) at = out.writeUInt32BE(asn, at);
  put(0x40, 3, 4, 10, 99, 1, 1 + feeder);
  put(0xc0, 8, 4);
  at = out.writeUInt32BE(path[path.length - 1], at);
  out.writeUInt16BE(at - attributesAt, attributesAt - 2);
  return at;
}
