/**
 * What receivers must be told, checked route by route: each prefix right, once, with the attributes of the announcement
 * that must win; nothing that nobody announced. A fault ends the run.
 */
import { parseIp } from "../../src/base/ip.ts";
import { daemonAs } from "../daemons/daemon.ts";
import { daemonAddress4, daemonAddress6, peerAddress } from "../namespace.ts";
import { combine, mix, seeds } from "./attributes.ts";
import { firstPeerAs, type Table } from "./table.ts";

/** What is true of all receivers of a run. */
export class Oracle {
  readonly table: Table;
  /** A route server: AS path and next hop come through as they were. */
  readonly transparent: boolean;
  /** Fingerprint that each prefix must have at a receiver; 0 when it must be absent. */
  readonly target: Uint32Array;
  /** Fingerprints of each feeder's sets. */
  readonly announced: readonly Uint32Array[];
  /** Others that may be seen on the way, in scenarios that change attributes. */
  readonly passing = new Set<number>();
  readonly sinks: Sink[] = [];
  readonly transcript = new Transcript();
  readonly nextHops: readonly number[];
  readonly ownNextHop: number;

  constructor(table: Table, peers: number, transparent: boolean) {
    this.table = table;
    this.transparent = transparent;
    const ipv6 = table.shape.ipv6 ?? false;
    const last = (text: string): number => {
      const bytes = parseIp(text) as Uint8Array;
      return new DataView(bytes.buffer, bytes.byteOffset).getUint32(bytes.length - 4);
    };
    this.nextHops = Array.from({ length: peers }, (_, n) => last(peerAddress(n, ipv6)));
    this.ownNextHop = last(ipv6 ? daemonAddress6 : daemonAddress4);
    this.announced = Array.from({ length: table.shape.feeders }, (_, feeder) => table.fingerprints(feeder));
    this.target = new Uint32Array(table.count);
    for (let number = 0; number < table.count; number++) this.target[number] = this.winning(number);
  }

  /** The fingerprint of the path that wins while all feeders are there. */
  winning(number: number): number {
    const { table } = this;
    const set = table.setOfPrefix(number);
    const feeder = table.shape.overlap ? table.bestFeeder(set) : table.feederOf(number);
    return this.announced[feeder][set];
  }

  /** True for what some feeder announced for the prefix, or may be seen on the way. */
  isKnown(number: number, print: number): boolean {
    const set = this.table.setOfPrefix(number);
    return this.announced.some((prints) => prints[set] === print) || this.passing.has(print);
  }

  /** From now on receivers must have `print` for the prefix; 0: not have it. */
  retarget(number: number, print: number): void {
    if (this.target[number] === print) return;
    this.target[number] = print;
    for (const sink of this.sinks) sink.forget(number);
  }
}

/** What a message says: prefixes by number, with the fingerprint that it gives them, 0 for withdrawn ones. */
interface Part {
  readonly print: number;
  readonly numbers: Uint32Array;
}

/** Sinks from which on they share what one of them has read. */
const sharingSinks = 8;
const transcriptBytesMax = 1 << 28;

/**
 * Messages that some sink has read, by their place in its stream. Where a thousand sinks are told the same, each compares
 * bytes and spares itself reading them; what the message says is held against every sink all the same.
 */
class Transcript {
  private readonly messages: (Uint8Array | undefined)[] = [];
  private readonly parts: (readonly Part[])[] = [];
  private bytes = 0;

  /** What the message at this place says; undefined when it is another one or nobody has read it. */
  find(place: number, bytes: Uint8Array, start: number, end: number): readonly Part[] | undefined {
    const known = this.messages[place];
    if (known?.length !== end - start) return undefined;
    if (Buffer.compare(known, bytes.subarray(start, end)) !== 0) return undefined;
    return this.parts[place];
  }

  put(place: number, bytes: Uint8Array, start: number, end: number, parts: readonly Part[]): void {
    if (this.messages[place] || this.bytes > transcriptBytesMax) return;
    // A copy: the bytes are lent, and `slice` of a Buffer is a view.
    this.messages[place] = Uint8Array.prototype.slice.call(bytes, start, end);
    this.parts[place] = parts;
    this.bytes += end - start;
  }
}

export class Sink {
  /** Prefixes that are not yet as they must be. */
  missing: number;
  announcements = 0;
  withdrawals = 0;
  /** Routes of its own that came back to it, which some daemons send. */
  echoes = 0;
  /** The first thing that was wrong; empty when there is none. */
  fault = "";
  /** When the last prefix became right. */
  completeMs = 0;
  /** Told when a prefix becomes right. */
  onRight: ((number: number) => void) | undefined;
  private messages = 0;
  /** What the message under way says, to be shared; undefined when it is not. */
  private parts: Part[] | undefined;
  private readonly oracle: Oracle;
  private readonly right: Uint32Array;
  /** Prefixes `[ownFrom, ownTo)` are its own announcements. */
  private readonly ownFrom: number;
  private readonly ownTo: number;

  /** @param peer its number; a feeder that receives too is not told its own routes */
  constructor(oracle: Oracle, peer: number) {
    this.oracle = oracle;
    oracle.sinks.push(this);
    const { table } = oracle;
    const { feeders, prefixes, overlap } = table.shape;
    const feeds = peer < feeders && !overlap;
    this.ownFrom = feeds ? peer * prefixes : 0;
    this.ownTo = feeds ? this.ownFrom + prefixes : 0;
    this.missing = table.count - (this.ownTo - this.ownFrom);
    this.right = new Uint32Array((table.count + 31) >> 5);
  }

  get complete(): boolean {
    return this.missing === 0;
  }

  /** What was right is not any more. */
  forget(number: number): void {
    if (number >= this.ownFrom && number < this.ownTo) return;
    this.mark(number, false);
  }

  update(bytes: Uint8Array, start: number, end: number): void {
    const { transcript, sinks } = this.oracle;
    const place = this.messages++;
    if (sinks.length < sharingSinks) {
      this.parse(bytes, start, end);
      return;
    }
    const known = transcript.find(place, bytes, start, end);
    if (known) {
      for (const { print, numbers } of known) for (const number of numbers) this.take(number, print);
      return;
    }
    this.parts = [];
    this.parse(bytes, start, end);
    if (this.fault === "") transcript.put(place, bytes, start, end, this.parts);
    this.parts = undefined;
  }

  private parse(bytes: Uint8Array, start: number, end: number): void {
    const withdrawnEnd = start + 21 + u16(bytes, start + 19);
    const attributesEnd = withdrawnEnd + 2 + u16(bytes, withdrawnEnd);
    if (withdrawnEnd > start + 21) this.prefixes(bytes, start + 21, withdrawnEnd, 0);
    if (attributesEnd > withdrawnEnd + 2) this.read(bytes, withdrawnEnd + 2, attributesEnd, end);
  }

  private read(bytes: Uint8Array, start: number, end: number, messageEnd: number): void {
    const { oracle } = this;
    let origin = absent;
    let path = 0;
    let communities = 0;
    let large = 0;
    let nextHop = 0;
    let source = 0;
    let reach = 0;
    let reachEnd = 0;
    for (let at = start; at < end; ) {
      const extended = (bytes[at] & 0x10) !== 0;
      const value = at + (extended ? 4 : 3);
      const valueEnd = value + (extended ? u16(bytes, at + 2) : bytes[at + 2]);
      switch (bytes[at + 1]) {
        case 1:
          origin = bytes[value];
          break;
        case 2: {
          const first = value + 2 + (oracle.transparent ? 0 : 4);
          if (bytes[value] !== 2 || value + 2 + bytes[value + 1] * 4 !== valueEnd)
            this.fault ||= "a strange AS_PATH";
          if (!oracle.transparent && u32(bytes, value + 2) !== daemonAs)
            this.fault ||= "a path not through the daemon";
          source = u32(bytes, first) - firstPeerAs;
          path = hashWords(seeds.path, bytes, first, valueEnd);
          break;
        }
        case 3:
          nextHop = u32(bytes, value);
          break;
        case 8:
          for (let word = value; word < valueEnd; word += 4)
            communities += hashWords(seeds.communities, bytes, word, word + 4);
          break;
        case 14: {
          const hopBytes = bytes[value + 3];
          // A global address, perhaps with a link-local one after it.
          nextHop = u32(bytes, value + 4 + 12);
          reach = value + 5 + hopBytes;
          reachEnd = valueEnd;
          break;
        }
        case 15:
          this.prefixes(bytes, value + 3, valueEnd, 0);
          break;
        case 32:
          for (let word = value; word < valueEnd; word += 12)
            large += hashWords(seeds.large, bytes, word, word + 12);
          break;
      }
      at = valueEnd;
      if (at > end) this.fault ||= "attributes longer than their sum";
    }
    if (messageEnd > end) {
      reach = end;
      reachEnd = messageEnd;
    }
    if (reach === reachEnd) return;
    const isOwn = nextHop === oracle.ownNextHop && !oracle.transparent;
    if (!isOwn && nextHop !== oracle.nextHops[source]) this.fault ||= `next hop ${nextHop.toString(16)}`;
    this.prefixes(bytes, reach, reachEnd, combine(path, origin, communities, large));
  }

  /** Takes in NLRI with this fingerprint, 0 for withdrawn ones. */
  private prefixes(bytes: Uint8Array, from: number, to: number, print: number): void {
    const { table } = this.oracle;
    const numbers: number[] = [];
    const skip = table.shape.ipv6 ? 3 : 0;
    for (let at = from; at < to; ) {
      const length = bytes[at];
      if (skip > 0 && (bytes[at + 1] !== 0x2a || bytes[at + 2] !== 0 || bytes[at + 3] !== 0)) {
        this.fault ||= "an IPv6 prefix that nobody announced";
      }
      let key = (bytes[at + 1 + skip] << 16) | (bytes[at + 2 + skip] << 8);
      if (length - skip * 8 > 16) key |= bytes[at + 3 + skip];
      at += 1 + ((length + 7) >> 3);
      const number = table.find(key, length);
      if (number < 0) {
        this.fault ||= `prefix ${key.toString(16)}/${length} that nobody announced`;
        continue;
      }
      if (this.parts) numbers.push(number);
      this.take(number, print);
    }
    this.parts?.push({ print, numbers: Uint32Array.from(numbers) });
  }

  private take(number: number, print: number): void {
    const { oracle } = this;
    if (print === 0) this.withdrawals++;
    else this.announcements++;
    if (number >= this.ownFrom && number < this.ownTo) {
      this.echoes++;
      return;
    }
    const right = oracle.target[number] === print;
    if (!right && print !== 0 && !oracle.isKnown(number, print))
      this.fault ||= `${oracle.table.text(number)} with attributes that nobody announced`;
    this.mark(number, right);
  }

  private mark(number: number, right: boolean): void {
    const word = number >>> 5;
    const bit = 1 << (number & 31);
    const was = (this.right[word] & bit) !== 0;
    if (was === right) return;
    this.right[word] ^= bit;
    this.missing += right ? -1 : 1;
    if (this.missing === 0) this.completeMs = performance.now();
    if (right) this.onRight?.(number);
  }
}

/** No ORIGIN came. */
const absent = 255;

function hashWords(seed: number, bytes: Uint8Array, from: number, to: number): number {
  let hash = seed;
  for (let at = from; at < to; at += 4) hash = mix(hash, u32(bytes, at));
  return hash;
}

function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}

function u32(bytes: Uint8Array, at: number): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
}
