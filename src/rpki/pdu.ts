/**
 * PDUs of the RPKI-to-router protocol: version 0 (RFC 6810), 1 (RFC 8210), and 2 (draft-ietf-sidrops-8210bis), which
 * adds ASPA. Decoding fills one scratch and allocates nothing for prefixes, of which a cache sends half a million.
 *
 *   version(1) type(1) session, flags or error code(2) length(4) ...
 */
import { readIp4 } from "../base/ip.ts";

export const PduType = {
  serialNotify: 0,
  serialQuery: 1,
  resetQuery: 2,
  cacheResponse: 3,
  ipv4Prefix: 4,
  ipv6Prefix: 6,
  endOfData: 7,
  cacheReset: 8,
  routerKey: 9,
  errorReport: 10,
  aspa: 11,
} as const;
export type PduType = (typeof PduType)[keyof typeof PduType];

/** Codes of Error Report PDUs (RFC 8210 12; `aspaProviderList` of version 2). */
export const RtrError = {
  corruptData: 0,
  internalError: 1,
  noDataAvailable: 2,
  invalidRequest: 3,
  unsupportedVersion: 4,
  unsupportedPdu: 5,
  withdrawalOfUnknown: 6,
  duplicateAnnouncement: 7,
  unexpectedVersion: 8,
  aspaProviderList: 9,
} as const;
export type RtrError = (typeof RtrError)[keyof typeof RtrError];

/** Names of error codes, by number. */
export const rtrErrorNames: readonly string[] = [
  "corrupt data",
  "internal error",
  "no data available",
  "invalid request",
  "unsupported protocol version",
  "unsupported PDU type",
  "withdrawal of unknown record",
  "duplicate announcement received",
  "unexpected protocol version",
  "ASPA provider list error",
];

export const latestVersion = 2;
export const headerBytes = 8;
/** The longest PDU that we take: an ASPA of 4,096 providers fits, and so does any error report worth reading. */
export const pduBytesMax = 32_768;
/** Providers of one ASPA that fit. */
export const providersMax = (pduBytesMax - 12) >>> 2;

/** What a decoded PDU says. Fields that its type does not have keep old values. Reused. */
export class Pdu {
  version = 0;
  type = 0;
  /** Whole length in bytes. */
  length = 0;
  /** Session id, error code or zero: the third field of the header. */
  session = 0;
  serial = 0;
  /** Prefixes, keys and ASPAs: announced, else withdrawn. */
  announced = false;
  prefixLength = 0;
  maxLength = 0;
  /** Origin AS, AS of a router key, or customer AS. */
  asn = 0;
  /** Where the address (prefixes) or the providers (ASPA) stand in the bytes decoded. */
  at = 0;
  /** ASPA: how many providers. */
  providers = 0;
  /** End of Data of version 1 and later, seconds; 0 in version 0. */
  refreshS = 0;
  retryS = 0;
  expireS = 0;
  /** Error Report: its text for people. */
  text = "";
  /** What is wrong when `decodePdu` says -1. */
  error: RtrError = RtrError.corruptData;
  problem = "";
}

/** Exact lengths by type; 0 for those that vary. Undefined types do not exist. */
const lengths: readonly (number | undefined)[] = [12, 12, 8, 8, 20, undefined, 32, 0, 8, 0, 0, 0];

/** First version that knows a type. */
const firstVersions: readonly number[] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2];

/**
 * Decodes the PDU at `bytes[at]`.
 * @returns its length; 0 when it is not all there; -1 when it is malformed, with `out.error` and `out.problem`, and
 *   `out.type` and `out.version` as far as they can be told
 */
export function decodePdu(bytes: Uint8Array, at: number, end: number, out: Pdu): number {
  if (end - at < headerBytes) return 0;
  out.version = bytes[at];
  out.type = bytes[at + 1];
  out.session = (bytes[at + 2] << 8) | bytes[at + 3];
  const length = readIp4(bytes, at + 4);
  out.length = length;
  if (out.version > latestVersion && out.type !== PduType.errorReport)
    return wrong(out, RtrError.unsupportedVersion, `version ${out.version} is not known`);
  const exact = lengths[out.type];
  if (exact === undefined || out.version < firstVersions[out.type])
    return wrong(out, RtrError.unsupportedPdu, `type ${out.type} is not known in version ${out.version}`);
  if (length < headerBytes || length > pduBytesMax || (exact !== 0 && length !== exact))
    return wrong(out, RtrError.corruptData, `length ${length} of a PDU of type ${out.type}`);
  if (end - at < length) return 0;
  return decodeBody(bytes, at, length, out);
}

function decodeBody(bytes: Uint8Array, at: number, length: number, out: Pdu): number {
  switch (out.type) {
    case PduType.serialNotify:
    case PduType.serialQuery:
      out.serial = readIp4(bytes, at + 8);
      return length;
    case PduType.ipv4Prefix:
      return decodePrefix(bytes, at, 4, length, out);
    case PduType.ipv6Prefix:
      return decodePrefix(bytes, at, 16, length, out);
    case PduType.endOfData:
      return decodeEnd(bytes, at, length, out);
    case PduType.routerKey:
      if (length < 32) return wrong(out, RtrError.corruptData, `length ${length} of a router key`);
      out.announced = (bytes[at + 2] & 1) !== 0;
      out.asn = readIp4(bytes, at + 28);
      return length;
    case PduType.errorReport:
      return decodeError(bytes, at, length, out);
    case PduType.aspa:
      return decodeAspa(bytes, at, length, out);
    default:
      return length;
  }
}

function wrong(out: Pdu, error: RtrError, problem: string): -1 {
  out.error = error;
  out.problem = problem;
  return -1;
}

function decodePrefix(bytes: Uint8Array, at: number, addressBytes: 4 | 16, length: number, out: Pdu): number {
  out.announced = (bytes[at + 8] & 1) !== 0;
  out.prefixLength = bytes[at + 9];
  out.maxLength = bytes[at + 10];
  out.at = at + 12;
  out.asn = readIp4(bytes, at + 12 + addressBytes);
  const bits = addressBytes * 8;
  if (out.prefixLength > bits || out.maxLength > bits || out.maxLength < out.prefixLength) {
    return wrong(
      out,
      RtrError.corruptData,
      `prefix of ${out.prefixLength} bits with a maximum length of ${out.maxLength}`,
    );
  }
  return length;
}

function decodeEnd(bytes: Uint8Array, at: number, length: number, out: Pdu): number {
  if (length !== (out.version === 0 ? 12 : 24))
    return wrong(out, RtrError.corruptData, `length ${length} of End of Data`);
  out.serial = readIp4(bytes, at + 8);
  const timed = out.version > 0;
  out.refreshS = timed ? readIp4(bytes, at + 12) : 0;
  out.retryS = timed ? readIp4(bytes, at + 16) : 0;
  out.expireS = timed ? readIp4(bytes, at + 20) : 0;
  return length;
}

function decodeError(bytes: Uint8Array, at: number, length: number, out: Pdu): number {
  const pduBytes = length < 16 ? Number.POSITIVE_INFINITY : readIp4(bytes, at + 8);
  if (16 + pduBytes > length) return wrong(out, RtrError.corruptData, "an error report that ends too soon");
  const textBytes = readIp4(bytes, at + 12 + pduBytes);
  if (16 + pduBytes + textBytes > length)
    return wrong(out, RtrError.corruptData, "an error report whose text ends too soon");
  const textAt = at + 16 + pduBytes;
  out.text = new TextDecoder().decode(bytes.subarray(textAt, textAt + Math.min(textBytes, 400)));
  return length;
}

/** A withdrawal names the customer alone; an announcement lists providers in ascending order, AS 0 only by itself. */
function decodeAspa(bytes: Uint8Array, at: number, length: number, out: Pdu): number {
  if (length < 12 || length % 4 !== 0) return wrong(out, RtrError.corruptData, `length ${length} of an ASPA`);
  out.announced = (bytes[at + 2] & 1) !== 0;
  out.asn = readIp4(bytes, at + 8);
  out.at = at + 12;
  out.providers = (length - 12) >>> 2;
  const said = `ASPA of AS ${out.asn}`;
  if (!out.announced) {
    if (out.providers === 0) return length;
    return wrong(out, RtrError.aspaProviderList, `${said} is withdrawn with providers`);
  }
  if (out.providers === 0) return wrong(out, RtrError.aspaProviderList, `${said} has no providers`);
  let before = -1;
  for (let i = 0; i < out.providers; i++) {
    const provider = readIp4(bytes, out.at + i * 4);
    if (provider <= before)
      return wrong(out, RtrError.aspaProviderList, `providers in the ${said} are not in order`);
    if (provider === out.asn) return wrong(out, RtrError.aspaProviderList, `${said} names itself`);
    before = provider;
  }
  if (out.providers > 1 && readIp4(bytes, out.at) === 0)
    return wrong(out, RtrError.aspaProviderList, `${said} names AS 0 beside others`);
  return length;
}

// ------------------------------------------------------------------------------------------------------- encoding

function begin(version: number, type: PduType, session: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes[0] = version;
  bytes[1] = type;
  bytes[2] = session >>> 8;
  bytes[3] = session;
  write32(bytes, 4, length);
  return bytes;
}

function write32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

export function encodeResetQuery(version: number): Uint8Array {
  return begin(version, PduType.resetQuery, 0, 8);
}

export function encodeSerialQuery(version: number, session: number, serial: number): Uint8Array {
  const bytes = begin(version, PduType.serialQuery, session, 12);
  write32(bytes, 8, serial);
  return bytes;
}

/** @param pdu the PDU that is complained about, as much of it as is worth sending */
export function encodeErrorReport(
  version: number,
  error: RtrError,
  pdu: Uint8Array,
  text: string,
): Uint8Array {
  const encoded = new TextEncoder().encode(text);
  const bytes = begin(version, PduType.errorReport, error, 16 + pdu.length + encoded.length);
  write32(bytes, 8, pdu.length);
  bytes.set(pdu, 12);
  write32(bytes, 12 + pdu.length, encoded.length);
  bytes.set(encoded, 16 + pdu.length);
  return bytes;
}

/** A prefix PDU. @param address 4 or 16 bytes */
export function encodePrefix(
  version: number,
  announced: boolean,
  address: Uint8Array,
  length: number,
  maxLength: number,
  asn: number,
): Uint8Array {
  const type = address.length === 4 ? PduType.ipv4Prefix : PduType.ipv6Prefix;
  const bytes = begin(version, type, 0, 16 + address.length);
  bytes[8] = Number(announced);
  bytes[9] = length;
  bytes[10] = maxLength;
  bytes.set(address, 12);
  write32(bytes, 12 + address.length, asn);
  return bytes;
}

/** An ASPA PDU of version 2. @param providers in ascending order; empty withdraws */
export function encodeAspa(customer: number, providers: readonly number[]): Uint8Array {
  const bytes = begin(2, PduType.aspa, providers.length > 0 ? 0x100 : 0, 12 + providers.length * 4);
  write32(bytes, 8, customer);
  providers.forEach((provider, i) => {
    write32(bytes, 12 + i * 4, provider);
  });
  return bytes;
}

/** What only caches send: for caches in tests, and for nothing else. */
export function encodeCacheResponse(version: number, session: number): Uint8Array {
  return begin(version, PduType.cacheResponse, session, 8);
}

/** @inheritdoc encodeCacheResponse */
export function encodeCacheReset(version: number): Uint8Array {
  return begin(version, PduType.cacheReset, 0, 8);
}

/** @inheritdoc encodeCacheResponse */
export function encodeSerialNotify(version: number, session: number, serial: number): Uint8Array {
  const bytes = begin(version, PduType.serialNotify, session, 12);
  write32(bytes, 8, serial);
  return bytes;
}

/** @inheritdoc encodeCacheResponse */
export function encodeEndOfData(
  version: number,
  session: number,
  serial: number,
  intervals: { readonly refreshS: number; readonly retryS: number; readonly expireS: number },
): Uint8Array {
  const bytes = begin(version, PduType.endOfData, session, version === 0 ? 12 : 24);
  write32(bytes, 8, serial);
  if (version === 0) return bytes;
  write32(bytes, 12, intervals.refreshS);
  write32(bytes, 16, intervals.retryS);
  write32(bytes, 20, intervals.expireS);
  return bytes;
}
