/**
 * Netlink messages (linux/netlink.h): headers, attributes, acknowledgements. All integers are in host order, which is
 * little-endian on what cairn is built for; IP addresses stay in network order.
 *
 *   length 4 | type 2 | flags 2 | sequence 4 | port 4 | payload ... padded to 4
 *   attribute: length 2 | type 2 | value ... padded to 4
 *
 * The decoder trusts nothing: lengths that do not fit end the walk, and what is too short is not there.
 */
import { grown } from "../../base/columns.ts";

export const headerBytes = 16;

export const MessageType = { noop: 1, error: 2, done: 3, overrun: 4 } as const;

export const MessageFlag = {
  request: 0x001,
  multi: 0x002,
  ack: 0x004,
  /** The dump was disturbed by a change: it may lack entries or have some twice. */
  dumpInterrupted: 0x010,
  /** In an error: the request's payload is left out. */
  capped: 0x100,
  /** In an error: attributes follow that say more. */
  ackAttributes: 0x200,
  dump: 0x300,
  /** For what makes an entry: there must be none yet; the one there is gives way; make it when there is none. */
  exclusive: 0x200,
  replace: 0x100,
  create: 0x400,
} as const;

/** One message in a buffer: `bytes[at, end)` is its payload. */
export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly at: number;
  readonly end: number;
}

/**
 * Visits the messages of a datagram.
 * @returns false when it ends with something that is no message
 */
export function eachMessage(bytes: Uint8Array, end: number, visit: (message: Message) => void): boolean {
  let at = 0;
  while (at + headerBytes <= end) {
    const length = read32(bytes, at);
    if (length < headerBytes || at + length > end) return false;
    visit({
      type: read16(bytes, at + 4),
      flags: read16(bytes, at + 6),
      sequence: read32(bytes, at + 8),
      at: at + headerBytes,
      end: at + length,
    });
    at += aligned(length);
  }
  return at >= end;
}

/** Visits the attributes in `bytes[at, end)`; the type comes without its flag bits. */
export function eachAttribute(
  bytes: Uint8Array,
  at: number,
  end: number,
  visit: (type: number, at: number, end: number) => void,
): void {
  while (at + 4 <= end) {
    const length = read16(bytes, at);
    if (length < 4 || at + length > end) return;
    visit(read16(bytes, at + 2) & 0x3fff, at + 4, at + length);
    at += aligned(length);
  }
}

/** What the kernel answered to a request: 0 for success, else a positive errno. */
export interface Acknowledgement {
  readonly errno: number;
  /** What it said about it; empty when it said nothing. */
  readonly text: string;
}

/** Reads an NLMSG_ERROR, or the end of a dump, which carries an error in the same place. */
export function readAcknowledgement(bytes: Uint8Array, message: Message): Acknowledgement {
  const { at, end, flags, type } = message;
  const errno = at + 4 <= end ? -read32(bytes, at) | 0 : 0;
  if ((flags & MessageFlag.ackAttributes) === 0 || at + 4 > end) return { errno, text: "" };
  let attributesAt = at + 4;
  if (type === MessageType.error) {
    if (at + 20 > end) return { errno, text: "" };
    const request = (flags & MessageFlag.capped) !== 0 ? headerBytes : aligned(read32(bytes, at + 4));
    attributesAt = at + 4 + request;
  }
  let text = "";
  eachAttribute(bytes, attributesAt, end, (attribute, from, to) => {
    if (attribute === ackMessage) text = readText(bytes, from, to);
  });
  return { errno, text };
}

const ackMessage = 1;

/** Writes requests one after the other into a buffer that grows. */
export class NetlinkWriter {
  bytes = new Uint8Array(4096);
  length = 0;
  private message = 0;

  reset(): void {
    this.length = 0;
  }

  begin(type: number, flags: number, sequence: number): void {
    this.message = this.length;
    this.u32(0);
    this.u16(type);
    this.u16(flags);
    this.u32(sequence);
    this.u32(0);
  }

  end(): void {
    write32(this.bytes, this.message, this.length - this.message);
  }

  u8(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  u16(value: number): void {
    this.u8(value & 255);
    this.u8((value >>> 8) & 255);
  }

  u32(value: number): void {
    this.reserve(4);
    write32(this.bytes, this.length, value);
    this.length += 4;
  }

  attribute(type: number, value: Uint8Array): void {
    this.u16(4 + value.length);
    this.u16(type);
    this.reserve(aligned(value.length));
    this.bytes.set(value, this.length);
    this.length += value.length;
    while ((this.length & 3) !== 0) this.bytes[this.length++] = 0;
  }

  attribute32(type: number, value: number): void {
    const bytes = new Uint8Array(4);
    write32(bytes, 0, value);
    this.attribute(type, bytes);
  }

  /** Attributes inside one: `write` appends them. */
  nested(type: number, write: () => void): void {
    const at = this.length;
    this.u16(0);
    this.u16(type | nestedFlag);
    write();
    const length = this.length - at;
    this.bytes[at] = length & 255;
    this.bytes[at + 1] = length >>> 8;
  }

  text(type: number, text: string): void {
    const bytes = new Uint8Array(text.length + 1);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    this.attribute(type, bytes);
  }

  take(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }

  private reserve(count: number): void {
    if (this.length + count + 4 <= this.bytes.length) return;
    this.bytes = grown(this.bytes, Math.max(this.bytes.length * 2, this.length + count + 4));
  }
}

/** NLA_F_NESTED */
const nestedFlag = 0x8000;

export function aligned(length: number): number {
  return (length + 3) & ~3;
}

export function read16(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8);
}

export function read32(bytes: Uint8Array, at: number): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}

function write32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value & 255;
  bytes[at + 1] = (value >>> 8) & 255;
  bytes[at + 2] = (value >>> 16) & 255;
  bytes[at + 3] = value >>> 24;
}

/** A string up to its NUL. The kernel's are bytes; what is not ASCII becomes a question mark. */
export function readText(bytes: Uint8Array, at: number, end: number): string {
  let text = "";
  for (let i = at; i < end && bytes[i] !== 0; i++) {
    text += bytes[i] < 0x20 || bytes[i] > 0x7e ? "?" : String.fromCharCode(bytes[i]);
  }
  return text;
}
