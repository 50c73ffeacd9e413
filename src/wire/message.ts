/** The BGP message header (RFC 4271 4.1): types, sizes, and the values that errors in it become. */

export const MessageType = {
  open: 1,
  update: 2,
  notification: 3,
  keepalive: 4,
  routeRefresh: 5,
} as const;
export type MessageType = (typeof MessageType)[keyof typeof MessageType];

/** Bytes of the header: marker, length and type. */
export const headerBytes = 19;

/** Bytes of the smallest UPDATE: header and two empty length fields. */
export const updateBytesMin = 23;

/** An error that a NOTIFICATION answers (RFC 4271 section 6). */
export interface WireError {
  readonly code: number;
  readonly subcode: number;
  readonly data: Uint8Array;
  /** One sentence for people, without a full stop. */
  readonly text: string;
}

export function wireError(code: number, subcode: number, text: string, data: Uint8Array = noData): WireError {
  return { code, subcode, data, text };
}

export const noData = new Uint8Array(0);

export function readU16(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}

export function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
}

/** Bytes as hexadecimal digits. */
export function hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}
