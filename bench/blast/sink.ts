/** What a neighbor must receive, checked route by route: each prefix once right, nothing that nobody announced. */
import type { RouteSet } from "./routes.ts";

export class Sink {
  /** Prefixes that are right now. */
  right = 0;
  updates = 0;
  /** The first thing that was wrong; empty when there is none. */
  fault = "";
  /** When the last prefix became right. */
  completeMs = 0;
  private readonly routes: RouteSet;
  private readonly ownAs: number;
  private readonly feederAs: number;
  private readonly isRight: Uint8Array;

  /** @param ownAs AS of the daemon; @param feederAs AS of feeder 0, the others follow */
  constructor(routes: RouteSet, ownAs: number, feederAs: number) {
    this.routes = routes;
    this.ownAs = ownAs;
    this.feederAs = feederAs;
    this.isRight = new Uint8Array(routes.shape.feeders * routes.shape.prefixes);
  }

  get complete(): boolean {
    return this.right === this.isRight.length;
  }

  update(bytes: Buffer, start: number, end: number): void {
    const withdrawnEnd = start + 21 + bytes.readUInt16BE(start + 19);
    const attributesEnd = withdrawnEnd + 2 + bytes.readUInt16BE(withdrawnEnd);
    this.updates++;
    this.each(bytes, start + 21, withdrawnEnd, (number) => this.set(number, 0));
    if (attributesEnd === end) return;
    const path = pathOf(bytes, withdrawnEnd + 2, attributesEnd);
    this.each(bytes, attributesEnd, end, (number) => this.check(number, path));
    if (this.complete) this.completeMs = performance.now();
  }

  private check(number: number, path: readonly number[]): void {
    const { routes, ownAs, feederAs } = this;
    const expected = [ownAs, feederAs + routes.feederOf(number), undefined, routes.lastAs(number)];
    const ok = path.length === 4 && expected.every((asn, i) => asn === undefined || asn === path[i]);
    if (!ok) this.fault ||= `prefix ${number} with path ${path.join(" ")}, not ${expected.join(" ")}`;
    this.set(number, Number(ok));
  }

  private set(number: number, right: 0 | 1 | number): void {
    this.right += right - this.isRight[number];
    this.isRight[number] = right;
  }

  private each(bytes: Buffer, from: number, to: number, visit: (number: number) => void): void {
    for (let at = from; at < to; ) {
      const length = bytes[at];
      let address = 0;
      for (let octet = 0; octet < 4; octet++) {
        address = address * 256 + (octet * 8 < length ? bytes[at + 1 + octet] : 0);
      }
      at += 1 + ((length + 7) >> 3);
      const number = this.routes.numberAt(address, length);
      if (number < 0) this.fault ||= `prefix ${address.toString(16)}/${length} that nobody announced`;
      else visit(number);
    }
  }
}

/** AS numbers of the AS_PATH, which is one sequence. */
function pathOf(bytes: Buffer, start: number, end: number): number[] {
  for (let at = start; at < end; ) {
    const extended = (bytes[at] & 0x10) !== 0;
    const length = extended ? bytes.readUInt16BE(at + 2) : bytes[at + 2];
    const value = at + (extended ? 4 : 3);
    if (bytes[at + 1] === 2) {
      const path: number[] = [];
      for (let i = value + 2; i < value + length; i += 4) path.push(bytes.readUInt32BE(i));
      return path;
    }
    at = value + length;
  }
  return [];
}
