/** OPEN (RFC 4271 4.2, 6.2; RFC 5492; RFC 6793; RFC 7607; RFC 9072). */
import { type Capability, decodeCapability, encodeCapability } from "./capabilities.ts";
import { headerBytes, MessageType, readU16, readU32, type WireError, wireError } from "./message.ts";
import { MessageWriter } from "./message-writer.ts";

/** Stands for a four-octet AS number where only two octets fit (RFC 6793 section 9). */
export const asTrans = 23_456;

export interface Open {
  readonly version: number;
  /** The AS number: that of capability 65 when present, else My Autonomous System. */
  readonly asn: number;
  /** 0, or at least 3. */
  readonly holdTimeS: number;
  readonly routerId: number;
  /** In the order of the message; several of one kind may occur. */
  readonly capabilities: readonly Capability[];
}

/**
 * Decodes and checks the whole message `bytes[start, end)`: everything that can be judged without knowing the peer.
 * @returns the OPEN, or the error to answer with
 */
export function decodeOpen(bytes: Uint8Array, start: number, end: number): Open | WireError {
  const at = start + headerBytes;
  if (end - at < 10)
    return wireError(1, 2, "OPEN is shorter than 29 bytes", bytes.slice(start + 16, start + 18));
  const version = bytes[at];
  if (version !== 4) return wireError(2, 1, `BGP version ${version} is not 4`, Uint8Array.of(0, 4));
  const capabilities: Capability[] = [];
  const error = decodeParameters(bytes, at + 9, end, capabilities);
  if (error) return error;
  const told = new Set<number>();
  for (const capability of capabilities) if (capability.kind === "four-octet-as") told.add(capability.asn);
  if (told.size > 1)
    return wireError(2, 2, `more than one AS number is told: ${[...told].slice(0, 4).join(", ")}`);
  const twoOctetAsn = readU16(bytes, at + 1);
  const [asn = twoOctetAsn] = told;
  if (asn === 0 || twoOctetAsn === 0) return wireError(2, 2, "AS number 0 is reserved");
  const holdTimeS = readU16(bytes, at + 3);
  if (holdTimeS === 1 || holdTimeS === 2) {
    return wireError(
      2,
      6,
      `hold time ${holdTimeS} s is neither 0 nor at least 3 s`,
      bytes.slice(at + 3, at + 5),
    );
  }
  const routerId = readU32(bytes, at + 5);
  if (routerId === 0) return wireError(2, 3, "BGP identifier is 0.0.0.0", bytes.slice(at + 5, at + 9));
  return { version, asn, holdTimeS, routerId, capabilities };
}

/** True when the answer of a decoder is the error to send. */
export function isWireError(value: object): value is WireError {
  return "subcode" in value && "text" in value;
}

/** Optional parameters from their length octet on, in the form of RFC 4271 or of RFC 9072. */
function decodeParameters(
  bytes: Uint8Array,
  lengthAt: number,
  end: number,
  capabilities: Capability[],
): WireError | undefined {
  // RFC 9072: the length octet is not 0 and the type of the first parameter is 255.
  const extended = bytes[lengthAt] !== 0 && lengthAt + 1 < end && bytes[lengthAt + 1] === 255;
  const at = lengthAt + (extended ? 4 : 1);
  if (at > end) return wireError(2, 0, "extended optional parameters are cut off");
  const length = extended ? readU16(bytes, lengthAt + 2) : bytes[lengthAt];
  if (at + length !== end) {
    return wireError(2, 0, `optional parameters of ${length} bytes do not end where the OPEN ends`);
  }
  return walkParameters(bytes, at, end, extended ? 3 : 2, capabilities);
}

/** Parameters in `[at, end)`; `headBytes` is 2 (type, length) or 3 (type, two-octet length). Used by tests too. */
export function walkParameters(
  bytes: Uint8Array,
  at: number,
  end: number,
  headBytes: 2 | 3,
  capabilities: Capability[],
): WireError | undefined {
  for (let next = at; next < end; ) {
    if (end - next < headBytes)
      return wireError(2, 0, "optional parameter is cut off", bytes.slice(next, end));
    const type = bytes[next];
    const length = headBytes === 3 ? readU16(bytes, next + 1) : bytes[next + 1];
    const valueAt = next + headBytes;
    if (valueAt + length > end) {
      return wireError(2, 0, "optional parameter runs past the end", bytes.slice(next, end));
    }
    if (type !== capabilitiesParameter) {
      return wireError(
        2,
        4,
        `optional parameter ${type} is not supported`,
        bytes.slice(next, valueAt + length),
      );
    }
    const error = walkCapabilities(bytes, valueAt, valueAt + length, capabilities);
    if (error) return error;
    next = valueAt + length;
  }
  return undefined;
}

const capabilitiesParameter = 2;

/** Capabilities in `[at, end)`, appended to `capabilities`. A malformed one makes the OPEN malformed. */
export function walkCapabilities(
  bytes: Uint8Array,
  at: number,
  end: number,
  capabilities: Capability[],
): WireError | undefined {
  for (let next = at; next < end; ) {
    const valueEnd = next + 2 + (next + 1 < end ? bytes[next + 1] : 0);
    if (valueEnd > end) {
      return wireError(2, 0, `capability ${bytes[next]} runs past the end`, bytes.slice(next, end));
    }
    const capability = decodeCapability(bytes[next], bytes, next + 2, valueEnd);
    if (!capability) {
      return wireError(2, 0, `capability ${bytes[next]} is malformed`, bytes.slice(next, valueEnd));
    }
    capabilities.push(capability);
    next = valueEnd;
  }
  return undefined;
}

/**
 * The message as bytes. My Autonomous System is AS_TRANS when `asn` needs four octets; the capability for them is
 * the caller's to list. One parameter holds all capabilities; when they need more than 255 bytes the form of
 * RFC 9072 is used.
 */
export function encodeOpen(open: Omit<Open, "version">): Uint8Array {
  const capabilities = new MessageWriter(256);
  for (const capability of open.capabilities) encodeCapability(capability, capabilities);
  const out = new MessageWriter(256);
  const start = out.beginMessage(MessageType.open);
  out.u8(4);
  out.u16(open.asn > 0xffff ? asTrans : open.asn);
  out.u16(open.holdTimeS);
  out.u32(open.routerId);
  const length = capabilities.at;
  if (length === 0) {
    out.u8(0);
  } else if (length + 2 <= 254) {
    out.u8(length + 2);
    out.u8(capabilitiesParameter);
    out.u8(length);
  } else {
    out.u8(255);
    out.u8(255);
    out.u16(length + 3);
    out.u8(capabilitiesParameter);
    out.u16(length);
  }
  out.copy(capabilities.bytes, 0, length);
  out.endMessage(start);
  return out.take();
}
