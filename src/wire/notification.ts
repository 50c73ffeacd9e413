/**
 * NOTIFICATION (RFC 4271 4.5, 6): codes with their names, the shutdown text of RFC 9003, and the hard reset of
 * RFC 8538 that carries another notification inside.
 */
import { headerBytes, MessageType, noData } from "./message.ts";
import { MessageWriter } from "./message-writer.ts";

export const NotificationCode = {
  header: 1,
  open: 2,
  update: 3,
  holdTimer: 4,
  fsm: 5,
  cease: 6,
  routeRefresh: 7,
  sendHoldTimer: 8,
} as const;

/** RFC 4486 and its successors. */
export const CeaseSubcode = {
  maxPrefixes: 1,
  administrativeShutdown: 2,
  peerDeconfigured: 3,
  administrativeReset: 4,
  connectionRejected: 5,
  configurationChange: 6,
  collision: 7,
  outOfResources: 8,
  hardReset: 9,
  bfdDown: 10,
} as const;

export interface Notification {
  readonly code: number;
  readonly subcode: number;
  readonly data: Uint8Array;
  /** RFC 9003 text of an administrative shutdown or reset, safe to show; empty for none. */
  readonly shutdownMessage: string;
  /** True for RFC 8538 Cease/Hard Reset; `code`, `subcode` and `data` are then those of the notification inside. */
  readonly hardReset: boolean;
}

/** The message as bytes. Data that does not fit 4096 bytes is cut. */
export function encodeNotification(code: number, subcode: number, data: Uint8Array = noData): Uint8Array {
  const out = new MessageWriter(64);
  const start = out.beginMessage(MessageType.notification);
  out.u8(code);
  out.u8(subcode);
  out.copy(data, 0, Math.min(data.length, dataBytesMax));
  out.endMessage(start);
  return out.take();
}

const dataBytesMax = 4096 - headerBytes - 2;

/** Wraps a notification into Cease/Hard Reset (RFC 8538 section 3). */
export function encodeHardReset(code: number, subcode: number, data: Uint8Array = noData): Uint8Array {
  const inner = new Uint8Array(2 + data.length);
  inner[0] = code;
  inner[1] = subcode;
  inner.set(data, 2);
  return encodeNotification(NotificationCode.cease, CeaseSubcode.hardReset, inner);
}

/** Decodes the whole message `bytes[start, end)`, at least 21 bytes. Every content is acceptable. */
export function decodeNotification(bytes: Uint8Array, start: number, end: number): Notification {
  let at = start + headerBytes;
  let code = bytes[at];
  let subcode = bytes[at + 1];
  at += 2;
  const hardReset = code === NotificationCode.cease && subcode === CeaseSubcode.hardReset;
  if (hardReset && end - at >= 2) {
    code = bytes[at];
    subcode = bytes[at + 1];
    at += 2;
  }
  const data = bytes.slice(at, Math.max(at, end));
  const hasText =
    code === NotificationCode.cease &&
    (subcode === CeaseSubcode.administrativeShutdown || subcode === CeaseSubcode.administrativeReset);
  return { code, subcode, data, shutdownMessage: hasText ? decodeShutdownMessage(data) : "", hardReset };
}

/**
 * Data of an administrative shutdown or reset (RFC 9003): a length byte and UTF-8 text, cut to 255 bytes at the
 * border of a character. Empty for empty text.
 */
export function encodeShutdownMessage(text: string): Uint8Array {
  if (text === "") return noData;
  const utf8 = new TextEncoder().encode(text);
  let length = Math.min(utf8.length, 255);
  while (length < utf8.length && length > 0 && (utf8[length] & 0xc0) === 0x80) length--;
  const data = new Uint8Array(1 + length);
  data[0] = length;
  data.set(utf8.subarray(0, length), 1);
  return data;
}

/**
 * The text inside `data`, safe to show: bytes that are not UTF-8 become U+FFFD, control characters become spaces.
 * A length that runs past the data is cut, since the text is for people only.
 */
export function decodeShutdownMessage(data: Uint8Array): string {
  if (data.length === 0) return "";
  const text = new TextDecoder().decode(data.subarray(1, 1 + data[0]));
  let shown = "";
  for (const character of text) shown += isControl(character.codePointAt(0)!) ? " " : character;
  return shown;
}

/** C0 and C1 controls, and the marks that reorder or hide text. */
function isControl(point: number): boolean {
  return (
    point < 32 ||
    (point >= 0x7f && point < 0xa0) ||
    (point >= 0x200b && point <= 0x200f) ||
    (point >= 0x2028 && point <= 0x202e) ||
    (point >= 0x2066 && point <= 0x2069)
  );
}

/** `Cease/Administrative Shutdown`, `Hold Timer Expired`; numbers where there is no name. */
export function describeNotification(code: number, subcode: number): string {
  const row = names[code];
  if (!row) return `error ${code}/${subcode}`;
  const detail = row.subcodes[subcode];
  if (detail !== undefined) return `${row.name}/${detail}`;
  return subcode === 0 ? row.name : `${row.name}/${subcode}`;
}

const names: Readonly<Record<number, { name: string; subcodes: Readonly<Record<number, string>> }>> = {
  1: {
    name: "Message Header Error",
    subcodes: { 1: "Connection Not Synchronized", 2: "Bad Message Length", 3: "Bad Message Type" },
  },
  2: {
    name: "OPEN Message Error",
    subcodes: {
      0: "Unspecific",
      1: "Unsupported Version Number",
      2: "Bad Peer AS",
      3: "Bad BGP Identifier",
      4: "Unsupported Optional Parameter",
      5: "Authentication Failure",
      6: "Unacceptable Hold Time",
      7: "Unsupported Capability",
      11: "Role Mismatch",
    },
  },
  3: {
    name: "UPDATE Message Error",
    subcodes: {
      0: "Unspecific",
      1: "Malformed Attribute List",
      2: "Unrecognized Well-known Attribute",
      3: "Missing Well-known Attribute",
      4: "Attribute Flags Error",
      5: "Attribute Length Error",
      6: "Invalid ORIGIN Attribute",
      7: "AS Routing Loop",
      8: "Invalid NEXT_HOP Attribute",
      9: "Optional Attribute Error",
      10: "Invalid Network Field",
      11: "Malformed AS_PATH",
    },
  },
  4: { name: "Hold Timer Expired", subcodes: {} },
  5: {
    name: "Finite State Machine Error",
    subcodes: {
      0: "Unspecified",
      1: "Unexpected Message in OpenSent",
      2: "Unexpected Message in OpenConfirm",
      3: "Unexpected Message in Established",
    },
  },
  6: {
    name: "Cease",
    subcodes: {
      1: "Maximum Number of Prefixes Reached",
      2: "Administrative Shutdown",
      3: "Peer De-configured",
      4: "Administrative Reset",
      5: "Connection Rejected",
      6: "Other Configuration Change",
      7: "Connection Collision Resolution",
      8: "Out of Resources",
      9: "Hard Reset",
      10: "BFD Down",
    },
  },
  7: { name: "ROUTE-REFRESH Message Error", subcodes: { 1: "Invalid Message Length" } },
  8: { name: "Send Hold Timer Expired", subcodes: {} },
};
