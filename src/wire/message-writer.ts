/**
 * A growable byte buffer that messages and attribute blocks are written into. Write, reserve, patch: lengths are
 * filled in when what they count is written.
 */
import { headerBytes } from "./message.ts";

export class MessageWriter {
  /** Written bytes are `bytes[0, at)`. Replaced when it grows, so do not keep it across writes. */
  bytes: Uint8Array;
  at = 0;

  constructor(capacity = 4096) {
    this.bytes = new Uint8Array(capacity);
  }

  reset(): void {
    this.at = 0;
  }

  /** Makes room for `count` more bytes. */
  ensure(count: number): void {
    const needed = this.at + count;
    if (needed <= this.bytes.length) return;
    const next = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    next.set(this.bytes.subarray(0, this.at));
    this.bytes = next;
  }

  u8(value: number): void {
    this.ensure(1);
    this.bytes[this.at++] = value;
  }

  u16(value: number): void {
    this.ensure(2);
    this.bytes[this.at++] = value >>> 8;
    this.bytes[this.at++] = value;
  }

  u32(value: number): void {
    this.ensure(4);
    this.bytes[this.at++] = value >>> 24;
    this.bytes[this.at++] = value >>> 16;
    this.bytes[this.at++] = value >>> 8;
    this.bytes[this.at++] = value;
  }

  /** Appends `source[start, end)`. */
  copy(source: Uint8Array, start = 0, end = source.length): void {
    this.ensure(end - start);
    const { bytes } = this;
    let to = this.at;
    // Attributes are short: a loop is faster than the view that `set` would need.
    if (end - start < 128) for (let i = start; i < end; i++) bytes[to++] = source[i];
    else {
      bytes.set(source.subarray(start, end), to);
      to += end - start;
    }
    this.at = to;
  }

  patchU8(at: number, value: number): void {
    this.bytes[at] = value;
  }

  patchU16(at: number, value: number): void {
    this.bytes[at] = value >>> 8;
    this.bytes[at + 1] = value;
  }

  /** Starts a message: marker, a length to be patched, and the type. Returns where it starts. */
  beginMessage(type: number): number {
    this.ensure(headerBytes);
    const start = this.at;
    this.bytes.fill(255, start, start + 16);
    this.bytes[start + 16] = 0;
    this.bytes[start + 17] = 0;
    this.bytes[start + 18] = type;
    this.at = start + headerBytes;
    return start;
  }

  /** Patches the length of the message that starts at `start` and ends here. */
  endMessage(start: number): void {
    this.patchU16(start + 16, this.at - start);
  }

  /** A copy of what was written. */
  take(): Uint8Array {
    return this.bytes.slice(0, this.at);
  }
}
