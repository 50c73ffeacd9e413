/**
 * Records out of the bytes of an MRT file, as they come. Holds at most one record: what is of no known type is passed
 * over without being kept, and a record longer than `recordBytesMax` ends the reading. Nothing here throws.
 *
 *   reader.push(chunk); while (reader.next()) { reader.header, reader.body } ... reader.end()
 */
import { readU16, readU32 } from "../wire/message.ts";
import { type DecodedBody, decodeBody, isKnown } from "./decode.ts";
import { type MrtHeader, type MrtPeer, MrtType } from "./types.ts";

/** Longest record that is read: 65,535 peers take 1.6 MB, a prefix with 4,000 long paths about as much. */
export const recordBytesMax: number = 1 << 24;

const headerBytes = 12;

/** What is wrong with a file, and where. */
export interface MrtFault {
  /** Offset of the record in the uncompressed stream. */
  readonly offset: number;
  /** One sentence without a full stop. */
  readonly text: string;
}

export class MrtReader {
  /** Of the record that `next` found. */
  header: MrtHeader = { type: 0, subtype: 0, timeS: 0, micros: 0, offset: 0, length: 0 };
  /** A fault when the record could not be understood; the next one is found all the same. */
  body: DecodedBody = { kind: "fault", text: "" };
  /** Records found: all of them, of types that are not read, and with faults. */
  records = 0;
  skipped = 0;
  faulty = 0;
  /** Set when nothing more can be read. */
  fatal: MrtFault | undefined;
  /** Peers of the last PEER_INDEX_TABLE. */
  private peers: readonly MrtPeer[] = [];
  /** Not yet read: `buffer[from, to)`; `from` stands at `offset` in the stream. */
  private buffer = new Uint8Array(1 << 16);
  private from = 0;
  private to = 0;
  private offset = 0;
  /** Bytes still to pass over, of the record at `skippedAt`. */
  private toSkip = 0;
  private skippedAt = 0;

  /** Takes the next bytes of the stream. They are copied; views of earlier records end here. */
  push(chunk: Uint8Array): void {
    if (this.fatal) return;
    const passed = Math.min(this.toSkip, chunk.length);
    this.toSkip -= passed;
    this.offset += passed;
    const count = chunk.length - passed;
    if (count === 0) return;
    if (this.to + count > this.buffer.length) this.makeRoom(count);
    this.buffer.set(passed === 0 ? chunk : chunk.subarray(passed), this.to);
    this.to += count;
  }

  /** Goes on to the next record of a known type. @returns false when more bytes are needed, or nothing can be read */
  next(): boolean {
    for (;;) {
      const { buffer, from, to } = this;
      if (this.fatal || this.toSkip > 0 || to - from < headerBytes) return false;
      const type = readU16(buffer, from + 4);
      const subtype = readU16(buffer, from + 6);
      const length = headerBytes + readU32(buffer, from + 8);
      if (!isKnown(type, subtype)) {
        this.records++;
        this.skipped++;
        this.pass(length);
        continue;
      }
      if (length > recordBytesMax) {
        const text = `a record of ${length} bytes, more than ${recordBytesMax}: this is hardly an MRT file`;
        this.fatal = { offset: this.offset, text };
        return false;
      }
      if (to - from < length) return false;
      this.read(type, subtype, length);
      this.pass(length);
      return true;
    }
  }

  /** The stream has ended. @returns the record that was cut off, if any */
  end(): MrtFault | undefined {
    if (this.fatal) return this.fatal;
    const left = this.to - this.from;
    if (this.toSkip === 0 && left === 0) return undefined;
    const missing =
      this.toSkip > 0
        ? this.toSkip
        : left < headerBytes
          ? headerBytes - left
          : headerBytes + readU32(this.buffer, this.from + 8) - left;
    const text = `the file ends within a record: at least ${missing} bytes are missing`;
    return { offset: this.toSkip > 0 ? this.skippedAt : this.offset, text };
  }

  private read(type: number, subtype: number, length: number): void {
    const { buffer, from } = this;
    const extended = type === MrtType.bgp4mpEt;
    const micros = extended && length >= headerBytes + 4 ? readU32(buffer, from + headerBytes) : 0;
    this.header = { type, subtype, timeS: readU32(buffer, from), micros, offset: this.offset, length };
    const start = from + headerBytes + (extended ? 4 : 0);
    this.body = decodeBody(type, subtype, buffer, start, from + length, this.peers);
    this.records++;
    if (this.body.kind === "fault") this.faulty++;
    else if (this.body.kind === "peer-index") this.peers = this.body.peers;
  }

  private pass(length: number): void {
    const here = Math.min(length, this.to - this.from);
    this.skippedAt = this.offset;
    this.from += here;
    this.offset += here;
    this.toSkip = length - here;
  }

  private makeRoom(count: number): void {
    const kept = this.to - this.from;
    const needed = kept + count;
    const next =
      needed > this.buffer.length ? new Uint8Array(Math.max(needed, this.buffer.length * 2)) : undefined;
    // Views of records that were read point into the old bytes: those are moved, not kept.
    if (next) {
      next.set(this.buffer.subarray(this.from, this.to));
      this.buffer = next;
    } else this.buffer.copyWithin(0, this.from, this.to);
    this.from = 0;
    this.to = kept;
  }
}
