/**
 * Finds messages in a stream of bytes and checks their headers (RFC 4271 6.1, RFC 8654). Works on offsets: nothing
 * is copied and nothing is allocated for a good message. Bodies are not looked at.
 */
import { limits } from "../base/limits.ts";
import { headerBytes, MessageType, noData, readU16, type WireError, wireError } from "./message.ts";

export const Frame = {
  /** More bytes are needed. */
  incomplete: 0,
  /** A whole message stands at `bytes[start, end)`. */
  message: 1,
  /** The stream is broken; `error` says how. */
  error: 2,
} as const;
export type Frame = (typeof Frame)[keyof typeof Frame];

/** Position of the last message found. One object serves a connection, or a whole process. */
export class Framer {
  type: number = 0;
  start = 0;
  end = 0;
  error: WireError | undefined = undefined;

  /**
   * Looks for a message at `bytes[at, limit)`.
   * @param maxMessageBytes 4096, or 65535 when both sides agreed on extended messages; OPEN and KEEPALIVE stay at 4096
   */
  next(bytes: Uint8Array, at: number, limit: number, maxMessageBytes: number): Frame {
    if (limit - at < headerBytes) return Frame.incomplete;
    let marker = 255;
    for (let i = at; i < at + 16; i++) marker &= bytes[i];
    const length = (bytes[at + 16] << 8) | bytes[at + 17];
    const type = bytes[at + 18];
    const { messageBytesMax } = limits;
    const longest =
      type === MessageType.open || type === MessageType.keepalive ? messageBytesMax : maxMessageBytes;
    const shortest = shortestByType[type];
    if (
      marker !== 255 ||
      shortest === undefined ||
      length < shortest ||
      length > longest ||
      (type === MessageType.keepalive && length !== headerBytes)
    ) {
      this.error = headerError(bytes, at, marker, length, longest, type);
      return Frame.error;
    }
    if (limit - at < length) return Frame.incomplete;
    this.type = type;
    this.start = at;
    this.end = at + length;
    return Frame.message;
  }
}

/** Smallest length of each message type; a type without one is unknown. */
const shortestByType: readonly (number | undefined)[] = [undefined, 29, 23, 21, 19, 23];

function headerError(
  bytes: Uint8Array,
  at: number,
  marker: number,
  length: number,
  longest: number,
  type: number,
): WireError {
  if (marker !== 255) return wireError(1, 1, "the marker is not all ones", noData);
  const lengthField = bytes.slice(at + 16, at + 18);
  if (length < headerBytes || length > longest) {
    return wireError(1, 2, `message length ${length} is not from ${headerBytes} to ${longest}`, lengthField);
  }
  if (shortestByType[type] === undefined) {
    return wireError(1, 3, `message type ${type} is unknown`, bytes.slice(at + 18, at + 19));
  }
  return wireError(1, 2, `length ${length} is wrong for message type ${type}`, lengthField);
}

/** Length field of the header at `at`; the header must be there. */
export function messageLength(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + 16);
}
