/**
 * The little of DNS (RFC 1035) that a probe needs: one question, and whether a message answers it. The reader trusts
 * nothing: what does not fit makes it no answer.
 */
import { formatIp } from "../../base/ip.ts";
import type { DnsExpectation } from "./messages.ts";

const recordTypes: Readonly<Record<string, number>> = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  MX: 15,
  TXT: 16,
  AAAA: 28,
};

/** Number of a record type by name or number; undefined when it is none. */
export function recordType(text: string): number | undefined {
  const named = recordTypes[text.toUpperCase()];
  if (named !== undefined) return named;
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return number > 0 && number <= 0xffff ? number : undefined;
}

const responseCodes = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
const classIn = 1;
const headerBytes = 12;
/** Names that point to names that point ...: no honest message has so many. */
const pointersMax = 32;

/** A query with recursion desired. @param id 16 bits, not guessable */
export function encodeQuery({ name, type }: DnsExpectation, id: number): Uint8Array {
  const labels = name === "" ? [] : name.split(".");
  const length = labels.reduce((sum, label) => sum + 1 + label.length, 1);
  const bytes = new Uint8Array(headerBytes + length + 4);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, id);
  view.setUint16(2, 0x0100);
  view.setUint16(4, 1);
  let at = headerBytes;
  for (const label of labels) {
    bytes[at++] = label.length;
    for (let i = 0; i < label.length; i++) bytes[at++] = label.charCodeAt(i);
  }
  at++;
  view.setUint16(at, type);
  view.setUint16(at + 2, classIn);
  return bytes;
}

export type DnsReply =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: string; readonly message: string };

/**
 * Whether a message is the answer to our question, and says what is expected.
 * @param length bytes of the message in `bytes`
 * @returns undefined for a message that is no answer to it: it is to be passed over
 */
export function readReply(
  bytes: Uint8Array,
  length: number,
  expected: DnsExpectation,
  id: number,
): DnsReply | undefined {
  if (length < headerBytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  const flags = view.getUint16(2);
  if (view.getUint16(0) !== id || (flags & 0x8000) === 0) return undefined;
  const code = flags & 15;
  const questions = view.getUint16(4);
  let at = headerBytes;
  if (questions === 1) {
    const asked = readName(view, at);
    if (!asked || asked.end + 4 > length || !sameName(asked.name, expected.name)) return undefined;
    if (view.getUint16(asked.end) !== expected.type) return undefined;
    at = asked.end + 4;
  } else if (code === 0) return undefined; // only one that did not understand leaves the question out
  if (code !== 0) {
    const word = responseCodes[code] ?? `RCODE${code}`;
    return { ok: false, reason: `DNS_${word}`, message: `the server answers ${word}` };
  }
  if (expected.answer === "") return { ok: true };
  const found = readAnswers(view, at, view.getUint16(6), expected.type);
  if (found.some((text) => sameText(text, expected.answer, expected.type))) return { ok: true };
  const isCut = (flags & 0x0200) !== 0 ? " (it is truncated)" : "";
  const told = found.length === 0 ? "nothing" : found.slice(0, 4).join(", ");
  return {
    ok: false,
    reason: "DNS_ANSWER",
    message: `the answer is ${told} and not ${expected.answer}${isCut}`,
  };
}

/** Texts of the records of a type. */
function readAnswers(view: DataView, at: number, count: number, type: number): string[] {
  const found: string[] = [];
  for (let i = 0; i < count; i++) {
    const owner = readName(view, at);
    if (!owner || owner.end + 10 > view.byteLength) break;
    const length = view.getUint16(owner.end + 8);
    const data = owner.end + 10;
    if (data + length > view.byteLength) break;
    if (view.getUint16(owner.end) === type) {
      const text = recordText(view, data, length, type);
      if (text !== undefined) found.push(text);
    }
    at = data + length;
  }
  return found;
}

function recordText(view: DataView, at: number, length: number, type: number): string | undefined {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  switch (type) {
    case recordTypes.A:
      return length === 4 ? formatIp(bytes, at, 4) : undefined;
    case recordTypes.AAAA:
      return length === 16 ? formatIp(bytes, at, 16) : undefined;
    case recordTypes.NS:
    case recordTypes.CNAME:
    case recordTypes.PTR:
    case recordTypes.SOA:
      return readName(view, at)?.name;
    case recordTypes.MX:
      return readName(view, at + 2)?.name;
    case recordTypes.TXT:
      return textOf(bytes, at, at + length);
    default:
      return Array.from(bytes.subarray(at, at + length), (byte) => byte.toString(16).padStart(2, "0")).join(
        "",
      );
  }
}

/** The strings of a TXT record, one after the other. */
function textOf(bytes: Uint8Array, at: number, end: number): string {
  let text = "";
  while (at < end) {
    const to = Math.min(end, at + 1 + bytes[at]);
    for (let i = at + 1; i < to; i++) text += printable(bytes[i]);
    at = to;
  }
  return text;
}

/** A name without the dot at the end; `end` is behind it in the message. */
function readName(view: DataView, at: number): { readonly name: string; readonly end: number } | undefined {
  const labels: string[] = [];
  let end = -1;
  let pointers = 0;
  let bytes = 0;
  while (at < view.byteLength) {
    const length = view.getUint8(at);
    if (length === 0) return { name: labels.join("."), end: end < 0 ? at + 1 : end };
    if (length >= 0xc0) {
      if (at + 2 > view.byteLength || ++pointers > pointersMax) return undefined;
      if (end < 0) end = at + 2;
      at = view.getUint16(at) & 0x3fff;
      continue;
    }
    bytes += length + 1;
    if (length > 63 || bytes > 255 || at + 1 + length > view.byteLength) return undefined;
    let label = "";
    for (let i = 0; i < length; i++) label += printable(view.getUint8(at + 1 + i));
    labels.push(label);
    at += 1 + length;
  }
  return undefined;
}

function printable(byte: number): string {
  return byte >= 0x21 && byte <= 0x7e ? String.fromCharCode(byte) : byte === 0x20 ? " " : "?";
}

function sameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

function sameText(found: string, expected: string, type: number): boolean {
  return type === recordTypes.TXT ? found === expected : sameName(found, expected.replace(/\.$/, ""));
}
